//! How a pump carries bytes over a degraded link: later, slower, one message at a time, in fragments, or
//! corrupted.
//!
//! ```text
//!   read ──▶ ┌ bytes in flight ────────────────────┐ ──▶ write those that are due
//!            │ "append 3" at 12:07.120 │ "app" at … │
//!            └─────────────────────────────────────┘
//! ```
//!
//! Reading continues while earlier bytes wait, so a delay does not limit the throughput. At most one chunk
//! may be in flight per connection and direction; then the sender has to wait, as on a long line with a small
//! window.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use rand::RngExt;
use tokio::{
    select,
    time::{Instant, sleep_until},
};

use crate::links::{
    messages,
    pump::{CHUNK, Chunk, End, Pump},
    quality::{Quality, exponential},
};

/// Bytes count as late if they arrive at least this much later: delays are not more exact.
pub(crate) const LATE_MIN: Duration = Duration::from_millis(1);

/// Bytes that were read and not yet written, in order.
#[derive(Default)]
struct InFlight {
    bytes: VecDeque<u8>,
    /// When to write how many of them.
    pieces: VecDeque<(Instant, usize)>,
    /// When the last message is to be written.
    last_at: Option<Instant>,
}

impl InFlight {
    fn next_at(&self) -> Option<Instant> {
        self.pieces.front().map(|&(at, _)| at)
    }

    /// A piece that is due before an earlier one waits for it, because it is one stream.
    fn push(&mut self, at: Instant, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.pieces.push_back((at, bytes.len()));
    }
}

impl Pump {
    /// Carries `chunk` and all that follows for as long as the link is degraded. Returns `None` if the link
    /// is restored and nothing is in flight; otherwise how the sender's stream ended.
    ///
    /// # Errors
    /// When the receiver does not take the bytes.
    pub(crate) async fn deliver_degraded(&self, chunk: &mut Chunk) -> io::Result<Option<End>> {
        let mut in_flight = InFlight::default();
        let mut flipper = BitFlipper::default();
        let (mut read, mut written): (u64, u64) = (0, 0);
        let mut stopped_reading = false;
        let mut end = None;
        let (mut quality, mut seen) = self.gate.quality();
        loop {
            if !chunk.is_empty() {
                read += chunk.len() as u64;
                self.send(chunk, quality.unwrap_or_default(), &mut flipper, &mut in_flight);
            }
            if in_flight.pieces.is_empty() && (end.is_some() || quality.is_none()) {
                return Ok(end);
            }
            let next_at = in_flight.next_at();
            let full = in_flight.bytes.len() >= CHUNK;
            let reads_on = quality.is_some_and(|quality| quality.read_max.is_none_or(|max| read < max));
            select! {
                biased;
                () = self.gate.quality_changed_since(seen) => {
                    (quality, seen) = self.gate.quality();
                    if quality.is_none() {
                        in_flight.pieces.iter_mut().for_each(|(at, _)| *at = Instant::now());
                    }
                }
                () = sleep_until(next_at.unwrap_or_else(Instant::now)), if next_at.is_some() => {
                    let (_, length) = in_flight.pieces.pop_front().expect("its time was looked at");
                    let ends_after = quality.and_then(|quality| quality.ends_after());
                    let left = ends_after.map(|(bytes, _)| bytes.saturating_sub(written));
                    let allowed = left.map_or(length, |left| length.min(left as usize));
                    self.write_out(&mut in_flight.bytes, allowed).await?;
                    written += allowed as u64;
                    if left.is_some_and(|left| left <= length as u64) {
                        self.gate.connections_withheld.fetch_add(1, Relaxed);
                        return Ok(ends_after.map(|(_, end)| end));
                    }
                }
                _ = self.from.readable(), if !reads_on && !stopped_reading && quality.is_some() => {
                    // Readable means bytes or the end of the stream. They are left in the socket.
                    stopped_reading = true;
                    self.gate.connections_withheld.fetch_add(1, Relaxed);
                }
                readable = self.from.readable(), if reads_on && !full && end.is_none() => {
                    end = match readable.and_then(|()| chunk.fill(&self.from)) {
                        Ok(0) => Some(End::Eof),
                        Ok(_) => None,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                        Err(_) => Some(End::Reset),
                    };
                }
            }
        }
    }

    /// Puts the bytes of a chunk in flight. Counts the bytes that the link actually delays or fragments: with
    /// enough bandwidth it does neither.
    fn send(&self, chunk: &mut Chunk, quality: Quality, flipper: &mut BitFlipper, in_flight: &mut InFlight) {
        let mut bytes = chunk.bytes().to_vec();
        chunk.give_back();
        if let Some(one_in) = quality.flip_one_in {
            self.gate.bits_flipped.fetch_add(flipper.apply(&mut bytes, one_in), Relaxed);
        }
        let delay = quality.delay.map(|delay| delay.draw(&mut rand::rng())).unwrap_or_default();
        let write_max = quality.write_max.map_or(usize::MAX, |max| max as usize).clamp(1, CHUNK);
        let (torn, now) = (bytes.len() > write_max, Instant::now());
        let lengths = quality.gap_ms.map_or_else(|| vec![bytes.len()], |_| messages::lengths(&bytes));
        let mut rest = &bytes[..];
        for length in lengths {
            let (message, later) = rest.split_at(length);
            rest = later;
            let not_before = match (quality.gap_ms, in_flight.last_at) {
                (Some(gap), Some(last_at)) => last_at + Duration::from_millis(gap),
                _ => now,
            };
            for piece in message.chunks(write_max) {
                let sent_at = match quality.bytes_per_s {
                    Some(rate) => self.gate.send(piece.len(), rate),
                    None => now,
                };
                let at = (sent_at + delay).max(not_before);
                if torn || at >= now + LATE_MIN {
                    self.gate.bytes_degraded.fetch_add(piece.len() as u64, Relaxed);
                }
                in_flight.push(at, piece);
                in_flight.last_at = Some(at);
            }
        }
    }

    /// Writes the first `count` of the bytes, and waits whenever the link is cut.
    async fn write_out(&self, bytes: &mut VecDeque<u8>, count: usize) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            if !self.gate.is_open() {
                self.gate.bytes_withheld.fetch_add(left as u64, Relaxed);
                self.gate.opened().await;
                continue; // by now it may be cut again
            }
            let piece = bytes.as_slices().0;
            match self.to.try_write(&piece[..left.min(piece.len())]) {
                Ok(written) => {
                    bytes.drain(..written);
                    left -= written;
                    self.gate.bytes_carried.fetch_add(written as u64, Relaxed);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.to.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Quality {
    /// After how many bytes a connection ends, and how.
    fn ends_after(self) -> Option<(u64, End)> {
        let (reset, close) = (self.reset_after, self.close_after);
        match (reset, close) {
            (Some(reset), close) if close.is_none_or(|close| reset <= close) => Some((reset, End::Reset)),
            (_, close) => close.map(|close| (close, End::Closed)),
        }
    }
}

/// Position of the next bit flip.
#[derive(Default)]
struct BitFlipper {
    /// Bytes until then; `None` if it has not been drawn yet.
    left: Option<u64>,
}

impl BitFlipper {
    /// Flips bits at random positions, on average `one_in` bytes apart, and returns their number.
    fn apply(&mut self, bytes: &mut [u8], one_in: u64) -> u64 {
        let mut rng = rand::rng();
        let mut flipped = 0;
        let mut at = 0;
        loop {
            let left = *self.left.get_or_insert_with(|| (exponential(&mut rng) * one_in as f64) as u64);
            let rest = (bytes.len() - at) as u64;
            if left >= rest {
                self.left = Some(left - rest);
                return flipped;
            }
            at += left as usize;
            bytes[at] ^= 1 << rng.random_range(0..8);
            at += 1;
            flipped += 1;
            self.left = None;
        }
    }
}
