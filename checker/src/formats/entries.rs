//! The entries of a map by their meaning: one pass over a map, whatever its fields are called.

use super::forms::Form;
use super::names::{FIELDS, Field, Names};
use super::times::TimeUnit;

/// An entry, and how well its name fits the field (0 is best).
#[derive(Clone, Copy)]
struct Entry<'a> {
    form: &'a Form<'a>,
    rank: usize,
    unit: Option<TimeUnit>,
}

/// The entries of one map.
pub(super) struct Entries<'a> {
    known: [Option<Entry<'a>>; FIELDS],
    /// The names of unknown fields, in the order of the map.
    pub(super) others: Vec<&'a str>,
    /// A name that occurs twice.
    pub(super) doubled: Option<&'a str>,
}

impl<'a> Entries<'a> {
    pub(super) fn of(map: &'a [(Form<'a>, Form<'a>)], names: &Names) -> Self {
        let mut entries = Entries { known: [None; FIELDS], others: Vec::new(), doubled: None };
        for (key, form) in map {
            let Some(name) = key.name() else { continue };
            let Some((field, rank, unit)) = names.field(name) else {
                entries.others.push(name);
                continue;
            };
            let known = &mut entries.known[field as usize];
            match known {
                Some(better) if better.rank < rank => {}
                Some(same) if same.rank == rank && field != Field::Ignored => entries.doubled = Some(name),
                _ => *known = Some(Entry { form, rank, unit }),
            }
        }
        // Jepsen's maps have a process, and may also name the client behind it.
        if let (Some(process), None) = (entries.known[Field::Process as usize], entries.get(Field::Client))
            && process.rank <= 1
        {
            let client = map.iter().find(|(key, _)| key.name() == Some("client")).map(|(_, form)| form);
            entries.known[Field::Client as usize] = client
                .filter(|form| !std::ptr::eq(*form, process.form))
                .map(|form| Entry { form, rank: 1, unit: None });
        }
        entries
    }

    pub(super) fn get(&self, field: Field) -> Option<&'a Form<'a>> {
        self.known[field as usize].map(|entry| entry.form)
    }

    pub(super) fn has(&self, field: Field) -> bool {
        self.known[field as usize].is_some()
    }

    /// The entry of a time, with the unit at the end of its name.
    pub(super) fn time(&self, field: Field) -> Option<(&'a Form<'a>, Option<TimeUnit>)> {
        self.known[field as usize].map(|entry| (entry.form, entry.unit))
    }

    /// Whether this is the record of a client at all: it has a process, an operation or a time.
    pub(super) fn is_record(&self) -> bool {
        [Field::Process, Field::F, Field::Call, Field::Return].into_iter().any(|field| self.has(field))
    }
}

/// The entries of an input that is a map: `{"Op":"put","Key":"x","Value":"1"}`.
pub(super) fn nested<'a>(form: Option<&'a Form<'a>>, names: &Names) -> Option<Entries<'a>> {
    let Some(Form::Map(map)) = form else { return None };
    let entries = Entries::of(map, names);
    [Field::F, Field::Key, Field::Value].into_iter().any(|field| entries.has(field)).then_some(entries)
}
