//! One cursor for all pictures and the log: a script (`cursor.js`) moves it in all of them when the pointer moves
//! in one. Here is what it needs: the scale of each drawing, and a line to move.

use std::fmt::Write;

use maud::{Markup, html};
use tribunal_checker::op::Nanos;

use crate::clock::Clock;

/// A time in the unit of the scripts: µs, or events.
pub(super) fn time(t: Nanos, clock: Clock) -> String {
    match clock {
        Clock::Events => t.to_string(),
        Clock::Time if t.is_multiple_of(1000) => (t / 1000).to_string(),
        Clock::Time => format!("{}.{:03}", t / 1000, t % 1000),
    }
}

/// The scale of a drawing: times with their positions, `2253.991:81.5 2265.830:310.0`, interpolated between.
pub(super) fn scale(points: &[(Nanos, f64)], clock: Clock) -> String {
    let mut scale = String::new();
    for (t, x) in points {
        let _ = write!(scale, "{}:{x:.1} ", time(*t, clock));
    }
    scale.trim_end().to_string()
}

/// The line of a drawing, hidden until the script moves it.
pub(super) fn line(top: f64, bottom: f64) -> Markup {
    html! { line .cursor y1=(format!("{top:.1}")) y2=(format!("{bottom:.1}")) visibility="hidden" {} }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_a_list_of_times_and_positions() {
        assert_eq!(scale(&[(2_253_991, 81.46), (3_000_000, 90.0)], Clock::Time), "2253.991:81.5 3000:90.0");
        assert_eq!(scale(&[(7, 1.0)], Clock::Events), "7:1.0");
    }
}
