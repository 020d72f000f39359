//! What to do about a violation: its usual causes, those first that fit what happened between the contradicted
//! operation and the witness, and the log lines to read first.
//!
//! This is advice, not evidence: the verdict does not depend on it.

mod causes;

use tribunal_checker::op::{F, Nanos, Op, Value};
use tribunal_checker::verdict::CLASSES;
use tribunal_records::oracles::Finding;

use self::causes::{Cause, FINDINGS, Finds, GROUPS, Group, Takes};
use crate::between::{Between, Change, LEADERS_LATE_NS, Trigger, brief, triggers};
use crate::faults::Fault;
use crate::judgement::RunOutcome;
use crate::leaders::{self, Leader};
use crate::run_dir::RunDir;
use crate::wording::{duration, elide, seconds};

/// The page of the documentation that is made from the same data.
pub const PAGE: &str = "docs/violations.md";
/// Log lines this long before the window and after it are worth reading, in nanoseconds.
const AROUND_NS: Nanos = 200_000_000;
/// A fault that ended this long before still matters, in nanoseconds: requests and messages wait about as long.
const RECENT_NS: Nanos = 1_000_000_000;
/// A fault that ended this long before a finding is the first suspect, in nanoseconds: what it broke shows at the next
/// election.
const FRESH_NS: Nanos = 2_000_000_000;
/// The minimum number of lines of one node to read, if it wrote as many before.
const FORMER_MAX: usize = 3;
/// The maximum number of lines of one node to read: the last.
const LINES_MAX: usize = 40;

/// What to do about one violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The class of the violation, such as `stale-read`.
    pub class: &'static str,
    /// The class in words.
    pub meaning: &'static str,
    /// The usual causes, the most likely first.
    pub causes: Vec<Suspicion>,
    /// The lines to read first.
    pub read: Vec<LogSpan>,
    /// The heading of the section in [`PAGE`].
    pub section: &'static str,
}

/// A cause that is suspected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// What may be wrong in the system, in one sentence.
    pub bug: String,
    /// Where to look first, in one sentence.
    pub look: String,
    /// What in this run points to it; `None`: nothing in particular.
    pub seen: Option<String>,
}

/// Lines of a node's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSpan {
    /// The node.
    pub node: String,
    /// Why its log matters.
    pub why: String,
    /// The first and the last line, counted from 1.
    pub lines: (usize, usize),
    /// The times of these lines.
    pub times: (Nanos, Nanos),
}

/// The advice for a run; `None` if no violation was proved.
pub fn of(run: &RunDir) -> Option<Advice> {
    let violation = run.judgement.violation()?;
    let between = Between::of(run)?;
    let named = |class: &str| CLASSES.iter().find(|(name, _)| *name == class);
    let &(class, meaning) = named(&violation.class).or_else(|| named("no-order"))?;
    // Of replicas that have to converge, only the final state is judged.
    let is_eventual = RunOutcome::good(&run.evidence.info.model) == RunOutcome::Convergent;
    let group = group_of(if is_eventual { "diverged" } else { class })?;
    let mut causes: Vec<(u8, Suspicion)> =
        group.causes.iter().filter_map(|cause| suspicion(run, &between, cause)).collect();
    // Stable: of causes that fit equally well, the more frequent comes first.
    causes.sort_by_key(|(fit, _)| std::cmp::Reverse(*fit));
    Some(Advice {
        class,
        meaning,
        causes: causes.into_iter().map(|(_, suspicion)| suspicion).collect(),
        read: log_spans(run, &between),
        section: group.title,
    })
}

fn group_of(class: &str) -> Option<&'static Group> {
    GROUPS.iter().find(|group| group.classes.contains(&class))
}

fn node(op: &Op) -> Option<&str> {
    op.node.as_deref()
}

/// How well a cause fits, and what points to it; `None` if its events did not happen around the violation.
fn suspicion(run: &RunDir, between: &Between<'_>, cause: &Cause) -> Option<(u8, Suspicion)> {
    let fits = |triggers: &[Trigger]| triggers.iter().any(|trigger| cause.triggers.contains(trigger));
    // A node that was started again leads anew: what happened before did not make an old leader of it.
    let since = if cause.takes == Takes::AnOldLeader { restarted(run, between) } else { None };
    let is_after = |began: Nanos| since.is_none_or(|since| since <= began);
    // A node that is elected is no old leader: another has to lead.
    let server = node(between.witness);
    let replaces = |change: &&Change| {
        cause.takes != Takes::AnOldLeader
            || change.leaders.is_empty()
            || change.leaders.iter().any(|leader| Some(&**leader) != server)
    };
    let changed = between.changes.iter().filter(|change| fits(change.triggers) && is_after(change.began));
    let changed = changed.filter(replaces);
    let changed = changed.max_by_key(|change| change.t);
    let in_force = |fault: &&Fault| fits(between.in_force(fault)) && is_after(fault.applied_ns);
    let mut faults = run.evidence.faults.iter().filter(in_force);
    // Whether the fault hit one of the nodes that answered.
    let hit = |fault: &&Fault| concerned(between).any(|node| fault.nodes.iter().any(|it| it == node));
    let exposed = match cause.takes {
        Takes::ALeader | Takes::AnOldLeader if run.is_leaderless => return None,
        Takes::AnOldLeader if leads_alone(run, between) => return None,
        Takes::AnUnknownFate if !run.judgement.class().is_some_and(has_unknown_fate) => return None,
        Takes::AnExposedWrite => Some(exposed(run, between)?),
        Takes::LeadersOfOneTerm => {
            let said = rivals(run, between).filter(|_| share_a_term(run, between.to))?;
            return Some((6, Suspicion { seen: Some(said), ..plain(cause, between) }));
        }
        Takes::ALock if !is_held(&run.evidence.info.model) => return None,
        Takes::AProposal if !run.is_leaderless || is_held(&run.evidence.info.model) => return None,
        Takes::AnEarlierOperation if between.other.is_none_or(|other| other.ret() > between.witness.call) => {
            return None;
        }
        _ => None,
    };
    let rival = cause.triggers.contains(&Trigger::Leader).then(|| rivals(run, between)).flatten();
    let (fit, seen) = match (changed, faults.clone().find(hit).or_else(|| faults.next())) {
        // With a leader, such a read is common: the write is acknowledged a moment later.
        _ if exposed.is_some() => (if run.is_leaderless { 5 } else { 1 }, exposed),
        // A lock that expires is its commonest fault, whatever happened nearby.
        _ if cause.takes == Takes::ALock => (4, None),
        _ if cause.triggers.is_empty() => (if cause.is_likely { 2 } else { 1 }, None),
        _ if rival.is_some() => (5, rival),
        (None, None) if cause.takes == Takes::ALateCopy => (2, Some(recent(run, between, fits)?)),
        (None, None) => return None,
        // A change of the members is rare, and explains the new leader, too.
        (Some(change), _) if cause.triggers == [Trigger::Members] => (6, Some(said_of(change, between))),
        (None, Some(fault)) if cause.triggers == [Trigger::Members] => {
            (6, Some(format!("{} was in force", elide(&fault.name(), 100))))
        }
        (Some(change), fault) => {
            let near = fault.is_some_and(|fault| hit(&fault)) || change.triggers.contains(&Trigger::Leader);
            (if near { 4 } else { 2 }, Some(said_of(change, between)))
        }
        (None, Some(fault)) => {
            (if hit(&fault) { 3 } else { 1 }, Some(format!("{} was in force", elide(&fault.name(), 100))))
        }
    };
    Some((fit, Suspicion { seen, ..plain(cause, between) }))
}

/// The last fault of that kind that ended shortly before: what it delayed may take effect after it.
fn recent(run: &RunDir, between: &Between<'_>, fits: impl Fn(&[Trigger]) -> bool) -> Option<String> {
    let past =
        run.evidence.faults.iter().filter(|fault| fault.was_in_force() && fits(triggers(&fault.fault)));
    let ended = |fault: &Fault| fault.healed_ns.and_then(|healed| between.from.checked_sub(healed));
    let (ago, fault) = past.filter_map(|fault| Some((ended(fault)?, fault))).min_by_key(|(ago, _)| *ago)?;
    let name = elide(&fault.name(), 100);
    (ago <= RECENT_NS).then(|| format!("{name} had ended {} before", duration(ago)))
}

/// The cause without what points to it.
fn plain(cause: &Cause, between: &Between<'_>) -> Suspicion {
    Suspicion { bug: filled(cause.bug, between), look: filled(cause.look, between), seen: None }
}

/// What to suspect after a finding: the causes, the most likely first; those whose events did not happen before it are
/// left out.
pub fn of_finding(run: &RunDir, finding: &Finding) -> Vec<Suspicion> {
    let fits = |kind: &&Finds| kind.oracle == finding.oracle && finding.sentence.contains(kind.says);
    let Some(kind) = FINDINGS.iter().find(fits) else { return Vec::new() };
    let named =
        |at: usize| finding.nodes.get(at).or(finding.nodes.first()).map_or("the node", String::as_str);
    let plain = |text: &str| text.replace("{server}", named(0)).replace("{other}", named(1));
    let suspicion = |cause: &Cause| {
        let event = last_event(run, cause.triggers, finding.t);
        let fit = match (&event, cause.triggers) {
            (None, []) => 1 + u8::from(cause.is_likely),
            (None, _) => return None,
            (Some((ago, _)), _) if *ago <= FRESH_NS => 3,
            (Some(_), _) => 1,
        };
        let seen = event.map(|(_, said)| said);
        Some((fit, Suspicion { bug: plain(cause.bug), look: plain(cause.look), seen }))
    };
    let mut causes: Vec<(u8, Suspicion)> = kind.causes.iter().filter_map(suspicion).collect();
    causes.sort_by_key(|(fit, _)| std::cmp::Reverse(*fit));
    causes.into_iter().map(|(_, suspicion)| suspicion).collect()
}

/// The last fault of these kinds that began before a time: how long before it had ended, and the same in words.
fn last_event(run: &RunDir, kinds: &[Trigger], t: Nanos) -> Option<(Nanos, String)> {
    let began = run.evidence.faults.iter().filter(|fault| fault.was_in_force() && fault.applied_ns <= t);
    let fitting = began.filter(|fault| triggers(&fault.fault).iter().any(|it| kinds.contains(it)));
    let ago = |fault: &Fault| fault.healed_ns.map_or(0, |healed| t.saturating_sub(healed));
    let fault = fitting.min_by_key(|fault| ago(fault))?;
    let name = elide(&fault.name(), 100);
    Some(match ago(fault) {
        0 => (0, format!("{name} was in force")),
        ago => (ago, format!("{name} had ended {} before", duration(ago))),
    })
}

/// The lines to read first after a finding.
pub fn lines_of_finding(run: &RunDir, finding: &Finding) -> Vec<LogSpan> {
    let mut wanted = Wanted::default();
    finding.nodes.iter().for_each(|node| wanted.add(Some(node), "is concerned".into()));
    wanted.add_leaders(run, finding.t);
    wanted.spans(run, finding.t.saturating_sub(RECENT_NS), finding.t)
}

/// Whether an object of this model is held by a client.
fn is_held(model: &str) -> bool {
    ["mutex", "fencing-lock", "semaphore"].contains(&model)
}

/// Whether two nodes led in the same term at that time.
fn share_a_term(run: &RunDir, t: Nanos) -> bool {
    let leaders = leaders::at(&run.leaders, t).unwrap_or_default();
    let twin = |leader: &Leader| leaders.iter().filter(|other| other.term == leader.term).count() > 1;
    leaders.iter().any(|leader| leader.term > 0 && twin(leader))
}

/// The nodes that answered the two operations.
fn concerned<'a>(between: &Between<'a>) -> impl Iterator<Item = &'a str> {
    [Some(between.witness), between.other].into_iter().flatten().filter_map(node)
}

/// Several nodes that claimed to lead when the witness was answered: the strongest hint there is.
fn rivals(run: &RunDir, between: &Between<'_>) -> Option<String> {
    let leaders = leaders::at(&run.leaders, between.to)?;
    let time = seconds(between.to);
    (leaders.len() > 1).then(|| format!("at {time} s, {} claimed to lead", leaders::named(leaders)))
}

/// Whether the node that answered the witness was the only one that claimed to lead, remained so for a while, and
/// could be reached by the others.
fn leads_alone(run: &RunDir, between: &Between<'_>) -> bool {
    let alone = |t| match leaders::at(&run.leaders, t) {
        Some([leader]) => Some(&*leader.node) == node(between.witness),
        _ => false,
    };
    let cuts = |fault: &Fault| {
        fault.overlaps(between.to, between.to) && triggers(&fault.fault).contains(&Trigger::Network)
    };
    alone(between.to)
        && alone(between.to.saturating_add(LEADERS_LATE_NS))
        && !run.evidence.faults.iter().any(cuts)
}

/// When the node that answered the witness was last started again in the window.
fn restarted(run: &RunDir, between: &Between<'_>) -> Option<Nanos> {
    let server = node(between.witness)?;
    let kills = run.evidence.faults.iter().filter(|fault| {
        fault.was_in_force()
            && triggers(&fault.fault).contains(&Trigger::Restart)
            && fault.nodes.iter().any(|it| it == server)
    });
    let ended = kills.filter_map(|fault| fault.healed_ns);
    ended.filter(|t| (between.from..=between.to).contains(t)).max()
}

/// Whether the class says that an effect is missing, and not whether it is lost.
fn has_unknown_fate(class: &str) -> bool {
    class.starts_with("missed-") || class == "false-empty"
}

/// A read in the counterexample that returned a value before its write was acknowledged. The counterexample is
/// minimal: without this read there is no violation.
fn exposed(run: &RunDir, between: &Between<'_>) -> Option<String> {
    let minimal = || run.judgement.violation().into_iter().flat_map(|violation| &violation.minimal);
    let ops = || minimal().filter_map(|&id| run.judgement.op(id));
    let shows = |read: &Op, write: &Op| match read.output() {
        Some(Value::List(items)) => items.contains(&write.input),
        value => value == Some(&write.input),
    };
    let is_pending = |write: &Op, t: Nanos| write.call < t && t < write.ret();
    let is_read = |op: &Op| matches!(op.f, F::Read | F::Get);
    ops().filter(|read| is_read(read) && !std::ptr::eq(*read, between.witness)).find_map(|read| {
        let is_exposed = |write: &&Op| !is_read(write) && shows(read, write) && is_pending(write, read.ret());
        let write = ops().find(is_exposed)?;
        Some(format!("{} had returned before {} was acknowledged", brief(read), brief(write)))
    })
}

fn said_of(change: &Change, between: &Between<'_>) -> String {
    let what = elide(&change.what, 100);
    let when = seconds(change.t);
    match between.to.checked_sub(change.t) {
        Some(before) => {
            format!("{what} at {when} s, {} before {} returned", duration(before), brief(between.witness))
        }
        None => format!("{what} at {when} s"),
    }
}

/// Both nodes, which may be the same one.
const BOTH: &str = "{server} and {other}";

fn filled(text: &str, between: &Between<'_>) -> String {
    let name = |op: Option<&Op>, otherwise: &str| {
        op.and_then(node).map_or(otherwise.to_string(), |node| elide(node, 20))
    };
    let other = name(between.other, "the node that answered the other operation");
    let server = name(Some(between.witness), "the node that answered");
    let text = if server == other {
        text.replace(BOTH, "{server}").replace("logs of {server}:", "log of {server}:")
    } else {
        text.into()
    };
    text.replace("{server}", &server).replace("{other}", &other)
}

/// The lines around the window in the logs of the nodes that answered, and of the leader.
fn log_spans(run: &RunDir, between: &Between<'_>) -> Vec<LogSpan> {
    let mut wanted = Wanted::default();
    for op in [Some(between.witness), between.other].into_iter().flatten() {
        wanted.add(node(op), format!("answered {}", brief(op)));
    }
    wanted.add_leaders(run, between.to);
    wanted.spans(run, between.from, between.to)
}

/// Nodes whose logs matter, each with the reasons.
#[derive(Default)]
struct Wanted(Vec<(String, Vec<String>)>);

impl Wanted {
    fn add(&mut self, node: Option<&str>, why: String) {
        let Some(node) = node else { return };
        match self.0.iter_mut().find(|(name, _)| name == node) {
            Some((_, all)) => all.push(why),
            None => self.0.push((node.to_string(), vec![why])),
        }
    }

    fn add_leaders(&mut self, run: &RunDir, t: Nanos) {
        for leader in leaders::at(&run.leaders, t).unwrap_or_default().iter().take(2) {
            self.add(Some(&leader.node), "claimed to lead".to_string());
        }
    }

    /// Their lines around an interval.
    fn spans(self, run: &RunDir, from: Nanos, to: Nanos) -> Vec<LogSpan> {
        let (from, to) = (from.saturating_sub(AROUND_NS), to.saturating_add(AROUND_NS));
        let span = |(node, why): (String, Vec<String>)| {
            let name = elide(&node, 40);
            let until: Vec<_> = run.logs.iter().filter(|line| line.node == name && line.t <= to).collect();
            let inside = until.iter().filter(|line| from <= line.t).count();
            // If it wrote nothing in that time, its last words before it.
            let lines = &until[until.len() - inside.clamp(FORMER_MAX, LINES_MAX).min(until.len())..];
            let number = lines.iter().map(|line| line.line);
            let time = lines.iter().map(|line| line.t);
            Some(LogSpan {
                node,
                why: why.join(" and ").replace(" and answered ", " and "),
                lines: (number.clone().min()?, number.max()?),
                times: (time.clone().min()?, time.max()?),
            })
        };
        self.0.into_iter().filter_map(span).collect()
    }
}

/// The page of the documentation: every class with its usual causes, as Markdown.
pub fn page() -> String {
    let mut page = String::from(
        "# Violations, and what to do\n\n\
         Every violation has a class, which `verdict.json`, the report and `junit.xml` name. The report lists the usual\n\
         causes of the class and puts those first that fit what happened between the two operations that contradict each\n\
         other: a new leader, a restart, a partition. This page lists them all. *The node that answered* is the one that\n\
         the client had sent the request to; it may have forwarded it.\n",
    );
    for Group { title, classes, causes } in GROUPS {
        page += &format!("\n## {title}\n\n| class | meaning |\n|---|---|\n");
        for (class, meaning) in CLASSES.iter().filter(|(class, _)| classes.contains(class)) {
            page += &format!("| `{class}` | {meaning} |\n");
        }
        page += "\n";
        for Cause { triggers, bug, look, takes, .. } in *causes {
            let plain = |text: &str| {
                text.replace("{server}", "the node that answered")
                    .replace("{other}", "the node that answered the other operation")
            };
            page += &list_item(&plain(bug));
            page += &continued(&format!("Look first: {}", uncapitalized(&plain(look))));
            page += &after(triggers);
            let only = match takes {
                Takes::AnExposedWrite => {
                    "Suspect it where a read of the counterexample returned a value before its write was acknowledged, \
                     in a system without a leader above all."
                }
                Takes::LeadersOfOneTerm => "Suspect it where two nodes led in the same term.",
                Takes::ALock => "Suspect it in a lock or a semaphore.",
                Takes::AProposal => "Suspect it in a system without a leader.",
                Takes::AnEarlierOperation => {
                    "Suspect it where one operation had returned before the other was sent."
                }
                _ => continue,
            };
            page += &continued(only);
        }
    }
    page += "\n## Findings without a client\n\n\
             Oracles beside the model compare what nodes do. What to suspect after a finding of each:\n";
    for Finds { oracle, kind, causes, .. } in FINDINGS {
        let kind = if kind.is_empty() { String::new() } else { format!(", {kind}") };
        page += &format!("\n`{}`{kind}:\n\n", oracle.name());
        for Cause { triggers, bug, look, .. } in *causes {
            let plain = |text: &str| text.replace("{server} and {other}", "the nodes");
            page += &list_item(&plain(bug));
            page += &continued(&format!("Look first: {}", uncapitalized(&plain(look))));
            page += &after(triggers);
        }
    }
    page
}

/// After which events a cause is suspected; empty if it needs none.
fn after(events: &[Trigger]) -> String {
    let events: Vec<&str> = events.iter().map(|trigger| trigger.words()).collect();
    if events.is_empty() {
        String::new()
    } else {
        continued(&format!("Suspect it after {}.", events.join(", ")))
    }
}

/// The maximum length of a line of the page.
const WIDTH: usize = 110;

fn list_item(text: &str) -> String {
    wrapped(text, "- ", "  ")
}

fn continued(text: &str) -> String {
    wrapped(text, "  ", "  ")
}

fn wrapped(text: &str, first: &str, rest: &str) -> String {
    let (mut lines, mut line) = (String::new(), first.to_string());
    let mut empty = true;
    for word in text.split(' ') {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines += &line;
            lines.push('\n');
            line = rest.to_string();
            empty = true;
        }
        line += if empty { "" } else { " " };
        line += word;
        empty = false;
    }
    lines + &line + "\n"
}

/// The text with a small first letter, after a colon.
pub(crate) fn uncapitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_lowercase().chain(chars).collect())
}
