//! The life of a witness: made once, then served from what it stored.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countermark_keys::{CreateError, CreatePassphraseError, KeyFile, Role, create_passphrase_file};
use countermark_migrations::{Database, Open, OpenError, open_sqlite};
use countermark_service::listener::{BindError, bind};
use countermark_service::server::serve_until;
use countermark_service::tls::{Tls, TlsError, scheme};
use metrics_exporter_prometheus::BuildError;
use sqlx::SqlitePool;
use thiserror::Error;
use tokio::sync::watch;

use crate::config::{Config, marker};
use crate::conviction::ConvictError;
use crate::cosigner::{Cosigner, KeyError};
use crate::gossip::{ClientError, Gossip};
use crate::http;
use crate::metrics;
use crate::ports::SystemClock;
use crate::register::{FileRegister, Generation, HeadRegister as _, RegisterError};
use crate::sqlite::{OpenHeadsError, SqliteHeads};
use crate::witness::{StateError, Witness};

/// Why no witness was made.
#[derive(Debug, Error)]
pub enum InitError {
    /// There is a state: this witness was made before.
    #[error("{} exists already: this witness was made before", path.display())]
    StateExists {
        /// The state file.
        path: PathBuf,
    },
    /// The key had a state that is gone.
    #[error(
        "{} says that the key had a state, and {} is missing: a witness that lost its state is retired, \
         never restarted empty; make a new one under a new key",
        marker.display(), state.display()
    )]
    KeyHadState {
        /// The marker beside the key.
        marker: PathBuf,
        /// Where the state was to be made.
        state: PathBuf,
    },
    /// The passphrase file could not be made.
    #[error("cannot make the passphrase of the witness's key")]
    Passphrase(#[from] CreatePassphraseError),
    /// The key file could not be made.
    #[error("cannot make the witness's key")]
    CreateKey(#[from] CreateError),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The state could not be made.
    #[error("cannot make the state of the witness")]
    State(#[from] OpenError),
    /// The key cannot be marked as one that has a state.
    #[error("cannot mark the key of the witness")]
    Mark(#[from] RegisterError),
    /// The file system failed.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
}

/// Why there is no verifier key.
#[derive(Debug, Error)]
pub enum VkeyError {
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Why a witness does not serve, or stopped serving.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no state.
    #[error(
        "there is no state at {}: a witness that lost its state is retired, never restarted empty; \
         a new witness begins with `init`",
        path.display()
    )]
    StateMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The state was not opened.
    #[error("cannot open the state of the witness")]
    Open(#[source] OpenError),
    /// The state and the head register do not go together.
    #[error(transparent)]
    Heads(#[from] OpenHeadsError),
    /// Nothing can be measured.
    #[error("cannot record metrics")]
    Metrics(#[from] BuildError),
    /// The state is not one to go on from.
    #[error(transparent)]
    State(#[from] StateError),
    /// The evidence against logs could not be counted.
    #[error("cannot read the fork evidence")]
    Evidence(#[from] ConvictError),
    /// No HTTP client for gossip.
    #[error("cannot make the client of gossip")]
    Client(#[from] ClientError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate or its key was refused.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Makes a witness and returns its verifier keys, Ed25519 first.
///
/// The passphrase and the keys are made where there are none; an existing key is used as it is. The empty
/// state is made last: where it exists, the witness is complete. A key gets one state in its life.
pub async fn init(config: &Config) -> Result<Vec<String>, InitError> {
    // 1. A witness that exists is left alone, its key too.
    if exists(&config.state)? {
        return Err(InitError::StateExists { path: config.state.clone() });
    }
    // 2. The key. A crash from here to step 3 leaves a key that `init` takes up again.
    //    A passphrase is made only for a key that is still to be made: tried on a token as its PIN, it would cost a try.
    if !exists(&config.passphrase_file)? && lacks_a_key(config)? {
        create_passphrase_file(&config.passphrase_file)?;
    }
    if !exists(&config.key_file)? {
        KeyFile::create(&config.key_file, Role::Witness, &config.passphrase_file)?;
    }
    create_ml_dsa_44_key(config)?;
    let cosigner = Cosigner::open(config)?;
    // Beside the key too: a register that was moved to another place does not make the key a new one.
    for marker in [config.head_register.clone(), marker(&config.key_file)] {
        if exists(&marker)? {
            return Err(InitError::KeyHadState { marker, state: config.state.clone() });
        }
    }
    // 3. The state, whole or not at all. A crash after it leaves a state whose key is not marked yet; nothing was
    //    cosigned with it, and `serve` or `init --if-absent` marks the key before anything is.
    open_sqlite(&config.state, Database::Witness, Open::CreateNew).await?.close().await;
    // 4. From now on this key never gets an empty state.
    mark_key(config)?;
    Ok(lines(&cosigner))
}

/// [`init`], unless there is a state already: then its key is marked, if an interrupted `init` did not, an ML-DSA-44 key
/// that the configuration names for the first time is made, and the keys are shown.
pub async fn init_if_absent(config: &Config) -> Result<Vec<String>, InitError> {
    match init(config).await {
        Err(InitError::StateExists { .. }) => {
            mark_key(config)?;
            // It cosigns on from the state that there is: what is believed is the state, not the key.
            create_ml_dsa_44_key(config)?;
            Ok(lines(&Cosigner::open(config)?))
        }
        outcome => outcome,
    }
}

/// The verifier keys of the witness, Ed25519 first.
pub fn vkeys(config: &Config) -> Result<Vec<String>, VkeyError> {
    Ok(lines(&Cosigner::open(config)?))
}

/// Whether a key that is configured is still to be made.
fn lacks_a_key(config: &Config) -> Result<bool, InitError> {
    let ml_dsa_44_lacks = match &config.ml_dsa_44_key_file {
        Some(file) => !exists(file)?,
        None => false,
    };
    Ok(ml_dsa_44_lacks || !exists(&config.key_file)?)
}

/// Makes the ML-DSA-44 key where one is configured and there is none.
fn create_ml_dsa_44_key(config: &Config) -> Result<(), InitError> {
    match &config.ml_dsa_44_key_file {
        Some(file) if !exists(file)? => {
            Ok(KeyFile::create(file, Role::WitnessMlDsa44, &config.passphrase_file).map(drop)?)
        }
        Some(_) | None => Ok(()),
    }
}

fn lines(cosigner: &Cosigner) -> Vec<String> {
    cosigner.vkeys().map(ToString::to_string).collect()
}

/// Serves until `shutdown` completes; requests that run then have 10 s to end.
///
/// `on_ready` is told the address once connections are accepted.
pub async fn serve(
    config: Config,
    on_ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let cosigner = Cosigner::open(&config)?;
    let tls = config.tls.clone().map(Tls::open).transpose()?;
    let pool = open_sqlite(&config.state, Database::Witness, Open::Existing).await.map_err(|error| match error {
        OpenError::Missing { path, .. } => ServeError::StateMissing { path },
        error => ServeError::Open(error),
    })?;
    for vkey in cosigner.vkeys() {
        tracing::info!(%vkey, logs = config.logs.count(), "witness");
    }
    let served = serve_state(config, cosigner, tls, pool.clone(), on_ready, shutdown).await;
    // The last connection moves the write-ahead log into the state file.
    pool.close().await;
    served
}

async fn serve_state(
    config: Config,
    cosigner: Cosigner,
    tls: Option<Tls>,
    pool: SqlitePool,
    on_ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    // Before anything is cosigned: is it the newest state of this key? An `init` that was killed at its end may have left
    // the key without a register, which is made here.
    let register = FileRegister::new(&config.head_register, &config.state);
    let store = SqliteHeads::open(pool, Arc::new(register)).await?;
    let measured = match config.metrics_listen {
        Some(address) => {
            let listener = bind(address).await?;
            if let Ok(address) = listener.local_addr() {
                tracing::info!(%address, "metrics are served");
            }
            Some((metrics::recorder()?, listener))
        }
        None => None,
    };
    metrics::began(config.logs.count());
    let witness = Arc::new(Witness::new(config.logs, cosigner, store, SystemClock));
    let gossip = Gossip::new(Arc::clone(&witness), config.gossip)?;
    witness.verify_state().await?;
    // An alarm outlives the process that raised it.
    if witness.count_forks().await? > 0 {
        tracing::error!("there is evidence that a followed log has forked; see gossip/v1/forks and the runbook");
    }
    let listener = bind(config.listen).await?;
    let address = listener.local_addr().map_err(|source| BindError::Refused { address: config.listen, source })?;
    tracing::info!(%address, scheme = scheme(tls.as_ref()), "listens");
    on_ready(address);
    let (ended, end) = watch::channel(());
    let serving = async {
        let served = serve_until(listener, tls, http::router(witness, http::REQUEST_TIMEOUT), shutdown);
        tokio::select! {
            () = served => {}
            // It has no end of its own, and ends at whatever it waits for: every step of it may be cut off.
            () = gossip.run() => {}
        }
        drop(ended);
    };
    let measuring = async {
        let Some((recorder, listener)) = measured else { return };
        let mut end = end;
        // An error says that the other listener has ended.
        serve_until(listener, None, http::metrics_router(recorder), async { drop(end.changed().await) }).await;
    };
    tokio::join!(serving, measuring);
    Ok(())
}

/// Makes the register of an empty state, durably; what is there already stays.
fn mark_key(config: &Config) -> Result<(), InitError> {
    Ok(FileRegister::new(&config.head_register, &config.state).raise(Generation(0))?)
}

fn exists(path: &Path) -> Result<bool, InitError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(InitError::Io { path: path.to_owned(), source }),
    }
}
