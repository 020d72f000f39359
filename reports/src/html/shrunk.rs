//! How far the trial was shrunk, and the proof that no fault can go.

use maud::{Markup, html};

use super::table::{Column, numbers, table};
use super::titled;
use crate::run_dir::RunDir;
use crate::shrunk::{INCOMPLETE, shown_without, sizes};

/// Both tables; empty for a run that no `tribunal shrink` has made.
pub(super) fn section(run: &RunDir) -> Markup {
    let Some(shrunk) = &run.shrunk else { return html! {} };
    let proof = html! {
        @for left_out in &shrunk.proof {
            @let (is_needed, why) = shown_without(left_out);
            tr { td { (left_out.fault) } td { (why) } td { (is_needed) } }
        }
    };
    let smaller = html! {
        @for ([_, what], before, after) in sizes(shrunk) { tr { td { (what) } (numbers([before, after])) } }
    };
    let body = html! {
        @if shrunk.proof.is_empty() {
            p { "It shows a violation without any fault." }
        } @else {
            (table(&[Column::Text("fault left out"), Column::Text("what the boots show"), Column::Text("the fault is")], proof))
        }
        p { "What is left of the recorded trial:" }
        (table(&[Column::Text(""), Column::Number("recorded"), Column::Number("smallest")], smaller))
        @if !shrunk.is_complete { p .remark { (INCOMPLETE) } }
    };
    titled("shrunk", "Smallest trial", "each fault left out once, in boxes that repeat", body)
}
