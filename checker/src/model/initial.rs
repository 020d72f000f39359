//! Objects that hold something before the first operation of the recording.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    CasRegister, Chain, ConvergentSet, Counter, Fenced, FencingLock, Fifo, Ids, Kv, Log, Model, ModelKind,
    MultiRegister, Mutex, Objects, OrderedIds, Queue, Register, Semaphore, Set, Stack, UnorderedQueue,
};
use crate::explain::Subject;
use crate::fast::FastPath;
use crate::history::History;
use crate::judge::Judge;
use crate::model::{Representative, Sources};
use crate::op::{Op, Value};

/// The values that the objects of a history hold before any operation: for every key, or for some keys.
///
/// | model | value |
/// |---|---|
/// | register, cas-register, kv | any value |
/// | multi-register | a value for every register, or a list of `[name, value]` |
/// | counter | an integer |
/// | set, convergent-set, queue, stack, unordered-queue, log, ids | a list of elements |
/// | mutex | the client that holds it, an integer |
/// | fencing-lock, ordered-ids | the last token, or the last identifier, an integer |
/// | semaphore | how many permits there are |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initial {
    objects: Objects,
    usual: Option<Value>,
    of_keys: BTreeMap<Value, Value>,
}

/// The judges of some keys.
type JudgesOfKeys = BTreeMap<Value, Box<dyn Judge>>;

impl Initial {
    /// No values: every object starts as the model defines.
    pub fn new(objects: impl Into<Objects>) -> Self {
        Initial { objects: objects.into(), usual: None, of_keys: BTreeMap::new() }
    }

    /// Adds a value for one key, or for all keys that have no value of their own.
    ///
    /// # Errors
    /// The expected shape, if no object of the model can hold this value.
    pub fn with(mut self, key: Option<Value>, value: Value) -> Result<Self, String> {
        starting(self.objects.of_key(key.as_ref().unwrap_or(&Value::Nil))?, &value, &BTreeSet::new())?;
        match key {
            Some(key) => drop(self.of_keys.insert(key, value)),
            None => self.usual = Some(value),
        }
        Ok(self)
    }

    /// The objects.
    pub fn objects(&self) -> Objects {
        self.objects
    }

    /// The judges of the objects of this history: the default, and those of some keys.
    pub(crate) fn judges(&self, history: &History) -> (Option<Box<dyn Judge>>, JudgesOfKeys) {
        let judge = |key: Option<&Value>, value: &Value| {
            let ops = history.ops.iter().filter(|op| key.is_none_or(|key| op.key == *key));
            let kind = self.objects.of_key(key.unwrap_or(&Value::Nil)).ok()?;
            starting(kind, value, &registers(ops)).ok()
        };
        let usual = self.usual.as_ref().and_then(|value| judge(None, value));
        let of_key = |(key, value): (&Value, &Value)| Some((key.clone(), judge(Some(key), value)?));
        (usual, self.of_keys.iter().filter_map(of_key).collect())
    }
}

/// The registers that transactions name.
pub(crate) fn registers<'a>(ops: impl Iterator<Item = &'a Op>) -> BTreeSet<Value> {
    let lists = ops.flat_map(|op| [Some(&op.input), op.output()]).flatten();
    let accesses = lists.filter_map(|list| if let Value::List(items) = list { Some(items) } else { None });
    let names = accesses.flat_map(|accesses| accesses.iter()).filter_map(|access| match access {
        Value::List(access) => access.get(1).cloned(),
        _ => None,
    });
    names.collect()
}

/// A judge of objects that start with a value. `registers` are those of a multi-register.
pub(crate) fn starting(
    kind: ModelKind,
    value: &Value,
    registers: &BTreeSet<Value>,
) -> Result<Box<dyn Judge>, String> {
    let integer = || value.as_int().ok_or_else(|| format!("an integer for {kind}, found `{value}`"));
    let natural = || integer().and_then(|n| u64::try_from(n).map_err(|_| format!("0 or more, found `{n}`")));
    let list = || match value {
        Value::List(items) => Ok(items.to_vec()),
        Value::Nil => Ok(Vec::new()),
        other => Err(format!("a list of elements for {kind}, such as [1, 2], found `{other}`")),
    };
    let value = value.clone();
    Ok(match kind {
        ModelKind::Register => judge(Register, move || value.clone()),
        ModelKind::CasRegister => judge(CasRegister, move || value.clone()),
        ModelKind::Kv => judge(Kv, move || value.clone()),
        ModelKind::MultiRegister => {
            let held: BTreeMap<Value, Value> = match pairs(&value) {
                Some(pairs) => pairs,
                None => registers.iter().map(|name| (name.clone(), value.clone())).collect(),
            };
            let held: BTreeMap<Value, Value> =
                held.into_iter().filter(|(_, value)| !value.is_nil()).collect();
            judge(MultiRegister, move || held.clone())
        }
        ModelKind::Counter => {
            let sum = integer()?;
            judge(Counter, move || sum)
        }
        ModelKind::Mutex => {
            let holder = if value.is_nil() { None } else { Some(natural()?) };
            judge(Mutex, move || holder)
        }
        ModelKind::FencingLock => {
            let token = integer()?;
            judge(FencingLock, move || Fenced { holder: None, token: Some(token) })
        }
        ModelKind::Semaphore => {
            let permits = natural()?;
            let permits = u32::try_from(permits).map_err(|_| format!("fewer permits, found {permits}"))?;
            Box::new(Starting::usual(Semaphore { permits }))
        }
        ModelKind::Set => {
            let items: BTreeSet<Value> = list()?.into_iter().collect();
            judge(Set, move || items.clone())
        }
        ModelKind::ConvergentSet => {
            let items: BTreeSet<Value> = list()?.into_iter().collect();
            judge(ConvergentSet, move || items.clone())
        }
        ModelKind::Ids => {
            let items: BTreeSet<Value> = list()?.into_iter().collect();
            judge(Ids, move || items.clone())
        }
        ModelKind::OrderedIds => {
            let last = integer()?;
            judge(OrderedIds, move || Some(last))
        }
        ModelKind::UnorderedQueue => {
            let mut items = BTreeMap::new();
            list()?.into_iter().for_each(|item| *items.entry(item).or_default() += 1);
            judge(UnorderedQueue, move || items.clone())
        }
        ModelKind::Queue => {
            let items: Fifo<Value> = list()?.into_iter().collect();
            judge(Queue, move || items.clone())
        }
        ModelKind::Stack => {
            let items: Chain<Value> = list()?.into_iter().collect();
            judge(Stack, move || items.clone())
        }
        ModelKind::Log => {
            let items: Chain<Value> = list()?.into_iter().collect();
            judge(Log, move || items.clone())
        }
    })
}

/// A list of `[name, value]`.
fn pairs(value: &Value) -> Option<BTreeMap<Value, Value>> {
    let Value::List(items) = value else { return None };
    items.iter().map(|item| item.as_pair().map(|(name, value)| (name.clone(), value.clone()))).collect()
}

fn judge<M: Model + 'static>(
    model: M,
    start: impl Fn() -> M::State + Send + Sync + 'static,
) -> Box<dyn Judge> {
    Box::new(Starting { model, start: Some(Box::new(start)) })
}

/// A model that starts in its usual state or in another one. Exact algorithms, and promises about the initial
/// state, apply only to the usual one.
///
/// The crate judges all its models through this one type, because each instance of the judge compiles to much
/// code.
pub(crate) struct Starting<M: Model> {
    model: M,
    start: Option<Start<M::State>>,
}

type Start<State> = Box<dyn Fn() -> State + Send + Sync>;

impl<M: Model> Starting<M> {
    /// The model with its usual initial state.
    pub(crate) const fn usual(model: M) -> Self {
        Starting { model, start: None }
    }

    fn is_usual(&self) -> bool {
        self.start.is_none()
    }
}

impl<M: Model> Model for Starting<M> {
    type State = M::State;
    type Call = M::Call;
    type Next = M::Next;

    fn name(&self) -> &str {
        self.model.name()
    }

    fn init(&self) -> M::State {
        self.start.as_ref().map_or_else(|| self.model.init(), |start| start())
    }

    fn parse(&self, op: &Op) -> Result<Option<M::Call>, String> {
        self.model.parse(op)
    }

    fn step(&self, state: &M::State, call: &M::Call) -> M::Next {
        self.model.step(state, call)
    }

    fn explain(&self, state: &M::State, call: &M::Call) -> String {
        self.model.explain(state, call)
    }

    fn show(&self, state: &M::State) -> String {
        self.model.show(state)
    }

    fn read_only(&self, call: &M::Call) -> bool {
        self.model.read_only(call)
    }

    fn overwrites(&self, call: &M::Call) -> bool {
        self.model.overwrites(call)
    }

    fn commutes(&self, call: &M::Call) -> bool {
        self.is_usual() && self.model.commutes(call)
    }

    fn out_of_reach(&self, state: &M::State, call: &M::Call, by: &M::Call) -> bool {
        self.is_usual() && self.model.out_of_reach(state, call, by)
    }

    fn is_over(&self, state: &M::State, call: &M::Call) -> bool {
        self.is_usual() && self.model.is_over(state, call)
    }

    fn observed_state(&self, observation: &M::Call) -> Option<M::State> {
        if self.is_usual() { self.model.observed_state(observation) } else { None }
    }

    fn sources(&self, call: &M::Call, to: &M::State) -> Sources<M::State> {
        self.model.sources(call, to)
    }

    fn leads_toward(&self, state: &M::State, observation: &M::Call) -> bool {
        self.model.leads_toward(state, observation)
    }

    fn representative(&self, calls: &[M::Call]) -> Option<Representative<M::State>> {
        self.model.representative(calls)
    }

    fn nameless_actors(&self, ops: &[&Op]) -> HashSet<u64> {
        self.model.nameless_actors(ops)
    }

    fn components(&self, call: &M::Call) -> Option<Vec<Value>> {
        self.model.components(call)
    }

    fn heap_bytes(&self, state: &M::State) -> usize {
        self.model.heap_bytes(state)
    }

    fn describe(&self) -> Subject {
        match self.model.describe() {
            held if self.is_usual() => held,
            held @ (Subject::Register | Subject::Registers | Subject::Counter | Subject::Permits(_)) => held,
            // Some of its elements are not in the recording.
            _ => Subject::Other,
        }
    }

    fn has_unusual_start(&self) -> bool {
        !self.is_usual() || self.model.has_unusual_start()
    }

    fn fast_path(&self) -> Option<FastPath> {
        if self.is_usual() { self.model.fast_path() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Options, check, check_from};
    use crate::model::script::history;
    use crate::verdict::Answer;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_initial_value_can_be_observed() {
        for (kind, initial, script) in [
            (ModelKind::Register, "0", "1..2 p0 read -> 0; 3..4 p0 write 3; 5..6 p0 read -> 3"),
            (ModelKind::CasRegister, "4", "1..2 p0 cas [4, 0] -> true"),
            (ModelKind::Kv, r#""a""#, r#"1..2 p0 append "b"; 3..4 p1 get -> "ab""#),
            (ModelKind::MultiRegister, "0", r#"1..2 p0 txn [] -> [["r","a",0],["r","b",0]]"#),
            (ModelKind::MultiRegister, r#"[["a",1]]"#, r#"1..2 p0 txn [] -> [["r","a",1],["r","b",null]]"#),
            (ModelKind::Counter, "7", "1..2 p0 add 1; 3..4 p0 read -> 8"),
            (ModelKind::Mutex, "1", "1..2 p0 acquire -> false; 3..4 p1 release; 5..6 p0 acquire"),
            (ModelKind::FencingLock, "4", "1..2 p0 acquire -> 5"),
            (ModelKind::Semaphore, "3", "1..2 p0 acquire 3"),
            (ModelKind::Set, "[1, 2]", "1..2 p0 contains 1 -> true; 3..4 p0 read -> [1, 2]"),
            (ModelKind::UnorderedQueue, "[1, 2]", "1..2 p0 dequeue -> 2; 3..4 p0 dequeue -> 1"),
            (ModelKind::Queue, "[1, 2]", "1..2 p0 dequeue -> 1; 3..4 p0 dequeue -> 2"),
            (ModelKind::Stack, "[1, 2]", "1..2 p0 pop -> 2; 3..4 p0 pop -> 1"),
            (ModelKind::Log, "[1]", "1..2 p0 append 2; 3..4 p0 read -> [1, 2]"),
            (ModelKind::OrderedIds, "4", "1..2 p0 generate -> 5"),
            (ModelKind::ConvergentSet, "[1]", r#"1..2 p0 read "final" -> [1]"#),
        ] {
            let history = history(script);
            let options = Options { certify: true, ..Options::default() };
            let initial = Initial::new(kind).with(None, value(initial)).unwrap();
            assert_eq!(
                check_from(&history, &initial, &options).unwrap().answer,
                Answer::Linearizable,
                "{script}"
            );
            let of_another = Initial::new(kind).with(Some("x".into()), initial.usual.unwrap()).unwrap();
            let without = check(&history, kind, &options).unwrap().answer;
            assert_eq!(check_from(&history, &of_another, &options).unwrap().answer, without, "{script}");
            if !matches!(kind, ModelKind::FencingLock | ModelKind::OrderedIds) {
                assert_eq!(without, Answer::Violation, "{script}");
            }
        }
        let stale = Initial::new(ModelKind::Ids).with(None, value("[5]")).unwrap();
        let again = history("1..2 p0 generate -> 5");
        assert_eq!(check_from(&again, &stale, &Options::default()).unwrap().answer, Answer::Violation);
    }

    #[test]
    fn a_value_that_no_object_can_hold_is_refused() {
        for (kind, initial) in [
            (ModelKind::Counter, r#""a""#),
            (ModelKind::Queue, "1"),
            (ModelKind::Mutex, "-1"),
            (ModelKind::Semaphore, "true"),
        ] {
            let refused = Initial::new(kind).with(None, value(initial)).unwrap_err();
            assert!(refused.contains("found"), "{refused}");
        }
    }
}
