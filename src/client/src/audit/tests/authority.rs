//! A log that changes its own signing key on the way.

use countermark_bundle::authority::{AuthorityRole, KeyTriple, successor_commitment};
use countermark_bundle::entry::Entry;
use countermark_bundle::validation_bundle::{Record, ValidationBundle};

use super::*;
use crate::testing::{Lie, ed25519_signer, index, policy_text};

/// A log whose key changes at index 3, and the receipt of that entry under the key before it.
fn world() -> (World, Vec<u8>) {
    let mut world = World::empty();
    let successor = ed25519_signer(90);
    let triple = KeyTriple { role: AuthorityRole::Log, key: successor.public().clone() };
    world.trust.successors = vec![successor_commitment(&[triple])];
    world.state = countermark_bundle::namespace_state::NamespaceState::new(&world.trust).unwrap();
    world.push(&world.policy_change(1));
    world.certify(1);
    world.activate(1);
    let mut keys = world.trust.keys.clone();
    keys.policy = policy_text(&successor, &world.witnesses);
    let change = world.push(&Entry::AuthorityChange(world.authority_change(1, keys)));
    let receipt = world.receipt(change, change + 1);
    world.log = successor;
    world.settle();
    (world, receipt)
}

fn bundle(world: &World, witnessed: Option<&[u8]>) -> Vec<u8> {
    let (len, record) = (world.len(), world.state.newest_active().unwrap());
    let activation = record.activations.last().unwrap().get();
    let records = [record.index.get(), 3].into_iter().chain(activation..len).map(|i| {
        let witnessed = witnessed.filter(|_| i == 3).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        Record::new(index(i), world.grown.entry(i).unwrap().clone(), &world.grown.inclusion(i, len), witnessed)
    });
    ValidationBundle::new(world.checkpoint(len), records.collect()).write()
}

#[tokio::test]
async fn a_head_under_the_new_key_is_believed_after_the_replay_of_its_change() {
    let (world, receipt) = world();
    let bytes = bundle(&world, Some(&receipt));
    let log = TestLog::serve(world).await;
    log.lie("v1/backup/bundles/newest", Lie::Bytes(bytes));
    let report = audit_log(&log).await.unwrap();
    assert_eq!((report.exit_class(), open(&report), rules_of(&report)), (None, vec![], vec![]));
    assert_eq!(report.authority_changes, 1);
    assert_eq!(outcome(&report, CheckName::AuthorityChanges), Outcome::Verified);
}

#[tokio::test]
async fn a_change_without_its_receipt_is_not_checked() {
    let (world, _) = world();
    let bytes = bundle(&world, None);
    let log = TestLog::serve(world).await;
    log.lie("v1/backup/bundles/newest", Lie::Bytes(bytes));
    let report = audit_log(&log).await.unwrap();
    assert_eq!(report.exit_class(), Some(ExitClass::UnknownAuthority), "the bundle is refused for it");
    assert_eq!(outcome(&report, CheckName::AuthorityChanges), Outcome::NotChecked);
    // A service that cannot bundle across a change.
    log.lie("v1/backup/bundles/newest", Lie::Status(501, "authority-changed"));
    let report = audit_log(&log).await.unwrap();
    assert_eq!((report.exit_class(), rules_of(&report)), (Some(ExitClass::NotChecked), vec![]));
    // Tiles alone cannot show it either.
    let report = audit_with(&log, &[], false).await.unwrap();
    assert_eq!(report.exit_class(), Some(ExitClass::NotChecked));
}

#[tokio::test]
async fn a_change_under_another_quorum_than_the_one_before_it_is_found() {
    let (world, _) = world();
    // The new key vouches for its own arrival.
    let receipt = world.receipt(3, 4);
    let bytes = bundle(&world, Some(&receipt));
    let log = TestLog::serve(world).await;
    log.lie("v1/backup/bundles/newest", Lie::Bytes(bytes));
    let report = audit_log(&log).await.unwrap();
    assert_eq!(report.exit_class(), Some(ExitClass::UnknownAuthority));
    assert_eq!(outcome(&report, CheckName::AuthorityChanges), Outcome::Failed);
    assert!(rules_of(&report).contains(&"change-of-authority-under-quorum-before-it"));
}

#[tokio::test]
async fn a_head_under_the_old_key_is_not_believed_after_the_change() {
    let (mut world, _) = world();
    world.log = ed25519_signer(1);
    let log = TestLog::serve(world).await;
    let error = audit_with(&log, &[], false).await.unwrap_err();
    assert_eq!(error.exit_class(), ExitClass::UnknownAuthority);
}
