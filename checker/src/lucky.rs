//! What decides most histories: a short depth-first search, and where that gets stuck, a look for a plain violation.
//!
//! Real histories are mostly easy: nearly every operation takes effect in the order of the calls, and a search that
//! follows one explanation finds it in a fraction of the time that it takes to carry all of them along. Where it stops
//! getting any further there is either a real difficulty, which is the frontier engine's, or a violation; many a
//! violation is plain to see, once one knows where to look ([`refute`](crate::refute)).
//!
//! It is tried twice: first for a small share of the time that the frontier engine would need, and once more, for longer,
//! when that one has a hard time too.

use crate::beam::SearchEnd;
use crate::dfs::{self, Manner};
use crate::limits::Meter;
use crate::part::Part;
use crate::refute;
use crate::space::Space;
use crate::tuning::tuning;

/// Which of the two attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    First,
    Second,
}

/// An answer, if it is found soon. No answer means nothing.
pub(crate) fn search(
    part: &Part,
    space: &mut Space<'_>,
    meter: &mut Meter<'_>,
    attempt: Attempt,
) -> Option<SearchEnd> {
    let ops = part.ops.len();
    let manner = match attempt {
        _ if tuning().is_impatient => {
            Manner::Lucky { walls_max: attempt as usize, states_max: u64::MAX, remembered_bytes_max: 256 }
        }
        Attempt::First => Manner::Lucky {
            walls_max: 2048 + ops / 4,
            states_max: meter.left() / 2,
            remembered_bytes_max: (8 << 20).min(meter.memory_bytes_max() / 4),
        },
        Attempt::Second => Manner::Lucky {
            walls_max: (32_768 + 16 * ops).min(1 << 19),
            states_max: meter.left() / 4,
            remembered_bytes_max: meter.memory_bytes_max() / 4,
        },
    };
    let stuck = match dfs::search(part, space, meter, manner) {
        Ok(found) => return Some(found),
        Err(stuck) => stuck,
    };
    if attempt == Attempt::First
        && let Some(wall) = refute::stale(part, space)
    {
        return Some(SearchEnd::Wall(wall));
    }
    if attempt == Attempt::First {
        // The states that it met are of no use to anybody else.
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
