//! Whose account token it is: the issuer's signature, checked with `jsonwebtoken`, under the pinned keys.
//!
//! What a token may say, and the proof that whoever sends it holds its key, are `countermark_vault_core`'s.
//!
//! Invariant: header and claims are read once, and the signature is verified over the very bytes that were read; no rule
//! is decided by a header but which rule is broken.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countermark_bundle::identity::{Name, Timestamp};
use countermark_tlog::checkpoint::Origin;
use countermark_vault_core::account_token::{
    AccountClaims, TOKEN_ALGORITHM, TOKEN_TYPE, TokenRefusal, UntrustedToken, VerifiedAccountToken, audience,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::AccountIssuer;

/// Verifies account tokens for one fleet.
pub(crate) struct TokenVerifier {
    audience: String,
    issuers: Vec<(String, DecodingKey)>,
}

/// The JWT header. Every other field is refused, so `crit`, `jwk` and their like never get a chance to matter.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
}

impl TokenVerifier {
    /// Takes tokens for this fleet under the issuers' keys.
    pub(crate) fn new(origin: &Origin, fleet_id: &Name, issuers: &[AccountIssuer]) -> Self {
        // The crate's provider is one for the process and, with other features in the tree, would be undefined until the
        // first use panics. Whoever came first has set it; all there are verify EdDSA.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let key = |issuer: &AccountIssuer| (issuer.issuer.clone(), DecodingKey::from_ed_der(issuer.key.bytes()));
        Self { audience: audience(origin, fleet_id), issuers: issuers.iter().map(key).collect() }
    }

    /// Verifies everything about a token but the proof of possession.
    pub(crate) fn verify(&self, token: &UntrustedToken, now: Timestamp) -> Result<VerifiedAccountToken, TokenRefusal> {
        let (input, signature) = token.as_str().rsplit_once('.').ok_or(TokenRefusal::Form)?;
        let (header, claims) = input.split_once('.').ok_or(TokenRefusal::Form)?;
        let header: Header = read(header)?;
        // SPEC: RFC 8725 §3.1, §3.11: one algorithm and one type, and the header may only agree.
        if header.alg != TOKEN_ALGORITHM || header.typ != TOKEN_TYPE {
            return Err(TokenRefusal::Form);
        }
        let claims: AccountClaims = read(claims)?;
        let mut known = self.issuers.iter().filter(|(issuer, _)| *issuer == claims.iss).peekable();
        if known.peek().is_none() {
            return Err(TokenRefusal::Issuer);
        }
        let signed = |key| jsonwebtoken::crypto::verify(signature, input.as_bytes(), key, Algorithm::EdDSA);
        if !known.any(|(_, key)| signed(key).is_ok_and(|signed| signed)) {
            return Err(TokenRefusal::Signature);
        }
        claims.check(now, &self.audience)
    }
}

fn read<T: DeserializeOwned>(part: &str) -> Result<T, TokenRefusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenRefusal::Form)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenRefusal::Form)
}

#[cfg(test)]
mod tests;
