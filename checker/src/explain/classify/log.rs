//! The violations of append-only logs and texts: entries lost, unknown, duplicated or moved.
//!
//! A read returns the whole. It shows an entry if that is an item of the list, or a substring of the text.

use std::collections::HashSet;

use super::fate::{Clue, Fate, Missing};
use super::unfounded::{Verbs, unfounded};
use super::{Case, Finding, SUSPECTS_MAX, first};
use crate::explain::subject::{Subject, is_blind, written};
use crate::explain::words::{on, short, who};
use crate::op::{F, Nanos, Op, Value};

/// The patterns, in order.
pub(super) fn classify(case: &Case<'_>) -> Option<Finding> {
    first(
        case,
        &[overwritten_text, shown_unfounded, shown_twice, missing, out_of_order, misnumbered, diverging],
    )
}

/// The positions at which a read shows an entry, from the left.
fn places(op: &Op, entry: &Value) -> Vec<usize> {
    match (op.output(), entry) {
        (Some(Value::List(items)), _) => {
            items.iter().enumerate().filter(|(_, item)| *item == entry).map(|(place, _)| place).collect()
        }
        (Some(Value::Str(text)), Value::Str(piece)) if !piece.is_empty() => {
            text.match_indices(&**piece).map(|(place, _)| place).collect()
        }
        _ => Vec::new(),
    }
}

/// The reads of the counterexample, the latest first.
fn reads<'a>(case: &Case<'a>) -> Vec<(usize, &'a Op)> {
    case.suspects().into_iter().filter(|(_, op)| matches!(op.f, F::Read | F::Get)).collect()
}

/// The acknowledged appends of the counterexample, the earliest first.
fn appends<'a>(case: &Case<'a>) -> Vec<(usize, &'a Op)> {
    case.suspects().into_iter().rev().filter(|(_, op)| op.f == F::Append).collect()
}

/// Whether an append is the only operation that can have added any of its entry. In a text, any substring may
/// count.
fn is_sole_source(case: &Case<'_>, append_at: usize, entry: &Value) -> bool {
    let others = case.possible().filter(|&(at, op)| at != append_at && !matches!(op.f, F::Read | F::Get));
    let mut put = others.flat_map(|(_, op)| match op.f {
        F::Cas => op.input.as_pair().map(|(_, to)| to),
        _ => Some(&op.input),
    });
    match entry {
        Value::Str(piece) if !matches!(case.subject, Subject::Log | Subject::NumberedLog) => {
            let shares = |value: &Value| match value {
                Value::Str(text) => text.chars().any(|char| piece.contains(char)),
                _ => false,
            };
            let own: Vec<char> = piece.chars().collect();
            let repeats = own.iter().enumerate().any(|(i, char)| own[i + 1..].contains(char));
            !repeats && !put.any(shares)
        }
        _ => !put.any(|other| other == entry),
    }
}

/// Whether an operation other than an append may have changed the content since an instant.
fn is_overwritten(case: &Case<'_>, since: Nanos) -> bool {
    case.possible().any(|(_, op)| !matches!(op.f, F::Append | F::Read | F::Get) && op.ret() >= since)
}

/// A text was read that does not begin with the last text put there.
fn overwritten_text(case: &Case<'_>) -> Option<Finding> {
    let text = |value: &Value| if let Value::Str(text) = value { Some(text.clone()) } else { None };
    reads(case).into_iter().find_map(|(at, op)| {
        let seen = op.output().map_or("".into(), |value| text(value).unwrap_or_else(|| "".into()));
        let explains =
            |put: &Op| written(put).is_some_and(|value| seen.starts_with(&*text(value).unwrap_or_default()));
        let suspects = case.suspects();
        let overwrote = |&&(_, put): &&(usize, &Op)| {
            let is_over = |other: &Op| other.call > op.ret() || other.ret() < put.call;
            let alone = case.possible().all(|(_, other)| !explains(other) || is_over(other));
            is_blind(put) && put.ret() < op.call && !explains(put) && alone
        };
        let &(put_at, put) = suspects.iter().filter(overwrote).min_by_key(|(_, put)| put.ret())?;
        let sentence = format!(
            "{}{} is stale: {} had completed {} before it began, and the value read does not begin with it",
            who(op),
            on(op),
            who(put),
            case.span(put.ret(), op.call)
        );
        Some(Finding { class: "stale-read", sentence, named: vec![put_at, at], missing: None })
    })
}

fn shown_unfounded(case: &Case<'_>) -> Option<Finding> {
    reads(case).into_iter().find_map(|(at, op)| {
        let Some(Value::List(items)) = op.output() else { return None };
        let verbs = Verbs { saw: "shows", put: "appended", been_put: "appended" };
        let begun = case.possible().filter(|(_, other)| other.f == F::Append && other.call <= op.ret());
        let founded: HashSet<&Value> = begun.map(|(_, append)| &append.input).collect();
        items.iter().filter(|entry| !founded.contains(entry)).find_map(|entry| {
            unfounded(case, (at, op), entry, &verbs, |_, source| {
                source.f == F::Append && source.input == *entry
            })
        })
    })
}

fn shown_twice(case: &Case<'_>) -> Option<Finding> {
    reads(case).into_iter().find_map(|(at, op)| {
        appends_shown(case, op).find_map(|(source, append)| {
            let shown = places(op, &append.input).len();
            let is_list = matches!(op.output(), Some(Value::List(_)));
            let times = match is_list {
                true => {
                    case.possible().filter(|(_, other)| appends_by(other, &append.input, op.ret())).count()
                }
                false if is_sole_source(case, source, &append.input) => 1,
                false => return None,
            };
            (shown > times).then(|| {
                let subject = format!("{}{} shows {} {shown} times", who(op), on(op), short(&append.input));
                let sentence = match times {
                    1 => format!("{subject}, but {} appended it only once", who(append)),
                    times => format!("{subject}, but it had been appended only {times} times by then"),
                };
                Finding { class: "duplicated-entry", sentence, named: vec![source, at], missing: None }
            })
        })
    })
}

/// Whether an operation that began by an instant appends this entry.
fn appends_by(op: &Op, entry: &Value, by: Nanos) -> bool {
    op.f == F::Append && op.input == *entry && op.call <= by
}

/// The latest appends, of any outcome, that a read shows.
fn appends_shown<'a>(case: &Case<'a>, read: &Op) -> impl Iterator<Item = (usize, &'a Op)> {
    let begun = case.possible().filter(|(_, op)| op.f == F::Append && op.call <= read.ret());
    let begun: Vec<_> = begun.collect();
    let latest = begun.len().saturating_sub(SUSPECTS_MAX);
    begun.into_iter().skip(latest).filter(|(_, op)| !places(read, &op.input).is_empty())
}

fn missing(case: &Case<'_>) -> Option<Finding> {
    reads(case).into_iter().find_map(|(at, op)| {
        let is_empty = |append: &Op| append.input == Value::str("");
        let done = appends(case).into_iter().filter(|(_, append)| !is_empty(append));
        let done = done.filter(|(_, append)| append.ret() < op.call && !is_overwritten(case, append.call));
        let (append_at, append) =
            done.into_iter().find(|(_, append)| places(op, &append.input).is_empty())?;
        let missing = Missing::new(case, append_at, at, |other| {
            matches!(other.f, F::Read | F::Get).then(|| match places(other, &append.input)[..] {
                [] if is_overwritten(case, append.call) => Clue::Inconclusive,
                [] => Clue::Absent,
                _ => Missing::shown(case, at, other, |op| op.f == F::Append && op.input == append.input),
            })
        });
        let shown = case.recorded().filter(|(_, other)| !places(other, &append.input).is_empty());
        let shown = shown.map(|(_, other)| other.ret()).min().filter(|shown| *shown < op.call);
        let shown = shown.map(|shown| format!("; it had been shown {} before", case.span(shown, op.call)));
        let (class, clause) = match (&missing.fate, shown) {
            (_, Some(shown)) => ("non-monotonic-reads", shown),
            (Some(Fate::Seen(seen)), _) => ("stale-read", format!("; {}", missing.seen_clause(case, *seen))),
            (Some(Fate::Lost(_)), _) => ("lost-entry", "; no read has shown it since".to_owned()),
            _ => ("missed-entry", String::new()),
        };
        let sentence = format!(
            "{}{} misses {}: {} had completed {} before it began{clause}",
            who(op),
            on(op),
            short(&append.input),
            who(append),
            case.span(append.ret(), op.call)
        );
        Some(Finding { class, sentence, named: vec![append_at, at], missing: Some(missing) })
    })
}

fn out_of_order(case: &Case<'_>) -> Option<Finding> {
    reads(case).into_iter().find_map(|(at, op)| {
        // The first position of an entry; in a text only if it is unambiguous.
        let place = |(at, append): (usize, &'_ Op)| {
            let is_list = matches!(op.output(), Some(Value::List(_)));
            let first = *places(op, &append.input).first()?;
            (is_list || is_sole_source(case, at, &append.input)).then_some((at, first))
        };
        let shown: Vec<(usize, usize)> = appends_shown(case, op).filter_map(place).collect();
        let is_first = |late: &Op| {
            let earlier = |(_, other): (usize, &Op)| {
                other.f == F::Append && other.input == late.input && other.call < late.call
            };
            !case.possible().any(earlier)
        };
        shown.iter().find_map(|(late_at, place)| {
            let (late, place) = (&case.part[*late_at], *place);
            if !is_first(late) {
                return None;
            }
            let before =
                |&&(early, shown): &&(usize, usize)| case.part[early].ret() < late.call && shown > place;
            let (early_at, _) = shown.iter().find(before)?;
            let early = &case.part[*early_at];
            let sentence = format!(
                "{}{} shows {} before {}, but {} had completed {} before {} began",
                who(op),
                on(op),
                short(&late.input),
                short(&early.input),
                who(early),
                case.span(early.ret(), late.call),
                who(late)
            );
            Some(Finding {
                class: "out-of-order",
                sentence,
                named: vec![*early_at, *late_at, at],
                missing: None,
            })
        })
    })
}

/// The offset that an append returned is another append's, decreases, or is not the position at which the
/// entry is shown.
fn misnumbered(case: &Case<'_>) -> Option<Finding> {
    let numbered = |(at, op): (usize, &'_ Op)| op.output().and_then(Value::as_int).map(|offset| (at, offset));
    let appends: Vec<_> = appends(case).into_iter().filter_map(numbered).collect();
    let pairs =
        || appends.iter().enumerate().flat_map(|(i, a)| appends[i + 1..].iter().map(move |b| (*a, *b)));
    let op = |at: usize| &case.part[at];
    if let Some(((a, offset), (b, _))) = pairs().find(|((_, a), (_, b))| a == b) {
        let (first, second) = (op(a), op(b));
        let sentence =
            format!("{} and {}{} both got the offset {offset}", who(first), who(second), on(first));
        return Some(Finding { class: "split-brain", sentence, named: vec![a, b], missing: None });
    }
    let back = |&((a, high), (b, low)): &((usize, i64), (usize, i64))| high > low && op(a).ret() < op(b).call;
    if let Some(((a, _), (b, _))) = pairs().find(back) {
        let (first, second) = (op(a), op(b));
        let sentence = format!(
            "{}{} got an offset before that of {}, which had completed {} before it began",
            who(second),
            on(second),
            who(first),
            case.span(first.ret(), second.call)
        );
        return Some(Finding { class: "out-of-order", sentence, named: vec![a, b], missing: None });
    }
    let displaced = reads(case).into_iter().find_map(|(at, read)| {
        let Some(Value::List(items)) = read.output() else { return None };
        let other = |offset: i64| usize::try_from(offset).ok().and_then(|offset| items.get(offset));
        let is_displaced =
            |&&(source, offset): &&(usize, i64)| other(offset).is_some_and(|item| *item != op(source).input);
        let &(source, offset) = appends.iter().find(is_displaced)?;
        let sentence = format!(
            "{}{} shows {} at {offset}, where {} put its entry",
            who(read),
            on(read),
            short(other(offset)?),
            who(op(source))
        );
        Some(Finding { class: "moved-entry", sentence, named: vec![source, at], missing: None })
    });
    if displaced.is_some() {
        return displaced;
    }
    reads(case).into_iter().find_map(|(at, read)| {
        let elsewhere = |&&(source, offset): &&(usize, i64)| match places(read, &op(source).input)[..] {
            [place] => place as i64 != offset && is_sole_source(case, source, &op(source).input),
            _ => false,
        };
        let &(source, offset) = appends.iter().find(elsewhere)?;
        let place = places(read, &op(source).input)[0];
        let sentence = format!(
            "{}{} shows at {place} what {} appended at {offset}",
            who(read),
            on(read),
            who(op(source))
        );
        Some(Finding { class: "moved-entry", sentence, named: vec![source, at], missing: None })
    })
}

/// Two reads, neither of which is a prefix of the other.
fn diverging(case: &Case<'_>) -> Option<Finding> {
    if is_overwritten(case, 0) {
        return None;
    }
    let continues = |a: &Op, b: &Op| match (a.output(), b.output()) {
        (Some(Value::List(a)), Some(Value::List(b))) => a.starts_with(b) || b.starts_with(a),
        (Some(Value::Str(a)), Some(Value::Str(b))) => a.starts_with(&**b) || b.starts_with(&**a),
        _ => true,
    };
    let reads = reads(case);
    reads.iter().enumerate().find_map(|(later, &(b, second))| {
        let &(a, first) = reads[later + 1..].iter().find(|(_, first)| !continues(first, second))?;
        let sentence = format!(
            "{} and {}{} show diverging histories: neither is a prefix of the other",
            who(first),
            who(second),
            on(first)
        );
        Some(Finding { class: "diverging-reads", sentence, named: vec![a, b], missing: None })
    })
}
