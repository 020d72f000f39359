//! `tribunal shrink`: the smallest trial that still shows a violation, with a proof that each of its faults is needed.
//!
//! Only a run in a box can be shrunk: because it repeats, "this candidate shows it" and "that one does not" are facts.
//! A candidate is tried with several box seeds, as leaving something out moves everything after it. The loop ends when no
//! candidate shows the violation any more; its last round is the proof: each fault left out once, and no violation in
//! any boot.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Serialize;
use tribunal::boxed::schedule::Faults;
use tribunal::boxed::search::{Candidate, Search};
use tribunal::{Concurrency, Registry, TrialError, TrialSpec};

use super::{Recorded, SearchArgs, failed, interruptible, print_report, run_here, shows, tell};
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

/// One line of the proof.
#[derive(Serialize)]
struct Proof {
    /// What was left out.
    without: String,
    /// The number of boots.
    boots: usize,
    /// The number of boots that still showed a violation.
    shown: usize,
}

/// Exits with 1 when the smallest trial is found, and with 2 if the recorded schedule does not show the violation.
pub(crate) fn run(args: &Args) -> ExitCode {
    match shrink(args) {
        Ok(code) => code,
        Err(error) => exit::usage(error),
    }
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
    let until = search.deadline;
    let shrinker = Shrinker { args, recorded: &recorded, search };
    let start = State { spec: recorded.spec.clone(), faults: recorded.faults.clone() };
    let smallest = match shrinker.smallest(start) {
        Ok(Some(smallest)) => smallest,
        Ok(None) => {
            let boots = args.boots;
            exit::print_text(&format!(
                "the recorded faults alone do not show it, in {boots} boots: try --boots\n"
            ));
            return Ok(ExitCode::from(2));
        }
        Err(error) => return Ok(failed(error)),
    };
    let is_smallest = until.is_none_or(|until| Instant::now() < until);
    // The proof is short, and makes the result worth something even if time was up before the end.
    let shrinker = Shrinker { search: Search { deadline: None, ..shrinker.search }, ..shrinker };
    let proof = match shrinker.proof(&smallest) {
        Ok(_) if stop.count() > 0 => return Ok(ExitCode::from(exit::INTERRUPTED)),
        Ok(proof) => proof,
        Err(error) => return Ok(failed(error)),
    };
    let run = match run_here(&shrinker.candidate(&smallest)?.spec, &args.search.store, &stop) {
        Ok(run) => run,
        Err(error) => return Ok(failed(error)),
    };
    print_report(&run);
    let text = serde_json::to_string_pretty(&proof).expect("it is plain data");
    let file = std::path::Path::new(&run.name).join("proof.json");
    std::fs::write(&file, text).with_context(|| file.display().to_string())?;
    exit::print_text(&told(&recorded, &smallest, &proof));
    if !is_smallest {
        exit::print_text("time was up before every smaller trial was tried: --within gives more\n");
    }
    Ok(ExitCode::from(u8::from(shows(&run))))
}

/// The result in words: what was left of the trial, and why nothing more can go.
fn told(recorded: &Recorded, smallest: &State, proof: &[Proof]) -> String {
    let (before, after) = (&recorded.spec, &smallest.spec);
    let (clients, keys) = (|spec: &TrialSpec| spec.concurrency.workers(spec.nodes.into()), "keys");
    let mut text = format!(
        "\nsmallest: {} faults of {}, {} nodes of {}, {} clients of {}, {} {keys} of {}, {} of {}\n",
        smallest.faults.len(),
        recorded.faults.len(),
        after.nodes,
        before.nodes,
        clients(after),
        clients(before),
        after.keys,
        before.keys,
        humantime::format_duration(after.time_limit),
        humantime::format_duration(before.time_limit),
    );
    for Proof { without, boots, shown } in proof {
        let verdict = if *shown == 0 { "needed" } else { "not needed" };
        text += &format!("  {verdict}: without {without}, {shown} of {boots} boots show it\n");
    }
    text
}

struct Shrinker<'a> {
    args: &'a Args,
    recorded: &'a Recorded,
    search: Search<'a>,
}

impl Shrinker<'_> {
    /// The smallest state that shows it, and with which box seed; `None` if not even the recorded faults do.
    fn smallest(&self, start: State) -> Result<Option<State>, TrialError> {
        let Some(mut now) = self.shown(start)? else { return Ok(None) };
        while let Some(smaller) = self.smaller(&now)? {
            now = smaller;
            let (faults, nodes) = (now.faults.len(), now.spec.nodes);
            exit::eprint_line(&format!("now {faults} faults, {nodes} nodes"));
        }
        Ok(Some(now))
    }

    /// The first smaller state that shows it.
    fn smaller(&self, now: &State) -> Result<Option<State>, TrialError> {
        for state in candidates(now) {
            if let Some(found) = self.shown(state)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The state with the first box seed that shows it.
    fn shown(&self, state: State) -> Result<Option<State>, TrialError> {
        let found = self.search.find(self.boots(&state)?.into_iter(), shows)?.found;
        Ok(found.map(|found| State {
            spec: state.spec.with(|spec| spec.box_seed = found.spec.box_seed),
            faults: state.faults,
        }))
    }

    /// Each fault of the smallest state left out, once.
    fn proof(&self, smallest: &State) -> Result<Vec<Proof>, TrialError> {
        let labels = smallest.faults.labels();
        let each = labels.into_iter().enumerate().map(|(position, without)| {
            let state = State { faults: smallest.faults.without(&[position]), ..smallest.clone() };
            let candidates = self.boots(&state)?;
            let outcome = self.search.find(candidates.into_iter(), shows)?;
            Ok(Proof { without, boots: outcome.boots, shown: usize::from(outcome.found.is_some()) })
        });
        each.collect()
    }

    fn boots(&self, state: &State) -> Result<Vec<Candidate>, TrialError> {
        let candidate = self.candidate(state).map_err(|error| TrialError::Harness(format!("{error:#}")))?;
        let seeds = (0..self.args.boots).map(|nth| state.spec.box_seed.wrapping_add(nth.into()));
        Ok(seeds
            .map(|seed| Candidate {
                spec: candidate.spec.clone().with(|spec| spec.box_seed = seed),
                ..candidate.clone()
            })
            .collect())
    }

    fn candidate(&self, state: &State) -> Result<Candidate> {
        if state.faults.is_empty() {
            return Ok(self.recorded.with_faults(None, &state.spec).into());
        }
        let text = state.faults.to_text();
        let name = format!("{}-{}", self.recorded.name, &tribunal::boxes::hash(text.as_bytes())[..8]);
        let file = self.args.search.keep_schedule(&name, &state.faults).map_err(|error| anyhow!(error))?;
        Ok(self.recorded.with_faults(Some(&file), &state.spec).into())
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
        let shorter = std::time::Duration::from_millis(shorter.as_millis() as u64);
        all.push(changed(&move |spec| spec.time_limit = shorter));
    }
    all.extend(
        (0..count)
            .filter_map(|position| Some(State { faults: now.faults.with_half_of(position)?, ..now.clone() })),
    );
    all
}
