//! Sequential consistency: an order that keeps each process's own order, and nothing else (Lamport, "How to
//! make a multiprocessor computer that correctly executes multiprocess programs", IEEE ToC 1979).
//!
//! A depth-first search with memoization. A configuration is the progress of each process, and the state.
//! There are at most (operations per process + 1)^processes of them per state, so this is for counterexamples
//! only.

use std::collections::{BTreeMap, HashSet};

use crate::model::Model;
use crate::op::Op;

/// Memory limit for the visited configurations in bytes.
const BYTES_MAX: usize = 8 << 20;

/// Whether such an order exists; `None` if the search would visit more than `states_max` configurations, or
/// need too much memory, or an operation does not fit the model.
pub(crate) fn sequential<M: Model>(model: &M, ops: &[&Op], states_max: usize) -> Option<bool> {
    let mut processes: BTreeMap<u64, Vec<(M::Call, bool)>> = BTreeMap::new();
    for op in by_call(ops) {
        if let Some(call) = model.parse(op).ok()? {
            processes.entry(op.process).or_default().push((call, op.is_ok()));
        }
    }
    let programs: Vec<Vec<(M::Call, bool)>> = processes.into_values().collect();
    let start = (vec![0; programs.len()], model.init());
    let (mut seen, mut stack) = (HashSet::from([start.clone()]), vec![start]);
    let mut bytes = 0;
    while let Some((done, state)) = stack.pop() {
        if seen.len() > states_max || bytes > BYTES_MAX {
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
                    let (done, state) = &configuration;
                    bytes +=
                        2 * (size_of_val(&configuration) + size_of_val(&done[..]) + model.heap_bytes(state));
                    stack.push(configuration);
                }
            }
        }
    }
    Some(false)
}

/// The operations that may have happened, by invocation.
fn by_call<'a>(ops: &[&'a Op]) -> Vec<&'a Op> {
    let mut by_call: Vec<&Op> = ops.iter().copied().filter(|op| !op.is_fail()).collect();
    by_call.sort_by_key(|op| op.call);
    by_call
}

#[cfg(test)]
mod tests {
    use super::super::sample::history;
    use super::*;
    use crate::model::{Kv, Register};

    #[test]
    fn fewer_configurations_with_large_states_are_visited() {
        // Eight processes in any order, and a read that no order explains.
        let puts = |put: &str, read: &str, text: &str| {
            let puts = (0..8).map(|process| format!("{process} {put} {text}{process} @ 1..2\n"));
            history(&(puts.collect::<String>() + &format!("50 {read} -> z @ 3..4")))
        };
        let (small, large) = (puts("write", "read", ""), puts("put", "get", &"x".repeat(1_000_000)));
        assert_eq!(sequential(&Register, &small.iter().collect::<Vec<_>>(), 100_000), Some(false));
        assert_eq!(sequential(&Kv, &large.iter().collect::<Vec<_>>(), 100_000), None);
    }
}
