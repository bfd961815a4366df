//! Every rule of the log, broken once. What a log that obeys them looks like is in `tests/life.rs`.

use super::*;
use crate::key::SignatureError;
use crate::testing::*;
use std::collections::BTreeSet;
use std::format;
use std::string::{String, ToString};
use std::vec;

mod life;

/// The variant's name. A new variant has to be named here and produced below.
const fn variant(violation: &RuleViolation) -> &'static str {
    match violation {
        RuleViolation::Entry(_) => "entry",
        RuleViolation::OtherLog { .. } => "other log",
        RuleViolation::NoPolicy => "no policy",
        RuleViolation::Statement(_) => "statement",
        RuleViolation::Epoch { .. } => "epoch",
        RuleViolation::Chain { .. } => "chain",
        RuleViolation::StatementLifetime { .. } => "statement lifetime",
        RuleViolation::Returns { .. } => "returns",
        RuleViolation::Policy { .. } => "policy",
        RuleViolation::Certificate(_) => "certificate",
        RuleViolation::CertificateTime { .. } => "certificate time",
        RuleViolation::Approval(_) => "approval",
        RuleViolation::NotCertified { .. } => "not certified",
        RuleViolation::ActivationOrder { .. } => "activation order",
        RuleViolation::Renewal { .. } => "renewal",
        RuleViolation::RenewalTooEarly { .. } => "renewal too early",
        RuleViolation::RevokedEpoch { .. } => "revoked epoch",
        RuleViolation::Countersignature(_) => "countersignature",
        RuleViolation::UnknownKey { .. } => "unknown key",
        RuleViolation::Signature { .. } => "signature",
        RuleViolation::PolicySerial { .. } => "policy serial",
        RuleViolation::AuthorityChange(_) => "authority change",
    }
}

const VARIANTS: [&str; 22] = [
    "entry",
    "other log",
    "no policy",
    "statement",
    "epoch",
    "chain",
    "statement lifetime",
    "returns",
    "policy",
    "certificate",
    "certificate time",
    "approval",
    "not certified",
    "activation order",
    "renewal",
    "renewal too early",
    "revoked epoch",
    "countersignature",
    "unknown key",
    "signature",
    "policy serial",
    "authority change",
];

/// What a log with epoch 1 active goes on to, the variant that refuses it, and a part of what that says.
type Case = (fn(&mut World) -> Entry, &'static str, &'static str);

const CASES: [Case; 46] = [
    (|w| of_another_log(w.revoke(Side::Operator, &[1], &[])), "other log", "this log is log.example/backup"),
    (|w| certified(w, 2, |c| c.statement.clear()), "statement", "not the expected JSON"),
    (|w| certified(w, 2, |c| c.origin = other_origin()), "other log", "log.example/other"),
    (|w| stated(w, 1, |_| {}), "epoch", "has epoch 1, the next one is 2"),
    (|w| stated(w, 3, |_| {}), "epoch", "has epoch 3, the next one is 2"),
    (|w| stated(w, 2, |s| s.previous = Some(Digest::of(b"x"))), "chain", "another previous statement"),
    (|w| stated(w, 2, |s| s.origin = other_origin()), "other log", "log.example/other"),
    (|w| stated(w, 2, |s| s.not_after = s.not_before.plus(400 * 86_400 + 1)), "statement lifetime", "34560001"),
    (|w| after(w, &[revoke_fleet], |w| stated(w, 2, |_| {})), "returns", "fleet fleet-1 was revoked"),
    (|w| after(w, &[revoke_key], |w| stated(w, 2, |_| {})), "returns", "key ef22"),
    (|w| certified(w, 2, |c| c.decision.policy = Digest::of(b"x")), "policy", "in force is"),
    (|w| certified(w, 2, |c| c.certificate.signature[0] ^= 1), "certificate", "does not verify"),
    (|w| certified(w, 2, |c| c.certificate.timestamp_ms += 1), "certificate", "does not verify"),
    (|w| certified(w, 2, |c| c.certificate.key_id = stranger()), "certificate", "not a certificate key"),
    (|w| certified_at(w, (NOW + 1) * 1000), "certificate time", "does not rise: 1795219201000 ms after 1795219201000"),
    (|w| certified_at(w, 0), "certificate time", "does not rise: 0 ms"),
    (|w| certified(w, 2, |c| drop(c.approvals.pop())), "approval", "1 officers approved, 2 needed"),
    (|w| certified(w, 2, |c| c.approvals[0] = c.approvals[1].clone()), "approval", "approved twice"),
    (|w| certified_at(w, (NOW + 3600) * 1000), "approval", "does not hold at 2026-11-21T01:00:00Z"),
    (|w| activation(w, 1, 1, |a| a.epoch = Epoch::new(2).unwrap()), "not certified", "of epoch 2"),
    (|w| activation(w, 1, 1, |a| a.statement = Digest::of(b"x")), "not certified", "of epoch 1"),
    (|w| activation(w, 1, 1, |a| a.leaf_index = index(2)), "not certified", "of epoch 1"),
    (|w| after(w, &[certify, activate], |w| activation(w, 1, 1, |_| {})), "activation order", "newest active epoch 2"),
    (|w| after(w, &[certify, certify, activate], |w| activation(w, 2, 0, |_| {})), "activation order", "epoch 3"),
    (|w| activation(w, 1, 0, |_| {}), "renewal", "renewal 0 of epoch 1, the next one is 1"),
    (|w| activation(w, 1, 2, |_| {}), "renewal", "renewal 2 of epoch 1, the next one is 1"),
    (|w| after(w, &[certify], |w| activation(w, 2, 1, |_| {})), "renewal", "renewal 1 of epoch 2, the next one is 0"),
    (|w| activation(w, 1, 1, |_| {}), "renewal too early", "once 4 entries follow"),
    (
        |w| after(w, &[evidence, evidence, evidence], |w| activation(w, 1, 1, |_| {})),
        "renewal too early",
        "once 4 entries follow",
    ),
    (|w| after(w, &[revoke_epoch], |w| activation(w, 1, 1, |_| {})), "revoked epoch", "epoch 1 was revoked"),
    (|w| after(w, &[certify, revoke_fleet], |w| activation(w, 2, 0, |_| {})), "returns", "fleet fleet-1"),
    (|w| after(w, &[certify], |w| activation(w, 2, 0, break_countersignature)), "countersignature", "does not verify"),
    (
        |w| after(w, &[certify], |w| activation(w, 2, 0, |a| a.countersignatures.clear())),
        "countersignature",
        "0 counter",
    ),
    (|w| revocation(w, |r| r.key_id = stranger()), "unknown key", "no revocation key of the operator"),
    (|w| revocation(w, |r| r.side = Side::Authority), "unknown key", "no revocation key of the authority"),
    (|w| revocation(w, |r| r.key_id = administration(1)), "unknown key", "no revocation key of the operator"),
    (|w| revocation(w, |r| r.epochs.clear()), "signature", "the revocation signature"),
    (|w| revocation(w, |r| r.reason.push('!')), "signature", "the revocation signature"),
    (|w| shown(w, |e| e.key_id = stranger()), "unknown key", "no administration key of the operator"),
    (|w| shown(w, |e| e.manifest.push(b' ')), "signature", "the administration signature"),
    (|w| policy(w, 1, |_| {}), "policy serial", "has serial 1, the next one is 2"),
    (|w| policy(w, 3, |_| {}), "policy serial", "has serial 3, the next one is 2"),
    (|w| policy(w, 2, |p| p.key_id = administration(1)), "unknown key", "no administration key of the authority"),
    (|w| policy(w, 2, |p| p.approvals_needed = 1), "signature", "the administration signature"),
    (|w| policy_with_officer(w, 2), "entry", "officer officer-0 has another purpose; one key, one purpose"),
    (|w| authority_change(w, 2), "authority change", "has serial 2, expected 1"),
];

fn other_origin() -> countermark_tlog::checkpoint::Origin {
    countermark_tlog::checkpoint::Origin::new("log.example/other").unwrap()
}

fn stranger() -> KeyId {
    ed25519_signer(99).public().key_id()
}

fn administration(side: usize) -> KeyId {
    World::new().administration[side].public().key_id()
}

fn of_another_log(entry: Entry) -> Entry {
    let Entry::Revocation(mut revocation) = entry else { unreachable!("a revocation") };
    revocation.origin = other_origin();
    Entry::Revocation(revocation)
}

/// An entry that obeys the rules.
type Step = fn(&World) -> Entry;

fn after(world: &mut World, steps: &[Step], last: fn(&mut World) -> Entry) -> Entry {
    for step in steps {
        let entry = step(world);
        world.push(&entry);
    }
    last(world)
}

fn next(world: &World) -> u64 {
    world.state.next_epoch().unwrap().get()
}

fn certify(world: &World) -> Entry {
    Entry::CertifiedStatement(world.certified(&world.statement(next(world)).write(), next(world)))
}

fn activate(world: &World) -> Entry {
    Entry::Activation(world.activation(next(world) - 1, 0))
}

fn evidence(world: &World) -> Entry {
    world.evidence(Side::Operator, &format!("at {}", world.state.size()))
}

fn revoke_epoch(world: &World) -> Entry {
    world.revoke(Side::Authority, &[1], &[])
}

fn revoke_fleet(world: &World) -> Entry {
    world.revoke(Side::Operator, &[], &["fleet-1"])
}

fn revoke_key(world: &World) -> Entry {
    world.revoke_key(Side::Operator, ed25519_signer(101).public().key_id())
}

fn certified(world: &World, epoch: u64, edit: fn(&mut CertifiedStatement)) -> Entry {
    let mut certified = world.certified(&world.statement(epoch).write(), epoch);
    edit(&mut certified);
    Entry::CertifiedStatement(certified)
}

/// A statement of this content, duly approved and certified.
fn stated(world: &World, epoch: u64, edit: fn(&mut Statement)) -> Entry {
    let mut statement = world.statement(epoch);
    edit(&mut statement);
    Entry::CertifiedStatement(world.certified(&statement.write(), epoch))
}

fn certified_at(world: &World, timestamp_ms: u64) -> Entry {
    let mut certified = world.certified(&world.statement(2).write(), 2);
    certified.certificate = world.certificate(2, Digest::of(&certified.statement), timestamp_ms);
    Entry::CertifiedStatement(certified)
}

fn activation(world: &World, epoch: u64, renewal: u64, edit: fn(&mut Activation)) -> Entry {
    let mut activation = world.activation(epoch, renewal);
    edit(&mut activation);
    Entry::Activation(activation)
}

fn break_countersignature(activation: &mut Activation) {
    activation.countersignatures[0].signature[0] ^= 1;
}

fn revocation(world: &World, edit: fn(&mut Revocation)) -> Entry {
    let Entry::Revocation(mut revocation) = world.revoke(Side::Operator, &[1], &["fleet-9"]) else {
        unreachable!("a revocation")
    };
    edit(&mut revocation);
    Entry::Revocation(revocation)
}

fn shown(world: &World, edit: fn(&mut Evidence)) -> Entry {
    let Entry::Evidence(mut evidence) = evidence(world) else { unreachable!("evidence") };
    edit(&mut evidence);
    Entry::Evidence(evidence)
}

fn policy(world: &World, serial: u64, edit: fn(&mut PolicyChange)) -> Entry {
    let Entry::PolicyChange(mut change) = world.policy_change(serial) else { unreachable!("a policy change") };
    edit(&mut change);
    Entry::PolicyChange(change)
}

/// A signed policy change whose first officer's key is the authority's key of this seed.
fn policy_with_officer(world: &World, seed: u8) -> Entry {
    let Entry::PolicyChange(mut change) = world.policy_change(2) else { unreachable!("a policy change") };
    change.officers[0].key = ed25519_signer(seed).public().clone();
    change.signature = world.administration[0].sign(&to_sign::policy_change(&change));
    Entry::PolicyChange(change)
}

fn authority_change(world: &World, serial: u64) -> Entry {
    Entry::AuthorityChange(world.authority_change(serial, world.trust.keys.clone(), vec![]))
}

/// Checks the entry, and that neither the check nor the refused application changed the state.
fn check(world: &mut World, entry: &Entry, expected: &str, says: &str) -> &'static str {
    let before = format!("{:?}", world.state);
    let violation = world.state.check(entry).expect_err(says);
    assert_eq!(variant(&violation), expected, "{violation}");
    assert!(violation.to_string().contains(says), "{violation} does not say {says:?}");
    world.state.apply(&entry.write()).expect_err(says);
    assert_eq!(format!("{:?}", world.state), before, "{says}");
    variant(&violation)
}

#[test]
fn every_rule_is_broken_once_and_refused_by_its_own_variant() {
    let mut produced: BTreeSet<&str> = CASES
        .iter()
        .map(|(next, expected, says)| {
            let mut world = World::active();
            let entry = next(&mut world);
            check(&mut world, &entry, expected, says)
        })
        .collect();
    produced.insert(variant(&World::new().state.apply(b"{}").unwrap_err()));
    produced.insert(variant(&empty().check(&evidence(&World::new())).unwrap_err()));
    assert_eq!(produced, BTreeSet::from(VARIANTS));
}

fn empty() -> NamespaceState {
    NamespaceState::new(&World::new().trust).unwrap()
}

#[test]
fn a_log_begins_with_its_policy() {
    let world = World::active();
    let others = [
        Entry::parse(&world.entries[1]).unwrap(),
        Entry::parse(&world.entries[2]).unwrap(),
        revoke_epoch(&world),
        evidence(&world),
        authority_change(&world, 1),
    ];
    for other in others {
        assert!(matches!(empty().check(&other), Err(RuleViolation::NoPolicy)), "{}", other.type_name());
    }
    let mut state = empty();
    assert!(state.policy().is_none());
    assert!(matches!(state.check(&world.policy_change(2)), Err(RuleViolation::PolicySerial { expected: 1, found: 2 })));
    state.apply(&world.entries[0]).unwrap();
    let policy = state.policy().unwrap();
    assert_eq!((policy.serial, policy.digest, policy.approvals_needed), (1, world.policy, 2));
}

#[test]
fn keys_that_break_a_rule_make_no_state() {
    let mut trust = World::new().trust;
    trust.keys.operator.threshold = 9;
    assert!(matches!(NamespaceState::new(&trust), Err(AuthorityKeysError::Threshold)));
}

#[test]
fn the_key_of_an_officer_has_no_other_purpose() {
    // The log's, the certificate's, an administration's, a revocation's and a witness's key.
    for seed in [1, 2, 4, 5, 6, 7, 11] {
        let mut world = World::active();
        let entry = policy_with_officer(&world, seed);
        check(&mut world, &entry, "entry", "one key, one purpose");
    }
    // The other way round: an officer's key (seed 8) that would become a witness's.
    let mut world = World::active();
    let mut keys = world.trust.keys.clone();
    keys.policy = policy_text(&world.log, &[8, 12, 13].map(ed25519_signer));
    let change = Entry::AuthorityChange(world.authority_change(1, keys, vec![]));
    check(&mut world, &change, "authority change", "two purposes");
}

#[test]
fn the_rules_of_a_statement_can_be_checked_before_it_is_approved() {
    let world = World::active();
    let parsed = |edit: fn(&mut Statement)| {
        let mut statement = world.statement(2);
        edit(&mut statement);
        world.state.check_statement(&ParsedStatement::parse(&statement.write()).unwrap())
    };
    parsed(|_| {}).unwrap();
    let refused = parsed(|statement| statement.origin = other_origin()).unwrap_err();
    assert_eq!(variant(&refused), "other log");
    let refused = parsed(|statement| statement.epoch = Epoch::new(4).unwrap()).unwrap_err();
    assert_eq!(variant(&refused), "epoch");
}

#[test]
fn a_signature_is_checked_under_the_keys_of_its_side_and_purpose_only() {
    let world = World::active();
    let Entry::Revocation(revocation) = revoke_epoch(&world) else { unreachable!("a revocation") };
    let keys = &world.trust.keys;
    check_revocation(&revocation, keys.revocation.of(Side::Authority)).unwrap();
    for wrong in [keys.revocation.of(Side::Operator), keys.administration.of(Side::Authority), &[]] {
        let refused = check_revocation(&revocation, wrong).unwrap_err();
        assert!(matches!(refused, RuleViolation::UnknownKey { purpose: "revocation", .. }), "{refused}");
    }
    let broken = Revocation { signature: vec![0; 64], ..revocation };
    let refused = check_revocation(&broken, keys.revocation.of(Side::Authority)).unwrap_err();
    assert!(matches!(refused, RuleViolation::Signature { source: SignatureError::Invalid, .. }), "{refused}");
    let words: [String; 2] =
        [Returning::Fleet(name("fleet-1")), Returning::Key(stranger())].map(|returning| returning.to_string());
    assert_eq!(words, ["fleet fleet-1".to_string(), format!("key {}", stranger())]);
}
