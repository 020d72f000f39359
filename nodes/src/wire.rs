//! The framing between clients and nodes and between nodes. The protocol of clients is documented in
//! [`tribunal_records::wire`].

use std::io;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio_util::codec::{FramedWrite, LengthDelimitedCodec};
pub use tribunal_records::wire::{Outcome, Request, Response};

/// The framing between clients and nodes and between nodes: frames of at most 64 MiB.
pub fn frames() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(64 << 20).new_codec()
}

/// Sends queued frames, as many at once as there are, until the queue ends or the connection fails.
pub(crate) async fn send_queued<T>(
    outgoing: OwnedWriteHalf,
    queue: &mut mpsc::Receiver<T>,
    encode: fn(&T) -> Bytes,
) -> io::Result<()> {
    let mut outgoing = FramedWrite::new(outgoing, frames());
    while let Some(item) = queue.recv().await {
        outgoing.feed(encode(&item)).await?;
        while let Ok(item) = queue.try_recv() {
            outgoing.feed(encode(&item)).await?;
        }
        SinkExt::<Bytes>::flush(&mut outgoing).await?;
    }
    Ok(())
}
