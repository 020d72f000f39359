//! The status of a run as six lines of text. Pure: without colours or a clock.
//!
//! ```text
//! register on raft · 5 nodes · 15 clients · seed 8231                    ctrl-c: stop and check
//! running  ━━━━━━━━━━━━━━━━━╸──────────   37.2/60 s   1,742 ok/s   p99 9.8 ms
//! ops      ok 61,204 (98.9 %)   info 482   fail 211   in flight 15
//! nodes    n1 paused   n2 up   n3 up   n4 down   n5 up (restarted 2×)
//! faults   partition {n1,n2 | n3,n4,n5} 4.1 s, pause n1 2.7 s   next in 3.9 s
//! check    no violation so far in 12 keys, 0.4 s behind
//! ```

use tribunal::observer::{CheckProgress, CheckState, NodeStatus, Status, Tally};
use tribunal_nemesis::NodeState;
use tribunal_reports::wording::{bytes, count, counted, duration, percent};

/// Length of the progress bar, in characters.
const BAR_CHARS: usize = 28;

/// The lines below the title, starting with the phase.
pub(crate) fn lines(status: &Status, phase: &str) -> [String; 5] {
    [
        format!("{phase:<8} {}   {}", bar(status), pace(status)),
        format!("ops      {}", ops(status)),
        format!("nodes    {}", nodes(status)),
        format!("faults   {}", faults(status)),
        format!("check    {}", check(status)),
    ]
}

/// The same in one line, for a log.
pub(crate) fn line(status: &Status) -> String {
    format!("{}   {}   {}", pace(status), ops(status), faults(status))
}

fn bar(status: &Status) -> String {
    let share = status.elapsed.as_secs_f64() / status.limit.as_secs_f64().max(0.001);
    let done = (share.clamp(0.0, 1.0) * BAR_CHARS as f64) as usize;
    let tip = if done < BAR_CHARS { "╸" } else { "" };
    format!("{}{tip}{}", "━".repeat(done), "─".repeat((BAR_CHARS - done).saturating_sub(1)))
}

fn pace(status: &Status) -> String {
    let p99 = status.tally.p99_ns.map_or(String::new(), |p99| format!("   p99 {}", duration(p99)));
    format!(
        "{:.1}/{:.0} s   {} ok/s{p99}",
        status.elapsed.as_secs_f64(),
        status.limit.as_secs_f64(),
        count(status.tally.ok_per_second)
    )
}

fn ops(status: &Status) -> String {
    let Tally { ok, info, fail, in_flight, .. } = status.tally;
    let all = (ok + info + fail) as usize;
    format!(
        "ok {} ({})   info {}   fail {}   in flight {in_flight}",
        count(ok),
        percent(ok as usize, all),
        count(info),
        count(fail)
    )
}

fn nodes(status: &Status) -> String {
    let words = status.nodes.iter().map(|NodeStatus { name, state, restarts }| {
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

fn faults(status: &Status) -> String {
    let in_force: Vec<String> =
        status.faults.iter().map(|(label, age)| format!("{label} {:.1} s", age.as_secs_f64())).collect();
    let now = if in_force.is_empty() { "none in force".to_string() } else { in_force.join(", ") };
    match status.next_fault {
        Some(next) => format!("{now}   next in {:.1} s", next.as_secs_f64()),
        None => now,
    }
}

pub(crate) fn check(status: &Status) -> String {
    match status.check {
        CheckState::Off => "after the run".into(),
        CheckState::Running { keys, skipped, lag } => format!(
            "no violation so far in {}{}, {:.1} s behind",
            counted(keys, "key"),
            if skipped > 0 { format!(" ({} left to the end)", count(skipped as u64)) } else { String::new() },
            lag.as_secs_f64()
        ),
        CheckState::GaveUp => "after the run: the check beside it could not keep up".into(),
        CheckState::Violation => "✗ violation".into(),
        CheckState::Final(CheckProgress {
            elapsed,
            limit,
            keys,
            states_per_second,
            resident_bytes,
            shrinking,
        }) => {
            format!(
                "{}{} of {} done   {} configurations/s   {} of memory   {:.0} of at most {:.0} s",
                if shrinking { "shrinking a violation   " } else { "" },
                count(keys.0 as u64),
                counted(keys.1, "key"),
                count(states_per_second),
                bytes(resident_bytes),
                elapsed.as_secs_f64(),
                limit.as_secs_f64(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn six_lines_show_the_status_of_a_run() {
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
                NodeStatus { name: "n1".into(), state: NodeState::Paused, restarts: 0 },
                NodeStatus { name: "n2".into(), state: NodeState::Running, restarts: 2 },
                NodeStatus { name: "n3".into(), state: NodeState::Down, restarts: 0 },
            ],
            faults: vec![
                ("partition {n1,n2 | n3}".into(), Duration::from_millis(4_100)),
                ("pause n1".into(), Duration::from_millis(2_700)),
            ],
            next_fault: Some(Duration::from_millis(3_900)),
            check: CheckState::Running { keys: 12, skipped: 1, lag: Duration::from_millis(400) },
        };
        assert_eq!(
            lines(&status, "running").join("\n"),
            "running  ━━━━━━━━━━━━━━━━━╸──────────   37.2/60 s   1,742 ok/s   p99 9.8 ms\n\
             ops      ok 61,204 (98.8 %)   info 482   fail 211   in flight 15\n\
             nodes    n1 paused   n2 up (restarted 2×)   n3 down\n\
             faults   partition {n1,n2 | n3} 4.1 s, pause n1 2.7 s   next in 3.9 s\n\
             check    no violation so far in 12 keys (1 left to the end), 0.4 s behind"
        );
    }

    #[test]
    fn the_check_of_a_whole_history_shows_its_progress() {
        let whole = CheckProgress {
            elapsed: Duration::from_secs(8),
            limit: Duration::from_secs(60),
            keys: (3, 128),
            states_per_second: 1_204_000,
            resident_bytes: 512_000_000,
            shrinking: false,
        };
        let said = |whole| check(&Status { check: CheckState::Final(whole), ..Status::default() });
        let expected =
            "3 of 128 keys done   1,204,000 configurations/s   512.0 MB of memory   8 of at most 60 s";
        assert_eq!(said(whole), expected);
        assert_eq!(
            said(CheckProgress { shrinking: true, ..whole }),
            format!("shrinking a violation   {expected}")
        );
    }

    #[test]
    fn the_bar_is_full_when_the_time_is_up_or_exceeded() {
        for millis in [0, 30_000, 60_000, 90_000] {
            let elapsed = Duration::from_millis(millis);
            let status = Status { elapsed, limit: Duration::from_secs(60), ..Status::default() };
            assert_eq!(bar(&status).chars().count(), BAR_CHARS, "{millis}");
        }
    }
}
