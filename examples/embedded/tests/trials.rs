//! Trials in an integration test of a crate that depends on `tribunal`. Reports are left under `target/`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tribunal::checker::model::Model;
use tribunal::checker::op::{F, Op};
use tribunal::nemesis::{Aim, Fault, Kind, NodeId};
use tribunal::workloads::Entry;
use tribunal::{Observer, Registry, Run, RunDir, Stop, TrialError, TrialEvent, TrialSpec};

/// The guard and the nodes of built-in systems run this test binary again, with only this test.
#[test]
fn tribunal_child() {
    tribunal::executable::serve();
}

/// A short trial with its store in `target/tribunal`.
fn trial(workload: &str) -> TrialSpec {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in target/");
    TrialSpec::new(workload).with(|spec| {
        spec.store = target.join("tribunal");
        (spec.nodes, spec.seed, spec.time_limit) = (3, Some(7), Duration::from_secs(3));
        spec.nemesis_interval = Duration::from_millis(700);
    })
}

fn held(spec: &TrialSpec) -> Result<RunDir, TrialError> {
    let nobody: Arc<dyn Observer> = Arc::new(());
    spec.run(&Registry::built_in(), &nobody, &Stop::new())
}

#[test]
fn a_correct_system_passes_and_leaves_a_report() {
    let phases: Arc<Mutex<Vec<String>>> = Arc::default();
    let (seen, operations) = (phases.clone(), Arc::new(AtomicUsize::new(0)));

    struct Watcher(Arc<Mutex<Vec<String>>>, Arc<AtomicUsize>);
    impl Observer for Watcher {
        fn on_event(&self, _: u64, event: &TrialEvent<'_>) {
            match event {
                TrialEvent::Phase(name) => self.0.lock().unwrap().push((*name).to_string()),
                TrialEvent::Operation(_) => drop(self.1.fetch_add(1, Ordering::Relaxed)),
                _ => {}
            }
        }
    }

    let observer: Arc<dyn Observer> = Arc::new(Watcher(seen, operations.clone()));
    let spec = trial("counter").with(|spec| spec.nemesis = "none".into());
    let run = spec.run(&Registry::built_in(), &observer, &Stop::new()).expect("it is held");
    assert!(run.judgement.outcome.is_good(), "{}", run.judgement.sentence);
    assert!(PathBuf::from(&run.name).join("report.html").exists(), "{}", run.name);
    assert_eq!(run.evidence.info.spec.as_ref(), Some(&spec), "run.json holds the trial");
    let phases = phases.lock().unwrap();
    assert_eq!(phases[..5], ["starting", "running", "healing", "final reads", "stopping"]);
    assert_eq!(
        operations.load(Ordering::Relaxed),
        run.evidence.info.ending.as_ref().unwrap().events as usize
    );
}

#[test]
fn two_trials_at_once_do_not_disturb_each_other() {
    let raft = trial("register");
    let gossip = trial("rw-register").with(|spec| {
        (spec.system, spec.nemesis) = ("gossip".into(), "none".into());
    });
    let (raft, gossip) = thread::scope(|scope| {
        let (raft, gossip) = (scope.spawn(|| held(&raft)), scope.spawn(|| held(&gossip)));
        (raft.join().unwrap().expect("held"), gossip.join().unwrap().expect("held"))
    });
    assert_ne!(raft.judgement.exit_code, 1, "{}", raft.judgement.sentence);
    assert_eq!(gossip.judgement.exit_code, 1, "gossip is not linearizable: {}", gossip.judgement.sentence);
    for run in [raft, gossip] {
        assert_eq!(run.judgement.harness_failure, None);
    }
}

#[test]
fn an_invalid_trial_is_an_error_with_a_reason() {
    let why = |spec: TrialSpec| held(&spec).map(drop).unwrap_err().to_string();
    assert_eq!(why(trial("regster")), "there is no workload `regster`: did you mean `register`?");
    assert_eq!(why(trial("register").with(|spec| spec.nodes = 0)), "--nodes: expected 1 to 25");
    let bug = why(trial("register").with(|spec| spec.bug = vec!["no-such".into()]));
    assert!(bug.starts_with("raft has no bug `no-such`: expected one of stale-read"), "{bug}");
}

/// A counter that must never exceed ten.
struct Bounded;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Call {
    Add(i64),
    Read(i64),
}

impl Model for Bounded {
    type State = i64;
    type Call = Call;
    type Next = Option<i64>;

    fn name(&self) -> &str {
        "bounded-counter"
    }

    fn init(&self) -> i64 {
        0
    }

    fn parse(&self, op: &Op) -> Result<Option<Call>, String> {
        match (&op.f, op.output()) {
            (F::Add, _) => Ok(Some(Call::Add(op.input.as_int().ok_or("a number")?))),
            (F::Read, None) => Ok(None),
            (F::Read, Some(shown)) => Ok(Some(Call::Read(shown.as_int().unwrap_or(0)))),
            _ => Err("add or read".into()),
        }
    }

    fn step(&self, sum: &i64, call: &Call) -> Option<i64> {
        match *call {
            Call::Add(number) => Some(sum + number),
            Call::Read(shown) => (shown == *sum && shown <= 10).then_some(shown),
        }
    }
}

#[test]
fn a_custom_model_and_a_custom_workload() {
    let counter = tribunal::workloads::find("counter").expect("it is built in");
    let bounded = Entry { name: "bounded", model: "bounded-counter", also: &["counter"], ..counter.clone() };
    let registry = Registry::built_in().with_workload(bounded).with_model(Bounded);
    let nobody: Arc<dyn Observer> = Arc::new(());
    let spec = trial("bounded").with(|spec| {
        (spec.nemesis, spec.time_limit) = ("none".into(), Duration::from_secs(1));
    });
    let run = spec.run(&registry, &nobody, &Stop::new()).expect("held");
    assert_eq!(run.judgement.exit_code, 1, "it counts further: {}", run.judgement.sentence);
    let lenient = spec.with(|spec| spec.model = Some("counter".into()));
    let run = lenient.run(&registry, &nobody, &Stop::new()).expect("held");
    assert_eq!(run.judgement.exit_code, 0, "{}", run.judgement.sentence);
}

/// Kills one node, and another while the first is down.
static TWO_AFTER_ANOTHER: Fault = Fault {
    name: "two-after-another",
    about: "kills a node, and 50 ms later another",
    usual: false,
    alone: false,
    kinds: &[Kind { name: "any", about: "any two nodes", aim: Aim::AnyNode }],
    draw: |_, context| {
        let kill = |(after_ms, node): (u64, &NodeId)| format!("@{after_ms} kill {node}").parse();
        let kills = [0, 50].into_iter().zip(&context.order).map(kill);
        kills.collect::<Result<_, _>>().expect("there is such an act")
    },
};

#[test]
fn a_fault_of_ones_own() {
    let registry = Registry::built_in().with_fault(&TWO_AFTER_ANOTHER);
    let nobody: Arc<dyn Observer> = Arc::new(());
    let spec = trial("counter").with(|spec| {
        (spec.nemesis, spec.nodes) = ("two-after-another".into(), 5);
    });
    let run = spec.run(&registry, &nobody, &Stop::new()).expect("held");
    assert_ne!(run.judgement.exit_code, 1, "{}", run.judgement.sentence);
    let fault = run.evidence.faults.first().expect("it was injected");
    assert_eq!(fault.fault, "two-after-another");
}

#[test]
fn an_interrupt_ends_a_trial_in_order() {
    let stop = Stop::new();
    struct StopsWhenRunning(Stop);
    impl Observer for StopsWhenRunning {
        fn on_event(&self, _: u64, event: &TrialEvent<'_>) {
            if matches!(event, TrialEvent::Status(status) if status.tally.ok > 100) {
                self.0.interrupt();
            }
        }
    }
    let observer: Arc<dyn Observer> = Arc::new(StopsWhenRunning(stop.clone()));
    let spec = trial("queue").with(|spec| {
        (spec.time_limit, spec.nemesis) = (Duration::from_secs(600), "none".into());
    });
    let run = spec.run(&Registry::built_in(), &observer, &stop).expect("held");
    assert!(run.judgement.interrupted, "{}", run.judgement.sentence);
}
