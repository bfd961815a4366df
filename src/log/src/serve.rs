//! Serving: everything opened, every namespace started, one listener, and an orderly end.
//!
//! Invariant: the listener is bound before any namespace is taken over. A second process at the same address fails there
//! and does not fence off the first. A second process at another address takes over, and the first one ends as soon as it
//! finds itself fenced off: it says so and ends as a whole, because whoever took one namespace over serves them all.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use countermark_bundle::authority::AuthorityKeysError;
use countermark_service::listener::{BindError, bind};
use countermark_service::server::Server;
use countermark_service::server::limits::Limits;
use countermark_service::tls::{Tls, TlsError, scheme};
use metrics_exporter_prometheus::BuildError;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::auth::{TokenGate, TokenKeysError};
use crate::clock::SystemClock;
use crate::config::{Config, DatabaseConfig, NamespaceConfig, OpenNamespaceError};
use crate::create::Outside;
use crate::export::continuous::Continuous;
use crate::export::{ExportedLog, Exporter};
use crate::head_register::{self, OpenRegisterError};
use crate::http::{self, Service, exposition};
use crate::objects::access::{Access, AccessError};
use crate::objects::bucket::CALL_TIMEOUT;
use crate::ports::{HeadRegister, WriterEpoch};
use crate::scrub::Scrubbing;
use crate::sequencer::{self, Ended, NamespaceHandle, NamespaceSettings, Ports, StartError};
use crate::stores::{OpenStoreError, Stores};
use crate::witness_client::{ClientError, HttpWitnessClient};

/// How long requests under way have, beyond the deadline of a submission, when the service ends.
const SHUTDOWN_MARGIN: Duration = Duration::from_secs(5);

/// The file in the database folder that a process locks while it starts.
const START_LOCK: &str = "starting.lock";

/// Why a namespace is not served.
#[derive(Debug, Error)]
pub enum ServeNamespaceError {
    /// A key or the policy was not opened.
    #[error(transparent)]
    Open(#[from] OpenNamespaceError),
    /// The database was not opened.
    #[error(transparent)]
    Database(#[from] OpenStoreError),
    /// The namespace was not started.
    #[error(transparent)]
    Start(#[from] Box<StartError>),
}

/// Why the service did not start.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate or its key was refused.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The keys of token issuers were not read.
    #[error(transparent)]
    TokenKeys(#[from] TokenKeysError),
    /// The head register was not opened.
    #[error(transparent)]
    Register(#[from] OpenRegisterError),
    /// Nothing can be measured.
    #[error("metrics_listen: {0}")]
    Metrics(#[from] BuildError),
    /// The database of all namespaces was not opened.
    #[error(transparent)]
    Database(#[from] OpenStoreError),
    /// There is no access to the export.
    #[error("export: {0}")]
    Export(#[from] AccessError),
    /// The keys of a trust file cannot be believed in.
    #[error("the trust file: {0}")]
    Keys(#[from] AuthorityKeysError),
    /// There is no way to the witnesses.
    #[error(transparent)]
    WitnessClient(#[from] ClientError),
    /// Whether another process is starting could not be found out.
    #[error("cannot lock {}", path.display())]
    StartLock {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// A namespace was not started. The others were stopped again.
    #[error("namespace {namespace}: {source}")]
    Namespace {
        /// The namespace.
        namespace: String,
        /// Why not.
        source: Box<ServeNamespaceError>,
    },
    /// It served, until another process took a namespace over.
    #[error(
        "namespace {namespace}: another process writes to this namespace ({found}, this process had {held}); \
         this process has ended"
    )]
    TakenOver {
        /// The namespace.
        namespace: String,
        /// The epoch of this process.
        held: WriterEpoch,
        /// The epoch in force.
        found: WriterEpoch,
    },
}

/// Serves until `shutdown` completes, or another process takes a namespace over. `on_ready` is called once, with the bound
/// address, when requests are answered.
///
/// At the end no new connection is taken, requests under way are finished, then every namespace stops.
pub async fn serve(
    config: Config,
    on_ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let outside = outside()?;
    serve_with(config, &outside, on_ready, shutdown).await
}

/// The real world.
pub(crate) fn outside() -> Result<Outside, ClientError> {
    Ok(Outside { witnesses: Arc::new(HttpWitnessClient::new()?), clock: Arc::new(SystemClock) })
}

pub(crate) async fn serve_with(
    config: Config,
    outside: &Outside,
    on_ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let tls = config.tls.clone().map(Tls::open).transpose()?;
    let (listener, address) = listen(config.listen).await?;
    let metrics = match config.metrics_listen {
        Some(address) => {
            let (listener, address) = listen(address).await?;
            tracing::info!(%address, "metrics are served");
            Some((listener, exposition::recorder()?))
        }
        None => None,
    };
    let tokens = match &config.token_keys {
        Some(path) => Some(TokenGate::open(path, config.audience.clone()).await?),
        None => None,
    };
    let namespaces = start_all(&config, outside).await?;
    warn_of_one_key_id(&config);
    let exports = match export_all(&config, &namespaces.handles) {
        Ok(exports) => exports,
        Err(refused) => {
            stop_all(namespaces).await;
            return Err(refused);
        }
    };
    let Namespaces { handles, mut ends } = namespaces;
    let mut service = Service::new(handles.iter().cloned(), tokens, config.submission_deadline);
    service.limit_submitters(config.limits);
    for (namespace, export) in &exports {
        service.show_export(namespace, export.status.clone());
    }
    let pace = config.scrub_entries_per_second;
    let scrubbed = handles.iter().filter(|_| pace > 0);
    let scrubbing: Vec<Scrubbing> = scrubbed.map(|handle| Scrubbing::begin(handle, pace)).collect();
    let service = Arc::new(service);
    let measuring = metrics.map(|(listener, recorder)| {
        Server::begin(listener, None, exposition::router(recorder, Arc::clone(&service)), Limits::aside())
    });
    let scheme = scheme(tls.as_ref());
    let end = Server::begin(listener, tls, http::router(service), Limits::of_process());
    tracing::info!(%address, scheme, namespaces = handles.len(), "serving");
    on_ready(address);
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        taken_over = taken_over(&mut ends) => Err(taken_over),
    };
    end.finish(config.submission_deadline.saturating_add(SHUTDOWN_MARGIN)).await;
    for (_, export) in exports {
        export.stop().await;
    }
    for scrubber in scrubbing {
        scrubber.stop().await;
    }
    stop_all(Namespaces { handles, ends }).await;
    // The last that can be seen of a service is how it ends.
    if let Some(measuring) = measuring {
        measuring.finish(SHUTDOWN_MARGIN).await;
    }
    tracing::info!("ended");
    ended
}

/// Binds the address; gives it with the port that was taken.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let listener = bind(address).await?;
    let bound = listener.local_addr().map_err(|source| BindError::Refused { address, source })?;
    Ok((listener, bound))
}

/// A namespace that is being served, and the task that says how it ended.
type Started = (NamespaceHandle, JoinHandle<Ended>);

/// How a namespace ended; an error means that its task panicked.
type NamespaceEnd = (NamespaceHandle, Result<Ended, JoinError>);

/// Every namespace that is being served.
#[derive(Default)]
struct Namespaces {
    handles: Vec<NamespaceHandle>,
    ends: JoinSet<NamespaceEnd>,
}

async fn start_all(config: &Config, outside: &Outside) -> Result<Namespaces, ServeError> {
    let stores = Stores::open(&config.database).await?;
    let credentials = config.object_store_credentials.as_deref();
    let register = head_register::open(&config.register, credentials).await?;
    // One process starts at a time: of two that took over a namespace each from the other, both would end. A crash releases
    // the lock with the descriptor. On PostgreSQL, where the processes may be on two machines, nothing holds them apart.
    let _starting = match &config.database {
        DatabaseConfig::Folder(folder) => lock_start(folder).await?,
        DatabaseConfig::Postgres(_) => None,
    };
    let mut started = Namespaces::default();
    for namespace in &config.namespaces {
        match start(&stores, namespace, config.tile_cache_bytes, &register, outside).await {
            Ok((handle, task)) => {
                started.handles.push(handle.clone());
                started.ends.spawn(async move { (handle, task.await) });
            }
            Err(source) => {
                stop_all(started).await;
                return Err(ServeError::Namespace {
                    namespace: namespace.namespace.to_string(),
                    source: Box::new(source),
                });
            }
        }
    }
    Ok(started)
}

/// Begins to export every namespace, if the configuration says where to.
fn export_all(config: &Config, namespaces: &[NamespaceHandle]) -> Result<Vec<(String, Continuous)>, ServeError> {
    let Some(place) = &config.export else { return Ok(Vec::new()) };
    let credentials = config.object_store_credentials.as_deref();
    let objects = place.open(|| Access::read(credentials), CALL_TIMEOUT)?;
    let mut exports = Vec::with_capacity(namespaces.len());
    for handle in namespaces {
        let log = ExportedLog::of(handle.identity())?;
        let exporter = Exporter::new(log, handle.store(), Arc::clone(&objects));
        let export = Continuous::begin(exporter, handle.watch_published());
        exports.push((handle.namespace().to_string(), export));
    }
    Ok(exports)
}

/// Waits until no other process is starting over this folder, and keeps others waiting while the file is open. Where there is
/// no folder there is no log either, which the start that follows says by name.
async fn lock_start(folder: &Path) -> Result<Option<File>, ServeError> {
    let path = folder.join(START_LOCK);
    let file = path.clone();
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::create(file)?;
        file.lock()?;
        Ok(file)
    });
    let locked = locked.await.unwrap_or_else(|cancelled| Err(io::Error::other(cancelled)));
    match locked {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ServeError::StartLock { path, source }),
    }
}

async fn start(
    stores: &Stores,
    namespace: &NamespaceConfig,
    tile_cache_bytes: usize,
    register: &Arc<dyn HeadRegister>,
    outside: &Outside,
) -> Result<Started, ServeNamespaceError> {
    let settings = NamespaceSettings { tile_cache_bytes, ..namespace.open()? };
    let ports = Ports {
        store: stores.existing(namespace).await?,
        register: register.clone(),
        witnesses: outside.witnesses.clone(),
        clock: outside.clock.clone(),
    };
    Ok(sequencer::start(settings, ports).await.map_err(Box::new)?)
}

/// Waits until a namespace is fenced off. One that stopped for another reason is still read here; it has said why.
async fn taken_over(ends: &mut JoinSet<NamespaceEnd>) -> ServeError {
    loop {
        match ends.join_next().await {
            Some(Ok((handle, Ok(Ended::Fenced { held, found })))) => {
                return ServeError::TakenOver { namespace: handle.namespace().to_string(), held, found };
            }
            Some(Ok((handle, Ok(Ended::ShutDown | Ended::Contradiction(_) | Ended::Panicked) | Err(_)))) => {
                tracing::warn!(origin = %handle.origin(), "the namespace is only read from now on");
            }
            Some(Err(_)) => {}
            None => std::future::pending().await,
        }
    }
}

async fn stop_all(namespaces: Namespaces) {
    let Namespaces { handles, mut ends } = namespaces;
    for handle in handles {
        handle.shutdown().await;
    }
    while let Some(ended) = ends.join_next().await {
        match ended {
            // An error: nothing in the waiting task panics, and it is not aborted.
            Ok((_, Ok(Ended::ShutDown))) | Err(_) => {}
            // The namespace has said why when it happened.
            Ok((handle, Ok(Ended::Fenced { .. } | Ended::Contradiction(_) | Ended::Panicked) | Err(_))) => {
                tracing::warn!(origin = %handle.origin(), "the namespace had stopped before");
            }
        }
    }
}

/// plexi's auditors pick a key by its last byte and take the first that fits.
fn warn_of_one_key_id(config: &Config) {
    let mut seen = std::collections::BTreeMap::new();
    for namespace in &config.namespaces {
        let name = namespace.namespace.as_str();
        let Some(trust) = namespace.foundation.trust() else { continue };
        for key in &trust.keys.certificate {
            let Some(id) = key.bytes().last() else { continue };
            match seen.insert(*id, name) {
                Some(other) if other != name => {
                    tracing::warn!(
                        namespace = name,
                        other,
                        key_id = id,
                        "two certificate keys have one plexi key id; plexi auditors will refuse one of them"
                    );
                }
                Some(_) | None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
