//! Whether a checkpoint may be cosigned, given what is known of its log. Pure: no clock, no store, no key.
//!
//! [`decide`] is the only place that makes an [`AdmittedHead`], and only an [`AdmittedHead`] is cosigned.

use countermark_tlog::checkpoint::Origin;
use countermark_tlog::hash::{RootHash, empty_root};
use countermark_tlog::proof::{ConsistencyProof, ProofError, verify_consistency};
use countermark_tlog::size::TreeSize;
use thiserror::Error;

use crate::authenticate::{AuthenticCheckpoint, AuthenticRequest};
use crate::ports::{HeadId, HeadState, UnixSeconds};

/// A checkpoint that follows from what was cosigned before, and the time to cosign it with.
#[derive(Debug)]
pub struct AdmittedHead {
    checkpoint: AuthenticCheckpoint,
    cosign_at: UnixSeconds,
}

impl AdmittedHead {
    /// The checkpoint, with the log's verified signatures alone.
    pub fn checkpoint(&self) -> &AuthenticCheckpoint {
        &self.checkpoint
    }

    /// The time for the cosignature; never before the one that is stored.
    pub fn cosign_at(&self) -> UnixSeconds {
        self.cosign_at
    }
}

/// Why an authentic checkpoint is not cosigned.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Refused: the log says that it shrank in this very request.
    #[error("the old size {old} is above the checkpoint's size {size}")]
    OldAboveSize {
        /// The old size.
        old: TreeSize,
        /// The checkpoint's.
        size: TreeSize,
    },
    /// Conflict: the request builds on another head than the newest; retry from the stored size.
    #[error("the old size is {old}, the newest cosigned size is {stored}")]
    OtherOldSize {
        /// The old size.
        old: TreeSize,
        /// The newest cosigned size; 0 if nothing was ever cosigned.
        stored: TreeSize,
    },
    /// Refused: a tree of size 0 with the root of another tree.
    #[error("a tree of size 0 has the root {expected}, found {found}", expected = empty_root())]
    OtherEmptyRoot {
        /// The checkpoint's root.
        found: RootHash,
    },
    /// Refused: the log signed two trees of one size. Stored checkpoint and request together prove it.
    #[error("FORK: the log {origin} signed two roots at size {size}: {stored} was cosigned, {found} is new")]
    Fork {
        /// The log.
        origin: Origin,
        /// The size of both trees.
        size: TreeSize,
        /// The root that was cosigned.
        stored: RootHash,
        /// The root of the request.
        found: RootHash,
    },
    /// Refused: nothing shows that the log only grew.
    #[error("the consistency proof does not verify")]
    Proof(#[source] ProofError),
}

/// Decides on a request by the stored head alone.
///
/// SPEC: C2SP tlog-witness, add-checkpoint, in the order of the checks there; a checkpoint that contradicts
/// its own size or a head of the same size is 422, never 409: no retry could help.
pub fn decide(state: &HeadState, request: AuthenticRequest, now: UnixSeconds) -> Result<AdmittedHead, Refusal> {
    let AuthenticRequest { old, proof, checkpoint } = request;
    let head = checkpoint.id();
    if old > head.size {
        return Err(Refusal::OldAboveSize { old, size: head.size });
    }
    if old != state.size() {
        return Err(Refusal::OtherOldSize { old, stored: state.size() });
    }
    follows(state, checkpoint.origin(), head, &proof)?;
    Ok(AdmittedHead { checkpoint, cosign_at: not_before_stored(state, now) })
}

/// Checks that the tree of the stored head is the beginning of the tree of `head`.
fn follows(state: &HeadState, origin: &Origin, head: HeadId, proof: &ConsistencyProof) -> Result<(), Refusal> {
    if head.size == TreeSize::ZERO && head.root != empty_root() {
        return Err(Refusal::OtherEmptyRoot { found: head.root });
    }
    // SPEC: RFC 6962 §2.1: a log that was never cosigned begins with the empty tree.
    let from = state.id().unwrap_or(HeadId { size: TreeSize::ZERO, root: empty_root() });
    if head.size == from.size && head.root != from.root {
        return Err(Refusal::Fork { origin: origin.clone(), size: head.size, stored: from.root, found: head.root });
    }
    verify_consistency(from.size, from.root, head.size, head.root, proof).map_err(Refusal::Proof)
}

/// The stored time where the clock went back: a newer cosignature must not look older.
fn not_before_stored(state: &HeadState, now: UnixSeconds) -> UnixSeconds {
    match state {
        HeadState::NeverCosigned => now,
        HeadState::Cosigned(head) => now.max(head.cosigned_at),
    }
}

#[cfg(test)]
mod tests;
