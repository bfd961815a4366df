//! What the tests of this crate build members from: keys from seeds, vendors from seeds.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use countermark_bundle::attestation::{self, AttestationBody};
use countermark_bundle::identity::{Digest, Name, Timestamp};
use countermark_bundle::key::{KeyAlgorithm, PublicKey};
use countermark_bundle::statement::Software;
use countermark_tlog::checkpoint::Origin;
use ed25519_dalek::{Signer as _, SigningKey};

use crate::member::{self, MemberIdentity, UntrustedMemberReport};
use crate::to_sign;

/// The seed of the vendor that the tests trust.
pub(crate) const VENDOR: u8 = 200;

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(1_795_253_400 + seconds).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn origin() -> Origin {
    Origin::new("log.example/backup").unwrap()
}

pub(crate) fn public(seed: u8) -> PublicKey {
    PublicKey::ed25519(SigningKey::from_bytes(&[seed; 32]).verifying_key().as_bytes()).unwrap()
}

pub(crate) fn sign(seed: u8, message: &[u8]) -> Vec<u8> {
    SigningKey::from_bytes(&[seed; 32]).sign(message).to_bytes().to_vec()
}

pub(crate) fn identity(seed: u8) -> MemberIdentity {
    MemberIdentity {
        origin: origin(),
        fleet_id: name("fleet-1"),
        member_id: name(&format!("member-{seed}")),
        failure_domain: name(&format!("site-{seed}")),
        identity_key: public(seed),
        session_key: PublicKey::new(KeyAlgorithm::X25519, &[seed; 32]).unwrap(),
        software: Software {
            name: "countermark-vault".to_string(),
            version: "0.1.0".to_string(),
            sha256: Digest::of(b"executable"),
        },
    }
}

/// What a vendor attests of exactly this member.
pub(crate) fn body(identity: &MemberIdentity) -> AttestationBody {
    AttestationBody {
        origin: identity.origin.clone(),
        fleet_id: identity.fleet_id.clone(),
        member_id: identity.member_id.clone(),
        identity_key: identity.identity_key.clone(),
        session_key: identity.session_key.clone(),
        software_sha256: identity.software.sha256,
        issued_at: at(0),
    }
}

pub(crate) fn attest(body: AttestationBody, by: u8) -> Vec<u8> {
    let signature = sign(by, &countermark_bundle::to_sign::attestation(&body));
    attestation::write(body, public(by).key_id(), signature)
}

/// The report of a member with this attestation, signed by the key of this seed.
pub(crate) fn report_signed_by(identity: &MemberIdentity, attestation: Option<&[u8]>, by: u8) -> UntrustedMemberReport {
    let proof = sign(by, &to_sign::report_message(identity, attestation));
    UntrustedMemberReport::parse(&member::write(identity, attestation, &proof).unwrap()).unwrap()
}

/// The report of member `seed`, attested by the vendor.
pub(crate) fn report(seed: u8) -> UntrustedMemberReport {
    let identity = identity(seed);
    let attestation = attest(body(&identity), VENDOR);
    report_signed_by(&identity, Some(&attestation), seed)
}
