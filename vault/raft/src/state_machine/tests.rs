use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use countermark_vault_core::machine::Machine;
use openraft::CommittedLeaderId;
use openraft::storage::{RaftLogStorage as _, RaftStateMachine as _};
use openraft::testing::{StoreBuilder, Suite};
use tokio::time::timeout;

use crate::log_store::LogStore;
use crate::member_number::MemberNumber;
use crate::raft_types::{LogId, Membership, SnapshotMeta, StorageError, Types};
use crate::simulated::device::{Counter, Sealer};
use crate::simulated::disk::Disk;
use crate::state_machine::{LoadError, StateMachine};
use crate::storage::Storage;

struct Builder;

impl StoreBuilder<Types, LogStore, StateMachine> for Builder {
    async fn build(&self) -> Result<((), LogStore, StateMachine), StorageError> {
        let (log, machine, _) = parts();
        Ok(((), log, machine))
    }
}

fn parts() -> (LogStore, StateMachine, Arc<Storage>) {
    let backend = Disk::default().backend();
    let storage = Storage::open(backend, Arc::new(Sealer(1)), Box::new(Counter::default()), [1; 32]).unwrap();
    let storage = Arc::new(storage);
    let machine = StateMachine::load(Arc::clone(&storage)).unwrap();
    (LogStore::new(Arc::clone(&storage), MemberNumber::from(1)), machine, storage)
}

fn log_id(index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(1, MemberNumber::from(1)), index)
}

fn meta(index: u64) -> SnapshotMeta {
    let (last_log_id, last_membership) = (Some(log_id(index)), Membership::default());
    SnapshotMeta { last_log_id, last_membership, snapshot_id: index.to_string() }
}

fn snapshot() -> Cursor<Vec<u8>> {
    Cursor::new(Machine::new().snapshot().to_vec())
}

#[test]
fn log_and_machine_pass_the_suite_of_openraft() {
    Suite::test_all(Builder).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_log_is_purged_after_the_snapshot_that_contains_it_was_saved() {
    let (mut log, mut machine, storage) = parts();
    machine.begin_receiving_snapshot().await.unwrap();
    let mut purge = Box::pin(log.purge(log_id(7)));
    timeout(Duration::from_mins(1), &mut purge).await.unwrap_err();
    // One that does not reach far enough.
    machine.install_snapshot(&meta(6), snapshot().into()).await.unwrap();
    timeout(Duration::from_mins(1), &mut purge).await.unwrap_err();
    assert_eq!(storage.log_bounds().unwrap(), (None, None));
    machine.install_snapshot(&meta(7), snapshot().into()).await.unwrap();
    purge.await.unwrap();
    assert_eq!(storage.log_bounds().unwrap(), (Some(log_id(7)), Some(log_id(7))));
    assert_eq!(machine.applied_state().await.unwrap().0, Some(log_id(7)));
}

#[tokio::test]
async fn a_received_snapshot_that_is_none_stops_the_storage_and_purges_nothing() {
    let (mut log, mut machine, storage) = parts();
    machine.begin_receiving_snapshot().await.unwrap();
    let purge = tokio::spawn(async move { log.purge(log_id(7)).await });
    tokio::task::yield_now().await;
    machine.install_snapshot(&meta(7), Box::new(Cursor::new(vec![9; 9]))).await.unwrap_err();
    purge.await.unwrap().unwrap_err();
    assert!(storage.is_stopped());
    assert_eq!(machine.read(|applied| applied.last), None);
}

#[test]
fn a_log_that_was_purged_further_than_the_snapshot_reaches_is_not_loaded() {
    for (saved, expect_gap) in [(None, true), (Some(6), true), (Some(7), false), (Some(8), false)] {
        let (_, _, storage) = parts();
        storage.purge(log_id(7)).unwrap();
        if let Some(saved) = saved {
            storage.save_snapshot(&meta(saved), snapshot().get_ref()).unwrap();
        }
        let loaded = StateMachine::load(storage).map(drop);
        assert_eq!(matches!(loaded, Err(LoadError::Gap)), expect_gap, "{saved:?}: {loaded:?}");
    }
}

#[test]
fn a_snapshot_of_another_version_is_not_loaded() {
    let (_, _, storage) = parts();
    storage.save_snapshot(&meta(1), &[9; 9]).unwrap();
    assert!(matches!(StateMachine::load(storage).map(drop), Err(LoadError::Snapshot(_))));
}
