//! The terminal while a run is under way.
//!
//! On a terminal one line moves and lines of note scroll above it; elsewhere there is a plain line every ten
//! seconds and one for every change. All of it goes to standard error: standard output is for the verdict.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::Progress;
use crate::clock::Clock;
use crate::controller::recorder::Tally;

/// How often a run that is not watched says that it is alive.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// How often the moving line moves.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// The terminal of one run.
pub(crate) struct Live {
    clock: Clock,
    face: Face,
}

enum Face {
    Bar(ProgressBar),
    Plain(Mutex<Plain>),
    Silent,
}

struct Plain {
    next: Duration,
}

impl Live {
    pub(crate) fn new(progress: Progress, quiet: bool, clock: Clock) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let face = match progress {
            _ if quiet => Face::Silent,
            Progress::None => Face::Silent,
            Progress::Auto if !terminal => Face::Plain(Mutex::new(Plain { next: PLAIN_EVERY })),
            Progress::Plain => Face::Plain(Mutex::new(Plain { next: PLAIN_EVERY })),
            Progress::Auto | Progress::Bar => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
                let style = ProgressStyle::with_template("{spinner} {wide_msg}");
                bar.set_style(style.expect("the template is a constant"));
                Face::Bar(bar)
            }
        };
        Live { clock, face }
    }

    /// A line that stays.
    pub(crate) fn say(&self, line: &str) {
        match &self.face {
            Face::Bar(bar) => bar.println(line),
            Face::Plain(_) => eprintln!("{line}"),
            Face::Silent => {}
        }
    }

    /// A line that stays, with the second at which it happened.
    pub(crate) fn event(&self, line: &str) {
        self.say(&format!("{:7.3}  {line}", self.seconds()));
    }

    /// A new phase of the run.
    pub(crate) fn phase(&self, name: &str) {
        match &self.face {
            Face::Bar(bar) => bar.set_message(name.to_string()),
            Face::Plain(_) => self.event(name),
            Face::Silent => {}
        }
    }

    /// How far the clients are; called every [`TICK`].
    pub(crate) fn tick(&self, tally: &Tally, limit: Duration, faults: &str) {
        let seconds = self.seconds();
        let rate = tally.ok as f64 / seconds.max(0.1);
        let line = format!(
            "{seconds:.1}/{:.0} s   ok {} ({rate:.0}/s)   info {}   fail {}   in flight {}   {faults}",
            limit.as_secs_f64(),
            tally.ok,
            tally.info,
            tally.fail,
            tally.in_flight,
        );
        match &self.face {
            Face::Bar(bar) => {
                bar.set_message(line);
                bar.tick();
            }
            Face::Plain(plain) => {
                let mut plain = plain.lock().expect("nobody panics while holding it");
                if seconds >= plain.next.as_secs_f64() {
                    plain.next += PLAIN_EVERY;
                    eprintln!("{line}");
                }
            }
            Face::Silent => {}
        }
    }

    /// Takes the moving line away.
    pub(crate) fn end(&self) {
        if let Face::Bar(bar) = &self.face {
            bar.finish_and_clear();
        }
    }

    fn seconds(&self) -> f64 {
        self.clock.now() as f64 / 1e9
    }
}
