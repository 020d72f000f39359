//! Records that outlive a crash: one per line, JSON, each on disk before anybody is told.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::marker::PhantomData;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// An open journal.
pub(crate) struct Journal<T> {
    file: File,
    records: PhantomData<fn(T)>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens it, or makes it, and gives the records that it has. A torn last line is cut off: nobody was told of it.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Vec<T>)> {
        let text = if path.exists() { fs::read(path)? } else { Vec::new() };
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let lines = text[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let records = lines.map(serde_json::from_slice).collect::<Result<_, _>>()?;
        let file = File::options().create(true).append(true).open(path)?;
        file.set_len(whole as u64)?;
        file.sync_all()?;
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok((Journal { file, records: PhantomData }, records))
    }

    /// Adds a record; when this returns it is on disk.
    pub(crate) fn add(&mut self, record: &T) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_a_restart_and_a_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (mut journal, records) = Journal::<(u64, String)>::open(&path).unwrap();
        assert_eq!(records, []);
        let record = |number: u64| (number, "x\ny".to_owned());
        journal.add(&record(1)).unwrap();
        journal.file.write_all(b"[2,\"torn").unwrap();
        let (mut journal, records) = Journal::open(&path).unwrap();
        assert_eq!(records, [record(1)]);
        journal.add(&record(3)).unwrap();
        let (_, records) = Journal::<(u64, String)>::open(&path).unwrap();
        assert_eq!(records, [record(1), record(3)]);
    }
}
