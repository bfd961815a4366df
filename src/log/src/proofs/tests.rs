use std::time::Duration;

use countermark_tlog::entry_bundle::decode;
use countermark_tlog::hash::leaf_hash;
use countermark_tlog::proof::verify_inclusion;

use super::*;
use crate::sequencer::{NamespaceHandle, WaitLevel};
use crate::stage::{LogKey, NewEntry, stage};
use crate::store::memory::MemoryStore;
use crate::testing::World;
use crate::testing::faulty::{Call, Faults, Form, faulty};
use crate::testing::world::entry;

fn tile(level: u8, index: u64, width: u16) -> TileCoord {
    TileCoord::new(level, index, width).unwrap()
}

fn index(leaf: u64) -> LeafIndex {
    LeafIndex::new(leaf).unwrap()
}

fn size(leaves: u64) -> TreeSize {
    TreeSize::new(leaves).unwrap()
}

/// A log of 600 entries.
async fn long_log(world: &World) -> (Arc<MemoryStore>, NamespaceHandle) {
    let store = Arc::new(MemoryStore::default());
    let first = std::iter::once(world.first_entry());
    let entries = first.chain((1..600).map(|number| world.evidence(number).write())).collect();
    let ports = world.ports(store.clone());
    crate::sequencer::create(&world.settings(), entries, &ports).await.unwrap();
    let handle = world.start(store.clone()).await;
    (store, handle)
}

#[tokio::test(start_paused = true)]
async fn tiles_hold_the_hashes_of_the_entries() {
    let world = World::new();
    let (_, handle) = long_log(&world).await;
    for coord in [tile(0, 0, 256), tile(0, 1, 256), tile(0, 1, 7), tile(0, 2, 88), tile(0, 2, 1)] {
        let hashes = handle.tile(coord).await.unwrap().unwrap();
        let bundle = handle.entry_bundle(coord).await.unwrap().unwrap();
        let entries = decode(&bundle, coord.width()).unwrap();
        let expect: Vec<u8> = entries.iter().flat_map(|entry| leaf_hash(entry).0.0).collect();
        assert_eq!(&hashes[..], expect, "{coord:?}");
        let first = handle.entry(index(coord.index() * 256)).await.unwrap().unwrap();
        assert_eq!(&first[..], entries[0]);
    }
    let full = handle.tile(tile(0, 0, 256)).await.unwrap().unwrap();
    let above = handle.tile(tile(1, 0, 2)).await.unwrap().unwrap();
    let node = NodeCoord { level: 0, index: 0 };
    assert_eq!(hash_in_tile(tile(0, 0, 256), &full, node).unwrap().0, full[..32]);
    assert_eq!(above.len(), 64);
}

#[tokio::test(start_paused = true)]
async fn what_the_committed_tree_does_not_have_is_not_there() {
    let world = World::new();
    let (_, handle) = long_log(&world).await;
    for coord in [tile(0, 2, 89), tile(0, 2, 256), tile(0, 3, 1), tile(1, 0, 3), tile(2, 0, 1), tile(63, 0, 1)] {
        assert_eq!(handle.tile(coord).await.unwrap(), None, "{coord:?}");
        assert_eq!(handle.entry_bundle(coord).await.unwrap(), None, "{coord:?}");
    }
    assert_eq!(handle.entry_bundle(tile(1, 0, 1)).await.unwrap(), None);
    assert_eq!(handle.entry(index(600)).await.unwrap(), None);
    assert_eq!(handle.inclusion(index(600), size(600)).await.unwrap(), None);
    for (leaf, of) in [(600, 600), (0, 601), (5, 5)] {
        assert_eq!(handle.inclusion_and_leaf(index(leaf), size(of)).await.unwrap(), None);
    }
    assert_eq!(handle.inclusion(index(0), size(601)).await.unwrap(), None);
    assert_eq!(handle.inclusion(index(5), size(5)).await.unwrap(), None);
    assert_eq!(handle.consistency(size(6), size(5)).await.unwrap(), None);
    assert_eq!(handle.consistency(size(6), size(601)).await.unwrap(), None);
    assert_eq!(handle.index_of_leaf_hash(leaf_hash(b"x")).await.unwrap(), None);
    assert_eq!(handle.index_of_identity(Digest::of(b"x")).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn every_entry_is_proved_under_the_committed_head() {
    let world = World::new();
    let (_, handle) = long_log(&world).await;
    let (size, root) = handle.committed();
    for leaf in 0..600 {
        let bytes = handle.entry(index(leaf)).await.unwrap().unwrap();
        let path = handle.inclusion(index(leaf), size).await.unwrap().unwrap();
        verify_inclusion(leaf_hash(&bytes), index(leaf), size, root, &path).unwrap();
        let with_leaf = handle.inclusion_and_leaf(index(leaf), size).await.unwrap().unwrap();
        assert_eq!(with_leaf, (leaf_hash(&bytes), path));
        assert_eq!(handle.index_of_leaf_hash(leaf_hash(&bytes)).await.unwrap(), Some(index(leaf)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_tile_is_read_from_the_store_once() {
    let world = World::new();
    let (store, handle) = long_log(&world).await;
    handle.shutdown().await;
    let faults = Arc::new(Faults::default());
    let (handle, _) = crate::sequencer::start(world.settings(), faulty(world.ports(store), &faults)).await.unwrap();
    handle.submit(entry(&world.evidence(900)), WaitLevel::Published, Duration::from_mins(1)).await.unwrap();
    let read = handle.tile(tile(0, 1, 9)).await.unwrap().unwrap();
    let bundle = handle.entry_bundle(tile(0, 1, 256)).await.unwrap();
    faults.arm(Call::FullTile, Form::NotDone);
    faults.arm(Call::Entries, Form::NotDone);
    assert_eq!(handle.tile(tile(0, 1, 256)).await.unwrap().unwrap()[..288], read[..]);
    assert_eq!(handle.entry_bundle(tile(0, 1, 256)).await.unwrap(), bundle);
    let failed = handle.tile(tile(0, 0, 256)).await;
    assert!(matches!(failed, Err(ReadError::Store(_))), "{failed:?}");
    let failed = handle.entry_bundle(tile(0, 0, 256)).await;
    assert!(matches!(failed, Err(ReadError::Store(_))), "{failed:?}");
}

#[tokio::test]
async fn what_the_store_has_lost_is_an_error_and_not_an_absence() {
    let world = World::new();
    let origin = world.origin();
    let entries: Vec<NewEntry> =
        (0..300_u32).map(|n| NewEntry::new(Digest::of(&n.to_be_bytes()), n.to_be_bytes().into())).collect();
    let key = world.log.vkey(origin.as_str(), countermark_tlog::note::SignatureType::Ed25519);
    let batch =
        stage(&origin, &Tree::empty(), entries).unwrap().sign(&[LogKey { signer: &world.log, vkey: &key }]).unwrap();
    let committed = Arc::new(Committed {
        head: batch.head().clone(),
        state: world.settings().foundation.first_state().unwrap(),
        tree: batch.tree().clone(),
    });
    let empty: Arc<dyn crate::ports::StoreReader> = Arc::new(MemoryStore::default());
    let (_sender, receiver) = watch::channel(Arc::clone(&committed));
    let reader = TileReader::new(origin.clone(), Arc::clone(&empty), receiver);
    let lost = reader.tile(tile(0, 0, 256)).await;
    assert!(matches!(lost, Err(ReadError::MissingTile { .. })), "{lost:?}");
    let lost = reader.entry(index(3)).await;
    assert!(matches!(lost, Err(ReadError::MissingEntries { expected: 1, found: 0, .. })), "{lost:?}");
    let lost = reader.entry_bundle(tile(0, 0, 256)).await;
    assert!(matches!(lost, Err(ReadError::MissingEntries { .. })), "{lost:?}");
    let lost = root_at(&origin, empty.clone(), &committed, size(3)).await;
    assert!(matches!(lost, Err(ReadError::MissingTile { .. })), "{lost:?}");
    // The right edge is in memory.
    assert!(reader.tile(tile(0, 1, 44)).await.unwrap().is_some());
    assert_eq!(root_at(&origin, empty.clone(), &committed, size(301)).await.unwrap(), None);
}
