//! What a run is doing just now, in six lines of text. No colours and no clock: the same status gives the same lines.
//!
//! ```text
//! register on raft · 5 nodes · 15 clients · seed 8231                    ctrl-c: stop and check
//! running  ━━━━━━━━━━━━━━━━━╸──────────   37.2/60 s   1,742 ok/s   p99 9.8 ms
//! ops      ok 61,204 (98.9 %)   info 482   fail 211   in flight 15
//! nodes    n1 paused   n2 up   n3 up   n4 down   n5 up (restarted 2×)
//! faults   partition {n1,n2 | n3,n4,n5} 4.1 s, pause n1 2.7 s   next in 3.9 s
//! check    no violation so far in 12 keys, 0.4 s behind
//! ```

use std::time::Duration;

use tribunal_nemesis::NodeState;
use tribunal_reports::wording::{bytes, count, counted, duration, percent};

use crate::controller::recorder::Tally;

/// How many characters the bar is long.
const BAR_CHARS: usize = 28;

/// What is to be shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    /// Since the clients began.
    pub(crate) elapsed: Duration,
    /// How long they are to ask.
    pub(crate) limit: Duration,
    /// What has been recorded so far.
    pub(crate) tally: Tally,
    pub(crate) nodes: Vec<NodeNow>,
    /// The faults in force, each with how long it has been so.
    pub(crate) faults: Vec<(String, Duration)>,
    /// When the next fault is due, if one is.
    pub(crate) next_fault: Option<Duration>,
    /// The check beside the run.
    pub(crate) check: Check,
}

/// A node and what its process does.
#[derive(Clone, Debug)]
pub(crate) struct NodeNow {
    pub(crate) name: String,
    pub(crate) state: NodeState,
    /// How often it was started again.
    pub(crate) restarts: usize,
}

/// How far the check beside the run is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Check {
    /// There is none.
    #[default]
    Off,
    /// Nothing wrong so far.
    SoFar {
        /// How many keys it has seen.
        keys: usize,
        /// How many of them it has left to the check of the whole.
        left: usize,
        /// How old the last event is that it judged.
        behind: Duration,
    },
    /// It has given up: all is checked in the end.
    GaveUp,
    /// It has proved a violation.
    Violation,
    /// The run is over and the whole history is being checked.
    Whole(Whole),
}

/// How far the check of a whole history is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whole {
    /// For how long it has gone on.
    pub(crate) took: Duration,
    /// For how long it may go on.
    pub(crate) limit: Duration,
    /// Keys that are done with, and all of them.
    pub(crate) keys: (usize, usize),
    /// Configurations explored in the last second.
    pub(crate) states_per_second: u64,
    /// Bytes of memory that the program holds.
    pub(crate) held: u64,
    /// Whether a violation is proved and being made smaller.
    pub(crate) shrinking: bool,
}

impl Status {
    /// The lines below the title, `phase` first.
    pub(crate) fn lines(&self, phase: &str) -> [String; 5] {
        [
            format!("{phase:<8} {}   {}", self.bar(), self.pace()),
            format!("ops      {}", self.ops()),
            format!("nodes    {}", self.nodes()),
            format!("faults   {}", self.faults()),
            format!("check    {}", self.check()),
        ]
    }

    /// The same on one line, for a log.
    pub(crate) fn line(&self) -> String {
        format!("{}   {}   {}", self.pace(), self.ops(), self.faults())
    }

    fn bar(&self) -> String {
        let share = self.elapsed.as_secs_f64() / self.limit.as_secs_f64().max(0.001);
        let done = (share.clamp(0.0, 1.0) * BAR_CHARS as f64) as usize;
        let tip = if done < BAR_CHARS { "╸" } else { "" };
        format!("{}{tip}{}", "━".repeat(done), "─".repeat((BAR_CHARS - done).saturating_sub(1)))
    }

    fn pace(&self) -> String {
        let p99 = self.tally.p99_ns.map_or(String::new(), |p99| format!("   p99 {}", duration(p99)));
        format!(
            "{:.1}/{:.0} s   {} ok/s{p99}",
            self.elapsed.as_secs_f64(),
            self.limit.as_secs_f64(),
            count(self.tally.ok_per_second)
        )
    }

    fn ops(&self) -> String {
        let Tally { ok, info, fail, in_flight, .. } = self.tally;
        let all = (ok + info + fail) as usize;
        format!(
            "ok {} ({})   info {}   fail {}   in flight {in_flight}",
            count(ok),
            percent(ok as usize, all),
            count(info),
            count(fail)
        )
    }

    fn nodes(&self) -> String {
        let words = self.nodes.iter().map(|NodeNow { name, state, restarts }| {
            let does = match state {
                NodeState::Running => "up",
                NodeState::Paused => "paused",
                NodeState::Down => "down",
            };
            let restarted = if *restarts > 0 { format!(" (restarted {restarts}×)") } else { String::new() };
            format!("{name} {does}{restarted}")
        });
        words.collect::<Vec<_>>().join("   ")
    }

    fn faults(&self) -> String {
        let in_force: Vec<String> =
            self.faults.iter().map(|(label, age)| format!("{label} {:.1} s", age.as_secs_f64())).collect();
        let now = if in_force.is_empty() { "none in force".to_string() } else { in_force.join(", ") };
        match self.next_fault {
            Some(next) => format!("{now}   next in {:.1} s", next.as_secs_f64()),
            None => now,
        }
    }

    pub(crate) fn check(&self) -> String {
        match self.check {
            Check::Off => "after the run".into(),
            Check::SoFar { keys, left, behind } => format!(
                "no violation so far in {}{}, {:.1} s behind",
                counted(keys, "key"),
                if left > 0 { format!(" ({} left to the end)", count(left as u64)) } else { String::new() },
                behind.as_secs_f64()
            ),
            Check::GaveUp => "after the run: the check beside it could not keep up".into(),
            Check::Violation => "✗ violation".into(),
            Check::Whole(Whole { took, limit, keys, states_per_second, held, shrinking }) => format!(
                "{}{} of {} done   {} configurations/s   {} of memory   {:.0} of at most {:.0} s",
                if shrinking { "shrinking a violation   " } else { "" },
                count(keys.0 as u64),
                counted(keys.1, "key"),
                count(states_per_second),
                bytes(held),
                took.as_secs_f64(),
                limit.as_secs_f64(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_lines_say_how_a_run_is_doing() {
        let tally = Tally {
            ok: 61_204,
            fail: 211,
            info: 482,
            in_flight: 15,
            ok_per_second: 1742,
            p99_ns: Some(9_800_000),
        };
        let status = Status {
            elapsed: Duration::from_millis(37_200),
            limit: Duration::from_secs(60),
            tally,
            nodes: vec![
                NodeNow { name: "n1".into(), state: NodeState::Paused, restarts: 0 },
                NodeNow { name: "n2".into(), state: NodeState::Running, restarts: 2 },
                NodeNow { name: "n3".into(), state: NodeState::Down, restarts: 0 },
            ],
            faults: vec![
                ("partition {n1,n2 | n3}".into(), Duration::from_millis(4_100)),
                ("pause n1".into(), Duration::from_millis(2_700)),
            ],
            next_fault: Some(Duration::from_millis(3_900)),
            check: Check::SoFar { keys: 12, left: 1, behind: Duration::from_millis(400) },
        };
        assert_eq!(
            status.lines("running").join("\n"),
            "running  ━━━━━━━━━━━━━━━━━╸──────────   37.2/60 s   1,742 ok/s   p99 9.8 ms\n\
             ops      ok 61,204 (98.8 %)   info 482   fail 211   in flight 15\n\
             nodes    n1 paused   n2 up (restarted 2×)   n3 down\n\
             faults   partition {n1,n2 | n3} 4.1 s, pause n1 2.7 s   next in 3.9 s\n\
             check    no violation so far in 12 keys (1 left to the end), 0.4 s behind"
        );
    }

    #[test]
    fn the_check_of_a_whole_history_says_how_far_it_is() {
        let whole = Whole {
            took: Duration::from_secs(8),
            limit: Duration::from_secs(60),
            keys: (3, 128),
            states_per_second: 1_204_000,
            held: 512_000_000,
            shrinking: false,
        };
        let said = |whole| Status { check: Check::Whole(whole), ..Status::default() }.check();
        let expected =
            "3 of 128 keys done   1,204,000 configurations/s   512.0 MB of memory   8 of at most 60 s";
        assert_eq!(said(whole), expected);
        assert_eq!(said(Whole { shrinking: true, ..whole }), format!("shrinking a violation   {expected}"));
    }

    #[test]
    fn the_bar_is_as_long_when_the_time_is_up_and_over() {
        for millis in [0, 30_000, 60_000, 90_000] {
            let elapsed = Duration::from_millis(millis);
            let status = Status { elapsed, limit: Duration::from_secs(60), ..Status::default() };
            assert_eq!(status.bar().chars().count(), BAR_CHARS, "{millis}");
        }
    }
}
