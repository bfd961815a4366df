//! openraft's state machine: the vault's machine in memory, and its snapshots in the storage.

use std::io::Cursor;
use std::sync::{Arc, PoisonError, RwLock};

use countermark_vault_core::machine::{Machine, Response, SnapshotError};
use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder};
use zeroize::Zeroizing;

use crate::blocking::blocking;
use crate::raft_types::{Entry, LogId, Membership, Snapshot, SnapshotMeta, StorageError, StorageIOError, Types};
use crate::storage::{Storage, StorageFault};

/// The machine of one member. Clones are the same machine.
#[derive(Clone)]
pub(crate) struct StateMachine {
    storage: Arc<Storage>,
    applied: Arc<RwLock<Applied>>,
}

/// What was applied.
#[derive(Default)]
pub(crate) struct Applied {
    pub(crate) machine: Machine,
    pub(crate) last: Option<LogId>,
    membership: Membership,
}

/// Why the machine was not loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Storage(#[from] StorageFault),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("the log was purged further than the snapshot reaches")]
    Gap,
}

impl StateMachine {
    /// The machine as the storage's snapshot has it; openraft applies the log again from there.
    pub(crate) fn load(storage: Arc<Storage>) -> Result<Self, LoadError> {
        if storage.has_gap()? {
            return Err(LoadError::Gap);
        }
        let applied = match storage.snapshot()? {
            Some((meta, bytes)) => Applied::restore(&meta, &bytes)?,
            None => Applied::default(),
        };
        Ok(Self { storage, applied: Arc::new(RwLock::new(applied)) })
    }

    /// Looks at the applied state.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Applied) -> T) -> T {
        read(&self.applied.read().unwrap_or_else(PoisonError::into_inner))
    }

    #[expect(clippy::result_large_err, reason = "openraft's error")]
    fn install(&self, meta: &SnapshotMeta, bytes: &[u8]) -> Result<(), StorageError> {
        let signature = || Some(meta.signature());
        // 1. Read it. A crash here leaves the old state, and the leader sends the snapshot again.
        let applied = Applied::restore(meta, bytes)
            .map_err(|error| StorageIOError::read_snapshot(signature(), AnyError::new(&error)))?;
        // 2. Keep it. After a crash here the member starts with it and asks for the log behind it.
        blocking(|| self.storage.save_snapshot(meta, bytes))
            .map_err(|fault| StorageIOError::write_snapshot(signature(), AnyError::new(&fault)))?;
        // 3. Show it.
        self.change(|current| *current = applied);
        Ok(())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Applied) -> T) -> T {
        change(&mut self.applied.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Applied {
    fn restore(meta: &SnapshotMeta, bytes: &[u8]) -> Result<Self, SnapshotError> {
        Ok(Self { machine: Machine::restore(bytes)?, last: meta.last_log_id, membership: meta.last_membership.clone() })
    }

    fn apply(&mut self, entry: Entry) -> Vec<Response> {
        self.last = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => Vec::new(),
            EntryPayload::Normal(batch) => self.machine.apply(&batch),
            EntryPayload::Membership(membership) => {
                self.membership = Membership::new(Some(entry.log_id), membership);
                Vec::new()
            }
        }
    }

    /// The name and the bytes of this state. The name follows from the last entry: equal logs make equal states.
    fn snapshot(&self) -> (SnapshotMeta, Zeroizing<Vec<u8>>) {
        let snapshot_id = self.last.map_or_else(|| "none".to_owned(), |last| last.to_string());
        let last_membership = self.membership.clone();
        (SnapshotMeta { last_log_id: self.last, last_membership, snapshot_id }, self.machine.snapshot())
    }
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError> {
        Ok(self.read(|applied| (applied.last, applied.membership.clone())))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Vec<Response>>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        // Nothing is written: what is applied is in the log, and the log is on the disk.
        Ok(self.change(|applied| entries.into_iter().map(|entry| applied.apply(entry)).collect()))
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        self.storage.expect_snapshot();
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let bytes = Zeroizing::new(snapshot.into_inner());
        let installed = self.install(meta, &bytes);
        self.storage.finish_snapshot(installed.is_ok());
        installed
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let snapshot = blocking(|| self.storage.snapshot())
            .map_err(|fault| StorageIOError::read_snapshot(None, AnyError::new(&fault)))?;
        Ok(snapshot.map(|(meta, bytes)| as_snapshot(meta, bytes)))
    }
}

impl RaftSnapshotBuilder<Types> for StateMachine {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let (meta, bytes) = blocking(|| self.read(Applied::snapshot));
        blocking(|| self.storage.save_snapshot(&meta, &bytes))
            .map_err(|fault| StorageIOError::write_snapshot(Some(meta.signature()), AnyError::new(&fault)))?;
        Ok(as_snapshot(meta, bytes))
    }
}

fn as_snapshot(meta: SnapshotMeta, mut bytes: Zeroizing<Vec<u8>>) -> Snapshot {
    Snapshot { meta, snapshot: Box::new(Cursor::new(std::mem::take(&mut *bytes))) }
}

#[cfg(test)]
mod tests;
