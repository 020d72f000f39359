//! A model behind the checker's own interface: what the rest of the crate needs of it, without its types.
//!
//! Engines are generic over the model, because their inner loops are. Everything around them (splitting, explaining,
//! shrinking, the command line's choice of a model) only ever needs the few questions below.

use std::sync::atomic::AtomicBool;

use crate::decision::Decision;
use crate::dfs::{self, Found, Watch};
use crate::limits::{Limit, Limits, Meter};
use crate::model::Model;
use crate::op::Op;
use crate::part::Part;
use crate::space::Space;
use crate::witness::{self, Stuck};

/// What was decided about one part, and at what cost.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    /// [`Decision::Declined`] when a limit was reached: see `stopped`.
    pub(crate) decision: Decision,
    /// Which limit was reached, and how many of the definite operations were in order by then, at best.
    pub(crate) stopped: Option<(Limit, usize)>,
    /// The definite operations, of which `stopped` counts.
    pub(crate) definite: usize,
    /// Which algorithm answered.
    pub(crate) engine: &'static str,
    /// Configurations explored.
    pub(crate) states: u64,
    /// The largest number of configurations held at once; 0 where the algorithm holds none.
    pub(crate) frontier_max: usize,
}

/// The event at which no configuration survived, and what there was before it. Operations by their positions in the
/// slice that was given.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The operation whose completion no configuration survived.
    pub(crate) witness: usize,
    /// Some of the deepest configurations before it, at most as many as were asked for.
    pub(crate) configurations: Vec<Deepest>,
}

/// One configuration before the failure.
#[derive(Clone, Debug)]
pub(crate) struct Deepest {
    /// Its state, as people read it.
    pub(crate) state: String,
    /// The legal order that leads to it. Replay it, and one more operation, to learn why that one cannot come next.
    pub(crate) order: Vec<usize>,
    /// Operations pending at the failure that it has put in order, by time of invocation.
    pub(crate) used: Vec<usize>,
    /// Operations pending at the failure that it has not.
    pub(crate) unused: Vec<usize>,
}

/// What the rest of the crate asks of a model.
pub(crate) trait Judge: Sync {
    /// The model's name.
    fn name(&self) -> &str;

    /// Whether every operation means something to the model, and if not, what was expected.
    fn fits(&self, op: &Op) -> Result<(), String>;

    /// Decides the operations of one object, by search. Operations that do not fit make it decline.
    fn decide(&self, ops: &[&Op], limits: &Limits<'_>, cancelled: Option<&AtomicBool>) -> Decided;

    /// Searches again, for the evidence of a violation: `None` if there is none, or a limit came first.
    fn frontier_at_failure(
        &self,
        ops: &[&Op],
        limits: &Limits<'_>,
        configurations_max: usize,
    ) -> Option<Failure>;

    /// Runs an order of positions through the model alone: the state it leads to, or where it gets stuck.
    fn replay(&self, ops: &[&Op], order: &[usize]) -> Result<String, Stuck>;

    /// Whether an order of positions is a linearization, and if not, why.
    fn certify(&self, ops: &[&Op], order: &[usize]) -> Result<(), String>;
}

impl<M: Model> Judge for M {
    fn name(&self) -> &str {
        Model::name(self)
    }

    fn fits(&self, op: &Op) -> Result<(), String> {
        self.parse(op).map(drop)
    }

    fn decide(&self, ops: &[&Op], limits: &Limits<'_>, cancelled: Option<&AtomicBool>) -> Decided {
        let mut decided = Decided {
            decision: Decision::Declined,
            stopped: None,
            definite: 0,
            engine: "depth-first",
            states: 0,
            frontier_max: 0,
        };
        let Ok(part) = Part::new(self, ops) else { return decided };
        let mut meter = Meter::new(limits, cancelled);
        let found = dfs::search(&part, &mut Space::new(self, &part.classes), &mut meter, None);
        decided.definite = part.definite();
        decided.states = meter.states();
        match found {
            Found::Order(order) => decided.decision = Decision::Legal { order: positions(&part, &order) },
            Found::Wall(wall) => decided.decision = Decision::Illegal { conflict: positions(&part, &[wall]) },
            Found::Stopped(limit, reached) => decided.stopped = Some((limit, reached)),
        }
        decided
    }

    fn frontier_at_failure(
        &self,
        ops: &[&Op],
        limits: &Limits<'_>,
        configurations_max: usize,
    ) -> Option<Failure> {
        let part = Part::new(self, ops).ok()?;
        let mut space = Space::new(self, &part.classes);
        let Found::Wall(wall) = dfs::search(&part, &mut space, &mut Meter::new(limits, None), None) else {
            return None;
        };
        let mut watch = Watch { wall, orders: Vec::new(), orders_max: configurations_max };
        dfs::search(&part, &mut space, &mut Meter::new(limits, None), Some(&mut watch));
        let witness = part.ops[wall as usize].at as usize;
        let end = ops[witness].ret();
        let configuration = |order: &Vec<u32>| {
            let order = positions(&part, order);
            // Pending at the failure: called by then, and not returned before the witness was.
            let mut pending: Vec<usize> = part.ops.iter().map(|op| op.at as usize).collect();
            pending.retain(|&at| ops[at].call <= end && ops[at].ret() >= end);
            let (used, unused) = pending.into_iter().partition(|at| order.contains(at));
            let state = self.replay(ops, &order).unwrap_or_else(|stuck| stuck.state);
            Deepest { state, order, used, unused }
        };
        Some(Failure { witness, configurations: watch.orders.iter().map(configuration).collect() })
    }

    fn replay(&self, ops: &[&Op], order: &[usize]) -> Result<String, Stuck> {
        witness::replay(self, ops, order)
    }

    fn certify(&self, ops: &[&Op], order: &[usize]) -> Result<(), String> {
        witness::certify(self, ops, order)
    }
}

/// Numbers of the part as positions in the slice it was made from.
fn positions<C>(part: &Part<C>, numbers: &[u32]) -> Vec<usize> {
    numbers.iter().map(|&i| part.ops[i as usize].at as usize).collect()
}
