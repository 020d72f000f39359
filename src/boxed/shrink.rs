//! `tribunal shrink`: the smallest trial that still shows a violation, with a proof that each of its faults is needed.
//!
//! Only a run in a box can be shrunk: because it repeats, "this candidate shows it" and "that one does not" are facts.
//! A candidate is tried with several box seeds, as leaving something out moves everything after it. The loop ends when no
//! candidate shows the violation any more; its last round is the proof: each fault left out once, and no violation in
//! any boot.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use tribunal::boxed::schedule::Faults;
use tribunal::boxed::search::{Candidate, Search};
use tribunal::{Concurrency, Registry, RunDir, TrialError, TrialSpec};
use tribunal_records::boxed::{Extent, LeftOut, SHRUNK, Shrunk};
use tribunal_reports::render::render_all;
use tribunal_reports::run_dir::write_json;
use tribunal_reports::wording::counted;

use super::{SearchArgs, ended, interruptible, print_report, shows, tell};
use crate::doctor::not_started;
use crate::exit;

/// `tribunal shrink`
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    search: SearchArgs,

    /// Number of boots of each candidate, with different box seeds
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    boots: u32,
}

/// A trial on its way to the smallest.
#[derive(Clone)]
struct State {
    spec: TrialSpec,
    faults: Faults,
}

/// Exits with 1 when the smallest trial is found, and with 2 if the recorded schedule does not show the violation.
pub(crate) fn run(args: &Args) -> ExitCode {
    ended(shrink(args))
}

fn shrink(args: &Args) -> Result<ExitCode> {
    let (recorded, stop, registry) = (args.search.recorded()?, interruptible()?, Registry::built_in());
    ensure!(
        recorded.is_boxed,
        "{}: only a run in a box can be shrunk: tribunal convict {0}",
        args.search.run.display()
    );
    exit::eprint_line(&format!("shrinking: {}", recorded.judgement.sentence));
    let search = args.search.search(&registry, &stop, &tell);
    let shrinker = Shrinker { boots: args.boots, search };
    let start = State { spec: recorded.spec.clone(), faults: recorded.faults.clone() };
    let (smallest, is_smallest) = match shrinker.smallest(start) {
        Ok(Some(found)) => found,
        Ok(None) => {
            let boots = counted(args.boots as usize, "boot");
            exit::print_text(&format!("the recorded faults alone do not show it, in {boots}: try --boots\n"));
            return Ok(ExitCode::from(2));
        }
        Err(error) => return Ok(not_started(error)),
    };
    // The proof is short, and makes the result worth something even if time was up before the end.
    let shrinker = Shrinker { search: Search { deadline: None, ..shrinker.search }, ..shrinker };
    let proof = match shrinker.proof(&smallest) {
        Ok(_) if stop.count() > 0 => return Ok(ExitCode::from(exit::INTERRUPTED)),
        Ok(proof) => proof,
        Err(error) => return Ok(not_started(error)),
    };
    let run = match args.search.run(&smallest.candidate(), &stop) {
        Ok(run) if shows(&run) => run,
        Ok(run) => return Ok(exit::harness(anyhow!("the box did not repeat: {}", run.judgement.sentence))),
        Err(error) => return Ok(not_started(error)),
    };
    let shrunk = Shrunk {
        recorded: extent(&recorded.spec, &recorded.faults),
        smallest: extent(&smallest.spec, &smallest.faults),
        is_complete: is_smallest,
        proof,
    };
    print_report(&rendered(Path::new(&run.name), &shrunk)?);
    Ok(ExitCode::from(1))
}

/// The run with its proof, after its reports were rendered again.
fn rendered(dir: &Path, shrunk: &Shrunk) -> Result<RunDir> {
    write_json(dir, SHRUNK, shrunk).with_context(|| dir.join(SHRUNK).display().to_string())?;
    let run = RunDir::load(dir)?;
    for (_, result) in render_all(&run, dir) {
        result?;
    }
    Ok(run)
}

fn extent(spec: &TrialSpec, faults: &Faults) -> Extent {
    Extent {
        faults: faults.len(),
        nodes: spec.nodes.into(),
        clients: spec.concurrency.workers(spec.nodes.into()),
        keys: spec.keys,
        time_limit_ms: spec.time_limit.as_millis() as u64,
    }
}

impl State {
    fn candidate(&self) -> Candidate {
        Candidate { faults: Some(self.faults.clone()), ..self.spec.clone().into() }
    }
}

struct Shrinker<'a> {
    /// Number of boots of each candidate.
    boots: u32,
    search: Search<'a>,
}

impl Shrinker<'_> {
    /// The smallest state that shows it, and whether every smaller one was tried; `None` if not even the recorded
    /// faults show it.
    fn smallest(&self, start: State) -> Result<Option<(State, bool)>, TrialError> {
        let (Some(mut now), mut is_complete) = self.shown(start)? else { return Ok(None) };
        'smaller: loop {
            for state in candidates(&now) {
                let (found, was_tried) = self.shown(state)?;
                is_complete = was_tried;
                if let Some(smaller) = found {
                    now = smaller;
                    let (faults, nodes) = (counted(now.faults.len(), "fault"), now.spec.nodes);
                    exit::eprint_line(&format!("now {faults}, {}", counted(nodes.into(), "node")));
                    continue 'smaller;
                }
                if !is_complete {
                    break 'smaller;
                }
            }
            break;
        }
        Ok(Some((now, is_complete)))
    }

    /// The state with the first box seed that shows it; and whether all were tried.
    fn shown(&self, state: State) -> Result<(Option<State>, bool), TrialError> {
        let outcome = self.search.find(self.candidates(&state), shows)?;
        let found = outcome.found.map(|(found, _)| State {
            spec: state.spec.with(|spec| spec.box_seed = found.spec.box_seed),
            faults: state.faults,
        });
        Ok((found, outcome.is_complete))
    }

    /// Each fault of the smallest state left out, once.
    fn proof(&self, smallest: &State) -> Result<Vec<LeftOut>, TrialError> {
        let each = smallest.faults.labels().into_iter().enumerate().map(|(position, fault)| {
            let state = State { faults: smallest.faults.without(&[position]), ..smallest.clone() };
            let outcome = self.search.find(self.candidates(&state), shows)?;
            let is_shown = outcome.found.is_some();
            Ok(LeftOut { fault, boots: outcome.boots, judged: outcome.judged, is_shown })
        });
        each.collect()
    }

    /// The state with several box seeds.
    fn candidates(&self, state: &State) -> impl Iterator<Item = Candidate> + Send + use<> {
        let candidate = state.candidate();
        (0..self.boots).map(move |nth| {
            let mut candidate = candidate.clone();
            candidate.spec.box_seed = candidate.spec.box_seed.wrapping_add(nth.into());
            candidate
        })
    }
}

/// The states that are a step smaller, the largest steps first.
fn candidates(now: &State) -> Vec<State> {
    let mut all = Vec::new();
    let count = now.faults.len();
    let without = |left_out: Vec<usize>| State { faults: now.faults.without(&left_out), ..now.clone() };
    if count > 3 {
        all.push(without((0..count / 2).collect()));
        all.push(without((count / 2..count).collect()));
    }
    all.extend((0..count).rev().map(|position| without(vec![position])));
    let changed = |change: &dyn Fn(&mut TrialSpec)| State {
        spec: now.spec.clone().with(|spec| change(spec)),
        faults: now.faults.clone(),
    };
    let spec = &now.spec;
    if spec.nodes > 3 {
        all.push(changed(&|spec| spec.nodes = 3));
    }
    let clients = spec.concurrency.workers(spec.nodes.into());
    if clients > 2 {
        all.push(changed(&|spec| spec.concurrency = Concurrency::Fixed(clients.div_ceil(2))));
    }
    if spec.keys > 1 {
        all.push(changed(&|spec| spec.keys = spec.keys.div_ceil(2)));
    }
    let shorter = spec.time_limit.mul_f64(0.7);
    if shorter.as_millis() >= 1_000 {
        let shorter = Duration::from_millis(shorter.as_millis() as u64);
        all.push(changed(&move |spec| spec.time_limit = shorter));
    }
    all.extend(
        (0..count)
            .filter_map(|position| Some(State { faults: now.faults.with_half_of(position)?, ..now.clone() })),
    );
    all
}
