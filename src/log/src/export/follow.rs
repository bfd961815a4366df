//! Looking at an export from outside: opened once, then followed while it grows.
//!
//! It believes nothing that it reads. A checkpoint is shown only when the log has signed it, the entries below it give its
//! root and are a continuation of what was shown before, a `fleet-keys` log's entries break no rule, and the quorum of the
//! policy in force there has cosigned it.
//!
//! Invariant: of all checkpoints that one process shows, each is a beginning of the next.

use std::sync::Arc;

use countermark_bundle::authority::AuthorityKeysError;
use countermark_bundle::identity::Timestamp;
use countermark_bundle::namespace_state::RuleViolation;
use countermark_tlog::checkpoint::{CheckpointError, SignedCheckpoint};
use countermark_tlog::edge::{EdgeError, RightEdge};
use countermark_tlog::hash::{LeafHash, leaf_hash};
use countermark_tlog::note::{NOTE_BYTES_MAX, VerifierKey};
use countermark_tlog::size::LeafIndex;
use countermark_tlog::tile::TILE_WIDTH;
use thiserror::Error;

use super::document::CHECKPOINT_FILE;
use super::reader::{ExportReadError, ExportReader, Shown};
use crate::foundation::{Foundation, LogState, NextState};
use crate::ports::StoredHead;
use crate::published::{Committed, PublishError, Published};
use crate::recover::HeadName;
use crate::stage::{Tree, TreeError};

const WIDTH: u64 = TILE_WIDTH as u64;

/// Why a checkpoint of an export is not shown.
#[derive(Debug, Error)]
pub(crate) enum FollowError {
    /// The export could not be read, or lacks something.
    #[error(transparent)]
    Read(#[from] ExportReadError),
    /// The keys of the trust file cannot be believed in.
    #[error("the trust file: {0}")]
    Trust(#[from] AuthorityKeysError),
    /// Not a checkpoint that this log has signed.
    #[error("the exported checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// A smaller head than was shown: somebody took an older export.
    #[error("the export has {found}, shown was {shown}: an older export was put in its place")]
    Rollback {
        /// What was shown.
        shown: HeadName,
        /// What is there now.
        found: HeadName,
    },
    /// Entries that do not give the root: the export is damaged, or the log has forked.
    #[error("the exported checkpoint says {said}, its {from} give another root")]
    Root {
        /// What the checkpoint says.
        said: HeadName,
        /// From what it was recomputed.
        from: &'static str,
    },
    /// An entry that is not the one in the tree.
    #[error("exported entry {index} is not the one in the tree")]
    Entry {
        /// Which.
        index: LeafIndex,
    },
    /// An entry breaks a rule.
    #[error("exported entry {index} breaks a rule: {source}")]
    Rule {
        /// The entry.
        index: LeafIndex,
        /// The rule.
        source: RuleViolation,
    },
    /// The exported partial tiles are not the right edge.
    #[error("the exported right edge: {0}")]
    Tree(#[from] TreeError),
    /// The tree has the largest size.
    #[error(transparent)]
    Full(#[from] EdgeError),
    /// The checkpoint does not meet the quorum.
    #[error("the exported checkpoint: {0}")]
    Publish(#[from] PublishError),
}

impl FollowError {
    /// Whether looking again may help: something failed, or an exporter is at work. Otherwise the export contradicts what
    /// was shown, or itself.
    pub(crate) const fn is_fault(&self) -> bool {
        match self {
            Self::Read(ExportReadError::Objects(_) | ExportReadError::Missing { .. }) => true,
            Self::Read(ExportReadError::Tile(_) | ExportReadError::Bundle(_) | ExportReadError::NoIdentities)
            | Self::Trust(_)
            | Self::Checkpoint(_)
            | Self::Rollback { .. }
            | Self::Root { .. }
            | Self::Entry { .. }
            | Self::Rule { .. }
            | Self::Tree(_)
            | Self::Full(_)
            | Self::Publish(_) => false,
        }
    }
}

/// What an export shows, in the form that a live log shows it.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) committed: Arc<Committed>,
    pub(crate) published: Arc<Published>,
}

/// One log of an export, and how far it was looked at.
#[derive(Debug)]
pub(crate) struct Followed {
    reader: Arc<ExportReader>,
    edge: RightEdge,
    state: LogState,
}

impl Followed {
    /// Nothing looked at yet.
    pub(crate) fn new(foundation: &Foundation, reader: Arc<ExportReader>) -> Result<Self, AuthorityKeysError> {
        let state = foundation.first_state()?;
        Ok(Self { reader, edge: RightEdge::empty(), state })
    }

    /// Looks at the exported checkpoint. `None`: there is none, or it is the one that is shown.
    ///
    /// After an error everything is shown as before.
    pub(crate) async fn look(&mut self, now: Timestamp) -> Result<Option<View>, FollowError> {
        let note = self.reader.object(CHECKPOINT_FILE, NOTE_BYTES_MAX).await?;
        let Some(note) = note.filter(|note| **note != *self.reader.shown().note) else { return Ok(None) };
        let signed = SignedCheckpoint::parse(&note)?;
        let keys: Vec<VerifierKey> = self.state.policy().logs().iter().map(|log| log.vkey.clone()).collect();
        signed.verify_log(&keys)?;
        let said = HeadName { size: signed.checkpoint().size, root: signed.checkpoint().root };
        if said.size < self.edge.size() {
            let shown = HeadName { size: self.edge.size(), root: self.edge.root() };
            return Err(FollowError::Rollback { shown, found: said });
        }
        let Grown { edge, state, leaf_hashes } = self.grow(said).await?;
        let tree = Tree::from_partial_tiles(said.size, self.reader.right_edge(said.size).await?)?;
        if tree.root() != said.root {
            return Err(FollowError::Root { said, from: "right edge" });
        }
        let published = Arc::new(Published::verify(&note, state.clone(), now)?);
        let head = StoredHead { size: said.size, root: said.root, checkpoint: note.clone() };
        let committed = Arc::new(Committed { head, state: state.clone(), tree });
        // The reader has what the views show before they show it.
        self.reader.show(Shown { size: said.size, note: note.into() }, &leaf_hashes);
        (self.edge, self.state) = (edge, state);
        Ok(Some(View { committed, published }))
    }

    /// Reads what the tree has grown by.
    async fn grow(&self, said: HeadName) -> Result<Grown, FollowError> {
        let old = self.edge.size().get();
        let mut grown = Grown { edge: self.edge.clone(), state: self.state.clone(), leaf_hashes: Vec::new() };
        let mut next = self.state.next();
        for place in old / WIDTH..said.size.get().div_ceil(WIDTH) {
            let hashes = self.reader.leaf_hashes_at(place, said.size).await?;
            let entries = match &next {
                NextState::FleetKeys(_) => self.reader.bundle(place, said.size).await?,
                // Opaque entries are only counted; what is served of them is proved by the tree.
                NextState::Raw(_) => Vec::new(),
            };
            for (position, hash) in (place.saturating_mul(WIDTH)..).zip(hashes).skip_while(|(index, _)| *index < old) {
                let index = grown.edge.append(hash, &mut |_, _| {})?;
                grown.leaf_hashes.push(hash);
                match &mut next {
                    NextState::Raw(state) => state.count_one(),
                    NextState::FleetKeys(state) => {
                        let entry = usize::try_from(position % WIDTH).ok().and_then(|position| entries.get(position));
                        let entry =
                            entry.filter(|entry| leaf_hash(entry) == hash).ok_or(FollowError::Entry { index })?;
                        state.apply(entry).map_err(|source| FollowError::Rule { index, source })?;
                    }
                }
            }
        }
        if grown.edge.root() != said.root {
            return Err(FollowError::Root { said, from: "tiles" });
        }
        grown.state = next.finish();
        Ok(grown)
    }
}

struct Grown {
    edge: RightEdge,
    state: LogState,
    leaf_hashes: Vec<LeafHash>,
}
