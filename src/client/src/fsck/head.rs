//! Who must have signed the checkpoint.

use countermark_bundle::identity::Timestamp;
use countermark_tlog::checkpoint::{CheckpointError, Origin, SignedCheckpoint};
use countermark_tlog::note::{KeyName, NoteError, VerifierKey};
use countermark_tlog::policy::Policy;

use crate::head::{HeadError, VerifiedHead};

/// Why a checkpoint is believed.
#[derive(Clone, Debug)]
pub enum HeadTrust {
    /// A log of the policy signed it and a quorum cosigned it.
    Policy(Policy),
    /// One of these keys of one log signed it.
    LogKeys(Vec<VerifierKey>),
    /// It is not believed: the report says so, and is no success.
    Nobody,
}

/// What was verified of a checkpoint.
pub(super) struct Believed {
    pub signers: Vec<KeyName>,
    /// None if no quorum was asked for.
    pub quorum: Option<Quorum>,
}

pub(super) struct Quorum {
    pub witnesses: Vec<KeyName>,
    pub time: Option<Timestamp>,
}

impl HeadTrust {
    pub(super) fn verify(&self, signed: &SignedCheckpoint) -> Result<Believed, HeadError> {
        let found = &signed.checkpoint().origin;
        match self {
            Self::Policy(policy) => {
                let head = VerifiedHead::verify(signed, found, policy)?;
                let quorum = Quorum { witnesses: head.witnesses(), time: head.time() };
                Ok(Believed { signers: vec![found.key_name().clone()], quorum: Some(quorum) })
            }
            Self::LogKeys(keys) => {
                let key = signed.verify_log(keys).map_err(of_log_key)?;
                Ok(Believed { signers: vec![key.name().clone()], quorum: None })
            }
            Self::Nobody => Ok(Believed { signers: vec![], quorum: None }),
        }
    }
}

fn of_log_key(error: CheckpointError) -> HeadError {
    match error {
        CheckpointError::LogKey { name, origin } => match Origin::new(name.as_str()) {
            Ok(expected) => HeadError::OtherOrigin { expected, found: origin },
            Err(error) => HeadError::Malformed(error),
        },
        CheckpointError::Note(NoteError::NoKnownSignature) => HeadError::UnknownLogKey,
        CheckpointError::Note(error) => HeadError::LogSignature(error),
        error @ (CheckpointError::Origin
        | CheckpointError::Lines
        | CheckpointError::Size
        | CheckpointError::Root
        | CheckpointError::EmptyRoot
        | CheckpointError::Extensions { .. }) => HeadError::Malformed(error),
    }
}
