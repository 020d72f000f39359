//! How operations went: by name, and by what was in force at the time.

use maud::{Markup, html};
use tribunal_checker::op::Nanos;

use super::titled;
use crate::coverage::in_force;
use crate::faults::Fault;
use crate::run_dir::RunDir;
use crate::stats::{Latency, Tally};
use crate::wording::{count, duration, elide, percent};

pub(super) fn section(run: &RunDir) -> Markup {
    let stats = &run.judgement.stats;
    titled(
        "operations",
        "Operations",
        "latencies are of those that happened",
        html! {
            div .scroll tabindex="0" { table {
                thead { tr {
                    th { "operation" } th .number { "ok" } th .number { "fail" } th .number { "info" } th .number { "p50" } th .number { "p95" } th .number { "p99" } th .number { "longest" }
                } }
                tbody {
                    @for per_f in &stats.by_f { (row(&elide(per_f.f.name(), 40), per_f.tally, per_f.latency)) }
                    tr .total {
                        td { "all" }
                        td .number { (count(stats.tally.ok as u64)) } td .number { (count(stats.tally.fail as u64)) } td .number { (count(stats.tally.info as u64)) }
                        td colspan="4" {}
                    }
                }
            } }
            h3 { "Availability" }
            div .scroll tabindex="0" { table {
                thead { tr { th { "" } th .number { "succeeded" } th .number { "of" } th .number { "share" } } }
                tbody { @for (what, tally) in availability(run) {
                    tr { td { (what) } td .number { (count(tally.ok as u64)) } td .number { (count(tally.all() as u64)) } td .number { (percent(tally.ok, tally.all())) } }
                } }
            } }
            @if let Some(target) = run.evidence.info.availability_target {
                p .remark { "The share that ought to succeed was set to " (format!("{:.1} %", target * 100.0)) "." }
            }
        },
    )
}

fn row(name: &str, tally: Tally, latency: Option<Latency>) -> Markup {
    html! {
        tr {
            td { code { (name) } }
            td .number { (count(tally.ok as u64)) } td .number { (count(tally.fail as u64)) } td .number { (count(tally.info as u64)) }
            @match latency {
                Some(latency) => { @for ns in [latency.p50_ns, latency.p95_ns, latency.p99_ns, latency.max_ns] { td .number { (duration(ns)) } } },
                None => { @for _ in 0..4 { td .number { "–" } } },
            }
        }
    }
}

/// How many operations succeeded: of all, of those invoked during each fault, and of those invoked outside all.
fn availability(run: &RunDir) -> Vec<(String, Tally)> {
    let faults = &run.evidence.faults;
    let of = |stretches: &[(Nanos, Nanos)], inside: bool| {
        Tally::of(run.evidence.history.ops.iter().filter(|op| {
            let next = stretches.partition_point(|&(from, _)| from <= op.call);
            (next > 0 && op.call <= stretches[next - 1].1) == inside
        }))
    };
    let mut rows = vec![("overall".to_string(), run.judgement.stats.tally)];
    for seen in &run.judgement.coverage.faults {
        let such: Vec<&Fault> = faults.iter().filter(|fault| fault.fault == seen.fault).collect();
        rows.push((format!("invoked during {}", elide(&seen.fault, 40)), of(&in_force(&such), true)));
    }
    if !faults.is_empty() {
        rows.push((
            "invoked while no fault was in force".to_string(),
            of(&in_force(&faults.iter().collect::<Vec<_>>()), false),
        ));
    }
    rows
}
