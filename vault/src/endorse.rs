//! The vendor's side: it attests a member that proves possession of its keys and runs the executable that the vendor
//! was told to endorse.
//!
//! It believes the member's own measurement, and that whoever answers at the address is the device. A real vendor
//! measures the device itself; here the operator of the device names its address.

use std::path::PathBuf;

use countermark_bundle::ExitClass;
use countermark_bundle::attestation::{self, AttestationBody};
use countermark_bundle::identity::{Digest, Timestamp};
use countermark_bundle::key::{KeyId, PublicKey, PublicKeyError};
use countermark_keys::{KeyFile, OpenError, Role, SignError};
use countermark_vault_core::attest;
use countermark_vault_core::member::{REPORT_BYTES_MAX, ReportError, UntrustedMemberReport};
use reqwest::Url;
use thiserror::Error;

use crate::fetch::{self, FetchError, SMALL_ANSWER_BYTES_MAX};

/// What a vendor is told to do.
#[derive(Clone, Debug)]
pub struct Endorsement {
    /// The member's address, as `http://127.0.0.1:7316`.
    pub member: String,
    /// The vendor's encrypted key.
    pub vendor_key_file: PathBuf,
    /// What opens it.
    pub passphrase_file: PathBuf,
    /// SHA-256 of the executable that is endorsed.
    pub software_sha256: Digest,
    /// The time that the attestation bears.
    pub now: Timestamp,
}

/// What was attested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endorsed {
    /// What the vendor signed.
    pub body: AttestationBody,
    /// The vendor's key.
    pub vendor_key_id: KeyId,
    /// SHA-256 of the attestation.
    pub attestation_sha256: Digest,
}

/// Why a member was not attested.
#[derive(Debug, Error)]
pub enum EndorseError {
    /// The address is none, or has a query, a fragment, a user or a password.
    #[error("the member's address must be http:// or https://, a host, and at most a path")]
    Address,
    /// The vendor's key was not opened.
    #[error("cannot open the vendor's key")]
    Key(#[from] OpenError),
    /// The vendor's key cannot be named.
    #[error("the vendor's key cannot be used")]
    VendorKey(#[from] PublicKeyError),
    /// The vendor's key did not sign.
    #[error("the vendor's key did not sign")]
    Sign(#[from] SignError),
    /// There is no HTTP client.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// The member did not answer as it should.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The answer is no report, or one that its identity key did not sign.
    #[error("the member's report is refused")]
    Report(#[from] ReportError),
    /// The member is not what was to be endorsed.
    #[error(transparent)]
    Refused(#[from] attest::EndorseError),
}

impl EndorseError {
    /// The class of the failure, which fixes the exit code.
    #[must_use]
    pub fn class(&self) -> ExitClass {
        match self {
            Self::Address => ExitClass::Usage,
            Self::Key(_) | Self::VendorKey(_) | Self::Sign(_) | Self::Client(_) => ExitClass::OurFault,
            Self::Fetch(FetchError::Unreachable { .. }) => ExitClass::Unreachable,
            Self::Fetch(FetchError::Answer { status, .. }) if status.is_server_error() => ExitClass::Unreachable,
            Self::Fetch(FetchError::Answer { .. }) | Self::Refused(_) => ExitClass::RefusedByPolicy,
            Self::Report(ReportError::ProofOfPossession(_)) => ExitClass::Proof,
            Self::Fetch(FetchError::TooLarge { .. }) | Self::Report(_) => ExitClass::Malformed,
        }
    }
}

/// Attests a member: fetches its report, checks it, signs, and hands the attestation to the member.
///
/// When it returns, the member has stored the attestation. Doing it again is safe; the member keeps the newest.
pub async fn endorse(endorsement: &Endorsement) -> Result<Endorsed, EndorseError> {
    let (report_url, attestation_url) = addresses(&endorsement.member)?;
    let signer = KeyFile::open_signer(&endorsement.vendor_key_file, Role::Vendor, &endorsement.passphrase_file)?;
    let vendor_key = PublicKey::ed25519(signer.public_key())?;
    let http = fetch::client(&report_url).map_err(EndorseError::Client)?;
    let bytes = fetch::ask(http.get(report_url.clone()), &report_url, REPORT_BYTES_MAX).await?;
    let report = UntrustedMemberReport::parse(&bytes)?.verify()?;
    let body = attest::endorse(&report, endorsement.software_sha256, &vendor_key, endorsement.now)?;
    let signature = signer.sign(&countermark_bundle::to_sign::attestation(&body))?;
    let vendor_key_id = vendor_key.key_id();
    let attestation = attestation::write(body.clone(), vendor_key_id, signature);
    let attestation_sha256 = Digest::of(&attestation);
    let answer = http.put(attestation_url.clone()).body(attestation);
    fetch::ask(answer, &attestation_url, SMALL_ANSWER_BYTES_MAX).await?;
    Ok(Endorsed { body, vendor_key_id, attestation_sha256 })
}

/// Where the report and the attestation of a member are.
fn addresses(member: &str) -> Result<(Url, Url), EndorseError> {
    let base = fetch::base(member).ok_or(EndorseError::Address)?;
    let below = |path| base.join(path).map_err(|_| EndorseError::Address);
    Ok((below("v1/member")?, below("v1/attestation")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_member_is_asked_below_its_address() {
        for (address, report) in [
            ("http://127.0.0.1:7316", "http://127.0.0.1:7316/v1/member"),
            ("http://127.0.0.1:7316/", "http://127.0.0.1:7316/v1/member"),
            ("https://vault.example/site-1", "https://vault.example/site-1/v1/member"),
        ] {
            let (found, attestation) = addresses(address).unwrap();
            assert_eq!(found.as_str(), report);
            assert_eq!(attestation.as_str(), report.replace("member", "attestation"));
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        for bad in ["", "127.0.0.1:7316", "ftp://a", "http://a?b", "http://a#b", "http://user@a", "http://:secret@a"] {
            assert!(matches!(addresses(bad), Err(EndorseError::Address)), "{bad}");
        }
    }
}
