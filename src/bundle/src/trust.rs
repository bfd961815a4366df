//! What a client pins (the trust file) and what it remembers (the floor).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::hash::{RootHash, empty_root};
use countermark_tlog::size::TreeSize;
use serde::{Deserialize, Serialize};

use crate::authority::{Authority, AuthorityKeys, AuthorityKeysError};
use crate::entry::{Entry, EntryError, SUCCESSORS_MAX};
use crate::identity::{Digest, Epoch, Namespace, Timestamp};
use crate::json::{self, JsonError};
use crate::key::KeyId;
use crate::wire;

/// The trust file's `type`.
pub const TRUST_TYPE: &str = "countermark/trust/v1";
/// The floor's `type`.
pub const FLOOR_TYPE: &str = "countermark/floor/v1";
/// The most bytes of a trust file or a floor: 256 KiB.
pub const TRUST_BYTES_MAX: usize = 256 * 1024;
/// The most pinned keys.
pub const PINNED_KEYS_MAX: usize = 1024;
/// The most revocations that a floor remembers.
pub const REMEMBERED_REVOCATIONS_MAX: usize = 256;

/// The small file that a client pins. One encoding: `write(parse(b)) == b`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    /// [`TRUST_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The log.
    #[serde(with = "wire::origin")]
    pub origin: Origin,
    /// Every key believed in.
    pub keys: AuthorityKeys,
    /// Commitments to the keys that may follow, sorted.
    pub successors: Vec<Digest>,
    /// How many changes of authority led to these keys.
    #[serde(with = "wire::integer")]
    pub serial: u64,
    /// When it was issued: the client's clock is never believed to be earlier.
    pub issued_at: Timestamp,
    /// How old and how long-lived things may be.
    pub limits: Limits,
    /// What its issuer had verified. A new client starts here.
    pub floor: TrustFloor,
    /// Whether a larger tree needs a consistency link from the floor; otherwise the quorum's word is enough.
    pub require_link: bool,
    /// Member keys that are hard-coded: no other is ever used. Sorted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_keys: Option<Vec<KeyId>>,
}

/// Upper bounds that no statement can raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The oldest tree head that is current.
    #[serde(with = "wire::integer")]
    pub max_head_age_seconds: u64,
    /// The longest window of a statement.
    #[serde(with = "wire::integer")]
    pub max_statement_lifetime_seconds: u64,
}

/// The head and statement that the trust file's issuer had verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustFloor {
    /// The newest active epoch; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// Its statement's digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The tree's size.
    #[serde(with = "wire::tree_size")]
    pub size: TreeSize,
    /// Its root.
    #[serde(with = "wire::root_hash")]
    pub root: RootHash,
}

impl TrustFloor {
    /// The floor under an empty log.
    #[must_use]
    pub fn empty() -> Self {
        Self { epoch: None, digest: None, size: TreeSize::ZERO, root: empty_root() }
    }
}

/// Why bytes are not a trust file or a floor.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not the JSON document.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Readable, but not in the one encoding.
    #[error("the document is not in its one encoding: indented JSON, fields in order, a final newline")]
    Encoding,
    /// Keys that cannot be believed in.
    #[error(transparent)]
    Keys(#[from] AuthorityKeysError),
    /// An origin that is not `<authority>/<namespace>`.
    #[error("the origin must be <authority name>/<namespace>")]
    Origin,
    /// A list that is not sorted and unique, or too long.
    #[error("{list} must be sorted, unique and within its bounds")]
    List {
        /// Which list.
        list: &'static str,
    },
    /// A limit of 0.
    #[error("limits must be at least one second")]
    Limits,
    /// An epoch without a digest, a digest without an epoch, or a root that does not fit an empty tree.
    #[error("a floor names epoch and digest together, and an empty tree has the empty root")]
    Floor,
    /// A remembered revocation that is none.
    #[error("a remembered revocation: {0}")]
    Revocation(#[from] EntryError),
}

impl TrustFile {
    /// Reads a trust file and checks every rule.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let trust: Self = json::parse(bytes, TRUST_BYTES_MAX)?;
        trust.check()?;
        if trust.write() != bytes {
            return Err(TrustError::Encoding);
        }
        Ok(trust)
    }

    /// The one encoding.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        json::write_indented(self)
    }

    /// Checks every rule, for whoever builds one.
    pub fn check(&self) -> Result<(), TrustError> {
        if self.kind != TRUST_TYPE {
            return Err(JsonError::WrongType { expected: TRUST_TYPE }.into());
        }
        Namespace::of_origin(&self.origin).map_err(|_| TrustError::Origin)?;
        self.keys.check(&self.origin)?;
        if self.successors.len() > SUCCESSORS_MAX || !wire::is_sorted_unique(&self.successors) {
            return Err(TrustError::List { list: "successors" });
        }
        if self.limits.max_head_age_seconds == 0 || self.limits.max_statement_lifetime_seconds == 0 {
            return Err(TrustError::Limits);
        }
        let pinned = self.pinned_keys.as_deref().unwrap_or_default();
        if pinned.len() > PINNED_KEYS_MAX || !wire::is_sorted_unique(pinned) {
            return Err(TrustError::List { list: "pinned_keys" });
        }
        check_floor(self.floor.epoch, self.floor.digest, self.floor.size, self.floor.root)
    }

    /// The keys in force when it was issued.
    pub fn authority(&self) -> Result<Authority, AuthorityKeysError> {
        Authority::new(&self.origin, self.keys.clone(), self.successors.clone(), self.serial)
    }

    /// The namespace behind the origin's last slash.
    ///
    /// # Panics
    /// If the origin has none, which [`Self::parse`] and [`Self::check`] refuse.
    #[must_use]
    pub fn namespace(&self) -> Namespace {
        Namespace::of_origin(&self.origin).expect("checked when the trust file was read or built")
    }

    /// The floor that a client without any memory starts with.
    #[must_use]
    pub fn initial_floor(&self) -> Floor {
        let TrustFloor { epoch, digest, size, root } = self.floor.clone();
        Floor {
            kind: FLOOR_TYPE.to_string(),
            origin: self.origin.clone(),
            epoch,
            digest,
            size,
            root,
            head_time: None,
            revocations: Vec::new(),
        }
    }
}

fn check_floor(epoch: Option<Epoch>, digest: Option<Digest>, size: TreeSize, root: RootHash) -> Result<(), TrustError> {
    if epoch.is_some() != digest.is_some() || (size == TreeSize::ZERO && root != empty_root()) {
        return Err(TrustError::Floor);
    }
    Ok(())
}

/// What a client remembers between verifications, stored durably before a bundle is used. One encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// [`FLOOR_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The log.
    #[serde(with = "wire::origin")]
    pub origin: Origin,
    /// The newest epoch verified; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// Its statement's digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The largest tree verified.
    #[serde(with = "wire::tree_size")]
    pub size: TreeSize,
    /// Its root.
    #[serde(with = "wire::root_hash")]
    pub root: RootHash,
    /// The newest head time ever verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_time: Option<Timestamp>,
    /// Every revocation ever met, as entry text: effective wherever it was met, logged or not.
    pub revocations: Vec<String>,
}

impl Floor {
    /// Reads a floor and checks every rule that needs no keys.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let floor: Self = json::parse(bytes, TRUST_BYTES_MAX)?;
        if floor.kind != FLOOR_TYPE {
            return Err(JsonError::WrongType { expected: FLOOR_TYPE }.into());
        }
        check_floor(floor.epoch, floor.digest, floor.size, floor.root)?;
        if floor.revocations.len() > REMEMBERED_REVOCATIONS_MAX || !wire::is_sorted_unique(&floor.revocations) {
            return Err(TrustError::List { list: "revocations" });
        }
        for revocation in &floor.revocations {
            match Entry::parse(revocation.as_bytes())? {
                Entry::Revocation(revocation) if revocation.origin == floor.origin => {}
                Entry::Revocation(_) => return Err(EntryError::InnerOrigin.into()),
                Entry::CertifiedStatement(_)
                | Entry::Activation(_)
                | Entry::Evidence(_)
                | Entry::PolicyChange(_)
                | Entry::AuthorityChange(_) => return Err(TrustError::List { list: "revocations" }),
            }
        }
        if floor.write() != bytes {
            return Err(TrustError::Encoding);
        }
        Ok(floor)
    }

    /// The one encoding.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        json::write_indented(self)
    }
}

#[cfg(test)]
mod tests;
