//! The head register as files: the last signed head of each log, on other storage than the database.
//!
//! It is not a backup. It remembers only how far the log has signed, so that a database restored from a snapshot is
//! noticed before it signs a second head of a size it has already signed.
//!
//! Invariant: a file is replaced as a whole, by compare-and-swap under a lock, and is on the disk before the call returns.
//!
//! One file for each log, `<hex SHA-256 of the origin>.json`; what is in it is [`document`]'s. [`object`] keeps the same
//! documents in a bucket.

mod document;
pub mod object;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countermark_tlog::checkpoint::Origin;
use thiserror::Error;

use crate::objects::location::Location;
use crate::ports::{HeadRegister, PortFault, PortFuture, PortName, RegisterError, StoredHead};

use object::{ObjectRegister, OpenObjectRegisterError};

/// Why the register was not opened.
#[derive(Debug, Error)]
pub enum OpenRegisterError {
    /// There is no folder. A lost register is never replaced by an empty one.
    #[error("there is no head register at {}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file system failed.
    #[error("cannot use the head register at {}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The bucket cannot hold it.
    #[error("the head register: {0}")]
    Object(#[from] OpenObjectRegisterError),
}

/// Opens the head register where it is. With no file of credentials a bucket's are taken from the environment.
pub(crate) async fn open(
    place: &Location,
    credentials: Option<&Path>,
) -> Result<Arc<dyn HeadRegister>, OpenRegisterError> {
    Ok(match place {
        Location::Folder(folder) => Arc::new(FileRegister::open(folder)?),
        Location::Bucket(bucket) => Arc::new(ObjectRegister::open(bucket, credentials).await?),
    })
}

/// Why a register file is not one.
#[derive(Debug, Error)]
pub enum RegisterFileError {
    /// The file system failed.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// Not the JSON that is written here, or one whose fields contradict its checkpoint.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The blocking task was cancelled with the runtime.
    #[error("the runtime is shutting down")]
    Cancelled,
}

/// A folder of register files.
#[derive(Debug, Clone)]
pub struct FileRegister {
    folder: Arc<Path>,
}

impl FileRegister {
    /// Opens an existing folder.
    pub fn open(folder: &Path) -> Result<Self, OpenRegisterError> {
        match fs::metadata(folder) {
            Ok(found) if found.is_dir() => Ok(Self { folder: folder.into() }),
            Ok(_) => {
                Err(OpenRegisterError::Io { path: folder.to_owned(), source: io::ErrorKind::NotADirectory.into() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(OpenRegisterError::Missing { path: folder.to_owned() })
            }
            Err(source) => Err(OpenRegisterError::Io { path: folder.to_owned(), source }),
        }
    }

    fn slot(&self, origin: &Origin) -> Slot {
        let file = self.folder.join(document::name(origin));
        Slot { origin: origin.clone(), lock: file.with_extension("lock"), file, folder: self.folder.clone() }
    }
}

impl HeadRegister for FileRegister {
    fn read<'a>(&'a self, origin: &'a Origin) -> PortFuture<'a, Result<Option<StoredHead>, PortFault>> {
        let slot = self.slot(origin);
        Box::pin(async move { blocking(move || slot.read()).await.map_err(fault("read the registered head")) })
    }

    fn compare_and_swap<'a>(
        &'a self,
        origin: &'a Origin,
        expected: Option<&'a StoredHead>,
        head: &'a StoredHead,
    ) -> PortFuture<'a, Result<(), RegisterError>> {
        let (slot, expected, head) = (self.slot(origin), expected.cloned(), head.clone());
        Box::pin(async move {
            let swapped = blocking(move || slot.compare_and_swap(expected.as_ref(), &head)).await;
            match swapped.map_err(fault("register a head"))? {
                Swap::Done => Ok(()),
                Swap::Refused { found } => Err(RegisterError::Conflict { found }),
            }
        })
    }
}

/// Files block; the runtime's threads must not.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RegisterFileError> + Send + 'static,
) -> Result<T, RegisterFileError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(RegisterFileError::Cancelled))
}

fn fault(action: &'static str) -> impl Fn(RegisterFileError) -> PortFault {
    move |source| PortFault { port: PortName::HeadRegister, action, source: Box::new(source) }
}

/// The files of one log.
struct Slot {
    origin: Origin,
    file: PathBuf,
    lock: PathBuf,
    folder: Arc<Path>,
}

enum Swap {
    Done,
    Refused { found: Option<StoredHead> },
}

impl Slot {
    fn read(&self) -> Result<Option<StoredHead>, RegisterFileError> {
        let bytes = match fs::metadata(&self.file) {
            Ok(found) if found.len() > document::BYTES_MAX => return Err(self.damaged()),
            Ok(_) => fs::read(&self.file).map_err(io_at(&self.file))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // "Could not look" is not "not there".
            Err(error) => return Err(io_at(&self.file)(error)),
        };
        document::parse(&self.origin, &bytes).map(Some).ok_or_else(|| self.damaged())
    }

    fn compare_and_swap(&self, expected: Option<&StoredHead>, head: &StoredHead) -> Result<Swap, RegisterFileError> {
        // 1. One swap at a time, between processes too. A crash releases the lock with the descriptor.
        let lock = File::create(&self.lock).map_err(io_at(&self.lock))?;
        lock.lock().map_err(io_at(&self.lock))?;
        let found = self.read()?;
        if found.as_ref() != expected {
            return Ok(Swap::Refused { found });
        }
        // 2. The new content under a name nobody reads. A crash here leaves a `.head.*` file that may be deleted.
        let mut draft =
            tempfile::Builder::new().prefix(".head.").tempfile_in(&self.folder).map_err(io_at(&self.folder))?;
        draft.write_all(&document::write(&self.origin, head)).map_err(io_at(draft.path()))?;
        draft.as_file().sync_all().map_err(io_at(draft.path()))?;
        // 3. The name. A crash before it leaves the old head, after it the new one, each whole.
        draft.persist(&self.file).map_err(|refused| io_at(&self.file)(refused.error))?;
        // 4. The name on the disk. A crash before it may bring the old head back: the database is then ahead, and its
        //    signature has not left the process.
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(io_at(&self.folder))?;
        Ok(Swap::Done)
    }

    fn damaged(&self) -> RegisterFileError {
        RegisterFileError::Damaged { path: self.file.clone() }
    }
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> RegisterFileError {
    |source| RegisterFileError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod contract;
#[cfg(test)]
mod tests;
