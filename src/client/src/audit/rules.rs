//! The names of the rules that an entry can break, as reports show them, and the class of each.
//!
//! A name never changes its meaning: programs act on it.

use countermark_bundle::ExitClass;
use countermark_bundle::approval::ApprovalError;
use countermark_bundle::certificate::CertificateError;
use countermark_bundle::countersignature::CountersignatureError;
use countermark_bundle::namespace_state::RuleViolation;

/// The rule that was broken.
pub(super) const fn name(violation: &RuleViolation) -> &'static str {
    match violation {
        RuleViolation::Entry(_) => "entry-format",
        RuleViolation::OtherLog { .. } => "entry-names-this-log",
        RuleViolation::NoPolicy => "log-begins-with-policy",
        RuleViolation::Statement(_) => "statement-format",
        RuleViolation::Epoch { .. } => "epochs-rise-by-one",
        RuleViolation::Chain { .. } => "statement-names-previous",
        RuleViolation::StatementLifetime { .. } => "statement-lifetime",
        RuleViolation::Returns { .. } => "revoked-never-returns",
        RuleViolation::Policy { .. } => "decision-under-policy-in-force",
        RuleViolation::Certificate(_) => "certificate",
        RuleViolation::CertificateTime { .. } => "certificate-times-rise",
        RuleViolation::Approval(_) => "approvals",
        RuleViolation::NotCertified { .. } => "activation-of-certified-statement",
        RuleViolation::ActivationOrder { .. } => "activations-rise",
        RuleViolation::Renewal { .. } => "renewals-are-numbered",
        RuleViolation::RenewalTooEarly { .. } => "renewal-after-four-entries",
        RuleViolation::RevokedEpoch { .. } => "no-activation-of-revoked-epoch",
        RuleViolation::Countersignature(_) => "countersignature",
        RuleViolation::UnknownKey { .. } => "signed-by-key-in-force",
        RuleViolation::Signature { .. } => "signature",
        RuleViolation::PolicySerial { .. } => "policy-changes-are-numbered",
        RuleViolation::AuthorityChange(_) => "change-of-authority",
    }
}

/// The class of the failure.
pub(super) const fn class(violation: &RuleViolation) -> ExitClass {
    match violation {
        RuleViolation::Entry(_)
        | RuleViolation::OtherLog { .. }
        | RuleViolation::NoPolicy
        | RuleViolation::Statement(_)
        | RuleViolation::Approval(ApprovalError::Form | ApprovalError::Json { .. } | ApprovalError::Purpose { .. }) => {
            ExitClass::Malformed
        }
        RuleViolation::Epoch { .. }
        | RuleViolation::Chain { .. }
        | RuleViolation::StatementLifetime { .. }
        | RuleViolation::Policy { .. }
        | RuleViolation::CertificateTime { .. }
        | RuleViolation::ActivationOrder { .. }
        | RuleViolation::Renewal { .. }
        | RuleViolation::RenewalTooEarly { .. }
        | RuleViolation::PolicySerial { .. }
        | RuleViolation::Approval(
            ApprovalError::TooFew { .. }
            | ApprovalError::Twice { .. }
            | ApprovalError::Lifetime { .. }
            | ApprovalError::NotInForce { .. },
        ) => ExitClass::RefusedByPolicy,
        RuleViolation::Returns { .. } | RuleViolation::RevokedEpoch { .. } => ExitClass::Revoked,
        RuleViolation::UnknownKey { .. }
        | RuleViolation::AuthorityChange(_)
        | RuleViolation::Certificate(CertificateError::UnknownKey { .. })
        | RuleViolation::Countersignature(CountersignatureError::UnknownKey { .. })
        | RuleViolation::Approval(ApprovalError::NotAnOfficer { .. }) => ExitClass::UnknownAuthority,
        RuleViolation::NotCertified { .. }
        | RuleViolation::Signature { .. }
        | RuleViolation::Certificate(CertificateError::Signature(_))
        | RuleViolation::Countersignature(
            CountersignatureError::Signature { .. }
            | CountersignatureError::Order
            | CountersignatureError::Threshold { .. },
        )
        | RuleViolation::Approval(ApprovalError::Signature { .. } | ApprovalError::OtherStatement { .. }) => {
            ExitClass::Proof
        }
    }
}
