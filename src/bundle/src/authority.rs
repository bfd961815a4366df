//! Whose signatures count: the keys of both organisations, the witness policy, and the rule by which they change.
//!
//! A change is valid only if every new key was committed to earlier, both organisations' administration keys sign it,
//! and the entry is included under the quorum in force before it (the last is checked where proofs are at hand: in
//! [`crate::verify`] and by the log).

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::note::{SignatureType, VerifierKey};
use countermark_tlog::policy::{Policy, PolicyLog};
use serde::{Deserialize, Serialize};

use crate::entry::AuthorityChange;
use crate::identity::{Digest, Side};
use crate::key::{self, KeyAlgorithm, KeyId, PublicKey, PublicKeyError, SignatureError};
use crate::{to_sign, wire};

/// The most keys of one role.
pub const KEYS_PER_ROLE_MAX: usize = 8;
/// The most bytes of the witness policy inside our documents: 24 KiB.
pub const POLICY_BYTES_MAX: usize = 24 * 1024;

/// Every key that a client believes in, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityKeys {
    /// The tlog-policy text: one log, the witnesses, the quorum.
    pub policy: String,
    /// The authority's certificate keys: Ed25519, sorted.
    pub certificate: Vec<PublicKey>,
    /// The operator's countersigning keys.
    pub operator: OperatorKeys,
    /// Ed25519 keys that sign policy changes, evidence, and changes of authority.
    pub administration: SidedKeys,
    /// Ed25519 keys that sign revocations.
    pub revocation: SidedKeys,
}

/// The operator's countersigning keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorKeys {
    /// ECDSA P-384, sorted.
    pub keys: Vec<PublicKey>,
    /// How many of them must countersign.
    #[serde(with = "wire::integer")]
    pub threshold: u64,
}

/// Keys of one purpose, of both organisations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SidedKeys {
    /// The authority's, sorted.
    pub authority: Vec<PublicKey>,
    /// The operator's, sorted.
    pub operator: Vec<PublicKey>,
}

impl SidedKeys {
    /// The keys of one side.
    #[must_use]
    pub fn of(&self, side: Side) -> &[PublicKey] {
        match side {
            Side::Authority => &self.authority,
            Side::Operator => &self.operator,
        }
    }
}

/// What a key is for. One key, one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthorityRole {
    /// Signs tree heads.
    Log,
    /// Signs certificates.
    Certificate,
    /// Countersigns.
    Operator,
    /// The authority's administration.
    AuthorityAdministration,
    /// The operator's administration.
    OperatorAdministration,
    /// The authority's revocations.
    AuthorityRevocation,
    /// The operator's revocations.
    OperatorRevocation,
}

impl AuthorityRole {
    /// The word in strings to sign.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Certificate => "certificate",
            Self::Operator => "operator",
            Self::AuthorityAdministration => "authority-administration",
            Self::OperatorAdministration => "operator-administration",
            Self::AuthorityRevocation => "authority-revocation",
            Self::OperatorRevocation => "operator-revocation",
        }
    }
}

/// A key in its role: what a successor commitment commits to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyTriple {
    /// What it is for.
    pub role: AuthorityRole,
    /// The key; its algorithm is the middle of the triple.
    pub key: PublicKey,
}

/// Why keys cannot be believed in.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityKeysError {
    /// The policy text is too long or not a tlog-policy.
    #[error("the witness policy: {0}")]
    Policy(#[from] countermark_tlog::policy::PolicyParseError),
    /// The policy text is too long.
    #[error("the witness policy has more than {POLICY_BYTES_MAX} bytes")]
    PolicyTooLarge,
    /// Not exactly one log, or one of another name.
    #[error("the witness policy must name the log {origin} alone, with one Ed25519 key and at most one of ML-DSA-44")]
    PolicyLog {
        /// The origin.
        origin: Origin,
    },
    /// A role without a key, with too many, or not sorted.
    #[error("{role} needs 1 to {KEYS_PER_ROLE_MAX} keys, sorted and unique", role = role.as_str())]
    Keys {
        /// The role.
        role: AuthorityRole,
    },
    /// A key of the wrong algorithm.
    #[error("{role} keys must be {expected}", role = role.as_str(), expected = expected.as_str())]
    Algorithm {
        /// The role.
        role: AuthorityRole,
        /// What it must be.
        expected: KeyAlgorithm,
    },
    /// A threshold of 0 or above the number of keys.
    #[error("the operator's threshold must be 1 to the number of its keys")]
    Threshold,
    /// One key in two roles, or both a log's and a witness's.
    #[error("key {key_id} has two purposes; one key, one purpose")]
    TwoPurposes {
        /// The key.
        key_id: KeyId,
    },
}

impl AuthorityKeys {
    /// Checks every rule and reads the policy.
    pub fn check(&self, origin: &Origin) -> Result<Policy, AuthorityKeysError> {
        if self.policy.len() > POLICY_BYTES_MAX {
            return Err(AuthorityKeysError::PolicyTooLarge);
        }
        let policy = Policy::parse(self.policy.as_bytes())?;
        check_logs(policy.logs(), origin)?;
        for (role, keys) in self.roles() {
            if keys.is_empty() || keys.len() > KEYS_PER_ROLE_MAX || !wire::is_sorted_unique(keys) {
                return Err(AuthorityKeysError::Keys { role });
            }
            let expected = match role {
                AuthorityRole::Operator => KeyAlgorithm::EcdsaP384,
                AuthorityRole::Log
                | AuthorityRole::Certificate
                | AuthorityRole::AuthorityAdministration
                | AuthorityRole::OperatorAdministration
                | AuthorityRole::AuthorityRevocation
                | AuthorityRole::OperatorRevocation => KeyAlgorithm::Ed25519,
            };
            if keys.iter().any(|key| key.algorithm() != expected) {
                return Err(AuthorityKeysError::Algorithm { role, expected });
            }
        }
        let count = u64::try_from(self.operator.keys.len()).unwrap_or(u64::MAX);
        if !(1..=count).contains(&self.operator.threshold) {
            return Err(AuthorityKeysError::Threshold);
        }
        self.check_purposes(&policy)?;
        Ok(policy)
    }

    fn check_purposes(&self, policy: &Policy) -> Result<(), AuthorityKeysError> {
        let ours = self.roles().into_iter().flat_map(|(_, keys)| keys).map(|key| key.bytes().to_vec());
        let theirs = policy.logs().iter().map(|log| log.vkey.key_bytes().to_vec());
        let witnesses = policy.witnesses().iter().map(|witness| witness.vkey.key_bytes().to_vec());
        let mut seen = BTreeSet::new();
        for bytes in ours.chain(theirs).chain(witnesses) {
            if !seen.insert(bytes.clone()) {
                let key_id = KeyId(Digest::of(&to_sign::key_id(KeyAlgorithm::Ed25519, &bytes)));
                return Err(AuthorityKeysError::TwoPurposes { key_id });
            }
        }
        Ok(())
    }

    fn roles(&self) -> [(AuthorityRole, &[PublicKey]); 6] {
        [
            (AuthorityRole::Certificate, &self.certificate),
            (AuthorityRole::Operator, &self.operator.keys),
            (AuthorityRole::AuthorityAdministration, &self.administration.authority),
            (AuthorityRole::OperatorAdministration, &self.administration.operator),
            (AuthorityRole::AuthorityRevocation, &self.revocation.authority),
            (AuthorityRole::OperatorRevocation, &self.revocation.operator),
        ]
    }

    /// Every key in its role, the log's among them, sorted by role name, algorithm and key.
    #[must_use]
    pub fn triples(&self) -> Vec<KeyTriple> {
        let log = Policy::parse(self.policy.as_bytes()).ok();
        let log = log.iter().flat_map(Policy::logs).filter_map(|log| log_key(&log.vkey).ok());
        let log = log.map(|key| KeyTriple { role: AuthorityRole::Log, key });
        let ours = self
            .roles()
            .into_iter()
            .flat_map(|(role, keys)| keys.iter().map(move |key| KeyTriple { role, key: key.clone() }));
        let mut triples: Vec<KeyTriple> = log.chain(ours).collect();
        sort_triples(&mut triples);
        triples
    }
}

/// One log, with its Ed25519 key and at most one ML-DSA-44 key beside it.
fn check_logs(logs: &[PolicyLog], origin: &Origin) -> Result<(), AuthorityKeysError> {
    let of_kind = |kind| logs.iter().filter(|log| log.vkey.kind() == kind).count();
    let (ed25519, ml_dsa_44) = (of_kind(SignatureType::Ed25519), of_kind(SignatureType::CosignatureMlDsa44));
    let is_ours = logs.iter().all(|log| log.vkey.name() == origin.key_name());
    if is_ours && ed25519 == 1 && ml_dsa_44 <= 1 {
        Ok(())
    } else {
        Err(AuthorityKeysError::PolicyLog { origin: origin.clone() })
    }
}

/// The key of a log in our own form.
pub fn log_key(vkey: &VerifierKey) -> Result<PublicKey, PublicKeyError> {
    let algorithm = match vkey.kind() {
        SignatureType::Ed25519 | SignatureType::CosignatureEd25519 => KeyAlgorithm::Ed25519,
        SignatureType::CosignatureMlDsa44 => KeyAlgorithm::MlDsa44,
    };
    PublicKey::new(algorithm, vkey.key_bytes())
}

fn sort_triples(triples: &mut [KeyTriple]) {
    triples.sort_by(|a, b| {
        let order = |t: &KeyTriple| (t.role.as_str(), t.key.algorithm().as_str(), hex::encode(t.key.bytes()));
        order(a).cmp(&order(b))
    });
}

/// The commitment to a set of successor keys, made before they are needed.
#[must_use]
pub fn successor_commitment(triples: &[KeyTriple]) -> Digest {
    let mut sorted = triples.to_vec();
    sort_triples(&mut sorted);
    Digest::of(&to_sign::successor_commitment(&sorted))
}

/// Why a change of authority is not followed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityChangeError {
    /// The new keys break a rule.
    #[error("the new keys: {0}")]
    Keys(#[from] AuthorityKeysError),
    /// Not the next serial number.
    #[error("the change has serial {found}, expected {expected}")]
    Serial {
        /// The next serial number.
        expected: u64,
        /// What was found.
        found: u64,
    },
    /// New keys that nobody committed to.
    #[error("the new keys match no successor commitment made earlier")]
    NotCommitted,
    /// An organisation did not sign.
    #[error("the {side} did not sign the change", side = side.as_str())]
    MissingSignature {
        /// Which one.
        side: Side,
    },
    /// Signed by a key that is not in force.
    #[error("the change is signed by {found}, which is not an administration key of the {side}", side = side.as_str())]
    UnknownKey {
        /// For which side it signed.
        side: Side,
        /// The key that it names.
        found: KeyId,
    },
    /// A signature that does not verify.
    #[error("the {side}'s signature: {source}", side = side.as_str())]
    Signature {
        /// Which side's.
        side: Side,
        /// What is wrong.
        source: SignatureError,
    },
}

/// Keys in force, the policy they name, and what may follow them.
#[derive(Clone, Debug)]
pub struct Authority {
    origin: Origin,
    keys: AuthorityKeys,
    policy: Policy,
    successors: Vec<Digest>,
    serial: u64,
}

impl Authority {
    /// Takes keys into force; `serial` is the number of the last change that led to them.
    pub fn new(
        origin: &Origin,
        keys: AuthorityKeys,
        successors: Vec<Digest>,
        serial: u64,
    ) -> Result<Self, AuthorityKeysError> {
        let policy = keys.check(origin)?;
        Ok(Self { origin: origin.clone(), keys, policy, successors, serial })
    }

    /// The log.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The keys in force.
    #[must_use]
    pub const fn keys(&self) -> &AuthorityKeys {
        &self.keys
    }

    /// The witness policy in force.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether a key is in force for any purpose, the log's and the witnesses' among them.
    pub(crate) fn uses(&self, key: &PublicKey) -> bool {
        let policy = &self.policy;
        let logs = policy.logs().iter().map(|log| &log.vkey);
        let mut noted = logs.chain(policy.witnesses().iter().map(|witness| &witness.vkey));
        noted.any(|vkey| vkey.key_bytes() == key.bytes())
            || self.keys.roles().iter().any(|(_, keys)| keys.contains(key))
    }

    /// How many changes led here.
    #[must_use]
    pub const fn serial(&self) -> u64 {
        self.serial
    }

    /// The authority after a change. Whether the entry was included under the quorum in force before it is the
    /// caller's to check.
    pub fn after(&self, change: &AuthorityChange) -> Result<Self, AuthorityChangeError> {
        let expected = self.serial.saturating_add(1);
        if change.serial != expected {
            return Err(AuthorityChangeError::Serial { expected, found: change.serial });
        }
        let policy = change.keys.check(&self.origin)?;
        let before = self.keys.triples();
        let new: Vec<KeyTriple> = change.keys.triples().into_iter().filter(|triple| !before.contains(triple)).collect();
        let mut successors = change.successors.clone();
        if !new.is_empty() {
            let commitment = successor_commitment(&new);
            if !self.successors.contains(&commitment) {
                return Err(AuthorityChangeError::NotCommitted);
            }
            // A commitment is used once.
            successors.retain(|digest| *digest != commitment);
        }
        let message = to_sign::authority_change(change);
        for side in [Side::Authority, Side::Operator] {
            let signature = change.signatures.iter().find(|one| one.side == side);
            let signature = signature.ok_or(AuthorityChangeError::MissingSignature { side })?;
            key::find(self.keys.administration.of(side), signature.key_id)
                .ok_or(AuthorityChangeError::UnknownKey { side, found: signature.key_id })?
                .verify_ed25519(&message, &signature.signature)
                .map_err(|source| AuthorityChangeError::Signature { side, source })?;
        }
        let keys = change.keys.clone();
        Ok(Self { origin: self.origin.clone(), keys, policy, successors, serial: change.serial })
    }
}

#[cfg(test)]
mod tests;
