//! The keys of a member, opened from their files: two that statements name, and one that seals its data if it is to be
//! part of a fleet.

use std::path::PathBuf;
use std::sync::Arc;

use countermark_bundle::key::{KeyAlgorithm, PublicKey, PublicKeyError};
use countermark_keys::{AgreementKey, FileError, KeyFile, OpenError, Role, SealingKey, Signer};
use thiserror::Error;

use crate::config::Config;

/// The keys of a member.
#[derive(Debug)]
pub(crate) struct MemberKeys {
    /// Signs for the member.
    pub(crate) identity: Arc<dyn Signer>,
    /// The public half of [`MemberKeys::identity`].
    pub(crate) identity_key: PublicKey,
    /// Agrees with users and with other members.
    pub(crate) session: Box<dyn AgreementKey>,
    /// The public half of [`MemberKeys::session`].
    pub(crate) session_key: PublicKey,
    /// Seals the member's data, if it is configured to be part of a fleet.
    pub(crate) sealing: Option<Box<dyn SealingKey>>,
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
    /// Opens all keys. Takes about 10 ms for each.
    pub(crate) fn open(config: &Config) -> Result<Self, KeyError> {
        let passphrase = &config.passphrase_file;
        let identity =
            KeyFile::open_signer(&config.identity_key_file, Role::VaultIdentity, passphrase).map_err(key_error)?;
        // Opened, not only read: a member whose session key does not open could not serve those who trust it.
        let session =
            KeyFile::open_agreement(&config.session_key_file, Role::VaultSession, passphrase).map_err(key_error)?;
        let open_sealing = |path| KeyFile::open_sealing(path, Role::VaultSealing, passphrase).map_err(key_error);
        let sealing = config.fleet.as_ref().map(|fleet| open_sealing(&fleet.sealing_key_file)).transpose()?;
        Ok(Self {
            identity_key: PublicKey::ed25519(identity.public_key())?,
            session_key: PublicKey::new(KeyAlgorithm::X25519, &session.public_key())?,
            identity: identity.into(),
            session,
            sealing,
        })
    }
}

fn key_error(error: OpenError) -> KeyError {
    match error {
        OpenError::File { path, source: FileError::NotFound } => KeyError::Missing { path },
        error => KeyError::Open(error),
    }
}
