//! The oracles beside the model: each looks for one kind of mistake during the run, and reports its findings.
//!
//! ```text
//!   deaths of nodes ────────────▶ crash, restart ─┐
//!   lines of their logs ────────▶ log ────────────┤
//!   what each node applied ─────▶ divergence,     ├─▶ findings ─▶ run.json ─▶ judgement
//!     (replicas.rs)               agreement ──────┤
//!   operations after the faults ▶ recovery ───────┘
//! ```
//!
//! A finding is a violation, and ends the run as one, unless a fault was injected of which nobody claims to
//! survive: then it has an excuse.

mod log_lines;
mod replicas;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Result, anyhow, ensure};
use tokio_util::sync::CancellationToken;
use tribunal_nemesis::{FaultEvent, FaultOutcome, FaultRecord};
use tribunal_records::TrialSpec;
use tribunal_records::oracles::{Finding, Looked, Oracle};

use crate::announcer::Announcer;
use crate::clock::Clock;
use crate::lock::locked;

pub(crate) use replicas::ReplicaWatch;

/// Faults that few systems claim to survive: after one of them, whatever any node does has an excuse.
const DAMAGING: &[&str] = &["corrupt", "bitflip", "truncate", "wipe", "restore"];
/// Faults that may end the node that they apply to, or harm its data: an excuse for that node.
const HARMING: &[&str] = &["disk-full", "disk-error", "limits"];

/// The maximum number of findings that are kept of each oracle; the first are the ones that matter.
const FINDINGS_MAX: usize = 10;

/// The findings of all oracles.
pub(crate) struct Oracles {
    enabled: Vec<Oracle>,
    fail_fast: bool,
    clock: Clock,
    announcer: Arc<Announcer>,
    stop: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    findings: Vec<Finding>,
    looked: BTreeMap<Oracle, (u64, &'static str)>,
    why_not: BTreeMap<Oracle, String>,
    /// The label of the first excusing fault: of all nodes, and of each node.
    damage: Option<String>,
    harm: BTreeMap<String, String>,
}

impl Oracles {
    pub(crate) fn new(
        spec: &TrialSpec,
        clock: Clock,
        announcer: Arc<Announcer>,
        stop: CancellationToken,
    ) -> Result<Arc<Self>> {
        let (enabled, fail_fast) = (enabled(spec)?, !spec.no_fail_fast);
        Ok(Arc::new(Oracles { enabled, fail_fast, clock, announcer, stop, state: Mutex::default() }))
    }

    /// Whether this oracle is switched on.
    pub(crate) fn is_on(&self, oracle: Oracle) -> bool {
        self.enabled.contains(&oracle)
    }

    /// An oracle has looked `times` more; `what` is counted.
    pub(crate) fn looked(&self, oracle: Oracle, times: u64, what: &'static str) {
        locked(&self.state).looked.entry(oracle).or_insert((0, what)).0 += times;
    }

    /// An oracle cannot look.
    pub(crate) fn cannot_look(&self, oracle: Oracle, why: impl Into<String>) {
        locked(&self.state).why_not.insert(oracle, why.into());
    }

    /// An excusing fault counts from now on, and for good: damage stays.
    pub(crate) fn note_fault(&self, fault: &FaultRecord) {
        if fault.event != FaultEvent::Apply || fault.outcome == FaultOutcome::Skipped {
            return;
        }
        let mut state = locked(&self.state);
        if DAMAGING.contains(&fault.fault.as_str()) {
            state.damage.get_or_insert_with(|| fault.label.clone());
        } else if HARMING.contains(&fault.fault.as_str()) {
            for node in &fault.nodes {
                state.harm.entry(node.to_string()).or_insert_with(|| fault.label.clone());
            }
        }
    }

    /// Reports a finding about some nodes; `excuse` if a fault is already known to be its cause. A finding
    /// without an excuse ends the run.
    pub(crate) fn find(
        &self,
        oracle: Oracle,
        nodes: &[&str],
        sentence: String,
        evidence: Vec<String>,
        excuse: Option<String>,
    ) {
        if !self.is_on(oracle) {
            return;
        }
        let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        let mut state = locked(&self.state);
        if state.findings.iter().filter(|finding| finding.oracle == oracle).count() == FINDINGS_MAX {
            return;
        }
        let harm = || nodes.iter().find_map(|node| state.harm.get(node).cloned());
        let excuse = harm().or_else(|| state.damage.clone()).or(excuse);
        let is_excused = excuse.is_some();
        let note = match &excuse {
            Some(excuse) => format!("{oracle}: {sentence} (excused by {excuse})"),
            None => format!("{oracle}: {sentence}"),
        };
        state.findings.push(Finding { oracle, t: self.clock.now(), nodes, sentence, evidence, excuse });
        drop(state);
        self.announcer.note(&note);
        if !is_excused && self.fail_fast {
            self.stop.cancel();
        }
    }

    /// All findings so far, and how often each oracle has looked. The model is not counted here.
    pub(crate) fn record(&self) -> (Vec<Finding>, Vec<Looked>) {
        let state = locked(&self.state);
        let looked = self.enabled.iter().filter(|oracle| **oracle != Oracle::Model).map(|oracle| {
            let (times, what) = state.looked.get(oracle).copied().unwrap_or_default();
            let why_not = state.why_not.get(oracle).filter(|_| times == 0).cloned();
            Looked { oracle: *oracle, times, what: what.into(), why_not }
        });
        (state.findings.clone(), looked.collect())
    }
}

/// The oracles that a spec leaves switched on.
///
/// # Errors
/// When it names one that does not exist.
pub(crate) fn enabled(spec: &TrialSpec) -> Result<Vec<Oracle>> {
    let skipped = spec.skip_oracle.iter().flat_map(|names| names.split(','));
    let skipped =
        skipped.map(|name| name.trim().parse::<Oracle>().map_err(|why| anyhow!("--skip-oracle: {why}")));
    let skipped: Vec<Oracle> = skipped.collect::<Result<_>>()?;
    ensure!(!skipped.contains(&Oracle::Model), "--skip-oracle: the model cannot be switched off");
    Ok(Oracle::ALL.iter().copied().filter(|oracle| !skipped.contains(oracle)).collect())
}

/// Whether no correct node writes this line, whatever the system.
pub(crate) fn is_fatal_line(line: &str) -> bool {
    log_lines::is_fatal(line)
}
