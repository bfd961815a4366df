//! Which hard rule an entry breaks: one variant for each, with what was expected and what was found.

use countermark_tlog::checkpoint::Origin;

use super::RENEWAL_AFTER;
use crate::approval::ApprovalError;
use crate::authority::AuthorityChangeError;
use crate::certificate::CertificateError;
use crate::countersignature::CountersignatureError;
use crate::entry::EntryError;
use crate::identity::{Digest, Epoch, Name, Side};
use crate::key::{KeyId, SignatureError};
use crate::statement::StatementError;

/// Which rule an entry breaks.
#[derive(Debug, thiserror::Error)]
pub enum RuleViolation {
    /// Not an entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// For another log.
    #[error("the entry is for {found}, this log is {expected}")]
    OtherLog {
        /// This log.
        expected: Origin,
        /// The one it names.
        found: Origin,
    },
    /// The log begins with something else than its policy.
    #[error("the first entry of a log is its policy-change entry")]
    NoPolicy,
    /// The statement inside is none.
    #[error("the statement: {0}")]
    Statement(#[from] StatementError),
    /// Epochs rise by one per certified statement.
    #[error("the statement has epoch {found}, the next one is {expected}")]
    Epoch {
        /// The next epoch.
        expected: Epoch,
        /// What was found.
        found: Epoch,
    },
    /// The statement does not name the last certified one.
    #[error("the statement names another previous statement than the last certified one")]
    Chain {
        /// The last certified statement.
        expected: Option<Digest>,
        /// What was found.
        found: Option<Digest>,
    },
    /// Longer than the trust file allows.
    #[error("the statement lives {found} seconds, at most {limit} are allowed")]
    StatementLifetime {
        /// Seconds found.
        found: u64,
        /// Seconds allowed.
        limit: u64,
    },
    /// A revoked fleet or key never returns.
    #[error("{what} was revoked and never returns")]
    Returns {
        /// The fleet or key.
        what: Returning,
    },
    /// The decision names another policy than the one in force.
    #[error("the decision was made under policy {found}, in force is {expected}")]
    Policy {
        /// In force.
        expected: Digest,
        /// What was found.
        found: Digest,
    },
    /// The certificate does not certify.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Certificates rise in time.
    #[error("the certificate's time does not rise: {found} ms after {last} ms")]
    CertificateTime {
        /// The last certificate's time.
        last: u64,
        /// This one's.
        found: u64,
    },
    /// Too few officers, or an approval that does not count.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// An activation of something that was never certified, or of other bytes, or at another place.
    #[error("the activation does not match a certified statement of epoch {epoch}")]
    NotCertified {
        /// The epoch that it names.
        epoch: Epoch,
    },
    /// Activations strictly rise.
    #[error("epoch {found} is not above the newest active epoch {newest}")]
    ActivationOrder {
        /// The newest active epoch.
        newest: Epoch,
        /// The one to activate.
        found: Epoch,
    },
    /// Another renewal number than the next one.
    #[error("renewal {found} of epoch {epoch}, the next one is {expected}")]
    Renewal {
        /// The epoch.
        epoch: Epoch,
        /// The next renewal number.
        expected: u64,
        /// What was found.
        found: u64,
    },
    /// A renewal before enough entries followed the last activation.
    #[error("a renewal of epoch {epoch} is admitted once {RENEWAL_AFTER} entries follow its last activation")]
    RenewalTooEarly {
        /// The epoch.
        epoch: Epoch,
    },
    /// An activation of a revoked epoch.
    #[error("epoch {epoch} was revoked")]
    RevokedEpoch {
        /// The epoch.
        epoch: Epoch,
    },
    /// The countersignatures do not activate.
    #[error(transparent)]
    Countersignature(#[from] CountersignatureError),
    /// Signed by a key that is not one of that side's for this purpose.
    #[error("signed by {found}, which is no {purpose} key of the {side}", side = side.as_str())]
    UnknownKey {
        /// Whose it should be.
        side: Side,
        /// What for.
        purpose: &'static str,
        /// The key that it names.
        found: KeyId,
    },
    /// A signature that does not verify.
    #[error("the {purpose} signature: {source}")]
    Signature {
        /// What for.
        purpose: &'static str,
        /// What is wrong.
        source: SignatureError,
    },
    /// Policy changes are numbered.
    #[error("the policy change has serial {found}, the next one is {expected}")]
    PolicySerial {
        /// The next number.
        expected: u64,
        /// What was found.
        found: u64,
    },
    /// A change of authority that is not valid.
    #[error("the change of authority: {0}")]
    AuthorityChange(#[from] AuthorityChangeError),
}

/// What was revoked and came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returning {
    /// A fleet.
    Fleet(Name),
    /// A member's key.
    Key(KeyId),
}

impl core::fmt::Display for Returning {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Fleet(fleet) => write!(f, "fleet {fleet}"),
            Self::Key(key) => write!(f, "key {key}"),
        }
    }
}
