//! What a witness does with a head that somebody shows it: compare it with every head that it cosigned, and keep the
//! evidence if the log contradicts itself.
//!
//! The peer that shows a head is believed in nothing. A head counts because the log signed it; a fork, because the
//! verifier's own code verified the evidence. What cannot be related is never a fork.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use countermark_tlog::checkpoint::{CheckpointError, Origin, SignedCheckpoint};
use countermark_tlog::fork::{
    ForkError, ForkId, ForkParseError, RelateError, Relation, UntrustedForkEvidence, relate_equal_sizes,
};
use countermark_tlog::gossip::Verdict;
use thiserror::Error;
use tokio::sync::Notify;

use crate::ports::{Clock, ClockError, ForkStore, HeadState, Kept, StoreError};
use crate::witness::Witness;

/// The most pushed heads that wait for the next round; further ones are left to the next push.
const WAITING_MAX: usize = 256;

/// Between those who hear of something and the task that looks into it.
#[derive(Default)]
pub struct Bell {
    /// Rung when evidence is new.
    pub found: Notify,
    waiting: Mutex<VecDeque<SignedCheckpoint>>,
}

impl Bell {
    fn wait(&self, head: &SignedCheckpoint) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX && !waiting.contains(head) {
            waiting.push_back(head.clone());
        }
    }

    /// The heads that were pushed and could not be judged at once.
    pub fn waiting(&self) -> Vec<SignedCheckpoint> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}

/// Why evidence was not kept.
#[derive(Debug, Error)]
pub enum ConvictError {
    /// The bytes are no evidence.
    #[error("malformed fork evidence")]
    Malformed(#[from] ForkParseError),
    /// The log is not followed; nothing is stored.
    #[error("the log {origin} is not followed")]
    NotFollowed {
        /// The log.
        origin: Origin,
    },
    /// The evidence proves nothing.
    #[error("the evidence proves no fork")]
    ProvesNothing(#[from] ForkError),
    /// Heads that cannot be set against each other.
    #[error(transparent)]
    Relate(#[from] RelateError),
    /// Fault: a stored checkpoint is not one.
    #[error("a stored checkpoint of {origin} is malformed")]
    Stored {
        /// The log.
        origin: Origin,
        /// Why.
        source: CheckpointError,
    },
    /// Fault: no usable time.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// Fault: the store gave no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<Store: ForkStore, Time: Clock> Witness<Store, Time> {
    /// Judges a head by the heads of the same size that were cosigned. A fork is kept before it is told.
    pub async fn hear(&self, head: &SignedCheckpoint) -> Result<Verdict, ConvictError> {
        let found = head.checkpoint();
        let Some(keys) = self.logs.keys_of(&found.origin) else { return Ok(Verdict::Unknown) };
        if head.verify_log(keys).is_err() {
            return Ok(Verdict::NotSigned);
        }
        if let Some(id) = self.store.fork_of(&found.origin).await? {
            return Ok(Verdict::Fork(id));
        }
        if let Some(id) = self.contradicted(head).await? {
            return Ok(Verdict::Fork(id));
        }
        Ok(match self.store.read(&found.origin).await? {
            HeadState::Cosigned(newest) if newest.id.size == found.size => Verdict::Consistent,
            HeadState::Cosigned(newest) if newest.id.size > found.size => {
                // An older head that was cosigned as it is.
                match self.store.cosigned_at(&found.origin, found.size).await? {
                    Some(_) => Verdict::Consistent,
                    None => Verdict::Behind,
                }
            }
            HeadState::Cosigned(_) | HeadState::NeverCosigned => Verdict::Ahead,
        })
    }

    /// As [`Self::hear`], and leaves what is not resolved to the next round of gossip.
    pub async fn hear_later(&self, head: &SignedCheckpoint) -> Result<Verdict, ConvictError> {
        let verdict = self.hear(head).await?;
        match verdict {
            Verdict::Behind | Verdict::Ahead => self.bell.wait(head),
            Verdict::Consistent | Verdict::Unknown | Verdict::NotSigned | Verdict::Fork(_) => {}
        }
        Ok(verdict)
    }

    /// Keeps evidence if an authentic head has another root than the head of its size that was cosigned.
    pub(crate) async fn contradicted(&self, head: &SignedCheckpoint) -> Result<Option<ForkId>, ConvictError> {
        let found = head.checkpoint();
        let Some(cosigned) = self.store.cosigned_at(&found.origin, found.size).await? else { return Ok(None) };
        let cosigned = SignedCheckpoint::parse_allowing_extensions(&cosigned)
            .map_err(|source| ConvictError::Stored { origin: found.origin.clone(), source })?;
        match relate_equal_sizes(&cosigned, head)? {
            Relation::Fork(evidence) => self.convict(*evidence).await.map(Some),
            Relation::Same | Relation::Grown | Relation::Unresolved => Ok(None),
        }
    }

    /// Takes evidence from anyone.
    pub async fn hear_evidence(&self, bytes: &[u8]) -> Result<ForkId, ConvictError> {
        self.convict(UntrustedForkEvidence::parse(bytes)?).await
    }

    /// Verifies evidence as any verifier does, keeps it, and says so.
    pub(crate) async fn convict(&self, evidence: UntrustedForkEvidence) -> Result<ForkId, ConvictError> {
        let Some(keys) = self.logs.keys_of(evidence.origin()) else {
            return Err(ConvictError::NotFollowed { origin: evidence.origin().clone() });
        };
        let evidence = evidence.verify(keys)?;
        let id = evidence.id();
        // 1. Durable. From here on no head of this log is replaced, by this process or another. A crash before it
        //    loses what anyone can find again: both heads are still signed.
        match self.store.keep_fork(&evidence, self.clock.now()?).await? {
            Kept::New => {}
            Kept::Already | Kept::Enough => return Ok(id),
        }
        // 2. Told. A crash before it is made good at the next start, which counts what is stored and says it again.
        let (smaller, larger) = (evidence.smaller(), evidence.larger());
        tracing::error!(
            origin = %evidence.origin(), evidence = %id, size = %smaller.size, root = %smaller.root,
            other_size = %larger.size, other_root = %larger.root,
            "A FOLLOWED LOG HAS FORKED: it signed two histories that cannot both be true. It is never cosigned again by \
             this witness. Fetch gossip/v1/forks and see the runbook, \"A log has forked\""
        );
        self.count_forks().await?;
        // 3. Passed on: the task of gossip wakes, and takes it to every peer and to the webhook. A crash before it is
        //    made good by the next round, which compares lists.
        self.bell.found.notify_one();
        Ok(id)
    }

    /// Sets the alarm's gauge to what is stored.
    pub async fn count_forks(&self) -> Result<usize, ConvictError> {
        let count = self.store.forks().await?.len();
        crate::metrics::forks(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
