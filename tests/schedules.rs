//! Faults as data: schedules, triggers, and replays.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::program::{Ended, Store};

fn json_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A run with a schedule, and the lines of its faults.jsonl.
struct Run {
    ended: Ended,
    store: Store,
}

impl Run {
    fn of(arguments: &str, schedule: &str) -> Run {
        let store = Store::new();
        let path = store.path().join("schedule.toml");
        std::fs::write(&path, schedule).unwrap();
        let ended = store.run(&format!("run register {arguments} --schedule {}", path.display()));
        Run { ended, store }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.store.run_directory("register").join(name)
    }

    fn faults(&self, event: &str) -> Vec<Value> {
        let lines = json_lines(&self.file("faults.jsonl")).into_iter();
        lines.filter(|line| line["event"] == event && line["outcome"] != "skipped").collect()
    }

    /// When the clients started, in milliseconds since the start of the run.
    fn clients_began_ms(&self) -> u64 {
        let info: Value = serde_json::from_slice(&std::fs::read(self.file("run.json")).unwrap()).unwrap();
        let phases = info["phases"].as_array().unwrap();
        phases.iter().find(|phase| phase["name"] == "running").unwrap()["start_ns"].as_u64().unwrap()
            / 1_000_000
    }

    /// Expects no violation and no harness failure. Whether a leader was found and all faults were covered is
    /// not tested.
    fn expect_no_violation(&self) {
        assert!(matches!(self.ended.code, Some(0 | 2)), "{}{}", self.ended.stdout, self.ended.stderr);
    }
}

#[test]
fn a_replay_does_the_same_to_the_same_nodes_at_the_same_times() {
    let first = Run::of(
        "--nodes 3 --time-limit 6s --seed 5",
        "[[phase]]\nlasts = '5s'\ninterval = '1s'\nnemesis = 'kill,pause,partition,degrade'",
    );
    first.expect_no_violation();
    let applied = first.faults("apply");
    assert!(applied.len() >= 3, "{applied:?}");

    let store = Store::new();
    let record = first.file("faults.jsonl");
    let ended = store.run(&format!("run register --nodes 3 --time-limit 6s --schedule {}", record.display()));
    let second = Run { ended, store };
    second.expect_no_violation();
    let again = second.faults("apply");
    let what =
        |fault: &Value| [&fault["fault"], &fault["kind"], &fault["acts"], &fault["label"]].map(Value::clone);
    assert_eq!(applied.iter().map(what).collect::<Vec<_>>(), again.iter().map(what).collect::<Vec<_>>());
    // Relative to the start of the clients, faults must begin at the same times and last as long as in the
    // first run.
    let (began, began_again) = (first.clients_began_ms(), second.clients_began_ms());
    let healed: BTreeMap<_, _> = first
        .faults("heal")
        .iter()
        .map(|fault| (fault["i"].as_u64(), fault["t"].as_u64().unwrap()))
        .collect();
    for (fault, again) in applied.iter().zip(&again) {
        let (t, end) = (fault["t"].as_u64().unwrap() / 1_000_000, healed[&fault["i"].as_u64()] / 1_000_000);
        let planned = again["planned_ms"].as_u64().unwrap();
        // Each of these numbers is truncated to milliseconds separately.
        assert!((t - began).abs_diff(planned - began_again) <= 3, "{fault} was planned again as {again}");
        assert!(
            again["hold_ms"].as_u64().unwrap().abs_diff(end - t) <= 1,
            "{fault} is held again as {again}"
        );
    }
    let report = std::fs::read_to_string(first.file("report.txt")).unwrap();
    assert!(report.contains("/faults.jsonl"), "the report offers the replay: {report}");
}

/// Nobody can add a member while no node leads. That must not keep other faults from ending, or from coming.
#[test]
fn a_member_that_nobody_can_add_holds_up_no_other_fault() {
    let links: Vec<String> = (1..=5)
        .flat_map(|from| {
            (1..=5).filter(move |to| *to != from).map(move |to| format!("'cut n{from}>n{to} stall'"))
        })
        .collect();
    let schedule = format!(
        "[[step]]\nat = '300ms'\nhold = '3s'\nacts = ['remove n2']\n\
         [[step]]\nat = '2s'\nhold = '6s'\nacts = [{}]\n\
         [[step]]\nat = '6s'\nhold = '500ms'\nacts = ['kill n3']\n",
        links.join(", ")
    );
    let run = Run::of("--time-limit 12s --seed 1", &schedule);
    run.expect_no_violation();
    let heals = run.faults("heal");
    let ended = |act: &str| heals.iter().position(|fault| fault["acts"].to_string().contains(act));
    assert!(ended("kill n3") < ended("cut n1>n2"), "{heals:#?}");
    assert!(ended("remove n2") < ended("kill n3"), "{heals:#?}");
}

#[test]
fn triggers_fire_on_events() {
    let run = Run::of(
        "--nodes 3 --time-limit 12s --seed 2",
        r#"
        [[trigger]]
        on = { operations = 300 }
        times = 4
        hold = "1500ms"
        acts = ["kill leader"]

        [[trigger]]
        on = "leader-change"
        after = "50ms"
        hold = "200ms"
        grudge = "n1|n2"

        [[trigger]]
        on = { log = { pattern = "n2 starts: term [1-9]", node = "n2" } }
        hold = "200ms"
        acts = ["pause n2"]

        [[step]]
        at = "10s"
        hold = "500ms"
        acts = ["kill n2"]
        "#,
    );
    run.expect_no_violation();
    let applied = run.faults("apply");
    let first = |kind: &str, acts: &str| {
        let found = applied.iter().find(|fault| {
            fault["kind"] == kind && fault["acts"][0].as_str().is_some_and(|act| act.starts_with(acts))
        });
        found.unwrap_or_else(|| panic!("no {kind} {acts} among {applied:?}"))["t"].as_u64().unwrap()
    };
    let (killed, paused) = (first("given", "kill"), first("given", "pause"));
    first("grudge", "cut");

    let events = json_lines(&run.file("history.jsonl"));
    let ended = events.iter().filter(|event| event["type"] != "invoke" && event["t"].as_u64() < Some(killed));
    assert!(ended.count() >= 300, "so many operations had ended when the leader was killed");
    let log = std::fs::read_to_string(run.file("nodes/n2.log")).unwrap();
    let restarted = log
        .lines()
        .find(|line| line.split_once("n2 starts: term ").is_some_and(|(_, term)| !term.starts_with('0')));
    let stamp = restarted.and_then(|line| line.split(' ').next()).unwrap();
    let stamp: f64 = stamp.parse().unwrap();
    // The timestamp is rounded to milliseconds.
    assert!(stamp <= paused as f64 / 1e9 + 0.001, "{stamp} s, then {paused} ns");

    // The circumstances are recorded, and shown in the report.
    let healed = run.faults("heal");
    let sum = |what: &str| healed.iter().filter_map(|fault| fault["effect"][what].as_u64()).sum::<u64>();
    assert!(sum("operations_in_flight") > 0 && sum("leader_changes") > 0, "{healed:?}");
    assert!(sum("connections_refused") > 0, "peers redial a node that is gone: {healed:?}");
    let report = std::fs::read_to_string(run.file("report.html")).unwrap();
    assert!(report.contains("operations in flight: ") && report.contains("leader changes: "));
}

#[test]
fn a_fault_that_never_occurred_is_not_covered() {
    let run = Run::of(
        "--nodes 3 --time-limit 2s",
        "[[trigger]]\non = { log = { pattern = 'this is never said' } }\nhold = '1s'\nfault = 'kill:one'",
    );
    let ended = run.ended.expect(2);
    assert!(ended.stdout.contains("the requested fault `kill` was never injected"), "{}", ended.stdout);
    assert!(ended.stdout.contains("The recorded history is linearizable"), "{}", ended.stdout);
}

#[test]
fn a_fault_without_effect_is_not_covered() {
    // Opening a link that is open is a valid act without harm.
    let run =
        Run::of("--nodes 3 --time-limit 2s", "[[step]]\nat = '1s'\nhold = '0ms'\nacts = ['heal n1>n2']");
    let ended = run.ended.expect(2);
    assert!(ended.stdout.contains("the scheduled acts had no effect"), "{}", ended.stdout);
}

#[test]
fn every_partition_and_process_fault_has_an_effect_and_heals() {
    let faults = "partition:isolate-leader partition:one-way-leader partition:flapping-leader partition:leader-minority \
        partition:shifting-majority partition:halves partition:random-halves partition:isolate-one partition:minority-third \
        partition:majority-ring partition:one-way partition:flapping partition:bridge kill:leader kill:leader-again kill:bridge \
        kill:one kill:minority kill:majority kill:all kill:rolling kill:storm kill:crash-loop terminate:leader terminate:one \
        pause:leader pause:leader-again pause:one pause:minority pause:majority pause:all pause:rolling pause:storm";
    let step = |(number, fault): (u64, &str)| {
        format!("[[step]]\nat = '{}ms'\nhold = '500ms'\nfault = '{fault}'\n", number * 800 + 300)
    };
    let schedule: String = (0..).zip(faults.split_whitespace()).map(step).collect();
    let run = Run::of("--time-limit 27s --seed 3", &schedule);
    run.expect_no_violation();
    let name = |fault: &Value| format!("{}:{}", fault["fault"], fault["kind"]).replace('"', "");
    let healed = run.faults("heal");
    assert_eq!(healed.iter().map(name).collect::<Vec<_>>(), faults.split_whitespace().collect::<Vec<_>>());
    // If the leader is the node in the middle of a bridge, the other nodes have no messages for each other.
    let missed = healed.iter().filter(|fault| fault["effective"] != true && fault["kind"] != "bridge");
    assert_eq!(missed.map(name).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn every_link_degradation_has_an_effect_and_heals() {
    let kinds = "slow-leader narrow-leader unread-leader slow uneven jitter one-by-one shreds short-lived cut-short churn";
    // At full speed. Faults that need some traffic last longer, for a busy machine.
    let mut at = 300;
    let mut step = |kind: &str| {
        let hold = if ["unread-leader", "short-lived", "cut-short"].contains(&kind) { 2_500 } else { 700 };
        let step = format!("[[step]]\nat = '{at}ms'\nhold = '{hold}ms'\nfault = 'degrade:{kind}'\n");
        at += hold + 500;
        step
    };
    let schedule: String = kinds.split(' ').map(&mut step).collect();
    let run = Run::of("--nodes 3 --time-limit 19s --rate full --seed 3", &schedule);
    let bitten: Vec<String> = run
        .faults("heal")
        .iter()
        .filter(|fault| fault["effective"] == true)
        .map(|fault| fault["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(bitten.join(" "), kinds);
    run.ended.expect(0);
}
