//! A private key in an encrypted file: made inside, sealed under a passphrase, opened for one role. In the file's place
//! may stand a reference to a key in a PKCS#11 token, which opens by the same functions.
//!
//! The formats are specified in the documentation of the crate.

use std::io;
use std::path::{Path, PathBuf};

use getrandom::SysRng;
use rand_core::TryCryptoRng;
use thiserror::Error;

use crate::holder::{AgreementKey, SealingKey, Signer};
use crate::owner_only_file::{self, FileError, NewFileError};
use crate::passphrase::{Passphrase, PassphraseError};
use crate::pkcs11::{self, CreateInTokenError, NewTokenKey, PinError, TokenError, UntrustedReference};
use crate::private_key::PrivateKey;
use crate::randomness::RandomnessError;
use crate::role::{Algorithm, Role};

mod document;
mod seal;

use document::UntrustedKeyFile;
use seal::UnsealError;

/// The most bytes of a key file.
const BYTES_MAX: usize = 8 * 1024;

/// The key file as a holder: what can be done with one. Each function names the file by its path.
#[derive(Debug, Clone, Copy)]
pub struct KeyFile;

/// What a key file says in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublicKeyInfo {
    /// The one purpose of the key.
    pub role: Role,
    /// The algorithm of the role.
    pub algorithm: Algorithm,
    /// The public key in lower-case hex: 32 bytes, or the 97-byte uncompressed SEC 1 point of P-384. A sealing key has
    /// none; here stands its identifier, 32 bytes.
    pub public_key: String,
}

impl KeyFile {
    /// Generates a key for `role` and seals it into a new file of mode 0600 under the passphrase in `passphrase_file`.
    ///
    /// Never overwrites. When it returns `Ok`, the file and its name are durable.
    pub fn create(path: &Path, role: Role, passphrase_file: &Path) -> Result<PublicKeyInfo, CreateError> {
        create_from(path, role, passphrase_file, &mut SysRng)
    }

    /// Generates a key inside a PKCS#11 token and writes the reference to it into a new file of mode 0600.
    ///
    /// Never overwrites, nor makes a second key of the same role and label. `passphrase_file` holds the PIN if
    /// [`NewTokenKey::pin`] says so. When it returns `Ok`, the file and its name are durable, and the key has signed.
    pub fn create_in_token(
        path: &Path,
        asked: &NewTokenKey<'_>,
        passphrase_file: &Path,
    ) -> Result<PublicKeyInfo, CreateInTokenError> {
        pkcs11::create(path, asked, passphrase_file)
    }

    /// Opens the key as a signer, if it was made for `expected_role`. For a key in a token `passphrase_file` holds the
    /// PIN, unless the reference names another source.
    ///
    /// Takes about 10 ms; for a key in a token as long as the token does, at most 30 s.
    pub fn open_signer(path: &Path, expected_role: Role, passphrase_file: &Path) -> Result<Box<dyn Signer>, OpenError> {
        match read(path, expected_role)? {
            Document::Sealed(document) => unseal(path, &document, passphrase_file)?
                .into_signer(expected_role)
                .ok_or(OpenError::CannotSign { role: expected_role }),
            Document::InToken(reference) => {
                let pin = pkcs11::read_pin(&reference, passphrase_file)
                    .map_err(|source| OpenError::Pin { path: path.into(), source })?;
                pkcs11::open(reference, pin).map_err(|source| OpenError::Token { path: path.into(), source })
            }
        }
    }

    /// Opens the key as a signer, if it was made for a role that issues access tokens: either algorithm will do there.
    ///
    /// Takes about 10 ms.
    pub fn open_token_issuer(path: &Path, passphrase_file: &Path) -> Result<Box<dyn Signer>, OpenError> {
        let [first, second] = Role::TOKEN_ISSUERS;
        match Self::open_signer(path, first, passphrase_file) {
            Err(OpenError::WrongRole { found, .. }) if found == second => {
                Self::open_signer(path, second, passphrase_file)
            }
            opened => opened,
        }
    }

    /// Opens the key as one that agrees on secrets, if it was made for `expected_role`.
    ///
    /// Takes about 10 ms.
    pub fn open_agreement(
        path: &Path,
        expected_role: Role,
        passphrase_file: &Path,
    ) -> Result<Box<dyn AgreementKey>, OpenError> {
        match read(path, expected_role)? {
            Document::Sealed(document) => unseal(path, &document, passphrase_file)?.into_agreement(),
            Document::InToken(_signs) => None,
        }
        .ok_or(OpenError::CannotAgree { role: expected_role })
    }

    /// Opens the key as one that seals, if it was made for `expected_role`.
    ///
    /// Takes about 10 ms.
    pub fn open_sealing(
        path: &Path,
        expected_role: Role,
        passphrase_file: &Path,
    ) -> Result<Box<dyn SealingKey>, OpenError> {
        match read(path, expected_role)? {
            Document::Sealed(document) => unseal(path, &document, passphrase_file)?.into_sealing(),
            Document::InToken(_signs) => None,
        }
        .ok_or(OpenError::CannotSeal { role: expected_role })
    }

    /// Reads the clear part alone, or a reference. Without the passphrase or the token nothing proves that it belongs to
    /// the private key.
    pub fn public(path: &Path) -> Result<PublicKeyInfo, ReadPublicError> {
        let bytes = owner_only_file::read(path, BYTES_MAX)
            .map_err(|source| ReadPublicError::File { path: path.into(), source })?;
        let document =
            Document::parse(&bytes).map_err(|source| ReadPublicError::Damaged { path: path.into(), source })?;
        Ok(document.public())
    }
}

/// Why no key file was created.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The passphrase was refused or not read.
    #[error("{}: no passphrase to seal the key under", .path.display())]
    Passphrase {
        /// The passphrase file.
        path: PathBuf,
        /// What was wrong with it.
        source: PassphraseError,
    },
    /// Conflict: the name is taken; what has it is unchanged.
    #[error("{}: exists already and is never overwritten", .path.display())]
    AlreadyExists {
        /// The key file.
        path: PathBuf,
    },
    /// Fault: the operating system could not write it. If the file exists nevertheless, it is whole.
    #[error("{}: could not be written", .path.display())]
    Write {
        /// The key file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Fault: no randomness, no key.
    #[error("no {role} key could be generated")]
    Randomness {
        /// The role of the key.
        role: Role,
        /// What failed.
        source: RandomnessError,
    },
}

/// Why a key file was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The key file was refused or not read.
    #[error("{}: the key file was not read", .path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// What was wrong with it.
        source: FileError,
    },
    /// The passphrase was refused or not read.
    #[error("{}: no passphrase to open the key with", .path.display())]
    Passphrase {
        /// The passphrase file.
        path: PathBuf,
        /// What was wrong with it.
        source: PassphraseError,
    },
    /// Refused: the key was made for another purpose.
    #[error("{}: holds a {found} key where a {expected} key is needed", .path.display())]
    WrongRole {
        /// The key file.
        path: PathBuf,
        /// The role asked for.
        expected: Role,
        /// The role the file names.
        found: Role,
    },
    /// Refused: the file is whole but the passphrase is not its own.
    #[error("{}: does not open with the passphrase in {}", .path.display(), .passphrase_file.display())]
    WrongPassphrase {
        /// The key file.
        path: PathBuf,
        /// The passphrase file.
        passphrase_file: PathBuf,
    },
    /// Refused: opening would take more work than any file made here asks for.
    #[error("{}: asks for a work factor of 2^{found}, at most 2^{max} is accepted", .path.display())]
    WorkFactorTooLarge {
        /// The key file.
        path: PathBuf,
        /// log2 of the factor found.
        found: u8,
        /// log2 of the largest factor accepted.
        max: u8,
    },
    /// Refused: the file is not what was written.
    #[error("{}: the key file is damaged", .path.display())]
    Damaged {
        /// The key file.
        path: PathBuf,
        /// Where.
        source: Damage,
    },
    /// The PIN was refused before the token was asked, or not read.
    #[error("{}: no PIN for the token that has the key", .path.display())]
    Pin {
        /// The reference file.
        path: PathBuf,
        /// What was wrong with it.
        source: PinError,
    },
    /// The token that has the key did not open, or not to this key.
    #[error("{}: the key in the PKCS#11 token does not open", .path.display())]
    Token {
        /// The reference file.
        path: PathBuf,
        /// What was wrong.
        source: TokenError,
    },
    /// Refused: keys of this role agree on secrets or seal, and cannot sign.
    #[error("a {role} key cannot sign")]
    CannotSign {
        /// The role asked for.
        role: Role,
    },
    /// Refused: keys of this role sign or seal, and cannot agree on secrets.
    #[error("a {role} key cannot agree on a secret")]
    CannotAgree {
        /// The role asked for.
        role: Role,
    },
    /// Refused: keys of this role sign or agree on secrets, and cannot seal.
    #[error("a {role} key cannot seal")]
    CannotSeal {
        /// The role asked for.
        role: Role,
    },
}

/// Why the clear part of a key file was not read.
#[derive(Debug, Error)]
pub enum ReadPublicError {
    /// The key file was refused or not read.
    #[error("{}: the key file was not read", .path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// What was wrong with it.
        source: FileError,
    },
    /// Refused: the file is not what was written.
    #[error("{}: the key file is damaged", .path.display())]
    Damaged {
        /// The key file.
        path: PathBuf,
        /// Where.
        source: Damage,
    },
}

/// What is wrong with the content of a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Damage {
    /// It is not a document of this format in its one encoding.
    #[error("it is not a countermark/key-file/v1 document in its one encoding")]
    Malformed,
    /// The algorithm is not the role's.
    #[error("a {role} key uses {}, not {found}", .role.algorithm())]
    Algorithm {
        /// The role the file names.
        role: Role,
        /// The algorithm the file names.
        found: Algorithm,
    },
    /// The sealed part is not the one its checksum was made for.
    #[error("the sealed part does not match its checksum")]
    Checksum,
    /// The sealed part is no passphrase-encrypted age file, or was changed with its checksum.
    #[error("the sealed part is not an intact age file under a passphrase")]
    Seal,
    /// The seal opens, but to something else than a private key.
    #[error("the seal does not hold a countermark/private-key/v1 document")]
    SealedContent,
    /// The clear role is not the sealed one.
    #[error("the file says {clear}, the seal says {sealed}")]
    Role {
        /// The role outside.
        clear: Role,
        /// The role inside.
        sealed: Role,
    },
    /// The clear public key does not belong to the sealed private key.
    #[error("the public key does not belong to the sealed private key")]
    PublicKey,
    /// It is not a reference to a key in a token in its one encoding.
    #[error("it is not a countermark/pkcs11-key/v1 document in its one encoding")]
    Reference,
    /// It refers to a key of an algorithm that tokens do not hold for us.
    #[error("a token holds ed25519 and ecdsa-p384 keys, not {algorithm}")]
    NotInToken {
        /// The algorithm the file names.
        algorithm: Algorithm,
    },
}

/// What stands in the place of a key file.
enum Document {
    /// A key, sealed.
    Sealed(UntrustedKeyFile),
    /// The name of a key in a token.
    InToken(UntrustedReference),
}

impl Document {
    fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        if UntrustedReference::is_meant(bytes) {
            UntrustedReference::parse(bytes).map(Self::InToken)
        } else {
            UntrustedKeyFile::parse(bytes).map(Self::Sealed)
        }
    }

    fn public(&self) -> PublicKeyInfo {
        let (role, public_key) = match self {
            Self::Sealed(document) => (document.role, &document.public_key),
            Self::InToken(reference) => (reference.role, &reference.public_key),
        };
        PublicKeyInfo { role, algorithm: role.algorithm(), public_key: hex::encode(public_key) }
    }
}

fn create_from<R: TryCryptoRng>(
    path: &Path,
    role: Role,
    passphrase_file: &Path,
    rng: &mut R,
) -> Result<PublicKeyInfo, CreateError> {
    let passphrase = Passphrase::read(passphrase_file)
        .map_err(|source| CreateError::Passphrase { path: passphrase_file.into(), source })?;
    let key = PrivateKey::generate(role.algorithm(), rng).map_err(|source| CreateError::Randomness { role, source })?;
    let document = UntrustedKeyFile {
        role,
        public_key: key.public_key(),
        sealed: seal::seal(document::write_secret(role, &key).as_bytes(), passphrase),
    };
    owner_only_file::create(path, &document.encode()).map_err(|error| match error {
        NewFileError::AlreadyExists => CreateError::AlreadyExists { path: path.into() },
        NewFileError::Unwritable(source) => CreateError::Write { path: path.into(), source },
    })?;
    Ok(Document::Sealed(document).public())
}

/// Reads what stands at `path`, if it says that it is of that role.
fn read(path: &Path, expected: Role) -> Result<Document, OpenError> {
    let bytes =
        owner_only_file::read(path, BYTES_MAX).map_err(|source| OpenError::File { path: path.into(), source })?;
    let document = Document::parse(&bytes).map_err(|source| OpenError::Damaged { path: path.into(), source })?;
    let found = document.public().role;
    if found == expected { Ok(document) } else { Err(OpenError::WrongRole { path: path.into(), expected, found }) }
}

fn unseal(path: &Path, document: &UntrustedKeyFile, passphrase_file: &Path) -> Result<PrivateKey, OpenError> {
    let damaged = |source| OpenError::Damaged { path: path.into(), source };
    let passphrase = Passphrase::read(passphrase_file)
        .map_err(|source| OpenError::Passphrase { path: passphrase_file.into(), source })?;
    let plaintext = seal::unseal(&document.sealed, passphrase).map_err(|error| match error {
        UnsealError::Broken => damaged(Damage::Seal),
        UnsealError::WrongPassphrase => {
            OpenError::WrongPassphrase { path: path.into(), passphrase_file: passphrase_file.into() }
        }
        UnsealError::WorkFactorTooLarge { found } => {
            OpenError::WorkFactorTooLarge { path: path.into(), found, max: seal::WORK_FACTOR_MAX }
        }
    })?;
    let (sealed, key) = document::parse_secret(&plaintext).map_err(damaged)?;
    // The clear part was only a claim so far; from here on it is the sealed key's own.
    if sealed != document.role {
        return Err(damaged(Damage::Role { clear: document.role, sealed }));
    }
    if key.public_key() != document.public_key {
        return Err(damaged(Damage::PublicKey));
    }
    Ok(key)
}

#[cfg(test)]
mod tests;
