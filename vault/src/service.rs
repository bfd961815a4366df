//! The life of a member: its keys are made once, then it serves from what it stored.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use countermark_bundle::key::PublicKey;
use countermark_keys::{CreateError, CreatePassphraseError, KeyFile, Role, create_passphrase_file};
use countermark_service::listener::{BindError, bind};
use countermark_service::server::serve_until;
use countermark_service::tls::{Tls, TlsError, scheme};
use countermark_vault_core::device::DeviceFault;
use countermark_vault_core::member::MemberIdentity;
use countermark_vault_raft::{CounterFile, CounterFileError};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinError;
use tracing::Instrument as _;

use crate::attestation_file::AttestationFile;
use crate::config::Config;
use crate::device::{DeviceIdentity, DeviceSealing, DeviceSession};
use crate::fleet::{FleetError, Membership};
use crate::http::{self, Attesting, Served};
use crate::measure::{self, MeasureError};
use crate::member::{Member, MemberError};
use crate::member_keys::{KeyError, MemberKeys};
use crate::peer::OwnEnd;

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
    /// The member was attested, or took part in a fleet, so it had keys.
    #[error(
        "{} says that this member had keys, and {} is missing: a member that lost its keys is retired, never given new ones",
        trace.display(), key.display()
    )]
    KeysLost {
        /// The stored attestation, or the counter of a member that took part.
        trace: PathBuf,
        /// The key that is missing.
        key: PathBuf,
    },
    /// The passphrase file could not be made.
    #[error("cannot make the passphrase of the member's keys")]
    Passphrase(#[from] CreatePassphraseError),
    /// A key could not be made.
    #[error("cannot make a key of the member")]
    CreateKey(#[from] CreateError),
    /// The member had a counter, and it is gone.
    #[error(
        "{} is missing, and this member was attested with its sealing key: a member that lost its counter is retired",
        counter.display()
    )]
    CounterLost {
        /// Where it should be.
        counter: PathBuf,
    },
    /// The counter could not be made.
    #[error("cannot make the member's counter")]
    Counter(#[from] CounterFileError),
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
    /// The certificate or its key was refused.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceFault),
    /// The member does not take part in its fleet, or no longer.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The fleet's task ended without a word. That is a bug.
    #[error("the fleet's task ended")]
    FleetTask(#[source] JoinError),
}

/// Makes the keys of a member inside this process and returns their public halves.
///
/// Where no key exists and no passphrase file either, the latter is made too. An existing passphrase file is used. A
/// member that is configured to be part of a fleet gets a sealing key and a counter as well.
pub fn init(config: &Config, existing: Existing) -> Result<PublicKeys, InitError> {
    let keys = key_files(config);
    let mut missing = Vec::new();
    for key in &keys {
        match (exists(key.path)?, existing) {
            (true, Existing::Refuse) => return Err(InitError::KeyExists { path: key.path.clone() }),
            (true, Existing::Keep) => {}
            (false, Existing::Refuse | Existing::Keep) => missing.push(key),
        }
    }
    // 1. A member that was attested had both keys that the attestation names: others may rely on them. One that took part
    //    in a fleet had a sealing key, and has data that nothing else opens.
    for key in &missing {
        if exists(key.trace)? {
            return Err(InitError::KeysLost { trace: key.trace.clone(), key: key.path.clone() });
        }
    }
    // 2. The passphrase, unless a key is sealed already: under a new one it would not open. A crash from here on leaves
    //    files that `--if-absent` goes on from; nobody has seen a public key yet.
    if missing.len() == keys.len() && !exists(&config.passphrase_file)? {
        create_passphrase_file(&config.passphrase_file)?;
    }
    // 3. The keys, each durable when it is made.
    let sealing_key_was_there = missing.iter().all(|key| key.role != Role::VaultSealing);
    for key in missing {
        KeyFile::create(key.path, key.role, &config.passphrase_file)?;
    }
    // 4. The counter, once: it is made with the sealing key and never by serving, because a counter that is not there (its
    //    volume is not mounted, say) must stop a member and not make it a new one.
    if let Some(fleet) = &config.fleet
        && !exists(&fleet.counter_file)?
    {
        if sealing_key_was_there && exists(&config.attestation_file)? {
            return Err(InitError::CounterLost { counter: fleet.counter_file.clone() });
        }
        drop(CounterFile::create(&fleet.counter_file)?);
    }
    // 5. Only keys that open are announced.
    let MemberKeys { identity_key, session_key, .. } = MemberKeys::open(config)?;
    Ok(PublicKeys { identity: identity_key, session: session_key })
}

/// A key file of a member, and what is there only if the key was.
struct MemberKeyFile<'a> {
    path: &'a PathBuf,
    role: Role,
    trace: &'a PathBuf,
}

fn key_files(config: &Config) -> Vec<MemberKeyFile<'_>> {
    let attestation = &config.attestation_file;
    let mut keys = vec![
        MemberKeyFile { path: &config.identity_key_file, role: Role::VaultIdentity, trace: attestation },
        MemberKeyFile { path: &config.session_key_file, role: Role::VaultSession, trace: attestation },
    ];
    if let Some(fleet) = &config.fleet {
        let (path, trace) = (&fleet.sealing_key_file, &fleet.counter_file);
        keys.push(MemberKeyFile { path, role: Role::VaultSealing, trace });
    }
    keys
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
    let tls = config.tls.clone().map(Tls::open).transpose()?;
    let identity = MemberIdentity {
        origin: config.origin,
        fleet_id: config.fleet_id,
        member_id: config.member_id,
        failure_domain: config.failure_domain,
        identity_key: keys.identity_key.clone(),
        session_key: keys.session_key.clone(),
        software: measure::running_software()?,
    };
    tracing::info!(
        member = %identity.member_id,
        fleet = %identity.fleet_id,
        software = %identity.software.sha256,
        "member"
    );
    // Before anybody is served: a member whose data is not its own newest must not even begin.
    let fleet = match (config.fleet, keys.sealing) {
        (Some(fleet), Some(sealing)) => {
            let own = OwnEnd {
                origin: identity.origin.clone(),
                fleet_id: identity.fleet_id.clone(),
                member_id: identity.member_id.clone(),
                identity: Arc::new(DeviceIdentity::new(Arc::clone(&keys.identity))?),
                session: Arc::new(DeviceSession(keys.session)),
            };
            let public_keys = [identity.identity_key.clone(), identity.session_key.clone()];
            Some(Membership::prepare(own, public_keys, Arc::new(DeviceSealing(sealing)), fleet).await?)
        }
        // The sealing key was opened if there is a fleet.
        (Some(_), None) | (None, _) => None,
    };
    let store = AttestationFile::new(config.attestation_file);
    let member = Member::open(identity, config.vendor_keys, keys.identity, store)?;
    announce_attestation(&member);
    let listener = bind(config.listen).await?;
    let address = listener.local_addr().map_err(|source| BindError::Refused { address: config.listen, source })?;
    let served = Arc::new(Served { member, seat: fleet.as_ref().map(Membership::seat) });
    let router = http::router(served, Attesting::at(address));
    tracing::info!(%address, scheme = scheme(tls.as_ref()), "listens");
    on_ready(address);
    if let Some(fleet) = fleet {
        return serve_beside(fleet, listener, tls, router, shutdown).await;
    }
    serve_until(listener, tls, router, shutdown).await;
    Ok(())
}

/// Serves while the member takes part in its fleet, and ends both when either ends.
///
/// Users are served to the end before the fleet is left, so that what they asked for is still committed.
async fn serve_beside(
    fleet: Membership,
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (stop, stopped) = watch::channel(false);
    let mut taking_part = tokio::spawn(fleet.take_part(stopped).instrument(tracing::info_span!("fleet")));
    let mut left = None;
    let shutdown_or_left = async {
        tokio::select! {
            () = shutdown => {}
            ended = &mut taking_part => left = Some(ended),
        }
    };
    serve_until(listener, tls, router, shutdown_or_left).await;
    // Nobody listens if it has ended already.
    let _ = stop.send(true);
    let left = match left {
        Some(left) => left,
        None => taking_part.await,
    };
    Ok(left.map_err(ServeError::FleetTask)??)
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
