//! openraft's log, kept in the storage.

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, EntryPayload, LogState, OptionalSend, RaftLogReader};

use crate::blocking::blocking;
use crate::member_number::MemberNumber;
use crate::raft_types::{Entry, LogId, StorageError, StorageIOError, Types, Vote};
use crate::storage::{READ_BYTES_MAX, Storage, StorageFault};

/// The log of one member. Clones are the same log.
#[derive(Clone)]
pub(crate) struct LogStore {
    storage: Arc<Storage>,
    own: MemberNumber,
    own_batches: Arc<AtomicU64>,
}

impl LogStore {
    /// The log in this storage, of the member with this number.
    pub(crate) fn new(storage: Arc<Storage>, own: MemberNumber) -> Self {
        Self { storage, own, own_batches: Arc::default() }
    }

    /// How many batches were handed to this log that this member proposed as a leader, since it was started.
    ///
    /// openraft gives the same answer, "not the leader", for a batch that it never took and for one that it took and
    /// had to remove later. The second may have reached a member that is elected later and commits it. If this number
    /// did not change, it was the first.
    pub(crate) fn own_batches(&self) -> u64 {
        self.own_batches.load(Ordering::SeqCst)
    }

    fn is_own_batch(&self, entry: &Entry) -> bool {
        entry.log_id.leader_id.node_id == self.own && matches!(entry.payload, EntryPayload::Normal(_))
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        blocking(|| self.storage.entries(range, usize::MAX)).map_err(reading)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        blocking(|| self.storage.entries(start..end, READ_BYTES_MAX)).map_err(reading)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let (last_purged_log_id, last_log_id) = self.storage.log_bounds().map_err(reading)?;
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        blocking(|| self.storage.save_vote(*vote)).map_err(|fault| StorageIOError::write_vote(any(&fault)).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        self.storage.vote().map_err(|fault| StorageIOError::read_vote(any(&fault)).into())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.storage.note_committed(committed).map_err(writing)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        self.storage.committed().map_err(reading)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let own_batches = entries.iter().filter(|entry| self.is_own_batch(entry)).count();
        self.own_batches.fetch_add(u64::try_from(own_batches).unwrap_or(u64::MAX), Ordering::SeqCst);
        blocking(|| self.storage.append(&entries)).map_err(writing)?;
        // The entries are synced, and the counter is raised: step 4 of `Storage::persist`.
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, since: LogId) -> Result<(), StorageError> {
        blocking(|| self.storage.truncate(since.index)).map_err(writing)
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        self.storage.wait_for_snapshot(upto).await.map_err(writing)?;
        blocking(|| self.storage.purge(upto)).map_err(writing)
    }
}

fn any(fault: &StorageFault) -> AnyError {
    AnyError::new(fault)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn reading(fault: StorageFault) -> StorageError {
    StorageIOError::read_logs(any(&fault)).into()
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn writing(fault: StorageFault) -> StorageError {
    StorageIOError::write_logs(any(&fault)).into()
}
