//! What the status page says.

use countermark_bundle::identity::{Digest, Epoch, Timestamp};
use countermark_bundle::key::KeyId;
use serde::Serialize;

use crate::decide::RefusalReason;

/// The most countersigned and the most refused epochs that are shown.
pub const DECISIONS_MAX: u32 = 16;

/// The whole page, as `GET /v1/status` gives it.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The log's origin.
    pub origin: String,
    /// Following or stopped.
    pub state: State,
    /// Why it stopped.
    pub stop: Option<Stop>,
    /// The operator key that countersigns.
    pub operator_key: KeyId,
    /// Digest of the operator's policy set.
    pub policy: Digest,
    /// The newest verified head; absent before the first of this run.
    pub verified_head: Option<Head>,
    /// The newest certified epoch under it.
    pub newest_certified: Option<Epoch>,
    /// The newest active epoch under it.
    pub newest_active: Option<Epoch>,
    /// The newest rows of the ledger, newest first, at most [`DECISIONS_MAX`].
    pub countersigned: Vec<Countersigned>,
    /// The newest refusals, newest first, at most [`DECISIONS_MAX`].
    pub refused: Vec<Refused>,
    /// The statements that wait for their cool-off, by epoch.
    pub waiting: Vec<Waiting>,
    /// When the last turn ended, well or not.
    pub turned_at: Option<Timestamp>,
    /// The error of the last turn; absent if it went well.
    pub last_error: Option<LastError>,
}

/// Whether the log is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is.
    Following,
    /// Never again by this process.
    Stopped,
}

/// Why it stopped.
#[derive(Debug, Clone, Serialize)]
pub struct Stop {
    /// The reason's name.
    pub name: &'static str,
    /// The reason in words.
    pub detail: String,
}

/// A verified head.
#[derive(Debug, Clone, Serialize)]
pub struct Head {
    /// The size of the tree.
    pub size: u64,
    /// Its root, as the checkpoint writes it: base64.
    pub root: String,
    /// When the witness quorum last vouched for it.
    pub head_time: Timestamp,
}

/// A row of the ledger.
#[derive(Debug, Clone, Serialize)]
pub struct Countersigned {
    /// The epoch.
    pub epoch: Epoch,
    /// SHA-256 of its statement.
    pub digest: Digest,
    /// Where the certified statement stands.
    pub index: u64,
    /// The policy that decided.
    pub policy: Digest,
    /// Its rule.
    pub rule: String,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// Where its first activation stands; absent until it was seen.
    pub activation: Option<u64>,
}

/// A statement that will never be countersigned.
#[derive(Debug, Clone, Serialize)]
pub struct Refused {
    /// The epoch.
    pub epoch: Epoch,
    /// SHA-256 of its statement.
    pub digest: Digest,
    /// Where the certified statement stands.
    pub index: u64,
    /// When it was refused.
    pub refused_at: Timestamp,
    /// Why.
    pub reason: RefusalReason,
}

/// A statement that waits.
#[derive(Debug, Clone, Serialize)]
pub struct Waiting {
    /// The epoch.
    pub epoch: Epoch,
    /// SHA-256 of its statement.
    pub digest: Digest,
    /// Where the certified statement stands.
    pub index: u64,
    /// From when its cool-off is counted.
    pub counted_from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

/// Why the last turn did not do everything.
#[derive(Debug, Clone, Serialize)]
pub struct LastError {
    /// The error with its causes, outermost first.
    pub message: String,
    /// How many turns in a row have failed.
    pub turns: u32,
}

/// An error with its causes, outermost first.
pub(crate) fn message_of(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_message = inner.to_string();
        // A transparent error says the same as its cause.
        if !message.ends_with(&inner_message) {
            message.push_str(": ");
            message.push_str(&inner_message);
        }
        cause = inner.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{LedgerFault, SubmitError};
    use crate::testing::epoch;

    #[test]
    fn a_message_names_every_cause_once() {
        let submit = crate::countersigner::TurnError::Submit {
            epoch: epoch(3),
            source: SubmitError::Refused { status: 401, problem: None },
        };
        assert_eq!(
            message_of(&submit),
            "the activation of epoch 3 was not submitted: the log refused the entry with 401"
        );
        let fault = LedgerFault { action: "commit a row", source: "disk full".into() };
        let transparent = crate::countersigner::TurnError::Ledger(fault);
        assert_eq!(message_of(&transparent), "the ledger failed to commit a row: disk full");
    }
}
