//! Both ends of an attestation: what a vendor agrees to sign about a member, and what the member agrees to keep.

use countermark_bundle::attestation::{AttestationBody, AttestationError, UntrustedAttestation, VerifiedAttestation};
use countermark_bundle::identity::{Digest, Name, Timestamp};
use countermark_bundle::key::PublicKey;

use crate::member::{MemberIdentity, VerifiedMemberReport};

/// Why a vendor does not attest a member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndorseError {
    /// Another executable runs than the one to be endorsed.
    #[error("member {member} runs software {running}, to be endorsed is {expected}")]
    OtherSoftware {
        /// The member.
        member: Name,
        /// The executable it reports.
        running: Digest,
        /// The executable to be endorsed.
        expected: Digest,
    },
    /// The vendor's key is the member's own.
    #[error("member {member} has the vendor's key as its own: a member cannot attest itself")]
    OwnKey {
        /// The member.
        member: Name,
    },
}

/// What a vendor is to sign about a member that runs the executable `software`.
pub fn endorse(
    report: &VerifiedMemberReport,
    software: Digest,
    vendor_key: &PublicKey,
    now: Timestamp,
) -> Result<AttestationBody, EndorseError> {
    let identity = report.identity();
    let member = || identity.member_id.clone();
    if identity.software.sha256 != software {
        return Err(EndorseError::OtherSoftware {
            member: member(),
            running: identity.software.sha256,
            expected: software,
        });
    }
    if identity.identity_key == *vendor_key {
        return Err(EndorseError::OwnKey { member: member() });
    }
    Ok(AttestationBody {
        origin: identity.origin.clone(),
        fleet_id: identity.fleet_id.clone(),
        member_id: member(),
        identity_key: identity.identity_key.clone(),
        session_key: identity.session_key.clone(),
        software_sha256: software,
        issued_at: now,
    })
}

/// Why a member does not take an attestation for its own.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// Not an attestation under a vendor's key. The self-signed one is among these.
    #[error(transparent)]
    Attestation(#[from] AttestationError),
    /// For another log, fleet or member.
    #[error("the attestation is for member {found_fleet}/{found_member} of another log, fleet or name")]
    OtherMember {
        /// The fleet it is for.
        found_fleet: Name,
        /// The member it is for.
        found_member: Name,
    },
    /// For other keys.
    #[error("the attestation is for other keys than this member's")]
    OtherKeys,
    /// For another executable.
    #[error("the attestation is for software {found}, running is {running}")]
    OtherSoftware {
        /// The executable that runs.
        running: Digest,
        /// The one it is for.
        found: Digest,
    },
}

/// Takes an attestation that a vendor made for exactly this member: its names, its keys and the executable that runs.
pub fn admit(
    bytes: &[u8],
    identity: &MemberIdentity,
    vendor_keys: &[PublicKey],
) -> Result<VerifiedAttestation, AdmitError> {
    let attestation = admit_any_software(bytes, identity, vendor_keys)?;
    let (running, found) = (identity.software.sha256, attestation.body().software_sha256);
    if found != running {
        return Err(AdmitError::OtherSoftware { running, found });
    }
    Ok(attestation)
}

/// As [`admit`], for whatever executable: what a member that was rebuilt still holds.
pub fn admit_any_software(
    bytes: &[u8],
    identity: &MemberIdentity,
    vendor_keys: &[PublicKey],
) -> Result<VerifiedAttestation, AdmitError> {
    let attestation = UntrustedAttestation::parse(bytes)?.verify(vendor_keys)?;
    let body = attestation.body();
    if (&body.origin, &body.fleet_id, &body.member_id) != (&identity.origin, &identity.fleet_id, &identity.member_id) {
        return Err(AdmitError::OtherMember {
            found_fleet: body.fleet_id.clone(),
            found_member: body.member_id.clone(),
        });
    }
    if (&body.identity_key, &body.session_key) != (&identity.identity_key, &identity.session_key) {
        return Err(AdmitError::OtherKeys);
    }
    Ok(attestation)
}

#[cfg(test)]
mod tests;
