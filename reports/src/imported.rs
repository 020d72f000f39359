//! The faults of an imported history, from its nemesis events.
//!
//! Jepsen's nemesis records each act twice, when it begins and when it is done, both times as `:info`:
//!
//! ```text
//! :nemesis  :info  :start-partition  :majority
//! :nemesis  :info  :start-partition  [:isolated {...}]
//! :nemesis  :info  :stop-partition   nil
//! :nemesis  :info  :stop-partition   :network-healed
//! ```
//!
//! A fault is in force from the beginning of the act that starts it to the end of the act that undoes it. The
//! names match the two: `start-X` and `stop-X`, `kill` and `start`, `pause` and `resume`, `partition` and
//! `heal`. An act with any other name is a fault for its own duration. Whether a fault had an effect is
//! unknown.

use tribunal_checker::formats::NemesisEvent;
use tribunal_checker::op::{Nanos, Value};

use crate::faults::{Fault, FaultOutcome};
use crate::wording::elide;

/// The maximum length of a label, in characters: it is shown beside a lane.
const LABEL_CHARS_MAX: usize = 60;

/// One act of a nemesis, with its two events.
struct Act<'a> {
    event: &'a NemesisEvent,
    done: Option<&'a NemesisEvent>,
}

/// The relation of an act to a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role<'a> {
    Begins(&'a str),
    Ends(&'a str),
    EndsAll,
    Moment,
}

/// The faults, in the order of application.
pub fn faults(nemesis: &[NemesisEvent]) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for act in acts(nemesis) {
        let is_open = |name: &str| faults.iter().any(|it| it.healed_ns.is_none() && it.fault == name);
        let (begins, ends) = (act.event.time, act.ends());
        match role(&act.event.f, is_open) {
            Role::Begins(name) => {
                heal(&mut faults, begins, |fault| fault.fault == name);
                faults.push(act.fault(faults.len(), name, None));
            }
            Role::Ends(name) => heal(&mut faults, ends, |fault| fault.fault == name),
            Role::EndsAll => heal(&mut faults, ends, |_| true),
            Role::Moment => faults.push(act.fault(faults.len(), &act.event.f, Some(ends))),
        }
    }
    faults
}

/// Pairs the events: the second event of one process about the same fault is the end of the first.
fn acts(nemesis: &[NemesisEvent]) -> Vec<Act<'_>> {
    let mut acts: Vec<Act> = Vec::new();
    for event in nemesis {
        let last = acts.iter_mut().rev().find(|act| act.event.name == event.name);
        match last {
            Some(act) if act.done.is_none() && act.event.f == event.f => act.done = Some(event),
            _ => acts.push(Act { event, done: None }),
        }
    }
    acts
}

/// The role of an act with this name, given the names of the faults in force.
fn role(f: &str, is_open: impl Fn(&str) -> bool) -> Role<'_> {
    let affix = |word: &str| {
        f.strip_prefix(word)
            .and_then(|rest| rest.strip_prefix(['-', '_']))
            .or_else(|| f.strip_suffix(word).and_then(|rest| rest.strip_suffix(['-', '_'])))
    };
    match f {
        "start" | "restart" if is_open("kill") => Role::Ends("kill"),
        "start" => Role::Begins("nemesis"),
        "stop" if is_open("nemesis") => Role::Ends("nemesis"),
        "stop" | "heal" | "recover" | "heal-all" | "stop-all" => Role::EndsAll,
        "kill" | "crash" => Role::Begins("kill"),
        "pause" => Role::Begins("pause"),
        "resume" | "continue" => Role::Ends("pause"),
        "reset-clock" | "reset" if is_open("clock") => Role::Ends("clock"),
        "bump-clock" | "strobe-clock" => Role::Begins("clock"),
        _ if f == "partition" || f.starts_with("partition-") => Role::Begins("partition"),
        _ => match (affix("start"), affix("stop").or(affix("heal"))) {
            (Some(name), _) if !name.is_empty() => Role::Begins(name),
            (_, Some(name)) if !name.is_empty() => Role::Ends(name),
            _ => Role::Moment,
        },
    }
}

fn heal(faults: &mut [Fault], at: Nanos, which: impl Fn(&Fault) -> bool) {
    for fault in faults.iter_mut().filter(|fault| fault.healed_ns.is_none() && which(fault)) {
        fault.healed_ns = Some(at.max(fault.applied_ns));
    }
}

impl Act<'_> {
    fn ends(&self) -> Nanos {
        self.done.map_or(self.event.time, |done| done.time)
    }

    fn fault(&self, i: usize, name: &str, healed_ns: Option<Nanos>) -> Fault {
        let error = self.done.and_then(|done| done.error.as_deref()).or(self.event.error.as_deref());
        let value = [Some(self.event), self.done].into_iter().flatten().map(|event| &event.value);
        let value = value.filter(|value| !value.is_nil()).map(Value::to_string).next().unwrap_or_default();
        let label = elide(format!("{} {value}", self.event.f).trim(), LABEL_CHARS_MAX).to_string();
        Fault {
            i: i as u64,
            fault: name.to_owned(),
            kind: self.event.f.to_string(),
            label,
            applied_ns: self.event.time,
            healed_ns,
            outcome: if error.is_some() { FaultOutcome::Indeterminate } else { FaultOutcome::Installed },
            why: error.map(str::to_owned),
            ..Fault::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use tribunal_checker::formats::{self, Format, Options};

    use super::*;
    use crate::faults::{lines, parse};

    /// The faults of these lines: from, to, label.
    fn of(text: &str) -> Vec<(Nanos, Option<Nanos>, String)> {
        let reading = formats::read(text.as_bytes(), Some(Format::Txt), &Options::default()).unwrap();
        let faults = faults(&reading.nemesis);
        assert_eq!(parse(&lines(&faults).concat()).unwrap().faults, faults);
        faults.into_iter().map(|fault| (fault.applied_ns, fault.healed_ns, fault.label)).collect()
    }

    /// One operation, which takes two of the events that stand for time.
    const OP: &str = "0 :invoke :read nil\n0 :ok :read nil\n";

    #[test]
    fn a_fault_lasts_until_the_act_that_undoes_it() {
        for (begins, ends) in [
            (":start-partition", ":stop-partition"),
            (":start", ":stop"),
            (":kill", ":start"),
            (":pause", ":resume"),
            (":partition-halves", ":heal"),
        ] {
            let act = |f: &str| format!(":nemesis :info {f} nil\n:nemesis :info {f} :done\n");
            let text = [OP, &act(begins), OP, &act(ends), OP].concat();
            assert_eq!(of(&text), [(2, Some(4), format!("{} done", &begins[1..]))], "{begins}");
        }
    }

    #[test]
    fn what_is_never_undone_has_no_end_and_what_is_unknown_is_a_moment() {
        let text = format!("{OP}:nemesis :info :kill [\"n1\"]\n{OP}:nemesis :info :shrink nil\n");
        let expected = [(2, None, "kill [n1]".to_string()), (4, Some(4), "shrink".to_string())];
        assert_eq!(of(&text), expected);
    }
}
