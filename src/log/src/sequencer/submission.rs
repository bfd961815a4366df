//! What is handed to the owner task, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use countermark_bundle::identity::{Digest, Epoch};
use countermark_bundle::namespace_state::RuleViolation;
use countermark_tlog::entry_bundle::ENTRY_BYTES_MAX;
use countermark_tlog::hash::{LeafHash, leaf_hash};
use countermark_tlog::size::{LeafIndex, TreeSize};
use thiserror::Error;

use crate::admit::Refusal;
use crate::stage::NewEntry;

/// What a submitter hands in.
#[derive(Debug, Clone)]
pub enum Submission {
    /// A fleet statement to be admitted and certified.
    Statement {
        /// The exact statement bytes.
        statement: Vec<u8>,
        /// Officers' approvals, compact JWS.
        approvals: Vec<String>,
        /// The members' attestation documents.
        attestations: Vec<Vec<u8>>,
        /// The authenticated submitter.
        submitter: String,
    },
    /// A finished entry: activation, revocation, evidence or policy change.
    Entry {
        /// The exact entry bytes.
        bytes: Vec<u8>,
        /// The authenticated submitter.
        submitter: String,
    },
    /// An opaque entry for a `raw` log.
    Raw(NewEntry),
}

impl Submission {
    /// An opaque entry of 1 to 65,535 bytes for a `raw` log. Its hash is computed here, by the caller's task.
    pub fn raw(bytes: Arc<[u8]>) -> Result<Self, Refusal> {
        let found = bytes.len();
        if found == 0 || found > ENTRY_BYTES_MAX {
            return Err(Refusal::EntryLength { found });
        }
        Ok(Self::Raw(NewEntry::raw(leaf_hash(&bytes), bytes)))
    }

    /// The bytes that it holds in memory while it waits.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Statement { statement, approvals, attestations, .. } => {
                let approvals = approvals.iter().map(String::len);
                let attestations = attestations.iter().map(Vec::len);
                approvals.chain(attestations).fold(statement.len(), usize::saturating_add)
            }
            Self::Entry { bytes, .. } => bytes.len(),
            Self::Raw(entry) => entry.bytes.len(),
        }
    }
}

/// How far an entry must have come before its submitter is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitLevel {
    /// Durable in the database and covered by the registered head.
    Committed,
    /// A quorum of witnesses cosigned a head that includes it.
    Witnessed,
    /// That cosigned head is stored and served.
    Published,
}

/// How long a submitter waits, from when its submission came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the entry to be durable.
    pub commit: Duration,
    /// For the level asked for; no longer than for the commit.
    pub level: Duration,
}

/// Where a submitted entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// Its index.
    pub index: LeafIndex,
    /// Its leaf hash, of the stored bytes.
    pub leaf_hash: LeafHash,
    /// Its identity for deduplication.
    pub identity: Digest,
    /// The level reached.
    pub level: WaitLevel,
    /// The size of the head that reached it.
    pub size: TreeSize,
    /// Whether an earlier submission put it there.
    pub duplicate: bool,
}

/// Why a submission did not reach the level it was to wait for.
#[derive(Debug, Error)]
pub enum SubmitError {
    /// Refused: final, and the submission's fault.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Conflict: the statement does not follow the newest certified one. Try again on top of the state given.
    #[error("{rule}")]
    Conflict {
        /// The epoch that the next statement must have.
        next_epoch: Epoch,
        /// The digest that it must name as `previous`; `None` before the first statement.
        previous: Option<Digest>,
        /// The rule that told.
        rule: RuleViolation,
    },
    /// The queue is full; nothing was kept.
    #[error("too many submissions are waiting")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The deadline passed first. The submission is not withdrawn: sending it again is answered with the same index.
    #[error("the deadline passed before the entry reached the level asked for")]
    DeadlinePassed {
        /// How far the entry had come; `None`: not committed yet, or not at all.
        reached: Option<Submitted>,
    },
    /// Fault: ours. Sending the submission again is safe.
    #[error("the log could not finish the submission: {reason}")]
    Fault {
        /// What failed.
        reason: SubmitFault,
    },
}

/// What failed on our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SubmitFault {
    /// A key holder gave no signature; nothing was kept.
    #[error("a key holder gave no signature")]
    Signing,
    /// A batch failed our own verification before it was committed; nothing was kept.
    #[error("the batch failed its own verification")]
    SelfCheck,
    /// The store or the head register failed; after everything was read again, the entry is not in the log.
    #[error("the store or the head register failed; nothing was kept")]
    NotKept,
    /// The store or the head register failed, and whether the entry is in the log could not be found out.
    #[error("the store or the head register failed; whether the entry was kept is unknown")]
    Unknown,
    /// The namespace has stopped: shut down, fenced off by another process, or its past contradicts itself.
    #[error("the namespace has stopped")]
    Stopped,
}
