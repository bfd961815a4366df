//! The reasons to stop for good. Nothing is countersigned after one of them, and nothing clears it but a human.

use countermark_bundle::identity::{Digest, Epoch};
use countermark_bundle::namespace_state::RuleViolation;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::size::{LeafIndex, TreeSize};
use thiserror::Error;

/// Why the countersigner stopped.
#[derive(Debug, Error)]
pub enum StopReason {
    /// The log published a head older than one that was verified. A restart looks again.
    #[error("rollback: the log was verified at size {verified} and now publishes size {found}")]
    Rollback {
        /// The size that was verified.
        verified: TreeSize,
        /// The size now published.
        found: TreeSize,
    },
    /// Two quorum-cosigned heads contradict each other. Both are in the ledger, and a restart stops again.
    #[error("fork: the head of size {found} does not have the verified head of size {verified} as its beginning")]
    Fork {
        /// The size that was verified.
        verified: TreeSize,
        /// The size of the head that contradicts it.
        found: TreeSize,
    },
    /// A fork was seen by an earlier run; the evidence is in the ledger.
    #[error("a fork of this log was seen before; the evidence is in the ledger")]
    ForkSeenBefore,
    /// The log published an entry that no log of this kind may hold. A restart finds it again.
    #[error("entry {index} breaks a hard rule: {violation}")]
    BrokenRule {
        /// Where it stands.
        index: LeafIndex,
        /// The rule.
        #[source]
        violation: RuleViolation,
    },
    /// The log has a countersignature of ours that the ledger does not know: the ledger is not the newest one.
    #[error("entry {index} activates epoch {epoch} with our key, and the ledger knows nothing of it")]
    ForgottenEpoch {
        /// The epoch.
        epoch: Epoch,
        /// Where the activation stands.
        index: LeafIndex,
    },
    /// The log has another statement for an epoch that we countersigned.
    #[error("epoch {epoch} was countersigned as {recorded}, and the log now has {found}, or has it at another place")]
    OtherStatement {
        /// The epoch.
        epoch: Epoch,
        /// The digest in the ledger.
        recorded: Digest,
        /// The digest in the log.
        found: Digest,
    },
    /// The ledger belongs to another log.
    #[error("the ledger is that of another log than {expected}, which it followed to size {size}")]
    OtherLedger {
        /// The log of the trust file.
        expected: Origin,
        /// The size in the ledger.
        size: TreeSize,
    },
}

impl StopReason {
    /// The reason's name on the status page.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Rollback { .. } => "rollback",
            Self::Fork { .. } | Self::ForkSeenBefore => "fork",
            Self::BrokenRule { .. } => "broken-rule",
            Self::ForgottenEpoch { .. } => "forgotten-epoch",
            Self::OtherStatement { .. } => "other-statement",
            Self::OtherLedger { .. } => "other-ledger",
        }
    }
}
