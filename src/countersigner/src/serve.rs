//! The service as a whole: what `init` makes, and what `serve` puts together and runs.

use std::future::Future;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countermark_bundle::identity::Side;
use countermark_bundle::trust::{TRUST_BYTES_MAX, TrustError, TrustFile};
use countermark_keys::{KeyFile, Role};
use countermark_migrations::{Database, Open, OpenError, open_sqlite};
use countermark_service::listener::{BindError, bind};
use countermark_service::server::limits::Limits;
use countermark_service::server::{SHUTDOWN_GRACE, Server};
use countermark_service::tls::{Tls, TlsError, scheme};
use countermark_signer_policy::{LoadError, PolicySet};
use thiserror::Error;
use tokio::sync::watch;

use crate::access::AccessTokens;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::countersign::{OperatorKey, OperatorKeyError};
use crate::countersigner::{Countersigner, Ports, Settings, StartError};
use crate::decide::OperatorRules;
use crate::http::router;
use crate::ledger::sqlite::SqliteLedger;
use crate::log_client::{ClientError, Deadlines, LogClient};
use crate::run::run;

/// What `init` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initialised {
    /// There is a new, empty ledger.
    Created,
    /// There was one, and it stays as it is.
    Existing,
}

/// Why the service ended or did not begin.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The trust file was not read.
    #[error("{}: the trust file was not read", path.display())]
    TrustFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The trust file was refused.
    #[error("{}: not a trust file", path.display())]
    Trust {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TrustError,
    },
    /// A key file was refused.
    #[error(transparent)]
    Key(#[from] countermark_keys::OpenError),
    /// The operator key was refused.
    #[error(transparent)]
    OperatorKey(#[from] OperatorKeyError),
    /// The policy folder was refused.
    #[error(transparent)]
    Policy(#[from] LoadError),
    /// The ledger is missing or was refused.
    #[error(transparent)]
    Ledger(#[from] OpenError),
    /// The log's address was refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The countersigner did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The status page cannot listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate of the status page or its key was refused.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Makes the empty ledger, the one explicit act that begins a countersigner's memory.
///
/// With `if_absent` an existing ledger of ours stays as it is; anything else in its place is refused in both cases.
pub async fn init(config: &Config, if_absent: bool) -> Result<Initialised, OpenError> {
    match open_sqlite(&config.ledger, Database::Countersigner, Open::CreateNew).await {
        Ok(pool) => {
            pool.close().await;
            Ok(Initialised::Created)
        }
        Err(OpenError::AlreadyExists { .. }) if if_absent => {
            open_sqlite(&config.ledger, Database::Countersigner, Open::Existing).await?.close().await;
            Ok(Initialised::Existing)
        }
        Err(error) => Err(error),
    }
}

/// Runs the service until `shutdown` completes. `on_ready` is told the address of the status page once it listens.
pub async fn serve(
    config: Config,
    on_ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let settings = settings(&config)?;
    let tls = config.tls.clone().map(Tls::open).transpose()?;
    let namespace = settings.trust.namespace();
    let log = Arc::new(LogClient::new(&config.log_url, namespace, Deadlines::default())?);
    // A missing ledger is refused: an empty one would countersign what the lost one has forgotten.
    let pool = open_sqlite(&config.ledger, Database::Countersigner, Open::Existing).await?;
    let ports = Ports {
        reader: Arc::clone(&log) as _,
        submitter: log,
        ledger: Arc::new(SqliteLedger::new(pool.clone())),
        clock: Arc::new(SystemClock),
    };
    let countersigner = Countersigner::start(settings, ports).await?;
    let (page, pages) = watch::channel(Arc::new(countersigner.status_without_ledger()));

    let listener = bind(config.listen).await?;
    let address = listener.local_addr().map_err(|source| BindError::Refused { address: config.listen, source })?;
    tracing::info!(%address, scheme = scheme(tls.as_ref()), log = config.log_url, "countersigner");
    let server = Server::begin(listener, tls, router(pages), Limits::of_process());
    on_ready(address);

    // The page outlives the loop. On the heap: a turn is a deep future.
    Box::pin(run(countersigner, config.poll_interval(), page, shutdown)).await;
    server.finish(SHUTDOWN_GRACE).await;
    pool.close().await;
    Ok(())
}

fn settings(config: &Config) -> Result<Settings, ServeError> {
    let trust = read_trust(&config.trust)?;
    let open = |path, role| KeyFile::open_signer(path, role, &config.passphrase_file);
    let key = OperatorKey::new(open(&config.operator_key_file, Role::Operator)?)?;
    let tokens = AccessTokens {
        signer: KeyFile::open_token_issuer(&config.token_key_file, &config.passphrase_file)?,
        issuer: config.issuer.clone(),
        subject: config.subject.clone(),
        audience: config.token_audience.clone(),
    };
    let policy = match &config.policy {
        Some(folder) => PolicySet::load(folder)?,
        None => PolicySet::shipped(Side::Operator),
    };
    let rules = OperatorRules { policy, cool_off_seconds: config.cool_off_seconds };
    Ok(Settings { trust, key, tokens, rules })
}

fn read_trust(path: &Path) -> Result<TrustFile, ServeError> {
    let unread = |source| ServeError::TrustFile { path: path.to_owned(), source };
    let bytes_max = u64::try_from(TRUST_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    // One byte more than allowed, so that the parser sees that it is too long.
    let file = std::fs::File::open(path).map_err(unread)?;
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(unread)?;
    TrustFile::parse(&bytes).map_err(|source| ServeError::Trust { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
