//! `report.txt`: the report on the terminal at the end of a run. At most 40 lines of at most 100 characters.

mod lanes;

use tribunal_checker::verdict::{Explanation, Impossible, Violation};
use tribunal_records::oracles::Finding;

use crate::advice::{self, LogSpan, Suspicion};
use crate::circumstances;
use crate::findings;
use crate::judgement::{Judgement, RunOutcome};
use crate::run_dir::RunDir;
use crate::run_info::shell_quoted;
use crate::shrunk::{INCOMPLETE, shown_without, sizes};
use crate::summary;
use crate::wording::{count, elide, operation, percent};

/// The maximum length of a line, in characters.
pub const WIDTH: usize = 100;
/// The maximum number of lines.
pub const LINES_MAX: usize = 40;
/// The maximum number of questions with answers.
const EXPLANATIONS_MAX: usize = 2;
/// The maximum number of lines about faults.
const FAULTS_MAX: usize = 6;
/// The maximum number of lines of a node's last output.
const LAST_OUTPUT_MAX: usize = 5;

/// The maximum number of lines of a sentence about faults.
const CIRCUMSTANCE_LINES_MAX: usize = 3;

/// The maximum number of findings of oracles beside the model.
const FINDINGS_MAX: usize = 3;

/// The minimum length of a line for which the report is made.
const WIDTH_MIN: usize = 60;

/// The report, as it is stored.
pub fn render(run: &RunDir) -> String {
    render_within(run, WIDTH)
}

/// The report for a terminal of this width, in characters; commands are not cut, because they are copied.
pub fn render_within(run: &RunDir, width: usize) -> String {
    let width = width.clamp(WIDTH_MIN, WIDTH);
    let wrapped = |text: &str, first, rest| wrapped(text, first, rest, width);
    let line = |text: &str| elide(text, width);
    let judgement = &run.judgement;
    let mut lines = headline(run, width);
    lines.extend(at_most(5, wrapped(&judgement.sentence, 2, 2), width));
    if judgement.interrupted && judgement.outcome != RunOutcome::Unknown {
        lines.push("  the run was interrupted; the verdict is based on the history so far".to_string());
    }
    if let Some(otherwise) = summary::other_live_violation(run) {
        lines.extend(at_most(2, wrapped(&otherwise, 2, 4), width));
    }
    lines.extend(shrunk(run).iter().flat_map(|text| wrapped(text, 2, 4)));
    // Of several mistakes, the one that gives the run its name comes first, and needs the room for its evidence.
    let by_model = judgement.violation().is_some();
    let findings = findings(run, by_model, width);
    let mut optional = Vec::new();
    match judgement.violation() {
        None => lines.extend(findings.concat()),
        Some(violation) => {
            lines.extend(circumstances(run, width));
            lines.extend(advice(run, width));
            lines.push(String::new());
            let (picture, reasons) = evidence(run, violation, width);
            lines.extend(picture);
            optional.extend(findings);
            optional.extend(reasons);
        }
    }
    if let Some(survived) = summary::survived(run) {
        lines.extend(at_most(3, wrapped(&survived, 2, 2), width));
    }
    if let Some(failure) = &judgement.harness_failure {
        let mut error = failure.error.lines();
        let first = error.next().unwrap_or_default();
        if judgement.violation().is_some() {
            lines.push(line(&format!("  in addition, the harness failed: {}: {first}", failure.source)));
        }
        lines.extend(error.take(LAST_OUTPUT_MAX).map(|words| line(&format!("    {words}"))));
    }
    let (figures, brief) = (figures(run, width), brief_figures(run, width));
    let closing = closing(run, width);
    // A block is shown whole or not at all. Two lines are blank.
    let mut room = LINES_MAX - closing.len() - 2;
    lines.truncate(room - brief.len());
    room -= lines.len();
    for block in optional {
        if block.len() + brief.len() <= room {
            room -= block.len();
            lines.extend(block);
        }
    }
    lines.push(String::new());
    let figures = if figures.len() <= room { figures } else { brief };
    room -= figures.len();
    lines.extend(figures);
    let looked = looked(run, width);
    if looked.len() <= room {
        lines.extend(looked);
    }
    lines.push(String::new());
    lines.extend(closing);
    lines.into_iter().map(|line| line.trim_end().to_string() + "\n").collect()
}

/// How far the trial was shrunk, and the proof; empty if it was not.
fn shrunk(run: &RunDir) -> Vec<String> {
    let Some(shrunk) = &run.shrunk else { return Vec::new() };
    let sizes = sizes(shrunk).map(|([one, many], before, after)| match before == after {
        true => format!("{after} {}", if after == "1" { one } else { many }),
        false => format!("{after} of {before} {many}"),
    });
    let mut lines = vec![format!("smallest: {}", sizes.join(", "))];
    for left_out in &shrunk.proof {
        let (is_needed, why) = shown_without(left_out);
        lines.push(format!("{is_needed}: {}: without it, {why}", left_out.fault));
    }
    if !shrunk.is_complete {
        lines.push(INCOMPLETE.into());
    }
    lines
}

/// The first `max` lines of a sentence; an ellipsis says that there are more.
fn at_most(max: usize, mut lines: Vec<String>, width: usize) -> Vec<String> {
    if lines.len() > max {
        lines.truncate(max);
        if let Some(last) = lines.last_mut() {
            while last.chars().count() + 2 > width
                && let Some((kept, _)) = last.rsplit_once(' ')
            {
                *last = kept.to_string();
            }
            last.push_str(" …");
        }
    }
    lines
}

/// The outcome, and what was tested.
fn headline(run: &RunDir, width: usize) -> Vec<String> {
    let outcome = run.judgement.outcome;
    let mut subject = summary::subject(run);
    subject.extend(summary::violated_key(run).map(|key| format!("key {key}")));
    subject.insert(0, format!("{} {}", summary::sign(outcome), summary::headed(run)));
    // Non-breaking spaces keep each part together.
    let subject = subject.join(" ·\n").replace(' ', "\u{a0}").replace('\n', " ");
    let lines = at_most(3, wrapped(&subject, 0, 2, width), width).into_iter();
    lines.map(|line| line.replace('\u{a0}', " ")).collect()
}

/// The faults around the violation, each sentence with as many of the last ones as its lines have room for.
fn circumstances(run: &RunDir, width: usize) -> Vec<String> {
    let fits = |lines: &Vec<String>| lines.len() <= CIRCUMSTANCE_LINES_MAX;
    let said = (0..circumstances::around_violation(run, 1).len()).flat_map(|at| {
        let with = |named: usize| wrapped(&circumstances::around_violation(run, named)[at], 2, 4, width);
        let most = (1..=circumstances::NAMED_MAX).rev().map(with).find(fits);
        most.unwrap_or_else(|| at_most(CIRCUMSTANCE_LINES_MAX, with(1), width))
    });
    said.collect()
}

/// The most likely cause, and the log lines to read first.
fn advice(run: &RunDir, width: usize) -> Vec<String> {
    let advice = advice::of(run);
    advice.map_or(Vec::new(), |advice| what_to_do(advice.causes.first(), &advice.read, width))
}

fn what_to_do(cause: Option<&Suspicion>, spans: &[LogSpan], width: usize) -> Vec<String> {
    let mut lines = cause.map_or(Vec::new(), |cause| labelled("suspect", &cause.bug, 3, width));
    let read = spans.iter().map(|span| match span.lines {
        (first, last) if first == last => format!("{}.log:{first}", span.node),
        (first, last) => format!("{}.log:{first}-{last}", span.node),
    });
    let read: Vec<String> = read.collect();
    if !read.is_empty() {
        lines.extend(labelled("read", &read.join(", "), 3, width));
    }
    lines
}

/// A text beside its label, in at most `max` lines.
fn labelled(label: &str, text: &str, max: usize, width: usize) -> Vec<String> {
    // Non-breaking spaces keep the column.
    let text = format!("{label:\u{a0}<8} {text}");
    let lines = at_most(max, wrapped(&text, 2, 11, width), width).into_iter();
    lines.map(|line| line.replace('\u{a0}', " ")).collect()
}

/// What the oracles beside the model found, a block each: of the first, what to do, and of each its evidence, unless
/// the model found a violation, too.
fn findings(run: &RunDir, by_model: bool, width: usize) -> Vec<Vec<String>> {
    let said = |finding: &Finding| at_most(3, wrapped(&findings::sentence(finding), 2, 4, width), width);
    let all = run.judgement.findings.iter().take(FINDINGS_MAX).enumerate();
    all.map(|(at, finding)| {
        // The sentence of the one that decided is the run's.
        let is_said = run.judgement.decisive_finding() == Some(finding);
        let mut block = if is_said { Vec::new() } else { said(finding) };
        if !by_model {
            let evidence = finding.evidence.iter().take(LAST_OUTPUT_MAX);
            block.extend(evidence.map(|words| elide(&format!("    {words}"), width)));
            if at == 0 {
                let around = circumstances::around_finding(run, finding);
                block.extend(around.iter().flat_map(|text| at_most(3, wrapped(text, 2, 4, width), width)));
                let (causes, spans) =
                    (advice::of_finding(run, finding), advice::lines_of_finding(run, finding));
                block.extend(what_to_do(causes.first(), &spans, width));
            }
        }
        block
    })
    .collect()
}

/// What was looked for beside the model, and how often.
fn looked(run: &RunDir, width: usize) -> Vec<String> {
    let (info, judgement) = (&run.evidence.info, &run.judgement);
    if judgement.oracles.is_empty() {
        return Vec::new();
    }
    let mut lines = labelled("looked", &findings::looked(info, judgement).join("; "), LINES_MAX, width);
    if !info.never.is_empty() {
        lines.extend(labelled("but", &info.never.join("; "), LINES_MAX, width));
    }
    lines
}

/// A command that can be copied, broken before a flag where a line is too narrow.
fn typed(what: &str, command: &str, width: usize) -> Vec<String> {
    let mut lines = vec![format!("  {what:<8}")];
    let parts: Vec<&str> = command.split(" --").collect();
    for (at, part) in parts.iter().enumerate() {
        let part = if at == 0 { part.to_string() } else { format!("--{part}") };
        let last = lines.last_mut().expect("there is one");
        // All lines except the last need room for a space and a backslash.
        let reserve = if at + 1 < parts.len() { 2 } else { 0 };
        if at > 0 && last.chars().count() + 1 + part.chars().count() + reserve > width {
            last.push_str(" \\");
            lines.push(format!("{:13}{part}", ""));
        } else {
            last.push(' ');
            last.push_str(&part);
        }
    }
    lines
}

/// The picture of the counterexample, line by line; empty if no violation was proved.
pub(crate) fn picture(run: &RunDir) -> Vec<String> {
    picture_within(run, WIDTH)
}

fn picture_within(run: &RunDir, width: usize) -> Vec<String> {
    lanes::draw(&run.judgement, &run.evidence.faults, width)
}

/// The picture; and why no order works, a block for each reason.
fn evidence(run: &RunDir, violation: &Violation, width: usize) -> (Vec<String>, Vec<Vec<String>>) {
    let wrapped = |text: &str, first, rest| wrapped(text, first, rest, width);
    let line = |text: &str| elide(text, width);
    let mut lines = Vec::new();
    if let (false, Some(first)) = (violation.before.is_empty(), summary::first_of_counterexample(run)) {
        let states = violation.before.join(", ");
        lines.push(line(&format!("  state before p{} {}: {{{states}}}", first.process, operation(first))));
    }
    lines.extend(picture_within(run, width));
    // First whether something is lost, then the explanation: a terminal has no room for all answers.
    let first = usize::from(violation.missing.is_some());
    let mut explanations: Vec<_> = violation.explanations.iter().enumerate().collect();
    explanations.sort_by_key(|(at, explanation)| *at >= first && explanation.holds == Some(false));
    let said = |explanation: &Explanation| {
        at_most(2, wrapped(&format!("{} {}", explanation.question, explanation.answer), 2, 4), width)
    };
    let mut answers = explanations.into_iter().take(EXPLANATIONS_MAX).map(|(_, it)| said(it));
    let mut blocks: Vec<_> = answers.by_ref().take(first).collect();
    let lead = match violation.order.len() {
        0 => "to begin: ".to_string(),
        n => format!("after {}: ", summary::places(n)),
    };
    let indent = 2 + lead.chars().count();
    for (at, impossible) in violation.impossible.iter().take(3).enumerate() {
        let reason = wrapped(&why_not(&run.judgement, impossible), indent, indent + 2);
        let mut reason = at_most(2, reason, width);
        if at == 0 {
            reason[0] = format!("  {lead}{}", reason[0].trim_start());
        }
        blocks.push(reason);
    }
    if let Some(more) = violation.impossible.len().checked_sub(4) {
        blocks.push(vec![format!("  and {} more ways, none of which works", more + 1)]);
    }
    blocks.extend(answers);
    blocks.extend(summary::shrink_caption(run).map(|caption| vec![line(&format!("  {caption}"))]));
    (lines, blocks)
}

fn why_not(judgement: &Judgement, impossible: &Impossible) -> String {
    let tried: Vec<String> = impossible
        .next
        .iter()
        .filter_map(|id| judgement.op(*id))
        .map(|op| format!("p{} {}", op.process, operation(op)))
        .collect();
    format!("{} from {}: {}", tried.join(", then "), impossible.state, impossible.reason)
}

/// The operations by outcome, in one line.
fn tally(run: &RunDir, width: usize) -> String {
    let tally = run.judgement.stats.tally;
    let text = match tally.all() {
        0 => "  ops      none".to_string(),
        all => format!(
            "  ops      {}: ok {} ({}), fail {}, info {}",
            count(all),
            count(tally.ok),
            percent(tally.ok, all),
            count(tally.fail),
            count(tally.info)
        ),
    };
    elide(&text, width)
}

/// The figures where there is no room for the table.
fn brief_figures(run: &RunDir, width: usize) -> Vec<String> {
    let p99 = run.judgement.stats.by_f.iter().filter_map(|per_f| {
        Some(format!("{} {}", elide(per_f.f.name(), 10), run.clock().span(per_f.latency?.p99_ns)))
    });
    let p99: Vec<String> = p99.collect();
    let mut lines = vec![tally(run, width)];
    if !p99.is_empty() {
        lines.push(elide(&format!("  p99      {}", p99.join(", ")), width));
    }
    let faults = summary::fault_tally(run);
    if !faults.is_empty() {
        lines.extend(labelled("faults", &faults.join(", "), 2, width));
    }
    lines
}

fn figures(run: &RunDir, width: usize) -> Vec<String> {
    let line = |text: &str| elide(text, width);
    let stats = &run.judgement.stats;
    let clock = run.clock();
    let mut lines = vec![tally(run, width)];
    for per_f in stats.by_f.iter().take(6) {
        if let Some(latency) = per_f.latency {
            lines.push(line(&format!(
                "           {:<10} p50 {:>8}   p95 {:>8}   p99 {:>8}   max {:>8}",
                elide(per_f.f.name(), 10),
                clock.span(latency.p50_ns),
                clock.span(latency.p95_ns),
                clock.span(latency.p99_ns),
                clock.span(latency.max_ns)
            )));
        }
    }
    if !run.evidence.info.is_history() || !run.evidence.faults.is_empty() {
        lines.extend(faults(run, width));
    }
    for why in summary::uncovered(run).iter().take(3) {
        lines.push(line(&format!("  missing  {why}")));
    }
    lines
}

/// A line for each name of a fault: how often it took effect, how many operations succeeded meanwhile, and how long
/// the system took to answer again after it was healed.
fn faults(run: &RunDir, width: usize) -> Vec<String> {
    let tally = summary::fault_tally(run);
    if tally.is_empty() {
        return vec!["  faults   none".to_string()];
    }
    let seen = summary::shown_faults(run);
    let rows = tally.iter().zip(seen).map(|(tally, seen)| match seen.installed {
        0 => tally.clone(),
        _ => {
            let recovery = summary::recovery(run, &seen.fault)
                .map_or(String::new(), |ns| format!("   recovery at most {}", run.clock().span(ns)));
            format!("{tally:<22}   ok during {:>7}{recovery}", count(seen.ok_during))
        }
    });
    let mut lines: Vec<String> =
        rows.take(FAULTS_MAX).map(|row| elide(&format!("           {row}"), width)).collect();
    lines[0].replace_range(2..8, "faults");
    if let more @ 1.. = tally.len().saturating_sub(FAULTS_MAX) {
        lines.push(format!("           and {more} more"));
    }
    lines
}

/// The next steps, and the paths of the other reports: last, where users and CI systems look. Paths and
/// commands are never cut, because they are copied.
fn closing(run: &RunDir, width: usize) -> Vec<String> {
    let commands = summary::commands(run).into_iter();
    let mut lines: Vec<String> =
        commands.flat_map(|(what, command, _)| typed(what, &command, width)).collect();
    lines.push(format!("  report   {}", shell_quoted(&format!("{}/report.html", run.name))));
    lines
}

/// Wraps a text to `width` characters: the first line indented by `first`, the others by `rest`.
fn wrapped(text: &str, first: usize, rest: usize, width: usize) -> Vec<String> {
    let mut lines = vec![" ".repeat(first)];
    let mut empty = true;
    for word in
        text.split(' ').filter(|word| !word.is_empty()).map(|word| elide(word, width - first.max(rest)))
    {
        let last = lines.last_mut().expect("there is a first line");
        if !empty && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(format!("{}{word}", " ".repeat(rest)));
        } else {
            last.push_str(if empty { "" } else { " " });
            last.push_str(&word);
        }
        empty = false;
    }
    lines
}
