//! The SQL migrations of every service that keeps a database, and the one way to open one.
//!
//! This crate knows file layout and schema versions. It knows nothing of what the tables mean: each
//! service writes its own queries.
//!
//! Invariant: **"not found" never becomes a new empty state.** [`Open::Existing`] refuses a missing
//! file, [`Open::CreateNew`] refuses anything that stands where the file or a journal of it would be,
//! and a file that was half made never carries the final name. A log or witness that started over from
//! an empty database would sign a fork of its own past.
//!
//! SQLite is the store of every service; the log's may be PostgreSQL instead ([`postgres`], behind the feature of that
//! name: a witness does not link its client).
//!
//! Migrations are files `sqlite/<service>/0001_name.sql` and `postgres/log/0001_name.sql`, numbered from 1 without gaps and add-only: a
//! file that has been applied anywhere is never edited (sqlx refuses a changed one by its checksum).
#![forbid(unsafe_code)]

mod create;
mod embedded;
mod open;
#[cfg(feature = "postgres")]
pub mod postgres;

pub use open::{CONNECTIONS_MAX, OpenError, open_sqlite};

use std::fmt;

/// Whose database a file is; it is written into the file and checked on every opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// The log's entries, tiles and heads.
    Log,
    /// The newest head that a witness cosigned, for each log.
    Witness,
    /// The countersigner's ledger.
    Countersigner,
}

impl Database {
    const ALL: [Database; 3] = [Database::Log, Database::Witness, Database::Countersigner];

    /// The value of SQLite's `application_id`: four ASCII letters, `CM` and the service.
    ///
    /// `file(1)` and a hex dump show it at offset 68. Published files carry these; they never change.
    #[must_use]
    pub const fn application_id(self) -> i32 {
        let letters = match self {
            Database::Log => *b"CMlg",
            Database::Witness => *b"CMwi",
            Database::Countersigner => *b"CMcs",
        };
        i32::from_be_bytes(letters)
    }

    fn with_application_id(id: i32) -> Option<Database> {
        Database::ALL.into_iter().find(|database| database.application_id() == id)
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Database::Log => "log",
            Database::Witness => "witness",
            Database::Countersigner => "countersigner",
        })
    }
}

/// Whether the file must be there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Makes the file; refuses an existing one.
    CreateNew,
    /// Opens the file; refuses a missing one.
    Existing,
}
