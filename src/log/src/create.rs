//! Making the log of a namespace: an explicit act, once.
//!
//! It serves nothing. It refuses wherever a log of this origin exists or existed: in the database, in the head register,
//! at a witness. A lost database must not become a new log.
//!
//! Invariant: it can be repeated after a crash at any moment. The database file appears whole and empty, then the log
//! appears in it whole, then the register knows it; `create` goes on from the first two, `serve` from the third.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countermark_bundle::entry::{Entry, POLICY_CHANGE_TYPE, PolicyChange};
use countermark_bundle::key::{PublicKey, PublicKeyError};
use countermark_bundle::to_sign;
use countermark_keys::{Role, SignError};
use countermark_migrations::postgres::PostgresUrl;
use countermark_signer_policy::PolicySet;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::size::TreeSize;
use thiserror::Error;

use crate::config::{CertifyingConfig, Config, FirstPolicy, NamespaceConfig, OpenNamespaceError};
use crate::head_register::{self, OpenRegisterError};
use crate::objects::location::Location;
use crate::ports::{Clock, PortFault, WitnessClient};
use crate::sequencer::{self, Ports};
use crate::stores::{Found, OpenStoreError, StorePlace, Stores, prepare};

/// What became of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// Its log was made.
    New {
        /// The log.
        origin: Origin,
        /// Its first size.
        size: TreeSize,
    },
    /// Its log was there, and that was allowed.
    Existing {
        /// The log.
        origin: Origin,
    },
}

/// Why the log of a namespace was not made.
#[derive(Debug, Error)]
pub enum CreateNamespaceError {
    /// Nothing to sign the first entry with.
    #[error("administration_key_file is missing; it signs the first entry")]
    NoAdministrationKey,
    /// Nobody who could approve.
    #[error("officers and approvals_needed are missing; the first entry names them")]
    NoOfficers,
    /// A key or the policy was not opened.
    #[error(transparent)]
    Open(#[from] OpenNamespaceError),
    /// The administration key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The administration key cannot be named in an entry.
    #[error("the administration key: {0}")]
    Key(#[from] PublicKeyError),
    /// A folder could not be made or read.
    #[error("cannot use the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The head register was not opened.
    #[error(transparent)]
    Register(#[from] OpenRegisterError),
    /// The database was not made or opened.
    #[error(transparent)]
    Database(#[from] OpenStoreError),
    /// The log exists.
    #[error("{place} holds the log {origin} already")]
    Exists {
        /// The database.
        place: StorePlace,
        /// The log.
        origin: Origin,
    },
    /// The log was lost.
    #[error(
        "the log is not in {place}, but the head register knows a head of size {size} of it: \
         restore the database, it must not become a new log"
    )]
    Lost {
        /// Where the log should be.
        place: StorePlace,
        /// The registered size.
        size: TreeSize,
    },
    /// The database or the head register failed.
    #[error(transparent)]
    Fault(#[from] PortFault),
    /// The log was not made.
    #[error(transparent)]
    Log(#[from] Box<sequencer::CreateError>),
}

/// Why not every log was made.
#[derive(Debug, Error)]
pub enum CreateError {
    /// What all logs are kept in was not made or opened.
    #[error(transparent)]
    Database(#[from] OpenStoreError),
    /// A namespace's failure, with its name.
    #[error("namespace {namespace}: {source}")]
    Namespace {
        /// The namespace.
        namespace: String,
        /// Why not.
        source: Box<CreateNamespaceError>,
    },
}

/// The ways to the world that are the same for every namespace.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) witnesses: Arc<dyn WitnessClient>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Makes the log of every namespace of the configuration, in its order. With `if_absent` those that exist are left as
/// they are; otherwise the first of them is an error. The owner of a PostgreSQL database makes its schema first.
pub(crate) async fn create(
    config: &Config,
    owner: Option<&PostgresUrl>,
    if_absent: bool,
    outside: &Outside,
) -> Result<Vec<Created>, CreateError> {
    prepare(&config.database, owner).await?;
    let stores = Stores::open(&config.database).await?;
    let mut made = Vec::with_capacity(config.namespaces.len());
    for namespace in &config.namespaces {
        let created = create_namespace(config, &stores, namespace, if_absent, outside).await;
        made.push(created.map_err(|source| CreateError::Namespace {
            namespace: namespace.namespace.to_string(),
            source: Box::new(source),
        })?);
    }
    Ok(made)
}

async fn create_namespace(
    config: &Config,
    stores: &Stores,
    namespace: &NamespaceConfig,
    if_absent: bool,
    outside: &Outside,
) -> Result<Created, CreateNamespaceError> {
    let origin = &namespace.origin;
    if let Location::Folder(folder) = &config.register {
        make_folder(folder)?;
    }
    let register = head_register::open(&config.register, config.object_store_credentials.as_deref()).await?;
    let found = stores.look(namespace).await?;
    let place = stores.place(namespace);
    if matches!(found, Found::Nothing)
        && let Some(head) = register.read(origin).await?
    {
        return Err(CreateNamespaceError::Lost { place, size: head.size });
    }
    let begun = match found {
        Found::Nothing => None,
        Found::Empty(store) => Some(store),
        Found::Log if if_absent => return Ok(Created::Existing { origin: origin.clone() }),
        Found::Log => {
            let origin = origin.clone();
            return Err(CreateNamespaceError::Exists { place, origin });
        }
    };
    // What can be refused without leaving a file behind is refused before the file is made.
    let settings = namespace.open()?;
    let first = match (&settings.certifying, &namespace.certifying) {
        (Some(certifying), Some(configured)) => vec![first_entry(namespace, configured, &certifying.policy)?],
        (None, _) | (_, None) => Vec::new(),
    };
    let store = match begun {
        Some(store) => store,
        // 1. The file, whole and empty, where each log has one. A crash after it: `Found::Empty` above.
        None => stores.make(namespace).await?,
    };
    let ports = Ports { store, register, witnesses: outside.witnesses.clone(), clock: outside.clock.clone() };
    // 2. The log in the database, then in the register. A crash between: `serve` registers it.
    let head = sequencer::create(&settings, first, &ports).await.map_err(Box::new)?;
    tracing::info!(%origin, size = %head.size, "the log was made");
    Ok(Created::New { origin: origin.clone(), size: head.size })
}

/// The first entry: policy change number 1, signed by the administration key. Ed25519 signs without randomness, so a
/// repeated `create` makes the same bytes.
fn first_entry(
    namespace: &NamespaceConfig,
    certifying: &CertifyingConfig,
    policy: &PolicySet,
) -> Result<Vec<u8>, CreateNamespaceError> {
    let path = certifying.administration_key_file.as_deref();
    let path = path.ok_or(CreateNamespaceError::NoAdministrationKey)?;
    let first_policy = certifying.first_policy.as_ref().ok_or(CreateNamespaceError::NoOfficers)?;
    let FirstPolicy { officers, approvals_needed } = first_policy.clone();
    let signer = namespace.open_signer(path, Role::Administration)?;
    let mut change = PolicyChange {
        kind: POLICY_CHANGE_TYPE.to_owned(),
        origin: namespace.origin.clone(),
        serial: 1,
        policy: policy.digest(),
        officers,
        approvals_needed,
        key_id: PublicKey::ed25519(signer.public_key())?.key_id(),
        signature: Vec::new(),
    };
    change.signature = signer.sign(&to_sign::policy_change(&change))?;
    Ok(Entry::PolicyChange(change).write())
}

fn make_folder(path: &Path) -> Result<(), CreateNamespaceError> {
    fs::create_dir_all(path).map_err(folder_error(path))
}

fn folder_error(path: &Path) -> impl Fn(io::Error) -> CreateNamespaceError {
    |source| CreateNamespaceError::Folder { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
