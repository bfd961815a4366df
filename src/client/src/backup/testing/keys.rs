//! Keys of members, issuers and users, from small numbers.

use std::sync::Arc;

use countermark_bundle::key::{KeyAlgorithm, PublicKey};
use countermark_bundle::testing::ed25519_signer;
use countermark_vault_core::account_token::{AccountClaims, Confirmation, Jwk, assemble, audience, signing_input};
use countermark_vault_core::device::{DeviceFault, IdentityKey, SessionKey};
use zeroize::Zeroizing;

use crate::backup::{Account, AccountProof, ProofFault};

pub(in crate::backup) const ISSUER: u8 = 220;
pub(in crate::backup) const PROOF: u8 = 221;

pub(in crate::backup) struct SeedIdentity(pub u8);

impl IdentityKey for SeedIdentity {
    fn public_key(&self) -> [u8; 32] {
        ed25519_signer(self.0).public().bytes().try_into().unwrap()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], DeviceFault> {
        Ok(ed25519_signer(self.0).sign(message).try_into().unwrap())
    }
}

pub(in crate::backup) struct SeedSession(x25519_dalek::StaticSecret);

impl SeedSession {
    pub fn new(seed: u8) -> Self {
        Self(x25519_dalek::StaticSecret::from([seed; 32]))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey::new(KeyAlgorithm::X25519, &self.public_key()).unwrap()
    }
}

impl SessionKey for SeedSession {
    fn public_key(&self) -> [u8; 32] {
        x25519_dalek::PublicKey::from(&self.0).to_bytes()
    }

    fn diffie_hellman(&self, peer: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, DeviceFault> {
        let shared = self.0.diffie_hellman(&x25519_dalek::PublicKey::from(*peer));
        if !shared.was_contributory() {
            return Err(DeviceFault { part: "the session key" });
        }
        Ok(Zeroizing::new(shared.to_bytes()))
    }
}

/// A proof key from a seed; one that refuses to sign is broken.
pub(in crate::backup) struct SeedProof {
    pub seed: u8,
    pub broken: bool,
}

impl AccountProof for SeedProof {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], ProofFault> {
        if self.broken { Err(ProofFault) } else { Ok(ed25519_signer(self.seed).sign(message).try_into().unwrap()) }
    }
}

pub(in crate::backup) fn claims(subject: &str) -> AccountClaims {
    use countermark_bundle::testing::{NOW, name, origin};
    AccountClaims {
        iss: "accounts.example".to_string(),
        sub: subject.to_string(),
        aud: audience(&origin(), &name("fleet-1")),
        iat: NOW - 10,
        exp: NOW + 3600,
        jti: "1".to_string(),
        cnf: Confirmation { jwk: Jwk::of(ed25519_signer(PROOF).public()) },
    }
}

pub(in crate::backup) fn token(claims: &AccountClaims, issuer: u8) -> String {
    let input = signing_input(claims);
    assemble(&input, &ed25519_signer(issuer).sign(input.as_bytes()))
}

/// A user of the fleet, as its app knows it.
pub(in crate::backup) fn account(subject: &str) -> Account {
    account_with(&token(&claims(subject), ISSUER), PROOF)
}

pub(in crate::backup) fn account_with(token: &str, proof: u8) -> Account {
    Account::new(token, Arc::new(SeedProof { seed: proof, broken: false })).unwrap()
}
