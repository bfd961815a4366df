//! The outside world of the countersigner, one trait for each part of it: a clock, the log as it is read, the log as it
//! is written to, the ledger.
//!
//! It is not a description of any back end. What comes from the log is bytes that nobody has verified; what comes from
//! the ledger is believed, because it is the operator's own disk. An `Ok` of a writing [`Ledger`] call is durable; a
//! [`LedgerFault`] may or may not have changed something, so the caller forgets what it knew and asks again.
//!
//! "Not there" is `Ok(None)`; "could not look" is an error.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use countermark_bundle::identity::{Digest, Epoch, Timestamp};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::TileCoord;
use thiserror::Error;

use crate::ledger::{Decided, Fork, KeptHead, LedgerRow, NewRow, Refusal, RowRecord, Sighting};

/// What an asynchronous port call returns: a future that may move between threads.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The time of day.
pub trait Clock: Send + Sync {
    /// Now, in whole seconds.
    fn now(&self) -> Timestamp;
}

/// Why the log was not read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// No connection, or the connection broke.
    #[error("the log is unreachable")]
    Unreachable {
        /// What the client said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// No whole answer within the deadline.
    #[error("the log did not answer in time")]
    TimedOut,
    /// An answer other than 200.
    #[error("the log answered {status} to a request for {what}")]
    Status {
        /// What was asked for.
        what: Resource,
        /// The HTTP status.
        status: u16,
    },
    /// More bytes than such an answer can have.
    #[error("the log's answer to a request for {what} has more than {bytes_max} bytes")]
    TooLong {
        /// What was asked for.
        what: Resource,
        /// The most bytes that were read.
        bytes_max: usize,
    },
}

/// What is read from a log: the three static resources of C2SP tlog-tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// The newest published checkpoint.
    Checkpoint,
    /// A tile of hashes.
    Tile,
    /// An entry bundle.
    EntryBundle,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checkpoint => "its checkpoint",
            Self::Tile => "a tile",
            Self::EntryBundle => "an entry bundle",
        })
    }
}

/// Reads one namespace's log. Everything that it gives is unverified.
pub trait LogReader: Send + Sync {
    /// The newest published checkpoint: a signed note.
    fn checkpoint(&self) -> PortFuture<'_, Result<Vec<u8>, ReadError>>;

    /// The bytes of a hash tile.
    fn tile(&self, tile: TileCoord) -> PortFuture<'_, Result<Vec<u8>, ReadError>>;

    /// The bytes of the entry bundle with this index and width.
    fn entry_bundle(&self, bundle: TileCoord) -> PortFuture<'_, Result<Vec<u8>, ReadError>>;
}

/// The log's answer to an entry, which nobody has verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UntrustedAnswer {
    /// The log says that a published head of this size includes the entry at this index.
    Published {
        /// Where it says the entry stands.
        index: LeafIndex,
        /// The size of the head that it says includes it.
        size: TreeSize,
    },
    /// The log took the entry and had not published it when the deadline passed.
    Accepted,
}

/// What a problem document calls itself, as far as it is fit to be shown: at most 128 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProblemName(String);

impl ProblemName {
    /// The most characters of a name.
    pub const LENGTH_MAX: usize = 128;

    /// Takes a name that is fit to be shown.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let fit = (1..=Self::LENGTH_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        fit.then(|| Self(name.to_owned()))
    }
}

impl fmt::Display for ProblemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why the log did not take an entry, or did not say whether it did.
#[derive(Debug, Error)]
pub enum SubmitError {
    /// 4xx: the log says that it is our fault. Nothing was kept.
    #[error("the log refused the entry with {status}{}", named(problem.as_ref()))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `type` of its problem document.
        problem: Option<ProblemName>,
    },
    /// 409: the namespace moved on meanwhile. Nothing was kept; the next turn sees the new state.
    #[error("the log has another state than the entry is for{}", named(problem.as_ref()))]
    Conflict {
        /// The `type` of its problem document.
        problem: Option<ProblemName>,
    },
    /// 429 or 503: try again later. Nothing was kept.
    #[error("the log is overloaded and answered {status}")]
    Overloaded {
        /// The HTTP status.
        status: u16,
    },
    /// 5xx: the log's fault. Whether the entry was kept is unknown; sending it again is safe.
    #[error("the log failed with {status}")]
    Failed {
        /// The HTTP status.
        status: u16,
    },
    /// No connection, or it broke. Whether the entry was kept is unknown; sending it again is safe.
    #[error("the log is unreachable")]
    Unreachable {
        /// What the client said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// No answer within the deadline. Whether the entry was kept is unknown; sending it again is safe.
    #[error("the log did not answer in time")]
    TimedOut,
    /// An answer that is not the documented one.
    #[error("the log answered {status} with something else than the documented JSON")]
    Malformed {
        /// The HTTP status.
        status: u16,
    },
}

fn named(problem: Option<&ProblemName>) -> String {
    problem.map_or_else(String::new, |name| format!(" ({name})"))
}

/// Writes to one namespace's log.
pub trait LogSubmitter: Send + Sync {
    /// Submits the exact bytes of an entry and waits until the log says that it is published, up to a deadline.
    fn submit<'a>(
        &'a self,
        entry: &'a [u8],
        access_token: &'a str,
    ) -> PortFuture<'a, Result<UntrustedAnswer, SubmitError>>;
}

/// Fault: the ledger failed and may or may not have done what it was asked.
#[derive(Debug, Error)]
#[error("the ledger failed to {action}")]
pub struct LedgerFault {
    /// What it was asked to do.
    pub action: &'static str,
    /// What it said.
    pub source: Box<dyn Error + Send + Sync>,
}

/// Why a verified head was not kept.
#[derive(Debug, Error)]
pub enum AdvanceError {
    /// Refused: the ledger holds a larger head, another one of this size, or one of another log. Another process uses it.
    #[error("the ledger does not go from the head it holds to one of size {size}; is another process using it?")]
    Conflict {
        /// The size that was to be kept.
        size: TreeSize,
    },
    /// The outcome is unknown.
    #[error(transparent)]
    Fault(#[from] LedgerFault),
}

/// Why no ledger row stands for a statement.
#[derive(Debug, Error)]
pub enum CommitRowError {
    /// Refused, for good: the ledger holds another digest, or another place in the log, for this epoch.
    #[error("epoch {epoch} was countersigned as {recorded}; {found} is another statement, or stands at another place")]
    OtherStatement {
        /// The epoch.
        epoch: Epoch,
        /// The digest in the ledger.
        recorded: Digest,
        /// The digest that was to be recorded.
        found: Digest,
    },
    /// Refused, for good: a newer epoch is in the ledger.
    #[error("epoch {epoch} is below {newest}, the newest in the ledger")]
    BelowNewest {
        /// The epoch that was to be recorded.
        epoch: Epoch,
        /// The newest epoch in the ledger.
        newest: Epoch,
    },
    /// Refused, for good: the epoch was refused before.
    #[error("epoch {epoch} was refused before, and a decision is final")]
    RefusedBefore {
        /// The epoch.
        epoch: Epoch,
    },
    /// The outcome is unknown.
    #[error(transparent)]
    Fault(#[from] LedgerFault),
}

/// Why a refusal was not recorded.
#[derive(Debug, Error)]
pub enum RecordRefusalError {
    /// The epoch is in the ledger already, as countersigned or as refused for other bytes.
    #[error("epoch {epoch} is decided already, and a decision is final")]
    DecidedBefore {
        /// The epoch.
        epoch: Epoch,
    },
    /// The outcome is unknown.
    #[error(transparent)]
    Fault(#[from] LedgerFault),
}

/// Rows and refusals, each newest first.
pub type Decisions = (Vec<RowRecord>, Vec<Refusal>);

/// The operator's memory of one namespace. Nothing in it is ever changed or forgotten.
pub trait Ledger: Send + Sync {
    /// The newest verified head.
    fn head(&self) -> PortFuture<'_, Result<Option<KeptHead>, LedgerFault>>;

    /// Keeps a newer verified head, and from when the cool-offs of the statements new under it are counted, in one
    /// transaction. A sighting that is there already stays as it is.
    fn advance<'a>(&'a self, head: &'a KeptHead, sightings: &'a [Sighting])
    -> PortFuture<'a, Result<(), AdvanceError>>;

    /// Every sighting, by epoch.
    fn sightings(&self) -> PortFuture<'_, Result<Vec<Sighting>, LedgerFault>>;

    /// Records that a statement may be countersigned, or finds that this very statement is the newest recorded.
    ///
    /// The only source of a [`LedgerRow`].
    fn commit_row<'a>(&'a self, row: &'a NewRow) -> PortFuture<'a, Result<LedgerRow, CommitRowError>>;

    /// What was decided about an epoch.
    fn decided(&self, epoch: Epoch) -> PortFuture<'_, Result<Option<Decided>, LedgerFault>>;

    /// The newest row.
    fn newest_row(&self) -> PortFuture<'_, Result<Option<RowRecord>, LedgerFault>>;

    /// Notes where a row's first activation stands under a verified head. Noting it again changes nothing.
    fn mark_activated(&self, epoch: Epoch, index: LeafIndex) -> PortFuture<'_, Result<(), LedgerFault>>;

    /// Records that a statement will never be countersigned. Recording it again changes nothing.
    fn record_refusal<'a>(&'a self, refusal: &'a Refusal) -> PortFuture<'a, Result<(), RecordRefusalError>>;

    /// Keeps the evidence of a fork.
    fn keep_fork<'a>(&'a self, fork: &'a Fork) -> PortFuture<'a, Result<(), LedgerFault>>;

    /// The first fork that was ever seen.
    fn fork(&self) -> PortFuture<'_, Result<Option<Fork>, LedgerFault>>;

    /// The newest rows and refusals, at most `count` of each, newest first.
    fn newest_decisions(&self, count: u32) -> PortFuture<'_, Result<Decisions, LedgerFault>>;
}
