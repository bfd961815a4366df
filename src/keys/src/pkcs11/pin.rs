//! The PIN of a token, and where it is found. It is never a flag's value, and printed by nothing.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::secrecy::SecretString;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::owner_only_file::{self, FileError};

/// The fewest bytes of a PIN. The token counts wrong ones, so it may be short.
const BYTES_MIN: usize = 4;

/// The most bytes of a PIN.
const BYTES_MAX: usize = 255;

/// The most bytes of the name of a variable.
const VARIABLE_BYTES_MAX: usize = 128;

/// Where the PIN of a token is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinSource {
    /// In the file that holds the passphrases of key files otherwise.
    PassphraseFile,
    /// In a file of its own, for a service that has key files beside it; an absolute path.
    File(PathBuf),
    /// In a variable of the environment: capital letters, digits and `_`.
    Environment(String),
}

/// The text is not that of a [`PinSource`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a PIN comes from passphrase-file, file:/absolute/path or env:NAME")]
pub struct UnknownPinSource;

impl fmt::Display for PinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PassphraseFile => f.write_str("passphrase-file"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Environment(name) => write!(f, "env:{name}"),
        }
    }
}

impl FromStr for PinSource {
    type Err = UnknownPinSource;

    fn from_str(text: &str) -> Result<Self, UnknownPinSource> {
        if text == "passphrase-file" {
            return Ok(Self::PassphraseFile);
        }
        if let Some(path) = text.strip_prefix("file:").filter(|path| path.starts_with('/')) {
            return Ok(Self::File(path.into()));
        }
        text.strip_prefix("env:")
            .filter(|name| is_variable(name))
            .map(|name| Self::Environment(name.into()))
            .ok_or(UnknownPinSource)
    }
}

fn is_variable(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    !name.is_empty() && name.len() <= VARIABLE_BYTES_MAX && name.bytes().all(known)
}

/// Why there is no PIN.
#[derive(Debug, Error)]
pub enum PinError {
    /// The file itself was not read.
    #[error("{}: the PIN file was not read", .path.display())]
    File {
        /// The PIN file.
        path: PathBuf,
        /// What was wrong with it.
        source: FileError,
    },
    /// Refused: the environment has no such variable.
    #[error("the variable that holds the PIN is not set")]
    Unset,
    /// Refused: no PIN has such a length.
    #[error("the PIN has {bytes} bytes; it takes {BYTES_MIN} to {BYTES_MAX}")]
    Length {
        /// The bytes found.
        bytes: usize,
    },
    /// Refused: it is not UTF-8 in one line.
    #[error("the PIN is not one line of UTF-8")]
    NotText,
}

/// A PIN; wiped when dropped.
pub(crate) struct Pin(SecretString);

impl Pin {
    /// Reads the PIN where `source` says.
    pub(crate) fn read(source: &PinSource, passphrase_file: &Path) -> Result<Self, PinError> {
        match source {
            PinSource::PassphraseFile => Self::read_file(passphrase_file),
            PinSource::File(path) => Self::read_file(path),
            PinSource::Environment(name) => {
                let value = env::var_os(name).ok_or(PinError::Unset)?;
                Self::admit(&Zeroizing::new(value.into_encoded_bytes()))
            }
        }
    }

    fn read_file(path: &Path) -> Result<Self, PinError> {
        // One byte more for the newline; what is longer than a PIN then is refused as one, or as a file.
        let bytes = owner_only_file::read(path, BYTES_MAX.saturating_add(1))
            .map_err(|source| PinError::File { path: path.into(), source })?;
        Self::admit(bytes.strip_suffix(b"\n").unwrap_or(&bytes))
    }

    fn admit(line: &[u8]) -> Result<Self, PinError> {
        if !(BYTES_MIN..=BYTES_MAX).contains(&line.len()) {
            return Err(PinError::Length { bytes: line.len() });
        }
        let text = std::str::from_utf8(line).map_err(|_not_utf8| PinError::NotText)?;
        if text.chars().any(char::is_control) {
            return Err(PinError::NotText);
        }
        Ok(Self(SecretString::from(text)))
    }

    /// The PIN in the type that logs in, which wipes it too.
    pub(super) const fn as_secret(&self) -> &SecretString {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use age::secrecy::ExposeSecret;

    fn check(content: &[u8]) -> Result<String, PinError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        owner_only_file::create(&path, content).unwrap();
        let pin = Pin::read(&PinSource::PassphraseFile, &path)?;
        assert_eq!(format!("{pin:?}"), "Pin(redacted)");
        let named = Pin::read(&PinSource::File(path), Path::new("/nowhere"))?;
        assert_eq!(named.as_secret().expose_secret(), pin.as_secret().expose_secret());
        Ok(pin.as_secret().expose_secret().to_owned())
    }

    #[test]
    fn a_pin_may_be_short_and_a_newline_at_its_end_is_not_part_of_it() {
        assert_eq!(check(b"1234\n").unwrap(), "1234");
        assert_eq!(check(b"1234").unwrap(), "1234");
        assert_eq!(check(&[b'7'; 255]).unwrap().len(), 255);
    }

    #[test]
    fn a_pin_that_is_short_long_or_not_one_line_is_refused_by_name() {
        assert!(matches!(check(b""), Err(PinError::Length { bytes: 0 })));
        assert!(matches!(check(b"123\n"), Err(PinError::Length { bytes: 3 })));
        assert!(matches!(check(&[b'7'; 256]), Err(PinError::Length { bytes: 256 })));
        assert!(matches!(check(&[b'7'; 257]), Err(PinError::File { source: FileError::TooLarge { .. }, .. })));
        assert!(matches!(check(b"12\n34"), Err(PinError::NotText)));
        assert!(matches!(check(&[0xff; 8]), Err(PinError::NotText)));
        let unset = Pin::read(&PinSource::Environment("COUNTERMARK_NO_SUCH_PIN".into()), Path::new("/nowhere"));
        assert!(matches!(unset, Err(PinError::Unset)));
    }

    #[test]
    fn every_source_reads_back_as_it_is_written_and_others_are_refused() {
        for text in ["passphrase-file", "file:/run/pin", "env:TOKEN_PIN_1"] {
            assert_eq!(text.parse::<PinSource>().unwrap().to_string(), text);
        }
        for text in ["", "1234", "file:pin", "env:", "env:pin", "env:A=B", "passphrase-file "] {
            assert_eq!(text.parse::<PinSource>(), Err(UnknownPinSource), "{text:?}");
        }
    }
}
