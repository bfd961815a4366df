//! The outside world of a member: where it keeps its attestation.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

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
