//! The checker, whole and online, against the definition: the example `brute_force`, a small number of times.

#[path = "../examples/brute_force/definition.rs"]
mod definition;

use definition::{Tally, compare};
use tribunal_checker::generate::SplitMix64;
use tribunal_checker::model::ModelKind;

#[test]
fn small_histories_are_judged_as_the_definition_judges_them() {
    let rounds = std::env::var("TRIBUNAL_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000);
    for kind in ModelKind::ALL {
        let mut random = SplitMix64::new(17);
        let mut tally = Tally::default();
        for _ in 0..rounds {
            tally.add(compare(&mut random, kind).unwrap_or_else(|mismatch| panic!("{mismatch}")));
        }
        let Tally { keys, violations, tied } = tally;
        assert!(violations > keys / 20 && violations < keys - keys / 20, "{kind} is one-sided: {tally:?}");
        assert!(tied > keys / 100, "{kind} has few ties: {tally:?}");
    }
}
