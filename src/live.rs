//! The terminal while a run is under way.
//!
//! On a terminal six lines are kept up to date ([`status`]) and whatever happens scrolls above them; elsewhere there is a
//! plain line every ten seconds and one for every change. SIGUSR1 prints the six lines to stay, on
//! either, and so does `t` and enter at a terminal ([`keyboard`]). All of it
//! goes to standard error: standard output is for the verdict.
//!
//! There are no colours here, and so nothing for `NO_COLOR` to take away; the verdict has one ([`crate::judge`]).

pub(crate) mod keyboard;
pub(crate) mod status;

use std::collections::HashMap;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tribunal_checker::op::{Event, Kind, Value};
use tribunal_reports::wording::{elide, one_line, value};

use crate::cli::{Progress, RunArgs};
use crate::clock::Clock;
use crate::exit;
use status::Status;

/// How often a run that is not watched says that it is alive.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// How often the six lines are written anew.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// The terminal of one run.
pub(crate) struct Live {
    clock: Clock,
    /// Whether every completion is told.
    verbose: bool,
    face: Face,
    /// controller.log: what has happened, whatever the terminal shows.
    log: Option<Mutex<File>>,
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
    pub(crate) fn new(args: &RunArgs, clock: Clock, log: &Path) -> Self {
        // It tells people what happened; no verdict rests on it.
        let log = File::create(log).ok().map(Mutex::new);
        let terminal = std::io::stderr().is_terminal();
        let face = match args.progress {
            _ if args.quiet => Face::Silent,
            Progress::None => Face::Silent,
            Progress::Auto if !terminal => Face::Plain,
            Progress::Plain => Face::Plain,
            Progress::Auto | Progress::Bar => {
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
        Live { clock, verbose: args.verbose, face, log, now: Mutex::new(now) }
    }

    /// Where the report will be: the first line of what only scrolls, so that it is found whatever happens.
    pub(crate) fn place(&self, report: &Path) {
        if let Face::Plain = self.face {
            self.say(&format!("report   {} (when the run is over)", report.display()));
        }
    }

    /// What the run is: a line of its own where lines only scroll, the first of the six elsewhere.
    pub(crate) fn title(&self, title: &str) {
        self.now().title = title.to_string();
        if !matches!(self.face, Face::Bars { .. }) {
            self.say(title);
        }
    }

    /// A line that stays.
    pub(crate) fn say(&self, line: &str) {
        match &self.face {
            // What cannot be written is not worth stopping for.
            Face::Bars { all, .. } => drop(all.println(exit::shown(&one_line(line)))),
            Face::Plain => exit::complain(line),
            Face::Silent => {}
        }
    }

    /// A line that stays, with the second at which it happened: now.
    pub(crate) fn event(&self, line: &str) {
        self.event_at(self.clock.now(), line);
    }

    /// A line that stays, about something that happened at `ns` of the run's clock: the time that every file gives for it.
    pub(crate) fn event_at(&self, ns: u64, line: &str) {
        self.log_at(ns, line);
        self.say(&format!("{:7.3}  {line}", ns as f64 / 1e9));
    }

    fn log(&self, line: &str) {
        self.log_at(self.clock.now(), line);
    }

    /// A line for controller.log alone.
    pub(crate) fn log_at(&self, ns: u64, line: &str) {
        if let Some(log) = &self.log {
            let line = format!("{:.6} {}\n", ns as f64 / 1e9, one_line(line));
            // A full disk has its own way of ending a run.
            let _ = log.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
        }
    }

    /// A completion, for those who asked to see all of them.
    pub(crate) fn operation(&self, event: &Event) {
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
        self.say(&format!("{:7.3}  {line}", self.seconds())); // history.jsonl has it
    }

    /// A new phase of the run.
    pub(crate) fn phase(&self, name: &str) {
        self.now().phase = name.to_string();
        match &self.face {
            Face::Bars { .. } => self.draw(),
            Face::Plain => return self.event(name),
            Face::Silent => {}
        }
        self.log(name);
    }

    /// How far the check of the whole history is.
    pub(crate) fn check(&self, check: status::Check) {
        let mut now = self.now();
        now.status.check = check;
        let due = self.seconds() >= now.next.as_secs_f64();
        if due {
            now.next += PLAIN_EVERY;
        }
        let line = now.status.check();
        drop(now);
        match &self.face {
            Face::Bars { .. } => self.draw(),
            Face::Plain if due => self.event(&format!("checking: {line}")),
            Face::Plain | Face::Silent => {}
        }
    }

    /// How the run is doing; called every [`TICK`] while clients are driven.
    pub(crate) fn tick(&self, status: Status) {
        let mut now = self.now();
        now.status = status;
        let due = self.seconds() >= now.next.as_secs_f64();
        if due {
            now.next += PLAIN_EVERY;
        }
        let line = if due { now.status.line() } else { String::new() };
        drop(now);
        match &self.face {
            Face::Bars { .. } => self.draw(),
            Face::Plain if due => self.event(&line),
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
        std::iter::once(title).chain(now.status.lines(&now.phase)).collect()
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

    fn seconds(&self) -> f64 {
        self.clock.now() as f64 / 1e9
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
