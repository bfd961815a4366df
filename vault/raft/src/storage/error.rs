//! What can be wrong with a member's storage.

use countermark_vault_core::device::{DeviceFault, UnsealError};

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database is older than what this member has confirmed: a copy was put back, or the counter is another one's.
    /// A member that spoke from it could vote twice or forget charged guesses.
    #[error("the database is at generation {stored}, and the counter at {counter}: it is a copy of another time")]
    RolledBack {
        /// The generation of the database.
        stored: u64,
        /// The counter.
        counter: u64,
    },
    /// The database is empty, and the counter says that it was not. The member lost its disk: it is retired, and a new
    /// member with new keys takes its place.
    #[error("the database is empty, and the counter at {counter}: this member lost its disk and is retired")]
    Lost {
        /// The counter.
        counter: u64,
    },
    /// Something in the database is not what the head row says.
    #[error("the database was changed by another than this member: {part}")]
    Changed {
        /// Which part of it.
        part: StoragePart,
    },
    /// The database was written by a later version.
    #[error("the database has version {found}, expected {expected}")]
    Version {
        /// The version that is known.
        expected: u8,
        /// The version found.
        found: u8,
    },
    /// The device or the disk failed.
    #[error(transparent)]
    Fault(#[from] StorageFault),
}

/// A part of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoragePart {
    /// The row that authenticates everything else.
    Head,
    /// The log's rows.
    Log,
    /// The snapshot's rows.
    Snapshot,
}

impl std::fmt::Display for StoragePart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Head => "the head",
            Self::Log => "the log",
            Self::Snapshot => "the snapshot",
        })
    }
}

/// The device or the disk failed. Nothing is known about what it did, so the replica that it happened to stops.
#[derive(Debug, thiserror::Error)]
pub enum StorageFault {
    /// A fault happened before: what is on the disk is known only after it was opened again.
    #[error("the storage stopped after a fault")]
    Stopped,
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceFault),
    /// The database failed.
    #[error("the database failed")]
    Database(#[source] Box<redb::Error>),
    /// The file of the database could not be opened.
    #[error("the database's file cannot be opened")]
    File(#[source] std::io::Error),
    /// A row is not what was written there while this process ran.
    #[error("{0} was changed under the running member")]
    Changed(StoragePart),
    /// The generations are used up.
    #[error("there is no generation left")]
    Exhausted,
}

/// redb has an error for each of its operations.
macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StorageFault {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
    )*};
}

from_redb!(
    redb::CommitError,
    redb::DatabaseError,
    redb::SetDurabilityError,
    redb::StorageError,
    redb::TableError,
    redb::TransactionError
);

impl StorageFault {
    /// What a row that does not open means while the member runs.
    pub(super) fn unsealing(error: UnsealError, part: StoragePart) -> Self {
        match error {
            UnsealError::NotOurs => Self::Changed(part),
            UnsealError::Fault(fault) => Self::Device(fault),
        }
    }
}

impl OpenError {
    /// What a row that does not open means at the start: the same, without a running member.
    pub(super) fn reading(fault: StorageFault) -> Self {
        match fault {
            StorageFault::Changed(part) => Self::Changed { part },
            StorageFault::Stopped
            | StorageFault::Device(_)
            | StorageFault::Database(_)
            | StorageFault::File(_)
            | StorageFault::Exhausted => Self::Fault(fault),
        }
    }
}
