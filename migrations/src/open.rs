//! Opening a database: is it there, is it ours, is its schema one that we know.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use thiserror::Error;

use crate::{Database, Open, create, embedded};

/// The most connections that a pool of [`open_sqlite`] holds.
pub const CONNECTIONS_MAX: u32 = 8;

/// How long a writer waits for another writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// SQLite's primary result code for a file that is no database.
const SQLITE_NOTADB: &str = "26";

/// Why a database was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// [`Open::Existing`] and there is no file.
    #[error("there is no {database} database at {}; a lost state is never replaced by an empty one", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// What it should hold.
        database: Database,
    },
    /// [`Open::CreateNew`] and something stands there.
    #[error("a new {database} database was asked for, but {} exists already", path.display())]
    AlreadyExists {
        /// What stands there.
        path: PathBuf,
        /// What was to be made.
        database: Database,
    },
    /// [`Open::CreateNew`] and a journal of a database that was there is left.
    #[error("{} is the journal of a database that is gone; restore it or move it away", path.display())]
    JournalWithoutDatabase {
        /// The journal.
        path: PathBuf,
    },
    /// The file is not an SQLite database.
    #[error("{} is not an SQLite database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file belongs to another service of ours.
    #[error("{} is a {found} database, not a {expected} database", path.display())]
    OtherService {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        expected: Database,
        /// What it is.
        found: Database,
    },
    /// The file carries no marker of ours: an empty file, or another program's database.
    #[error("{} carries application_id {found:#010x}, which marks no database of Countermark", path.display())]
    Unmarked {
        /// The file.
        path: PathBuf,
        /// Its `application_id`; 0 in an empty file.
        found: i32,
    },
    /// A newer release migrated the file.
    #[error("{} has schema version {found}; this release knows {known}", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version of this release.
        known: i64,
    },
    /// The file was made by another text of a migration that this release has too.
    #[error("migration {version} of {} is not the one of this release", path.display())]
    OtherMigration {
        /// The file.
        path: PathBuf,
        /// The migration's number.
        version: i64,
    },
    /// A migration failed; nothing of it was kept.
    #[error("cannot migrate {}", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: MigrateError,
    },
    /// A migration left a row that refers to nothing; nothing of it was kept.
    #[error("a migration of {} would leave rows that refer to nothing", path.display())]
    ForeignKeys {
        /// The file.
        path: PathBuf,
    },
    /// SQLite failed.
    #[error("cannot open {}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: sqlx::Error,
    },
    /// The file system failed.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
}

/// Opens the SQLite file of a service at its newest schema.
///
/// Every connection of the pool (at most [`CONNECTIONS_MAX`]) has write-ahead logging,
/// `synchronous=FULL`, foreign keys on and a busy timeout of 5 s. A transaction that will write starts
/// with `BEGIN IMMEDIATE`; one that reads first and then writes can fail as busy without any wait.
pub async fn open_sqlite(path: &Path, database: Database, open: Open) -> Result<SqlitePool, OpenError> {
    match open {
        Open::CreateNew => create::create(path, database).await?,
        Open::Existing => refuse_missing(path, database)?,
    }
    recognise(path, database).await?;
    bring_up_to_date(path, database).await?;
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        // A file does not hang up. The question would cost as much as a read of a row.
        .test_before_acquire(false)
        // After a failed write SQLite may have rolled a transaction back by itself. The driver then counts it as open for
        // ever and begins no other one on that connection: it is closed, and another one is opened.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_with(connect_options(path).journal_mode(SqliteJournalMode::Wal))
        .await
        .map_err(sql_at(path))?;
    Ok(pool)
}

fn refuse_missing(path: &Path, database: Database) -> Result<(), OpenError> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(OpenError::Missing { path: path.to_owned(), database })
        }
        // "Could not look" is not "not there".
        Err(source) => Err(OpenError::Io { path: path.to_owned(), source }),
    }
}

/// Reads the marker over a connection that changes nothing: switching another program's database to
/// write-ahead logging would be a change.
async fn recognise(path: &Path, database: Database) -> Result<(), OpenError> {
    let mut connection = connect_options(path).connect().await.map_err(not_a_database_or_sql(path))?;
    let found: i32 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut connection)
        .await
        .map_err(not_a_database_or_sql(path))?;
    connection.close().await.map_err(sql_at(path))?;
    match Database::with_application_id(found) {
        Some(marked) if marked == database => Ok(()),
        Some(marked) => Err(OpenError::OtherService { path: path.to_owned(), expected: database, found: marked }),
        None => Err(OpenError::Unmarked { path: path.to_owned(), found }),
    }
}

/// Applies what is missing in one transaction, so that two processes that open one file do not both
/// apply, and a crash leaves the old schema.
async fn bring_up_to_date(path: &Path, database: Database) -> Result<(), OpenError> {
    let migrator = embedded::migrator(database);
    let known = embedded::newest_version(&migrator);
    let mut connection = migrating_options(path).connect().await.map_err(sql_at(path))?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(sql_at(path))?;
    let found: i64 = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
        .fetch_one(&mut *transaction)
        .await
        .map_err(sql_at(path))?;
    if found > known {
        return Err(OpenError::NewerSchema { path: path.to_owned(), found, known });
    }
    if found < known {
        migrate(&mut transaction, &migrator, path).await?;
    } else {
        // Only compares checksums.
        apply(&mut transaction, &migrator, path).await?;
    }
    transaction.commit().await.map_err(sql_at(path))?;
    connection.close().await.map_err(sql_at(path))
}

/// Applies what is missing inside the caller's transaction, on a connection of [`migrating_options`].
pub(crate) async fn migrate(
    connection: &mut SqliteConnection,
    migrator: &Migrator,
    path: &Path,
) -> Result<(), OpenError> {
    apply(connection, migrator, path).await?;
    // SPEC: SQLite, "Making Other Kinds Of Table Schema Changes", step 10.
    let broken = sqlx::query("PRAGMA foreign_key_check").fetch_optional(connection).await.map_err(sql_at(path))?;
    if broken.is_some() { Err(OpenError::ForeignKeys { path: path.to_owned() }) } else { Ok(()) }
}

async fn apply(connection: &mut SqliteConnection, migrator: &Migrator, path: &Path) -> Result<(), OpenError> {
    // `run_direct` and not `run`: the latter's bounds make this future one that no task can own.
    migrator.run_direct(None, connection, false).await.map_err(|error| {
        let path = path.to_owned();
        match error {
            MigrateError::VersionMismatch(version) | MigrateError::VersionMissing(version) => {
                OpenError::OtherMigration { path, version }
            }
            source => OpenError::Migrate { path, source },
        }
    })
}

/// A connection that migrates: a table that is made anew may go while others still refer to its name.
pub(crate) fn migrating_options(path: &Path) -> SqliteConnectOptions {
    connect_options(path).foreign_keys(false)
}

/// What every connection of ours has; the journal mode is the caller's.
pub(crate) fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
}

pub(crate) fn sql_at(path: &Path) -> impl Fn(sqlx::Error) -> OpenError {
    |source| OpenError::Sqlite { path: path.to_owned(), source }
}

fn not_a_database_or_sql(path: &Path) -> impl Fn(sqlx::Error) -> OpenError {
    |source| {
        let code = source.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if code.as_deref() == Some(SQLITE_NOTADB) {
            OpenError::NotADatabase { path: path.to_owned() }
        } else {
            sql_at(path)(source)
        }
    }
}
