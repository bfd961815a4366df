use super::*;
use crate::sequencer::{Submission, WaitLevel};
use crate::store::memory::{Flip, MemoryStore};
use crate::testing::World;

/// A raw log of so many entries in memory, served.
async fn log(world: &World, entries: usize) -> (Arc<MemoryStore>, NamespaceHandle) {
    let (store, handle) = world.served().await;
    append(&handle, 0, entries).await;
    (store, handle)
}

async fn append(handle: &NamespaceHandle, from: usize, to: usize) {
    let mut submitters = tokio::task::JoinSet::new();
    for number in from..to {
        let (handle, entry) = (handle.clone(), Submission::raw(format!("entry {number}").into_bytes().into()).unwrap());
        submitters.spawn(async move { handle.submit(entry, WaitLevel::Committed, Duration::from_mins(1)).await });
    }
    assert!(submitters.join_all().await.iter().all(Result::is_ok));
}

/// What the scrubber has seen after so many rounds.
async fn after(scrubbing: &mut Scrubbing, rounds: u64) -> Scrubbed {
    *scrubbing.seen.wait_for(|seen| seen.rounds >= rounds).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_sound_log_of_any_size_has_no_findings() {
    for entries in [0, 1, 255, 256, 257, 700] {
        let world = World::raw();
        let (_, handle) = log(&world, entries).await;
        let mut scrubbing = Scrubbing::begin(&handle, 1_000);
        let seen = after(&mut scrubbing, 1).await;
        assert_eq!((seen.size, seen.findings), (Some(handle.committed().0), 0), "{entries}");
        scrubbing.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_broken_disk_changes_is_found_in_the_next_round() {
    for flip in [Flip::Entry(3), Flip::Entry(600), Flip::PartialTile, Flip::LostEntry] {
        let world = World::raw();
        let (store, handle) = log(&world, 700).await;
        let mut scrubbing = Scrubbing::begin(&handle, 1_000);
        assert_eq!(after(&mut scrubbing, 1).await.findings, 0);
        store.flip(&world.origin(), flip.clone());
        assert!(after(&mut scrubbing, 2).await.findings > 0, "{flip:?}");
        scrubbing.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_grows_meanwhile_is_judged_by_the_head_that_the_round_began_with() {
    let world = World::raw();
    let (_, handle) = log(&world, 300).await;
    let mut scrubbing = Scrubbing::begin(&handle, 100);
    // The round takes three seconds: the right edge fills up and moves on under it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    append(&handle, 300, 800).await;
    let first = after(&mut scrubbing, 1).await;
    assert_eq!((first.size.map(TreeSize::get), first.findings), (Some(300), 0));
    let second = after(&mut scrubbing, 2).await;
    assert_eq!((second.size.map(TreeSize::get), second.findings), (Some(800), 0));
    scrubbing.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_kept() {
    let world = World::raw();
    let (_, handle) = log(&world, 1_024).await;
    let begun = Instant::now();
    let mut scrubbing = Scrubbing::begin(&handle, 256);
    after(&mut scrubbing, 1).await;
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    scrubbing.stop().await;
}
