//! `sign-subtree`: a signature on a part of a tree that the witness has cosigned.
//!
//! It changes no state and says nothing about time: what is signed follows, by proof, from a head that carries this
//! witness's cosignature or is one that it remembers. Of a log that has forked nothing is signed any more. Only ML-DSA-44 signs subtrees; a witness without such a key does not offer it.
//!
//! Source: <https://c2sp.org/tlog-witness>, sign-subtree.

use countermark_tlog::checkpoint::{Checkpoint, Origin, SignedCheckpoint};
use countermark_tlog::cosignature::{Cosignature, CosignatureError};
use countermark_tlog::fork::ForkId;
use countermark_tlog::note::{NoteSignature, SignatureType, VerifierKey};
use countermark_tlog::size::TreeSize;
use countermark_tlog::subtree::{Subtree, SubtreeError};
use countermark_tlog::witness_wire::{SignSubtreeRequest, WitnessWireError};
use thiserror::Error;

use crate::cosigner::CosignError;
use crate::ports::{Clock, ForkStore, HeadState, StoreError};
use crate::witness::{Witness, note_bytes};

/// Why a subtree was not signed.
#[derive(Debug, Error)]
pub enum SignSubtreeError {
    /// Refused: this witness has no key that signs subtrees.
    #[error("this witness has no ML-DSA-44 key, and signs no subtrees")]
    NotOffered,
    /// Refused: the body is not one of the protocol.
    #[error("the request is malformed")]
    Malformed(#[source] WitnessWireError),
    /// Refused: the log is not followed.
    #[error("the log {origin} is not followed")]
    UnknownOrigin {
        /// What the checkpoint names.
        origin: Origin,
    },
    /// Refused for good: there is evidence that the log has forked.
    #[error("the log {origin} has forked; the evidence is {evidence}")]
    Forked {
        /// The log.
        origin: Origin,
        /// Which evidence.
        evidence: ForkId,
    },
    /// Refused: the range is no subtree of the checkpoint's tree.
    #[error("the range is no subtree")]
    Range(#[source] SubtreeError),
    /// Refused: a line that says it is of a key that is known does not verify.
    #[error("a signature of {key} does not verify")]
    BadSignature {
        /// The key.
        key: VerifierKey,
        /// Why.
        source: CosignatureError,
    },
    /// Conflict: this witness has not cosigned the checkpoint; try from the one given.
    #[error("the reference checkpoint of size {size} is not known here")]
    UnknownCheckpoint {
        /// Its size.
        size: TreeSize,
        /// The newest cosigned checkpoint of that log, cosignatures included; `None` if there is none.
        known: Option<Vec<u8>>,
    },
    /// Refused: the proof does not lead from the subtree to the checkpoint.
    #[error("the proof of the subtree does not verify")]
    Proof(#[source] SubtreeError),
    /// Fault: no signature.
    #[error(transparent)]
    Sign(#[from] CosignError),
    /// Fault: the store gave no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<Store: ForkStore, Time: Clock> Witness<Store, Time> {
    /// Answers one `sign-subtree` with the signature line. Reads the state at most, and may read an old one.
    pub async fn sign_subtree(&self, body: &[u8]) -> Result<String, SignSubtreeError> {
        if !self.cosigner.vkeys().any(signs_subtrees) {
            return Err(SignSubtreeError::NotOffered);
        }
        let request = SignSubtreeRequest::parse(body).map_err(SignSubtreeError::Malformed)?;
        let origin = &request.checkpoint.origin;
        let Some(log_keys) = self.logs.keys_of(origin) else {
            return Err(SignSubtreeError::UnknownOrigin { origin: origin.clone() });
        };
        if let Some(evidence) = self.store.fork_of(origin).await? {
            return Err(SignSubtreeError::Forked { origin: origin.clone(), evidence });
        }
        let subtree = Subtree::new(request.start, request.end).map_err(SignSubtreeError::Range)?;
        let size = request.checkpoint.size;
        if subtree.end() > size.get() {
            return Err(SignSubtreeError::Range(SubtreeError::OutsideTree { end: subtree.end(), size }));
        }
        self.check_cosignatures(&request, subtree, log_keys)?;
        self.check_checkpoint(&request).await?;
        subtree
            .verify_consistency(request.root, size, request.checkpoint.root, &request.proof)
            .map_err(SignSubtreeError::Proof)?;
        Ok(self.cosigner.sign_subtree(origin, subtree, request.root)?)
    }

    /// SPEC: C2SP tlog-witness, sign-subtree: cosignatures on the subtree must be valid, those of unknown keys are ignored.
    fn check_cosignatures(
        &self,
        request: &SignSubtreeRequest,
        subtree: Subtree,
        log_keys: &[VerifierKey],
    ) -> Result<(), SignSubtreeError> {
        for line in &request.cosignatures {
            let mut known = log_keys.iter().chain(self.cosigner.vkeys()).filter(|key| signs_subtrees(key));
            let Some(key) = known.find(|key| line.is_of(key)) else { continue };
            Cosignature::from_note_signature(line)
                .and_then(|found| found.verify_subtree(key, &request.checkpoint.origin, subtree, request.root))
                .map_err(|source| SignSubtreeError::BadSignature { key: key.clone(), source })?;
        }
        Ok(())
    }

    /// Whether the checkpoint is one that this witness cosigned: by its own signature on it, or by the heads it remembers.
    async fn check_checkpoint(&self, request: &SignSubtreeRequest) -> Result<(), SignSubtreeError> {
        let mut is_ours = false;
        for key in self.cosigner.vkeys() {
            for line in request.signatures.iter().filter(|line| line.is_of(key)) {
                verify_own(line, key, &request.text)?;
                is_ours = true;
            }
        }
        if is_ours {
            return Ok(());
        }
        let Checkpoint { origin, size, root } = &request.checkpoint;
        // What is answered here is stamped with no time, and is true of a head that the register does not cover yet.
        if let Some(cosigned) = self.store.cosigned_at(origin, *size).await? {
            let stored = SignedCheckpoint::parse_allowing_extensions(&cosigned);
            if stored.is_ok_and(|stored| stored.checkpoint().root == *root) {
                return Ok(());
            }
        }
        let known = match self.store.read_to_show(origin).await? {
            HeadState::Cosigned(head) => Some(note_bytes(&head)),
            HeadState::NeverCosigned => None,
        };
        Err(SignSubtreeError::UnknownCheckpoint { size: *size, known })
    }
}

fn verify_own(line: &NoteSignature, key: &VerifierKey, text: &str) -> Result<(), SignSubtreeError> {
    Cosignature::from_note_signature(line)
        .and_then(|cosignature| cosignature.verify(key, text))
        .map_err(|source| SignSubtreeError::BadSignature { key: key.clone(), source })
}

fn signs_subtrees(key: &VerifierKey) -> bool {
    key.kind() == SignatureType::CosignatureMlDsa44
}

#[cfg(test)]
mod tests;
