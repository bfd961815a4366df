//! The state in SQLite: one row per log, changed by compare-and-swap.
//!
//! The tables, and triggers that refuse a head that goes back, are in `migrations/sqlite/witness`.

use countermark_tlog::checkpoint::Origin;
use countermark_tlog::hash::{Hash, RootHash};
use countermark_tlog::size::TreeSize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

mod forks;

use crate::ports::{CosignedHead, HeadId, HeadState, HeadStore, StoreError, Swap, UnixSeconds};

/// The heads of a witness in its state file.
pub struct SqliteHeads {
    pool: SqlitePool,
}

impl SqliteHeads {
    /// Takes an open state file.
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool }
    }
}

impl HeadStore for SqliteHeads {
    async fn read(&self, origin: &Origin) -> Result<HeadState, StoreError> {
        let row = sqlx::query("SELECT size, root, cosigned_at, checkpoint, cosignatures FROM head WHERE origin = ?")
            .bind(origin.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(read_error)?;
        match row {
            None => Ok(HeadState::NeverCosigned),
            Some(row) => head_in(&row, origin).map(HeadState::Cosigned),
        }
    }

    async fn swap(&self, origin: &Origin, expected: Option<HeadId>, new: &CosignedHead) -> Result<Swap, StoreError> {
        // IMMEDIATE takes the one write lock before it looks: no other writer, of this process or of
        // another, comes between the comparison and the commit. It is rolled back if it is dropped.
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(write_error)?;
        let swap = match expected {
            None => insert(&mut transaction, origin, new).await,
            Some(expected) => update(&mut transaction, origin, expected, new).await,
        }
        .map_err(write_error)?;
        match swap {
            Swap::Stored if expected != Some(new.id) => {
                remember(&mut transaction, origin, new).await.map_err(write_error)?;
            }
            Swap::Stored | Swap::NewerKept | Swap::Lost => {}
        }
        // Also where nothing changed: "lost" is told only of what is durable.
        transaction.commit().await.map_err(write_error)?;
        Ok(swap)
    }
}

async fn insert(connection: &mut SqliteConnection, origin: &Origin, new: &CosignedHead) -> Result<Swap, sqlx::Error> {
    let inserted = sqlx::query(
        "INSERT INTO head (origin, size, root, cosigned_at, checkpoint, cosignatures)
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (origin) DO NOTHING",
    )
    .bind(origin.as_str())
    .bind(column(new.id.size.get()))
    .bind(new.id.root.0.as_bytes().as_slice())
    .bind(column(new.cosigned_at.get()))
    .bind(new.checkpoint.as_slice())
    .bind(new.cosignatures.as_bytes())
    .execute(connection)
    .await?;
    Ok(match inserted.rows_affected() {
        0 => Swap::Lost,
        _one => Swap::Stored,
    })
}

async fn update(
    connection: &mut SqliteConnection,
    origin: &Origin,
    expected: HeadId,
    new: &CosignedHead,
) -> Result<Swap, sqlx::Error> {
    let updated = sqlx::query(
        "UPDATE head SET size = ?, root = ?, cosigned_at = ?, checkpoint = ?, cosignatures = ?
         WHERE origin = ? AND size = ? AND root = ? AND cosigned_at <= ?",
    )
    .bind(column(new.id.size.get()))
    .bind(new.id.root.0.as_bytes().as_slice())
    .bind(column(new.cosigned_at.get()))
    .bind(new.checkpoint.as_slice())
    .bind(new.cosignatures.as_bytes())
    .bind(origin.as_str())
    .bind(column(expected.size.get()))
    .bind(expected.root.0.as_bytes().as_slice())
    .bind(column(new.cosigned_at.get()))
    .execute(&mut *connection)
    .await?;
    if updated.rows_affected() > 0 {
        return Ok(Swap::Stored);
    }
    // Nothing was renewed. If the head is there all the same, a renewal with a later time was faster.
    let same_head_is_stored: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM head WHERE origin = ? AND size = ? AND root = ?)")
            .bind(origin.as_str())
            .bind(column(new.id.size.get()))
            .bind(new.id.root.0.as_bytes().as_slice())
            .fetch_one(connection)
            .await?;
    Ok(if expected == new.id && same_head_is_stored { Swap::NewerKept } else { Swap::Lost })
}

/// Adds a head to those ever cosigned. A second root for one size violates the primary key.
async fn remember(connection: &mut SqliteConnection, origin: &Origin, new: &CosignedHead) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO cosigned_head (origin, size, root, first_cosigned_at, checkpoint)
         VALUES (?, ?, ?, ?, ?)",
    )
    .bind(origin.as_str())
    .bind(column(new.id.size.get()))
    .bind(new.id.root.0.as_bytes().as_slice())
    .bind(column(new.cosigned_at.get()))
    .bind(new.checkpoint.as_slice())
    .execute(connection)
    .await
    .map(drop)
}

fn head_in(row: &SqliteRow, origin: &Origin) -> Result<CosignedHead, StoreError> {
    let damaged = |column| StoreError::Damaged { origin: origin.clone(), column };
    let size: i64 = row.try_get("size").map_err(read_error)?;
    let root: &[u8] = row.try_get("root").map_err(read_error)?;
    let cosigned_at: i64 = row.try_get("cosigned_at").map_err(read_error)?;
    let checkpoint: Vec<u8> = row.try_get("checkpoint").map_err(read_error)?;
    let cosignatures: Vec<u8> = row.try_get("cosignatures").map_err(read_error)?;
    Ok(CosignedHead {
        id: HeadId {
            size: u64::try_from(size).ok().and_then(TreeSize::new).ok_or_else(|| damaged("size"))?,
            root: Hash::from_slice(root).map(RootHash).map_err(|_| damaged("root"))?,
        },
        cosigned_at: u64::try_from(cosigned_at)
            .ok()
            .and_then(UnixSeconds::new)
            .ok_or_else(|| damaged("cosigned_at"))?,
        checkpoint,
        cosignatures: String::from_utf8(cosignatures).map_err(|_| damaged("cosignatures"))?,
    })
}

/// A size or a time as SQLite's signed integer.
fn column(value: u64) -> i64 {
    i64::try_from(value).expect("TreeSize and UnixSeconds end at 2^63-1")
}

fn read_error(source: sqlx::Error) -> StoreError {
    StoreError::Read(Box::new(source))
}

fn write_error(source: sqlx::Error) -> StoreError {
    StoreError::Write(Box::new(source))
}

#[cfg(test)]
mod tests;
