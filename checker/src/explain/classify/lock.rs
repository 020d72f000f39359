//! The violations of locks: two holders at once, releases by others than the holder, tokens that do not
//! increase.

use super::{Case, Finding, first};
use crate::explain::subject::is_refused;
use crate::explain::words::{actor, on, who};
use crate::op::{F, Nanos, Op};

/// The patterns, in order.
pub(super) fn classify(case: &Case<'_>) -> Option<Finding> {
    first(case, &[two_holders, stale_token, released_by_stranger, release_refused, refused_though_free])
}

/// An interval in which a process certainly held the lock: from the return of the acquire to the invocation
/// of the release, or to the end of the counterexample.
struct Tenure<'a> {
    at: usize,
    acquire: &'a Op,
    until: Nanos,
    /// Whether a release was invoked by then.
    released: bool,
}

/// The tenures that the recording proves, by start.
fn tenures<'a>(case: &Case<'a>) -> Vec<Tenure<'a>> {
    let acquired = case
        .possible()
        .filter(|(_, op)| op.f == F::Acquire && op.is_ok() && !is_refused(op) && op.ret() <= case.cut);
    let mut tenures: Vec<_> = acquired
        .map(|(at, acquire)| {
            let release = case.possible().find(|(_, op)| {
                op.f == F::Release
                    && op.actor() == acquire.actor()
                    && op.call >= acquire.ret()
                    && !is_refused(op)
            });
            let until = release.map(|(_, op)| op.call).filter(|&call| call <= case.cut);
            Tenure { at, acquire, until: until.unwrap_or(case.cut), released: until.is_some() }
        })
        .collect();
    tenures.sort_by_key(|tenure| (tenure.acquire.ret(), tenure.at));
    tenures
}

fn two_holders(case: &Case<'_>) -> Option<Finding> {
    let tenures = tenures(case);
    tenures.iter().enumerate().find_map(|(i, second)| {
        // A holder that has not released it has it to the end, which may be the instant at which the second
        // one acquired it.
        let overlaps = |first: &&Tenure<'_>| first.until > second.acquire.ret() || !first.released;
        let first = tenures[..i].iter().find(overlaps)?;
        let end = first.until.min(second.until);
        let held = match end > second.acquire.ret() {
            true => format!("both held it for {}", case.span(second.acquire.ret(), end)),
            false => format!("{} had not released it", actor(first.acquire)),
        };
        if first.acquire.actor() == second.acquire.actor() {
            let sentence = format!(
                "{} held the lock{} twice at the same time: {} succeeded {} after {} had, without a release in between",
                actor(second.acquire),
                on(second.acquire),
                who(second.acquire),
                case.span(first.acquire.ret(), second.acquire.ret()),
                who(first.acquire)
            );
            return Some(Finding {
                class: "two-holders",
                sentence,
                named: vec![first.at, second.at],
                missing: None,
            });
        }
        let sentence = format!(
            "{} and {} held the lock{} at the same time: {} succeeded {} after {} had, and {held}",
            actor(first.acquire),
            actor(second.acquire),
            on(second.acquire),
            who(second.acquire),
            case.span(first.acquire.ret(), second.acquire.ret()),
            who(first.acquire)
        );
        Some(Finding { class: "two-holders", sentence, named: vec![first.at, second.at], missing: None })
    })
}

fn stale_token(case: &Case<'_>) -> Option<Finding> {
    let token = |op: &Op| op.output().and_then(|output| output.as_int());
    let tenures = tenures(case);
    tenures.iter().find_map(|second| {
        let newer = |first: &&Tenure<'_>| {
            first.acquire.ret() < second.acquire.call
                && token(first.acquire).zip(token(second.acquire)).is_some_and(|(a, b)| a >= b)
        };
        let first = tenures.iter().find(newer)?;
        let sentence = format!(
            "{}{} got a stale token: {} had got {} {} before it began",
            who(second.acquire),
            on(second.acquire),
            who(first.acquire),
            if token(first.acquire) == token(second.acquire) { "the same" } else { "a newer one" },
            case.span(first.acquire.ret(), second.acquire.call)
        );
        Some(Finding { class: "stale-token", sentence, named: vec![first.at, second.at], missing: None })
    })
}

fn released_by_stranger(case: &Case<'_>) -> Option<Finding> {
    let releases = case.suspects().into_iter().filter(|(_, op)| op.f == F::Release && !is_refused(op));
    releases.into_iter().find_map(|(at, release)| {
        let mine = |op: &Op| op.actor() == release.actor() && op.call < release.call && !is_refused(op);
        let taken = case.possible().filter(|(_, op)| op.f == F::Acquire && mine(op)).count();
        let given = case.possible().filter(|(_, op)| op.f == F::Release && mine(op)).count();
        if given < taken {
            return None;
        }
        let holder = tenures(case).into_iter().rfind(|tenure| tenure.acquire.ret() < release.call);
        let (other, clause) = match holder.filter(|holder| holder.acquire.actor() != release.actor()) {
            Some(holder) => {
                let margin = case.span(holder.acquire.ret(), release.call);
                (Some(holder.at), format!("{} had acquired it {margin} before it began", who(holder.acquire)))
            }
            None if taken == 0 => (None, "it had never acquired it".to_owned()),
            None => (None, "it had already released it as often as it had acquired it".to_owned()),
        };
        let sentence =
            format!("{}{} succeeded, though it did not hold the lock: {clause}", who(release), on(release));
        let named = other.into_iter().chain([at]).collect();
        Some(Finding { class: "released-by-stranger", sentence, named, missing: None })
    })
}

/// A holder's release was refused.
fn release_refused(case: &Case<'_>) -> Option<Finding> {
    let refused = case.suspects().into_iter().filter(|(_, op)| op.f == F::Release && is_refused(op));
    refused.into_iter().find_map(|(at, op)| {
        let held = |tenure: &Tenure<'_>| {
            let Tenure { acquire, until, .. } = tenure;
            acquire.actor() == op.actor() && acquire.ret() < op.call && *until >= op.ret()
        };
        let tenure = tenures(case).into_iter().rfind(held)?;
        let sentence = format!(
            "{}{} was refused, though the process held the lock: {} had succeeded {} before",
            who(op),
            on(op),
            who(tenure.acquire),
            case.span(tenure.acquire.ret(), op.call)
        );
        Some(Finding { class: "false-refusal", sentence, named: vec![tenure.at, at], missing: None })
    })
}

/// An acquire was refused although no process can have held the lock.
fn refused_though_free(case: &Case<'_>) -> Option<Finding> {
    let refused = case.suspects().into_iter().filter(|(_, op)| op.f == F::Acquire && is_refused(op));
    refused.into_iter().find_map(|(at, attempt)| {
        let taken = case
            .possible()
            .filter(|(_, op)| op.f == F::Acquire && !is_refused(op) && op.call <= attempt.ret());
        let may_hold = |acquire: &Op| {
            let release = case.possible().find(|(_, op)| {
                op.f == F::Release
                    && op.actor() == acquire.actor()
                    && op.call >= acquire.call
                    && !is_refused(op)
            });
            release.is_none_or(|(_, release)| release.ret() >= attempt.call)
        };
        if taken.clone().any(|(_, acquire)| may_hold(acquire)) {
            return None;
        }
        let last = case
            .possible()
            .filter(|(_, op)| op.f == F::Release && !is_refused(op) && op.ret() < attempt.call)
            .max_by_key(|&(at, op)| (op.ret(), at));
        let since = match last {
            Some((_, release)) => format!(
                "{}, the last to release it, had completed {} before",
                who(release),
                case.span(release.ret(), attempt.call)
            ),
            None => "nobody had acquired it".to_owned(),
        };
        let sentence =
            format!("{}{} was refused, though the lock was free: {since}", who(attempt), on(attempt));
        Some(Finding {
            class: "refused-though-free",
            sentence,
            named: last.map(|(at, _)| at).into_iter().chain([at]).collect(),
            missing: None,
        })
    })
}
