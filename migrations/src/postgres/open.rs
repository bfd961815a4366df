//! Opening the database as a service: is it ours, is its schema ours, could this user undo what it writes, and what
//! every connection is bound to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool};
use thiserror::Error;

use super::privileges::{self, Power};
use super::schema::{self, migrator};
use super::url::{PostgresPlace, PostgresUrl};
use super::{SCHEMA, SERVICE_ROLE};
use crate::embedded;

/// The most connections that readers hold.
pub const READ_CONNECTIONS_MAX: u32 = 8;

/// The most connections that writers hold: readers cannot take a writer's.
pub const WRITE_CONNECTIONS_MAX: u32 = 4;

/// A connection that was idle for longer is asked whether it still lives before it is used.
const IDLE_UNASKED_MAX: Duration = Duration::from_secs(1);

/// How long the server and the program wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For a row that another transaction holds.
    pub lock: Duration,
    /// For one statement, the waiting for rows included; the server ends it.
    pub statement: Duration,
    /// For one call of the program, connecting included. Above the others: it is for a server that does not answer.
    pub call: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { lock: Duration::from_secs(3), statement: Duration::from_secs(6), call: Duration::from_secs(8) }
    }
}

/// The log's database, open: every connection at our schema, as a user that cannot undo what it wrote.
#[derive(Debug, Clone)]
pub struct PostgresDatabase {
    /// For reading, at most [`READ_CONNECTIONS_MAX`] connections.
    pub reads: PgPool,
    /// For writing, at most [`WRITE_CONNECTIONS_MAX`] connections.
    pub writes: PgPool,
    /// How long calls take at most.
    pub deadlines: Deadlines,
    /// What the administrator of the server should be told.
    pub weaknesses: Vec<Weakness>,
}

/// A setting of the whole server by which a crash of its machine can lose or tear what was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// `fsync = off`.
    FsyncOff,
    /// `full_page_writes = off`.
    FullPageWritesOff,
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FsyncOff => {
                "the server runs with fsync = off: a power cut loses signed heads and stops the log for good"
            }
            Self::FullPageWritesOff => "the server runs with full_page_writes = off: a power cut can tear its pages",
        })
    }
}

/// Why a database was not opened.
#[derive(Debug, Error)]
pub enum OpenPostgresError {
    /// It has no schema of ours.
    #[error("{place} has no schema {SCHEMA}; a lost state is never replaced by an empty one")]
    Missing {
        /// The database.
        place: Arc<PostgresPlace>,
    },
    /// A newer release migrated it.
    #[error("{place} has schema version {found}; this release knows {known}")]
    NewerSchema {
        /// The database.
        place: Arc<PostgresPlace>,
        /// Its version.
        found: i64,
        /// The newest version of this release.
        known: i64,
    },
    /// An older release made it, and its owner has not migrated it.
    #[error("{place} has schema version {found}, this release needs {known}; its owner migrates it first")]
    OlderSchema {
        /// The database.
        place: Arc<PostgresPlace>,
        /// Its version.
        found: i64,
        /// The version of this release.
        known: i64,
    },
    /// It was made by another text of a migration that this release has too.
    #[error("migration {version} of {place} is not the one of this release")]
    OtherMigration {
        /// The database.
        place: Arc<PostgresPlace>,
        /// The migration's number.
        version: i64,
    },
    /// The user lacks what a service needs.
    #[error("{place}: the user is no member of {SERVICE_ROLE}")]
    NotAService {
        /// The database.
        place: Arc<PostgresPlace>,
    },
    /// The user could undo what was signed.
    #[error("{place}: the user {power}; a service must not be able to")]
    TooPowerful {
        /// The database.
        place: Arc<PostgresPlace>,
        /// What it could do.
        power: Power,
    },
    /// The server acknowledges what is not on its disk.
    #[error("{place} has synchronous_commit = off for this user: what it acknowledges can be lost")]
    Asynchronous {
        /// The database.
        place: Arc<PostgresPlace>,
    },
    /// No connection, or it broke.
    #[error("cannot use {place}")]
    Sql {
        /// The database.
        place: Arc<PostgresPlace>,
        /// What failed.
        source: sqlx::Error,
    },
}

/// What one look at the server said.
struct Settings {
    synchronous_commit: String,
    weaknesses: Vec<Weakness>,
}

/// Opens the log's database as a service. It makes and changes nothing.
pub async fn open(service: &PostgresUrl, deadlines: Deadlines) -> Result<PostgresDatabase, OpenPostgresError> {
    let place = service.place();
    let sql = |source| OpenPostgresError::Sql { place: place.clone(), source };
    let options = service.options().application_name("countermark log");
    let mut connection = options.connect().await.map_err(sql)?;
    check_schema(&mut connection, place).await?;
    if let Some(power) = privileges::worst(&mut connection).await.map_err(sql)? {
        return Err(OpenPostgresError::TooPowerful { place: place.clone(), power });
    }
    let settings = read_settings(&mut connection).await.map_err(sql)?;
    if settings.synchronous_commit == "off" {
        return Err(OpenPostgresError::Asynchronous { place: place.clone() });
    }
    connection.close().await.map_err(sql)?;
    let options = bound(options, deadlines, &settings.synchronous_commit);
    Ok(PostgresDatabase {
        reads: pool(READ_CONNECTIONS_MAX, Duration::ZERO, deadlines, &options),
        writes: pool(WRITE_CONNECTIONS_MAX, IDLE_UNASKED_MAX, deadlines, &options),
        deadlines,
        weaknesses: settings.weaknesses,
    })
}

async fn check_schema(connection: &mut PgConnection, place: &Arc<PostgresPlace>) -> Result<(), OpenPostgresError> {
    let place = || place.clone();
    let sql = |source| OpenPostgresError::Sql { place: place(), source };
    if !schema::has_schema(connection).await.map_err(sql)? {
        return Err(OpenPostgresError::Missing { place: place() });
    }
    if !privileges::is_service(connection).await.map_err(sql)? {
        return Err(OpenPostgresError::NotAService { place: place() });
    }
    let migrator = migrator();
    let known = embedded::newest_version(&migrator);
    let applied = schema::applied(connection).await.map_err(sql)?;
    let found = schema::newest(&applied);
    if found > known {
        return Err(OpenPostgresError::NewerSchema { place: place(), found, known });
    }
    for (version, checksum) in &applied {
        let ours = migrator.iter().find(|migration| migration.version == *version);
        if ours.is_none_or(|migration| *migration.checksum != **checksum) {
            return Err(OpenPostgresError::OtherMigration { place: place(), version: *version });
        }
    }
    if found < known {
        return Err(OpenPostgresError::OlderSchema { place: place(), found, known });
    }
    Ok(())
}

async fn read_settings(connection: &mut PgConnection) -> Result<Settings, sqlx::Error> {
    let (synchronous_commit, fsync, full_page_writes): (String, String, String) = sqlx::query_as(
        "SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes')",
    )
    .fetch_one(connection)
    .await?;
    let weaknesses = [(fsync, Weakness::FsyncOff), (full_page_writes, Weakness::FullPageWritesOff)];
    let weaknesses = weaknesses.into_iter().filter(|(setting, _)| setting == "off").map(|(_, weakness)| weakness);
    Ok(Settings { synchronous_commit, weaknesses: weaknesses.collect() })
}

/// What every connection is bound to for its life. It is said when connecting: what is changed later for the server, the
/// database or the user does not touch it.
fn bound(options: PgConnectOptions, deadlines: Deadlines, synchronous_commit: &str) -> PgConnectOptions {
    let milliseconds = |time: Duration| time.as_millis().max(1).to_string();
    options.options([
        ("synchronous_commit", synchronous_commit.to_owned()),
        ("lock_timeout", milliseconds(deadlines.lock)),
        ("statement_timeout", milliseconds(deadlines.statement)),
        // A process that stands still between two statements does not keep a log from its successor.
        ("idle_in_transaction_session_timeout", milliseconds(deadlines.statement)),
        ("default_transaction_isolation", "read committed".to_owned()),
        // Every question has an index. A plan that was made while a table was small, and kept, must not read all of it
        // when it is large.
        ("enable_seqscan", "off".to_owned()),
        ("jit", "off".to_owned()),
    ])
}

/// A pool whose connections are asked whether they live before a call, if they were idle for longer than this: every one
/// that reads, so that no reader is answered with the end of a server that was restarted long ago; those that write
/// seldom, because a question more costs as much as a commit, and who writes reads everything again after a fault.
fn pool(connections_max: u32, unasked_max: Duration, deadlines: Deadlines, options: &PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(deadlines.call)
        // `before_acquire` asks.
        .test_before_acquire(false)
        .before_acquire(move |connection, state| {
            Box::pin(async move {
                if state.idle_for >= unasked_max {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options.clone())
}
