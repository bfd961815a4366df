//! The outside world of the log, one trait for each part of it: a clock, the store, the head register, the witnesses.
//!
//! It is not a description of any back end. Whatever stands behind a port, the domain believes only three things of it:
//! an `Ok` of [`Store::commit`] or [`HeadRegister::compare_and_swap`] is durable; a `Fenced` or `Conflict` changed nothing;
//! a [`PortFault`] may or may not have changed something, so the caller forgets what it knew and reads again.
//!
//! "Not there" is `Ok(None)`; "could not look" is a [`PortFault`]. Treating the second as the first is how logs fork.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use countermark_bundle::identity::Digest;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::hash::{LeafHash, RootHash};
use countermark_tlog::note::VerifierKey;
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::TileCoord;
use thiserror::Error;

use crate::stage::SignedBatch;

/// What an asynchronous port call returns: a future that may move between threads.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The time of day.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> u64;
}

/// Fault: a part of the outside world failed and may or may not have done what it was asked.
#[derive(Debug, Error)]
#[error("{port} failed to {action}: {source}")]
pub struct PortFault {
    /// Which port.
    pub port: PortName,
    /// What it was asked to do.
    pub action: &'static str,
    /// What it said.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The ports that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortName {
    /// [`Store`].
    Store,
    /// [`HeadRegister`].
    HeadRegister,
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Store => "the store",
            Self::HeadRegister => "the head register",
        })
    }
}

/// Counts the processes that ever wrote to a namespace. Only the newest may commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriterEpoch(pub u64);

impl fmt::Display for WriterEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "writer epoch {}", self.0)
    }
}

/// Names one run of a process as a writer: 16 random bytes, drawn at its start.
///
/// With it, a writer that does not know whether its own taking over succeeded can tell itself from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterId(pub [u8; 16]);

/// A signed tree head as it is kept: what it says, and the note that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHead {
    /// The size of the tree.
    pub size: TreeSize,
    /// Its root.
    pub root: RootHash,
    /// The signed note with the log's signature alone.
    pub checkpoint: Vec<u8>,
}

/// A published head as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPublication {
    /// The size of the tree.
    pub size: TreeSize,
    /// The signed note with the log's signature and the witnesses' cosignatures.
    pub note: Vec<u8>,
}

/// What entries a log takes. It is written down when the log is made, and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    /// Fleets' key statements and what follows from them, every rule enforced.
    FleetKeys,
    /// Opaque entries of authorised submitters.
    Raw,
}

impl LogKind {
    /// Both.
    pub const ALL: [LogKind; 2] = [LogKind::FleetKeys, LogKind::Raw];

    /// The word for it in configurations, stores and exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FleetKeys => "fleet-keys",
            Self::Raw => "raw",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for LogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a namespace's new writer finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterTaken {
    /// The epoch that every commit of this writer carries.
    pub epoch: WriterEpoch,
    /// What entries the log takes.
    pub kind: LogKind,
    /// Whether the log was frozen: it never grows again.
    pub frozen: bool,
    /// The newest signed head.
    pub head: StoredHead,
    /// The size of the head that was signed when the namespace was created.
    pub created_size: TreeSize,
}

/// Why no writer was taken.
#[derive(Debug, Error)]
pub enum TakeWriterError {
    /// The store holds no log of this origin. It never becomes a new one by itself.
    #[error("the store holds no log {origin}; a log is created by an explicit act")]
    Missing {
        /// The origin asked for.
        origin: Origin,
    },
    /// Another process took the namespace over.
    #[error("another process writes to this namespace: expected {expected}, found {found}")]
    Fenced {
        /// The last epoch that the caller knows of.
        expected: WriterEpoch,
        /// The epoch in force, another process's.
        found: WriterEpoch,
    },
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] PortFault),
}

/// Why a batch was not committed.
#[derive(Debug, Error)]
pub enum CommitError {
    /// Another writer, or another size: nothing was changed.
    #[error(
        "the commit of {expected} at size {} was fenced off: found {found} at size {}",
        expected_size.get(),
        found_size.get()
    )]
    Fenced {
        /// The epoch of the caller.
        expected: WriterEpoch,
        /// The size before the batch.
        expected_size: TreeSize,
        /// The epoch in force.
        found: WriterEpoch,
        /// The committed size.
        found_size: TreeSize,
    },
    /// The log was frozen: nothing was changed, and nothing will be.
    #[error("the log is frozen at size {}", size.get())]
    Frozen {
        /// Its last size.
        size: TreeSize,
    },
    /// The outcome is unknown.
    #[error(transparent)]
    Fault(#[from] PortFault),
}

/// Why a log was not frozen.
#[derive(Debug, Error)]
pub enum FreezeError {
    /// The store holds no log of this origin.
    #[error("the store holds no log {origin}")]
    Missing {
        /// The origin asked for.
        origin: Origin,
    },
    /// The outcome is unknown; freezing again is safe.
    #[error(transparent)]
    Fault(#[from] PortFault),
}

/// Why a namespace was not created in the store.
#[derive(Debug, Error)]
pub enum CreateNamespaceError {
    /// The store holds a log of this origin already; nothing was changed.
    #[error("the store holds a log {origin} already")]
    AlreadyExists {
        /// The origin.
        origin: Origin,
    },
    /// The outcome is unknown.
    #[error(transparent)]
    Fault(#[from] PortFault),
}

/// A hash tile and its bytes, 32 for each hash.
pub type TileBytes = (TileCoord, Vec<u8>);

/// Reads what a store holds of a log. An export can be read in the same way; it has no writer.
pub trait StoreReader: Send + Sync {
    /// The entries from `from` on, in order: at most `count`, fewer at the end of the log.
    fn entries<'a>(
        &'a self,
        origin: &'a Origin,
        from: LeafIndex,
        count: usize,
    ) -> PortFuture<'a, Result<Vec<Vec<u8>>, PortFault>>;

    /// A full hash tile, 8,192 bytes.
    fn full_tile<'a>(
        &'a self,
        origin: &'a Origin,
        tile: TileCoord,
    ) -> PortFuture<'a, Result<Option<Vec<u8>>, PortFault>>;

    /// The partial hash tiles at the right edge of the committed tree, by rising level.
    fn partial_tiles<'a>(&'a self, origin: &'a Origin) -> PortFuture<'a, Result<Vec<TileBytes>, PortFault>>;

    /// Where the entries of these identities are; one answer for each, in order.
    fn indexes_of_identities<'a>(
        &'a self,
        origin: &'a Origin,
        identities: &'a [Digest],
    ) -> PortFuture<'a, Result<Vec<Option<LeafIndex>>, PortFault>>;

    /// Where the entry of this leaf hash is.
    fn index_of_leaf_hash<'a>(
        &'a self,
        origin: &'a Origin,
        leaf_hash: LeafHash,
    ) -> PortFuture<'a, Result<Option<LeafIndex>, PortFault>>;

    /// The newest published head.
    fn publication<'a>(&'a self, origin: &'a Origin) -> PortFuture<'a, Result<Option<StoredPublication>, PortFault>> {
        Box::pin(async move { Ok(self.publications(origin, TreeSize::MAX, 1).await?.pop()) })
    }

    /// The published heads of sizes up to `up_to`, from the largest down: at most `count`.
    fn publications<'a>(
        &'a self,
        origin: &'a Origin,
        up_to: TreeSize,
        count: usize,
    ) -> PortFuture<'a, Result<Vec<StoredPublication>, PortFault>>;
}

/// Holds the entries, tiles and signed heads of many namespaces.
pub trait Store: StoreReader {
    /// Makes a namespace that holds exactly `first`, a batch that starts at size 0 (and may have no entry); all in one
    /// transaction.
    fn create_namespace<'a>(
        &'a self,
        kind: LogKind,
        first: &'a SignedBatch,
    ) -> PortFuture<'a, Result<(), CreateNamespaceError>>;

    /// Makes `writer` the writer under a new epoch, fences off every earlier one, and reads the newest head, in one
    /// transaction.
    ///
    /// With `held`, the last epoch that `writer` knows of, only if it is still the writer: one that reloads does not take
    /// the namespace back from the process that took it over.
    fn take_writer<'a>(
        &'a self,
        origin: &'a Origin,
        writer: WriterId,
        held: Option<WriterEpoch>,
    ) -> PortFuture<'a, Result<WriterTaken, TakeWriterError>>;

    /// Adds a batch in one transaction, if `epoch` is the one in force, the committed size is the batch's old size, and the
    /// log is not frozen.
    fn commit<'a>(&'a self, epoch: WriterEpoch, batch: &'a SignedBatch) -> PortFuture<'a, Result<(), CommitError>>;

    /// Freezes a log for good, whoever writes to it. Gives its last size; freezing a frozen log again changes nothing.
    fn freeze<'a>(&'a self, origin: &'a Origin) -> PortFuture<'a, Result<TreeSize, FreezeError>>;

    /// Keeps a published head beside those of smaller sizes. Of two calls at one size the later one wins; a size that was
    /// passed changes nothing.
    fn record_publication<'a>(
        &'a self,
        origin: &'a Origin,
        publication: &'a StoredPublication,
    ) -> PortFuture<'a, Result<(), PortFault>>;
}

/// Why the head register was not moved.
#[derive(Debug, Error)]
pub enum RegisterError {
    /// It does not hold what the caller expected; nothing was changed.
    #[error("the head register holds another head than expected")]
    Conflict {
        /// What it holds.
        found: Option<StoredHead>,
    },
    /// The outcome is unknown.
    #[error(transparent)]
    Fault(#[from] PortFault),
}

/// Remembers the last signed head of every log, on other storage than the [`Store`].
///
/// A database restored from a snapshot has forgotten signed heads; the register has not.
pub trait HeadRegister: Send + Sync {
    /// The last head registered for this origin.
    fn read<'a>(&'a self, origin: &'a Origin) -> PortFuture<'a, Result<Option<StoredHead>, PortFault>>;

    /// Replaces `expected` by `head`, durably, if `expected` is what is registered.
    fn compare_and_swap<'a>(
        &'a self,
        origin: &'a Origin,
        expected: Option<&'a StoredHead>,
        head: &'a StoredHead,
    ) -> PortFuture<'a, Result<(), RegisterError>>;
}

/// A witness that the log asks for cosignatures.
#[derive(Debug, Clone)]
pub struct WitnessEndpoint {
    /// The keys of its cosignatures, at least one, all of one name, which names the witness.
    pub vkeys: Vec<VerifierKey>,
    /// The prefix before `/add-checkpoint` and `/<hex SHA-256 of the origin>/checkpoint`, without a slash at its end.
    pub url: String,
}

impl WitnessEndpoint {
    /// The name of the witness: that of its keys.
    #[must_use]
    pub fn name(&self) -> &str {
        self.vkeys.first().map_or("", |vkey| vkey.name().as_str())
    }
}

/// A witness's answer to `add-checkpoint`, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UntrustedWitnessAnswer {
    /// 200: cosignature lines, at most [`WITNESS_ANSWER_MAX`] bytes.
    Cosignatures(Vec<u8>),
    /// 409: the body that should name the size the witness knows.
    OtherSize(Vec<u8>),
    /// Any other status.
    Refused {
        /// The HTTP status.
        status: u16,
    },
}

/// The most bytes of a witness's answer that are read: 64 KiB.
pub const WITNESS_ANSWER_MAX: usize = 65_536;

/// Why a witness gave no answer.
#[derive(Debug, Error)]
pub enum WitnessError {
    /// No connection, or the connection broke.
    #[error("the witness is unreachable")]
    Unreachable {
        /// What the client said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// More bytes than [`WITNESS_ANSWER_MAX`].
    #[error("the witness's answer is longer than {WITNESS_ANSWER_MAX} bytes")]
    TooLong,
    /// The monitoring endpoint answered with neither 200 nor 404.
    #[error("the witness's monitoring endpoint answered {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
}

/// Speaks C2SP tlog-witness to a witness. Deadlines are the caller's: dropping the future ends the call.
pub trait WitnessClient: Send + Sync {
    /// `POST <url>/add-checkpoint` with this body.
    fn add_checkpoint<'a>(
        &'a self,
        witness: &'a WitnessEndpoint,
        body: Vec<u8>,
    ) -> PortFuture<'a, Result<UntrustedWitnessAnswer, WitnessError>>;

    /// `GET <url>/<hex SHA-256 of origin>/checkpoint`: the newest note it cosigned; `None` where it knows none (404).
    fn newest_checkpoint<'a>(
        &'a self,
        witness: &'a WitnessEndpoint,
        origin: &'a Origin,
    ) -> PortFuture<'a, Result<Option<Vec<u8>>, WitnessError>>;
}
