//! Whole plans on a simulated cluster that logs all actions, in virtual time: what the nemesis does, when,
//! and what it records. The links are real.

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tribunal_nemesis::{
    FaultEvent, FaultOutcome, FaultRecord, HealError, Links, NodeId, NodeState, Nodes, Plan, RunEvent,
    Schedule, Setting, Step, drive,
};

/// Nodes that obey and log every action.
struct SimulatedNodes {
    began: Instant,
    states: Mutex<Vec<NodeState>>,
    log: Arc<Mutex<String>>,
    leader: Mutex<Option<NodeId>>,
    /// An action that fails, such as `kill n2`.
    fails: Option<&'static str>,
    /// How long a kill takes.
    kill_takes: Duration,
}

impl SimulatedNodes {
    fn new(scenario: &Scenario, log: Arc<Mutex<String>>) -> SimulatedNodes {
        SimulatedNodes {
            began: Instant::now(),
            states: Mutex::new(vec![NodeState::Running; 5]),
            log,
            leader: Mutex::new(scenario.leader),
            fails: scenario.fails,
            kill_takes: scenario.kill_takes,
        }
    }

    async fn act(&self, what: &str, node: NodeId, to: impl Fn(NodeState) -> NodeState) -> Result<(), String> {
        let text = format!("{what} {node}");
        if self.fails == Some(&text) {
            return Err("the node refuses".to_owned());
        }
        let mut states = self.states.lock().expect("no test panics while it holds it");
        let old = states[node.0];
        states[node.0] = to(old);
        if states[node.0] != old {
            log_line(&self.log, self.began, &text);
        }
        Ok(())
    }
}

fn log_line(log: &Mutex<String>, began: Instant, text: &str) {
    let mut log = log.lock().expect("no test panics while it holds it");
    writeln!(log, "{:>5} {text}", began.elapsed().as_millis()).expect("a string");
}

impl Nodes for SimulatedNodes {
    fn count(&self) -> usize {
        self.states.lock().expect("not poisoned").len()
    }

    async fn kill(&self, node: NodeId) -> Result<(), String> {
        self.act("kill", node, |_| NodeState::Down).await?;
        tokio::time::sleep(self.kill_takes).await;
        Ok(())
    }

    async fn terminate(&self, node: NodeId) -> Result<(), String> {
        self.act("terminate", node, |_| NodeState::Down).await
    }

    async fn pause(&self, node: NodeId) -> Result<(), String> {
        self.act("pause", node, |_| NodeState::Paused).await
    }

    async fn resume(&self, node: NodeId) -> Result<(), String> {
        self.act("resume", node, |old| if old == NodeState::Paused { NodeState::Running } else { old }).await
    }

    async fn start(&self, node: NodeId) -> Result<(), String> {
        self.act("start", node, |old| if old == NodeState::Down { NodeState::Running } else { old }).await
    }

    fn state(&self, node: NodeId) -> NodeState {
        self.states.lock().expect("not poisoned")[node.0]
    }

    async fn primaries(&self) -> Vec<NodeId> {
        self.leader.lock().expect("not poisoned").into_iter().collect()
    }

    fn pid(&self, _: NodeId) -> Option<i32> {
        None
    }

    fn may_die(&self, _: NodeId) {}

    fn cgroup(&self, _: &std::path::Path, _: bool) {}
}

/// A scenario with five nodes. By default n3 leads.
struct Scenario {
    leader: Option<NodeId>,
    fails: Option<&'static str>,
    stop_after: Option<Duration>,
    kill_takes: Duration,
}

const SCENARIO: Scenario =
    Scenario { leader: Some(NodeId(2)), fails: None, stop_after: None, kill_takes: Duration::ZERO };

struct Run {
    log: String,
    records: Vec<FaultRecord>,
    result: Result<(), HealError>,
}

impl Scenario {
    async fn run(self, plan: Plan) -> Run {
        let links = Arc::new(Links::open(5).expect("loopback listeners"));
        let log = Arc::new(Mutex::new(String::new()));
        let nodes = Arc::new(SimulatedNodes::new(&self, log.clone()));
        let began = nodes.began;
        let stop = CancellationToken::new();
        if let Some(after) = self.stop_after {
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                stop.cancel();
            });
        }
        let mut records = Vec::new();
        let record = |record: FaultRecord| {
            let mut line = match record.event {
                FaultEvent::Apply => format!("apply {}, {}", record.label, word(record.outcome)),
                FaultEvent::Shift if record.idle => format!("shift {}: nothing for now", record.label),
                FaultEvent::Shift => format!("shift {}, {}", record.label, word(record.outcome)),
                FaultEvent::Heal => {
                    format!(
                        "heal {}, {}, effective {:?}",
                        record.label,
                        word(record.outcome),
                        record.effective
                    )
                }
            };
            if let Some(why) = &record.why {
                write!(line, ": {why}").expect("a string");
            }
            log_line(&log, began, &line);
            records.push(record);
        };
        let clock = move || began.elapsed().as_nanos() as u64;
        let result = drive(plan, nodes.clone(), links.clone(), clock, stop, no_run_events(), record).await;
        for node in (0..5).map(NodeId) {
            assert!(
                self.fails.is_some() || nodes.state(node) == NodeState::Running,
                "{node} was left behind"
            );
            for other in (0..5).map(NodeId).filter(|&other| other != node) {
                assert!(!links.is_cut(node, other), "{node}>{other} was left cut");
            }
        }
        links.close().await;
        let log = log.lock().expect("not poisoned").clone();
        Run { log, records, result }
    }
}

fn no_run_events() -> mpsc::UnboundedReceiver<RunEvent> {
    mpsc::unbounded_channel().1
}

fn word(outcome: FaultOutcome) -> &'static str {
    match outcome {
        FaultOutcome::Installed => "installed",
        FaultOutcome::Skipped => "skipped",
        FaultOutcome::Indeterminate => "indeterminate",
    }
}

/// Parses a plan: `at+hold fault: act, act`, one step per line. `[n1]` after the fault makes n1 the stand-in
/// for the leader; `*` marks nodes that were drawn at random.
fn plan(text: &str) -> Plan {
    let step = |line: &str| {
        let (times, rest) = line.split_once(' ').expect("at+hold");
        let (at, hold) = times.split_once('+').expect("at+hold");
        let (fault, acts) = rest.split_once(':').expect("fault: acts");
        let (fault, leader) = fault.split_once('[').map_or((fault, None), |(fault, leader)| {
            (fault, Some(leader.trim_end_matches(']').parse().expect("a node")))
        });
        let (fault, drawn) = fault.strip_suffix('*').map_or((fault, false), |fault| (fault, true));
        Step {
            at_ms: at.parse().expect("milliseconds"),
            hold_ms: hold.parse().expect("milliseconds"),
            fault: fault.to_owned(),
            kind: "given".to_owned(),
            leader,
            follows_ms: Vec::new(),
            drawn,
            acts: acts
                .split(',')
                .filter(|act| !act.is_empty())
                .map(|act| act.parse().expect("an act"))
                .collect(),
        }
    };
    Plan { steps: text.trim().lines().map(|line| step(line.trim())).collect(), ..Plan::default() }
}

async fn check(scenario: Scenario, given: &str, log: &str) -> Run {
    let run = scenario.run(plan(given)).await;
    let expected: Vec<&str> = log.trim().lines().map(str::trim).collect();
    let told: Vec<&str> = run.log.lines().map(str::trim).collect();
    assert_eq!(told, expected, "\n{}", run.log);
    run
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_applied_at_its_time_and_undone_after_its_hold() {
    let run = check(
        SCENARIO,
        "1000+500 kill: kill n1, kill n4
         2000+300 pause: pause n2",
        "1000 kill n1
         1000 kill n4
         1000 apply kill n1,n4, installed
         1500 start n1
         1500 start n4
         1500 heal kill n1,n4, installed, effective Some(true)
         2000 pause n2
         2000 apply pause n2, installed
         2300 resume n2
         2300 heal pause n2, installed, effective Some(true)",
    )
    .await;
    assert_eq!(run.result, Ok(()));
    let lines: Vec<String> =
        run.records[..2].iter().map(|record| serde_json::to_string(record).expect("JSON")).collect();
    assert_eq!(
        lines[0],
        r#"{"i":0,"t":1000000000,"event":"apply","fault":"kill","kind":"given","nodes":["n1","n4"],"cuts":[],"planned_ms":1000,"hold_ms":500,"outcome":"installed","label":"kill n1,n4","acts":["kill n1","kill n4"]}"#
    );
    assert_eq!(
        lines[1],
        r#"{"i":0,"t":1500000000,"event":"heal","fault":"kill","kind":"given","nodes":["n1","n4"],"cuts":[],"planned_ms":1000,"hold_ms":500,"outcome":"installed","label":"kill n1,n4","acts":["kill n1","kill n4"],"effect":{"bytes_withheld":0,"connections_withheld":0,"nodes_stopped":2},"effective":true}"#
    );
}

#[tokio::test(start_paused = true)]
async fn a_fault_targets_the_leader_at_its_beginning() {
    // n1 is the stand-in for the leader, which turns out to be n3: the two swap their places in the acts.
    let run = check(
        SCENARIO,
        "100+100 kill[n1]: kill n1
         300+100 partition[n1]: cut n1>n3 stall, cut n3>n1 stall",
        "100 kill n3
         100 apply kill n3, installed
         200 start n3
         200 heal kill n3, installed, effective Some(true)
         300 apply partition {n1 | n3}, installed
         400 heal partition {n1 | n3}, installed, effective Some(false)",
    )
    .await;
    assert_eq!(run.records[2].cuts, ["n1>n3", "n3>n1"]);
    // If no leader is known, the driver asks for a second, then uses the stand-in, and the record says so.
    check(
        Scenario { leader: None, ..SCENARIO },
        "100+100 kill[n2]: kill n2",
        "1100 kill n2
         1100 apply kill n2, installed: no leader known; targeting n2
         1200 start n2
         1200 heal kill n2, installed, effective Some(true): no leader known; targeting n2",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn of_overlapping_faults_the_first_to_end_does_not_undo_the_other() {
    check(
        SCENARIO,
        "100+300 kill: kill n1, kill n2
         200+400 kill: kill n2, kill n3",
        "100 kill n1
         100 kill n2
         100 apply kill n1,n2, installed
         200 kill n3
         200 apply kill n2,n3, installed
         400 start n1
         400 heal kill n1,n2, installed, effective Some(true)
         600 start n2
         600 start n3
         600 heal kill n2,n3, installed, effective Some(true)",
    )
    .await;
}

/// A drawn fault is moved to a running node, and is skipped if there is none. A node that was named
/// explicitly stays.
#[tokio::test(start_paused = true)]
async fn a_drawn_fault_moves_to_a_running_node() {
    check(
        SCENARIO,
        "100+300 kill*: kill n1, kill n2
         200+100 pause*: pause n2, pause n5
         500+300 kill*: kill n1, kill n2, kill n3, kill n4
         600+100 pause*: pause n5, pause n4
         900+300 kill*: kill n1, kill n2, kill n3, kill n4, kill n5
         1000+100 pause*: pause n4
         1300+200 kill*: kill n1
         1400+50 pause: pause n1",
        "100 kill n1
         100 kill n2
         100 apply kill n1,n2, installed
         200 pause n3
         200 pause n5
         200 apply pause n3,n5, installed
         300 resume n3
         300 resume n5
         300 heal pause n3,n5, installed, effective Some(true)
         400 start n1
         400 start n2
         400 heal kill n1,n2, installed, effective Some(true)
         500 kill n1
         500 kill n2
         500 kill n3
         500 kill n4
         500 apply kill n1,n2,n3,n4, installed
         600 pause n5
         600 apply pause n5, installed
         700 resume n5
         700 heal pause n5, installed, effective Some(true)
         800 start n1
         800 start n2
         800 start n3
         800 start n4
         800 heal kill n1,n2,n3,n4, installed, effective Some(true)
         900 kill n1
         900 kill n2
         900 kill n3
         900 kill n4
         900 kill n5
         900 apply kill n1,n2,n3,n4,n5, installed
         1000 apply pause n4, skipped: n4 is down
         1200 start n1
         1200 start n2
         1200 start n3
         1200 start n4
         1200 start n5
         1200 heal kill n1,n2,n3,n4,n5, installed, effective Some(true)
         1300 kill n1
         1300 apply kill n1, installed
         1400 apply pause n1, skipped: n1 is down
         1500 start n1
         1500 heal kill n1, installed, effective Some(true)",
    )
    .await;
}

/// Of acts that pile up, only those are done that come at most a second after the end of their step.
#[tokio::test(start_paused = true)]
async fn acts_that_come_too_late_are_not_done() {
    check(
        Scenario { kill_takes: Duration::from_millis(900), ..SCENARIO },
        "0+500 kill: kill n1, @100 start n1, @100 kill n2, @200 start n2, @200 kill n3
         600+100 pause: pause n5",
        "0 kill n1
         900 apply kill given n1, installed
         900 start n1
         900 kill n2
         1800 shift kill given n2, installed
         1800 start n2
         1800 heal kill given n2, installed, effective Some(true)
         1800 pause n5
         1800 apply pause n5, installed
         1900 resume n5
         1900 heal pause n5, installed, effective Some(true)",
    )
    .await;
}

/// The node was paused until it was killed, and that counts.
#[tokio::test(start_paused = true)]
async fn a_pause_that_a_kill_cuts_short_has_had_its_effect() {
    check(
        SCENARIO,
        "100+300 pause: pause n2
         200+300 kill: kill n2",
        "100 pause n2
         100 apply pause n2, installed
         200 kill n2
         200 apply kill n2, installed
         400 heal pause n2, installed, effective Some(true)
         500 start n2
         500 heal kill n2, installed, effective Some(true)",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_may_have_acts_at_several_times() {
    check(
        SCENARIO,
        "100+1000 rolling: terminate n1, @200 start n1, @200 terminate n2, @500 start n2, @500 terminate n3",
        "100 terminate n1
         100 apply rolling given n1, installed
         300 start n1
         300 terminate n2
         300 shift rolling given n2, installed
         600 start n2
         600 terminate n3
         600 shift rolling given n3, installed
         1100 start n3
         1100 heal rolling given n3, installed, effective Some(true)",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_shift_is_recorded_with_what_is_in_force_from_then_on() {
    let run = check(
        SCENARIO,
        "100+1000 partition: cut n1>n2 stall, cut n2>n1 stall, @200 cut n1>n3 stall, @200 heal n1>n2, @200 heal n2>n1, \
         @200 cut n3>n1 stall, @500 heal n1>n3, @500 heal n3>n1, @700 cut n1>n2 stall",
        "100 apply partition given {n1 | n2}, installed
         300 shift partition given {n1 | n3}, installed
         600 shift partition given {n1 | n2,n3}: nothing for now
         800 shift partition given {n1 > n2}, installed
         1100 heal partition given {n1 > n2}, installed, effective Some(false)",
    )
    .await;
    let cuts: Vec<_> = run.records.iter().map(|record| record.cuts.join(" ")).collect();
    assert_eq!(cuts, ["n1>n2 n2>n1", "n1>n3 n3>n1", "", "n1>n2", "n1>n2"]);
    // The replay uses the acts of the first line, with their times.
    let lines: Vec<String> =
        run.records.iter().map(|record| serde_json::to_string(record).expect("JSON")).collect();
    let again = Plan::replay(&lines.join("\n"), 5).expect("a record");
    assert_eq!((again.steps.len(), again.steps[0].acts.len(), again.steps[0].hold_ms), (1, 9, 1_000));
}

#[tokio::test(start_paused = true)]
async fn the_same_problem_is_reported_once() {
    let run = check(
        Scenario { fails: Some("pause n1"), ..SCENARIO },
        "100+1000 pause: pause n1, pause n2, @200 resume n1, @300 pause n1, @400 resume n1, @500 pause n1",
        "100 pause n2
         100 apply pause given n2, indeterminate: pause n1: the node refuses
         300 shift pause given n2, installed
         400 shift pause given n2, indeterminate: pause n1: the node refuses
         500 shift pause given n2, installed
         600 shift pause given n2, indeterminate: pause n1: the node refuses
         1100 resume n2
         1100 heal pause given n2, indeterminate, effective Some(true): pause n1: the node refuses (3 times)",
    )
    .await;
    let why = run.records.last().and_then(|record| record.why.clone());
    assert_eq!(why.as_deref(), Some("pause n1: the node refuses (3 times)"));
}

#[tokio::test(start_paused = true)]
async fn acts_of_one_moment_on_one_node_keep_their_order() {
    check(
        SCENARIO,
        "100+1000 again: kill n1, start n1, kill n1, kill n2, start n2
         2000+10 degrade: degrade n1>n2 delay_ms=5",
        "100 kill n1
         100 start n1
         100 kill n1
         100 kill n2
         100 start n2
         100 apply again n1,n2, installed
         1100 start n1
         1100 heal again n1,n2, installed, effective Some(true)
         2000 apply degrade delay_ms=5 {n1 > n2}, installed
         2010 heal degrade delay_ms=5 {n1 > n2}, installed, effective Some(false)",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn stopping_in_the_middle_undoes_everything_at_once() {
    check(
        Scenario { stop_after: Some(Duration::from_millis(250)), ..SCENARIO },
        "100+9000 kill: kill n1
         200+9000 pause: pause n2, @5000 pause n3
         300+100 kill: kill n4",
        "100 kill n1
         100 apply kill n1, installed
         200 pause n2
         200 apply pause given n2, installed
         250 start n1
         250 heal kill n1, installed, effective Some(true)
         250 resume n2
         250 heal pause given n2, installed, effective Some(true)",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn failed_and_skipped_faults_are_recorded() {
    check(
        Scenario { fails: Some("kill n2"), ..SCENARIO },
        "100+100 kill: kill n1, kill n2
         300+100 kill: kill n9
         500+100 partition:",
        "100 kill n1
         100 apply kill n1,n2, indeterminate: kill n2: the node refuses
         200 start n1
         200 heal kill n1,n2, indeterminate, effective Some(true): kill n2: the node refuses
         300 apply kill n9, skipped: there is no n9 in a cluster of 5
         500 apply partition, skipped: partition given needs more than 5 nodes",
    )
    .await;
    let run = Scenario { fails: Some("start n1"), ..SCENARIO }.run(plan("100+100 kill: kill n1")).await;
    let error = run.result.expect_err("n1 is still down");
    assert_eq!(error.to_string(), "could not heal: start n1: the node refuses; start n1: the node refuses");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_cut_short_records_only_what_it_did() {
    let given = "100+300 rolling: pause n1, @200 resume n1, @200 pause n2, @900 kill n3
                 1500+10 kill: kill n4";
    let run = check(
        SCENARIO,
        given,
        "100 pause n1
         100 apply rolling given n1, installed
         300 resume n1
         300 pause n2
         300 shift rolling given n2, installed
         400 resume n2
         400 heal rolling given n2, installed, effective Some(true)
         1500 kill n4
         1500 apply kill n4, installed
         1510 start n4
         1510 heal kill n4, installed, effective Some(true)",
    )
    .await;
    let acts = |record: &FaultRecord| record.acts.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(acts(&run.records[0]).len(), 4);
    assert_eq!(acts(&run.records[2]), ["pause n1", "@200 resume n1", "@200 pause n2"]);

    // The end of the run cuts a step short, too; a replay repeats only what was done.
    let cut = Scenario { stop_after: Some(Duration::from_millis(150)), ..SCENARIO }.run(plan(given)).await;
    assert_eq!(acts(&cut.records[1]), ["pause n1"]);
    let lines: Vec<String> =
        cut.records.iter().map(|record| serde_json::to_string(record).expect("JSON")).collect();
    let replayed = Plan::replay(&lines.join("\n"), 5).expect("a record");
    assert_eq!(replayed.steps.len(), 1);
    assert_eq!(
        SCENARIO.run(replayed).await.records,
        cut.records
            .iter()
            .cloned()
            .map(|record| FaultRecord {
                acts: vec![record.acts[0]],
                label: "rolling n1".into(),
                nodes: vec![NodeId(0)],
                hold_ms: 50,
                ..record
            })
            .collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn times_that_overflow_never_come() {
    let far = u64::MAX;
    check(
        Scenario { stop_after: Some(Duration::from_millis(500)), ..SCENARIO },
        &format!("100+{far} kill: kill n1, @{far} kill n2\n{far}+100 kill: kill n3"),
        "100 kill n1
         100 apply kill given n1, installed
         500 start n1
         500 heal kill given n1, installed, effective Some(true)",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_record_can_be_replayed() {
    let given = "1000+500 kill[n1]: kill n1
                 2000+1000 partition: cut n1>n2 stall, @300 heal n1>n2, @400 cut n1>n2 reset
                 4000+100 kill: kill n9";
    let first = SCENARIO.run(plan(given)).await;
    let lines: Vec<String> =
        first.records.iter().map(|record| serde_json::to_string(record).expect("JSON")).collect();
    let mut record = lines.join("\n") + "\n";
    let replayed = Plan::replay(&record, 5).expect("a record");
    let second = Scenario { leader: None, ..SCENARIO }.run(replayed).await;
    let same: Vec<FaultRecord> =
        first.records.into_iter().filter(|record| record.outcome != FaultOutcome::Skipped).collect();
    assert_eq!(second.records, same);

    // A killed run leaves an incomplete line and faults without an end. A corrupt record is no plan.
    let torn = format!("{}\n{}", lines[0], &lines[1][..40]);
    assert_eq!(Plan::replay(&torn, 5).expect("a record").steps[0].hold_ms, 500);
    assert!(
        Plan::replay(&lines[1], 5)
            .expect_err("no apply")
            .to_string()
            .starts_with("line 1: fault 0 is healed")
    );
    record.push_str("{}\n");
    assert_eq!(
        Plan::replay(&record, 5).expect_err("{}").to_string(),
        "line 8: missing field `i` at line 1 column 2"
    );
}

#[tokio::test(start_paused = true)]
async fn a_trigger_waits_for_its_event_and_sleeps_while_its_fault_lasts() {
    let links = Arc::new(Links::open(5).expect("loopback listeners"));
    let log = Arc::new(Mutex::new(String::new()));
    let nodes = Arc::new(SimulatedNodes::new(&SCENARIO, log.clone()));
    let began = nodes.began;
    let given = "[[trigger]]
                 on = 'leader-change'
                 after = '20ms'
                 times = 2
                 hold = '1s'
                 acts = ['pause leader']";
    let plan = Plan::parse(given, 1, &Setting::of(5)).expect("a schedule");
    let (event, run_events) = mpsc::unbounded_channel();
    let sees = async move {
        for (at_ms, leader) in [(100, 0), (500, 2), (900, 1), (2000, 1), (3000, 4), (5000, 3)] {
            tokio::time::sleep_until(began + Duration::from_millis(at_ms)).await;
            let _ = event.send(RunEvent::Leader(NodeId(leader)));
        }
    };
    let clock = move || began.elapsed().as_nanos() as u64;
    let stop = CancellationToken::new();
    let driven = drive(plan, nodes, links.clone(), clock, stop, run_events, |_| ());
    let (result, ()) = tokio::join!(driven, sees);
    assert_eq!(result, Ok(()));
    // n3 leads, whatever the events say: a trigger decides when, the nodes decide who.
    assert_eq!(
        *log.lock().expect("not poisoned"),
        "  520 pause n3\n 1520 resume n3\n 3020 pause n3\n 4020 resume n3\n"
    );
    links.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_follows_the_leader_never_leaves_both_free() {
    let links = Arc::new(Links::open(3).expect("loopback listeners"));
    let nodes = Arc::new(SimulatedNodes::new(&SCENARIO, Arc::default()));
    nodes.states.lock().expect("not poisoned").truncate(3);
    let began = nodes.began;
    let given = "[[step]]
                 at = '100ms'
                 hold = '2s'
                 fault = 'partition:each-leader'";
    let mut plan = Plan::parse(given, 1, &Setting::of(3)).expect("a schedule");
    plan.steps[0].follows_ms = vec![0, 150];
    let (event, run_events) = mpsc::unbounded_channel();
    let leads = nodes.clone();
    let sees = async move {
        for (at_ms, leader) in [(50, 2), (800, 0), (1500, 0), (1800, 2), (3000, 1)] {
            tokio::time::sleep_until(began + Duration::from_millis(at_ms)).await;
            *leads.leader.lock().expect("not poisoned") = Some(NodeId(leader));
            let _ = event.send(RunEvent::Leader(NodeId(leader)));
        }
    };
    let clock = move || began.elapsed().as_nanos() as u64;
    let mut records = Vec::new();
    let record = |fault: FaultRecord| {
        records.push(format!("{} {:?} {} {}", fault.t / 1_000_000, fault.event, fault.label, fault.hold_ms));
    };
    let stop = CancellationToken::new();
    let (result, ()) = tokio::join!(drive(plan, nodes, links.clone(), clock, stop, run_events, record), sees);
    assert_eq!(result, Ok(()));
    assert_eq!(
        records,
        [
            "100 Apply partition {n3 | n1,n2} 2000",
            "800 Apply partition {n1 | n2,n3} 1300",
            "800 Heal partition {n3 | n1,n2} 2000",
            "1950 Apply partition {n3 | n1,n2} 150",
            "1950 Heal partition {n1 | n2,n3} 1300",
            "2100 Heal partition {n3 | n1,n2} 150",
        ]
    );
    links.close().await;
}

#[tokio::test(start_paused = true)]
async fn links_open_even_if_the_drive_is_dropped() {
    let links = Arc::new(Links::open(5).expect("loopback listeners"));
    let nodes = Arc::new(SimulatedNodes::new(&Scenario { leader: None, ..SCENARIO }, Arc::default()));
    let began = nodes.began;
    let clock = move || began.elapsed().as_nanos() as u64;
    let given = plan("0+9000 partition: cut n1>n2 stall, degrade n2>n1 delay_ms=5");
    let driven = drive(given, nodes, links.clone(), clock, CancellationToken::new(), no_run_events(), |_| ());
    let dropped = tokio::time::timeout(Duration::from_secs(1), driven).await;
    assert!(dropped.is_err() && !links.is_cut(NodeId(0), NodeId(1)));
    links.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_drawn_plan_is_carried_out_whole() {
    for seed in 0..20 {
        let wanted =
            "kill,pause,partition,degrade,terminate,corrupt,clock,starve,limits".parse().expect("faults");
        let schedule = Schedule { wanted, seed, nodes: 5, interval_ms: 5000, time_limit_ms: 60_000 };
        let plan = Plan { steps: schedule.draw().collect(), ..Plan::default() };
        let run = SCENARIO.run(plan.clone()).await;
        assert_eq!(run.result, Ok(()));
        let count = |event| run.records.iter().filter(|record| record.event == event).count();
        assert_eq!((count(FaultEvent::Apply), count(FaultEvent::Heal)), (plan.steps.len(), plan.steps.len()));
        assert!(run.records.iter().all(|record| record.outcome == FaultOutcome::Installed));
        assert!(run.records.iter().all(|record| record.t <= 60_000 * 1_000_000));
    }
}

#[tokio::test]
async fn a_partition_takes_effect_only_on_links_in_use() {
    let links = Arc::new(Links::open(5).expect("loopback listeners"));
    let n2 = TcpListener::bind("127.0.0.1:0").await.expect("a loopback listener");
    links.set_upstream(NodeId(1), n2.local_addr().expect("bound"));
    let mut n1 = TcpStream::connect(links.dial_address(NodeId(0), NodeId(1))).await.expect("accepted");
    let _n2 = n2.accept().await.expect("carried");
    let nodes = SimulatedNodes::new(&Scenario { leader: None, ..SCENARIO }, Arc::default());
    let given = plan(
        "0+60000 partition: cut n1>n2 stall
         0+60000 partition: cut n1>n3 stall",
    );
    let stop = CancellationToken::new();
    let mut records = Vec::new();
    let record = |record: FaultRecord| records.push(record);
    let write_then_stop = async {
        while !links.is_cut(NodeId(0), NodeId(1)) {
            tokio::task::yield_now().await;
        }
        n1.write_all(b"append").await.expect("a write");
        while links.counters(NodeId(0), NodeId(1)).bytes_withheld < 6 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let clock = || 0;
    let (result, ()) = tokio::join!(
        drive(given, Arc::new(nodes), links.clone(), clock, stop.clone(), no_run_events(), record),
        write_then_stop
    );
    assert_eq!(result, Ok(()));
    let heals: Vec<_> = records.iter().filter(|record| record.event == FaultEvent::Heal).collect();
    assert_eq!(heals[0].effect.map(|effect| effect.bytes_withheld), Some(6));
    assert_eq!((heals[0].effective, heals[1].effective), (Some(true), Some(false)));
    links.close().await;
}
