//! Delays, drops and reorders packets as `tc netem` does, but in this process, for kernels without it.
//!
//! The kernel hands the packets of degraded links to a queue (NFQUEUE) and waits for a verdict on each,
//! without a time limit. So a delay is a later verdict, and a loss is the verdict to drop. The mark of a
//! packet tells its link.
//!
//! Each packet has its own delay, as with netem: if delays vary by more than the time between two packets,
//! packets overtake each other. A link of limited bandwidth has a buffer of [`WAITING_MAX`] packets; a packet
//! that finds it full is lost, as in a router. Delays are exact to about 1 ms.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BinaryHeap},
    io::{self, ErrorKind},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nfq::{Message, Queue, Verdict};
use rand::{Rng, RngExt};

use crate::{LinkCounters, Quality, links::degraded::LATE_MIN, lock::locked};

/// The queue in the rules.
const QUEUE: u16 = 0;
/// Maximum number of waiting packets of one link.
const WAITING_MAX: usize = 1_000;
/// Maximum number of packets of all links that the kernel keeps for us.
const QUEUE_MAX: u32 = 65_536;
/// Number of bytes that are copied of each packet: only its length is used.
const COPIED: u16 = 64;
/// Pause between two looks at the queue while links are degraded.
const TICK: Duration = Duration::from_micros(500);

/// The thread that gives the verdicts.
#[derive(Debug)]
pub(super) struct Netem {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Settings of the thread, and what it has counted; the mark of a link is the key.
#[derive(Debug, Default)]
struct State {
    qualities: BTreeMap<u32, Quality>,
    counters: BTreeMap<u32, LinkCounters>,
    /// Number of changes so far.
    changes: u64,
    closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.changes += 1;
        self.changed.notify_one();
    }
}

impl Netem {
    /// Takes over the queue of this network namespace.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) fn start() -> Result<Netem, String> {
        let open = || -> io::Result<Queue> {
            let mut queue = Queue::open()?;
            queue.bind(QUEUE)?;
            queue.set_copy_range(QUEUE, COPIED)?;
            queue.set_queue_max_len(QUEUE, QUEUE_MAX)?;
            queue.set_nonblocking(true);
            Ok(queue)
        };
        let queue = open().map_err(|error| format!("NFQUEUE: {error}"))?;
        let shared = Arc::new(Shared::default());
        let mut worker =
            Worker { queue, shared: shared.clone(), waiting: BinaryHeap::new(), links: BTreeMap::new() };
        let spawned = std::thread::Builder::new().name("tribunal-netem".into()).spawn(move || worker.serve());
        Ok(Netem { shared, thread: Some(spawned.map_err(|error| error.to_string())?) })
    }

    /// Sets how packets of this mark are treated from now on. With `None` those that wait are released at
    /// once.
    pub(super) fn set(&self, mark: u32, quality: Option<Quality>) {
        self.shared.change(|state| {
            match quality {
                Some(quality) => state.qualities.insert(mark, quality),
                None => state.qualities.remove(&mark),
            };
        });
    }

    pub(super) fn counters(&self, mark: u32) -> LinkCounters {
        self.shared.state().counters.get(&mark).copied().unwrap_or_default()
    }
}

impl Drop for Netem {
    fn drop(&mut self) {
        self.shared.change(|state| state.closed = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A waiting packet, ordered so that the earliest is the greatest.
struct QueuedPacket {
    due: Instant,
    /// Packets that are due at the same time keep their order.
    number: u64,
    mark: u32,
    packet: Message,
}

impl Ord for QueuedPacket {
    fn cmp(&self, other: &QueuedPacket) -> Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

impl PartialOrd for QueuedPacket {
    fn partial_cmp(&self, other: &QueuedPacket) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for QueuedPacket {
    fn eq(&self, other: &QueuedPacket) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for QueuedPacket {}

/// State of one link in the thread.
#[derive(Default)]
struct LinkQueue {
    waiting: usize,
    /// When a link of limited bandwidth will have sent its packets so far.
    sent_at: Option<Instant>,
}

struct Worker {
    queue: Queue,
    shared: Arc<Shared>,
    waiting: BinaryHeap<QueuedPacket>,
    links: BTreeMap<u32, LinkQueue>,
}

impl Worker {
    fn serve(&mut self) {
        let mut number = 0;
        loop {
            let changes = self.shared.state().changes;
            let drained = self.receive(&mut number);
            self.release();
            let state = self.shared.state();
            if state.closed || drained.is_err() {
                return; // the kernel drops the packets of a closed queue
            }
            let idle = state.qualities.is_empty() && self.waiting.is_empty();
            // If nothing has changed since, all packets that were queued before the last change have been
            // received.
            if idle && state.changes == changes {
                drop(self.shared.changed.wait(state));
            } else if state.changes == changes {
                drop(state);
                std::thread::sleep(TICK);
            }
        }
    }

    /// Receives all packets, and decides on each.
    fn receive(&mut self, number: &mut u64) -> io::Result<()> {
        loop {
            let packet = match self.queue.recv() {
                Ok(packet) => packet,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let (mark, length, now) = (packet.get_nfmark(), packet.get_original_len(), Instant::now());
            let link = self.links.entry(mark).or_default();
            let mut state = self.shared.state();
            let quality = state.qualities.get(&mark).copied();
            let counters = state.counters.entry(mark).or_default();
            let due = match quality {
                Some(quality) => link.send(&quality, length, now, &mut rand::rng()),
                None => Some(now),
            };
            match due {
                Some(due) => {
                    if due >= now + LATE_MIN {
                        counters.bytes_degraded += length as u64;
                    }
                    *number += 1;
                    link.waiting += 1;
                    self.waiting.push(QueuedPacket { due, number: *number, mark, packet });
                }
                None => {
                    counters.packets_dropped += 1;
                    drop(state);
                    self.give_verdict(packet, Verdict::Drop);
                }
            }
        }
    }

    /// Releases every packet that is due, or whose link was restored.
    fn release(&mut self) {
        let good: Vec<u32> = {
            let state = self.shared.state();
            let marks = self.links.iter().filter(|(_, link)| link.waiting > 0).map(|(mark, _)| *mark);
            marks.filter(|mark| !state.qualities.contains_key(mark)).collect()
        };
        if !good.is_empty() {
            let now = Instant::now();
            let mut all = std::mem::take(&mut self.waiting).into_vec();
            all.iter_mut()
                .filter(|waiting| good.contains(&waiting.mark))
                .for_each(|waiting| waiting.due = now);
            self.waiting = all.into();
            good.iter().for_each(|mark| self.links.entry(*mark).or_default().sent_at = None);
        }
        let now = Instant::now();
        while self.waiting.peek().is_some_and(|waiting| waiting.due <= now) {
            let QueuedPacket { mark, packet, .. } = self.waiting.pop().expect("it was looked at");
            self.links.entry(mark).or_default().waiting -= 1;
            self.give_verdict(packet, Verdict::Accept);
        }
    }

    fn give_verdict(&mut self, mut packet: Message, verdict: Verdict) {
        packet.set_verdict(verdict);
        // The kernel may have dropped the packet from the queue already.
        let _ = self.queue.verdict(packet);
    }
}

impl LinkQueue {
    /// When a packet of this size arrives; `None` if it is lost.
    fn send(&mut self, quality: &Quality, bytes: usize, now: Instant, rng: &mut impl Rng) -> Option<Instant> {
        let lost = quality.loss_percent.is_some_and(|percent| rng.random_range(0..100) < percent);
        if lost || self.waiting >= WAITING_MAX {
            return None;
        }
        let sent_at = match quality.bytes_per_s {
            Some(rate) => {
                let takes = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
                let start = self.sent_at.map_or(now, |at| at.max(now));
                *self.sent_at.insert(start + takes)
            }
            None => now,
        };
        Some(sent_at + quality.delay.map(|delay| delay.draw(rng)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Delay;

    fn send(line: &mut LinkQueue, quality: &Quality, now: Instant) -> Option<Duration> {
        line.send(quality, 1_000, now, &mut rand::rng()).map(|due| due - now)
    }

    #[test]
    fn packets_are_lost_at_the_given_rate() {
        let quality = Quality { loss_percent: Some(20), ..Quality::default() };
        let now = Instant::now();
        let arrived = (0..20_000).filter_map(|_| send(&mut LinkQueue::default(), &quality, now));
        let arrived: Vec<Duration> = arrived.collect();
        assert!(arrived.iter().all(Duration::is_zero));
        // Six standard deviations either way.
        assert!((15_660..16_340).contains(&arrived.len()), "{}", arrived.len());
    }

    #[test]
    fn a_narrow_link_sends_one_packet_after_the_other_then_delays_each() {
        let delay = Some(Delay::Constant(5));
        let quality = Quality { bytes_per_s: Some(100_000), delay, ..Quality::default() };
        let (mut line, now) = (LinkQueue::default(), Instant::now());
        for ms in [15, 25, 35] {
            assert_eq!(send(&mut line, &quality, now), Some(Duration::from_millis(ms)));
        }
        let later = now + Duration::from_secs(1);
        assert_eq!(send(&mut line, &quality, later), Some(Duration::from_millis(15)));
    }

    #[test]
    fn a_full_buffer_drops_packets() {
        let quality = Quality { delay: Some(Delay::Constant(1)), ..Quality::default() };
        let mut line = LinkQueue { waiting: WAITING_MAX, ..LinkQueue::default() };
        assert_eq!(send(&mut line, &quality, Instant::now()), None);
    }
}
