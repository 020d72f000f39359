//! A run ends during a fault: the replay command that it prints works.

use crate::program::{Store, wait_until};

#[test]
fn an_interrupted_fault_is_replayed() {
    let store = Store::in_memory();
    let first = store.run(
        "run register --nodes 3 --bug stale-read --nemesis partition:flapping-leader+shifting-majority \
         --nemesis-interval 4s --seed 3 --time-limit 20s",
    );
    let first = first.expect(1);
    assert!(first.stdout.contains("--schedule"), "{}", first.stdout);
    let record = store.run_directory("register").join("faults.jsonl");
    let again = Store::in_memory();
    let schedule = format!("--schedule {}", record.display());
    let ended = again.run(&format!("run register --nodes 3 --seed 3 --time-limit 12s --rate 100 {schedule}"));
    assert!(matches!(ended.code, Some(0 | 2)), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    wait_until("nothing is left", || again.processes().is_empty());
}
