//! Only a vendor attests, and only to exactly what a statement says.

use super::*;
use crate::testing::*;
use serde_json::{Value, json};
use std::string::ToString;
use std::vec;

fn software() -> Software {
    World::new().statement(1).fleets.remove(0).software
}

fn good() -> (World, Vec<u8>) {
    let world = World::new();
    let bytes = world.attestation("fleet-1", 1, software().sha256);
    (world, bytes)
}

fn vendors(world: &World) -> [PublicKey; 2] {
    [ed25519_signer(77).public().clone(), world.vendor.public().clone()]
}

#[test]
fn the_attestation_of_a_vendor_verifies_and_is_kept_byte_for_byte() {
    let (world, bytes) = good();
    let untrusted = UntrustedAttestation::parse(&bytes).unwrap();
    let claimed = untrusted.unverified_body().clone();
    let verified = untrusted.verify(&vendors(&world)).unwrap();
    assert_eq!((verified.body(), verified.bytes()), (&claimed, bytes.as_slice()));
    assert_eq!(claimed.member_id, name("member-1"));
    let signature = world.vendor.sign(&to_sign::attestation(&claimed));
    assert_eq!(write(claimed, world.vendor.public().key_id(), signature), bytes);
}

/// The attestation with one thing of its JSON changed.
fn check(edit: impl FnOnce(&mut Value)) -> AttestationError {
    let (world, bytes) = good();
    UntrustedAttestation::parse(&edited(&bytes, edit))
        .and_then(|attestation| attestation.verify(&vendors(&world)))
        .expect_err("must be refused")
}

#[test]
fn a_member_that_attests_itself_is_refused_even_if_its_key_is_listed() {
    let (world, bytes) = good();
    let body = UntrustedAttestation::parse(&bytes).unwrap().unverified_body().clone();
    let own = ed25519_signer(101);
    assert_eq!(own.public(), &body.identity_key);
    let signature = own.sign(&to_sign::attestation(&body));
    let bytes = write(body, own.public().key_id(), signature);
    for vendors in [vendors(&world).to_vec(), vec![own.public().clone()]] {
        let error = UntrustedAttestation::parse(&bytes).unwrap().verify(&vendors).unwrap_err();
        assert!(matches!(error, AttestationError::SelfSigned), "{error}");
    }
}

#[test]
fn a_signature_of_anybody_but_a_known_vendor_is_refused() {
    let stranger = ed25519_signer(78).public().key_id();
    let error = check(|form| form["vendor_key_id"] = json!(stranger));
    assert!(matches!(error, AttestationError::UnknownVendor { found } if found == stranger), "{error}");
    // Another vendor's name over this vendor's signature.
    let error = check(|form| form["vendor_key_id"] = json!(ed25519_signer(77).public().key_id()));
    assert!(matches!(error, AttestationError::Signature(SignatureError::Invalid)), "{error}");
    let (_, bytes) = good();
    let error = UntrustedAttestation::parse(&bytes).unwrap().verify(&[]).unwrap_err();
    assert!(matches!(error, AttestationError::UnknownVendor { .. }), "{error}");
}

#[test]
fn every_part_of_the_body_is_signed() {
    let edits: [fn(&mut Value); 8] = [
        |form| form["body"]["origin"] = json!("log.example/other"),
        |form| form["body"]["fleet_id"] = json!("fleet-2"),
        |form| form["body"]["member_id"] = json!("member-2"),
        |form| form["body"]["identity_key"] = json!(ed25519_signer(102).public()),
        |form| form["body"]["session_key"] = json!(x25519_public(102)),
        |form| form["body"]["software_sha256"] = json!(Digest::of(b"other")),
        |form| form["body"]["issued_at"] = json!(at(NOW + 1)),
        |form| form["signature"] = json!("AAAA"),
    ];
    for (i, edit) in edits.into_iter().enumerate() {
        let error = check(edit);
        assert!(matches!(error, AttestationError::Signature(SignatureError::Invalid)), "{i}: {error}");
    }
}

#[test]
fn keys_of_the_wrong_algorithm_are_refused() {
    for edit in [
        (|form| form["body"]["identity_key"] = json!(x25519_public(101))) as fn(&mut Value),
        |form| form["body"]["identity_key"] = json!(p384_signer(3).public()),
        |form| form["body"]["session_key"] = json!(ed25519_signer(101).public()),
        |form| form["body"] = swapped_keys(&form["body"]),
    ] {
        let error = check(edit);
        assert!(matches!(error, AttestationError::Algorithms), "{error}");
    }
}

fn swapped_keys(body: &Value) -> Value {
    let mut swapped = body.clone();
    swapped["identity_key"] = body["session_key"].clone();
    swapped["session_key"] = body["identity_key"].clone();
    swapped
}

#[test]
fn what_is_no_attestation_is_refused() {
    let error = check(|form| form["type"] = json!("countermark/attestation/v2"));
    assert!(matches!(error, AttestationError::Json(JsonError::WrongType { .. })), "{error}");
    for (edit, says) in [
        ((|form| form["extra"] = json!(1)) as fn(&mut Value), "unknown field"),
        (|form| form["body"]["extra"] = json!(1), "unknown field"),
        (|form| form["signature"] = json!("AAA"), "standard padded base64"),
        (|form| form["signature"] = json!("AAB="), "standard padded base64"),
        (|form| form["signature"] = json!("__8="), "standard padded base64"),
        (|form| form["body"]["session_key"]["public_key"] = json!("FF"), "lower-case hex"),
        (|form| form["body"]["session_key"]["public_key"] = json!("ff"), "has 32 bytes, found 1"),
        (|form| form["body"]["session_key"] = json!(["x25519", "65".repeat(32)]), "invalid type: sequence"),
    ] {
        let error = check(edit);
        assert!(matches!(error, AttestationError::Json(JsonError::Invalid(_))), "{error}");
        assert!(error.to_string().contains(says), "{error} does not say {says:?}");
    }
    let long = UntrustedAttestation::parse(&[b' '; ATTESTATION_BYTES_MAX + 1]).unwrap_err();
    assert!(matches!(long, AttestationError::Json(JsonError::TooLarge { .. })), "{long}");
}

/// Whether a good attestation covers its member after a change to what the statement says.
fn covers(change: impl FnOnce(&mut Origin, &mut Name, &mut Member, &mut Software)) -> Result<(), CoverError> {
    let (world, bytes) = good();
    let attestation = UntrustedAttestation::parse(&bytes).unwrap().verify(&vendors(&world)).unwrap();
    let (mut origin, mut fleet, mut software) = (origin(), name("fleet-1"), software());
    let mut member = world.member("fleet-1", 1, software.sha256);
    change(&mut origin, &mut fleet, &mut member, &mut software);
    attestation.covers(&origin, &fleet, &member, &software)
}

#[test]
fn an_attestation_covers_exactly_what_the_statement_says() {
    assert_eq!(covers(|_, _, _, _| {}), Ok(()));

    let other_bytes = Err(CoverError::OtherBytes { member: name("member-1") });
    assert_eq!(covers(|_, _, member, _| member.attestation.size += 1), other_bytes);
    assert_eq!(covers(|_, _, member, _| member.attestation.sha256 = Digest::of(b"x")), other_bytes);
    assert_eq!(covers(|_, _, member, _| member.attestation.format = "tpm2".to_string()), other_bytes);

    let other_member = Err(CoverError::OtherMember { fleet: name("fleet-1"), member: name("member-1") });
    assert_eq!(covers(|origin, _, _, _| *origin = Origin::new("log.example/other").unwrap()), other_member);
    assert_eq!(covers(|_, fleet, _, _| *fleet = name("fleet-2")), other_member);
    assert_eq!(covers(|_, _, member, _| member.member_id = name("member-2")), other_member);

    let other_keys = Err(CoverError::OtherKeys { member: name("member-1") });
    let strange = |role, seed: u8| {
        let key = if role == KeyRole::Session { x25519_public(seed) } else { ed25519_signer(seed).public().clone() };
        crate::statement::MemberKey::new(role, &key, at(NOW), at(NOW + 1))
    };
    for role in [KeyRole::Session, KeyRole::Identity] {
        let more = |member: &mut Member| member.keys.push(strange(role, 102));
        let less = |member: &mut Member| member.keys.retain(|key| key.role != role);
        assert_eq!(covers(|_, _, member, _| more(member)), other_keys, "one more");
        assert_eq!(covers(|_, _, member, _| less(member)), other_keys, "one less");
        let another = covers(|_, _, member, _| {
            less(member);
            more(member);
        });
        assert_eq!(another, other_keys, "another");
    }

    let (attested, stated) = (software().sha256, Digest::of(b"another executable"));
    assert_eq!(
        covers(|_, _, _, software| software.sha256 = stated),
        Err(CoverError::OtherSoftware { member: name("member-1"), attested, stated })
    );
}
