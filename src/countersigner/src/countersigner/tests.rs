use std::collections::{BTreeMap, BTreeSet};

use countermark_bundle::statement::FleetStatus;

use super::*;
use crate::decide::RefusalReason;
use crate::ledger::Decided;
use crate::status::State;
use crate::testing::*;

mod crashes;
mod dishonest_log;
mod faults;

/// Every digest that was ever countersigned, by epoch, whether or not anybody saw the signature.
fn digests_signed(world: &World) -> BTreeMap<u64, BTreeSet<String>> {
    let mut digests: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for message in world.signatures.messages() {
        let lines: Vec<&str> = message.lines().collect();
        assert_eq!(lines[0], "countermark/countersignature/v1");
        digests.entry(lines[2].parse().unwrap()).or_default().insert(lines[3].to_owned());
    }
    digests
}

fn epochs_signed(world: &World) -> Vec<u64> {
    digests_signed(world).into_keys().collect()
}

/// Turns until the service settles: errors are tried again, as the loop around it does.
async fn settle(countersigner: &mut Countersigner) {
    for _ in 0..10 {
        match countersigner.turn().await {
            Ok(Turn::Done) => return,
            Ok(Turn::Stopped) => panic!("stopped: {:?}", countersigner.stopped()),
            Err(_) => {}
        }
    }
    panic!("the countersigner does not settle");
}

async fn refusal(world: &World, number: u64) -> Option<RefusalReason> {
    match world.ledger.decided(epoch(number)).await.unwrap() {
        Some(Decided::Refused(refusal)) => Some(refusal.reason),
        Some(Decided::Row(_)) | None => None,
    }
}

#[tokio::test]
async fn a_certified_statement_becomes_active_in_one_turn() {
    let world = World::new();
    world.log.certify(1);
    let mut countersigner = world.start().await;
    assert_eq!(countersigner.turn().await.unwrap(), Turn::Done);
    assert_eq!(world.log.activations(1), [2]);
    assert_eq!(world.signatures.messages().len(), 1);
    let status = countersigner.status(None).await.unwrap();
    assert_eq!(status.newest_active, Some(epoch(1)));
    assert_eq!(status.countersigned[0].activation, Some(2));
    assert!(status.waiting.is_empty() && status.refused.is_empty());
}

#[tokio::test]
async fn a_turn_without_news_reads_one_checkpoint_and_signs_nothing() {
    let world = World::new();
    world.log.certify(1);
    let mut countersigner = world.start().await;
    settle(&mut countersigner).await;
    let reads = world.log.reads();
    countersigner.turn().await.unwrap();
    assert_eq!(world.log.reads(), reads + 1);
    assert_eq!(world.signatures.messages().len(), 1);
}

#[tokio::test]
async fn statements_certified_while_the_service_was_away_are_activated_in_order() {
    let world = World::new();
    world.log.certify(1);
    world.log.certify(2);
    let mut countersigner = world.start().await;
    settle(&mut countersigner).await;
    assert_eq!(world.log.activations(1), [3]);
    assert_eq!(world.log.activations(2), [4]);
    world.log.certify(3);
    settle(&mut countersigner).await;
    assert_eq!(world.log.activations(3), [6]);
}

#[tokio::test]
async fn a_restart_replays_and_signs_nothing_new() {
    let world = World::new();
    world.log.certify(1);
    settle(&mut world.start().await).await;
    let mut restarted = world.start().await;
    settle(&mut restarted).await;
    assert_eq!(world.signatures.messages().len(), 1);
    assert_eq!(restarted.status(None).await.unwrap().newest_active, Some(epoch(1)));
}

#[tokio::test]
async fn a_statement_against_the_operators_policy_is_refused_for_good_and_burns_its_epoch() {
    let world = World::new();
    let mut generous = statement(1);
    generous.fleets[0].guess_limit = 21;
    world.log.certify_at(generous, NOW);
    world.log.publish(NOW);
    let mut countersigner = world.start().await;
    settle(&mut countersigner).await;
    let Some(RefusalReason::Policy { rules, reasons, .. }) = refusal(&world, 1).await else {
        panic!("not refused by policy");
    };
    assert_eq!(rules, ["guess-limit-above-20"]);
    assert_eq!(reasons.len(), 1);
    // Also not after a restart, and the next epoch is none the worse.
    let mut restarted = world.start().await;
    settle(&mut restarted).await;
    world.log.certify(2);
    settle(&mut restarted).await;
    assert_eq!(epochs_signed(&world), [2]);
    let status = restarted.status(None).await.unwrap();
    assert_eq!(status.refused[0].epoch, epoch(1));
    assert_eq!(status.newest_active, Some(epoch(2)));
}

#[tokio::test]
async fn an_addition_waits_for_its_cool_off_and_a_removal_does_not() {
    let world = World::new();
    world.log.certify_at(statement(1), NOW);
    world.log.publish(NOW);
    let mut countersigner = world.start_with(world.settings(600)).await;
    settle(&mut countersigner).await;
    let waiting = countersigner.status(None).await.unwrap().waiting;
    assert_eq!((waiting[0].epoch, waiting[0].until), (epoch(1), at(NOW + 600)));
    world.clock.advance(599);
    settle(&mut countersigner).await;
    assert!(world.signatures.messages().is_empty());
    world.clock.advance(1);
    settle(&mut countersigner).await;
    assert_eq!(epochs_signed(&world), [1]);
    assert!(countersigner.status(None).await.unwrap().waiting.is_empty());

    let mut smaller = statement(2);
    smaller.fleets[0].status = FleetStatus::Draining;
    smaller.fleets[0].members.pop();
    world.log.certify_at(smaller, NOW + 600);
    world.log.publish(NOW + 600);
    settle(&mut countersigner).await;
    assert_eq!(epochs_signed(&world), [1, 2]);
}

#[tokio::test]
async fn a_cool_off_goes_on_over_a_restart() {
    let world = World::new();
    world.log.certify_at(statement(1), NOW);
    world.log.publish(NOW);
    settle(&mut world.start_with(world.settings(600)).await).await;
    world.clock.advance(600);
    settle(&mut world.start_with(world.settings(600)).await).await;
    assert_eq!(epochs_signed(&world), [1]);
}

#[tokio::test]
async fn a_certificate_dated_back_does_not_shorten_the_cool_off() {
    let world = World::new();
    let mut countersigner = world.start_with(world.settings(600)).await;
    world.log.publish(NOW + 100);
    settle(&mut countersigner).await;
    // Certified an hour before the last head that the witnesses saw without it.
    let mut old = statement(1);
    old.issued_at = at(NOW - 3600);
    world.log.certify_at(old, NOW - 3600);
    world.log.publish(NOW + 101);
    settle(&mut countersigner).await;
    let waiting = countersigner.status(None).await.unwrap().waiting;
    assert_eq!(waiting[0].counted_from, at(NOW + 100));
    // The restarted service sees it under its own newest head, and remembers from when it counts.
    world.clock.advance(650);
    let mut restarted = world.start_with(world.settings(600)).await;
    settle(&mut restarted).await;
    assert!(world.signatures.messages().is_empty());
    world.clock.advance(50);
    settle(&mut restarted).await;
    assert_eq!(epochs_signed(&world), [1]);
}

#[tokio::test]
async fn an_epoch_revoked_during_its_cool_off_is_never_countersigned() {
    let world = World::new();
    world.log.certify_at(statement(1), NOW);
    world.log.publish(NOW);
    let mut countersigner = world.start_with(world.settings(600)).await;
    settle(&mut countersigner).await;
    world.log.publish_entry(&revocation(&[1], &[]));
    world.clock.advance(600);
    settle(&mut countersigner).await;
    assert!(world.signatures.messages().is_empty());
    assert_eq!(refusal(&world, 1).await, Some(RefusalReason::Revoked { what: "epoch 1".to_owned() }));
}

#[tokio::test]
async fn an_epoch_revoked_between_row_and_signature_stays_unsigned() {
    let world = World::new();
    world.log.certify(1);
    world.ledger.fail_next(LedgerCall::CommitRow, Fault::Saved);
    let mut countersigner = world.start().await;
    assert!(matches!(countersigner.turn().await, Err(TurnError::CommitRow(CommitRowError::Fault(_)))));
    world.log.publish_entry(&revocation(&[], &["fleet-1"]));
    settle(&mut countersigner).await;
    settle(&mut world.start().await).await;
    assert!(world.signatures.messages().is_empty());
}

#[tokio::test]
async fn an_active_epoch_is_renewed_when_four_entries_follow_its_activation() {
    let world = World::new();
    world.log.certify(1);
    let mut countersigner = world.start().await;
    settle(&mut countersigner).await;
    for _ in 0..3 {
        world.log.push_filler();
    }
    world.log.publish(NOW + 3);
    settle(&mut countersigner).await;
    assert_eq!(world.log.activations(1), [2]);
    world.log.push_filler();
    world.log.publish(NOW + 4);
    settle(&mut countersigner).await;
    assert_eq!(world.log.activations(1), [2, 7]);
    for _ in 0..4 {
        world.log.push_filler();
    }
    world.log.publish(NOW + 5);
    // A restarted service goes on counting.
    settle(&mut world.start().await).await;
    assert_eq!(world.log.activations(1), [2, 7, 12]);
    assert_eq!(digests_signed(&world)[&1].len(), 1);
}

#[tokio::test]
async fn a_revoked_epoch_is_never_renewed() {
    for entry in [revocation(&[1], &[]), revocation(&[], &["fleet-1"])] {
        let world = World::new();
        world.log.certify(1);
        let mut countersigner = world.start().await;
        settle(&mut countersigner).await;
        world.log.push(&entry);
        for _ in 0..5 {
            world.log.push_filler();
        }
        world.log.publish(NOW + 5);
        settle(&mut countersigner).await;
        assert_eq!(world.log.activations(1), [2]);
        assert_eq!(world.signatures.messages().len(), 1);
    }
}

#[tokio::test]
async fn a_superseded_epoch_is_never_renewed() {
    let world = World::new();
    world.log.certify(1);
    let mut countersigner = world.start().await;
    settle(&mut countersigner).await;
    // Epoch 2 is in the ledger, but the log does not take its activation.
    world.log.certify(2);
    world.log.answer_next(Answer::FailNotSaved);
    assert!(countersigner.turn().await.is_err());
    for _ in 0..4 {
        world.log.push_filler();
    }
    world.log.publish(NOW + 5);
    world.log.answer_next(Answer::FailNotSaved);
    assert!(countersigner.turn().await.is_err());
    assert!(world.log.activations(2).is_empty());
    settle(&mut countersigner).await;
    assert_eq!(world.log.activations(1), [2]);
    assert_eq!(world.log.activations(2), [8]);
}

#[tokio::test]
async fn an_epoch_that_another_key_of_the_operator_activated_is_left_alone() {
    let world = World::new();
    world.log.certify(1);
    let mut settings = world.settings(0);
    settings.key = OperatorKey::new(Box::new(Keys::second_operator())).unwrap();
    let other_ledger = FaultyLedger::default();
    let ports = Ports { ledger: Arc::new(other_ledger), ..world.ports() };
    settle(&mut Countersigner::start(settings, ports).await.unwrap()).await;
    let mut countersigner = world.start().await;
    settle(&mut countersigner).await;
    for _ in 0..4 {
        world.log.push_filler();
    }
    world.log.publish(NOW + 5);
    settle(&mut countersigner).await;
    assert!(world.signatures.messages().is_empty());
    assert_eq!(world.log.activations(1), [2]);
}

#[tokio::test]
async fn an_epoch_below_the_newest_in_the_ledger_is_never_countersigned() {
    let world = World::new();
    world.log.certify(1);
    world.log.certify(2);
    // Epoch 1 cannot be read; epoch 2 does not wait for it.
    let mut countersigner = world.start().await;
    world.ledger.fail_next(LedgerCall::Decided, Fault::NotSaved);
    assert!(matches!(countersigner.turn().await, Err(TurnError::Ledger(_))));
    assert_eq!(epochs_signed(&world), [2]);
    settle(&mut countersigner).await;
    settle(&mut world.start().await).await;
    assert_eq!(epochs_signed(&world), [2]);
    assert_eq!(world.log.activations(2), [3]);
}

#[tokio::test]
async fn another_digest_for_a_countersigned_epoch_stops_the_service() {
    let world = World::new();
    world.log.certify(1);
    settle(&mut world.start().await).await;
    // The same ledger rows, and a log in which epoch 1 is another statement. Such a ledger was put together by hand.
    let other = World { signatures: world.signatures.clone(), ..World::new() };
    let row = match world.ledger.decided(epoch(1)).await.unwrap() {
        Some(Decided::Row(row)) => row,
        other => panic!("{other:?}"),
    };
    other.ledger.memory.put_row(row);
    let mut another = statement(1);
    another.issued_at = at(NOW - 1);
    other.log.certify_at(another, NOW);
    other.log.publish(NOW);
    let mut countersigner = other.start().await;
    assert_eq!(countersigner.turn().await.unwrap(), Turn::Stopped);
    assert!(matches!(countersigner.stopped(), Some(StopReason::OtherStatement { .. })));
    assert_eq!(digests_signed(&world)[&1].len(), 1);
    let status = countersigner.status(None).await.unwrap();
    assert_eq!((status.state, status.stop.unwrap().name), (State::Stopped, "other-statement"));
}

#[tokio::test]
async fn a_change_of_authority_is_followed_from_the_log() {
    let world = World::new();
    let mut countersigner = world.start().await;
    settle(&mut countersigner).await;
    let mut keys = trust().keys;
    keys.policy = keys.policy.replace("quorum-of-witnesses 3", "quorum-of-witnesses 4");
    world.log.publish_entry(&authority_change(1, keys.clone()));
    settle(&mut countersigner).await;
    // Three of four are no quorum any more.
    world.log.certify(1);
    assert!(matches!(countersigner.turn().await, Err(TurnError::Follow(FollowError::Head(_)))));
    keys.policy = trust().keys.policy;
    world.log.push(&authority_change(2, keys.clone()));
    world.log.publish_note(world.log.note(&[NOW; 4]));
    settle(&mut countersigner).await;
    assert_eq!(world.log.activations(1).len(), 1);
    // Our key is struck off.
    keys.operator.keys = vec![Keys::second_operator().public().clone()];
    world.log.publish_entry(&authority_change(3, keys));
    world.log.certify(2);
    assert!(matches!(countersigner.turn().await, Err(TurnError::KeyNotInForce { .. })));
    assert_eq!(epochs_signed(&world), [1]);
}

#[tokio::test]
async fn a_trust_file_of_a_later_serial_is_refused() {
    let world = World::new();
    let mut settings = world.settings(0);
    settings.trust.serial = 1;
    let refused = Countersigner::start(settings, world.ports()).await.unwrap_err();
    assert!(matches!(refused, StartError::LaterTrust { found: 1 }));
    let mut settings = world.settings(0);
    settings.trust.keys.certificate.clear();
    let refused = Countersigner::start(settings, world.ports()).await.unwrap_err();
    assert!(matches!(refused, StartError::Keys(_)));
}

#[tokio::test]
async fn a_key_that_cannot_activate_is_refused_by_name() {
    let world = World::new();
    world.log.certify(1);
    let mut settings = world.settings(0);
    let stranger = TestSigner::new(countermark_keys::Role::Operator, 77);
    settings.key = OperatorKey::new(Box::new(stranger.recorded_by(&world.signatures))).unwrap();
    let error = world.start_with(settings).await.turn().await.unwrap_err();
    assert!(matches!(error, TurnError::KeyNotInForce { .. }));

    let mut settings = world.settings(0);
    settings.trust.keys.operator.threshold = 2;
    let error = world.start_with(settings).await.turn().await.unwrap_err();
    assert!(matches!(error, TurnError::Threshold { threshold: 2 }));
    assert!(world.signatures.messages().is_empty());
}

#[tokio::test]
async fn without_a_token_or_a_signature_nothing_is_submitted() {
    let world = World::new();
    world.log.certify(1);
    let mut settings = world.settings(0);
    settings.tokens.signer = Box::new(Keys::officer());
    let error = world.start_with(settings).await.turn().await.unwrap_err();
    assert!(matches!(error, TurnError::Token(_)));

    let mut settings = world.settings(0);
    settings.key = OperatorKey::new(Box::new(Keys::operator().unplugged())).unwrap();
    let error = world.start_with(settings).await.turn().await.unwrap_err();
    assert!(matches!(error, TurnError::Countersign { source: CountersignError::Sign(_), .. }));
    assert_eq!(world.log.size(), 2);
    settle(&mut world.start().await).await;
    assert_eq!(world.log.activations(1), [2]);
}
