//! What a user of the database could do to what was signed, whatever it is called.

use std::fmt;

use sqlx::PgConnection;

/// Something that the user of a service must not be able to do.
///
/// It counts what the user may do itself, and what any role may do that it can become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Power {
    /// Everything.
    Superuser,
    /// Make itself a member of other roles.
    CreateRole,
    /// Write files or run programs on the server's machine.
    ServerFiles,
    /// It owns the database, the schema or a table: it can change what it may do.
    Owner,
    /// Make tables or functions beside ours.
    CreateInSchema,
    /// Change, delete or truncate rows, or add triggers, where rows are only ever added.
    Change {
        /// The table.
        table: String,
    },
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superuser => f.write_str("is a superuser"),
            Self::CreateRole => f.write_str("may make roles and so become others"),
            Self::ServerFiles => f.write_str("may write files or run programs on the server"),
            Self::Owner => f.write_str("owns the database, the schema or a table of it"),
            Self::CreateInSchema => f.write_str("may make tables in the schema"),
            Self::Change { table } => write!(f, "may change or delete rows of {table}"),
        }
    }
}

/// The worst first: one row for each power found. `may_become` is the user itself and every role that it can be.
const POWERS: &str = "
WITH may_become AS (
    SELECT oid, rolname, rolsuper, rolcreaterole FROM pg_catalog.pg_roles WHERE pg_has_role(current_user, oid, 'MEMBER')
), ours AS (
    SELECT class.oid, class.relname, class.relowner FROM pg_catalog.pg_class AS class
    WHERE class.relnamespace = 'countermark_log'::regnamespace AND class.relkind IN ('r', 'p')
)
SELECT 1 AS rank, '' AS relation FROM may_become WHERE rolsuper
UNION SELECT 2, '' FROM may_become WHERE rolcreaterole
UNION SELECT 3, '' FROM may_become WHERE rolname IN ('pg_execute_server_program', 'pg_write_server_files')
UNION SELECT 4, '' FROM may_become WHERE oid IN (SELECT relowner FROM ours)
    OR oid IN (SELECT nspowner FROM pg_catalog.pg_namespace WHERE nspname = 'countermark_log')
    OR oid IN (SELECT datdba FROM pg_catalog.pg_database WHERE datname = current_database())
UNION SELECT 5, '' FROM may_become WHERE has_schema_privilege(oid, 'countermark_log', 'CREATE')
UNION SELECT 6, relname::text FROM may_become CROSS JOIN ours
    WHERE relname NOT IN ('partial_tile', 'publication', 'log') AND (
        has_table_privilege(may_become.oid, ours.oid, 'UPDATE')
        OR has_any_column_privilege(may_become.oid, ours.oid, 'UPDATE'))
UNION SELECT 6, relname::text FROM may_become CROSS JOIN ours
    WHERE relname <> 'partial_tile' AND has_table_privilege(may_become.oid, ours.oid, 'DELETE')
UNION SELECT 6, relname::text FROM may_become CROSS JOIN ours
    WHERE has_table_privilege(may_become.oid, ours.oid, 'TRUNCATE')
        OR has_table_privilege(may_become.oid, ours.oid, 'TRIGGER')
UNION SELECT 6, relname::text FROM may_become CROSS JOIN ours
    WHERE relname = '_sqlx_migrations' AND has_table_privilege(may_become.oid, ours.oid, 'INSERT')
UNION SELECT 6, 'log' FROM may_become
    WHERE has_column_privilege(oid, 'countermark_log.log', 'origin', 'UPDATE')
        OR has_column_privilege(oid, 'countermark_log.log', 'kind', 'UPDATE')
        OR has_column_privilege(oid, 'countermark_log.log', 'created_size', 'UPDATE')
UNION SELECT 6, 'publication' FROM may_become
    WHERE has_column_privilege(oid, 'countermark_log.publication', 'log_id', 'UPDATE')
        OR has_column_privilege(oid, 'countermark_log.publication', 'size', 'UPDATE')
ORDER BY 1, 2 LIMIT 1";

/// The worst thing that the user of this connection could do, if there is any.
pub(super) async fn worst(connection: &mut PgConnection) -> Result<Option<Power>, sqlx::Error> {
    let row: Option<(i32, String)> = sqlx::query_as(POWERS).fetch_optional(connection).await?;
    Ok(row.map(|(rank, table)| match rank {
        1 => Power::Superuser,
        2 => Power::CreateRole,
        3 => Power::ServerFiles,
        4 => Power::Owner,
        5 => Power::CreateInSchema,
        _ => Power::Change { table },
    }))
}

/// Whether the user has what a service needs.
pub(super) async fn is_service(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1 AND pg_has_role(current_user, oid, 'USAGE'))",
    )
    .bind(super::SERVICE_ROLE)
    .fetch_one(connection)
    .await
}
