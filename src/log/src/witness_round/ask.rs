//! One question to one witness: a cosignature on one head.

use std::sync::Arc;
use std::time::Duration;

use countermark_bundle::identity::Timestamp;
use countermark_tlog::checkpoint::{CheckpointError, SignedCheckpoint};
use countermark_tlog::cosignature::{Cosignature, CosignatureError};
use countermark_tlog::note::NoteSignature;
use countermark_tlog::size::TreeSize;
use countermark_tlog::witness_wire::{
    AddCheckpointRequest, WitnessWireError, parse_conflict_body, parse_cosignature_lines,
};
use thiserror::Error;
use tokio::time::timeout;

use crate::ports::{UntrustedWitnessAnswer, WitnessClient, WitnessEndpoint, WitnessError};
use crate::proofs::{ReadError, TileReader};
use crate::published::Committed;
use crate::sequencer::WitnessFailureReason;

/// Everything that one question needs.
pub(super) struct Question {
    pub(super) client: Arc<dyn WitnessClient>,
    pub(super) reader: Arc<TileReader>,
    pub(super) witness: Arc<WitnessEndpoint>,
    /// The size that the witness is believed to know.
    pub(super) known: TreeSize,
    pub(super) head: Arc<Committed>,
    /// Of each call; a witness that names another size is called twice.
    pub(super) deadline: Duration,
}

/// What became of a question.
pub(super) struct Asked {
    /// The size of the head that was asked about.
    pub(super) size: TreeSize,
    /// The size that the witness is now believed to know.
    pub(super) known: TreeSize,
    /// Verified cosignatures on the head, at least one and at most one of each of its keys, or why there is none.
    pub(super) outcome: Result<Vec<NoteSignature>, AskError>,
}

/// Why a witness gave no cosignature.
#[derive(Debug, Error)]
pub(super) enum AskError {
    #[error("no answer in time")]
    Timeout,
    #[error(transparent)]
    Client(#[from] WitnessError),
    #[error("the witness answered {status}")]
    Refused { status: u16 },
    #[error("the witness's answer: {0}")]
    Malformed(#[from] WitnessWireError),
    #[error("a 409 answer that names no size")]
    NoSize,
    #[error("the witness's answer has no cosignature of its own key")]
    NoCosignature,
    #[error("the witness's cosignature: {0}")]
    Cosignature(#[from] CosignatureError),
    #[error("the cosignature is stamped {found}, which is no time before the year 10000")]
    Stamp { found: u64 },
    #[error("the witness knows a tree of size {known}, larger than this head of size {size}")]
    Ahead { known: TreeSize, size: TreeSize },
    #[error("the witness named size {known} twice and did not take a proof from there")]
    Undecided { known: TreeSize },
    #[error("the consistency proof could not be made: {0}")]
    Proof(#[from] ReadError),
    #[error("the signed head cannot be read back: {0}")]
    Head(#[from] CheckpointError),
}

impl AskError {
    /// Which kind of failure it is, for whoever acts on it.
    pub(super) const fn reason(&self) -> WitnessFailureReason {
        match self {
            Self::Timeout => WitnessFailureReason::Timeout,
            Self::Client(WitnessError::Unreachable { .. }) => WitnessFailureReason::Unreachable,
            Self::Client(WitnessError::Status { .. }) | Self::Refused { .. } => WitnessFailureReason::Refused,
            Self::Client(WitnessError::TooLong) | Self::Malformed(_) | Self::NoSize => WitnessFailureReason::Malformed,
            Self::NoCosignature | Self::Cosignature(_) | Self::Stamp { .. } => WitnessFailureReason::InvalidCosignature,
            Self::Ahead { .. } | Self::Undecided { .. } => WitnessFailureReason::Conflict,
            Self::Proof(_) | Self::Head(_) => WitnessFailureReason::NotAsked,
        }
    }
}

/// Asks, and asks once more if the witness names another size.
pub(super) async fn ask(question: Question) -> Asked {
    let mut known = question.known;
    let outcome = converse(&question, &mut known).await;
    Asked { size: question.head.head.size, known, outcome }
}

async fn converse(question: &Question, known: &mut TreeSize) -> Result<Vec<NoteSignature>, AskError> {
    let size = question.head.head.size;
    for last in [false, true] {
        let answer = post(question, *known).await?;
        let body = match answer {
            UntrustedWitnessAnswer::Cosignatures(lines) => {
                let cosignature = verify(question, &lines)?;
                *known = size;
                return Ok(cosignature);
            }
            UntrustedWitnessAnswer::Refused { status } => return Err(AskError::Refused { status }),
            UntrustedWitnessAnswer::OtherSize(body) => body,
        };
        let body = std::str::from_utf8(&body).map_err(|_| AskError::NoSize)?;
        let named = parse_conflict_body(body).map_err(|_| AskError::NoSize)?;
        if named > size {
            // Nobody but this process signs heads of this log, so the witness errs or lies; if it does not, the next
            // start-up finds the larger head under the log's own signature and refuses to sign.
            return Err(AskError::Ahead { known: named, size });
        }
        if last || named == *known {
            return Err(AskError::Undecided { known: named });
        }
        *known = named;
    }
    Err(AskError::Undecided { known: *known })
}

async fn post(question: &Question, known: TreeSize) -> Result<UntrustedWitnessAnswer, AskError> {
    let Question { reader, head, .. } = question;
    let proof = reader.consistency(known, head.head.size).await?;
    let Some(proof) = proof else {
        return Err(AskError::Ahead { known, size: head.head.size });
    };
    let request = AddCheckpointRequest { old: known, proof, checkpoint: head.head.checkpoint.clone() };
    let call = question.client.add_checkpoint(&question.witness, request.to_bytes());
    let answer = timeout(question.deadline, call).await.map_err(|_| AskError::Timeout)?;
    Ok(answer?)
}

/// Finds the witness's own lines and verifies them over the head; other lines mean nothing here.
///
/// A witness may give lines of some of its keys alone. One that does not verify spoils the answer: it would spoil the note.
fn verify(question: &Question, lines: &[u8]) -> Result<Vec<NoteSignature>, AskError> {
    let head = SignedCheckpoint::parse(&question.head.head.checkpoint)?;
    let lines = parse_cosignature_lines(lines)?;
    let mut own = Vec::new();
    for key in &question.witness.vkeys {
        let Some(line) = lines.iter().find(|line| line.is_of(key)) else { continue };
        let cosignature = Cosignature::from_note_signature(line)?;
        cosignature.verify(key, head.note().text())?;
        let found = cosignature.timestamp;
        Timestamp::from_unix(found).ok_or(AskError::Stamp { found })?;
        own.push(line.clone());
    }
    if own.is_empty() { Err(AskError::NoCosignature) } else { Ok(own) }
}
