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
use countermark_tlog::size::LeafIndex;
use countermark_tlog::tile::TileCoord;
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::ports::{
    CommitError, CreateNamespaceError, PortFault, PortFuture, Store, StoredPublication, TakeWriterError, TileBytes,
    WriterEpoch, WriterId, WriterTaken,
};
use crate::stage::SignedBatch;

use rows::{fault, from_sql, to_sql};

/// Takes the write lock at once: a transaction that reads first and then writes can fail as busy without any wait.
const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// A store over a pool of `countermark_migrations::open_sqlite`.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
    /// SQLite lets one writer in and makes the others poll; here they queue.
    turn: Arc<Semaphore>,
}

/// A write transaction, and its turn.
struct Write<'t> {
    transaction: Transaction<'t, Sqlite>,
    _turn: SemaphorePermit<'t>,
}

impl Write<'_> {
    async fn commit(self, action: &'static str) -> Result<(), PortFault> {
        self.transaction.commit().await.map_err(fault(action))
    }
}

impl SqliteStore {
    /// Takes an open database at its newest schema.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool, turn: Arc::new(Semaphore::new(1)) }
    }

    /// The origins of all logs in this store, sorted.
    pub async fn origins(&self) -> Result<Vec<String>, PortFault> {
        sqlx::query_scalar("SELECT origin FROM log ORDER BY origin")
            .fetch_all(&self.pool)
            .await
            .map_err(fault("list the logs"))
    }

    async fn begin_write(&self, action: &'static str) -> Result<Write<'_>, PortFault> {
        let turn = self.turn.acquire().await.map_err(fault(action))?;
        let transaction = self.pool.begin_with(BEGIN_WRITE).await.map_err(fault(action))?;
        Ok(Write { transaction, _turn: turn })
    }

    async fn create(&self, first: &SignedBatch) -> Result<(), CreateNamespaceError> {
        const ACTION: &str = "create a namespace";
        let mut write = self.begin_write(ACTION).await?;
        let size = to_sql(first.head().size.get(), ACTION)?;
        let exists: Option<i64> = sqlx::query_scalar("SELECT log_id FROM log WHERE origin = ?")
            .bind(first.origin().as_str())
            .fetch_optional(&mut *write.transaction)
            .await
            .map_err(fault(ACTION))?;
        if exists.is_some() {
            return Err(CreateNamespaceError::AlreadyExists { origin: first.origin().clone() });
        }
        let log_id: i64 = sqlx::query_scalar(
            "INSERT INTO log (origin, created_size, writer_epoch, writer_id, size) VALUES (?, ?, 0, zeroblob(16), ?) \
             RETURNING log_id",
        )
        .bind(first.origin().as_str())
        .bind(size)
        .bind(size)
        .fetch_one(&mut *write.transaction)
        .await
        .map_err(fault(ACTION))?;
        rows::insert_batch(&mut write.transaction, log_id, first, ACTION).await?;
        write.commit(ACTION).await?;
        Ok(())
    }

    async fn take(
        &self,
        origin: &Origin,
        writer: WriterId,
        last_held: Option<WriterEpoch>,
    ) -> Result<WriterTaken, TakeWriterError> {
        const ACTION: &str = "take over a namespace";
        let mut write = self.begin_write(ACTION).await?;
        let row: Option<(i64, i64, Vec<u8>, i64)> =
            sqlx::query_as("SELECT log_id, writer_epoch, writer_id, created_size FROM log WHERE origin = ?")
                .bind(origin.as_str())
                .fetch_optional(&mut *write.transaction)
                .await
                .map_err(fault(ACTION))?;
        let Some((log_id, writer_epoch, writer_id, created_size)) = row else {
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
            .execute(&mut *write.transaction)
            .await
            .map_err(fault(ACTION))?;
        let head = rows::newest_head(&mut write.transaction, log_id, ACTION).await?;
        write.commit(ACTION).await?;
        Ok(WriterTaken { epoch, head, created_size: rows::tree_size(created_size, ACTION)? })
    }

    async fn add(&self, epoch: WriterEpoch, batch: &SignedBatch) -> Result<(), CommitError> {
        const ACTION: &str = "commit a batch";
        let mut write = self.begin_write(ACTION).await?;
        // The fence: a compare-and-swap on writer epoch and size, in the transaction that adds the entries.
        let log_id: Option<i64> = sqlx::query_scalar(
            "UPDATE log SET size = ? WHERE origin = ? AND writer_epoch = ? AND size = ? RETURNING log_id",
        )
        .bind(to_sql(batch.head().size.get(), ACTION)?)
        .bind(batch.origin().as_str())
        .bind(to_sql(epoch.0, ACTION)?)
        .bind(to_sql(batch.old_size().get(), ACTION)?)
        .fetch_optional(&mut *write.transaction)
        .await
        .map_err(fault(ACTION))?;
        let Some(log_id) = log_id else {
            let (writer_epoch, size): (i64, i64) =
                sqlx::query_as("SELECT writer_epoch, size FROM log WHERE origin = ?")
                    .bind(batch.origin().as_str())
                    .fetch_one(&mut *write.transaction)
                    .await
                    .map_err(fault(ACTION))?;
            return Err(CommitError::Fenced {
                expected: epoch,
                expected_size: batch.old_size(),
                found: WriterEpoch(from_sql(writer_epoch, ACTION)?),
                found_size: rows::tree_size(size, ACTION)?,
            });
        };
        rows::insert_batch(&mut write.transaction, log_id, batch, ACTION).await?;
        // The commit point. A crash before it leaves nothing of the batch, a crash inside it leaves all or nothing.
        write.commit(ACTION).await?;
        Ok(())
    }

    async fn read_entries(&self, origin: &Origin, from: LeafIndex, count: usize) -> Result<Vec<Vec<u8>>, PortFault> {
        const ACTION: &str = "read entries";
        sqlx::query_scalar(
            "SELECT bytes FROM entry WHERE log_id = (SELECT log_id FROM log WHERE origin = ?) AND leaf_index >= ? \
             ORDER BY leaf_index LIMIT ?",
        )
        .bind(origin.as_str())
        .bind(to_sql(from.get(), ACTION)?)
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
            "SELECT leaf_index FROM entry \
             WHERE log_id = (SELECT log_id FROM log WHERE origin = ?) AND leaf_hash = ?",
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
        let mut write = self.begin_write(ACTION).await?;
        sqlx::query(
            "INSERT INTO publication (log_id, size, note) SELECT log_id, ?, ? FROM log WHERE origin = ? \
             ON CONFLICT (log_id) DO UPDATE SET size = excluded.size, note = excluded.note \
             WHERE excluded.size >= publication.size",
        )
        .bind(to_sql(publication.size.get(), ACTION)?)
        .bind(&publication.note)
        .bind(origin.as_str())
        .execute(&mut *write.transaction)
        .await
        .map_err(fault(ACTION))?;
        write.commit(ACTION).await
    }

    async fn read_publication(&self, origin: &Origin) -> Result<Option<StoredPublication>, PortFault> {
        const ACTION: &str = "read the published head";
        let row: Option<(i64, Vec<u8>)> = sqlx::query_as(
            "SELECT size, note FROM publication WHERE log_id = (SELECT log_id FROM log WHERE origin = ?)",
        )
        .bind(origin.as_str())
        .fetch_optional(&self.pool)
        .await
        .map_err(fault(ACTION))?;
        row.map(|(size, note)| Ok(StoredPublication { size: rows::tree_size(size, ACTION)?, note })).transpose()
    }
}

impl Store for SqliteStore {
    fn create_namespace<'a>(&'a self, first: &'a SignedBatch) -> PortFuture<'a, Result<(), CreateNamespaceError>> {
        Box::pin(self.create(first))
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

    fn record_publication<'a>(
        &'a self,
        origin: &'a Origin,
        publication: &'a StoredPublication,
    ) -> PortFuture<'a, Result<(), PortFault>> {
        Box::pin(self.keep_publication(origin, publication))
    }

    fn publication<'a>(&'a self, origin: &'a Origin) -> PortFuture<'a, Result<Option<StoredPublication>, PortFault>> {
        Box::pin(self.read_publication(origin))
    }
}

#[cfg(test)]
mod tests;
