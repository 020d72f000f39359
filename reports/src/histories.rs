//! Histories for other programs: `history.edn` for Knossos and Elle, and the counterexample alone as a
//! regression test: `tribunal check counterexample.jsonl --model M` finds the same violation in it.

use tribunal_checker::formats::{self, Format};
use tribunal_checker::history::History;

use crate::run_dir::RunDir;

/// The whole history in Jepsen's format.
pub fn edn(run: &RunDir) -> Vec<u8> {
    written(&run.evidence.history, Format::Edn)
}

/// The operations of the minimal counterexample, one event per line; empty if no violation was proved.
pub fn counterexample_jsonl(run: &RunDir) -> Vec<u8> {
    written(&counterexample(run), Format::Jsonl)
}

/// The same as Jepsen's `history.txt`, for people.
pub fn counterexample_txt(run: &RunDir) -> Vec<u8> {
    written(&counterexample(run), Format::Txt)
}

fn counterexample(run: &RunDir) -> History {
    let mut ids = run.judgement.violation().map_or(Vec::new(), |violation| violation.minimal.clone());
    ids.sort_unstable();
    ids.dedup();
    History { ops: ids.into_iter().filter_map(|id| run.judgement.op(id).cloned()).collect() }
}

fn written(history: &History, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    formats::write(&mut out, history, format).expect("writing to memory does not fail");
    out
}
