//! The life of a member: its keys are made once, then it serves from what it stored.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countermark_bundle::key::PublicKey;
use countermark_keys::{CreateError, CreatePassphraseError, KeyFile, Role, create_passphrase_file};
use countermark_service::listener::{BindError, bind, serve_until};
use countermark_vault_core::member::MemberIdentity;
use thiserror::Error;

use crate::attestation_file::AttestationFile;
use crate::config::Config;
use crate::http::{self, Attesting};
use crate::measure::{self, MeasureError};
use crate::member::{Member, MemberError};
use crate::member_keys::{KeyError, MemberKeys};

/// What `init` does where keys exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Refuses.
    Refuse,
    /// Leaves them as they are, once they have been opened; makes what an interrupted `init` did not come to.
    Keep,
}

/// The public keys of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeys {
    /// It signs with this one: Ed25519.
    pub identity: PublicKey,
    /// Sessions are opened to this one: X25519.
    pub session: PublicKey,
}

/// Why no member was made.
#[derive(Debug, Error)]
pub enum InitError {
    /// There is a key: this member was made before, or its `init` was interrupted.
    #[error("{} exists already: this member was made before (--if-absent keeps it and makes what is missing)", path.display())]
    KeyExists {
        /// The key file.
        path: PathBuf,
    },
    /// The member was attested, so it had keys.
    #[error(
        "{} says that this member had keys, and {} is missing: a member that lost its keys is retired, never given new ones",
        attestation.display(), key.display()
    )]
    KeysLost {
        /// The stored attestation.
        attestation: PathBuf,
        /// The key that is missing.
        key: PathBuf,
    },
    /// The passphrase file could not be made.
    #[error("cannot make the passphrase of the member's keys")]
    Passphrase(#[from] CreatePassphraseError),
    /// A key could not be made.
    #[error("cannot make a key of the member")]
    CreateKey(#[from] CreateError),
    /// The keys cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The file system failed.
    #[error("cannot look at {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
}

/// Why a member does not serve, or stopped serving.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The keys cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The running executable was not measured.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// What is stored is not what this member goes on from.
    #[error(transparent)]
    Member(#[from] MemberError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The server failed.
    #[error("the server failed")]
    Server(#[source] io::Error),
}

/// Makes the keys of a member inside this process and returns their public halves.
///
/// Where no key exists and no passphrase file either, the latter is made too. An existing passphrase file is used.
pub fn init(config: &Config, existing: Existing) -> Result<PublicKeys, InitError> {
    let keys = [(&config.identity_key_file, Role::VaultIdentity), (&config.session_key_file, Role::VaultSession)];
    let mut missing = Vec::new();
    for (path, role) in keys {
        match (exists(path)?, existing) {
            (true, Existing::Refuse) => return Err(InitError::KeyExists { path: path.clone() }),
            (true, Existing::Keep) => {}
            (false, Existing::Refuse | Existing::Keep) => missing.push((path, role)),
        }
    }
    // 1. A member that was attested had both keys: others may rely on them.
    if let Some((key, _)) = missing.first()
        && exists(&config.attestation_file)?
    {
        return Err(InitError::KeysLost { attestation: config.attestation_file.clone(), key: (*key).clone() });
    }
    // 2. The passphrase, unless a key is sealed already: under a new one it would not open. A crash from here on leaves
    //    files that `--if-absent` goes on from; nobody has seen a public key yet.
    if missing.len() == keys.len() && !exists(&config.passphrase_file)? {
        create_passphrase_file(&config.passphrase_file)?;
    }
    // 3. The keys, each durable when it is made.
    for (path, role) in missing {
        KeyFile::create(path, role, &config.passphrase_file)?;
    }
    // 4. Only keys that open are announced.
    let MemberKeys { identity_key, session_key, identity: _ } = MemberKeys::open(config)?;
    Ok(PublicKeys { identity: identity_key, session: session_key })
}

/// Serves until `shutdown` completes; requests that run then have 10 s to end.
///
/// `on_ready` is told the address once connections are accepted.
pub async fn serve(
    config: Config,
    on_ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let keys = MemberKeys::open(&config)?;
    let identity = MemberIdentity {
        origin: config.origin,
        fleet_id: config.fleet_id,
        member_id: config.member_id,
        failure_domain: config.failure_domain,
        identity_key: keys.identity_key,
        session_key: keys.session_key,
        software: measure::running_software()?,
    };
    tracing::info!(
        member = %identity.member_id,
        fleet = %identity.fleet_id,
        software = %identity.software.sha256,
        "member"
    );
    let store = AttestationFile::new(config.attestation_file);
    let member = Member::open(identity, config.vendor_keys, keys.identity, store)?;
    announce_attestation(&member);
    let listener = bind(config.listen).await?;
    let address = listener.local_addr().map_err(ServeError::Server)?;
    tracing::info!(%address, "listens");
    on_ready(address);
    serve_until(listener, http::router(Arc::new(member), Attesting::at(address)), shutdown)
        .await
        .map_err(ServeError::Server)
}

fn announce_attestation(member: &Member<AttestationFile>) {
    match (member.attestation(), member.is_attested()) {
        (Some(attestation), true) => tracing::info!(%attestation, "attested"),
        (Some(attestation), false) => {
            tracing::warn!(%attestation, "the stored attestation is for another executable than the one that runs");
        }
        (None, _) => tracing::info!("not attested yet"),
    }
}

fn exists(path: &Path) -> Result<bool, InitError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(InitError::Io { path: path.to_owned(), source }),
    }
}
