//! C2SP tlog-policy: which logs and witnesses are trusted, and which witnesses must have cosigned.
//!
//! A policy does not say how many faulty witnesses it stands; [`Policy::fault_tolerance`] does. What it cannot see is
//! whether two names are one operator.
//!
//! Source: <https://c2sp.org/tlog-policy>.

use alloc::vec::Vec;

use crate::checkpoint::{Checkpoint, Origin, SignedCheckpoint};
use crate::cosignature::{Cosignature, CosignatureError};
use crate::note::{KeyName, NoteError, VerifierKey};

mod parse;
mod quorum;

pub use parse::{PolicyParseError, PolicyProblem};
pub use quorum::{ANALYSED_WITNESSES_MAX, FaultTolerance, QuorumAnalysisError};

use quorum::Quorum;

/// The most bytes of a policy: 256 KiB. A line with an ML-DSA-44 key has some 1.8 KiB.
pub const POLICY_BYTES_MAX: usize = 1 << 18;
/// The most log lines, the most witness lines and the most group lines of a policy.
pub const POLICY_LINES_MAX: usize = 64;

/// A `log` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyLog {
    /// A key of type 0x01 or 0x06 whose name is the log's origin.
    pub vkey: VerifierKey,
    /// Where the log is; opaque octets.
    pub url: Option<Vec<u8>>,
}

/// A `witness` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyWitness {
    /// The name inside the policy; opaque octets.
    pub name: Vec<u8>,
    /// A key of type 0x04 or 0x06.
    pub vkey: VerifierKey,
    /// Where the witness is; opaque octets.
    pub url: Option<Vec<u8>>,
}

/// Why a checkpoint does not satisfy a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No log of the policy has this origin.
    #[error("the policy lists no log with origin {origin}")]
    UnknownOrigin {
        /// The checkpoint's origin.
        origin: Origin,
    },
    /// The log's signature is missing, bad or doubled.
    #[error("log: {0}")]
    LogSignature(NoteError),
    /// A witness's cosignature is bad or doubled; it spoils the checkpoint even if others would suffice.
    #[error("witness: {0}")]
    WitnessSignature(NoteError),
    /// Too few witnesses cosigned.
    #[error("the witnesses that cosigned ({} found) do not meet the quorum", found.len())]
    QuorumNotMet {
        /// The names of those that did, each once.
        found: Vec<KeyName>,
    },
}

/// Trusted logs, trusted witnesses and the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    quorum: Quorum,
}

/// A checkpoint that a policy accepted. Only [`Policy::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessedCheckpoint {
    checkpoint: Checkpoint,
    log_key: VerifierKey,
    cosigned: Vec<(VerifierKey, u64)>,
    time: Option<u64>,
}

impl WitnessedCheckpoint {
    /// The tree head.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The log key that signed it.
    #[must_use]
    pub const fn log_key(&self) -> &VerifierKey {
        &self.log_key
    }

    /// The witness keys whose cosignatures count, with their timestamps in seconds since 1970, in the order of lines.
    #[must_use]
    pub fn cosigned(&self) -> &[(VerifierKey, u64)] {
        &self.cosigned
    }

    /// The names of the witnesses that cosigned, each once, in the order of lines.
    #[must_use]
    pub fn witnesses(&self) -> Vec<KeyName> {
        names(&self.cosigned)
    }

    /// The head's time in seconds since 1970: the greatest t such that the cosignatures stamped t or later alone meet
    /// the quorum. `None` if the quorum is `none`.
    #[must_use]
    pub const fn time(&self) -> Option<u64> {
        self.time
    }
}

impl Policy {
    /// Reads a policy of at most 256 KiB, 64 logs, 64 witnesses and 64 groups.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyParseError> {
        parse::parse(bytes)
    }

    /// The log lines, in order.
    #[must_use]
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// The witness lines, in order, also those that the quorum does not name.
    #[must_use]
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Whether the witness keys for which `cosigned` holds meet the quorum.
    #[must_use]
    pub fn quorum_met(&self, cosigned: &dyn Fn(&VerifierKey) -> bool) -> bool {
        self.quorum.is_met(&|line| self.witnesses.get(line).is_some_and(|witness| cosigned(&witness.vkey)))
    }

    /// States how many faulty witnesses the quorum stands, counted in witnesses: lines with the same key name are one.
    ///
    /// Refuses `quorum none`, more than [`ANALYSED_WITNESSES_MAX`] witnesses, a witness whose keys could count twice,
    /// and a quorum whose satisfying sets may share no witness.
    pub fn fault_tolerance(&self) -> Result<FaultTolerance, QuorumAnalysisError> {
        let names: Vec<&KeyName> = self.witnesses.iter().map(|witness| witness.vkey.name()).collect();
        self.quorum.fault_tolerance(&names)
    }

    /// As [`Policy::fault_tolerance`], and refuses fewer faults than `faults_min`.
    pub fn require_fault_tolerance(&self, faults_min: usize) -> Result<FaultTolerance, QuorumAnalysisError> {
        let found = self.fault_tolerance()?;
        if found.faults < faults_min {
            return Err(QuorumAnalysisError::TooFewFaults { required: faults_min, found });
        }
        Ok(found)
    }

    /// Verifies that a listed log signed the checkpoint and that a quorum of listed witnesses cosigned it.
    ///
    /// Lines of unknown keys are ignored; a line of a listed key that does not verify spoils the checkpoint.
    pub fn verify(&self, signed: &SignedCheckpoint) -> Result<WitnessedCheckpoint, PolicyError> {
        let origin = &signed.checkpoint().origin;
        // SPEC: C2SP tlog-policy, Defining a log: the key's name is the log's origin.
        let of_origin = self.logs.iter().map(|log| &log.vkey).filter(|vkey| vkey.name() == origin.key_name());
        if of_origin.clone().next().is_none() {
            return Err(PolicyError::UnknownOrigin { origin: origin.clone() });
        }
        let log_keys = signed.note().verify(of_origin).map_err(PolicyError::LogSignature)?;
        let Some(log_key) = log_keys.into_iter().next() else {
            return Err(PolicyError::LogSignature(NoteError::NoKnownSignature));
        };
        let cosigned = self.cosignatures(signed)?;
        let since = |t: u64| self.quorum_met(&|key| cosigned.iter().any(|(signer, time)| signer == key && *time >= t));
        if !since(0) {
            return Err(PolicyError::QuorumNotMet { found: names(&cosigned) });
        }
        // No stamp is needed for `quorum none`, and then none says when.
        let unstamped = self.quorum_met(&|_| false);
        let time = cosigned.iter().map(|(_, time)| *time).filter(|time| !unstamped && since(*time)).max();
        Ok(WitnessedCheckpoint { checkpoint: signed.checkpoint().clone(), log_key, cosigned, time })
    }

    /// The verified cosignatures of listed witnesses whose timestamps count.
    fn cosignatures(&self, signed: &SignedCheckpoint) -> Result<Vec<(VerifierKey, u64)>, PolicyError> {
        let note = signed.note();
        let keys = match note.verify(self.witnesses.iter().map(|witness| &witness.vkey)) {
            Ok(keys) => keys,
            Err(NoteError::NoKnownSignature) => Vec::new(),
            Err(error) => return Err(PolicyError::WitnessSignature(error)),
        };
        let mut cosigned = Vec::with_capacity(keys.len());
        for key in keys {
            let bad = || NoteError::BadSignature { name: key.name().clone(), id: key.id() };
            let line = note.signature_of(&key).ok_or_else(|| PolicyError::WitnessSignature(bad()))?;
            // `note.verify` has verified the signature; what is left is whether its time counts.
            let counted = Cosignature::from_note_signature(line)
                .and_then(|cosignature| cosignature.check_timestamp().map(|()| cosignature.timestamp));
            match counted {
                Ok(timestamp) => cosigned.push((key, timestamp)),
                // SPEC: C2SP tlog-cosignature, Format: a timestamp above 2^63-1 is not one; 0 says nothing about time.
                Err(CosignatureError::Timestamp { .. }) => {}
                Err(
                    CosignatureError::Length { .. }
                    | CosignatureError::NotACheckpoint
                    | CosignatureError::SubtreeTimestamp { .. }
                    | CosignatureError::KeyType { .. }
                    | CosignatureError::Invalid,
                ) => {
                    return Err(PolicyError::WitnessSignature(bad()));
                }
            }
        }
        Ok(cosigned)
    }
}

/// The names of keys, each once: a witness may sign with several.
fn names(cosigned: &[(VerifierKey, u64)]) -> Vec<KeyName> {
    let mut names: Vec<KeyName> = Vec::with_capacity(cosigned.len());
    for (key, _) in cosigned {
        if !names.contains(key.name()) {
            names.push(key.name().clone());
        }
    }
    names
}

#[cfg(test)]
mod tests;
