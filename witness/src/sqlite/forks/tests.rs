use std::sync::Arc;

use countermark_migrations::{Database, Open, open_sqlite};
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::fork::UntrustedForkEvidence;

use super::*;
use crate::ports::{CosignedHead, HeadId, HeadStore};
use crate::testkit::BEGIN;
use crate::testkit::log::TestLog;
use crate::testkit::stores::FatedRegister;

fn at() -> UnixSeconds {
    UnixSeconds::new(BEGIN).unwrap()
}

fn evidence(log: &TestLog, size: usize) -> VerifiedForkEvidence {
    let head = |log: &TestLog| SignedCheckpoint::parse(log.checkpoint(size).as_bytes()).unwrap();
    let made = UntrustedForkEvidence::new(&head(log), &head(&log.forked_at(0)), Vec::new()).unwrap();
    made.verify(&[log.vkey()]).unwrap()
}

fn cosigned(log: &TestLog, size: usize) -> CosignedHead {
    CosignedHead {
        id: HeadId { size: TreeSize::new(u64::try_from(size).unwrap()).unwrap(), root: log.root(size) },
        cosigned_at: at(),
        checkpoint: log.checkpoint(size).into_bytes(),
        cosignatures: String::new(),
    }
}

#[tokio::test]
async fn evidence_outlives_the_process_and_stops_the_log_below_the_program() {
    let register = Arc::new(FatedRegister::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    let (log, other) = (TestLog::new("log.example/l"), TestLog::new("other.example/l"));
    let first = cosigned(&log, 3);
    let kept = evidence(&log, 3);
    {
        let pool = open_sqlite(&path, Database::Witness, Open::CreateNew).await.unwrap();
        let store = SqliteHeads::open(pool.clone(), Arc::<FatedRegister>::clone(&register)).await.unwrap();
        store.swap(&log.origin(), None, &first).await.unwrap();
        assert_eq!(store.fork_of(&log.origin()).await.unwrap(), None);
        assert_eq!(store.keep_fork(&kept, at()).await.unwrap(), Kept::New);
        assert_eq!(store.keep_fork(&kept, at()).await.unwrap(), Kept::Already);
        pool.close().await;
    }
    let pool = open_sqlite(&path, Database::Witness, Open::Existing).await.unwrap();
    let store = SqliteHeads::open(pool.clone(), Arc::<FatedRegister>::clone(&register)).await.unwrap();
    assert_eq!(store.fork_of(&log.origin()).await.unwrap(), Some(kept.id()));
    assert_eq!(store.forks().await.unwrap(), [kept.id()]);
    assert_eq!(store.fork(kept.id()).await.unwrap().unwrap(), kept.to_bytes());
    assert_eq!(store.cosigned_at(&log.origin(), first.id.size).await.unwrap().unwrap(), first.checkpoint);
    assert_eq!(store.cosigned_at(&log.origin(), TreeSize::ZERO).await.unwrap(), None);
    // A swap that was decided on before the evidence was there.
    let refused = store.swap(&log.origin(), Some(first.id), &cosigned(&log, 4)).await;
    assert!(matches!(refused, Err(StoreError::Write(_))), "{refused:?}");
    // Also of a log of which nothing was cosigned yet; other logs go on.
    store.keep_fork(&evidence(&other, 2), at()).await.unwrap();
    assert!(store.swap(&other.origin(), None, &cosigned(&other, 1)).await.is_err());
    let third = TestLog::new("third.example/l");
    store.swap(&third.origin(), None, &cosigned(&third, 1)).await.unwrap();
    for statement in ["DELETE FROM fork", "UPDATE fork SET found_at = 1"] {
        assert!(sqlx::query(statement).execute(&pool).await.is_err(), "{statement}");
    }
    pool.close().await;
}

#[tokio::test]
async fn the_evidence_of_a_log_is_bounded() {
    let register = Arc::new(FatedRegister::default());
    let folder = tempfile::tempdir().unwrap();
    let pool = open_sqlite(&folder.path().join("state.sqlite"), Database::Witness, Open::CreateNew).await.unwrap();
    let store = SqliteHeads::open(pool.clone(), Arc::<FatedRegister>::clone(&register)).await.unwrap();
    let log = TestLog::new("log.example/l");
    for size in 1..=FORKS_OF_A_LOG_MAX {
        assert_eq!(store.keep_fork(&evidence(&log, size), at()).await.unwrap(), Kept::New);
    }
    assert_eq!(store.keep_fork(&evidence(&log, FORKS_OF_A_LOG_MAX + 1), at()).await.unwrap(), Kept::Enough);
    assert_eq!(store.forks().await.unwrap().len(), FORKS_OF_A_LOG_MAX);
    pool.close().await;
}
