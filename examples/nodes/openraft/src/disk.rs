//! The log, the vote and the snapshots in a redb file, and the state machine in memory. A commit of redb syncs the file.

use crate::Types;
use openraft::storage::{LogFlushed, RaftLogStorage, RaftStateMachine};
use openraft::{
    BasicNode, Entry, EntryPayload, LogId, LogState, OptionalSend, RaftLogReader, RaftSnapshotBuilder,
    Snapshot, SnapshotMeta, StorageError, StorageIOError, StoredMembership, Vote,
};
use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Cursor;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex};

const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

type Stored<T> = Result<T, StorageError<u64>>;

fn broken(error: redb::Error) -> StorageError<u64> {
    StorageIOError::write(&error).into()
}

fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("the types are plain data")
}

fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> T {
    serde_json::from_slice(bytes).expect("redb returns what was written")
}

#[derive(Clone)]
pub struct Disk(Arc<Database>);

impl Disk {
    pub fn open(data: &str) -> Result<Self, redb::Error> {
        let disk = Self(Arc::new(Database::create(format!("{data}/raft.redb"))?));
        disk.write(|_, _| Ok(()))?; // creates the tables
        Ok(disk)
    }

    fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, redb::Error> {
        Ok(self.0.begin_read()?.open_table(META)?.get(key)?.map(|bytes| from_bytes(bytes.value())))
    }

    fn put(&self, key: &str, value: &impl Serialize) -> Result<(), redb::Error> {
        self.write(|_, meta| meta.insert(key, &to_bytes(value)[..]).map(drop))
    }

    /// One transaction, durable when this returns.
    fn write(
        &self,
        change: impl FnOnce(&mut Table<u64, &[u8]>, &mut Table<&str, &[u8]>) -> Result<(), redb::StorageError>,
    ) -> Result<(), redb::Error> {
        tokio::task::block_in_place(|| {
            let transaction = self.0.begin_write()?;
            change(&mut transaction.open_table(LOG)?, &mut transaction.open_table(META)?)?;
            Ok(transaction.commit()?)
        })
    }
}

impl RaftLogReader<Types> for Disk {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Stored<Vec<Entry<Types>>> {
        let read = || -> Result<_, redb::Error> {
            let log = self.0.begin_read()?.open_table(LOG)?;
            log.range(range)?.map(|entry| Ok(from_bytes(entry?.1.value()))).collect()
        };
        read().map_err(broken)
    }
}

impl RaftLogStorage<Types> for Disk {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Stored<LogState<Types>> {
        let read = || -> Result<_, redb::Error> {
            let last_purged_log_id = self.get("purged")?;
            let log = self.0.begin_read()?.open_table(LOG)?;
            let last = log.last()?.map(|(_, bytes)| from_bytes::<Entry<Types>>(bytes.value()).log_id);
            Ok(LogState { last_purged_log_id, last_log_id: last.or(last_purged_log_id) })
        };
        read().map_err(broken)
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Stored<()> {
        self.put("vote", vote).map_err(broken)
    }

    async fn read_vote(&mut self) -> Stored<Option<Vote<u64>>> {
        self.get("vote").map_err(broken)
    }

    /// Optional in openraft. But without it a leader that restarts still leads and does not know what it had
    /// committed, and `ensure_linearizable` lets it read a state that has not caught up: `--forget-committed`.
    async fn save_committed(&mut self, committed: Option<LogId<u64>>) -> Stored<()> {
        if std::env::args().any(|argument| argument == "--forget-committed") {
            return Ok(());
        }
        self.put("committed", &committed).map_err(broken)
    }

    async fn read_committed(&mut self) -> Stored<Option<LogId<u64>>> {
        Ok(self.get::<Option<LogId<u64>>>("committed").map_err(broken)?.flatten())
    }

    async fn append<I>(&mut self, entries: I, flushed: LogFlushed<Types>) -> Stored<()>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let put = |log: &mut Table<u64, &[u8]>, _: &mut Table<&str, &[u8]>| {
            entries
                .into_iter()
                .try_for_each(|entry| log.insert(entry.log_id.index, &to_bytes(&entry)[..]).map(drop))
        };
        self.write(put).map_err(broken)?;
        flushed.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId<u64>) -> Stored<()> {
        self.write(|log, _| log.retain_in(log_id.index.., |_, _| false)).map_err(broken)
    }

    async fn purge(&mut self, log_id: LogId<u64>) -> Stored<()> {
        let purge = |log: &mut Table<u64, &[u8]>, meta: &mut Table<&str, &[u8]>| {
            meta.insert("purged", &to_bytes(&log_id)[..])?;
            log.retain_in(..=log_id.index, |_, _| false)
        };
        self.write(purge).map_err(broken)
    }
}

/// What the commands have made so far. A snapshot is the whole of it.
#[derive(Clone, Default, Serialize, Deserialize)]
struct State {
    applied: Option<LogId<u64>>,
    membership: StoredMembership<u64, BasicNode>,
    values: BTreeMap<String, String>,
}

impl State {
    /// Executes set K V, cas K FROM TO, add K N or append K V; false if a comparison failed.
    fn execute(&mut self, command: &str) -> bool {
        let words: Vec<&str> = command.split(' ').collect();
        let [name, key, value, ..] = words[..] else { return false };
        let old = self.values.get(key).cloned().unwrap_or_default();
        let new = match name {
            "cas" if old != value => return false,
            "cas" => words[3].to_owned(),
            "add" => (old.parse().unwrap_or(0) + value.parse().unwrap_or(0)).to_string(),
            "append" if !old.is_empty() => format!("{old},{value}"),
            _ => value.to_owned(),
        };
        self.values.insert(key.to_owned(), new);
        true
    }

    fn snapshot(&self) -> Snapshot<Types> {
        let meta = SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
            snapshot_id: self.applied.map_or_else(String::new, |id| id.to_string()),
        };
        Snapshot { meta, snapshot: Box::new(Cursor::new(to_bytes(self))) }
    }
}

#[derive(Clone)]
pub struct Machine {
    state: Arc<Mutex<State>>,
    disk: Disk,
}

impl Machine {
    pub fn load(disk: &Disk) -> Result<Self, redb::Error> {
        let state: Option<State> = disk.get("snapshot")?;
        Ok(Self { state: Arc::new(Mutex::new(state.unwrap_or_default())), disk: disk.clone() })
    }

    pub fn read(&self, key: &str) -> Option<String> {
        self.state.lock().expect("nobody panics with it").values.get(key).cloned()
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    async fn build_snapshot(&mut self) -> Stored<Snapshot<Types>> {
        let state = self.state.lock().expect("nobody panics with it").clone();
        self.disk.put("snapshot", &state).map_err(broken)?;
        Ok(state.snapshot())
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Stored<(Option<LogId<u64>>, StoredMembership<u64, BasicNode>)> {
        let state = self.state.lock().expect("nobody panics with it");
        Ok((state.applied, state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Stored<Vec<bool>>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut state = self.state.lock().expect("nobody panics with it");
        let apply = |entry: Entry<Types>| {
            state.applied = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => true,
                EntryPayload::Normal(command) => state.execute(&command),
                EntryPayload::Membership(membership) => {
                    state.membership = StoredMembership::new(Some(entry.log_id), membership);
                    true
                }
            }
        };
        Ok(entries.into_iter().map(apply).collect())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Stored<Box<Cursor<Vec<u8>>>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta<u64, BasicNode>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Stored<()> {
        let state: State = from_bytes(snapshot.get_ref());
        self.disk.put("snapshot", &state).map_err(broken)?;
        *self.state.lock().expect("nobody panics with it") = state;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Stored<Option<Snapshot<Types>>> {
        let state: Option<State> = self.disk.get("snapshot").map_err(broken)?;
        Ok(state.map(|state| state.snapshot()))
    }
}
