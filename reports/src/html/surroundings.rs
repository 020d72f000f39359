//! The basis of a verdict: coverage, machine, files.

use maud::{Markup, html};

use super::table::Column::{Number, Text};
use super::table::{numbers, table};
use super::titled;
use crate::render::RENDERERS;
use crate::run_dir::RunDir;
use crate::run_info::{RunInfo, shell_quoted};
use crate::summary;
use crate::wording::{bytes, count, counted, duration, elide};

/// The maximum number of nodes whose command lines are shown.
const NODES_MAX: usize = 100;

pub(super) fn coverage(run: &RunDir) -> Markup {
    let coverage = &run.judgement.coverage;
    let columns = [
        Text("fault"),
        Number("planned"),
        Number("installed"),
        Number("took effect"),
        Number("skipped"),
        Number("indeterminate"),
        Number("ok ops during"),
        Number("ok ops after"),
    ];
    let rows = html! {
        @for seen in &coverage.faults {
            tr {
                td { (elide(&seen.fault, 40)) }
                (numbers([seen.planned, seen.installed, seen.effective, seen.skipped, seen.indeterminate].map(count)))
                (numbers([seen.ok_during, seen.ok_after].map(count)))
            }
        }
    };
    let body = html! {
        @let uncovered = summary::uncovered(run);
        @if !uncovered.is_empty() {
            ul { @for why in uncovered { li { b { (elide(why, 200)) } } } }
        }
        @if coverage.faults.is_empty() {
            p { "No faults were requested: this run says nothing about how the system fails." }
        } @else {
            (table(&columns, rows))
        }
    };
    titled("coverage", "Coverage", summary::coverage_word(run), body)
}

pub(super) fn environment(run: &RunDir) -> Markup {
    let info = &run.evidence.info;
    let body = html! {
        dl {
            @for (what, text) in facts(info, run.judgement.stats.processes) {
                dt { (what) }
                dd { (text) }
            }
        }
        details {
            summary { "The command lines of the nodes" }
            dl {
                @for node in info.nodes.iter().take(NODES_MAX) {
                    dt { (elide(&node.name, 20)) }
                    dd { code { (elide(&command_line(&node.command), 2000)) } }
                }
            }
        }
    };
    titled("environment", "Environment", "", body)
}

fn command_line(words: &[String]) -> String {
    words.iter().map(|word| shell_quoted(word)).collect::<Vec<_>>().join(" ")
}

/// How and where the run was made, as far as known.
fn facts(info: &RunInfo, processes: usize) -> Vec<(&'static str, String)> {
    let millis = |ms: u64| duration(ms.saturating_mul(1_000_000));
    let git = info.tool.git.as_ref().map_or(String::new(), |git| format!(" ({git})"));
    let rate = match info.rate {
        Some(rate) => format!("{rate} operations per second"),
        None if info.bursts => "alternating full speed and low rate".into(),
        None => "full speed".into(),
    };
    let per_key = info.ops_per_key.map_or(String::new(), |n| format!(", {} each", counted(n, "operation")));
    let phases = info.phases.iter().map(|phase| match phase.end_ns {
        Some(end) => format!("{} {}", phase.name, duration(end.saturating_sub(phase.start_ns))),
        None => format!("{} cut short", phase.name),
    });
    let mut facts = vec![
        ("tribunal", format!("{}{git}", info.tool.version)),
        ("command line", format!("tribunal {}", command_line(&info.args))),
        ("system", format!("{} {}", info.system, info.system_version.as_deref().unwrap_or_default())),
        ("started", info.started_utc.clone()),
        (
            "clients",
            format!(
                "{}, {rate}, {}; {}: a client continues as a new process after an unknown outcome, \
                 and for the final reads",
                counted(info.concurrency, "client"),
                millis(info.time_limit_ms),
                counted(processes, "process").replace("processs", "processes")
            ),
        ),
        ("keys", format!("{} at a time{per_key}", count(info.keys))),
        (
            "nemesis",
            match info.nemesis.len() {
                0 => "none".to_string(),
                _ => format!("{}, every {}", info.nemesis.join(", "), millis(info.nemesis_interval_ms)),
            },
        ),
        ("seed", info.seed.to_string()),
        ("box", boxed(info)),
        ("bugs enabled", info.bugs.join(", ")),
        ("machine", format!("{}, {}", info.os, counted(info.cores, "core"))),
        ("load", load(&info.load)),
        ("clock", info.clock.clone()),
        ("phases", phases.collect::<Vec<_>>().join(" → ")),
    ];
    facts.retain(|(_, text)| !text.is_empty());
    facts.into_iter().map(|(what, text)| (what, elide(text.trim(), 1000))).collect()
}

/// The box that the run happened in: what decides everything that happened.
fn boxed(info: &RunInfo) -> String {
    let (Some(it), Some(seed)) = (&info.boxed, info.box_seed()) else { return String::new() };
    let short = |hash: &str| hash.chars().take(12).collect::<String>();
    let (image, kernel) = (short(&it.image), short(&it.kernel));
    format!("seed {seed}, image {image}, kernel {kernel}, {}", it.qemu_version)
}

/// The load of the machine: on a busy machine a node is slow without any fault.
fn load(averages: &[f64]) -> String {
    match averages {
        [] => String::new(),
        [start] => format!("{start:.1} at the start"),
        [start, .., end] => {
            format!("{start:.1} at the start, {end:.1} at the end (runnable threads, over a minute)")
        }
    }
}

pub(super) fn files(run: &RunDir) -> Markup {
    let made = RENDERERS.iter().filter(|it| it.is_made_for(run) && it.name != "report.html");
    let body = html! {
        ul .files {
            @for (name, size) in &run.files {
                li { a href=(name) { (elide(name, 100)) } " " span .remark { (bytes(*size)) } }
            }
            @for renderer in made { li { a href=(renderer.name) { (renderer.name) } } }
        }
    };
    titled("files", "Files", "beside this page", body)
}
