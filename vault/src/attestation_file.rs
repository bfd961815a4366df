//! The attestation in a file of its own. It is public: whoever reads it learns nothing, whoever changes it is found out
//! at the next start.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use countermark_bundle::attestation::ATTESTATION_BYTES_MAX;

use crate::ports::{AttestationStore, StoreError};

/// Keeps the attestation at one path.
#[derive(Debug)]
pub(crate) struct AttestationFile {
    path: PathBuf,
}

impl AttestationFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl AttestationStore for AttestationFile {
    fn read(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let read_error = |source| StoreError::Read { path: self.path.clone(), source };
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(read_error(error)),
        };
        let mut bytes = Vec::new();
        let room = u64::try_from(ATTESTATION_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
        file.take(room).read_to_end(&mut bytes).map_err(read_error)?;
        if bytes.len() > ATTESTATION_BYTES_MAX {
            return Err(StoreError::TooLarge { path: self.path.clone(), bytes_max: ATTESTATION_BYTES_MAX });
        }
        Ok(Some(bytes))
    }

    fn replace(&mut self, attestation: &[u8]) -> Result<(), StoreError> {
        replace(&self.path, attestation).map_err(|source| StoreError::Write { path: self.path.clone(), source })
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    // 1. Durable under another name. A crash here leaves the old attestation and a file that nobody reads.
    let mut staged = tempfile::Builder::new().prefix(".attestation-").suffix(".tmp").tempfile_in(folder)?;
    staged.write_all(bytes)?;
    staged.as_file().sync_all()?;
    // 2. The name changes over at once. A crash here leaves the old or the new attestation, each whole.
    staged.persist(path).map_err(|error| error.error)?;
    // 3. The name is durable. Before this line a power cut could still bring the old attestation back.
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_stored_at_first_and_then_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = AttestationFile::new(folder.path().join("attestation.json"));
        assert_eq!(store.read().unwrap(), None);
        for bytes in [b"first".as_slice(), b"second"] {
            store.replace(bytes).unwrap();
            assert_eq!(store.read().unwrap().unwrap(), bytes);
        }
        let again = AttestationFile::new(folder.path().join("attestation.json"));
        assert_eq!(again.read().unwrap().unwrap(), b"second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_too_large_for_an_attestation_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attestation.json");
        for (bytes, readable) in [(ATTESTATION_BYTES_MAX, true), (ATTESTATION_BYTES_MAX + 1, false)] {
            std::fs::write(&path, vec![b' '; bytes]).unwrap();
            let read = AttestationFile::new(path.clone()).read();
            assert_eq!(read.is_ok(), readable, "{bytes}");
            assert!(readable || matches!(read, Err(StoreError::TooLarge { .. })));
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let read = AttestationFile::new(folder.path().to_owned()).read();
        assert!(matches!(read, Err(StoreError::Read { .. })), "{read:?}");
    }

    #[test]
    fn a_crash_before_the_rename_keeps_the_old_attestation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attestation.json");
        let mut store = AttestationFile::new(path.clone());
        store.replace(b"old").unwrap();
        std::fs::write(folder.path().join(".attestation-x.tmp"), b"half").unwrap();
        assert_eq!(AttestationFile::new(path).read().unwrap().unwrap(), b"old");
    }

    #[test]
    fn a_name_that_cannot_be_taken_is_a_fault_and_leaves_no_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attestation.json");
        std::fs::create_dir(&path).unwrap();
        let stored = AttestationFile::new(path).replace(b"new");
        assert!(matches!(stored, Err(StoreError::Write { .. })), "{stored:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let missing = AttestationFile::new(folder.path().join("missing/attestation.json")).replace(b"new");
        assert!(matches!(missing, Err(StoreError::Write { .. })));
    }

    #[test]
    fn a_bare_file_name_lies_in_the_current_folder() {
        assert_eq!(folder_of(Path::new("attestation.json")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/b")), Path::new("a"));
    }
}
