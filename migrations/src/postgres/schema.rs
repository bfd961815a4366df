//! The schema's version, and the owner's act that brings it up to date.

use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use thiserror::Error;

use super::url::{PostgresPlace, PostgresUrl};
use super::{MIGRATIONS_TABLE, SCHEMA};
use crate::embedded;

/// Two processes that migrate one database take turns by this advisory lock: `CMlg` and `migr`.
const MIGRATION_LOCK: i64 = i64::from_be_bytes(*b"CMlgmigr");

/// How long an owner waits for another owner, or for a service's statement that is under way.
const MIGRATION_LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// What [`migrate`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The version before; 0 where there was nothing.
    pub from: i64,
    /// The version now.
    pub to: i64,
}

/// Why the schema was not made or brought up to date; nothing of it was kept.
#[derive(Debug, Error)]
pub enum MigratePostgresError {
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
    /// It was made by another text of a migration that this release has too.
    #[error("migration {version} of {place} is not the one of this release")]
    OtherMigration {
        /// The database.
        place: Arc<PostgresPlace>,
        /// The migration's number.
        version: i64,
    },
    /// A migration failed.
    #[error("cannot migrate {place}; its owner must be allowed to make a schema and a role")]
    Migrate {
        /// The database.
        place: Arc<PostgresPlace>,
        /// What failed.
        source: MigrateError,
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

/// Makes our schema in the database, or brings it up to date, as its owner, in one transaction. An explicit act: no
/// service does this at its start.
pub async fn migrate(owner: &PostgresUrl) -> Result<Migrated, MigratePostgresError> {
    let place = owner.place();
    let sql = |source| MigratePostgresError::Sql { place: place.clone(), source };
    let timeout = MIGRATION_LOCK_TIMEOUT.as_millis();
    let options = owner.options().application_name("countermark log migrate");
    let mut connection = options.options([("lock_timeout", timeout)]).connect().await.map_err(sql)?;
    let mut transaction = connection.begin().await.map_err(sql)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(sql)?;
    let migrator = migrator();
    let known = embedded::newest_version(&migrator);
    let from = if has_schema(&mut transaction).await.map_err(sql)? {
        newest(&applied(&mut transaction).await.map_err(sql)?)
    } else {
        0
    };
    if from > known {
        return Err(MigratePostgresError::NewerSchema { place: place.clone(), found: from, known });
    }
    // `run_direct` and not `run`: the latter's bounds make this future one that no task can own.
    migrator.run_direct(None, &mut *transaction, false).await.map_err(|error| match error {
        MigrateError::VersionMismatch(version) | MigrateError::VersionMissing(version) => {
            MigratePostgresError::OtherMigration { place: place.clone(), version }
        }
        source => MigratePostgresError::Migrate { place: place.clone(), source },
    })?;
    // The commit point: schema, role and grants together. A crash before it leaves nothing.
    transaction.commit().await.map_err(sql)?;
    connection.close().await.map_err(sql)?;
    Ok(Migrated { from, to: known })
}

/// The migrations of this release.
pub(super) fn migrator() -> Migrator {
    let mut migrator = embedded::postgres_migrator();
    migrator.create_schema(SCHEMA);
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    // The transaction holds a lock of its own, which ends with it.
    migrator.set_locking(false);
    migrator
}

/// Whether the database has the table of applied migrations. Needs no right to read it.
pub(super) async fn has_schema(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = '_sqlx_migrations')",
    )
    .bind(SCHEMA)
    .fetch_one(connection)
    .await
}

/// Version and checksum of every migration that was applied, in order.
pub(super) async fn applied(connection: &mut PgConnection) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    sqlx::query_as("SELECT version, checksum FROM countermark_log._sqlx_migrations WHERE success ORDER BY version")
        .fetch_all(connection)
        .await
}

/// The newest of them; 0 where there is none.
pub(super) fn newest(applied: &[(i64, Vec<u8>)]) -> i64 {
    applied.last().map_or(0, |(version, _)| *version)
}
