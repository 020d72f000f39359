//! Several files as one history: what each of several clients, or each of several keys, recorded by itself.

use std::cmp::Ordering;

use super::{OpPlace, Reading, events};
use crate::history::History;
use crate::op::{Op, Value};

/// Makes one history of several that have one clock. A process of the same number in two of them is the same process.
/// Events of the nemesis are those of all of them.
///
/// # Errors
/// What is wrong with which of them, by position: one without times cannot be put in order among others.
pub fn merge(readings: Vec<Reading>) -> Result<Reading, (usize, String)> {
    let untimed = readings.iter().position(|reading| !reading.timed && !reading.history.ops.is_empty());
    if let Some(at) = untimed.filter(|_| readings.len() > 1) {
        return Err((
            at,
            "expected times on every event, in order: without them it cannot be merged with others".into(),
        ));
    }
    Ok(together(readings))
}

/// Makes one history of those of several keys, each of which is an object of its own: where they have no times, one key
/// comes after the other.
pub fn by_key(keyed: Vec<(Value, Reading)>) -> Reading {
    let timed = keyed.iter().all(|(_, reading)| reading.timed);
    let mut begins = 0;
    let readings = keyed.into_iter().map(|(key, mut reading)| {
        let end = |op: &Op| op.completed.unwrap_or(op.call);
        let shift = if timed { 0 } else { begins };
        for op in &mut reading.history.ops {
            op.key = key.clone();
            op.call += shift;
            op.completed = op.completed.map(|at| at + shift);
            begins = begins.max(end(op) + 1);
        }
        reading
    });
    let mut all = together(readings.collect());
    all.timed = timed;
    all
}

fn together(readings: Vec<Reading>) -> Reading {
    let mut all = Reading { timed: true, ..Reading::default() };
    let mut ops = Vec::new();
    for (file, reading) in readings.into_iter().enumerate() {
        all.format = reading.format;
        all.notes.extend(reading.notes);
        all.nemesis.extend(reading.nemesis);
        let placed = reading.history.ops.into_iter().zip(reading.places);
        ops.extend(placed.map(|(op, place)| (op, place, file)));
    }
    ops.sort_by(|(a, _, file), (b, _, other)| match (a.call, file).cmp(&(b.call, other)) {
        Ordering::Equal => a.invoke_index.cmp(&b.invoke_index),
        order => order,
    });
    all.nemesis.sort_by_key(|event| event.time);
    let (mut history, mut places) = (History::default(), Vec::new());
    for (op, place, file) in ops {
        history.ops.push(op);
        places.push(OpPlace { file, ..place });
    }
    events::number(&mut history.ops);
    Reading { history, places, ..all }
}
