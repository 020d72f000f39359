//! The page of all runs, for `tribunal serve`: a table with filters, and trends over the runs of one test.
//!
//! It has no script: the filters are a form, and their values are in the URL, so it can be bookmarked and
//! shared.

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;

use super::raw;
use super::table::Column::{Number, Text};
use super::table::{number, table};
use crate::judgement::RunOutcome;
use crate::runs::RunSummary;
use crate::summary;
use crate::wording::{bytes, count, counted, duration, elide, millis};

/// The content security policy of pages without a script: only inline style, and the form.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The maximum number of runs shown: the newest.
pub const RUNS_MAX: usize = 1000;
/// The maximum number of runs drawn in one row.
const DRAWN_MAX: usize = 60;

/// The filters of the table; an empty one matches everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// The name of a workload.
    pub workload: String,
    /// The name of a system.
    pub system: String,
    /// The name of an outcome, or `none`: not judged.
    pub outcome: String,
    /// [`RunSummary::test`] of the runs.
    pub test: String,
    /// Words that the path, the test or the sentence must contain, ignoring case.
    pub q: String,
}

impl Filter {
    fn matches(&self, run: &RunSummary) -> bool {
        let is = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        let text = format!("{} {} {} {}", run.path, run.test(), run.sentence, run.seed).to_lowercase();
        is(&self.workload, &run.workload)
            && is(&self.system, &run.system)
            && is(&self.outcome, outcome_name(run))
            && is(&self.test, &run.test())
            && self.q.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }
}

fn outcome_name(run: &RunSummary) -> &'static str {
    run.outcome.map_or("none", RunOutcome::name)
}

fn sign(run: &RunSummary) -> &'static str {
    run.outcome.map_or("…", summary::sign)
}

/// The page: `all` are the newest of the `total` runs, newest first.
pub fn render(all: &[RunSummary], total: usize, filter: &Filter) -> String {
    let shown: Vec<&RunSummary> = all.iter().filter(|run| filter.matches(run)).collect();
    let heading = html! { "Runs " span .remark { (counted(shown.len(), "run")) " of " (count(total)) } };
    document(
        "Runs",
        html! {
            h1 { (heading) }
            @if total > all.len() { p .remark { "Only the newest " (count(all.len())) " runs are shown." } }
            (form(all, filter))
            @if shown.is_empty() {
                p { @if total == 0 { "There are no runs yet. Start one: " code { "tribunal run register" } "." }
                    @else { "No run matches. " a href="/" { "Show all" } } }
            } @else {
                (tests(&shown, filter))
                (runs(&shown))
            }
        },
    )
}

pub(super) fn document(title: &str, body: Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                link rel="icon" href="data:,"; // no icon: a browser would request one
                title { (title) " · Tribunal" }
                (raw::style())
            }
            body { main .runs { (body) } }
        }
    };
    page.into_string()
}

fn form(all: &[RunSummary], filter: &Filter) -> Markup {
    let distinct = |of: fn(&RunSummary) -> &str| {
        let mut names: Vec<&str> = all.iter().map(of).filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let choice = |name: &str, chosen: &str, options: Vec<&str>| {
        html! {
            label { (name) " "
                select name=(name) {
                    option value="" selected[chosen.is_empty()] { "all" }
                    @for option in options { option value=(option) selected[option == chosen] { (elide(option, 40)) } }
                }
            }
        }
    };
    html! {
        form .tools method="get" action="/" {
            (choice("workload", &filter.workload, distinct(|run| &run.workload)))
            (choice("system", &filter.system, distinct(|run| &run.system)))
            (choice("outcome", &filter.outcome, vec!["violation", "too-slow", "unknown", "harness-failure", "linearizable", "convergent", "none"]))
            label { "words " input type="search" name="q" value=(filter.q) size="24"; }
            @if !filter.test.is_empty() { input type="hidden" name="test" value=(filter.test); }
            button type="submit" { "Filter" }
            a href="/" { "all runs" }
        }
    }
}

/// The runs of each test in chronological order; drawn larger, with numbers, if one test was chosen.
fn tests(shown: &[&RunSummary], filter: &Filter) -> Markup {
    let mut tests: BTreeMap<String, Vec<&RunSummary>> = BTreeMap::new();
    for run in shown.iter().rev().filter(|run| !run.workload.is_empty()) {
        tests.entry(run.test()).or_default().push(run);
    }
    if let (false, Some(runs)) = (filter.test.is_empty(), tests.get(&filter.test)) {
        return trends(&filter.test, &runs[runs.len().saturating_sub(DRAWN_MAX)..]);
    }
    let columns = [Text("test"), Number("runs"), Number("violations"), Text("oldest to newest")];
    let rows = html! {
        @for (test, runs) in &tests {
            tr {
                td { a href={ "/?test=" (escaped(test)) } { (elide(test, 120)) } }
                (number(count(runs.len())))
                (number(count(runs.iter().filter(|run| run.outcome == Some(RunOutcome::Violation)).count())))
                td .marks {
                    @for run in &runs[runs.len().saturating_sub(DRAWN_MAX)..] {
                        a .mark.(outcome_name(run)) href=(link(run)) title=(label(run)) { (sign(run)) }
                    }
                }
            }
        }
    };
    html! { section #tests { h2 { "Tests" } (table(&columns, rows)) } }
}

fn label(run: &RunSummary) -> String {
    format!("{} {}: {}", run.started_utc, outcome_name(run), elide(&run.sentence, 200))
}

/// The trends of one test, run by run.
fn trends(test: &str, runs: &[&RunSummary]) -> Markup {
    let took = |value: f64| duration((value * 1e6) as u64);
    html! {
        section #trends {
            h2 { (elide(test, 120)) span .remark { " — the last " (counted(runs.len(), "run")) ", oldest first" } }
            (bars("successful operations per second", runs, |run| run.ok_per_second, |value| count(value as u64)))
            (bars("p99 latency of successful operations", runs, |run| run.p99_ns.unwrap_or(0) as f64 / 1e6, took))
            (bars("the check took", runs, |run| run.check_ms.unwrap_or(0) as f64, took))
        }
    }
}

/// One bar per run, linked to it.
fn bars(
    caption: &str,
    runs: &[&RunSummary],
    figure: fn(&RunSummary) -> f64,
    words: impl Fn(f64) -> String,
) -> Markup {
    const TALL: f64 = 90.0;
    const STEP: usize = 18;
    let most = runs.iter().map(|run| figure(run)).fold(0.0, f64::max);
    let scale = if most > 0.0 { TALL / most } else { 0.0 };
    html! {
        figure {
            figcaption { (caption) ", at most " (words(most)) }
            div .scroll tabindex="0" {
                svg .trend width=(runs.len() * STEP + 2) height=(TALL + 20.0) role="img" aria-label=(caption) {
                    @for (at, run) in runs.iter().enumerate() {
                        @let tall = (figure(run) * scale).max(1.0);
                        a href=(link(run)) {
                            title { (words(figure(run))) " · " (label(run)) }
                            rect .(outcome_name(run)) x=(at * STEP + 2) y=(format!("{:.1}", TALL - tall)) width=(STEP - 4) height=(format!("{tall:.1}")) {}
                            text x=(at * STEP + STEP / 2) y=(TALL + 15.0) { (sign(run)) }
                        }
                    }
                }
            }
        }
    }
}

fn runs(shown: &[&RunSummary]) -> Markup {
    let columns = [
        Text("outcome"),
        Text("run"),
        Text("faults"),
        Number("ops"),
        Number("ok per s"),
        Number("p99"),
        Number("check"),
    ];
    let rows = html! {
        @for run in shown {
            tr .(outcome_name(run)) {
                td .outcome { span .mark.(outcome_name(run)) { (sign(run)) } " "
                    (run.heading().unwrap_or("not judged")) }
                td {
                    a href=(link(run)) { (elide(&run.path, 80)) }
                    @if !run.system.is_empty() { span .remark { " on " (elide(&run.system, 40)) } }
                    @for bug in &run.bugs { " " code { "+" (elide(bug, 40)) } }
                    " " a .remark href={ "/runs/" (address(&run.path)) "/" } { "files" }
                    @if !run.outcome.is_some_and(RunOutcome::is_good) { div .remark { (super::verdict::with_code(&elide(&run.sentence, 220))) } }
                }
                td { (elide(&run.nemesis.join(", "), 60)) }
                (number(count(run.ops)))
                (number(count(run.ok_per_second as u64)))
                (number(run.p99_ns.map_or("–".into(), duration)))
                (number(run.check_ms.map_or("–".into(), millis)))
            }
        }
    };
    html! { section #runs { h2 { "Runs" } (table(&columns, rows)) } }
}

/// The listing of a directory of a run; `path` is below the store.
pub fn listing(path: &str, files: &[(String, Option<u64>)]) -> String {
    let slash = |size: &Option<u64>| if size.is_none() { "/" } else { "" };
    let rows = html! {
        tr { td { a href="../" { "../" } } (number("")) }
        @for (name, size) in files {
            tr {
                td { a href={ "./" (address(name)) (slash(size)) } { (elide(name, 120)) (slash(size)) } }
                (number(size.map_or(String::new(), bytes)))
            }
        }
    };
    document(
        path,
        html! {
            h1 { a href="/" { "Runs" } " / " (elide(path, 120)) }
            (table(&[Text("file"), Number("size")], rows))
        },
    )
}

/// The URL of a run's page, or of its files if there is none.
fn link(run: &RunSummary) -> String {
    match run.outcome {
        Some(_) => format!("/runs/{}/report.html", address(&run.path)),
        None => format!("/runs/{}/", address(&run.path)),
    }
}

/// A path as a URL path.
pub fn address(path: &str) -> String {
    path.split('/').map(escaped).collect::<Vec<_>>().join("/")
}

/// Percent-encodes a text (RFC 3986, section 2.3: all but unreserved characters are encoded).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &str, outcome: RunOutcome, sentence: &str) -> RunSummary {
        let (workload, system) = (path.split('/').next().unwrap().into(), "raft".into());
        let sentence = sentence.into();
        RunSummary {
            path: path.into(),
            workload,
            system,
            outcome: Some(outcome),
            sentence,
            ..RunSummary::default()
        }
    }

    #[test]
    fn filters_leave_what_was_asked_for() {
        let violation = run("register/a", RunOutcome::Violation, "p3 read a stale value");
        let fine = run("counter/b", RunOutcome::Linearizable, "Linearizable.");
        let left = |filter: Filter| [&violation, &fine].map(|run| filter.matches(run));
        let text = |text: &str| text.to_string();
        assert_eq!(left(Filter::default()), [true, true]);
        assert_eq!(left(Filter { workload: text("counter"), ..Filter::default() }), [false, true]);
        assert_eq!(left(Filter { outcome: text("violation"), ..Filter::default() }), [true, false]);
        assert_eq!(left(Filter { q: text("STALE raft"), ..Filter::default() }), [true, false]);
        assert_eq!(left(Filter { test: fine.test(), ..Filter::default() }), [false, true]);
        assert_eq!(left(Filter { system: text("paxos"), ..Filter::default() }), [false, false]);
    }

    #[test]
    fn a_violation_has_the_words_of_the_oracle_that_found_it() {
        let run = RunSummary {
            found_by: Some(tribunal_records::oracles::Oracle::Divergence),
            ..run("register/a", RunOutcome::Violation, "n1 and n2 differ")
        };
        let page = render(&[run], 1, &Filter::default());
        assert!(page.contains("replicas differ") && !page.contains("not linearizable"), "{page}");
    }

    #[test]
    fn what_a_run_is_called_is_escaped_everywhere() {
        let evil = "<img src=x onerror=alert(1)>\"'&#";
        let run = RunSummary {
            bugs: vec![evil.into()],
            ..run(&format!("{evil}/{evil}"), RunOutcome::Violation, evil)
        };
        let filter = Filter { q: "img".into(), test: run.test(), ..Filter::default() };
        for filter in [filter, Filter::default()] {
            let page = render(std::slice::from_ref(&run), 1, &filter);
            assert!(page.contains("&lt;img") && !page.contains("<img"), "{page}");
            assert!(!page.contains("<script"));
        }
        assert!(!listing(evil, &[(evil.into(), None)]).contains("<img"));
    }

    #[test]
    fn addresses_keep_their_slashes_only() {
        assert_eq!(address("a b/ü#?%"), "a%20b/%C3%BC%23%3F%25");
    }
}
