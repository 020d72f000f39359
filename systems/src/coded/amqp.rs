//! RabbitMQ, over AMQP 0-9-1: a queue is a durable queue of the broker.
//!
//! `enqueue` publishes a persistent message and waits for the publisher confirm. `dequeue` gets a message without
//! acknowledgements, so that it is gone when it is sent: with them a message may be delivered again, out of order, as
//! RabbitMQ's documentation says.
//!
//! A negative confirm says that the broker could not take responsibility, not that it forgot the message: an unknown
//! outcome.

use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use tribunal_checker::op::{F, Value};
use tribunal_workloads::{Object, Request};

use super::{Coded, Session, SessionClient, Setting, Trouble, stored, unknown_operation};
use crate::BoxFuture;

pub(super) const CODED: Coded = Coded {
    operations: &["queue.enqueue", "queue.dequeue"],
    options: &[("queues", &["quorum", "classic"])],
    client: SessionClient::<Amqp>::make,
};

/// The delivery mode of a message that survives a restart.
const PERSISTENT: u8 = 2;

struct Amqp {
    channel: Channel,
    queues: &'static str,
    /// The queue that this session has declared.
    declared: Option<String>,
    _connection: Connection,
}

impl Session for Amqp {
    fn open(setting: &Setting) -> BoxFuture<'_, Result<Self, String>> {
        Box::pin(async move {
            // The library connects by itself, and would talk to whoever listens: this one makes sure that it is the node.
            drop(setting.port.open().await.map_err(|error| error.to_string())?);
            let uri = format!("amqp://guest:guest@{}/%2f", setting.port.address);
            let opened = async {
                let connection = Connection::connect(&uri, ConnectionProperties::default()).await?;
                let channel = connection.create_channel().await?;
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                Ok::<_, lapin::Error>((connection, channel))
            };
            let (connection, channel) = opened.await.map_err(|error| error.to_string())?;
            let queues = setting.option(&CODED, "queues");
            Ok(Amqp { channel, queues, declared: None, _connection: connection })
        })
    }

    fn operate<'a>(
        &'a mut self,
        object: Object,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Value, Trouble>> {
        Box::pin(async move {
            if object != Object::Queue {
                return Err(unknown_operation(request));
            }
            let queue = format!("queue-{}", request.key);
            if self.declared.as_ref() != Some(&queue) {
                // An error closes the channel.
                self.declare(&queue).await.map_err(|error| Trouble::Lost(error.to_string()))?;
                self.declared = Some(queue.clone());
            }
            match request.f {
                F::Enqueue => self.enqueue(&queue, &request.value.to_string()).await,
                F::Dequeue => self.dequeue(&queue).await,
                _ => Err(unknown_operation(request)),
            }
        })
    }
}

impl Amqp {
    async fn declare(&self, queue: &str) -> Result<(), lapin::Error> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(self.queues.into()));
        self.channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await?;
        Ok(())
    }

    async fn enqueue(&self, queue: &str, payload: &str) -> Result<Value, Trouble> {
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let confirmed = async {
            let sent =
                self.channel.basic_publish("".into(), queue.into(), options, payload.as_bytes(), properties);
            sent.await?.await
        };
        match confirmed.await.map_err(unknown)? {
            Confirmation::Ack(None) => Ok(Value::Nil),
            Confirmation::Ack(Some(_)) => Err(Trouble::Never("no queue took the message".into())),
            Confirmation::Nack(_) | Confirmation::NotRequested => {
                Err(Trouble::Unknown("the broker did not confirm".into()))
            }
        }
    }

    async fn dequeue(&self, queue: &str) -> Result<Value, Trouble> {
        let options = BasicGetOptions { no_ack: true };
        let got = self.channel.basic_get(queue.into(), options).await.map_err(unknown)?;
        Ok(got.map_or(Value::Nil, |message| stored(&message.delivery.data)))
    }
}

fn unknown(error: lapin::Error) -> Trouble {
    Trouble::Unknown(error.to_string())
}
