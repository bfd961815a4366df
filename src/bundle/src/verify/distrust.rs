//! Why a bundle is not believed: one named error for each way to fail, its step, and its exit class.

use alloc::boxed::Box;
use alloc::vec::Vec;
use countermark_tlog::checkpoint::{CheckpointError, Origin};
use countermark_tlog::note::{KeyName, NoteError};
use countermark_tlog::policy::PolicyError;
use countermark_tlog::proof::ProofError;
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tlog_proof::{TlogProofError, TlogProofParseError};

use super::Step;
use crate::ExitClass;
use crate::authority::{AuthorityChangeError, AuthorityKeysError};
use crate::certificate::CertificateError;
use crate::countersignature::CountersignatureError;
use crate::entry::EntryError;
use crate::identity::{Digest, Epoch, Name, Timestamp};
use crate::key::KeyId;
use crate::namespace_state::{Returning, RuleViolation};
use crate::validation_bundle::BundleError;

/// Why a bundle is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    /// 1: not a bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// 1: the checkpoint inside is none.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// 1: a record is no entry that this version knows.
    #[error("record {index}: {source}")]
    Entry {
        /// Its index in the log.
        index: LeafIndex,
        /// What is wrong.
        source: EntryError,
    },
    /// 2: for another log than the pinned one.
    #[error("this is about {found}, the trust file pins {expected}")]
    OtherOrigin {
        /// Pinned.
        expected: Origin,
        /// Found in checkpoint, record or floor.
        found: Origin,
    },
    /// 3: the trust file's own keys break a rule.
    #[error("the trust file: {0}")]
    TrustKeys(#[from] AuthorityKeysError),
    /// 3: a change of authority is not valid.
    #[error("the change of authority at {index}: {source}")]
    AuthorityChange {
        /// Its index in the log.
        index: LeafIndex,
        /// What is wrong.
        source: AuthorityChangeError,
    },
    /// 3: a change of authority without a receipt of its own.
    #[error("the change of authority at {index} carries no receipt under the quorum in force before it")]
    Unwitnessed {
        /// Its index in the log.
        index: LeafIndex,
    },
    /// 3: that receipt is none.
    #[error("the receipt of the change of authority at {index}: {source}")]
    WitnessedForm {
        /// Its index in the log.
        index: LeafIndex,
        /// What is wrong.
        source: TlogProofParseError,
    },
    /// 3: that receipt does not verify.
    #[error("the receipt of the change of authority at {index}: {source}")]
    Witnessed {
        /// Its index in the log.
        index: LeafIndex,
        /// What is wrong.
        source: TlogProofError,
    },
    /// 4: no line of a log key that the trust file leads to.
    #[error("the checkpoint is not signed by a log key that the trust file leads to")]
    UnknownLogKey,
    /// 4: the log's signature does not verify.
    #[error("the log's signature: {0}")]
    LogSignature(CheckpointError),
    /// 5: too few witnesses.
    #[error("the witness quorum is not met: {found} witnesses cosigned", found = cosigned.len())]
    Quorum {
        /// The key names of those that did.
        cosigned: Vec<KeyName>,
    },
    /// 5: a witness's cosignature that does not verify, or that this version cannot check.
    #[error("the cosignatures: {0}")]
    Cosignature(PolicyError),
    /// 6: nobody vouches for a time.
    #[error("no witness quorum vouches for the head's time")]
    NoHeadTime,
    /// 6: the head is too old.
    #[error("the head is {age_seconds} s old, at most {limit_seconds} s are allowed")]
    Stale {
        /// Its age.
        age_seconds: u64,
        /// The smaller of the statement's and the trust file's limit.
        limit_seconds: u64,
    },
    /// 7: a smaller tree than was already verified.
    #[error("the tree has {found} entries, {floor} were already verified")]
    Rollback {
        /// The floor's size.
        floor: TreeSize,
        /// The checkpoint's.
        found: TreeSize,
    },
    /// 7: another tree of the same size.
    #[error("two trees of size {size}: the log shows two faces")]
    Fork {
        /// The size of both.
        size: TreeSize,
    },
    /// 7: the trust file asks for a consistency link and none was handed in.
    #[error("the trust file asks for a consistency link from size {floor}")]
    LinkMissing {
        /// The floor's size.
        floor: TreeSize,
    },
    /// 7: a link between other sizes.
    #[error("the link is from {from} to {to}, needed is {floor} to {head}")]
    LinkSizes {
        /// The floor's size.
        floor: TreeSize,
        /// The checkpoint's size.
        head: TreeSize,
        /// Where the link begins.
        from: TreeSize,
        /// Where it ends.
        to: TreeSize,
    },
    /// 7: the link does not prove consistency.
    #[error("the consistency link: {0}")]
    Link(ProofError),
    /// 8: a record is not in the tree.
    #[error("record {index} is not under the checkpoint: {source}")]
    Path {
        /// Its index.
        index: LeafIndex,
        /// What is wrong.
        source: ProofError,
    },
    /// 8: no certified statement before the activation.
    #[error("the bundle holds no certified statement")]
    NoStatement,
    /// 8: certified, but never activated.
    #[error("the statement is certified, but not active: the operator has not countersigned")]
    NotActivated,
    /// 8: a record that has no place in a bundle, or carries a receipt that only a change of authority has.
    #[error("record {index} has no place before the activation, or carries a receipt that it should not have")]
    Unexpected {
        /// Its index.
        index: LeafIndex,
    },
    /// 9: the tail leaves out an entry.
    #[error("the tail is incomplete: expected entry {expected}, found {found}")]
    TailGap {
        /// The index that should follow.
        expected: u64,
        /// The index that does, or the tree's size.
        found: u64,
    },
    /// 9: the tail is too long; the operator has to renew.
    #[error("{found} entries follow the activation; the operator has to renew it")]
    TailTooLong {
        /// How many.
        found: usize,
    },
    /// 9: an entry of the tail fails its own check.
    #[error("entry {index} of the tail: {source}")]
    TailEntry {
        /// Its index.
        index: LeafIndex,
        /// What is wrong.
        source: Box<RuleViolation>,
    },
    /// 9: something newer is active.
    #[error("a newer activation, of epoch {by}, follows the one of epoch {epoch}")]
    Superseded {
        /// The epoch of the newer activation.
        by: Epoch,
        /// The bundle's epoch.
        epoch: Epoch,
    },
    /// 9: a key that the bundle relies on was retired.
    #[error("key {key_id}, which the bundle relies on, was retired")]
    KeyRetired {
        /// The key.
        key_id: KeyId,
    },
    /// 10: the certificate does not certify.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// 11: the activation is of another statement.
    #[error("the activation is of another epoch, statement or position")]
    ActivationMismatch,
    /// 11: the countersignatures do not activate.
    #[error(transparent)]
    Countersignature(#[from] CountersignatureError),
    /// 12: an older epoch than was already verified.
    #[error("epoch {found}, but {floor} was already verified")]
    EpochRollback {
        /// The floor's epoch.
        floor: Epoch,
        /// The bundle's.
        found: Epoch,
    },
    /// 12: another statement of the same epoch.
    #[error("epoch {epoch} has two statements: {floor} was verified before, this is {found}")]
    OtherStatement {
        /// The epoch of both.
        epoch: Epoch,
        /// The floor's digest.
        floor: Digest,
        /// The bundle's.
        found: Digest,
    },
    /// 13: the epoch was revoked.
    #[error("epoch {epoch} was revoked")]
    EpochRevoked {
        /// The epoch.
        epoch: Epoch,
    },
    /// 13: a fleet or key in it was revoked.
    #[error("{what} was revoked")]
    Revoked {
        /// The fleet or key.
        what: Returning,
    },
    /// 13: the floor's memory is damaged.
    #[error("a remembered revocation cannot be read")]
    RememberedRevocation,
    /// 13: more revocations than a floor remembers.
    #[error("more revocations than a floor remembers; a newer trust file is needed")]
    TooManyRevocations,
    /// 14: too early.
    #[error("the statement is valid from {not_before} on")]
    NotYetValid {
        /// From when.
        not_before: Timestamp,
    },
    /// 14: too late.
    #[error("the statement expired at {not_after}")]
    Expired {
        /// Since when.
        not_after: Timestamp,
    },
    /// 14: longer-lived than the trust file allows.
    #[error("the statement lives {found} s, the trust file allows {limit} s")]
    StatementLifetime {
        /// Seconds found.
        found: u64,
        /// Seconds allowed.
        limit: u64,
    },
    /// 14: no fleet that sessions may be opened to.
    #[error("no fleet is active or draining")]
    NoServingFleet,
    /// 14: a member of a serving fleet without a usable key.
    #[error("member {member} has no session or identity key that is valid now")]
    NoUsableKey {
        /// The member.
        member: Name,
    },
    /// 15: a key that is not among the hard-coded ones.
    #[error("key {key_id} is not pinned")]
    NotPinned {
        /// The key.
        key_id: KeyId,
    },
}

impl Distrust {
    pub(super) fn log_signature(error: CheckpointError) -> Self {
        if error == CheckpointError::Note(NoteError::NoKnownSignature) {
            Self::UnknownLogKey
        } else {
            Self::LogSignature(error)
        }
    }

    pub(super) fn quorum(error: PolicyError) -> Self {
        match error {
            PolicyError::QuorumNotMet { found } => Self::Quorum { cosigned: found },
            other => Self::Cosignature(other),
        }
    }

    /// The step that failed.
    #[must_use]
    pub const fn step(&self) -> Step {
        match self {
            Self::Bundle(_) | Self::Checkpoint(_) | Self::Entry { .. } => Step::Parse,
            Self::OtherOrigin { .. } => Step::Origin,
            Self::TrustKeys(_)
            | Self::AuthorityChange { .. }
            | Self::Unwitnessed { .. }
            | Self::WitnessedForm { .. }
            | Self::Witnessed { .. } => Step::Authority,
            Self::UnknownLogKey | Self::LogSignature(_) => Step::LogSignature,
            Self::Quorum { .. } | Self::Cosignature(_) => Step::Quorum,
            Self::NoHeadTime | Self::Stale { .. } => Step::HeadAge,
            Self::Rollback { .. }
            | Self::Fork { .. }
            | Self::LinkMissing { .. }
            | Self::LinkSizes { .. }
            | Self::Link(_) => Step::Floor,
            Self::Path { .. } | Self::NoStatement | Self::NotActivated | Self::Unexpected { .. } => Step::Paths,
            Self::TailGap { .. }
            | Self::TailTooLong { .. }
            | Self::TailEntry { .. }
            | Self::Superseded { .. }
            | Self::KeyRetired { .. } => Step::Tail,
            Self::Certificate(_) => Step::Certificate,
            Self::ActivationMismatch | Self::Countersignature(_) => Step::Countersignature,
            Self::EpochRollback { .. } | Self::OtherStatement { .. } => Step::Epoch,
            Self::EpochRevoked { .. }
            | Self::Revoked { .. }
            | Self::RememberedRevocation
            | Self::TooManyRevocations => Step::Revocation,
            Self::NotYetValid { .. }
            | Self::Expired { .. }
            | Self::StatementLifetime { .. }
            | Self::NoServingFleet
            | Self::NoUsableKey { .. } => Step::Validity,
            Self::NotPinned { .. } => Step::PinnedKeys,
        }
    }

    /// The class that a process exits with.
    #[must_use]
    pub const fn exit_class(&self) -> ExitClass {
        match self {
            Self::Bundle(_)
            | Self::Checkpoint(_)
            | Self::Entry { .. }
            | Self::TrustKeys(_)
            | Self::WitnessedForm { .. }
            | Self::Unexpected { .. }
            | Self::NoStatement
            | Self::RememberedRevocation => ExitClass::Malformed,
            Self::OtherOrigin { .. }
            | Self::UnknownLogKey
            | Self::NotPinned { .. }
            | Self::AuthorityChange { .. }
            | Self::Unwitnessed { .. }
            | Self::Certificate(CertificateError::UnknownKey { .. })
            | Self::Countersignature(CountersignatureError::UnknownKey { .. }) => ExitClass::UnknownAuthority,
            Self::Witnessed { .. }
            | Self::LogSignature(_)
            | Self::Cosignature(_)
            | Self::Link(_)
            | Self::LinkSizes { .. }
            | Self::Path { .. }
            | Self::TailEntry { .. }
            | Self::TailGap { .. }
            | Self::Certificate(CertificateError::Signature(_))
            | Self::ActivationMismatch
            | Self::Countersignature(
                CountersignatureError::Signature { .. }
                | CountersignatureError::Order
                | CountersignatureError::Threshold { .. },
            ) => ExitClass::Proof,
            Self::Quorum { .. } | Self::NoHeadTime => ExitClass::Quorum,
            Self::Stale { .. }
            | Self::TailTooLong { .. }
            | Self::Superseded { .. }
            | Self::KeyRetired { .. }
            | Self::Expired { .. } => ExitClass::Stale,
            Self::Rollback { .. } | Self::EpochRollback { .. } => ExitClass::Rollback,
            Self::Fork { .. } | Self::OtherStatement { .. } => ExitClass::Fork,
            Self::LinkMissing { .. } | Self::TooManyRevocations => ExitClass::NotChecked,
            Self::NotActivated | Self::NotYetValid { .. } | Self::NoServingFleet | Self::NoUsableKey { .. } => {
                ExitClass::NotActive
            }
            Self::EpochRevoked { .. } | Self::Revoked { .. } => ExitClass::Revoked,
            Self::StatementLifetime { .. } => ExitClass::RefusedByPolicy,
        }
    }
}
