//! The measurement of an executable: SHA-256 of its content.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use countermark_bundle::identity::Digest;
use countermark_bundle::statement::Software;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// The name of what runs here.
pub const SOFTWARE_NAME: &str = "countermark-vault";
/// What the kernel calls the executable of this process, even after another file has taken its name.
const RUNNING: &str = "/proc/self/exe";
/// How much is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Why an executable was not measured.
#[derive(Debug, Error)]
#[error("cannot measure the executable {}", path.display())]
pub struct MeasureError {
    /// The file.
    path: PathBuf,
    /// What failed.
    source: io::Error,
}

/// The executable that runs this process, measured now.
pub fn running() -> Result<Software, MeasureError> {
    Ok(Software {
        name: SOFTWARE_NAME.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sha256: measure(Path::new(RUNNING))?,
    })
}

/// The SHA-256 of a file's content, read in pieces.
pub fn measure(path: &Path) -> Result<Digest, MeasureError> {
    let error = |source| MeasureError { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(error)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Digest(hasher.finalize().into())),
            Ok(count) => hasher.update(&chunk[..count]),
            Err(interrupted) if interrupted.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(error(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_measured_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("executable");
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 7] {
            let content: Vec<u8> = (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect();
            fs::write(&path, &content).unwrap();
            assert_eq!(measure(&path).unwrap(), Digest::of(&content), "{length} bytes");
        }
        assert!(measure(&folder.path().join("missing")).is_err());
    }

    #[test]
    fn the_running_executable_is_the_one_on_disk() {
        let on_disk = measure(&std::env::current_exe().unwrap()).unwrap();
        assert_eq!(running().unwrap().sha256, on_disk);
    }
}
