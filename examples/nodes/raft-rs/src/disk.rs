//! The library's storage in memory, and on disk what makes it: entries, hard state and snapshot in a redb file. A commit
//! of redb syncs the file.

use protobuf::Message;
use raft::eraftpb::{Entry, HardState, Snapshot};
use raft::storage::MemStorage;
use raft::{GetEntriesContext, RaftState, Storage};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

fn parse<M: Message>(bytes: &[u8]) -> M {
    M::parse_from_bytes(bytes).expect("redb returns what was written")
}

fn bytes(message: &impl Message) -> Vec<u8> {
    message.write_to_bytes().expect("all fields are set")
}

pub struct Disk {
    pub memory: MemStorage,
    pub snapshot: Snapshot,
    file: Database,
}

impl Disk {
    /// The first start begins with a snapshot of nothing that names the members.
    pub fn open(data: &str, members: Vec<u64>) -> Result<Self, Box<dyn std::error::Error>> {
        let file = Database::create(format!("{data}/raft.redb"))?;
        let mut disk = Self { memory: MemStorage::new(), snapshot: Snapshot::default(), file };
        disk.snapshot.data = b"{}"[..].into();
        let meta = disk.snapshot.mut_metadata();
        (meta.index, meta.term) = (1, 1);
        meta.mut_conf_state().voters = members;
        let creation = disk.file.begin_write()?;
        creation.open_table(LOG)?;
        creation.open_table(META)?;
        creation.commit()?;

        let reading = disk.file.begin_read()?;
        let meta = reading.open_table(META)?;
        if let Some(snapshot) = meta.get("snapshot")? {
            disk.snapshot = parse(snapshot.value());
        }
        disk.memory.wl().apply_snapshot(disk.snapshot.clone())?;
        if let Some(hard) = meta.get("hard")? {
            let mut hard: HardState = parse(hard.value());
            hard.commit = hard.commit.max(disk.snapshot.get_metadata().index);
            disk.memory.wl().set_hardstate(hard);
        }
        for entry in reading.open_table(LOG)?.iter()? {
            disk.memory.wl().append(&[parse(entry?.1.value())])?;
        }
        Ok(disk)
    }

    /// Makes it durable, and shows it to the library. A snapshot of the leader's replaces the log, one of our own the
    /// part before it.
    pub fn save(
        &mut self,
        hard: Option<&HardState>,
        snapshot: Option<(Snapshot, bool)>,
        entries: &[Entry],
    ) -> Result<(), Box<dyn std::error::Error>> {
        let transaction = self.file.begin_write()?;
        {
            let (mut log, mut meta) = (transaction.open_table(LOG)?, transaction.open_table(META)?);
            if let Some(hard) = hard {
                meta.insert("hard", &bytes(hard)[..])?;
            }
            if let Some((snapshot, received)) = &snapshot {
                meta.insert("snapshot", &bytes(snapshot)[..])?;
                log.retain(|index, _| !received && index > snapshot.get_metadata().index)?;
            }
            if let Some(first) = entries.first() {
                log.retain_in(first.index.., |_, _| false)?;
            }
            for entry in entries {
                log.insert(entry.index, &bytes(entry)[..])?;
            }
        }
        transaction.commit()?;
        if let Some((snapshot, received)) = snapshot {
            if received {
                self.memory.wl().apply_snapshot(snapshot.clone())?;
            }
            self.snapshot = snapshot;
        }
        self.memory.wl().append(entries)?;
        if let Some(hard) = hard {
            self.memory.wl().set_hardstate(hard.clone());
        }
        Ok(())
    }
}

impl Storage for Disk {
    fn initial_state(&self) -> raft::Result<RaftState> {
        self.memory.initial_state()
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        self.memory.entries(low, high, max_size, context)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let meta = self.snapshot.get_metadata();
        if index == meta.index { Ok(meta.term) } else { self.memory.term(index) }
    }

    fn first_index(&self) -> raft::Result<u64> {
        self.memory.first_index()
    }

    fn last_index(&self) -> raft::Result<u64> {
        self.memory.last_index()
    }

    fn snapshot(&self, index: u64, _to: u64) -> raft::Result<Snapshot> {
        if self.snapshot.get_metadata().index < index {
            return Err(raft::StorageError::SnapshotTemporarilyUnavailable.into());
        }
        Ok(self.snapshot.clone())
    }
}
