//! A key with put and append of texts: exact, and linear in the length of the texts read.
//!
//! A text that was read shows the order of its appends if it can be decomposed in one way only: its last
//! fragment, the text before that, and so on back to a put or to the empty key. Then each observed state has
//! one operation that made it, from one state before:
//!
//! ```text
//!   get → "ab·cd·"     append "cd·"  from  "ab·",  which put "ab·" made
//!   as a register:     cas 1 → 2                    write 1
//! ```
//!
//! So an observed append is a compare-and-set, and the history is that of a
//! [register](super::unique_register) in which no value is written twice. An append that no text shows can
//! come anywhere, but neither its result nor anything appended to that is ever observed: it is a write of a
//! value that is never read. The states of the key and the numbers of the register correspond one to one, so
//! an order is legal for one iff it is legal for the other.
//!
//! **Makers.** The first piece was put once, so a text that begins with it exists at most once, and all
//! operations that observe it observe the same state. A fragment may have been appended several times. But
//! the maker of a text was invoked before any operation returned that observed the text or a longer one made
//! from it; it returned after the makers of the texts before it were invoked; and it made no other text.
//! Often only one candidate is left.
//!
//! A text that no operation can have made is a violation.
//!
//! Precondition: every observed text can be decomposed in one way only, begins with a text that was put once,
//! and has one possible maker for each piece; only texts where anything is appended; no delete that returns
//! whether the key existed; no failed comparison where anything is appended.

use hashbrown::{HashMap, HashSet};

use super::broken;
use super::unique_register::{self, Act};
use crate::decision::Decision;
use crate::op::{F, Nanos, Op, Outcome, Value};

/// The empty key: the initial state.
const EMPTY: u32 = 0;
const NO_STATE: u32 = u32::MAX;
/// Maximum number of appends of one fragment; with more, the algorithm declines.
const MAKERS_MAX: usize = 16;
/// Maximum number of rounds that propagate known makers to other states.
const ROUNDS_MAX: usize = 8;

/// The content of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Held<'a> {
    /// A text; an absent key counts as the empty text.
    Text(&'a [u8]),
    /// Any other value.
    Other(&'a Value),
}

impl<'a> Held<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::Nil => Held::Text(b""),
            Value::Str(text) => Held::Text(text.as_bytes()),
            other => Held::Other(other),
        }
    }

    fn length(self) -> usize {
        if let Held::Text(text) = self { text.len() } else { 0 }
    }
}

/// Why a state has no number.
enum Unmade {
    /// No operation can have made it.
    Impossible,
    /// Several ways to make it are possible.
    Unclear,
}

/// A state that existed once.
struct State {
    /// The state that was appended to; `NO_STATE` for a put; for a compare-and-set, the state that it found.
    before: u32,
    /// The operations that may have made it.
    makers: Vec<u32>,
    /// An operation that shows that it existed.
    seen_by: u32,
    /// The first return of an operation that observed it.
    seen_until: Nanos,
}

/// The observed states of a key.
struct Texts<'a> {
    ops: &'a [&'a Op],
    /// Put, or written by a compare-and-set.
    whole: HashMap<Held<'a>, Vec<u32>>,
    whole_lengths: HashSet<usize>,
    fragments: HashMap<&'a [u8], Vec<u32>>,
    fragment_lengths: Vec<usize>,
    /// The first two returns of operations that leave the key non-empty, and their operations.
    first_returns: [(Nanos, u32); 2],
    states: Vec<State>,
    /// The state that results from appending a piece to another state.
    known: HashMap<(u32, Held<'a>), u32>,
}

/// Decides the history of a key; see the [module](self).
pub(crate) fn decide(ops: &[&Op]) -> Decision {
    let Some(mut texts) = Texts::read(ops) else { return Decision::Declined };
    let acts = texts.see().and_then(|acts| {
        texts.resolve()?;
        Ok(acts)
    });
    match acts {
        Ok(acts) => {
            let (acts, values) = texts.made(acts);
            unique_register::decide_acts(ops, &acts, values)
        }
        Err(decision) => decision,
    }
}

/// The value put or written by an operation that may have taken effect.
fn written(op: &Op) -> Option<&Value> {
    match op.f {
        F::Put | F::Write => Some(&op.input),
        F::Delete => Some(&Value::Nil),
        F::Cas if !refused(op) => op.input.as_pair().map(|(_, to)| to),
        _ => None,
    }
}

fn refused(op: &Op) -> bool {
    op.output() == Some(&Value::Bool(false))
}

impl<'a> Texts<'a> {
    /// Collects the operations that make each state; `None` if the precondition does not hold.
    fn read(ops: &'a [&'a Op]) -> Option<Self> {
        let nothing =
            State { before: NO_STATE, makers: Vec::new(), seen_by: NO_STATE, seen_until: Nanos::MAX };
        let mut texts = Texts {
            ops,
            whole: HashMap::new(),
            whole_lengths: HashSet::new(),
            fragments: HashMap::new(),
            fragment_lengths: Vec::new(),
            first_returns: [(Nanos::MAX, NO_STATE); 2],
            states: vec![nothing],
            known: HashMap::new(),
        };
        let (mut others, mut compared) = (false, false);
        for (at, op) in (0..).zip(ops).filter(|(_, op)| !op.is_fail()) {
            match (&op.f, &op.input) {
                (F::Append, Value::Str(more)) if !more.is_empty() => {
                    texts.fragments.entry(more.as_bytes()).or_default().push(at);
                    if !texts.fragment_lengths.contains(&more.len()) {
                        texts.fragment_lengths.push(more.len());
                    }
                }
                (F::Cas, pair) => {
                    // An absent key is read as the empty text, but is not equal to it.
                    let (from, to) = pair.as_pair()?;
                    if [from, to].contains(&&Value::str("")) {
                        return None;
                    }
                    compared |= refused(op);
                }
                (F::Delete, _) if matches!(op.output(), Some(Value::Bool(_))) => return None,
                (F::Get | F::Read | F::Put | F::Write | F::Delete, _) => {}
                _ => return None,
            }
            if let Some(value) = written(op) {
                let held = Held::of(value);
                others |= matches!(held, Held::Other(_));
                texts.whole_lengths.insert(held.length());
                texts.whole.entry(held).or_default().push(at);
            }
            if op.is_ok() && (op.f == F::Append || written(op).is_some()) {
                let [first, second] = texts.first_returns;
                let mut returns = [first, second, (op.ret(), at)];
                returns.sort_unstable();
                texts.first_returns = [returns[0], returns[1]];
            }
        }
        let appended = !texts.fragments.is_empty();
        (!appended || !others && !compared).then_some(texts)
    }

    /// Whether the key may become empty again.
    fn is_emptied(&self) -> bool {
        self.whole.contains_key(&Held::Text(b""))
    }

    /// Whether one of these appends may have found the key in its initial state.
    fn may_be_first(&self, makers: &[u32]) -> bool {
        makers.iter().any(|&at| {
            let [first, second] = self.first_returns;
            let other = if first.1 == at { second } else { first };
            self.ops[at as usize].call <= other.0
        })
    }

    /// The number of a state that an operation observed, together with the states that it was made from.
    fn state(&mut self, held: Held<'a>, seen_by: u32) -> Result<u32, Unmade> {
        let mut pieces: Vec<Held<'a>> = Vec::new();
        let mut rest = held;
        let mut at = loop {
            if rest == Held::Text(b"") {
                if self.is_emptied() {
                    return Err(Unmade::Unclear);
                }
                break EMPTY;
            }
            let none = Vec::new();
            let is_known = self.whole_lengths.contains(&rest.length());
            let put = if is_known { self.whole.get(&rest).unwrap_or(&none) } else { &none };
            let mut ways = put.len();
            let mut piece = None;
            if let Held::Text(text) = rest {
                for &length in self.fragment_lengths.iter().filter(|&&length| length <= text.len()) {
                    let (before, more) = text.split_at(text.len() - length);
                    let Some(makers) = self.fragments.get(more) else { continue };
                    if before.is_empty() && !self.is_emptied() && !self.may_be_first(makers) {
                        continue;
                    }
                    ways += if makers.len() > MAKERS_MAX { 2 } else { 1 };
                    piece = Some((before, more));
                }
            }
            match (ways, piece) {
                (0, _) => return Err(Unmade::Impossible),
                (1, Some((before, more))) => {
                    pieces.push(Held::Text(more));
                    rest = Held::Text(before);
                }
                (1, None) => break self.piece(NO_STATE, rest, put.clone(), seen_by),
                _ if broken("texts: any of several ways") && !put.is_empty() => {
                    break self.piece(NO_STATE, rest, vec![put[0]], seen_by);
                }
                _ => return Err(Unmade::Unclear),
            }
        };
        while let Some(piece) = pieces.pop() {
            let Held::Text(more) = piece else { unreachable!("appended are texts") };
            let makers = self.fragments[more].clone();
            at = self.piece(at, piece, makers, seen_by);
        }
        Ok(at)
    }

    /// The state that results from appending a piece to another state.
    fn piece(&mut self, before: u32, piece: Held<'a>, makers: Vec<u32>, seen_by: u32) -> u32 {
        let next = self.states.len() as u32;
        let at = *self.known.entry((before, piece)).or_insert(next);
        if at == next {
            self.states.push(State { before, makers, seen_by, seen_until: Nanos::MAX });
        }
        at
    }

    /// The state that every operation observed, as acts of a register; or a decision that needs no register.
    fn see(&mut self) -> Result<Vec<Act>, Decision> {
        let ops = self.ops;
        let mut acts = vec![Act::Nothing; ops.len()];
        for (at, op) in ops.iter().enumerate() {
            let seen = match (&op.f, &op.outcome) {
                (F::Get | F::Read, Outcome::Ok(seen)) => seen,
                (F::Cas, Outcome::Ok(_)) => op.input.as_pair().expect("it has been looked at").0,
                _ => continue,
            };
            let state = match self.state(Held::of(seen), at as u32) {
                Ok(state) => state,
                // Impossible in any order.
                Err(Unmade::Impossible) if refused(op) => NO_STATE,
                Err(Unmade::Impossible) => return Err(Decision::Illegal { conflict: vec![at] }),
                Err(Unmade::Unclear) => return Err(Decision::Declined),
            };
            acts[at] = match op.f {
                F::Cas if refused(op) => Act::Failed(state),
                // The written state is filled in later.
                F::Cas => Act::Cas(state, EMPTY),
                _ => Act::Read(state),
            };
            if !refused(op) {
                let seen_until = &mut self.states[state as usize].seen_until;
                *seen_until = op.ret().min(*seen_until);
            }
        }
        // A state written by a compare-and-set shows the state that it found.
        let mut state = 0;
        while state + 1 < self.states.len() {
            state += 1;
            let State { makers, seen_by, .. } = &self.states[state];
            let (maker, seen_by) = (makers[0] as usize, *seen_by as usize);
            if ops[maker].f == F::Cas {
                let from = ops[maker].input.as_pair().expect("it has been looked at").0;
                let from = self.state(Held::of(from), seen_by as u32).map_err(|unmade| match unmade {
                    Unmade::Impossible if !refused(ops[seen_by]) => {
                        Decision::Illegal { conflict: vec![seen_by] }
                    }
                    _ => Decision::Declined,
                })?;
                self.states[state].before = from;
            }
        }
        Ok(acts)
    }

    /// Reduces the candidates to one maker for each state, if possible.
    fn resolve(&mut self) -> Result<(), Decision> {
        let ops = self.ops;
        let call = |at: &u32| ops[*at as usize].call;
        let ret = |at: &u32| ops[*at as usize].ret();
        let is_appended =
            |state: &State| state.makers.first().is_some_and(|&at| ops[at as usize].f == F::Append);
        let mut makes = vec![NO_STATE; ops.len()];
        let (mut from, mut until) = (vec![0; self.states.len()], vec![Nanos::MAX; self.states.len()]);
        for _ in 0..ROUNDS_MAX {
            // States come after those that they were made from.
            for (at, state) in self.states.iter().enumerate().filter(|(_, state)| is_appended(state)) {
                let before = state.before as usize;
                let first = self.states[before].makers.iter().map(call).min().unwrap_or(0);
                from[at] = first.max(from[before]);
            }
            for (at, state) in self.states.iter().enumerate().rev() {
                until[at] = state.seen_until.min(until[at]);
                if is_appended(state) {
                    let last = state.makers.iter().map(ret).max().unwrap_or(Nanos::MAX);
                    let last = last.min(until[at]);
                    let before = &mut until[state.before as usize];
                    *before = last.min(*before);
                }
            }
            let mut changed = false;
            for (at, state) in (0..).zip(&mut self.states).filter(|(_, state)| state.makers.len() > 1) {
                let makers = state.makers.len();
                state.makers.retain(|maker| {
                    let in_time = call(maker) <= until[at as usize] && ret(maker) >= from[at as usize];
                    in_time && [NO_STATE, at].contains(&makes[*maker as usize])
                });
                changed |= state.makers.len() < makers;
                if state.makers.is_empty() {
                    return Err(Decision::Illegal { conflict: vec![state.seen_by as usize] });
                }
            }
            for (at, state) in (0..).zip(&self.states) {
                if let [maker] = state.makers[..] {
                    let other = std::mem::replace(&mut makes[maker as usize], at);
                    if other != NO_STATE && other != at {
                        let seen_by = |state: u32| self.states[state as usize].seen_by as usize;
                        let conflict = vec![seen_by(at), seen_by(other)];
                        let is_certain = !conflict.iter().any(|&at| refused(ops[at]));
                        return Err(if is_certain {
                            Decision::Illegal { conflict }
                        } else {
                            Decision::Declined
                        });
                    }
                    changed |= other != at;
                }
            }
            if !changed {
                break;
            }
        }
        let is_clear = self.states.iter().all(|state| state.makers.len() <= 1);
        if is_clear || broken("texts: any of several makers") { Ok(()) } else { Err(Decision::Declined) }
    }

    /// The acts with the states that they made, and the number of values.
    fn made(&self, mut acts: Vec<Act>) -> (Vec<Act>, u32) {
        let mut makes = vec![NO_STATE; self.ops.len()];
        for (at, state) in (0..).zip(&self.states).skip(1) {
            makes[state.makers[0] as usize] = at;
        }
        let mut values = self.states.len() as u32;
        let mut fresh = || {
            values += 1;
            values - 1
        };
        for (at, op) in self.ops.iter().enumerate().filter(|(_, op)| !op.is_fail()) {
            if acts[at] == Act::Failed(NO_STATE) {
                acts[at] = Act::Failed(fresh());
                continue;
            }
            let is_maker = op.f == F::Append || written(op).is_some();
            if !is_maker || op.f == F::Cas && acts[at] == Act::Nothing && makes[at] == NO_STATE {
                continue;
            }
            let (made, before) = match makes[at] {
                NO_STATE => (fresh(), NO_STATE),
                made => (made, self.states[made as usize].before),
            };
            acts[at] = match acts[at] {
                Act::Cas(from, _) => Act::Cas(from, made),
                _ if before == NO_STATE => Act::Write(made),
                _ => Act::Cas(before, made),
            };
        }
        (acts, values)
    }
}
