//! Rows of the log's tables: how values stand in SQL, and the statements of one batch.

use std::collections::HashMap;

use countermark_bundle::identity::Digest;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::hash::{HASH_BYTES, Hash, RootHash};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::TileCoord;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqlitePool};
use thiserror::Error;

use crate::ports::{LogKind, PortFault, PortName, StoredHead};
use crate::stage::SignedBatch;

/// The bits of an `entry_id` that hold the leaf index.
const INDEX_BITS: u32 = 48;
/// Leaf indexes of one log are below this.
const INDEX_END: i64 = 1 << INDEX_BITS;
/// The rows of one statement. A fixed number is one statement that SQLite reads once.
const ROWS_MAX: usize = 256;

/// Why a stored value is not one that the program wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum ValueError {
    /// A number outside of the range that SQL and the program share.
    #[error("a stored number is out of range")]
    OutOfRange,
    /// A kind of log that this program does not know.
    #[error("a stored kind is unknown")]
    Kind,
    /// A blob of the wrong length.
    #[error("a stored hash has {found} bytes, not 32")]
    HashLength {
        /// Its length.
        found: usize,
    },
}

/// Names what failed.
pub(super) fn fault<E: std::error::Error + Send + Sync + 'static>(action: &'static str) -> impl Fn(E) -> PortFault {
    move |source| PortFault { port: PortName::Store, action, source: Box::new(source) }
}

/// SQLite's integers are signed.
pub(super) fn to_sql(number: u64, action: &'static str) -> Result<i64, PortFault> {
    i64::try_from(number).map_err(|_| fault(action)(ValueError::OutOfRange))
}

pub(super) fn from_sql(number: i64, action: &'static str) -> Result<u64, PortFault> {
    u64::try_from(number).map_err(|_| fault(action)(ValueError::OutOfRange))
}

pub(super) fn tree_size(number: i64, action: &'static str) -> Result<TreeSize, PortFault> {
    TreeSize::new(from_sql(number, action)?).ok_or_else(|| fault(action)(ValueError::OutOfRange))
}

pub(super) fn leaf_index(number: i64, action: &'static str) -> Result<LeafIndex, PortFault> {
    LeafIndex::new(from_sql(number, action)?).ok_or_else(|| fault(action)(ValueError::OutOfRange))
}

/// Where an entry stands among those of its log: `entry_id` has 48 bits for it.
pub(super) fn in_log(index: LeafIndex, action: &'static str) -> Result<i64, PortFault> {
    let index = to_sql(index.get(), action)?;
    // Past the end of a log is past its last entry, not in the next log.
    Ok(index.min(INDEX_END))
}

/// The kind of log that a word stands for.
pub(super) fn log_kind(word: &str, action: &'static str) -> Result<LogKind, PortFault> {
    LogKind::parse(word).ok_or_else(|| fault(action)(ValueError::Kind))
}

fn blob32(bytes: &[u8], action: &'static str) -> Result<[u8; 32], PortFault> {
    bytes.try_into().map_err(|_| fault(action)(ValueError::HashLength { found: bytes.len() }))
}

/// The newest signed head of a log.
pub(super) async fn newest_head(
    connection: &mut SqliteConnection,
    log_id: i64,
    action: &'static str,
) -> Result<StoredHead, PortFault> {
    let (size, root, checkpoint): (i64, Vec<u8>, Vec<u8>) =
        sqlx::query_as("SELECT size, root, checkpoint FROM signed_head WHERE log_id = ? ORDER BY size DESC LIMIT 1")
            .bind(log_id)
            .fetch_one(connection)
            .await
            .map_err(fault(action))?;
    Ok(StoredHead { size: tree_size(size, action)?, root: RootHash(Hash(blob32(&root, action)?)), checkpoint })
}

/// Entries, full tiles, right edge and head of one batch, inside the caller's transaction.
pub(super) async fn insert_batch(
    connection: &mut SqliteConnection,
    log_id: i64,
    batch: &SignedBatch,
    action: &'static str,
) -> Result<(), PortFault> {
    insert_entries(connection, log_id, batch, action).await?;
    insert_full_tiles(connection, log_id, batch, action).await?;
    replace_right_edge(connection, log_id, batch, action).await?;
    let head = batch.head();
    sqlx::query("INSERT INTO signed_head (log_id, size, root, checkpoint) VALUES (?, ?, ?, ?)")
        .bind(log_id)
        .bind(to_sql(head.size.get(), action)?)
        .bind(head.root.0.0.to_vec())
        .bind(&head.checkpoint)
        .execute(connection)
        .await
        .map_err(fault(action))?;
    Ok(())
}

async fn insert_entries(
    connection: &mut SqliteConnection,
    log_id: i64,
    batch: &SignedBatch,
    action: &'static str,
) -> Result<(), PortFault> {
    for entries in batch.entries().chunks(ROWS_MAX) {
        let mut rows = Vec::with_capacity(entries.len());
        for entry in entries {
            let index = to_sql(entry.index.get(), action)?;
            if index >= INDEX_END {
                return Err(fault(action)(ValueError::OutOfRange));
            }
            rows.push(((log_id << INDEX_BITS) + index, &entry.bytes[..]));
        }
        let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO entry (entry_id, bytes) ");
        query.push_values(rows, |mut row, (entry_id, bytes)| {
            row.push_bind(entry_id).push_bind(bytes);
        });
        let query = query.build().persistent(entries.len() == ROWS_MAX);
        query.execute(&mut *connection).await.map_err(fault(action))?;
    }
    insert_keys(connection, log_id, batch, action).await
}

/// What the entries of a batch are found by, in the order of the table: neighbours go into one page together.
async fn insert_keys(
    connection: &mut SqliteConnection,
    log_id: i64,
    batch: &SignedBatch,
    action: &'static str,
) -> Result<(), PortFault> {
    let mut keys = Vec::with_capacity(batch.entries().len());
    for entry in batch.entries() {
        let index = to_sql(entry.index.get(), action)?;
        let is_leaf_hash = entry.identity.0 == entry.leaf_hash.0.0;
        keys.push((entry.identity.0, index, true, is_leaf_hash));
        if !is_leaf_hash {
            keys.push((entry.leaf_hash.0.0, index, false, true));
        }
    }
    keys.sort_unstable();
    for keys in keys.chunks(ROWS_MAX) {
        let mut query =
            QueryBuilder::<Sqlite>::new("INSERT INTO entry_key (log_id, key, leaf_index, is_identity, is_leaf_hash) ");
        query.push_values(keys, |mut row, (key, index, is_identity, is_leaf_hash)| {
            row.push_bind(log_id)
                .push_bind(&key[..])
                .push_bind(*index)
                .push_bind(*is_identity)
                .push_bind(*is_leaf_hash);
        });
        let query = query.build().persistent(keys.len() == ROWS_MAX);
        query.execute(&mut *connection).await.map_err(fault(action))?;
    }
    Ok(())
}

async fn insert_full_tiles(
    connection: &mut SqliteConnection,
    log_id: i64,
    batch: &SignedBatch,
    action: &'static str,
) -> Result<(), PortFault> {
    if batch.full_tiles().is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(batch.full_tiles().len());
    for (tile, hashes) in batch.full_tiles() {
        rows.push((i64::from(tile.level()), to_sql(tile.index(), action)?, hashes));
    }
    // A plain insert: a full tile that is there already means that somebody else wrote it, and the commit must fail.
    let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO full_tile (log_id, level, tile_index, hashes) ");
    query.push_values(rows, |mut row, (level, index, hashes)| {
        row.push_bind(log_id).push_bind(level).push_bind(index).push_bind(&hashes[..]);
    });
    query.build().persistent(false).execute(connection).await.map_err(fault(action))?;
    Ok(())
}

async fn replace_right_edge(
    connection: &mut SqliteConnection,
    log_id: i64,
    batch: &SignedBatch,
    action: &'static str,
) -> Result<(), PortFault> {
    for level in batch.emptied_levels() {
        sqlx::query("DELETE FROM partial_tile WHERE log_id = ? AND level = ?")
            .bind(log_id)
            .bind(i64::from(*level))
            .execute(&mut *connection)
            .await
            .map_err(fault(action))?;
    }
    if batch.changed_partial_tiles().is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(batch.changed_partial_tiles().len());
    for (tile, hashes) in batch.changed_partial_tiles() {
        rows.push((i64::from(tile.level()), to_sql(tile.index(), action)?, hashes));
    }
    let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO partial_tile (log_id, level, tile_index, hashes) ");
    query.push_values(rows, |mut row, (level, index, hashes)| {
        row.push_bind(log_id).push_bind(level).push_bind(index).push_bind(&hashes[..]);
    });
    query.push(" ON CONFLICT (log_id, level) DO UPDATE SET tile_index = excluded.tile_index, hashes = excluded.hashes");
    query.build().persistent(false).execute(connection).await.map_err(fault(action))?;
    Ok(())
}

/// Where the entries of these identities are.
pub(super) async fn indexes_by_identity(
    pool: &SqlitePool,
    origin: &Origin,
    identities: &[Digest],
    action: &'static str,
) -> Result<HashMap<Digest, LeafIndex>, PortFault> {
    if identities.is_empty() {
        return Ok(HashMap::new());
    }
    let mut found = HashMap::new();
    for identities in identities.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT key, leaf_index FROM entry_key WHERE is_identity = 1 \
             AND log_id = (SELECT log_id FROM log WHERE origin = ",
        );
        query.push_bind(origin.as_str()).push(") AND key IN (");
        let mut list = query.separated(", ");
        for identity in identities {
            list.push_bind(&identity.0[..]);
        }
        query.push(")");
        let query = query.build_query_as().persistent(identities.len() == ROWS_MAX);
        let rows: Vec<(Vec<u8>, i64)> = query.fetch_all(pool).await.map_err(fault(action))?;
        for (identity, index) in rows {
            found.insert(Digest(blob32(&identity, action)?), leaf_index(index, action)?);
        }
    }
    Ok(found)
}

/// The place and width of a stored partial tile.
pub(super) fn tile_coord(level: i64, index: i64, hashes: &[u8], action: &'static str) -> Result<TileCoord, PortFault> {
    let out_of_range = || fault(action)(ValueError::OutOfRange);
    let level = u8::try_from(level).map_err(|_| out_of_range())?;
    let width = u16::try_from(hashes.len() / HASH_BYTES).map_err(|_| out_of_range())?;
    TileCoord::new(level, from_sql(index, action)?, width).map_err(|_| out_of_range())
}
