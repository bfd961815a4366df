//! The account token: what a user's account service says about who opens a session, bound to a key of the client.
//!
//! A JWT (RFC 7519) signed with EdDSA (RFC 8037), with a proof-of-possession key (RFC 7800). It travels only inside of a
//! session; with it goes a signature by the proof key over the session's handshake hash, so that a token that was seen
//! elsewhere opens nothing. What stands here is the form and its rules. Checking the issuer's signature is the node's.
//!
//! Invariant: [`VerifiedAccountToken`] comes only from claims that obeyed every rule, and [`check_proof`] only passes for
//! this session, this member and this token.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, str};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::fmt;
use countermark_bundle::identity::{Digest, Name, Timestamp};
use countermark_bundle::key::PublicKey;
use countermark_tlog::checkpoint::Origin;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::account::AccountId;
use crate::noise::SessionContext;
use crate::to_sign;

/// The JWT header's `typ`: no token of another purpose has it.
pub const TOKEN_TYPE: &str = "countermark-account+jwt";
/// The JWT header's `alg`.
pub const TOKEN_ALGORITHM: &str = "EdDSA";
/// The most bytes of a token.
pub const TOKEN_BYTES_MAX: usize = 1024;
/// The longest that a token may live: a day.
pub const TOKEN_LIFETIME_SECONDS_MAX: u64 = 86_400;
/// The most bytes of `iss`, `sub` and `jti`.
pub const CLAIM_BYTES_MAX: usize = 128;
/// How far the issuer's clock may run ahead of the member's.
pub const CLOCK_SKEW_SECONDS: u64 = 300;

/// Why a token does not open a session. It tells the client which rule was broken and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TokenRefusal {
    /// No compact JWT of at most [`TOKEN_BYTES_MAX`] bytes, or other claims than an account token's.
    #[error("not an account token of at most {TOKEN_BYTES_MAX} bytes")]
    Form,
    /// Issued by nobody that this fleet believes.
    #[error("the issuer is unknown")]
    Issuer,
    /// Not signed by the issuer it names.
    #[error("the issuer's signature does not verify")]
    Signature,
    /// Issued for another fleet.
    #[error("the token is for another audience")]
    Audience,
    /// `iss`, `sub` or `jti` is not 1 to [`CLAIM_BYTES_MAX`] printable ASCII characters.
    #[error("a name in the token is not 1 to {CLAIM_BYTES_MAX} printable ASCII characters")]
    Names,
    /// Ends before it begins, or lives longer than [`TOKEN_LIFETIME_SECONDS_MAX`].
    #[error("the token must live more than 0 and at most {TOKEN_LIFETIME_SECONDS_MAX} seconds")]
    Lifetime,
    /// Issued in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// No longer valid.
    #[error("the token has expired")]
    Expired,
    /// The proof key is no usable Ed25519 key.
    #[error("the token names no usable proof key")]
    ProofKey,
    /// The proof key did not sign this session and this token.
    #[error("the proof of possession does not verify")]
    Proof,
}

/// An account token as it was sent: nothing about it is checked but its size and alphabet.
pub struct UntrustedToken(Zeroizing<String>);

impl UntrustedToken {
    /// Takes a compact JWS of at most [`TOKEN_BYTES_MAX`] bytes: three parts of base64url.
    pub fn parse(bytes: &[u8]) -> Result<Self, TokenRefusal> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let parts = bytes.split(|byte| *byte == b'.');
        if bytes.len() > TOKEN_BYTES_MAX || !bytes.iter().all(plain) || parts.clone().count() != 3 {
            return Err(TokenRefusal::Form);
        }
        if parts.into_iter().any(<[u8]>::is_empty) {
            return Err(TokenRefusal::Form);
        }
        let text = str::from_utf8(bytes).map_err(|_| TokenRefusal::Form)?;
        Ok(Self(Zeroizing::new(text.to_string())))
    }

    /// The token itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the token, as the proof of possession names it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for UntrustedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UntrustedToken(…)")
    }
}

/// The claims of an account token, as they stand in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountClaims {
    /// Who issued it: 1 to [`CLAIM_BYTES_MAX`] printable ASCII characters.
    pub iss: String,
    /// Whom it is about: 1 to [`CLAIM_BYTES_MAX`] printable ASCII characters.
    pub sub: String,
    /// For which fleet: [`audience`].
    pub aud: String,
    /// When it was issued, in seconds since 1970.
    pub iat: u64,
    /// Until when it holds, exclusive, in seconds since 1970.
    pub exp: u64,
    /// Its name: 1 to [`CLAIM_BYTES_MAX`] printable ASCII characters.
    pub jti: String,
    /// The key of the client that it was issued to.
    pub cnf: Confirmation,
}

/// The claim `cnf` (RFC 7800 §3.2).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The key.
    pub jwk: Jwk,
}

/// An Ed25519 public key as a JWK (RFC 8037 §2).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// The 32 bytes in base64url, without padding.
    pub x: String,
}

impl Jwk {
    /// The JWK of an Ed25519 key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        Self { kty: "OKP".to_string(), crv: "Ed25519".to_string(), x: URL_SAFE_NO_PAD.encode(key.bytes()) }
    }

    fn key(&self) -> Option<PublicKey> {
        if self.kty != "OKP" || self.crv != "Ed25519" {
            return None;
        }
        PublicKey::ed25519(&URL_SAFE_NO_PAD.decode(&self.x).ok()?).ok()
    }
}

impl fmt::Debug for AccountClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Who came is nobody's business who reads a log.
        f.write_str("AccountClaims(…)")
    }
}

impl fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confirmation(…)")
    }
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jwk(…)")
    }
}

/// An account token that its issuer signed and that obeys every rule. What is left to check is the proof of possession.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedAccountToken {
    account: AccountId,
    proof_key: PublicKey,
}

impl fmt::Debug for VerifiedAccountToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedAccountToken(…)")
    }
}

impl VerifiedAccountToken {
    /// Whose token it is.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The key that must have signed the session: Ed25519.
    #[must_use]
    pub const fn proof_key(&self) -> &PublicKey {
        &self.proof_key
    }
}

impl AccountClaims {
    /// The rules that the claims themselves must obey at `now`. Call it only with claims whose JWT the issuer named in
    /// `iss` signed, with [`TOKEN_TYPE`] and [`TOKEN_ALGORITHM`]: nothing here looks at a signature.
    pub fn check(&self, now: Timestamp, audience: &str) -> Result<VerifiedAccountToken, TokenRefusal> {
        if self.aud != audience {
            return Err(TokenRefusal::Audience);
        }
        // A line break would let two accounts share one identifier's preimage; the rest is for logs and screens.
        if ![&self.iss, &self.sub, &self.jti].into_iter().all(|name| is_printable(name)) {
            return Err(TokenRefusal::Names);
        }
        let lifetime = self.exp.checked_sub(self.iat).ok_or(TokenRefusal::Lifetime)?;
        if lifetime == 0 || lifetime > TOKEN_LIFETIME_SECONDS_MAX {
            return Err(TokenRefusal::Lifetime);
        }
        if self.iat > now.plus(CLOCK_SKEW_SECONDS).unix() {
            return Err(TokenRefusal::NotYetValid);
        }
        if self.exp <= now.unix() {
            return Err(TokenRefusal::Expired);
        }
        let proof_key = self.cnf.jwk.key().ok_or(TokenRefusal::ProofKey)?;
        Ok(VerifiedAccountToken { account: AccountId::of(&self.iss, &self.sub), proof_key })
    }
}

fn is_printable(name: &str) -> bool {
    (1..=CLAIM_BYTES_MAX).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}

/// The claim `aud` of tokens for a fleet: `<origin> <fleet>`.
#[must_use]
pub fn audience(origin: &Origin, fleet_id: &Name) -> String {
    format!("{origin} {fleet_id}")
}

#[derive(Serialize)]
struct Header {
    alg: &'static str,
    typ: &'static str,
}

/// What an issuer signs (RFC 7515 §5.1): header and claims in base64url, with a dot between.
///
/// # Panics
/// Never: the claims serialise.
#[must_use]
pub fn signing_input(claims: &AccountClaims) -> String {
    let header = serde_json::to_vec(&Header { alg: TOKEN_ALGORITHM, typ: TOKEN_TYPE }).expect("a header serialises");
    let claims = serde_json::to_vec(claims).expect("claims have string keys only, so they serialise");
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

/// The token of a signing input and its Ed25519 signature of 64 bytes.
#[must_use]
pub fn assemble(signing_input: &str, signature: &[u8]) -> String {
    format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// What the proof key signs: this session, this member and this token.
#[must_use]
pub fn proof_message(context: &SessionContext, handshake_hash: &[u8; 32], token: &UntrustedToken) -> Vec<u8> {
    to_sign::account_proof(context, handshake_hash, &token.digest().0)
}

/// Checks the proof of possession: 64 bytes, made over [`proof_message`] by the key that the token names.
pub fn check_proof(token: &VerifiedAccountToken, message: &[u8], proof: &[u8]) -> Result<(), TokenRefusal> {
    token.proof_key.verify_ed25519(message, proof).map_err(|_| TokenRefusal::Proof)
}

#[cfg(test)]
mod tests;
