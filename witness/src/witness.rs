//! The witness itself: the order in which a request is checked, cosigned, stored and answered.
//!
//! Nothing about a log is kept in memory between requests, so there is nothing to drop after a fault and
//! nothing to reload after a restart: the next request reads what is durable. Requests of different logs
//! share only the store; requests of one log race, and the compare-and-swap lets one of them win.

use std::time::Duration;

use countermark_tlog::checkpoint::{CheckpointError, Origin, SignedCheckpoint};
use countermark_tlog::cosignature::{Cosignature, CosignatureError};
use countermark_tlog::fork::ForkId;
use countermark_tlog::gossip::HeadPage;
use countermark_tlog::size::TreeSize;
use thiserror::Error;

use crate::authenticate::{AuthenticCheckpoint, AuthenticateError, authenticate};
use crate::conviction::{Bell, ConvictError};
use crate::cosigner::{CosignError, Cosigner};
use crate::decide::{Refusal, decide};
use crate::logs::FollowedLogs;
use crate::metrics;
use crate::ports::{Clock, ClockError, CosignedHead, ForkStore, HeadId, HeadState, StoreError, Swap};

/// A witness over a store and a clock.
pub struct Witness<Store, Time> {
    pub(crate) logs: FollowedLogs,
    pub(crate) cosigner: Cosigner,
    pub(crate) store: Store,
    pub(crate) clock: Time,
    pub(crate) bell: Bell,
}

/// Why a checkpoint was not cosigned.
#[derive(Debug, Error)]
pub enum AddCheckpointError {
    /// Refused before anything about the log was looked at.
    #[error(transparent)]
    NotAuthentic(#[from] AuthenticateError),
    /// Refused for now: the log has asked too often.
    #[error("the log {origin} has asked too often")]
    Throttled {
        /// The log.
        origin: Origin,
        /// When there is room for one more request.
        retry_after: Duration,
    },
    /// Refused, or a conflict, in view of what was cosigned before.
    #[error(transparent)]
    NotAdmitted(#[from] Refusal),
    /// Refused for good: there is evidence that the log forked.
    #[error("the log {origin} has forked: its evidence is gossip/v1/forks/{evidence}")]
    Forked {
        /// The log.
        origin: Origin,
        /// The name of the evidence.
        evidence: ForkId,
    },
    /// Fault: evidence of a fork was not kept.
    #[error("the evidence of a fork was not kept")]
    Evidence(#[source] ConvictError),
    /// Fault: no usable time.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// Fault: no cosignature.
    #[error(transparent)]
    Cosign(#[from] CosignError),
    /// Fault: the store gave no answer; what is stored is not known.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a witness does not start with the state it found.
#[derive(Debug, Error)]
pub enum StateError {
    /// The state could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored checkpoint is not one.
    #[error("the stored checkpoint of {origin} is malformed")]
    Checkpoint {
        /// The log.
        origin: Origin,
        /// Why.
        source: CheckpointError,
    },
    /// The stored checkpoint says something else than the columns beside it.
    #[error("the stored checkpoint of {origin} is not the head that the state names")]
    OtherHead {
        /// The log.
        origin: Origin,
    },
    /// The stored cosignatures are of other keys: this is the state of another witness.
    #[error(
        "the stored head of {origin} was not cosigned by this witness's key: is this the state of another witness?"
    )]
    OtherWitness {
        /// The log.
        origin: Origin,
    },
    /// The stored cosignature does not verify.
    #[error("the stored cosignature of {origin} does not verify")]
    Cosignature {
        /// The log.
        origin: Origin,
        /// Why.
        source: CosignatureError,
    },
}

impl<Store: ForkStore, Time: Clock> Witness<Store, Time> {
    /// Puts a witness together.
    pub fn new(logs: FollowedLogs, cosigner: Cosigner, store: Store, clock: Time) -> Self {
        Self { logs, cosigner, store, clock, bell: Bell::default() }
    }

    /// Answers one `add-checkpoint` with the cosignature lines.
    ///
    /// Dropping the future, as a client does that hangs up, is a crash at the step it had reached.
    pub async fn add_checkpoint(&self, body: &[u8]) -> Result<String, AddCheckpointError> {
        let request = authenticate(body, &self.logs)?;
        let origin = request.checkpoint.origin().clone();
        let old = request.old;
        // Charged once the log itself asked, so that nobody else spends its budget.
        self.logs
            .charge(&origin)
            .map_err(|retry_after| AddCheckpointError::Throttled { origin: origin.clone(), retry_after })?;
        // 1. Read what is durable. A crash here, or an error, has changed nothing.
        let state = self.store.read(&origin).await?;
        // A log with evidence against it is never cosigned past it. Evidence that comes after this line stops step 4.
        if let Some(evidence) = self.store.fork_of(&origin).await? {
            return Err(AddCheckpointError::Forked { origin, evidence });
        }
        self.keep_contradiction(&request.checkpoint, &state).await?;
        // 2. Verify everything against it. A crash here has changed nothing.
        let admitted = decide(&state, request, self.clock.now()?).inspect_err(|refusal| {
            if matches!(refusal, Refusal::Fork { .. } | Refusal::Proof(_)) {
                metrics::fork_refused(&origin, self.logs.count());
            }
        })?;
        // 3. Cosign in memory. A crash here loses a signature that nobody has seen.
        let head = self.cosigner.cosign(&admitted)?;
        // 4. The commit point: one transaction, shared with other logs' requests, that takes the place of exactly the
        //    head read in step 1; then the head register is raised. A crash here leaves the old head or the new one;
        //    both are true. After an error it is not known which; the signature is dropped with this frame and the
        //    next request reads again.
        match self.store.swap(&origin, state.id(), &head).await {
            Ok(Swap::Stored | Swap::NewerKept) => {}
            // Evidence may have come between the check and the swap, and then it was the store that held the line.
            Err(error) => {
                return Err(match self.store.fork_of(&origin).await {
                    Ok(Some(evidence)) => AddCheckpointError::Forked { origin, evidence },
                    Ok(None) | Err(_) => error.into(),
                });
            }
            Ok(Swap::Lost) => {
                // Another request was faster. Its head is the newest; ours may roll nothing back.
                let stored = self.store.read(&origin).await?.size();
                return Err(Refusal::OtherOldSize { old, stored }.into());
            }
        }
        // 5. Only now may the signature leave. A crash here loses the answer: the client is told the
        //    stored size on its retry, and a request from that size to itself renews the cosignature.
        metrics::cosigned(&origin, self.logs.count());
        Ok(head.cosignatures)
    }

    /// Says whether the state can be read and written.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }

    /// Keeps the evidence if the log signed another root of a size that was cosigned, whatever else the request says.
    async fn keep_contradiction(
        &self,
        checkpoint: &AuthenticCheckpoint,
        state: &HeadState,
    ) -> Result<(), AddCheckpointError> {
        // Sizes above the newest were never cosigned. The empty tree has one root, which `decide` looks at.
        let id = checkpoint.id();
        if id.size > state.size() || id.size == TreeSize::ZERO || state.id() == Some(id) {
            return Ok(());
        }
        match SignedCheckpoint::parse_allowing_extensions(&checkpoint.to_bytes()) {
            Ok(signed) => self.contradicted(&signed).await.map(drop).map_err(AddCheckpointError::Evidence),
            Err(source) => Err(AuthenticateError::MalformedCheckpoint(source).into()),
        }
    }

    /// The newest cosigned checkpoint of the log under `path`: the log's verified signatures, then ours.
    ///
    /// `None` for a log that is not followed or was never cosigned.
    pub async fn newest_checkpoint(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(origin) = self.logs.at_path(path) else {
            return Ok(None);
        };
        match self.store.read_to_show(origin).await? {
            HeadState::NeverCosigned => Ok(None),
            HeadState::Cosigned(head) => Ok(Some(note_bytes(&head))),
        }
    }

    /// A page of the newest cosigned heads, in the order of the logs' hashes, after the log of this hash.
    pub async fn newest_heads(&self, after: Option<&str>) -> Result<HeadPage, ConvictError> {
        let mut page = HeadPage::default();
        for origin in self.logs.after(after) {
            let HeadState::Cosigned(head) = self.store.read_to_show(origin).await? else { continue };
            let head = SignedCheckpoint::parse_allowing_extensions(&note_bytes(&head))
                .map_err(|source| ConvictError::Stored { origin: origin.clone(), source })?;
            if !page.push(head) {
                break;
            }
        }
        Ok(page)
    }

    /// The checkpoint of exactly this size that was cosigned, of the log with this hash: the log's signatures alone.
    pub async fn head_at(&self, origin_hash: &str, size: TreeSize) -> Result<Option<Vec<u8>>, StoreError> {
        match self.logs.at_path(&format!("{origin_hash}/checkpoint")) {
            Some(origin) => self.store.cosigned_at(origin, size).await,
            None => Ok(None),
        }
    }

    /// Checks that every stored head of a followed log is whole and was cosigned by this witness's key.
    ///
    /// Run before anything is served: a state that was swapped with another witness's would let this one
    /// go back behind its own cosignatures.
    pub async fn verify_state(&self) -> Result<(), StateError> {
        for origin in self.logs.origins() {
            if let HeadState::Cosigned(head) = self.store.read(origin).await? {
                verify_stored(origin, &head, &self.cosigner)?;
            }
        }
        Ok(())
    }
}

/// What monitors are shown of a head: the note with the log's lines, then ours.
pub(crate) fn note_bytes(head: &CosignedHead) -> Vec<u8> {
    let mut note = head.checkpoint.clone();
    note.extend_from_slice(head.cosignatures.as_bytes());
    note
}

fn verify_stored(origin: &Origin, head: &CosignedHead, cosigner: &Cosigner) -> Result<(), StateError> {
    let stored = SignedCheckpoint::parse_allowing_extensions(&note_bytes(head))
        .map_err(|source| StateError::Checkpoint { origin: origin.clone(), source })?;
    let checkpoint = stored.checkpoint();
    let id = HeadId { size: checkpoint.size, root: checkpoint.root };
    if (&checkpoint.origin, id) != (origin, head.id) {
        return Err(StateError::OtherHead { origin: origin.clone() });
    }
    let mut valid = 0_usize;
    for own_key in cosigner.vkeys() {
        // A key that the witness was given later has no line on older heads.
        let Some(line) = stored.note().signature_of(own_key) else { continue };
        let cosignature = Cosignature::from_note_signature(line).and_then(|cosignature| {
            cosignature.verify(own_key, stored.note().text())?;
            Ok(cosignature)
        });
        match cosignature {
            Ok(cosignature) if cosignature.timestamp == head.cosigned_at.get() => valid = valid.saturating_add(1),
            Ok(_) => return Err(StateError::OtherHead { origin: origin.clone() }),
            Err(source) => return Err(StateError::Cosignature { origin: origin.clone(), source }),
        }
    }
    if valid > 0 { Ok(()) } else { Err(StateError::OtherWitness { origin: origin.clone() }) }
}

#[cfg(test)]
mod tests;
