//! Beam search for a legal order with the frontier engine: narrow as long as that succeeds.
//!
//! A frontier can be large where a single good configuration would have sufficed. So only the most promising
//! ones are kept after each event, at first very few. Every one of them is reached by a real linearization of
//! the events so far. So if one survives to the end, the history is linearizable, whatever was dropped.
//!
//! If none survives, the right one may have been dropped, most likely recently. The search goes back some way
//! and repeats the same stretch with a wider beam; past the difficulty the beam becomes narrow again.
//!
//! ```text
//!    width  8 ────────────────────────────╳                  ╭──────────────────────▶
//!          64                    ╰────────────╳              │
//!         512         ╰──────────────────────────────────────╯
//! ```
//!
//! A violation is concluded only if nothing has been dropped since the start. The last attempt, from the
//! start and without a width, guarantees a conclusion for every search. Before the beam becomes really wide,
//! [`optimistic`] may make its second attempt.

use crate::broken::broken;
use crate::frontier::Frontier;
use crate::limits::{Limit, Meter};
use crate::optimistic;
use crate::part::{Event, Part};
use crate::profile::Profile;
use crate::space::{Space, StateId};
use crate::tuning::tuning;

/// The end of a search. Operations are numbers of the part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SearchEnd {
    /// A legal order.
    Order(Vec<u32>),
    /// No legal order exists: no configuration survives the return of this operation.
    Wall(u32),
    /// A limit was reached. The best configuration had this many definite operations in order.
    Stopped(Limit, usize),
}

/// From this attempt on at one place the history counts as hard.
const HARD: usize = 2;

/// The course of a search.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) found: SearchEnd,
    /// The largest number of configurations after any event.
    pub(crate) frontier_max: usize,
    /// The number of configurations along the events of the part.
    pub(crate) profile: Profile,
    /// If nothing survives: legal orders of some of the deepest configurations before that, with their
    /// states.
    pub(crate) deepest: Vec<(Vec<u32>, StateId)>,
}

/// The evidence that is wanted besides the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// None: a legal order is returned empty.
    None,
    /// A legal order.
    Order,
    /// Up to this many of the deepest configurations before a violation, which is then found by search alone.
    Deepest(usize),
}

/// Searches for a legal order of the whole part. `may_be_optimistic` allows the optimistic search when it
/// becomes hard.
pub(crate) fn search(
    part: &Part,
    space: &mut Space<'_>,
    meter: &mut Meter<'_>,
    evidence: Evidence,
    may_be_optimistic: bool,
) -> Search {
    let mut frontier = match evidence {
        Evidence::None => Frontier::without_trail(tuning().attempts[0].width),
        Evidence::Order | Evidence::Deepest(_) => Frontier::new(tuning().attempts[0].width),
    };
    frontier.look_ahead(part, space);
    let found = run(&mut frontier, part, space, meter, may_be_optimistic).unwrap_or_else(|| {
        SearchEnd::Order(if evidence == Evidence::None { Vec::new() } else { frontier.order(part, space) })
    });
    let frontier_max = frontier.widest;
    let deepest = match (&found, evidence) {
        (SearchEnd::Wall(_), Evidence::Deepest(at_most)) => frontier.deepest(part, space, at_most),
        _ => Vec::new(),
    };
    Search { found, frontier_max, profile: frontier.profile, deepest }
}

/// Processes all events. `None` if some configuration survives them.
fn run(
    frontier: &mut Frontier,
    part: &Part,
    space: &mut Space<'_>,
    meter: &mut Meter<'_>,
    mut may_be_optimistic: bool,
) -> Option<SearchEnd> {
    let (mut attempt, mut reached, mut narrow_from) = (0, 0, 0);
    while let Some(event) = part.events.get(frontier.event() as usize) {
        // The last attempt never goes back.
        if frontier.event().is_multiple_of(tuning().stretch) && attempt < tuning().attempts.len() - 1 {
            frontier.set_checkpoint();
        }
        if attempt > 0 && frontier.event() >= narrow_from && attempt < tuning().attempts.len() - 1 {
            attempt = 0;
            frontier.width = tuning().attempts[0].width;
        }
        let alive = frontier.next(part, space, meter);
        reached = reached.max(frontier.returned);
        match alive {
            Ok(true) => continue,
            Ok(false) => {}
            // The most operations that had returned.
            Err(limit) => return Some(SearchEnd::Stopped(limit, reached)),
        }
        let Event::Return(op) = *event else { unreachable!("every configuration survives a call") };
        if !frontier.was_cut || broken("beam: trust what was cut") {
            return Some(SearchEnd::Wall(op));
        }
        attempt += 1;
        if attempt == HARD && may_be_optimistic {
            may_be_optimistic = false;
            meter.set_aside(frontier.bytes() + space.bytes());
            let found = optimistic::search(part, &mut space.emptied(), meter, optimistic::Attempt::Second);
            meter.set_aside(0);
            if found.is_some() {
                return found;
            }
        }
        // Never earlier than before: whenever the beam becomes narrow again, it has made progress.
        narrow_from = narrow_from.max(frontier.event() + tuning().stretch);
        frontier.width = tuning().attempts[attempt].width;
        match frontier.event().checked_sub(tuning().attempts[attempt].back) {
            Some(event) => frontier.go_back(event),
            None => frontier.start_again(),
        }
    }
    None
}
