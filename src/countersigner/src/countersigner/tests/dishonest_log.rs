//! A log that serves rubbish delays; a log that contradicts itself stops the service. Neither gets a signature.

use super::*;
use crate::head::HeadError;
use crate::receipt::ReceiptError;

/// The service is stopped for this reason, has signed nothing since, and a restart over the same ledger agrees.
async fn check_stopped(world: &World, countersigner: &mut Countersigner, name: &str, restart: Option<&str>) {
    let signed = world.signatures.messages().len();
    for _ in 0..2 {
        assert_eq!(countersigner.turn().await.unwrap(), Turn::Stopped);
        assert_eq!(countersigner.stopped().unwrap().name(), name);
    }
    let mut restarted = world.start().await;
    let turn = restarted.turn().await.unwrap();
    assert_eq!(restarted.stopped().map(StopReason::name), restart);
    assert_eq!(turn, if restart.is_some() { Turn::Stopped } else { Turn::Done });
    assert_eq!(world.signatures.messages().len(), signed);
}

/// The turn fails so and nothing is signed; once the log serves what it should, everything is well.
async fn check_delayed(world: &World, spoil: impl Fn(), heal: impl Fn(), expect: impl Fn(&TurnError) -> bool) {
    world.log.certify(1);
    spoil();
    let mut countersigner = world.start().await;
    let error = countersigner.turn().await.unwrap_err();
    assert!(expect(&error), "{error:?}");
    assert!(world.signatures.messages().is_empty());
    heal();
    settle(&mut countersigner).await;
    assert_eq!(world.log.activations(1), [2]);
}

#[tokio::test]
async fn a_checkpoint_without_quorum_is_not_believed() {
    let world = World::new();
    let log = world.log.clone();
    let is_head = |error: &TurnError| matches!(error, TurnError::Follow(FollowError::Head(HeadError::Policy(_))));
    check_delayed(&world, || log.publish_note(log.note(&[NOW; 2])), || log.publish(NOW), is_head).await;
}

#[tokio::test]
async fn a_checkpoint_that_is_none_is_not_believed() {
    let world = World::new();
    let log = world.log.clone();
    let is_form = |error: &TurnError| matches!(error, TurnError::Follow(FollowError::Head(HeadError::Checkpoint(_))));
    check_delayed(&world, || log.publish_note(b"rubbish".to_vec()), || log.publish(NOW), is_form).await;
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_asked_again() {
    let world = World::new();
    let log = world.log.clone();
    let is_read = |error: &TurnError| matches!(error, TurnError::Follow(FollowError::Read(_)));
    check_delayed(&world, || log.unreachable(true), || log.unreachable(false), is_read).await;
}

#[tokio::test]
async fn entries_that_are_not_those_of_the_checkpoint_are_not_believed() {
    let world = World::new();
    let log = world.log.clone();
    let is_other = |error: &TurnError| matches!(error, TurnError::Follow(FollowError::OtherEntries { .. }));
    check_delayed(&world, || log.serve_other_entries(), || log.serve_whole_bundles(), is_other).await;
    let world = World::new();
    let log = world.log.clone();
    let is_bundle = |error: &TurnError| matches!(error, TurnError::Follow(FollowError::Bundle(_)));
    check_delayed(&world, || log.truncate_bundles(), || log.serve_whole_bundles(), is_bundle).await;
}

#[tokio::test]
async fn an_entry_with_a_wrong_path_is_not_countersigned() {
    let world = World::new();
    let log = world.log.clone();
    let is_path =
        |error: &TurnError| matches!(error, TurnError::Receipt { source: ReceiptError::Inclusion { .. }, .. });
    check_delayed(&world, || log.damage_tiles(true), || log.damage_tiles(false), is_path).await;
}

#[tokio::test]
async fn a_path_that_cannot_be_read_delays() {
    let world = World::new();
    let log = world.log.clone();
    let is_fetch = |error: &TurnError| matches!(error, TurnError::Fetch { .. });
    check_delayed(&world, || log.shorten_tiles(true), || log.shorten_tiles(false), is_fetch).await;
}

#[tokio::test]
async fn tiles_that_do_not_lead_to_the_checkpoint_delay_and_are_no_fork() {
    let world = World::new();
    let mut countersigner = world.start().await;
    settle(&mut countersigner).await;
    world.log.certify(1);
    world.log.damage_tiles(true);
    let error = countersigner.turn().await.unwrap_err();
    assert!(matches!(error, TurnError::Follow(FollowError::OtherTiles { .. })));
    world.log.damage_tiles(false);
    settle(&mut countersigner).await;
    assert_eq!(world.log.activations(1), [2]);
    assert!(world.ledger.fork().await.unwrap().is_none());
}

#[tokio::test]
async fn a_forged_certificate_stops_the_service() {
    let world = World::new();
    let forger = TestSigner::new(countermark_keys::Role::Certificate, 99);
    for key in [forger.clone(), forger.claiming(&Keys::certificate())] {
        let world = World { log: world.log.fork(), ledger: FaultyLedger::default(), ..world.clone() };
        world.log.push_unchecked(&certified(&statement(1).write(), 1, NOW, &key).write());
        world.log.publish(NOW);
        let mut countersigner = world.start().await;
        check_stopped(&world, &mut countersigner, "broken-rule", Some("broken-rule")).await;
    }
}

#[tokio::test]
async fn a_statement_that_nobody_approved_stops_the_service() {
    let world = World::new();
    let mut entry = certified(&statement(1).write(), 1, NOW, &Keys::certificate());
    if let countermark_bundle::entry::Entry::CertifiedStatement(certified) = &mut entry {
        certified.approvals.clear();
    }
    world.log.push_unchecked(&entry.write());
    world.log.publish(NOW);
    let mut countersigner = world.start().await;
    check_stopped(&world, &mut countersigner, "broken-rule", Some("broken-rule")).await;
}

#[tokio::test]
async fn an_entry_of_no_known_type_stops_the_service() {
    let world = World::new();
    world.log.push_unchecked(br#"{"type":"countermark/other/v1"}"#);
    world.log.push_filler();
    world.log.publish(NOW);
    let mut countersigner = world.start().await;
    check_stopped(&world, &mut countersigner, "broken-rule", Some("broken-rule")).await;
    assert!(countersigner.stopped().unwrap().to_string().starts_with("entry 1 "));
}

#[tokio::test]
async fn a_rolled_back_log_stops_the_service() {
    let world = World::new();
    let before = world.log.fork();
    world.log.certify(1);
    let mut countersigner = world.start().await;
    settle(&mut countersigner).await;
    let newest = world.log.fork();
    world.log.become_like(&before);
    check_stopped(&world, &mut countersigner, "rollback", Some("rollback")).await;
    // A restart looks again: the log may be itself again.
    world.log.become_like(&newest);
    check_stopped(&world, &mut countersigner, "rollback", None).await;
}

#[tokio::test]
async fn a_log_of_the_same_size_with_another_root_stops_the_service_for_good() {
    let world = World::new();
    let other = world.log.fork();
    world.log.push_filler();
    world.log.publish(NOW);
    let mut countersigner = world.start().await;
    settle(&mut countersigner).await;
    let honest = world.log.fork();
    other.certify(1);
    world.log.become_like(&other);
    check_stopped(&world, &mut countersigner, "fork", Some("fork")).await;
    let fork = world.ledger.fork().await.unwrap().unwrap();
    assert_eq!((fork.verified, fork.found), (honest.note(&[NOW; 3]), other.note(&[NOW + 1; 3])));
    // The honest face does not make it forget.
    world.log.become_like(&honest);
    check_stopped(&world, &mut countersigner, "fork", Some("fork")).await;
    assert!(world.signatures.messages().is_empty());
}

#[tokio::test]
async fn a_log_that_grew_from_another_past_stops_the_service_for_good() {
    // Verified sizes that are powers of two and that are not: proofs differ.
    for verified in 2..=9 {
        let world = World::new();
        let other = world.log.fork();
        for _ in 1..verified {
            world.log.push_filler();
        }
        world.log.publish(NOW);
        let mut countersigner = world.start().await;
        settle(&mut countersigner).await;
        other.certify(1);
        for _ in 0..10 {
            other.push_filler();
        }
        other.publish(NOW + 1);
        world.log.become_like(&other);
        check_stopped(&world, &mut countersigner, "fork", Some("fork")).await;
        let fork = world.ledger.fork().await.unwrap().unwrap();
        let link = countermark_bundle::link::ConsistencyLink::parse(&fork.link).unwrap();
        assert_eq!((link.from, link.to), (size(verified), size(12)));
        assert!(world.signatures.messages().is_empty());
    }
}

#[tokio::test]
async fn a_log_without_the_trust_files_floor_as_its_beginning_stops_the_service() {
    let world = World::new();
    let honest = world.log.fork();
    honest.push_filler();
    world.log.certify(1);
    world.log.push_filler();
    world.log.publish(NOW + 2);
    let mut settings = world.settings(0);
    settings.trust.floor.size = size(2);
    settings.trust.floor.root =
        crate::head::VerifiedHead::verify(&honest.note(&[NOW; 3]), &trust().authority().unwrap()).unwrap().root();
    let mut countersigner = world.start_with(settings).await;
    check_stopped(&world, &mut countersigner, "fork", Some("fork")).await;
}

#[tokio::test]
async fn an_activation_with_our_key_that_the_ledger_does_not_know_stops_the_service() {
    let world = World::new();
    world.log.certify(1);
    settle(&mut world.start().await).await;
    world.log.certify(2);
    // The ledger is lost and replaced by an empty one.
    let lost = World { ledger: FaultyLedger::default(), ..world.clone() };
    let mut countersigner = lost.start().await;
    check_stopped(&lost, &mut countersigner, "forgotten-epoch", Some("forgotten-epoch")).await;
    assert!(lost.log.activations(2).is_empty());
}

#[tokio::test]
async fn a_ledger_of_another_log_stops_the_service() {
    let world = World::new();
    let mut head = crate::head::VerifiedHead::verify(&world.log.note(&[NOW; 3]), &trust().authority().unwrap())
        .unwrap()
        .kept(None);
    head.origin = "log.example/other".to_owned();
    world.ledger.advance(&head, &[]).await.unwrap();
    let mut countersigner = world.start().await;
    check_stopped(&world, &mut countersigner, "other-ledger", Some("other-ledger")).await;
}
