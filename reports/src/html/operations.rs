//! The outcomes of operations: by name, and by the faults in force.

use maud::{Markup, html};
use tribunal_checker::op::Nanos;

use super::table::Column::{Number, Text};
use super::table::{numbers, share, table};
use super::titled;
use crate::clock::Clock;
use crate::coverage::in_force;
use crate::faults::Fault;
use crate::run_dir::RunDir;
use crate::stats::{PerF, Tally};
use crate::wording::{count, elide, percent};

pub(super) fn section(run: &RunDir) -> Markup {
    if run.judgement.stats.tally.all() == 0 {
        return titled("operations", "Operations", "", html! { p { "There was none." } });
    }
    let body = html! {
        (by_name(run))
        h3 { "Availability" }
        (availability(run))
        @if let Some(target) = run.evidence.info.availability_target {
            p .remark { "The requested minimum success rate is " (format!("{:.1} %", target * 100.0)) "." }
        }
    };
    titled("operations", "Operations", "latencies of operations that happened", body)
}

fn by_name(run: &RunDir) -> Markup {
    let stats = &run.judgement.stats;
    let columns = [
        Text("operation"),
        Number("ok"),
        Number("fail"),
        Number("info"),
        Number("p50"),
        Number("p95"),
        Number("p99"),
        Number("longest"),
    ];
    let rows = html! {
        @for per_f in &stats.by_f {
            tr {
                td { code { (elide(per_f.f.name(), 40)) } }
                (numbers(counts(per_f.tally)))
                (numbers(latencies(per_f, run.clock())))
            }
        }
        tr .total { td { "all" } (numbers(counts(stats.tally))) td colspan="4" {} }
    };
    table(&columns, rows)
}

fn counts(tally: Tally) -> [String; 3] {
    [tally.ok, tally.fail, tally.info].map(count)
}

fn latencies(per_f: &PerF, clock: Clock) -> [String; 4] {
    match per_f.latency {
        Some(it) => [it.p50_ns, it.p95_ns, it.p99_ns, it.max_ns].map(|took| clock.span(took)),
        None => ["–"; 4].map(String::from),
    }
}

/// Success rates: of all operations, of those invoked during each fault, and of those outside all faults.
fn availability(run: &RunDir) -> Markup {
    let faults = &run.evidence.faults;
    let invoked = |faults: &[&Fault], inside: bool| {
        let stretches: Vec<(Nanos, Nanos)> = in_force(faults);
        Tally::of(run.evidence.history.ops.iter().filter(|op| {
            let next = stretches.partition_point(|&(from, _)| from <= op.call);
            (next > 0 && op.call <= stretches[next - 1].1) == inside
        }))
    };
    let mut rows = vec![("overall".to_string(), run.judgement.stats.tally)];
    for seen in &run.judgement.coverage.faults {
        let such: Vec<&Fault> = faults.iter().filter(|fault| fault.fault == seen.fault).collect();
        rows.push((format!("invoked during {}", elide(&seen.fault, 40)), invoked(&such, true)));
    }
    if !faults.is_empty() {
        let all: Vec<&Fault> = faults.iter().collect();
        rows.push(("invoked while no fault was active".to_string(), invoked(&all, false)));
    }
    let columns = [Text(""), Number("succeeded"), Number("of"), Number("share"), Text("")];
    let rows = html! {
        @for (what, tally) in rows {
            tr {
                td { (what) }
                (numbers([count(tally.ok), count(tally.all()), percent(tally.ok, tally.all())]))
                @if tally.all() > 0 { (share(tally.ok as f64 / tally.all() as f64)) } @else { td {} }
            }
        }
    };
    table(&columns, rows)
}
