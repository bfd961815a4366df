//! What is told about the witnesses of a namespace: who answers, who does not and why, and whether they are enough.
//!
//! It decides nothing: the quorum is the policy's, and rounds are [`crate::witness_round`]'s.

use std::fmt;

use countermark_bundle::identity::Timestamp;

use crate::ports::WitnessEndpoint;
use crate::published::Published;

/// What a witness last said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessHealth {
    /// The witness's name, from its key.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Its last valid cosignature.
    pub last_success: Option<Timestamp>,
    /// Its last failure since then.
    pub last_failure: Option<WitnessFailure>,
}

impl WitnessHealth {
    /// Whether the newest published head bears its cosignature, and it has not failed since.
    ///
    /// Both, because a head that does not change keeps old cosignatures: a witness that went silent would be counted for ever.
    #[must_use]
    pub fn cosigns(&self, published: Option<&Published>) -> bool {
        let bears = |published: &Published| published.cosigners.iter().any(|name| name.as_str() == self.name);
        self.last_failure.is_none() && published.is_some_and(bears)
    }
}

/// One failure of a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessFailure {
    /// When.
    pub at: Timestamp,
    /// Which kind of failure: stable.
    pub reason: WitnessFailureReason,
    /// What exactly, for people.
    pub detail: String,
}

/// How a witness can fail. A name never changes its meaning: programs act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WitnessFailureReason {
    /// No answer within the deadline of a call.
    Timeout,
    /// No connection, or it broke.
    Unreachable,
    /// Another status than 200 and 409.
    Refused,
    /// An answer that is not of the protocol, or too long.
    Malformed,
    /// No cosignature of the witness's own key, or one that does not verify over the head.
    InvalidCosignature,
    /// It claims to know a tree that this log does not continue.
    Conflict,
    /// The log could not make the question: our failure, not the witness's.
    NotAsked,
}

impl WitnessFailureReason {
    /// Its name in status documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::InvalidCosignature => "invalid-cosignature",
            Self::Conflict => "conflict",
            Self::NotAsked => "not-asked",
        }
    }
}

impl fmt::Display for WitnessFailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The witnesses of a namespace as its publisher task last found them.
#[derive(Debug, Clone, Default)]
pub(crate) struct WitnessRounds {
    /// In the order of the settings.
    pub(crate) witnesses: Vec<WitnessHealth>,
    /// Since when every round has ended without a quorum.
    pub(crate) without_quorum_since: Option<Timestamp>,
}

impl WitnessRounds {
    /// Before the first answer.
    pub(crate) fn unheard(witnesses: &[WitnessEndpoint]) -> Self {
        let unheard = |witness: &WitnessEndpoint| WitnessHealth {
            name: witness.name().to_owned(),
            url: witness.url.clone(),
            last_success: None,
            last_failure: None,
        };
        Self { witnesses: witnesses.iter().map(unheard).collect(), without_quorum_since: None }
    }
}
