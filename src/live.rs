//! The terminal while a run is under way.
//!
//! On a terminal six lines are kept up to date ([`status`]) and whatever happens scrolls above them; elsewhere there is a
//! plain line every ten seconds and one for every change. SIGUSR1 prints the six lines to stay, on
//! either, and so does `t` and enter at a terminal ([`keyboard`]). All of it
//! goes to standard error: standard output is for the verdict.
//!
//! There are no colours here, and so nothing for `NO_COLOR` to take away; the verdict has one ([`crate::run`]).

pub(crate) mod keyboard;
pub(crate) mod status;

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tribunal::observer::{CheckState, Observer, Status, TrialEvent};
use tribunal_checker::op::{Event, Kind, Nanos, Value};
use tribunal_reports::run_info::RunInfo;
use tribunal_reports::wording::{counted, elide, one_line, value};

use crate::cli::{ProgressMode, ShowArgs};
use crate::exit;

/// How often a run that is not watched says that it is alive.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// The terminal of one run.
pub(crate) struct Live {
    /// Whether every completion is told.
    verbose: bool,
    face: Face,
    now: Mutex<Now>,
}

enum Face {
    Bars { all: MultiProgress, lines: Vec<ProgressBar> },
    Plain,
    Silent,
}

/// What was shown last.
struct Now {
    title: String,
    phase: String,
    status: Status,
    /// When the next plain line is due.
    next: Duration,
    /// What was asked by each process that waits for an answer, for those who want to see every operation.
    asked: HashMap<u64, Value>,
}

impl Live {
    pub(crate) fn new(args: &ShowArgs) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let face = match args.progress {
            _ if args.quiet => Face::Silent,
            ProgressMode::None => Face::Silent,
            ProgressMode::Auto if !terminal => Face::Plain,
            ProgressMode::Plain => Face::Plain,
            ProgressMode::Auto | ProgressMode::Bar => {
                let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
                let style = ProgressStyle::with_template("{wide_msg}").expect("the template is a constant");
                let line = || all.add(ProgressBar::new_spinner().with_style(style.clone()));
                let lines = (0..6).map(|_| line()).collect();
                Face::Bars { all, lines }
            }
        };
        let now = Now {
            title: String::new(),
            phase: String::new(),
            status: Status::default(),
            next: PLAIN_EVERY,
            asked: HashMap::new(),
        };
        Live { verbose: args.verbose, face, now: Mutex::new(now) }
    }

    /// Where the report will be: the first line of what only scrolls, so that it is found whatever happens. Then what the run is:
    /// the first of the six lines elsewhere.
    fn opened(&self, run: &RunInfo, dir: &Path) {
        if let Face::Plain = self.face {
            self.say(&format!("report   {} (when the run is over)", dir.join("report.html").display()));
        }
        let title = title(run);
        if !matches!(self.face, Face::Bars { .. }) {
            self.say(&title);
        }
        self.now().title = title;
    }

    /// A line that stays.
    fn say(&self, line: &str) {
        match &self.face {
            // What cannot be written is not worth stopping for.
            Face::Bars { all, .. } => drop(all.println(exit::shown(&one_line(line)))),
            Face::Plain => exit::complain(line),
            Face::Silent => {}
        }
    }

    /// A line that stays, about something that happened at `t`: the time that every file gives for it.
    fn event(&self, t: Nanos, line: &str) {
        self.say(&format!("{:7.3}  {line}", seconds(t)));
    }

    /// A completion, for those who asked to see all of them.
    fn operation(&self, t: Nanos, event: &Event) {
        if !self.verbose {
            return;
        }
        let kind = match event.kind {
            Kind::Invoke => {
                self.now().asked.insert(event.process, event.value.clone());
                return;
            }
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info => "info",
        };
        let asked = self.now().asked.remove(&event.process).unwrap_or(Value::Nil);
        let shown = |it: &Value| if it.is_nil() { String::new() } else { format!(" {}", value(it)) };
        let said = match &event.error {
            Some(error) => format!(": {}", elide(error, 80)),
            None => shown(&event.value),
        };
        let (key, asked) = (shown(&event.key), shown(&asked));
        let line = format!("p{}{key} {}{asked} {kind}{said}", event.process, event.f);
        self.event(t, &line);
    }

    /// A new phase of the run.
    fn phase(&self, t: Nanos, name: &str) {
        self.now().phase = name.to_string();
        match &self.face {
            Face::Bars { .. } => self.draw(),
            Face::Plain => self.event(t, name),
            Face::Silent => {}
        }
    }

    /// How the run is doing, or how far the check of it is. A plain terminal is told every [`PLAIN_EVERY`].
    fn status(&self, t: Nanos, change: impl FnOnce(&mut Status) -> fn(&Status) -> String) {
        let mut now = self.now();
        let line = change(&mut now.status);
        let due = seconds(t) >= now.next.as_secs_f64();
        if due {
            now.next += PLAIN_EVERY;
        }
        let line = if due { line(&now.status) } else { String::new() };
        drop(now);
        match &self.face {
            Face::Bars { .. } => self.draw(),
            Face::Plain if due => self.event(t, &line),
            Face::Plain | Face::Silent => {}
        }
    }

    fn draw(&self) {
        let Face::Bars { lines, .. } = &self.face else { return };
        for (bar, line) in lines.iter().zip(self.six()) {
            bar.set_message(exit::shown(&one_line(&line)).into_owned());
            bar.tick();
        }
    }

    fn six(&self) -> Vec<String> {
        let now = self.now();
        let hint = if now.phase == "checking" { "ctrl-c: stop checking" } else { "ctrl-c: stop and check" };
        let title = format!("{}   ({hint})", now.title);
        std::iter::once(title).chain(status::lines(&now.status, &now.phase)).collect()
    }

    /// How the run is doing, to stay. Whoever asks is answered, even by a run that is silent otherwise.
    pub(crate) fn dump(&self) {
        match self.face {
            Face::Silent => self.six().iter().for_each(|line| exit::complain(line)),
            Face::Bars { .. } | Face::Plain => self.six().iter().for_each(|line| self.say(line)),
        }
    }

    /// Takes the six lines away.
    pub(crate) fn end(&self) {
        if let Face::Bars { lines, .. } = &self.face {
            // One that is not finished would draw itself once more when it is dropped, over what was printed meanwhile.
            lines.iter().for_each(ProgressBar::finish_and_clear);
        }
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Live {
    fn see(&self, t: Nanos, event: &TrialEvent<'_>) {
        match event {
            TrialEvent::Opened(run, dir) => self.opened(run, dir),
            TrialEvent::Phase(name) => self.phase(t, name),
            TrialEvent::Operation(event) => self.operation(t, event),
            TrialEvent::Fault(_) if event.is_minor() => {}
            TrialEvent::Fault(_) | TrialEvent::Note(_) => {
                event.line().into_iter().for_each(|line| self.event(t, &line));
            }
            TrialEvent::Status(status) => self.status(t, |now| {
                *now = status.clone();
                status::line
            }),
            TrialEvent::Checking(whole) => self.status(t, |now| {
                now.check = CheckState::Whole(*whole);
                |now| format!("checking: {}", status::check(now))
            }),
            TrialEvent::Warning(text) => exit::complain(text),
            TrialEvent::Judged(_) | TrialEvent::Broke(_) => self.end(),
        }
    }
}

/// What a run is, in a line.
fn title(run: &RunInfo) -> String {
    let limit = humantime::format_duration(Duration::from_millis(run.time_limit_ms));
    let faults = if run.nemesis.is_empty() { "no faults".into() } else { run.nemesis.join(", ") };
    let (nodes, clients) = (counted(run.nodes.len(), "node"), counted(run.concurrency, "client"));
    let RunInfo { workload, system, seed, .. } = run;
    format!("{workload} on {system}: {nodes}, {clients}, {limit} of {faults}, seed {seed}")
}

fn seconds(t: Nanos) -> f64 {
    t as f64 / 1e9
}
