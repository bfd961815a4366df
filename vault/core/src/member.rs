//! A member's report about itself: its names, its public keys, what it runs, and the attestation that it holds.
//!
//! The report proves that the member can sign with its identity key, and binds the session key to it. It proves nothing
//! about where the keys are kept or what runs: that is the attestation's part.

use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countermark_bundle::attestation::{AttestationError, UntrustedAttestation};
use countermark_bundle::identity::{Digest, Name};
use countermark_bundle::json::{self, JsonError};
use countermark_bundle::key::{KeyAlgorithm, PublicKey, SignatureError};
use countermark_bundle::statement::Software;
use countermark_tlog::checkpoint::{CheckpointError, Origin};
use serde::{Deserialize, Serialize};

use crate::to_sign;

/// The document's `type`.
pub const REPORT_TYPE: &str = "countermark/member-report/v1";
/// The most bytes of a report: 16 KiB.
pub const REPORT_BYTES_MAX: usize = 16 * 1024;

/// Who a member is and what it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberIdentity {
    /// The log that the fleet's keys will be stated in.
    pub origin: Origin,
    /// The fleet.
    pub fleet_id: Name,
    /// The member's name within the fleet.
    pub member_id: Name,
    /// What it shares its fate with.
    pub failure_domain: Name,
    /// The key it signs with: Ed25519.
    pub identity_key: PublicKey,
    /// The key that clients open sessions to: X25519.
    pub session_key: PublicKey,
    /// What runs; the digest is of the executable that makes the report.
    pub software: Software,
}

/// Why bytes are not a member's report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Not the JSON document.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Not a log's origin.
    #[error("the report's origin: {0}")]
    Origin(CheckpointError),
    /// A key of the wrong algorithm.
    #[error("a member has an ed25519 identity key and an x25519 session key")]
    Algorithms,
    /// A name or version of software that is not one.
    #[error("{field} must be 1 to 64 printable ASCII characters without a space")]
    Text {
        /// Which.
        field: &'static str,
    },
    /// Not standard, padded base64.
    #[error("{field} must be standard padded base64")]
    Base64 {
        /// Which field.
        field: &'static str,
    },
    /// An attestation that is none.
    #[error("the report's attestation: {0}")]
    Attestation(#[source] AttestationError),
    /// It does not repeat what its attestation says.
    #[error("the report says software {stated:?} was attested, its attestation says {attested:?}")]
    AttestedSoftware {
        /// What the report says.
        stated: Option<Digest>,
        /// What its attestation says.
        attested: Option<Digest>,
    },
    /// Not signed by the identity key that it reports.
    #[error("the proof of possession of the identity key: {0}")]
    ProofOfPossession(#[source] SignatureError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(rename = "type")]
    kind: String,
    origin: String,
    fleet_id: Name,
    member_id: Name,
    failure_domain: Name,
    identity_key: PublicKey,
    session_key: PublicKey,
    software: Software,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attested_software: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attestation: Option<String>,
    proof_of_possession: String,
}

/// A report that nobody has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntrustedMemberReport {
    identity: MemberIdentity,
    attestation: Option<Vec<u8>>,
    attested_software: Option<Digest>,
    proof_of_possession: Vec<u8>,
}

/// A report that was signed by the identity key it names. Its attestation is as untrusted as before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedMemberReport {
    identity: MemberIdentity,
    attestation: Option<Vec<u8>>,
    attested_software: Option<Digest>,
}

impl UntrustedMemberReport {
    /// Reads a report of at most [`REPORT_BYTES_MAX`] bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        let form: Form = json::parse(bytes, REPORT_BYTES_MAX)?;
        if form.kind != REPORT_TYPE {
            return Err(JsonError::WrongType { expected: REPORT_TYPE }.into());
        }
        let identity = MemberIdentity {
            origin: Origin::new(&form.origin).map_err(ReportError::Origin)?,
            fleet_id: form.fleet_id,
            member_id: form.member_id,
            failure_domain: form.failure_domain,
            identity_key: form.identity_key,
            session_key: form.session_key,
            software: form.software,
        };
        identity.check()?;
        let attestation = form.attestation.map(|text| decode("attestation", &text)).transpose()?;
        let attested = attested_software(attestation.as_deref())?;
        if form.attested_software != attested {
            return Err(ReportError::AttestedSoftware { stated: form.attested_software, attested });
        }
        let proof_of_possession = decode("proof_of_possession", &form.proof_of_possession)?;
        Ok(Self { identity, attestation, attested_software: attested, proof_of_possession })
    }

    /// Who it claims to be. Nobody has checked it.
    #[must_use]
    pub const fn unverified_identity(&self) -> &MemberIdentity {
        &self.identity
    }

    /// Checks that the identity key signed it.
    pub fn verify(self) -> Result<VerifiedMemberReport, ReportError> {
        let message = to_sign::report_message(&self.identity, self.attestation.as_deref());
        self.identity
            .identity_key
            .verify_ed25519(&message, &self.proof_of_possession)
            .map_err(ReportError::ProofOfPossession)?;
        let Self { identity, attestation, attested_software, proof_of_possession: _ } = self;
        Ok(VerifiedMemberReport { identity, attestation, attested_software })
    }
}

impl VerifiedMemberReport {
    /// Who the member is and what it says that it runs.
    #[must_use]
    pub const fn identity(&self) -> &MemberIdentity {
        &self.identity
    }

    /// The bytes of the attestation that it holds, not verified.
    #[must_use]
    pub fn attestation(&self) -> Option<&[u8]> {
        self.attestation.as_deref()
    }

    /// The executable that its attestation speaks of, not verified. Another one than [`Software::sha256`] of the identity
    /// after the member was rebuilt.
    #[must_use]
    pub const fn attested_software(&self) -> Option<Digest> {
        self.attested_software
    }
}

impl MemberIdentity {
    fn check(&self) -> Result<(), ReportError> {
        if self.identity_key.algorithm() != KeyAlgorithm::Ed25519
            || self.session_key.algorithm() != KeyAlgorithm::X25519
        {
            return Err(ReportError::Algorithms);
        }
        for (field, text) in [("software.name", &self.software.name), ("software.version", &self.software.version)] {
            // A line break in one of them would make two reports sign the same string.
            if !(1..=64).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(ReportError::Text { field });
            }
        }
        Ok(())
    }
}

/// The report document, from the identity key's signature over [`to_sign::report_message`].
pub fn write(
    identity: &MemberIdentity,
    attestation: Option<&[u8]>,
    proof_of_possession: &[u8],
) -> Result<Vec<u8>, ReportError> {
    identity.check()?;
    let form = Form {
        kind: String::from(REPORT_TYPE),
        origin: String::from(identity.origin.as_str()),
        fleet_id: identity.fleet_id.clone(),
        member_id: identity.member_id.clone(),
        failure_domain: identity.failure_domain.clone(),
        identity_key: identity.identity_key.clone(),
        session_key: identity.session_key.clone(),
        software: identity.software.clone(),
        attested_software: attested_software(attestation)?,
        attestation: attestation.map(|bytes| STANDARD.encode(bytes)),
        proof_of_possession: STANDARD.encode(proof_of_possession),
    };
    Ok(write_line(&form))
}

fn write_line(form: &Form) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(form).expect("strings serialise");
    bytes.push(b'\n');
    bytes
}

fn attested_software(attestation: Option<&[u8]>) -> Result<Option<Digest>, ReportError> {
    let Some(bytes) = attestation else { return Ok(None) };
    let attestation = UntrustedAttestation::parse(bytes).map_err(ReportError::Attestation)?;
    Ok(Some(attestation.unverified_body().software_sha256))
}

fn decode(field: &'static str, text: &str) -> Result<Vec<u8>, ReportError> {
    STANDARD.decode(text).map_err(|_| ReportError::Base64 { field })
}

#[cfg(test)]
mod tests;
