//! What a key is for, and the algorithm that follows from it.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The algorithm a key is used with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// Ed25519 signatures, RFC 8032.
    Ed25519,
    /// ECDSA over P-384 with SHA-384, FIPS 186-5.
    EcdsaP384,
    /// ML-DSA-44 signatures with the empty context string, FIPS 204.
    MlDsa44,
    /// X25519 key agreement, RFC 7748; it cannot sign.
    X25519,
    /// XChaCha20-Poly1305 sealing (draft-irtf-cfrg-xchacha-03), with one secret key; it cannot sign and has no public key.
    XChaCha20Poly1305,
}

impl Algorithm {
    /// Every algorithm, in the order of the enum.
    pub const ALL: [Self; 5] = [Self::Ed25519, Self::EcdsaP384, Self::MlDsa44, Self::X25519, Self::XChaCha20Poly1305];

    /// The algorithm's name in files: `ed25519`, `ecdsa-p384`, `ml-dsa-44`, `x25519` or `xchacha20-poly1305`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::MlDsa44 => "ml-dsa-44",
            Self::X25519 => "x25519",
            Self::XChaCha20Poly1305 => "xchacha20-poly1305",
        }
    }

    /// The length in bytes of a public key, or of what stands in its place: 32, 97 for the
    /// uncompressed P-384 point, or 1,312 for ML-DSA-44.
    #[must_use]
    pub const fn public_key_bytes(self) -> usize {
        match self {
            Self::Ed25519 | Self::X25519 | Self::XChaCha20Poly1305 => 32,
            Self::EcdsaP384 => 97,
            Self::MlDsa44 => 1312,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name given is not that of an [`Algorithm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("unknown algorithm; known are ed25519, ecdsa-p384, ml-dsa-44, x25519 and xchacha20-poly1305")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name).ok_or(UnknownAlgorithm)
    }
}

/// The one purpose of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Signs the checkpoints of a log.
    Log,
    /// Signs the checkpoints of a log beside [`Role::Log`], against adversaries with a quantum computer.
    LogMlDsa44,
    /// Signs the authority's certificates over statements.
    Certificate,
    /// Signs the authority's changes of policy and of keys.
    Administration,
    /// Signs revocations, of the authority or of the operator.
    Revocation,
    /// Cosigns checkpoints as a witness.
    Witness,
    /// Cosigns checkpoints as a witness beside [`Role::Witness`], against adversaries with a quantum computer.
    WitnessMlDsa44,
    /// Countersigns certified statements for the operator.
    Operator,
    /// Signs approvals of an officer.
    Officer,
    /// Signs the access tokens of submitters.
    TokenIssuer,
    /// Signs the access tokens of submitters, for an issuer that has to use P-384.
    TokenIssuerP384,
    /// Identifies a member of a vault.
    VaultIdentity,
    /// Agrees on session keys with the clients of a vault member.
    VaultSession,
    /// Seals what a vault member keeps on its disk.
    VaultSealing,
    /// Signs attestations as a device vendor.
    Vendor,
    /// Signs the account tokens of a vault's users.
    AccountIssuer,
    /// A client's key that its account token is bound to: signs the proof that the token is its own.
    AccountProof,
}

impl Role {
    /// Every role, in the order of the enum.
    pub const ALL: [Self; 17] = [
        Self::Log,
        Self::LogMlDsa44,
        Self::Certificate,
        Self::Administration,
        Self::Revocation,
        Self::Witness,
        Self::WitnessMlDsa44,
        Self::Operator,
        Self::Officer,
        Self::TokenIssuer,
        Self::TokenIssuerP384,
        Self::VaultIdentity,
        Self::VaultSession,
        Self::VaultSealing,
        Self::Vendor,
        Self::AccountIssuer,
        Self::AccountProof,
    ];

    /// The roles that sign access tokens.
    pub const TOKEN_ISSUERS: [Self; 2] = [Self::TokenIssuer, Self::TokenIssuerP384];

    /// The role's name in files and on the command line, such as `token-issuer`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::LogMlDsa44 => "log-ml-dsa-44",
            Self::Certificate => "certificate",
            Self::Administration => "administration",
            Self::Revocation => "revocation",
            Self::Witness => "witness",
            Self::WitnessMlDsa44 => "witness-ml-dsa-44",
            Self::Operator => "operator",
            Self::Officer => "officer",
            Self::TokenIssuer => "token-issuer",
            Self::TokenIssuerP384 => "token-issuer-p384",
            Self::VaultIdentity => "vault-identity",
            Self::VaultSession => "vault-session",
            Self::VaultSealing => "vault-sealing",
            Self::Vendor => "vendor",
            Self::AccountIssuer => "account-issuer",
            Self::AccountProof => "account-proof",
        }
    }

    /// The algorithm every key of this role uses.
    #[must_use]
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::Operator | Self::TokenIssuerP384 => Algorithm::EcdsaP384,
            Self::LogMlDsa44 | Self::WitnessMlDsa44 => Algorithm::MlDsa44,
            Self::VaultSession => Algorithm::X25519,
            Self::VaultSealing => Algorithm::XChaCha20Poly1305,
            Self::Log
            | Self::Certificate
            | Self::Administration
            | Self::Revocation
            | Self::Witness
            | Self::Officer
            | Self::TokenIssuer
            | Self::VaultIdentity
            | Self::Vendor
            | Self::AccountIssuer
            | Self::AccountProof => Algorithm::Ed25519,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name given is not that of a [`Role`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("unknown role of a key")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == name).ok_or(UnknownRole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_as_what_it_names() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
        }
    }

    #[test]
    fn a_name_in_another_spelling_is_refused() {
        for name in ["", "Log", "log ", "token_issuer", "tokenissuer"] {
            assert_eq!(name.parse::<Role>(), Err(UnknownRole), "{name:?}");
        }
        for name in ["", "Ed25519", "p384", "x25519 ", "xchacha20poly1305"] {
            assert_eq!(name.parse::<Algorithm>(), Err(UnknownAlgorithm), "{name:?}");
        }
    }

    #[test]
    fn the_algorithm_follows_from_the_role() {
        for role in Role::ALL {
            let expect = match role.as_str() {
                "operator" | "token-issuer-p384" => Algorithm::EcdsaP384,
                "log-ml-dsa-44" | "witness-ml-dsa-44" => Algorithm::MlDsa44,
                "vault-session" => Algorithm::X25519,
                "vault-sealing" => Algorithm::XChaCha20Poly1305,
                _ => Algorithm::Ed25519,
            };
            assert_eq!(role.algorithm(), expect, "{role}");
        }
    }
}
