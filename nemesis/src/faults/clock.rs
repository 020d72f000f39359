//! Clock: processes read wrong clocks, each its own. The machine's clock is never changed.
//!
//! A program reads the time from the vDSO, code that the kernel maps into every process so that no system
//! call is needed. The fault patches that code in the running processes of a node ([`process`] describes how,
//! [`stub`] the new code). So it works for nodes in any language, and can begin and end in the middle of a
//! run.
//!
//! - *jump*, *scatter*: the wall clock is wrong, as after a mistake of an operator or a bad NTP server. The
//!   monotonic clock stays correct, because nothing ever sets it.
//! - *drift*: both clocks run fast or slow, since both depend on one quartz. Leases are measured on the
//!   monotonic clock, so drift breaks them.
//! - *strobe*: the wall clock jumps back and forth many times a second, so the difference of two readings is
//!   meaningless.
//!
//! The undo corrects the wall clock at once, and the monotonic clock too if it is behind. A monotonic clock
//! that is ahead must never go back, so it runs at half speed until it is correct.

mod process;
mod skew;
mod stub;
mod vdso;

use std::time::Duration;

use rand::{Rng, RngExt};

use crate::{
    FaultEffect, NodeId, Nodes, TimedAct,
    act::verb::{Applied, Domain, Reversal, Verb, VerbSpec, simple_verb},
    faults::{AnyVerb, DrawContext, Fault, Kind},
    processes::LockedNode,
};
use process::ClockChange;
pub use skew::Skew;
use stub::{Parameters, TrueTime};

pub(crate) const FAULT: Fault = Fault {
    name: "clock",
    about: "makes the clocks of processes jump, drift or jump back and forth; the undo corrects them",
    usual: false,
    alone: false,
    kinds: &[
        Kind::leader("jump-leader", "the wall clock of the leader is wrong"),
        Kind::leader("drift-leader", "the clocks of the leader run fast or slow"),
        Kind::leader(
            "strobe-leader",
            "the wall clock of the leader jumps back and forth, many times a second",
        ),
        Kind::any_node("jump", "the wall clock of a random node is wrong"),
        Kind::any_node("scatter", "every wall clock is wrong, each by its own amount"),
        Kind::any_node("drift", "every node's clocks run fast or slow, each at its own rate"),
        Kind::any_node("strobe", "the wall clock of a random node jumps back and forth, many times a second"),
    ],
    draw,
};

/// Maximum number of times that a strobing clock is set, and how long each setting lasts, in milliseconds.
const STROBES_MAX: usize = 100;
const STROBE_MS: std::ops::Range<u64> = 5..200;

fn draw(kind: &str, context: &mut DrawContext) -> Vec<TimedAct> {
    let first = context.order[0];
    let jump = |rng: &mut _, node| Skew { offset_ms: offset_ms(rng), drift_ppm: 0 }.on(node).into();
    let drift = |rng: &mut _, node| Skew { offset_ms: 0, drift_ppm: drift_ppm(rng) }.on(node).into();
    match kind {
        "jump-leader" | "jump" => vec![jump(&mut context.rng, first)],
        "drift-leader" => vec![drift(&mut context.rng, first)],
        "scatter" => context.order.iter().map(|&node| jump(&mut context.rng, node)).collect(),
        "drift" => context.order.iter().map(|&node| drift(&mut context.rng, node)).collect(),
        _ => strobe(first, context),
    }
}

fn strobe(node: NodeId, context: &mut DrawContext) -> Vec<TimedAct> {
    let skew = Skew { offset_ms: offset_ms(&mut context.rng), drift_ppm: 0 };
    let every_ms = context.moment_ms(STROBE_MS);
    let moments = (0..context.hold_ms).step_by(every_ms as usize).take(STROBES_MAX);
    let acts = [skew.on(node), Unskew.on(node)].into_iter().cycle();
    moments.zip(acts).map(|(after_ms, act)| TimedAct { after_ms, act }).collect()
}

/// From a tenth of a second to about four hours, ahead or behind, each magnitude equally likely: from the
/// length of a lease to a wrong time zone.
fn offset_ms(rng: &mut impl Rng) -> i64 {
    sign(rng) * (100.0 * 2f64.powf(rng.random_range(0.0..17.0))) as i64
}

/// From one to three hundred thousand parts per million, fast or slow, each magnitude equally likely. The
/// error of a bad quartz would not show in a run this short, so it is exaggerated to gain minutes.
fn drift_ppm(rng: &mut impl Rng) -> i32 {
    sign(rng) as i32 * (1_000.0 * 300f64.powf(rng.random_range(0.0..1.0))) as i32
}

fn sign(rng: &mut impl Rng) -> i64 {
    if rng.random() { 1 } else { -1 }
}

/// Skews the clocks of a node's processes.
impl Verb for Skew {
    const SPEC: VerbSpec = VerbSpec {
        impairs: true,
        unavailable: |pid| {
            process::possible(pid).err().map(|why| format!("the clock cannot be made wrong: {why}"))
        },
        ..VerbSpec::of("skew", Domain::Process, Reversal::By(AnyVerb::Unskew(Unskew)))
    };

    fn read(arguments: &[&str]) -> Option<Skew> {
        Skew::parse(arguments)
    }

    fn arguments(self) -> String {
        self.to_string()
    }

    async fn apply<N: Nodes>(self, node: &mut LockedNode<N>) -> Result<Applied, String> {
        let before = move |pids: Vec<i32>| change_all(&pids, |before, now| before.skewed(self, now));
        Ok(effect(&node.blocking(before).await?).into())
    }
}

simple_verb! {
    /// Corrects the clocks, and reports how wrong they were.
    Unskew = VerbSpec::of("unskew", Domain::Process, Reversal::IsUndo);
    |node| {
        let changes = node.blocking(|pids| change_all(&pids, Parameters::settling)).await?;
        let ahead = changes.iter().map(|change| change.after.monotonic.at(change.now.monotonic)).max();
        if let Some(ns) = ahead.filter(|&ns| ns > 0) {
            // Correcting takes twice as long at half speed, plus a margin. A clock that is still wrong then
            // was skewed again and has its own undo.
            let settling = Duration::from_nanos(ns.unsigned_abs() * 2 + 10_000_000);
            node.later(settling, |pids| drop(settle(&pids)));
        }
        Ok(effect(&changes))
    }
}

/// Restores the kernel's code in processes whose clocks have become correct.
fn settle(pids: &[i32]) -> Result<(), String> {
    let settled = |before: Parameters, now| {
        // Only clocks that `unskew` left settling have settled.
        if before.is_settling() && before.settling(now) == Parameters::CORRECT {
            Parameters::CORRECT
        } else {
            before
        }
    };
    change_all(pids, settled).map(drop)
}

/// Patches all processes. A process that ends meanwhile is ignored.
fn change_all(
    pids: &[i32],
    next: impl Fn(Parameters, TrueTime) -> Parameters,
) -> Result<Vec<ClockChange>, String> {
    let mut changes = Vec::new();
    for &pid in pids {
        match process::change(pid, &next) {
            Ok(change) => changes.push(change),
            Err(_) if !std::fs::exists(format!("/proc/{pid}/maps")).unwrap_or(true) => {}
            Err(why) => return Err(format!("process {pid}: {why}")),
        }
    }
    Ok(changes)
}

fn effect(changes: &[ClockChange]) -> FaultEffect {
    let off = |ClockChange { before, now, .. }: &ClockChange| {
        before.wall.at(now.wall).unsigned_abs().max(before.monotonic.at(now.monotonic).unsigned_abs())
    };
    let off_ms = changes.iter().map(off).max().unwrap_or(0) / 1_000_000;
    FaultEffect { clock_off_ms: off_ms, ..FaultEffect::default() }
}
