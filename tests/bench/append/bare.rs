//! The same store without a log: the same bytes into one SQLite table with one key, in batches, each durable.

use std::path::Path;
use std::time::Instant;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, QueryBuilder, Sqlite};

/// Entries of one transaction.
const BATCH: u64 = 2_048;
/// Rows of one statement.
const ROWS: u64 = 256;

/// Entries per second.
pub fn insert(path: &Path, entries: u64, size: usize) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql("CREATE TABLE entry (entry_id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT")
            .execute(&mut connection)
            .await
            .unwrap();
        let begun = Instant::now();
        let mut done = 0;
        while done < entries {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
            let end = (done + BATCH).min(entries);
            while done < end {
                let rows = done..(done + ROWS).min(end);
                done = rows.end;
                let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO entry (entry_id, bytes) ");
                query.push_values(rows, |mut row, number| {
                    let mut bytes = format!("bare {number} ").into_bytes();
                    bytes.resize(size, b'.');
                    row.push_bind(i64::try_from(number).unwrap()).push_bind(bytes);
                });
                query.build().execute(&mut *transaction).await.unwrap();
            }
            transaction.commit().await.unwrap();
        }
        f64::from(u32::try_from(entries).unwrap()) / begun.elapsed().as_secs_f64()
    })
}
