//! The client's floor: what it verified last, so that nobody can roll it back.
//!
//! It is one file, one encoding ([`Floor::write`]), replaced as a whole and durable before a bundle is used. "There is
//! no floor" is `Ok(None)` and means a client's first day; a floor that is there and cannot be read is an error, because
//! taking it for "none" would let whoever damages it choose how old a bundle may be. What this module cannot notice is a
//! file that somebody deleted: it belongs where only the app can write.
//!
//! Invariant: size, epoch, head time and remembered revocations never go backwards.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use countermark_bundle::ExitClass;
use countermark_bundle::trust::{Floor, TRUST_BYTES_MAX, TrustError};
use countermark_tlog::checkpoint::Origin;

/// How long [`FloorFile::lock`] waits for another process: 5 seconds.
pub const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How often it looks.
const LOCK_LOOK: Duration = Duration::from_millis(5);

/// Where a client keeps its floor. An app that has a better place than a file implements this.
pub trait FloorStore {
    /// The floor stored last; `Ok(None)` only if there never was one.
    fn read(&mut self) -> Result<Option<Floor>, FloorStoreError>;

    /// Replaces the floor. When it returns `Ok`, the new floor survives a crash; after an error either the old or the
    /// new floor is there, whole.
    fn write(&mut self, floor: &Floor) -> Result<(), FloorStoreError>;
}

/// Why a floor was not read or not stored.
#[derive(Debug, thiserror::Error)]
pub enum FloorStoreError {
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The file is there and is no floor.
    #[error("{} is damaged; it is not taken for a missing one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: TrustError,
    },
    /// Another process holds the floor, for longer than [`LOCK_WAIT`]. Conflict: try again.
    #[error("another process holds {}", path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// The new floor is below the stored one.
    #[error("the new floor would go backwards: {field}")]
    Backwards {
        /// What would go backwards.
        field: &'static str,
    },
    /// The stored floor is of another log.
    #[error("the stored floor is of {found}, expected {expected}")]
    OtherOrigin {
        /// The new floor's log.
        expected: Origin,
        /// The stored floor's log.
        found: Origin,
    },
}

impl FloorStoreError {
    /// The class that a process exits with.
    #[must_use]
    pub const fn exit_class(&self) -> ExitClass {
        match self {
            Self::Io { .. } | Self::Busy { .. } => ExitClass::OurFault,
            Self::Damaged { .. } => ExitClass::Malformed,
            Self::Backwards { .. } => ExitClass::Rollback,
            Self::OtherOrigin { .. } => ExitClass::UnknownAuthority,
        }
    }
}

/// Refuses a floor that forgets something the stored one knew.
pub fn check_forward(stored: &Floor, new: &Floor) -> Result<(), FloorStoreError> {
    if stored.origin != new.origin {
        return Err(FloorStoreError::OtherOrigin { expected: new.origin.clone(), found: stored.origin.clone() });
    }
    let backwards = |field| Err(FloorStoreError::Backwards { field });
    if new.size < stored.size {
        return backwards("size");
    }
    if new.size == stored.size && new.root != stored.root {
        return backwards("another root of the same size");
    }
    // `None` is below every epoch and every time.
    if new.epoch < stored.epoch {
        return backwards("epoch");
    }
    if new.epoch == stored.epoch && new.digest != stored.digest {
        return backwards("another statement of the same epoch");
    }
    if new.head_time < stored.head_time {
        return backwards("head time");
    }
    if stored.revocations.iter().any(|revocation| !new.revocations.contains(revocation)) {
        return backwards("a revocation is forgotten");
    }
    Ok(())
}

/// A floor in a file of its own, with a lock file and a temporary file beside it.
#[derive(Clone, Debug)]
pub struct FloorFile {
    path: PathBuf,
}

impl FloorFile {
    /// Names the file. Its folder must exist; the file need not.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// Reads the floor without locking it: it may be another one a moment later, never half of one.
    pub fn read(&self) -> Result<Option<Floor>, FloorStoreError> {
        let Some(bytes) = self.read_bytes()? else { return Ok(None) };
        let damaged = |source| FloorStoreError::Damaged { path: self.path.clone(), source };
        Floor::parse(&bytes).map(Some).map_err(damaged)
    }

    /// Takes the floor for one verification; waits for another process at most [`LOCK_WAIT`]. The lock is the
    /// system's, so a process that dies lets go of it.
    pub fn lock(&self) -> Result<LockedFloor<'_>, FloorStoreError> {
        self.lock_within(LOCK_WAIT)
    }

    fn lock_within(&self, wait: Duration) -> Result<LockedFloor<'_>, FloorStoreError> {
        let path = self.beside("lock");
        let failed = |source| FloorStoreError::Io { action: "lock", path: path.clone(), source };
        // Never deleted: two processes could then hold locks on two files of one name.
        let lock = OpenOptions::new().create(true).write(true).truncate(false).open(&path).map_err(failed)?;
        let begin = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(LockedFloor { file: self, _lock: lock }),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) if begin.elapsed() >= wait => {
                    return Err(FloorStoreError::Busy { path });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_LOOK),
            }
        }
    }

    fn read_bytes(&self) -> Result<Option<Vec<u8>>, FloorStoreError> {
        let failed = |source| FloorStoreError::Io { action: "read", path: self.path.clone(), source };
        let file = match File::open(&self.path) {
            Ok(file) => file,
            // Not there is not enough: a folder that is missing or a link that leads nowhere is a place where a floor
            // may have been.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                std::fs::metadata(self.folder()).map_err(failed)?;
                return match std::fs::symlink_metadata(&self.path) {
                    Ok(_) => Err(failed(error)),
                    Err(link) if link.kind() == ErrorKind::NotFound => Ok(None),
                    Err(link) => Err(failed(link)),
                };
            }
            Err(error) => return Err(failed(error)),
        };
        let bound = u64::try_from(TRUST_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        file.take(bound).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(bytes))
    }

    /// Replaces the file as a whole. A crash
    /// 1. before the rename leaves the old floor and perhaps a temporary file, which the next write removes;
    /// 2. between the rename and the folder's fsync leaves the old floor or the new one, each whole;
    /// 3. after the folder's fsync leaves the new floor.
    ///
    /// Nobody has used the bundle in the first two cases, so both floors are safe.
    fn replace(&self, bytes: &[u8]) -> Result<(), FloorStoreError> {
        let temporary = self.beside("new");
        let failed = |action| {
            let path = self.path.clone();
            move |source| FloorStoreError::Io { action, path, source }
        };
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("clear the way for")(error)),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary).map_err(failed("write"))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("write"))?;
        std::fs::rename(&temporary, &self.path).map_err(failed("replace"))?;
        sync_folder(&self.folder()).map_err(failed("make durable"))
    }

    fn beside(&self, extension: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_os_string();
        name.push(".");
        name.push(extension);
        self.path.with_file_name(name)
    }

    fn folder(&self) -> PathBuf {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            Some(_) | None => PathBuf::from("."),
        }
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Other systems have no way to ask for it; their rename is as durable as it gets.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// A floor file that no other process reads or writes through a lock until this is dropped.
#[derive(Debug)]
pub struct LockedFloor<'a> {
    file: &'a FloorFile,
    _lock: File,
}

impl FloorStore for LockedFloor<'_> {
    fn read(&mut self) -> Result<Option<Floor>, FloorStoreError> {
        self.file.read()
    }

    fn write(&mut self, floor: &Floor) -> Result<(), FloorStoreError> {
        // Under the lock, so that nothing can come between.
        if let Some(stored) = self.file.read()? {
            check_forward(&stored, floor)?;
        }
        self.file.replace(&floor.write())
    }
}

#[cfg(test)]
mod tests;
