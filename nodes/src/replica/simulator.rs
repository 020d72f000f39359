//! Random schedules of a protocol, with its safety checked after every step.
//!
//! Messages are lost, duplicated, delayed and reordered; links are cut in one or both directions; nodes
//! pause, crash, lose unsynced state, and restart; disks are slow; snapshots are taken at random. Then
//! everything heals, and the cluster must agree and make progress. One seed determines the whole schedule,
//! and a failure names it.
//!
//! - *State Machine Safety*: no two nodes apply different entries at one position.
//! - *Linearizable reads*: when a read is answered, everything applied on any node when it arrived is
//!   applied.
//! - *Agreement*: after the healing, idle nodes have applied the same entries, some of them since the
//!   healing.
//! - The protocol's [own invariants](Simulated::check_invariants).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::time::Duration;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::SeedableRng as _;
use rand::RngExt;

use super::simulated::{Actor, HEARTBEAT, Simulated};
use super::{Entry, NodeId, Operation, Protocol, Time};
use crate::BugSwitch;

const NAMES: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];

/// How long the faults last, how long the healed cluster serves clients, and how long it then has to agree.
const FAULTS: Duration = Duration::from_secs(8);
const HEALED: Duration = Duration::from_secs(2);
const QUIET: Duration = Duration::from_secs(1);
/// The largest clock drift, as a fraction.
const DRIFT: f64 = 0.05;

enum Event<P: Protocol> {
    Deliver { from: usize, to: usize, message: P::Message },
    Tick { node: usize, boot: u64 },
    Synced { node: usize, boot: u64 },
    Start { node: usize },
    Client,
    Fault,
}

pub(crate) struct Simulator<P: Simulated> {
    rng: ChaCha8Rng,
    now: Time,
    actors: Vec<Actor<P>>,
    /// The clock rate of each node.
    rates: Vec<f64>,
    paused_until: Vec<Time>,
    cut: HashSet<(usize, usize)>,
    faults: bool,
    clients: bool,
    /// Whether operators change the members and the leader.
    operators: bool,
    /// Future events by time; the number keeps equal times in order.
    agenda: BinaryHeap<Reverse<(Time, u64)>>,
    events: HashMap<u64, Event<P>>,
    numbered: u64,
    /// The observations that no later step may contradict.
    pub(crate) observations: P::Observations,
    pub(crate) committed: Vec<Entry<P::At>>,
    /// Pending reads: the committed length when each arrived.
    reads: HashMap<u64, usize>,
    pub(crate) answered: u64,
}

impl<P: Simulated> Simulator<P> {
    pub(crate) fn new(seed: u64, bugs: &[P::Bug]) -> Self {
        Self::with(seed, bugs, &P::Options::default())
    }

    pub(crate) fn with(seed: u64, bugs: &[P::Bug], options: &P::Options) -> Self {
        let actor = |name: &&str| Actor::new(name, &NAMES, bugs, options.clone(), P::Stored::default());
        let mut drift = ChaCha8Rng::seed_from_u64(!seed);
        let mut simulator = Simulator {
            rng: ChaCha8Rng::seed_from_u64(seed),
            now: Time::ZERO,
            actors: NAMES.iter().map(actor).collect(),
            rates: NAMES.iter().map(|_| drift.random_range(1.0 - DRIFT..1.0 + DRIFT)).collect(),
            paused_until: vec![Time::ZERO; NAMES.len()],
            cut: HashSet::new(),
            faults: true,
            clients: true,
            operators: false,
            agenda: BinaryHeap::new(),
            events: HashMap::new(),
            numbered: 0,
            observations: P::Observations::default(),
            committed: Vec::new(),
            reads: HashMap::new(),
            answered: 0,
        };
        for node in 0..NAMES.len() {
            simulator.start(node);
        }
        simulator.schedule(Duration::from_millis(5), Event::Client);
        simulator.schedule(Duration::from_millis(500), Event::Fault);
        simulator
    }

    /// The same schedule with operators.
    pub(crate) fn operated(mut self) -> Self {
        self.operators = true;
        self
    }

    fn schedule(&mut self, after: Duration, event: Event<P>) {
        self.numbered += 1;
        self.agenda.push(Reverse((self.now + after, self.numbered)));
        self.events.insert(self.numbered, event);
    }

    /// The time on a node's clock.
    fn clock(&self, node: usize) -> Time {
        self.now.mul_f64(self.rates[node])
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_micros(self.rng.random_range(range.start * 1000..range.end * 1000))
    }

    fn start(&mut self, node: usize) {
        let seed = self.rng.random_range(0..u64::MAX);
        let now = self.clock(node);
        self.actors[node].start(seed, now);
        let boot = self.actors[node].boots;
        self.schedule(Duration::ZERO, Event::Tick { node, boot });
    }

    /// Runs the whole schedule. The error says which property was violated, and when.
    pub(crate) fn run(mut self) -> Result<Self, String> {
        self.play_until(FAULTS)?;
        let before = self.committed.len();
        self.heal();
        self.play_until(FAULTS + HEALED)?;
        self.clients = false;
        self.play_until(FAULTS + HEALED + QUIET)?;
        self.check_agreement(before)?;
        Ok(self)
    }

    fn play_until(&mut self, end: Time) -> Result<(), String> {
        while let Some(&Reverse((at, number))) = self.agenda.peek()
            && at < end
        {
            self.agenda.pop();
            self.now = self.now.max(at);
            let event = self.events.remove(&number).expect("scheduled once");
            self.play(event).map_err(|broken| format!("at {:?}: {broken}", self.now))?;
        }
        Ok(())
    }

    fn play(&mut self, event: Event<P>) -> Result<(), String> {
        // Events of a paused node happen when it resumes.
        let node = match &event {
            Event::Deliver { to, .. } => Some(*to),
            Event::Tick { node, .. } | Event::Synced { node, .. } => Some(*node),
            Event::Start { .. } | Event::Client | Event::Fault => None,
        };
        if let Some(node) = node
            && self.paused_until[node] > self.now
        {
            self.schedule(self.paused_until[node] - self.now, event);
            return Ok(());
        }
        let now = node.map_or(self.now, |node| self.clock(node));
        match event {
            Event::Deliver { from, to, message } => {
                let from = self.actors[from].id.clone();
                if let Some(core) = &mut self.actors[to].core {
                    core.receive(now, &from, message);
                    self.settle(to)?;
                }
            }
            Event::Tick { node, boot } if boot == self.actors[node].boots => {
                if let Some(core) = &mut self.actors[node].core {
                    core.tick(now);
                    let wait =
                        core.next_tick().saturating_sub(now).clamp(Duration::from_millis(1), HEARTBEAT);
                    self.schedule(wait, Event::Tick { node, boot });
                    self.settle(node)?;
                }
            }
            Event::Synced { node, boot } if boot == self.actors[node].boots => {
                if let Some(number) = self.actors[node].disk.sync_one()
                    && let Some(core) = &mut self.actors[node].core
                {
                    core.persisted(number);
                    self.settle(node)?;
                }
            }
            Event::Tick { .. } | Event::Synced { .. } => {}
            Event::Start { node } if self.actors[node].core.is_none() => self.start(node),
            Event::Start { .. } => {}
            Event::Client => self.client()?,
            Event::Fault => self.fault(),
        }
        Ok(())
    }

    /// A client sends a request to a node that believes itself the leader, if there is one.
    fn client(&mut self) -> Result<(), String> {
        if !self.clients {
            return Ok(());
        }
        let wait = self.millis(1..30);
        self.schedule(wait, Event::Client);
        let anyone = self.rng.random_range(0..NAMES.len());
        let leads = |actor: &Actor<P>| actor.core.as_ref().is_some_and(|core| core.is_leader());
        let leaders: Vec<usize> = (0..NAMES.len()).filter(|&node| leads(&self.actors[node])).collect();
        let node = if leaders.is_empty() { anyone } else { leaders[anyone % leaders.len()] };
        if self.operators && self.paused_until[node] <= self.now {
            self.operator(node)?;
        }
        let (number, committed) = (self.numbered, self.committed.len());
        let is_read = self.rng.random_bool(0.3);
        if self.paused_until[node] > self.now {
            return Ok(());
        }
        let Some(core) = &mut self.actors[node].core else { return Ok(()) };
        if is_read {
            self.reads.insert(number, committed);
            let _ = core.read(number);
        } else {
            let _ = core.propose(number.to_string().into_bytes().into());
        }
        self.settle(node)
    }

    /// An operator sends a request to a node; after the healing, to make all nodes members.
    fn operator(&mut self, node: usize) -> Result<(), String> {
        let operations = if !self.faults {
            NAMES.map(|name| Operation::Add(name.into())).to_vec()
        } else if self.rng.random_bool(0.1) {
            let name: NodeId = NAMES[self.rng.random_range(0..NAMES.len())].into();
            // Two requests in a row, as an impatient operator would send.
            let other: NodeId = NAMES[self.rng.random_range(0..NAMES.len())].into();
            match self.rng.random_range(0..5) {
                0 | 1 => vec![Operation::Remove(name), Operation::Remove(other)],
                2 | 3 => vec![Operation::Add(name), Operation::Add(other)],
                _ => vec![Operation::Transfer(name)],
            }
        } else {
            Vec::new()
        };
        let Some(core) = &mut self.actors[node].core else { return Ok(()) };
        for operation in operations {
            let _ = core.operate(&operation);
        }
        self.settle(node)
    }

    fn fault(&mut self) {
        if !self.faults {
            return;
        }
        let wait = self.millis(50..500);
        self.schedule(wait, Event::Fault);
        let node = self.rng.random_range(0..NAMES.len());
        match self.rng.random_range(0..9) {
            0 | 1 => self.crash(node),
            2 | 3 => {
                if let Some(down) = self.actors.iter().position(|actor| actor.core.is_none()) {
                    self.start(down);
                }
            }
            4 => {
                // A power failure hits some nodes or all, and ends soon.
                let likely = self.rng.random_range(0.2..1.0);
                for node in 0..NAMES.len() {
                    if self.rng.random_bool(likely) {
                        self.crash(node);
                        let wait = self.millis(0..60);
                        self.schedule(wait, Event::Start { node });
                    }
                }
            }
            5 => {
                let length = self.millis(20..1500);
                self.paused_until[node] = self.now + length;
            }
            6 => {
                let other = self.rng.random_range(0..NAMES.len());
                self.cut.insert((node, other));
            }
            7 => {
                // Isolates one node, or two.
                let other = self.rng.random_range(0..NAMES.len());
                for peer in (0..NAMES.len()).filter(|peer| *peer != node && *peer != other) {
                    self.cut.extend([(node, peer), (peer, node), (other, peer), (peer, other)]);
                }
            }
            _ => self.cut.clear(),
        }
    }

    fn crash(&mut self, node: usize) {
        self.actors[node].crash();
        self.actors[node].boots += 1;
    }

    fn heal(&mut self) {
        self.faults = false;
        self.cut.clear();
        self.paused_until.fill(self.now);
        for node in 0..NAMES.len() {
            if self.actors[node].core.is_none() {
                self.start(node);
            }
        }
    }

    /// Sends a node's messages, and checks its new state.
    fn settle(&mut self, node: usize) -> Result<(), String> {
        let before = self.actors[node].machine.len();
        let mut ready = self.actors[node].settle();
        // Some nodes compact eagerly.
        if self.rng.random_bool(0.01) {
            self.actors[node].compact(4 * node as u64 + 1);
            let more = self.actors[node].settle();
            ready.messages.extend(more.messages);
            ready.notices.extend(more.notices);
            ready.reads.extend(more.reads);
            ready.leased.extend(more.leased);
        }
        let pending = self.actors[node].disk.unsynced.len();
        for _ in 0..pending {
            // One event per write is enough; more are harmless, and let slow disks catch up.
            let (wait, boot) = (self.millis(0..25), self.actors[node].boots);
            self.schedule(wait, Event::Synced { node, boot });
        }
        for (to, message) in ready.messages {
            let to = self.actors.iter().position(|actor| actor.id == to).expect("it is one of them");
            self.post(node, to, message);
        }
        let leased = match &self.actors[node].core {
            Some(core) if core.lease_holds(self.clock(node)) => std::mem::take(&mut ready.leased),
            _ => Vec::new(),
        };
        for read in ready.reads.into_iter().chain(leased) {
            let applied = self.actors[node].machine.len();
            let committed = self.reads.remove(&read).unwrap_or(0);
            if applied < committed {
                return Err(format!(
                    "stale read: {} had applied {applied}, {committed} was applied",
                    NAMES[node]
                ));
            }
            self.answered += 1;
        }
        self.check_machine(node, before)?;
        match &self.actors[node].core {
            Some(core) => {
                core.check_invariants(node, &ready.notices, &self.committed, &mut self.observations)
            }
            None => Ok(()),
        }
    }

    fn post(&mut self, from: usize, to: usize, message: P::Message) {
        if self.cut.contains(&(from, to)) {
            return;
        }
        let copies = match self.rng.random_range(0..100) {
            0..3 if self.faults => 0,
            3..6 if self.faults => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let late = self.faults && self.rng.random_bool(0.01);
            let wait = if late { self.millis(100..3000) } else { self.millis(0..12) };
            self.schedule(wait, Event::Deliver { from, to, message: message.clone() });
        }
    }

    /// The entries applied since `before`; all of them if a snapshot replaced the state machine.
    fn check_machine(&mut self, node: usize, before: usize) -> Result<(), String> {
        let machine = &self.actors[node].machine;
        let from = if machine.len() > before + 50 { 0 } else { before.min(machine.len()) };
        for (index, entry) in machine.iter().enumerate().skip(from) {
            match self.committed.get(index) {
                None => self.committed.push(entry.clone()),
                Some(known) if known == entry => {}
                Some(known) => {
                    let node = NAMES[node];
                    return Err(format!("State Machine Safety: {node} applies {entry:?}, not {known:?}"));
                }
            }
        }
        Ok(())
    }

    /// There are no more requests, so all nodes must have applied the same entries, some of them since the
    /// healing.
    fn check_agreement(&self, before: usize) -> Result<(), String> {
        let applied: Vec<usize> = self.actors.iter().map(|actor| actor.machine.len()).collect();
        if applied.iter().all(|count| *count == applied[0]) && applied[0] > before {
            return Ok(());
        }
        Err(format!("no agreement after the faults are healed: applied {applied:?}, {before} before"))
    }
}

/// The number of seeds; `SEEDS=5000` for more.
pub(crate) fn seeds() -> u64 {
    std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(100)
}

/// Runs many schedules of the correct protocol; they must not be so harsh that nothing is committed.
pub(crate) fn expect_safe<P: Simulated>(seen: impl FnMut(&Simulator<P>)) {
    expect_all_safe(|seed| Simulator::<P>::new(seed, &[]), seen);
}

/// As [`expect_safe`], with these simulators.
pub(crate) fn expect_all_safe<P: Simulated>(
    make: impl Fn(u64) -> Simulator<P>,
    mut seen: impl FnMut(&Simulator<P>),
) {
    let (mut committed, mut answered) = (0, 0);
    for seed in 0..seeds() {
        match make(seed).run() {
            Ok(simulator) => {
                committed += simulator.committed.len();
                answered += simulator.answered;
                seen(&simulator);
            }
            Err(broken) => panic!("seed {seed}: {broken}"),
        }
    }
    let seeds = seeds() as usize;
    assert!(committed > 100 * seeds, "{committed} entries committed");
    assert!(answered as usize > 20 * seeds, "{answered} reads answered");
}

/// Each bug must violate one of its listed properties. A simulator that finds no bug proves nothing.
pub(crate) fn expect_unsafe<P: Simulated>(convictions: &[(P::Bug, &[&str])]) {
    expect_all_unsafe(Simulator::<P>::new, convictions);
}

/// As [`expect_unsafe`], with these simulators.
pub(crate) fn expect_all_unsafe<P: Simulated>(
    make: impl Fn(u64, &[P::Bug]) -> Simulator<P>,
    convictions: &[(P::Bug, &[&str])],
) {
    for (bug, properties) in convictions {
        let broken = |seed| make(seed, &[*bug]).run().err();
        let is_it = |broken: String| properties.iter().any(|property| broken.contains(property));
        let convicted = (0..200).filter_map(broken).any(is_it);
        assert!(convicted, "{bug:?} does not break {properties:?}");
    }
}

/// The rule of every bug names the section of its paper.
pub(crate) fn every_bug_names_its_rule<Bug: BugSwitch>(paper: &str) {
    for bug in Bug::all() {
        assert!(bug.rule().contains(paper), "{}: {}", bug.name(), bug.rule());
    }
}
