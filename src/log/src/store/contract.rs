//! What every back end of the store owes, as tests that each of them runs.

mod freezing;
mod keys;
mod racing;

use std::sync::Arc;

use countermark_bundle::identity::Digest;
use countermark_keys::Role;
use countermark_migrations::{Database, Open, open_sqlite};
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::note::SignatureType;
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::{TileCoord, tiles_for_growth};

use super::memory::MemoryStore;
use super::sqlite::SqliteStore;
use sqlx::SqlitePool;
use tempfile::TempDir;

use crate::ports::{
    CommitError, CreateNamespaceError, LogKind, Store, StoredPublication, TakeWriterError, WriterEpoch, WriterId,
};
use crate::stage::{LogKey, NewEntry, SignedBatch, Tree, stage};
use crate::testing::TestSigner;
use crate::testing::postgres::TestPostgres;

use freezing::{
    a_frozen_log_never_grows, a_log_that_is_not_there_is_not_frozen, a_raw_log_may_begin_with_no_entry,
    the_kind_of_a_log_is_kept,
};
use keys::{
    a_batch_of_4096_entries_is_kept, an_opaque_entry_is_found_by_its_leaf_hash_alone,
    one_kind_of_key_is_not_found_as_the_other,
};
use racing::{of_two_commits_at_one_size_one_is_kept, of_two_writers_that_start_at_once_one_commits};

const A: WriterId = WriterId([1; 16]);
const B: WriterId = WriterId([2; 16]);

/// A place that holds a store, and opens it as often as it is asked to.
trait BackEnd {
    async fn new() -> Self;
    async fn open(&self) -> Arc<dyn Store>;
}

#[derive(Default)]
struct InMemory(Arc<MemoryStore>);

impl BackEnd for InMemory {
    async fn new() -> Self {
        Self::default()
    }

    async fn open(&self) -> Arc<dyn Store> {
        self.0.clone()
    }
}

struct InSqlite(TempDir);

impl InSqlite {
    async fn opened(&self, open: Open) -> SqlitePool {
        open_sqlite(&self.0.path().join("log.db"), Database::Log, open).await.unwrap()
    }
}

impl BackEnd for InSqlite {
    async fn new() -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        made.opened(Open::CreateNew).await.close().await;
        made
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.opened(Open::Existing).await).await.unwrap())
    }
}

impl BackEnd for TestPostgres {
    async fn new() -> Self {
        Self::migrated().await
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store().await)
    }
}

macro_rules! contract {
    ($($claim:ident),* $(,)?) => {
        contract!(@ memory, InMemory, $($claim),*);
        contract!(@ sqlite, InSqlite, $($claim),*);
        contract!(@ postgres, TestPostgres, $($claim),*);
    };
    (@ $name:ident, $back_end:ty, $($claim:ident),*) => {
        mod $name {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                let back_end = <$back_end>::new().await;
                super::$claim(back_end.open().await).await;
            })*

            #[tokio::test]
            async fn what_a_log_is_survives_opening_it_again() {
                freezing::what_a_log_is_survives_opening_it_again(&<$back_end>::new().await).await;
            }
        }
    };
}

contract!(
    a_log_that_was_never_created_is_missing,
    a_namespace_is_created_once,
    what_was_committed_is_read_back,
    a_commit_of_an_earlier_writer_changes_nothing,
    a_commit_at_another_size_changes_nothing,
    a_reloading_writer_does_not_take_the_namespace_back,
    a_reloading_writer_recognises_its_own_epoch,
    an_identity_is_committed_once,
    tiles_are_those_of_the_tree_at_every_size,
    the_largest_publication_is_kept,
    namespaces_do_not_meet,
    a_raw_log_may_begin_with_no_entry,
    the_kind_of_a_log_is_kept,
    a_frozen_log_never_grows,
    a_log_that_is_not_there_is_not_frozen,
    one_kind_of_key_is_not_found_as_the_other,
    an_opaque_entry_is_found_by_its_leaf_hash_alone,
    a_batch_of_4096_entries_is_kept,
    of_two_writers_that_start_at_once_one_commits,
    of_two_commits_at_one_size_one_is_kept,
);

fn origin(name: &str) -> Origin {
    Origin::new(name).unwrap()
}

fn batch(name: &str, tree: &Tree, entries: impl IntoIterator<Item = String>) -> SignedBatch {
    let entries =
        entries.into_iter().map(|text| NewEntry::new(Digest::of(text.as_bytes()), text.into_bytes().into())).collect();
    batch_of(name, tree, entries)
}

fn batch_of(name: &str, tree: &Tree, entries: Vec<NewEntry>) -> SignedBatch {
    let signer = TestSigner::new(Role::Log, 1);
    let key = signer.vkey(name, SignatureType::Ed25519);
    stage(&origin(name), tree, entries).unwrap().sign(&[LogKey { signer: &signer, vkey: &key }]).unwrap()
}

fn numbered(from: u64, to: u64) -> impl Iterator<Item = String> {
    (from..to).map(|number| format!("entry {number}"))
}

fn index(number: u64) -> LeafIndex {
    LeafIndex::new(number).unwrap()
}

fn size(number: u64) -> TreeSize {
    TreeSize::new(number).unwrap()
}

/// A log of one entry and its writer's epoch.
async fn created(store: &dyn Store, name: &str) -> (Tree, WriterEpoch) {
    let first = batch(name, &Tree::empty(), numbered(0, 1));
    store.create_namespace(LogKind::FleetKeys, &first).await.unwrap();
    let taken = store.take_writer(&origin(name), A, None).await.unwrap();
    assert_eq!((&taken.head, taken.created_size), (first.head(), size(1)));
    (first.tree().clone(), taken.epoch)
}

async fn a_log_that_was_never_created_is_missing(store: Arc<dyn Store>) {
    let origin = origin("log.example/a");
    let taken = store.take_writer(&origin, A, None).await;
    assert!(matches!(taken, Err(TakeWriterError::Missing { .. })), "{taken:?}");
    assert_eq!(store.entries(&origin, index(0), 9).await.unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(store.partial_tiles(&origin).await.unwrap(), vec![]);
    assert_eq!(store.full_tile(&origin, TileCoord::new(0, 0, 256).unwrap()).await.unwrap(), None);
    assert_eq!(store.indexes_of_identities(&origin, &[Digest::of(b"x")]).await.unwrap(), vec![None]);
    assert_eq!(store.publication(&origin).await.unwrap(), None);
}

async fn a_namespace_is_created_once(store: Arc<dyn Store>) {
    let name = "log.example/a";
    created(store.as_ref(), name).await;
    let again = store.create_namespace(LogKind::FleetKeys, &batch(name, &Tree::empty(), numbered(5, 6))).await;
    assert!(matches!(again, Err(CreateNamespaceError::AlreadyExists { .. })), "{again:?}");
    assert_eq!(store.entries(&origin(name), index(0), 9).await.unwrap(), vec![b"entry 0".to_vec()]);
}

async fn what_was_committed_is_read_back(store: Arc<dyn Store>) {
    let name = "log.example/a";
    let (tree, epoch) = created(store.as_ref(), name).await;
    let second = batch(name, &tree, numbered(1, 4));
    store.commit(epoch, &second).await.unwrap();
    let origin = origin(name);
    let expect: Vec<Vec<u8>> = numbered(1, 3).map(String::into_bytes).collect();
    assert_eq!(store.entries(&origin, index(1), 2).await.unwrap(), expect);
    assert_eq!(store.entries(&origin, index(4), 2).await.unwrap(), Vec::<Vec<u8>>::new());
    let identities = [Digest::of(b"entry 3"), Digest::of(b"entry 9"), Digest::of(b"entry 0")];
    let indexes = store.indexes_of_identities(&origin, &identities).await.unwrap();
    assert_eq!(indexes, vec![Some(index(3)), None, Some(index(0))]);
    let leaf_hash = second.entries()[1].leaf_hash;
    assert_eq!(store.index_of_leaf_hash(&origin, leaf_hash).await.unwrap(), Some(index(2)));
    let taken = store.take_writer(&origin, B, None).await.unwrap();
    assert_eq!((&taken.head, taken.created_size), (second.head(), size(1)));
}

async fn a_commit_of_an_earlier_writer_changes_nothing(store: Arc<dyn Store>) {
    let name = "log.example/a";
    let (tree, old) = created(store.as_ref(), name).await;
    let new = store.take_writer(&origin(name), B, None).await.unwrap().epoch;
    assert!(new > old);
    let refused = store.commit(old, &batch(name, &tree, numbered(1, 2))).await;
    match refused {
        Err(CommitError::Fenced { expected, found, expected_size, found_size }) => {
            assert_eq!((expected, found), (old, new));
            assert_eq!((expected_size, found_size), (size(1), size(1)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(store.entries(&origin(name), index(0), 9).await.unwrap().len(), 1);
    store.commit(new, &batch(name, &tree, numbered(1, 2))).await.unwrap();
}

async fn a_commit_at_another_size_changes_nothing(store: Arc<dyn Store>) {
    let name = "log.example/a";
    let (tree, epoch) = created(store.as_ref(), name).await;
    store.commit(epoch, &batch(name, &tree, numbered(1, 3))).await.unwrap();
    let refused = store.commit(epoch, &batch(name, &tree, numbered(7, 8))).await;
    match refused {
        Err(CommitError::Fenced { expected, found, expected_size, found_size }) => {
            assert_eq!(expected, found);
            assert_eq!((expected_size, found_size), (size(1), size(3)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(store.entries(&origin(name), index(0), 9).await.unwrap().len(), 3);
}

async fn a_reloading_writer_does_not_take_the_namespace_back(store: Arc<dyn Store>) {
    let name = "log.example/a";
    let (_, old) = created(store.as_ref(), name).await;
    let new = store.take_writer(&origin(name), B, None).await.unwrap().epoch;
    match store.take_writer(&origin(name), A, Some(old)).await {
        Err(TakeWriterError::Fenced { expected, found }) => assert_eq!((expected, found), (old, new)),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.take_writer(&origin(name), B, Some(new)).await.unwrap().epoch, WriterEpoch(new.0 + 1));
}

async fn a_reloading_writer_recognises_its_own_epoch(store: Arc<dyn Store>) {
    let name = "log.example/a";
    let (_, first) = created(store.as_ref(), name).await;
    // It took over once more and never heard of it.
    store.take_writer(&origin(name), A, Some(first)).await.unwrap();
    let taken = store.take_writer(&origin(name), A, Some(first)).await.unwrap();
    assert_eq!(taken.epoch, WriterEpoch(first.0 + 2));
}

async fn an_identity_is_committed_once(store: Arc<dyn Store>) {
    let name = "log.example/a";
    let (tree, epoch) = created(store.as_ref(), name).await;
    let entry = |text: &str, identity: &[u8]| NewEntry::new(Digest::of(identity), text.as_bytes().into());
    let signer = TestSigner::new(Role::Log, 1);
    let key = signer.vkey(name, SignatureType::Ed25519);
    for twice in [vec![entry("x", b"entry 0")], vec![entry("y", b"y"), entry("z", b"y")]] {
        let staged =
            stage(&origin(name), &tree, twice).unwrap().sign(&[LogKey { signer: &signer, vkey: &key }]).unwrap();
        let refused = store.commit(epoch, &staged).await;
        assert!(matches!(refused, Err(CommitError::Fault(_))), "{refused:?}");
    }
    assert_eq!(store.entries(&origin(name), index(0), 9).await.unwrap(), vec![b"entry 0".to_vec()]);
    store.commit(epoch, &batch(name, &tree, numbered(1, 2))).await.unwrap();
}

async fn tiles_are_those_of_the_tree_at_every_size(store: Arc<dyn Store>) {
    let name = "log.example/a";
    let (mut tree, epoch) = created(store.as_ref(), name).await;
    let mut old = 1;
    // 255, 256 and 257 leaves; a batch that fills no tile, one, and more than one.
    for new in [2, 255, 256, 257, 511, 512, 800, 1_400] {
        let grown = batch(name, &tree, numbered(old, new));
        store.commit(epoch, &grown).await.unwrap();
        tree = grown.tree().clone();
        let stored = store.partial_tiles(&origin(name)).await.unwrap();
        assert_eq!(Tree::from_partial_tiles(size(new), stored).unwrap(), tree, "{new}");
        for tile in tiles_for_growth(size(0), size(new)).into_iter().filter(|tile| tile.is_full()) {
            let bytes = store.full_tile(&origin(name), tile).await.unwrap();
            assert_eq!(bytes.map(|bytes| bytes.len()), Some(8_192), "{new} {tile:?}");
        }
        old = new;
    }
    assert_eq!(store.full_tile(&origin(name), TileCoord::new(0, 5, 256).unwrap()).await.unwrap(), None);
}

async fn the_largest_publication_is_kept(store: Arc<dyn Store>) {
    let name = "log.example/a";
    let (tree, epoch) = created(store.as_ref(), name).await;
    store.commit(epoch, &batch(name, &tree, numbered(1, 3))).await.unwrap();
    assert_eq!(store.publication(&origin(name)).await.unwrap(), None);
    let cases = [(1, "a", "a"), (3, "b", "b"), (1, "c", "b"), (3, "d", "d")];
    for (at, note, expect) in cases {
        let publication = StoredPublication { size: size(at), note: note.as_bytes().to_vec() };
        store.record_publication(&origin(name), &publication).await.unwrap();
        let kept = store.publication(&origin(name)).await.unwrap().unwrap();
        assert_eq!(kept.note, expect.as_bytes(), "{note}");
    }
    // Those that were passed stay as they were.
    let up_to = async |at, count| {
        let heads = store.publications(&origin(name), size(at), count).await.unwrap();
        heads.into_iter().map(|head| (head.size.get(), String::from_utf8(head.note).unwrap())).collect::<Vec<_>>()
    };
    let (first, newest) = ((1, "a".to_owned()), (3, "d".to_owned()));
    assert_eq!(up_to(9, 9).await, [newest.clone(), first.clone()]);
    assert_eq!(up_to(3, 1).await, [newest]);
    assert_eq!(up_to(2, 9).await, [first]);
    assert_eq!(up_to(0, 9).await, []);
}

async fn namespaces_do_not_meet(store: Arc<dyn Store>) {
    let (a, b) = ("log.example/a", "log.example/b");
    let (_, epoch_a) = created(store.as_ref(), a).await;
    let (tree, epoch_b) = created(store.as_ref(), b).await;
    assert_eq!(epoch_a, epoch_b);
    store.commit(epoch_b, &batch(b, &tree, numbered(1, 5))).await.unwrap();
    assert_eq!(store.entries(&origin(a), index(0), 9).await.unwrap().len(), 1);
    assert_eq!(store.entries(&origin(b), index(0), 9).await.unwrap().len(), 5);
    assert_eq!(store.indexes_of_identities(&origin(a), &[Digest::of(b"entry 2")]).await.unwrap(), vec![None]);
}
