//! A backup's file, encrypted under the backup key: any size, in constant memory, in a format that others can open.
//!
//! The format is age v1 (<https://age-encryption.org/v1>) with one X25519 recipient, whose identity follows from the
//! backup key: HKDF-SHA256 of the key with the info `countermark/backup-file/v1`, 32 bytes, as an X25519 secret. Whoever
//! has it as age's text opens the file with any age tool; the text itself never leaves this module.
//!
//! Invariants:
//! * plaintext stands at its destination only after the last chunk was authenticated: it is written beside and renamed, so
//!   that a file that was cut or changed leaves nothing there;
//! * what is there already is replaced only where the caller says so.

mod bounded;
mod destination;

pub use destination::Existing;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use age::x25519::Identity;
use age::{DecryptError, Decryptor, Encryptor};
use bech32::{Bech32, Hrp};
use countermark_bundle::ExitClass;
use countermark_vault_core::wrap::BackupKey;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use bounded::BoundedHeader;
use destination::Beside;

/// What the file's identity is derived for.
const FILE_INFO: &[u8] = b"countermark/backup-file/v1";
/// What age's text of an identity begins with.
const IDENTITY_PREFIX: Hrp = Hrp::parse_unchecked("age-secret-key-");
/// How much is read and written at once: age's chunk.
const CHUNK_BYTES: usize = 64 * 1024;

/// Why a file was not encrypted or decrypted. Nothing stands at the destination then that did not stand there before.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The source cannot be opened or read.
    #[error("cannot read {place}")]
    Read {
        /// The source.
        place: Place,
        /// What the system said.
        source: io::Error,
    },
    /// The destination cannot be written.
    #[error("cannot write {place}")]
    Write {
        /// The destination.
        place: Place,
        /// What the system said.
        source: io::Error,
    },
    /// There is something at the destination, and nobody said that it may go.
    #[error("{} is there already", path.display())]
    Exists {
        /// The destination.
        path: PathBuf,
    },
    /// Not an age file, or one of a kind that is not ours.
    #[error("not an age file with a header of at most {} bytes", bounded::HEADER_BYTES_MAX)]
    NotEncrypted,
    /// Encrypted for another key.
    #[error("the file is encrypted under another backup key")]
    OtherKey,
    /// Changed or cut since it was encrypted.
    #[error("the file was changed or cut since it was encrypted")]
    Damaged,
}

/// A path, or a stream that has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file.
    Path(PathBuf),
    /// A stream that the caller brought.
    Stream,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Stream => f.write_str("the stream"),
        }
    }
}

impl FileError {
    /// The class that a process exits with.
    #[must_use]
    pub const fn exit_class(&self) -> ExitClass {
        match self {
            Self::Read { .. } | Self::Exists { .. } => ExitClass::Usage,
            Self::Write { .. } => ExitClass::OurFault,
            Self::NotEncrypted => ExitClass::Malformed,
            Self::OtherKey | Self::Damaged => ExitClass::Proof,
        }
    }

    /// The same error about a file instead of a stream.
    fn about(self, from: &Path, to: &Path) -> Self {
        match self {
            Self::Read { source, .. } => Self::Read { place: Place::Path(from.to_path_buf()), source },
            Self::Write { source, .. } => Self::Write { place: Place::Path(to.to_path_buf()), source },
            Self::Exists { .. } | Self::NotEncrypted | Self::OtherKey | Self::Damaged => self,
        }
    }
}

/// Encrypts the file `from` into the file `to`, which appears whole or not at all. `progress` hears how many bytes were
/// read so far.
pub fn encrypt_file(
    from: &Path,
    to: &Path,
    existing: Existing,
    key: &BackupKey,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, FileError> {
    through(from, to, existing, |reader, writer| encrypt(reader, writer, key, progress))
}

/// Decrypts the file `from` into the file `to`, which appears only once the last byte of `from` was authenticated.
/// `progress` hears how many bytes were read so far.
pub fn decrypt_file(
    from: &Path,
    to: &Path,
    existing: Existing,
    key: &BackupKey,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, FileError> {
    through(from, to, existing, |reader, writer| decrypt(reader, writer, key, progress))
}

/// Encrypts everything that `reader` gives; returns the bytes read. `progress` hears how many they are so far.
///
/// # Panics
/// Never: one recipient of ours is always accepted, and every key has an identity.
pub fn encrypt(
    reader: impl Read,
    writer: impl Write,
    key: &BackupKey,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, FileError> {
    let recipient = identity(key).to_public();
    let encryptor = Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
        .expect("one X25519 recipient is always accepted");
    let mut sealed = encryptor.wrap_output(writer).map_err(written)?;
    let mut reader = Counted { inner: reader, bytes: 0, progress };
    copy(&mut reader, &mut sealed, read)?;
    let bytes = reader.bytes;
    sealed.finish().and_then(|mut writer| writer.flush()).map_err(written)?;
    Ok(bytes)
}

/// Decrypts what [`encrypt()`] made; returns the bytes read. `progress` hears how many they are so far.
///
/// Every chunk that `writer` is given was authenticated, but whether the file is whole is known only when this returns:
/// what was written must not be used before. [`decrypt_file`] sees to that.
pub fn decrypt(
    reader: impl Read,
    mut writer: impl Write,
    key: &BackupKey,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, FileError> {
    let mut reader = Counted { inner: reader, bytes: 0, progress };
    let header = BoundedHeader::new(BufReader::with_capacity(CHUNK_BYTES, &mut reader));
    let bound = header.bound();
    let decryptor = Decryptor::new_buffered(header).map_err(opened)?;
    bound.lift();
    let identity = identity(key);
    let mut plain = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).map_err(opened)?;
    copy(&mut plain, &mut writer, |error| match error.kind() {
        // What age says about the bytes; what the system says about the file has other kinds.
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => FileError::Damaged,
        _ => read(error),
    })?;
    writer.flush().map_err(written)?;
    drop(plain);
    Ok(reader.bytes)
}

fn through(
    from: &Path,
    to: &Path,
    existing: Existing,
    work: impl FnOnce(File, &mut BufWriter<&mut File>) -> Result<u64, FileError>,
) -> Result<u64, FileError> {
    let source = File::open(from).map_err(read).map_err(|error| error.about(from, to))?;
    let mut beside = Beside::new(to, existing)?;
    let bytes = {
        let mut writer = BufWriter::with_capacity(CHUNK_BYTES, beside.file());
        work(source, &mut writer).map_err(|error| error.about(from, to))?
    };
    beside.take_its_place()?;
    Ok(bytes)
}

/// Copies to the end; an error of the reader is what `of_reader` makes of it.
fn copy(
    reader: &mut impl Read,
    writer: &mut impl Write,
    of_reader: impl Fn(io::Error) -> FileError,
) -> Result<(), FileError> {
    let mut buffer = Zeroizing::new(vec![0; CHUNK_BYTES]);
    loop {
        let found = match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(of_reader(error)),
        };
        let bytes = buffer.get(..found).expect("a reader gives at most what it was given room for");
        writer.write_all(bytes).map_err(written)?;
    }
}

fn read(source: io::Error) -> FileError {
    FileError::Read { place: Place::Stream, source }
}

fn written(source: io::Error) -> FileError {
    FileError::Write { place: Place::Stream, source }
}

/// Why a header was not opened.
fn opened(error: DecryptError) -> FileError {
    match error {
        DecryptError::NoMatchingKeys => FileError::OtherKey,
        DecryptError::InvalidMac | DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            FileError::Damaged
        }
        DecryptError::Io(error) if !matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            read(error)
        }
        // A passphrase is nothing of ours, and the library may name more reasons one day.
        _ => FileError::NotEncrypted,
    }
}

/// The age identity that follows from a backup key.
fn identity(key: &BackupKey) -> Identity {
    let mut secret = Zeroizing::new([0; 32]);
    // SPEC: RFC 5869; the key is uniform, so no salt is needed.
    Hkdf::<Sha256>::new(None, key.expose()).expand(FILE_INFO, secret.as_mut_slice()).expect("32 bytes are few enough");
    let text = Zeroizing::new(
        bech32::encode_upper::<Bech32>(IDENTITY_PREFIX, secret.as_slice()).expect("32 bytes fit into bech32"),
    );
    Identity::from_str(&text).expect("32 bytes in age's text are an identity")
}

/// Tells how far a reader was read.
struct Counted<'a, R> {
    inner: R,
    bytes: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let found = self.inner.read(buffer)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(found).unwrap_or(u64::MAX));
        (self.progress)(self.bytes);
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
