//! The vendor's side: looks at a member's report, and attests the keys and the executable that it was told to expect.
//!
//! Runs on the member's machine, since a member takes attestations from nowhere else. The vendor's key has a folder of
//! its own and is no part of the member.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countermark_bundle::attestation::{self, UntrustedAttestation};
use countermark_bundle::identity::{Digest, Timestamp};
use countermark_bundle::key::{PublicKey, PublicKeyError};
use countermark_bundle::to_sign;
use countermark_keys::{KeyFile, OpenError, Role, SignError, Signer};
use countermark_vault_core::attest::{self, EndorseError as NotEndorsed, admit};
use countermark_vault_core::member::{REPORT_BYTES_MAX, ReportError, UntrustedMemberReport, VerifiedMemberReport};
use reqwest::{Client, Response, Url, redirect};
use serde::Serialize;
use thiserror::Error;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// The most bytes of an answer to an attestation that are read.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// What a vendor is told to do.
#[derive(Clone, Debug)]
pub struct Endorsement {
    /// Where the member serves, as `http://127.0.0.1:7391`.
    pub member: Url,
    /// The vendor's encrypted key.
    pub vendor_key_file: PathBuf,
    /// What opens it.
    pub passphrase_file: PathBuf,
    /// The executable that is endorsed.
    pub software_sha256: Digest,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endorsed {
    /// The log that the member reports for.
    pub origin: String,
    /// The fleet.
    pub fleet_id: String,
    /// The member.
    pub member_id: String,
    /// Its identity key's id.
    pub identity_key_id: String,
    /// Its session key's id.
    pub session_key_id: String,
    /// The executable.
    pub software_sha256: Digest,
    /// The vendor key's id.
    pub vendor_key_id: String,
    /// SHA-256 of the attestation that the member now holds.
    pub attestation_sha256: Digest,
    /// Whether it was made just now; `false` where the member held one by this vendor for exactly this.
    pub newly_endorsed: bool,
}

/// Why a member was not endorsed.
#[derive(Debug, Error)]
pub enum EndorseError {
    /// The vendor's key cannot be opened.
    #[error("cannot open the vendor's key")]
    Key(#[from] OpenError),
    /// The vendor's key is none.
    #[error("the vendor's key cannot be used")]
    PublicKey(#[from] PublicKeyError),
    /// No HTTP client could be made.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// The address is none.
    #[error("{member} cannot be the address of a member")]
    Address {
        /// What was given.
        member: Url,
    },
    /// The member did not answer.
    #[error("the member cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The member answered something that nobody asked for.
    #[error("the member answered {path} with status {status}")]
    Status {
        /// What was asked for.
        path: &'static str,
        /// The status.
        status: u16,
    },
    /// The member's answer is too long.
    #[error("the member's answer has more than {limit} bytes")]
    TooLong {
        /// The most that is read.
        limit: usize,
    },
    /// The member's report is none, or its identity key did not sign it.
    #[error("the member's report")]
    Report(#[from] ReportError),
    /// The vendor does not attest this.
    #[error(transparent)]
    NotEndorsed(#[from] NotEndorsed),
    /// The clock is before 1970 or after 9999.
    #[error("the clock of this machine is out of range")]
    Clock,
    /// The vendor's key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The member did not take the attestation.
    #[error("the member refused the attestation ({status}): {detail}")]
    Refused {
        /// The status.
        status: u16,
        /// What it said.
        detail: String,
    },
}

/// Endorses a member. One that holds this vendor's attestation for exactly its keys and executable is left as it is.
pub async fn endorse(endorsement: &Endorsement) -> Result<Endorsed, EndorseError> {
    let Endorsement { member, vendor_key_file, passphrase_file, software_sha256 } = endorsement;
    let vendor = KeyFile::open_signer(vendor_key_file, Role::Vendor, passphrase_file)?;
    let vendor_key = PublicKey::ed25519(vendor.public_key())?;
    let client = client()?;
    let report = fetch_report(&client, member).await?;
    let body = attest::endorse(&report, *software_sha256, &vendor_key, now()?)?;
    let held = report.attestation().filter(|held| admit(held, report.identity(), &[vendor_key.clone()]).is_ok());
    let attestation = match held {
        Some(held) => held.to_vec(),
        None => {
            let signature = vendor.sign(&to_sign::attestation(&body))?;
            let attestation = attestation::write(body, vendor_key.key_id(), signature);
            put(&client, member, attestation.clone()).await?;
            attestation
        }
    };
    let identity = report.identity();
    Ok(Endorsed {
        origin: identity.origin.to_string(),
        fleet_id: identity.fleet_id.to_string(),
        member_id: identity.member_id.to_string(),
        identity_key_id: identity.identity_key.key_id().to_string(),
        session_key_id: identity.session_key.key_id().to_string(),
        software_sha256: *software_sha256,
        vendor_key_id: vendor_key.key_id().to_string(),
        attestation_sha256: Digest::of(&attestation),
        newly_endorsed: held.is_none(),
    })
}

/// Fetches a member's report and checks that the member's identity key signed it.
pub async fn fetch_report(client: &Client, member: &Url) -> Result<VerifiedMemberReport, EndorseError> {
    const PATH: &str = "v1/member";
    let response = client.get(url(member, PATH)?).send().await.map_err(EndorseError::Unreachable)?;
    let status = response.status();
    if status != reqwest::StatusCode::OK {
        return Err(EndorseError::Status { path: PATH, status: status.as_u16() });
    }
    let report = read(response, REPORT_BYTES_MAX).await?;
    Ok(UntrustedMemberReport::parse(&report)?.verify()?)
}

/// An HTTP client for members: no redirects, no proxy, with a deadline.
pub fn client() -> Result<Client, EndorseError> {
    // The one TLS provider of the process. An error means that it is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder()
        .redirect(redirect::Policy::none())
        // The member is where the address says; a proxy would be another machine to it.
        .no_proxy()
        .timeout(REQUEST_TIMEOUT)
        .user_agent(concat!("countermark-vault/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(EndorseError::Client)
}

async fn put(client: &Client, member: &Url, attestation: Vec<u8>) -> Result<(), EndorseError> {
    let request = client.put(url(member, "v1/attestation")?).body(attestation);
    let response = request.send().await.map_err(EndorseError::Unreachable)?;
    let status = response.status();
    if status == reqwest::StatusCode::OK {
        return Ok(());
    }
    let answer = read(response, ANSWER_BYTES_MAX).await?;
    let problem: Option<serde_json::Value> = serde_json::from_slice(&answer).ok();
    let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str()).unwrap_or("it did not say why");
    // The member is not trusted: what it says reaches a terminal as one line of plain text.
    let detail = detail.chars().filter(|character| !character.is_control()).collect();
    Err(EndorseError::Refused { status: status.as_u16(), detail })
}

fn url(member: &Url, path: &str) -> Result<Url, EndorseError> {
    let base = if member.path().ends_with('/') { member.clone() } else { with_slash(member) };
    base.join(path).map_err(|_| EndorseError::Address { member: member.clone() })
}

fn with_slash(member: &Url) -> Url {
    let mut base = member.clone();
    base.set_path(&format!("{}/", member.path()));
    base
}

async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, EndorseError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(EndorseError::Unreachable)? {
        if body.len() + chunk.len() > limit {
            return Err(EndorseError::TooLong { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn now() -> Result<Timestamp, EndorseError> {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| EndorseError::Clock)?;
    Timestamp::from_unix(elapsed.as_secs()).ok_or(EndorseError::Clock)
}

#[cfg(test)]
mod tests;
