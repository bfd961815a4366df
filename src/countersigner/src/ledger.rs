//! What the countersigner remembers, and the two ledgers that remember it: SQLite, and memory for tests.
//!
//! Invariant: **one digest for one epoch, and epochs only rise.** A [`LedgerRow`] exists only after the row is durable,
//! and a countersignature needs one ([`crate::countersign`]); so whatever crashes, at most one digest of an epoch is ever
//! countersigned, and never one below an epoch that was.
//!
//! A row is not a promise to sign: a revocation that comes between leaves it standing and unsigned.

use countermark_bundle::entry::Decision;
use countermark_bundle::identity::{Digest, Epoch, Timestamp};
use countermark_tlog::hash::RootHash;
use countermark_tlog::size::{LeafIndex, TreeSize};

use crate::decide::RefusalReason;
use crate::receipt::VerifiedReceipt;

#[cfg(test)]
pub(crate) mod memory;
pub mod sqlite;

/// A verified head as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptHead {
    /// The log's origin.
    pub origin: String,
    /// The size of the tree.
    pub size: TreeSize,
    /// Its root.
    pub root: RootHash,
    /// The newest head time of this size, as the witness quorum stamped it.
    pub head_time: Timestamp,
    /// The signed note as it was verified.
    pub checkpoint: Vec<u8>,
}

/// From when the cool-off of a certified statement is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// The statement's epoch.
    pub epoch: Epoch,
    /// SHA-256 of the statement.
    pub digest: Digest,
    /// Where it stands in the log.
    pub index: LeafIndex,
    /// The time.
    pub counted_from: Timestamp,
}

/// A row that is to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRow {
    /// The statement's epoch.
    pub(crate) epoch: Epoch,
    /// SHA-256 of the statement.
    pub(crate) digest: Digest,
    /// Where it stands in the log.
    pub(crate) index: LeafIndex,
    /// What permitted it.
    pub(crate) decision: Decision,
    /// When that was decided.
    pub(crate) decided_at: Timestamp,
    /// The tlog-proof of the certified statement.
    pub(crate) receipt: Vec<u8>,
}

impl NewRow {
    /// The row for a verified statement that was permitted.
    #[must_use]
    pub fn new(receipt: &VerifiedReceipt, decision: Decision, decided_at: Timestamp) -> Self {
        Self {
            epoch: receipt.epoch(),
            digest: receipt.digest(),
            index: receipt.index(),
            decision,
            decided_at,
            receipt: receipt.proof().to_vec(),
        }
    }
}

/// Proof that a row is durable, and that it was the newest when it was asked for. Only a ledger makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct LedgerRow {
    epoch: Epoch,
    digest: Digest,
    index: LeafIndex,
}

impl LedgerRow {
    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The one digest of this epoch.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Where the certified statement stands in the log.
    #[must_use]
    pub const fn index(&self) -> LeafIndex {
        self.index
    }

    /// For the ledgers below alone, after the row is durable.
    fn committed(row: &NewRow) -> Self {
        Self { epoch: row.epoch, digest: row.digest, index: row.index }
    }
}

/// A row as it is read back. It permits nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRecord {
    /// The statement's epoch.
    pub epoch: Epoch,
    /// SHA-256 of the statement.
    pub digest: Digest,
    /// Where it stands in the log.
    pub index: LeafIndex,
    /// What permitted it.
    pub decision: Decision,
    /// When that was decided.
    pub decided_at: Timestamp,
    /// Where its first activation was seen under a verified head.
    pub activation: Option<LeafIndex>,
}

/// A statement that will never be countersigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The statement's epoch.
    pub epoch: Epoch,
    /// SHA-256 of the statement.
    pub digest: Digest,
    /// Where it stands in the log.
    pub index: LeafIndex,
    /// When it was refused.
    pub refused_at: Timestamp,
    /// Why.
    pub reason: RefusalReason,
}

/// What was decided about an epoch, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// It may be countersigned while it is the newest and not revoked.
    Row(RowRecord),
    /// It never will be.
    Refused(Refusal),
}

/// Evidence of a fork: two checkpoints, each with its signatures, and why no one log can have both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// The checkpoint that was verified first.
    pub verified: Vec<u8>,
    /// The checkpoint that contradicts it.
    pub found: Vec<u8>,
    /// The root that `found` commits to at the size of `verified`.
    pub prefix_root: RootHash,
    /// A consistency link from the tree with that root to `found`.
    pub link: Vec<u8>,
    /// When it was seen.
    pub seen_at: Timestamp,
}

#[cfg(test)]
mod tests;
