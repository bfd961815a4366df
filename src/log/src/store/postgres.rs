//! The store in a PostgreSQL database, all namespaces in it.
//!
//! As the SQLite store, it is not the judge of what may be appended. It holds the fence on writer epoch and size; that
//! nothing written is ever changed is held by the rights of its user and by triggers (`migrations/postgres/log`).
//!
//! A commit is one statement: one round trip, and whole or absent without a transaction to begin and end. Its first part
//! moves the log's row by compare-and-swap, which locks it until the end; every other part takes its rows from that.
//!
//! READ COMMITTED is enough. Whoever changes a log's epoch, size or freezing changes that one row. A commit that had to
//! wait for it looks at the row again when it has it, and adds nothing unless epoch and size are still those that its
//! batch was computed for: then nothing of the log has changed since. Nothing that is added depends on anything else that
//! is read.
//!
//! Every call has a deadline, the server's and then our own. A connection that missed ours is closed and never used again:
//! what it does at last happens on the server alone, and the caller, who was told of a fault, reads everything again.

mod lease;
mod rows;

use std::collections::HashMap;

use countermark_bundle::identity::Digest;
use countermark_migrations::postgres::PostgresDatabase;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::hash::{Hash, LeafHash, RootHash};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::TileCoord;
use sqlx::PgPool;
use tokio::time::timeout_at;

use crate::ports::{
    CommitError, CreateNamespaceError, FreezeError, LogKind, PortFault, PortFuture, Store, StoreReader, StoredHead,
    StoredPublication, TakeWriterError, TileBytes, WriterEpoch, WriterId, WriterTaken,
};
use crate::stage::SignedBatch;
use crate::store::values::{bytes32, from_sql, leaf_index, log_kind, tile_coord, to_sql, tree_size};

use lease::Lease;
use rows::{BatchRows, Turn};

/// A store over a database of `countermark_migrations::postgres::open`.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    database: PostgresDatabase,
}

impl PostgresStore {
    /// Takes an open database.
    #[must_use]
    pub const fn new(database: PostgresDatabase) -> Self {
        Self { database }
    }

    /// The origins of all logs in this store, sorted.
    pub async fn origins(&self) -> Result<Vec<String>, PortFault> {
        let mut lease = self.reader("list the logs").await?;
        let query = sqlx::query_scalar("SELECT origin FROM countermark_log.log ORDER BY origin");
        let done = timeout_at(lease.until(), query.fetch_all(lease.connection())).await;
        lease.settle(done)
    }

    async fn reader(&self, action: &'static str) -> Result<Lease, PortFault> {
        self.lease(&self.database.reads, action).await
    }

    async fn writer(&self, action: &'static str) -> Result<Lease, PortFault> {
        self.lease(&self.database.writes, action).await
    }

    async fn lease(&self, pool: &PgPool, action: &'static str) -> Result<Lease, PortFault> {
        Lease::take(pool, self.database.deadlines.call, action).await
    }

    async fn create(&self, kind: LogKind, first: &SignedBatch) -> Result<(), CreateNamespaceError> {
        const ACTION: &str = "create a namespace";
        let batch = BatchRows::of(first, ACTION)?;
        let mut lease = self.writer(ACTION).await?;
        let query = batch.create(first.origin(), kind);
        let done = timeout_at(lease.until(), query.fetch_optional(lease.connection())).await;
        match lease.settle(done)? {
            Some(_) => Ok(()),
            None => Err(CreateNamespaceError::AlreadyExists { origin: first.origin().clone() }),
        }
    }

    async fn take(
        &self,
        origin: &Origin,
        writer: WriterId,
        held: Option<WriterEpoch>,
    ) -> Result<WriterTaken, TakeWriterError> {
        const ACTION: &str = "take over a namespace";
        let mut lease = self.writer(ACTION).await?;
        let (until, only_own) = (lease.until(), held.is_some());
        let done = timeout_at(until, rows::take_writer(lease.connection(), origin, writer, only_own)).await;
        let taken = match lease.settle(done)? {
            Turn::Missing => return Err(TakeWriterError::Missing { origin: origin.clone() }),
            Turn::Other { epoch } => {
                let expected = held.unwrap_or(WriterEpoch(0));
                return Err(TakeWriterError::Fenced { expected, found: WriterEpoch(from_sql(epoch, ACTION)?) });
            }
            Turn::Taken(taken) => taken,
        };
        Ok(WriterTaken {
            epoch: WriterEpoch(from_sql(taken.epoch, ACTION)?),
            kind: log_kind(&taken.kind, ACTION)?,
            frozen: taken.frozen,
            head: StoredHead {
                size: tree_size(taken.size, ACTION)?,
                root: RootHash(Hash(bytes32(&taken.root, ACTION)?)),
                checkpoint: taken.checkpoint,
            },
            created_size: tree_size(taken.created_size, ACTION)?,
        })
    }

    async fn add(&self, epoch: WriterEpoch, batch: &SignedBatch) -> Result<(), CommitError> {
        const ACTION: &str = "commit a batch";
        let rows = BatchRows::of(batch, ACTION)?;
        let sql_epoch = to_sql(epoch.0, ACTION)?;
        let mut lease = self.writer(ACTION).await?;
        let query = rows.commit(batch.origin(), sql_epoch);
        // The fence and the commit point in one. A crash before the server has it on its disk leaves nothing of the batch,
        // a crash after it all; without an answer nobody here knows which, and the caller reads everything again.
        let done = timeout_at(lease.until(), query.fetch_optional(lease.connection())).await;
        match lease.settle(done)? {
            Some(_) => Ok(()),
            None => Err(self.why_not(epoch, batch, ACTION).await?),
        }
    }

    /// What the fence found in place of what was expected. Nothing was changed.
    async fn why_not(
        &self,
        epoch: WriterEpoch,
        batch: &SignedBatch,
        action: &'static str,
    ) -> Result<CommitError, PortFault> {
        let mut lease = self.writer(action).await?;
        let query = sqlx::query_as("SELECT writer_epoch, size, frozen FROM countermark_log.log WHERE origin = $1")
            .bind(batch.origin().as_str());
        let done = timeout_at(lease.until(), query.fetch_one(lease.connection())).await;
        let (found, size, frozen): (i64, i64, bool) = lease.settle(done)?;
        let (found, found_size) = (WriterEpoch(from_sql(found, action)?), tree_size(size, action)?);
        Ok(if frozen {
            CommitError::Frozen { size: found_size }
        } else {
            CommitError::Fenced { expected: epoch, expected_size: batch.old_size(), found, found_size }
        })
    }

    async fn end(&self, origin: &Origin) -> Result<TreeSize, FreezeError> {
        const ACTION: &str = "freeze a log";
        let mut lease = self.writer(ACTION).await?;
        let query = sqlx::query_scalar("UPDATE countermark_log.log SET frozen = true WHERE origin = $1 RETURNING size")
            .bind(origin.as_str());
        let done = timeout_at(lease.until(), query.fetch_optional(lease.connection())).await;
        let size: Option<i64> = lease.settle(done)?;
        let size = size.ok_or_else(|| FreezeError::Missing { origin: origin.clone() })?;
        Ok(tree_size(size, ACTION)?)
    }

    async fn read_entries(&self, origin: &Origin, from: LeafIndex, count: usize) -> Result<Vec<Vec<u8>>, PortFault> {
        const ACTION: &str = "read entries";
        let from = to_sql(from.get(), ACTION)?;
        let mut lease = self.reader(ACTION).await?;
        let query = sqlx::query_scalar(
            "SELECT bytes FROM countermark_log.entry \
             WHERE log_id = (SELECT log_id FROM countermark_log.log WHERE origin = $1) AND leaf_index >= $2 \
             ORDER BY leaf_index LIMIT $3",
        )
        .bind(origin.as_str())
        .bind(from)
        .bind(i64::try_from(count).unwrap_or(i64::MAX));
        let done = timeout_at(lease.until(), query.fetch_all(lease.connection())).await;
        lease.settle(done)
    }

    async fn read_full_tile(&self, origin: &Origin, tile: TileCoord) -> Result<Option<Vec<u8>>, PortFault> {
        const ACTION: &str = "read a full tile";
        let index = to_sql(tile.index(), ACTION)?;
        let mut lease = self.reader(ACTION).await?;
        let query = sqlx::query_scalar(
            "SELECT hashes FROM countermark_log.full_tile \
             WHERE log_id = (SELECT log_id FROM countermark_log.log WHERE origin = $1) \
             AND level = $2 AND tile_index = $3",
        )
        .bind(origin.as_str())
        .bind(i16::from(tile.level()))
        .bind(index);
        let done = timeout_at(lease.until(), query.fetch_optional(lease.connection())).await;
        lease.settle(done)
    }

    async fn read_partial_tiles(&self, origin: &Origin) -> Result<Vec<TileBytes>, PortFault> {
        const ACTION: &str = "read the right edge";
        let mut lease = self.reader(ACTION).await?;
        let query = sqlx::query_as(
            "SELECT level, tile_index, hashes FROM countermark_log.partial_tile \
             WHERE log_id = (SELECT log_id FROM countermark_log.log WHERE origin = $1) ORDER BY level",
        )
        .bind(origin.as_str());
        let done = timeout_at(lease.until(), query.fetch_all(lease.connection())).await;
        let rows: Vec<(i16, i64, Vec<u8>)> = lease.settle(done)?;
        rows.into_iter()
            .map(|(level, index, hashes)| Ok((tile_coord(level.into(), index, &hashes, ACTION)?, hashes)))
            .collect()
    }

    async fn find_identities(
        &self,
        origin: &Origin,
        identities: &[Digest],
    ) -> Result<Vec<Option<LeafIndex>>, PortFault> {
        const ACTION: &str = "look up identities";
        if identities.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<[u8; 32]> = identities.iter().map(|identity| identity.0).collect();
        let mut lease = self.reader(ACTION).await?;
        let query = sqlx::query_as(
            "SELECT key, leaf_index FROM countermark_log.entry_key \
             WHERE log_id = (SELECT log_id FROM countermark_log.log WHERE origin = $1) \
             AND key = ANY ($2) AND is_identity",
        )
        .bind(origin.as_str())
        .bind(keys);
        let done = timeout_at(lease.until(), query.fetch_all(lease.connection())).await;
        let rows: Vec<(Vec<u8>, i64)> = lease.settle(done)?;
        let mut found = HashMap::with_capacity(rows.len());
        for (identity, index) in rows {
            found.insert(Digest(bytes32(&identity, ACTION)?), leaf_index(index, ACTION)?);
        }
        Ok(identities.iter().map(|identity| found.get(identity).copied()).collect())
    }

    async fn find_leaf_hash(&self, origin: &Origin, leaf_hash: LeafHash) -> Result<Option<LeafIndex>, PortFault> {
        const ACTION: &str = "look up a leaf hash";
        let mut lease = self.reader(ACTION).await?;
        let query = sqlx::query_scalar(
            "SELECT leaf_index FROM countermark_log.entry_key \
             WHERE log_id = (SELECT log_id FROM countermark_log.log WHERE origin = $1) AND key = $2 AND is_leaf_hash",
        )
        .bind(origin.as_str())
        .bind(leaf_hash.0.0);
        let done = timeout_at(lease.until(), query.fetch_optional(lease.connection())).await;
        let index: Option<i64> = lease.settle(done)?;
        index.map(|index| leaf_index(index, ACTION)).transpose()
    }

    async fn keep_publication(&self, origin: &Origin, publication: &StoredPublication) -> Result<(), PortFault> {
        const ACTION: &str = "keep a published head";
        let size = to_sql(publication.size.get(), ACTION)?;
        let mut lease = self.writer(ACTION).await?;
        let query = sqlx::query(
            "INSERT INTO countermark_log.publication (log_id, size, note) \
             SELECT log_id, $2, $3 FROM countermark_log.log AS log WHERE origin = $1 AND NOT EXISTS \
             (SELECT FROM countermark_log.publication AS newer WHERE newer.log_id = log.log_id AND newer.size > $2) \
             ON CONFLICT (log_id, size) DO UPDATE SET note = excluded.note",
        )
        .bind(origin.as_str())
        .bind(size)
        .bind(&publication.note);
        let done = timeout_at(lease.until(), query.execute(lease.connection())).await;
        lease.settle(done).map(|_| ())
    }

    async fn read_publications(
        &self,
        origin: &Origin,
        up_to: TreeSize,
        count: usize,
    ) -> Result<Vec<StoredPublication>, PortFault> {
        const ACTION: &str = "read published heads";
        let up_to = to_sql(up_to.get(), ACTION)?;
        let mut lease = self.reader(ACTION).await?;
        let query = sqlx::query_as(
            "SELECT size, note FROM countermark_log.publication \
             WHERE log_id = (SELECT log_id FROM countermark_log.log WHERE origin = $1) AND size <= $2 \
             ORDER BY size DESC LIMIT $3",
        )
        .bind(origin.as_str())
        .bind(up_to)
        .bind(i64::try_from(count).unwrap_or(i64::MAX));
        let done = timeout_at(lease.until(), query.fetch_all(lease.connection())).await;
        let rows: Vec<(i64, Vec<u8>)> = lease.settle(done)?;
        let read = |(size, note)| Ok(StoredPublication { size: tree_size(size, ACTION)?, note });
        rows.into_iter().map(read).collect()
    }
}

impl StoreReader for PostgresStore {
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

impl Store for PostgresStore {
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
        Box::pin(self.end(origin))
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
