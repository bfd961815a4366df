//! Making a new database file so that a crash at any moment leaves either the whole file or none.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteJournalMode;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use tempfile::TempPath;

use crate::open::{OpenError, migrate, migrating_options, sql_at};
use crate::{Database, embedded};

/// The files that SQLite keeps beside a database.
const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Makes the database at `path`; the file appears there complete or not at all.
///
/// File operations block the calling task: this runs once in the life of a service.
pub(crate) async fn create(path: &Path, database: Database) -> Result<(), OpenError> {
    refuse_occupied(path, database)?;
    let io_at = |source| OpenError::Io { path: path.to_owned(), source };
    // 1. An empty file, mode 0600, under a name that nothing ever opens. A crash from here to step 4
    //    leaves a `.<name>.<random>.creating` behind, which may be deleted.
    let draft = draft_beside(path).map_err(io_at)?;
    // 2. Marker and schema in one transaction, with a rollback journal: a write-ahead log would be a
    //    second file that the rename in step 4 cannot take along.
    let mut connection =
        migrating_options(&draft).journal_mode(SqliteJournalMode::Delete).connect().await.map_err(sql_at(path))?;
    write_schema(&mut connection, path, database).await?;
    connection.close().await.map_err(sql_at(path))?;
    // 3. The content is on the disk before the name is.
    File::open(&draft).and_then(|file| file.sync_all()).map_err(io_at)?;
    // 4. The commit point: the name, unless somebody else took it meanwhile.
    draft.persist_noclobber(path).map_err(|refused| {
        if refused.error.kind() == io::ErrorKind::AlreadyExists {
            OpenError::AlreadyExists { path: path.to_owned(), database }
        } else {
            io_at(refused.error)
        }
    })?;
    // 5. The name is on the disk. A crash before this may lose the file as a whole, before anybody
    //    was told that it exists.
    File::open(folder_of(path)).and_then(|folder| folder.sync_all()).map_err(io_at)
}

async fn write_schema(connection: &mut SqliteConnection, path: &Path, database: Database) -> Result<(), OpenError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(sql_at(path))?;
    // Safe: a number of ours; SQLite takes no bound value here.
    let mark = AssertSqlSafe(format!("PRAGMA application_id = {}", database.application_id()));
    sqlx::query(mark).execute(&mut *transaction).await.map_err(sql_at(path))?;
    migrate(&mut transaction, &embedded::migrator(database), path).await?;
    transaction.commit().await.map_err(sql_at(path))
}

/// Refuses a path where the file, or a journal of a file that was there, stands.
///
/// A journal without its database means that the database was lost, and SQLite could replay it into
/// the new file.
fn refuse_occupied(path: &Path, database: Database) -> Result<(), OpenError> {
    if exists(path)? {
        return Err(OpenError::AlreadyExists { path: path.to_owned(), database });
    }
    for sidecar in SIDECARS.map(|suffix| with_suffix(path, suffix)) {
        if exists(&sidecar)? {
            return Err(OpenError::JournalWithoutDatabase { path: sidecar });
        }
    }
    Ok(())
}

fn exists(path: &Path) -> Result<bool, OpenError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(OpenError::Io { path: path.to_owned(), source }),
    }
}

/// A new empty file in the folder of `path`; it is deleted unless it gets its name.
///
/// The descriptor is closed at once: closing it later would drop the locks that SQLite holds on the file.
fn draft_beside(path: &Path) -> io::Result<TempPath> {
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".");
    tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".creating")
        .tempfile_in(folder_of(path))
        .map(tempfile::NamedTempFile::into_temp_path)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
