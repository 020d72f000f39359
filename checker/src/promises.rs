//! Tests the promises of a model in builds with debug assertions. A broken promise would cause a wrong
//! verdict, far from its source. Every step of a search is compared with the model's promises about it.

use std::hash::{BuildHasher, Hash};

use hashbrown::DefaultHashBuilder;

use crate::model::{Model, Representative};

/// Maximum number of calls that are tried on states which the model calls equivalent.
const CALLS_TRIED_MAX: usize = 16;

/// Compares the states that a call leads to with the model's promises.
///
/// # Panics
/// If a promise is broken; the message names the model and the promise.
pub(crate) fn examine<M: Model>(model: &M, from: &M::State, call: &M::Call, next: &[M::State]) {
    let name = model.name();
    let again: Vec<M::State> = model.step(from, call).into_iter().collect();
    assert!(
        again == next,
        "model {name}: `step` is not pure: by {call:?}, {from:?} becomes {next:?}, and when asked again {again:?}"
    );
    assert!(
        same_hash(from, &from.clone()) && same_hash(call, &call.clone()),
        "model {name}: `Hash` disagrees with `Eq`: {from:?} or {call:?} has another hash when it is cloned"
    );
    if model.read_only(call) {
        assert!(
            next.iter().all(|state| state == from),
            "model {name}: {call:?} is `read_only`, but turns {from:?} into {next:?}"
        );
    }
    if model.overwrites(call) {
        let from_start: Vec<M::State> = model.step(&model.init(), call).into_iter().collect();
        assert!(
            next.len() == 1 && next == from_start,
            "model {name}: {call:?} `overwrites`, but turns {from:?} into {next:?} and the first state into {from_start:?}"
        );
    }
}

/// Compares merged states with the model's promise.
///
/// # Panics
/// If the promise is broken; the message names the model.
pub(crate) fn examine_representative<M: Model>(
    model: &M,
    representative: &Representative<M::State>,
    calls: &[M::Call],
    states: &[M::State],
) {
    for state in states {
        let other = representative(state.clone());
        for call in calls.iter().take(CALLS_TRIED_MAX).filter(|_| other != *state) {
            let next = |from| model.step(from, call).into_iter().map(representative).collect::<Vec<_>>();
            assert!(
                next(state) == next(&other),
                "model {}: `representative` of {state:?} is {other:?}, but {call:?} distinguishes the two",
                model.name()
            );
        }
    }
}

/// Tests the promise that two calls commute, if both make it.
///
/// # Panics
/// If the promise is broken.
pub(crate) fn examine_order<M: Model>(model: &M, from: &M::State, one: &M::Call, other: &M::Call) {
    if !(model.commutes(one) && model.commutes(other)) {
        return;
    }
    let step = |states: Vec<M::State>, call| -> Vec<M::State> {
        states.iter().flat_map(|state| model.step(state, call)).collect()
    };
    let [first, second] =
        [[one, other], [other, one]].map(|calls| calls.into_iter().fold(vec![from.clone()], step));
    assert!(
        first.len() == 1 && first == second,
        "model {}: {one:?} and {other:?} `commutes`, but from {from:?} lead to {first:?} or to {second:?}",
        model.name()
    );
}

fn same_hash<T: Hash + Eq>(one: &T, other: &T) -> bool {
    let hasher = DefaultHashBuilder::default();
    one == other && hasher.hash_one(one) == hasher.hash_one(other)
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::sync::atomic::{AtomicI64, Ordering};

    use crate::check::{Options, check_with};
    use crate::history::History;
    use crate::model::Model;
    use crate::op::{F, Op, Value};

    /// A counter that breaks one promise.
    struct Liar(&'static str, AtomicI64);

    impl Model for Liar {
        type State = i64;
        type Call = Option<i64>;
        type Next = Option<i64>;

        fn name(&self) -> &str {
            "liar"
        }

        fn init(&self) -> i64 {
            0
        }

        fn parse(&self, op: &Op) -> Result<Option<Option<i64>>, String> {
            Ok(Some(op.output().and_then(Value::as_int)))
        }

        fn step(&self, state: &i64, read: &Option<i64>) -> Option<i64> {
            let wanders = i64::from(self.0 == "pure") * self.1.fetch_add(1, Ordering::Relaxed);
            match read {
                Some(read) => (read == state).then_some(*state),
                None => Some(state + 1 + wanders),
            }
        }

        fn read_only(&self, read: &Option<i64>) -> bool {
            read.is_some() || self.0 == "read_only"
        }

        fn overwrites(&self, read: &Option<i64>) -> bool {
            read.is_none() && self.0 == "overwrites"
        }

        fn commutes(&self, read: &Option<i64>) -> bool {
            read.is_none() || self.0 == "commutes"
        }
    }

    #[test]
    fn a_broken_promise_is_named() {
        let add = |process, call| Op::new(process, call, F::Add, 1).returned(call + 5, Value::Nil);
        let read = |call, sum: i64| Op::new(3, call, F::Read, Value::Nil).returned(call + 5, sum);
        let history = History::from_ops([add(1, 0), add(2, 1), read(10, 2)]).expect("a history");
        let check = |promise| {
            let model = Liar(promise, AtomicI64::new(0));
            catch_unwind(|| check_with(&history, &model, &Options::default()))
        };
        assert!(check("none").is_ok());
        for promise in ["pure", "read_only", "overwrites", "commutes"] {
            let panic = check(promise).expect_err(promise);
            let message = panic.downcast_ref::<String>().expect("a message");
            assert!(message.starts_with("model liar: ") && message.contains(promise), "{message}");
        }
    }
}
