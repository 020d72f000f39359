//! Merges several files into one history: separate recordings of clients, or of keys.

use std::cmp::Ordering;

use super::{OpPlace, Reading, events};
use crate::history::History;
use crate::op::{Op, Value};

/// Merges histories that share one clock. Equal process numbers in two of them are the same process. The
/// events of the nemesis are merged, too.
///
/// # Errors
/// The position of the history at fault, and why: a history without times cannot be ordered among others.
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

/// Merges the histories of several keys, each of which is a separate object. Without times, the keys follow
/// one after the other.
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
