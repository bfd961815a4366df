//! Reading a namespace back, at every start and after every fault, and the checks that come before anything is signed.
//!
//! It is not a repair: it moves the head register forward when a crash left it behind, and changes nothing else.
//!
//! Invariant: what [`load`] returns was recomputed from the entries. The tree's root is that of the signed head, each entry
//! obeys the rules it was admitted under, and neither the head register nor a witness has seen a head of this log that the
//! database does not contain. A restored snapshot, or a replica that lagged, must not fork the log.

use std::fmt;
use std::sync::Arc;

use countermark_bundle::authority::AuthorityKeysError;
use countermark_bundle::identity::Timestamp;
use countermark_bundle::namespace_state::{NamespaceState, RuleViolation};
use countermark_bundle::trust::TrustFile;
use countermark_tlog::checkpoint::{CheckpointError, Origin, SignedCheckpoint};
use countermark_tlog::edge::{EdgeError, RightEdge};
use countermark_tlog::hash::{RootHash, leaf_hash};
use countermark_tlog::note::VerifierKey;
use countermark_tlog::size::{LeafIndex, TreeSize};
use thiserror::Error;

use crate::clock::timestamp;
use crate::foundation::{Foundation, LogState, RawFoundation};
use crate::ports::{
    LogKind, PortFault, RegisterError, StoreReader, StoredHead, TakeWriterError, WriterEpoch, WriterId, WriterTaken,
};
use crate::proofs::{ReadError, root_at};
use crate::published::{Committed, PublishError, Published};
use crate::sequencer::Ports;
use crate::stage::{Tree, TreeError};

pub(crate) mod witnesses;

/// Entries read at a time while replaying.
const REPLAY_ENTRIES: usize = 256;

/// What a head says, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadName {
    /// The size of the tree.
    pub size: TreeSize,
    /// Its root.
    pub root: RootHash,
}

impl fmt::Display for HeadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "size {} root {}", self.size, self.root.0.to_base64())
    }
}

impl From<&StoredHead> for HeadName {
    fn from(head: &StoredHead) -> Self {
        Self { size: head.size, root: head.root }
    }
}

/// Why a namespace is not served. Nothing was signed.
#[derive(Debug, Error)]
pub enum LoadError {
    /// No writer was taken: no such log, another writer, or a fault.
    #[error(transparent)]
    TakeWriter(#[from] TakeWriterError),
    /// The log takes other entries than the configuration says.
    #[error("the store holds a {found} log, the configuration says {expected}")]
    OtherKind {
        /// What was configured.
        expected: LogKind,
        /// What the log was made as.
        found: LogKind,
    },
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortFault),
    /// The committed tree could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The trust file's keys cannot be believed in.
    #[error("the trust file: {0}")]
    Trust(#[from] AuthorityKeysError),
    /// The newest stored checkpoint is not the log's.
    #[error("the newest checkpoint of the {holder} does not verify: {source}")]
    Checkpoint {
        /// Who holds it.
        holder: HeadHolder,
        /// What is wrong.
        source: CheckpointError,
    },
    /// A stored checkpoint says another head than is stored beside it.
    #[error("the {holder} keeps a checkpoint of {found} as {expected}")]
    OtherCheckpoint {
        /// Who holds it.
        holder: HeadHolder,
        /// What is stored beside it.
        expected: HeadName,
        /// What it says.
        found: HeadName,
    },
    /// The stored partial tiles are not the right edge of the signed tree.
    #[error("the stored right edge: {0}")]
    Tree(#[from] TreeError),
    /// A tree that is recomputed has another root than was signed.
    #[error("the database signed {signed}, its {recomputed_from} give {recomputed}")]
    RootMismatch {
        /// What was signed.
        signed: HeadName,
        /// From what it was recomputed.
        recomputed_from: &'static str,
        /// The recomputed root.
        recomputed: RootHash,
    },
    /// More or fewer entries than were signed.
    #[error("the database signed a head of size {expected}, it holds {found} entries")]
    EntryCount {
        /// The signed size.
        expected: TreeSize,
        /// Entries found; one more than expected stands for more.
        found: u64,
    },
    /// The tree has the largest size.
    #[error(transparent)]
    Full(#[from] EdgeError),
    /// A stored entry breaks a rule.
    #[error("stored entry {index} breaks a rule: {source}")]
    Rule {
        /// The entry.
        index: LeafIndex,
        /// The rule.
        source: RuleViolation,
    },
    /// The published head does not meet the quorum any more.
    #[error("the published head of size {size} does not verify: {source}")]
    Publication {
        /// Its size.
        size: TreeSize,
        /// What is wrong.
        source: PublishError,
    },
    /// The head register knows nothing of a log that has grown since it was created.
    #[error(
        "the head register knows no head of this log, the database has {database}; a lost register is restored by hand"
    )]
    RegisterMissing {
        /// The newest head of the database.
        database: HeadName,
    },
    /// The head register has seen a larger head than the database contains.
    #[error("the head register has {registered}, the database ends at {database}: an older database was restored")]
    RegisterAhead {
        /// What was registered.
        registered: HeadName,
        /// The newest head of the database.
        database: HeadName,
    },
    /// The head register has another head of a size that the database contains.
    #[error("the head register has {registered}, the database has {database} at that size: the log has forked")]
    RegisterContradicts {
        /// What was registered.
        registered: HeadName,
        /// The database's tree at that size.
        database: HeadName,
    },
    /// The database has lost a head since this process committed it.
    #[error("this process has shown {shown}, the database ends at {database}: it has lost a committed head")]
    Shrunk {
        /// What this process has shown.
        shown: HeadName,
        /// The newest head of the database.
        database: HeadName,
    },
    /// Somebody else moved the head register meanwhile.
    #[error("somebody else moved the head register")]
    RegisterMoved,
    /// A witness has seen a larger head than the database contains.
    #[error("witness {witness} has {witnessed}, the database ends at {database}: an older database was restored")]
    WitnessAhead {
        /// The witness's name.
        witness: String,
        /// What it has seen, under the log's own signature.
        witnessed: HeadName,
        /// The newest head of the database.
        database: HeadName,
    },
    /// A witness has another head of a size that the database contains.
    #[error("witness {witness} has {witnessed}, the database has {database} at that size: the log has forked")]
    WitnessContradicts {
        /// The witness's name.
        witness: String,
        /// What it has seen, under the log's own signature.
        witnessed: HeadName,
        /// The database's tree at that size.
        database: HeadName,
    },
}

/// Where a checkpoint was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadHolder {
    /// The store.
    Database,
    /// The head register.
    HeadRegister,
}

impl fmt::Display for HeadHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database => "database",
            Self::HeadRegister => "head register",
        })
    }
}

impl LoadError {
    /// Whether trying again may help: a port failed, and nothing contradicts anything.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        match self {
            Self::TakeWriter(TakeWriterError::Fault(_)) | Self::Port(_) | Self::Read(ReadError::Store(_)) => true,
            Self::TakeWriter(TakeWriterError::Missing { .. } | TakeWriterError::Fenced { .. })
            | Self::Read(
                ReadError::MissingTile { .. }
                | ReadError::MissingEntries { .. }
                | ReadError::Tile(_)
                | ReadError::Bundle(_)
                | ReadError::Plan(_),
            )
            | Self::OtherKind { .. }
            | Self::Trust(_)
            | Self::Checkpoint { .. }
            | Self::OtherCheckpoint { .. }
            | Self::Tree(_)
            | Self::RootMismatch { .. }
            | Self::EntryCount { .. }
            | Self::Full(_)
            | Self::Rule { .. }
            | Self::Publication { .. }
            | Self::RegisterMissing { .. }
            | Self::RegisterAhead { .. }
            | Self::RegisterContradicts { .. }
            | Self::Shrunk { .. }
            | Self::RegisterMoved
            | Self::WitnessAhead { .. }
            | Self::WitnessContradicts { .. } => false,
        }
    }
}

/// A namespace as it was read back and checked. Nothing may be signed before [`Loaded::roll_forward`].
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) epoch: WriterEpoch,
    pub(crate) frozen: bool,
    pub(crate) committed: Arc<Committed>,
    pub(crate) published: Option<Arc<Published>>,
    /// What the head register holds: the committed head, or what a crash left behind.
    registered: Option<StoredHead>,
}

/// Whose log is read back: the part of the settings that loading needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogIdentity<'a> {
    pub(crate) origin: &'a Origin,
    pub(crate) log_key: &'a VerifierKey,
    pub(crate) foundation: &'a Foundation,
}

/// Takes the namespace over, reads it back and checks it against itself and the head register.
///
/// With `held`, only if no other process has taken it over since.
pub(crate) async fn load(
    log: LogIdentity<'_>,
    ports: &Ports,
    writer: WriterId,
    held: Option<WriterEpoch>,
) -> Result<Loaded, LoadError> {
    // Fences off every earlier writer first, our own lost commit among them: what is read below is final.
    let taken = ports.store.take_writer(log.origin, writer, held).await?;
    let WriterTaken { epoch, kind, frozen, head, created_size } = taken;
    let expected = log.foundation.kind();
    if kind != expected {
        return Err(LoadError::OtherKind { expected, found: kind });
    }
    let ReadBack { committed, published } =
        read_back(log, ports.store.as_ref(), head, timestamp(ports.clock.now_ms())).await?;
    let registered = ports.register.read(log.origin).await?;
    check_registered(log, ports, &committed, created_size, registered.as_ref()).await?;
    Ok(Loaded { epoch, frozen, committed, published, registered })
}

/// A log as it was read back and checked against itself.
pub(crate) struct ReadBack {
    pub(crate) committed: Arc<Committed>,
    pub(crate) published: Option<Arc<Published>>,
}

/// Reads a log back up to a signed head: its right edge, its state, its published head.
///
/// Of a `fleet-keys` log every entry is read again, because its state is made of all of them. A `raw` log, which may have
/// any number, is counted here and recomputed by `fsck` and the scrubber.
pub(crate) async fn read_back(
    log: LogIdentity<'_>,
    reader: &dyn StoreReader,
    head: StoredHead,
    now: Timestamp,
) -> Result<ReadBack, LoadError> {
    check_checkpoint(log, &head, HeadHolder::Database)?;
    let tree = Tree::from_partial_tiles(head.size, reader.partial_tiles(log.origin).await?)?;
    check_root(&head, "right edge", tree.root())?;
    let publication = reader.publication(log.origin).await?;
    let published_size = publication.as_ref().map(|publication| publication.size);
    let replayed = match log.foundation {
        Foundation::FleetKeys(trust) => replay(log, trust, reader, &head, published_size).await?,
        Foundation::Raw(raw) => count(log, raw, reader, &head, published_size).await?,
    };
    let published = match (publication, replayed.at_publication) {
        (Some(publication), Some(state)) => Some(Arc::new(
            Published::verify(&publication.note, state, now)
                .map_err(|source| LoadError::Publication { size: publication.size, source })?,
        )),
        (Some(_) | None, _) => None,
    };
    Ok(ReadBack { committed: Arc::new(Committed { head, state: replayed.state, tree }), published })
}

impl Loaded {
    /// Moves the head register to the committed head, if a crash came between the two.
    pub(crate) async fn roll_forward(self, origin: &Origin, ports: &Ports) -> Result<Self, LoadError> {
        let head = &self.committed.head;
        if self.registered.as_ref().is_some_and(|registered| registered.size == head.size) {
            return Ok(self);
        }
        match ports.register.compare_and_swap(origin, self.registered.as_ref(), head).await {
            Ok(()) => Ok(Self { registered: Some(head.clone()), ..self }),
            // A writer that was fenced off meanwhile has registered the head that it had committed: this very one.
            Err(RegisterError::Conflict { found: Some(found) }) if found == *head => {
                Ok(Self { registered: Some(found), ..self })
            }
            Err(RegisterError::Conflict { .. }) => Err(LoadError::RegisterMoved),
            Err(RegisterError::Fault(fault)) => Err(fault.into()),
        }
    }
}

struct Replayed {
    state: LogState,
    at_publication: Option<LogState>,
}

/// Checks that the last signed entry is there and nothing after it.
async fn count(
    log: LogIdentity<'_>,
    raw: &RawFoundation,
    reader: &dyn StoreReader,
    head: &StoredHead,
    published_size: Option<TreeSize>,
) -> Result<Replayed, LoadError> {
    let before_last = head.size.get().saturating_sub(1);
    let expected = head.size.get() - before_last;
    let from = LeafIndex::new(before_last).ok_or(EdgeError::Full)?;
    let last = reader.entries(log.origin, from, 2).await?;
    let found = u64::try_from(last.len()).unwrap_or(u64::MAX);
    if found != expected {
        return Err(LoadError::EntryCount { expected: head.size, found: before_last.saturating_add(found) });
    }
    let at_publication = published_size.filter(|size| *size <= head.size);
    Ok(Replayed { state: raw.state_at(head.size), at_publication: at_publication.map(|size| raw.state_at(size)) })
}

/// Folds every entry into the namespace's state and into a fresh tree, which must be the signed one.
async fn replay(
    log: LogIdentity<'_>,
    trust: &TrustFile,
    reader: &dyn StoreReader,
    head: &StoredHead,
    published_size: Option<TreeSize>,
) -> Result<Replayed, LoadError> {
    let mut state = NamespaceState::new(trust)?;
    let mut edge = RightEdge::empty();
    let mut at_publication = None;
    loop {
        let from = LeafIndex::new(edge.size().get()).ok_or(EdgeError::Full)?;
        // The empty read after the last entry shows that there are no more than were signed.
        let entries = reader.entries(log.origin, from, REPLAY_ENTRIES).await?;
        if entries.is_empty() {
            break;
        }
        for bytes in entries {
            if edge.size() >= head.size {
                let found = head.size.get().saturating_add(1);
                return Err(LoadError::EntryCount { expected: head.size, found });
            }
            let index = edge.append(leaf_hash(&bytes), &mut |_, _| {})?;
            state.apply(&bytes).map_err(|source| LoadError::Rule { index, source })?;
            if published_size == Some(edge.size()) {
                at_publication = Some(LogState::FleetKeys(Arc::new(state.clone())));
            }
        }
    }
    if edge.size() != head.size {
        return Err(LoadError::EntryCount { expected: head.size, found: edge.size().get() });
    }
    check_root(head, "entries", edge.root())?;
    Ok(Replayed { state: LogState::FleetKeys(Arc::new(state)), at_publication })
}

/// The head register must hold the committed head, or an earlier one of the same tree.
async fn check_registered(
    log: LogIdentity<'_>,
    ports: &Ports,
    committed: &Arc<Committed>,
    created_size: TreeSize,
    registered: Option<&StoredHead>,
) -> Result<(), LoadError> {
    let database = HeadName::from(&committed.head);
    let Some(registered) = registered else {
        // A crash between creating the namespace and registering its first head leaves exactly this; nothing else does.
        return if committed.head.size == created_size { Ok(()) } else { Err(LoadError::RegisterMissing { database }) };
    };
    check_checkpoint(log, registered, HeadHolder::HeadRegister)?;
    let registered = HeadName::from(registered);
    match root_at(log.origin, ports.store.clone(), committed, registered.size).await? {
        None => Err(LoadError::RegisterAhead { registered, database }),
        Some(root) if root == registered.root => Ok(()),
        Some(root) => Err(LoadError::RegisterContradicts { registered, database: HeadName { root, ..registered } }),
    }
}

/// A stored checkpoint carries the log's signature and says what is stored beside it.
fn check_checkpoint(log: LogIdentity<'_>, head: &StoredHead, holder: HeadHolder) -> Result<(), LoadError> {
    let wrong = |source| LoadError::Checkpoint { holder, source };
    let signed = SignedCheckpoint::parse(&head.checkpoint).map_err(wrong)?;
    signed.verify_log(std::slice::from_ref(log.log_key)).map_err(wrong)?;
    let said = signed.checkpoint();
    let (expected, found) = (HeadName::from(head), HeadName { size: said.size, root: said.root });
    // `verify_log` has refused a note whose origin is not the name of the log's key.
    if expected == found { Ok(()) } else { Err(LoadError::OtherCheckpoint { holder, expected, found }) }
}

fn check_root(head: &StoredHead, recomputed_from: &'static str, recomputed: RootHash) -> Result<(), LoadError> {
    if head.root == recomputed {
        Ok(())
    } else {
        Err(LoadError::RootMismatch { signed: HeadName::from(head), recomputed_from, recomputed })
    }
}

#[cfg(test)]
mod tests;
