//! Accepting a token: once for what never changes of it, its signature and parties, and each time for the clock.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countermark_bundle::approval::{APPROVAL_AUDIENCE, APPROVAL_TYPE};
use countermark_bundle::identity::{Name, Namespace, Timestamp};
use countermark_bundle::json::INTEGER_MAX;
use countermark_bundle::key::{KeyAlgorithm, KeyId, PublicKey};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};

use super::{
    Audience, CLOCK_SKEW_SECONDS, Header, Issuer, KeySet, Scope, TOKEN_BYTES_MAX, TOKEN_LIFETIME_SECONDS_MAX,
    TOKEN_TYPE, TokenKey, WireClaims, alg,
};

/// What an accepted token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// Who made the token.
    pub issuer: Issuer,
    /// Whom it was made for.
    pub subject: Name,
    /// The namespaces it is good for.
    pub namespaces: BTreeSet<Namespace>,
    /// What may be done there.
    pub scopes: BTreeSet<Scope>,
}

impl AccessClaims {
    /// Whether this may be done there.
    #[must_use]
    pub fn allow(&self, namespace: &Namespace, scope: Scope) -> bool {
        self.namespaces.contains(namespace) && self.scopes.contains(&scope)
    }
}

/// Why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Larger than allowed, or not a compact JWS of the documented header and claims.
    #[error("not an access token: the {part} is malformed")]
    Malformed {
        /// `token`, `header` or `claims`.
        part: &'static str,
    },
    /// An officer's approval.
    #[error("an approval is not an access token")]
    IsAnApproval,
    /// Another kind of token.
    #[error("the token's typ is {found:?}, expected {TOKEN_TYPE:?}")]
    WrongType {
        /// What was found.
        found: String,
    },
    /// A key that is not in the key set.
    #[error("no token is accepted under key {key_id}")]
    UnknownKey {
        /// The key it names.
        key_id: KeyId,
    },
    /// Another algorithm than the key's, `none` among them.
    #[error("the token's alg is {found:?}, the key's is {expected:?}")]
    WrongAlgorithm {
        /// The key's.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// The signature does not verify.
    #[error("the token's signature does not verify")]
    BadSignature,
    /// The key is another issuer's.
    #[error("the token names the issuer {found}, its key is {expected}'s")]
    WrongIssuer {
        /// Whose key it is.
        expected: Issuer,
        /// Whom it names.
        found: Issuer,
    },
    /// For another service.
    #[error("the token is for {found}, this is {expected}")]
    WrongAudience {
        /// This service.
        expected: Audience,
        /// The one it names.
        found: Audience,
    },
    /// Longer than a token may live.
    #[error("the token lives {found} seconds, at most {TOKEN_LIFETIME_SECONDS_MAX} are accepted")]
    LifetimeTooLong {
        /// Seconds from `iat` to `exp`.
        found: u64,
    },
    /// From the future.
    #[error("the token holds from second {from}, now is {now}")]
    NotYetValid {
        /// From when it holds, in seconds since 1970.
        from: u64,
        /// The time it was judged at.
        now: Timestamp,
    },
    /// Too old.
    #[error("the token held until second {until}, now is {now}")]
    Expired {
        /// Until when it held, exclusive, in seconds since 1970.
        until: u64,
        /// The time it was judged at.
        now: Timestamp,
    },
}

/// A token whose signature and parties were verified under a key set. It says nothing yet about the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    claims: Arc<AccessClaims>,
    from: u64,
    until: u64,
}

impl VerifiedToken {
    /// What the token says, if it holds now.
    pub fn at(&self, now: Timestamp) -> Result<&Arc<AccessClaims>, TokenError> {
        if self.from > now.plus(CLOCK_SKEW_SECONDS).unix() {
            return Err(TokenError::NotYetValid { from: self.from, now });
        }
        if self.has_expired(now) {
            return Err(TokenError::Expired { until: self.until, now });
        }
        Ok(&self.claims)
    }

    /// Whether it will never hold again.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.until <= now.unix()
    }
}

impl KeySet {
    /// Accepts a token that is meant for `audience`, or says why not.
    pub fn verify(&self, token: &str, audience: &Audience, now: Timestamp) -> Result<AccessClaims, TokenError> {
        self.find_key(token)?.verify(audience)?.at(now).map(|claims| claims.as_ref().clone())
    }

    /// Reads the header of a token and finds its key: all that costs no signature's verification.
    pub fn find_key<'a>(&'a self, token: &'a str) -> Result<UntrustedToken<'a>, TokenError> {
        let header = read_header(token)?;
        match header.typ.as_str() {
            TOKEN_TYPE => {}
            APPROVAL_TYPE => return Err(TokenError::IsAnApproval),
            found => return Err(TokenError::WrongType { found: found.to_owned() }),
        }
        let key = self.find(header.kid).ok_or(TokenError::UnknownKey { key_id: header.kid })?;
        // SPEC: RFC 8725 §3.1: the key says which algorithm, the header may only agree.
        let expected = alg(key.key.algorithm());
        if header.alg != expected {
            return Err(TokenError::WrongAlgorithm { expected, found: header.alg });
        }
        Ok(UntrustedToken { token, key })
    }
}

/// A token that names a key of a key set and that key's algorithm. Nothing else of it is verified.
#[derive(Debug)]
pub struct UntrustedToken<'a> {
    token: &'a str,
    key: &'a TokenKey,
}

impl UntrustedToken<'_> {
    /// Verifies everything that does not depend on the time: it is as true a second later.
    pub fn verify(&self, audience: &Audience) -> Result<VerifiedToken, TokenError> {
        let Self { token, key } = self;
        let claims = verify_signature(token, &key.key)?;
        if claims.aud.as_str() == APPROVAL_AUDIENCE {
            return Err(TokenError::IsAnApproval);
        }
        if claims.iss != key.issuer {
            return Err(TokenError::WrongIssuer { expected: key.issuer.clone(), found: claims.iss });
        }
        if claims.aud != *audience {
            return Err(TokenError::WrongAudience { expected: audience.clone(), found: claims.aud });
        }
        let from = first_second(&claims)?;
        let until = claims.exp;
        Ok(VerifiedToken { claims: Arc::new(read_claims(claims)?), from, until })
    }
}

fn malformed(part: &'static str) -> TokenError {
    TokenError::Malformed { part }
}

fn read_header(token: &str) -> Result<Header, TokenError> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, _, _] = parts.as_slice() else {
        return Err(malformed("token"));
    };
    if token.len() > TOKEN_BYTES_MAX {
        return Err(malformed("token"));
    }
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed("header"))?;
    // Unknown fields are refused, so `crit`, `jwk` and their like never get a chance to matter.
    serde_json::from_slice(&header).map_err(|_| malformed("header"))
}

/// Verifies with the `jsonwebtoken` crate, under the one algorithm of the key. Its own checks of time, issuer and audience
/// are switched off: they read the machine's clock, and theirs would be a second opinion that nobody asked for.
fn verify_signature(token: &str, key: &PublicKey) -> Result<WireClaims, TokenError> {
    // The crate's provider is one for the process and, with other features in the tree, would be undefined until the
    // first use panics. Whoever came first has set it; all there are verify EdDSA and ES384.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let (algorithm, key) = match key.algorithm() {
        KeyAlgorithm::Ed25519 => (Algorithm::EdDSA, DecodingKey::from_ed_der(key.bytes())),
        // The uncompressed point, whatever the name says. SPEC: RFC 7518 §3.4: the signature is r‖s, 96 bytes.
        KeyAlgorithm::EcdsaP384 => (Algorithm::ES384, DecodingKey::from_ec_der(key.bytes())),
        KeyAlgorithm::X25519 | KeyAlgorithm::MlDsa44 => return Err(TokenError::BadSignature),
    };
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    let verified = jsonwebtoken::decode::<WireClaims>(token, &key, &validation);
    verified.map(|verified| verified.claims).map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature => TokenError::BadSignature,
        ErrorKind::Base64(_) => malformed("token"),
        // Everything else that is left happens after the signature was verified.
        _ => malformed("claims"),
    })
}

/// From when a token holds, if its times make sense.
fn first_second(claims: &WireClaims) -> Result<u64, TokenError> {
    let from = claims.nbf.map_or(claims.iat, |nbf| nbf.max(claims.iat));
    if claims.iat > INTEGER_MAX || claims.exp > INTEGER_MAX || from > INTEGER_MAX || claims.exp <= claims.iat {
        return Err(malformed("claims"));
    }
    let found = claims.exp - claims.iat;
    if found > TOKEN_LIFETIME_SECONDS_MAX { Err(TokenError::LifetimeTooLong { found }) } else { Ok(from) }
}

fn read_claims(claims: WireClaims) -> Result<AccessClaims, TokenError> {
    let rises = claims.namespaces.windows(2).all(|pair| match pair {
        [one, next] => one < next,
        _ => true,
    });
    let scopes: Option<BTreeSet<Scope>> = claims.scope.split(' ').map(Scope::parse).collect();
    let scopes = scopes.filter(|_| rises && !claims.namespaces.is_empty()).ok_or_else(|| malformed("claims"))?;
    Ok(AccessClaims {
        issuer: claims.iss,
        subject: claims.sub,
        namespaces: claims.namespaces.into_iter().collect(),
        scopes,
    })
}
