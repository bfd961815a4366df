//! The fleet statement: the JSON document, signed and logged byte for byte, that states the whole current set of fleets
//! of a namespace.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use countermark_tlog::checkpoint::Origin;
use serde::{Deserialize, Serialize};

use crate::identity::{Digest, Epoch, Name, Timestamp};
use crate::json::{self, JsonError};
use crate::key::{KeyAlgorithm, KeyId, PublicKey, PublicKeyError};
use crate::wire;

/// The document's `type`.
pub const STATEMENT_TYPE: &str = "countermark/fleet-statement/v1";
/// The most bytes of a statement: 32 KiB.
pub const STATEMENT_BYTES_MAX: usize = 32 * 1024;
/// The most fleets in a statement.
pub const FLEETS_MAX: usize = 16;
/// The most members of a fleet.
pub const MEMBERS_MAX: usize = 15;
/// The most keys of a member.
pub const MEMBER_KEYS_MAX: usize = 8;
/// The highest password-guess limit that a fleet may state.
pub const GUESS_LIMIT_MAX: u64 = 100;
/// The bounds of `max_head_age_seconds`: one minute and 31 days.
pub const HEAD_AGE_SECONDS: core::ops::RangeInclusive<u64> = 60..=31 * 86_400;

/// What a statement says. All lists are sorted bytewise by their identifier and unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The log it is for.
    #[serde(with = "wire::origin")]
    pub origin: Origin,
    /// Its number in the namespace.
    pub epoch: Epoch,
    /// SHA-256 of the last certified statement; absent in epoch 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// When it was written.
    pub issued_at: Timestamp,
    /// From when it may be relied on.
    pub not_before: Timestamp,
    /// Until when, exclusive.
    pub not_after: Timestamp,
    /// How old a tree head may be for this statement to be called current.
    #[serde(with = "wire::integer")]
    pub max_head_age_seconds: u64,
    /// Every fleet of the namespace: the whole state, never a delta.
    pub fleets: Vec<Fleet>,
}

/// One fleet of vault members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// Its name.
    pub fleet_id: Name,
    /// Where it is in its life.
    pub status: FleetStatus,
    /// Its members.
    pub members: Vec<Member>,
    /// How many members must commit a write: more than half.
    #[serde(with = "wire::integer")]
    pub majority: u64,
    /// How many wrong password guesses a user has.
    #[serde(with = "wire::integer")]
    pub guess_limit: u64,
    /// What the members run.
    pub software: Software,
    /// The RFC 6962 root of the evidence manifest that shows how the fleet was deployed.
    pub evidence_root: Digest,
}

/// Where a fleet is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FleetStatus {
    /// Announced, not yet used.
    Next,
    /// Takes registrations and recoveries.
    Active,
    /// Only recoveries: clients enrol again elsewhere.
    Draining,
    /// Gone; named so that its end is on record.
    Retired,
}

impl FleetStatus {
    /// Whether clients may open sessions to its members.
    #[must_use]
    pub const fn serves(self) -> bool {
        match self {
            Self::Active | Self::Draining => true,
            Self::Next | Self::Retired => false,
        }
    }

    /// The word in the format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Retired => "retired",
        }
    }
}

/// What a fleet's members run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Software {
    /// Its name, 1 to 64 printable ASCII characters without a space.
    pub name: String,
    /// Its version, likewise.
    pub version: String,
    /// SHA-256 of the running executable.
    pub sha256: Digest,
}

/// One vault node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name within the fleet.
    pub member_id: Name,
    /// What it shares its fate with: a site, a power feed, a cloud zone.
    pub failure_domain: Name,
    /// Its keys, sorted by `key_id`: at least one session key and one identity key.
    pub keys: Vec<MemberKey>,
    /// Where its attestation is to be found: the bytes are in the evidence package.
    pub attestation: AttestationRef,
}

/// A key of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberKey {
    /// SHA-256 over algorithm and key.
    pub key_id: KeyId,
    /// What it is for.
    pub role: KeyRole,
    /// Its algorithm: x25519 for sessions, ed25519 for identity.
    pub algorithm: KeyAlgorithm,
    /// The key in lower-case hex.
    #[serde(deserialize_with = "wire::hex_text")]
    pub public_key: String,
    /// From when it may be used.
    pub not_before: Timestamp,
    /// Until when, exclusive.
    pub not_after: Timestamp,
}

impl MemberKey {
    /// States a key; its identity follows from it.
    #[must_use]
    pub fn new(role: KeyRole, key: &PublicKey, not_before: Timestamp, not_after: Timestamp) -> Self {
        Self {
            key_id: key.key_id(),
            role,
            algorithm: key.algorithm(),
            public_key: hex::encode(key.bytes()),
            not_before,
            not_after,
        }
    }

    /// The key itself.
    pub fn key(&self) -> Result<PublicKey, PublicKeyError> {
        PublicKey::new(self.algorithm, &wire::hex_lower(&self.public_key).unwrap_or_default())
    }
}

/// What a member's key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyRole {
    /// Clients open sessions to it: X25519.
    Session,
    /// The member signs with it: Ed25519.
    Identity,
}

/// Where a member's attestation is to be found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestationRef {
    /// The format's tag, as [`crate::attestation::ATTESTATION_TYPE`].
    pub format: String,
    /// Its size in bytes.
    #[serde(with = "wire::integer")]
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
}

impl AttestationRef {
    /// Refers to an attestation of our own format.
    #[must_use]
    pub fn to(attestation: &[u8]) -> Self {
        Self {
            format: String::from(crate::attestation::ATTESTATION_TYPE),
            size: u64::try_from(attestation.len()).unwrap_or(u64::MAX),
            sha256: Digest::of(attestation),
        }
    }
}

/// Why bytes are not a statement.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not the JSON document.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Epoch 1 names no previous statement; every other epoch names one.
    #[error("epoch 1 has no previous statement, and every later epoch names one")]
    Previous,
    /// A window that ends before it begins.
    #[error("{field}: not_before must be before not_after")]
    Window {
        /// Which window.
        field: &'static str,
    },
    /// A number outside its bounds.
    #[error("{field} is {found}, allowed are {min} to {max}")]
    Bounds {
        /// Which number.
        field: &'static str,
        /// What was found.
        found: u64,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
    /// A list that is not sorted bytewise, or names something twice.
    #[error("{list} must be sorted bytewise and unique")]
    Order {
        /// Which list.
        list: &'static str,
    },
    /// A text that is empty, too long or not printable.
    #[error("{field} must be 1 to 64 printable ASCII characters without a space")]
    Text {
        /// Which text.
        field: &'static str,
    },
    /// A key that is not one.
    #[error("key {key_id}: {source}")]
    Key {
        /// The identity it claims.
        key_id: KeyId,
        /// What is wrong with it.
        source: PublicKeyError,
    },
    /// A key whose identity, algorithm and role do not fit together.
    #[error("key {key_id}: {rule}")]
    KeyRule {
        /// The identity it claims.
        key_id: KeyId,
        /// The rule that is broken.
        rule: &'static str,
    },
    /// A member without a session key or without an identity key.
    #[error("member {member} needs at least one session key and one identity key")]
    MemberKeys {
        /// The member.
        member: Name,
    },
}

/// A statement and the exact bytes it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedStatement {
    bytes: Vec<u8>,
    statement: Statement,
    digest: Digest,
}

impl ParsedStatement {
    /// Reads a statement of at most [`STATEMENT_BYTES_MAX`] bytes and checks every rule that it must obey by itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        let statement: Statement = json::parse(bytes, STATEMENT_BYTES_MAX)?;
        statement.check()?;
        Ok(Self { bytes: bytes.to_vec(), digest: Digest::of(bytes), statement })
    }

    /// The exact bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What they say.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// SHA-256 of the bytes: the statement's identity.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

impl Statement {
    /// The bytes that we write: indented JSON and a newline. Whoever submits other bytes of the same content submits
    /// another statement.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        json::write_indented(self)
    }

    /// Every member key of every fleet, with its member and fleet.
    pub fn keys(&self) -> impl Iterator<Item = (&Fleet, &Member, &MemberKey)> {
        self.fleets.iter().flat_map(|fleet| {
            fleet.members.iter().flat_map(move |member| member.keys.iter().map(move |key| (fleet, member, key)))
        })
    }

    /// How long it may be relied on, in seconds.
    #[must_use]
    pub const fn lifetime_seconds(&self) -> u64 {
        self.not_after.seconds_since(self.not_before)
    }

    fn check(&self) -> Result<(), StatementError> {
        if self.kind != STATEMENT_TYPE {
            return Err(JsonError::WrongType { expected: STATEMENT_TYPE }.into());
        }
        if self.previous.is_none() != (self.epoch == Epoch::FIRST) {
            return Err(StatementError::Previous);
        }
        if self.not_before >= self.not_after {
            return Err(StatementError::Window { field: "statement" });
        }
        bounds("max_head_age_seconds", self.max_head_age_seconds, *HEAD_AGE_SECONDS.start(), *HEAD_AGE_SECONDS.end())?;
        bounds_len("fleets", self.fleets.len(), FLEETS_MAX)?;
        if !wire::is_sorted_unique(self.fleets.iter().map(|fleet| &fleet.fleet_id)) {
            return Err(StatementError::Order { list: "fleets" });
        }
        self.fleets.iter().try_for_each(Fleet::check)?;
        let mut seen = BTreeSet::new();
        for (_, _, key) in self.keys() {
            if !seen.insert(key.key_id) {
                return Err(StatementError::KeyRule { key_id: key.key_id, rule: "one key, one member" });
            }
        }
        Ok(())
    }
}

impl Fleet {
    fn check(&self) -> Result<(), StatementError> {
        bounds_len("members", self.members.len(), MEMBERS_MAX)?;
        if !wire::is_sorted_unique(self.members.iter().map(|member| &member.member_id)) {
            return Err(StatementError::Order { list: "members" });
        }
        let members = u64::try_from(self.members.len()).unwrap_or(u64::MAX);
        bounds("majority", self.majority, members / 2 + 1, members)?;
        bounds("guess_limit", self.guess_limit, 1, GUESS_LIMIT_MAX)?;
        text("software.name", &self.software.name)?;
        text("software.version", &self.software.version)?;
        self.members.iter().try_for_each(Member::check)
    }
}

impl Member {
    /// Its keys of one role.
    pub fn keys_of(&self, role: KeyRole) -> impl Iterator<Item = &MemberKey> {
        self.keys.iter().filter(move |key| key.role == role)
    }

    fn check(&self) -> Result<(), StatementError> {
        bounds_len("keys", self.keys.len(), MEMBER_KEYS_MAX)?;
        if !wire::is_sorted_unique(self.keys.iter().map(|key| key.key_id)) {
            return Err(StatementError::Order { list: "keys" });
        }
        text("attestation.format", &self.attestation.format)?;
        self.keys.iter().try_for_each(MemberKey::check)?;
        let has = |role| self.keys_of(role).next().is_some();
        if !has(KeyRole::Session) || !has(KeyRole::Identity) {
            return Err(StatementError::MemberKeys { member: self.member_id.clone() });
        }
        Ok(())
    }
}

impl MemberKey {
    fn check(&self) -> Result<(), StatementError> {
        let key_id = self.key_id;
        let key = self.key().map_err(|source| StatementError::Key { key_id, source })?;
        if key.key_id() != key_id {
            return Err(StatementError::KeyRule { key_id, rule: "key_id is SHA-256 over algorithm and key" });
        }
        match (self.role, self.algorithm) {
            (KeyRole::Session, KeyAlgorithm::X25519) | (KeyRole::Identity, KeyAlgorithm::Ed25519) => {}
            (KeyRole::Session | KeyRole::Identity, _) => {
                return Err(StatementError::KeyRule { key_id, rule: "session keys are x25519, identity keys ed25519" });
            }
        }
        if self.not_before >= self.not_after {
            return Err(StatementError::Window { field: "key" });
        }
        Ok(())
    }
}

fn bounds(field: &'static str, found: u64, min: u64, max: u64) -> Result<(), StatementError> {
    if (min..=max).contains(&found) { Ok(()) } else { Err(StatementError::Bounds { field, found, min, max }) }
}

fn bounds_len(field: &'static str, found: usize, max: usize) -> Result<(), StatementError> {
    let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    bounds(field, wide(found), 1, wide(max))
}

fn text(field: &'static str, text: &str) -> Result<(), StatementError> {
    if (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(StatementError::Text { field })
    }
}

#[cfg(test)]
mod tests;
