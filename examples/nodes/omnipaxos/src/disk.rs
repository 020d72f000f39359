//! omnipaxos' storage in memory, and on disk every operation that made it: a row of a redb file for each, synced by the
//! transaction. A restart executes them again.

use crate::Command;
use omnipaxos::ballot_leader_election::Ballot;
use omnipaxos::storage::{Entry, StopSign, Storage, StorageOp, StorageResult};
use omnipaxos_storage::memory_storage::MemoryStorage;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("operations");

type Snapshot = <Command as Entry>::Snapshot;

#[derive(Serialize, Deserialize)]
#[serde(remote = "StorageOp<Command>")]
enum Operation {
    AppendEntry(Command),
    AppendEntries(Vec<Command>),
    AppendOnPrefix(usize, Vec<Command>),
    SetPromise(Ballot),
    SetDecidedIndex(usize),
    SetAcceptedRound(Ballot),
    SetCompactedIdx(usize),
    Trim(usize),
    SetStopsign(Option<StopSign>),
    SetSnapshot(Option<Snapshot>),
}

pub struct Disk {
    memory: MemoryStorage<Command>,
    file: Database,
    next: u64,
}

impl Disk {
    pub fn open(data: &str) -> StorageResult<Self> {
        let file = Database::create(format!("{data}/paxos.redb"))?;
        let creation = file.begin_write()?;
        creation.open_table(ROWS)?;
        creation.commit()?;
        let mut disk = Self { memory: MemoryStorage::default(), file, next: 0 };
        for row in disk.file.begin_read()?.open_table(ROWS)?.iter()? {
            let operation =
                Operation::deserialize(&mut serde_json::Deserializer::from_slice(row?.1.value()))?;
            disk.memory.write_atomically(vec![operation])?;
            disk.next += 1;
        }
        Ok(disk)
    }
}

impl Storage<Command> for Disk {
    fn write_atomically(&mut self, operations: Vec<StorageOp<Command>>) -> StorageResult<()> {
        let transaction = self.file.begin_write()?;
        {
            let mut rows = transaction.open_table(ROWS)?;
            for operation in &operations {
                let mut row = Vec::new();
                Operation::serialize(operation, &mut serde_json::Serializer::new(&mut row))?;
                rows.insert(self.next, &row[..])?;
                self.next += 1;
            }
        }
        transaction.commit()?;
        self.memory.write_atomically(operations)
    }

    fn append_entry(&mut self, entry: Command) -> StorageResult<()> {
        self.write_atomically(vec![StorageOp::AppendEntry(entry)])
    }

    fn append_entries(&mut self, entries: Vec<Command>) -> StorageResult<()> {
        self.write_atomically(vec![StorageOp::AppendEntries(entries)])
    }

    fn append_on_prefix(&mut self, from: usize, entries: Vec<Command>) -> StorageResult<()> {
        self.write_atomically(vec![StorageOp::AppendOnPrefix(from, entries)])
    }

    fn set_promise(&mut self, promise: Ballot) -> StorageResult<()> {
        self.write_atomically(vec![StorageOp::SetPromise(promise)])
    }

    fn set_decided_idx(&mut self, index: usize) -> StorageResult<()> {
        self.write_atomically(vec![StorageOp::SetDecidedIndex(index)])
    }

    fn get_decided_idx(&self) -> StorageResult<usize> {
        self.memory.get_decided_idx()
    }

    fn set_accepted_round(&mut self, round: Ballot) -> StorageResult<()> {
        self.write_atomically(vec![StorageOp::SetAcceptedRound(round)])
    }

    fn get_accepted_round(&self) -> StorageResult<Option<Ballot>> {
        self.memory.get_accepted_round()
    }

    fn get_entries(&self, from: usize, to: usize) -> StorageResult<Vec<Command>> {
        self.memory.get_entries(from, to)
    }

    fn get_log_len(&self) -> StorageResult<usize> {
        self.memory.get_log_len()
    }

    fn get_suffix(&self, from: usize) -> StorageResult<Vec<Command>> {
        self.memory.get_suffix(from)
    }

    fn get_promise(&self) -> StorageResult<Option<Ballot>> {
        self.memory.get_promise()
    }

    fn set_stopsign(&mut self, sign: Option<StopSign>) -> StorageResult<()> {
        self.write_atomically(vec![StorageOp::SetStopsign(sign)])
    }

    fn get_stopsign(&self) -> StorageResult<Option<StopSign>> {
        self.memory.get_stopsign()
    }

    fn trim(&mut self, index: usize) -> StorageResult<()> {
        self.write_atomically(vec![StorageOp::Trim(index)])
    }

    fn set_compacted_idx(&mut self, index: usize) -> StorageResult<()> {
        self.write_atomically(vec![StorageOp::SetCompactedIdx(index)])
    }

    fn get_compacted_idx(&self) -> StorageResult<usize> {
        self.memory.get_compacted_idx()
    }

    fn set_snapshot(&mut self, snapshot: Option<Snapshot>) -> StorageResult<()> {
        self.write_atomically(vec![StorageOp::SetSnapshot(snapshot)])
    }

    fn get_snapshot(&self) -> StorageResult<Option<Snapshot>> {
        self.memory.get_snapshot()
    }
}
