//! The head register: a small file beside the key that knows how far the state of that key has come.
//!
//! It holds no heads. It holds the generation of the state, a number that every stored batch of heads raises. A state
//! whose generation is below the register's is an older copy, a restored backup say, and a witness that went on from it
//! would cosign a second history of the logs.
//!
//! Invariant: the number in the file only rises, and no cosignature leaves the process before the number is at least the
//! generation in which its head was stored. It cannot see what was restored together with it: it protects where it lies
//! on other storage than the state.
//!
//! Format: FORMATS.md, "Head register of a witness".

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use countermark_tlog::hash::leaf_hash;
use thiserror::Error;

/// The first line of the file.
const HEADER: &str = "countermark-witness-head-register/v1";

/// The most bytes of the file.
const BYTES_MAX: u64 = 8_192;

/// How often a state was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// Remembers the newest generation that anything was shown of. Its calls block.
pub trait HeadRegister: Send + Sync + 'static {
    /// The registered generation; `None` if nothing was ever registered.
    fn read(&self) -> Result<Option<Generation>, RegisterError>;

    /// Makes the registered generation at least `to`, durably. After an error it may be so or not.
    fn raise(&self, to: Generation) -> Result<(), RegisterError>;
}

/// Why the head register gave no answer. All are faults.
#[derive(Debug, Error)]
pub enum RegisterError {
    /// The file system failed.
    #[error("cannot use the head register {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The file holds what was never written there.
    #[error("the head register {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The blocking task was cancelled with the runtime.
    #[error("the runtime is shutting down")]
    Cancelled,
}

/// The register in a file, which several processes may share.
#[derive(Clone, Debug)]
pub struct FileRegister {
    file: PathBuf,
    state: PathBuf,
}

impl FileRegister {
    /// Takes the path of the file, which need not exist, and that of the state, which is written into it for whoever reads it.
    #[must_use]
    pub fn new(file: &Path, state: &Path) -> Self {
        Self { file: file.to_owned(), state: state.to_owned() }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    }

    /// The file as it is now; it is only ever replaced as a whole.
    fn found(&self) -> Result<Found, RegisterError> {
        let bytes = match fs::metadata(&self.file) {
            Ok(found) if found.len() > BYTES_MAX => return Err(self.damaged()),
            Ok(_) => fs::read(&self.file).map_err(io_at(&self.file))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            // "Could not look" is not "not there".
            Err(error) => return Err(io_at(&self.file)(error)),
        };
        parse(&bytes).ok_or_else(|| self.damaged())
    }

    fn damaged(&self) -> RegisterError {
        RegisterError::Damaged { path: self.file.clone() }
    }
}

impl HeadRegister for FileRegister {
    fn read(&self) -> Result<Option<Generation>, RegisterError> {
        Ok(match self.found()? {
            Found::Nothing => None,
            Found::Mark => Some(Generation(0)),
            Found::Registered(generation) => Some(generation),
        })
    }

    fn raise(&self, to: Generation) -> Result<(), RegisterError> {
        // 1. One at a time, between processes too. A crash releases the lock with the descriptor.
        let lock_path = self.beside(".lock");
        let lock = File::create(&lock_path).map_err(io_at(&lock_path))?;
        lock.lock().map_err(io_at(&lock_path))?;
        match self.found()? {
            // Another process was faster. That its name is on the disk is known only once the folder was synced.
            Found::Registered(found) if found >= to => return self.sync_folder(),
            Found::Registered(_) | Found::Mark | Found::Nothing => {}
        }
        // 2. The new content under a name that nobody reads. A crash here leaves a file that the next raise overwrites.
        let draft_path = self.beside(".draft");
        let mut draft = File::create(&draft_path).map_err(io_at(&draft_path))?;
        draft.write_all(write(to, &self.state).as_bytes()).map_err(io_at(&draft_path))?;
        draft.sync_all().map_err(io_at(&draft_path))?;
        // 3. The name. A crash before it leaves the old number, after it the new one, each whole.
        fs::rename(&draft_path, &self.file).map_err(io_at(&self.file))?;
        // 4. The name on the disk. A crash before it may bring the old number back, which is below the state's; nobody
        //    has seen a cosignature of the difference.
        self.sync_folder()
    }
}

impl FileRegister {
    fn sync_folder(&self) -> Result<(), RegisterError> {
        let folder = match self.file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_at(folder))
    }
}

/// What a register's file says.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// There is no file.
    Nothing,
    /// The mark of a release without generations: one line that names the state.
    Mark,
    /// The number.
    Registered(Generation),
}

fn write(generation: Generation, state: &Path) -> String {
    // A line end in a path would be a line of the file.
    let state = state.display().to_string().replace(['\n', '\r'], " ");
    let body = format!("{HEADER}\ngeneration {}\nstate {state}\n", generation.0);
    let check = leaf_hash(body.as_bytes()).0.to_base64();
    format!("{body}check {check}\n")
}

fn parse(bytes: &[u8]) -> Option<Found> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    if !text.starts_with("countermark-") {
        let is_one_line = !text.is_empty() && !text.contains('\n');
        return is_one_line.then_some(Found::Mark);
    }
    let (body, check) = text.rsplit_once("\ncheck ")?;
    let [header, generation, state]: [&str; 3] = body.split('\n').collect::<Vec<_>>().try_into().ok()?;
    let number = generation.strip_prefix("generation ")?;
    let generation: u64 = number.parse().ok()?;
    let is_whole = header == HEADER
        && number == generation.to_string()
        && state.starts_with("state ")
        && leaf_hash(format!("{body}\n").as_bytes()).0.to_base64() == check;
    is_whole.then_some(Found::Registered(Generation(generation)))
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> RegisterError {
    |source| RegisterError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
