//! `report.md`: the outcome as Markdown, for example for the summary of a CI job.
//!
//! No data from the system under test can become Markdown or markup: it is in fences longer than any run of
//! backticks in it, in code spans, or with its special characters escaped.

use crate::advice::{self, Advice, LogSpan, PAGE, uncapitalized};
use crate::circumstances;
use crate::run_dir::RunDir;
use crate::summary;
use crate::text;
use crate::wording::{count, duration, elide, percent, seconds};

/// The maximum length of the sentence, in characters.
const SENTENCE_CHARS_MAX: usize = 600;
/// The maximum number of faults in the table.
const FAULTS_MAX: usize = 30;
/// The maximum number of states of one fault in the table.
const STATES_MAX: usize = 6;

/// The report.
pub fn render(run: &RunDir) -> String {
    let judgement = &run.judgement;
    let mut out = format!(
        "## {} {}\n\n{}\n\n{}\n",
        summary::sign(judgement.outcome),
        capital(summary::headed(run)),
        sentence(&elide(&judgement.sentence, SENTENCE_CHARS_MAX)),
        escaped(&summary::subject(run).join(" · "))
    );
    if let Some(survived) = summary::survived(run) {
        out += &format!("\n{}\n", escaped(&survived));
    }
    for around in circumstances::around_violation(run, circumstances::NAMED_MAX) {
        out += &format!("\n- {}", sentence(&elide(&around, SENTENCE_CHARS_MAX)));
    }
    if let Some(advice) = advice::of(run) {
        out += &format!("\n\n{}", advised(&advice).trim_end());
        out.push('\n');
    }
    let picture = text::picture(run);
    if !picture.is_empty() {
        out += &format!("\n{}\n", fenced(&picture.join("\n")));
    }
    out += &format!("\n{}\n{}\n", operations(run), faults(run));
    for why in summary::uncovered(run) {
        out += &format!("- coverage: {}\n", escaped(&elide(why, 200)));
    }
    let commands: Vec<String> =
        summary::commands(run).iter().map(|(_, command, remark)| format!("{command}   # {remark}")).collect();
    out + &format!("\n{}\n", details("How to reproduce it", &fenced(&commands.join("\n"))))
}

/// What to do: the two most likely causes, and the log lines to read.
fn advised(advice: &Advice) -> String {
    let mut out = String::from("**What to do**\n\n");
    for cause in advice.causes.iter().take(2) {
        out += &format!("1. {} Look first: {}", sentence(&cause.bug), sentence(&uncapitalized(&cause.look)));
        if let Some(seen) = &cause.seen {
            out += &format!(" In this run: {}.", sentence(&elide(seen, SENTENCE_CHARS_MAX)));
        }
        out += "\n";
    }
    for LogSpan { node, why, lines, times } in &advice.read {
        out += &format!(
            "- read {}.log, {} ({}–{} s): it {}\n",
            escaped(&elide(node, 40)),
            if lines.0 == lines.1 {
                format!("line {}", lines.0)
            } else {
                format!("lines {}–{}", lines.0, lines.1)
            },
            seconds(times.0),
            seconds(times.1),
            sentence(&elide(why, 200))
        );
    }
    out + &format!("\nMore about the class `{}`: {PAGE}\n", advice.class)
}

/// One line that a CI system shows beside the job (GitHub's workflow command `error`, or `notice` if all is
/// well).
pub fn annotation(run: &RunDir) -> String {
    let judgement = &run.judgement;
    let level = match judgement.exit_code {
        0 => "notice",
        1 => "error",
        _ => "warning",
    };
    // https://docs.github.com/actions: characters that end a line or a property are percent-encoded.
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let title = format!("{} {}", run.evidence.info.workload, summary::headed(run));
    format!("::{level} title={}::{}", property(&elide(&title, 80)), data(&elide(&judgement.sentence, 300)))
}

fn operations(run: &RunDir) -> String {
    let mut table = String::from(
        "| operation | ok | fail | info | p50 | p99 | longest |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    let stats = &run.judgement.stats;
    for per_f in stats.by_f.iter().take(20) {
        let latency = match per_f.latency {
            Some(it) => [it.p50_ns, it.p99_ns, it.max_ns].map(duration),
            None => ["–", "–", "–"].map(String::from),
        };
        table += &format!(
            "| {} | {} | {} | {} | {} |\n",
            escaped(&elide(per_f.f.name(), 30)),
            count(per_f.tally.ok),
            count(per_f.tally.fail),
            count(per_f.tally.info),
            latency.join(" | ")
        );
    }
    let all = stats.tally;
    table
        + &format!(
            "\n{} of {} operations succeeded ({}).\n",
            count(all.ok),
            count(all.all()),
            percent(all.ok, all.all())
        )
}

fn faults(run: &RunDir) -> String {
    let faults = &run.evidence.faults;
    if faults.is_empty() {
        return "No fault was applied.\n".to_string();
    }
    let mut table = String::from("| fault | from | to | outcome | took effect |\n|---|--:|--:|---|---|\n");
    for fault in faults.iter().take(FAULTS_MAX) {
        table += &format!(
            "| {} | {} | {} | {} | {} |\n",
            escaped(&elide(&fault.name(), 60)),
            if fault.was_in_force() { seconds(fault.applied_ns) } else { "–".to_string() },
            match fault.healed_ns {
                Some(healed) => seconds(healed),
                None if fault.was_in_force() => "never".to_string(),
                None => "–".to_string(),
            },
            fault.outcome.name(),
            match fault.effective {
                Some(true) => "yes",
                Some(false) => "no",
                None => "–",
            }
        );
        if !fault.shifts.is_empty() {
            for strip in fault.strips().take(STATES_MAX) {
                let to = strip.to.map_or("never".to_string(), seconds);
                table += &format!(
                    "| ↳ {} | {} | {to} | | |\n",
                    escaped(&elide(strip.label, 60)),
                    seconds(strip.from)
                );
            }
        }
    }
    if let Some(more) = faults.len().checked_sub(FAULTS_MAX).filter(|more| *more > 0) {
        table += &format!("\nand {} more.\n", count(more));
    }
    format!("\n{}", details("Faults", &table))
}

pub(crate) fn details(summary: &str, body: &str) -> String {
    format!("<details><summary>{summary}</summary>\n\n{body}\n</details>\n")
}

/// A sentence whose text in backticks is code.
fn sentence(text: &str) -> String {
    let piece = |(at, piece): (usize, &str)| match at % 2 {
        1 => format!("`{piece}`"),
        _ => escaped(piece),
    };
    match text.matches('`').count() % 2 {
        0 => text.split('`').enumerate().map(piece).collect(),
        _ => escaped(text),
    }
}

/// Escapes every character with a meaning in Markdown. `@` and `#` would notify users and link issues.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => out.push_str("@\u{2060}"), // an invisible word joiner prevents the mention
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '$' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// Text in a fence that nothing in it can end.
pub(crate) fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{text}\n{fence}")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markdown() {
        assert_eq!(
            escaped("<img> *a* [b](c) | @me #1"),
            "&lt;img&gt; \\*a\\* \\[b\\](c) \\| @\u{2060}me \\#1"
        );
        assert_eq!(sentence("`read → 3` is <b>stale</b>"), "`read → 3` is &lt;b&gt;stale&lt;/b&gt;");
        assert_eq!(sentence("one ` alone"), "one \\` alone");
    }

    #[test]
    fn a_fence_is_longer_than_what_is_in_it() {
        assert_eq!(fenced("a ```` b").lines().next(), Some("`````text"));
        assert_eq!(fenced("plain").lines().last(), Some("```"));
    }
}
