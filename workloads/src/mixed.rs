//! Registers, counters and lists at once, on different keys of one system.
//!
//! A mistake often shows on one type of object only: a list shows the order of all its changes, a counter shows
//! a change that was made twice, a register shows an old value soonest. The names of the keys say what they
//! hold ([`MIXED_KEYS`]), so one history is judged by three models.

use chacha20::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tribunal_checker::model::MIXED_KEYS;
use tribunal_checker::op::{F, Value};

use crate::append::Append;
use crate::counter::Counter;
use crate::register::Register;
use crate::{Completion, Object, Operations, Options, Request, Workload};

/// The workload `mixed`.
pub struct Mixed {
    rng: ChaCha8Rng,
    /// The beginning of its keys, and the workload.
    parts: Vec<(&'static str, Box<dyn Workload>)>,
}

/// The types of objects that a system with these operations can be asked for at once, and all their operations.
pub fn objects(answers: Operations) -> impl Iterator<Item = (Object, &'static [F])> {
    let least = |object| match object {
        Object::Register => Some(F::Write),
        Object::Counter => Some(F::Add),
        Object::List => Some(F::Append),
        _ => None,
    };
    let complete = move |(object, fs): &&(Object, &[F])| {
        least(*object).is_some_and(|update| fs.contains(&update) && fs.contains(&F::Read))
    };
    answers.iter().filter(complete).copied()
}

impl Mixed {
    /// Starts a new stream of operations on the objects that the system supports. Their keys are shared out
    /// among them, at least one each.
    pub fn new(options: &Options) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let count = objects(options.answers).count().max(1);
        let parts = objects(options.answers).filter_map(|(object, fs)| {
            let options =
                Options { seed: rng.random(), keys: options.keys.div_ceil(count), ..options.clone() };
            let (prefix, _) = MIXED_KEYS.into_iter().find(|(prefix, _)| object == of_key(prefix))?;
            let part: Box<dyn Workload> = match object {
                Object::Counter => Box::new(Counter::new(&options)),
                Object::List => Box::new(Append::new(&options)),
                _ => Box::new(Register::new(&options, fs.contains(&F::Cas))),
            };
            Some((prefix, part))
        });
        let parts = parts.collect();
        Mixed { parts, rng }
    }
}

/// The type of the object with this key.
fn of_key(key: &str) -> Object {
    Object::Mixed.of(&Value::str(key))
}

fn named(prefix: &str, request: Request) -> Request {
    let Value::Str(key) = &request.key else { return request };
    Request { key: Value::str(&format!("{prefix}{key}")), ..request }
}

impl Workload for Mixed {
    fn next(&mut self, worker: usize) -> Request {
        let at = self.rng.random_range(0..self.parts.len());
        let (prefix, part) = &mut self.parts[at];
        named(prefix, part.next(worker))
    }

    fn observe(&mut self, worker: usize, request: &Request, completion: &Completion) {
        let Value::Str(key) = &request.key else { return };
        let of = |(prefix, part): &mut (&str, Box<dyn Workload>)| {
            let Some(key) = key.strip_prefix(*prefix) else { return };
            let request = Request { key: Value::str(key), ..request.clone() };
            part.observe(worker, &request, completion);
        };
        self.parts.iter_mut().for_each(of);
    }

    fn final_reads(&self) -> Vec<Request> {
        let of = |(prefix, part): &(&'static str, Box<dyn Workload>)| {
            let prefix = *prefix;
            part.final_reads().into_iter().map(move |read| named(prefix, read))
        };
        self.parts.iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn asked(answers: Operations) -> (BTreeSet<F>, BTreeSet<Object>, Mixed) {
        let mut workload = Mixed::new(&Options { answers, ..Options::of_tests() });
        let (mut fs, mut objects) = (BTreeSet::new(), BTreeSet::new());
        for round in 0..600 {
            let request = workload.next(round % 6);
            objects.insert(Object::Mixed.of(&request.key));
            fs.insert(request.f.clone());
            workload.observe(round % 6, &request, &Completion::Ok(Value::Nil));
        }
        (fs, objects, workload)
    }

    #[test]
    fn objects_of_every_type_are_asked_at_once_and_read_in_the_end() {
        let all = Options::of_tests().answers;
        let (fs, objects, workload) = asked(all);
        assert_eq!(fs, BTreeSet::from([F::Read, F::Write, F::Cas, F::Add, F::Append]));
        assert_eq!(objects, BTreeSet::from([Object::Register, Object::Counter, Object::List]));
        let read: BTreeSet<Object> =
            workload.final_reads().iter().map(|read| Object::Mixed.of(&read.key)).collect();
        assert_eq!(read, objects);
    }

    #[test]
    fn a_system_is_asked_for_nothing_that_it_does_not_support() {
        let (fs, objects, _) =
            asked(&[(Object::Register, &[F::Read, F::Write]), (Object::Lock, &[F::Acquire])]);
        assert_eq!(fs, BTreeSet::from([F::Read, F::Write]));
        assert_eq!(objects, BTreeSet::from([Object::Register]));
        assert_eq!(super::objects(&[(Object::Counter, &[F::Add])]).count(), 0);
    }
}
