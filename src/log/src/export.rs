//! The export of a log: what the public read path needs, as plain objects in a folder or a bucket, without a database.
//!
//! It is not a backup: it has no writer, no head register and no key, and nothing in it is believed because it is there.
//! Layout, below `<namespace>/`: `checkpoint` and `tile/…` as they are served (C2SP tlog-tiles), `export.json`, and the
//! record that says whose log it is ([`document`]).
//!
//! Invariant: **at every moment the exported tree is whole at the exported checkpoint.** A checkpoint is written only over
//! one that it extends, and after everything that it needs is durable.
//!
//! Source: <https://c2sp.org/tlog-tiles>.

pub(crate) mod continuous;
mod destination;
pub(crate) mod document;
pub(crate) mod follow;
mod grow;
mod index;
pub(crate) mod once;
pub(crate) mod reader;
mod source;

use std::sync::Arc;

use countermark_bundle::authority::AuthorityKeysError;
use countermark_bundle::identity::Namespace;
use countermark_tlog::checkpoint::{CheckpointError, Origin, SignedCheckpoint};
use countermark_tlog::edge::EdgeError;
use countermark_tlog::hash::RootHash;
use countermark_tlog::note::VerifierKey;
use countermark_tlog::size::TreeSize;
use countermark_tlog::tile::TileCoord;
use thiserror::Error;

use crate::foundation::Foundation;
use crate::objects::{Objects, ObjectsFault, SwapError};
use crate::ports::{LogKind, StoreReader};
use crate::proofs::ReadError;
use crate::published::Published;
use crate::recover::HeadName;
use crate::sequencer::Identity;

use destination::{Destination, Found};
use source::Source;

/// The entries of one pass. A multiple of 65,536, so that every pass but the last ends with full tiles of two levels.
const PASS_ENTRIES: u64 = 65_536;

/// Why a head was not exported. What was exported before is as good as it was.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The store failed, or lacks something.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The export's folder or bucket failed.
    #[error("the export: {0}")]
    Objects(#[from] ObjectsFault),
    /// Somebody else moved the exported checkpoint meanwhile.
    #[error("somebody else moved the exported checkpoint")]
    Moved,
    /// An export of another log, or of another kind of log, is there.
    #[error("the export of {found} is there, not one of {expected}")]
    OtherLog {
        /// This log, and its kind.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The document that describes the export is none.
    #[error("export.json is not a description of an export")]
    Document,
    /// The exported checkpoint is not this log's.
    #[error("the exported checkpoint is not this log's: {0}")]
    Checkpoint(#[source] CheckpointError),
    /// A larger head was exported than this log has: an older database was restored, or the log has forked.
    #[error("the export has {exported}, this log ends at {ours}; the exported checkpoint is evidence, keep it")]
    Ahead {
        /// What was exported, under the log's own signature.
        exported: HeadName,
        /// The head to be exported.
        ours: HeadName,
    },
    /// Another head of a size that this log contains was exported: the log has forked.
    #[error(
        "the export has {exported}, this log has {ours} at that size; the exported checkpoint is evidence, keep it"
    )]
    Contradicts {
        /// What was exported, under the log's own signature.
        exported: HeadName,
        /// This log's tree at that size.
        ours: HeadName,
    },
    /// The store's entries give another root than was published.
    #[error("the published head is {published}, the entries give {recomputed}")]
    RootMismatch {
        /// What was published.
        published: HeadName,
        /// The root of the entries.
        recomputed: RootHash,
    },
    /// A tile of the store does not follow from the entries.
    #[error("the tile {} of level {} does not follow from the entries", tile.index(), tile.level())]
    Tile {
        /// The tile.
        tile: TileCoord,
    },
    /// The tree has the largest size.
    #[error(transparent)]
    Full(#[from] EdgeError),
}

impl ExportError {
    /// Whether trying again may help: something outside failed, and nothing contradicts anything.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        match self {
            Self::Read(ReadError::Store(_)) | Self::Objects(_) | Self::Moved => true,
            Self::Read(
                ReadError::MissingTile { .. }
                | ReadError::MissingEntries { .. }
                | ReadError::Tile(_)
                | ReadError::Bundle(_)
                | ReadError::Plan(_),
            )
            | Self::OtherLog { .. }
            | Self::Document
            | Self::Checkpoint(_)
            | Self::Ahead { .. }
            | Self::Contradicts { .. }
            | Self::RootMismatch { .. }
            | Self::Tile { .. }
            | Self::Full(_) => false,
        }
    }
}

/// Whose log is exported.
#[derive(Debug, Clone)]
pub(crate) struct ExportedLog {
    pub(crate) kind: LogKind,
    pub(crate) origin: Origin,
    /// The namespace, which names its part of the export.
    pub(crate) namespace: Namespace,
    /// The keys that may have signed the exported checkpoint.
    pub(crate) log_keys: Vec<VerifierKey>,
    /// The trust file or the policy, as it is served.
    pub(crate) record: Vec<u8>,
    pub(crate) max_head_age_seconds: u64,
}

impl ExportedLog {
    /// The log of this identity.
    pub(crate) fn of(identity: &Identity) -> Result<Self, AuthorityKeysError> {
        let Identity { origin, namespace, foundation } = identity;
        let state = foundation.first_state()?;
        Ok(Self {
            kind: foundation.kind(),
            origin: origin.clone(),
            namespace: namespace.clone(),
            log_keys: state.policy().logs().iter().map(|log| log.vkey.clone()).collect(),
            record: match foundation {
                Foundation::FleetKeys(trust) => trust.write(),
                Foundation::Raw(raw) => raw.text.clone().into_bytes(),
            },
            max_head_age_seconds: foundation.max_head_age_seconds(),
        })
    }
}

/// A published head to export.
#[derive(Debug, Clone)]
pub(crate) struct ExportHead {
    pub(crate) name: HeadName,
    /// The signed note with its cosignatures.
    pub(crate) note: Vec<u8>,
}

impl From<&Published> for ExportHead {
    fn from(published: &Published) -> Self {
        Self { name: HeadName { size: published.size, root: published.root }, note: published.note.clone() }
    }
}

/// Exports one log to one place. It keeps nothing between two heads but what it need not clean up twice.
#[derive(Debug)]
pub(crate) struct Exporter {
    log: ExportedLog,
    source: Source,
    destination: Destination,
    pass_entries: u64,
}

impl Exporter {
    pub(crate) fn new(log: ExportedLog, store: Arc<dyn StoreReader>, objects: Arc<dyn Objects>) -> Self {
        let source = Source::new(log.origin.clone(), store);
        let destination = Destination::new(&log.namespace, objects);
        Self { log, source, destination, pass_entries: PASS_ENTRIES }
    }

    /// Brings the export up to this head; `progress` is told each size that was reached. Gives the exported size.
    ///
    /// It can be dropped at any moment and repeated.
    pub(crate) async fn export(
        &mut self,
        head: &ExportHead,
        progress: &mut (dyn FnMut(TreeSize) + Send),
    ) -> Result<TreeSize, ExportError> {
        // 1. What is exported. Another log, a larger head or another tree stops here, before anything is written.
        self.destination.check_document(&self.log).await?;
        let found = self.destination.checkpoint(&self.log).await?;
        self.check_extends(found.as_ref(), head).await?;
        if let Some(found) = &found
            && found.note == head.note
        {
            return Ok(head.name.size);
        }
        let old = found.as_ref().map_or(TreeSize::ZERO, |found| found.name.size);
        // 2. The tree: full tiles and bundles, then the right edge. Nobody reads what the exported checkpoint does not
        //    have; a crash leaves tiles that the next run writes again, with the same bytes.
        grow::write(&self.source, self.destination.uploads(), old, head.name, self.pass_entries, progress).await?;
        // 3. The records. A crash leaves an export whose checkpoint is older than they are; they do not change.
        self.destination.write_records(&self.log).await?;
        // 4. All of it on the disk, names included, before the checkpoint says that it is there.
        self.destination.settle().await?;
        // 5. The checkpoint, over the one that was read. After a crash there is either the old one or the new one.
        let tag = found.as_ref().map(|found| &found.tag);
        match self.destination.swap_checkpoint(tag, head.note.clone()).await {
            Ok(()) => {}
            Err(SwapError::Conflict) => return Err(ExportError::Moved),
            Err(SwapError::Fault(fault)) => return Err(fault.into()),
        }
        // 6. Partial tiles that the full one has replaced, as tlog-tiles allows. A crash before it leaves them behind.
        self.destination.sweep(old, head.name.size).await;
        Ok(head.name.size)
    }

    /// The exported head must be one that ours extends.
    async fn check_extends(&self, found: Option<&Found>, head: &ExportHead) -> Result<(), ExportError> {
        let Some(Found { name: exported, .. }) = found.cloned() else { return Ok(()) };
        if exported.size > head.name.size {
            return Err(ExportError::Ahead { exported, ours: head.name });
        }
        let root = self.source.root(exported.size, head.name.size).await?;
        if root == exported.root {
            Ok(())
        } else {
            Err(ExportError::Contradicts { exported, ours: HeadName { root, ..exported } })
        }
    }
}

/// What a note says, if it is a checkpoint that one of the log's keys has signed.
fn read_checkpoint(note: &[u8], keys: &[VerifierKey]) -> Result<HeadName, CheckpointError> {
    let signed = SignedCheckpoint::parse(note)?;
    signed.verify_log(keys)?;
    let said = signed.checkpoint();
    Ok(HeadName { size: said.size, root: said.root })
}

#[cfg(test)]
mod tests;
