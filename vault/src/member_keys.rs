//! The two keys of a member, opened from their files.

use std::path::PathBuf;

use countermark_bundle::key::{KeyAlgorithm, PublicKey, PublicKeyError};
use countermark_keys::{AgreementKey, FileError, KeyFile, OpenError, Role, Signer};
use thiserror::Error;

use crate::config::Config;

/// The keys of a member.
#[derive(Debug)]
pub(crate) struct MemberKeys {
    /// Signs for the member.
    pub(crate) identity: Box<dyn Signer>,
    /// The public half of [`MemberKeys::identity`].
    pub(crate) identity_key: PublicKey,
    /// The public half of the session key.
    pub(crate) session_key: PublicKey,
}

/// Why a member has no keys.
#[derive(Debug, Error)]
pub enum KeyError {
    /// A key file is not there.
    #[error(
        "there is no key at {}: a member that lost its keys is retired, never restarted with new ones; \
         a new member begins with `init`",
        path.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// A key was not opened.
    #[error("cannot open a key of the member")]
    Open(#[source] OpenError),
    /// A key that no document can name.
    #[error("a key of the member cannot be used")]
    Unusable(#[from] PublicKeyError),
}

impl MemberKeys {
    /// Opens both keys. Takes about 20 ms.
    pub(crate) fn open(config: &Config) -> Result<Self, KeyError> {
        let passphrase = &config.passphrase_file;
        let identity =
            KeyFile::open_signer(&config.identity_key_file, Role::VaultIdentity, passphrase).map_err(key_error)?;
        // Opened, not only read: a member whose session key does not open could not serve those who trust it.
        let session: Box<dyn AgreementKey> =
            KeyFile::open_agreement(&config.session_key_file, Role::VaultSession, passphrase).map_err(key_error)?;
        Ok(Self {
            identity_key: PublicKey::ed25519(identity.public_key())?,
            session_key: PublicKey::new(KeyAlgorithm::X25519, &session.public_key())?,
            identity,
        })
    }
}

fn key_error(error: OpenError) -> KeyError {
    match error {
        OpenError::File { path, source: FileError::NotFound } => KeyError::Missing { path },
        error => KeyError::Open(error),
    }
}
