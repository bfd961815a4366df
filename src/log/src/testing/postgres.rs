//! A log's database on a PostgreSQL server of the test's own, made by its owner and opened by its service.

use std::time::Duration;

use countermark_migrations::postgres::{Deadlines, PostgresUrl, migrate, open};
use countermark_tests::postgres::{PostgresServer, SUPERUSER};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::store::postgres::PostgresStore;

const DATABASE: &str = "countermark";

/// Long enough for a busy machine; a test that expects a deadline sets its own.
const PATIENT: Deadlines =
    Deadlines { lock: Duration::from_secs(20), statement: Duration::from_secs(25), call: Duration::from_secs(30) };

pub(crate) struct TestPostgres {
    pub(crate) server: PostgresServer,
}

impl TestPostgres {
    /// A server with an owner and a service, and an empty database of the owner.
    pub(crate) async fn empty() -> Self {
        let made = Self { server: PostgresServer::start() };
        for sql in [
            "CREATE ROLE countermark_log_service NOLOGIN",
            "CREATE ROLE owner LOGIN",
            "CREATE ROLE service LOGIN IN ROLE countermark_log_service",
            "CREATE DATABASE countermark OWNER owner",
        ] {
            made.execute(SUPERUSER, "postgres", sql).await.unwrap();
        }
        made
    }

    /// The same, migrated.
    pub(crate) async fn migrated() -> Self {
        let made = Self::empty().await;
        migrate(&PostgresUrl::parse(&made.url("owner")).unwrap()).await.unwrap();
        made
    }

    /// The URL of the database for a user, over the socket.
    pub(crate) fn url(&self, user: &str) -> String {
        self.server.url(user, DATABASE)
    }

    /// Opens the store as the service.
    pub(crate) async fn store(&self) -> PostgresStore {
        self.store_with(PATIENT).await
    }

    pub(crate) async fn store_with(&self, deadlines: Deadlines) -> PostgresStore {
        PostgresStore::new(open(&PostgresUrl::parse(&self.url("service")).unwrap(), deadlines).await.unwrap())
    }

    /// Makes another database with the schema. Nobody may be using the first one.
    pub(crate) async fn copy(&self, name: &str) {
        let sql = format!("CREATE DATABASE {name} TEMPLATE {DATABASE} OWNER owner");
        self.execute(SUPERUSER, "postgres", &sql).await.unwrap();
    }

    /// Opens the store of a database of [`TestPostgres::copy`] as the service.
    pub(crate) async fn store_of_copy(&self, name: &str) -> PostgresStore {
        let url = self.server.url("service", name);
        PostgresStore::new(open(&PostgresUrl::parse(&url).unwrap(), PATIENT).await.unwrap())
    }

    /// A connection of the program's own kind, for what a store does not do.
    pub(crate) async fn connect(&self, user: &str) -> PgConnection {
        PgConnection::connect(&self.url(user)).await.unwrap()
    }

    /// Executes a statement in the log's database.
    pub(crate) async fn sql(&self, user: &str, sql: &str) -> Result<(), sqlx::Error> {
        self.execute(user, DATABASE, sql).await
    }

    async fn execute(&self, user: &str, database: &str, sql: &str) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect(&self.server.url(user, database)).await.unwrap();
        let done = connection.execute(AssertSqlSafe(sql.to_owned())).await.map(|_| ());
        connection.close().await.unwrap();
        done
    }
}
