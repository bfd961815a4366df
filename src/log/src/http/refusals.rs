//! From what the domain refuses to the row of the table that says so. Every match here is total: a refusal without a row
//! does not compile.

use countermark_bundle::namespace_state::RuleViolation;
use countermark_signer_policy::access_token::TokenError;
use serde_json::json;

use super::problem::{Problem, ProblemKind};
use crate::admit::Refusal;
use crate::auth::AuthRefusal;
use crate::bundles::BundleRefusal;
use crate::limits::Exceeded;
use crate::proofs::ReadError;
use crate::sequencer::{RETRY_AFTER, SubmitError, SubmitFault};

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::fault("read the log", &error)
    }
}

impl From<AuthRefusal> for Problem {
    fn from(refusal: AuthRefusal) -> Self {
        let kind = match &refusal {
            AuthRefusal::Missing => ProblemKind::TokenMissing,
            AuthRefusal::Header => ProblemKind::TokenMalformed,
            AuthRefusal::Token(error) => token_kind(error),
            AuthRefusal::Namespace { .. } => ProblemKind::WrongNamespace,
            AuthRefusal::Scope { .. } => ProblemKind::MissingScope,
            AuthRefusal::TooMany { retry_after } => {
                return Self::new(ProblemKind::Overloaded, &refusal).retry_after(*retry_after);
            }
            AuthRefusal::Keys(error) => {
                // Where the file is and what is wrong with it is not the submitter's to know.
                tracing::error!(%error, "no token can be judged");
                return Self::new(ProblemKind::TokenKeysUnreadable, "no token can be judged at the moment")
                    .retry_after(RETRY_AFTER);
            }
        };
        Self::new(kind, refusal)
    }
}

const fn token_kind(error: &TokenError) -> ProblemKind {
    match error {
        TokenError::Malformed { .. } => ProblemKind::TokenMalformed,
        TokenError::IsAnApproval => ProblemKind::ApprovalAsToken,
        TokenError::WrongType { .. } => ProblemKind::TokenType,
        TokenError::UnknownKey { .. } => ProblemKind::TokenKeyUnknown,
        TokenError::WrongAlgorithm { .. } => ProblemKind::TokenAlgorithm,
        TokenError::BadSignature => ProblemKind::TokenSignature,
        TokenError::WrongIssuer { .. } => ProblemKind::TokenIssuer,
        TokenError::WrongAudience { .. } => ProblemKind::TokenAudience,
        TokenError::LifetimeTooLong { .. } => ProblemKind::TokenLifetime,
        TokenError::NotYetValid { .. } => ProblemKind::TokenNotYetValid,
        TokenError::Expired { .. } => ProblemKind::TokenExpired,
    }
}

impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Self {
        let (kind, limit) = match exceeded {
            Exceeded::Submissions { .. } => (ProblemKind::RateLimited, Some("submissions")),
            Exceeded::Bytes { .. } => (ProblemKind::RateLimited, Some("bytes")),
            Exceeded::UnderWay { .. } => (ProblemKind::RateLimited, Some("under-way")),
            Exceeded::Accounts => (ProblemKind::Overloaded, None),
        };
        let problem = Self::new(kind, exceeded).retry_after(exceeded.retry_after());
        match limit {
            Some(limit) => problem.member("limit", json!(limit)),
            None => problem,
        }
    }
}

impl From<BundleRefusal> for Problem {
    fn from(refusal: BundleRefusal) -> Self {
        let kind = match &refusal {
            BundleRefusal::OtherKind { .. } => ProblemKind::OtherKind,
            BundleRefusal::NothingActive => ProblemKind::NothingActive,
            BundleRefusal::NoSuchEpoch { .. } => ProblemKind::NoSuchEpoch,
            BundleRefusal::NotActive { .. } => ProblemKind::NotActive,
            BundleRefusal::RenewalNeeded { .. } | BundleRefusal::TooLarge { .. } => ProblemKind::RenewalNeeded,
            BundleRefusal::AuthorityChanged { .. } | BundleRefusal::Path { .. } | BundleRefusal::Read(_) => {
                return Self::fault("assemble a bundle", &refusal);
            }
        };
        Self::new(kind, refusal)
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        let text = error.to_string();
        match error {
            SubmitError::Refused(refusal) => refusal.into(),
            SubmitError::Conflict { next_epoch, previous, rule } => Self::new(rule_kind(&rule), rule)
                .member("next_epoch", json!(next_epoch))
                .member("previous", json!(previous)),
            SubmitError::Overloaded { retry_after } => {
                Self::new(ProblemKind::Overloaded, text).retry_after(retry_after)
            }
            // A deadline with something reached is an answer, 202, and does not come here.
            SubmitError::DeadlinePassed { reached: _ } => {
                Self::new(ProblemKind::NotCommittedInTime, text).retry_after(RETRY_AFTER)
            }
            SubmitError::Fault { reason } => match reason {
                // The sequencer has logged these with their cause.
                SubmitFault::Signing | SubmitFault::SelfCheck => Self::new(ProblemKind::Fault, text),
                // A disk that is full today is not full for ever.
                SubmitFault::NotKept | SubmitFault::Unknown => {
                    Self::new(ProblemKind::StorageUnavailable, text).retry_after(RETRY_AFTER)
                }
                SubmitFault::Stopped => Self::new(ProblemKind::Stopped, text),
            },
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = refusal_kind(&refusal);
        let problem = Self::new(kind, &refusal);
        match refusal {
            Refusal::Policy(refusal) => problem
                .member("policy", json!(refusal.policy))
                .member("rules", json!(refusal.rules))
                .member("reasons", json!(refusal.reasons)),
            Refusal::Rule(RuleViolation::Renewal { expected, .. }) => problem.member("next_renewal", json!(expected)),
            Refusal::Rule(RuleViolation::PolicySerial { expected, .. }) => {
                problem.member("next_serial", json!(expected))
            }
            Refusal::Statement(_)
            | Refusal::Entry(_)
            | Refusal::NotSubmittable { .. }
            | Refusal::OtherKind { .. }
            | Refusal::EntryLength { .. }
            | Refusal::Frozen { .. }
            | Refusal::Rule(_)
            | Refusal::Approval(_)
            | Refusal::Attestation { .. }
            | Refusal::PolicyNotInForce { .. } => problem,
        }
    }
}

pub(super) const fn refusal_kind(refusal: &Refusal) -> ProblemKind {
    match refusal {
        Refusal::Statement(_) => ProblemKind::MalformedStatement,
        Refusal::Entry(_) => ProblemKind::MalformedEntry,
        Refusal::NotSubmittable { .. } => ProblemKind::EntryType,
        Refusal::OtherKind { .. } => ProblemKind::OtherKind,
        Refusal::EntryLength { .. } => ProblemKind::EntryLength,
        Refusal::Frozen { .. } => ProblemKind::Frozen,
        Refusal::Rule(rule) => rule_kind(rule),
        Refusal::Approval(_) => ProblemKind::Approval,
        Refusal::Attestation { .. } => ProblemKind::Attestation,
        Refusal::Policy(_) => ProblemKind::Policy,
        Refusal::PolicyNotInForce { .. } => ProblemKind::PolicyNotInForce,
    }
}

pub(super) const fn rule_kind(rule: &RuleViolation) -> ProblemKind {
    match rule {
        RuleViolation::Entry(_) => ProblemKind::MalformedEntry,
        RuleViolation::OtherLog { .. } => ProblemKind::OtherLog,
        RuleViolation::NoPolicy => ProblemKind::NoPolicy,
        RuleViolation::Statement(_) => ProblemKind::MalformedStatement,
        RuleViolation::Epoch { .. } => ProblemKind::Epoch,
        RuleViolation::Chain { .. } => ProblemKind::Chain,
        RuleViolation::StatementLifetime { .. } => ProblemKind::StatementLifetime,
        RuleViolation::Returns { .. } => ProblemKind::RevokedReturns,
        RuleViolation::Policy { .. } => ProblemKind::OtherPolicy,
        RuleViolation::Certificate(_) => ProblemKind::Certificate,
        RuleViolation::CertificateTime { .. } => ProblemKind::CertificateTime,
        RuleViolation::Approval(_) => ProblemKind::Approval,
        RuleViolation::NotCertified { .. } => ProblemKind::NotCertified,
        RuleViolation::ActivationOrder { .. } => ProblemKind::ActivationOrder,
        RuleViolation::Renewal { .. } => ProblemKind::Renewal,
        RuleViolation::RenewalTooEarly { .. } => ProblemKind::RenewalTooEarly,
        RuleViolation::RevokedEpoch { .. } => ProblemKind::RevokedEpoch,
        RuleViolation::Countersignature(_) => ProblemKind::Countersignature,
        RuleViolation::UnknownKey { .. } => ProblemKind::UnknownKey,
        RuleViolation::Signature { .. } => ProblemKind::Signature,
        RuleViolation::PolicySerial { .. } => ProblemKind::PolicySerial,
        RuleViolation::AuthorityChange(_) => ProblemKind::AuthorityChange,
    }
}

#[cfg(test)]
mod tests;
