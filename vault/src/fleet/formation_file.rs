//! The formation in a file of the data folder, sealed by the device.
//!
//! It is kept because a member that starts again has to know its peers before it knows anything else, with or without
//! the log; and sealed rather than verified again because a bundle is believed only while it is fresh. Whoever changes
//! the file is found out. An older copy does not exist: the file is written once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use countermark_bundle::trust::TRUST_BYTES_MAX;
use countermark_vault_core::device::{DeviceFault, SealedStore, UnsealError};
use thiserror::Error;

use super::formation::Formation;
use crate::peer::OwnEnd;

/// The file's name.
const FILE: &str = "formation";
/// The most bytes of the file: the trust file is the largest part of it.
const FILE_BYTES_MAX: usize = TRUST_BYTES_MAX + 16 * 1024;

/// Why the formation was not read or not stored.
#[derive(Debug, Error)]
pub enum FormationFileError {
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
    /// The file was not written by this member.
    #[error("{} was changed, or is another member's", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceFault),
}

/// Keeps the formation of one member.
pub(crate) struct FormationFile {
    folder: PathBuf,
    context: Vec<u8>,
}

impl FormationFile {
    /// Names the file of a member in its data folder.
    pub(crate) fn new(data_folder: &Path, own: &OwnEnd) -> Self {
        let OwnEnd { origin, fleet_id, member_id, .. } = own;
        let context = format!("countermark/vault-formation/v1\n{origin}\n{fleet_id}\n{member_id}\n").into_bytes();
        Self { folder: data_folder.to_owned(), context }
    }

    /// What was stored; `None` if nothing was.
    pub(crate) fn read(&self, device: &dyn SealedStore) -> Result<Option<Formation>, FormationFileError> {
        let path = self.path();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("read", &path)(source)),
        };
        let mut sealed = Vec::new();
        let room = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
        file.take(room).read_to_end(&mut sealed).map_err(failed("read", &path))?;
        let changed = || FormationFileError::Changed { path: path.clone() };
        if sealed.len() > FILE_BYTES_MAX {
            return Err(changed());
        }
        let bytes = device.unseal(&self.context, &sealed).map_err(|error| match error {
            UnsealError::NotOurs => changed(),
            UnsealError::Fault(fault) => fault.into(),
        })?;
        postcard::from_bytes(&bytes).map(Some).map_err(|_| changed())
    }

    /// Stores the formation, durably when it returns, and makes the data folder if it is missing.
    pub(crate) fn store(&self, device: &dyn SealedStore, formation: &Formation) -> Result<(), FormationFileError> {
        let bytes = postcard::to_allocvec(formation).expect("a formation serialises");
        let sealed = device.seal(&self.context, &bytes)?;
        let path = self.path();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(failed("make", &self.folder))?;
        // 1. Under another name. A crash here leaves a file that the next attempt writes over.
        let staged = path.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&staged)
            .map_err(failed("write", &staged))?;
        file.write_all(&sealed).and_then(|()| file.sync_all()).map_err(failed("write", &staged))?;
        // 2. The name changes over, and is durable. A crash up to here leaves no formation: the member seeks it again,
        //    and has told nobody anything. Whatever is stored for the fleet is stored after this.
        fs::rename(&staged, &path).map_err(failed("write", &path))?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed("make durable", &self.folder))
    }

    fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> FormationFileError {
    move |source| FormationFileError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use countermark_vault_core::device::SealedStore;
    use zeroize::Zeroizing;

    use super::*;
    use crate::fleet::formation::FormationMember;
    use crate::testkit::{TestMember, name};

    /// Keeps context and plaintext in the clear, and opens what it made.
    struct Glass;

    impl SealedStore for Glass {
        fn seal(&self, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, DeviceFault> {
            Ok([context, plaintext].concat())
        }

        fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
            let plaintext = sealed.strip_prefix(context).ok_or(UnsealError::NotOurs)?;
            Ok(Zeroizing::new(plaintext.to_vec()))
        }
    }

    struct Broken;

    impl SealedStore for Broken {
        fn seal(&self, _: &[u8], _: &[u8]) -> Result<Vec<u8>, DeviceFault> {
            Err(DeviceFault { part: "sealing key" })
        }

        fn unseal(&self, _: &[u8], _: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
            Err(DeviceFault { part: "sealing key" }.into())
        }
    }

    fn formation() -> Formation {
        let member = FormationMember { member_id: "member-1".to_owned(), identity: [1; 32], session: [2; 32] };
        Formation { trust: b"trust".to_vec(), statement: [3; 32], members: vec![member] }
    }

    #[test]
    fn a_formation_is_read_as_stored_and_only_by_its_member() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let file = FormationFile::new(&data, &TestMember::new(1).own_end());
        assert_eq!(file.read(&Glass).unwrap(), None);
        file.store(&Glass, &formation()).unwrap();
        assert_eq!(file.read(&Glass).unwrap(), Some(formation()));
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
        let elsewhere = OwnEnd { fleet_id: name("fleet-2"), ..TestMember::new(1).own_end() };
        for other in [TestMember::new(2).own_end(), elsewhere] {
            let read = FormationFile::new(&data, &other).read(&Glass);
            assert!(matches!(read, Err(FormationFileError::Changed { .. })), "{read:?}");
        }
    }

    #[test]
    fn a_file_that_was_changed_or_cannot_be_read_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = FormationFile::new(folder.path(), &TestMember::new(1).own_end());
        file.store(&Glass, &formation()).unwrap();
        let good = fs::read(folder.path().join(FILE)).unwrap();
        for bad in [vec![], good[..good.len() - 1].to_vec(), vec![0; FILE_BYTES_MAX + 1]] {
            fs::write(folder.path().join(FILE), bad).unwrap();
            assert!(matches!(file.read(&Glass), Err(FormationFileError::Changed { .. })));
        }
        assert!(matches!(file.read(&Broken), Err(FormationFileError::Changed { .. } | FormationFileError::Device(_))));
        fs::remove_file(folder.path().join(FILE)).unwrap();
        fs::create_dir(folder.path().join(FILE)).unwrap();
        assert!(matches!(file.read(&Glass), Err(FormationFileError::Io { action: "read", .. })));
        assert!(matches!(file.store(&Glass, &formation()), Err(FormationFileError::Io { action: "write", .. })));
        assert!(matches!(file.store(&Broken, &formation()), Err(FormationFileError::Device(_))));
    }
}
