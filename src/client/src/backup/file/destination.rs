//! A file that appears at its place whole or not at all.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{FileError, Place};

/// What happens to a file that is at the destination already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and nothing is done.
    Keep,
    /// It is replaced.
    Replace,
}

/// A file beside the destination. Dropped before it took its place, it is removed.
pub(super) struct Beside {
    file: NamedTempFile,
    path: PathBuf,
    existing: Existing,
}

impl Beside {
    /// Makes the file, which only its owner may read, in the destination's folder. A destination that may not be replaced
    /// is refused now, before the work; and again by [`Beside::take_its_place`].
    pub fn new(path: &Path, existing: Existing) -> Result<Self, FileError> {
        if existing == Existing::Keep && path.symlink_metadata().is_ok() {
            return Err(FileError::Exists { path: path.to_path_buf() });
        }
        let file = NamedTempFile::new_in(folder(path)).map_err(|source| failed(path, source))?;
        Ok(Self { file, path: path.to_path_buf(), existing })
    }

    /// Where to write.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Moves the file to its place. A crash
    /// 1. before the rename leaves what was there, and perhaps the file beside it;
    /// 2. between the rename and the folder's fsync leaves what was there or the new file, each whole;
    /// 3. after the folder's fsync leaves the new file.
    pub fn take_its_place(self) -> Result<(), FileError> {
        let Self { file, path, existing } = self;
        file.as_file().sync_all().map_err(|source| failed(&path, source))?;
        let moved = match existing {
            Existing::Keep => file.persist_noclobber(&path),
            Existing::Replace => file.persist(&path),
        };
        match moved {
            Ok(_) => {}
            Err(error) if existing == Existing::Keep && error.error.kind() == ErrorKind::AlreadyExists => {
                return Err(FileError::Exists { path });
            }
            Err(error) => return Err(failed(&path, error.error)),
        }
        sync_folder(folder(&path)).map_err(|source| failed(&path, source))
    }
}

fn failed(path: &Path, source: std::io::Error) -> FileError {
    FileError::Write { place: Place::Path(path.to_path_buf()), source }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Other systems have no way to ask for it; their rename is as durable as it gets.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}
