//! `golden.txt` holds one of every string to sign, from the fixture's keys.

use super::*;
use crate::authority::{AuthorityRole, successor_commitment as commit};
use crate::entry::Entry;
use crate::evidence::Manifest;
use crate::identity::{Epoch, Side};
use crate::testing::*;
use std::collections::BTreeSet;
use std::format;
use std::string::{String, ToString};
use std::vec;

/// Every function of this file with a string that it makes.
fn strings() -> Vec<(&'static str, Vec<u8>)> {
    let world = World::active();
    let record = world.state.statement(Epoch::FIRST).unwrap();
    let digest = record.statement.digest();
    let attested = world.attestation("fleet-1", 1, Digest::of(b"executable"));
    let attested = crate::attestation::UntrustedAttestation::parse(&attested).unwrap();
    let tuple = Countersigned {
        origin: &origin(),
        epoch: Epoch::FIRST,
        statement: digest,
        leaf_index: record.index,
        certificate_signature: &record.certificate.signature,
    };
    let Entry::Revocation(mut revoked) = world.revoke(Side::Operator, &[1, 2], &["fleet-1", "fleet-2"]) else {
        unreachable!("the fixture makes a revocation")
    };
    revoked.keys = vec![ed25519_signer(101).public().key_id()];
    let Entry::Evidence(shown) = world.evidence(Side::Authority, "the ceremony was filmed") else {
        unreachable!("the fixture makes evidence")
    };
    let item = Manifest::parse(&shown.manifest).unwrap().items.remove(0);
    let Entry::PolicyChange(policy) = world.policy_change(1) else { unreachable!("the fixture makes a policy change") };
    let successors = [(AuthorityRole::Certificate, 42), (AuthorityRole::Log, 43)]
        .map(|(role, seed)| KeyTriple { role, key: ed25519_signer(seed).public().clone() });
    let change = world.authority_change(1, world.trust.keys.clone(), vec![commit(&successors)]);
    vec![
        ("key_id", key_id(KeyAlgorithm::Ed25519, ed25519_signer(1).public().bytes())),
        ("attestation", attestation(attested.unverified_body())),
        ("countersignature", countersignature(&tuple)),
        ("revocation", revocation(&revoked)),
        ("revocation_identity", revocation_identity(&revoked)),
        ("evidence", evidence(&shown, &shown.root_hex())),
        ("policy_change", policy_change(&policy)),
        ("authority_change", authority_change(&change)),
        ("successor_commitment", successor_commitment(&successors)),
        ("certified_statement_identity", certified_statement_identity(ORIGIN, digest)),
        ("activation_identity", activation_identity(ORIGIN, 1, digest, 0)),
        ("evidence_item", evidence_item(&item)),
    ]
}

/// Printable text and newlines as they are, every other byte as `\xNN`.
fn readable(bytes: &[u8]) -> String {
    let one = |byte: &u8| if *byte == b'\n' { "\n".to_string() } else { byte.escape_ascii().to_string() };
    bytes.iter().map(one).collect::<Vec<_>>().concat()
}

#[test]
fn every_string_to_sign_is_the_golden_one() {
    let sections: Vec<String> =
        strings().iter().map(|(name, bytes)| format!("=== {name}\n{}", readable(bytes))).collect();
    // The key identity ends with raw bytes, not with a newline.
    let text = sections.iter().map(|section| section.trim_end().to_string() + "\n").collect::<Vec<_>>().concat();
    check_golden("src/to_sign/golden.txt", text.as_bytes());
}

#[test]
fn the_golden_file_leaves_out_no_function() {
    let source = include_str!("../to_sign.rs");
    let functions: BTreeSet<&str> =
        source.lines().filter_map(|line| line.strip_prefix("pub fn ")?.split('(').next()).collect();
    assert_eq!(functions, strings().into_iter().map(|(name, _)| name).collect());
}

#[test]
fn no_two_strings_begin_with_the_same_context_line() {
    let contexts: BTreeSet<String> = strings()
        .iter()
        .map(|(_, bytes)| readable(bytes).lines().next().unwrap().to_string())
        .inspect(|context| assert!(context.starts_with("countermark/") && context.ends_with("/v1"), "{context}"))
        .collect();
    assert_eq!(contexts.len(), strings().len());
}

#[test]
fn every_string_that_is_signed_names_its_origin_on_the_second_line() {
    // An identity of a key, a commitment to keys and a leaf under a manifest's root are digests of parts; what is signed
    // around them names the origin.
    let parts = ["key_id", "successor_commitment", "evidence_item"];
    for (name, bytes) in strings() {
        let names_it = readable(&bytes).lines().nth(1) == Some(ORIGIN);
        assert_eq!(names_it, !parts.contains(&name), "{name}");
    }
}

#[test]
fn every_string_of_lines_ends_with_a_newline() {
    for (name, bytes) in strings() {
        assert_eq!(bytes.ends_with(b"\n"), name != "key_id", "{name}");
    }
}

#[test]
fn the_identity_of_a_revocation_leaves_out_its_reason_and_nothing_else() {
    let world = World::active();
    let revoke = |side, epochs: &[u64]| match world.revoke(side, epochs, &[]) {
        Entry::Revocation(revocation) => revocation,
        other => unreachable!("{other:?}"),
    };
    let first = revoke(Side::Operator, &[1]);
    let other_reason = Revocation { reason: "another".to_string(), ..first.clone() };
    assert_eq!(revocation_identity(&first), revocation_identity(&other_reason));
    assert_ne!(revocation(&first), revocation(&other_reason));
    for other in [revoke(Side::Authority, &[1]), revoke(Side::Operator, &[2])] {
        assert_ne!(revocation_identity(&first), revocation_identity(&other));
    }
}
