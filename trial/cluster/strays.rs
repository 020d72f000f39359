//! Daemons that nothing tells as a node's: they have left its process group and its session, and dropped the environment that it
//! gave them. While the controller lives they descend from it, since it is a subreaper; when it is gone, nobody knows whose they
//! are. So the guard is told of each while there is time.
//!
//! CAVEATS. One that is younger than [`LOOK`] when the controller is killed with -9 is not known yet.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tribunal_nemesis::{Kin, family_and_strays};

use super::guard::{Guard, Leftover};

/// How often it is looked for them.
const LOOK: Duration = Duration::from_secs(1);

/// Tells the guard of them, on a thread of its own, for as long as there is a guard.
pub(super) fn watch(guard: &Arc<Guard>) -> std::io::Result<()> {
    let guard = Arc::downgrade(guard);
    let look = move || {
        let mut known = HashSet::new();
        loop {
            thread::sleep(LOOK);
            let (_, strays) = family_and_strays(&Kin::default());
            let Some(guard) = guard.upgrade() else { return };
            let new =
                strays.into_iter().filter_map(|pid| Some((pid, began(pid)?))).filter(|it| known.insert(*it));
            new.for_each(|(pid, began)| guard.add(&Leftover::Process(pid, began)));
        }
    };
    thread::Builder::new().name("tribunal-strays".into()).spawn(look).map(drop)
}

/// When a process began, in clock ticks since the machine did: with its number, what tells it from all others.
pub(super) fn began(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // man 5 proc: field 22, and the state behind the name is field 3.
    stat.rsplit_once(") ")?.1.split(' ').nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_began_after_its_parent() {
        let own = began(std::process::id() as i32).expect("it lives");
        let parent = began(std::os::unix::process::parent_id() as i32).expect("it lives");
        assert!(own >= parent);
        assert_eq!(began(0), None);
    }
}
