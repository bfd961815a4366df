//! The text of a configuration file.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The most bytes of a configuration file: 1 MiB.
pub const CONFIGURATION_BYTES_MAX: u64 = 1 << 20;

/// Why a configuration file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused.
    #[error("cannot read the configuration {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The file is larger than 1 MiB.
    #[error("the configuration {} is larger than {CONFIGURATION_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a configuration file and returns it with its folder, to which its paths are relative.
pub fn read(path: &Path) -> Result<(String, PathBuf), ReadError> {
    let refused = |source| ReadError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(refused)?;
    let mut text = String::new();
    file.take(CONFIGURATION_BYTES_MAX + 1).read_to_string(&mut text).map_err(refused)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > CONFIGURATION_BYTES_MAX {
        return Err(ReadError::TooLarge { path: path.to_owned() });
    }
    Ok((text, path.parent().unwrap_or(Path::new("")).to_owned()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_configuration_is_read_with_its_folder_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        assert!(matches!(read(&path), Err(ReadError::Io { .. })));
        std::fs::write(&path, "x = 1").unwrap();
        assert_eq!(read(&path).unwrap(), ("x = 1".to_owned(), folder.path().to_owned()));
        let limit = usize::try_from(CONFIGURATION_BYTES_MAX).unwrap();
        std::fs::write(&path, vec![b'#'; limit]).unwrap();
        assert!(read(&path).is_ok());
        std::fs::write(&path, vec![b'#'; limit + 1]).unwrap();
        assert!(matches!(read(&path), Err(ReadError::TooLarge { .. })));
        std::fs::write(&path, [0xff]).unwrap();
        assert!(matches!(read(&path), Err(ReadError::Io { .. })));
    }
}
