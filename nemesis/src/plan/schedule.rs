//! Selection of faults, and drawing a plan from a seed.
//!
//! A good plan injects faults often, early and evenly, and gives the cluster time to recover:
//!
//! ```text
//!   ├ start ┤██ hold ██├── quiet ──┤█ hold █├──── quiet ────┤███ hold ███├─ quiet ─┤ ... time limit
//!           ╰────────── a period: 0.7 to 1.3 intervals ─────╯
//! ```
//!
//! - Every other fault is joined by another that begins and ends during its hold: a node that restarts while
//!   it is partitioned exercises code that neither fault reaches alone.
//! - Selected faults come in shuffled *rounds*, each once in a round. So a short run has all of them, and a
//!   long run has each equally often.
//! - Within a fault, kinds that target the leader and the other kinds alternate, each from its own shuffled
//!   deck: most bugs of replication need a leader that is cut off at the wrong moment.
//! - Some kinds detect more bugs than others, and are used more often.
//! - Holds are uniformly distributed from 0.3 s (about an election timeout) to 0.8 of a period: a cluster
//!   rides out the shorter ones; in most it elects a new leader and continues without the nodes that are cut
//!   off.
//! - A fault that follows the leader needs time for several leaders, and takes the time of up to three
//!   others.
//! - At least 0.2 of a period is quiet after a fault and the fault that joined it, even after the last one
//!   before the time limit.

use std::{collections::BTreeSet, fmt, str::FromStr};

use chacha20::ChaCha8Rng;
use rand::{RngExt, SeedableRng, seq::SliceRandom};

use crate::{
    CutMode, Grudge, NodeId,
    faults::{Aim, DrawContext, FAULTS, Fault, Kind},
    plan::possible::Setting,
    plan::{self, Step},
};
use tribunal_records::suggest::unknown;

/// The selected faults of a run: the value of `--nemesis`.
///
/// `none`, `usual`, `all`, or names separated by commas. A name may be restricted to some of its kinds:
/// `kill,partition:bridge+halves`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultSelection(Vec<SelectedFault>);

#[derive(Debug, Clone)]
struct SelectedFault {
    fault: &'static Fault,
    kinds: Vec<&'static Kind>,
}

impl PartialEq for SelectedFault {
    fn eq(&self, other: &SelectedFault) -> bool {
        self.fault.name == other.fault.name && self.kinds == other.kinds
    }
}

impl Eq for SelectedFault {}

impl FaultSelection {
    /// The names of the selected faults, each once, in the given order.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|wanted| wanted.fault.name).collect()
    }

    /// Keeps the faults whose names satisfy the condition.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|wanted| keep(wanted.fault.name));
    }

    /// The step of a selection of one fault of one kind, beginning at 0; `None` for any other selection.
    pub(crate) fn one(
        &self,
        hold_ms: u64,
        nodes: usize,
        mode: Option<CutMode>,
        rng: &mut ChaCha8Rng,
    ) -> Option<Step> {
        let [SelectedFault { fault, kinds }] = &self.0[..] else { return None };
        let [kind] = kinds[..] else { return None };
        let mut order: Vec<NodeId> = (0..nodes).map(NodeId).collect();
        order.shuffle(rng);
        let mode = mode.unwrap_or(CutMode::Stall);
        Some(step(
            fault,
            kind,
            DrawContext { order, hold_ms, mode, rng: ChaCha8Rng::seed_from_u64(rng.random()) },
        ))
    }
}

/// An invalid value of `--nemesis`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseFaultsError {
    /// A name is not the name of a fault.
    #[error("{}", unknown("fault", name, faults))]
    Fault {
        /// The given name.
        name: String,
        /// All names.
        faults: Vec<&'static str>,
    },
    /// A name is not a kind of its fault.
    #[error("{}", unknown(&format!("kind of {fault}"), name, kinds))]
    Kind {
        /// The fault.
        fault: &'static str,
        /// The given name.
        name: String,
        /// All names.
        kinds: Vec<&'static str>,
    },
    /// A name is repeated.
    #[error("{0} is named twice")]
    Twice(&'static str),
    /// `none`, `usual` or `all` is combined with others.
    #[error("`{0}` cannot be combined with other faults")]
    Mixed(String),
}

/// The names of sets of faults.
const SETS: [&str; 3] = ["usual", "all", "none"];

impl FromStr for FaultSelection {
    type Err = ParseFaultsError;

    fn from_str(text: &str) -> Result<FaultSelection, ParseFaultsError> {
        FaultSelection::parse(text, &[])
    }
}

impl FaultSelection {
    /// Parses the names of faults; `own` are additional faults of the caller.
    ///
    /// # Errors
    /// A name that is no fault or no kind, or is repeated.
    pub fn parse(text: &str, own: &[&'static Fault]) -> Result<FaultSelection, ParseFaultsError> {
        match text.trim() {
            "none" => return Ok(FaultSelection(Vec::new())),
            "usual" => return Ok(FaultSelection(usual())),
            "all" => {
                let all = own.iter().copied().chain(FAULTS);
                return Ok(FaultSelection(all.map(SelectedFault::whole).collect()));
            }
            _ => {}
        }
        let mut wanted: Vec<SelectedFault> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let fault = SelectedFault::parse(part, own)?;
            if wanted.iter().any(|other| other.fault.name == fault.fault.name) {
                return Err(ParseFaultsError::Twice(fault.fault.name));
            }
            wanted.push(fault);
        }
        Ok(FaultSelection(wanted))
    }
}

/// The faults of `usual`.
fn usual() -> Vec<SelectedFault> {
    FAULTS.iter().filter(|fault| fault.usual).map(SelectedFault::whole).collect()
}

impl SelectedFault {
    fn whole(fault: &'static Fault) -> SelectedFault {
        SelectedFault { fault, kinds: fault.kinds.iter().collect() }
    }

    fn parse(part: &str, own: &[&'static Fault]) -> Result<SelectedFault, ParseFaultsError> {
        let (name, kinds) = part.split_once(':').map_or((part, None), |(name, kinds)| (name, Some(kinds)));
        if SETS.contains(&name) {
            return Err(ParseFaultsError::Mixed(name.to_owned()));
        }
        let all = || own.iter().copied().chain(FAULTS);
        let Some(fault) = all().find(|fault| fault.name == name) else {
            let faults = all().map(|fault| fault.name).chain(SETS).collect();
            return Err(ParseFaultsError::Fault { name: name.to_owned(), faults });
        };
        let Some(kinds) = kinds else { return Ok(SelectedFault::whole(fault)) };
        let find = |name: &str| {
            fault.kinds.iter().find(|kind| kind.name == name).ok_or_else(|| {
                let kinds = fault.kinds.iter().map(|kind| kind.name).collect();
                ParseFaultsError::Kind { fault: fault.name, name: name.to_owned(), kinds }
            })
        };
        let kinds: Result<Vec<_>, _> = kinds.split('+').map(|kind| find(kind.trim())).collect();
        Ok(SelectedFault { fault, kinds: kinds? })
    }
}

impl fmt::Display for FaultSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (at, SelectedFault { fault, kinds }) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{}", fault.name)?;
            if kinds.len() < fault.kinds.len() {
                write!(f, ":{}", kinds.iter().map(|kind| kind.name).collect::<Vec<_>>().join("+"))?;
            }
        }
        Ok(())
    }
}

/// The shortest hold, in milliseconds: about an election timeout.
const HOLD_MS_MIN: u64 = 300;

/// How many steps are drawn to find faults without room; a plan may have millions of steps.
const STEPS_DRAWN_MAX: usize = 10_000;

/// What a plan is drawn from. The same values give the same plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The faults to draw from.
    pub wanted: FaultSelection,
    /// The seed.
    pub seed: u64,
    /// Number of nodes of the cluster.
    pub nodes: usize,
    /// Mean time between the beginnings of two faults, in milliseconds.
    pub interval_ms: u64,
    /// Time by which the last fault is healed, in milliseconds since the start of the run.
    pub time_limit_ms: u64,
}

impl Schedule {
    /// Draws the steps lazily, in the order of their times.
    pub fn draw(&self) -> impl Iterator<Item = Step> + Send + use<> {
        let mut drawing = Drawing::new(self.clone());
        let steps = std::iter::from_fn(move || drawing.next()).fuse();
        steps.flat_map(|(step, joined)| std::iter::once(step).chain(joined))
    }

    /// A fixed context, for steps whose times and nodes have no meaning.
    fn fixed_context(&self) -> DrawContext {
        DrawContext {
            order: (0..self.nodes).map(NodeId).collect(),
            hold_ms: self.interval_ms,
            mode: CutMode::Stall,
            rng: ChaCha8Rng::seed_from_u64(0),
        }
    }

    /// Whether a fault is possible only on running nodes.
    fn needs_running(&self, fault: &Fault) -> bool {
        let acts = step(fault, &fault.kinds[0], self.fixed_context()).acts;
        acts.iter().any(|timed| timed.act.needs_running().is_some())
    }

    /// A step of each selected kind. Its time and its nodes have no meaning.
    pub(crate) fn kinds(&self) -> Vec<Step> {
        let kinds = self
            .wanted
            .0
            .iter()
            .flat_map(|SelectedFault { fault, kinds }| kinds.iter().map(|kind| (*fault, *kind)));
        kinds
            .filter(|_| self.nodes > 0)
            .map(|(fault, kind)| step(fault, kind, self.fixed_context()))
            .collect()
    }

    /// The selected faults of which no kind can ever be injected, each with the reason.
    pub fn impossible(&self, setting: &Setting) -> Vec<(String, String)> {
        let steps = self.kinds();
        let obstacle = |name: &&str| {
            let own = steps.iter().filter(|step| step.fault == *name);
            let obstacles: Option<Vec<String>> = own.map(|step| setting.obstacle(step)).collect();
            Some((name.to_string(), obstacles?.into_iter().next()?))
        };
        self.wanted.names().iter().filter_map(obstacle).collect()
    }

    /// The selected faults that the plan has no room for.
    pub fn without_room(&self) -> Vec<&'static str> {
        let mut left = self.wanted.names();
        for step in self.draw().take(STEPS_DRAWN_MAX) {
            left.retain(|name| step.fault != *name);
            if left.is_empty() {
                break;
            }
        }
        left
    }

    /// An interval that leaves room for every selected fault: the first, if this one is halved repeatedly.
    pub fn interval_with_room(&self) -> Option<u64> {
        let halved = std::iter::successors(Some(self.interval_ms), |ms| Some(ms / 2).filter(|ms| *ms > 0));
        halved.skip(1).find(|&interval_ms| Schedule { interval_ms, ..self.clone() }.without_room().is_empty())
    }

    /// Draws a step for random nodes.
    fn draw_step(
        &self,
        fault: &'static Fault,
        kind: &'static Kind,
        at_ms: u64,
        hold_ms: u64,
        rng: &mut ChaCha8Rng,
    ) -> Step {
        let mut order: Vec<NodeId> = (0..self.nodes).map(NodeId).collect();
        order.shuffle(rng);
        let mode = if rng.random() { CutMode::Stall } else { CutMode::Reset };
        let context = DrawContext { order, hold_ms, mode, rng: ChaCha8Rng::seed_from_u64(rng.random()) };
        Step { at_ms, ..step(fault, kind, context) }
    }
}

/// A schedule that is being drawn.
struct Drawing {
    schedule: Schedule,
    rng: ChaCha8Rng,
    decks: Vec<Deck>,
    round: Round,
    /// When the next step begins.
    at_ms: u64,
}

impl Drawing {
    fn new(schedule: Schedule) -> Drawing {
        let schedule = Schedule { interval_ms: schedule.interval_ms.max(1), ..schedule };
        let mut rng = ChaCha8Rng::seed_from_u64(schedule.seed);
        let decks = schedule.wanted.0.iter().map(|wanted| Deck::new(wanted, &mut rng)).collect();
        let at_ms = rng.random_range(schedule.interval_ms / 5..=schedule.interval_ms / 2);
        Drawing { schedule, rng, decks, round: Round::default(), at_ms }
    }

    /// The next step, and the step that joins it, if there is one.
    fn next(&mut self) -> Option<(Step, Option<Step>)> {
        let Drawing { schedule, rng, decks, round, at_ms } = self;
        if decks.is_empty() || schedule.nodes == 0 {
            return None;
        }
        let (begin_ms, interval_ms) = (*at_ms, schedule.interval_ms);
        let quiet_ms = interval_ms * 2 / 10;
        let deck = round.next(decks.len(), rng);
        let kind = decks[deck].next(rng);
        let mut period_ms = rng.random_range(interval_ms * 7 / 10..=interval_ms * 13 / 10);
        let hold_ms_min = HOLD_MS_MIN.min(period_ms / 4).max(1);
        let rounds_ms = tuning(decks[deck].fault, kind).rounds_ms;
        if let Some(rounds_ms) = rounds_ms {
            // In a short run other faults need time, too.
            let most_ms = (3 * period_ms).min(schedule.time_limit_ms / 5).max(period_ms);
            period_ms = rounds_ms.clamp(period_ms, most_ms);
        }
        let left_ms = schedule.time_limit_ms.saturating_sub(begin_ms + quiet_ms);
        let hold_ms_max = (period_ms * 8 / 10).min(left_ms);
        if hold_ms_max < hold_ms_min {
            return None;
        }
        let at_least_ms = if rounds_ms.is_some() { hold_ms_min.max(hold_ms_max / 2) } else { hold_ms_min };
        let hold_ms = rng.random_range(at_least_ms..=hold_ms_max);
        let step = schedule.draw_step(decks[deck].fault, kind, begin_ms, hold_ms, rng);
        let after_ms = rng.random_range(0..=hold_ms / 2);
        let nobody_is_left = takes_all_down(&step, schedule.nodes);
        let joins = |other: usize| {
            let (one, other) = (decks[deck].fault, decks[other].fault);
            let join = one.name != other.name && !one.alone && !other.alone;
            join && (!nobody_is_left || !schedule.needs_running(other))
        };
        let joining: Vec<usize> = (0..decks.len()).filter(|other| joins(*other)).collect();
        let joined = (!joining.is_empty() && rng.random() && hold_ms - after_ms >= hold_ms_min).then(|| {
            let hold_ms = rng.random_range(hold_ms_min..=hold_ms - after_ms);
            let deck = round.next_such(|other| joining.contains(&other), decks.len(), rng);
            let kind = decks[deck].next(rng);
            schedule.draw_step(decks[deck].fault, kind, begin_ms + after_ms, hold_ms, rng)
        });
        *at_ms += period_ms;
        Some((step, joined))
    }
}

/// Whether a step leaves no node running.
fn takes_all_down(step: &Step, nodes: usize) -> bool {
    let down: BTreeSet<NodeId> = step.acts.iter().filter_map(|timed| timed.act.takes_down()).collect();
    down.len() == nodes
}

/// Decides whose turn it is: each once in a shuffled round.
#[derive(Default)]
struct Round(Vec<usize>);

impl Round {
    fn next(&mut self, decks: usize, rng: &mut ChaCha8Rng) -> usize {
        if self.0.is_empty() {
            self.0 = shuffled(decks, rng);
        }
        self.0.pop().expect("filled above")
    }

    /// The next index that satisfies `such`; those that are passed over keep their turns.
    fn next_such(&mut self, such: impl Fn(usize) -> bool, decks: usize, rng: &mut ChaCha8Rng) -> usize {
        if !self.0.iter().any(|&deck| such(deck)) {
            self.0.splice(0..0, shuffled(decks, rng));
        }
        let at = self.0.iter().rposition(|&deck| such(deck)).expect("there is one");
        self.0.remove(at)
    }
}

fn shuffled(decks: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut round: Vec<usize> = (0..decks).collect();
    round.shuffle(rng);
    round
}

impl Schedule {
    /// Draws steps that all are this partition. Times and modes are the same as those of the fault
    /// `partition`.
    pub fn draw_grudge(&self, grudge: Grudge) -> impl Iterator<Item = Step> + Send + use<> {
        let partition = SelectedFault::whole(&crate::faults::partition::FAULT);
        let drawn = Schedule { wanted: FaultSelection(vec![partition]), ..self.clone() }.draw();
        drawn.map(move |step| {
            let acts = plan::cut_links(&grudge, plan::mode(&step.acts).unwrap_or(CutMode::Stall));
            Step { kind: "grudge".to_owned(), leader: None, follows_ms: Vec::new(), acts, ..step }
        })
    }
}

/// The step of a fault of one kind, beginning at 0.
fn step(fault: &Fault, kind: &Kind, mut context: DrawContext) -> Step {
    let follows_ms = if kind.aim == Aim::EachLeader { context.lags_ms() } else { Vec::new() };
    Step {
        at_ms: 0,
        hold_ms: context.hold_ms,
        fault: fault.name.to_owned(),
        kind: kind.name.to_owned(),
        leader: kind.at_leader().then(|| context.order[0]),
        follows_ms,
        drawn: true,
        acts: (fault.draw)(kind.name, &mut context),
    }
}

/// Exceptions for drawing one kind.
struct Tuning {
    fault: &'static str,
    kind: &'static str,
    /// How many times it is in a deck.
    copies: usize,
    /// Period of a fault that goes on in rounds, long enough for several rounds; at most three normal
    /// periods, or a fifth of the run.
    rounds_ms: Option<u64>,
}

/// From experience with the matrix of seeded bugs: which kinds detect most, and which ones need time.
const TUNED: [Tuning; 5] = [
    Tuning { fault: "partition", kind: "shifting-majority", copies: 12, rounds_ms: Some(6_000) },
    Tuning { fault: "partition", kind: "each-leader", copies: 1, rounds_ms: Some(6_000) },
    Tuning { fault: "kill", kind: "bridge", copies: 1, rounds_ms: Some(4_000) },
    Tuning { fault: "terminate", kind: "bridge", copies: 1, rounds_ms: Some(4_000) },
    Tuning { fault: "kill", kind: "all", copies: 3, rounds_ms: None },
];

const DEFAULT_TUNING: Tuning = Tuning { fault: "", kind: "", copies: 1, rounds_ms: None };

/// How a kind is drawn.
fn tuning(fault: &Fault, kind: &Kind) -> &'static Tuning {
    TUNED
        .iter()
        .find(|tuning| (tuning.fault, tuning.kind) == (fault.name, kind.name))
        .unwrap_or(&DEFAULT_TUNING)
}

/// The kinds of a selected fault, drawn so that kinds for the leader and others alternate.
struct Deck {
    fault: &'static Fault,
    /// The two groups of kinds, and what is left of each in its deck. A group that is not selected is empty.
    sorts: [(Vec<&'static Kind>, Vec<&'static Kind>); 2],
    turn: usize,
}

impl Deck {
    fn new(wanted: &SelectedFault, rng: &mut ChaCha8Rng) -> Deck {
        let often = |kind: &&'static Kind| std::iter::repeat_n(*kind, tuning(wanted.fault, kind).copies);
        let (at_leader, others) = wanted.kinds.iter().flat_map(often).partition(|kind| kind.at_leader());
        let sorts = [(at_leader, Vec::new()), (others, Vec::new())];
        Deck { fault: wanted.fault, sorts, turn: rng.random_range(0..2) }
    }

    fn next(&mut self, rng: &mut ChaCha8Rng) -> &'static Kind {
        self.turn = 1 - self.turn;
        if self.sorts[self.turn].0.is_empty() {
            self.turn = 1 - self.turn;
        }
        let (all, left) = &mut self.sorts[self.turn];
        if left.is_empty() {
            left.clone_from(all);
            left.shuffle(rng);
        }
        left.pop().expect("a wanted fault has kinds")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::Plan;

    fn schedule(wanted: &str, seed: u64, nodes: usize, interval_ms: u64, time_limit_ms: u64) -> Schedule {
        Schedule { wanted: wanted.parse().expect("faults"), seed, nodes, interval_ms, time_limit_ms }
    }

    fn draw(wanted: &str, seed: u64, nodes: usize, interval_ms: u64, time_limit_ms: u64) -> Plan {
        let steps = schedule(wanted, seed, nodes, interval_ms, time_limit_ms).draw().collect();
        Plan { steps, ..Plan::default() }
    }

    /// A year of faults is drawn only as far as needed, and begins like a shorter run.
    #[test]
    fn a_plan_is_drawn_lazily() {
        const YEAR_MS: u64 = 365 * 24 * 3_600_000;
        let year = schedule("kill,pause,partition", 7, 5, 2_000, YEAR_MS);
        let beginning: Vec<Step> = year.draw().take(200).collect();
        let hour = draw("kill,pause,partition", 7, 5, 2_000, 3_600_000).steps;
        assert_eq!(beginning, hour[..200]);
        let drawn = vec![plan::Drawn { begin_ms: 500, schedule: year, grudge: None }];
        let plan = Plan { steps: hour[..1].to_vec(), drawn, ..Plan::default() };
        let times: Vec<u64> = plan.in_order().take(100).map(|step| step.at_ms).collect();
        assert!(
            times.is_sorted() && times[0] == hour[0].at_ms && times[1] == hour[0].at_ms + 500,
            "{times:?}"
        );
        let possible = plan.possible_steps().count();
        let kinds = ["kill", "pause", "partition"]
            .map(|name| FAULTS.iter().find(|fault| fault.name == name).expect("a usual fault").kinds.len());
        assert_eq!(possible, 1 + kinds.iter().sum::<usize>());
    }

    #[test]
    fn fault_selections_parse_back() {
        for text in ["none", "kill", "kill,pause", "partition:bridge+halves,kill:leader"] {
            assert_eq!(text.parse::<FaultSelection>().expect(text).to_string(), text);
        }
        assert_eq!("usual".parse::<FaultSelection>().expect("a set").names(), ["kill", "pause", "partition"]);
        let all = "all".parse::<FaultSelection>().expect("a set").names();
        assert!(FAULTS.iter().all(|fault| all.contains(&fault.name)), "{all:?}");
        assert_eq!(" pause , kill ".parse::<FaultSelection>().expect("spaces").to_string(), "pause,kill");
    }

    #[test]
    fn an_unknown_fault_gets_a_suggestion() {
        for (text, error) in [
            ("partion", "there is no fault `partion`: did you mean `partition`?"),
            (
                "weather",
                "there is no fault `weather`: expected one of kill, pause, partition, clients, degrade, terminate, corrupt, clock, starve, limits, power, torn-write, disk-full, disk-error, slow-disk, bitflip, truncate, wipe, restore, loss, membership, transfer, usual, all, none",
            ),
            ("kill:leadr", "there is no kind of kill `leadr`: did you mean `leader`?"),
            ("kill,kill:one", "kill is named twice"),
            ("kill,none", "`none` cannot be combined with other faults"),
        ] {
            assert_eq!(text.parse::<FaultSelection>().expect_err(text).to_string(), error);
        }
    }

    #[test]
    fn a_seed_always_gives_the_same_plan() {
        let plan = draw("pause,partition:isolate-leader+halves", 4, 3, 2000, 6_000);
        let told: Vec<String> = plan
            .steps
            .iter()
            .map(|step| {
                let acts: Vec<String> = step.acts.iter().map(ToString::to_string).collect();
                format!("{} +{} {} {}: {}", step.at_ms, step.hold_ms, step.fault, step.kind, acts.join(", "))
            })
            .collect();
        assert_eq!(
            told,
            [
                "441 +593 partition isolate-leader: cut n1>n2 stall, cut n1>n3 stall, cut n2>n1 stall, cut n3>n1 stall",
                "583 +306 pause leader: pause n3",
                "2755 +913 pause rolling: pause n1, @304 resume n1, @304 pause n2, @608 resume n2, @608 pause n3",
                "5245 +328 partition halves: cut n1>n2 reset, cut n1>n3 reset, cut n2>n1 reset, cut n3>n1 reset",
            ]
        );
    }

    #[test]
    fn a_literal_grudge_is_repeated() {
        let grudge: Grudge = "n1>n2,n3|n4".parse().expect("a grudge");
        let wanted = "none".parse().expect("no faults");
        let plan = Schedule { wanted, seed: 3, nodes: 5, interval_ms: 1000, time_limit_ms: 20_000 };
        let steps: Vec<Step> = plan.draw_grudge(grudge.clone()).collect();
        assert!(steps.len() > 10, "{steps:?}");
        assert!(steps.iter().all(|step| plan::grudge(&step.acts) == grudge && step.leader.is_none()));
        let modes: Vec<_> = steps.iter().map(|step| plan::mode(&step.acts)).collect();
        assert!(modes.contains(&Some(CutMode::Stall)) && modes.contains(&Some(CutMode::Reset)));
    }

    #[test]
    fn half_a_minute_has_every_fault_and_every_kind_of_target() {
        for seed in 0..200 {
            let plan = draw("kill,pause,partition", seed, 5, 5000, 30_000);
            let mut seen: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
            for step in &plan.steps {
                seen.entry(&step.fault).or_default()[usize::from(step.leader.is_some())] += 1;
            }
            assert_eq!(seen.len(), 3, "seed {seed}");
            assert!((5..=14).contains(&plan.steps.len()), "seed {seed}: {}", plan.steps.len());
            for [others, at_leader] in seen.into_values() {
                assert!(others.abs_diff(at_leader) <= 1, "seed {seed}");
            }
        }
    }

    #[test]
    fn tuned_kinds_exist() {
        for Tuning { fault, kind, .. } in TUNED {
            let wanted = format!("{fault}:{kind}");
            assert!(wanted.parse::<FaultSelection>().is_ok(), "{wanted}");
        }
    }

    #[test]
    fn seven_seconds_have_every_fault() {
        for seed in 0..200 {
            let plan = draw("kill,pause,partition", seed, 5, 2000, 7_000);
            let seen: BTreeSet<&str> = plan.steps.iter().map(|step| step.fault.as_str()).collect();
            assert_eq!(seen.len(), 3, "seed {seed}: {plan:?}");
        }
    }

    #[test]
    fn a_long_plan_has_every_kind_in_proportion() {
        let every: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        let plan = draw(&every.join(","), 7, 5, 1000, 1_000_000);
        let mut kinds: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for step in &plan.steps {
            *kinds.entry((&step.fault, &step.kind)).or_default() += 1;
        }
        assert_eq!(kinds.len(), FAULTS.iter().map(|fault| fault.kinds.len()).sum::<usize>());
        for fault in FAULTS {
            let of_fault: usize =
                kinds.iter().filter(|((name, _), _)| *name == fault.name).map(|(_, n)| n).sum();
            let at_leader =
                plan.steps.iter().filter(|step| step.fault == fault.name && step.leader.is_some());
            assert!(of_fault.abs_diff(plan.steps.len() / FAULTS.len()) <= 1);
            assert!((2 * at_leader.count()).abs_diff(of_fault) <= 1);
            for at_leader in [true, false] {
                let of_sort = fault.kinds.iter().filter(|kind| kind.at_leader() == at_leader);
                let deals = of_sort.map(|kind| kinds[&(fault.name, kind.name)] / tuning(fault, kind).copies);
                let (least, most) =
                    deals.fold((usize::MAX, 0), |(least, most), n| (least.min(n), most.max(n)));
                assert!(most.saturating_sub(least) <= 1, "{}: {least} to {most} deals", fault.name);
            }
        }
    }

    #[test]
    fn every_other_fault_is_joined_by_a_different_one() {
        let plan = draw("kill,pause,partition", 3, 5, 3000, 1_000_000);
        let (mut alone, mut joined) = (0, 0);
        for pair in plan.steps.windows(2) {
            if pair[1].at_ms < pair[0].at_ms + pair[0].hold_ms {
                assert_ne!(pair[0].fault, pair[1].fault);
                joined += 1;
            } else {
                alone += 1;
            }
        }
        assert!((100..200).contains(&joined) && alone > 250, "{joined} joined, {alone} not");
        assert!(draw("kill", 3, 5, 3000, 1_000_000).steps.len() < 400, "alone, a fault is never joined");
        let plan = draw("kill,wipe,pause,restore", 3, 5, 3000, 1_000_000);
        let joined = plan.steps.windows(2).filter(|pair| pair[1].at_ms < pair[0].at_ms + pair[0].hold_ms);
        let faults: BTreeSet<&str> = joined.flatten().map(|step| step.fault.as_str()).collect();
        assert_eq!(faults, BTreeSet::from(["kill", "pause"]), "nobody meddles with files that are damaged");
    }

    #[test]
    fn no_node_is_paused_while_all_are_down() {
        for seed in 0..200 {
            let steps = draw("kill:all,pause", seed, 3, 2000, 30_000).steps;
            let joins = |pair: &&[Step]| pair[1].at_ms < pair[0].at_ms + pair[0].hold_ms;
            let joined = steps.windows(2).filter(joins).find(|pair| pair[0].fault == "kill");
            assert!(joined.is_none(), "seed {seed}: {joined:?}");
            assert!(steps.iter().any(|step| step.fault == "pause"), "seed {seed}: its turn comes");
        }
    }

    proptest! {
        #[test]
        fn faults_join_or_are_followed_by_quiet_and_end_in_time(
            seed: u64,
            nodes in 0..9usize,
            interval_ms in 0..20_000u64,
            time_limit_ms in 0..120_000u64,
        ) {
            let every: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
            let plan = draw(&every.join(","), seed, nodes, interval_ms, time_limit_ms);
            let quiet_ms = interval_ms.max(1) / 10;
            let ends = |step: &Step| step.at_ms + step.hold_ms;
            for (at, step) in plan.steps.iter().enumerate() {
                // A step that begins during the hold also ends during it, and a quiet time follows.
                let (joining, later): (Vec<&Step>, Vec<&Step>) =
                    plan.steps[at + 1..].iter().partition(|other| other.at_ms <= ends(step));
                prop_assert!(joining.len() <= 1 && joining.iter().all(|other| ends(other) <= ends(step)));
                let next_ms = later.first().map_or(time_limit_ms, |next| next.at_ms);
                prop_assert!(ends(step) + quiet_ms <= next_ms, "{:?} before {}", step, next_ms);
                prop_assert!(step.acts.iter().all(|timed| timed.after_ms < step.hold_ms.max(1)));
                prop_assert_eq!(plan::unknown_node(&step.acts, nodes), None);
                prop_assert!(step.leader.is_none_or(|leader| leader.0 < nodes));
            }
        }
    }
}
