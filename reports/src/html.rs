//! `report.html`: the whole run on one page that needs only a browser.
//!
//! One file, opened from disk. A strict content security policy lets it load nothing and connect to nothing;
//! its style and one script are inline. Without the script everything works except the picture of the whole
//! run.
//!
//! Data from the system under test is hostile until escaped: `maud` builds the markup and escapes by type;
//! the script gets JSON that cannot contain `<`, and writes text only. The only three texts that are not
//! escaped are our own (`raw.rs`).

mod advice;
mod checking;
mod columns;
mod counterexample;
mod cursor;
mod evidence;
mod faults;
mod findings;
mod lanes;
pub mod matrix_page;
mod node_logs;
mod operations;
mod raw;
pub mod runs_page;
mod shrunk;
mod space_time;
mod strip;
mod surroundings;
mod table;
mod terms;
mod verdict;
mod whole_run;

use maud::{DOCTYPE, Markup, html};
use tribunal_checker::verdict::Answer;

use crate::plots::{Form, PLOTS, Plot};
use crate::run_dir::RunDir;
use crate::summary;

/// The content security policy: only what is inside the page.
pub const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// The page.
pub fn render(run: &RunDir) -> String {
    let title = format!(
        "{} {} · {}",
        summary::sign(run.judgement.outcome),
        summary::headed(run),
        summary::subject(run).first().cloned().unwrap_or_default()
    );
    let of_run = !run.evidence.info.is_history();
    // Of several mistakes, the one that gives the run its name comes first.
    let by_model = run.judgement.violation().is_some();
    let covered_first = of_run && run.judgement.violation().is_none();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                link rel="icon" href="data:,"; // no icon: a browser would request one from the server
                meta name="generator" content="tribunal";
                title { (title) }
                (raw::style())
            }
            body {
                main {
                    (verdict::header(run))
                    (advice::section(run))
                    @if !by_model { (findings::section(run)) }
                    (verdict::commands(run))
                    // For an undecided run the first question is why, for a good one what it has survived.
                    @if undecided(run) { (checking::section(run)) }
                    @if covered_first { (surroundings::coverage(run)) }
                    (shrunk::section(run))
                    (counterexample::section(run))
                    (evidence::sections(run))
                    @if by_model { (findings::section(run)) }
                    (whole_run::section(run))
                    (space_time::section(run))
                    (node_logs::section(run))
                    @if of_run { (faults::section(run)) }
                    @if PLOTS.iter().any(|plot| (plot.is_due)(run)) { (plots(run)) }
                    (operations::section(run))
                    @if of_run && !covered_first { (surroundings::coverage(run)) }
                    (findings::oracles(run))
                    (surroundings::environment(run))
                    (surroundings::files(run))
                    @if !undecided(run) { (checking::section(run)) }
                }
                (whole_run::data(run))
                (raw::script())
            }
        }
    };
    terms::explained(&page.into_string())
}

/// Whether a limit stopped the check.
fn undecided(run: &RunDir) -> bool {
    run.judgement.checker.as_ref().is_some_and(|verdict| verdict.answer == Answer::Unknown)
}

/// A section with its heading; `remark` describes it in a few words.
fn titled(id: &str, heading: &str, remark: &str, body: Markup) -> Markup {
    html! {
        section id=(id) aria-labelledby={ (id) "-heading" } {
            h2 id={ (id) "-heading" } {
                (heading)
                @if !remark.is_empty() { span .remark { " — " (verdict::with_code(remark)) } }
            }
            (body)
        }
    }
}

fn plots(run: &RunDir) -> Markup {
    titled("plots", "Latency and rate", "with the active faults below the time axis", figures(run, PLOTS))
}

/// The plots that are due, as images: their content can neither run nor leak into the page.
fn figures(run: &RunDir, plots: &[Plot]) -> Markup {
    html! {
        @for plot in plots.iter().filter(|plot| (plot.is_due)(run)) {
            figure {
                img width="900" height="320" alt=(plot.caption) src=(raw::svg_address(&(plot.draw)(run, Form::Svg)));
                figcaption { (plot.caption) " " a href=(plot.name) { (plot.name) } }
            }
        }
    }
}
