//! One log for each rule that an entry can break. What follows the broken entry obeys every rule again.

use countermark_bundle::entry::{Activation, CertifiedStatement, Entry, EntryError};
use countermark_bundle::identity::{Digest, Side};
use countermark_bundle::statement::Statement;
use countermark_tlog::checkpoint::Origin;

use super::*;
use crate::testing::{ed25519_signer, epoch, index, name, p384_signer};

/// The log breaks exactly one rule, in one entry, and the audit says which and where.
async fn check(rule: &str, class: ExitClass, break_rule: impl FnOnce(&mut World) -> u64) {
    let mut world = World::active();
    let broken = break_rule(&mut world);
    world.settle();
    let log = TestLog::serve(world).await;
    let report = audit_log(&log).await.unwrap();
    let found: Vec<_> = report.findings.iter().map(|one| (one.severity, one.index, one.rule, one.class)).collect();
    assert_eq!(found, [(Severity::Violation, Some(index(broken)), rule, class)], "{:?}", report.findings);
    assert_eq!((report.exit_class(), open(&report)), (Some(class), vec![(CheckName::EntryRules, Outcome::Failed)]));
}

fn push(world: &mut World, entry: &Entry) -> u64 {
    world.push_unchecked(entry.write())
}

/// A certified statement of epoch 2, changed before it is approved and certified.
async fn check_statement(rule: &str, class: ExitClass, change: impl FnOnce(&mut Statement)) {
    check(rule, class, |world| {
        let mut statement = world.statement(2);
        change(&mut statement);
        push(world, &Entry::CertifiedStatement(world.certified_statement(&statement)))
    })
    .await;
}

/// A certified statement of epoch 2, changed afterwards.
async fn check_certified(rule: &str, class: ExitClass, change: impl FnOnce(&mut CertifiedStatement, &World)) {
    check(rule, class, |world| {
        let mut certified = world.certified(2);
        change(&mut certified, world);
        push(world, &Entry::CertifiedStatement(certified))
    })
    .await;
}

/// An activation of epoch 2, which is certified.
async fn check_activation(rule: &str, class: ExitClass, change: impl FnOnce(&mut Activation)) {
    check(rule, class, |world| {
        world.certify(2);
        let mut activation = world.activation(2, 0);
        change(&mut activation);
        push(world, &Entry::Activation(activation))
    })
    .await;
}

#[tokio::test]
async fn bytes_that_are_no_entry_of_this_log_are_found() {
    check("entry-format", ExitClass::Malformed, |world| world.push_unchecked(b"no entry".to_vec())).await;
    check("entry-format", ExitClass::Malformed, |world| world.push_unchecked(Vec::new())).await;
    check("entry-names-this-log", ExitClass::Malformed, |world| {
        let Entry::PolicyChange(mut change) = world.policy_change(2) else { panic!() };
        change.origin = Origin::new("log.example/other").unwrap();
        push(world, &Entry::PolicyChange(change))
    })
    .await;
}

#[tokio::test]
async fn a_log_that_does_not_begin_with_its_policy_is_found() {
    let mut world = World::empty();
    let evidence = world.evidence("first");
    push(&mut world, &evidence);
    world.push(&world.policy_change(1));
    let log = TestLog::serve(world).await;
    let report = audit_log(&log).await.unwrap();
    assert_eq!((rules_of(&report), report.exit_class()), (vec!["log-begins-with-policy"], Some(ExitClass::Malformed)));
}

#[tokio::test]
async fn a_statement_out_of_its_chain_is_found() {
    let refused = ExitClass::RefusedByPolicy;
    check_statement("epochs-rise-by-one", refused, |statement| statement.epoch = epoch(3)).await;
    let other = Some(Digest::of(b"other"));
    check_statement("statement-names-previous", refused, |statement| statement.previous = other).await;
    let long = at(NOW + 500 * 86_400);
    check_statement("statement-lifetime", refused, |statement| statement.not_after = long).await;
}

#[tokio::test]
async fn a_revoked_fleet_or_epoch_that_returns_is_found() {
    check("revoked-never-returns", ExitClass::Revoked, |world| {
        world.push(&world.revoke(Side::Authority, &[], &["fleet-9"], vec![]));
        let mut statement = world.statement(2);
        statement.fleets[0].fleet_id = name("fleet-9");
        push(world, &Entry::CertifiedStatement(world.certified_statement(&statement)))
    })
    .await;
    check("no-activation-of-revoked-epoch", ExitClass::Revoked, |world| {
        world.certify(2);
        world.push(&world.revoke(Side::Authority, &[2], &[], vec![]));
        push(world, &Entry::Activation(world.activation(2, 0)))
    })
    .await;
}

#[tokio::test]
async fn a_statement_certified_against_the_rules_is_found() {
    check_certified("decision-under-policy-in-force", ExitClass::RefusedByPolicy, |certified, _| {
        certified.decision.policy = Digest::of(b"other");
    })
    .await;
    check_certified("certificate", ExitClass::Proof, |certified, _| certified.certificate.signature[9] ^= 1).await;
    check_certified("certificate", ExitClass::UnknownAuthority, |certified, _| {
        certified.certificate.key_id = ed25519_signer(99).public().key_id();
    })
    .await;
    check_certified("certificate-times-rise", ExitClass::RefusedByPolicy, |certified, world| {
        let digest = Digest::of(&certified.statement);
        certified.certificate = world.certificate(2, digest, NOW * 1000 + 1);
    })
    .await;
}

#[tokio::test]
async fn approvals_that_do_not_count_are_found() {
    let check = async |class, change: &dyn Fn(&mut CertifiedStatement, &World)| {
        check_certified("approvals", class, change).await;
    };
    check(ExitClass::RefusedByPolicy, &|certified, _| certified.approvals.truncate(1)).await;
    check(ExitClass::RefusedByPolicy, &|certified, _| certified.approvals[1] = certified.approvals[0].clone()).await;
    check(ExitClass::Malformed, &|certified, _| certified.approvals[0] = "no approval".to_string()).await;
    check(ExitClass::Proof, &|certified, world| certified.approvals = world.approvals(2, Digest::of(b"other"))).await;
    check(ExitClass::UnknownAuthority, &|certified, _| {
        let mut strangers = World::empty();
        strangers.officers = [ed25519_signer(98), ed25519_signer(99)];
        certified.approvals = strangers.approvals(2, Digest::of(&certified.statement));
    })
    .await;
}

#[tokio::test]
async fn an_activation_of_what_was_never_certified_is_found() {
    let rule = "activation-of-certified-statement";
    check_activation(rule, ExitClass::Proof, |activation| activation.epoch = epoch(9)).await;
    check_activation(rule, ExitClass::Proof, |activation| activation.statement = Digest::of(b"other")).await;
    check_activation(rule, ExitClass::Proof, |activation| activation.leaf_index = index(1)).await;
}

#[tokio::test]
async fn countersignatures_that_do_not_activate_are_found() {
    let rule = "countersignature";
    check_activation(rule, ExitClass::Proof, |activation| activation.countersignatures[0].signature[9] ^= 1).await;
    check_activation(rule, ExitClass::UnknownAuthority, |activation| {
        activation.countersignatures[0].key_id = p384_signer(99).public().key_id();
    })
    .await;
}

#[tokio::test]
async fn activations_out_of_order_are_found() {
    let refused = ExitClass::RefusedByPolicy;
    check("activations-rise", refused, |world| {
        world.certify(2);
        world.activate(2);
        push(world, &Entry::Activation(world.activation(1, 1)))
    })
    .await;
    check("renewals-are-numbered", refused, |world| push(world, &Entry::Activation(world.activation(1, 7)))).await;
    check("renewal-after-four-entries", refused, |world| push(world, &Entry::Activation(world.activation(1, 1)))).await;
}

#[tokio::test]
async fn entries_signed_by_nobody_who_may_are_found() {
    check("signed-by-key-in-force", ExitClass::UnknownAuthority, |world| {
        let Entry::Revocation(mut revocation) = world.revoke(Side::Operator, &[], &["fleet-9"], vec![]) else {
            panic!()
        };
        revocation.side = Side::Authority;
        push(world, &Entry::Revocation(revocation))
    })
    .await;
    check("signature", ExitClass::Proof, |world| {
        let Entry::Evidence(mut evidence) = world.evidence("a") else { panic!() };
        evidence.signature[9] ^= 1;
        push(world, &Entry::Evidence(evidence))
    })
    .await;
    check("signature", ExitClass::Proof, |world| {
        let Entry::Revocation(mut revocation) = world.revoke_key(1) else { panic!() };
        revocation.reason = "another".to_string();
        push(world, &Entry::Revocation(revocation))
    })
    .await;
    check("policy-changes-are-numbered", ExitClass::RefusedByPolicy, |world| push(world, &world.policy_change(3)))
        .await;
    check("change-of-authority", ExitClass::UnknownAuthority, |world| {
        let mut keys = world.trust.keys.clone();
        keys.certificate = vec![ed25519_signer(99).public().clone()];
        push(world, &Entry::AuthorityChange(world.authority_change(1, keys)))
    })
    .await;
}

#[tokio::test]
async fn an_entry_of_an_unknown_type_stops_the_audit() {
    let log = TestLog::serve(world_with(|world| {
        world.push_unchecked(br#"{"type":"countermark/amnesty/v1"}"#.to_vec());
    }))
    .await;
    let error = audit_log(&log).await.unwrap_err();
    assert_eq!(error.exit_class(), ExitClass::Malformed);
    let AuditError::UnknownEntryType { index: found, source: EntryError::UnknownType { .. } } = error else { panic!() };
    assert_eq!(found, index(3));
}

#[tokio::test]
async fn more_findings_than_a_report_holds_are_counted() {
    let mut world = World::active();
    (0..1100).for_each(|_| {
        world.push_unchecked(b"no entry".to_vec());
    });
    world.settle();
    let log = TestLog::serve(world).await;
    let report = audit_log(&log).await.unwrap();
    assert_eq!((report.findings.len(), report.findings_omitted), (1000, 100));
    assert_eq!(report.exit_class(), Some(ExitClass::Malformed));
}
