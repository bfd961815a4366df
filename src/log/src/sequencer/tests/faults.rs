//! Every call of every port fails once, in both forms, at every stage of a namespace's life. Afterwards the log is whole,
//! nothing that was signed contradicts it, and nothing that was acknowledged is gone.

use super::*;
use crate::ports::WriterId;
use crate::testing::faulty::CALLS;

/// When the fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Create,
    Start,
    Submit,
    /// While everything is read again after another fault.
    Reload,
}

struct Run {
    world: World,
    store: Arc<MemoryStore>,
    faults: Arc<Faults>,
    acknowledged: Vec<(Vec<u8>, LeafIndex)>,
}

impl Run {
    fn ports(&self) -> Ports {
        faulty(self.world.ports(self.store.clone()), &self.faults)
    }

    /// Creates until it worked or is found to have worked.
    async fn create(&self) {
        for _ in 0..3 {
            let made = create(&self.world.settings(), vec![self.world.first_entry()], &self.ports()).await;
            match made {
                Ok(_)
                | Err(
                    CreateError::AlreadyRegistered { .. }
                    | CreateError::Store(crate::ports::CreateNamespaceError::AlreadyExists { .. }),
                ) => {
                    return;
                }
                Err(_) => {}
            }
        }
        panic!("the namespace was not created");
    }

    async fn start(&self) -> NamespaceHandle {
        for _ in 0..3 {
            if let Ok((handle, _)) = start(self.world.settings(), self.ports()).await {
                return handle;
            }
        }
        panic!("the namespace was not started");
    }

    /// Submits until it is acknowledged; at the first acknowledgement the index is noted.
    async fn submit(&mut self, handle: &NamespaceHandle, number: u64) {
        let entry_bytes = self.world.evidence(number).write();
        for _ in 0..3 {
            if let Ok(done) = handle.submit(entry(&self.world.evidence(number)), WaitLevel::Published, LONG).await {
                assert_eq!(done.leaf_hash, leaf_hash(&entry_bytes));
                let registered = self.world.register.history(&self.world.origin());
                assert!(done.index.is_in(registered.last().unwrap().size), "acknowledged before it was registered");
                self.acknowledged.push((entry_bytes, done.index));
                return;
            }
        }
        panic!("entry {number} was not taken");
    }

    async fn audit(&self) {
        let entries = audit(&self.world, self.store.as_ref()).await;
        for (bytes, index) in &self.acknowledged {
            assert_eq!(&entries[usize::try_from(index.get()).unwrap()], bytes, "an acknowledged entry is gone");
        }
    }
}

async fn run(stage: Stage, call: Call, form: Form) -> bool {
    let mut run = Run {
        world: World::new(),
        store: Arc::new(MemoryStore::default()),
        faults: Arc::new(Faults::default()),
        acknowledged: Vec::new(),
    };
    let arm = |now: Stage, run: &Run| {
        if now == stage {
            run.faults.arm(call, form);
        }
    };
    arm(Stage::Create, &run);
    run.create().await;
    run.faults.disarm();
    arm(Stage::Start, &run);
    let handle = run.start().await;
    run.submit(&handle, 1).await;
    run.audit().await;
    run.faults.disarm();
    arm(Stage::Submit, &run);
    if stage == Stage::Reload {
        run.faults.arm(Call::Commit, Form::Done);
        run.faults.arm(call, form);
    }
    run.submit(&handle, 2).await;
    run.submit(&handle, 3).await;
    run.audit().await;
    let struck = !run.faults.struck().is_empty();
    run.faults.disarm();
    // The process is killed: nothing is shut down, and another one starts.
    drop(handle);
    let again = run.start().await;
    run.submit(&again, 3).await;
    run.submit(&again, 4).await;
    run.audit().await;
    assert_eq!(run.acknowledged.len(), 5);
    assert_eq!(run.acknowledged[2], run.acknowledged[3]);
    struck
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_any_port_at_any_time_leaves_one_whole_log() {
    let mut struck = 0;
    for stage in [Stage::Create, Stage::Start, Stage::Submit, Stage::Reload] {
        for call in CALLS {
            for form in [Form::NotDone, Form::Done] {
                struck += usize::from(run(stage, call, form).await);
            }
        }
    }
    // Calls that a stage does not make cannot fail in it.
    assert!(struck >= 60, "{struck} faults struck");
}

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
