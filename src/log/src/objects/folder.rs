//! Objects as files below a folder.
//!
//! It is not `object_store`'s file back end: that one has no conditional write and does not sync.
//!
//! Invariant: a file appears under its name with all its bytes on the disk; the name itself is on the disk after
//! [`Objects::settle`].

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use countermark_bundle::identity::Digest;

use super::{Object, Objects, ObjectsFault, ObjectsFaultCause, SwapError, Tag};
use crate::ports::PortFuture;

/// Held while an object is compared and written.
const LOCK_FILE: &str = ".swap.lock";
/// How the name of a file begins that has no name yet. A crash leaves it behind; it may be deleted.
const DRAFT_PREFIX: &str = ".put.";
/// Files are for everybody to read: a web server of another user may serve the folder.
const FILE_MODE: u32 = 0o644;

/// A folder of objects.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: Arc<Path>,
    /// Folders whose names or content changed since the last [`Objects::settle`].
    touched: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Folder {
    /// Names a folder. It is made by the first write.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.into(), touched: Arc::default() }
    }

    fn touched(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        // A set of paths is whole, wherever a panic came.
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, key: &str, bytes_max: usize) -> Result<Option<Object>, ObjectsFaultCause> {
        let file = match File::open(self.root.join(key)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // "Could not look" is not "not there".
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        let bound = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        file.take(bound).read_to_end(&mut bytes)?;
        if bytes.len() > bytes_max {
            return Err(ObjectsFaultCause::TooLarge { bytes_max });
        }
        let tag = tag_of(&bytes);
        Ok(Some(Object { bytes, tag }))
    }

    /// Writes a file under its name. The bytes are on the disk, the name may not be.
    fn write(&self, key: &str, bytes: &[u8]) -> Result<(), ObjectsFaultCause> {
        let path = self.root.join(key);
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        // 1. The bytes under a name nobody reads. A crash here leaves a draft that may be deleted.
        let permissions = Permissions::from_mode(FILE_MODE);
        let mut draft = tempfile::Builder::new().prefix(DRAFT_PREFIX).permissions(permissions).tempfile_in(folder)?;
        draft.write_all(bytes)?;
        draft.as_file().sync_all()?;
        // 2. The name. A crash before it leaves the old content, after it the new one, each whole.
        draft.persist(&path).map_err(|refused| refused.error)?;
        // 3. Which names `settle` puts on the disk: this one's, and those of folders that may be new.
        let up_to_root = folder.ancestors().take_while(|folder| folder.starts_with(&self.root));
        self.touched().extend(up_to_root.map(Path::to_owned));
        Ok(())
    }

    fn sync_names(&self) -> Result<(), ObjectsFaultCause> {
        let touched = std::mem::take(&mut *self.touched());
        // The deepest first: a folder's name is durable after what it holds.
        for folder in touched.iter().rev() {
            if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
                // None of them counts as durable; the next call does them all again.
                self.touched().extend(touched);
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn compare_and_write(&self, key: &str, expected: Option<&Tag>, bytes: &[u8]) -> Result<bool, ObjectsFaultCause> {
        fs::create_dir_all(&self.root)?;
        // 1. One swap at a time, between processes too. A crash releases the lock with the descriptor.
        let lock = File::create(self.root.join(LOCK_FILE))?;
        lock.lock()?;
        let found = match File::open(self.root.join(key)) {
            Ok(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                Some(tag_of(&bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if found.as_ref() != expected {
            return Ok(false);
        }
        // 2. The new content, whole. A crash after it may bring the old content back, never half of one.
        self.write(key, bytes)?;
        // 3. The name on the disk, before anybody is told.
        self.sync_names()?;
        Ok(true)
    }

    fn delete_folder(&self, folder: &str) -> Result<(), ObjectsFaultCause> {
        match fs::remove_dir_all(self.root.join(folder)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn list_folders(&self) -> Result<Vec<String>, ObjectsFaultCause> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir()
                && let Ok(name) = entry.file_name().into_string()
            {
                found.push(name);
            }
        }
        found.sort();
        Ok(found)
    }
}

fn tag_of(bytes: &[u8]) -> Tag {
    Tag(Digest::of(bytes).to_hex())
}

/// Files block; the runtime's threads must not.
async fn blocking<T: Send + 'static>(
    action: &'static str,
    key: String,
    work: impl FnOnce() -> Result<T, ObjectsFaultCause> + Send + 'static,
) -> Result<T, ObjectsFault> {
    let done = tokio::task::spawn_blocking(work).await.unwrap_or(Err(ObjectsFaultCause::Cancelled));
    done.map_err(|source| ObjectsFault { action, key, source })
}

impl Objects for Folder {
    fn get<'a>(&'a self, key: &'a str, bytes_max: usize) -> PortFuture<'a, Result<Option<Object>, ObjectsFault>> {
        let (folder, wanted) = (self.clone(), key.to_owned());
        Box::pin(blocking("read", key.to_owned(), move || folder.read(&wanted, bytes_max)))
    }

    fn put<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> PortFuture<'a, Result<(), ObjectsFault>> {
        let (folder, wanted) = (self.clone(), key.to_owned());
        Box::pin(blocking("write", key.to_owned(), move || folder.write(&wanted, &bytes)))
    }

    fn settle(&self) -> PortFuture<'_, Result<(), ObjectsFault>> {
        let folder = self.clone();
        Box::pin(blocking("sync the names below", self.root.display().to_string(), move || folder.sync_names()))
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a Tag>,
        bytes: Vec<u8>,
    ) -> PortFuture<'a, Result<(), SwapError>> {
        let (folder, wanted, expected) = (self.clone(), key.to_owned(), expected.cloned());
        Box::pin(async move {
            let work = move || folder.compare_and_write(&wanted, expected.as_ref(), &bytes);
            if blocking("replace", key.to_owned(), work).await? { Ok(()) } else { Err(SwapError::Conflict) }
        })
    }

    fn remove_folder<'a>(&'a self, folder: &'a str) -> PortFuture<'a, Result<(), ObjectsFault>> {
        let (this, wanted) = (self.clone(), folder.to_owned());
        Box::pin(blocking("remove", folder.to_owned(), move || this.delete_folder(&wanted)))
    }

    fn folders(&self) -> PortFuture<'_, Result<Vec<String>, ObjectsFault>> {
        let folder = self.clone();
        Box::pin(blocking("list", self.root.display().to_string(), move || folder.list_folders()))
    }
}
