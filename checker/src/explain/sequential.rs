//! Sequential consistency: an order that keeps each process's own, and nothing else (Lamport, "How to make a
//! multiprocessor computer that correctly executes multiprocess programs", IEEE ToC 1979).
//!
//! A depth-first search with a memory. How far each process has got, and the state, is all that a configuration
//! is; there are at most (operations per process + 1)^processes of them per state, so this is for counterexamples.

use std::collections::{BTreeMap, HashSet};

use crate::model::Model;
use crate::op::Op;

/// Whether such an order exists; `None` if more than `states_max` configurations would have to be visited, or an
/// operation does not fit the model.
pub(crate) fn sequential<M: Model>(model: &M, ops: &[&Op], states_max: usize) -> Option<bool> {
    let mut processes: BTreeMap<u64, Vec<(M::Call, bool)>> = BTreeMap::new();
    let mut by_call: Vec<&Op> = ops.iter().copied().filter(|op| !op.is_fail()).collect();
    by_call.sort_by_key(|op| op.call);
    for op in by_call {
        if let Some(call) = model.parse(op).ok()? {
            processes.entry(op.process).or_default().push((call, op.is_ok()));
        }
    }
    let programs: Vec<Vec<(M::Call, bool)>> = processes.into_values().collect();
    let start = (vec![0; programs.len()], model.init());
    let (mut seen, mut stack) = (HashSet::from([start.clone()]), vec![start]);
    while let Some((done, state)) = stack.pop() {
        if seen.len() > states_max {
            return None;
        }
        if programs
            .iter()
            .zip(&done)
            .all(|(program, &at)| program[at..].iter().all(|(_, definite)| !definite))
        {
            return Some(true);
        }
        let next = programs.iter().zip(&done).enumerate();
        let next = next.filter_map(|(process, (program, &at))| Some((process, program.get(at)?)));
        for (process, (call, definite)) in next {
            let mut done = done.clone();
            done[process] += 1;
            // An indeterminate operation may also be left out.
            let skipped = (!definite).then(|| state.clone());
            for next in model.step(&state, call).into_iter().chain(skipped) {
                let configuration = (done.clone(), next);
                if seen.insert(configuration.clone()) {
                    stack.push(configuration);
                }
            }
        }
    }
    Some(false)
}
