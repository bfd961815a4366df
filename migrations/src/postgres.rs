//! The log's PostgreSQL database: made and migrated by its owner, opened by a service that cannot undo what it wrote.
//!
//! It is not one database for each namespace, as SQLite's files are: one database holds them all.
//!
//! Two roles, two doors. [`migrate`] is an explicit act of the owner. [`open`] never makes anything, and refuses a user
//! that could change or delete what a signed head commits to: it looks at what the user may do, not at its name.
//!
//! Invariant: what a connection of [`open`] was told is committed is on the server's disk (unless the server itself was
//! told not to wait for its disk, which is a [`Weakness`]).

mod open;
mod privileges;
mod schema;
mod url;

pub use open::{
    Deadlines, OpenPostgresError, PostgresDatabase, READ_CONNECTIONS_MAX, WRITE_CONNECTIONS_MAX, Weakness, open,
};
pub use privileges::Power;
pub use schema::{MigratePostgresError, Migrated, migrate};
pub use url::{PostgresPlace, PostgresUrl, PostgresUrlError, UrlPart};

/// The schema that holds everything of ours.
pub const SCHEMA: &str = "countermark_log";

/// The role that the users of services are members of. The first migration makes it where it is missing.
pub const SERVICE_ROLE: &str = "countermark_log_service";

/// The table of applied migrations.
const MIGRATIONS_TABLE: &str = "countermark_log._sqlx_migrations";
