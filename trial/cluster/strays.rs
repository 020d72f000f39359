//! Strays: daemons that cannot be assigned to a node, since they have left its process group and session and
//! cleared their environment. While the controller lives, they are its descendants, because it is a
//! subreaper. After its death nothing connects them to the run, so they are registered with the guard early.
//!
//! CAVEAT. A stray younger than [`SCAN_INTERVAL`] is not yet registered when the controller is killed with
//! -9.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tribunal_nemesis::{ProcessIdentity, family_and_strays};

use super::guard::{Guard, GuardedResource};

/// Interval of the search.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);

/// Registers strays with the guard, on a thread of its own, as long as the guard exists.
pub(super) fn watch(guard: &Arc<Guard>) -> std::io::Result<()> {
    let guard = Arc::downgrade(guard);
    let scan = move || {
        let mut known = HashSet::new();
        loop {
            thread::sleep(SCAN_INTERVAL);
            let (_, strays) = family_and_strays(&ProcessIdentity::default());
            let Some(guard) = guard.upgrade() else { return };
            let new = strays
                .into_iter()
                .filter_map(|pid| Some((pid, start_time(pid)?)))
                .filter(|it| known.insert(*it));
            new.for_each(|(pid, started)| guard.add(&GuardedResource::Process(pid, started)));
        }
    };
    thread::Builder::new().name("tribunal-strays".into()).spawn(scan).map(drop)
}

/// Start time of a process in clock ticks since boot; together with the pid it identifies a process.
pub(super) fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // man 5 proc: this is field 22; the state after the name is field 3.
    stat.rsplit_once(") ")?.1.split(' ').nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_began_after_its_parent() {
        let own = start_time(std::process::id() as i32).expect("it lives");
        let parent = start_time(std::os::unix::process::parent_id() as i32).expect("it lives");
        assert!(own >= parent);
        assert_eq!(start_time(0), None);
    }
}
