//! What a verdict rests on: what was covered, on what machine, in which files.

use maud::{Markup, html};

use super::titled;
use crate::render::RENDERERS;
use crate::run_dir::RunDir;
use crate::run_info::shell_quoted;
use crate::wording::{bytes, count, duration, elide};

pub(super) fn coverage(run: &RunDir) -> Markup {
    let coverage = &run.judgement.coverage;
    let remark = if coverage.met { "met" } else { "not met" };
    titled(
        "coverage",
        "Coverage",
        remark,
        html! {
            @if coverage.faults.is_empty() { p { "No faults were asked for: this run says nothing about how the system fails." } }
            @if !coverage.why.is_empty() { ul { @for why in &coverage.why { li { b { (elide(why, 200)) } } } } }
            @if !coverage.faults.is_empty() { div .scroll tabindex="0" { table {
                thead { tr {
                    th { "fault" } th .number { "planned" } th .number { "installed" } th .number { "bit" } th .number { "skipped" } th .number { "indeterminate" }
                    th .number { "ok ops during" } th .number { "ok ops after" }
                } }
                tbody { @for seen in &coverage.faults { tr {
                    td { (elide(&seen.fault, 40)) }
                    @for n in [seen.planned, seen.installed, seen.effective, seen.skipped, seen.indeterminate, seen.ok_during, seen.ok_after] { td .number { (count(n as u64)) } }
                } } }
            } } }
        },
    )
}

pub(super) fn environment(run: &RunDir) -> Markup {
    let info = &run.evidence.info;
    let command: Vec<String> = info.args.iter().map(|arg| shell_quoted(arg)).collect();
    let rate =
        info.rate.map_or("as fast as they go".to_string(), |rate| format!("{rate} operations per second"));
    titled(
        "environment",
        "Environment",
        "",
        html! {
            dl {
                dt { "tribunal" } dd { (elide(&info.tool.version, 40)) @if let Some(git) = &info.tool.git { " (" (elide(git, 60)) ")" } }
                dt { "command line" } dd { code { "tribunal " (elide(&command.join(" "), 1000)) } }
                dt { "system" } dd { (elide(&info.system, 60)) @if let Some(version) = &info.system_version { " " (elide(version, 120)) } }
                dt { "started" } dd { (elide(&info.started_utc, 40)) }
                dt { "clients" } dd { (info.concurrency) " at a time, " (rate) ", for " (duration(info.time_limit_ms.saturating_mul(1_000_000))) }
                dt { "keys" } dd { (info.keys) " at a time" @if let Some(n) = info.ops_per_key { ", " (count(n as u64)) " operations each" } }
                dt { "nemesis" } dd {
                    @if info.nemesis.is_empty() { "none" } @else { (elide(&info.nemesis.join(", "), 200)) " every " (duration(info.nemesis_interval_ms.saturating_mul(1_000_000))) }
                }
                dt { "seed" } dd { (info.seed) }
                @if !info.bugs.is_empty() { dt { "bugs switched on" } dd { (elide(&info.bugs.join(", "), 200)) } }
                dt { "machine" } dd { (elide(&info.os, 120)) ", " (info.cores) " cores" }
                dt { "clock" } dd { (elide(&info.clock, 60)) }
                @if !info.phases.is_empty() { dt { "phases" } dd {
                    @for (at, phase) in info.phases.iter().enumerate() {
                        @if at > 0 { " → " }
                        (elide(&phase.name, 30)) " "
                        @match phase.end_ns { Some(end) => { (duration(end.saturating_sub(phase.start_ns))) }, None => "cut short" }
                    }
                } }
            }
            details {
                summary { "The command lines of the nodes" }
                dl .nodes { @for node in info.nodes.iter().take(100) {
                    dt { (elide(&node.name, 20)) }
                    dd { code { (elide(&node.command.iter().map(|arg| shell_quoted(arg)).collect::<Vec<_>>().join(" "), 2000)) } }
                } }
            }
        },
    )
}

pub(super) fn files(run: &RunDir) -> Markup {
    titled(
        "files",
        "Files",
        "beside this page",
        html! {
            ul .files {
                @for (name, size) in &run.files { li { a href=(name) { (elide(name, 100)) } " " span .remark { (bytes(*size)) } } }
                @for renderer in RENDERERS.iter().filter(|it| it.is_made_for(run) && it.name != "report.html") {
                    li { a href=(renderer.name) { (renderer.name) } }
                }
            }
        },
    )
}
