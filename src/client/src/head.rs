//! A tree head that a policy accepted: signed by the log, cosigned by a quorum of witnesses.
//!
//! It says nothing about age: who needs a fresh head compares [`VerifiedHead::time`] with a clock.

use countermark_bundle::ExitClass;
use countermark_bundle::identity::Timestamp;
use countermark_tlog::checkpoint::{Checkpoint, CheckpointError, Origin, SignedCheckpoint};
use countermark_tlog::note::{KeyName, NoteError};
use countermark_tlog::policy::{Policy, PolicyError, WitnessedCheckpoint};
use countermark_tlog::size::TreeSize;

use crate::fetch::{FetchError, TileSource};

/// A tree head under a policy. Only [`VerifiedHead::verify`] and what calls it make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedHead(WitnessedCheckpoint);

/// Why a tree head is not believed.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// It was not fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Not a checkpoint.
    #[error("the checkpoint: {0}")]
    Malformed(CheckpointError),
    /// Of another log.
    #[error("the checkpoint is of {found}, expected {expected}")]
    OtherOrigin {
        /// The log that the policy is about.
        expected: Origin,
        /// The log that the checkpoint names.
        found: Origin,
    },
    /// No signature of a log key of the policy.
    #[error("the checkpoint is not signed by a log key that is trusted")]
    UnknownLogKey,
    /// The log's signature does not verify.
    #[error("the log's signature: {0}")]
    LogSignature(NoteError),
    /// A witness's cosignature that does not verify, or that this version cannot check, spoils the checkpoint.
    #[error("the cosignatures: {0}")]
    Cosignature(PolicyError),
    /// Too few witnesses.
    #[error("the witness quorum is not met: {} witnesses cosigned", cosigned.len())]
    Quorum {
        /// Those that did.
        cosigned: Vec<KeyName>,
    },
}

impl HeadError {
    /// The class that a process exits with.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Fetch(error) => error.exit_class(),
            Self::Malformed(_) => ExitClass::Malformed,
            Self::OtherOrigin { .. } | Self::UnknownLogKey => ExitClass::UnknownAuthority,
            Self::LogSignature(_) | Self::Cosignature(_) => ExitClass::Proof,
            Self::Quorum { .. } => ExitClass::Quorum,
        }
    }

    pub(crate) fn of_policy(expected: &Origin, error: PolicyError) -> Self {
        match error {
            PolicyError::UnknownOrigin { origin } => Self::OtherOrigin { expected: expected.clone(), found: origin },
            PolicyError::LogSignature(NoteError::NoKnownSignature) => Self::UnknownLogKey,
            PolicyError::LogSignature(error) => Self::LogSignature(error),
            PolicyError::QuorumNotMet { found } => Self::Quorum { cosigned: found },
            error @ PolicyError::WitnessSignature(_) => Self::Cosignature(error),
        }
    }
}

impl VerifiedHead {
    /// Verifies a checkpoint of one log under a policy.
    pub fn verify(signed: &SignedCheckpoint, origin: &Origin, policy: &Policy) -> Result<Self, HeadError> {
        let found = &signed.checkpoint().origin;
        if found != origin {
            return Err(HeadError::OtherOrigin { expected: origin.clone(), found: found.clone() });
        }
        policy.verify(signed).map(Self).map_err(|error| HeadError::of_policy(origin, error))
    }

    /// Fetches the newest checkpoint and verifies it.
    pub async fn fetch(source: &dyn TileSource, origin: &Origin, policy: &Policy) -> Result<Self, HeadError> {
        Self::verify(&fetch_unverified(source).await?, origin, policy)
    }

    /// The tree head.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        self.0.checkpoint()
    }

    /// The tree's size.
    #[must_use]
    pub const fn size(&self) -> TreeSize {
        self.checkpoint().size
    }

    /// The time that the quorum vouches for; `None` if the policy asks for no witnesses.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        self.0.time().and_then(Timestamp::from_unix)
    }

    /// The witnesses whose cosignatures count, by key name.
    #[must_use]
    pub fn witnesses(&self) -> Vec<KeyName> {
        self.0.witnesses()
    }
}

impl From<WitnessedCheckpoint> for VerifiedHead {
    fn from(witnessed: WitnessedCheckpoint) -> Self {
        Self(witnessed)
    }
}

/// Fetches the newest checkpoint. It has the form of one, and nothing more.
pub(crate) async fn fetch_unverified(source: &dyn TileSource) -> Result<SignedCheckpoint, HeadError> {
    let note = source.checkpoint().await?;
    SignedCheckpoint::parse(&note).map_err(HeadError::Malformed)
}

#[cfg(test)]
mod tests;
