//! The violations of multi-registers: transactions that read a value that was never written or was
//! overwritten, or that read half of another transaction's writes.
//!
//! A transaction *observed* a value of a register if it read it before its own first write to that register.

use std::collections::BTreeMap;

use super::{Case, Finding, first};
use crate::explain::words::{on, short, who};
use crate::op::{Op, Value};

/// The patterns, in order.
pub(super) fn classify(case: &Case<'_>) -> Option<Finding> {
    first(case, &[own_write, unfounded, stale, half])
}

/// The reads and writes of a transaction, in order: whether it writes, the register, the value.
pub(in crate::explain) fn accesses(op: &Op) -> Vec<(bool, &Value, &Value)> {
    listed(op.output().filter(|output| !output.is_nil()).unwrap_or(&op.input))
}

/// The reads and writes in a list.
pub(in crate::explain) fn listed<'a>(list: &'a Value) -> Vec<(bool, &'a Value, &'a Value)> {
    let Value::List(list) = list else { return Vec::new() };
    let access = |access: &'a Value| match access {
        Value::List(access) => match &**access {
            [Value::Str(f), name, value] => Some((matches!(&**f, "w" | "write"), name, value)),
            _ => None,
        },
        _ => None,
    };
    list.iter().filter_map(access).collect()
}

/// The value that a transaction observed in each register.
fn seen(op: &Op) -> BTreeMap<&Value, &Value> {
    let mut seen = BTreeMap::new();
    if op.output().is_none() {
        return seen;
    }
    let mut own = Vec::new();
    for (writes, name, value) in accesses(op) {
        if writes {
            own.push(name);
        } else if !own.contains(&name) {
            seen.entry(name).or_insert(value);
        }
    }
    seen
}

/// The value that a transaction leaves in each register that it writes.
fn left(op: &Op) -> BTreeMap<&Value, &Value> {
    accesses(op).into_iter().filter(|(writes, ..)| *writes).map(|(_, name, value)| (name, value)).collect()
}

/// Two reads within a transaction disagree, or a read disagrees with an earlier write of its own transaction.
fn own_write(case: &Case<'_>) -> Option<Finding> {
    case.suspects().into_iter().find_map(|(at, op)| {
        let mut holds: BTreeMap<&Value, &Value> = BTreeMap::new();
        for (writes, name, value) in accesses(op) {
            if let Some(before) = holds.insert(name, value).filter(|before| !writes && *before != value) {
                let sentence = format!(
                    "{}{} read {} from {}, which held {} at that point of the transaction",
                    who(op),
                    on(op),
                    short(value),
                    short(name),
                    short(before)
                );
                return Some(Finding { class: "internal", sentence, named: vec![at], missing: None });
            }
        }
        None
    })
}

/// The transactions that may have left a value in a register by an instant.
fn writers<'a>(case: &Case<'a>, name: &Value, value: &Value) -> Vec<(usize, &'a Op)> {
    case.possible().filter(|(_, op)| left(op).get(name) == Some(&value)).collect()
}

/// A value was read that was never written, or only later.
fn unfounded(case: &Case<'_>) -> Option<Finding> {
    case.suspects().into_iter().find_map(|(at, op)| {
        seen(op).into_iter().filter(|(_, value)| !value.is_nil()).find_map(|(name, value)| {
            let sources: Vec<_> =
                writers(case, name, value).into_iter().filter(|&(source, _)| source != at).collect();
            if sources.iter().any(|(_, source)| source.call <= op.ret()) {
                return None;
            }
            let failed = case.recorded().find(|(_, other)| {
                other.is_fail() && other.call <= op.ret() && left(other).get(name) == Some(&value)
            });
            let subject = format!("{}{} read {} from {}", who(op), on(op), short(value), short(name));
            Some(match (failed, sources.iter().min_by_key(|(_, source)| source.call)) {
                (Some((source, failed)), _) => Finding {
                    class: "aborted-read",
                    sentence: format!("{subject}, but {} was reported as failed", who(failed)),
                    named: vec![source, at],
                    missing: None,
                },
                (None, Some(&(source, later))) => Finding {
                    class: "from-the-future",
                    sentence: format!(
                        "{subject} before it was written: {} began {} after that",
                        who(later),
                        case.span(op.ret(), later.call)
                    ),
                    named: vec![at, source],
                    missing: None,
                },
                (None, None) => Finding {
                    class: "never-written",
                    sentence: format!("{subject}, which nobody ever wrote there"),
                    named: vec![at],
                    missing: None,
                },
            })
        })
    })
}

/// Whether every transaction that leaves a value in a register had returned before an instant.
fn settled_before(case: &Case<'_>, name: &Value, value: &Value, instant: u64) -> bool {
    writers(case, name, value).iter().all(|(_, op)| op.call > case.cut || op.ret() < instant)
}

/// A value was read that had been overwritten for good.
fn stale(case: &Case<'_>) -> Option<Finding> {
    let suspects = case.suspects();
    suspects.iter().find_map(|&(at, op)| {
        seen(op).into_iter().find_map(|(name, value)| {
            let overwrote = |&&(_, write): &&(usize, &Op)| {
                write.ret() < op.call
                    && left(write).get(name).is_some_and(|new| *new != value)
                    && settled_before(case, name, value, write.call)
            };
            let &(write_at, write) = suspects.iter().filter(overwrote).min_by_key(|(_, write)| write.ret())?;
            let sentence = format!(
                "{}{} read a stale {} from {}: {} had completed {} before it began, and nobody wrote {} to {} again in between",
                who(op),
                on(op),
                short(value),
                short(name),
                who(write),
                case.span(write.ret(), op.call),
                short(value),
                short(name)
            );
            Some(Finding { class: "stale-read", sentence, named: vec![write_at, at], missing: None })
        })
    })
}

/// A transaction observed one write of another transaction but not the other, and no third one explains this.
fn half(case: &Case<'_>) -> Option<Finding> {
    let suspects = case.suspects();
    suspects.iter().find_map(|&(at, op)| {
        let seen = seen(op);
        suspects.iter().filter(|&&(other, _)| other != at).find_map(|&(write_at, write)| {
            let left = left(write);
            let sole = |name: &Value, value: &Value| writers(case, name, value).len() == 1;
            let (there, new) =
                left.iter().find(|(name, new)| seen.get(**name) == Some(*new) && sole(name, new))?;
            let old_is_gone = |name: &Value, old: &Value| settled_before(case, name, old, write.call);
            let (missing, old) = left.keys().find_map(|name| {
                let old = seen.get(*name).filter(|old| **old != left[*name] && old_is_gone(name, old))?;
                Some((*name, *old))
            })?;
            let sentence = format!(
                "{}{} saw half of {}: {} in {}, but still {} in {}, which nobody wrote there again",
                who(op),
                on(op),
                who(write),
                short(*new),
                short(*there),
                short(old),
                short(missing)
            );
            Some(Finding { class: "half-seen", sentence, named: vec![write_at, at], missing: None })
        })
    })
}
