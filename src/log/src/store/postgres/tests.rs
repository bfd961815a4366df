//! What only PostgreSQL has: rights and triggers below the program, a server that dies or hangs. On a real server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countermark_keys::Role;
use countermark_migrations::postgres::{Deadlines, WRITE_CONNECTIONS_MAX};
use countermark_tests::postgres::SUPERUSER;
use countermark_tlog::note::SignatureType;
use sqlx::Executor as _;

use super::*;
use crate::head_register::FileRegister;
use crate::ports::HeadRegister as _;
use crate::sequencer::{self, Ports, WaitLevel};
use crate::stage::{LogKey, NewEntry, Tree, stage};
use crate::testing::audit::audit_registered;
use crate::testing::postgres::TestPostgres;
use crate::testing::world::entry;
use crate::testing::{TestSigner, World};

const NAME: &str = "log.example/a";
const A: WriterId = WriterId([1; 16]);
const B: WriterId = WriterId([2; 16]);

/// Shorter than a test's patience, long enough for a busy machine to answer.
const SHORT: Deadlines = Deadlines {
    lock: Duration::from_millis(300),
    statement: Duration::from_millis(1_500),
    call: Duration::from_millis(2_500),
};

/// Beyond every deadline of [`SHORT`].
const SOON: Duration = Duration::from_secs(20);

fn origin() -> Origin {
    Origin::new(NAME).unwrap()
}

/// A batch of raw entries `from` to `to`.
fn batch(tree: &Tree, from: u64, to: u64) -> SignedBatch {
    let entries = (from..to).map(|number| format!("entry {number}").into_bytes());
    let entries = entries.map(|bytes| NewEntry::raw(countermark_tlog::hash::leaf_hash(&bytes), bytes.into())).collect();
    let signer = TestSigner::new(Role::Log, 1);
    stage(&origin(), tree, entries)
        .unwrap()
        .sign(&[LogKey { signer: &signer, vkey: &signer.vkey(NAME, SignatureType::Ed25519) }])
        .unwrap()
}

/// A log of one entry and its writer's epoch.
async fn created(store: &PostgresStore) -> (Tree, WriterEpoch) {
    let first = batch(&Tree::empty(), 0, 1);
    store.create_namespace(LogKind::Raw, &first).await.unwrap();
    (first.tree().clone(), store.take_writer(&origin(), A, None).await.unwrap().epoch)
}

async fn entries(store: &PostgresStore) -> Vec<Vec<u8>> {
    store.entries(&origin(), LeafIndex::new(0).unwrap(), 1_000_000).await.unwrap()
}

/// What the newest head of the store commits to is in the store, whole, and nothing else is.
async fn assert_whole(store: &PostgresStore, head: &StoredHead) -> Tree {
    let tree = Tree::from_partial_tiles(head.size, store.partial_tiles(&origin()).await.unwrap()).unwrap();
    assert_eq!(tree.root(), head.root);
    let entries = entries(store).await;
    assert_eq!(u64::try_from(entries.len()).unwrap(), head.size.get());
    let mut edge = countermark_tlog::edge::RightEdge::empty();
    for bytes in &entries {
        edge.append(countermark_tlog::hash::leaf_hash(bytes), &mut |_, _| {}).unwrap();
    }
    assert_eq!(edge.root(), head.root);
    let last = countermark_tlog::hash::leaf_hash(entries.last().unwrap());
    let index = LeafIndex::new(head.size.get() - 1);
    assert_eq!(store.index_of_leaf_hash(&origin(), last).await.unwrap(), index);
    tree
}

#[tokio::test]
async fn nothing_that_was_signed_can_be_changed_or_deleted_even_by_the_owner() {
    let postgres = TestPostgres::migrated().await;
    let store = postgres.store().await;
    let (tree, epoch) = created(&store).await;
    let second = batch(&tree, 1, 300);
    store.commit(epoch, &second).await.unwrap();
    let publication = StoredPublication { size: second.head().size, note: b"note".to_vec() };
    store.record_publication(&origin(), &publication).await.unwrap();
    for statement in [
        "UPDATE countermark_log.entry SET bytes = '\\x00'",
        "DELETE FROM countermark_log.entry",
        "TRUNCATE countermark_log.entry",
        "TRUNCATE countermark_log.log CASCADE",
        "TRUNCATE countermark_log.signed_head CASCADE",
        "TRUNCATE countermark_log.publication",
        "TRUNCATE countermark_log.full_tile",
        "TRUNCATE countermark_log.entry_key",
        "UPDATE countermark_log.entry_key SET leaf_index = 7",
        "DELETE FROM countermark_log.entry_key",
        "UPDATE countermark_log.full_tile SET hashes = hashes",
        "DELETE FROM countermark_log.full_tile",
        "UPDATE countermark_log.signed_head SET root = sha256('')",
        "DELETE FROM countermark_log.signed_head",
        "DELETE FROM countermark_log.publication",
        "UPDATE countermark_log.publication SET size = 1",
        "DELETE FROM countermark_log.log",
        "UPDATE countermark_log.log SET size = size - 1",
        "UPDATE countermark_log.log SET writer_epoch = 0",
        "UPDATE countermark_log.log SET origin = 'other'",
        "UPDATE countermark_log.log SET kind = 'fleet-keys'",
        "UPDATE countermark_log.log SET created_size = 0",
        // Replacing is changing.
        "INSERT INTO countermark_log.entry SELECT log_id, leaf_index, '\\x00' FROM countermark_log.entry \
         ON CONFLICT (log_id, leaf_index) DO UPDATE SET bytes = excluded.bytes",
        "INSERT INTO countermark_log.signed_head SELECT log_id, size, sha256(''), '' FROM countermark_log.signed_head \
         ON CONFLICT (log_id, size) DO UPDATE SET root = excluded.root",
    ] {
        let refused = postgres.sql("owner", statement).await;
        assert!(refused.is_err(), "{statement}");
    }
    assert_eq!(store.origins().await.unwrap(), [NAME]);
    let taken = store.take_writer(&origin(), A, Some(epoch)).await.unwrap();
    assert_eq!(taken.head, *second.head());
    assert_whole(&store, &taken.head).await;
}

#[tokio::test]
async fn a_log_grows_with_its_entries_and_a_head_or_not_at_all() {
    let postgres = TestPostgres::migrated().await;
    let store = postgres.store().await;
    created(&store).await;
    for statement in [
        // A size without entries, without a head.
        "UPDATE countermark_log.log SET size = size + 1",
        // Entries and heads that the log's size does not know.
        "INSERT INTO countermark_log.entry VALUES (1, 1, '\\x01')",
        "INSERT INTO countermark_log.entry VALUES (9, 0, '\\x01')",
        "INSERT INTO countermark_log.signed_head VALUES (1, 2, sha256(''), '')",
        "INSERT INTO countermark_log.signed_head VALUES (1, 0, sha256(''), '')",
        // A gap, in a statement that is right otherwise.
        "WITH grown AS (UPDATE countermark_log.log SET size = 3), \
         head AS (INSERT INTO countermark_log.signed_head VALUES (1, 3, sha256(''), '')) \
         INSERT INTO countermark_log.entry VALUES (1, 2, '\\x01')",
        // No head.
        "WITH grown AS (UPDATE countermark_log.log SET size = 2) \
         INSERT INTO countermark_log.entry VALUES (1, 1, '\\x01')",
        // No entries.
        "WITH grown AS (UPDATE countermark_log.log SET size = 2) \
         INSERT INTO countermark_log.signed_head VALUES (1, 2, sha256(''), '')",
        // A log that never was.
        "INSERT INTO countermark_log.log (origin, kind, created_size, writer_epoch, writer_id, size) \
         VALUES ('other', 'raw', 0, 0, decode(repeat('00', 16), 'hex'), 0)",
    ] {
        for user in ["service", "owner"] {
            let refused = postgres.sql(user, statement).await.unwrap_err();
            let code = refused.as_database_error().and_then(sqlx::error::DatabaseError::code).map(String::from);
            // integrity_constraint_violation, of a trigger
            assert_eq!(code.as_deref(), Some("23000"), "{statement}: {refused}");
        }
    }
    let whole = "WITH grown AS (UPDATE countermark_log.log SET size = 2), \
         head AS (INSERT INTO countermark_log.signed_head VALUES (1, 2, sha256(''), '')) \
         INSERT INTO countermark_log.entry VALUES (1, 1, '\\x01')";
    postgres.sql("service", whole).await.unwrap();
    store.freeze(&origin()).await.unwrap();
    for statement in [whole, "UPDATE countermark_log.log SET frozen = false", "UPDATE countermark_log.log SET size = 3"]
    {
        assert!(postgres.sql("owner", statement).await.is_err(), "{statement}");
    }
}

#[tokio::test]
async fn a_row_that_another_keeps_locked_is_a_fault_and_not_a_hang() {
    let postgres = TestPostgres::migrated().await;
    let store = postgres.store_with(SHORT).await;
    let (tree, epoch) = created(&store).await;
    let mut other = postgres.connect(SUPERUSER).await;
    other.execute("BEGIN; SELECT FROM countermark_log.log FOR UPDATE").await.unwrap();
    let begun = Instant::now();
    let refused = store.commit(epoch, &batch(&tree, 1, 3)).await;
    assert!(matches!(refused, Err(CommitError::Fault(_))), "{refused:?}");
    let refused = store.take_writer(&origin(), B, None).await;
    assert!(matches!(refused, Err(TakeWriterError::Fault(_))), "{refused:?}");
    let refused = store.freeze(&origin()).await;
    assert!(matches!(refused, Err(FreezeError::Fault(_))), "{refused:?}");
    assert!(begun.elapsed() < SOON);
    // Readers do not wait for writers.
    assert_eq!(entries(&store).await.len(), 1);
    other.execute("ROLLBACK").await.unwrap();
    store.commit(epoch, &batch(&tree, 1, 3)).await.unwrap();
    assert_eq!(entries(&store).await.len(), 3);
}

#[tokio::test]
async fn a_server_that_hangs_is_a_fault_and_is_used_again_when_it_goes_on() {
    let postgres = TestPostgres::migrated().await;
    let store = postgres.store_with(SHORT).await;
    let (tree, epoch) = created(&store).await;
    postgres.server.pause();
    // More calls than there are connections: none of them keeps a place.
    for _ in 0..=WRITE_CONNECTIONS_MAX {
        let begun = Instant::now();
        let refused = store.commit(epoch, &batch(&tree, 1, 3)).await;
        assert!(matches!(refused, Err(CommitError::Fault(_))), "{refused:?}");
        assert!(begun.elapsed() < SOON);
        let refused = store.entries(&origin(), LeafIndex::new(0).unwrap(), 9).await;
        assert!(refused.is_err(), "{refused:?}");
    }
    postgres.server.resume();
    // As the owner does after every fault: take over again, read what is there. Some of the commits that were given up may
    // have been kept, whole.
    let taken = taken_again(&store, epoch).await;
    let tree = assert_whole(&store, &taken.head).await;
    let grown = batch(&tree, 10, 12);
    store.commit(taken.epoch, &grown).await.unwrap();
    assert_whole(&store, grown.head()).await;
}

/// Takes the log over again, as soon as there is an answer.
async fn taken_again(store: &PostgresStore, held: WriterEpoch) -> WriterTaken {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        match store.take_writer(&origin(), A, Some(held)).await {
            Ok(taken) => return taken,
            Err(failure) => assert!(Instant::now() < end, "{failure:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_in_mid_commit_keeps_every_commit_whole_or_not_at_all() {
    let mut postgres = TestPostgres::migrated().await;
    let store = postgres.store().await;
    let (mut tree, mut epoch) = created(&store).await;
    for life in 0..3_u64 {
        let committing = {
            let (store, mut tree) = (store.clone(), tree.clone());
            tokio::spawn(async move {
                let mut acknowledged = tree.size();
                // Ends at the first fault, as an owner's commits do.
                loop {
                    let from = tree.size().get();
                    let grown = batch(&tree, from, from + 40);
                    match store.commit(epoch, &grown).await {
                        Ok(()) => {}
                        Err(CommitError::Fault(_)) => return (acknowledged, grown.head().size),
                        Err(other) => panic!("{other}"),
                    }
                    tree = grown.tree().clone();
                    acknowledged = tree.size();
                }
            })
        };
        let enough = tree.size().get() + 200 * (life + 1);
        while u64::try_from(entries(&store).await.len()).unwrap() < enough {
            tokio::task::yield_now().await;
        }
        postgres.server.kill();
        let (acknowledged, unknown) = committing.await.unwrap();
        postgres.server.run();
        let taken = taken_again(&store, epoch).await;
        assert!([acknowledged, unknown].contains(&taken.head.size), "{acknowledged} {unknown} {:?}", taken.head.size);
        tree = assert_whole(&store, &taken.head).await;
        epoch = taken.epoch;
    }
    let grown = batch(&tree, tree.size().get(), tree.size().get() + 3);
    store.commit(epoch, &grown).await.unwrap();
}

#[tokio::test]
async fn a_served_log_goes_on_by_itself_when_its_server_was_restarted() {
    let mut postgres = TestPostgres::migrated().await;
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let register = Arc::new(FileRegister::open(folder.path()).unwrap());
    let store = Arc::new(postgres.store().await);
    let ports = Ports { register: register.clone(), ..world.ports(store.clone()) };
    sequencer::create(&world.settings(), vec![world.first_entry()], &ports).await.unwrap();
    let handle = sequencer::start(world.settings(), ports).await.unwrap().0;
    let mut acknowledged = Vec::new();
    for number in 0..6 {
        if number % 2 == 1 {
            postgres.server.restart();
        }
        let end = Instant::now() + Duration::from_mins(1);
        // A submitter is told of a fault and asks again; the log heals without anybody's hand.
        let submitted = loop {
            let submission = entry(&world.evidence(number));
            match handle.submit(submission, WaitLevel::Published, Duration::from_secs(30)).await {
                Ok(submitted) => break submitted,
                Err(failure) => assert!(Instant::now() < end, "{failure:?}"),
            }
        };
        acknowledged.push((number, submitted.index));
    }
    for (number, index) in acknowledged {
        let again = entry(&world.evidence(number));
        let found = handle.submit(again, WaitLevel::Published, Duration::from_secs(30)).await.unwrap();
        assert_eq!(found.index, index);
    }
    let registered = register.read(&world.origin()).await.unwrap();
    let found = audit_registered(&world, store.as_ref(), registered.into_iter().collect()).await;
    assert_eq!(found.len(), 7);
}

#[tokio::test]
async fn values_that_the_program_did_not_write_are_faults() {
    let postgres = TestPostgres::migrated().await;
    let store = postgres.store().await;
    created(&store).await;
    for edit in [
        "ALTER TABLE countermark_log.log DROP CONSTRAINT log_kind_check; \
         ALTER TABLE countermark_log.log DISABLE TRIGGER USER; UPDATE countermark_log.log SET kind = 'other'",
        "UPDATE countermark_log.log SET kind = 'raw'; ALTER TABLE countermark_log.signed_head DISABLE TRIGGER USER; \
         ALTER TABLE countermark_log.signed_head DROP CONSTRAINT signed_head_root_check; \
         UPDATE countermark_log.signed_head SET root = '\\x00'",
    ] {
        postgres.sql("owner", edit).await.unwrap();
        let refused = store.take_writer(&origin(), B, None).await;
        assert!(matches!(refused, Err(TakeWriterError::Fault(_))), "{edit}: {refused:?}");
    }
    postgres
        .sql("owner", "ALTER TABLE countermark_log.partial_tile DROP CONSTRAINT partial_tile_tile_index_check")
        .await
        .unwrap();
    postgres.sql("owner", "UPDATE countermark_log.partial_tile SET tile_index = -1").await.unwrap();
    assert!(store.partial_tiles(&origin()).await.is_err());
}
