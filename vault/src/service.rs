//! The life of a member: made once, then served from its files.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use countermark_keys::{
    CreateError, CreatePassphraseError, KeyFile, PublicKeyInfo, ReadPublicError, Role, create_passphrase_file,
};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::http;
use crate::member::{OpenMemberError, VaultMember};
use crate::software::{self, MeasureError};

/// How long requests may still run after the shutdown was asked for.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// Whether `init` may meet a member that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is a mistake.
    Refuse,
    /// It is left as it is.
    Keep,
}

/// A member that exists, by its public keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitReport {
    /// Whether it was made just now.
    pub created: bool,
    /// Its identity key, 64 hex digits.
    pub identity_key: String,
    /// Its session key, 64 hex digits.
    pub session_key: String,
}

/// Why no member was made.
#[derive(Debug, Error)]
pub enum InitError {
    /// Conflict: this member was made before.
    #[error("{} exists already: this member was made before", path.display())]
    Exists {
        /// Its session key.
        path: PathBuf,
    },
    /// A member that was endorsed has lost a key: it is not made again under its old name.
    #[error(
        "{} is missing but the member was endorsed ({} exists): bring the key back, or retire the member",
        key.display(), attestation.display()
    )]
    KeyLost {
        /// The key that is missing.
        key: PathBuf,
        /// What says that there was one.
        attestation: PathBuf,
    },
    /// The passphrase file could not be made.
    #[error("cannot make the passphrase of the member's keys")]
    Passphrase(#[from] CreatePassphraseError),
    /// A key file could not be made.
    #[error("cannot make a key of the member")]
    CreateKey(#[from] CreateError),
    /// A key file that exists cannot be used.
    #[error("cannot read a key of the member")]
    ReadKey(#[from] ReadPublicError),
    /// A key file that exists holds a key for another purpose.
    #[error("{} holds a {found} key where a {expected} key is needed", path.display())]
    WrongRole {
        /// The key file.
        path: PathBuf,
        /// The role needed.
        expected: Role,
        /// The role found.
        found: Role,
    },
    /// The file system failed.
    #[error("cannot use {}", path.display())]
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
    /// The executable was not measured.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The keys or the attestation cannot be used.
    #[error(transparent)]
    Member(#[from] OpenMemberError),
    /// Somebody else listens there.
    #[error("cannot listen on {address}: the port is taken")]
    AddressInUse {
        /// The configured address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// What failed.
        source: io::Error,
    },
    /// The server failed.
    #[error("the server failed")]
    Server(#[source] io::Error),
}

/// Makes a member's keys, inside this process. They leave it only sealed, each into its own file.
///
/// The session key is made last: where it exists, the member is complete. An interrupted `init` is taken up again.
pub fn init(config: &Config, existing: Existing) -> Result<InitReport, InitError> {
    let complete = exists(&config.identity_key_file)? && exists(&config.session_key_file)?;
    if complete && existing == Existing::Refuse {
        return Err(InitError::Exists { path: config.session_key_file.clone() });
    }
    if !complete && exists(&config.attestation_file)? {
        let lost = !exists(&config.identity_key_file)?;
        let key = if lost { &config.identity_key_file } else { &config.session_key_file };
        return Err(InitError::KeyLost { key: key.clone(), attestation: config.attestation_file.clone() });
    }
    if !exists(&config.passphrase_file)? {
        create_passphrase_file(&config.passphrase_file)?;
    }
    let identity_key = key(&config.identity_key_file, Role::VaultIdentity, &config.passphrase_file)?;
    let session_key = key(&config.session_key_file, Role::VaultSession, &config.passphrase_file)?;
    Ok(InitReport {
        created: !complete,
        identity_key: identity_key.public_key,
        session_key: session_key.public_key,
    })
}

/// The key at `path`, made if it is not there.
fn key(path: &Path, role: Role, passphrase_file: &Path) -> Result<PublicKeyInfo, InitError> {
    if !exists(path)? {
        return Ok(KeyFile::create(path, role, passphrase_file)?);
    }
    let found = KeyFile::public(path)?;
    if found.role != role {
        return Err(InitError::WrongRole { path: path.to_owned(), expected: role, found: found.role });
    }
    Ok(found)
}

/// Serves until `shutdown` completes; requests that run then have 10 s to end.
///
/// `on_ready` is told the address once connections are accepted.
pub async fn serve(
    config: Config,
    on_ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    // Nothing is served yet, so nobody minds that this blocks.
    let software = software::running()?;
    let member = Arc::new(VaultMember::open(&config, software)?);
    let identity = member.identity();
    tracing::info!(fleet = %identity.fleet_id, member = %identity.member_id, software = %identity.software.sha256, "member");
    match member.attested_software() {
        None => tracing::warn!("no vendor has endorsed this member"),
        Some(attested) if attested == identity.software.sha256 => {}
        Some(attested) => tracing::warn!(%attested, "another executable was endorsed than the one that runs"),
    }
    let listener = listen(config.listen).await?;
    let address = listener.local_addr().map_err(ServeError::Server)?;
    tracing::info!(%address, "listens");
    on_ready(address);
    run(listener, http::router(member), shutdown).await
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::AddressInUse { address },
        _other => ServeError::Listen { address, source },
    })
}

async fn run(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
    let (stop, stopped) = oneshot::channel::<()>();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async {
        // Completes when `stop` is dropped.
        let _ = stopped.await;
    });
    let mut server = pin!(server.into_future());
    tokio::select! {
        ended = &mut server => return ended.map_err(ServeError::Server),
        () = shutdown => drop(stop),
    }
    match tokio::time::timeout(SHUTDOWN_GRACE, server).await {
        Ok(ended) => ended.map_err(ServeError::Server),
        Err(_elapsed) => {
            // A request that is cut off here is a crash at the step it had reached, which is safe.
            tracing::warn!("requests were cut off at the end");
            Ok(())
        }
    }
}

fn exists(path: &Path) -> Result<bool, InitError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(InitError::Io { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests;
