//! What a member keeps: its vote, its log and its snapshot, sealed, in one redb database.
//!
//! The invariants are those of a disk that somebody else can read, change and restore: nothing is readable without the
//! device; no row can be replaced, not by its own older version either (the head row authenticates the log by a hash
//! chain and the snapshot by its digest); and no older database as a whole is accepted, because each durable
//! transaction raises a counter that is kept elsewhere.
//!
//! The machine itself is not here. It lives in memory and follows from the snapshot and the log.
//!
//! Limits: a snapshot is written in one transaction and held in memory as a whole meanwhile.

mod error;
mod log;
mod rows;
mod seal;
mod snapshot;

use std::fs::{File, OpenOptions};
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countermark_vault_core::device::{MonotonicCounter, SealedStore};
use redb::backends::FileBackend;
use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase as _, StorageBackend, TableError, WriteTransaction,
};
use tokio::sync::watch;
use zeroize::Zeroizing;

pub use error::{OpenError, StorageFault, StoragePart};

use crate::peers::message::encode;
use crate::raft_types::{Entry, LogId, SnapshotMeta, Vote};
use log::{LogChange, LogIndex};
use rows::{HEAD, HEAD_KEY, HEAD_VERSION, Head, LOG, SNAPSHOT, first_link, next_link};
use seal::{Place, Sealer};

/// The memory that redb may use for pages, in bytes. The machine is in memory anyway; the log is read once or twice.
const CACHE_BYTES: usize = 16 << 20;
/// The most bytes of entries that are read at once, one entry aside: what goes into one replication call.
pub(crate) const READ_BYTES_MAX: usize = 256 << 10;

/// One member's storage. There is one of it per member, for as long as the member runs.
pub struct Storage {
    database: Database,
    sealer: Sealer,
    state: Mutex<State>,
    /// Something failed, and what is on the disk is not known any more.
    stopped: AtomicBool,
    /// Another member's snapshot was on its way at least once.
    receives_snapshots: AtomicBool,
    snapshot_saved: watch::Sender<()>,
}

/// A snapshot's name and bytes.
type KeptSnapshot = (SnapshotMeta, Zeroizing<Vec<u8>>);

struct State {
    head: Head,
    log: LogIndex,
    counter: Box<dyn MonotonicCounter>,
}

impl Storage {
    /// Opens the database of the member with this identity key (its 32 public bytes), or makes a new one if both the
    /// database is empty and the counter is 0, as they are for a member that never ran.
    ///
    /// Everything in it is verified before this returns. A database that is one generation ahead of its counter is
    /// accepted: the member died between the two, and had told nobody. A backend that redb had not made a database of
    /// when the member died is refused; [`file_backend`] gives no such file.
    pub fn open(
        backend: impl StorageBackend,
        sealed_store: Arc<dyn SealedStore>,
        mut counter: Box<dyn MonotonicCounter>,
        identity: [u8; 32],
    ) -> Result<Self, OpenError> {
        let reached = counter.read().map_err(StorageFault::from)?;
        let sealer = Sealer::new(sealed_store, identity);
        // A file that another program changed is then an error, and not whatever redb makes of it.
        let database = redb::Builder::new()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)
            .map_err(StorageFault::from)?;
        let transaction = database.begin_read().map_err(StorageFault::from)?;
        let Some(head) = read_head(&transaction, &sealer)? else {
            drop(transaction);
            return Self::create(database, sealer, counter, reached);
        };
        check_generation(head.generation, reached)?;
        let log = LogIndex::load(&transaction, &head, &sealer).map_err(OpenError::reading)?;
        snapshot::read(&transaction, &sealer, head.snapshot.as_ref()).map_err(OpenError::reading)?;
        drop(transaction);
        if reached < head.generation {
            // The rest of a durable transaction that was interrupted between its steps 2 and 3.
            counter.raise(head.generation).map_err(StorageFault::from)?;
        }
        let storage = Self::new(database, sealer, State { head, log, counter });
        // Who keeps the disk may also have a database of the next generation: this member wrote and synced it, and was
        // killed before step 3 of `persist`. It would be accepted in the place of the one that is written next, and has
        // forgotten what that one is going to acknowledge. So one generation is used up for nothing at each start:
        // whatever is acknowledged from here on stands in a later one, and the other database is refused from then on.
        storage.persist(|_, _, _| Ok(LogChange::Nothing))?;
        Ok(storage)
    }

    fn new(database: Database, sealer: Sealer, state: State) -> Self {
        let (stopped, receives_snapshots, snapshot_saved) = Default::default();
        Self { database, sealer, state: Mutex::new(state), stopped, receives_snapshots, snapshot_saved }
    }

    fn create(
        database: Database,
        sealer: Sealer,
        counter: Box<dyn MonotonicCounter>,
        reached: u64,
    ) -> Result<Self, OpenError> {
        if reached > 0 {
            return Err(OpenError::Lost { counter: reached });
        }
        let head = Head::new();
        let log = LogIndex::new(head.base);
        let storage = Self::new(database, sealer, State { head, log, counter });
        storage.persist(|_, _, transaction| {
            transaction.open_table(LOG)?;
            transaction.open_table(SNAPSHOT)?;
            Ok(LogChange::Nothing)
        })?;
        Ok(storage)
    }

    /// The vote that was saved last.
    pub(crate) fn vote(&self) -> Result<Option<Vote>, StorageFault> {
        Ok(self.running()?.head.vote)
    }

    /// Saves a vote.
    pub(crate) fn save_vote(&self, vote: Vote) -> Result<(), StorageFault> {
        self.persist(|_, head, _| {
            head.vote = Some(vote);
            Ok(LogChange::Nothing)
        })
    }

    /// Up to where the log was committed, as far as this member noted it.
    pub(crate) fn committed(&self) -> Result<Option<LogId>, StorageFault> {
        Ok(self.running()?.head.committed)
    }

    /// Notes up to where the log is committed. It becomes durable with whatever is written next: a member that forgets
    /// it hears it again from the leader.
    pub(crate) fn note_committed(&self, committed: Option<LogId>) -> Result<(), StorageFault> {
        self.running()?.head.committed = committed;
        Ok(())
    }

    /// The last purged entry, and the last entry at all.
    pub(crate) fn log_bounds(&self) -> Result<(Option<LogId>, Option<LogId>), StorageFault> {
        let state = self.running()?;
        Ok((state.head.purged, state.head.last))
    }

    /// Entries of a range that are kept, in their order; not all of them if they are many bytes.
    pub(crate) fn entries(&self, range: impl RangeBounds<u64>, bytes_max: usize) -> Result<Vec<Entry>, StorageFault> {
        let state = self.running()?;
        let entries = state.log.read(&self.database, &self.sealer, range, bytes_max);
        self.stop_if(entries.is_err());
        entries
    }

    /// Adds entries at the end of the log.
    pub(crate) fn append(&self, entries: &[Entry]) -> Result<(), StorageFault> {
        self.persist(|_, head, transaction| {
            let mut table = transaction.open_table(LOG)?;
            let mut appended = Vec::with_capacity(entries.len());
            for entry in entries {
                let plaintext = encode(entry);
                let index = entry.log_id.index;
                let sealed = self.sealer.seal(Place::Log { index }, &plaintext)?;
                table.insert(index, sealed.as_slice())?;
                head.tip = next_link(&head.tip, &plaintext);
                head.last = Some(entry.log_id);
                appended.push((entry.log_id, head.tip));
            }
            Ok(LogChange::Append(appended))
        })
    }

    /// Forgets the entry with this index and all later ones.
    pub(crate) fn truncate(&self, since: u64) -> Result<(), StorageFault> {
        self.persist(|log, head, transaction| {
            remove(transaction, log.kept(since..))?;
            let (last, tip) = log.end_before(since);
            (head.last, head.tip) = (last.or(head.purged), tip);
            Ok(LogChange::Truncate(since))
        })
    }

    /// Forgets this entry and all earlier ones: a snapshot contains them.
    pub(crate) fn purge(&self, upto: LogId) -> Result<(), StorageFault> {
        self.persist(|log, head, transaction| {
            remove(transaction, log.kept(..=upto.index))?;
            let kept = log.base_after(upto.index);
            head.purged = Some(upto);
            head.base = kept.unwrap_or_else(|| first_link(Some(&upto)));
            if kept.is_none() {
                // A snapshot of another member that reaches further than this log.
                (head.last, head.tip) = (Some(upto), head.base);
            }
            Ok(LogChange::Purge(upto.index, head.base))
        })
    }

    /// The snapshot.
    pub(crate) fn snapshot(&self) -> Result<Option<KeptSnapshot>, StorageFault> {
        let state = self.running()?;
        let bytes = self
            .database
            .begin_read()
            .map_err(StorageFault::from)
            .and_then(|transaction| snapshot::read(&transaction, &self.sealer, state.head.snapshot.as_ref()));
        self.stop_if(bytes.is_err());
        Ok(state.head.snapshot.as_ref().map(|head| head.meta.clone()).zip(bytes?))
    }

    /// Keeps this snapshot in the place of the one before, unless that one reaches further.
    pub(crate) fn save_snapshot(&self, meta: &SnapshotMeta, bytes: &[u8]) -> Result<(), StorageFault> {
        let newer = self.running()?.head.snapshot.as_ref().is_some_and(|kept| kept.meta.last_log_id > meta.last_log_id);
        if newer {
            return Ok(());
        }
        self.persist(|_, head, transaction| {
            head.snapshot = Some(snapshot::write(transaction, &self.sealer, head.generation, meta, bytes)?);
            Ok(LogChange::Nothing)
        })
    }

    /// Says that another member's snapshot is on its way.
    pub(crate) fn expect_snapshot(&self) {
        self.receives_snapshots.store(true, Ordering::SeqCst);
    }

    /// Says that the snapshot on its way was saved, or never will be, which stops the storage.
    pub(crate) fn finish_snapshot(&self, saved: bool) {
        self.stop_if(!saved);
        self.snapshot_saved.send_replace(());
    }

    /// Waits until the snapshot contains this entry, if that snapshot is on its way.
    ///
    /// openraft purges the log behind a received snapshot while the snapshot is still being saved. A crash between the
    /// two would leave a log without a beginning.
    pub(crate) async fn wait_for_snapshot(&self, upto: LogId) -> Result<(), StorageFault> {
        let mut saved = self.snapshot_saved.subscribe();
        loop {
            saved.mark_unchanged();
            let reaches =
                self.running()?.head.snapshot.as_ref().is_some_and(|kept| kept.meta.last_log_id >= Some(upto));
            if reaches || !self.receives_snapshots.load(Ordering::SeqCst) {
                return Ok(());
            }
            // The sender is a part of this storage.
            let _ = saved.changed().await;
        }
    }

    /// Whether the snapshot contains everything that was purged from the log, without which there is no machine.
    pub(crate) fn has_gap(&self) -> Result<bool, StorageFault> {
        let state = self.running()?;
        Ok(state.head.snapshot.as_ref().and_then(|kept| kept.meta.last_log_id) < state.head.purged)
    }

    /// Whether a fault stopped the storage.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// The one way in which anything becomes durable. `change` gets the log's index, the next head (with the next
    /// generation) and the transaction.
    fn persist(
        &self,
        change: impl FnOnce(&LogIndex, &mut Head, &WriteTransaction) -> Result<LogChange, StorageFault>,
    ) -> Result<(), StorageFault> {
        let mut state = self.running()?;
        // Whatever fails or panics below stops the storage: a failed write may be on the disk nevertheless, and only
        // opening the database again tells. Others must not see it as stopped before that: writing takes a while.
        let unsettled = Unsettled { stopped: &self.stopped };
        let mut head = state.head.clone();
        head.generation = head.generation.checked_add(1).ok_or(StorageFault::Exhausted)?;

        // 1. Write, and in the same transaction the next generation. A crash here leaves the database as it was, equal
        //    to the counter.
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        let log_change = change(&state.log, &mut head, &transaction)?;
        let sealed = self.sealer.seal(Place::Head { generation: head.generation }, &encode(&head))?;
        transaction.open_table(HEAD)?.insert(HEAD_KEY, (head.generation, sealed.as_slice()))?;

        // 2. Sync. A crash in here leaves either database, the old one or the new one. After it the database is one
        //    ahead of the counter, and nobody was told: `open` accepts it. An older copy in its place is accepted too
        //    if it is equal to the counter, and has forgotten nothing that was acknowledged.
        transaction.commit()?;

        // 3. Raise the counter. From here on the database of step 1 is refused: it would have forgotten something that
        //    somebody may have been told. A crash in here leaves either counter, and both are accepted.
        state.counter.raise(head.generation)?;

        // 4. Only now openraft is told, by returning, and openraft tells other members. A crash before that loses
        //    nothing but the telling.
        state.log.follow(log_change);
        state.head = head;
        unsettled.settle();
        Ok(())
    }

    fn running(&self) -> Result<MutexGuard<'_, State>, StorageFault> {
        // Who panicked while holding the lock stopped the storage before the lock was free.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_stopped() { Err(StorageFault::Stopped) } else { Ok(state) }
    }

    fn stop_if(&self, failed: bool) {
        self.stopped.fetch_or(failed, Ordering::SeqCst);
    }
}

/// A change on its way to the disk. Dropped before it is settled, by an error or a panic, it stops the storage.
struct Unsettled<'a> {
    stopped: &'a AtomicBool,
}

impl Unsettled<'_> {
    fn settle(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
    }
}

/// The file of a database, made if it is missing. It is locked against other processes for as long as it is open.
pub fn file_backend(path: &Path) -> Result<FileBackend, StorageFault> {
    let open = |path: &Path, options: &mut OpenOptions| {
        let file = options.read(true).write(true).open(path).map_err(StorageFault::File)?;
        FileBackend::new(file).map_err(StorageFault::from)
    };
    if !path.try_exists().map_err(StorageFault::File)? {
        // redb does not take a file for empty whose first writing was interrupted. So the file gets its name when it is
        // whole: a crash here leaves another name, which is written over.
        let unfinished = path.with_added_extension("new");
        let backend = open(&unfinished, OpenOptions::new().create(true).truncate(true))?;
        drop(redb::Builder::new().create_with_backend(backend)?);
        std::fs::rename(&unfinished, path).map_err(StorageFault::File)?;
        // A name that a crash takes away would be a lost disk.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(StorageFault::File)?;
    }
    open(path, &mut OpenOptions::new())
}

fn read_head(transaction: &ReadTransaction, sealer: &Sealer) -> Result<Option<Head>, OpenError> {
    const CHANGED: OpenError = OpenError::Changed { part: StoragePart::Head };
    let table = match transaction.open_table(HEAD) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(StorageFault::from(error).into()),
    };
    let row = table.get(HEAD_KEY).map_err(StorageFault::from)?.ok_or(CHANGED)?;
    let (generation, row) = row.value();
    let plaintext = sealer
        .unseal(Place::Head { generation }, row)
        .map_err(|error| OpenError::reading(StorageFault::unsealing(error, StoragePart::Head)))?;
    let found = *plaintext.first().ok_or(CHANGED)?;
    if found != HEAD_VERSION {
        return Err(OpenError::Version { expected: HEAD_VERSION, found });
    }
    let head: Head = postcard::from_bytes(&plaintext).map_err(|_| CHANGED)?;
    if head.generation == generation { Ok(Some(head)) } else { Err(CHANGED) }
}

fn check_generation(stored: u64, counter: u64) -> Result<(), OpenError> {
    if stored == counter || Some(stored) == counter.checked_add(1) {
        Ok(())
    } else {
        Err(OpenError::RolledBack { stored, counter })
    }
}

fn remove(transaction: &WriteTransaction, indexes: Vec<u64>) -> Result<(), StorageFault> {
    let mut table = transaction.open_table(LOG)?;
    for index in indexes {
        table.remove(index)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
