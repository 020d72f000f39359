//! A key that texts are put under and appended to: exact, and linear in the length of what was read.
//!
//! A text that was read tells the order of the appends that made it, as long as it can be taken apart in one way only:
//! the last of its fragments, what was there before that, and so on back to a put or to the empty key. Then each state
//! that was seen has one operation that made it, from one state before:
//!
//! ```text
//!   get → "ab·cd·"     append "cd·"  from  "ab·",  which put "ab·" made
//!   as a register:     cas 1 → 2                    write 1
//! ```
//!
//! So an append that was seen is a compare-and-set, and the history is that of a [register](super::unique_register) in
//! which no value is written twice. An append that no text shows can come anywhere, but what it leaves is never seen, nor
//! anything that is appended to it: it is a write of a value that nobody reads. If the key has a text whose real pieces
//! are these, the register has its number, and the other way round; so either order is legal if the other is.
//!
//! A text that nobody can have made is a violation, and so is one operation that made two different texts.
//!
//! Precondition: every text that was seen can be taken apart in one way only; nothing but texts where anything is
//! appended; no delete that tells what it found; no failed comparison where anything is appended.

use hashbrown::{HashMap, HashSet};

use super::broken;
use super::unique_register::{self, Act};
use crate::decision::Decision;
use crate::op::{F, Op, Outcome, Value};

/// The empty key: the initial state.
const EMPTY: u32 = 0;
const NO_STATE: u32 = u32::MAX;
/// What the way back from a text has passed.
const ON_THE_WAY: u32 = u32::MAX - 1;

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Held<'a> {
    /// A text; an absent key is the empty one.
    Text(&'a [u8]),
    /// Anything else.
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
    /// Nobody can have made it.
    Impossible,
    /// This operation has made another one, that this one saw.
    Twice(u32),
    /// It may have been made in several ways.
    Unclear,
}

/// Who can have made what: how many, and the last of them.
type Makers<K> = HashMap<K, (u32, u32)>;

/// The states of a key that were seen.
struct Texts<'a> {
    ops: &'a [&'a Op],
    /// Put, or written by a compare-and-set.
    whole: Makers<Held<'a>>,
    whole_lengths: HashSet<usize>,
    fragments: Makers<&'a [u8]>,
    fragment_lengths: Vec<usize>,
    /// Per operation: the state it made.
    made: Vec<u32>,
    /// Per state: what it is, the one before it, and who saw it first.
    states: Vec<(Held<'a>, u32, u32)>,
}

/// Decides the history of a key; see the [module](self).
pub(crate) fn decide(ops: &[&Op]) -> Decision {
    let Some(mut texts) = Texts::read(ops) else { return Decision::Declined };
    match texts.acts() {
        Ok((acts, values)) => unique_register::decide_acts(ops, &acts, values),
        Err(decision) => decision,
    }
}

/// What is put or written by an operation that may have taken effect.
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
    /// Collects who makes what; `None` where the precondition does not hold.
    fn read(ops: &'a [&'a Op]) -> Option<Self> {
        let mut texts = Texts {
            ops,
            whole: HashMap::new(),
            whole_lengths: HashSet::new(),
            fragments: HashMap::new(),
            fragment_lengths: Vec::new(),
            made: vec![NO_STATE; ops.len()],
            states: vec![(Held::Text(b""), NO_STATE, NO_STATE)],
        };
        let (mut others, mut compared) = (false, false);
        for (at, op) in (0..).zip(ops).filter(|(_, op)| !op.is_fail()) {
            match (&op.f, &op.input) {
                (F::Append, Value::Str(more)) if !more.is_empty() => {
                    let makers = texts.fragments.entry(more.as_bytes()).or_insert((0, at));
                    *makers = (makers.0 + 1, at);
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
                let makers = texts.whole.entry(held).or_insert((0, at));
                *makers = (makers.0 + 1, at);
            }
        }
        let appended = !texts.fragments.is_empty();
        (!appended || !others && !compared).then_some(texts)
    }

    /// The one operation that can have made this, or `None` for the initial state.
    fn maker(&self, held: Held<'a>) -> Result<Option<u32>, Unmade> {
        let mut number = u32::from(held == Held::Text(b""));
        let mut maker = None;
        let mut count = |makers: Option<&(u32, u32)>| {
            if let Some(&(more, at)) = makers {
                number += more;
                maker = Some(at);
            }
        };
        if self.whole_lengths.contains(&held.length()) {
            count(self.whole.get(&held));
        }
        if let Held::Text(text) = held {
            let lengths = self.fragment_lengths.iter().filter(|&&length| length <= text.len());
            lengths.for_each(|length| count(self.fragments.get(&text[text.len() - length..])));
        }
        match number {
            0 => Err(Unmade::Impossible),
            1 => Ok(maker),
            _ if broken("texts: any of several makers") => Ok(maker),
            _ => Err(Unmade::Unclear),
        }
    }

    /// The number of a state that an operation saw, or would have to see.
    fn state(&mut self, held: Held<'a>, seen_by: u32) -> Result<u32, Unmade> {
        let mut way: Vec<(u32, Held<'a>)> = Vec::new();
        let mut now = held;
        let found = loop {
            let maker = match self.maker(now) {
                Ok(Some(maker)) => maker,
                Ok(None) => break Ok(EMPTY),
                Err(unmade) => break Err(unmade),
            };
            match self.made[maker as usize] {
                NO_STATE => {}
                ON_THE_WAY => break Err(Unmade::Unclear),
                known if self.states[known as usize].0 == now => {
                    break Ok(known);
                }
                known => break Err(Unmade::Twice(self.states[known as usize].2)),
            }
            self.made[maker as usize] = ON_THE_WAY;
            way.push((maker, now));
            let op = self.ops[maker as usize];
            match (&op.f, now) {
                (F::Append, Held::Text(text)) => {
                    let Value::Str(more) = &op.input else { unreachable!("appended are texts") };
                    now = Held::Text(&text[..text.len() - more.len()]);
                }
                (F::Cas, _) => now = Held::of(op.input.as_pair().expect("it has been looked at").0),
                _ => break Ok(NO_STATE),
            }
        };
        let mut before = match found {
            Ok(before) => before,
            Err(unmade) => {
                way.iter().for_each(|&(maker, _)| self.made[maker as usize] = NO_STATE);
                return Err(unmade);
            }
        };
        while let Some((maker, held)) = way.pop() {
            self.made[maker as usize] = self.states.len() as u32;
            self.states.push((held, before, seen_by));
            before = self.made[maker as usize];
        }
        Ok(before)
    }

    /// The history as that of a register, and how many values that has; or what is clear without one.
    fn acts(&mut self) -> Result<(Vec<Act>, u32), Decision> {
        let ops = self.ops;
        let mut acts = vec![Act::Nothing; ops.len()];
        for (at, op) in ops.iter().enumerate() {
            let seen = match (&op.f, &op.outcome) {
                (F::Get | F::Read, Outcome::Ok(seen)) => seen,
                (F::Cas, Outcome::Ok(_)) => op.input.as_pair().expect("it has been looked at").0,
                _ => continue,
            };
            let state = match self.state(Held::of(seen), at as u32) {
                Ok(state) => Some(state),
                // Fails whenever it is tried.
                Err(Unmade::Impossible) if refused(op) => None,
                Err(Unmade::Impossible) => return Err(Decision::Illegal { conflict: vec![at] }),
                Err(Unmade::Twice(other)) if !refused(op) => {
                    return Err(Decision::Illegal { conflict: vec![at, other as usize] });
                }
                Err(Unmade::Twice(_) | Unmade::Unclear) => return Err(Decision::Declined),
            };
            acts[at] = match (&op.f, state) {
                (_, None) => Act::Failed(NO_STATE),
                (F::Cas, Some(from)) if refused(op) => Act::Failed(from),
                // What it wrote is put in below.
                (F::Cas, Some(from)) => Act::Cas(from, EMPTY),
                (_, Some(state)) => Act::Read(state),
            };
        }
        let mut values = self.states.len() as u32;
        for (at, op) in ops.iter().enumerate().filter(|(_, op)| !op.is_fail()) {
            if acts[at] == Act::Failed(NO_STATE) {
                acts[at] = Act::Failed(values);
                values += 1;
                continue;
            }
            let is_maker = op.f == F::Append || written(op).is_some();
            if !is_maker || op.f == F::Cas && acts[at] == Act::Nothing && self.made[at] == NO_STATE {
                continue;
            }
            let made = match self.made[at] {
                NO_STATE => {
                    values += 1;
                    values - 1
                }
                made => made,
            };
            let before = self.states.get(made as usize).map_or(NO_STATE, |state| state.1);
            acts[at] = match acts[at] {
                Act::Cas(from, _) => Act::Cas(from, made),
                _ if before == NO_STATE => Act::Write(made),
                _ => Act::Cas(before, made),
            };
        }
        Ok((acts, values))
    }
}
