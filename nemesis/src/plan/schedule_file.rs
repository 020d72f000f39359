//! Schedule files: which faults come when, on which event, and which are drawn at random.
//!
//! ```toml
//! [[phase]]                       # phases follow each other; a phase without faults is quiet
//! lasts = "10s"
//!
//! [[phase]]
//! lasts = "60s"
//! nemesis = "kill,partition:bridge+halves"
//! interval = "4s"                 # default: a tenth of the phase
//! seed = 7                        # default: the run's seed plus the number of the phase
//!
//! [[step]]                        # one fault at a given time; may overlap with others
//! at = "12s"
//! hold = "1500ms"
//! fault = "partition:majority-ring"
//!
//! [[step]]
//! at = "20s"
//! hold = "3s"
//! grudge = "n1>n2,n3|n4"          # see `Grudge`
//! mode = "reset"                  # default: stall
//!
//! [[step]]
//! at = "30s"
//! hold = "2s"
//! acts = ["kill leader", "@500 start leader", "@500 pause n1"]
//!
//! [[trigger]]                     # like a step, but when an event happens
//! on = { log = { pattern = "became leader" } }     # or { operations = 1000 }, or "leader-change"
//! after = "50ms"
//! times = 3                       # default: 1
//! hold = "2s"
//! fault = "pause:leader"
//! ```
//!
//! JSON of the same structure is accepted, too. A faults.jsonl is not a schedule but a record, see
//! [`Plan::replay`]. All times count from the start of the plan.

use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand::SeedableRng;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use toml::Spanned;
use tribunal_records::places::plain;
use tribunal_records::suggest::of_unknown_field;

use crate::{
    CutMode, Drawn, FaultSelection, Grudge, NodeId, ParseActError, ParseFaultsError, ParseGrudgeError, Plan,
    Schedule, Setting, Step, TimedAct, Trigger, TriggerCondition, plan,
};

/// Why a file is not a schedule, and where: `12:1: step 2: give one of fault, grudge and acts`.
#[derive(Debug, thiserror::Error)]
#[error("{line}:{column}: {why}")]
pub struct ScheduleFileError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1 in characters.
    pub column: usize,
    /// What is wrong.
    pub why: ScheduleProblem,
}

/// What is wrong with a schedule.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleProblem {
    /// Not TOML or JSON, or a wrong name or type; in the words of the parser.
    #[error("{0}")]
    Syntax(String),
    /// An entry has an invalid value.
    #[error("{table} {number}: {why}")]
    Entry {
        /// `phase`, `step` or `trigger`.
        table: &'static str,
        /// Number of the entry, counted from 1.
        number: usize,
        /// What is wrong.
        why: EntryError,
    },
}

impl ScheduleFileError {
    /// An error at this byte offset of the text.
    fn at(text: &str, offset: usize, why: ScheduleProblem) -> ScheduleFileError {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[line_start..].chars().count() + 1;
        ScheduleFileError { line: before.matches('\n').count() + 1, column, why }
    }

    fn toml(text: &str, error: &toml::de::Error) -> ScheduleFileError {
        let offset = error.span().map_or(0, |span| span.start);
        let message = plain(&error.message().replace('\n', ", "));
        let near = of_unknown_field(&message);
        let near = near.map_or(String::new(), |near| format!(": did you mean `{near}`?"));
        Self::at(text, offset, ScheduleProblem::Syntax(message + &near))
    }

    /// An error in the part of the text that begins at this byte offset.
    fn json(text: &str, part: usize, error: &serde_json::Error) -> ScheduleFileError {
        let line_starts = text[part..].match_indices('\n').map(|(at, _)| part + at + 1);
        let line_start = std::iter::once(part).chain(line_starts).nth(error.line().saturating_sub(1));
        let offset = line_start.unwrap_or(text.len()) + error.column().saturating_sub(1);
        let place = format!(" at line {} column {}", error.line(), error.column());
        Self::at(text, offset, ScheduleProblem::Syntax(plain(&error.to_string().replace(&place, ""))))
    }
}

/// What is wrong with an entry of a schedule.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// A wrong fault.
    #[error(transparent)]
    Faults(#[from] ParseFaultsError),
    /// A wrong grudge.
    #[error(transparent)]
    Grudge(#[from] ParseGrudgeError),
    /// A wrong act.
    #[error(transparent)]
    Act(#[from] ParseActError),
    /// A wrong regular expression.
    #[error(transparent)]
    Pattern(#[from] regex_lite::Error),
    /// The interval of a phase is zero.
    #[error("interval: expected a time of 1ms or more")]
    Interval,
    /// A phase has no room for a fault.
    #[error("no room for {fault} in {lasts_ms} ms with an interval of {interval_ms} ms{}", .room_ms.map_or(
        String::new(), |ms| format!(": try interval = \"{ms}ms\"")))]
    NoRoom {
        /// The name of the fault.
        fault: &'static str,
        /// Duration of the phase.
        lasts_ms: u64,
        /// Its interval.
        interval_ms: u64,
        /// An interval that leaves room for it.
        room_ms: Option<u64>,
    },
    /// This cluster or this machine does not allow a fault.
    #[error("{fault} cannot be injected: {why}")]
    Impossible {
        /// The name of the fault.
        fault: String,
        /// Why not.
        why: String,
    },
    /// An entry has none, or more than one, of fault, grudge and acts.
    #[error("give one of fault, grudge and acts")]
    What,
    /// A list of acts is empty.
    #[error("acts: expected at least one act, such as \"kill n1\"")]
    NoActs,
    /// More than one fault, or more than one kind.
    #[error(
        "fault: `{0}`: expected one fault and one kind of it, such as `kill:one` (`tribunal list faults`)"
    )]
    Kinds(FaultSelection),
    /// A node that the cluster does not have.
    #[error("there is no {0} in a cluster of {1}")]
    Node(NodeId, usize),
    /// An act would come after the end of the step.
    #[error("`{0}` comes after the hold of {1} ms, when all of the step is undone")]
    Late(Box<TimedAct>, u64),
    /// The acts name every node, so no node can stand in for the leader.
    #[error("acts that name the leader must leave out a node")]
    Leader,
}

/// A file, with entries that know their place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<P, S, T> {
    #[serde(default = "Vec::new")]
    phase: Vec<P>,
    #[serde(default = "Vec::new")]
    step: Vec<S>,
    #[serde(default = "Vec::new")]
    trigger: Vec<T>,
}

/// The content of a file, each entry with its byte offset.
type Entries = File<(usize, Phase), (usize, TimedEntry), (usize, TriggerEntry)>;

fn from_toml(text: &str) -> Result<Entries, ScheduleFileError> {
    type Toml = File<Spanned<Phase>, Spanned<TimedEntry>, Spanned<TriggerEntry>>;
    fn place<T>(entries: Vec<Spanned<T>>) -> Vec<(usize, T)> {
        entries.into_iter().map(|entry| (entry.span().start, entry.into_inner())).collect()
    }
    let Toml { phase, step, trigger } =
        toml::from_str(text).map_err(|error| ScheduleFileError::toml(text, &error))?;
    Ok(File { phase: place(phase), step: place(step), trigger: place(trigger) })
}

fn from_json(text: &str) -> Result<Entries, ScheduleFileError> {
    type Json<'a> = File<&'a RawValue, &'a RawValue, &'a RawValue>;
    fn place<T: DeserializeOwned>(
        text: &str,
        raw: Vec<&RawValue>,
    ) -> Result<Vec<(usize, T)>, ScheduleFileError> {
        let entry = |raw: &RawValue| {
            // Borrowed from the text, so its address tells the offset.
            let offset = raw.get().as_ptr() as usize - text.as_ptr() as usize;
            let entry = serde_json::from_str(raw.get());
            entry.map(|entry| (offset, entry)).map_err(|error| ScheduleFileError::json(text, offset, &error))
        };
        raw.into_iter().map(entry).collect()
    }
    let Json { phase, step, trigger } =
        serde_json::from_str(text).map_err(|error| ScheduleFileError::json(text, 0, &error))?;
    Ok(File { phase: place(text, phase)?, step: place(text, step)?, trigger: place(text, trigger)? })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Phase {
    lasts: Time,
    nemesis: Option<String>,
    interval: Option<Time>,
    seed: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimedEntry {
    at: Time,
    hold: Time,
    fault: Option<String>,
    grudge: Option<String>,
    acts: Option<Vec<String>>,
    mode: Option<CutMode>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TriggerEntry {
    on: TriggerCondition,
    #[serde(default)]
    after: Time,
    times: Option<u64>,
    hold: Time,
    fault: Option<String>,
    grudge: Option<String>,
    acts: Option<Vec<String>>,
    mode: Option<CutMode>,
}

/// Longest time in a schedule, more than any run lasts.
const TIME_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Milliseconds, written `1500ms` or `2s`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(try_from = "String")]
struct Time(u64);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Time, String> {
        let expected = || format!("`{text}`: expected a duration with its unit, such as 500ms, 30s or 2m");
        let time = humantime::parse_duration(&text).map_err(|_| expected())?;
        match time <= TIME_MAX {
            true => Ok(Time(time.as_millis() as u64)),
            false => Err(format!("`{text}` is longer than a year")),
        }
    }
}

impl Plan {
    /// Parses a schedule, TOML or JSON as described above, for a cluster with this `setting`. Random
    /// choices are drawn from `seed`.
    ///
    /// # Errors
    /// The first error, with its place.
    pub fn parse(text: &str, seed: u64, setting: &Setting) -> Result<Plan, ScheduleFileError> {
        let nodes = setting.nodes;
        let possible = |step: Step| match setting.obstacle(&step) {
            Some(why) => Err(EntryError::Impossible { fault: step.fault, why }),
            None => Ok(step),
        };
        let file = if text.trim_start().starts_with('{') { from_json(text)? } else { from_toml(text)? };
        let at = |offset, table, number| {
            move |why| ScheduleFileError::at(text, offset, ScheduleProblem::Entry { table, number, why })
        };

        if file.phase.is_empty() && file.step.is_empty() && file.trigger.is_empty() {
            let why = "expected a phase, a step or a trigger, found none".to_owned();
            return Err(ScheduleFileError::at(text, 0, ScheduleProblem::Syntax(why)));
        }
        let mut plan = Plan::default();
        let mut begin_ms = 0;
        for (number, (offset, phase)) in (1..).zip(file.phase) {
            let lasts_ms = phase.lasts.0;
            let schedule = schedule(phase, seed.wrapping_add(number as u64), nodes);
            let schedule = schedule.map_err(at(offset, "phase", number))?;
            if let Some((fault, why)) = schedule.impossible(setting).into_iter().next() {
                return Err(at(offset, "phase", number)(EntryError::Impossible { fault, why }));
            }
            ensure_room(&schedule).map_err(at(offset, "phase", number))?;
            plan.drawn.push(Drawn { begin_ms, schedule, grudge: None });
            begin_ms = u64::saturating_add(begin_ms, lasts_ms);
        }
        for (number, (offset, entry)) in (1..).zip(file.step) {
            let TimedEntry { at: at_ms, hold, fault, grudge, acts, mode } = entry;
            let action = Action { fault, grudge, acts, mode };
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(number as u64);
            let step = action.step(hold.0, nodes, &mut rng).and_then(possible);
            let step = step.map_err(at(offset, "step", number))?;
            plan.steps.push(Step { at_ms: at_ms.0, ..step });
        }
        for (number, (offset, entry)) in (1..).zip(file.trigger) {
            let TriggerEntry { on, after, times, hold, fault, grudge, acts, mode } = entry;
            if let TriggerCondition::Log { pattern, .. } = &on {
                let regex = regex_lite::Regex::new(pattern);
                regex.map_err(EntryError::from).map_err(at(offset, "trigger", number))?;
            }
            let action = Action { fault, grudge, acts, mode };
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(u64::MAX - number as u64);
            let step = action.step(hold.0, nodes, &mut rng).and_then(possible);
            let step = step.map_err(at(offset, "trigger", number))?;
            plan.triggers.push(Trigger { on, after_ms: after.0, times: times.unwrap_or(1), step });
        }
        plan.steps.sort_by_key(|step| step.at_ms);
        Ok(plan)
    }
}

/// Checks that a phase has room for every fault that it requests.
fn ensure_room(schedule: &Schedule) -> Result<(), EntryError> {
    let Some(&fault) = schedule.without_room().first() else { return Ok(()) };
    let (lasts_ms, interval_ms) = (schedule.time_limit_ms, schedule.interval_ms);
    Err(EntryError::NoRoom { fault, lasts_ms, interval_ms, room_ms: schedule.interval_with_room() })
}

/// The schedule of a phase.
fn schedule(phase: Phase, seed: u64, nodes: usize) -> Result<Schedule, EntryError> {
    let interval_ms = phase.interval.map_or(phase.lasts.0 / 10, |interval| interval.0);
    if phase.interval.is_some() && interval_ms == 0 {
        return Err(EntryError::Interval);
    }
    Ok(Schedule {
        wanted: phase.nemesis.as_deref().unwrap_or("none").parse()?,
        seed: phase.seed.unwrap_or(seed),
        nodes,
        interval_ms,
        time_limit_ms: phase.lasts.0,
    })
}

/// What a step or trigger does, described in one of three ways.
struct Action {
    fault: Option<String>,
    grudge: Option<String>,
    acts: Option<Vec<String>>,
    mode: Option<CutMode>,
}

impl Action {
    /// The step, beginning at 0.
    fn step(self, hold_ms: u64, nodes: usize, rng: &mut ChaCha8Rng) -> Result<Step, EntryError> {
        let mode = self.mode.unwrap_or(CutMode::Stall);
        let given = |fault: &str, kind: &str, leader, acts| Step {
            at_ms: 0,
            hold_ms,
            fault: fault.to_owned(),
            kind: kind.to_owned(),
            leader,
            follows_ms: Vec::new(),
            drawn: false,
            acts,
        };
        let step = match (self.fault, self.grudge, self.acts) {
            (Some(fault), None, None) => {
                let wanted: FaultSelection = fault.parse()?;
                wanted.one(hold_ms, nodes, self.mode, rng).ok_or(EntryError::Kinds(wanted))?
            }
            (None, Some(grudge), None) => {
                let grudge: Grudge = grudge.parse()?;
                given("partition", "grudge", None, plan::cut_links(&grudge, mode))
            }
            (None, None, Some(texts)) if texts.is_empty() => return Err(EntryError::NoActs),
            (None, None, Some(texts)) => {
                let (leader, acts) = acts_with_leader(&texts, nodes)?;
                if let Some(late) = acts.iter().find(|timed| timed.after_ms > hold_ms) {
                    return Err(EntryError::Late(Box::new(*late), hold_ms));
                }
                given(plan::LISTED_ACTS, "given", leader, acts)
            }
            _ => return Err(EntryError::What),
        };
        match plan::unknown_node(&step.acts, nodes) {
            Some(node) => Err(EntryError::Node(node, nodes)),
            None => Ok(step),
        }
    }
}

/// Parses acts with `leader` in place of a node. Returns the stand-in for the leader, if needed, and the
/// acts.
fn acts_with_leader(texts: &[String], nodes: usize) -> Result<(Option<NodeId>, Vec<TimedAct>), EntryError> {
    // The named nodes are known only after parsing. So `leader` is replaced first by a node outside the
    // cluster, then by a node that the acts do not name.
    let parse = |leader: NodeId| -> Result<Vec<TimedAct>, ParseActError> {
        texts.iter().map(|text| text.replace("leader", &leader.to_string()).parse()).collect()
    };
    let outside = NodeId(usize::MAX - 1);
    let acts = parse(outside)?;
    let named = |node: &NodeId| acts.iter().any(|timed| timed.act.nodes().any(|other| other == *node));
    if !named(&outside) {
        return Ok((None, acts));
    }
    let stand_in = (0..nodes).map(NodeId).find(|node| !named(node)).ok_or(EntryError::Leader)?;
    Ok((Some(stand_in), parse(stand_in)?))
}

#[cfg(test)]
mod tests {
    use tribunal_records::{DiskKind, Net};

    use super::*;

    fn parse(text: &str) -> Result<Plan, ScheduleFileError> {
        Plan::parse(text, 1, &Setting::of(3))
    }

    const FILE: &str = r#"
        [[phase]]
        lasts = "10s"

        [[phase]]
        lasts = "60s"
        nemesis = "kill,partition:bridge"
        interval = "4s"

        [[step]]
        at = "12s"
        hold = "1500ms"
        fault = "partition:isolate-leader"
        mode = "reset"

        [[step]]
        at = "5s"
        hold = "3s"
        grudge = "n1>n2,n2|n3"

        [[step]]
        at = "90s"
        hold = "2s"
        acts = ["kill leader", "@500 start leader", "@500 pause n1"]

        [[trigger]]
        on = { log = { pattern = "became leader" } }
        after = "50ms"
        times = 3
        hold = "2s"
        fault = "pause:leader"

        [[trigger]]
        on = "leader-change"
        hold = "1s"
        acts = ["kill n2"]
    "#;

    fn texts(step: &Step) -> Vec<String> {
        step.acts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_gives_phases_steps_and_triggers() {
        let plan = parse(FILE).expect("a schedule");
        let steps: Vec<Step> = plan.in_order().collect();
        let times: Vec<u64> = steps.iter().map(|step| step.at_ms).collect();
        assert!(times.is_sorted());
        let drawn = steps.iter().filter(|step| ["kill", "partition"].contains(&&*step.fault));
        let drawn: Vec<&Step> =
            drawn.filter(|step| !["grudge", "isolate-leader"].contains(&&*step.kind)).collect();
        assert!(drawn.len() > 8, "{drawn:?}");
        assert!(drawn.iter().all(|step| step.at_ms >= 10_000 && step.at_ms + step.hold_ms <= 70_000));
        assert!(drawn.iter().all(|step| step.fault == "kill" || step.kind == "bridge"));

        assert_eq!((plan.steps[0].at_ms, plan.steps[0].hold_ms), (5000, 3000));
        assert_eq!(texts(&plan.steps[0]), ["cut n1>n2 stall", "cut n2>n3 stall", "cut n3>n2 stall"]);
        let isolated = plan.steps.iter().find(|step| step.kind == "isolate-leader").expect("given");
        assert!(isolated.leader.is_some());
        assert!(texts(isolated).iter().all(|act| act.ends_with("reset")));
        let last = plan.steps.last().expect("given");
        assert_eq!(last.leader, Some(NodeId(1)));
        assert_eq!(texts(last), ["kill n2", "@500 start n2", "@500 pause n1"]);

        assert_eq!((plan.triggers[0].after_ms, plan.triggers[0].times), (50, 3));
        assert_eq!(plan.triggers[0].step.fault, "pause");
        assert_eq!((&plan.triggers[1].on, plan.triggers[1].times), (&TriggerCondition::LeaderChange, 1));
        assert_eq!(parse(FILE).expect("a schedule"), plan);
        assert_ne!(Plan::parse(FILE, 2, &Setting::of(3)).expect("a schedule"), plan);
    }

    #[test]
    fn a_phase_without_room_for_a_fault_is_refused() {
        let why = |phase: &str| {
            let text = format!("[[phase]]\nlasts = '1s'\n\n[[phase]]\n{phase}");
            parse(&text).map(drop).map_err(|error| error.to_string())
        };
        let short =
            why("lasts = '6s'\ninterval = '4s'\nnemesis = 'kill,partition,pause,starve'").unwrap_err();
        assert!(short.starts_with("4:1: phase 2: no room for "), "{short}");
        assert!(short.contains(" in 6000 ms with an interval of 4000 ms: try interval = "), "{short}");
        assert!(why("lasts = '9s'\ninterval = '1ms'\nnemesis = 'kill'").is_err());
        assert_eq!(why("lasts = '60s'\ninterval = '3s'\nnemesis = 'kill,pause'"), Ok(()));
    }

    #[test]
    fn a_fault_that_the_cluster_does_not_allow_is_refused() {
        let entry = "hold = '1s'\nfault =";
        let step = |fault: &str| format!("[[step]]\nat = '1s'\n{entry} '{fault}'");
        let setting = Setting {
            nodes: 2,
            net: Net::Netns,
            disk: Ok(DiskKind::Plain),
            operators: Err("abd takes no such request".into()),
        };
        let one = Setting { nodes: 1, ..setting.clone() };
        for (setting, text, error) in [
            (&one, step("partition:halves"), "partition cannot be injected: it needs more than 1 node "),
            (&setting, step("bitflip:one"), "bitflip cannot be injected: it needs 3 nodes or more"),
            (&setting, step("power:one"), "power cannot be injected: a plain disk loses nothing: use --disk"),
            (
                &setting,
                step("slow-disk:one"),
                "slow-disk cannot be injected: only a fuse disk fails on demand",
            ),
            (&setting, step("transfer:once"), "transfer cannot be injected: abd takes no such request"),
            (&setting, step("corrupt:everywhere"), "corrupt cannot be injected: flip_one_in needs a proxy"),
            (&Setting::of(3), step("loss:all"), "loss cannot be injected: a proxy cannot lose packets"),
        ] {
            let said = Plan::parse(&text, 1, setting).expect_err(&text).to_string();
            assert!(said.starts_with(&format!("1:1: step 1: {error}")), "{said}");
        }
    }

    #[test]
    fn json_is_accepted() {
        let json = r#"{"step": [{"at": "1s", "hold": "2s", "acts": ["kill n1"]}]}"#;
        let toml = "[[step]]\nat = '1s'\nhold = '2s'\nacts = ['kill n1']";
        assert_eq!(parse(json).expect("JSON"), parse(toml).expect("TOML"));
    }

    #[test]
    fn errors_have_their_place() {
        for (text, error) in [
            ("[[step]]\nat = '1s'\nhold = '2s'", "1:1: step 1: give one of fault, grudge and acts"),
            (
                "[[phase]]\nlasts = '1s'\n\n  [[step]]\nat = '1s'\nhold = '2s'\nfault = 'kil'",
                "4:3: step 1: there is no fault `kil`: did you mean `kill`?",
            ),
            (
                "[[step]]\nat = '1s'\nhold = '2s'\nfault = 'kill'",
                "1:1: step 1: fault: `kill`: expected one fault and one kind of it, such as `kill:one` (`tribunal list faults`)",
            ),
            (
                "[[step]]\nat = '1s'\nhold = '2s'\nacts = ['kill n9']",
                "1:1: step 1: there is no n9 in a cluster of 3",
            ),
            (
                "[[step]]\nat = '1s'\nhold = '2s'\nacts = ['pause leader', 'kill n1', 'kill n2', 'kill n3']",
                "1:1: step 1: acts that name the leader must leave out a node",
            ),
            (
                "[[phase]]\nlasts = '1s'\n[[phase]]\nlasts = '2s'\nnemesis = 'kill,kill'",
                "3:1: phase 2: kill is named twice",
            ),
            (
                "[[trigger]]\non = { log = { pattern = '(' } }\nhold = '1s'\nfault = 'kill:one'",
                "1:1: trigger 1: ",
            ),
            (
                "[[step]]\nat = '1s'\nhold = '2s'\nfualt = 'kill'",
                "4:1: unknown field `fualt`, expected one of",
            ),
            ("", "1:1: expected a phase, a step or a trigger, found none"),
            (
                "[[phase]]\nlasts = '1s'\nnemesis = 'kill'\ninterval = '0s'",
                "1:1: phase 1: interval: expected a time of 1ms or more",
            ),
            ("[[phase]]\nlasts = 'a while'", "2:9: `a while`: expected a duration with its unit"),
            ("[[phase]]\nlasts = '600years'", "2:9: `600years` is longer than a year"),
            (
                "[[step]]\nat = '1s'\nhold = '500ms'\nacts = ['pause n1', '@2000 resume n1']",
                "1:1: step 1: `@2000 resume n1` comes after the hold of 500 ms, when all of the step is undone",
            ),
            ("[[phase]]\nlasts = ", "2:9: "),
            ("{\"step\": [{\"at\": \"1s\", \"hold\": \"2s\"}]}", "1:11: step 1: give one of"),
            ("{\"step\":\n [{}, 7]}", "2:4: missing field `at`"),
            (
                "{\n\"phase\": [\n  {\n  \"lasts\": 7}]}",
                "4:12: invalid type: integer `7`, expected a text in quotes",
            ),
            ("{\"steps\": []}", "1:8: unknown field `steps`, expected one of `phase`, `step`, `trigger`"),
        ] {
            let said = parse(text).expect_err(text).to_string();
            assert!(said.starts_with(error), "{said}");
        }
    }
}
