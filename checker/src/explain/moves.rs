//! Moves that make a history smaller and can never turn a linearizable history into a violation.
//!
//! Dropping arbitrary operations, as naive delta debugging does, is unsound: without its write, a correct
//! read becomes a read of a value that was never written. Each move here comes with an argument why a legal
//! order σ of the whole history still yields a legal order of the result. So if the remaining history is not
//! linearizable, neither was the whole.
//!
//! **Cut.** Forget everything after an instant: operations invoked later are removed, and operations that
//! completed later become pending. A prefix of σ that ends where the last completion before the cut is placed
//! is a legal order, because linearizability is prefix-closed (Herlihy and Wing 1990, section 3).
//!
//! **Observers.** An operation that, with its recorded result, leaves every state unchanged can be removed
//! from σ: a read, a failed compare-and-set, a dequeue that found the queue empty.
//!
//! **Units.** The contents of an object divide into units, and σ restricted to a set V of units is legal:
//! - *Registers*: the units are the values. Keep the operations whose values are all in V, where V contains
//!   `a` if it contains `b` and some `cas a→b` may have taken effect. A kept observer of `v` follows, in σ,
//!   the last operation that changed the register before it. That operation wrote `v`, so it is kept as well
//!   (by the closure if it is a compare-and-set), and no operation was inserted in between. Failed
//!   compare-and-sets show what the register did *not* hold, which means nothing once other values are
//!   removed: so they are removed first. If operations append to a value or return whether there was one,
//!   there are no such units.
//! - *Collections* (sets, queues, stacks, append-only logs): the units are the elements. The content of the
//!   collection, restricted to V, changes exactly as a collection of the elements in V does; an element that
//!   was first, last or absent is so among fewer elements too. A read of the whole is *restricted* to V: its
//!   output keeps only V. (If a log returns offsets, they count all entries: no units.)
//! - *Several registers*: σ restricted to some of the registers, without the accesses of transactions to the
//!   others, is legal, because each register remembers only what was written to it. The units are the values
//!   of each register: V contains everything that a transaction reads and writes if it contains something
//!   that it writes. Then the value that a kept transaction read was written by a kept one as well, as in one
//!   register.
//! - *Locks*: the units are the tenures, an acquire with the release that follows it by the same client. A
//!   lock is free before and after each tenure of σ, so σ without one is legal. If several permits are
//!   acquired and released in different numbers, or it is unknown which release follows which acquire, the
//!   units are the clients: without one of them, more permits are free, and the others hold the same as
//!   before. Refused operations are removed first.
//!
//! **Overwritten past.** In a register, or if everything concerns one element of a set, take an acknowledged
//! blind write W. Operations that completed before W was invoked are before W in σ; drop them. Drop the
//! observers that overlap W. If none of the other operations that overlap W is an acknowledged
//! compare-and-set, every remaining operation before W in σ is blind, hence legal in any state, or
//! indeterminate, hence optional; after W the states are those of σ. Blind writes do not depend on the
//! overwritten state, so the initial state of the model serves as well as any.
//!
//! **Sums.** The state of a counter depends on every addition, so it has no units. The sum that an addition
//! returned may be ignored: σ remains legal. Additions whose sums are unknown or ignored, and that completed
//! before the first read or returned sum was invoked, come before all of these in σ; one addition of their
//! total may stand for all.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::classify::registers::{accesses, listed};
use super::subject::{Recorded, Subject, expected, observed, written};
use crate::op::{F, Nanos, Op, Outcome, Value};
use crate::verdict::Sums;

/// A sub-history of a part, as the moves leave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sub {
    /// The operations kept, by position in the part, in order.
    pub(super) kept: Vec<usize>,
    /// Everything after this instant is ignored.
    pub(super) cut: Nanos,
    /// The elements that reads of a whole collection are restricted to; `None` for all.
    pub(super) lens: Option<BTreeSet<Value>>,
    /// The simplified additions, by position in the part.
    pub(super) sums: Sums,
}

impl Sub {
    /// The whole part, except for operations that certainly do not matter: failures and indeterminate
    /// observers.
    pub(super) fn whole(part: &Recorded<'_>) -> Sub {
        let kept = (0..part.ops.len()).collect();
        let mut sub = Sub { kept, cut: Nanos::MAX, lens: None, sums: Sums::default() };
        sub.tidy(part);
        sub
    }

    /// The operations as the sub-history shows them.
    pub(super) fn ops(&self, part: &Recorded<'_>) -> Vec<Op> {
        let seen = |&at: &usize| {
            let mut op = seen(&part.ops[at], self.cut, self.lens.as_ref())?;
            self.sums.seen(at, &mut op);
            Some(op)
        };
        self.kept.iter().filter_map(seen).collect()
    }

    /// The cut: forgets everything after `instant`.
    pub(super) fn cut_at(&self, part: &Recorded<'_>, instant: Nanos) -> Sub {
        let mut sub = Sub { cut: self.cut.min(instant), ..self.clone() };
        sub.tidy(part);
        sub
    }

    /// Keeps only the operations that `keep` accepts; the caller must prove that the others may be dropped.
    pub(super) fn retain(&self, mut keep: impl FnMut(usize) -> bool) -> Sub {
        Sub { kept: self.kept.iter().copied().filter(|&at| keep(at)).collect(), ..self.clone() }
    }

    /// The overwritten past: the history that remains if the acknowledged blind write at `write` is the first
    /// operation that matters, or `None` if the argument does not hold.
    pub(super) fn beginning_at(&self, part: &Recorded<'_>, write: usize) -> Option<Sub> {
        let (call, ret) = (part.ops[write].call, part.ops[write].ret());
        let overlaps = |at: usize| at != write && part.ops[at].call <= ret && self.ret(part, at) >= call;
        let in_the_way = |&at: &usize| {
            overlaps(at) && self.ret(part, at) < Nanos::MAX && !part.is_observer(at) && !part.is_blind(at)
        };
        if self.kept.iter().any(in_the_way) {
            return None;
        }
        Some(self.retain(|at| self.ret(part, at) >= call && !(overlaps(at) && part.is_observer(at))))
    }

    /// The additions to a counter with a returned sum that counts.
    pub(super) fn showing_sums(&self, part: &Recorded<'_>) -> Vec<usize> {
        let tells = |&at: &usize| {
            let op = &part.ops[at];
            op.f == F::Add && op.ret() <= self.cut && op.output().is_some_and(|output| !output.is_nil())
        };
        let counts = |at: &usize| self.sums.untold.binary_search(at).is_err();
        self.kept.iter().copied().filter(tells).filter(counts).collect()
    }

    /// The sub-history in which only these additions show their sums.
    pub(super) fn with_sums_of(&self, part: &Recorded<'_>, wanted: &[usize]) -> Sub {
        let mut sub = self.clone();
        sub.sums.untold.extend(self.showing_sums(part).into_iter().filter(|at| !wanted.contains(at)));
        sub.sums.untold.sort_unstable();
        sub
    }

    /// Replaces all additions that completed before the first observation by one; `None` if there are fewer
    /// than two.
    pub(super) fn summed(&self, part: &Recorded<'_>) -> Option<Sub> {
        let showing_sums = self.showing_sums(part);
        let looks = |at: &usize| part.is_observer(*at) || showing_sums.binary_search(at).is_ok();
        let first_look = self.kept.iter().filter(|at| looks(at)).map(|&at| part.ops[at].call).min()?;
        let is_before = |at: &usize| self.ret(part, *at) < first_look && !looks(at);
        let before: Vec<usize> = self.kept.iter().copied().filter(is_before).collect();
        let last = before.iter().copied().max_by_key(|&at| (part.ops[at].ret(), at))?;
        let amount = |&at: &usize| match self.sums.all {
            Some((all, amount)) if all == at => amount,
            _ => part.ops[at].input.as_int().unwrap_or(0),
        };
        let sum = before.iter().map(amount).fold(0, i64::wrapping_add);
        let mut sub = self.retain(|at| at == last || !is_before(&at));
        sub.sums.all = Some((last, sum));
        (before.len() > 1).then_some(sub)
    }

    /// Restricts a multi-register to some registers, without the accesses of transactions to the others.
    pub(super) fn through(&self, part: &Recorded<'_>, registers: &[&Value]) -> Sub {
        let lens: BTreeSet<Value> = registers.iter().map(|&name| name.clone()).collect();
        let mut sub = Sub { lens: Some(lens), ..self.clone() };
        sub.kept.retain(|&at| seen(&part.ops[at], sub.cut, sub.lens.as_ref()).is_some());
        sub
    }

    /// The accesses of a transaction to the registers in view, as far as known at the cut.
    fn accesses<'a>(&self, part: &Recorded<'a>, at: usize) -> Vec<(bool, &'a Value, &'a Value)> {
        let op = &part.ops[at];
        let known = op.is_ok() && op.ret() <= self.cut;
        let mut list = if known { accesses(op) } else { listed(&op.input) };
        let in_view = |name: &Value| self.lens.as_ref().is_none_or(|lens| lens.contains(name));
        list.retain(|&(writes, name, _)| (known || writes) && in_view(name));
        list
    }

    /// The registers of a multi-register that are in view.
    pub(super) fn registers<'a>(&self, part: &Recorded<'a>) -> Vec<&'a Value> {
        let all = self.kept.iter().flat_map(|&at| self.accesses(part, at)).map(|(_, name, _)| name);
        all.collect::<BTreeSet<&Value>>().into_iter().collect()
    }

    /// Whether an operation, as the sub-history shows it, leaves every state unchanged.
    pub(super) fn is_observer(&self, part: &Recorded<'_>, at: usize) -> bool {
        part.is_observer(at)
            || part.subject == Subject::Registers
                && !self.accesses(part, at).iter().any(|&(writes, ..)| writes)
    }

    /// Whether a write makes all remaining operations independent of the past: a write to a register, or to
    /// the only element of a set.
    pub(super) fn is_overwritten(&self, part: &Recorded<'_>) -> bool {
        let alone = |ops: &[usize]| {
            let names_it = |&at: &usize| matches!(part.ops[at].f, F::Add | F::Delete | F::Contains);
            let same = |pair: &[usize]| part.ops[pair[0]].input == part.ops[pair[1]].input;
            ops.iter().all(names_it) && ops.windows(2).all(same)
        };
        part.subject.is_overwritten() || part.subject == Subject::Set && alone(&self.kept)
    }

    /// The end of an operation's interval, as the sub-history shows it.
    fn ret(&self, part: &Recorded<'_>, at: usize) -> Nanos {
        let ret = part.ops[at].ret();
        if ret > self.cut { Nanos::MAX } else { ret }
    }

    fn tidy(&mut self, part: &Recorded<'_>) {
        let cut = self.cut;
        let mut kept = std::mem::take(&mut self.kept);
        kept.retain(|&at| {
            let op = &part.ops[at];
            let pending = op.ret() > cut || op.ret() == Nanos::MAX;
            let is_cut = matches!(op.f, F::Other(_)) && self.lens.is_some();
            let in_view = !is_cut || seen(op, cut, self.lens.as_ref()).is_some();
            !op.is_fail() && op.call <= cut && in_view && !(pending && part.is_observer(at))
        });
        self.kept = kept;
    }
}

/// An operation as a sub-history shows it, or `None` if it is not invoked yet or is known to have failed.
/// Pending observers are left to [`Sub`].
pub(super) fn seen(op: &Op, cut: Nanos, lens: Option<&BTreeSet<Value>>) -> Option<Op> {
    if op.is_fail() || op.call > cut {
        return None;
    }
    let mut op = op.clone();
    if op.completed.is_some_and(|completed| completed > cut) {
        (op.completed, op.complete_index, op.outcome) = (None, None, Outcome::Info);
    }
    if let (Some(lens), F::Other(_)) = (lens, &op.f) {
        let output = op.output().filter(|output| !output.is_nil()).map(|output| in_view(output, lens));
        op.input = in_view(&op.input, lens);
        let is_left = |list: &Value| matches!(list, Value::List(accesses) if !accesses.is_empty());
        if !is_left(output.as_ref().unwrap_or(&op.input)) {
            return None;
        }
        if let Some(output) = output {
            op.outcome = Outcome::Ok(output);
        }
    }
    if let (Some(lens), F::Read, Outcome::Ok(Value::List(items))) = (lens, &op.f, &op.outcome) {
        let visible = items.iter().filter(|item| lens.contains(item)).cloned().collect();
        op.outcome = Outcome::Ok(Value::List(visible));
    }
    Some(op)
}

/// The accesses of a transaction to some registers.
fn in_view(accesses: &Value, lens: &BTreeSet<Value>) -> Value {
    let Value::List(items) = accesses else { return accesses.clone() };
    let names = |item: &&Value| match item {
        Value::List(access) => access.get(1).is_some_and(|name| lens.contains(name)),
        _ => false,
    };
    Value::List(items.iter().filter(names).cloned().collect())
}

/// The division of a sub-history into units.
pub(super) struct Units<'a> {
    /// For each kept operation, in order: its units. It stays as long as all of them do.
    of: Vec<Vec<u32>>,
    /// The elements, by unit, for the lens.
    names: Vec<&'a Value>,
    /// `dependents[a]` holds `b` if unit `b` requires unit `a`.
    dependents: Vec<Vec<u32>>,
}

impl<'a> Units<'a> {
    pub(super) fn of(part: &Recorded<'a>, sub: &Sub) -> Units<'a> {
        let mut units = Units { of: Vec::new(), names: Vec::new(), dependents: Vec::new() };
        match part.subject {
            Subject::Register => units.divide_register(part, sub),
            Subject::Registers => units.divide_registers(part, sub),
            Subject::Lock => units.divide_lock(part, sub),
            Subject::Permits(_) => units.divide_permits(part, sub),
            collection if collection.is_collection() => units.divide_collection(part, sub),
            _ => units.of = vec![Vec::new(); sub.kept.len()],
        }
        units
    }

    fn divide_register(&mut self, part: &Recorded<'a>, sub: &Sub) {
        let mut ids = HashMap::new();
        for &at in &sub.kept {
            let op = &part.ops[at];
            let [from, seen, to] = [expected(op), observed(op), written(op)];
            let about: Vec<u32> =
                [from, seen, to].into_iter().flatten().map(|value| self.name(&mut ids, value)).collect();
            if let (Some(_), &[from, .., to]) = (from, &about[..]) {
                self.dependents[from as usize].push(to);
            }
            self.of.push(about);
        }
    }

    fn divide_registers(&mut self, part: &Recorded<'a>, sub: &Sub) {
        let mut ids: HashMap<(&Value, &Value), u32> = HashMap::new();
        for &at in &sub.kept {
            let (mut about, mut written) = (Vec::new(), Vec::new());
            for (writes, name, value) in sub.accesses(part, at) {
                let unit = *ids.entry((name, value)).or_insert_with(|| self.fresh(name));
                about.push(unit);
                if writes {
                    written.push(unit);
                }
            }
            for &unit in &about {
                self.dependents[unit as usize].extend(written.iter().filter(|&&other| other != unit));
            }
            self.of.push(about);
        }
    }

    fn divide_collection(&mut self, part: &Recorded<'a>, sub: &Sub) {
        let mut ids = HashMap::new();
        for &at in &sub.kept {
            let op = &part.ops[at];
            let element = match op.f {
                F::Dequeue | F::Pop | F::Generate => op.output().filter(|value| !value.is_nil()),
                F::Read => None,
                _ => Some(&op.input),
            };
            if let (F::Read, Some(Value::List(items))) = (&op.f, op.output()) {
                for item in
                    items.iter().filter(|item| sub.lens.as_ref().is_none_or(|lens| lens.contains(item)))
                {
                    self.name(&mut ids, item);
                }
            }
            let about = element.map(|element| self.name(&mut ids, element));
            self.of.push(about.into_iter().collect());
        }
    }

    fn divide_lock(&mut self, part: &Recorded<'a>, sub: &Sub) {
        let mut open: HashMap<u64, Vec<u32>> = HashMap::new();
        // Clients that continue after an operation of unknown outcome, or do several things at once: it is
        // unknown which release follows which acquire.
        let entangled = sub.kept.iter().filter_map(|&at| part.ops[at].client);
        let entangled: BTreeMap<u64, u32> = entangled
            .collect::<BTreeSet<u64>>()
            .into_iter()
            .map(|client| (client, self.fresh(&Value::Nil)))
            .collect();
        for &at in &sub.kept {
            let op = &part.ops[at];
            let unit = match op.f {
                _ if part.is_observer(at) => None,
                _ if entangled.contains_key(&op.actor()) => entangled.get(&op.actor()).copied(),
                F::Acquire => {
                    let unit = self.fresh(&Value::Nil);
                    open.entry(op.actor()).or_default().push(unit);
                    Some(unit)
                }
                F::Release => open.get_mut(&op.actor()).and_then(Vec::pop),
                _ => None,
            };
            self.of.push(unit.into_iter().collect());
        }
    }

    fn divide_permits(&mut self, part: &Recorded<'a>, sub: &Sub) {
        let mut ids: HashMap<u64, u32> = HashMap::new();
        for &at in &sub.kept {
            let unit = *ids.entry(part.ops[at].actor()).or_insert_with(|| self.fresh(&Value::Nil));
            self.of.push(vec![unit]);
        }
    }

    fn name(&mut self, ids: &mut HashMap<&'a Value, u32>, value: &'a Value) -> u32 {
        *ids.entry(value).or_insert_with(|| self.fresh(value))
    }

    fn fresh(&mut self, name: &'a Value) -> u32 {
        self.names.push(name);
        self.dependents.push(Vec::new());
        self.names.len() as u32 - 1
    }

    pub(super) fn all(&self) -> Vec<u32> {
        (0..self.names.len() as u32).collect()
    }

    /// The units of some operations, and all units that those require.
    pub(super) fn about(&self, sub: &Sub, chosen: impl Fn(usize) -> bool) -> Vec<u32> {
        let mut needs = vec![Vec::new(); self.names.len()];
        for (unit, dependents) in self.dependents.iter().enumerate() {
            dependents.iter().for_each(|&dependent| needs[dependent as usize].push(unit as u32));
        }
        let chosen = sub.kept.iter().zip(&self.of).filter(|(at, _)| chosen(**at));
        let mut open: Vec<u32> = chosen.flat_map(|(_, units)| units.iter().copied()).collect();
        let mut units = BTreeSet::new();
        while let Some(unit) = open.pop() {
            if units.insert(unit) {
                open.extend(&needs[unit as usize]);
            }
        }
        units.into_iter().collect()
    }

    /// The largest closed set of units within `wanted`, and the sub-history of only those.
    pub(super) fn keep(&self, part: &Recorded<'_>, sub: &Sub, wanted: &[u32]) -> Sub {
        let mut stays = vec![false; self.names.len()];
        for &unit in wanted {
            stays[unit as usize] = true;
        }
        let mut gone: Vec<u32> = self.all().into_iter().filter(|&unit| !stays[unit as usize]).collect();
        if gone.is_empty() {
            return sub.clone();
        }
        while let Some(unit) = gone.pop() {
            for &dependent in &self.dependents[unit as usize] {
                if std::mem::replace(&mut stays[dependent as usize], false) {
                    gone.push(dependent);
                }
            }
        }
        let collection = part.subject.is_collection();
        let says_what_is_not = |at| {
            let tells = collection || part.subject == Subject::Registers;
            !tells && part.is_observer(at) && observed(&part.ops[at]).is_none()
        };
        let kept =
            sub.kept.iter().zip(&self.of).filter(|(at, units)| {
                units.iter().all(|&unit| stays[unit as usize]) && !says_what_is_not(**at)
            });
        let lens = collection.then(|| {
            self.names
                .iter()
                .zip(&stays)
                .filter(|(_, stays)| **stays)
                .map(|(name, _)| (*name).clone())
                .collect()
        });
        let kept = kept.map(|(&at, _)| at).collect();
        Sub { kept, lens: lens.or_else(|| sub.lens.clone()), ..sub.clone() }
    }
}
