mod fault_table;
mod faults;
mod raw;
mod refusals;

use std::sync::Arc;
use std::time::Duration;

use countermark_bundle::identity::{Digest, Epoch};
use countermark_tlog::hash::leaf_hash;
use countermark_tlog::proof::{verify_consistency, verify_inclusion};
use countermark_tlog::size::LeafIndex;

use super::*;
use crate::store::memory::MemoryStore;
use crate::testing::audit::audit;
use crate::testing::faulty::{Call, Faults, Form, faulty};
use crate::testing::world::entry;
use crate::testing::{Broken, Manner, NOW, Unplugged, World};

/// Long enough for everything, in paused time.
const LONG: Duration = Duration::from_mins(10);

fn size(leaves: u64) -> TreeSize {
    TreeSize::new(leaves).unwrap()
}

fn index(leaf: u64) -> LeafIndex {
    LeafIndex::new(leaf).unwrap()
}

async fn submit(handle: &NamespaceHandle, submission: Submission) -> Submitted {
    handle.submit(submission, WaitLevel::Published, LONG).await.unwrap()
}

/// A namespace whose ports can be made to fail.
async fn fragile(world: &World) -> (Arc<MemoryStore>, Arc<Faults>, NamespaceHandle) {
    let store = Arc::new(MemoryStore::default());
    world.create(store.clone()).await;
    let faults = Arc::new(Faults::default());
    let ports = faulty(world.ports(store.clone()), &faults);
    let (handle, _) = start(world.settings(), ports).await.unwrap();
    (store, faults, handle)
}

/// Lets every task that can go on do so.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

fn submit_in_background(
    handle: &NamespaceHandle,
    submission: Submission,
    wait: WaitLevel,
) -> tokio::task::JoinHandle<Result<Submitted, SubmitError>> {
    let handle = handle.clone();
    tokio::spawn(async move { handle.submit(submission, wait, LONG).await })
}

#[tokio::test(start_paused = true)]
async fn a_statement_is_certified_logged_and_published() {
    let world = World::new();
    let (store, handle) = world.served().await;
    let statement = world.statement(1, None);
    let submitted = submit(&handle, world.submission(&statement)).await;
    assert_eq!((submitted.index, submitted.level, submitted.duplicate), (index(1), WaitLevel::Published, false));

    let published = handle.published().unwrap();
    assert_eq!((published.size, published.head_time.unix()), (size(2), NOW));
    let bytes = handle.entry(submitted.index).await.unwrap().unwrap();
    let path = handle.inclusion(submitted.index, published.size).await.unwrap().unwrap();
    verify_inclusion(leaf_hash(&bytes), submitted.index, published.size, published.root, &path).unwrap();
    let record = published.state.fleet_keys().unwrap().newest_certified().unwrap();
    assert_eq!(record.statement.bytes(), statement.write());
    assert_eq!(record.certificate.timestamp_ms, NOW * 1_000);
    audit(&world, store.as_ref()).await;
}

#[tokio::test(start_paused = true)]
async fn a_repeated_submission_is_answered_with_what_is_stored() {
    let world = World::new();
    let (store, handle) = world.served().await;
    let statement = world.statement(1, None);
    let first = submit(&handle, world.submission(&statement)).await;
    submit(&handle, entry(&world.evidence(1))).await;
    // The same statement with other approvals is still the same entry, also when those would not do.
    let again = Submission::Statement {
        statement: statement.write(),
        approvals: vec![],
        attestations: vec![],
        submitter: "x".into(),
    };
    let second = submit(&handle, again).await;
    assert_eq!(second, Submitted { duplicate: true, size: size(3), ..first });
    assert_eq!(audit(&world, store.as_ref()).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_arrives_during_a_commit_becomes_one_batch() {
    let world = World::new();
    let (store, faults, handle) = fragile(&world).await;
    faults.hold(Call::Commit);
    let first = submit_in_background(&handle, entry(&world.evidence(0)), WaitLevel::Published);
    faults.until_held(1).await;
    // Forty submissions, each twice.
    let mut waiting = Vec::new();
    for number in 1..=40 {
        for _ in 0..2 {
            waiting.push(submit_in_background(&handle, entry(&world.evidence(number)), WaitLevel::Published));
        }
    }
    settle().await;
    faults.release();
    assert_eq!(first.await.unwrap().unwrap().index, index(1));
    let mut answers = Vec::new();
    for one in waiting {
        answers.push(one.await.unwrap().unwrap());
    }
    assert_eq!(answers.iter().filter(|answer| answer.duplicate).count(), 40);
    for pair in answers.chunks(2) {
        assert_eq!((pair[0].index, pair[0].leaf_hash), (pair[1].index, pair[1].leaf_hash));
    }
    let heads: Vec<u64> = store.heads(&world.origin()).iter().map(|head| head.size.get()).collect();
    assert_eq!(heads, [1, 2, 42]);
    audit(&world, store.as_ref()).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_overloaded_and_keeps_nothing() {
    let world = World::new();
    let (_, faults, handle) = fragile(&world).await;
    faults.hold(Call::Commit);
    let mut waiting = vec![submit_in_background(&handle, entry(&world.evidence(0)), WaitLevel::Committed)];
    faults.until_held(1).await;
    let one = entry(&world.evidence(1));
    for _ in 0..queue_max(LogKind::FleetKeys) {
        waiting.push(submit_in_background(&handle, one.clone(), WaitLevel::Committed));
    }
    settle().await;
    let refused = handle.submit(entry(&world.evidence(2)), WaitLevel::Committed, LONG).await;
    assert!(
        matches!(refused, Err(SubmitError::Overloaded { retry_after }) if retry_after == RETRY_AFTER),
        "{refused:?}"
    );
    faults.release();
    for one in waiting {
        one.await.unwrap().unwrap();
    }
    assert_eq!(handle.committed().0, size(3));
}

#[tokio::test(start_paused = true)]
async fn each_level_is_answered_when_it_is_reached() {
    let world = World::new();
    let (_, faults, handle) = fragile(&world).await;
    submit(&handle, entry(&world.evidence(0))).await;
    for witness in 0..4 {
        world.witnesses.behave(world.url(witness), Manner::Hangs);
    }
    faults.hold(Call::RecordPublication);
    let short = Duration::from_secs(1);
    let committed = handle.submit(entry(&world.evidence(1)), WaitLevel::Committed, short).await.unwrap();
    assert_eq!((committed.level, committed.size), (WaitLevel::Committed, size(3)));
    match handle.submit(entry(&world.evidence(2)), WaitLevel::Witnessed, short).await {
        Err(SubmitError::DeadlinePassed { reached: Some(reached) }) => {
            assert_eq!((reached.level, reached.index), (WaitLevel::Committed, index(3)));
        }
        other => panic!("{other:?}"),
    }
    for witness in 0..3 {
        world.witnesses.behave(world.url(witness), Manner::Honest);
    }
    match handle.submit(entry(&world.evidence(1)), WaitLevel::Published, Duration::from_mins(1)).await {
        Err(SubmitError::DeadlinePassed { reached: Some(reached) }) => assert_eq!(reached.level, WaitLevel::Witnessed),
        other => panic!("{other:?}"),
    }
    assert_eq!(handle.published().unwrap().size, size(2));
    faults.release();
    let published = submit(&handle, entry(&world.evidence(2))).await;
    assert_eq!(published.level, WaitLevel::Published);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_before_the_commit_withdraws_nothing() {
    let world = World::new();
    let (_, faults, handle) = fragile(&world).await;
    faults.hold(Call::Commit);
    let late = handle.submit(entry(&world.evidence(1)), WaitLevel::Committed, Duration::from_secs(1)).await;
    assert!(matches!(late, Err(SubmitError::DeadlinePassed { reached: None })), "{late:?}");
    faults.release();
    let again = submit(&handle, entry(&world.evidence(1))).await;
    assert_eq!((again.index, again.duplicate), (index(1), true));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_shown_before_its_head_is_registered() {
    let world = World::new();
    let (store, faults, handle) = fragile(&world).await;
    faults.hold(Call::CompareAndSwap);
    let waiting = submit_in_background(&handle, entry(&world.evidence(1)), WaitLevel::Committed);
    faults.until_held(1).await;
    assert_eq!(store.heads(&world.origin()).last().unwrap().size, size(2));
    let leaf = leaf_hash(&world.evidence(1).write());
    assert_eq!(handle.committed().0, size(1));
    assert_eq!(handle.entry(index(1)).await.unwrap(), None);
    assert_eq!(handle.index_of_leaf_hash(leaf).await.unwrap(), None);
    assert_eq!(handle.index_of_identity(world.evidence(1).identity()).await.unwrap(), None);
    assert_eq!(handle.inclusion(index(1), size(2)).await.unwrap(), None);
    assert_eq!(handle.consistency(size(1), size(2)).await.unwrap(), None);
    faults.release();
    waiting.await.unwrap().unwrap();
    assert_eq!(handle.index_of_leaf_hash(leaf).await.unwrap(), Some(index(1)));
    assert_eq!(handle.index_of_identity(world.evidence(1).identity()).await.unwrap(), Some(index(1)));
}

#[tokio::test(start_paused = true)]
async fn certificates_rise_in_time_when_the_clock_goes_back() {
    let world = World::new();
    let (_, handle) = world.served().await;
    submit(&handle, world.submission(&world.statement(1, None))).await;
    world.clock.set(NOW - 5);
    let previous = Digest::of(&world.statement(1, None).write());
    submit(&handle, world.submission(&world.statement(2, Some(previous)))).await;
    let published = handle.published().unwrap();
    let state = published.state.fleet_keys().unwrap();
    let time = |epoch| state.statement(Epoch::new(epoch).unwrap()).unwrap().certificate.timestamp_ms;
    assert_eq!((time(1), time(2)), (NOW * 1_000, NOW * 1_000 + 1));
}

#[tokio::test(start_paused = true)]
async fn proofs_between_any_two_sizes_verify() {
    let world = World::new();
    let (_, handle) = world.served().await;
    let mut roots = vec![handle.committed()];
    for number in 0..20 {
        handle.submit(entry(&world.evidence(number)), WaitLevel::Committed, LONG).await.unwrap();
        roots.push(handle.committed());
    }
    for (from, from_root) in &roots {
        for (to, to_root) in roots.iter().filter(|(to, _)| to >= from) {
            let proof = handle.consistency(*from, *to).await.unwrap().unwrap();
            verify_consistency(*from, *from_root, *to, *to_root, &proof).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_signature_that_is_missing_or_wrong_keeps_everything_out_of_the_log() {
    let world = World::new();
    let cases: [(&str, NamespaceSettings, SubmitFault); 4] = [
        (
            "log key gives nothing",
            NamespaceSettings { log_signer: Arc::new(Unplugged(world.log.clone())), ..world.settings() },
            SubmitFault::Signing,
        ),
        (
            "log key signs something else",
            NamespaceSettings { log_signer: Arc::new(Broken(world.log.clone())), ..world.settings() },
            SubmitFault::SelfCheck,
        ),
        (
            "certificate key gives nothing",
            world.settings_certified_by(Box::new(Unplugged(world.certificate.clone()))),
            SubmitFault::Signing,
        ),
        (
            "certificate key signs something else",
            world.settings_certified_by(Box::new(Broken(world.certificate.clone()))),
            SubmitFault::SelfCheck,
        ),
    ];
    let store = Arc::new(MemoryStore::default());
    world.create(store.clone()).await;
    for (case, settings, expect) in cases {
        let (handle, _) = start(settings, world.ports(store.clone())).await.unwrap();
        let refused = handle.submit(world.submission(&world.statement(1, None)), WaitLevel::Committed, LONG).await;
        assert!(matches!(refused, Err(SubmitError::Fault { reason }) if reason == expect), "{case}: {refused:?}");
        handle.shutdown().await;
    }
    assert_eq!(audit(&world, store.as_ref()).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_was_shut_down_says_so() {
    let world = World::new();
    let store = Arc::new(MemoryStore::default());
    world.create(store.clone()).await;
    let faults = Arc::new(Faults::default());
    let (handle, ended) = start(world.settings(), faulty(world.ports(store.clone()), &faults)).await.unwrap();
    faults.hold(Call::Commit);
    let committing = submit_in_background(&handle, entry(&world.evidence(1)), WaitLevel::Committed);
    faults.until_held(1).await;
    let queued = submit_in_background(&handle, entry(&world.evidence(2)), WaitLevel::Committed);
    settle().await;
    let stopping = tokio::spawn({
        let handle = handle.clone();
        async move { handle.shutdown().await }
    });
    settle().await;
    faults.release();
    stopping.await.unwrap();
    assert!(matches!(ended.await.unwrap(), Ended::ShutDown));
    assert_eq!(committing.await.unwrap().unwrap().index, index(1));
    for refused in [queued.await.unwrap(), handle.submit(entry(&world.evidence(3)), WaitLevel::Committed, LONG).await] {
        assert!(matches!(refused, Err(SubmitError::Fault { reason: SubmitFault::Stopped })), "{refused:?}");
    }
    assert_eq!(handle.state(), OwnerState::Stopped);
    assert_eq!(audit(&world, store.as_ref()).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_fenced_off_stops() {
    let world = World::new();
    let store = Arc::new(MemoryStore::default());
    world.create(store.clone()).await;
    let (old, ended) = start(world.settings(), world.ports(store.clone())).await.unwrap();
    submit(&old, entry(&world.evidence(1))).await;
    let new = world.start(store.clone()).await;
    submit(&new, entry(&world.evidence(2))).await;
    let refused = old.submit(entry(&world.evidence(3)), WaitLevel::Committed, LONG).await;
    assert!(matches!(refused, Err(SubmitError::Fault { reason: SubmitFault::NotKept })), "{refused:?}");
    assert!(matches!(ended.await.unwrap(), Ended::Fenced { .. }));
    assert_eq!(old.state(), OwnerState::Stopped);
    submit(&new, entry(&world.evidence(3))).await;
    assert_eq!(audit(&world, store.as_ref()).await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn health_tells_what_every_witness_last_did() {
    let world = World::new();
    let (_, handle) = world.served().await;
    world.witnesses.behave(world.url(3), Manner::Status(500));
    submit(&handle, entry(&world.evidence(1))).await;
    world.clock.set(NOW + 30);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let health = handle.health();
    assert_eq!((health.state, health.committed), (OwnerState::Serving, size(2)));
    assert_eq!((health.published.unwrap().0, health.head_age_seconds), (size(2), Some(30)));
    assert_eq!(health.witnesses[0].last_success.unwrap().unix(), NOW);
    assert_eq!(health.witnesses[3].name, "w3.example");
    assert_eq!(health.witnesses[3].last_failure.as_ref().unwrap().detail, "the witness answered 500");
}
