//! The passphrase that opens a key file, in a file of its own.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use getrandom::SysRng;
use rand_core::TryCryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::owner_only_file::{self, FileError, NewFileError};
use crate::randomness::{self, RandomnessError};

/// The most bytes of a passphrase file.
const BYTES_MAX: usize = 1024;

/// The fewest bytes of a passphrase. The low work factor of the seal rests on passphrases that nobody can guess.
const BYTES_MIN: usize = 32;

/// Why a passphrase file gave no passphrase.
#[derive(Debug, Error)]
pub enum PassphraseError {
    /// The file itself was not read.
    #[error("the passphrase file was not read")]
    File(#[source] FileError),
    /// Refused: it holds nothing but perhaps a newline.
    #[error("the passphrase is empty")]
    Empty,
    /// Refused: a passphrase so short can be guessed.
    #[error("the passphrase has {bytes} bytes, at least {bytes_min} are needed")]
    TooShort {
        /// The bytes found.
        bytes: usize,
        /// The fewest bytes accepted.
        bytes_min: usize,
    },
    /// Refused: it is not UTF-8.
    #[error("the passphrase is not UTF-8")]
    NotText,
}

/// Why no passphrase file was created.
#[derive(Debug, Error)]
pub enum CreatePassphraseError {
    /// Conflict: the name is taken; what has it is unchanged.
    #[error("{}: exists already and is never overwritten", .path.display())]
    AlreadyExists {
        /// The passphrase file.
        path: PathBuf,
    },
    /// Fault: the operating system could not write it. If the file exists nevertheless, it is whole.
    #[error("{}: could not be written", .path.display())]
    Write {
        /// The passphrase file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Fault: no randomness, no file.
    #[error("no passphrase could be generated")]
    Randomness(#[from] RandomnessError),
}

/// Creates a passphrase file of mode 0600: 32 random bytes as 64 hex digits and a newline. Never overwrites.
pub fn create_passphrase_file(path: &Path) -> Result<(), CreatePassphraseError> {
    create_from(path, &mut SysRng)
}

fn create_from(path: &Path, rng: &mut impl TryCryptoRng) -> Result<(), CreatePassphraseError> {
    let mut secret = Zeroizing::new([0; 32]);
    randomness::fill(rng, secret.as_mut_slice())?;
    let mut line = Zeroizing::new([b'\n'; 65]);
    hex::encode_to_slice(secret.as_slice(), &mut line[..64]).expect("64 digits hold 32 bytes in hex");
    owner_only_file::create(path, line.as_slice()).map_err(|error| match error {
        NewFileError::AlreadyExists => CreatePassphraseError::AlreadyExists { path: path.into() },
        NewFileError::Unwritable(source) => CreatePassphraseError::Write { path: path.into(), source },
    })
}

/// A passphrase, never empty; wiped when dropped.
pub(crate) struct Passphrase(SecretString);

impl Passphrase {
    /// Reads the passphrase file at `path`, which only its owner may touch.
    pub(crate) fn read(path: &Path) -> Result<Self, PassphraseError> {
        let bytes = owner_only_file::read(path, BYTES_MAX).map_err(PassphraseError::File)?;
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if line.is_empty() {
            return Err(PassphraseError::Empty);
        }
        if line.len() < BYTES_MIN {
            return Err(PassphraseError::TooShort { bytes: line.len(), bytes_min: BYTES_MIN });
        }
        let text = std::str::from_utf8(line).map_err(|_not_utf8| PassphraseError::NotText)?;
        Ok(Self(SecretString::from(text)))
    }

    /// Hands the passphrase to age, whose types wipe it too.
    pub(crate) fn into_age(self) -> SecretString {
        self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::randomness::tests::Empty;
    use age::secrecy::ExposeSecret;
    use std::fs;

    fn check(content: &[u8]) -> Result<String, PassphraseError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        owner_only_file::create(&path, content).unwrap();
        let passphrase = Passphrase::read(&path)?;
        assert_eq!(format!("{passphrase:?}"), "Passphrase(redacted)");
        Ok(passphrase.into_age().expose_secret().to_owned())
    }

    #[test]
    fn one_newline_at_the_end_is_not_part_of_the_passphrase() {
        let text = "x".repeat(BYTES_MIN);
        assert_eq!(check(text.as_bytes()).unwrap(), text);
        assert_eq!(check(format!("{text}\n").as_bytes()).unwrap(), text);
        assert_eq!(check(format!("{text}\n\n").as_bytes()).unwrap(), format!("{text}\n"));
    }

    #[test]
    fn a_passphrase_that_is_empty_short_long_or_not_text_is_refused_by_name() {
        assert!(matches!(check(b""), Err(PassphraseError::Empty)));
        assert!(matches!(check(b"\n"), Err(PassphraseError::Empty)));
        let short = check(&[b'x'; BYTES_MIN - 1]);
        assert!(matches!(short, Err(PassphraseError::TooShort { bytes: 31, bytes_min: 32 })));
        let large = check(&[b'x'; BYTES_MAX + 1]);
        assert!(matches!(large, Err(PassphraseError::File(FileError::TooLarge { .. }))));
        assert!(matches!(check(&[0xff; BYTES_MIN]), Err(PassphraseError::NotText)));
    }

    #[test]
    fn a_created_passphrase_is_64_hex_digits_and_never_the_same_twice() {
        let folder = tempfile::tempdir().unwrap();
        let read = ["one", "two"].map(|name| {
            let path = folder.path().join(name);
            create_passphrase_file(&path).unwrap();
            Passphrase::read(&path).unwrap();
            fs::read_to_string(&path).unwrap()
        });
        for line in &read {
            assert_eq!(line.len(), 65);
            let digits = line.strip_suffix('\n').unwrap();
            assert_eq!(hex::encode(hex::decode(digits).unwrap()), digits);
        }
        assert_ne!(read[0], read[1]);
    }

    #[test]
    fn a_passphrase_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        create_passphrase_file(&path).unwrap();
        let before = fs::read(&path).unwrap();
        let refused = create_passphrase_file(&path).unwrap_err();
        assert!(matches!(refused, CreatePassphraseError::AlreadyExists { .. }));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn without_a_folder_or_randomness_no_passphrase_file_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing/passphrase");
        assert!(matches!(create_passphrase_file(&missing), Err(CreatePassphraseError::Write { .. })));
        let path = folder.path().join("passphrase");
        assert!(matches!(
            create_from(&path, &mut Empty),
            Err(CreatePassphraseError::Randomness(RandomnessError::Unavailable))
        ));
        assert!(!path.exists());
    }
}
