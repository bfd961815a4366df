//! The database: its tables and what their rows contain. Every value is sealed.

use redb::TableDefinition;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::raft_types::{LogId, SnapshotMeta, Vote};

/// The head row's version.
pub(super) const HEAD_VERSION: u8 = 1;
/// The head row's only key.
pub(super) const HEAD_KEY: u8 = 0;
/// The most bytes of a snapshot in one row.
pub(super) const SNAPSHOT_ROW_BYTES: usize = 64 << 10;

/// One row: the generation that it was sealed under, and the head.
pub(super) const HEAD: TableDefinition<'_, u8, (u64, &[u8])> = TableDefinition::new("head");
/// The log: an entry by its index.
pub(super) const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
/// The snapshot: a part by its number.
pub(super) const SNAPSHOT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("snapshot");

/// A link of the hash chain over the log: it stands for an entry and everything before it.
pub(super) type Link = [u8; 32];

/// What authenticates everything else in the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) version: u8,
    /// Which durable transaction this is the state after, from 1.
    pub(super) generation: u64,
    pub(super) vote: Option<Vote>,
    /// Up to where the log is known to be committed. It may lag: it is written with whatever is written next.
    pub(super) committed: Option<LogId>,
    /// The last entry that was purged.
    pub(super) purged: Option<LogId>,
    /// The chain before the first kept entry.
    pub(super) base: Link,
    /// The last entry, a purged one included.
    pub(super) last: Option<LogId>,
    /// The chain after the last entry.
    pub(super) tip: Link,
    pub(super) snapshot: Option<SnapshotHead>,
}

/// What authenticates the snapshot's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SnapshotHead {
    pub(super) meta: SnapshotMeta,
    /// The generation that its rows are sealed under.
    pub(super) generation: u64,
    pub(super) bytes: u64,
    pub(super) digest: [u8; 32],
}

impl Head {
    /// Of a database that nothing was written to.
    pub(super) fn new() -> Self {
        let base = first_link(None);
        let (vote, committed, purged, last, snapshot) = (None, None, None, None, None);
        Self { version: HEAD_VERSION, generation: 0, vote, committed, purged, base, last, tip: base, snapshot }
    }
}

/// The chain before an entry whose predecessors this member never had: after a snapshot that reaches further than the
/// log.
pub(super) fn first_link(purged: Option<&LogId>) -> Link {
    let mut hash = Sha256::new();
    hash.update(b"countermark/vault-log-chain-start/v1\n");
    if let Some(purged) = purged {
        hash.update(purged.leader_id.term.to_be_bytes());
        hash.update(purged.leader_id.node_id.get().to_be_bytes());
        hash.update(purged.index.to_be_bytes());
    }
    hash.finalize().into()
}

/// The chain after an entry.
pub(super) fn next_link(before: &Link, entry: &[u8]) -> Link {
    let mut hash = Sha256::new();
    hash.update(b"countermark/vault-log-chain/v1\n");
    hash.update(before);
    hash.update(entry);
    hash.finalize().into()
}
