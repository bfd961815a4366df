//! What is answered, shown and kept when one port fails. That every other combination of faults leaves one whole log is
//! the claim of [`super::fault_table`].

use super::*;
use crate::ports::WriterId;

#[tokio::test(start_paused = true)]
async fn a_commit_that_failed_but_was_done_is_acknowledged_after_reading_again() {
    let world = World::new();
    let (store, faults, handle) = fragile(&world).await;
    faults.arm(Call::Commit, Form::Done);
    let done = submit(&handle, entry(&world.evidence(1))).await;
    assert_eq!((done.index, done.duplicate), (index(1), false));
    assert_eq!(audit(&world, store.as_ref()).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_failed_and_was_not_done_is_a_fault() {
    let world = World::new();
    let (store, faults, handle) = fragile(&world).await;
    faults.arm(Call::Commit, Form::NotDone);
    let refused = handle.submit(entry(&world.evidence(1)), WaitLevel::Committed, LONG).await;
    assert!(matches!(refused, Err(SubmitError::Fault { reason: SubmitFault::NotKept })), "{refused:?}");
    assert_eq!(audit(&world, store.as_ref()).await.len(), 1);
    assert_eq!(submit(&handle, entry(&world.evidence(1))).await.index, index(1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_on_top_of_a_batch_that_was_not_kept_is_withdrawn() {
    let world = World::new();
    let (store, faults, handle) = fragile(&world).await;
    let mut rival = world.statement(1, None);
    rival.max_head_age_seconds = 600;
    // While the first entry is on its way, a statement of epoch 1 arrives, and one that conflicts with it.
    faults.hold(Call::CompareAndSwap);
    let first = submit_in_background(&handle, entry(&world.evidence(1)), WaitLevel::Committed);
    faults.until_held(1).await;
    let one = submit_in_background(&handle, world.submission(&world.statement(1, None)), WaitLevel::Committed);
    settle().await;
    let other = submit_in_background(&handle, world.submission(&rival), WaitLevel::Committed);
    settle().await;
    // Their batch is not kept: then there is nothing that the second one conflicts with.
    faults.arm(Call::Commit, Form::NotDone);
    faults.release();
    first.await.unwrap().unwrap();
    for refused in [one.await.unwrap(), other.await.unwrap()] {
        assert!(matches!(refused, Err(SubmitError::Fault { reason: SubmitFault::NotKept })), "{refused:?}");
    }
    submit(&handle, world.submission(&rival)).await;
    let refused = handle.submit(world.submission(&world.statement(1, None)), WaitLevel::Committed, LONG).await;
    assert!(matches!(refused, Err(SubmitError::Conflict { .. })), "{refused:?}");
    assert_eq!(audit(&world, store.as_ref()).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn waiting_submitters_see_their_deadline_while_everything_is_read_again() {
    let world = World::new();
    let (_, faults, handle) = fragile(&world).await;
    faults.arm(Call::Commit, Form::Done);
    faults.hold(Call::TakeWriter);
    let waiting = handle.submit(entry(&world.evidence(1)), WaitLevel::Committed, Duration::from_secs(3)).await;
    assert!(matches!(waiting, Err(SubmitError::DeadlinePassed { reached: None })), "{waiting:?}");
    assert_eq!(handle.state(), OwnerState::Reloading);
    faults.release();
    let again = submit(&handle, entry(&world.evidence(1))).await;
    assert_eq!((again.index, again.duplicate, handle.state()), (index(1), true, OwnerState::Serving));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_taken_over_during_a_fault_stops() {
    let world = World::new();
    let store = Arc::new(MemoryStore::default());
    world.create(store.clone()).await;
    let faults = Arc::new(Faults::default());
    let (old, ended) = start(world.settings(), faulty(world.ports(store.clone()), &faults)).await.unwrap();
    faults.arm(Call::Commit, Form::Done);
    faults.hold(Call::TakeWriter);
    let waiting = submit_in_background(&old, entry(&world.evidence(1)), WaitLevel::Committed);
    faults.until_held(1).await;
    let new = world.start(store.clone()).await;
    faults.release();
    let refused = waiting.await.unwrap();
    assert!(matches!(refused, Err(SubmitError::Fault { reason: SubmitFault::Unknown })), "{refused:?}");
    assert!(matches!(ended.await.unwrap(), Ended::Fenced { .. }));
    let again = submit(&new, entry(&world.evidence(1))).await;
    assert_eq!((again.index, again.duplicate), (index(1), true));
    audit(&world, store.as_ref()).await;
}

#[tokio::test(start_paused = true)]
async fn a_database_that_lost_a_head_that_was_shown_stops_the_namespace() {
    let world = World::new();
    let store = Arc::new(MemoryStore::default());
    world.create(store.clone()).await;
    let faults = Arc::new(Faults::default());
    let (handle, ended) = start(world.settings(), faulty(world.ports(store.clone()), &faults)).await.unwrap();
    let before = store.snapshot();
    submit(&handle, entry(&world.evidence(1))).await;
    // The disk goes back in time under the running process: its next commit does not fit.
    store.restore(before);
    let refused = handle.submit(entry(&world.evidence(2)), WaitLevel::Committed, LONG).await;
    assert!(matches!(refused, Err(SubmitError::Fault { reason: SubmitFault::Unknown })), "{refused:?}");
    let ended = ended.await.unwrap();
    assert!(matches!(ended, Ended::Contradiction(crate::recover::LoadError::RegisterAhead { .. })), "{ended:?}");
    let id = WriterId([9; 16]);
    let taken = crate::ports::Store::take_writer(store.as_ref(), &world.origin(), id, None).await.unwrap();
    assert_eq!(taken.head.size, size(1));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_the_register_did_not_take_is_not_shown() {
    let world = World::new();
    let (store, faults, handle) = fragile(&world).await;
    faults.arm(Call::CompareAndSwap, Form::NotDone);
    faults.hold(Call::TakeWriter);
    let waiting = submit_in_background(&handle, entry(&world.evidence(1)), WaitLevel::Published);
    faults.until_held(1).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let origin = world.origin();
    assert_eq!((store.heads(&origin).len(), world.register.history(&origin).len()), (2, 1));
    assert_eq!((handle.committed().0, handle.entry(index(1)).await.unwrap()), (size(1), None));
    audit(&world, store.as_ref()).await;
    // What is read again is registered before it is shown.
    faults.hold(Call::CompareAndSwap);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(handle.committed().0, size(1));
    faults.release();
    assert_eq!(waiting.await.unwrap().unwrap().index, index(1));
    assert_eq!(world.register.history(&origin).len(), 2);
}
