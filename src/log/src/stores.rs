//! Where the logs of a configuration are kept: one SQLite file for each, or one PostgreSQL database for all.
//!
//! Invariant: nothing that is missing is made here, except by [`Stores::make`].

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countermark_migrations::postgres::{
    self, Deadlines, MigratePostgresError, OpenPostgresError, PostgresPlace, PostgresUrl,
};
use countermark_migrations::{Database, Open, OpenError, open_sqlite};
use countermark_tlog::checkpoint::Origin;
use thiserror::Error;

use crate::config::{DatabaseConfig, NamespaceConfig};
use crate::ports::{PortFault, Store};
use crate::store::postgres::PostgresStore;
use crate::store::sqlite::SqliteStore;

/// Where a log is kept, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// An SQLite file.
    File(PathBuf),
    /// A PostgreSQL database.
    Postgres(Arc<PostgresPlace>),
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Postgres(place) => write!(f, "{place}"),
        }
    }
}

/// Why a store was not opened or made.
#[derive(Debug, Error)]
pub enum OpenStoreError {
    /// The SQLite file was not opened or made.
    #[error(transparent)]
    File(#[from] OpenError),
    /// The folder of the SQLite files could not be made or read.
    #[error("cannot use the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The PostgreSQL database was not opened.
    #[error("postgres: {0}")]
    Postgres(#[from] OpenPostgresError),
    /// The PostgreSQL database was not made or migrated.
    #[error("postgres: {0}")]
    Migrate(#[from] MigratePostgresError),
    /// An owner, where there is no PostgreSQL database to make.
    #[error("the owner of a database was named, but there is no [postgres] in the configuration")]
    OwnerOfFiles,
    /// The file holds another log.
    #[error("{} holds the log {found}, not {expected}", path.display())]
    OtherLog {
        /// The file.
        path: PathBuf,
        /// The log that was looked for.
        expected: Origin,
        /// The log that is there.
        found: String,
    },
    /// The database failed.
    #[error(transparent)]
    Fault(#[from] PortFault),
}

/// What stands where a log is to be.
pub(crate) enum Found {
    /// No log. Where there is a file for each, no file.
    Nothing,
    /// The file of a `create` that went no further.
    Empty(Arc<dyn Store>),
    /// The log itself.
    Log,
}

/// The stores of a configuration.
pub(crate) enum Stores {
    /// SQLite files in this folder.
    Folder(PathBuf),
    /// One database for all, open.
    Postgres(PostgresStore, Arc<PostgresPlace>),
}

impl Stores {
    /// Opens what can be opened for all namespaces at once.
    pub(crate) async fn open(config: &DatabaseConfig) -> Result<Self, OpenStoreError> {
        match config {
            DatabaseConfig::Folder(folder) => Ok(Self::Folder(folder.clone())),
            DatabaseConfig::Postgres(url) => {
                let database = postgres::open(url, Deadlines::default()).await?;
                for weakness in &database.weaknesses {
                    tracing::warn!(place = %url.place(), "{weakness}");
                }
                Ok(Self::Postgres(PostgresStore::new(database), url.place().clone()))
            }
        }
    }

    /// Where the log of a namespace is, or is to be.
    pub(crate) fn place(&self, namespace: &NamespaceConfig) -> StorePlace {
        match self {
            Self::Folder(folder) => StorePlace::File(sqlite_file(folder, namespace)),
            Self::Postgres(_, place) => StorePlace::Postgres(place.clone()),
        }
    }

    /// The store of a log that was made.
    pub(crate) async fn existing(&self, namespace: &NamespaceConfig) -> Result<Arc<dyn Store>, OpenStoreError> {
        match self {
            Self::Folder(folder) => Ok(Arc::new(sqlite(&sqlite_file(folder, namespace), Open::Existing).await?)),
            // Whether the log is in it, taking the log over will say.
            Self::Postgres(store, _) => Ok(Arc::new(store.clone())),
        }
    }

    /// Looks what is there.
    pub(crate) async fn look(&self, namespace: &NamespaceConfig) -> Result<Found, OpenStoreError> {
        let origin = namespace.origin.as_str();
        match self {
            Self::Folder(folder) => {
                let path = sqlite_file(folder, namespace);
                if !path.try_exists().map_err(folder_error(folder))? {
                    return Ok(Found::Nothing);
                }
                let store = sqlite(&path, Open::Existing).await?;
                let origins = store.origins().await?;
                match origins.iter().find(|found| *found != origin) {
                    Some(found) => {
                        let (expected, found) = (namespace.origin.clone(), found.clone());
                        Err(OpenStoreError::OtherLog { path, expected, found })
                    }
                    None if origins.is_empty() => Ok(Found::Empty(Arc::new(store))),
                    None => Ok(Found::Log),
                }
            }
            Self::Postgres(store, _) => {
                let is_there = store.origins().await?.iter().any(|found| found == origin);
                Ok(if is_there { Found::Log } else { Found::Nothing })
            }
        }
    }

    /// Makes the file of a log that is to be made, whole and empty. A PostgreSQL database is there already.
    pub(crate) async fn make(&self, namespace: &NamespaceConfig) -> Result<Arc<dyn Store>, OpenStoreError> {
        match self {
            Self::Folder(folder) => Ok(Arc::new(sqlite(&sqlite_file(folder, namespace), Open::CreateNew).await?)),
            Self::Postgres(store, _) => Ok(Arc::new(store.clone())),
        }
    }
}

/// Makes what the stores of a configuration stand in: the folder, or, as its owner, the schema of the database.
pub(crate) async fn prepare(config: &DatabaseConfig, owner: Option<&PostgresUrl>) -> Result<(), OpenStoreError> {
    match (config, owner) {
        (DatabaseConfig::Folder(folder), None) => fs::create_dir_all(folder).map_err(folder_error(folder)),
        (DatabaseConfig::Folder(_), Some(_)) => Err(OpenStoreError::OwnerOfFiles),
        (DatabaseConfig::Postgres(_), Some(owner)) => {
            let migrated = postgres::migrate(owner).await?;
            tracing::info!(place = %owner.place(), from = migrated.from, to = migrated.to, "the schema is up to date");
            Ok(())
        }
        // Its owner has made it before, or opening it says that it is missing.
        (DatabaseConfig::Postgres(_), None) => Ok(()),
    }
}

/// The SQLite file of a namespace.
pub(crate) fn sqlite_file(folder: &Path, namespace: &NamespaceConfig) -> PathBuf {
    folder.join(format!("{}.sqlite", namespace.namespace))
}

async fn sqlite(path: &Path, open: Open) -> Result<SqliteStore, OpenStoreError> {
    Ok(SqliteStore::open(open_sqlite(path, Database::Log, open).await?).await?)
}

fn folder_error(path: &Path) -> impl Fn(io::Error) -> OpenStoreError {
    |source| OpenStoreError::Folder { path: path.to_owned(), source }
}
