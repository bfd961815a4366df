//! An officer's approval of one exact statement: a compact JWS (RFC 7515) with EdDSA (RFC 8037).
//!
//! It has its own `typ` and its own audience, so that it is never accepted as a login token, nor a login token as an
//! approval. It is judged at the certificate's time, so that a replay years later gives the same answer.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countermark_tlog::checkpoint::Origin;
use serde::{Deserialize, Serialize};

use crate::identity::{Digest, Epoch, Name, Timestamp};
use crate::json::{self, JsonError};
use crate::key::{KeyId, PublicKey, SignatureError};
use crate::wire;

/// The JWS header's `typ`.
pub const APPROVAL_TYPE: &str = "countermark-approval+jwt";
/// The claim `aud`: no login token carries it.
pub const APPROVAL_AUDIENCE: &str = "countermark-approval";
/// The most bytes of one approval: 4 KiB.
pub const APPROVAL_BYTES_MAX: usize = 4 * 1024;
/// The longest an approval may live: seven days.
pub const APPROVAL_LIFETIME_SECONDS_MAX: u64 = 7 * 86_400;
/// How far an officer's clock may run ahead of the authority's.
pub const CLOCK_SKEW_SECONDS: u64 = 300;

/// Who may approve.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Officer {
    /// A pseudonym: the log is public.
    pub subject: Name,
    /// The officer's Ed25519 key, used for approvals alone.
    pub key: PublicKey,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: KeyId,
}

/// What an officer approves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// [`APPROVAL_AUDIENCE`].
    pub aud: String,
    /// The officer's pseudonym.
    pub sub: Name,
    /// The log.
    #[serde(with = "wire::origin")]
    pub origin: Origin,
    /// The statement's epoch.
    pub epoch: Epoch,
    /// SHA-256 of the statement.
    pub digest: Digest,
    /// When it was given, in seconds since 1970.
    #[serde(with = "wire::integer")]
    pub iat: u64,
    /// Until when it holds, exclusive, in seconds since 1970.
    #[serde(with = "wire::integer")]
    pub exp: u64,
}

impl Claims {
    /// An approval of one statement from `now`, for so many seconds.
    #[must_use]
    pub fn new(officer: Name, origin: Origin, epoch: Epoch, digest: Digest, now: Timestamp, seconds: u64) -> Self {
        let (iat, exp) = (now.unix(), now.plus(seconds).unix());
        Self { aud: APPROVAL_AUDIENCE.to_string(), sub: officer, origin, epoch, digest, iat, exp }
    }
}

/// Why an approval does not count.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// Not a compact JWS of at most 4 KiB.
    #[error("an approval is a compact JWS of at most {APPROVAL_BYTES_MAX} bytes")]
    Form,
    /// A header or claims that are not the documented JSON.
    #[error("{part}: {source}")]
    Json {
        /// Which part.
        part: &'static str,
        /// What is wrong.
        source: JsonError,
    },
    /// Another `typ`, algorithm or audience: a token of another purpose.
    #[error("{field} is {found:?}, an approval has {expected:?}")]
    Purpose {
        /// Which field.
        field: &'static str,
        /// What an approval has.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// The subject is no officer, or the key is not the officer's.
    #[error("{subject} with key {key_id} is not an officer")]
    NotAnOfficer {
        /// Who it says to be.
        subject: Name,
        /// The key it names.
        key_id: KeyId,
    },
    /// The signature does not verify.
    #[error("the approval of {subject}: {source}")]
    Signature {
        /// Who it says to be.
        subject: Name,
        /// What is wrong.
        source: SignatureError,
    },
    /// It approves another log, epoch or digest.
    #[error("the approval of {subject} is for another {what}")]
    OtherStatement {
        /// The officer.
        subject: Name,
        /// `log`, `epoch` or `digest`.
        what: &'static str,
    },
    /// Lives longer than seven days, or ends before it begins.
    #[error("the approval of {subject} must live more than 0 and at most {APPROVAL_LIFETIME_SECONDS_MAX} seconds")]
    Lifetime {
        /// The officer.
        subject: Name,
    },
    /// Not yet valid or no longer valid at the time it is judged at.
    #[error("the approval of {subject} does not hold at {at}")]
    NotInForce {
        /// The officer.
        subject: Name,
        /// The time it was judged at.
        at: Timestamp,
    },
    /// Fewer officers than needed.
    #[error("{found} officers approved, {needed} needed")]
    TooFew {
        /// Distinct officers with a valid approval.
        found: u64,
        /// How many are needed.
        needed: u64,
    },
    /// One officer twice.
    #[error("{subject} approved twice; the quorum counts people")]
    Twice {
        /// The officer.
        subject: Name,
    },
}

/// The statement that an approval must be for.
#[derive(Clone, Copy, Debug)]
pub struct Approved<'a> {
    /// The log.
    pub origin: &'a Origin,
    /// The statement's epoch.
    pub epoch: Epoch,
    /// SHA-256 of the statement.
    pub digest: Digest,
}

/// What the officer signs: header and claims, base64url, joined by a dot (RFC 7515 §5.1).
#[must_use]
pub fn signing_input(claims: &Claims, officer_key: &PublicKey) -> String {
    let header = Header { alg: "EdDSA".to_string(), typ: APPROVAL_TYPE.to_string(), kid: officer_key.key_id() };
    let encode = |json: Vec<u8>| URL_SAFE_NO_PAD.encode(json);
    format!("{}.{}", encode(json::write(&header)), encode(json::write(claims)))
}

/// The approval: the signing input and the officer's 64-byte signature over it.
#[must_use]
pub fn assemble(signing_input: &str, signature: &[u8]) -> String {
    format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Verifies one approval of one statement, at a time.
pub fn verify(
    approval: &str,
    officers: &[Officer],
    approved: Approved<'_>,
    at: Timestamp,
) -> Result<Name, ApprovalError> {
    let (signed, header, claims, signature) = parse(approval)?;
    for (field, expected, found) in
        [("typ", APPROVAL_TYPE, &header.typ), ("alg", "EdDSA", &header.alg), ("aud", APPROVAL_AUDIENCE, &claims.aud)]
    {
        if found != expected {
            return Err(ApprovalError::Purpose { field, expected, found: found.clone() });
        }
    }
    let subject = claims.sub;
    let officer = officers
        .iter()
        .find(|officer| officer.subject == subject && officer.key.key_id() == header.kid)
        .ok_or_else(|| ApprovalError::NotAnOfficer { subject: subject.clone(), key_id: header.kid })?;
    officer
        .key
        .verify_ed25519(signed.as_bytes(), &signature)
        .map_err(|source| ApprovalError::Signature { subject: subject.clone(), source })?;
    let other = |what| ApprovalError::OtherStatement { subject: subject.clone(), what };
    if claims.origin != *approved.origin {
        return Err(other("log"));
    }
    if claims.epoch != approved.epoch {
        return Err(other("epoch"));
    }
    if claims.digest != approved.digest {
        return Err(other("digest"));
    }
    if claims.exp <= claims.iat || claims.exp - claims.iat > APPROVAL_LIFETIME_SECONDS_MAX {
        return Err(ApprovalError::Lifetime { subject });
    }
    if claims.iat > at.plus(CLOCK_SKEW_SECONDS).unix() || at.unix() >= claims.exp {
        return Err(ApprovalError::NotInForce { subject, at });
    }
    Ok(subject)
}

/// Verifies that at least `needed` distinct officers approved, and that every approval that is given counts.
/// Returns them sorted.
pub fn verify_all(
    approvals: &[String],
    officers: &[Officer],
    needed: u64,
    approved: Approved<'_>,
    at: Timestamp,
) -> Result<Vec<Name>, ApprovalError> {
    let mut subjects: Vec<Name> = Vec::new();
    for approval in approvals {
        let subject = verify(approval, officers, approved, at)?;
        if subjects.contains(&subject) {
            return Err(ApprovalError::Twice { subject });
        }
        subjects.push(subject);
    }
    let found = u64::try_from(subjects.len()).unwrap_or(u64::MAX);
    if found < needed {
        return Err(ApprovalError::TooFew { found, needed });
    }
    subjects.sort();
    Ok(subjects)
}

type Parts<'a> = (&'a str, Header, Claims, Vec<u8>);

fn parse(approval: &str) -> Result<Parts<'_>, ApprovalError> {
    if approval.len() > APPROVAL_BYTES_MAX {
        return Err(ApprovalError::Form);
    }
    let (signed, signature) = approval.rsplit_once('.').ok_or(ApprovalError::Form)?;
    let (header, claims) = signed.split_once('.').ok_or(ApprovalError::Form)?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| ApprovalError::Form);
    let json_error = |part| move |source| ApprovalError::Json { part, source };
    let signature = decode(signature)?;
    let header = json::parse(&decode(header)?, APPROVAL_BYTES_MAX).map_err(json_error("header"))?;
    let claims = json::parse(&decode(claims)?, APPROVAL_BYTES_MAX).map_err(json_error("claims"))?;
    Ok((signed, header, claims, signature))
}

#[cfg(test)]
mod tests;
