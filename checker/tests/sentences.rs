//! Every fact in the sentence about a violation, checked by a reader that knows nothing of how it was made.
//!
//! The reader takes the sentence apart by the templates below: who did what, on which key, which value, how long before.
//! What it finds is then looked for in the history: the operations must be there, the spans of time must be the ones
//! between the events that the template names, "nobody" must be nobody, and a count must count. A sentence that fits no
//! template, or a fact that is not so, fails.

use tribunal_checker::check::{Options, check};
use tribunal_checker::explain::counterexample;
use tribunal_checker::generate::SplitMix64;
use tribunal_checker::history::History;
use tribunal_checker::model::ModelKind;
use tribunal_checker::op::{F, Op, Outcome, Value};
use tribunal_checker::small;
use tribunal_checker::verdict::{Answer, CLASSES, Violation};

/// How many violations of each model are read.
const VIOLATIONS: usize = 200;

/// The parts of a sentence between the literal ones.
struct Read<'a> {
    kind: ModelKind,
    history: &'a History,
    violation: &'a Violation,
    holes: Vec<String>,
    /// For the holes that name an operation: which.
    chosen: Vec<Option<usize>>,
}

/// Whether a hole may hold this: something, and of what begins as a process or an operation the whole.
fn is_whole(hole: &str) -> bool {
    let Some(rest) = hole.strip_prefix("process") else { return !hole.is_empty() };
    let is_cut_short =
        rest.is_empty() || rest.ends_with("'s") || rest.contains("'s `") && !rest.ends_with('`');
    !is_cut_short
}

/// Takes a text apart: literal text, and `{}` for holes. Each hole takes as little as possible.
fn take_apart(text: &str, template: &str) -> Option<Vec<String>> {
    fn go(text: &str, parts: &[&str], holes: &mut Vec<String>) -> bool {
        let [next, rest @ ..] = parts else { return text.is_empty() };
        if rest.is_empty() && next.is_empty() {
            holes.push(text.to_owned());
            return is_whole(text);
        }
        for (at, _) in text.match_indices(next) {
            holes.push(text[..at].to_owned());
            if is_whole(&text[..at]) && go(&text[at + next.len()..], rest, holes) {
                return true;
            }
            holes.pop();
        }
        false
    }
    let parts: Vec<&str> = template.split("{}").collect();
    let rest = text.strip_prefix(parts[0])?;
    let mut holes = Vec::new();
    go(rest, &parts[1..], &mut holes).then_some(holes)
}

impl Read<'_> {
    /// The operation that a hole names, such as ``process 3's `read → 3` ``.
    fn op(&self, hole: usize) -> Result<&Op, String> {
        let chosen = self.chosen[hole].ok_or_else(|| format!("no such operation: {}", self.holes[hole]))?;
        Ok(&self.history.ops[chosen])
    }

    /// The counterexample by itself, on a clock with room between its instants; and in it, the operation that a
    /// hole names.
    fn alone(&self, hole: usize) -> Result<(Vec<Op>, usize), String> {
        let mut ops = alone(self.history, self.violation)?;
        let chosen = self.chosen[hole].ok_or_else(|| format!("no such operation: {}", self.holes[hole]))?;
        let at = self.violation.minimal.iter().position(|&id| id == chosen);
        let at = at.ok_or("it is in the counterexample")?;
        for op in &mut ops {
            op.call = 4 * op.call + 2;
            op.completed = op.completed.map(|end| 4 * end + 2);
        }
        Ok((ops, at))
    }

    /// Whether operations are linearizable, by the definition.
    fn is_legal(&self, mut ops: Vec<Op>) -> bool {
        ops.sort_by_key(|op| op.call);
        small::by_definition(self.kind, &ops)
    }

    fn says(&self, hole: usize, what: &dyn ToString) -> Result<(), String> {
        let what = what.to_string();
        if self.holes[hole] == what { Ok(()) } else { Err(format!("`{}` is {what}", self.holes[hole])) }
    }

    /// A span of time in a hole, from one instant to another.
    fn span(&self, hole: usize, from: u64, to: u64) -> Result<(), String> {
        if from > to {
            return Err(format!("a span from {from} back to {to}"));
        }
        self.says(hole, &format!("{} ns", to - from))
    }

    fn ok(&self) -> impl Iterator<Item = &Op> {
        self.history.ops.iter().filter(|op| op.is_ok())
    }

    fn possible(&self) -> impl Iterator<Item = &Op> {
        self.history.ops.iter().filter(|op| !op.is_fail())
    }
}

fn must(fact: bool, what: &str) -> Result<(), String> {
    if fact { Ok(()) } else { Err(format!("it is not so that {what}")) }
}

/// The value that an operation puts there. An absent key may be read as empty text: the two are one value.
fn wrote(op: &Op) -> Option<&Value> {
    written(op).map(|value| if *value == Value::str("") { &Value::Nil } else { value })
}

fn written(op: &Op) -> Option<&Value> {
    let refused = op.output() == Some(&Value::Bool(false));
    match op.f {
        F::Write | F::Put | F::Add | F::Append | F::Enqueue | F::Push => Some(&op.input),
        F::Delete if !refused => Some(&Value::Nil),
        F::Cas if !refused => op.input.as_pair().map(|(_, to)| to),
        _ => None,
    }
}

/// What a transaction does: whether it writes, the register, the value.
fn accesses(op: &Op) -> Vec<(bool, Value, Value)> {
    let list = op.output().filter(|output| !output.is_nil()).unwrap_or(&op.input);
    let Value::List(list) = list else { return Vec::new() };
    let access = |item: &Value| match item {
        Value::List(item) => (item[0] == Value::str("w"), item[1].clone(), item[2].clone()),
        _ => panic!("an access is a list"),
    };
    list.iter().map(access).collect()
}

fn leaves(op: &Op, name: &str, value: &str) -> bool {
    let last =
        accesses(op).into_iter().rev().find(|(writes, register, _)| *writes && register.to_string() == name);
    last.is_some_and(|(_, _, left)| left.to_string() == value)
}

fn saw(op: &Op, name: &str, value: &str) -> bool {
    let first = accesses(op).into_iter().find(|(_, register, _)| register.to_string() == name);
    op.is_ok() && first.is_some_and(|(writes, _, seen)| !writes && seen.to_string() == value)
}

fn shown(op: &Op) -> String {
    let shown = op.output().map(ToString::to_string).unwrap_or_default();
    if shown == "\"\"" { "nil".to_owned() } else { shown }
}

fn shows(op: &Op, value: &str) -> bool {
    match op.output() {
        Some(Value::List(items)) => items.iter().any(|item| item.to_string() == value),
        Some(Value::Str(text)) => text.contains(value),
        _ => false,
    }
}

fn number(op: &Op) -> i64 {
    op.input.as_int().unwrap_or(1)
}

fn refused(op: &Op) -> bool {
    op.output() == Some(&Value::Bool(false))
}

type Facts = fn(&Read<'_>) -> Result<(), String>;

/// The times of a pair of operations: the first had returned so long before the second was called.
fn before(read: &Read<'_>, first: usize, second: usize, span: usize) -> Result<(), String> {
    let (first, second) = (read.op(first)?, read.op(second)?);
    read.span(span, first.ret(), second.call)
}

fn nothing(_: &Read<'_>) -> Result<(), String> {
    Ok(())
}

/// The value in a hole was put there by nobody but the operation itself by the time that operation returned.
fn unfounded(read: &Read<'_>, observer: usize, value: usize) -> Result<(), String> {
    let op = read.op(observer)?;
    let puts = |other: &&Op| {
        wrote(other).is_some_and(|value_put| value_put.to_string() == read.holes[value])
            && other.f != F::Cas
            && other.call <= op.ret()
    };
    must(
        !read.possible().filter(|other| !std::ptr::eq(*other, op)).any(|other| puts(&other)),
        "nobody had put it there",
    )
}

/// Sentences with the facts in them. The first that fits counts.
const TEMPLATES: &[(&str, Facts)] = &[
    // Unfounded.
    ("{} {} {}, which nobody ever {}", |read| unfounded(read, 0, 2)),
    ("{} {} {}, but {} had been reported as failed {} before it began", |read| {
        unfounded(read, 0, 2)?;
        must(read.op(3)?.is_fail(), "it failed")?;
        read.span(4, read.op(3)?.completed.unwrap_or(u64::MAX), read.op(0)?.call)
    }),
    ("{} {} {} before it was {}: {} began {} after that", |read| {
        unfounded(read, 0, 2)?;
        read.span(5, read.op(0)?.ret(), read.op(4)?.call)
    }),
    ("{} read {} from {}, but {} was reported as failed", |read| {
        must(saw(read.op(0)?, &read.holes[2], &read.holes[1]), "it read that")?;
        must(
            read.op(3)?.is_fail() && leaves(read.op(3)?, &read.holes[2], &read.holes[1]),
            "it wrote that and failed",
        )
    }),
    ("{} {} {}, but {} was reported as failed", |read| {
        unfounded(read, 0, 2)?;
        must(read.op(3)?.is_fail(), "it failed")
    }),
    // Registers and texts.
    ("{} is stale: {} had completed {} before it began, and the value read does not begin with it", |read| {
        let put = wrote(read.op(1)?).map(ToString::to_string).unwrap_or_default();
        must(!shown(read.op(0)?).starts_with(&put), "it does not begin with that")?;
        before(read, 1, 0, 2)
    }),
    (
        "{} is stale: {} had completed {} before this read began, and nobody wrote {} again in between",
        |read| {
            not_again(read, 0, 1, 3)?;
            read.says(3, &shown(read.op(0)?))?;
            before(read, 1, 0, 2)
        },
    ),
    (
        "{} found a stale value: {} had completed {} before it began, and nobody wrote {} again in between",
        |read| {
            not_again(read, 0, 1, 3)?;
            before(read, 1, 0, 2)
        },
    ),
    (
        "{} misses {}, which had completed {} before this read began, and nobody wrote {} again in between",
        |read| {
            not_again(read, 0, 1, 3)?;
            read.says(3, &shown(read.op(0)?))?;
            before(read, 1, 0, 2)
        },
    ),
    ("{} misses {}, which had completed {} before it began, and nobody wrote {} again in between", |read| {
        not_again(read, 0, 1, 3)?;
        before(read, 1, 0, 2)
    }),
    (
        "{} is stale: {} had completed {} before this read began, and nobody wrote {} again in between; {} saw it, or a later change, {} afterwards",
        |read| {
            not_again(read, 0, 1, 3)?;
            read.says(3, &shown(read.op(0)?))?;
            before(read, 1, 0, 2)?;
            before(read, 0, 4, 5)
        },
    ),
    (
        "{} found a stale value: {} had completed {} before it began, and nobody wrote {} again in between; {} saw it, or a later change, {} afterwards",
        |read| {
            not_again(read, 0, 1, 3)?;
            before(read, 1, 0, 2)?;
            before(read, 0, 4, 5)
        },
    ),
    (
        "{} was acknowledged, but is lost: {}, {} later, does not show it, and neither does the one later observation",
        |read| never_seen(read, 1),
    ),
    (
        "{} was acknowledged, but is lost: {}, {} later, does not show it, and none of {} later observations does",
        |read| {
            let later = read.holes[3].parse().map_err(|_| "a number")?;
            never_seen(read, later)
        },
    ),
    ("{} and {} both succeeded from the same {}, which was there only once", |read| {
        for at in [0, 1] {
            let from = read.op(at)?.input.as_pair().map(|(from, _)| from.to_string()).unwrap_or_default();
            read.says(2, &from)?;
        }
        Ok(())
    }),
    (
        "{} went back in time: {} had found another value {} before it began, and nobody wrote {} in between",
        |read| before(read, 1, 0, 2),
    ),
    ("{} went back in time: {} had completed {} before it began, and nobody wrote {} in between", |read| {
        before(read, 1, 0, 2)
    }),
    (
        "{} and {} saw different values during the same {}, and nobody wrote either value in that time",
        |read| {
            let (a, b) = (read.op(0)?, read.op(1)?);
            must(shown(a) != shown(b), "they saw different values")?;
            read.span(2, a.call.max(b.call), a.ret().min(b.ret()))
        },
    ),
    (
        "{} was refused although the register held {}: {} had completed {} before it began, and nobody wrote anything else in between",
        |read| {
            let (op, write) = (read.op(0)?, read.op(2)?);
            let other = |other: &&Op| {
                other.call <= op.ret()
                    && other.ret() >= write.call
                    && wrote(other).is_some_and(|value| value.to_string() != read.holes[1])
            };
            must(read.possible().find(other).is_none(), "nothing else was written")?;
            before(read, 2, 0, 3)
        },
    ),
    // Several registers.
    ("{} read {} from {}, which held {} at that point of the transaction", nothing),
    ("{} read {} from {}, which nobody ever wrote there", |read| {
        must(saw(read.op(0)?, &read.holes[2], &read.holes[1]), "it read that")?;
        let op = read.op(0)?;
        must(
            !read
                .history
                .ops
                .iter()
                .any(|other| !std::ptr::eq(other, op) && leaves(other, &read.holes[2], &read.holes[1])),
            "nobody wrote it",
        )
    }),
    ("{} read {} from {} before it was written: {} began {} after that", |read| {
        must(saw(read.op(0)?, &read.holes[2], &read.holes[1]), "it read that")?;
        must(leaves(read.op(3)?, &read.holes[2], &read.holes[1]), "it wrote that")?;
        read.span(4, read.op(0)?.ret(), read.op(3)?.call)
    }),
    (
        "{} read a stale {} from {}: {} had completed {} before it began, and nobody wrote {} to {} again in between",
        |read| {
            let (op, write) = (read.op(0)?, read.op(3)?);
            must(saw(op, &read.holes[2], &read.holes[1]), "it read that")?;
            let again = |other: &Op| {
                leaves(other, &read.holes[2], &read.holes[1])
                    && other.call <= op.ret()
                    && other.ret() >= write.call
            };
            must(!read.possible().any(again), "it was not written again")?;
            before(read, 3, 0, 4)
        },
    ),
    ("{} saw half of {}: {} in {}, but still {} in {}, which nobody wrote there again", |read| {
        let (op, write) = (read.op(0)?, read.op(1)?);
        must(
            saw(op, &read.holes[3], &read.holes[2]) && leaves(write, &read.holes[3], &read.holes[2]),
            "one half was seen",
        )?;
        must(
            saw(op, &read.holes[5], &read.holes[4]) && !leaves(write, &read.holes[5], &read.holes[4]),
            "the other was not",
        )
    }),
    // Counters.
    ("{} misses an increment: with {}, the acknowledged sum was {}, {} before it began", |read| {
        let (op, last) = (read.op(0)?, read.op(1)?);
        let done = read.ok().filter(|add| {
            add.f == F::Add && !std::ptr::eq(*add, op) && add.ret() < last.ret() && add.ret() < op.call
        });
        let least: i64 = done.map(number).sum::<i64>() + number(last);
        let tied = read.ok().filter(|add| add.f == F::Add && add.ret() == last.ret()).count() > 1;
        if !tied {
            read.says(2, &least)?;
        }
        before(read, 1, 0, 3)
    }),
    (
        "{} is too high: the additions invoked by the time it returned sum to at most {}; the next, {}, began {} later",
        |read| {
            at_most(read)?;
            read.span(3, read.op(0)?.ret(), read.op(2)?.call)
        },
    ),
    (
        "{} is too high: the additions invoked by the time it returned sum to at most {}; {} was reported as failed",
        |read| {
            at_most(read)?;
            must(read.op(2)?.is_fail(), "it failed")
        },
    ),
    ("{} is too high: the additions invoked by the time it returned sum to at most {}", at_most),
    ("{} and {} both led to the sum {}, though each added a positive amount", |read| {
        for at in [0, 1] {
            let op = read.op(at)?;
            must(
                op.output().is_some_and(|sum| sum.to_string() == read.holes[2]) && number(op) != 0,
                "it came to that",
            )?;
        }
        Ok(())
    }),
    (
        "{} shows a smaller sum than {}, which had completed {} before it began, and nobody subtracted anything",
        |read| {
            let end = read.violation.detected;
            must(
                !read.possible().any(|op| op.f == F::Add && number(op) < 0 && op.call <= end),
                "nothing was taken off",
            )?;
            before(read, 1, 0, 2)
        },
    ),
    ("{} saw {}, but no addition led to that sum: the nearest smaller one is {}", |read| {
        let op = read.op(0)?;
        let came = |add: &Op| {
            add.f == F::Add && add.call <= op.ret() && !std::ptr::eq(add, op) && shown(add) == read.holes[1]
        };
        must(!read.ok().any(came), "no addition came to it")
    }),
    ("{} returned an impossible sum: the nearest possible sums are {} and {}", nothing),
    // Sets and replicas.
    ("{} does not show {}, which {} had shown {} before it began; nobody deleted it", |read| {
        not_deleted(read, 0, 1)?;
        must(!shows(read.op(0)?, &read.holes[1]), "it does not show it")?;
        before(read, 2, 0, 3)
    }),
    ("{}'s final read lacks {}: {}; {} had completed {} before it began, and {}", |read| {
        let named: Vec<&Op> = read.violation.named.iter().map(|&id| &read.history.ops[id]).collect();
        let (add, op) = (named[0], named[1]);
        must(read.holes[0] == format!("process {}", op.process), "it is that process")?;
        let lacks = |add: &&Op| add.f == F::Add && add.ret() < op.call && !shows(op, &add.input.to_string());
        let mut lost: Vec<&Value> = read.ok().filter(lacks).map(|add| &add.input).collect();
        lost.sort();
        lost.dedup();
        let noun = if lost.len() == 1 { "element" } else { "elements" };
        read.says(1, &format!("{} acknowledged {noun}", lost.len()))?;
        must(
            lost.iter().all(|element| read.holes[2].split(' ').any(|name| name == element.to_string())),
            "they are named",
        )?;
        let elsewhere =
            read.ok().any(|other| other.input == Value::str("final") && shows(other, &add.input.to_string()));
        read.says(5, &if elsewhere { "another final read shows it" } else { "no final read shows it" })?;
        read.span(4, add.ret(), op.call)
    }),
    ("{} and {} have not converged: only the first shows {}, whose addition {}", |read| {
        must(
            shows(read.op(0)?, &read.holes[2]) && !shows(read.op(1)?, &read.holes[2]),
            "only the first shows it",
        )?;
        let acknowledged = read.ok().any(|add| add.f == F::Add && add.input.to_string() == read.holes[2]);
        read.says(3, &if acknowledged { "was acknowledged only later" } else { "was never acknowledged" })
    }),
    ("{} misses {}: {} had completed {} before it began, and nobody deleted it", |read| {
        not_deleted(read, 0, 1)?;
        before(read, 2, 0, 3)
    }),
    (
        "{} misses {}: {} had completed {} before it began, and nobody deleted it; {} saw it, or a later change, {} afterwards",
        |read| {
            not_deleted(read, 0, 1)?;
            must(contains(read.op(4)?, &read.holes[1]), "it was seen")?;
            before(read, 2, 0, 3)?;
            before(read, 0, 4, 5)
        },
    ),
    (
        "{} misses {}: {} had completed {} before it began, and nobody deleted it; nobody has seen it since",
        |read| {
            not_deleted(read, 0, 1)?;
            before(read, 2, 0, 3)?;
            let end = read.op(0)?.ret();
            must(
                !read.ok().any(|op| op.call > end && contains(op, &read.holes[1])),
                "nobody has seen it since",
            )
        },
    ),
    ("{} still shows {}: {} had completed {} before it began, and nobody added it again", |read| {
        let (op, delete) = (read.op(0)?, read.op(2)?);
        let again = |add: &Op| {
            add.f == F::Add
                && add.input.to_string() == read.holes[1]
                && add.ret() >= delete.call
                && add.call <= op.ret()
        };
        must(!read.possible().any(again), "nobody added it again")?;
        before(read, 2, 0, 3)
    }),
    // Logs and texts.
    ("{} shows {} {} times, but {} appended it only once", |read| {
        let times = match read.op(0)?.output() {
            Some(Value::List(items)) => items.iter().filter(|item| item.to_string() == read.holes[1]).count(),
            Some(Value::Str(text)) => text.matches(&*read.holes[1]).count(),
            _ => 0,
        };
        read.says(2, &times)?;
        let end = read.op(0)?.ret();
        let begun = read.possible().filter(|op| op.call <= end);
        let others = begun.filter(|op| match wrote(op) {
            Some(Value::Str(text)) => text.contains(&*read.holes[1]),
            Some(value) => value.to_string() == read.holes[1],
            None => false,
        });
        must(others.count() == 1, "it was put there once")
    }),
    ("{} shows {} {} times, but it had been appended only {} times by then", |read| {
        let op = read.op(0)?;
        let Some(Value::List(items)) = op.output() else { return Err("a list".into()) };
        read.says(2, &items.iter().filter(|item| item.to_string() == read.holes[1]).count())?;
        let appends = read.possible().filter(|other| {
            other.f == F::Append && other.input.to_string() == read.holes[1] && other.call <= op.ret()
        });
        read.says(3, &appends.count())
    }),
    ("{} shows {} at {}, where {} put its entry", |read| {
        let Some(Value::List(items)) = read.op(0)?.output() else { return Err("a list".into()) };
        let append = read.op(3)?;
        read.says(2, &shown(append))?;
        let place: usize = read.holes[2].parse().map_err(|_| "a place")?;
        read.says(1, &items[place])?;
        must(items[place] != append.input, "it is another entry")
    }),
    ("{} misses {}: {} had completed {} before it began", |read| {
        must(!shows(read.op(0)?, &read.holes[1]), "it does not show it")?;
        before(read, 2, 0, 3)
    }),
    (
        "{} misses {}: {} had completed {} before it began; {} saw it, or a later change, {} afterwards",
        |read| {
            must(!shows(read.op(0)?, &read.holes[1]), "it does not show it")?;
            before(read, 2, 0, 3)?;
            before(read, 0, 4, 5)
        },
    ),
    ("{} misses {}: {} had completed {} before it began; it had been shown {} before", |read| {
        must(!shows(read.op(0)?, &read.holes[1]), "it does not show it")?;
        before(read, 2, 0, 3)?;
        let reads = read.ok().filter(|op| matches!(op.f, F::Read | F::Get) && shows(op, &read.holes[1]));
        read.span(4, reads.map(Op::ret).min().ok_or("a read showed it")?, read.op(0)?.call)
    }),
    ("{} misses {}: {} had completed {} before it began; no read has shown it since", |read| {
        must(!shows(read.op(0)?, &read.holes[1]), "it does not show it")?;
        before(read, 2, 0, 3)?;
        let end = read.op(0)?.ret();
        let shown = |op: &Op| matches!(op.f, F::Read | F::Get) && op.call > end && shows(op, &read.holes[1]);
        must(!read.ok().any(shown), "no read has shown it since")
    }),
    ("{} shows {} before {}, but {} had completed {} before {} began", |read| {
        let place = |value: &str| match read.op(0).map(|op| op.output().cloned()) {
            Ok(Some(Value::List(items))) => items.iter().position(|item| item.to_string() == value),
            Ok(Some(Value::Str(text))) => text.find(value),
            _ => None,
        };
        let (late, early) = (place(&read.holes[1]), place(&read.holes[2]));
        must(late.is_some() && early.is_some() && late < early, "it shows the one before the other")?;
        before(read, 3, 5, 4)
    }),
    ("{} and {} both got the offset {}", |read| {
        read.says(2, &shown(read.op(0)?))?;
        read.says(2, &shown(read.op(1)?))
    }),
    ("{} got an offset before that of {}, which had completed {} before it began", |read| {
        must(read.op(0)?.output() < read.op(1)?.output(), "it is smaller")?;
        before(read, 1, 0, 2)
    }),
    ("{} shows at {} what {} appended at {}", |read| {
        let Some(Value::List(items)) = read.op(0)?.output() else { return Err("a list".into()) };
        let append = read.op(2)?;
        let places: Vec<usize> = (0..items.len()).filter(|&at| items[at] == append.input).collect();
        must(places.len() == 1, "it is shown once")?;
        read.says(1, &places[0])?;
        read.says(3, &shown(append))?;
        must(places[0].to_string() != shown(append), "that is elsewhere")
    }),
    ("{} and {} show diverging histories: neither is a prefix of the other", |read| {
        let (a, b) = (shown(read.op(0)?), shown(read.op(1)?));
        let inner = |text: &str| text.trim_start_matches('[').trim_end_matches(']').to_owned();
        must(!inner(&a).starts_with(&inner(&b)) && !inner(&b).starts_with(&inner(&a)), "they part")
    }),
    // Queues and stacks.
    (
        "{} was taken {}: {} returned it, and {} later so did {}, though it had been added only {} by then",
        |read| {
            let (first, second) = (read.op(2)?, read.op(4)?);
            read.span(3, first.ret(), second.ret())?;
            let value = read.holes[0].split(" on ").next().unwrap_or_default().to_owned();
            let puts = read
                .possible()
                .filter(|op| {
                    matches!(op.f, F::Enqueue | F::Push)
                        && op.input.to_string() == value
                        && op.call <= second.ret()
                })
                .count();
            let takes = read
                .ok()
                .filter(|op| {
                    matches!(op.f, F::Dequeue | F::Pop) && shown(op) == value && op.ret() <= second.ret()
                })
                .count();
            let times = |n: usize, words: [&str; 2]| match n {
                1 => words[0].to_owned(),
                2 if !words[1].is_empty() => words[1].to_owned(),
                n => format!("{n} times"),
            };
            read.says(5, &times(puts, ["once", ""]))?;
            must(takes > puts, "it was taken more often than put in")
        },
    ),
    ("{} found nothing, but {} had completed {} before it began, and {} had not been taken", |read| {
        not_taken_before(read, 3, read.op(0)?.call)?;
        before(read, 1, 0, 2)
    }),
    (
        "{} was acknowledged {} before {} began, but {} had not been taken when {} took a later element",
        |read| {
            not_taken_before(read, 3, read.op(4)?.call)?;
            before(read, 0, 2, 1)
        },
    ),
    ("{} found nothing, but {} had completed {} before it began, and {} was never taken", |read| {
        must(
            !read.ok().any(|op| matches!(op.f, F::Dequeue | F::Pop) && shown(op) == read.holes[3]),
            "nobody took it",
        )?;
        before(read, 1, 0, 2)
    }),
    (
        "{} found nothing, but {} had completed {} before it began, and {} was not taken until {} later, by process {}",
        |read| {
            let op = read.op(0)?;
            let takers = read
                .ok()
                .filter(|taker| matches!(taker.f, F::Dequeue | F::Pop) && shown(taker) == read.holes[3]);
            let first = takers.min_by_key(|taker| taker.call).ok_or("a taker")?;
            read.span(4, op.ret(), first.call)?;
            before(read, 1, 0, 2)
        },
    ),
    ("{} overtook {}: {} had completed {} before {} began, yet {} returned {} before {} began", |read| {
        read.span(3, read.op(2)?.ret(), read.op(4)?.call)?;
        read.span(6, read.op(5)?.ret(), read.op(7)?.call)
    }),
    (
        "{} was acknowledged {} before {} began, but {} is lost: nobody ever took it, though {} took a later element",
        |read| {
            must(
                !read.ok().any(|op| matches!(op.f, F::Dequeue | F::Pop) && shown(op) == read.holes[3]),
                "nobody took it",
            )?;
            read.span(1, read.op(0)?.ret(), read.op(2)?.call)
        },
    ),
    // Locks.
    (
        "{} held the lock twice at the same time: {} succeeded {} after {} had, without a release in between",
        |read| {
            let (second, first) = (read.op(1)?, read.op(3)?);
            let between = |op: &Op| {
                op.f == F::Release
                    && !refused(op)
                    && op.process == first.process
                    && op.call >= first.ret()
                    && op.call < second.ret()
            };
            must(first.process == second.process && !read.possible().any(between), "it was not released")?;
            read.span(2, first.ret(), second.ret())
        },
    ),
    ("{} and {} held the lock at the same time: {} succeeded {} after {} had, and {}", |read| {
        let (second, first) = (read.op(2)?, read.op(4)?);
        must(first.process != second.process, "they are two")?;
        read.says(0, &format!("process {}", first.process))?;
        read.says(1, &format!("process {}", second.process))?;
        read.span(3, first.ret(), second.ret())?;
        let held_until = |acquire: &Op| {
            let release = read.possible().find(|op| {
                op.f == F::Release
                    && !refused(op)
                    && op.process == acquire.process
                    && op.call >= acquire.ret()
            });
            release.map_or(read.violation.detected, |release| release.call.min(read.violation.detected))
        };
        let both = held_until(first).min(held_until(second));
        match both > second.ret() {
            true => read.says(5, &format!("both held it for {} ns", both - second.ret())),
            false => read.says(5, &format!("process {} had not released it", first.process)),
        }
    }),
    ("{} got a stale token: {} had got the same {} before it began", |read| {
        must(read.op(0)?.output() == read.op(1)?.output(), "it is the same")?;
        before(read, 1, 0, 2)
    }),
    ("{} got a stale token: {} had got a newer one {} before it began", |read| {
        must(read.op(0)?.output() < read.op(1)?.output(), "it is newer")?;
        before(read, 1, 0, 2)
    }),
    ("{} succeeded, though it did not hold the lock: {} had acquired it {} before it began", |read| {
        must(read.op(0)?.process != read.op(1)?.process, "they are two")?;
        before(read, 1, 0, 2)
    }),
    ("{} succeeded, though it did not hold the lock: it had never acquired it", |read| {
        let op = read.op(0)?;
        must(
            !read.possible().any(|other| {
                other.f == F::Acquire
                    && !refused(other)
                    && other.process == op.process
                    && other.call < op.call
            }),
            "it had never acquired it",
        )
    }),
    (
        "{} succeeded, though it did not hold the lock: it had already released it as often as it had acquired it",
        nothing,
    ),
    ("{} was refused, though the process held the lock: {} had succeeded {} before", |read| {
        before(read, 1, 0, 2)
    }),
    (
        "{} was refused, though the lock was free: {}, the last to release it, had completed {} before",
        |read| {
            let (op, last) = (read.op(0)?, read.op(1)?);
            let later = |other: &Op| {
                other.f == F::Release && !refused(other) && other.ret() < op.call && other.ret() > last.ret()
            };
            must(!read.ok().any(later), "it was the last")?;
            before(read, 1, 0, 2)
        },
    ),
    ("{} was refused, though the lock was free: nobody had acquired it", |read| {
        let op = read.op(0)?;
        must(
            !read.possible().any(|other| other.f == F::Acquire && !refused(other) && other.call <= op.ret()),
            "nobody had acquired it",
        )
    }),
    // Semaphores.
    ("{} permits of {} were held when {} succeeded: {}", |read| {
        let op = read.op(2)?;
        let mut sum = 0;
        for held in read.holes[3].split(", ") {
            let [_, process, n] = held.split(' ').collect::<Vec<_>>()[..] else {
                return Err("process and number".into());
            };
            let (process, n): (u64, i64) = (process.parse().unwrap(), n.parse().unwrap());
            let mine = |other: &&Op| other.process == process && !refused(other);
            let got: i64 = read
                .ok()
                .filter(mine)
                .filter(|op_| op_.f == F::Acquire && op_.ret() <= op.ret())
                .map(number)
                .sum();
            let gave: i64 = read
                .possible()
                .filter(mine)
                .filter(|op_| op_.f == F::Release && op_.call <= op.ret())
                .map(number)
                .sum();
            must(n == got - gave, "it held as many")?;
            sum += n;
        }
        read.says(0, &sum)?;
        must(sum > read.holes[1].parse().unwrap(), "those are too many")
    }),
    ("{} succeeded, though it did not hold as many: it had acquired {} by then, and released {}", |read| {
        let op = read.op(0)?;
        let mine = |other: &&Op| other.process == op.process && !refused(other) && !std::ptr::eq(*other, op);
        let got: i64 = read
            .possible()
            .filter(mine)
            .filter(|other| other.f == F::Acquire && other.call <= op.ret())
            .map(number)
            .sum();
        let gave: i64 = read
            .ok()
            .filter(mine)
            .filter(|other| other.f == F::Release && other.ret() < op.call)
            .map(number)
            .sum();
        read.says(1, &got)?;
        read.says(2, &gave)?;
        must(got < gave + number(op), "it did not hold as many")
    }),
    ("{} was refused {} permits, though at most {} of {} were held", |read| {
        let op = read.op(0)?;
        must(
            read.holes[2].parse::<i64>().unwrap() + number(op) <= read.holes[3].parse().unwrap(),
            "enough were free",
        )
    }),
    ("{} was refused {} permit, though at most {} of {} were held", |read| {
        let op = read.op(0)?;
        must(
            read.holes[2].parse::<i64>().unwrap() + number(op) <= read.holes[3].parse().unwrap(),
            "enough were free",
        )
    }),
    ("{} was refused, though {} held {}: {} had succeeded {} before it began", |read| before(read, 3, 0, 4)),
    // Identifiers.
    ("{} returned an id that {} had returned {} before", |read| {
        let (second, first) = (read.op(0)?, read.op(1)?);
        must(first.output() == second.output(), "it is the same")?;
        read.span(2, first.ret(), second.ret())
    }),
    ("{} is smaller than {}, which had completed {} before it began", |read| {
        must(read.op(0)?.output() < read.op(1)?.output(), "it is smaller")?;
        before(read, 1, 0, 2)
    }),
    // What the least change to the counterexample says.
    ("{} is stale: it is legal only before {}, which had completed {} before it began", |read| {
        only_before(read, 0, 1)?;
        before(read, 1, 0, 2)
    }),
    ("{} went back in time: it is legal only before {}, which had completed {} before it began", |read| {
        only_before(read, 0, 1)?;
        before(read, 1, 0, 2)
    }),
    ("{} is out of order: it is legal only before {}, which had completed {} before it began", |read| {
        only_before(read, 0, 1)?;
        before(read, 1, 0, 2)
    }),
    ("{} is from the future: it is legal only after {}, which began {} after it had returned", |read| {
        only_before(read, 1, 0)?;
        before(read, 0, 1, 2)
    }),
    ("{} was reported as failed, but the one operation is legal only if it took effect", took_effect),
    ("{} was reported as failed, but these {} operations are legal only if it took effect", |read| {
        read.says(1, &read.violation.minimal.len())?;
        took_effect(read)
    }),
    ("{} should have returned {}: only with that result does a legal order exist", |read| {
        let (mut ops, at) = read.alone(0)?;
        let answer = read.holes[1] == "true";
        must(ops[at].output() == Some(&Value::Bool(!answer)), "it returned the opposite")?;
        ops[at].outcome = Outcome::Ok(Value::Bool(answer));
        must(read.is_legal(ops), "that would be legal")
    }),
    ("{} took effect twice: only then does a legal order exist", |read| {
        let (mut ops, at) = read.alone(0)?;
        ops.push(Op { outcome: Outcome::Info, completed: None, ..ops[at].clone() });
        must(read.is_legal(ops), "that would be legal")
    }),
    ("{} was acknowledged, but {} legal only without it", |read| {
        must(read.op(0)?.is_ok(), "it was acknowledged")?;
        others(read, 1)
    }),
    ("{} cannot be right: nothing had been changed by then, so the state can only have been {}", |read| {
        must(read.alone(0)?.0.len() == 1, "there is no other operation")?;
        impossible(read)
    }),
    (
        "{} cannot be right: whenever the other operation took effect, the state can only have been {}",
        |read| {
            must(read.alone(0)?.0.len() == 2, "there is another operation")?;
            impossible(read)
        },
    ),
    (
        "{} cannot be right: in every order of the other {} operations, the state can only have been {}",
        |read| {
            read.says(1, &(read.violation.minimal.len() - 1))?;
            impossible(read)
        },
    ),
    (
        "{} cannot be right: {} legal without it, and no order is legal with it, even if all times are ignored",
        |read| {
            others(read, 1)?;
            impossible(read)
        },
    ),
    // Nothing in particular.
    ("no legal order exists for {}: after {} of them, {} cannot come next ({})", |read| {
        all_of_them(read)?;
        read.says(1, &read.violation.order.len())?;
        must(
            read.violation.impossible.iter().any(|way| {
                // That it holds of these operations alone is said of a way, and not of the operation.
                way.reason.trim_end_matches(", by these operations alone") == read.holes[3]
            }),
            "that is why",
        )?;
        read.op(2).map(drop)
    }),
    ("no legal order exists for {}: {} cannot be the first ({})", |read| {
        all_of_them(read)?;
        must(read.violation.order.is_empty(), "nothing comes before")?;
        read.op(1).map(drop)
    }),
    ("no legal order exists for {}", all_of_them),
];

fn all_of_them(read: &Read<'_>) -> Result<(), String> {
    let n = read.violation.minimal.len();
    let one = if read.violation.sums.as_ref().is_some_and(|sums| sums.all.is_some()) {
        ", of which one stands for all additions before"
    } else {
        ""
    };
    read.says(0, &if n == 1 { "this operation".to_owned() } else { format!("these {n} operations{one}") })
}

/// The operations of the counterexample as it sees them: what completes later is pending, and reads of the whole show only
/// the elements that matter.
fn alone(history: &History, violation: &Violation) -> Result<Vec<Op>, String> {
    if history.ops.iter().any(|op| matches!(op.f, F::Other(_))) {
        let alone = History::from_events(counterexample(history, violation));
        return alone.map(|alone| alone.ops).map_err(|error| error.to_string());
    }
    let seen = |&id: &usize| {
        let mut op = history.ops[id].clone();
        if op.ret() > violation.detected {
            (op.outcome, op.completed) = (Outcome::Info, None);
        }
        if let (F::Read, Outcome::Ok(Value::List(items)), Some(elements)) =
            (&op.f, &op.outcome, &violation.elements)
        {
            let items = items.iter().filter(|item| elements.contains(item)).cloned();
            op.outcome = Outcome::Ok(Value::List(items.collect()));
        }
        if let Some(sums) = &violation.sums {
            let stands = sums.all.filter(|(all, _)| *all == id);
            if let Some((_, sum)) = stands {
                op.input = Value::Int(sum);
            }
            if op.is_ok() && (stands.is_some() || sums.untold.contains(&id)) {
                op.outcome = Outcome::Ok(Value::Nil);
            }
        }
        op
    };
    Ok(violation.minimal.iter().map(seen).collect())
}

/// An operation of some by a process that does nothing else.
fn apart(ops: &[Op], at: usize) -> Op {
    let process = ops.iter().map(|op| op.process).max().unwrap_or_default() + 1;
    Op { process, client: Some(ops[at].actor()), ..ops[at].clone() }
}

/// Of two operations of which real time puts the second first, the first comes first in some legal order, had it begun in
/// time or the other ended late, and the second in none.
fn only_before(read: &Read<'_>, first: usize, second: usize) -> Result<(), String> {
    let ((ops, late), (_, early)) = (read.alone(first)?, read.alone(second)?);
    let (ret, call) = (ops[early].ret(), ops[late].call);
    must(ret < call || ops[early].process == ops[late].process && ret == call, "real time forbids it")?;
    let precedes = |a: usize, b: usize| {
        let (first, second) = (&ops[a], &ops[b]);
        let goes_on = first.process == second.process && first.ret() == second.call && a < b;
        first.ret() < second.call || goes_on
    };
    // Had it begun earlier: then all that returned in the same instant may come later, but the one.
    let returned: Vec<usize> =
        (0..ops.len()).filter(|&at| ops[at].ret() == ret && precedes(at, late)).collect();
    let began = |instant: u64, others: u64| {
        let mut ops = ops.clone();
        returned.iter().for_each(|&at| ops[at].completed = Some(others));
        ops[early].completed = Some(ret);
        ops[late].call = instant;
        ops[late].completed = ops[late].completed.map(|end| end.max(instant));
        read.is_legal(ops)
    };
    let called: Vec<usize> =
        (0..ops.len()).filter(|&at| ops[at].call == call && precedes(early, at)).collect();
    let ended = |instant: u64, others: u64| {
        let mut ops = ops.clone();
        called.iter().for_each(|&at| ops[at].call = others);
        ops[late].call = call;
        ops[early].completed = Some(instant);
        ops[early].call = ops[early].call.min(instant);
        read.is_legal(ops)
    };
    let by_call = began(ret - 1, ret) && (returned.len() == 1 || !began(ret + 1, ret + 2));
    let by_return = || ended(call + 1, call) && (called.len() == 1 || !ended(call - 1, call - 2));
    must(by_call || by_return(), "the order of the two is what matters")
}

/// A failure that explains it.
fn took_effect(read: &Read<'_>) -> Result<(), String> {
    let failed = read.op(0)?;
    must(failed.is_fail(), "it failed")?;
    let mut ops = alone(read.history, read.violation)?;
    ops.push(Op { outcome: Outcome::Info, completed: None, ..failed.clone() });
    must(read.is_legal(ops), "it would be legal")
}

/// The other operations are legal, and are as many as the hole says.
fn others(read: &Read<'_>, hole: usize) -> Result<(), String> {
    let (mut ops, at) = read.alone(0)?;
    ops.remove(at);
    match ops.len() {
        1 => read.says(hole, &"the other operation is")?,
        n => read.says(hole, &format!("the other {n} operations are"))?,
    }
    must(read.is_legal(ops), "the others are legal")
}

/// The others are legal, and in no order with this one, whenever they took place. Of a store, the states that the
/// others leave are among those that are named.
fn impossible(read: &Read<'_>) -> Result<(), String> {
    let (ops, at) = read.alone(0)?;
    let mut others = ops.clone();
    others.remove(at);
    must(read.is_legal(others.clone()), "the others are legal")?;
    let timeless = |ops: &[Op]| -> Vec<Op> {
        (0..ops.len()).map(|at| Op { call: 0, process: at as u64, ..apart(ops, at) }).collect()
    };
    must(!read.is_legal(timeless(&ops)), "no order is legal")?;
    let found = read
        .holes
        .last()
        .filter(|_| read.kind == ModelKind::Kv && read.holes.len() > 1 && !read.holes[1].ends_with("e"));
    let Some(found) = found else { return Ok(()) };
    let named: Vec<&str> = found.split(", ").flat_map(|names| names.split(" or ")).collect();
    for value in
        [Value::Nil, "a".into(), "b".into(), "ab".into(), "ba".into(), "aa".into(), "bb".into(), "aba".into()]
    {
        // All others may have happened or not, and then it is read.
        let mut ops: Vec<Op> = timeless(&others)
            .into_iter()
            .filter(|op| op.f != F::Get && !refused(op))
            .map(|op| Op { outcome: Outcome::Info, completed: None, ..op })
            .collect();
        ops.push(Op::new(99, 1, F::Get, ()).returned(2, value.clone()));
        let is_named = named.contains(&value.to_string().as_str());
        must(is_named || !read.is_legal(ops), "no other state is possible")?;
    }
    Ok(())
}

fn at_most(read: &Read<'_>) -> Result<(), String> {
    let op = read.op(0)?;
    let begun =
        read.possible().filter(|add| add.f == F::Add && !std::ptr::eq(*add, op) && add.call <= op.ret());
    let most: i64 = begun.map(|add| if add.ret() < op.call { number(add) } else { number(add).max(0) }).sum();
    read.says(1, &most)
}

/// A write that is lost: an answer after it, and as many later observations, and none shows it.
fn never_seen(read: &Read<'_>, later: usize) -> Result<(), String> {
    let (write, answer) = (read.op(0)?, read.op(1)?);
    let put = wrote(write).ok_or("it writes")?.to_string();
    let observes = |op: &&Op| matches!(op.f, F::Read | F::Get | F::Cas);
    let after = || read.ok().filter(observes).filter(|op| op.call > answer.ret());
    must(after().count() >= later, "there are so many later observations")?;
    must(!after().any(|op| matches!(op.f, F::Read | F::Get) && shown(op) == put), "none shows it")?;
    before(read, 0, 1, 2)
}

/// Whether an operation shows that an element is there.
fn contains(op: &Op, element: &str) -> bool {
    match op.f {
        F::Contains => op.input.to_string() == element && shown(op) == "true",
        F::Read => shows(op, element),
        _ => false,
    }
}

/// Nobody had certainly taken an element by an instant.
fn not_taken_before(read: &Read<'_>, element: usize, instant: u64) -> Result<(), String> {
    let takes = |op: &Op| matches!(op.f, F::Dequeue | F::Pop) && shown(op) == read.holes[element];
    must(!read.ok().any(|op| takes(op) && op.call < instant), "it had not been taken")
}

/// Between a write and the return of an observer, the value that this one saw was not put there.
fn not_again(read: &Read<'_>, observer: usize, write: usize, value: usize) -> Result<(), String> {
    let (op, write) = (read.op(observer)?, read.op(write)?);
    let again = |other: &&Op| {
        let changes = other.input.as_pair().is_none_or(|(from, to)| from != to);
        wrote(other).is_some_and(|put| put.to_string() == read.holes[value])
            && changes
            && other.call <= op.ret()
            && other.call > write.ret()
    };
    must(read.possible().find(again).is_none(), "it was not written again")
}

fn not_deleted(read: &Read<'_>, observer: usize, element: usize) -> Result<(), String> {
    let op = read.op(observer)?;
    let deletes = |other: &&Op| {
        other.f == F::Delete && other.input.to_string() == read.holes[element] && other.call <= op.ret()
    };
    must(read.possible().find(deletes).is_none(), "nobody deleted it")
}

/// The operations that a hole may name: of those that the violation names, or else of all. Operations may look alike.
fn named(history: &History, violation: &Violation, hole: &str) -> Vec<usize> {
    let said = hole.split(" on ").next().unwrap_or_default();
    let looks_so = |&id: &usize| {
        let op = &history.ops[id];
        format!("process {}'s `{op}`", op.process) == said
    };
    let named: Vec<usize> = violation.named.iter().copied().filter(looks_so).collect();
    if named.is_empty() { (0..history.ops.len()).filter(looks_so).collect() } else { named }
}

/// Reads a sentence: whether some template fits, and its facts are so.
fn check_facts(kind: ModelKind, history: &History, violation: &Violation) -> Result<&'static str, String> {
    let mut wrong = Vec::new();
    for (template, facts) in TEMPLATES {
        let Some(holes) = take_apart(&violation.sentence, template) else { continue };
        let choices: Vec<Vec<usize>> = holes.iter().map(|hole| named(history, violation, hole)).collect();
        let ways: usize = choices.iter().map(|choices| choices.len().max(1)).product();
        let mut why = String::new();
        for mut way in 0..ways {
            let mut choose = |choices: &Vec<usize>| {
                let n = choices.len().max(1);
                let chosen = choices.get(way % n).copied();
                way /= n;
                chosen
            };
            let chosen = choices.iter().map(&mut choose).collect();
            match facts(&Read { kind, history, violation, holes: holes.clone(), chosen }) {
                Ok(()) => return Ok(template),
                Err(wrong) => why = wrong,
            }
        }
        wrong.push(format!("{template}: {why}"));
    }
    Err(if wrong.is_empty() { "no template fits".to_owned() } else { wrong.join("; ") })
}

#[test]
fn every_fact_of_a_sentence_is_so() {
    let options = Options::default();
    // Other violations are read with another seed: SEED=6 cargo test ...
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(5);
    let (mut summary, mut wrong) = (Vec::new(), Vec::new());
    for kind in ModelKind::ALL {
        let mut random = SplitMix64::new(seed);
        let (mut read, mut no_order, mut largest) = (0, 0, 0);
        while read < VIOLATIONS {
            let history = small::history(&mut random, kind, 10);
            if History::from_ops(history.ops.iter().cloned()).is_err() {
                continue; // a process does two things at once, which no recording has
            }
            let Some(violation) = check(&history, kind, &options).expect("the menu fits").violation else {
                continue;
            };
            read += 1;
            assert!(CLASSES.iter().any(|(class, _)| *class == violation.class), "{}", violation.class);
            no_order += usize::from(violation.class == "no-order");
            largest = largest.max(violation.minimal.len());
            if let Err(why) = check_facts(kind, &history, &violation) {
                let ops: Vec<String> = history
                    .ops
                    .iter()
                    .enumerate()
                    .map(|(id, op)| {
                        let end = match op.outcome {
                            Outcome::Ok(_) => "ok",
                            Outcome::Fail => "fail",
                            Outcome::Info => "unknown",
                        };
                        format!("{id}: p{} {op} {}..{:?} {end}", op.process, op.call, op.completed)
                    })
                    .collect();
                wrong.push(format!(
                    "{kind}: {}\n{why}\nminimal {:?}\n{}",
                    violation.sentence,
                    violation.minimal,
                    ops.join("\n")
                ));
            }
            let alone = History::from_events(counterexample(&history, &violation));
            if let Ok(alone) = alone {
                let again = check(&alone, kind, &options).expect("it fits").answer;
                assert_eq!(again, Answer::Violation, "{kind}: {}", violation.sentence);
            }
            assert!(violation.shrink.complete, "{kind}: a small history is made small to the end");
        }
        assert!(no_order * 10 < read, "{kind}: {no_order} of {read} without a class");
        summary.push(format!("{kind}: {no_order} of {read} without a class, at most {largest} operations"));
    }
    eprintln!("{}", summary.join("\n"));
    assert!(wrong.is_empty(), "{} of them are wrong:\n\n{}", wrong.len(), wrong.join("\n\n"));
}
