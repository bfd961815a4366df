//! The service dropped in the middle of a turn and started again over the same ledger and log.

use super::*;

/// Runs a turn until something in it hangs, and drops the service there.
async fn crash(world: &World) {
    let mut countersigner = world.start().await;
    tokio::select! {
        biased;
        turn = countersigner.turn() => panic!("nothing hung: {turn:?}"),
        () = world.ledger.hung.notified() => {}
        () = world.log.hung.notified() => {}
    }
}

/// After the crash the activation lands, with one digest for the epoch, however many signatures were made.
async fn check(world: &World, signatures_at_least: usize) {
    let mut countersigner = world.start().await;
    settle(&mut countersigner).await;
    assert_eq!(world.log.activations(1), [2]);
    assert_eq!(digests_signed(world)[&1].len(), 1);
    assert!(world.signatures.messages().len() >= signatures_at_least);
    let row = &countersigner.status(None).await.unwrap().countersigned[0];
    assert_eq!((row.epoch, row.activation), (epoch(1), Some(2)));
}

#[tokio::test]
async fn a_crash_in_any_ledger_call_burns_nothing() {
    for call in [
        LedgerCall::Head,
        LedgerCall::Advance,
        LedgerCall::Sightings,
        LedgerCall::Decided,
        LedgerCall::NewestRow,
        LedgerCall::CommitRow,
        LedgerCall::MarkActivated,
    ] {
        for fault in [Fault::HangNotSaved, Fault::HangSaved] {
            let world = World::new();
            world.log.certify(1);
            world.ledger.fail_next(call, fault);
            crash(&world).await;
            check(&world, 1).await;
        }
    }
}

#[tokio::test]
async fn a_crash_between_row_and_signature_signs_the_recorded_statement_later() {
    let world = World::new();
    world.log.certify(1);
    world.ledger.fail_next(LedgerCall::CommitRow, Fault::HangSaved);
    crash(&world).await;
    assert!(world.signatures.messages().is_empty());
    assert!(matches!(world.ledger.decided(epoch(1)).await.unwrap(), Some(Decided::Row(_))));
    check(&world, 1).await;
}

#[tokio::test]
async fn a_crash_between_signature_and_log_signs_the_same_statement_again() {
    let world = World::new();
    world.log.certify(1);
    world.log.answer_next(Answer::HangNotSaved);
    crash(&world).await;
    assert_eq!(world.signatures.messages().len(), 1);
    assert_eq!(world.log.size(), 2);
    check(&world, 2).await;
}

#[tokio::test]
async fn a_crash_between_log_and_mark_finds_the_activation_in_the_log() {
    let world = World::new();
    world.log.certify(1);
    world.log.answer_next(Answer::HangSaved);
    crash(&world).await;
    check(&world, 1).await;
    assert_eq!(world.signatures.messages().len(), 1);
    assert_eq!(world.log.size(), 3);
}

#[tokio::test]
async fn a_crash_while_a_refusal_is_recorded_does_not_change_it() {
    for fault in [Fault::HangNotSaved, Fault::HangSaved] {
        let world = World::new();
        let mut generous = statement(1);
        generous.fleets[0].guess_limit = 21;
        world.log.certify_at(generous, NOW);
        world.log.publish(NOW);
        world.ledger.fail_next(LedgerCall::RecordRefusal, fault);
        crash(&world).await;
        settle(&mut world.start().await).await;
        assert!(refusal(&world, 1).await.is_some());
        assert!(world.signatures.messages().is_empty());
    }
}

#[tokio::test]
async fn a_crash_in_a_renewal_renews_once() {
    for answer in [Answer::HangNotSaved, Answer::HangSaved] {
        let world = World::new();
        world.log.certify(1);
        settle(&mut world.start().await).await;
        for _ in 0..4 {
            world.log.push_filler();
        }
        world.log.publish(NOW + 5);
        world.log.answer_next(answer);
        crash(&world).await;
        settle(&mut world.start().await).await;
        assert_eq!(world.log.activations(1), [2, 7]);
        assert_eq!(digests_signed(&world)[&1].len(), 1);
    }
}
