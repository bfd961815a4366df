//! What every ledger must do, checked on each of them; and what the database refuses below the program.

use std::sync::Arc;

use countermark_migrations::{Database, Open, open_sqlite};
use sqlx::SqlitePool;
use tempfile::TempDir;

use super::memory::MemoryLedger;
use super::sqlite::SqliteLedger;
use super::*;
use crate::ports::{AdvanceError, CommitRowError, Ledger, RecordRefusalError};
use crate::testing::*;

async fn sqlite(folder: &TempDir) -> SqlitePool {
    let path = folder.path().join("ledger.sqlite");
    let open = if path.exists() { Open::Existing } else { Open::CreateNew };
    open_sqlite(&path, Database::Countersigner, open).await.unwrap()
}

/// Every ledger, empty, and what must live as long as it does.
async fn ledgers() -> Vec<(Arc<dyn Ledger>, Option<TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let pool = sqlite(&folder).await;
    vec![(Arc::new(MemoryLedger::default()), None), (Arc::new(SqliteLedger::new(pool)), Some(folder))]
}

fn row(number: u64, digest: &[u8]) -> NewRow {
    NewRow {
        epoch: epoch(number),
        digest: Digest::of(digest),
        index: index(number * 2),
        decision: decision(),
        decided_at: at(NOW),
        receipt: b"receipt".to_vec(),
    }
}

fn refused(number: u64, digest: &[u8]) -> Refusal {
    Refusal {
        epoch: epoch(number),
        digest: Digest::of(digest),
        index: index(number * 2),
        refused_at: at(NOW),
        reason: RefusalReason::Policy {
            policy: Digest::of(b"policy"),
            rules: vec!["rule".to_owned()],
            reasons: vec!["a \"reason\"".to_owned()],
        },
    }
}

fn head(of_size: u64, seconds: u64) -> KeptHead {
    KeptHead {
        origin: ORIGIN.to_owned(),
        size: size(of_size),
        root: RootHash(countermark_tlog::hash::Hash([u8::try_from(of_size).unwrap(); 32])),
        head_time: at(seconds),
        checkpoint: b"note".to_vec(),
    }
}

#[tokio::test]
async fn one_digest_and_one_place_for_one_epoch() {
    for (ledger, _folder) in ledgers().await {
        let first = ledger.commit_row(&row(1, b"a")).await.unwrap();
        // The same statement again is the same row: a crash between row and signature burns nothing.
        let later = NewRow { decided_at: at(NOW + 9), ..row(1, b"a") };
        assert_eq!(ledger.commit_row(&later).await.unwrap(), first);
        let error = ledger.commit_row(&row(1, b"b")).await.unwrap_err();
        assert!(matches!(error, CommitRowError::OtherStatement { .. }));
        let elsewhere = NewRow { index: index(9), ..row(1, b"a") };
        let error = ledger.commit_row(&elsewhere).await.unwrap_err();
        assert!(matches!(error, CommitRowError::OtherStatement { .. }));
        let Some(Decided::Row(kept)) = ledger.decided(epoch(1)).await.unwrap() else { panic!("no row") };
        assert_eq!((kept.digest, kept.decided_at), (Digest::of(b"a"), at(NOW)));
        assert_eq!(kept.decision, decision());
    }
}

#[tokio::test]
async fn no_row_below_the_newest_also_not_again() {
    for (ledger, _folder) in ledgers().await {
        assert!(ledger.newest_row().await.unwrap().is_none());
        ledger.commit_row(&row(2, b"a")).await.unwrap();
        ledger.commit_row(&row(5, b"b")).await.unwrap();
        for number in [1, 2, 4] {
            let error = ledger.commit_row(&row(number, b"a")).await.unwrap_err();
            assert!(
                matches!(error, CommitRowError::BelowNewest { newest, .. } if newest == epoch(5)),
                "epoch {number}: {error}"
            );
        }
        assert_eq!(ledger.newest_row().await.unwrap().unwrap().epoch, epoch(5));
        assert!(ledger.decided(epoch(1)).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_decision_is_final_in_both_directions() {
    for (ledger, _folder) in ledgers().await {
        ledger.record_refusal(&refused(1, b"a")).await.unwrap();
        ledger.record_refusal(&refused(1, b"a")).await.unwrap();
        let error = ledger.commit_row(&row(1, b"a")).await.unwrap_err();
        assert!(matches!(error, CommitRowError::RefusedBefore { .. }));
        let error = ledger.record_refusal(&refused(1, b"b")).await.unwrap_err();
        assert!(matches!(error, RecordRefusalError::DecidedBefore { .. }));
        assert_eq!(ledger.decided(epoch(1)).await.unwrap(), Some(Decided::Refused(refused(1, b"a"))));

        ledger.commit_row(&row(2, b"a")).await.unwrap();
        let error = ledger.record_refusal(&refused(2, b"a")).await.unwrap_err();
        assert!(matches!(error, RecordRefusalError::DecidedBefore { .. }));
    }
}

#[tokio::test]
async fn a_verified_head_never_goes_back() {
    for (ledger, _folder) in ledgers().await {
        assert!(ledger.head().await.unwrap().is_none());
        ledger.advance(&head(3, NOW), &[]).await.unwrap();
        ledger.advance(&head(3, NOW + 1), &[]).await.unwrap();
        ledger.advance(&head(7, NOW + 1), &[]).await.unwrap();
        let other_root = KeptHead { root: head(9, NOW).root, ..head(7, NOW + 2) };
        let other_log = KeptHead { origin: "log.example/other".to_owned(), ..head(8, NOW + 2) };
        for refused in [head(6, NOW + 2), head(8, NOW), other_root, other_log] {
            let error = ledger.advance(&refused, &[]).await.unwrap_err();
            assert!(matches!(error, AdvanceError::Conflict { .. }), "{refused:?}");
        }
        assert_eq!(ledger.head().await.unwrap(), Some(head(7, NOW + 1)));
    }
}

#[tokio::test]
async fn a_sighting_is_kept_with_its_head_and_never_changed() {
    for (ledger, _folder) in ledgers().await {
        let sighting = |counted_from| Sighting {
            epoch: epoch(1),
            digest: Digest::of(b"a"),
            index: index(2),
            counted_from: at(counted_from),
        };
        ledger.advance(&head(3, NOW), &[sighting(NOW)]).await.unwrap();
        ledger.advance(&head(4, NOW), &[sighting(NOW + 9)]).await.unwrap();
        assert!(ledger.advance(&head(2, NOW), &[]).await.is_err());
        assert_eq!(ledger.sightings().await.unwrap(), [sighting(NOW)]);
    }
}

#[tokio::test]
async fn an_activation_is_noted_once() {
    for (ledger, _folder) in ledgers().await {
        ledger.commit_row(&row(1, b"a")).await.unwrap();
        ledger.mark_activated(epoch(1), index(3)).await.unwrap();
        ledger.mark_activated(epoch(1), index(9)).await.unwrap();
        assert_eq!(ledger.newest_row().await.unwrap().unwrap().activation, Some(index(3)));
    }
}

#[tokio::test]
async fn the_newest_decisions_come_newest_first_and_bounded() {
    for (ledger, _folder) in ledgers().await {
        for number in [1, 3, 5] {
            ledger.commit_row(&row(number, b"a")).await.unwrap();
            ledger.record_refusal(&refused(number + 1, b"a")).await.unwrap();
        }
        let (rows, refusals) = ledger.newest_decisions(2).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.epoch.get()).collect::<Vec<_>>(), [5, 3]);
        assert_eq!(refusals.iter().map(|refusal| refusal.epoch.get()).collect::<Vec<_>>(), [6, 4]);
    }
}

#[tokio::test]
async fn the_first_fork_is_kept() {
    for (ledger, _folder) in ledgers().await {
        assert!(ledger.fork().await.unwrap().is_none());
        let fork = |found: &[u8]| Fork {
            verified: b"verified".to_vec(),
            found: found.to_vec(),
            prefix_root: head(1, NOW).root,
            link: b"link".to_vec(),
            seen_at: at(NOW),
        };
        ledger.keep_fork(&fork(b"one")).await.unwrap();
        ledger.keep_fork(&fork(b"two")).await.unwrap();
        assert_eq!(ledger.fork().await.unwrap(), Some(fork(b"one")));
    }
}

#[tokio::test]
async fn everything_is_there_after_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let pool = sqlite(&folder).await;
    let ledger = SqliteLedger::new(pool.clone());
    ledger.advance(&head(3, NOW), &[]).await.unwrap();
    ledger.commit_row(&row(1, b"a")).await.unwrap();
    ledger.mark_activated(epoch(1), index(3)).await.unwrap();
    ledger.record_refusal(&refused(2, b"a")).await.unwrap();
    pool.close().await;
    let ledger = SqliteLedger::new(sqlite(&folder).await);
    assert_eq!(ledger.head().await.unwrap(), Some(head(3, NOW)));
    assert_eq!(ledger.newest_row().await.unwrap().unwrap().activation, Some(index(3)));
    assert_eq!(ledger.decided(epoch(2)).await.unwrap(), Some(Decided::Refused(refused(2, b"a"))));
    assert!(ledger.commit_row(&row(1, b"b")).await.is_err());
}

#[tokio::test]
async fn the_database_itself_changes_and_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pool = sqlite(&folder).await;
    let ledger = SqliteLedger::new(pool.clone());
    let sighting = Sighting { epoch: epoch(1), digest: Digest::of(b"a"), index: index(2), counted_from: at(NOW) };
    ledger.advance(&head(3, NOW), &[sighting]).await.unwrap();
    ledger.commit_row(&row(5, b"a")).await.unwrap();
    ledger.mark_activated(epoch(5), index(11)).await.unwrap();
    ledger.record_refusal(&refused(6, b"a")).await.unwrap();
    let fork = Fork { verified: vec![], found: vec![], prefix_root: head(1, NOW).root, link: vec![], seen_at: at(NOW) };
    ledger.keep_fork(&fork).await.unwrap();
    for forbidden in [
        "UPDATE verified_head SET size = 2",
        "UPDATE verified_head SET root = zeroblob(32)",
        "UPDATE verified_head SET head_time = 1",
        "UPDATE verified_head SET origin = 'log.example/other'",
        "DELETE FROM verified_head",
        "UPDATE sighting SET counted_from = 0",
        "DELETE FROM sighting",
        "UPDATE ledger_row SET digest = zeroblob(32)",
        "DELETE FROM ledger_row",
        "INSERT OR REPLACE INTO ledger_row VALUES (5, zeroblob(32), 9, zeroblob(32), 'r', 0, x'00')",
        "INSERT INTO ledger_row VALUES (4, zeroblob(32), 9, zeroblob(32), 'r', 0, x'00')",
        "INSERT INTO ledger_row VALUES (6, zeroblob(32), 9, zeroblob(32), 'r', 0, x'00')",
        "INSERT INTO refusal VALUES (5, zeroblob(32), 9, 0, '{}')",
        "UPDATE refusal SET reasons = ''",
        "DELETE FROM refusal",
        "UPDATE activation SET leaf_index = 12",
        "DELETE FROM activation",
        "UPDATE fork SET found = x'00'",
        "DELETE FROM fork",
    ] {
        assert!(sqlx::query(forbidden).execute(&pool).await.is_err(), "{forbidden}");
    }
}

#[tokio::test]
async fn a_database_that_fails_is_a_fault_and_never_an_empty_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let pool = sqlite(&folder).await;
    let ledger = SqliteLedger::new(pool.clone());
    pool.close().await;
    assert!(ledger.head().await.is_err());
    assert!(ledger.decided(epoch(1)).await.is_err());
    assert!(matches!(ledger.commit_row(&row(1, b"a")).await, Err(CommitRowError::Fault(_))));
    assert!(matches!(ledger.advance(&head(1, NOW), &[]).await, Err(AdvanceError::Fault(_))));
    assert!(matches!(ledger.record_refusal(&refused(1, b"a")).await, Err(RecordRefusalError::Fault(_))));
}
