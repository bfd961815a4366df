//! The store in one SQLite file, many namespaces in it.
//!
//! It is not the judge of what may be appended: it takes signed batches as they are and holds two lines only, the fence
//! on writer epoch and size, and that nothing written is ever changed (triggers of `migrations/sqlite/log`).
//!
//! One multi-row statement for each table of a commit: 256 single inserts cost 20 times as much.

mod rows;

use std::sync::Arc;

use countermark_bundle::identity::Digest;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::hash::LeafHash;
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::TileCoord;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, MutexGuard};

use crate::ports::{
    CommitError, CreateNamespaceError, FreezeError, LogKind, PortFault, PortFuture, Store, StoreReader,
    StoredPublication, TakeWriterError, TileBytes, WriterEpoch, WriterId, WriterTaken,
};
use crate::stage::SignedBatch;

use rows::{fault, from_sql, to_sql};

/// Takes the write lock at once: a transaction that reads first and then writes can fail as busy without any wait.
const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// What the one connection that writes has beyond the others: 64 MiB of pages in memory, because what entries are found
/// by has no order, and a write-ahead log of up to 64 MiB between two checkpoints, so that a page that changes in many
/// commits is copied into the database once. What a statement of many rows would undo is kept in memory, not in a file.
const WRITER_PRAGMAS: &str =
    "PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 16384; PRAGMA temp_store = MEMORY";

/// A store over a pool of `countermark_migrations::open_sqlite`.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
    /// SQLite lets one writer in and makes the others poll; here they queue.
    writer: Arc<Mutex<SqliteConnection>>,
}

impl SqliteStore {
    /// Takes an open database at its newest schema.
    pub async fn open(pool: SqlitePool) -> Result<Self, PortFault> {
        let writer = connect_writer(&pool).await?;
        Ok(Self { pool, writer: Arc::new(Mutex::new(writer)) })
    }

    /// The connection that writes, with no transaction open.
    async fn writing(&self, action: &'static str) -> Result<MutexGuard<'_, SqliteConnection>, PortFault> {
        let mut writer = self.writer.lock().await;
        // After a failed write SQLite may have rolled a transaction back by itself. The driver then counts it as open for
        // ever and begins no other one: such a connection is replaced, or a disk that was full once would end the log.
        if writer.is_in_transaction() && (writer.ping().await.is_err() || writer.is_in_transaction()) {
            tracing::warn!(action, "the connection that writes is replaced");
            *writer = connect_writer(&self.pool).await?;
        }
        Ok(writer)
    }

    /// The origins of all logs in this store, sorted.
    pub async fn origins(&self) -> Result<Vec<String>, PortFault> {
        sqlx::query_scalar("SELECT origin FROM log ORDER BY origin")
            .fetch_all(&self.pool)
            .await
            .map_err(fault("list the logs"))
    }

    async fn create(&self, kind: LogKind, first: &SignedBatch) -> Result<(), CreateNamespaceError> {
        const ACTION: &str = "create a namespace";
        let mut connection = self.writing(ACTION).await?;
        let mut transaction = connection.begin_with(BEGIN_WRITE).await.map_err(fault(ACTION))?;
        let size = to_sql(first.head().size.get(), ACTION)?;
        let exists: Option<i64> = sqlx::query_scalar("SELECT log_id FROM log WHERE origin = ?")
            .bind(first.origin().as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(fault(ACTION))?;
        if exists.is_some() {
            return Err(CreateNamespaceError::AlreadyExists { origin: first.origin().clone() });
        }
        let log_id: i64 = sqlx::query_scalar(
            "INSERT INTO log (origin, kind, created_size, writer_epoch, writer_id, size, frozen) \
             VALUES (?, ?, ?, 0, zeroblob(16), ?, 0) RETURNING log_id",
        )
        .bind(first.origin().as_str())
        .bind(kind.as_str())
        .bind(size)
        .bind(size)
        .fetch_one(&mut *transaction)
        .await
        .map_err(fault(ACTION))?;
        rows::insert_batch(&mut transaction, log_id, first, ACTION).await?;
        transaction.commit().await.map_err(fault(ACTION))?;
        Ok(())
    }

    async fn take(
        &self,
        origin: &Origin,
        writer: WriterId,
        last_held: Option<WriterEpoch>,
    ) -> Result<WriterTaken, TakeWriterError> {
        const ACTION: &str = "take over a namespace";
        let mut connection = self.writing(ACTION).await?;
        let mut transaction = connection.begin_with(BEGIN_WRITE).await.map_err(fault(ACTION))?;
        let row: Option<(i64, i64, Vec<u8>, i64, String, bool)> = sqlx::query_as(
            "SELECT log_id, writer_epoch, writer_id, created_size, kind, frozen FROM log WHERE origin = ?",
        )
        .bind(origin.as_str())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(fault(ACTION))?;
        let Some((log_id, writer_epoch, writer_id, created_size, kind, frozen)) = row else {
            return Err(TakeWriterError::Missing { origin: origin.clone() });
        };
        let found = WriterEpoch(from_sql(writer_epoch, ACTION)?);
        if let Some(expected) = last_held.filter(|_| writer_id != writer.0) {
            return Err(TakeWriterError::Fenced { expected, found });
        }
        let epoch = WriterEpoch(found.0.saturating_add(1));
        sqlx::query("UPDATE log SET writer_epoch = ?, writer_id = ? WHERE log_id = ?")
            .bind(to_sql(epoch.0, ACTION)?)
            .bind(&writer.0[..])
            .bind(log_id)
            .execute(&mut *transaction)
            .await
            .map_err(fault(ACTION))?;
        let head = rows::newest_head(&mut transaction, log_id, ACTION).await?;
        transaction.commit().await.map_err(fault(ACTION))?;
        let kind = rows::log_kind(&kind, ACTION)?;
        Ok(WriterTaken { epoch, kind, frozen, head, created_size: rows::tree_size(created_size, ACTION)? })
    }

    async fn add(&self, epoch: WriterEpoch, batch: &SignedBatch) -> Result<(), CommitError> {
        const ACTION: &str = "commit a batch";
        let mut connection = self.writing(ACTION).await?;
        let mut transaction = connection.begin_with(BEGIN_WRITE).await.map_err(fault(ACTION))?;
        // The fence: a compare-and-swap on writer epoch and size, in the transaction that adds the entries.
        let log_id: Option<i64> = sqlx::query_scalar(
            "UPDATE log SET size = ? WHERE origin = ? AND writer_epoch = ? AND size = ? AND frozen = 0 \
             RETURNING log_id",
        )
        .bind(to_sql(batch.head().size.get(), ACTION)?)
        .bind(batch.origin().as_str())
        .bind(to_sql(epoch.0, ACTION)?)
        .bind(to_sql(batch.old_size().get(), ACTION)?)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(fault(ACTION))?;
        let Some(log_id) = log_id else {
            let (writer_epoch, size, frozen): (i64, i64, bool) =
                sqlx::query_as("SELECT writer_epoch, size, frozen FROM log WHERE origin = ?")
                    .bind(batch.origin().as_str())
                    .fetch_one(&mut *transaction)
                    .await
                    .map_err(fault(ACTION))?;
            if frozen {
                return Err(CommitError::Frozen { size: rows::tree_size(size, ACTION)? });
            }
            return Err(CommitError::Fenced {
                expected: epoch,
                expected_size: batch.old_size(),
                found: WriterEpoch(from_sql(writer_epoch, ACTION)?),
                found_size: rows::tree_size(size, ACTION)?,
            });
        };
        rows::insert_batch(&mut transaction, log_id, batch, ACTION).await?;
        // The commit point. A crash before it leaves nothing of the batch, a crash inside it leaves all or nothing.
        transaction.commit().await.map_err(fault(ACTION))?;
        Ok(())
    }

    async fn freeze_log(&self, origin: &Origin) -> Result<TreeSize, FreezeError> {
        const ACTION: &str = "freeze a log";
        let mut connection = self.writing(ACTION).await?;
        let mut transaction = connection.begin_with(BEGIN_WRITE).await.map_err(fault(ACTION))?;
        let size: Option<i64> = sqlx::query_scalar("UPDATE log SET frozen = 1 WHERE origin = ? RETURNING size")
            .bind(origin.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(fault(ACTION))?;
        let size = size.ok_or_else(|| FreezeError::Missing { origin: origin.clone() })?;
        // The commit point: a batch that was committed before it counts, one that comes after it does not.
        transaction.commit().await.map_err(fault(ACTION))?;
        Ok(rows::tree_size(size, ACTION)?)
    }

    async fn read_entries(&self, origin: &Origin, from: LeafIndex, count: usize) -> Result<Vec<Vec<u8>>, PortFault> {
        const ACTION: &str = "read entries";
        sqlx::query_scalar(
            "SELECT bytes FROM entry JOIN log ON origin = ? \
             WHERE entry_id >= (log_id << 48) + ? AND entry_id < (log_id + 1) << 48 \
             ORDER BY entry_id LIMIT ?",
        )
        .bind(origin.as_str())
        .bind(rows::in_log(from, ACTION)?)
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(fault(ACTION))
    }

    async fn read_full_tile(&self, origin: &Origin, tile: TileCoord) -> Result<Option<Vec<u8>>, PortFault> {
        const ACTION: &str = "read a full tile";
        sqlx::query_scalar(
            "SELECT hashes FROM full_tile \
             WHERE log_id = (SELECT log_id FROM log WHERE origin = ?) AND level = ? AND tile_index = ?",
        )
        .bind(origin.as_str())
        .bind(i64::from(tile.level()))
        .bind(to_sql(tile.index(), ACTION)?)
        .fetch_optional(&self.pool)
        .await
        .map_err(fault(ACTION))
    }

    async fn read_partial_tiles(&self, origin: &Origin) -> Result<Vec<TileBytes>, PortFault> {
        const ACTION: &str = "read the right edge";
        let rows: Vec<(i64, i64, Vec<u8>)> = sqlx::query_as(
            "SELECT level, tile_index, hashes FROM partial_tile \
             WHERE log_id = (SELECT log_id FROM log WHERE origin = ?) ORDER BY level",
        )
        .bind(origin.as_str())
        .fetch_all(&self.pool)
        .await
        .map_err(fault(ACTION))?;
        rows.into_iter()
            .map(|(level, index, hashes)| Ok((rows::tile_coord(level, index, &hashes, ACTION)?, hashes)))
            .collect()
    }

    async fn find_identities(
        &self,
        origin: &Origin,
        identities: &[Digest],
    ) -> Result<Vec<Option<LeafIndex>>, PortFault> {
        const ACTION: &str = "look up identities";
        let found = rows::indexes_by_identity(&self.pool, origin, identities, ACTION).await?;
        Ok(identities.iter().map(|identity| found.get(identity).copied()).collect())
    }

    async fn find_leaf_hash(&self, origin: &Origin, leaf_hash: LeafHash) -> Result<Option<LeafIndex>, PortFault> {
        const ACTION: &str = "look up a leaf hash";
        let index: Option<i64> = sqlx::query_scalar(
            "SELECT leaf_index FROM entry_key \
             WHERE log_id = (SELECT log_id FROM log WHERE origin = ?) AND key = ? AND is_leaf_hash = 1",
        )
        .bind(origin.as_str())
        .bind(leaf_hash.0.0.to_vec())
        .fetch_optional(&self.pool)
        .await
        .map_err(fault(ACTION))?;
        index.map(|index| rows::leaf_index(index, ACTION)).transpose()
    }

    async fn keep_publication(&self, origin: &Origin, publication: &StoredPublication) -> Result<(), PortFault> {
        const ACTION: &str = "keep a published head";
        let mut connection = self.writing(ACTION).await?;
        let mut transaction = connection.begin_with(BEGIN_WRITE).await.map_err(fault(ACTION))?;
        sqlx::query(
            "INSERT INTO publication (log_id, size, note) SELECT log_id, ?1, ?2 FROM log WHERE origin = ?3 AND NOT EXISTS \
             (SELECT 1 FROM publication AS newer WHERE newer.log_id = log.log_id AND newer.size > ?1) \
             ON CONFLICT (log_id, size) DO UPDATE SET note = excluded.note",
        )
        .bind(to_sql(publication.size.get(), ACTION)?)
        .bind(&publication.note)
        .bind(origin.as_str())
        .execute(&mut *transaction)
        .await
        .map_err(fault(ACTION))?;
        transaction.commit().await.map_err(fault(ACTION))
    }

    async fn read_publications(
        &self,
        origin: &Origin,
        up_to: TreeSize,
        count: usize,
    ) -> Result<Vec<StoredPublication>, PortFault> {
        const ACTION: &str = "read published heads";
        let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
            "SELECT size, note FROM publication WHERE log_id = (SELECT log_id FROM log WHERE origin = ?) AND size <= ? \
             ORDER BY size DESC LIMIT ?",
        )
        .bind(origin.as_str())
        .bind(to_sql(up_to.get(), ACTION)?)
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(fault(ACTION))?;
        let read = |(size, note)| Ok(StoredPublication { size: rows::tree_size(size, ACTION)?, note });
        rows.into_iter().map(read).collect()
    }
}

/// Opens a connection that writes.
async fn connect_writer(pool: &SqlitePool) -> Result<SqliteConnection, PortFault> {
    const ACTION: &str = "open the connection that writes";
    let mut writer = pool.connect_options().connect().await.map_err(fault(ACTION))?;
    sqlx::raw_sql(WRITER_PRAGMAS).execute(&mut writer).await.map_err(fault(ACTION))?;
    Ok(writer)
}

impl StoreReader for SqliteStore {
    fn entries<'a>(
        &'a self,
        origin: &'a Origin,
        from: LeafIndex,
        count: usize,
    ) -> PortFuture<'a, Result<Vec<Vec<u8>>, PortFault>> {
        Box::pin(self.read_entries(origin, from, count))
    }

    fn full_tile<'a>(
        &'a self,
        origin: &'a Origin,
        tile: TileCoord,
    ) -> PortFuture<'a, Result<Option<Vec<u8>>, PortFault>> {
        Box::pin(self.read_full_tile(origin, tile))
    }

    fn partial_tiles<'a>(&'a self, origin: &'a Origin) -> PortFuture<'a, Result<Vec<TileBytes>, PortFault>> {
        Box::pin(self.read_partial_tiles(origin))
    }

    fn indexes_of_identities<'a>(
        &'a self,
        origin: &'a Origin,
        identities: &'a [Digest],
    ) -> PortFuture<'a, Result<Vec<Option<LeafIndex>>, PortFault>> {
        Box::pin(self.find_identities(origin, identities))
    }

    fn index_of_leaf_hash<'a>(
        &'a self,
        origin: &'a Origin,
        leaf_hash: LeafHash,
    ) -> PortFuture<'a, Result<Option<LeafIndex>, PortFault>> {
        Box::pin(self.find_leaf_hash(origin, leaf_hash))
    }

    fn publications<'a>(
        &'a self,
        origin: &'a Origin,
        up_to: TreeSize,
        count: usize,
    ) -> PortFuture<'a, Result<Vec<StoredPublication>, PortFault>> {
        Box::pin(self.read_publications(origin, up_to, count))
    }
}

impl Store for SqliteStore {
    fn create_namespace<'a>(
        &'a self,
        kind: LogKind,
        first: &'a SignedBatch,
    ) -> PortFuture<'a, Result<(), CreateNamespaceError>> {
        Box::pin(self.create(kind, first))
    }

    fn take_writer<'a>(
        &'a self,
        origin: &'a Origin,
        writer: WriterId,
        held: Option<WriterEpoch>,
    ) -> PortFuture<'a, Result<WriterTaken, TakeWriterError>> {
        Box::pin(self.take(origin, writer, held))
    }

    fn commit<'a>(&'a self, epoch: WriterEpoch, batch: &'a SignedBatch) -> PortFuture<'a, Result<(), CommitError>> {
        Box::pin(self.add(epoch, batch))
    }

    fn freeze<'a>(&'a self, origin: &'a Origin) -> PortFuture<'a, Result<TreeSize, FreezeError>> {
        Box::pin(self.freeze_log(origin))
    }

    fn record_publication<'a>(
        &'a self,
        origin: &'a Origin,
        publication: &'a StoredPublication,
    ) -> PortFuture<'a, Result<(), PortFault>> {
        Box::pin(self.keep_publication(origin, publication))
    }
}

#[cfg(test)]
mod tests;
