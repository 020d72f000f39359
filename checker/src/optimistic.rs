//! The optimistic search, which decides most histories: a short depth-first search, and where that gets
//! stuck, a test for an obvious violation.
//!
//! Real histories are mostly easy: nearly every operation takes effect in the order of the invocations, and a
//! search for one explanation is much faster than carrying all of them. It gets stuck either at a real
//! difficulty, which is left to the frontier engine, or at a violation. Many violations are obvious once the
//! place is known ([`refute`]).
//!
//! There are two attempts: the first with a small share of the time that the frontier engine would need, and
//! a longer one if that engine finds the history hard, too.

use crate::beam::SearchEnd;
use crate::dfs::{self, Mode};
use crate::limits::Meter;
use crate::part::Part;
use crate::refute;
use crate::space::Space;
use crate::tuning::tuning;

/// The attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    First,
    Second,
}

/// An answer, if one is found soon; `None` proves nothing.
pub(crate) fn search(
    part: &Part,
    space: &mut Space<'_>,
    meter: &mut Meter<'_>,
    attempt: Attempt,
) -> Option<SearchEnd> {
    let ops = part.ops.len();
    let mode = match attempt {
        _ if tuning().is_impatient => {
            Mode::Optimistic { walls_max: attempt as usize, states_max: u64::MAX, remembered_bytes_max: 256 }
        }
        Attempt::First => Mode::Optimistic {
            walls_max: 2048 + ops / 4,
            states_max: meter.left() / 2,
            remembered_bytes_max: (8 << 20).min(meter.memory_bytes_max() / 4),
        },
        Attempt::Second => Mode::Optimistic {
            walls_max: (32_768 + 16 * ops).min(1 << 19),
            states_max: meter.left() / 4,
            remembered_bytes_max: meter.memory_bytes_max() / 4,
        },
    };
    let stuck = match dfs::search(part, space, meter, mode) {
        Ok(found) => return Some(found),
        Err(stuck) => stuck,
    };
    if attempt == Attempt::First
        && let Some(wall) = refute::stale(part, space)
    {
        return Some(SearchEnd::Wall(wall));
    }
    if attempt == Attempt::First {
        // Its states are of no use to other engines.
        space.forget_states();
    }
    let stale = refute::is_stale(part, space, stuck.op, meter);
    if attempt == Attempt::First {
        space.forget_states();
    }
    match stale {
        Ok(stale) => stale.then_some(SearchEnd::Wall(stuck.op)),
        Err(limit) => Some(SearchEnd::Stopped(limit, 0)),
    }
}
