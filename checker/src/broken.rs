//! Deliberate bugs in the search (mutations), one at a time, to prove that the tests detect each of them.
//!
//! Every reduction of the search could be implemented wrongly in a way that still looks right on most
//! histories. Such places ask [`broken`] for a bug by name. Outside of tests the answer is always false and
//! costs nothing.

/// Whether the bug of this name is enabled.
#[cfg(not(test))]
pub(crate) const fn broken(_mutation: &'static str) -> bool {
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

    const MUTATIONS: [&str; 19] = [
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
        "optimistic: nothing is taken back",
        "ties are in order",
        "ties: a process has no order of its own",
        "effects: the first state stands for all",
        "beam: hints are promises",
        "nameless: what was asked for is held",
        "nameless: anybody can be refused",
    ];

    thread_local! {
        static BROKEN: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    pub(crate) fn broken(mutation: &'static str) -> bool {
        BROKEN.get() == Some(mutation)
    }

    /// A legal history of a kind that random generation rarely produces: the 2 can only be hidden by writing
    /// 1 where the value is 1 already, so that the comparison still succeeds.
    const ROUND_TRIP: &str = "1..2 p0 write 1; 3..8 p1 write 2; 4..20 p2 write 1; \
                              5..6 p3 cas [1, 3] -> true; 9..10 p4 read -> 3";

    /// Whether the search gives a wrong answer or certificate for one of many small random histories, with or
    /// without the optimistic search.
    fn is_noticed() -> bool {
        let kinds = [
            ModelKind::CasRegister,
            ModelKind::Kv,
            ModelKind::Mutex,
            ModelKind::Queue,
            ModelKind::Set,
            ModelKind::Counter,
            ModelKind::Semaphore,
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
    fn every_mutation_is_noticed() {
        assert!(!is_noticed(), "something is broken that nobody broke");
        for mutation in MUTATIONS {
            BROKEN.set(Some(mutation));
            assert!(is_noticed(), "no test notices: {mutation}");
        }
        BROKEN.set(None);
    }
}
