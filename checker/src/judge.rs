//! A model behind an object-safe interface: what the rest of the crate needs from a model, without its types.
//!
//! The engines are generic over the model, because their inner loops have to be fast. The code around them
//! (splitting, explaining, shrinking, the choice of a model by name) uses only the methods of [`Judge`].

use std::fmt;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::beam::{self, Evidence, Search, SearchEnd};
use crate::decision::Decision;
use crate::dfs::{self, Mode};
use crate::explain::Subject;
use crate::fast::FastPath;

#[cfg(any(test, feature = "generate"))]
use crate::generate::SplitMix64;
#[cfg(any(test, feature = "generate"))]
use crate::history::History;
use crate::limits::{Limit, Limits, Meter};
use crate::model::Model;
use crate::online::{ByKey, KeyStream, Keys};
use crate::op::Op;
use crate::optimistic;
use crate::part::{self, Event, Misfit, Part, Reading};
#[cfg(any(test, feature = "generate"))]
use crate::small::{self, Menu};
use crate::space::{Effect, ModelSpace, Space, StateId};
use crate::split;
use crate::ties::{After, Ties};
use crate::verdict::Front;
use crate::verify;
use crate::witness::{self, Stuck};

/// The search engines that a caller can choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// The exact algorithms for special histories; then a short depth-first search; then the frontier engine.
    #[default]
    Auto,
    /// As [`Engine::Auto`], without the exact algorithms.
    Search,
    /// Only the frontier engine.
    Frontier,
    /// The plain depth-first search: slow, and the reference for all other engines.
    DepthFirst,
}

/// The algorithm that decided a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// The search had not begun.
    None,
    /// The depth-first search.
    DepthFirst,
    /// The frontier engine.
    Frontier,
    /// An exact algorithm for a special kind of history.
    #[serde(untagged)]
    Fast(FastPath),
}

impl fmt::Display for Algorithm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Algorithm::None => "none",
            Algorithm::DepthFirst => "depth-first",
            Algorithm::Frontier => "frontier",
            Algorithm::Fast(path) => path.name(),
        })
    }
}

/// The settings for deciding a part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand<'a> {
    pub(crate) engine: Engine,
    pub(crate) limits: &'a Limits<'a>,
    /// The search stops early when this becomes true.
    pub(crate) cancelled: Option<&'a AtomicBool>,
    /// Whether to return the order of a legal part. Without it the engine may leave the order empty.
    pub(crate) order: bool,
}

/// The decision about one part, and its cost.
#[derive(Clone, Debug)]
pub(crate) struct PartResult {
    /// [`Decision::Declined`] if a limit was reached: see `stopped`.
    pub(crate) decision: Decision,
    /// The limit that was reached, and how many definite operations the best configuration had in order by
    /// then.
    pub(crate) stopped: Option<(Limit, usize)>,
    /// The number of definite operations, of which `stopped` counts some.
    pub(crate) definite: usize,
    /// The algorithm that decided.
    pub(crate) engine: Algorithm,
    /// Configurations explored.
    pub(crate) states: u64,
    /// The largest number of configurations held at once; 0 if the algorithm holds none.
    pub(crate) frontier_max: usize,
    /// The number of configurations after some of the returns, by time; empty if the algorithm holds none. If
    /// the object was searched in components: the numbers of the component with the largest frontier.
    pub(crate) frontier: Vec<Front>,
    /// The first operation that has no meaning to the model; the part is undecided then.
    pub(crate) misfit: Option<Misfit>,
}

impl PartResult {
    /// The result for a part that was never started, because a violation was found elsewhere.
    pub(crate) fn not_started() -> Self {
        PartResult { stopped: Some((Limit::Cancelled, 0)), ..PartResult::undecided(Algorithm::None) }
    }

    fn unfit(misfit: Misfit) -> Self {
        PartResult { misfit: Some(misfit), ..PartResult::undecided(Algorithm::None) }
    }

    /// An empty result.
    fn undecided(engine: Algorithm) -> Self {
        PartResult {
            decision: Decision::Declined,
            stopped: None,
            definite: 0,
            engine,
            states: 0,
            frontier_max: 0,
            frontier: Vec::new(),
            misfit: None,
        }
    }
}

/// The event that no configuration survived, and the configurations before it. Operations are positions in
/// the given slice.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The operation whose completion no configuration survived.
    pub(crate) witness: usize,
    /// Some of the deepest configurations before it, at most the number requested.
    pub(crate) configurations: Vec<Deepest>,
}

/// One configuration before the failure.
#[derive(Clone, Debug)]
pub(crate) struct Deepest {
    /// Its state in readable form.
    pub(crate) state: String,
    /// A legal order that leads to it. To learn why an operation cannot come next, replay this order followed
    /// by that operation.
    pub(crate) order: Vec<usize>,
    /// Operations pending at the failure that this configuration has put in order, by time of invocation.
    pub(crate) used: Vec<usize>,
    /// Operations pending at the failure that it has not put in order.
    pub(crate) unused: Vec<usize>,
}

/// The interface of a model to the rest of the crate.
pub(crate) trait Judge: Sync {
    fn name(&self) -> &str;

    /// Checks that an operation has a meaning to the model; the error says what was expected. Operations that
    /// certainly did not happen need no meaning.
    fn fits(&self, op: &Op) -> Result<(), String>;

    /// See [`Model::describe`].
    fn describe(&self) -> Subject;

    /// See [`Model::has_unusual_start`].
    fn has_unusual_start(&self) -> bool;

    /// Whether an order exists that keeps each process's own order (sequential consistency); `None` once the
    /// search exceeds `states_max` configurations.
    fn sequential(&self, ops: &[&Op], states_max: usize) -> Option<bool>;

    /// Whether an operation, with its recorded result, never changes any state (or has no effect on the check
    /// at all).
    fn only_observes(&self, op: &Op) -> bool;

    /// Decides the operations of one object.
    fn decide(&self, ops: &[&Op], demand: Demand<'_>) -> PartResult;

    /// Repeats the search to collect the evidence of a violation. `None` if there is no violation or a limit
    /// was reached first.
    fn frontier_at_failure(
        &self,
        ops: &[&Op],
        limits: &Limits<'_>,
        configurations_max: usize,
    ) -> Option<Failure>;

    /// An incremental check, fed with events.
    fn keys(&self) -> Box<dyn Keys + Send + '_>;

    /// See [`small::history_with`].
    #[cfg(any(test, feature = "generate"))]
    fn small_history(&self, random: &mut SplitMix64, menu: Menu, ops_max: u64) -> History;

    /// See [`small::by_definition_with`].
    #[cfg(any(test, feature = "generate"))]
    fn by_definition(&self, ops: &[Op]) -> bool;

    /// Runs an order of positions through the plain model. Returns the final state, or where the replay got
    /// stuck.
    fn replay(&self, ops: &[&Op], order: &[usize]) -> Result<String, Stuck>;

    /// Whether an order of positions is a linearization; the error says why not.
    fn certify(&self, ops: &[&Op], order: &[usize]) -> Result<(), String>;

    /// See [`verify::enumerate`].
    fn enumerate(&self, ops: &[&Op], configurations_max: usize) -> Option<bool>;
}

impl<M: Model> Judge for M {
    fn name(&self) -> &str {
        Model::name(self)
    }

    fn fits(&self, op: &Op) -> Result<(), String> {
        if op.is_fail() { Ok(()) } else { self.parse(op).map(drop) }
    }

    fn describe(&self) -> Subject {
        Model::describe(self)
    }

    fn has_unusual_start(&self) -> bool {
        Model::has_unusual_start(self)
    }

    fn sequential(&self, ops: &[&Op], states_max: usize) -> Option<bool> {
        crate::explain::sequential(self, ops, states_max)
    }

    fn only_observes(&self, op: &Op) -> bool {
        self.parse(op).is_ok_and(|call| call.is_none_or(|call| self.read_only(&call)))
    }

    fn decide(&self, ops: &[&Op], demand: Demand<'_>) -> PartResult {
        let Some(ties) = Ties::of(ops) else { return decide(self, ops, None, demand) };
        let apart = ties.apart(ops);
        let mut decided = decide(self, &apart.iter().collect::<Vec<_>>(), Some(&ties), demand);
        decided.frontier.iter_mut().for_each(|front| front.at = ties.recorded(front.at));
        decided
    }

    fn frontier_at_failure(
        &self,
        ops: &[&Op],
        limits: &Limits<'_>,
        configurations_max: usize,
    ) -> Option<Failure> {
        let ties = Ties::of(ops);
        let apart = ties.as_ref().map(|ties| ties.apart(ops));
        let apart: Option<Vec<&Op>> = apart.as_ref().map(|apart| apart.iter().collect());
        let after = ties.map(|ties| ties.after).unwrap_or_default();
        let mut space = ModelSpace::new(self);
        let mut readings = part::read(&mut space, apart.as_deref().unwrap_or(ops), &after).ok()?;
        let part = Part::new(&mut readings, &after);
        space.merge_states();
        let (mut failure, states) = failure(&part, &mut space, limits, configurations_max)?;
        for (configuration, state) in failure.configurations.iter_mut().zip(states) {
            // Merged states stand for several; the replay of the order shows the true one.
            let merged = space.merges_states();
            let shown = if merged { witness::replay(self, ops, &configuration.order).ok() } else { None };
            configuration.state = shown.unwrap_or_else(|| self.show(space.state(state)));
        }
        Some(failure)
    }

    fn keys(&self) -> Box<dyn Keys + Send + '_> {
        Box::new(ByKey::<KeyStream<'_, M>>::new(self))
    }

    #[cfg(any(test, feature = "generate"))]
    fn small_history(&self, random: &mut SplitMix64, menu: Menu, ops_max: u64) -> History {
        small::history_with(random, self, menu, ops_max)
    }

    #[cfg(any(test, feature = "generate"))]
    fn by_definition(&self, ops: &[Op]) -> bool {
        small::by_definition_with(self, ops)
    }

    fn replay(&self, ops: &[&Op], order: &[usize]) -> Result<String, Stuck> {
        witness::replay(self, ops, order)
    }

    fn certify(&self, ops: &[&Op], order: &[usize]) -> Result<(), String> {
        witness::certify(self, ops, order)
    }

    fn enumerate(&self, ops: &[&Op], configurations_max: usize) -> Option<bool> {
        verify::enumerate(self, ops, configurations_max)
    }
}

/// Searches for the failure. The configurations' states are returned by number, and not shown yet.
fn failure(
    part: &Part,
    space: &mut Space<'_>,
    limits: &Limits<'_>,
    configurations_max: usize,
) -> Option<(Failure, Vec<StateId>)> {
    let evidence = Evidence::Deepest(configurations_max);
    let search = beam::search(part, space, &mut Meter::new(limits, None), evidence, false);
    let Search { found: SearchEnd::Wall(wall), deepest, .. } = search else { return None };
    let wall = part.ops[wall as usize];
    // Operations invoked by then (they are numbered by invocation) that had not returned before.
    let called =
        part.events[..wall.returns as usize].iter().filter(|event| matches!(event, Event::Call(_))).count();
    let pending = (0..called as u32).filter(|&op| part.ops[op as usize].returns >= wall.returns);
    let pending: Vec<u32> = pending.collect();
    let configuration = |(order, state): (Vec<u32>, StateId)| {
        let (used, unused): (Vec<u32>, Vec<u32>) = pending.iter().partition(|op| order.contains(op));
        let [order, used, unused] = [order, used, unused].map(|numbers| part.positions(&numbers));
        (Deepest { state: String::new(), order, used, unused }, state)
    };
    let (configurations, states) = deepest.into_iter().map(configuration).unzip();
    Some((Failure { witness: wall.at as usize, configurations }, states))
}

/// Decides operations where no process continues in the instant in which its operation returns, except for
/// those that `ties` lists.
fn decide<M: Model>(model: &M, ops: &[&Op], ties: Option<&Ties>, demand: Demand<'_>) -> PartResult {
    let none = After::new();
    let after = ties.map_or(&none, |ties| &ties.after);
    if demand.engine == Engine::Auto
        && let Some(path) = model.fast_path()
        && let Some(result) = fast_result(path, ops, ties, &|op| model.fits(op))
    {
        return result;
    }
    let mut decided = PartResult::undecided(Algorithm::DepthFirst);
    let mut meter = Meter::new(demand.limits, demand.cancelled);
    let mut space = ModelSpace::new(model);
    let readings = match part::read(&mut space, ops, after) {
        Ok(readings) => readings,
        Err(misfit) => return PartResult::unfit(misfit),
    };
    let components = match demand.engine {
        Engine::DepthFirst => None,
        // Operations of one process in one instant may belong to different components, whose order would be
        // lost.
        _ if !after.is_empty() => None,
        Engine::Auto | Engine::Search | Engine::Frontier => split::components(&space, &readings),
    };
    let Some(components) = components else {
        if demand.engine != Engine::DepthFirst {
            space.merge_states();
        }
        search(&mut space, ops, readings, after, demand, &mut meter, &mut decided);
        return decided;
    };
    let mut orders = Vec::new();
    for readings in components {
        let (mut space, readings) = split::alone(&space, readings);
        search(&mut space, ops, readings, after, demand, &mut meter, &mut decided);
        if !collect_order(&mut decided.decision, &mut orders) {
            return decided;
        }
    }
    decided.decision = match decided.stopped {
        Some(_) => Decision::Declined,
        None => Decision::Legal { order: split::merge(ops, &orders) },
    };
    decided
}

/// Takes the order of a component. Returns whether to search the others, too.
fn collect_order(decision: &mut Decision, orders: &mut Vec<Vec<usize>>) -> bool {
    match decision {
        Decision::Legal { order } => orders.push(std::mem::take(order)),
        Decision::Illegal { .. } => return false,
        // Continue: another component may still have a violation.
        Decision::Declined => {}
    }
    true
}

/// The result of an exact algorithm; `None` if it declines.
fn fast_result(
    path: FastPath,
    ops: &[&Op],
    ties: Option<&Ties>,
    fits: &dyn Fn(&Op) -> Result<(), String>,
) -> Option<PartResult> {
    let decision = fast(path, ops, ties);
    if decision == Decision::Declined {
        return None;
    }
    Some(match part::misfit(ops, fits) {
        Some(misfit) => PartResult::unfit(misfit),
        None => PartResult { decision, ..PartResult::undecided(Algorithm::Fast(path)) },
    })
}

/// Decides by an exact algorithm, which ignores the order that ties require. A violation without that order
/// is a violation with it. A legal order counts only if it keeps that order. If the first one does not, a
/// second attempt gets stricter times, which exclude some legal orders too.
fn fast(path: FastPath, ops: &[&Op], ties: Option<&Ties>) -> Decision {
    let decision = path.decide(ops);
    match (&decision, ties) {
        (Decision::Legal { order }, Some(ties)) if !ties.agree(order) => {
            let in_order = ties.in_order(ops);
            match path.decide(&in_order.iter().collect::<Vec<_>>()) {
                Decision::Legal { order } => Decision::Legal { order },
                _ => Decision::Declined,
            }
        }
        _ => decision,
    }
}

/// Decides one object and adds the cost to `decided`.
fn search(
    space: &mut Space<'_>,
    ops: &[&Op],
    mut readings: Vec<Reading>,
    after: &After,
    demand: Demand<'_>,
    meter: &mut Meter<'_>,
    decided: &mut PartResult,
) {
    let mut part = Part::new(&mut readings, after);
    let soon = match demand.engine {
        Engine::Auto | Engine::Search => optimistic::search(&part, space, meter, optimistic::Attempt::First),
        Engine::DepthFirst => {
            Some(dfs::search(&part, space, meter, Mode::Plain).expect("the plain search never gives up"))
        }
        Engine::Frontier => None,
    };
    let found = soon.unwrap_or_else(|| {
        space.learn_effects();
        let before = readings.len();
        readings.retain(|reading| !reading.indeterminate || space.effect(reading.class) != Effect::Observes);
        if readings.len() < before {
            part = Part::new(&mut readings, after);
        }
        let evidence = if demand.order { Evidence::Order } else { Evidence::None };
        let search = beam::search(&part, space, meter, evidence, demand.engine != Engine::Frontier);
        decided.engine = Algorithm::Frontier;
        if search.frontier_max > decided.frontier_max {
            decided.frontier_max = search.frontier_max;
            let at = |event: u32| part.time(event, ops);
            let fronts = search.profile.peaks().map(|(event, size)| Front { at: at(event), size });
            decided.frontier = fronts.collect();
        }
        search.found
    });
    decided.definite += part.definite();
    decided.states = meter.states();
    match found {
        SearchEnd::Order(order) => {
            decided.decision = Decision::Legal { order: part.positions(&order) };
            if let Some((_, reached)) = &mut decided.stopped {
                *reached += part.definite();
            }
        }
        SearchEnd::Wall(wall) => decided.decision = Decision::Illegal { conflict: part.positions(&[wall]) },
        SearchEnd::Stopped(limit, reached) => {
            let before = decided.stopped.map_or(decided.definite - part.definite(), |(_, before)| before);
            decided.stopped = Some((limit, before + reached));
        }
    }
}
