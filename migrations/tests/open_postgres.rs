//! Migrating and opening PostgreSQL: every refusal by name, on a real server, and what a service cannot do.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use countermark_migrations::postgres::{
    Deadlines, MigratePostgresError, Migrated, OpenPostgresError, PostgresDatabase, PostgresUrl, Power, Weakness,
    migrate, open,
};
use countermark_tests::postgres::{PostgresServer, SUPERUSER};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

const DATABASE: &str = "countermark";

/// A server with an owner, a service and an empty database of the owner.
struct Cluster {
    server: PostgresServer,
}

impl Cluster {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(settings: &[&str]) -> Self {
        let cluster = Self { server: PostgresServer::start_with(settings) };
        cluster.execute(SUPERUSER, "postgres", "CREATE ROLE owner LOGIN CREATEROLE").await;
        cluster.execute(SUPERUSER, "postgres", "CREATE DATABASE countermark OWNER owner").await;
        cluster
    }

    /// A cluster whose database was migrated, and whose service is a member of the service role.
    async fn migrated() -> Self {
        let cluster = Self::new().await;
        cluster.migrate().await.unwrap();
        cluster.make_service().await;
        cluster
    }

    async fn make_service(&self) {
        self.execute(SUPERUSER, DATABASE, "CREATE ROLE service LOGIN IN ROLE countermark_log_service").await;
    }

    fn url(&self, user: &str) -> PostgresUrl {
        PostgresUrl::parse(&self.server.url(user, DATABASE)).unwrap()
    }

    async fn migrate(&self) -> Result<Migrated, MigratePostgresError> {
        migrate(&self.url("owner")).await
    }

    async fn open(&self) -> Result<PostgresDatabase, OpenPostgresError> {
        open(&self.url("service"), Deadlines::default()).await
    }

    async fn refusal(&self) -> OpenPostgresError {
        self.open().await.unwrap_err()
    }

    async fn execute(&self, user: &str, database: &str, sql: &str) {
        self.try_execute(user, database, sql).await.unwrap();
    }

    async fn try_execute(&self, user: &str, database: &str, sql: &str) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect(&self.server.url(user, database)).await.unwrap();
        let done = connection.execute(AssertSqlSafe(sql.to_owned())).await.map(|_| ());
        connection.close().await.unwrap();
        done
    }
}

/// The version of the schema that this release knows.
const NEWEST: i64 = 2;

#[tokio::test]
async fn a_migrated_database_opens_and_migrating_again_changes_nothing() {
    let cluster = Cluster::new().await;
    assert_eq!(cluster.migrate().await.unwrap(), Migrated { from: 0, to: NEWEST });
    assert_eq!(cluster.migrate().await.unwrap(), Migrated { from: NEWEST, to: NEWEST });
    cluster.make_service().await;
    let database = cluster.open().await.unwrap();
    assert_eq!(database.weaknesses, []);
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM countermark_log.log").fetch_one(&database.reads).await.unwrap();
    assert_eq!(count, 0);
}

#[tokio::test]
async fn owners_that_migrate_at_once_take_turns() {
    let cluster = Cluster::new().await;
    let (one, other) = tokio::join!(cluster.migrate(), cluster.migrate());
    let mut from = [one.unwrap().from, other.unwrap().from];
    from.sort_unstable();
    assert_eq!(from, [0, NEWEST]);
}

#[tokio::test]
async fn an_owner_that_may_not_make_roles_migrates_where_the_role_is_there() {
    let cluster = Cluster::new().await;
    cluster.execute(SUPERUSER, DATABASE, "ALTER ROLE owner NOCREATEROLE").await;
    let refused = cluster.migrate().await.unwrap_err();
    assert!(matches!(refused, MigratePostgresError::Migrate { .. }), "{refused}");
    assert!(matches!(cluster.open_as(SUPERUSER).await, Err(OpenPostgresError::Missing { .. })), "nothing was kept");
    cluster.execute(SUPERUSER, DATABASE, "CREATE ROLE countermark_log_service NOLOGIN").await;
    cluster.migrate().await.unwrap();
}

impl Cluster {
    async fn open_as(&self, user: &str) -> Result<PostgresDatabase, OpenPostgresError> {
        open(&self.url(user), Deadlines::default()).await
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_ours_is_refused_by_name() {
    let cluster = Cluster::new().await;
    cluster.execute(SUPERUSER, DATABASE, "CREATE ROLE service LOGIN").await;
    assert!(matches!(cluster.refusal().await, OpenPostgresError::Missing { .. }));
    cluster.migrate().await.unwrap();
    assert!(matches!(cluster.refusal().await, OpenPostgresError::NotAService { .. }));
    cluster.execute(SUPERUSER, DATABASE, "GRANT countermark_log_service TO service").await;
    cluster.open().await.unwrap();
    let unreachable = open(&cluster.url("nobody_of_this_name"), Deadlines::default()).await.unwrap_err();
    assert!(matches!(unreachable, OpenPostgresError::Sql { .. }), "{unreachable}");
    assert!(unreachable.to_string().contains("database countermark"), "{unreachable}");
}

#[tokio::test]
async fn another_schema_version_is_refused_by_name() {
    const TABLE: &str = "countermark_log._sqlx_migrations";
    let cluster = Cluster::migrated().await;
    let newer = format!("INSERT INTO {TABLE} VALUES (3, 'later', now(), true, '\\x00', 0)");
    cluster.execute("owner", DATABASE, &newer).await;
    assert!(matches!(cluster.refusal().await, OpenPostgresError::NewerSchema { found: 3, known: NEWEST, .. }));
    let refused = cluster.migrate().await.unwrap_err();
    assert!(matches!(refused, MigratePostgresError::NewerSchema { found: 3, known: NEWEST, .. }), "{refused}");
    cluster.execute("owner", DATABASE, &format!("DELETE FROM {TABLE} WHERE version = 3")).await;
    cluster.execute("owner", DATABASE, &format!("UPDATE {TABLE} SET checksum = '\\x00'")).await;
    assert!(matches!(cluster.refusal().await, OpenPostgresError::OtherMigration { version: 1, .. }));
    let refused = cluster.migrate().await.unwrap_err();
    assert!(matches!(refused, MigratePostgresError::OtherMigration { version: 1, .. }), "{refused}");
    cluster.execute("owner", DATABASE, &format!("DELETE FROM {TABLE}")).await;
    assert!(matches!(cluster.refusal().await, OpenPostgresError::OlderSchema { found: 0, known: NEWEST, .. }));
}

#[tokio::test]
async fn a_user_that_could_undo_what_was_signed_is_refused_by_what_it_could_do() {
    let change = |table: &str| Power::Change { table: table.to_owned() };
    let cases = [
        ("ALTER ROLE service SUPERUSER", "ALTER ROLE service NOSUPERUSER", Power::Superuser),
        ("ALTER ROLE service CREATEROLE", "ALTER ROLE service NOCREATEROLE", Power::CreateRole),
        ("GRANT pg_write_server_files TO service", "REVOKE pg_write_server_files FROM service", Power::ServerFiles),
        ("GRANT pg_write_all_data TO service", "REVOKE pg_write_all_data FROM service", change("_sqlx_migrations")),
        (
            "ALTER TABLE countermark_log.entry OWNER TO service",
            "ALTER TABLE countermark_log.entry OWNER TO owner; \
             GRANT SELECT, INSERT ON countermark_log.entry TO countermark_log_service",
            Power::Owner,
        ),
        (
            "GRANT CREATE ON SCHEMA countermark_log TO service",
            "REVOKE CREATE ON SCHEMA countermark_log FROM service",
            Power::CreateInSchema,
        ),
    ];
    let cluster = Cluster::migrated().await;
    for (give, take, expect) in cases {
        cluster.execute(SUPERUSER, DATABASE, give).await;
        match cluster.refusal().await {
            OpenPostgresError::TooPowerful { power, .. } => assert_eq!(power, expect, "{give}"),
            other => panic!("{give}: {other}"),
        }
        cluster.execute(SUPERUSER, DATABASE, take).await;
    }
    for table in ["entry", "entry_key", "full_tile", "signed_head", "log", "publication"] {
        for right in ["UPDATE", "DELETE", "TRUNCATE", "TRIGGER"] {
            // A column of a table is enough.
            let right = if right == "UPDATE" && table != "log" { "UPDATE (log_id)" } else { right };
            cluster.execute(SUPERUSER, DATABASE, &format!("GRANT {right} ON countermark_log.{table} TO service")).await;
            match cluster.refusal().await {
                OpenPostgresError::TooPowerful { power, .. } => assert_eq!(power, change(table), "{right}"),
                other => panic!("{right} on {table}: {other}"),
            }
            cluster
                .execute(SUPERUSER, DATABASE, &format!("REVOKE {right} ON countermark_log.{table} FROM service"))
                .await;
        }
    }
    cluster.open().await.unwrap();
}

#[tokio::test]
async fn a_role_that_the_user_could_become_counts_as_the_user() {
    let cluster = Cluster::migrated().await;
    cluster.execute(SUPERUSER, DATABASE, "CREATE ROLE editor; GRANT DELETE ON countermark_log.entry TO editor").await;
    // It does not inherit the right: it would have to take the role on.
    cluster.execute(SUPERUSER, DATABASE, "CREATE ROLE sly LOGIN NOINHERIT; GRANT editor TO sly").await;
    cluster.execute(SUPERUSER, DATABASE, "GRANT sly TO service").await;
    match cluster.refusal().await {
        OpenPostgresError::TooPowerful { power, .. } => assert_eq!(power, Power::Change { table: "entry".to_owned() }),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_server_that_acknowledges_what_it_may_lose_is_refused_or_told() {
    let cluster = Cluster::with(&["fsync=off", "full_page_writes=off"]).await;
    cluster.migrate().await.unwrap();
    cluster.make_service().await;
    let database = cluster.open().await.unwrap();
    assert_eq!(database.weaknesses, [Weakness::FsyncOff, Weakness::FullPageWritesOff]);
    cluster.execute(SUPERUSER, DATABASE, "ALTER ROLE service SET synchronous_commit = off").await;
    assert!(matches!(cluster.refusal().await, OpenPostgresError::Asynchronous { .. }));
    // A database that is open stays as it was opened, also over new connections.
    let setting: String = sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&database.writes).await.unwrap();
    assert_eq!(setting, "on");
}

#[tokio::test]
async fn a_service_can_neither_change_nor_forget_what_a_signed_head_commits_to() {
    let cluster = Cluster::migrated().await;
    let database = cluster.open().await.unwrap();
    for table in ["entry", "entry_key", "full_tile", "signed_head", "log", "publication", "_sqlx_migrations"] {
        let mut statements = vec![
            format!("DELETE FROM countermark_log.{table}"),
            format!("TRUNCATE countermark_log.{table} CASCADE"),
            format!("DROP TABLE countermark_log.{table} CASCADE"),
            format!("ALTER TABLE countermark_log.{table} DISABLE TRIGGER ALL"),
            format!("ALTER TABLE countermark_log.{table} ADD COLUMN more text"),
        ];
        if !matches!(table, "log" | "publication" | "_sqlx_migrations") {
            statements.push(format!("UPDATE countermark_log.{table} SET log_id = log_id"));
        }
        for statement in statements {
            let refused = sqlx::query(AssertSqlSafe(statement.clone())).execute(&database.writes).await.unwrap_err();
            let code = refused.as_database_error().and_then(sqlx::error::DatabaseError::code).map(String::from);
            // insufficient_privilege
            assert_eq!(code.as_deref(), Some("42501"), "{statement}: {refused}");
        }
    }
    for statement in [
        "UPDATE countermark_log.log SET origin = 'other'",
        "UPDATE countermark_log.log SET created_size = 0",
        "UPDATE countermark_log.log SET kind = 'raw'",
        "UPDATE countermark_log._sqlx_migrations SET version = 9",
        "INSERT INTO countermark_log._sqlx_migrations SELECT * FROM countermark_log._sqlx_migrations",
        "CREATE TABLE countermark_log.more (number int)",
        "DROP SCHEMA countermark_log CASCADE",
        "SET session_replication_role = replica",
    ] {
        let refused = sqlx::query(statement).execute(&database.writes).await.unwrap_err();
        let code = refused.as_database_error().and_then(sqlx::error::DatabaseError::code).map(String::from);
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {refused}");
    }
}
