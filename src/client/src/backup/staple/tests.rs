use countermark_bundle::verify::Step;

use super::*;
use crate::testing::{NOW, TestLog, World, at};

/// What a client remembers after it verified what this log shows.
async fn floor_at(folder: &tempfile::TempDir, log: &TestLog) -> FloorFile {
    let floor = FloorFile::new(&folder.path().join("floor.json"));
    believe(std::slice::from_ref(&log.reader), &log.world().trust, &floor, at(NOW)).await.unwrap();
    floor
}

/// The same log, one behind the other, and a client that knows the newer state.
async fn newer_and_older() -> (TestLog, TestLog, FloorFile, tempfile::TempDir) {
    let mut world = World::active();
    world.settle();
    let newer = TestLog::serve(world).await;
    let older = TestLog::serve(World::active()).await;
    let folder = tempfile::tempdir().unwrap();
    let floor = floor_at(&folder, &newer).await;
    (newer, older, floor, folder)
}

async fn gone() -> LogReader {
    TestLog::serve(World::active()).await.reader.clone()
}

#[tokio::test]
async fn a_source_that_lags_is_passed_over_for_one_that_does_not() {
    let (newer, older, floor, _folder) = newer_and_older().await;
    let sources = [gone().await, older.reader.clone(), newer.reader.clone()];
    let believed = believe(&sources, &newer.world().trust, &floor, at(NOW)).await.unwrap();
    assert_eq!(believed.address, newer.reader.address());
    let classes: Vec<_> = believed.passed_over.iter().map(|failure| failure.error.exit_class()).collect();
    assert_eq!(classes, [ExitClass::Unreachable, ExitClass::Rollback]);
    assert!(believed.passed.iter().map(|passed| passed.step).eq(Step::ALL));
}

#[tokio::test]
async fn if_every_source_lags_it_is_reported_as_a_rollback() {
    let (newer, older, floor, _folder) = newer_and_older().await;
    let sources = [gone().await, older.reader.clone()];
    let error = believe(&sources, &newer.world().trust, &floor, at(NOW)).await.unwrap_err();
    assert_eq!((error.failures.len(), error.exit_class()), (2, ExitClass::Rollback), "{error}");
}

#[tokio::test]
async fn sources_that_are_not_there_are_unreachable_and_none_at_all_too() {
    let world = World::active();
    let folder = tempfile::tempdir().unwrap();
    let floor = FloorFile::new(&folder.path().join("floor.json"));
    let error = believe(&[gone().await], &world.trust, &floor, at(NOW)).await.unwrap_err();
    assert_eq!(error.exit_class(), ExitClass::Unreachable);
    let error = believe(&[], &world.trust, &floor, at(NOW)).await.unwrap_err();
    assert_eq!(error.to_string(), "no bundle is believed: nobody was asked");
}

#[tokio::test]
async fn a_second_face_ends_the_search() {
    let (newer, _, floor, _folder) = newer_and_older().await;
    let mut other = World::active();
    other.push(&other.evidence("another history"));
    while other.len() + 1 < newer.world().len() {
        other.push(&other.policy_change(other.state.policy().unwrap().serial + 1));
    }
    other.activate(1);
    assert_eq!(other.len(), newer.world().len());
    let fork = TestLog::serve(other).await;
    let asked = newer.asked("");
    let sources = [fork.reader.clone(), newer.reader.clone()];
    let error = believe(&sources, &newer.world().trust, &floor, at(NOW)).await.unwrap_err();
    assert_eq!((error.failures.len(), error.exit_class()), (1, ExitClass::Fork), "{error}");
    assert_eq!(newer.asked(""), asked, "nobody else is asked for a better face");
}
