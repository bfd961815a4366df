//! Why a submission is refused, and the name of each reason on the wire.

use countermark_bundle::approval::ApprovalError;
use countermark_bundle::attestation::AttestationError;
use countermark_bundle::entry::EntryError;
use countermark_bundle::identity::Digest;
use countermark_bundle::namespace_state::RuleViolation;
use countermark_bundle::statement::StatementError;
use countermark_tlog::entry_bundle::ENTRY_BYTES_MAX;
use countermark_tlog::size::TreeSize;
use thiserror::Error;

use crate::ports::LogKind;

/// Refused: final, and the submission's fault, except for [`Refusal::PolicyNotInForce`].
#[derive(Debug, Error)]
pub enum Refusal {
    /// Not a statement.
    #[error("the statement: {0}")]
    Statement(#[from] StatementError),
    /// Not an entry.
    #[error("the entry: {0}")]
    Entry(#[from] EntryError),
    /// An entry of a type that is not handed in from outside.
    #[error("entries of type {entry_type} are not submitted")]
    NotSubmittable {
        /// Its type.
        entry_type: &'static str,
    },
    /// What is handed in is not what logs of this kind take.
    #[error("a {kind} log does not take this")]
    OtherKind {
        /// The log's kind.
        kind: LogKind,
    },
    /// An opaque entry that no log can hold.
    #[error("an entry has 1 to {ENTRY_BYTES_MAX} bytes, found {found}")]
    EntryLength {
        /// Its bytes.
        found: usize,
    },
    /// The log was frozen.
    #[error("the log is frozen at size {size}: it never grows again")]
    Frozen {
        /// Its last size.
        size: TreeSize,
    },
    /// A hard rule.
    #[error(transparent)]
    Rule(RuleViolation),
    /// An approval that does not count, or too few.
    #[error(transparent)]
    Approval(ApprovalError),
    /// An attestation that does not attest.
    #[error("attestation {position}: {source}")]
    Attestation {
        /// Which of those handed in, from 0.
        position: usize,
        /// What is wrong.
        source: AttestationError,
    },
    /// The authority's policy does not permit it.
    #[error(transparent)]
    Policy(countermark_signer_policy::Refusal),
    /// The policy that this process has loaded is not the one that the log has announced.
    #[error("the log has announced policy {in_force}, this process has loaded {loaded}")]
    PolicyNotInForce {
        /// Announced in the log.
        in_force: Digest,
        /// Loaded.
        loaded: Digest,
    },
}

impl Refusal {
    /// The name of the reason on the wire: lower case, words joined by hyphens.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Statement(_) => "malformed-statement",
            Self::Entry(_) => "malformed-entry",
            Self::NotSubmittable { .. } => "entry-type",
            Self::OtherKind { .. } => "other-kind",
            Self::EntryLength { .. } => "entry-length",
            Self::Frozen { .. } => "frozen",
            Self::Rule(rule) => rule_name(rule),
            Self::Approval(_) => "approval",
            Self::Attestation { .. } => "attestation",
            Self::Policy(_) => "policy",
            Self::PolicyNotInForce { .. } => "policy-not-in-force",
        }
    }
}

/// The name of a hard rule on the wire.
#[must_use]
pub const fn rule_name(rule: &RuleViolation) -> &'static str {
    match rule {
        RuleViolation::Entry(_) => "malformed-entry",
        RuleViolation::OtherLog { .. } => "other-log",
        RuleViolation::NoPolicy => "no-policy",
        RuleViolation::Statement(_) => "malformed-statement",
        RuleViolation::Epoch { .. } => "epoch",
        RuleViolation::Chain { .. } => "chain",
        RuleViolation::StatementLifetime { .. } => "statement-lifetime",
        RuleViolation::Returns { .. } => "revoked-returns",
        RuleViolation::Policy { .. } => "other-policy",
        RuleViolation::Certificate(_) => "certificate",
        RuleViolation::CertificateTime { .. } => "certificate-time",
        RuleViolation::Approval(_) => "approval",
        RuleViolation::NotCertified { .. } => "not-certified",
        RuleViolation::ActivationOrder { .. } => "activation-order",
        RuleViolation::Renewal { .. } => "renewal",
        RuleViolation::RenewalTooEarly { .. } => "renewal-too-early",
        RuleViolation::RevokedEpoch { .. } => "revoked-epoch",
        RuleViolation::Countersignature(_) => "countersignature",
        RuleViolation::UnknownKey { .. } => "unknown-key",
        RuleViolation::Signature { .. } => "signature",
        RuleViolation::PolicySerial { .. } => "policy-serial",
        RuleViolation::AuthorityChange(_) => "authority-change",
    }
}
