//! What executable runs.
//!
//! A measurement by the measured: it tells an honest member apart from one that was rebuilt, and nothing about a
//! dishonest one. In a device, the same digest comes from its boot chain.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use countermark_bundle::identity::Digest;
use countermark_bundle::statement::Software;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// The name of the software, as a fleet statement has it.
const SOFTWARE_NAME: &str = "countermark-vault";
/// How much is read at once: 64 KiB.
const CHUNK_BYTES: usize = 64 * 1024;

/// Fault: the running executable could not be read.
#[derive(Debug, Error)]
#[error("cannot measure the running executable {}", path.display())]
pub struct MeasureError {
    /// What was read.
    path: PathBuf,
    /// What failed.
    source: io::Error,
}

/// What runs: name, version and the SHA-256 of the executable.
pub(crate) fn running_software() -> Result<Software, MeasureError> {
    Ok(Software {
        name: SOFTWARE_NAME.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sha256: running_executable()?,
    })
}

fn running_executable() -> Result<Digest, MeasureError> {
    // Linux names the file that runs even after another one took its name on disk.
    let kernels = Path::new("/proc/self/exe");
    match File::open(kernels) {
        Ok(file) => digest(file).map_err(|source| MeasureError { path: kernels.to_owned(), source }),
        Err(_no_such_file_system) => {
            let path =
                std::env::current_exe().map_err(|source| MeasureError { path: PathBuf::from("(unknown)"), source })?;
            File::open(&path).and_then(digest).map_err(|source| MeasureError { path, source })
        }
    }
}

fn digest(mut file: impl Read) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Digest(hasher.finalize().into())),
            Ok(read) => hasher.update(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_of_the_file_that_runs() {
        let path = std::env::current_exe().unwrap();
        let expect = Digest::of(&std::fs::read(path).unwrap());
        assert_eq!(running_software().unwrap().sha256, expect);
    }

    #[test]
    fn a_file_longer_than_one_chunk_is_read_to_its_end() {
        let bytes = vec![7; 2 * CHUNK_BYTES + 1];
        assert_eq!(digest(bytes.as_slice()).unwrap(), Digest::of(&bytes));
    }

    #[test]
    fn a_file_that_breaks_off_has_no_digest() {
        let folder = tempfile::tempdir().unwrap();
        assert!(File::open(folder.path()).and_then(digest).is_err());
    }
}
