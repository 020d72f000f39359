//! A proxy between a client and a node that harms one exchange: a request and its answer.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::lock::locked;
use tribunal_systems::Place;

/// What happens to an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// The connection is closed, and the request never reaches the node.
    CutBefore,
    /// The node has answered, and the connection is closed instead.
    CutAfter,
    /// The connection is closed in the middle of the answer.
    CutMiddle,
    /// The answer comes that much later.
    Delay(Duration),
    /// The answer comes twice.
    Twice,
}

/// How long an answer may take to arrive completely, once its first bytes have.
const ANSWER_PAUSE: Duration = Duration::from_millis(20);

#[derive(Default)]
struct State {
    /// How often the tap was armed.
    generation: u64,
    /// The bytes of each request since the last reset.
    requests: Vec<Vec<u8>>,
    /// The exchange to harm, counted from 0, and how.
    harm: Option<(usize, Harm)>,
}

/// The proxy. It ends when it is dropped.
pub(crate) struct Tap {
    /// One address for each port of the node.
    pub(crate) addresses: Vec<SocketAddr>,
    state: Arc<Mutex<State>>,
    _serving: Vec<AbortOnDropHandle<()>>,
}

impl Tap {
    /// Opens a proxy before each port of a node.
    ///
    /// # Errors
    /// When it cannot listen.
    pub(crate) async fn open(place: &Place) -> io::Result<Tap> {
        let state = Arc::new(Mutex::new(State::default()));
        let (mut addresses, mut serving) = (Vec::new(), Vec::new());
        for port in place.addresses.clone() {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            addresses.push(listener.local_addr()?);
            let (state, dial) = (state.clone(), place.dial.clone());
            serving.push(AbortOnDropHandle::new(tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (state, dial) = (state.clone(), dial.clone());
                    tokio::spawn(async move {
                        let Ok(node) = dial.dial(port).await else { return };
                        // An error of a connection ends it, as without a proxy.
                        let _ = carry(client, node, &state).await;
                    });
                }
            })));
        }
        Ok(Tap { addresses, state, _serving: serving })
    }

    /// Forgets the requests so far, and harms an exchange of the next ones, counted from 0.
    pub(crate) fn arm(&self, harm: Option<(usize, Harm)>) {
        let mut state = locked(&self.state);
        *state = State { generation: state.generation + 1, requests: Vec::new(), harm };
    }

    /// The bytes of each request since the tap was armed.
    pub(crate) fn requests(&self) -> Vec<Vec<u8>> {
        locked(&self.state).requests.clone()
    }
}

async fn carry(mut client: TcpStream, mut node: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (mut asked, mut answered) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    // The exchange in progress, and what happens to it.
    let mut exchange: Option<(u64, usize)> = None;
    let mut harm = None;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let bytes = &asked[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                {
                    let mut state = locked(state);
                    let now = state.generation;
                    let (generation, number) = *exchange.get_or_insert_with(|| {
                        state.requests.push(Vec::new());
                        (now, state.requests.len() - 1)
                    });
                    if generation != now {
                        continue; // the rest of a request of an operation that is over
                    }
                    state.requests[number].extend(bytes);
                    harm = state.harm.filter(|(wanted, _)| *wanted == number).map(|(_, harm)| harm);
                }
                if harm == Some(Harm::CutBefore) {
                    return Ok(());
                }
                node.write_all(bytes).await?;
            }
            read = node.read(&mut answered) => {
                let mut length = read?;
                if length == 0 {
                    return Ok(());
                }
                exchange = None;
                match harm.take() {
                    Some(Harm::CutAfter) => return Ok(()),
                    Some(Harm::CutMiddle) => {
                        client.write_all(&answered[..length / 2]).await?;
                        return client.flush().await;
                    }
                    Some(Harm::Delay(time)) => {
                        sleep(time).await;
                        client.write_all(&answered[..length]).await?;
                    }
                    Some(Harm::Twice) => {
                        while let Ok(more) = timeout(ANSWER_PAUSE, node.read(&mut answered[length..])).await {
                            match more? {
                                0 => break,
                                more => length += more,
                            }
                        }
                        let twice = answered[..length].repeat(2);
                        client.write_all(&twice).await?;
                    }
                    Some(Harm::CutBefore) | None => client.write_all(&answered[..length]).await?,
                }
            }
        }
    }
}
