//! Submitters' access tokens: compact JWS (RFC 7515) with EdDSA (RFC 8037) or ES384 (RFC 7518), `typ` "at+jwt" (RFC 9068).
//!
//! A token says who may submit what to which namespaces, for at most 24 hours. It approves nothing: an officer's approval
//! has another `typ`, another audience and other keys, and is refused here by name.
//!
//! Claims: `iss`, `sub`, `aud`, `iat`, `exp`, `namespaces` (sorted list), `scope` (words with one space between), and
//! optionally `nbf` and `jti`. Every other claim is refused: one that restricts a token (such as `cnf`) must not be
//! ignored by somebody who does not know it.
//!
//! Invariant: the key that `kid` names says which algorithm verifies a token; its header may only agree. Nothing may hang on
//! a token's text being the only one of its claims: of an ECDSA signature (r, s) anybody can make (r, −s), which verifies too.

mod key_set;
mod verify;

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countermark_bundle::identity::{Name, Namespace, Timestamp};
use countermark_bundle::key::{KeyAlgorithm, KeyId, PublicKey};
use countermark_keys::{Algorithm, Role, SignError, Signer};
use serde::{Deserialize, Serialize};

pub use key_set::{KEY_SET_BYTES_MAX, KeySet, KeySetError, TokenKey};
pub use verify::{AccessClaims, TokenError, UntrustedToken, VerifiedToken};

/// The JWS header's `typ`.
pub const TOKEN_TYPE: &str = "at+jwt";
/// The longest life of a token: 24 hours.
pub const TOKEN_LIFETIME_SECONDS_MAX: u64 = 86_400;
/// The most bytes of a token: 8 KiB.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// How far the issuer's clock may run ahead of ours.
pub const CLOCK_SKEW_SECONDS: u64 = 60;

/// The name of an issuer or of an audience is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an issuer or audience is 1 to 255 printable ASCII characters without a space")]
pub struct PartyError;

macro_rules! party {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes 1 to 255 printable ASCII characters without a space, usually a URL.
            pub fn new(text: &str) -> Result<Self, PartyError> {
                let plain = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
                if plain { Ok(Self(text.to_owned())) } else { Err(PartyError) }
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = PartyError;

            fn try_from(text: String) -> Result<Self, PartyError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(party: $name) -> Self {
                party.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

party!(
    /// Who made a token.
    Issuer
);
party!(
    /// The service that a token is for.
    Audience
);

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Submitting statements.
    Statements,
    /// Submitting finished entries: activations, revocations, evidence, changes.
    Entries,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 2] = [Self::Statements, Self::Entries];

    /// The word in the claim `scope`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Statements => "statements",
            Self::Entries => "entries",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// What a token is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who makes it.
    pub issuer: Issuer,
    /// Whom it is for.
    pub subject: Name,
    /// The service that shall accept it.
    pub audience: Audience,
    /// From when it holds.
    pub issued_at: Timestamp,
    /// Until when it holds, exclusive.
    pub expires_at: Timestamp,
    /// Its number, where the issuer keeps one.
    pub token_id: Option<Name>,
    /// The namespaces it is good for.
    pub namespaces: BTreeSet<Namespace>,
    /// What may be done there.
    pub scopes: BTreeSet<Scope>,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// A key that was made for another purpose.
    #[error("a {found} key does not sign access tokens")]
    WrongRole {
        /// What the key is for.
        found: Role,
    },
    /// Longer than a token may live, or not at all.
    #[error("a token lives more than 0 and at most {TOKEN_LIFETIME_SECONDS_MAX} seconds, not {found}")]
    Lifetime {
        /// The seconds asked for; 0 also for a negative time.
        found: u64,
    },
    /// A token that allows nothing.
    #[error("a token names at least one namespace and one scope")]
    AllowsNothing,
    /// So many namespaces that nobody would accept it.
    #[error("a token has at most {TOKEN_BYTES_MAX} bytes")]
    TooLarge,
    /// The holder of the key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: KeyId,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireClaims {
    iss: Issuer,
    sub: Name,
    aud: Audience,
    iat: u64,
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jti: Option<Name>,
    namespaces: Vec<Namespace>,
    scope: String,
}

/// Makes a token with the key of a token issuer.
pub fn mint(signer: &dyn Signer, claims: &Claims) -> Result<String, MintError> {
    let key = key_of(signer)?;
    let found = claims.expires_at.seconds_since(claims.issued_at);
    if found == 0 || found > TOKEN_LIFETIME_SECONDS_MAX {
        return Err(MintError::Lifetime { found });
    }
    if claims.namespaces.is_empty() || claims.scopes.is_empty() {
        return Err(MintError::AllowsNothing);
    }
    let words: Vec<_> = claims.scopes.iter().map(|scope| scope.as_str()).collect();
    let wire = WireClaims {
        iss: claims.issuer.clone(),
        sub: claims.subject.clone(),
        aud: claims.audience.clone(),
        iat: claims.issued_at.unix(),
        exp: claims.expires_at.unix(),
        nbf: None,
        jti: claims.token_id.clone(),
        namespaces: claims.namespaces.iter().cloned().collect(),
        scope: words.join(" "),
    };
    let header = Header { alg: alg(key.algorithm()).to_owned(), typ: TOKEN_TYPE.to_owned(), kid: key.key_id() };
    let input = format!("{}.{}", encode(&header), encode(&wire));
    let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signer.sign(input.as_bytes())?));
    if token.len() > TOKEN_BYTES_MAX { Err(MintError::TooLarge) } else { Ok(token) }
}

fn key_of(signer: &dyn Signer) -> Result<PublicKey, MintError> {
    let found = signer.role();
    if !Role::TOKEN_ISSUERS.contains(&found) {
        return Err(MintError::WrongRole { found });
    }
    let algorithm = match signer.algorithm() {
        Algorithm::EcdsaP384 => KeyAlgorithm::EcdsaP384,
        Algorithm::Ed25519 | Algorithm::MlDsa44 | Algorithm::X25519 | Algorithm::XChaCha20Poly1305 => {
            KeyAlgorithm::Ed25519
        }
    };
    Ok(PublicKey::new(algorithm, signer.public_key()).expect("a signer's public key is one of its algorithm"))
}

/// The `alg` of tokens under keys of this algorithm. A key set holds no key that signs nothing.
const fn alg(algorithm: KeyAlgorithm) -> &'static str {
    match algorithm {
        KeyAlgorithm::Ed25519 => "EdDSA",
        KeyAlgorithm::EcdsaP384 => "ES384",
        KeyAlgorithm::X25519 | KeyAlgorithm::MlDsa44 => "none of ours",
    }
}

fn encode(part: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).expect("strings, integers and lists of them serialise"))
}

#[cfg(test)]
mod tests;
