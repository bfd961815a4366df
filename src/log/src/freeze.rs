//! Freezing the log of a namespace: an explicit act, for good.
//!
//! It needs no key and no running service: the store holds the mark, and refuses every later batch, whoever brings it. A
//! service that is running learns of it at its next commit. What is in the log is served, proved and cosigned as before.

use countermark_tlog::checkpoint::Origin;
use countermark_tlog::size::TreeSize;
use thiserror::Error;

use crate::config::Config;
use crate::ports::FreezeError;
use crate::stores::{OpenStoreError, Stores};

/// A log that never grows again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// The log.
    pub origin: Origin,
    /// Its last size.
    pub size: TreeSize,
}

/// Why a log was not frozen.
#[derive(Debug, Error)]
pub enum FreezeNamespaceError {
    /// The configuration has no such namespace.
    #[error("the configuration has no namespace {namespace:?}")]
    UnknownNamespace {
        /// What was asked for.
        namespace: String,
    },
    /// The database was not opened.
    #[error(transparent)]
    Database(#[from] OpenStoreError),
    /// The log was not frozen.
    #[error(transparent)]
    Freeze(#[from] FreezeError),
}

/// Freezes the log of one namespace of the configuration. Freezing it again changes nothing.
pub(crate) async fn freeze(config: &Config, namespace: &str) -> Result<Frozen, FreezeNamespaceError> {
    let found = config.namespaces.iter().find(|one| one.namespace.as_str() == namespace);
    let found = found.ok_or_else(|| FreezeNamespaceError::UnknownNamespace { namespace: namespace.to_owned() })?;
    let store = Stores::open(&config.database).await?.existing(found).await?;
    let size = store.freeze(&found.origin).await?;
    tracing::info!(origin = %found.origin, %size, "the log was frozen");
    Ok(Frozen { origin: found.origin.clone(), size })
}

#[cfg(test)]
mod tests;
