//! Records in a [write-ahead log](super::wal), for protocols whose changes only have to be applied in order.

use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;

use super::Disk;
use crate::wal::Wal;

/// A change of the persistent state. With `restart`, only that snapshot and this record count from now on.
#[derive(Clone, Debug)]
pub(crate) struct Write<S, R> {
    pub(crate) number: u64,
    pub(crate) record: R,
    pub(crate) restart: Option<Arc<S>>,
}

/// A log whose batches are lists of records.
#[derive(Debug)]
pub(crate) struct Journal<S, R> {
    wal: Wal,
    _holds: PhantomData<fn(S, R)>,
}

impl<S, R> Journal<S, R> {
    pub(crate) fn new(wal: Wal) -> Self {
        Journal { wal, _holds: PhantomData }
    }
}

impl<S, R> Disk for Journal<S, R>
where
    S: Serialize + Send + Sync + 'static,
    R: Serialize + Send + 'static,
{
    type Write = Write<S, R>;

    fn number(write: &Self::Write) -> u64 {
        write.number
    }

    fn write(&mut self, writes: Vec<Self::Write>) -> io::Result<()> {
        let mut batch = Vec::new();
        let mut restart = None;
        for write in writes {
            if write.restart.is_some() {
                batch.clear();
                restart = write.restart;
            }
            batch.push(write.record);
        }
        match restart {
            Some(snapshot) => self.wal.restart(&*snapshot, &batch),
            None => self.wal.append(&batch),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.wal.sync()
    }
}
