//! Throughput and latency of the last seconds. Shown in the terminal; the verdict does not depend on them.

use std::collections::{HashMap, VecDeque};

use tribunal_checker::op::{Event, Kind, Nanos};

/// Length of the window.
const WINDOW_NS: Nanos = 5_000_000_000;

/// Maximum number of operations kept, for fast systems: enough for a quantile.
const OPS_MAX: usize = 20_000;

/// The operations that succeeded recently.
#[derive(Default)]
pub(super) struct Recent {
    /// Invocation time of each process's pending operation.
    invoked: HashMap<u64, Nanos>,
    /// Completion time and duration of each operation.
    done: VecDeque<(Nanos, Nanos)>,
}

impl Recent {
    pub(super) fn push(&mut self, event: &Event) {
        if event.kind == Kind::Invoke {
            self.invoked.insert(event.process, event.time);
            return;
        }
        let invoked = self.invoked.remove(&event.process);
        if let (Kind::Ok, Some(invoked)) = (event.kind, invoked) {
            self.done.push_back((event.time, event.time - invoked));
        }
        let oldest = event.time.saturating_sub(WINDOW_NS);
        while self.done.front().is_some_and(|(end, _)| *end < oldest) || self.done.len() > OPS_MAX {
            self.done.pop_front();
        }
    }

    /// Successful operations per second, and their p99 latency, as of `now`.
    pub(super) fn throughput_and_p99(&self, now: Nanos) -> (u64, Option<Nanos>) {
        let oldest = now.saturating_sub(WINDOW_NS);
        let mut took: Vec<Nanos> =
            self.done.iter().filter(|(end, _)| *end >= oldest).map(|(_, took)| *took).collect();
        let Some(&(first, _)) = self.done.iter().find(|(end, _)| *end >= oldest) else { return (0, None) };
        let since = if self.done.len() >= OPS_MAX { first } else { oldest };
        let seconds = (now.saturating_sub(since) as f64 / 1e9).max(0.1);
        let at = (took.len() * 99).div_ceil(100).max(1) - 1;
        let (_, p99, _) = took.select_nth_unstable(at);
        let p99 = *p99;
        ((took.len() as f64 / seconds) as u64, Some(p99))
    }
}

#[cfg(test)]
mod tests {
    use tribunal_checker::op::{F, Value};

    use super::*;

    fn event(process: u64, kind: Kind, time: Nanos) -> Event {
        let (f, key, value) = (F::Read, Value::Nil, Value::Nil);
        Event { index: 0, time, process, kind, f, key, value, node: None, error: None, client: None }
    }

    #[test]
    fn throughput_counts_recent_successes() {
        let mut recent = Recent::default();
        assert_eq!(recent.throughput_and_p99(0), (0, None));
        let second = 1_000_000_000;
        for i in 0..1000 {
            let at = i * second / 100;
            recent.push(&event(1, Kind::Invoke, at));
            recent.push(&event(1, if i % 2 == 0 { Kind::Ok } else { Kind::Info }, at + 1_000 + i));
        }
        let (rate, p99) = recent.throughput_and_p99(10 * second);
        assert_eq!(rate, 50);
        assert_eq!(p99, Some(1_000 + 994));
        assert_eq!(recent.throughput_and_p99(30 * second), (0, None), "by then nothing is recent");
    }
}
