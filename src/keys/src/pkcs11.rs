//! A private key inside a PKCS#11 token, and the file that names it.
//!
//! It is not the token's administration: tokens are initialised, and PINs set and unlocked, with the vendor's tools. It
//! holds no key: what it asks the token for is signatures.
//!
//! Invariants:
//! * Only a key that was made inside the token, for this role, and that the token never gives out is used.
//! * No signature leaves that our own code did not verify under the public key of the reference.
//! * A PIN that was refused is never tried again by the same signer, and the last try before a token locks is never
//!   spent. [`Owner`] is the only caller of C_Login.
//!
//! SPEC: PKCS #11 Specification Version 3.1 (OASIS); the reference file is specified in the documentation of the crate.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::holder::{SignError, Signer};
use crate::key_file::{Damage, PublicKeyInfo};
use crate::owner_only_file::{self, NewFileError};
use crate::randomness::{self, RandomnessError};
use crate::role::{Algorithm, Role};

mod attributes;
mod module;
mod owner;
mod pin;
mod point;
mod reference;
mod session;
mod signer;

pub use pin::{PinError, PinSource};
pub(crate) use reference::UntrustedReference;

use owner::Owner;
use pin::Pin;
use reference::{KeyLabel, TokenName};
use signer::TokenSigner;

/// What `keys new` asks of a token.
#[derive(Debug, Clone)]
pub struct NewTokenKey<'a> {
    /// The one purpose of the key.
    pub role: Role,
    /// The PKCS#11 library, an absolute path.
    pub module: &'a Path,
    /// The token's label; this or the serial number is needed.
    pub token_label: Option<&'a str>,
    /// The token's serial number.
    pub token_serial: Option<&'a str>,
    /// The key's own name: 1 to 64 letters, digits, `.`, `_` or `-`.
    pub key_label: &'a str,
    /// Where whoever opens the key finds the PIN.
    pub pin: PinSource,
}

/// Why the key in a token was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Refused: the file is no PKCS#11 library that can be loaded.
    #[error("the PKCS#11 library cannot be loaded")]
    Module,
    /// Fault: library or token failed, or did not answer in time.
    #[error("the PKCS#11 library or its token does not work")]
    Unavailable,
    /// Fault: no token of that name is there; it may come back.
    #[error("no token of that label and serial number is there")]
    NoToken,
    /// Refused: more than one token has that name.
    #[error("more than one token has that label; name its serial number too")]
    TokenAmbiguous,
    /// Refused: the PIN is wrong. It is not tried again before a restart, as tokens lock.
    #[error("the token refused the PIN; it is not tried again before a restart")]
    PinRefused,
    /// Refused: the token locked the PIN.
    #[error("the token has locked its PIN; its security officer unlocks it")]
    PinLocked,
    /// Refused: one wrong PIN more locks the token; whoever knows the PIN logs in once by hand.
    #[error("one wrong PIN more locks the token: log in once with its own tool, which resets the count")]
    PinLastTry,
    /// Refused: the token has no private key with that CKA_ID.
    #[error("the token has no private key with that CKA_ID")]
    NoKey,
    /// Refused: more than one key has that CKA_ID.
    #[error("more than one key of the token has that CKA_ID")]
    KeyAmbiguous,
    /// Refused: the key was made under another name or for another role.
    #[error("the token's key has another label: it was made under another name or for another role")]
    OtherLabel,
    /// Refused: the key is not one that stays in its token.
    #[error("{attribute} of the token's key is not {expected}")]
    Attribute {
        /// The attribute, as the specification names it.
        attribute: &'static str,
        /// What it has to be.
        expected: bool,
    },
    /// Refused: the token's public key is not that of the reference.
    #[error("the token's public key is not the one that was written down")]
    PublicKey,
    /// Refused: the token made no key; it may not know the algorithm, or be full.
    #[error("the token made no key: it may not know the algorithm, or be full")]
    NotMade,
    /// Refused: the token gave a signature that does not verify.
    #[error("the token's signature does not verify under its public key")]
    Signature,
}

impl TokenError {
    /// What a caller is told who asked for a signature.
    fn sign_error(self, role: Role, algorithm: Algorithm) -> SignError {
        match self {
            Self::Module | Self::Unavailable | Self::NoToken | Self::TokenAmbiguous => {
                SignError::TokenUnavailable { role }
            }
            Self::PinRefused | Self::PinLocked | Self::PinLastTry => SignError::PinRefused { role },
            Self::NoKey | Self::KeyAmbiguous | Self::OtherLabel | Self::Attribute { .. } | Self::PublicKey => {
                SignError::OtherKey { role }
            }
            Self::Signature | Self::NotMade => SignError::Failed { role, algorithm },
        }
    }

    /// Whether the PIN is what was refused: then nothing is tried again.
    const fn is_of_the_pin(self) -> bool {
        matches!(self, Self::PinRefused | Self::PinLocked | Self::PinLastTry)
    }

    /// Whether a library that is initialised anew may find what is missing now.
    const fn may_pass(self) -> bool {
        matches!(self, Self::Unavailable | Self::NoToken | Self::NoKey)
    }
}

/// Why no key was made in a token.
#[derive(Debug, Error)]
pub enum CreateInTokenError {
    /// Refused: tokens make no keys of this algorithm for us.
    #[error("a token holds ed25519 and ecdsa-p384 keys; a {role} key is {algorithm}", algorithm = .role.algorithm())]
    Algorithm {
        /// The role asked for.
        role: Role,
    },
    /// Refused: module, token or key is named in a way that no reference file holds.
    #[error("the token's key cannot be named so")]
    Name(#[source] Damage),
    /// The PIN was refused or not read.
    #[error("no PIN for the token")]
    Pin(#[source] PinError),
    /// Conflict: the name is taken; what has it is unchanged. No key was made.
    #[error("{}: exists already and is never overwritten", .path.display())]
    AlreadyExists {
        /// The reference file.
        path: PathBuf,
    },
    /// Conflict: the token has a key of this role and label; it is unchanged.
    #[error("the token has a {role} key of that label already")]
    LabelTaken {
        /// The role asked for.
        role: Role,
    },
    /// Refused or fault: the token made no key that we use.
    #[error("the token made no key")]
    Token(#[source] TokenError),
    /// Fault: no randomness, no CKA_ID.
    #[error("no identifier for the key could be drawn")]
    Randomness(#[from] RandomnessError),
    /// Fault: the operating system could not write the reference. The key was removed from the token again.
    #[error("{}: could not be written", .path.display())]
    Write {
        /// The reference file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Makes a key inside a token and writes the reference to it.
pub(crate) fn create(
    path: &Path,
    asked: &NewTokenKey<'_>,
    passphrase_file: &Path,
) -> Result<PublicKeyInfo, CreateInTokenError> {
    if !reference::is_held(asked.role.algorithm()) {
        return Err(CreateInTokenError::Algorithm { role: asked.role });
    }
    let mut reference = UntrustedReference {
        role: asked.role,
        public_key: vec![0; asked.role.algorithm().public_key_bytes()],
        module: asked.module.to_owned(),
        token: TokenName { label: asked.token_label.map(Into::into), serial: asked.token_serial.map(Into::into) },
        key_label: KeyLabel(asked.key_label.into()),
        key_id: [0; 16],
        pin: asked.pin.clone(),
    };
    randomness::fill(&mut getrandom::SysRng, &mut reference.key_id)?;
    reference.admit().map_err(CreateInTokenError::Name)?;
    if path.symlink_metadata().is_ok() {
        return Err(CreateInTokenError::AlreadyExists { path: path.into() });
    }
    let pin = Pin::read(&reference.pin, passphrase_file).map_err(CreateInTokenError::Pin)?;
    let mut owner = Owner::new(reference, pin);
    // 1. The key exists in the token alone. A crash here leaves a key that nothing names: its label stays taken until it
    //    is deleted with the token's own tool, and nobody was shown its public key.
    owner.generate()?;
    // 2. It signs, and the signature verifies, under the reference as it will be written.
    // 3. The reference is durable. Only now may the caller publish the public key.
    let role = asked.role;
    let written = owner.sign(b"countermark/pkcs11-key/v1").map_err(CreateInTokenError::Token).and_then(|_signature| {
        owner_only_file::create(path, &owner.reference().encode()).map_err(|error| match error {
            NewFileError::AlreadyExists => CreateInTokenError::AlreadyExists { path: path.into() },
            NewFileError::Unwritable(source) => CreateInTokenError::Write { path: path.into(), source },
        })
    });
    if let Err(error) = written {
        // What failed above is what counts; a key that stays behind is one that nothing names.
        let _ = owner.destroy();
        return Err(error);
    }
    Ok(PublicKeyInfo { role, algorithm: role.algorithm(), public_key: hex::encode(&owner.reference().public_key) })
}

/// Opens the key that a reference names. Blocks for as long as the token does, at most [`signer::OPEN_TIMEOUT`].
pub(crate) fn open(reference: UntrustedReference, pin: Pin) -> Result<Box<dyn Signer>, TokenError> {
    Ok(Box::new(TokenSigner::open(Owner::new(reference, pin))?))
}

/// Reads the PIN that a reference asks for.
pub(crate) fn read_pin(reference: &UntrustedReference, passphrase_file: &Path) -> Result<Pin, PinError> {
    Pin::read(&reference.pin, passphrase_file)
}

#[cfg(test)]
mod tests;
