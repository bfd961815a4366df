use std::sync::Arc;

use countermark_tlog::checkpoint::SignedCheckpoint;
use tokio::time::sleep;

use super::*;
use crate::ports::StoreReader as _;
use crate::sequencer::{NamespaceHandle, SubmitError, WaitLevel, WitnessFailureReason, start};
use crate::store::memory::MemoryStore;
use crate::testing::audit::audit;
use crate::testing::faulty::{Call, Faults, Form, faulty};
use crate::testing::world::entry;
use crate::testing::{Manner, NOW, World};

const LONG: Duration = Duration::from_mins(10);

/// Every way in which a witness can fail, and the name that it gets.
const BAD: [(Manner, WitnessFailureReason); 13] = [
    (Manner::Status(404), WitnessFailureReason::Refused),
    (Manner::Status(500), WitnessFailureReason::Refused),
    (Manner::Garbage, WitnessFailureReason::Malformed),
    (Manner::TooLong, WitnessFailureReason::Malformed),
    (Manner::BadSignature, WitnessFailureReason::InvalidCosignature),
    (Manner::BadStamp, WitnessFailureReason::InvalidCosignature),
    (Manner::SomebodyElse, WitnessFailureReason::InvalidCosignature),
    (Manner::OtherHead, WitnessFailureReason::InvalidCosignature),
    (Manner::Claims(3), WitnessFailureReason::Conflict),
    (Manner::Claims(1_000_000), WitnessFailureReason::Conflict),
    (Manner::ClaimsNonsense, WitnessFailureReason::Malformed),
    (Manner::Unreachable, WitnessFailureReason::Unreachable),
    (Manner::Hangs, WitnessFailureReason::Timeout),
];

/// The names of the witnesses that cosigned the published head.
fn cosigners(handle: &NamespaceHandle) -> Vec<String> {
    let note = SignedCheckpoint::parse(&handle.published().unwrap().note).unwrap();
    let mut names: Vec<String> = note.note().signatures()[1..].iter().map(|line| line.name.to_string()).collect();
    names.sort();
    names
}

/// Waits, in paused time, until the published view is as wanted.
async fn until(handle: &NamespaceHandle, wanted: impl Fn(&Published) -> bool) {
    for _ in 0..100_000 {
        if handle.published().is_some_and(|published| wanted(&published)) {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to that: {:?}", handle.health());
}

async fn commit(world: &World, handle: &NamespaceHandle, number: u64) -> u64 {
    let done = handle.submit(entry(&world.evidence(number)), WaitLevel::Committed, LONG).await.unwrap();
    done.index.get()
}

async fn publish(world: &World, handle: &NamespaceHandle, number: u64) -> u64 {
    let done = handle.submit(entry(&world.evidence(number)), WaitLevel::Published, LONG).await.unwrap();
    done.index.get()
}

#[tokio::test(start_paused = true)]
async fn a_quorum_is_enough_and_a_straggler_is_added() {
    let world = World::new();
    let (store, handle) = world.served().await;
    until(&handle, |published| published.size.get() == 1).await;
    world.witnesses.behave(world.url(3), Manner::Hangs);
    publish(&world, &handle, 1).await;
    assert_eq!(cosigners(&handle), ["w0.example", "w1.example", "w2.example"]);
    world.witnesses.behave(world.url(3), Manner::Honest);
    until(&handle, |published| SignedCheckpoint::parse(&published.note).unwrap().note().signatures().len() == 5).await;
    let stored = store.publication(&world.origin()).await.unwrap().unwrap();
    assert_eq!(stored.note, handle.published().unwrap().note);
}

#[tokio::test(start_paused = true)]
async fn without_a_quorum_nothing_is_published_until_there_is_one() {
    let world = World::new();
    let (_, handle) = world.served().await;
    publish(&world, &handle, 1).await;
    for witness in [2, 3] {
        world.witnesses.behave(world.url(witness), Manner::Status(503));
    }
    let late = handle.submit(entry(&world.evidence(2)), WaitLevel::Published, Duration::from_secs(30)).await;
    assert!(matches!(late, Err(SubmitError::DeadlinePassed { reached: Some(_) })), "{late:?}");
    commit(&world, &handle, 3).await;
    assert_eq!((handle.published().unwrap().size.get(), handle.committed().0.get()), (2, 4));
    world.witnesses.behave(world.url(2), Manner::Honest);
    until(&handle, |published| published.size.get() == 4).await;
}

#[tokio::test(start_paused = true)]
async fn one_bad_witness_stops_nothing_and_two_stop_everything() {
    for (manner, reason) in BAD {
        let world = World::new();
        let (store, handle) = world.served().await;
        publish(&world, &handle, 1).await;
        world.witnesses.behave(world.url(3), manner);
        let before = tokio::time::Instant::now();
        publish(&world, &handle, 2).await;
        assert!(before.elapsed() < world.witness_timeout, "{manner:?} delayed publication: {:?}", before.elapsed());
        sleep(world.witness_timeout * 2).await;
        assert_eq!(cosigners(&handle).len(), 3, "{manner:?}");
        let health = handle.health();
        assert_eq!(health.witnesses[3].last_failure.as_ref().map(|failure| failure.reason), Some(reason), "{manner:?}");
        assert!(!health.waits_for_quorum(), "{manner:?}");
        world.witnesses.behave(world.url(2), manner);
        commit(&world, &handle, 3).await;
        sleep(Duration::from_mins(1)).await;
        assert_eq!(handle.published().unwrap().size.get(), 3, "{manner:?}");
        let health = handle.health();
        assert_eq!(
            health.without_quorum_since.map(countermark_bundle::identity::Timestamp::unix),
            Some(NOW),
            "{manner:?}"
        );
        assert!(health.waits_for_quorum(), "{manner:?}");
        for witness in [2, 3] {
            world.witnesses.behave(world.url(witness), Manner::Honest);
        }
        until(&handle, |published| published.size.get() == 4).await;
        // Both are asked again, and believed.
        publish(&world, &handle, 4).await;
        sleep(Duration::from_secs(1)).await;
        let health = handle.health();
        assert!(health.witnesses.iter().all(|witness| witness.last_failure.is_none()), "{manner:?}: {health:?}");
        assert!(health.without_quorum_since.is_none() && !health.waits_for_quorum(), "{manner:?}");
        audit(&world, store.as_ref()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_witness_that_hangs_delays_nobody() {
    let world = World::new();
    let (_, handle) = world.served().await;
    world.witnesses.behave(world.url(0), Manner::Hangs);
    let before = tokio::time::Instant::now();
    for number in 0..10 {
        publish(&world, &handle, number).await;
    }
    assert!(before.elapsed() < world.witness_timeout, "{:?}", before.elapsed());
    sleep(Duration::from_secs(10)).await;
    let failure = handle.health().witnesses[0].last_failure.clone().unwrap();
    assert_eq!((failure.reason, failure.detail.as_str()), (WitnessFailureReason::Timeout, "no answer in time"));
}

#[tokio::test(start_paused = true)]
async fn a_witness_that_names_another_size_is_given_a_proof_from_there() {
    let world = World::new();
    let (_, handle) = world.served().await;
    publish(&world, &handle, 1).await;
    // It was replaced by a new one; it took a head whose answer was lost.
    world.witnesses.forget(world.url(0));
    world.witnesses.behave(world.url(1), Manner::LosesAnswer);
    commit(&world, &handle, 2).await;
    until(&handle, |published| published.size.get() == 3).await;
    assert_eq!((world.witnesses.known(world.url(0)), world.witnesses.known(world.url(1))), (3, 3));
    assert_eq!(cosigners(&handle), ["w0.example", "w2.example", "w3.example"]);
    world.witnesses.behave(world.url(1), Manner::Honest);
    publish(&world, &handle, 3).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(cosigners(&handle).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn heads_that_were_committed_during_a_round_are_published_together() {
    let world = World::new();
    let (_, handle) = world.served().await;
    publish(&world, &handle, 0).await;
    for witness in 0..4 {
        world.witnesses.behave(world.url(witness), Manner::Hangs);
    }
    for number in 1..=20 {
        commit(&world, &handle, number).await;
    }
    let before = world.witnesses.calls(world.url(0));
    for witness in 0..4 {
        world.witnesses.behave(world.url(witness), Manner::Honest);
    }
    until(&handle, |published| published.size.get() == 22).await;
    // The round that was open, and one for everything since.
    assert!(world.witnesses.calls(world.url(0)) - before <= 2);
}

#[tokio::test(start_paused = true)]
async fn an_idle_log_is_cosigned_again_on_schedule() {
    let mut world = World::new();
    world.recosign_every = Duration::from_mins(10);
    let (_, handle) = world.served().await;
    publish(&world, &handle, 1).await;
    sleep(Duration::from_secs(10)).await;
    world.witnesses.behave(world.url(3), Manner::Hangs);
    for round in 1..=3 {
        world.clock.set(NOW + 600 * round);
        sleep(Duration::from_mins(10)).await;
        let published = handle.published().unwrap();
        assert_eq!((published.size.get(), published.head_time.unix()), (2, NOW + 600 * round));
        // The one that does not answer keeps its older cosignature in the note.
        assert_eq!(cosigners(&handle).len(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_round_is_tried_again_after_a_bounded_wait() {
    let mut world = World::new();
    world.recosign_every = Duration::from_mins(10);
    let (_, handle) = world.served().await;
    publish(&world, &handle, 1).await;
    sleep(Duration::from_secs(10)).await;
    for witness in [1, 2, 3] {
        world.witnesses.behave(world.url(witness), Manner::Status(500));
    }
    let before = world.witnesses.calls(world.url(1));
    world.clock.set(NOW + 900);
    sleep(Duration::from_mins(15)).await;
    let calls = world.witnesses.calls(world.url(1)) - before;
    assert!((50..80).contains(&calls), "{calls}");
    assert_eq!(handle.published().unwrap().head_time.unix(), NOW);
    for witness in [1, 2] {
        world.witnesses.behave(world.url(witness), Manner::Honest);
    }
    until(&handle, |published| published.head_time.unix() == NOW + 900).await;
}

#[tokio::test(start_paused = true)]
async fn a_cosigned_head_that_could_not_be_stored_is_stored_later() {
    let world = World::new();
    let store = Arc::new(MemoryStore::default());
    world.create(store.clone()).await;
    let faults = Arc::new(Faults::default());
    let (handle, _) = start(world.settings(), faulty(world.ports(store.clone()), &faults)).await.unwrap();
    publish(&world, &handle, 1).await;
    for form in [Form::NotDone, Form::Done] {
        sleep(Duration::from_secs(1)).await;
        faults.arm(Call::RecordPublication, form);
        let index = publish(&world, &handle, 2 + u64::from(form == Form::Done)).await;
        let stored = store.publication(&world.origin()).await.unwrap().unwrap();
        assert!(stored.size.get() > index);
    }
    assert!(faults.struck().len() >= 2);
}

#[tokio::test(start_paused = true)]
async fn a_log_without_witnesses_publishes_nothing() {
    let mut world = World::new();
    world.endpoints.clear();
    let (_, handle) = world.served().await;
    commit(&world, &handle, 1).await;
    sleep(Duration::from_mins(1)).await;
    assert!(handle.published().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_cosignature_that_is_left_over_makes_no_head_look_older_than_it_is() {
    let world = World::new();
    let (_, handle) = world.served().await;
    publish(&world, &handle, 1).await;
    for witness in [1, 2, 3] {
        world.witnesses.behave(world.url(witness), Manner::Unreachable);
    }
    // For an hour, only one witness cosigns the new head.
    commit(&world, &handle, 2).await;
    sleep(Duration::from_hours(1)).await;
    world.clock.set(NOW + 3_600);
    for witness in [1, 2] {
        world.witnesses.behave(world.url(witness), Manner::Honest);
    }
    until(&handle, |published| published.size.get() == 3 && published.head_time.unix() == NOW + 3_600).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_cosignature_counts_only_for_the_head_that_it_is_on() {
    let world = World::new();
    let (_, handle) = world.served().await;
    publish(&world, &handle, 1).await;
    sleep(Duration::from_secs(1)).await;
    world.witnesses.behave(world.url(0), Manner::Hangs);
    publish(&world, &handle, 2).await;
    world.witnesses.behave(world.url(3), Manner::Hangs);
    commit(&world, &handle, 3).await;
    sleep(Duration::from_millis(10)).await;
    // The first witness answers for the head before, and is then asked for this one: no round fails on the way.
    let before = tokio::time::Instant::now();
    world.witnesses.behave(world.url(0), Manner::Honest);
    until(&handle, |published| published.size.get() == 4).await;
    assert!(before.elapsed() < RETRY_BACKOFF_MIN, "{:?}", before.elapsed());
    assert_eq!(cosigners(&handle), ["w0.example", "w1.example", "w2.example"]);
}

#[tokio::test(start_paused = true)]
async fn new_heads_do_not_shorten_the_wait_after_a_failed_round() {
    let world = World::new();
    let (_, handle) = world.served().await;
    publish(&world, &handle, 0).await;
    for witness in [1, 2, 3] {
        world.witnesses.behave(world.url(witness), Manner::Status(500));
    }
    let before = world.witnesses.calls(world.url(1));
    for number in 1..=100 {
        commit(&world, &handle, number).await;
        sleep(Duration::from_millis(1)).await;
    }
    assert!(world.witnesses.calls(world.url(1)) - before <= 2);
}

/// Which types of signatures the published head carries, by name, in the order of lines.
fn lines(handle: &NamespaceHandle) -> Vec<(String, usize)> {
    let note = SignedCheckpoint::parse(&handle.published().unwrap().note).unwrap();
    note.note().signatures().iter().map(|line| (line.name.to_string(), line.signature.len())).collect()
}

#[tokio::test(start_paused = true)]
async fn the_log_signs_and_collects_both_types_and_its_readers_believe_either() {
    let world = World::post_quantum();
    let (_, handle) = world.served().await;
    publish(&world, &handle, 1).await;
    until(&handle, |published| SignedCheckpoint::parse(&published.note).unwrap().note().signatures().len() == 9).await;
    let log = world.origin().to_string();
    let mut expect = vec![(log.clone(), 64), (log, 2428)];
    for witness in ["w0.example", "w1.example", "w2.example"] {
        expect.extend([(witness.to_string(), 72), (witness.to_string(), 2428)]);
    }
    expect.push(("w3.example".to_string(), 72));
    let mut found = lines(&handle);
    assert_eq!(found[..2], expect[..2], "the log's own lines come first");
    found[2..].sort();
    assert_eq!(found, expect);
    let note = SignedCheckpoint::parse(&handle.published().unwrap().note).unwrap();
    world.trust.authority().unwrap().policy().verify(&note).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_witness_that_gives_one_type_alone_counts_and_one_with_a_bad_line_does_not() {
    let world = World::post_quantum();
    world.witnesses.behave(world.url(0), Manner::Ed25519Alone);
    world.witnesses.behave(world.url(1), Manner::BadMlDsa44);
    let (_, handle) = world.served().await;
    publish(&world, &handle, 1).await;
    let mut names: Vec<String> = lines(&handle)[2..].iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    assert_eq!(names, ["w0.example", "w2.example", "w2.example", "w3.example"]);
    let failure = handle.health().witnesses[1].last_failure.clone().unwrap();
    assert_eq!(failure.reason, WitnessFailureReason::InvalidCosignature);
}

#[tokio::test(start_paused = true)]
async fn two_lines_of_one_witness_do_not_make_a_quorum_of_two() {
    let world = World::post_quantum();
    for witness in [2, 3] {
        world.witnesses.behave(world.url(witness), Manner::Unreachable);
    }
    let (_, handle) = world.served().await;
    let refused = handle.submit(entry(&world.evidence(1)), WaitLevel::Published, Duration::from_secs(5)).await;
    assert!(matches!(refused, Err(SubmitError::DeadlinePassed { .. })), "{refused:?}");
    assert!(handle.published().is_none());
}
