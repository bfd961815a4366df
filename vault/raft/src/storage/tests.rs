mod faults;
mod rollback;
mod rows;

use std::sync::Arc;

use countermark_vault_core::machine::{Batch, Command, ReplicatedTime};
use openraft::{CommittedLeaderId, EntryPayload};

use super::{OpenError, Storage, StorageFault};
use crate::member_number::MemberNumber;
use crate::raft_types::{Entry, LogId, Membership, SnapshotMeta, Vote};
use crate::simulated::device::{Counter, Sealer};
use crate::simulated::disk::Disk;

/// A disk, a counter and what opens them.
#[derive(Default)]
struct Rig {
    disk: Disk,
    counter: Counter,
}

impl Rig {
    fn open(&self) -> Result<Storage, OpenError> {
        Storage::open(self.disk.backend(), Arc::new(Sealer(1)), Box::new(self.counter.clone()), [1; 32])
    }

    /// With a vote, a snapshot of two parts up to entry 1, and entries 2 to 5.
    fn filled() -> Self {
        let rig = Self::default();
        let storage = rig.open().unwrap();
        fill(&storage);
        rig
    }
}

fn fill(storage: &Storage) {
    storage.save_vote(Vote::new(1, member())).unwrap();
    storage.append(&(0..=5).map(|index| entry(1, index)).collect::<Vec<_>>()).unwrap();
    storage.save_snapshot(&meta(1), &snapshot_bytes(1)).unwrap();
    storage.purge(log_id(1, 1)).unwrap();
}

fn member() -> MemberNumber {
    MemberNumber::from(1)
}

fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term, member()), index)
}

fn entry(term: u64, index: u64) -> Entry {
    let now = ReplicatedTime::from_unix(term * 100 + index);
    Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(Batch { now, commands: vec![Command::Tick] }) }
}

fn meta(index: u64) -> SnapshotMeta {
    SnapshotMeta {
        last_log_id: Some(log_id(1, index)),
        last_membership: Membership::default(),
        snapshot_id: index.to_string(),
    }
}

/// A little more than one row.
fn snapshot_bytes(index: u64) -> Vec<u8> {
    vec![u8::try_from(index).unwrap(); super::rows::SNAPSHOT_ROW_BYTES + 1]
}

type Step = fn(&Storage) -> Result<(), StorageFault>;

/// Everything that a storage shows.
#[derive(Debug, PartialEq)]
struct Shown {
    vote: Option<Vote>,
    bounds: (Option<LogId>, Option<LogId>),
    log: Vec<Entry>,
    snapshot: Option<(SnapshotMeta, Vec<u8>)>,
}

fn show(storage: &Storage) -> Shown {
    let snapshot = storage.snapshot().unwrap().map(|(meta, bytes)| (meta, bytes.to_vec()));
    let (vote, bounds) = (storage.vote().unwrap(), storage.log_bounds().unwrap());
    Shown { vote, bounds, log: storage.entries(.., usize::MAX).unwrap(), snapshot }
}

#[test]
fn what_was_stored_is_there_after_a_restart() {
    let rig = Rig::default();
    let storage = rig.open().unwrap();
    let mut shown = show(&storage);
    assert_eq!(shown, Shown { vote: None, bounds: (None, None), log: vec![], snapshot: None });
    let mut generation = 1;
    let mut storage = storage;
    let steps: [Step; 10] = [
        |storage| storage.save_vote(Vote::new(1, member())),
        |storage| storage.append(&(0..=9).map(|index| entry(1, index)).collect::<Vec<_>>()),
        |storage| storage.truncate(7),
        |storage| storage.append(&[entry(2, 7), entry(2, 8)]),
        |storage| storage.save_snapshot(&meta(4), &snapshot_bytes(4)),
        |storage| storage.purge(log_id(1, 3)),
        |storage| storage.truncate(4),
        |storage| storage.append(&[entry(3, 4)]),
        // Another member's snapshot, which reaches further than the log.
        |storage| storage.purge(log_id(3, 20)),
        |storage| storage.append(&[entry(3, 21)]),
    ];
    for step in steps {
        step(&storage).unwrap();
        let after = show(&storage);
        assert_ne!(after, shown);
        drop(storage);
        storage = rig.open().unwrap();
        assert_eq!(show(&storage), after);
        shown = after;
        generation += 2;
        assert_eq!(rig.counter.value(), generation, "one durable transaction for the step, one for the start");
    }
    assert_eq!(shown.bounds, (Some(log_id(3, 20)), Some(log_id(3, 21))));
    assert_eq!(shown.log, [entry(3, 21)]);
}

#[test]
fn a_whole_log_can_be_truncated() {
    let rig = Rig::filled();
    let storage = rig.open().unwrap();
    storage.truncate(2).unwrap();
    storage.append(&[entry(2, 2)]).unwrap();
    drop(storage);
    let storage = rig.open().unwrap();
    assert_eq!(storage.log_bounds().unwrap(), (Some(log_id(1, 1)), Some(log_id(2, 2))));
}

#[test]
fn what_is_noted_as_committed_becomes_durable_with_the_next_write() {
    let rig = Rig::filled();
    let storage = rig.open().unwrap();
    storage.note_committed(Some(log_id(1, 3))).unwrap();
    assert_eq!(storage.committed().unwrap(), Some(log_id(1, 3)));
    drop(storage);
    let storage = rig.open().unwrap();
    assert_eq!(storage.committed().unwrap(), None, "it costs no sync of its own");
    storage.note_committed(Some(log_id(1, 3))).unwrap();
    storage.append(&[entry(1, 6)]).unwrap();
    drop(storage);
    assert_eq!(rig.open().unwrap().committed().unwrap(), Some(log_id(1, 3)));
}

#[test]
fn an_older_snapshot_does_not_replace_a_newer_one() {
    let rig = Rig::filled();
    let storage = rig.open().unwrap();
    storage.save_snapshot(&meta(4), &snapshot_bytes(4)).unwrap();
    storage.save_snapshot(&meta(3), &snapshot_bytes(3)).unwrap();
    assert_eq!(storage.snapshot().unwrap().unwrap().0, meta(4));
}

#[test]
fn a_read_is_as_long_as_asked_for_and_never_empty() {
    let storage = Rig::filled().open().unwrap();
    assert_eq!(storage.entries(3..5, usize::MAX).unwrap(), [entry(1, 3), entry(1, 4)]);
    assert_eq!(storage.entries(2.., 1).unwrap(), [entry(1, 2)]);
    assert_eq!(storage.entries(0..2, usize::MAX).unwrap(), [], "purged");
}

#[test]
fn a_storage_in_files_is_opened_again_and_by_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (database, counter) = (folder.path().join("log.redb"), folder.path().join("counter"));
    drop(crate::CounterFile::create(&counter).unwrap());
    // What a member left behind that died while it made the file.
    std::fs::write(folder.path().join("log.redb.new"), "half a database").unwrap();
    let open = || {
        let counter = crate::CounterFile::open(&counter).map_err(|_| ());
        let backend = super::file_backend(&database).map_err(|_| ());
        Storage::open(backend?, Arc::new(Sealer(1)), Box::new(counter?), [1; 32]).map_err(|_| ())
    };
    let storage = open().unwrap();
    fill(&storage);
    let shown = show(&storage);
    assert!(open().is_err());
    drop(storage);
    assert_eq!(show(&open().unwrap()), shown);
}
