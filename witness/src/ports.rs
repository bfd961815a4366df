//! What the witness needs of the world: a clock, and a store of the newest cosigned heads.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use countermark_tlog::checkpoint::Origin;
use countermark_tlog::cosignature::TIMESTAMP_MAX;
use countermark_tlog::fork::{ForkId, VerifiedForkEvidence};
use countermark_tlog::hash::RootHash;
use countermark_tlog::size::TreeSize;
use thiserror::Error;

use crate::register::RegisterError;

/// A time as cosignatures carry it: seconds since 1970, 1 to 2^63−1.
///
/// SPEC: C2SP tlog-cosignature: zero means "no timestamp" and never counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(u64);

impl UnixSeconds {
    /// Takes a time; `None` for 0 and above 2^63−1.
    #[must_use]
    pub const fn new(seconds: u64) -> Option<Self> {
        if seconds == 0 || seconds > TIMESTAMP_MAX { None } else { Some(Self(seconds)) }
    }

    /// The seconds.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Result<UnixSeconds, ClockError>;
}

/// The clock shows a time that no cosignature can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the clock is not after 1970")]
pub struct ClockError;

/// The clock of the machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Result<UnixSeconds, ClockError> {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| UnixSeconds::new(since.as_secs()))
            .ok_or(ClockError)
    }
}

/// What the witness knows of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadState {
    /// It never cosigned a head of the log. "Could not read" is never this.
    NeverCosigned,
    /// The newest head that it cosigned.
    Cosigned(CosignedHead),
}

/// Which head: what the compare-and-swap compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadId {
    /// How many entries.
    pub size: TreeSize,
    /// The root over them.
    pub root: RootHash,
}

/// A head with everything that is stored of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosignedHead {
    /// Which head.
    pub id: HeadId,
    /// The time in the cosignature.
    pub cosigned_at: UnixSeconds,
    /// The note: text, empty line, the log's verified signature lines.
    pub checkpoint: Vec<u8>,
    /// The witness's own signature lines.
    pub cosignatures: String,
}

impl HeadState {
    /// The size to build on; 0 if nothing was ever cosigned.
    ///
    /// SPEC: C2SP tlog-witness, add-checkpoint: "or zero if it never cosigned a checkpoint for that origin".
    pub fn size(&self) -> TreeSize {
        match self {
            HeadState::NeverCosigned => TreeSize::ZERO,
            HeadState::Cosigned(head) => head.id.size,
        }
    }

    /// Which head it is, if any.
    pub fn id(&self) -> Option<HeadId> {
        match self {
            HeadState::NeverCosigned => None,
            HeadState::Cosigned(head) => Some(head.id),
        }
    }
}

/// What became of a compare-and-swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The new head is durable.
    Stored,
    /// The same head is durable already, with a newer cosignature, which stays. Only a renewal can get this.
    NewerKept,
    /// The stored head was not the expected one; nothing changed.
    Lost,
}

/// The state of a witness. It may be shared by several processes: only [`HeadStore::swap`] changes it.
pub trait HeadStore: Send + Sync + 'static {
    /// Reads what is durable for a log.
    fn read(&self, origin: &Origin) -> impl Future<Output = Result<HeadState, StoreError>> + Send;

    /// Replaces the head of a log, in one durable transaction, if it is still `expected`.
    ///
    /// After an error the outcome is unknown: the new head may be durable or not.
    fn swap(
        &self,
        origin: &Origin,
        expected: Option<HeadId>,
        new: &CosignedHead,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send;

    /// Reads a head whose stored cosignatures will be shown to somebody.
    ///
    /// What [`HeadStore::read`] gives may be stored and not registered yet: it is only to be built on.
    fn read_to_show(&self, origin: &Origin) -> impl Future<Output = Result<HeadState, StoreError>> + Send;

    /// Writes, to say whether state and register can be read and written; the answer may be a second old.
    fn check(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The most evidence that is kept of one log. One piece convicts it; a log could sign any number.
pub const FORKS_OF_A_LOG_MAX: usize = 16;

/// What became of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is durable, and was not before.
    New,
    /// It was durable already.
    Already,
    /// There is enough of this log; nothing changed.
    Enough,
}

/// The evidence that a witness keeps, and the heads that it can contradict a log with.
///
/// From the moment at which evidence is durable, [`HeadStore::swap`] fails for its log.
pub trait ForkStore: HeadStore {
    /// Evidence against a log, if there is any.
    fn fork_of(&self, origin: &Origin) -> impl Future<Output = Result<Option<ForkId>, StoreError>> + Send;

    /// Keeps evidence, in one durable transaction. After an error the outcome is unknown; keeping it again is safe.
    fn keep_fork(
        &self,
        evidence: &VerifiedForkEvidence,
        found_at: UnixSeconds,
    ) -> impl Future<Output = Result<Kept, StoreError>> + Send;

    /// The bytes of evidence.
    fn fork(&self, id: ForkId) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// The names of all evidence, the newest first, at most [`countermark_tlog::gossip::FORK_IDS_MAX`].
    fn forks(&self) -> impl Future<Output = Result<Vec<ForkId>, StoreError>> + Send;

    /// The checkpoint of this size that was cosigned, ever: text and the log's lines.
    fn cosigned_at(
        &self,
        origin: &Origin,
        size: TreeSize,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;
}

/// Why the store gave no answer. All of them are faults; none says anything about what is stored.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The state could not be read.
    #[error("the state could not be read")]
    Read(#[source] Box<dyn StdError + Send + Sync>),
    /// The state could perhaps not be written: the outcome is unknown.
    #[error("it is not known whether the state was written")]
    Write(#[source] Box<dyn StdError + Send + Sync>),
    /// The head register was perhaps not raised: what was stored may be shown to nobody.
    #[error("it is not known whether the head register was raised")]
    Register(#[source] Arc<RegisterError>),
    /// A row holds what was never written there.
    #[error("the state of {origin} is damaged: column {column}")]
    Damaged {
        /// The log.
        origin: Origin,
        /// Where.
        column: &'static str,
    },
}
