//! What the operator agrees to: its own policy, its cool-off, and nothing that was revoked.
//!
//! It is pure. It does not look at what was decided before: the ledger does, and its word is final.

use countermark_bundle::entry::Decision;
use countermark_bundle::identity::{Digest, Timestamp};
use countermark_bundle::namespace_state::{NamespaceState, Returning};
use countermark_signer_policy::facts::Change;
use countermark_signer_policy::{Action, PolicySet, Request};
use serde::{Deserialize, Serialize};

use crate::receipt::VerifiedReceipt;

/// Why a statement will never be countersigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The operator's policy.
    Policy {
        /// Digest of the policy set.
        policy: Digest,
        /// The rules that stand in the way.
        rules: Vec<String>,
        /// The reason of each.
        reasons: Vec<String>,
    },
    /// A revocation in the log, by either side.
    Revoked {
        /// What was revoked: the epoch, or a fleet or key that it names.
        what: String,
    },
}

/// What to do with a statement now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Countersign it.
    Permitted(Decision),
    /// Look again then.
    Waiting {
        /// When its cool-off ends.
        until: Timestamp,
    },
    /// Never.
    Refused(RefusalReason),
}

/// The operator's own rules.
#[derive(Debug)]
pub struct OperatorRules {
    /// The policy.
    pub policy: PolicySet,
    /// How long people have to look at an addition before it is countersigned.
    pub cool_off_seconds: u64,
}

/// Decides about a verified statement under the newest verified state.
///
/// The policy is asked first, so that a refusal is known at once and not at the end of the cool-off, and asked again at
/// its end.
#[must_use]
pub fn decide(
    receipt: &VerifiedReceipt,
    state: &NamespaceState,
    rules: &OperatorRules,
    counted_from: Timestamp,
    now: Timestamp,
) -> Verdict {
    if let Some(reason) = revoked(receipt, state) {
        return Verdict::Refused(reason);
    }
    // What clients rely on today: additions and removals are measured against that.
    let active = state.newest_active().map(|record| record.statement.statement());
    let request = Request {
        action: Action::Countersign,
        namespace: receipt.namespace(),
        submitter: receipt.origin().as_str(),
        statement: receipt.statement(),
        previous: active,
        approvers: receipt.approvers(),
        approvals_needed: receipt.approvals_needed(),
        // Their bytes are not in the log; the authority judged them.
        attestations: &[],
        now,
    };
    let decision = match rules.policy.decide(&request) {
        Ok(decision) => decision,
        Err(refusal) => {
            let (policy, rules, reasons) = (refusal.policy, refusal.rules, refusal.reasons);
            return Verdict::Refused(RefusalReason::Policy { policy, rules, reasons });
        }
    };
    let until = counted_from.plus(rules.cool_off_seconds);
    let waits = rules.cool_off_seconds > 0 && now < until;
    if waits && Change::between(active, receipt.statement()).adds_trust() {
        return Verdict::Waiting { until };
    }
    Verdict::Permitted(decision)
}

/// Whether a statement, or a fleet or key that it names, was revoked.
#[must_use]
pub fn revoked(receipt: &VerifiedReceipt, state: &NamespaceState) -> Option<RefusalReason> {
    let epoch = receipt.epoch();
    if state.revoked().epochs.contains(&epoch) {
        return Some(RefusalReason::Revoked { what: format!("epoch {epoch}") });
    }
    let what = |returning: Returning| RefusalReason::Revoked { what: returning.to_string() };
    state.revoked().touches(receipt.statement()).map(what)
}

#[cfg(test)]
mod tests;
