//! What a vendor says about a device: that these keys were made inside it, and that this software runs there.
//!
//! In a real HSM the vendor's key sits in the device's certificate chain. Here it is one Ed25519 key in a folder of its
//! own. A signature by any other key, the member's own among them, attests nothing.

use alloc::string::String;
use alloc::vec::Vec;
use countermark_tlog::checkpoint::Origin;
use serde::{Deserialize, Serialize};

use crate::identity::{Digest, Name, Timestamp};
use crate::json::{self, JsonError};
use crate::key::{self, KeyAlgorithm, KeyId, PublicKey, SignatureError};
use crate::statement::{AttestationRef, KeyRole, Member, Software};
use crate::{to_sign, wire};

/// The document's `type`, and the format tag in a statement.
pub const ATTESTATION_TYPE: &str = "countermark/attestation/v1";
/// The most bytes of an attestation: 8 KiB.
pub const ATTESTATION_BYTES_MAX: usize = 8 * 1024;

/// What is attested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestationBody {
    /// The log that the fleet's keys will be stated in.
    #[serde(with = "wire::origin")]
    pub origin: Origin,
    /// The fleet.
    pub fleet_id: Name,
    /// The member.
    pub member_id: Name,
    /// The member's Ed25519 identity key.
    pub identity_key: PublicKey,
    /// The member's X25519 session key.
    pub session_key: PublicKey,
    /// SHA-256 of the running executable.
    pub software_sha256: Digest,
    /// When the vendor signed.
    pub issued_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(rename = "type")]
    kind: String,
    body: AttestationBody,
    vendor_key_id: KeyId,
    #[serde(with = "wire::base64_bytes")]
    signature: Vec<u8>,
}

/// An attestation that nobody has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntrustedAttestation {
    bytes: Vec<u8>,
    body: AttestationBody,
    vendor_key_id: KeyId,
    signature: Vec<u8>,
}

/// An attestation under a vendor's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedAttestation {
    bytes: Vec<u8>,
    body: AttestationBody,
}

/// Why an attestation does not attest.
#[derive(Debug, thiserror::Error)]
pub enum AttestationError {
    /// Not the JSON document.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A key of the wrong algorithm.
    #[error("an attestation names an ed25519 identity key and an x25519 session key")]
    Algorithms,
    /// Signed by one of the member's own keys.
    #[error("the attestation is self-signed: a member cannot attest itself")]
    SelfSigned,
    /// Signed by a key that is not a vendor's.
    #[error("the attestation is signed by {found}, which is not a vendor key")]
    UnknownVendor {
        /// The key that it names.
        found: KeyId,
    },
    /// The vendor's signature does not verify.
    #[error("the vendor's signature: {0}")]
    Signature(#[from] SignatureError),
}

/// Why a verified attestation does not speak for a member of a statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoverError {
    /// The statement refers to other bytes.
    #[error("the statement refers to another attestation of member {member}")]
    OtherBytes {
        /// The member.
        member: Name,
    },
    /// Another log, fleet or member.
    #[error("the attestation is for {fleet}/{member} of another log, fleet or member")]
    OtherMember {
        /// The fleet it is for.
        fleet: Name,
        /// The member it is for.
        member: Name,
    },
    /// Keys that the statement does not give the member, or the reverse.
    #[error("the attestation of member {member} covers other keys")]
    OtherKeys {
        /// The member.
        member: Name,
    },
    /// Another executable.
    #[error("the attestation of member {member} is for software {attested}, the statement says {stated}")]
    OtherSoftware {
        /// The member.
        member: Name,
        /// The digest that the vendor attested.
        attested: Digest,
        /// The digest that the statement names.
        stated: Digest,
    },
}

impl UntrustedAttestation {
    /// Reads an attestation of at most [`ATTESTATION_BYTES_MAX`] bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, AttestationError> {
        let form: Form = json::parse(bytes, ATTESTATION_BYTES_MAX)?;
        if form.kind != ATTESTATION_TYPE {
            return Err(JsonError::WrongType { expected: ATTESTATION_TYPE }.into());
        }
        if form.body.identity_key.algorithm() != KeyAlgorithm::Ed25519
            || form.body.session_key.algorithm() != KeyAlgorithm::X25519
        {
            return Err(AttestationError::Algorithms);
        }
        Ok(Self {
            bytes: bytes.to_vec(),
            body: form.body,
            vendor_key_id: form.vendor_key_id,
            signature: form.signature,
        })
    }

    /// What it claims. Nobody has checked it.
    #[must_use]
    pub const fn unverified_body(&self) -> &AttestationBody {
        &self.body
    }

    /// Checks that a vendor's key signed it.
    pub fn verify(self, vendor_keys: &[PublicKey]) -> Result<VerifiedAttestation, AttestationError> {
        if self.vendor_key_id == self.body.identity_key.key_id() {
            return Err(AttestationError::SelfSigned);
        }
        let vendor = key::find(vendor_keys, self.vendor_key_id)
            .ok_or(AttestationError::UnknownVendor { found: self.vendor_key_id })?;
        vendor.verify_ed25519(&to_sign::attestation(&self.body), &self.signature)?;
        Ok(VerifiedAttestation { bytes: self.bytes, body: self.body })
    }
}

impl VerifiedAttestation {
    /// What the vendor signed.
    #[must_use]
    pub const fn body(&self) -> &AttestationBody {
        &self.body
    }

    /// The exact bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it speaks for this member of this fleet: the very bytes the statement refers to, exactly the member's
    /// keys, and the stated software.
    pub fn covers(
        &self,
        origin: &Origin,
        fleet_id: &Name,
        member: &Member,
        software: &Software,
    ) -> Result<(), CoverError> {
        let name = || member.member_id.clone();
        if member.attestation != AttestationRef::to(&self.bytes) {
            return Err(CoverError::OtherBytes { member: name() });
        }
        let body = &self.body;
        if (&body.origin, &body.fleet_id, &body.member_id) != (origin, fleet_id, &member.member_id) {
            return Err(CoverError::OtherMember { fleet: body.fleet_id.clone(), member: body.member_id.clone() });
        }
        let only = |role, key: &PublicKey| member.keys_of(role).map(|stated| stated.key_id).eq([key.key_id()]);
        if !only(KeyRole::Identity, &body.identity_key) || !only(KeyRole::Session, &body.session_key) {
            return Err(CoverError::OtherKeys { member: name() });
        }
        if body.software_sha256 != software.sha256 {
            return Err(CoverError::OtherSoftware {
                member: name(),
                attested: body.software_sha256,
                stated: software.sha256,
            });
        }
        Ok(())
    }
}

/// The attestation document, from its body and the vendor's signature over [`to_sign::attestation`].
#[must_use]
pub fn write(body: AttestationBody, vendor_key_id: KeyId, signature: Vec<u8>) -> Vec<u8> {
    json::write_line(&Form { kind: String::from(ATTESTATION_TYPE), body, vendor_key_id, signature })
}

#[cfg(test)]
mod tests;
