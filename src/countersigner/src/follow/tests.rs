use super::*;
use crate::testing::*;

fn floor() -> Checkpoint {
    let trust = trust();
    Checkpoint { origin: trust.origin, size: trust.floor.size, root: trust.floor.root }
}

fn empty_view() -> View {
    View::new(Replay::new(&trust(), Keys::operator().public().key_id()).unwrap())
}

#[tokio::test]
async fn a_log_of_more_than_one_bundle_is_followed_from_every_size() {
    let (log, ledger) = (World::new().log, FaultyLedger::default());
    let mut view = empty_view();
    for target in [1, 2, 255, 256, 257, 258, 511, 513] {
        while log.size() < target {
            log.push_filler();
        }
        log.publish(NOW);
        view.follow(&log, &ledger, &floor(), at(NOW)).await.unwrap();
        assert_eq!(view.head().unwrap().size(), size(target));
        assert_eq!(view.replay().root(), view.head().unwrap().root());
        assert_eq!(view_of(&log).await.replay().root(), view.replay().root());
    }
}

#[tokio::test]
async fn a_head_that_was_kept_by_a_call_that_failed_is_followed_again() {
    let (log, ledger) = (World::new().log, FaultyLedger::default());
    let mut view = empty_view();
    ledger.fail_next(LedgerCall::Advance, Fault::Saved);
    assert!(matches!(
        view.follow(&log, &ledger, &floor(), at(NOW)).await,
        Err(FollowError::Advance(AdvanceError::Fault(_)))
    ));
    assert!(view.head().is_none());
    view.follow(&log, &ledger, &floor(), at(NOW)).await.unwrap();
    assert_eq!(view.head().unwrap().size(), size(1));
}

#[tokio::test]
async fn newer_cosignatures_of_the_same_head_move_its_time() {
    let (log, ledger) = (World::new().log, FaultyLedger::default());
    let mut view = empty_view();
    view.follow(&log, &ledger, &floor(), at(NOW)).await.unwrap();
    log.publish(NOW + 60);
    view.follow(&log, &ledger, &floor(), at(NOW)).await.unwrap();
    assert_eq!(view.head().unwrap().head_time(), at(NOW + 60));
    assert_eq!(ledger.head().await.unwrap().unwrap().head_time, at(NOW + 60));
}

#[tokio::test]
async fn tiles_of_the_wrong_length_give_no_proof() {
    let (log, ledger) = (World::new().log, FaultyLedger::default());
    let mut view = empty_view();
    view.follow(&log, &ledger, &floor(), at(NOW)).await.unwrap();
    log.push_filler();
    log.publish(NOW);
    log.shorten_tiles(true);
    let error = view.follow(&log, &ledger, &floor(), at(NOW)).await.unwrap_err();
    assert!(matches!(error, FollowError::Prefix(ProofReadError::Tile(_))));
}

#[tokio::test]
async fn a_proof_of_what_the_tree_does_not_have_is_refused_before_anything_is_read() {
    let log = World::new().log;
    let error = proofs::inclusion(&log, index(1), size(1)).await.unwrap_err();
    assert!(matches!(error, ProofReadError::Plan(_)));
    let error = proofs::prefix(&log, size(2), size(1)).await.unwrap_err();
    assert!(matches!(error, ProofReadError::Plan(_)));
    assert_eq!(log.reads(), 0);
}

#[tokio::test]
async fn a_sighting_counts_from_the_last_head_without_the_statement_and_stays() {
    let (log, ledger) = (World::new().log, FaultyLedger::default());
    log.publish(NOW + 50);
    let mut view = empty_view();
    view.follow(&log, &ledger, &floor(), at(NOW)).await.unwrap();
    log.certify_at(statement(1), NOW + 10);
    log.certify_at(statement(2), NOW + 90);
    log.publish(NOW + 100);
    view.follow(&log, &ledger, &floor(), at(NOW)).await.unwrap();
    let counted_from =
        |sightings: Vec<Sighting>| -> Vec<Timestamp> { sightings.into_iter().map(|seen| seen.counted_from).collect() };
    let expect = vec![at(NOW + 50), at(NOW + 90)];
    assert_eq!(counted_from(ledger.sightings().await.unwrap()), expect);
    // A replay from the first entry, over the same ledger and under newer cosignatures, changes nothing.
    log.publish(NOW + 500);
    empty_view().follow(&log, &ledger, &floor(), at(NOW)).await.unwrap();
    assert_eq!(counted_from(ledger.sightings().await.unwrap()), expect);
}
