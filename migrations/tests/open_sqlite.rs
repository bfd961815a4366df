//! Opening and creating: every refusal by name, and the settings of what is opened.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use countermark_migrations::{Database, Open, OpenError, open_sqlite};
use sqlx::{ConnectOptions, SqlitePool};
use tempfile::TempDir;

const ALL: [Database; 3] = [Database::Log, Database::Witness, Database::Countersigner];

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    (folder, path)
}

async fn create(path: &Path, database: Database) {
    let pool = open_sqlite(path, database, Open::CreateNew).await.unwrap();
    pool.close().await;
}

async fn execute(path: &Path, sql: &'static str) {
    let pool = open_sqlite(path, Database::Witness, Open::Existing).await.unwrap();
    sqlx::query(sql).execute(&pool).await.unwrap();
    pool.close().await;
}

async fn refusal(path: &Path, database: Database, open: Open) -> OpenError {
    open_sqlite(path, database, open).await.unwrap_err()
}

fn names_in(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn pragma(pool: &SqlitePool, sql: &'static str) -> String {
    sqlx::query_scalar::<_, String>(sql).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn a_created_database_opens_again_and_carries_its_marker() {
    for database in ALL {
        let (folder, path) = folder();
        create(&path, database).await;
        assert_eq!(names_in(&folder), ["state.sqlite"], "{database}");
        let header = fs::read(&path).unwrap();
        assert_eq!(header[68..72], database.application_id().to_be_bytes(), "{database}");
        let pool = open_sqlite(&path, database, Open::Existing).await.unwrap();
        pool.close().await;
    }
}

#[tokio::test]
async fn a_created_database_is_readable_by_its_owner_alone() {
    let (_folder, path) = folder();
    let pool = open_sqlite(&path, Database::Witness, Open::CreateNew).await.unwrap();
    sqlx::query("PRAGMA user_version = 7").execute(&pool).await.unwrap();
    for file in ["state.sqlite", "state.sqlite-wal"] {
        let mode = fs::metadata(path.with_file_name(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    pool.close().await;
}

#[tokio::test]
async fn every_connection_writes_through_with_foreign_keys_and_a_busy_timeout() {
    let (_folder, path) = folder();
    let pool = open_sqlite(&path, Database::Witness, Open::CreateNew).await.unwrap();
    let cases = [
        ("SELECT journal_mode FROM pragma_journal_mode", "wal"),
        ("SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous", "2"),
        ("SELECT CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys", "1"),
        ("SELECT CAST(timeout AS TEXT) FROM pragma_busy_timeout", "5000"),
    ];
    for (sql, expect) in cases {
        assert_eq!(pragma(&pool, sql).await, expect, "{sql}");
    }
    pool.close().await;
}

#[tokio::test]
async fn a_missing_file_is_never_opened_as_a_new_one() {
    let (folder, path) = folder();
    let error = refusal(&path, Database::Witness, Open::Existing).await;
    assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");
    assert_eq!(names_in(&folder), [""; 0]);
}

#[tokio::test]
async fn a_new_file_never_replaces_an_existing_one() {
    let (_folder, path) = folder();
    create(&path, Database::Witness).await;
    let before = fs::read(&path).unwrap();
    let error = refusal(&path, Database::Witness, Open::CreateNew).await;
    assert!(matches!(error, OpenError::AlreadyExists { .. }), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_dangling_link_counts_as_an_existing_file() {
    let (_folder, path) = folder();
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    let error = refusal(&path, Database::Witness, Open::CreateNew).await;
    assert!(matches!(error, OpenError::AlreadyExists { .. }), "{error:?}");
    let error = refusal(&path, Database::Witness, Open::Existing).await;
    assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");
}

#[tokio::test]
async fn a_journal_without_its_database_forbids_a_new_one() {
    for suffix in ["-wal", "-shm", "-journal"] {
        let (_folder, path) = folder();
        let journal = path.with_file_name(format!("state.sqlite{suffix}"));
        fs::write(&journal, b"").unwrap();
        let error = refusal(&path, Database::Witness, Open::CreateNew).await;
        let OpenError::JournalWithoutDatabase { path: named } = error else {
            panic!("{error:?}");
        };
        assert_eq!(named, journal);
    }
}

#[tokio::test]
async fn what_a_crash_leaves_is_neither_opened_nor_in_the_way() {
    let (_folder, path) = folder();
    let draft = path.with_file_name(".state.sqlite.abcdef.creating");
    fs::write(&draft, b"half").unwrap();
    let error = refusal(&path, Database::Witness, Open::Existing).await;
    assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");
    create(&path, Database::Witness).await;
    assert_eq!(fs::read(&draft).unwrap(), b"half");
}

#[tokio::test]
async fn of_several_creators_exactly_one_wins() {
    let (folder, path) = folder();
    let creators: Vec<_> = (0..4)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { open_sqlite(&path, Database::Log, Open::CreateNew).await })
        })
        .collect();
    let mut winners = 0;
    for creator in creators {
        match creator.await.unwrap() {
            Ok(pool) => {
                winners += 1;
                pool.close().await;
            }
            Err(error) => assert!(
                matches!(error, OpenError::AlreadyExists { .. } | OpenError::JournalWithoutDatabase { .. }),
                "{error:?}"
            ),
        }
    }
    assert_eq!(winners, 1);
    assert_eq!(names_in(&folder), ["state.sqlite"]);
}

#[tokio::test]
async fn several_openers_of_one_file_all_succeed() {
    let (_folder, path) = folder();
    create(&path, Database::Witness).await;
    let openers: Vec<_> = (0..4)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { open_sqlite(&path, Database::Witness, Open::Existing).await })
        })
        .collect();
    for opener in openers {
        opener.await.unwrap().unwrap().close().await;
    }
}

#[tokio::test]
async fn a_file_of_another_service_is_refused_by_name() {
    for made in ALL {
        for asked in ALL.into_iter().filter(|asked| *asked != made) {
            let (_folder, path) = folder();
            create(&path, made).await;
            let error = refusal(&path, asked, Open::Existing).await;
            let OpenError::OtherService { expected, found, .. } = &error else {
                panic!("{error:?}");
            };
            assert_eq!((*expected, *found), (asked, made));
            assert!(error.to_string().contains(&made.to_string()), "{error}");
        }
    }
}

#[tokio::test]
async fn an_empty_file_is_refused_and_left_empty() {
    let (folder, path) = folder();
    fs::write(&path, b"").unwrap();
    let error = refusal(&path, Database::Witness, Open::Existing).await;
    assert!(matches!(error, OpenError::Unmarked { found: 0, .. }), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), b"");
    assert_eq!(names_in(&folder), ["state.sqlite"]);
}

#[tokio::test]
async fn another_programs_database_is_refused_and_not_changed() {
    let (_folder, path) = folder();
    let mut connection =
        sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.unwrap();
    sqlx::raw_sql("PRAGMA application_id = 7; CREATE TABLE mine (a);").execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let before = fs::read(&path).unwrap();
    let error = refusal(&path, Database::Witness, Open::Existing).await;
    assert!(matches!(error, OpenError::Unmarked { found: 7, .. }), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let (_folder, path) = folder();
    fs::write(&path, "not a database, but long enough to be one\n".repeat(40)).unwrap();
    let error = refusal(&path, Database::Witness, Open::Existing).await;
    assert!(matches!(error, OpenError::NotADatabase { .. }), "{error:?}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_its_version() {
    let (_folder, path) = folder();
    create(&path, Database::Witness).await;
    execute(
        &path,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'of the future', TRUE, x'00', 0)",
    )
    .await;
    let error = refusal(&path, Database::Witness, Open::Existing).await;
    let OpenError::NewerSchema { found, known, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(found, 9999);
    assert!((1..9999).contains(&known), "{known}");
}

#[tokio::test]
async fn an_edited_migration_is_refused() {
    let (_folder, path) = folder();
    create(&path, Database::Witness).await;
    execute(&path, "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1").await;
    let error = refusal(&path, Database::Witness, Open::Existing).await;
    assert!(matches!(error, OpenError::OtherMigration { version: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn a_migration_that_does_not_fit_changes_nothing() {
    let (_folder, path) = folder();
    create(&path, Database::Witness).await;
    // The table is there but no longer recorded, so that the first migration is tried again and fails.
    execute(&path, "DELETE FROM _sqlx_migrations").await;
    let error = refusal(&path, Database::Witness, Open::Existing).await;
    assert!(matches!(error, OpenError::Migrate { .. }), "{error:?}");
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let applied: i64 =
        sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(&mut connection).await.unwrap();
    assert_eq!(applied, 0);
}

#[tokio::test]
async fn a_folder_that_is_missing_is_a_fault_not_an_empty_state() {
    let (_folder, path) = folder();
    let path = path.with_file_name("nowhere").join("state.sqlite");
    let error = refusal(&path, Database::Witness, Open::CreateNew).await;
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
    let error = refusal(&path, Database::Witness, Open::Existing).await;
    assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");
}

#[tokio::test]
async fn a_path_that_cannot_be_looked_at_is_a_fault_not_a_missing_file() {
    let (_folder, path) = folder();
    fs::write(&path, b"a file where a folder is meant").unwrap();
    let below = path.join("state.sqlite");
    for open in [Open::CreateNew, Open::Existing] {
        let error = refusal(&below, Database::Witness, open).await;
        assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_transaction_that_sqlite_rolled_back_by_itself_blocks_no_later_one() {
    let (_folder, path) = folder();
    create(&path, Database::Witness).await;
    let pool = open_sqlite(&path, Database::Witness, Open::Existing).await.unwrap();
    // More often than there are connections.
    for _ in 0..20 {
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        // As SQLite does where the disk is full.
        sqlx::raw_sql("ROLLBACK").execute(&mut *transaction).await.unwrap();
    }
    pool.begin_with("BEGIN IMMEDIATE").await.unwrap().commit().await.unwrap();
}
