use std::time::Duration;

use countermark_bundle::identity::Digest;

use super::*;
use crate::sequencer::WaitLevel;
use crate::testing::World;
use crate::testing::world::entry;

/// A namespace with this many active epochs, all published.
async fn active(world: &World, epochs: u64) -> NamespaceHandle {
    let (_, handle) = world.served().await;
    let long = Duration::from_secs(20);
    let mut previous = None;
    for epoch in 1..=epochs {
        let statement = world.statement(epoch, previous);
        previous = Some(Digest::of(&statement.write()));
        handle.submit(world.submission(&statement), WaitLevel::Published, long).await.unwrap();
        let state = handle.published().unwrap().state.clone();
        handle.submit(entry(&world.activation(&state, epoch)), WaitLevel::Published, long).await.unwrap();
    }
    handle
}

fn epoch(number: u64) -> Epoch {
    Epoch::new(number).unwrap()
}

#[tokio::test]
async fn a_bundle_is_kept_under_its_head_and_made_anew_under_another_of_the_same_size() {
    let handle = active(&World::new(), 1).await;
    let head = handle.published().unwrap();
    let shelf = BundleShelf::default();
    let first = shelf.bundle(&handle, &head, None).await.unwrap();
    assert!(Arc::ptr_eq(&first, &shelf.bundle(&handle, &head, Some(epoch(1))).await.unwrap()));
    let note = [head.note.as_slice(), "— recosigned.example AAAA\n".as_bytes()].concat();
    let recosigned = Arc::new(Published { note: note.clone(), ..Published::clone(&head) });
    let second = shelf.bundle(&handle, &recosigned, None).await.unwrap();
    let bundle = ValidationBundle::parse(&second).unwrap();
    assert_eq!(bundle.checkpoint.as_bytes(), note);
    assert_ne!(first, second);
}

#[tokio::test]
async fn the_newest_bundles_are_kept_and_no_more_than_the_bound() {
    let epochs = u64::try_from(KEPT_MAX).unwrap() + 1;
    let handle = active(&World::new(), epochs).await;
    let head = handle.published().unwrap();
    let shelf = BundleShelf::default();
    let mut newest = None;
    for number in 1..=epochs {
        newest = Some(shelf.bundle(&handle, &head, Some(epoch(number))).await.unwrap());
    }
    assert_eq!(shelf.under_head.lock().unwrap().bundles.len(), KEPT_MAX);
    let again = shelf.bundle(&handle, &head, None).await.unwrap();
    assert!(Arc::ptr_eq(&again, &newest.unwrap()));
    let oldest = shelf.bundle(&handle, &head, Some(epoch(1))).await.unwrap();
    let tail = ValidationBundle::parse(&oldest).unwrap().records.len() - 2;
    assert_eq!(tail, TAIL_MAX, "the longest tail that is bundled");
}

#[tokio::test]
async fn every_entry_of_the_tail_is_in_the_bundle_in_order() {
    let world = World::new();
    let handle = active(&world, 2).await;
    let published = handle.published().unwrap();
    let bundle = BundleShelf::default().bundle(&handle, &published, Some(epoch(1))).await.unwrap();
    let bundle = ValidationBundle::parse(&bundle).unwrap();
    let indexes: Vec<u64> = bundle.records.iter().map(|record| record.index.get()).collect();
    // Certified at 1, active at 2; the second epoch follows at 3 and 4.
    assert_eq!(indexes, [1, 2, 3, 4]);
    for record in &bundle.records {
        let leaf = leaf_hash(&record.entry);
        verify_inclusion(leaf, record.index, published.size, published.root, &record.path()).unwrap();
    }
}

#[tokio::test]
async fn a_path_that_does_not_verify_is_not_released() {
    let handle = active(&World::new(), 1).await;
    let head = handle.published().unwrap();
    let mut root = head.root;
    root.0.0[0] ^= 1;
    let flipped = Arc::new(Published { root, ..Published::clone(&head) });
    let refused = BundleShelf::default().bundle(&handle, &flipped, None).await;
    assert!(matches!(refused, Err(BundleRefusal::Path { source: Some(_), .. })), "{refused:?}");
}

#[test]
fn a_bundle_that_no_client_reads_is_not_served() {
    assert!(within_bounds(Epoch::FIRST, vec![0; BUNDLE_BYTES_MAX]).is_ok());
    let refused = within_bounds(Epoch::FIRST, vec![0; BUNDLE_BYTES_MAX + 1]).unwrap_err();
    assert!(matches!(refused, BundleRefusal::TooLarge { found: 1_048_577, .. }), "{refused}");
}

#[test]
fn nothing_is_bundled_under_keys_that_changed() {
    let mut trust = World::new().trust;
    trust.serial = 1;
    let state = NamespaceState::new(&trust).unwrap();
    let refused = places(&state, Epoch::FIRST);
    assert!(matches!(refused, Err(BundleRefusal::AuthorityChanged { serial: 1 })), "{refused:?}");
}
