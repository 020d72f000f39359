//! The search for a legal order with the frontier engine: narrow as long as that goes well.
//!
//! A frontier can be large where a single lucky configuration would have done. So only the most promising ones are kept
//! after each event, at first very few. Every one of them is reached by a real linearization of the events so far: if
//! one survives to the end the history is linearizable, whatever was dropped.
//!
//! If none survives, the right one may have been dropped, most likely not long ago. The search goes back some way and
//! tries the same stretch again with a wider beam; when it is past the difficulty, it becomes narrow again.
//!
//! ```text
//!    width  8 ────────────────────────────╳                  ╭──────────────────────▶
//!          64                    ╰────────────╳              │
//!         512         ╰──────────────────────────────────────╯
//! ```
//!
//! A violation is only ever concluded when nothing has been dropped since the start. The last attempt, from the start
//! and without a width, makes sure that every search comes to a conclusion. Before the beam gets really wide,
//! [`lucky`](crate::lucky) may try its luck once more.

use crate::broken::broken;
use crate::frontier::Frontier;
use crate::limits::{Limit, Meter};
use crate::lucky;
use crate::part::{Event, Part};
use crate::profile::Profile;
use crate::space::{Space, StateId};
use crate::tuning::tuning;

/// What a search ended with. Operations by their numbers in the part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SearchEnd {
    /// A legal order.
    Order(Vec<u32>),
    /// There is none: nothing survives the return of this operation.
    Wall(u32),
    /// A limit came first. So many definite operations were in order, at best.
    Stopped(Limit, usize),
}

/// From this attempt on at one place the history counts as a hard one.
const HARD: usize = 2;

/// How a search went.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) found: SearchEnd,
    /// The largest number of configurations after any event.
    pub(crate) frontier_max: usize,
    /// The number of configurations along the events of the part.
    pub(crate) profile: Profile,
    /// If nothing survives: legal orders of some of the deepest configurations before that, and their states.
    pub(crate) deepest: Vec<(Vec<u32>, StateId)>,
}

/// What is wanted besides the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// Nothing: the order that is found is empty.
    None,
    /// A legal order.
    Order,
    /// At most so many of the deepest configurations before a violation, which is then looked for by search alone.
    Deepest(usize),
}

/// Searches for a legal order of the whole part. `may_be_lucky`: other ways than this one may be tried when it gets hard.
pub(crate) fn search(
    part: &Part,
    space: &mut Space<'_>,
    meter: &mut Meter<'_>,
    evidence: Evidence,
    may_be_lucky: bool,
) -> Search {
    let mut frontier = match evidence {
        Evidence::None => Frontier::without_trail(tuning().attempts[0].width),
        Evidence::Order | Evidence::Deepest(_) => Frontier::new(tuning().attempts[0].width),
    };
    frontier.look_ahead(part, space);
    let found = run(&mut frontier, part, space, meter, may_be_lucky).unwrap_or_else(|| {
        SearchEnd::Order(if evidence == Evidence::None { Vec::new() } else { frontier.order(part, space) })
    });
    let frontier_max = frontier.widest;
    let deepest = match (&found, evidence) {
        (SearchEnd::Wall(_), Evidence::Deepest(at_most)) => frontier.deepest(part, space, at_most),
        _ => Vec::new(),
    };
    Search { found, frontier_max, profile: frontier.profile, deepest }
}

/// Works through all events. `None` if some configuration survives them.
fn run(
    frontier: &mut Frontier,
    part: &Part,
    space: &mut Space<'_>,
    meter: &mut Meter<'_>,
    mut may_be_lucky: bool,
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
            // How many operations had returned, at best.
            Err(limit) => return Some(SearchEnd::Stopped(limit, reached)),
        }
        let Event::Return(op) = *event else { unreachable!("every configuration survives a call") };
        if !frontier.was_cut || broken("beam: trust what was cut") {
            return Some(SearchEnd::Wall(op));
        }
        attempt += 1;
        if attempt == HARD && may_be_lucky {
            may_be_lucky = false;
            meter.set_aside(frontier.bytes() + space.bytes());
            let found = lucky::search(part, &mut space.emptied(), meter, lucky::Attempt::Second);
            meter.set_aside(0);
            if found.is_some() {
                return found;
            }
        }
        // Never earlier than before: whenever the beam becomes narrow again it has got further.
        narrow_from = narrow_from.max(frontier.event() + tuning().stretch);
        frontier.width = tuning().attempts[attempt].width;
        match frontier.event().checked_sub(tuning().attempts[attempt].back) {
            Some(event) => frontier.go_back(event),
            None => frontier.start_again(),
        }
    }
    None
}
