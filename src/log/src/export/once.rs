//! Exporting once, from the database, whether or not a process serves it meanwhile.
//!
//! It is not a writer: it takes nothing over and fences nobody off. It exports the newest published head that the database
//! keeps, and verifies it as a client would: under the witness policy that the log was created with.

use std::path::Path;
use std::sync::Arc;

use countermark_bundle::authority::AuthorityKeysError;
use countermark_tlog::checkpoint::{CheckpointError, Origin, SignedCheckpoint};
use countermark_tlog::policy::PolicyError;
use countermark_tlog::size::TreeSize;
use thiserror::Error;

use super::{ExportError, ExportHead, ExportedLog, Exporter};
use crate::config::{Config, NamespaceConfig};
use crate::foundation::Foundation;
use crate::objects::Objects;
use crate::objects::access::{Access, AccessError};
use crate::objects::bucket::CALL_TIMEOUT;
use crate::objects::location::Location;
use crate::ports::PortFault;
use crate::recover::HeadName;
use crate::sequencer::Identity;
use crate::stores::{OpenStoreError, Stores};

/// Why the log of a namespace was not exported.
#[derive(Debug, Error)]
pub enum ExportNamespaceError {
    /// The database was not opened.
    #[error(transparent)]
    Database(#[from] OpenStoreError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] PortFault),
    /// The keys of the trust file cannot be believed in.
    #[error("the trust file: {0}")]
    Keys(#[from] AuthorityKeysError),
    /// The published head is not a checkpoint.
    #[error("the published head: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The published head does not meet the quorum.
    #[error("the published head: {0}")]
    Policy(#[from] PolicyError),
    /// It was not exported.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// Why nothing, or not everything, was exported.
#[derive(Debug, Error)]
pub enum ExportOnceError {
    /// There is no access to the place.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A namespace that the configuration does not have.
    #[error("the configuration has no namespace {name:?}")]
    NoSuchNamespace {
        /// The name.
        name: String,
    },
    /// The databases or the head register are there.
    #[error("{to} and {other} lie in one another; an export is for everybody to read")]
    InPlace {
        /// Where to export to.
        to: Location,
        /// What is there.
        other: Location,
    },
    /// A namespace was not exported.
    #[error("namespace {namespace}: {source}")]
    Namespace {
        /// The namespace.
        namespace: String,
        /// Why not.
        source: Box<ExportNamespaceError>,
    },
}

/// The namespaces still to be exported.
pub(crate) struct ExportOnce<'a> {
    config: &'a Config,
    objects: Arc<dyn Objects>,
    left: std::vec::IntoIter<&'a NamespaceConfig>,
}

/// How far an export is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    /// Entries exported, counted from the log's first.
    pub(crate) exported: u64,
    /// Entries to export, counted likewise.
    pub(crate) of: u64,
}

/// The export of one namespace.
pub(crate) struct OneExport<'a> {
    config: &'a Config,
    namespace: &'a NamespaceConfig,
    objects: Arc<dyn Objects>,
}

impl<'a> ExportOnce<'a> {
    pub(crate) fn new(
        config: &'a Config,
        to: &Location,
        credentials: Option<&Path>,
        only: Option<&str>,
    ) -> Result<Self, ExportOnceError> {
        for other in config.database.location().into_iter().chain([config.register.clone()]) {
            if to.overlaps(&other) {
                return Err(ExportOnceError::InPlace { to: to.clone(), other });
            }
        }
        let wanted = |one: &&NamespaceConfig| only.is_none_or(|only| one.namespace.as_str() == only);
        let namespaces: Vec<&NamespaceConfig> = config.namespaces.iter().filter(wanted).collect();
        if let (Some(name), true) = (only, namespaces.is_empty()) {
            return Err(ExportOnceError::NoSuchNamespace { name: name.to_owned() });
        }
        let objects = to.open(|| Access::read(credentials), CALL_TIMEOUT)?;
        Ok(Self { config, objects, left: namespaces.into_iter() })
    }

    /// The next namespace.
    pub(crate) fn next_one(&mut self) -> Option<OneExport<'a>> {
        let namespace = self.left.next()?;
        Some(OneExport { config: self.config, namespace, objects: Arc::clone(&self.objects) })
    }
}

impl OneExport<'_> {
    pub(crate) fn origin(&self) -> &Origin {
        &self.namespace.origin
    }

    /// Exports it. Gives the exported size; `None` where nothing is published yet.
    pub(crate) async fn run(
        &mut self,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Option<TreeSize>, ExportOnceError> {
        self.export(progress).await.map_err(|source| ExportOnceError::Namespace {
            namespace: self.namespace.namespace.to_string(),
            source: Box::new(source),
        })
    }

    async fn export(
        &self,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Option<TreeSize>, ExportNamespaceError> {
        let store = Stores::open(&self.config.database).await?.existing(self.namespace).await?;
        let NamespaceConfig { origin, namespace, foundation, .. } = self.namespace;
        let (origin, namespace, foundation) = (origin.clone(), namespace.clone(), foundation.clone());
        let Some(publication) = store.publication(&origin).await? else { return Ok(None) };
        let name = verify(&publication.note, &foundation)?;
        let log = ExportedLog::of(&Identity { origin, namespace, foundation })?;
        let head = ExportHead { name, note: publication.note };
        let mut exporter = Exporter::new(log, store, Arc::clone(&self.objects));
        let of = name.size.get();
        let size = exporter.export(&head, &mut |size| progress(Progress { exported: size.get(), of })).await?;
        Ok(Some(size))
    }
}

/// What a note says that meets the quorum of the policy that the log was created with.
fn verify(note: &[u8], foundation: &Foundation) -> Result<HeadName, ExportNamespaceError> {
    let signed = SignedCheckpoint::parse(note)?;
    let state = foundation.first_state()?;
    let witnessed = state.policy().verify(&signed)?;
    let head = witnessed.checkpoint();
    Ok(HeadName { size: head.size, root: head.root })
}
