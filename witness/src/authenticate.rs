//! From bytes to a checkpoint that a followed log signed. Pure.
//!
//! [`authenticate`] is the only place that makes an [`AuthenticCheckpoint`]. That it is authentic says
//! nothing about whether the log grew honestly; that is for `decide`.

use countermark_tlog::checkpoint::{CheckpointError, Origin, SignedCheckpoint};
use countermark_tlog::hash::{Hash, RootHash};
use countermark_tlog::note::{NoteError, SignedNote, VerifierKey};
use countermark_tlog::proof::ConsistencyProof;
use countermark_tlog::size::TreeSize;
use countermark_tlog::witness_wire::{AddCheckpointRequest, WitnessWireError};
use thiserror::Error;

use crate::logs::FollowedLogs;
use crate::ports::HeadId;

/// A request whose checkpoint is authentic. Old size and proof are still only what the client says.
#[derive(Debug)]
pub struct AuthenticRequest {
    /// The size that the client believes is the newest cosigned one.
    pub old: TreeSize,
    /// From there to the checkpoint.
    pub proof: ConsistencyProof,
    /// What the log signed.
    pub checkpoint: AuthenticCheckpoint,
}

/// A checkpoint that carries verified signatures of a followed log, and no other lines.
#[derive(Debug)]
pub struct AuthenticCheckpoint {
    origin: Origin,
    id: HeadId,
    note: SignedNote,
}

/// Why bytes are no request with an authentic checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AuthenticateError {
    /// The body is not one of the protocol.
    #[error("the request is malformed")]
    MalformedRequest(#[source] WitnessWireError),
    /// What follows the proof is no checkpoint.
    #[error("the checkpoint is malformed")]
    MalformedCheckpoint(#[source] CheckpointError),
    /// The log is not followed.
    #[error("the log {origin} is not followed")]
    UnknownOrigin {
        /// What the checkpoint names.
        origin: Origin,
    },
    /// No key of the log signed, or a line that says it is of such a key does not verify.
    #[error("the checkpoint is not signed by {origin}")]
    NotSigned {
        /// The log.
        origin: Origin,
        /// Why.
        source: NoteError,
    },
}

impl AuthenticCheckpoint {
    /// Which log.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Which head of it.
    pub fn id(&self) -> HeadId {
        self.id
    }

    /// The text that the log signed and the witness cosigns, extension lines included.
    pub fn text(&self) -> &str {
        self.note.text()
    }

    /// The note with the log's verified lines alone.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.note.to_bytes()
    }
}

/// Reads a request and verifies that a followed log signed its checkpoint.
///
/// SPEC: C2SP tlog-witness, add-checkpoint: malformed, then unknown origin, then signature.
pub fn authenticate(body: &[u8], logs: &FollowedLogs) -> Result<AuthenticRequest, AuthenticateError> {
    let request = AddCheckpointRequest::parse(body).map_err(AuthenticateError::MalformedRequest)?;
    let (origin, id, note) = parse_checkpoint(&request.checkpoint).map_err(AuthenticateError::MalformedCheckpoint)?;
    let Some(keys) = logs.keys_of(&origin) else {
        return Err(AuthenticateError::UnknownOrigin { origin });
    };
    let note = match note.verify(keys) {
        Ok(signers) => with_lines_of(&note, &signers),
        Err(source) => return Err(AuthenticateError::NotSigned { origin, source }),
    };
    Ok(AuthenticRequest {
        old: request.old,
        proof: request.proof,
        checkpoint: AuthenticCheckpoint { origin, id, note },
    })
}

fn parse_checkpoint(bytes: &[u8]) -> Result<(Origin, HeadId, SignedNote), CheckpointError> {
    match SignedCheckpoint::parse_allowing_extensions(bytes) {
        Ok(signed) => {
            let checkpoint = signed.checkpoint();
            let id = HeadId { size: checkpoint.size, root: checkpoint.root };
            Ok((checkpoint.origin.clone(), id, signed.note().clone()))
        }
        // Well-formed but for its root, which `decide` refuses once the log is known to have signed it.
        Err(CheckpointError::EmptyRoot) => parse_other_empty_root(bytes),
        Err(error) => Err(error),
    }
}

/// Reads a checkpoint of size 0 whose root is not the empty tree's.
fn parse_other_empty_root(bytes: &[u8]) -> Result<(Origin, HeadId, SignedNote), CheckpointError> {
    let note = SignedNote::parse(bytes)?;
    let mut lines = note.text().split('\n');
    let (Some(origin), Some("0"), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
        return Err(CheckpointError::EmptyRoot);
    };
    let id =
        HeadId { size: TreeSize::ZERO, root: RootHash(Hash::from_base64(root).map_err(|_| CheckpointError::Root)?) };
    Ok((Origin::new(origin)?, id, note))
}

/// SPEC: C2SP tlog-witness, add-checkpoint: signatures of unknown keys are ignored; they are not stored or
/// served under our cosignature either.
fn with_lines_of(note: &SignedNote, signers: &[VerifierKey]) -> SignedNote {
    let verified = note.signatures().iter().filter(|line| signers.iter().any(|key| line.is_of(key))).cloned().collect();
    SignedNote::new(note.text(), verified)
        .expect("the text is of a note that was read, and `verify` names at least one signer")
}

#[cfg(test)]
mod tests;
