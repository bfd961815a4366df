//! Logs of opaque entries, and logs that were frozen.

use super::*;
use crate::admit::Refusal;
use crate::ports::Store as _;
use crate::recover::LoadError;

fn raw(text: &str) -> Submission {
    Submission::raw(text.as_bytes().into()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_raw_log_begins_empty_and_is_published_so() {
    let world = World::raw();
    let (_, handle) = world.served().await;
    settle().await;
    assert_eq!(handle.committed().0, TreeSize::ZERO);
    assert_eq!(handle.published().unwrap().size, TreeSize::ZERO);
    assert_eq!(submit(&handle, raw("first")).await.index, index(0));
    assert_eq!(handle.entry(index(0)).await.unwrap().as_deref(), Some(&b"first"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_raw_log_without_witnesses_publishes_what_it_commits() {
    let mut world = World::raw();
    world.endpoints.clear();
    let log = world.trust.keys.policy.lines().next().unwrap().to_owned();
    world.trust.keys.policy = format!("{log}\nquorum none\n");
    let (_, handle) = world.served().await;
    let submitted = submit(&handle, raw("alone")).await;
    assert_eq!((submitted.index, submitted.level), (index(0), WaitLevel::Published));
    assert_eq!(handle.published().unwrap().head_time.unix(), NOW);
}

#[tokio::test(start_paused = true)]
async fn a_raw_log_is_read_back_after_a_restart() {
    let world = World::raw();
    let (store, handle) = world.served().await;
    for number in 0..300 {
        submit(&handle, raw(&format!("entry {number}"))).await;
    }
    handle.shutdown().await;
    let again = world.start(store.clone()).await;
    assert_eq!(again.committed().0, size(300));
    let duplicate = submit(&again, raw("entry 7")).await;
    assert_eq!((duplicate.index, duplicate.duplicate, duplicate.leaf_hash), (index(7), true, leaf_hash(b"entry 7")));
    assert_eq!(submit(&again, raw("more")).await.index, index(300));
}

#[tokio::test(start_paused = true)]
async fn a_raw_log_that_lost_or_gained_entries_is_not_served() {
    for flip in [crate::store::memory::Flip::LostEntry, crate::store::memory::Flip::ExtraEntry(b"more".to_vec())] {
        let world = World::raw();
        let (store, handle) = world.served().await;
        submit(&handle, raw("first")).await;
        submit(&handle, raw("second")).await;
        handle.shutdown().await;
        store.flip(&world.origin(), flip);
        let refused = start(world.settings(), world.ports(store)).await.map(|_| ()).unwrap_err();
        assert!(matches!(refused, StartError::Load(LoadError::EntryCount { .. })), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_is_not_served_as_another_kind() {
    let (raw_world, world) = (World::raw(), World::new());
    for (made, served) in [(&raw_world, &world), (&world, &raw_world)] {
        let store = Arc::new(MemoryStore::default());
        made.create(store.clone()).await;
        let refused = start(served.settings(), made.ports(store)).await.map(|_| ()).unwrap_err();
        assert!(matches!(refused, StartError::Load(LoadError::OtherKind { .. })), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_without_rules_is_made_without_entries() {
    let world = World::raw();
    let ports = world.ports(Arc::new(MemoryStore::default()));
    let refused = create(&world.settings(), vec![b"genesis".to_vec()], &ports).await;
    assert!(matches!(refused, Err(CreateError::RawEntries)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_frozen_log_refuses_by_name_and_goes_on_being_read_and_cosigned() {
    for world in [World::raw(), World::new()] {
        let submission = |number: u64| match world.kind {
            crate::ports::LogKind::Raw => raw(&number.to_string()),
            crate::ports::LogKind::FleetKeys => entry(&world.evidence(number)),
        };
        let (store, handle) = world.served().await;
        let last = submit(&handle, submission(1)).await;
        let frozen = store.freeze(&world.origin()).await.unwrap();
        assert_eq!(frozen, handle.committed().0);
        let refused = handle.submit(submission(2), WaitLevel::Committed, LONG).await;
        let is_frozen = |refused: &Result<Submitted, SubmitError>| matches!(refused, Err(SubmitError::Refused(Refusal::Frozen { size })) if *size == frozen);
        assert!(is_frozen(&refused), "{refused:?}");
        assert_eq!(handle.state(), OwnerState::Frozen);
        // What it has, it has.
        assert_eq!(submit(&handle, submission(1)).await.index, last.index);
        handle.shutdown().await;

        let again = world.start(store.clone()).await;
        assert_eq!(again.state(), OwnerState::Frozen);
        let refused = again.submit(submission(3), WaitLevel::Committed, LONG).await;
        assert!(is_frozen(&refused), "{refused:?}");
        let before = again.published().unwrap();
        world.clock.set(NOW + 2 * 3_600);
        tokio::time::sleep(world.recosign_every * 2).await;
        let after = again.published().unwrap();
        assert_eq!(after.size, before.size);
        assert!(after.head_time > before.head_time, "a frozen log's head is cosigned again");
    }
}
