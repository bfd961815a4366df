//! Every port fails at every step, in both forms; the running service comes through.

use super::*;

/// Certifies epoch 1, lets things fail, and checks that the activation lands once, with one digest.
async fn check(prepare: impl Fn(&World), expect: impl Fn(&TurnError) -> bool, name: &str) {
    let world = World::new();
    world.log.certify(1);
    prepare(&world);
    let mut countersigner = world.start().await;
    let error = countersigner.turn().await.expect_err(name);
    assert!(expect(&error), "{name}: {error:?}");
    settle(&mut countersigner).await;
    assert_eq!(world.log.activations(1), [2], "{name}");
    assert_eq!(digests_signed(&world)[&1].len(), 1, "{name}");
    let row = &countersigner.status(None).await.unwrap().countersigned[0];
    assert_eq!((row.epoch, row.activation), (epoch(1), Some(2)), "{name}");
}

#[tokio::test]
async fn a_ledger_that_fails_before_or_after_saving_delays_and_burns_nothing() {
    for call in [
        LedgerCall::Head,
        LedgerCall::Advance,
        LedgerCall::Sightings,
        LedgerCall::Decided,
        LedgerCall::NewestRow,
        LedgerCall::CommitRow,
        LedgerCall::MarkActivated,
    ] {
        for fault in [Fault::NotSaved, Fault::Saved] {
            let is_ledgers = |error: &TurnError| {
                matches!(
                    error,
                    TurnError::Ledger(_)
                        | TurnError::CommitRow(CommitRowError::Fault(_))
                        | TurnError::Follow(
                            FollowError::Ledger(_) | FollowError::Advance(crate::ports::AdvanceError::Fault(_))
                        )
                )
            };
            let prepare = |world: &World| world.ledger.fail_next(call, fault);
            check(prepare, is_ledgers, &format!("{call:?} {fault:?}")).await;
        }
    }
}

#[tokio::test]
async fn a_submission_that_fails_before_or_after_saving_lands_once() {
    for answer in [Answer::FailNotSaved, Answer::FailSaved] {
        let prepare = |world: &World| world.log.answer_next(answer);
        let timed_out = |error: &TurnError| matches!(error, TurnError::Submit { source: SubmitError::TimedOut, .. });
        check(prepare, timed_out, &format!("{answer:?}")).await;
    }
}

#[tokio::test]
async fn a_refused_submission_is_tried_again() {
    let prepare = |world: &World| world.log.answer_next(Answer::Refuse(401));
    let refused =
        |error: &TurnError| matches!(error, TurnError::Submit { source: SubmitError::Refused { status: 401, .. }, .. });
    check(prepare, refused, "401").await;
}

#[tokio::test]
async fn a_submission_that_is_accepted_and_not_published_is_tried_again() {
    let prepare = |world: &World| world.log.answer_next(Answer::Accept);
    check(prepare, |error| matches!(error, TurnError::NotPublished { .. }), "accepted").await;
}

#[tokio::test]
async fn the_logs_word_that_it_published_is_not_enough() {
    let prepare = |world: &World| world.log.answer_next(Answer::Lie);
    check(prepare, |error| matches!(error, TurnError::NotThere { .. }), "lie").await;
}

#[tokio::test]
async fn a_refusal_that_fails_before_or_after_saving_is_recorded_once() {
    for fault in [Fault::NotSaved, Fault::Saved] {
        let world = World::new();
        let mut generous = statement(1);
        generous.fleets[0].guess_limit = 21;
        world.log.certify_at(generous, NOW);
        world.log.publish(NOW);
        world.ledger.fail_next(LedgerCall::RecordRefusal, fault);
        let mut countersigner = world.start().await;
        let error = countersigner.turn().await.unwrap_err();
        assert!(matches!(error, TurnError::RecordRefusal(RecordRefusalError::Fault(_))));
        settle(&mut countersigner).await;
        assert!(refusal(&world, 1).await.is_some());
        assert!(world.signatures.messages().is_empty());
    }
}

#[tokio::test]
async fn a_renewal_that_fails_before_or_after_saving_lands_once() {
    for answer in [Answer::FailNotSaved, Answer::FailSaved] {
        let world = World::new();
        world.log.certify(1);
        let mut countersigner = world.start().await;
        settle(&mut countersigner).await;
        for _ in 0..4 {
            world.log.push_filler();
        }
        world.log.publish(NOW + 5);
        world.log.answer_next(answer);
        assert!(matches!(countersigner.turn().await, Err(TurnError::Submit { .. })));
        settle(&mut countersigner).await;
        assert_eq!(world.log.activations(1), [2, 7]);
    }
}

#[tokio::test]
async fn the_evidence_of_a_fork_is_kept_before_the_service_stops() {
    for fault in [Fault::NotSaved, Fault::Saved] {
        let world = World::new();
        let other = world.log.fork();
        world.log.certify(1);
        other.push_filler();
        other.publish(NOW + 9);
        let mut countersigner = world.start().await;
        settle(&mut countersigner).await;
        other.push_filler();
        other.push_filler();
        other.publish(NOW + 9);
        world.log.become_like(&other);
        world.ledger.fail_next(LedgerCall::KeepFork, fault);
        assert!(matches!(countersigner.turn().await, Err(TurnError::Follow(FollowError::Ledger(_)))));
        assert_eq!(countersigner.turn().await.unwrap(), Turn::Stopped);
        assert!(world.ledger.fork().await.unwrap().is_some());
    }
}
