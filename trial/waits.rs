//! How long threads wait for a CPU. On an overloaded machine everything is slow, and that is nobody's mistake.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tribunal_nemesis::{NodeId, Nodes};

use crate::cluster::Cluster;

/// How often the waits are read.
const TICK: Duration = Duration::from_millis(500);

/// Waits until the run has had `limit` of time, not counting time in which one of its threads waited for a
/// CPU. Returns false if that takes longer than `max`.
pub(crate) async fn runnable_for(cluster: &Cluster, limit: Duration, max: Duration) -> bool {
    let began = Instant::now();
    let (mut had, mut last, mut waits) = (Duration::ZERO, began, Waits::of_run(cluster));
    while had < limit {
        sleep(TICK.min(limit - had)).await;
        let (now, waits_now) = (Instant::now(), Waits::of_run(cluster));
        had += (now - last).saturating_sub(waits_now.longest_since(&waits));
        (last, waits) = (now, waits_now);
        if began.elapsed() >= max {
            return false;
        }
    }
    true
}

/// How long each thread, by process and thread id, has waited for a CPU since it started.
///
/// Source: `run_delay`, the second number in `/proc/PID/task/TID/schedstat`, in nanoseconds (Linux,
/// Documentation/scheduler/sched-stats.rst). Empty if the kernel does not count it.
#[derive(Default)]
pub(crate) struct Waits(BTreeMap<(i32, i32), Duration>);

impl Waits {
    /// Of the threads of all nodes, and of Tribunal.
    pub(crate) fn of_run(cluster: &Cluster) -> Waits {
        let of_nodes = (0..cluster.count()).flat_map(|node| cluster.processes(NodeId(node)));
        Waits::of(of_nodes.chain([std::process::id().cast_signed()]))
    }

    /// Of all threads of these processes.
    fn of(pids: impl IntoIterator<Item = i32>) -> Waits {
        let threads = pids.into_iter().flat_map(|pid| {
            let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            tasks.filter_map(move |task| Some((pid, task.file_name().to_str()?.parse().ok()?)))
        });
        let waited = |(pid, thread): (i32, i32)| {
            let counted = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).ok()?;
            let nanos = counted.split_whitespace().nth(1)?.parse().ok()?;
            Some(((pid, thread), Duration::from_nanos(nanos)))
        };
        Waits(threads.filter_map(waited).collect())
    }

    /// The longest wait of any thread since an earlier count.
    pub(crate) fn longest_since(&self, before: &Waits) -> Duration {
        let waited = |(thread, now): (_, &Duration)| Some(now.saturating_sub(*before.0.get(thread)?));
        self.0.iter().filter_map(waited).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waiting_for_a_cpu_is_counted() {
        let own = i32::try_from(std::process::id()).expect("a process number");
        let before = Waits::of([own]);
        if before.0.values().all(Duration::is_zero) {
            return; // the kernel does not count
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let end = std::time::Instant::now() + SECOND / 2;
        let spin = move || while std::time::Instant::now() < end {};
        let busy: Vec<_> = (0..4 * cores).map(|_| std::thread::spawn(spin)).collect();
        std::thread::sleep(SECOND / 4);
        let waited = Waits::of([own]).longest_since(&Waits::of([own]));
        assert!(waited < SECOND, "{waited:?}");
        let counted = Waits::of([own]);
        std::thread::sleep(SECOND / 5);
        assert!(
            Waits::of([own]).longest_since(&counted) > Duration::from_millis(5),
            "four threads want each core"
        );
        busy.into_iter().for_each(|thread| thread.join().expect("it only spins"));
    }
}
