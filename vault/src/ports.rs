//! The outside world of a member: where it keeps its attestation, the log that states its fleet, the fleet that it
//! commits with, the time.

use std::io;
use std::path::PathBuf;

use countermark_bundle::identity::Timestamp;
use countermark_tlog::size::TreeSize;
use countermark_vault_core::machine::{Command, Machine, Response};
use countermark_vault_raft::{CommitError, ReplicaStatus};
use thiserror::Error;
use tokio::time::Instant;

use crate::fetch::FetchError;

/// The log, of which nothing is believed.
pub(crate) trait BundleSource: Send + Sync + 'static {
    /// The newest validation bundle, at most 1 MiB; `None` if the log has none yet.
    fn newest_bundle(&self) -> impl Future<Output = Result<Option<Vec<u8>>, FetchError>> + Send;

    /// The consistency link from a size to the published one, at most 8 KiB; `None` if the log does not give one.
    fn link(&self, from: TreeSize) -> impl Future<Output = Result<Option<Vec<u8>>, FetchError>> + Send;
}

/// The fleet's machine: commands are committed by its majority and applied to this member's copy.
pub(crate) trait Replicated: Send + Sync + 'static {
    /// Commits a command by a majority, or says by `deadline` why not.
    fn commit(&self, command: Command, deadline: Instant)
    -> impl Future<Output = Result<Response, CommitError>> + Send;

    /// Looks at what was applied here, which may be behind.
    fn read<T>(&self, read: impl FnOnce(&Machine) -> T) -> T;

    /// How this member of the fleet is.
    fn status(&self) -> ReplicaStatus;
}

/// What tells the time.
pub(crate) trait WallClock: Send + Sync + 'static {
    /// The time now; the last one that can be written if the clock shows none.
    fn now(&self) -> Timestamp;
}

/// Keeps at most one attestation across restarts and crashes.
pub(crate) trait AttestationStore: Send + 'static {
    /// The stored bytes; `None` if nothing was ever stored.
    fn read(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Replaces what is stored, as a whole. `Ok` means that the new bytes are durable. After an error either the old or
    /// the new bytes are stored, never a mixture.
    fn replace(&mut self, attestation: &[u8]) -> Result<(), StoreError>;
}

/// Fault: the attestation was not read or not stored.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file could not be read.
    #[error("cannot read the attestation {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The file is larger than any attestation.
    #[error("the attestation {} has more than {bytes_max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes of an attestation.
        bytes_max: usize,
    },
    /// The file could not be written.
    #[error("cannot store the attestation {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
}
