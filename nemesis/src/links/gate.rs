//! The state of one directed link, and what it has carried and withheld.
//!
//! Every pump checks its gate before every chunk, so the checks (is it cut, is it degraded) are atomic loads.
//! Only a pump that must wait, and the task that waits for a reset, use the notification.

use std::{
    sync::{
        Mutex,
        atomic::{
            AtomicBool, AtomicU8, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
pub use tribunal_records::faults::CutMode;

use crate::{counters::counters, links::quality::Quality, lock::locked};

/// What a directed link does with bytes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum LinkState {
    Open = 0,
    Stalled = 1,
    Reset = 2,
}

counters! {
    /// What a directed link has carried and withheld since it was opened.
    pub struct LinkCounters {
        /// Bytes delivered to the receiving node's socket.
        pub bytes_carried: u64,
        /// Established connections that the link's first node opened to its second.
        pub connections_carried: u64,
        /// Bytes that reached the proxy while the link was cut, and waited or were lost to a reset. A lower
        /// bound: beyond a buffer (64 KiB) for each connection, bytes wait uncounted in the kernel.
        pub bytes_withheld: u64,
        /// Connections that a cut delayed before they were established, or reset.
        pub connections_withheld: u64,
        /// New connections that were not established at once: a cut delayed or reset them, or the link's
        /// second node did not listen.
        pub connections_refused: u64,
        /// Bytes that the degraded link delayed or fragmented.
        pub bytes_degraded: u64,
        /// Flipped bits.
        pub bits_flipped: u64,
        /// Dropped packets, if the link is cut or degraded by packets.
        pub packets_dropped: u64,
    }
}

/// One directed link: a state that pumps obey, and counters that they update.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Whether the link is cut: a `LinkState`.
    state: AtomicU8,
    resets: AtomicU64,
    /// How the link is degraded, and how often that was changed. A pump reads them only if the flag is set.
    degraded: AtomicBool,
    quality: Mutex<Option<Quality>>,
    quality_changes: AtomicU64,
    /// When a link of limited bandwidth will have sent its bytes so far.
    sent_at: Mutex<Option<Instant>>,
    changed: Notify,
    pub(crate) bytes_degraded: AtomicU64,
    pub(crate) bits_flipped: AtomicU64,
    pub(crate) bytes_carried: AtomicU64,
    pub(crate) connections_carried: AtomicU64,
    pub(crate) bytes_withheld: AtomicU64,
    pub(crate) connections_withheld: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
}

impl Gate {
    pub(crate) fn state(&self) -> LinkState {
        match self.state.load(SeqCst) {
            0 => LinkState::Open,
            1 => LinkState::Stalled,
            _ => LinkState::Reset,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state() == LinkState::Open
    }

    pub(crate) fn set(&self, state: LinkState) {
        self.state.store(state as u8, SeqCst);
        if state == LinkState::Reset {
            self.resets.fetch_add(1, SeqCst);
        }
        self.changed.notify_waiters();
    }

    /// Number of resets so far.
    pub(crate) fn resets(&self) -> u64 {
        self.resets.load(SeqCst)
    }

    /// Waits until the link has been reset more than `seen` times. Counting resets, instead of checking the
    /// state, makes sure that a reset which is healed at once still ends the open connections.
    pub(crate) async fn reset_since(&self, seen: u64) {
        self.wait_for(|| self.resets() != seen).await;
    }

    /// Degrades the link, or restores it.
    pub(crate) fn degrade(&self, quality: Option<Quality>) {
        let mut current = locked(&self.quality);
        *current = quality;
        self.degraded.store(quality.is_some(), SeqCst);
        self.quality_changes.fetch_add(1, SeqCst);
        self.changed.notify_waiters();
    }

    pub(crate) fn is_degraded(&self) -> bool {
        self.degraded.load(Relaxed)
    }

    /// The quality of the link, and the number of its changes, to wait for the next one.
    pub(crate) fn quality(&self) -> (Option<Quality>, u64) {
        let current = locked(&self.quality);
        (*current, self.quality_changes.load(SeqCst))
    }

    /// Waits until the quality has been changed more than `seen` times.
    pub(crate) async fn quality_changed_since(&self, seen: u64) {
        self.wait_for(|| self.quality_changes.load(SeqCst) != seen).await;
    }

    /// Sends bytes over the line that all connections of the link share. Returns when the last byte is
    /// through.
    pub(crate) fn send(&self, bytes: usize, bytes_per_s: u64) -> Instant {
        let mut sent_at = locked(&self.sent_at);
        let start = sent_at.map_or_else(Instant::now, |at| at.max(Instant::now()));
        let end = start + Duration::from_secs_f64(bytes as f64 / bytes_per_s.max(1) as f64);
        *sent_at = Some(end);
        end
    }

    /// Waits until the link is open.
    pub(crate) async fn opened(&self) {
        self.wait_for(|| self.is_open()).await;
    }

    /// Waits for a condition without polling.
    async fn wait_for(&self, condition: impl Fn() -> bool) {
        loop {
            // Created before the check, so that no change between the check and the wait is missed.
            let changed = self.changed.notified();
            if condition() {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn counters(&self) -> LinkCounters {
        LinkCounters {
            bytes_carried: self.bytes_carried.load(Relaxed),
            connections_carried: self.connections_carried.load(Relaxed),
            bytes_withheld: self.bytes_withheld.load(Relaxed),
            connections_withheld: self.connections_withheld.load(Relaxed),
            connections_refused: self.connections_refused.load(Relaxed),
            bytes_degraded: self.bytes_degraded.load(Relaxed),
            bits_flipped: self.bits_flipped.load(Relaxed),
            packets_dropped: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_share_the_bandwidth_of_their_link() {
        let gate = Gate::default();
        let first = gate.send(1_000, 1_000);
        let second = gate.send(500, 1_000);
        assert_eq!(second - first, Duration::from_millis(500), "one after the other over the same line");
    }
}
