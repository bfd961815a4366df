use countermark_bundle::identity::Digest;
use countermark_bundle::verify::BundleState;

use super::*;
use crate::testing::{Lie, NOW, TestLog, World, at, epoch, size};

/// A store in memory that can fail in both ways a real one can.
#[derive(Default)]
struct MemoryStore {
    floor: Option<Floor>,
    fail_read: bool,
    fail_write: Option<Saved>,
}

/// What is on disk after a write that reported an error.
#[derive(Clone, Copy, PartialEq)]
enum Saved {
    No,
    Yes,
}

fn broken(action: &'static str) -> FloorStoreError {
    FloorStoreError::Io { action, path: "floor".into(), source: std::io::Error::other("the disk is broken") }
}

impl FloorStore for MemoryStore {
    fn read(&mut self) -> Result<Option<Floor>, FloorStoreError> {
        if self.fail_read { Err(broken("read")) } else { Ok(self.floor.clone()) }
    }

    fn write(&mut self, floor: &Floor) -> Result<(), FloorStoreError> {
        if self.fail_write != Some(Saved::No) {
            self.floor = Some(floor.clone());
        }
        if self.fail_write.is_some() { Err(broken("write")) } else { Ok(()) }
    }
}

fn verify(
    world: &World,
    len: u64,
    link: Option<&ConsistencyLink>,
    store: &mut dyn FloorStore,
) -> Result<VerifiedBundle, VerifyError> {
    verify_bundle_offline(&world.bundle(len).unwrap(), link, &world.trust, store, at(NOW), &mut |_| {})
}

fn class(outcome: Result<VerifiedBundle, VerifyError>) -> ExitClass {
    outcome.unwrap_err().exit_class()
}

#[test]
fn a_bundle_passes_sixteen_steps_and_leaves_its_floor() {
    let (world, mut store, mut steps) = (World::active(), MemoryStore::default(), Vec::new());
    let bytes = world.bundle(3).unwrap();
    let mut observe = |passed: Passed| steps.push(passed.step);
    let bundle = verify_bundle_offline(&bytes, None, &world.trust, &mut store, at(NOW), &mut observe).unwrap();
    assert_eq!((bundle.state(), bundle.statement().statement().epoch), (BundleState::Ok, epoch(1)));
    assert_eq!(steps, Step::ALL);
    let floor = store.floor.unwrap();
    assert_eq!((floor.size, floor.root, floor.epoch), (size(3), world.grown.root(3), Some(epoch(1))));
    assert_eq!(floor.head_time, Some(at(NOW)));
}

#[test]
fn the_same_bundle_verifies_again_over_its_own_floor() {
    let (world, mut store) = (World::active(), MemoryStore::default());
    verify(&world, 3, None, &mut store).unwrap();
    verify(&world, 3, None, &mut store).unwrap();
}

#[test]
fn nothing_is_verified_when_the_floor_cannot_be_read() {
    let (world, mut store) = (World::active(), MemoryStore { fail_read: true, ..MemoryStore::default() });
    let mut steps = 0;
    let bytes = world.bundle(3).unwrap();
    let outcome = verify_bundle_offline(&bytes, None, &world.trust, &mut store, at(NOW), &mut |_| steps += 1);
    assert!(matches!(&outcome, Err(VerifyError::FloorRead(_))));
    assert_eq!((class(outcome), steps), (ExitClass::OurFault, 0));
}

#[test]
fn no_bundle_comes_out_when_its_floor_was_not_stored() {
    for saved in [Saved::No, Saved::Yes] {
        let (world, mut store) = (World::active(), MemoryStore { fail_write: Some(saved), ..MemoryStore::default() });
        let outcome = verify(&world, 3, None, &mut store);
        assert!(matches!(&outcome, Err(VerifyError::FloorWrite(_))));
        assert_eq!(class(outcome), ExitClass::OurFault);
        assert_eq!(store.floor.is_some(), saved == Saved::Yes);
        // The client tries again on a disk that works: whichever floor is there, the bundle is accepted.
        store.fail_write = None;
        verify(&world, 3, None, &mut store).unwrap();
    }
}

#[test]
fn a_bundle_that_is_not_believed_moves_no_floor() {
    let (mut world, mut store) = (World::active(), MemoryStore::default());
    verify(&world, 3, None, &mut store).unwrap();
    let before = store.floor.clone();
    world.cosigners = vec![0, 1];
    assert_eq!(class(verify(&world, 3, None, &mut store)), ExitClass::Quorum);
    assert_eq!(store.floor, before);
}

#[test]
fn a_smaller_log_than_the_floor_is_a_rollback_and_another_root_a_fork() {
    let (mut world, mut store) = (World::active(), MemoryStore::default());
    world.push(&world.evidence("a"));
    verify(&world, 4, None, &mut store).unwrap();
    assert_eq!(class(verify(&world, 3, None, &mut store)), ExitClass::Rollback);
    let mut other = World::active();
    other.push(&other.evidence("b"));
    assert_eq!(class(verify(&other, 4, None, &mut store)), ExitClass::Fork);
}

#[test]
fn a_larger_log_needs_the_link_from_the_floor() {
    let (mut world, mut store) = (World::active(), MemoryStore::default());
    verify(&world, 3, None, &mut store).unwrap();
    world.push(&world.evidence("a"));
    world.push(&world.evidence("b"));
    assert_eq!(class(verify(&world, 5, None, &mut store)), ExitClass::NotChecked);
    assert_eq!(class(verify(&world, 5, Some(&world.link(3, 4)), &mut store)), ExitClass::Proof);
    // Inconsistent growth: another log that continues otherwise, with its own honest link.
    let mut other = World::new();
    other.push(&other.evidence("c"));
    other.certify(1);
    other.activate(1);
    other.push(&other.evidence("d"));
    assert_eq!(class(verify(&other, 5, Some(&other.link(3, 5)), &mut store)), ExitClass::Proof);
    verify(&world, 5, Some(&world.link(3, 5)), &mut store).unwrap();
    assert_eq!(store.floor.unwrap().size, size(5));
}

#[test]
fn a_new_trust_file_raises_the_floor_and_a_contradicting_one_is_refused() {
    let (mut world, mut store) = (World::active(), MemoryStore::default());
    verify(&world, 3, None, &mut store).unwrap();
    world.push(&world.evidence("a"));
    let digest = world.state.newest_active().unwrap().statement.digest();
    (world.trust.floor.size, world.trust.floor.root) = (size(4), world.grown.root(4));
    assert_eq!(class(verify(&world, 3, None, &mut store)), ExitClass::Rollback);
    verify(&world, 4, None, &mut store).unwrap();

    world.trust.floor.root = world.grown.root(3);
    assert_eq!(class(verify(&world, 4, None, &mut store)), ExitClass::Fork);
    world.trust.floor.root = world.grown.root(4);
    (world.trust.floor.epoch, world.trust.floor.digest) = (Some(epoch(1)), Some(Digest::of(b"other")));
    assert_eq!(class(verify(&world, 4, None, &mut store)), ExitClass::Fork);
    (world.trust.floor.epoch, world.trust.floor.digest) = (Some(epoch(2)), Some(digest));
    assert_eq!(class(verify(&world, 4, None, &mut store)), ExitClass::Rollback);
}

#[tokio::test]
async fn the_newest_bundle_is_fetched_with_the_link_that_the_floor_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = FloorFile::new(&folder.path().join("floor.json"));
    let mut world = World::active();
    world.push(&world.evidence("a"));
    let log = TestLog::serve(world).await;
    let (trust, mut steps) = (&log.world().trust, Vec::new());
    let mut observe = |passed: Passed| steps.push(passed.step);
    log.publish(3);
    let first = fetch_and_verify(&log.reader, trust, &file, at(NOW), &mut observe).await.unwrap();
    assert_eq!((first.checkpoint().size, log.asked("v1/backup/links")), (size(3), 0));
    assert_eq!(steps, Step::ALL);
    log.publish(4);
    let second = fetch_and_verify(&log.reader, trust, &file, at(NOW), &mut |_| {}).await.unwrap();
    assert_eq!((second.checkpoint().size, log.asked("v1/backup/links?from=3")), (size(4), 1));
    assert_eq!(file.read().unwrap().unwrap().size, size(4));
}

#[tokio::test]
async fn a_log_that_grows_between_bundle_and_link_is_asked_again_and_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let file = FloorFile::new(&folder.path().join("floor.json"));
    let mut world = World::active();
    world.push(&world.evidence("a"));
    world.push(&world.evidence("b"));
    let log = TestLog::serve(world).await;
    let trust = &log.world().trust;
    log.publish(3);
    fetch_and_verify(&log.reader, trust, &file, at(NOW), &mut |_| {}).await.unwrap();
    log.publish(4);
    log.lie("v1/backup/links?from=3", Lie::Bytes(log.world().link(3, 5).write()));
    let outcome = fetch_and_verify(&log.reader, trust, &file, at(NOW), &mut |_| {}).await;
    assert!(matches!(&outcome, Err(VerifyError::Distrust(Distrust::LinkSizes { .. }))));
    assert_eq!((class(outcome), log.asked("v1/backup/links")), (ExitClass::Proof, FETCH_ROUNDS_MAX));
}

#[tokio::test]
async fn what_cannot_be_fetched_or_read_is_not_verified() {
    let folder = tempfile::tempdir().unwrap();
    let file = FloorFile::new(&folder.path().join("floor.json"));
    let log = TestLog::serve(World::new()).await;
    let trust = &log.world().trust;
    log.lie("v1/backup/bundles/newest", Lie::Status(404, "nothing-active"));
    let outcome = fetch_and_verify(&log.reader, trust, &file, at(NOW), &mut |_| {}).await;
    assert_eq!(class(outcome), ExitClass::NotActive);
    log.lie("v1/backup/bundles/newest", Lie::Bytes(b"no bundle".to_vec()));
    let outcome = fetch_and_verify(&log.reader, trust, &file, at(NOW), &mut |_| {}).await;
    assert_eq!(class(outcome), ExitClass::Malformed);
    std::fs::write(folder.path().join("floor.json"), b"damaged").unwrap();
    let outcome = fetch_and_verify(&log.reader, trust, &file, at(NOW), &mut |_| {}).await;
    assert!(matches!(&outcome, Err(VerifyError::FloorRead(_))));
}

#[tokio::test]
async fn a_stale_head_is_refused_whatever_the_local_clock_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = FloorFile::new(&folder.path().join("floor.json"));
    let mut world = World::active();
    world.cosigned_at = NOW - 43_201;
    let log = TestLog::serve(world).await;
    let outcome = fetch_and_verify(&log.reader, &log.world().trust, &file, at(NOW), &mut |_| {}).await;
    assert_eq!(class(outcome), ExitClass::Stale);
    assert!(file.read().unwrap().is_none());
}
