//! What entries are found by, and many of them at once.

use countermark_tlog::hash::{Hash, LeafHash, leaf_hash};

use super::*;

const NAME: &str = "log.example/a";

pub(super) async fn one_kind_of_key_is_not_found_as_the_other(store: Arc<dyn Store>) {
    created(store.as_ref(), NAME).await;
    let (identity, leaf_hash) = (Digest::of(b"entry 0"), leaf_hash(b"entry 0"));
    let origin = origin(NAME);
    let found = store.indexes_of_identities(&origin, &[identity, Digest(leaf_hash.0.0), identity]).await.unwrap();
    assert_eq!(found, vec![Some(index(0)), None, Some(index(0))]);
    assert_eq!(store.index_of_leaf_hash(&origin, leaf_hash).await.unwrap(), Some(index(0)));
    assert_eq!(store.index_of_leaf_hash(&origin, LeafHash(Hash(identity.0))).await.unwrap(), None);
    assert_eq!(store.indexes_of_identities(&origin, &[]).await.unwrap(), vec![]);
}

pub(super) async fn an_opaque_entry_is_found_by_its_leaf_hash_alone(store: Arc<dyn Store>) {
    let raw = |texts: &[&str]| -> Vec<NewEntry> {
        texts.iter().map(|text| NewEntry::raw(leaf_hash(text.as_bytes()), text.as_bytes().into())).collect()
    };
    let first = batch(NAME, &Tree::empty(), []);
    store.create_namespace(LogKind::Raw, &first).await.unwrap();
    let origin = origin(NAME);
    let epoch = store.take_writer(&origin, A, None).await.unwrap().epoch;
    let second = batch_of(NAME, first.tree(), raw(&["a", "b"]));
    store.commit(epoch, &second).await.unwrap();
    let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
    assert_eq!(store.index_of_leaf_hash(&origin, b).await.unwrap(), Some(index(1)));
    let identities = [Digest(b.0.0), Digest::of(b"a"), Digest(a.0.0)];
    let found = store.indexes_of_identities(&origin, &identities).await.unwrap();
    assert_eq!(found, vec![Some(index(1)), None, Some(index(0))]);
    let twice = store.commit(epoch, &batch_of(NAME, second.tree(), raw(&["c", "a"]))).await;
    assert!(matches!(twice, Err(CommitError::Fault(_))), "{twice:?}");
    assert_eq!(store.entries(&origin, index(0), 9).await.unwrap().len(), 2);
}

pub(super) async fn a_batch_of_4096_entries_is_kept(store: Arc<dyn Store>) {
    let (tree, epoch) = created(store.as_ref(), NAME).await;
    let grown = batch(NAME, &tree, numbered(1, 4_097));
    store.commit(epoch, &grown).await.unwrap();
    let origin = origin(NAME);
    let expect: Vec<Vec<u8>> = numbered(0, 4_097).map(String::into_bytes).collect();
    assert_eq!(store.entries(&origin, index(0), 9_999).await.unwrap(), expect);
    let identities: Vec<Digest> = expect.iter().map(|bytes| Digest::of(bytes)).collect();
    let found = store.indexes_of_identities(&origin, &identities).await.unwrap();
    assert_eq!(found, (0..4_097).map(|number| Some(index(number))).collect::<Vec<_>>());
    let stored = store.partial_tiles(&origin).await.unwrap();
    assert_eq!(&Tree::from_partial_tiles(size(4_097), stored).unwrap(), grown.tree());
    for (tile, bytes) in grown.full_tiles() {
        assert_eq!(store.full_tile(&origin, *tile).await.unwrap().as_ref(), Some(bytes), "{tile:?}");
    }
}
