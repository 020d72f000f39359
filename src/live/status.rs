//! The status of a run as six lines of text, none wider than the terminal. Pure: without colours or a clock.
//!
//! ```text
//! register on raft   5 nodes   15 clients   seed 8231      ctrl-c: stop and check
//! running  ━━━━━━━━━━╸─────    41.2 s, 22.8 s left   1,742 ok/s   p99 9.8 ms
//! ops      ok 61,204 (98.9 %)   info 482   fail 211   in flight 15
//! nodes    n1 paused   n2 up ↻2   n3 ★t4   n4 down   n5 up
//! faults   next in 3.9 s   kill n3, the bridge between {n1,n2} and {n4,n5} 4.1 s
//! check    no violation so far in 12 keys, 0.4 s behind
//! ```
//!
//! The time is the run's clock, as in the events above the lines and in all reports. `★t4`: the node leads in term 4.
//! `↻2`: the node was restarted twice.

use std::time::Duration;

use tribunal::observer::{CheckProgress, CheckState, NodeStatus, Status, Tally};
use tribunal_nemesis::NodeState;
use tribunal_reports::wording::{bytes, count, counted, duration, elide, percent};

/// Length of the progress bar, in characters.
const BAR_CHARS: usize = 16;

/// The lines below the title, starting with the phase, at time `now` of the run's clock; at most `width` characters
/// each.
pub(crate) fn lines(status: &Status, phase: &str, now: Duration, width: usize) -> [String; 5] {
    let lines = [
        format!("{phase:<8} {}   {:5.1} s, {}", bar(status), now.as_secs_f64(), pace(status)),
        format!("ops      {}", ops(status)),
        format!("nodes    {}", nodes(status)),
        format!("faults   {}", faults(status)),
        format!("check    {}", check(status)),
    ];
    lines.map(|line| elide(&line, width))
}

/// The title, with a hint at the right end if there is room for it.
pub(crate) fn title(title: &str, hint: &str, width: usize) -> String {
    let room = width.saturating_sub(title.chars().count() + hint.chars().count());
    match room {
        0..3 => elide(title, width),
        room => format!("{title}{}{hint}", " ".repeat(room)),
    }
}

/// A text in lines of at most `width` characters, broken between words where possible; the lines after the first are
/// indented.
pub(crate) fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let (mut rest, mut lines) = (text.chars().collect::<Vec<char>>(), Vec::new());
    let width = width.max(indent + 2);
    while rest.len() > width {
        let at = (indent + 1..=width).rev().find(|at| rest[*at] == ' ').unwrap_or(width);
        let next = rest.split_off(at);
        lines.push(rest.into_iter().collect());
        let next = next.into_iter().skip_while(|c| *c == ' ');
        rest = std::iter::repeat_n(' ', indent).chain(next).collect();
    }
    lines.push(rest.into_iter().collect());
    lines
}

/// The status in one line, for a log.
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
    let left = status.limit.saturating_sub(status.elapsed).as_secs_f64();
    let p99 = status.tally.p99_ns.map_or(String::new(), |p99| format!("   p99 {}", duration(p99)));
    format!("{left:.1} s left   {} ok/s{p99}", count(status.tally.ok_per_second))
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
    let words = status.nodes.iter().map(|NodeStatus { name, state, restarts, leads }| {
        let state = match (state, leads) {
            (NodeState::Paused, _) => "paused".into(),
            (NodeState::Down, _) => "down".into(),
            (NodeState::Running, Some(term)) => format!("★t{term}"),
            (NodeState::Running, None) => "up".into(),
        };
        let restarted = if *restarts > 0 { format!(" ↻{restarts}") } else { String::new() };
        format!("{name} {state}{restarted}")
    });
    words.collect::<Vec<_>>().join("   ")
}

/// The next fault comes first: the end of the line may be cut.
fn faults(status: &Status) -> String {
    let active = status.faults.iter().map(|(label, age)| format!("{label} {:.1} s", age.as_secs_f64()));
    let active: Vec<String> = active.collect();
    let active = if active.is_empty() { "none active".to_string() } else { active.join("; ") };
    match status.next_fault {
        Some(next) => format!("next in {:.1} s   {active}", next.as_secs_f64()),
        None => active,
    }
}

pub(crate) fn check(status: &Status) -> String {
    match status.check {
        CheckState::Off => "starts with the first operation".into(),
        CheckState::Running { keys, skipped, lag } => format!(
            "no violation so far in {}{}, {:.1} s behind",
            counted(keys, "key"),
            if skipped > 0 { format!(" ({} after the run)", count(skipped as u64)) } else { String::new() },
            lag.as_secs_f64()
        ),
        CheckState::GaveUp => "after the run: the live check has fallen behind".into(),
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
                "{}{} of {} done   {} configurations/s   {} of memory   {:.0} of {:.0} s",
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
                node("n1", NodeState::Paused, 0, None),
                node("n2", NodeState::Running, 2, None),
                node("n3", NodeState::Running, 12, Some(4)),
                node("n4", NodeState::Down, 0, None),
                node("n5", NodeState::Running, 0, None),
            ],
            faults: vec![
                ("kill n4, the bridge between {n1,n2} and {n3,n5}".into(), Duration::from_millis(4_100)),
                ("pause n1".into(), Duration::from_millis(2_700)),
            ],
            next_fault: Some(Duration::from_millis(3_900)),
            check: CheckState::Running { keys: 12, skipped: 1, lag: Duration::from_millis(400) },
        };
        let shown = lines(&status, "running", Duration::from_millis(41_200), 80);
        assert_eq!(
            shown.join("\n"),
            "running  ━━━━━━━━━╸──────    41.2 s, 22.8 s left   1,742 ok/s   p99 9.8 ms\n\
             ops      ok 61,204 (98.8 %)   info 482   fail 211   in flight 15\n\
             nodes    n1 paused   n2 up ↻2   n3 ★t4 ↻12   n4 down   n5 up\n\
             faults   next in 3.9 s   kill n4, the bridge between {n1,n2} and {n3,n5} 4.1 s;…\n\
             check    no violation so far in 12 keys (1 after the run), 0.4 s behind"
        );
        for width in [20, 80, 120] {
            let shown = lines(&status, "running", Duration::from_millis(41_200), width);
            assert!(shown.iter().all(|line| line.chars().count() <= width), "{shown:?}");
        }
    }

    fn node(name: &str, state: NodeState, restarts: usize, leads: Option<u64>) -> NodeStatus {
        NodeStatus { name: name.into(), state, restarts, leads }
    }

    #[test]
    fn a_long_line_is_wrapped_between_words() {
        assert_eq!(wrapped("  1.5  kill n1", 80, 4), ["  1.5  kill n1"]);
        assert_eq!(
            wrapped("  1.5  partition {n1 | n2,n3}", 20, 7),
            ["  1.5  partition {n1", "       | n2,n3}"]
        );
        assert_eq!(wrapped("abcdefgh", 5, 2), ["abcde", "  fgh"]);
        assert_eq!(title("a run", "ctrl-c", 20), "a run         ctrl-c");
        assert_eq!(title("a longer run", "ctrl-c", 20), "a longer run");
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
        let expected = "3 of 128 keys done   1,204,000 configurations/s   512.0 MB of memory   8 of 60 s";
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
