//! What a log is for its life: its kind, its beginning, and that it has ended.

use super::*;
use crate::ports::FreezeError;

const NAME: &str = "log.example/a";

pub(super) async fn a_raw_log_may_begin_with_no_entry(store: Arc<dyn Store>) {
    let first = batch(NAME, &Tree::empty(), []);
    store.create_namespace(LogKind::Raw, &first).await.unwrap();
    let taken = store.take_writer(&origin(NAME), A, None).await.unwrap();
    assert_eq!((&taken.head, taken.created_size, taken.head.size), (first.head(), TreeSize::ZERO, TreeSize::ZERO));
    assert_eq!(store.entries(&origin(NAME), index(0), 9).await.unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(store.partial_tiles(&origin(NAME)).await.unwrap(), vec![]);
    let publication = StoredPublication { size: TreeSize::ZERO, note: b"empty".to_vec() };
    store.record_publication(&origin(NAME), &publication).await.unwrap();
    assert_eq!(store.publication(&origin(NAME)).await.unwrap(), Some(publication));
    let second = batch(NAME, first.tree(), numbered(0, 3));
    store.commit(taken.epoch, &second).await.unwrap();
    assert_eq!(store.entries(&origin(NAME), index(0), 9).await.unwrap().len(), 3);
    let again = store.create_namespace(LogKind::Raw, &first).await;
    assert!(matches!(again, Err(CreateNamespaceError::AlreadyExists { .. })), "{again:?}");
}

pub(super) async fn the_kind_of_a_log_is_kept(store: Arc<dyn Store>) {
    for (name, kind) in [("log.example/a", LogKind::Raw), ("log.example/b", LogKind::FleetKeys)] {
        store.create_namespace(kind, &batch(name, &Tree::empty(), numbered(0, 1))).await.unwrap();
        assert_eq!(store.take_writer(&origin(name), A, None).await.unwrap().kind, kind);
    }
}

pub(super) async fn a_frozen_log_never_grows(store: Arc<dyn Store>) {
    let (tree, epoch) = created(store.as_ref(), NAME).await;
    let second = batch(NAME, &tree, numbered(1, 3));
    store.commit(epoch, &second).await.unwrap();
    assert_eq!(store.freeze(&origin(NAME)).await.unwrap(), size(3));
    assert_eq!(store.freeze(&origin(NAME)).await.unwrap(), size(3), "once more changes nothing");
    let third = batch(NAME, second.tree(), numbered(3, 4));
    let refused = store.commit(epoch, &third).await;
    assert!(matches!(refused, Err(CommitError::Frozen { size: found }) if found == size(3)), "{refused:?}");
    // It is still served, also by another process.
    let taken = store.take_writer(&origin(NAME), B, None).await.unwrap();
    assert!(taken.frozen && taken.epoch > epoch);
    assert_eq!(&taken.head, second.head());
    let refused = store.commit(taken.epoch, &third).await;
    assert!(matches!(refused, Err(CommitError::Frozen { size: found }) if found == size(3)), "{refused:?}");
    assert_eq!(store.entries(&origin(NAME), index(0), 9).await.unwrap().len(), 3);
    let publication = StoredPublication { size: size(3), note: b"cosigned again".to_vec() };
    store.record_publication(&origin(NAME), &publication).await.unwrap();
    assert_eq!(store.publication(&origin(NAME)).await.unwrap(), Some(publication));
    // Others go on.
    let (tree, epoch) = created(store.as_ref(), "log.example/b").await;
    store.commit(epoch, &batch("log.example/b", &tree, numbered(1, 2))).await.unwrap();
}

pub(super) async fn a_log_that_is_not_there_is_not_frozen(store: Arc<dyn Store>) {
    let refused = store.freeze(&origin(NAME)).await;
    assert!(matches!(&refused, Err(FreezeError::Missing { origin: found }) if *found == origin(NAME)), "{refused:?}");
}

pub(super) async fn what_a_log_is_survives_opening_it_again(back_end: &impl BackEnd) {
    let store = back_end.open().await;
    let first = batch(NAME, &Tree::empty(), numbered(0, 2));
    store.create_namespace(LogKind::Raw, &first).await.unwrap();
    let epoch = store.take_writer(&origin(NAME), A, None).await.unwrap().epoch;
    let second = batch(NAME, first.tree(), numbered(2, 300));
    store.commit(epoch, &second).await.unwrap();
    drop(store);
    let store = back_end.open().await;
    store.freeze(&origin(NAME)).await.unwrap();
    drop(store);
    let store = back_end.open().await;
    let taken = store.take_writer(&origin(NAME), B, None).await.unwrap();
    assert_eq!((taken.kind, taken.frozen, taken.created_size), (LogKind::Raw, true, size(2)));
    assert_eq!((&taken.head, taken.epoch), (second.head(), WriterEpoch(epoch.0 + 1)));
    assert_eq!(store.entries(&origin(NAME), index(0), 999).await.unwrap().len(), 300);
    let refused = store.commit(taken.epoch, &batch(NAME, second.tree(), numbered(300, 301))).await;
    assert!(matches!(refused, Err(CommitError::Frozen { .. })), "{refused:?}");
}
