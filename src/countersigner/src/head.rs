//! A tree head that the log signed and a quorum of witnesses cosigned.
//!
//! Whose signatures count comes from the operator's own trust file and from what the verified log itself changed since
//! ([`NamespaceState::authority`](countermark_bundle::namespace_state::NamespaceState::authority)), never from the log's
//! answers.

use countermark_bundle::authority::Authority;
use countermark_bundle::identity::Timestamp;
use countermark_tlog::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use countermark_tlog::hash::RootHash;
use countermark_tlog::policy::PolicyError;
use countermark_tlog::size::TreeSize;
use thiserror::Error;

use crate::ledger::KeptHead;

/// Why a checkpoint is not believed.
#[derive(Debug, Error)]
pub enum HeadError {
    /// Refused: not a checkpoint.
    #[error("not a checkpoint")]
    Checkpoint(#[from] CheckpointError),
    /// Refused: of another log, not signed by it, or not cosigned by the quorum.
    #[error("the checkpoint is not one of this log under its witness quorum")]
    Policy(#[from] PolicyError),
    /// Refused: the quorum is `none`, so nobody but the log vouches for the head.
    #[error("the witness policy has the quorum `none`, under which nothing is ever countersigned")]
    QuorumNone,
    /// Refused: the witnesses stamped a time beyond the year 9999.
    #[error("the head time {found} is beyond the year 9999")]
    Time {
        /// Seconds since 1970.
        found: u64,
    },
}

/// A checkpoint of the followed log under its witness quorum. Only [`VerifiedHead::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedHead {
    checkpoint: Checkpoint,
    head_time: Timestamp,
    note: Vec<u8>,
}

impl VerifiedHead {
    /// Verifies a checkpoint: a signed note of at most 1 MiB.
    pub fn verify(note: &[u8], authority: &Authority) -> Result<Self, HeadError> {
        let signed = SignedCheckpoint::parse(note)?;
        let witnessed = authority.policy().verify(&signed)?;
        let time = witnessed.time().ok_or(HeadError::QuorumNone)?;
        let head_time = Timestamp::from_unix(time).ok_or(HeadError::Time { found: time })?;
        Ok(Self { checkpoint: witnessed.checkpoint().clone(), head_time, note: note.to_vec() })
    }

    /// The size of the tree.
    #[must_use]
    pub const fn size(&self) -> TreeSize {
        self.checkpoint.size
    }

    /// Its root.
    #[must_use]
    pub const fn root(&self) -> RootHash {
        self.checkpoint.root
    }

    /// The greatest time such that cosignatures stamped then or later alone meet the quorum.
    #[must_use]
    pub const fn head_time(&self) -> Timestamp {
        self.head_time
    }

    /// The note as it was verified, with every signature line.
    #[must_use]
    pub fn note(&self) -> &[u8] {
        &self.note
    }

    /// The head as the ledger keeps it; its time never goes back behind `before`, whichever witnesses cosigned.
    #[must_use]
    pub fn kept(&self, before: Option<&KeptHead>) -> KeptHead {
        KeptHead {
            origin: self.checkpoint.origin.as_str().to_owned(),
            size: self.size(),
            root: self.root(),
            head_time: before.map_or(self.head_time, |before| before.head_time.max(self.head_time)),
            checkpoint: self.note.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
