//! Whose keys may be believed in, and which change of them is followed.

use super::*;
use crate::entry::AdministrationSignature;
use crate::testing::*;
use countermark_tlog::note::SignatureType;
use std::format;
use std::string::ToString;
use std::vec;

fn public(seed: u8) -> PublicKey {
    ed25519_signer(seed).public().clone()
}

fn good() -> AuthorityKeys {
    World::new().trust.keys
}

/// The variant's name. A new variant has to be named here and produced below.
const fn variant(error: &AuthorityKeysError) -> &'static str {
    match error {
        AuthorityKeysError::Policy(_) => "policy",
        AuthorityKeysError::PolicyTooLarge => "policy too large",
        AuthorityKeysError::PolicyLog { .. } => "policy log",
        AuthorityKeysError::Keys { .. } => "keys",
        AuthorityKeysError::Algorithm { .. } => "algorithm",
        AuthorityKeysError::Threshold => "threshold",
        AuthorityKeysError::TwoPurposes { .. } => "two purposes",
    }
}

const VARIANTS: [&str; 7] =
    ["policy", "policy too large", "policy log", "keys", "algorithm", "threshold", "two purposes"];

/// A change, the variant that refuses it, and a part of what that says.
type Case = (fn(&mut AuthorityKeys), &'static str, &'static str);

const CASES: [Case; 26] = [
    (|k| k.policy.clear(), "policy", "no quorum line"),
    (|k| k.policy.push_str("frob\n"), "policy", "log, witness, group or quorum"),
    (|k| comment(k, POLICY_BYTES_MAX), "policy too large", "24576"),
    (|k| k.policy = k.policy.split_once('\n').unwrap().1.to_string(), "policy log", "must name the log"),
    (|k| k.policy.insert_str(0, &log_line(ORIGIN, 50)), "policy log", "must name the log"),
    (|k| k.policy = k.policy.replace(&log_line(ORIGIN, 1), &log_line("other", 1)), "policy log", ORIGIN),
    (|k| k.certificate.clear(), "keys", "certificate needs 1 to 8 keys"),
    (|k| k.operator.keys.clear(), "keys", "operator needs 1 to 8 keys"),
    (|k| k.administration.authority.clear(), "keys", "authority-administration needs"),
    (|k| k.administration.operator.clear(), "keys", "operator-administration needs"),
    (|k| k.revocation.authority.clear(), "keys", "authority-revocation needs"),
    (|k| k.revocation.operator.clear(), "keys", "operator-revocation needs"),
    (|k| k.certificate = sorted(60..69), "keys", "certificate needs 1 to 8 keys"),
    (|k| k.certificate = sorted(60..62).into_iter().rev().collect(), "keys", "sorted and unique"),
    (|k| k.certificate = vec![public(60), public(60)], "keys", "sorted and unique"),
    (|k| k.certificate = vec![x25519_public(60)], "algorithm", "certificate keys must be ed25519"),
    (
        |k| k.revocation.operator = vec![p384_signer(60).public().clone()],
        "algorithm",
        "operator-revocation keys must be ed25519",
    ),
    (|k| k.operator.keys = sorted(60..61), "algorithm", "operator keys must be ecdsa-p384"),
    (|k| k.operator.threshold = 0, "threshold", "1 to the number of its keys"),
    (|k| k.operator.threshold = 2, "threshold", "1 to the number of its keys"),
    (|k| k.certificate = vec![public(1)], "two purposes", "one key, one purpose"),
    (|k| k.certificate = vec![public(11)], "two purposes", "one key, one purpose"),
    (|k| k.revocation.authority = k.certificate.clone(), "two purposes", "one key, one purpose"),
    (|k| k.revocation.operator = k.revocation.authority.clone(), "two purposes", "one key, one purpose"),
    (|k| k.administration.operator = k.administration.authority.clone(), "two purposes", "one key, one purpose"),
    (|k| k.administration.operator = k.revocation.operator.clone(), "two purposes", "one key, one purpose"),
];

/// Makes the policy longer by so many bytes.
fn comment(keys: &mut AuthorityKeys, bytes: usize) {
    keys.policy.extend(["#", &"x".repeat(bytes - 2), "\n"]);
}

fn log_line(name: &str, seed: u8) -> String {
    format!("log {}\n", vkey(name, SignatureType::Ed25519, &ed25519_signer(seed)))
}

fn sorted(seeds: core::ops::Range<u8>) -> Vec<PublicKey> {
    let mut keys: Vec<PublicKey> = seeds.map(public).collect();
    keys.sort();
    keys
}

#[test]
fn every_rule_of_the_keys_is_broken_once_and_refused_by_its_own_variant() {
    let produced: BTreeSet<&str> = CASES
        .iter()
        .map(|(change, expected, says)| {
            let mut keys = good();
            change(&mut keys);
            let error = keys.check(&origin()).expect_err(says);
            assert_eq!(variant(&error), *expected, "{error}");
            assert!(error.to_string().contains(says), "{error} does not say {says:?}");
            assert!(Authority::new(&origin(), keys, vec![], 0).is_err());
            variant(&error)
        })
        .collect();
    assert_eq!(produced, BTreeSet::from(VARIANTS));
}

#[test]
fn the_bounds_themselves_are_allowed() {
    let allowed: [fn(&mut AuthorityKeys); 4] = [
        |_| {},
        |k| k.certificate = sorted(60..68),
        |k| {
            k.operator.keys.push(p384_signer(60).public().clone());
            k.operator.keys.sort();
            k.operator.threshold = 2;
        },
        |k| comment(k, POLICY_BYTES_MAX - k.policy.len()),
    ];
    for (i, change) in allowed.into_iter().enumerate() {
        let mut keys = good();
        change(&mut keys);
        assert_eq!(keys.check(&origin()).unwrap().logs().len(), 1, "{i}");
    }
}

#[test]
fn every_key_is_a_triple_once_and_the_triples_are_sorted() {
    let triples = good().triples();
    let lines: Vec<(&str, &str)> =
        triples.iter().map(|triple| (triple.role.as_str(), triple.key.algorithm().as_str())).collect();
    let expected = [
        ("authority-administration", "ed25519"),
        ("authority-revocation", "ed25519"),
        ("certificate", "ed25519"),
        ("log", "ed25519"),
        ("operator", "ecdsa-p384"),
        ("operator-administration", "ed25519"),
        ("operator-revocation", "ed25519"),
    ];
    assert_eq!(lines, expected);
    let authority = Authority::new(&origin(), good(), vec![], 0).unwrap();
    assert!(triples.iter().all(|triple| authority.uses(&triple.key)));
    assert!(authority.uses(&public(11)), "a witness");
    assert!(!authority.uses(&public(60)));
}

fn triple(role: AuthorityRole, seed: u8) -> KeyTriple {
    KeyTriple { role, key: public(seed) }
}

#[test]
fn a_commitment_does_not_depend_on_the_order_and_binds_role_and_key() {
    let (certificate, log) = (triple(AuthorityRole::Certificate, 42), triple(AuthorityRole::Log, 43));
    let commitment = successor_commitment(&[certificate.clone(), log.clone()]);
    assert_eq!(commitment, successor_commitment(&[log.clone(), certificate.clone()]));
    for other in [
        vec![],
        vec![certificate.clone()],
        vec![log.clone()],
        vec![triple(AuthorityRole::Log, 42), triple(AuthorityRole::Certificate, 43)],
        vec![certificate.clone(), triple(AuthorityRole::Log, 44)],
        vec![certificate.clone(), log.clone(), log],
    ] {
        assert_ne!(commitment, successor_commitment(&other), "{other:?}");
    }
}

/// The fixture's authority, which committed to a new certificate key (seed 42).
fn committed() -> (World, Authority) {
    let world = World::new();
    let successors = vec![successor_commitment(&[triple(AuthorityRole::Certificate, 42)])];
    let authority = Authority::new(&origin(), world.trust.keys.clone(), successors, 0).unwrap();
    (world, authority)
}

/// The committed certificate key beside the old one.
fn with_new_certificate_key() -> AuthorityKeys {
    let mut keys = good();
    keys.certificate.push(public(42));
    keys.certificate.sort();
    keys
}

#[test]
fn a_change_that_both_signed_and_was_committed_to_is_followed() {
    let (world, authority) = committed();
    let next = vec![Digest::of(b"next")];
    let change = world.authority_change(1, with_new_certificate_key(), next.clone());
    let after = authority.after(&change).unwrap();
    assert_eq!((after.keys(), after.serial(), after.origin()), (&change.keys, 1, &origin()));
    assert_eq!(after.successors, next);
    assert_eq!(after.policy(), authority.policy());
}

#[test]
fn a_commitment_is_used_once() {
    let (world, authority) = committed();
    let same = authority.successors.clone();
    let after = authority.after(&world.authority_change(1, with_new_certificate_key(), same)).unwrap();
    assert_eq!(after.successors, [], "the change cannot keep the commitment that it uses");
    let without = after.after(&world.authority_change(2, good(), vec![])).unwrap();
    let again = without.after(&world.authority_change(3, with_new_certificate_key(), vec![]));
    assert!(matches!(again, Err(AuthorityChangeError::NotCommitted)));
}

#[test]
fn a_removal_needs_both_signatures_and_no_commitment() {
    let (world, authority) = committed();
    let both = authority.after(&world.authority_change(1, with_new_certificate_key(), vec![])).unwrap();
    let mut fewer = good();
    fewer.certificate = vec![public(42)];
    let removal = world.authority_change(2, fewer.clone(), vec![]);
    assert_eq!(both.after(&removal).unwrap().keys(), &fewer);
    for alone in 0..2 {
        let mut one = removal.clone();
        one.signatures.remove(alone);
        assert!(matches!(both.after(&one), Err(AuthorityChangeError::MissingSignature { .. })));
    }
}

#[test]
fn witnesses_change_with_both_signatures_and_no_commitment() {
    let (world, authority) = committed();
    let witnesses: Vec<TestSigner> = (21..25).map(ed25519_signer).collect();
    let mut keys = good();
    keys.policy = policy_text(&world.log, &witnesses);
    let after = authority.after(&world.authority_change(1, keys.clone(), vec![])).unwrap();
    assert_ne!(after.policy(), authority.policy());
    // The log's key stands in the policy, too, and does need one.
    keys.policy = policy_text(&ed25519_signer(77), &witnesses);
    let another_log = authority.after(&world.authority_change(1, keys, vec![]));
    assert!(matches!(another_log, Err(AuthorityChangeError::NotCommitted)));
}

#[test]
fn new_keys_must_be_exactly_those_that_were_committed_to() {
    let (world, authority) = committed();
    let mut other_key = good();
    other_key.certificate = vec![public(43)];
    let mut other_role = good();
    other_role.revocation.authority = vec![public(42)];
    let mut one_more = with_new_certificate_key();
    one_more.revocation.operator = vec![public(43)];
    for keys in [other_key, other_role, one_more] {
        let error = authority.after(&world.authority_change(1, keys, vec![])).unwrap_err();
        assert!(matches!(error, AuthorityChangeError::NotCommitted), "{error}");
    }
}

#[test]
fn a_change_is_the_next_one_and_its_keys_obey_the_rules() {
    let (world, authority) = committed();
    for serial in [0, 2, u64::MAX] {
        let error = authority.after(&world.authority_change(serial, good(), vec![])).unwrap_err();
        assert!(matches!(error, AuthorityChangeError::Serial { expected: 1, found } if found == serial), "{error}");
    }
    let mut keys = good();
    keys.operator.threshold = 0;
    let error = authority.after(&world.authority_change(1, keys, vec![])).unwrap_err();
    assert!(matches!(error, AuthorityChangeError::Keys(AuthorityKeysError::Threshold)), "{error}");
}

/// What is said to a change to one side's signature on a good change.
fn check(side: Side, edit: impl FnOnce(&mut AdministrationSignature)) -> AuthorityChangeError {
    let (world, authority) = committed();
    let mut change = world.authority_change(1, with_new_certificate_key(), vec![]);
    edit(change.signatures.iter_mut().find(|one| one.side == side).unwrap());
    authority.after(&change).expect_err("must be refused")
}

#[test]
fn a_thief_of_one_old_key_cannot_use_a_change() {
    let (world, authority) = committed();
    let change = world.authority_change(1, with_new_certificate_key(), vec![]);
    let message = to_sign::authority_change(&change);
    let thief = |side: Side| &world.administration[usize::from(side == Side::Operator)];
    for stolen in [Side::Authority, Side::Operator] {
        let signature = AdministrationSignature {
            side: stolen,
            key_id: thief(stolen).public().key_id(),
            signature: thief(stolen).sign(&message),
        };
        let other = if stolen == Side::Authority { Side::Operator } else { Side::Authority };
        let mut alone = change.clone();
        alone.signatures = vec![signature.clone()];
        let error = authority.after(&alone).unwrap_err();
        assert!(matches!(error, AuthorityChangeError::MissingSignature { side } if side == other), "{error}");
        // The stolen key does not stand in for the other organisation's.
        let posing = AdministrationSignature { side: other, ..signature.clone() };
        alone.signatures = vec![signature, posing];
        let error = authority.after(&alone).unwrap_err();
        assert!(matches!(error, AuthorityChangeError::UnknownKey { side, .. } if side == other), "{error}");
    }
}

#[test]
fn every_signature_must_be_of_an_administration_key_in_force() {
    for side in [Side::Authority, Side::Operator] {
        let stranger = public(60).key_id();
        let error = check(side, |one| one.key_id = stranger);
        let expected = |at: Side, found: KeyId| (at, found) == (side, stranger);
        assert!(matches!(error, AuthorityChangeError::UnknownKey { side, found } if expected(side, found)), "{error}");
        // Another key of the same organisation, in force for another purpose.
        let revocation = World::new().revocation[usize::from(side == Side::Operator)].public().key_id();
        let error = check(side, |one| one.key_id = revocation);
        assert!(matches!(error, AuthorityChangeError::UnknownKey { .. }), "{error}");
        let error = check(side, |one| one.signature[0] ^= 1);
        let invalid = |at: Side, source: SignatureError| (at, source) == (side, SignatureError::Invalid);
        assert!(matches!(error, AuthorityChangeError::Signature { side, source } if invalid(side, source)), "{error}");
    }
}

#[test]
fn every_part_of_a_change_is_signed() {
    let (world, authority) = committed();
    let good_change = world.authority_change(1, with_new_certificate_key(), vec![]);
    let changes: [fn(&mut AuthorityChange); 4] = [
        |change| change.successors.push(Digest::of(b"mine")),
        |change| change.keys.policy.push_str("# another policy\n"),
        |change| change.keys.certificate = vec![public(42)],
        |change| change.origin = Origin::new("log.example/other").unwrap(),
    ];
    assert!(authority.after(&good_change).is_ok());
    for (i, edit) in changes.into_iter().enumerate() {
        let mut change = good_change.clone();
        edit(&mut change);
        let error = authority.after(&change).unwrap_err();
        assert!(matches!(error, AuthorityChangeError::Signature { side: Side::Authority, .. }), "{i}: {error}");
    }
}
