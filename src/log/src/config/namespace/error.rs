//! Why a namespace's configuration, keys or policy are refused. Each message names the field and the file.

use std::io;
use std::path::PathBuf;

use countermark_bundle::identity::{Name, NameError};
use countermark_bundle::key::{KeyAlgorithm, PublicKeyError};
use countermark_bundle::trust::TrustError;
use countermark_keys::{OpenError, ReadPublicError, Role};
use countermark_signer_policy::LoadError;
use countermark_tlog::checkpoint::{CheckpointError, Origin};
use countermark_tlog::policy::{PolicyParseError, QuorumAnalysisError};
use thiserror::Error;

use super::{MAX_HEAD_AGE_SECONDS_MAX, WITNESS_TIMEOUT_MS_MAX};

/// Why a namespace was refused. Each says which field and which file.
#[derive(Debug, Error)]
pub enum NamespaceConfigError {
    /// No name, or a reserved one.
    #[error("name: {0}")]
    Name(#[from] NameError),
    /// Authority and name make no origin.
    #[error("authority: {origin:?} cannot be the origin of a log")]
    Origin {
        /// What they make.
        origin: String,
        /// Why not.
        source: CheckpointError,
    },
    /// The trust file could not be read.
    #[error("trust: cannot read {}", path.display())]
    ReadTrust {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The trust file is none.
    #[error("trust: {} is refused: {source}", path.display())]
    Trust {
        /// The file.
        path: PathBuf,
        /// Which rule.
        source: TrustError,
    },
    /// The witness policy could not be read.
    #[error("witness_policy: cannot read {}", path.display())]
    ReadWitnessPolicy {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The witness policy is none.
    #[error("witness_policy: {} is refused: {source}", path.display())]
    WitnessPolicy {
        /// The file.
        path: PathBuf,
        /// Which rule.
        source: PolicyParseError,
    },
    /// A head age of 0 or above a year.
    #[error("max_head_age_seconds must be 1 to {MAX_HEAD_AGE_SECONDS_MAX}, found {found}")]
    MaxHeadAge {
        /// What was found.
        found: u64,
    },
    /// A trust file of another log.
    #[error("trust: {} is for {found}, this log is {expected}", path.display())]
    OtherOrigin {
        /// The file.
        path: PathBuf,
        /// This log.
        expected: Origin,
        /// What the file names.
        found: Origin,
    },
    /// A trust file from after a change of authority.
    #[error("trust: {} has serial {found}; a namespace is served with the file it was created with, serial 0", path.display())]
    TrustSerial {
        /// The file.
        path: PathBuf,
        /// Its serial.
        found: u64,
    },
    /// The quorum stands no faulty witness.
    #[error("the witness policy of {}: {source}; allow_no_fault_tolerance = true serves it nevertheless", path.display())]
    Quorum {
        /// The file.
        path: PathBuf,
        /// What was found.
        source: QuorumAnalysisError,
    },
    /// A witness that nobody can ask.
    #[error("witness {witness} of {} needs an http or https URL", path.display())]
    WitnessUrl {
        /// The file.
        path: PathBuf,
        /// The witness's key name.
        witness: String,
    },
    /// A key file could not be read.
    #[error("{field}: {source}")]
    ReadKey {
        /// Which field.
        field: &'static str,
        /// What failed.
        source: ReadPublicError,
    },
    /// A key of another role.
    #[error("{field}: {} holds a {found} key, needed is a {expected} key", path.display())]
    KeyRole {
        /// Which field.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// The role needed.
        expected: Role,
        /// The role found.
        found: Role,
    },
    /// A key that clients would not believe in.
    #[error("{field}: the key in {} is not a {role} key of {}", path.display(), trust.display())]
    KeyNotTrusted {
        /// Which field.
        field: &'static str,
        /// The key file.
        path: PathBuf,
        /// What it should be.
        role: Role,
        /// The trust file, or the witness policy of a `raw` namespace.
        trust: PathBuf,
    },
    /// A vendor key that cannot sign attestations.
    #[error("vendor_keys: attestations are signed with ed25519, found a {found} key", found = found.as_str())]
    VendorAlgorithm {
        /// Its algorithm.
        found: KeyAlgorithm,
    },
    /// An officer's key that is none.
    #[error("officers: the public_key of {subject} must be 64 lower-case hex digits of an Ed25519 key")]
    OfficerKey {
        /// The officer.
        subject: Name,
        /// What is wrong with the bytes, where they are bytes.
        source: Option<PublicKeyError>,
    },
    /// An officer or a key that stands twice.
    #[error("officers: {subject} or its key stands twice")]
    OfficerTwice {
        /// The officer.
        subject: Name,
    },
    /// A threshold that cannot be met, or none.
    #[error("approvals_needed must be 1 to the number of officers, {officers}; both are given or none")]
    ApprovalsNeeded {
        /// How many officers there are.
        officers: usize,
    },
    /// Heads would grow too old.
    #[error("recosign_every_seconds must be 1 to {max}, a quarter of the head age; found {found}")]
    RecosignEvery {
        /// The longest allowed.
        max: u64,
        /// What was found.
        found: u64,
    },
    /// A deadline of 0 or above a minute.
    #[error("witness_timeout_ms must be 1 to {WITNESS_TIMEOUT_MS_MAX}, found {found}")]
    WitnessTimeout {
        /// What was found.
        found: u64,
    },
}

/// Why the keys or the policy of a namespace were not opened.
#[derive(Debug, Error)]
pub enum OpenNamespaceError {
    /// A key file was not opened.
    #[error(transparent)]
    Key(#[from] OpenError),
    /// The key sealed in a file is not the one that its clear part showed when the configuration was read.
    #[error("{} changed after the configuration was read", path.display())]
    KeyChanged {
        /// The file.
        path: PathBuf,
    },
    /// The policy folder was refused.
    #[error("policy: {0}")]
    Policy(#[from] LoadError),
}
