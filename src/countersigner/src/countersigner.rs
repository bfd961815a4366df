//! The owner of everything the countersigner knows: one turn after the other, from following the log to an activation.
//!
//! Invariant: a turn may end anywhere, by an error or by a crash, and the next one, in this process or in another over
//! the same ledger, countersigns the same statements or none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use countermark_bundle::authority::AuthorityKeysError;
use countermark_bundle::identity::{Epoch, Timestamp};
use countermark_bundle::key::KeyId;
use countermark_bundle::trust::TrustFile;
use countermark_tlog::checkpoint::Checkpoint;
use countermark_tlog::size::{LeafIndex, TreeSize};
use thiserror::Error;

use crate::access::{AccessTokens, TokenFault};
use crate::countersign::{CountersignError, OperatorKey};
use crate::decide::OperatorRules;
use crate::follow::{FollowError, View};
use crate::ports::{
    Clock, CommitRowError, Ledger, LedgerFault, LogReader, LogSubmitter, RecordRefusalError, SubmitError,
};
use crate::receipt::{FetchError, ReceiptError, VerifiedReceipt};
use crate::replay::Replay;
use crate::stop::StopReason;

mod activate;
mod report;

/// What a countersigner is made with.
#[derive(Debug)]
pub struct Settings {
    /// The operator's own trust file: that of the namespace's creation.
    pub trust: TrustFile,
    /// Its countersigning key.
    pub key: OperatorKey,
    /// What it submits with.
    pub tokens: AccessTokens,
    /// What it agrees to.
    pub rules: OperatorRules,
}

/// The outside world.
#[derive(Clone)]
pub struct Ports {
    /// The log as it is read.
    pub reader: Arc<dyn LogReader>,
    /// The log as it is written to.
    pub submitter: Arc<dyn LogSubmitter>,
    /// The operator's memory.
    pub ledger: Arc<dyn Ledger>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ports")
    }
}

/// Why there is no countersigner.
#[derive(Debug, Error)]
pub enum StartError {
    /// Refused: the trust file is of a later set of keys, under which the first entries of the log cannot be checked.
    #[error("the trust file has serial {found}; the log is replayed from its first entry under the one of serial 0")]
    LaterTrust {
        /// Its serial.
        found: u64,
    },
    /// Refused: the trust file names keys that cannot be believed in.
    #[error(transparent)]
    Keys(#[from] AuthorityKeysError),
    /// Fault: the ledger was not read.
    #[error(transparent)]
    Ledger(#[from] LedgerFault),
}

/// Why a turn did not do everything there was to do. The next one tries again.
#[derive(Debug, Error)]
pub enum TurnError {
    /// The log was not followed.
    #[error(transparent)]
    Follow(FollowError),
    /// Refused: our key is none of the operator keys in force in the log.
    #[error("{key_id} is none of the operator keys in force")]
    KeyNotInForce {
        /// Our key.
        key_id: KeyId,
    },
    /// Refused: one countersignature does not activate.
    #[error("{threshold} operator keys must countersign; this service holds one")]
    Threshold {
        /// How many must.
        threshold: u64,
    },
    /// A certified statement and its path were not read.
    #[error("epoch {epoch} was not read")]
    Fetch {
        /// The epoch.
        epoch: Epoch,
        /// What failed.
        source: FetchError,
    },
    /// Refused: what the log served is no receipt.
    #[error("epoch {epoch} was not verified")]
    Receipt {
        /// The epoch.
        epoch: Epoch,
        /// What is wrong.
        source: ReceiptError,
    },
    /// Fault: the ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerFault),
    /// The ledger holds no row for this statement.
    #[error(transparent)]
    CommitRow(CommitRowError),
    /// The refusal was not recorded.
    #[error(transparent)]
    RecordRefusal(#[from] RecordRefusalError),
    /// Fault: no countersignature.
    #[error("epoch {epoch} was not countersigned")]
    Countersign {
        /// The epoch.
        epoch: Epoch,
        /// What failed.
        source: CountersignError,
    },
    /// Fault: no access token.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// The log did not take the activation, or did not say so.
    #[error("the activation of epoch {epoch} was not submitted")]
    Submit {
        /// The epoch.
        epoch: Epoch,
        /// What the log said.
        source: SubmitError,
    },
    /// The log took the activation and has not published it.
    #[error("the activation of epoch {epoch} is accepted and not published yet")]
    NotPublished {
        /// The epoch.
        epoch: Epoch,
    },
    /// The log said that the activation is published, and under its own head it is not.
    #[error(
        "the log says that entry {index} of size {size} activates epoch {epoch}; under the verified head it does not"
    )]
    NotThere {
        /// The epoch.
        epoch: Epoch,
        /// Where the log said that it stands.
        index: LeafIndex,
        /// The size the log named.
        size: TreeSize,
    },
    /// Never go on.
    #[error(transparent)]
    Stop(#[from] StopReason),
}

impl From<FollowError> for TurnError {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Stop(reason) => Self::Stop(reason),
            error @ (FollowError::Read(_)
            | FollowError::Head(_)
            | FollowError::Prefix(_)
            | FollowError::OtherTiles { .. }
            | FollowError::Bundle(_)
            | FollowError::OtherEntries { .. }
            | FollowError::Ledger(_)
            | FollowError::Advance(_)) => Self::Follow(error),
        }
    }
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Everything that could be done was done.
    Done,
    /// Nothing will ever be done again.
    Stopped,
}

/// A certified statement that is not yet known to be active or refused.
#[derive(Debug)]
struct Pending {
    counted_from: Timestamp,
    /// Verified once: a statement included under one verified head is included under every later one.
    receipt: Option<VerifiedReceipt>,
    waiting_until: Option<Timestamp>,
}

/// The operator's countersigner of one namespace.
#[derive(Debug)]
pub struct Countersigner {
    settings: Settings,
    ports: Ports,
    floor: Checkpoint,
    view: View,
    pending: BTreeMap<Epoch, Pending>,
    /// The size of the log whose statements were put among the pending ones.
    taken_up: TreeSize,
    stopped: Option<StopReason>,
}

impl Countersigner {
    /// Starts over an existing ledger. Nothing is read from the log yet.
    pub async fn start(settings: Settings, ports: Ports) -> Result<Self, StartError> {
        let trust = &settings.trust;
        if trust.serial != 0 {
            return Err(StartError::LaterTrust { found: trust.serial });
        }
        let view = View::new(Replay::new(trust, settings.key.key_id())?);
        let floor = Checkpoint { origin: trust.origin.clone(), size: trust.floor.size, root: trust.floor.root };
        let stopped = ports.ledger.fork().await?.map(|_| StopReason::ForkSeenBefore);
        if let Some(reason) = &stopped {
            alarm_stop(reason);
        }
        Ok(Self { settings, ports, floor, view, pending: BTreeMap::new(), taken_up: TreeSize::ZERO, stopped })
    }

    /// Why it stopped, if it did.
    #[must_use]
    pub const fn stopped(&self) -> Option<&StopReason> {
        self.stopped.as_ref()
    }

    /// Does everything that there is to do: follows the log, and countersigns or refuses what it finds.
    ///
    /// A statement that cannot be dealt with does not keep later ones waiting; the first error is returned in the end.
    pub async fn turn(&mut self) -> Result<Turn, TurnError> {
        if self.stopped.is_some() {
            return Ok(Turn::Stopped);
        }
        match self.try_turn().await {
            Ok(()) => Ok(Turn::Done),
            Err(TurnError::Stop(reason)) => {
                alarm_stop(&reason);
                self.stopped = Some(reason);
                Ok(Turn::Stopped)
            }
            Err(error) => Err(error),
        }
    }

    async fn try_turn(&mut self) -> Result<(), TurnError> {
        self.follow().await?;
        self.refuse_useless_key()?;
        let mut first_error = Ok(());
        // Oldest first: an epoch below one that was countersigned never can be.
        let epochs: BTreeSet<Epoch> = self.pending.keys().copied().collect();
        for epoch in epochs {
            match self.consider(epoch).await {
                Ok(()) => {}
                Err(TurnError::Stop(reason)) => return Err(reason.into()),
                Err(error) => first_error = first_error.and(Err(error)),
            }
        }
        first_error?;
        self.renew().await
    }

    /// Moves the view to the newest published head and takes up the statements that are new under it.
    async fn follow(&mut self) -> Result<(), TurnError> {
        let Ports { reader, ledger, clock, .. } = &self.ports;
        self.view.follow(reader.as_ref(), ledger.as_ref(), &self.floor, clock.now()).await?;
        let (known, size) = (self.taken_up, self.view.replay().size());
        if known == size {
            return Ok(());
        }
        let sightings: BTreeMap<Epoch, Timestamp> =
            ledger.sightings().await?.into_iter().map(|seen| (seen.epoch, seen.counted_from)).collect();
        for (epoch, record) in self.view.replay().state().statements() {
            if !record.index.is_in(known) {
                let counted_from = sightings.get(&epoch).copied().unwrap_or_else(|| record.certificate.time());
                self.pending.insert(epoch, Pending { counted_from, receipt: None, waiting_until: None });
            }
        }
        // Last: if the ledger failed above, the next turn takes the same statements up.
        self.taken_up = size;
        if let Some(head) = self.view.head() {
            tracing::info!(size = head.size().get(), head_time = %head.head_time(), "verified head");
        }
        Ok(())
    }

    fn refuse_useless_key(&self) -> Result<(), TurnError> {
        let operator = &self.view.replay().state().authority().keys().operator;
        if !operator.keys.contains(self.settings.key.public()) {
            return Err(TurnError::KeyNotInForce { key_id: self.settings.key.key_id() });
        }
        if operator.threshold != 1 {
            return Err(TurnError::Threshold { threshold: operator.threshold });
        }
        Ok(())
    }
}

fn alarm_stop(reason: &StopReason) {
    tracing::error!(name = reason.name(), %reason, "stopped: nothing is countersigned any more");
}

#[cfg(test)]
mod tests;
