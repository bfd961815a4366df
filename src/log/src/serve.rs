//! Serving: everything opened, every namespace started, one listener, and an orderly end.
//!
//! Invariant: the listener is bound before any namespace is taken over. A second process at the same address fails there
//! and does not fence off the first.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use countermark_bundle::authority::AuthorityKeysError;
use countermark_service::listener::{BindError, bind};
use metrics_exporter_prometheus::BuildError;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::auth::{TokenGate, TokenKeysError};
use crate::clock::SystemClock;
use crate::config::{Config, NamespaceConfig, OpenNamespaceError};
use crate::create::Outside;
use crate::export::continuous::Continuous;
use crate::export::{ExportedLog, Exporter};
use crate::head_register::{self, OpenRegisterError};
use crate::http::{self, Service, exposition};
use crate::objects::access::{Access, AccessError};
use crate::objects::bucket::CALL_TIMEOUT;
use crate::ports::HeadRegister;
use crate::sequencer::{self, Ended, NamespaceHandle, Ports, StartError};
use crate::stores::{OpenStoreError, Stores};
use crate::witness_client::{ClientError, HttpWitnessClient};

/// How long requests under way have, beyond the deadline of a submission, when the service ends.
const SHUTDOWN_MARGIN: Duration = Duration::from_secs(5);

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
    /// A namespace was not started. The others were stopped again.
    #[error("namespace {namespace}: {source}")]
    Namespace {
        /// The namespace.
        namespace: String,
        /// Why not.
        source: Box<ServeNamespaceError>,
    },
}

/// Serves until `shutdown` completes. `on_ready` is called once, with the bound address, when requests are answered.
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
    let (listener, address) = listen(config.listen).await?;
    let metrics = match config.metrics_listen {
        Some(address) => Some(listen(address).await?.0),
        None => None,
    };
    let tokens = match &config.token_keys {
        Some(path) => Some(TokenGate::open(path, config.audience.clone()).await?),
        None => None,
    };
    let namespaces = start_all(&config, outside).await?;
    warn_of_one_key_id(&config);
    let exports = match export_all(&config, &namespaces) {
        Ok(exports) => exports,
        Err(refused) => {
            stop_all(namespaces).await;
            return Err(refused);
        }
    };
    let handles = namespaces.iter().map(|(handle, _)| handle.clone());
    let mut service = Service::new(handles, tokens, config.submission_deadline);
    for (namespace, export) in &exports {
        service.show_export(namespace, export.status.clone());
    }
    let measuring = match metrics {
        Some(listener) => {
            let handles = namespaces.iter().map(|(handle, _)| handle.clone()).collect();
            Some(Listening::begin(listener, exposition::router(handles)?))
        }
        None => None,
    };
    let end = Listening::begin(listener, http::router(Arc::new(service)));
    tracing::info!(%address, namespaces = namespaces.len(), "serving");
    on_ready(address);
    shutdown.await;
    end.finish(config.submission_deadline.saturating_add(SHUTDOWN_MARGIN)).await;
    for (_, export) in exports {
        export.stop().await;
    }
    stop_all(namespaces).await;
    // The last that can be seen of a service is how it ends.
    if let Some(measuring) = measuring {
        measuring.finish(SHUTDOWN_MARGIN).await;
    }
    tracing::info!("ended");
    Ok(())
}

/// Binds the address; gives it with the port that was taken.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let listener = bind(address).await?;
    let bound = listener.local_addr().map_err(|source| BindError::Refused { address, source })?;
    Ok((listener, bound))
}

/// A namespace that is being served, and the task that says how it ended.
type Started = (NamespaceHandle, JoinHandle<Ended>);

async fn start_all(config: &Config, outside: &Outside) -> Result<Vec<Started>, ServeError> {
    let stores = Stores::open(&config.database).await?;
    let credentials = config.object_store_credentials.as_deref();
    let register = head_register::open(&config.register, credentials).await?;
    let mut started = Vec::with_capacity(config.namespaces.len());
    for namespace in &config.namespaces {
        match start(&stores, namespace, &register, outside).await {
            Ok(one) => started.push(one),
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
fn export_all(config: &Config, namespaces: &[Started]) -> Result<Vec<(String, Continuous)>, ServeError> {
    let Some(place) = &config.export else { return Ok(Vec::new()) };
    let credentials = config.object_store_credentials.as_deref();
    let objects = place.open(|| Access::read(credentials), CALL_TIMEOUT)?;
    let mut exports = Vec::with_capacity(namespaces.len());
    for (handle, _) in namespaces {
        let log = ExportedLog::of(handle.identity())?;
        let exporter = Exporter::new(log, handle.store(), Arc::clone(&objects));
        let export = Continuous::begin(exporter, handle.watch_published());
        exports.push((handle.namespace().to_string(), export));
    }
    Ok(exports)
}

async fn start(
    stores: &Stores,
    namespace: &NamespaceConfig,
    register: &Arc<dyn HeadRegister>,
    outside: &Outside,
) -> Result<Started, ServeNamespaceError> {
    let settings = namespace.open()?;
    let ports = Ports {
        store: stores.existing(namespace).await?,
        register: register.clone(),
        witnesses: outside.witnesses.clone(),
        clock: outside.clock.clone(),
    };
    Ok(sequencer::start(settings, ports).await.map_err(Box::new)?)
}

async fn stop_all(namespaces: Vec<Started>) {
    for (handle, task) in namespaces {
        handle.shutdown().await;
        match task.await {
            Ok(Ended::ShutDown) => {}
            // The namespace has said why when it happened.
            Ok(Ended::Fenced { .. } | Ended::Contradiction(_) | Ended::Panicked) | Err(_) => {
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

/// The task that answers requests.
pub(crate) struct Listening {
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Listening {
    pub(crate) fn begin(listener: TcpListener, router: Router) -> Self {
        let (stop, stopped) = oneshot::channel();
        let server = axum::serve(listener, router).with_graceful_shutdown(async {
            // An error means that nobody is left who could stop it otherwise.
            let _ = stopped.await;
        });
        Self { stop, task: tokio::spawn(server.into_future()) }
    }

    /// Takes no new connection, and waits at most so long for requests under way.
    pub(crate) async fn finish(mut self, at_most: Duration) {
        // An error means that the task has ended already.
        let _ = self.stop.send(());
        if timeout(at_most, &mut self.task).await.is_err() {
            tracing::warn!("requests under way were cut off");
            self.task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
