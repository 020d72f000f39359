//! Mistakes made on purpose, one at a time, to see that the tests notice each of them.
//!
//! Every reduction of the search has a place where it could be got wrong and the engine would still look right on
//! most histories. These places ask [`broken`] for the mistake by name; outside of the tests nothing is ever broken,
//! and the question costs nothing.

/// Whether the mistake of this name is being made.
#[cfg(not(test))]
pub(crate) const fn broken(_mistake: &'static str) -> bool {
    false
}

#[cfg(test)]
pub(crate) use tests::broken;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::check::Engine;
    use crate::decision::Decision;
    use crate::generate::SplitMix64;
    use crate::judge::Demand;
    use crate::limits::Limits;
    use crate::model::{ModelKind, script};
    use crate::op::Op;
    use crate::small;

    const MISTAKES: [&str; 17] = [
        "R1: a write of the current value observes",
        "R2: the last to return first",
        "R3: more is better",
        "R3: definite operations are optional",
        "R4: only keep what is covered",
        "R4: no round trips",
        "R4: indeterminate operations notice nothing",
        "R4: covered at once",
        "R5: nobody notices",
        "beam: trust what was cut",
        "refute: everything undoes",
        "refute: what is called is over",
        "lucky: nothing is taken back",
        "ties are in order",
        "ties: a process has no order of its own",
        "effects: the first state stands for all",
        "beam: hints are promises",
    ];

    thread_local! {
        static BROKEN: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    pub(crate) fn broken(mistake: &'static str) -> bool {
        BROKEN.get() == Some(mistake)
    }

    /// A legal history that random ones are rarely like: 2 can only be hidden by writing 1 where 1 is there already,
    /// so that the comparison still finds it.
    const ROUND_TRIP: &str = "1..2 p0 write 1; 3..8 p1 write 2; 4..20 p2 write 1; \
                              5..6 p3 cas [1, 3] -> true; 9..10 p4 read -> 3";

    /// Whether the search is wrong about one of many small random histories, with or without luck: in its answer, or in
    /// its certificate.
    fn is_noticed() -> bool {
        let kinds = [
            ModelKind::CasRegister,
            ModelKind::Kv,
            ModelKind::Mutex,
            ModelKind::Queue,
            ModelKind::Set,
            ModelKind::Counter,
        ];
        let mut random = SplitMix64::new(11);
        let random = (0..40_000).map(|round| {
            let kind = kinds[round % kinds.len()];
            (kind, small::history(&mut random, kind, 8))
        });
        [(ModelKind::CasRegister, script::history(ROUND_TRIP))].into_iter().chain(random).any(
            |(kind, history)| {
                let ops: Vec<&Op> = history.ops.iter().collect();
                let limits = Limits::default();
                [Engine::Frontier, Engine::Search].into_iter().any(|engine| {
                    let demand = Demand { engine, limits: &limits, cancelled: None, order: true };
                    match kind.judge().decide(&ops, demand).decision {
                        Decision::Legal { order } => kind.judge().certify(&ops, &order).is_err(),
                        Decision::Illegal { .. } => small::by_definition(kind, &history.ops),
                        Decision::Declined => true,
                    }
                })
            },
        )
    }

    #[test]
    fn every_mistake_is_noticed() {
        assert!(!is_noticed(), "something is broken that nobody broke");
        for mistake in MISTAKES {
            BROKEN.set(Some(mistake));
            assert!(is_noticed(), "nobody notices: {mistake}");
        }
        BROKEN.set(None);
    }
}
