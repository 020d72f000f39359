//! Renders the rows as a Markdown document: a summary, by kind, and every row that is worse than Porcupine's
//! or has no verdict.

use std::fmt::Write as _;

use crate::row::{Kind, Row, Rows};
use crate::side::Measured;

/// Memory goal for 100,000 operations.
const MIB_MAX: f64 = 64.0;

const HEAD: &str = "\
# The checker against Porcupine, row by row

Made by `examples/grid`, which says how to run it, against Porcupine 1.3.1 (Go), on histories of a seeded generator that knows
nothing of either checker. Each side reads the same file in a process of its own; CPU is the processor time of that whole
process, start and reading included, memory the peak of its resident memory, ours with one thread. Ratios are Porcupine's
to ours. `>`: Porcupine was stopped at a limit (of time, or of memory) without a verdict, so the ratio is a lower bound; `–`: it was
not tried, because it had been stopped on a shorter history of the kind; ✗: ours has no verdict. Below 9 MiB it is the program
itself that takes them, and a smaller Porcupine is not listed.
";

/// Memory of the program itself: smaller sizes say nothing about the checkers.
const PROGRAM_MIB: f64 = 9.0;

/// Reasons for missing or expensive verdicts: problems without a known fast algorithm.
const REASONS: [(&str, &str); 11] = [
    ("log", "memory: the history itself, with twenty reads of up to 100,000 elements."),
    (
        "register",
        "ten values and comparisons that fail: who wrote what was read is open, and an operation of unknown outcome stays \
         pending for ever. Which of many explanations a search tries first is luck.",
    ),
    (
        "counter",
        "additions of 1 to 3: which of them make up a sum is a subset sum. A wrong sum is refuted exactly in units of 1; an \
         order is only found by following choices.",
    ),
    (
        "queue-few",
        "three values: which of the equal ones was dequeued is open. All known polynomial algorithms need distinct values; a \
         search meets as many states as there are words of three letters.",
    ),
    (
        "queue",
        "empty dequeues and dequeues of unknown outcome: each of the latter may have emptied the queue for the former.",
    ),
    (
        "stack",
        "which value a pop of unknown outcome took is open, and each choice moves all others; the exact algorithm only \
         refutes there.",
    ),
    (
        "unordered-queue",
        "one empty dequeue joins all elements, and the state is then the set of them. Without empty dequeues each element is \
         checked alone.",
    ),
    ("semaphore", "memory: the history, and the certificate of a search that follows every configuration."),
    (
        "kv-all",
        "several deletes: an absent key is a state that comes back, so the texts do not tell the whole order.",
    ),
    ("kv-letters", "three letters: a text can be taken apart in many ways, so who appended what is open."),
    (
        "multi-register",
        "transactions join 20 registers: each alone is legal, and the states of all together are many. Memory: a transaction \
         is a list of lists, 85 MiB to read 100,000; a search of a legal history keeps the states of all registers as well.",
    ),
];

pub(crate) fn markdown(rows: &Rows) -> String {
    let mut text = HEAD.to_owned();
    let generated: Vec<&Row> = rows.all.iter().filter(|row| !row.kind.is_recorded()).collect();
    let recorded: Vec<&Row> = rows.all.iter().filter(|row| row.kind.is_recorded()).collect();
    summary(&mut text, &generated);
    worse_rows(&mut text, &rows.all);
    by_kind(&mut text, &generated);
    by_file(&mut text, &recorded);
    text
}

/// Sorted ratios of Porcupine's costs to ours, each exact or a lower bound. Rows without our verdict are left
/// out.
struct Ratios(Vec<(f64, bool)>);

impl Ratios {
    fn of<'a>(rows: impl Iterator<Item = &'a Row>, cost: impl Fn(&Measured) -> f64) -> Self {
        let with_peer = rows.filter(|row| row.ours.is_verdict());
        let pairs =
            with_peer.filter_map(|row| Some((row, row.peer.as_ref().filter(|peer| !peer.is_skipped())?)));
        let mut ratios: Vec<_> =
            pairs.map(|(row, peer)| (cost(peer) / cost(&row.ours), peer.is_verdict())).collect();
        ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ratios(ratios)
    }

    fn render((ratio, exact): (f64, bool)) -> String {
        format!("{}{}×", if exact { "" } else { "> " }, digits(ratio))
    }

    /// The smallest exact ratio, or else the smallest bound.
    fn least(&self) -> String {
        let exact = self.0.iter().find(|ratio| ratio.1).or(self.0.first());
        exact.map_or("–".into(), |&ratio| Self::render(ratio))
    }

    fn median(&self) -> String {
        self.0.get(self.0.len() / 2).map_or("–".into(), |&ratio| Self::render(ratio))
    }
}

fn cpu(measured: &Measured) -> f64 {
    measured.cpu_ms
}

fn memory(measured: &Measured) -> f64 {
    measured.peak_mib
}

fn summary(text: &mut String, rows: &[&Row]) {
    text.push_str(
        "\n## In short\n\n\
        | history | operations | rows | without a verdict: ours | Porcupine | CPU ratio: least | median | memory ratio: least \
        | ours, CPU ms at most | MiB at most |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for group in groups(rows, |kind| (kind.history.clone(), kind.ops)) {
        let Kind { history, ops, .. } = &group[0].kind;
        let each = || group.iter().copied();
        let ours: Vec<&Measured> = each().map(|row| &row.ours).filter(|ours| ours.is_verdict()).collect();
        let missing = group.len() - ours.len();
        let peer_missing =
            each().filter(|row| row.peer.as_ref().is_some_and(|peer| !peer.is_verdict())).count();
        let (ratios, sizes) = (Ratios::of(each(), cpu), Ratios::of(each(), memory));
        let most = |cost: fn(&Measured) -> f64| ours.iter().map(|ours| cost(ours)).fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "| {history} | {} | {} | {missing} | {peer_missing} | {} | {} | {} | {} | {:.0} |",
            thousands(*ops),
            group.len(),
            ratios.least(),
            ratios.median(),
            sizes.least(),
            digits(most(cpu)),
            most(memory),
        );
    }
}

/// Every row in which this checker is worse, with the known reasons.
fn worse_rows(text: &mut String, rows: &[Row]) {
    let slower = |row: &Row| complaint(row).is_some();
    let bad: Vec<&Row> = rows.iter().filter(|row| slower(row)).collect();
    let _ = writeln!(
        text,
        "\n## Slower than Porcupine, larger, or without a verdict: {} of {} rows\n",
        bad.len(),
        rows.len()
    );
    if bad.is_empty() {
        return;
    }
    text.push_str("| history | operations | clients | unknown | wrong at | what | ours: CPU ms | MiB | Porcupine: CPU ms | MiB |\n");
    text.push_str("|---|--:|--:|--:|--:|---|--:|--:|--:|--:|\n");
    for row in &bad {
        let Kind { history, ops, clients, unknown, wrong, .. } = &row.kind;
        let wrong = wrong.map(|wrong| wrong.to_string()).unwrap_or_default();
        let what = complaint(row).unwrap_or_default();
        let (ours, peer) = (cost(&row.ours), row.peer.as_ref().map_or(" | ".into(), cost));
        let _ = writeln!(
            text,
            "| {history} | {} | {clients} | {unknown} | {wrong} | {what} | {ours} | {peer} |",
            thousands(*ops)
        );
    }
    text.push('\n');
    for (history, why) in REASONS {
        if bad.iter().any(|row| row.kind.history == history) {
            let _ = writeln!(text, "- **{history}**: {why}");
        }
    }
}

/// In which way a row is worse.
fn complaint(row: &Row) -> Option<String> {
    let mut what = Vec::new();
    if !row.ours.is_verdict() {
        what.push(format!("no verdict ({})", row.ours.answer));
    }
    let peer = row.peer.as_ref().filter(|peer| peer.is_verdict());
    if let (true, Some(peer)) = (row.ours.is_verdict(), peer) {
        if peer.cpu_ms < row.ours.cpu_ms {
            what.push(format!("slower ({}×)", digits(peer.cpu_ms / row.ours.cpu_ms)));
        }
        if peer.peak_mib < row.ours.peak_mib && row.ours.peak_mib > PROGRAM_MIB {
            what.push(format!("larger ({}×)", digits(peer.peak_mib / row.ours.peak_mib)));
        }
    }
    if row.ours.is_verdict() && row.ours.peak_mib > MIB_MAX {
        what.push(format!("more than {MIB_MAX} MiB"));
    }
    (!what.is_empty()).then(|| what.join(", "))
}

fn by_kind(text: &mut String, rows: &[&Row]) {
    text.push_str(
        "\n## By kind\n\nOne line for each size, number of clients and number of unknown outcomes: the legal history, and the three with a wrong \
        answer (the one that took longest; the least ratio).\n\n\
        | history | operations | clients | unknown | legal: ours, CPU ms | Porcupine | ratio | wrong: ours, CPU ms | Porcupine | ratio \
        | ours, MiB at most | memory ratio: least |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for group in groups(rows, |kind| (kind.history.clone(), kind.ops, kind.clients, kind.unknown)) {
        let Kind { history, ops, clients, unknown, .. } = &group[0].kind;
        let (legal, wrong): (Vec<&Row>, Vec<&Row>) = group.iter().partition(|row| row.kind.wrong.is_none());
        let side = |rows: &[&Row]| {
            let ours = slowest(rows.iter().map(|row| &row.ours));
            let peer = slowest(rows.iter().filter_map(|row| row.peer.as_ref()));
            format!("{ours} | {peer} | {}", Ratios::of(rows.iter().copied(), cpu).least())
        };
        let mib = group.iter().map(|row| row.ours.peak_mib).fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "| {history} | {} | {clients} | {unknown} | {} | {} | {mib:.0} | {} |",
            thousands(*ops),
            side(&legal),
            side(&wrong),
            Ratios::of(group.iter().copied(), memory).least(),
        );
    }
}

fn by_file(text: &mut String, rows: &[&Row]) {
    if rows.is_empty() {
        return;
    }
    text.push_str(
        "\n## Recorded histories\n\n| file | operations | verdict | ours, CPU ms | MiB | Porcupine, CPU ms | MiB | CPU ratio | memory ratio |\n\
        |---|--:|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in rows {
        let peer = row.peer.as_ref().map_or(" | ".into(), cost);
        let each = || [*row].into_iter();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {peer} | {} | {} |",
            row.kind.history,
            thousands(row.kind.ops),
            row.ours.answer,
            cost(&row.ours),
            Ratios::of(each(), cpu).least(),
            Ratios::of(each(), memory).least(),
        );
    }
}

/// Rows with the same key, in the order of the keys.
fn groups<'a, K: Ord>(rows: &[&'a Row], key: impl Fn(&Kind) -> K) -> Vec<Vec<&'a Row>> {
    let mut sorted: Vec<&Row> = rows.to_vec();
    sorted.sort_by_key(|row| key(&row.kind));
    sorted.chunk_by(|a, b| key(&a.kind) == key(&b.kind)).map(<[&Row]>::to_vec).collect()
}

/// The longest CPU time.
fn slowest<'a>(side: impl Iterator<Item = &'a Measured>) -> String {
    let all: Vec<&Measured> = side.collect();
    let stopped = all.iter().filter(|measured| !measured.is_verdict() && !measured.is_skipped()).count();
    let skipped = all.iter().filter(|measured| measured.is_skipped()).count();
    let most = all.iter().map(|measured| measured.cpu_ms).fold(0.0, f64::max);
    match (stopped, all.len()) {
        (_, 0) => String::new(),
        (0, n) if skipped == n => "–".into(),
        (0, _) => digits(most),
        (1, 1) => format!("✗ {}", digits(most)),
        (stopped, n) => format!("✗ {} of {n}", stopped + skipped),
    }
}

fn cost(measured: &Measured) -> String {
    match measured.is_skipped() {
        true => "– | –".into(),
        false => {
            let sign = if measured.is_verdict() { "" } else { "✗ " };
            format!("{sign}{} | {:.0}", digits(measured.cpu_ms), measured.peak_mib)
        }
    }
}

fn thousands(number: usize) -> String {
    match number {
        n if n >= 1000 => format!("{},{:03}", n / 1000, n % 1000),
        n => n.to_string(),
    }
}

/// Formats a number with the significant digits only.
fn digits(number: f64) -> String {
    match number {
        n if n >= 1000.0 => thousands(n.round() as usize),
        n if n >= 100.0 => format!("{n:.0}"),
        n if n >= 1.0 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}
