//! Terminal output during a run.
//!
//! On a terminal, six lines are kept up to date ([`status`]), and events scroll above them. Elsewhere a plain
//! line is printed every ten seconds, and one for every event. In both cases, SIGUSR1 prints the six lines
//! permanently; so does typing `t` and Enter at a terminal ([`keyboard`]). All of it goes to standard error:
//! standard output is for the verdict.
//!
//! There are no colours here, so `NO_COLOR` has no effect; the verdict is coloured in [`crate::run`].

pub(crate) mod keyboard;
mod screen;
pub(crate) mod status;

use std::collections::HashMap;
use std::io::{IsTerminal, Stderr, stderr};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tribunal::observer::{CheckState, Observer, Status, TrialEvent};
use tribunal_checker::op::{Event, Kind, Nanos, Value};
use tribunal_nemesis::{FaultEvent, FaultRecord};
use tribunal_reports::run_info::RunInfo;
use tribunal_reports::text;
use tribunal_reports::wording::{counted, elide, one_line, value};

use crate::cli::{ProgressMode, ShowArgs};
use crate::exit;
use screen::Screen;

/// Interval of progress lines without a terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Width of the time before an event, with the spaces after it.
const TIME_CHARS: usize = 9;

/// Terminal output of one run.
pub(crate) struct Live {
    /// Whether to print every completed operation.
    verbose: bool,
    output: Output,
    state: Mutex<State>,
}

enum Output {
    Screen(Mutex<Screen<Stderr>>),
    Plain,
    Silent,
}

/// What was printed last.
struct State {
    title: String,
    phase: String,
    status: Status,
    /// Time of the last status, on the run's clock.
    t: Nanos,
    /// The number and the label of the fault that was printed last.
    last_fault: Option<(usize, String)>,
    /// When the next plain line is due.
    next_line: Duration,
    /// Request of each pending operation by process, for `--verbose`.
    requests: HashMap<u64, Value>,
}

impl Live {
    pub(crate) fn new(args: &ShowArgs) -> Self {
        let terminal = stderr().is_terminal();
        let output = match args.progress {
            _ if args.quiet => Output::Silent,
            ProgressMode::None => Output::Silent,
            ProgressMode::Auto if !terminal => Output::Plain,
            ProgressMode::Plain => Output::Plain,
            ProgressMode::Bar if !terminal => Output::Silent,
            ProgressMode::Auto | ProgressMode::Bar => Output::Screen(Mutex::new(Screen::new(stderr()))),
        };
        let state = State {
            title: String::new(),
            phase: String::new(),
            status: Status::default(),
            t: 0,
            last_fault: None,
            next_line: PLAIN_INTERVAL,
            requests: HashMap::new(),
        };
        Live { verbose: args.verbose, output, state: Mutex::new(state) }
    }

    /// Prints the path of the future report first, so that it is visible whatever happens. Then prints the
    /// title of the run, unless it is the first of the six lines.
    fn opened(&self, run: &RunInfo, dir: &Path) {
        if let Output::Plain = self.output {
            self.print(&format!("report   {} (when the run is over)", dir.join("report.html").display()));
        }
        let title = title(run);
        if !matches!(self.output, Output::Screen(_)) {
            self.print(&title);
        }
        self.state().title = title;
    }

    /// Prints a permanent line.
    fn print(&self, line: &str) {
        match &self.output {
            Output::Screen(screen) => {
                let lines = status::wrapped(&one_line(line), width(&stderr()), TIME_CHARS);
                let lines: Vec<String> = lines.iter().map(|line| exit::escaped(line).into_owned()).collect();
                lock(screen).print(&lines);
            }
            Output::Plain => exit::eprint_line(line),
            Output::Silent => {}
        }
    }

    /// Prints a permanent line about an event at time `t`, the same time as in all files.
    fn event(&self, t: Nanos, line: &str) {
        self.print(&format!("{:7.3}  {line}", seconds(t))); // the line begins at TIME_CHARS
    }

    /// Prints a completed operation, with `--verbose`.
    fn operation(&self, t: Nanos, event: &Event) {
        if !self.verbose {
            return;
        }
        let kind = match event.kind {
            Kind::Invoke => {
                self.state().requests.insert(event.process, event.value.clone());
                return;
            }
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info => "info",
        };
        let request = self.state().requests.remove(&event.process).unwrap_or(Value::Nil);
        let shown = |it: &Value| if it.is_nil() { String::new() } else { format!(" {}", value(it)) };
        let said = match &event.error {
            Some(error) => format!(": {}", elide(error, 80)),
            None => shown(&event.value),
        };
        let (key, request) = (shown(&event.key), shown(&request));
        let line = format!("p{}{key} {}{request} {kind}{said}", event.process, event.f);
        self.event(t, &line);
    }

    /// Whether a fault has just moved to a stage with the same label: then its line would be printed twice.
    fn is_repeated(&self, fault: &FaultRecord) -> bool {
        let shown = (fault.i, fault.label.clone());
        let before = self.state().last_fault.replace(shown.clone());
        fault.event == FaultEvent::Shift && before == Some(shown)
    }

    /// A phase begins.
    fn phase(&self, t: Nanos, name: &str) {
        self.state().phase = name.to_string();
        match &self.output {
            Output::Screen(screen) => self.draw(&mut lock(screen)),
            Output::Plain => self.event(t, name),
            Output::Silent => {}
        }
    }

    /// Updates the progress of the run or of its check. A plain terminal prints it every [`PLAIN_INTERVAL`].
    fn status(&self, t: Nanos, change: impl FnOnce(&mut Status) -> fn(&Status) -> String) {
        let mut now = self.state();
        now.t = t;
        let line = change(&mut now.status);
        let due = seconds(t) >= now.next_line.as_secs_f64();
        if due {
            now.next_line += PLAIN_INTERVAL;
        }
        let line = if due { line(&now.status) } else { String::new() };
        drop(now);
        match &self.output {
            Output::Screen(screen) => {
                let mut screen = lock(screen);
                if screen.is_due(Instant::now()) {
                    self.draw(&mut screen);
                }
            }
            Output::Plain if due => self.event(t, &line),
            Output::Plain | Output::Silent => {}
        }
    }

    fn draw(&self, screen: &mut Screen<Stderr>) {
        let lines = self.status_lines();
        let lines = lines.iter().map(|line| exit::escaped(&one_line(line)).into_owned());
        screen.show(lines.collect(), Instant::now());
    }

    fn status_lines(&self) -> Vec<String> {
        let (now, width) = (self.state(), width(&stderr()));
        let hint = if now.phase == "checking" { "ctrl-c: stop checking" } else { "ctrl-c: stop and check" };
        let title = status::title(&now.title, hint, width);
        let t = Duration::from_nanos(now.t);
        std::iter::once(title).chain(status::lines(&now.status, &now.phase, t, width)).collect()
    }

    /// Prints the status permanently, on the user's request; even in quiet mode.
    pub(crate) fn dump(&self) {
        match self.output {
            Output::Silent => self.status_lines().iter().for_each(|line| exit::eprint_line(line)),
            Output::Screen(_) | Output::Plain => self.status_lines().iter().for_each(|line| self.print(line)),
        }
    }

    /// Removes the six lines.
    pub(crate) fn end(&self) {
        if let Output::Screen(screen) = &self.output {
            lock(screen).clear();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Observer for Live {
    fn on_event(&self, t: Nanos, event: &TrialEvent<'_>) {
        match event {
            TrialEvent::Opened(run, dir) => self.opened(run, dir),
            TrialEvent::Phase(name) => self.phase(t, name),
            TrialEvent::Operation(event) => self.operation(t, event),
            TrialEvent::Fault(_) if event.is_minor() => {}
            TrialEvent::Fault(fault) if self.is_repeated(fault) => {}
            TrialEvent::Fault(_) | TrialEvent::Note(_) => {
                event.line().into_iter().for_each(|line| self.event(t, &line));
            }
            TrialEvent::Status(status) => self.status(t, |now| {
                *now = status.clone();
                status::line
            }),
            TrialEvent::Checking(whole) => self.status(t, |now| {
                now.check = CheckState::Final(*whole);
                |now| format!("checking: {}", status::check(now))
            }),
            TrialEvent::Warning(text) => match self.output {
                Output::Screen(_) => self.print(text),
                Output::Plain | Output::Silent => exit::eprint_line(text),
            },
            TrialEvent::Judged(_) | TrialEvent::Failed(_) => self.end(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A run in one line.
fn title(run: &RunInfo) -> String {
    let limit = humantime::format_duration(Duration::from_millis(run.time_limit_ms));
    let faults = if run.nemesis.is_empty() { "no faults".into() } else { run.nemesis.join(",") };
    let (nodes, clients) = (counted(run.nodes.len(), "node"), counted(run.concurrency, "client"));
    let RunInfo { workload, system, seed, .. } = run;
    format!("{workload} on {system}, seed {seed}: {nodes}, {clients}, {limit}, {faults}")
}

nix::ioctl_read_bad!(window_size, nix::libc::TIOCGWINSZ, nix::libc::winsize);

/// The width of a terminal, in characters; of something else, as much as a report needs.
pub(crate) fn width(terminal: &impl AsRawFd) -> usize {
    // SAFETY: all zeroes is a window size, and the call fills in no more than that.
    let size = unsafe {
        let mut size: nix::libc::winsize = std::mem::zeroed();
        window_size(terminal.as_raw_fd(), &mut size).map(|_| size)
    };
    match size {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => text::WIDTH,
    }
}

fn seconds(t: Nanos) -> f64 {
    t as f64 / 1e9
}
