//! The ledger in one SQLite file.
//!
//! Every rule is held in the transaction that writes, and once more by the triggers of `migrations/sqlite/countersigner`.

use countermark_bundle::identity::Epoch;
use countermark_tlog::size::LeafIndex;
use sqlx::{Sqlite, SqlitePool, Transaction};

use super::{Decided, Fork, KeptHead, LedgerRow, NewRow, Refusal, RowRecord, Sighting};
use crate::ports::{AdvanceError, CommitRowError, Decisions, Ledger, LedgerFault, PortFuture, RecordRefusalError};

mod rows;

use rows::{fault, read_all, to_sql};

/// Takes the write lock at once: a transaction that reads first and then writes can fail as busy without any wait.
const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// A ledger over a pool of `countermark_migrations::open_sqlite`.
#[derive(Debug, Clone)]
pub struct SqliteLedger {
    pool: SqlitePool,
}

impl SqliteLedger {
    /// Takes an open database at its newest schema.
    #[must_use]
    pub const fn new(pool: SqlitePool) -> Self {
        Self { pool }
    }

    async fn begin(&self, action: &'static str) -> Result<Transaction<'_, Sqlite>, LedgerFault> {
        self.pool.begin_with(BEGIN_WRITE).await.map_err(fault(action))
    }

    async fn read_head(&self) -> Result<Option<KeptHead>, LedgerFault> {
        const ACTION: &str = "read the verified head";
        let head = sqlx::query_as("SELECT origin, size, root, head_time, checkpoint FROM verified_head")
            .fetch_optional(&self.pool)
            .await
            .map_err(fault(ACTION))?;
        head.map(rows::head).transpose().map_err(fault(ACTION))
    }

    async fn keep_head(&self, head: &KeptHead, sightings: &[Sighting]) -> Result<(), AdvanceError> {
        const ACTION: &str = "keep a verified head";
        let mut transaction = self.begin(ACTION).await?;
        // A compare-and-swap: whatever is there must be a beginning of the same log, as far as sizes and roots tell.
        let changed = sqlx::query(
            "INSERT INTO verified_head (one, origin, size, root, head_time, checkpoint) VALUES (1, ?, ?, ?, ?, ?) \
             ON CONFLICT (one) DO UPDATE SET size = excluded.size, root = excluded.root, \
             head_time = excluded.head_time, checkpoint = excluded.checkpoint \
             WHERE excluded.origin = origin AND excluded.head_time >= head_time \
             AND (excluded.size > size OR (excluded.size = size AND excluded.root = root))",
        )
        .bind(&head.origin)
        .bind(to_sql(head.size.get(), ACTION)?)
        .bind(&head.root.0.0[..])
        .bind(to_sql(head.head_time.unix(), ACTION)?)
        .bind(&head.checkpoint)
        .execute(&mut *transaction)
        .await
        .map_err(fault(ACTION))?
        .rows_affected();
        if changed == 0 {
            return Err(AdvanceError::Conflict { size: head.size });
        }
        for sighting in sightings {
            sqlx::query(
                "INSERT INTO sighting (epoch, digest, leaf_index, counted_from) VALUES (?, ?, ?, ?) \
                 ON CONFLICT (epoch) DO NOTHING",
            )
            .bind(to_sql(sighting.epoch.get(), ACTION)?)
            .bind(&sighting.digest.0[..])
            .bind(to_sql(sighting.index.get(), ACTION)?)
            .bind(to_sql(sighting.counted_from.unix(), ACTION)?)
            .execute(&mut *transaction)
            .await
            .map_err(fault(ACTION))?;
        }
        transaction.commit().await.map_err(fault(ACTION))?;
        Ok(())
    }

    async fn read_sightings(&self) -> Result<Vec<Sighting>, LedgerFault> {
        const ACTION: &str = "read the sightings";
        let rows = sqlx::query_as("SELECT epoch, digest, leaf_index, counted_from FROM sighting ORDER BY epoch")
            .fetch_all(&self.pool)
            .await
            .map_err(fault(ACTION))?;
        read_all(rows, rows::sighting, ACTION)
    }

    async fn add_row(&self, row: &NewRow) -> Result<LedgerRow, CommitRowError> {
        const ACTION: &str = "commit a row";
        let mut transaction = self.begin(ACTION).await?;
        let (refused, newest) = rows::decided_before(&mut transaction, row.epoch, ACTION).await?;
        if refused {
            return Err(CommitRowError::RefusedBefore { epoch: row.epoch });
        }
        let recorded = rows::row_of(&mut transaction, row.epoch, ACTION).await?;
        if let Some(recorded) = &recorded
            && (recorded.digest, recorded.index) != (row.digest, row.index)
        {
            let (recorded, found) = (recorded.digest, row.digest);
            return Err(CommitRowError::OtherStatement { epoch: row.epoch, recorded, found });
        }
        if let Some(newest) = newest.filter(|newest| *newest > row.epoch) {
            return Err(CommitRowError::BelowNewest { epoch: row.epoch, newest });
        }
        if recorded.is_none() {
            rows::insert_row(&mut transaction, row, ACTION).await?;
            // The commit point. A crash before it leaves no row, a crash inside it leaves the row or none.
            transaction.commit().await.map_err(fault(ACTION))?;
        }
        Ok(LedgerRow::committed(row))
    }

    async fn read_decided(&self, epoch: Epoch) -> Result<Option<Decided>, LedgerFault> {
        const ACTION: &str = "read a decision";
        let mut connection = self.pool.acquire().await.map_err(fault(ACTION))?;
        if let Some(record) = rows::row_of(&mut connection, epoch, ACTION).await? {
            return Ok(Some(Decided::Row(record)));
        }
        Ok(rows::refusal_of(&mut connection, epoch, ACTION).await?.map(Decided::Refused))
    }

    async fn read_newest_row(&self) -> Result<Option<RowRecord>, LedgerFault> {
        Ok(self.read_newest(1).await?.0.pop())
    }

    async fn add_activation(&self, epoch: Epoch, index: LeafIndex) -> Result<(), LedgerFault> {
        const ACTION: &str = "note an activation";
        sqlx::query("INSERT INTO activation (epoch, leaf_index) VALUES (?, ?) ON CONFLICT (epoch) DO NOTHING")
            .bind(to_sql(epoch.get(), ACTION)?)
            .bind(to_sql(index.get(), ACTION)?)
            .execute(&self.pool)
            .await
            .map_err(fault(ACTION))?;
        Ok(())
    }

    async fn add_refusal(&self, refusal: &Refusal) -> Result<(), RecordRefusalError> {
        const ACTION: &str = "record a refusal";
        let mut transaction = self.begin(ACTION).await?;
        let recorded = rows::refusal_of(&mut transaction, refusal.epoch, ACTION).await?;
        let countersigned = rows::row_of(&mut transaction, refusal.epoch, ACTION).await?;
        match (recorded, countersigned) {
            (Some(recorded), None) if recorded.digest == refusal.digest => return Ok(()),
            (None, None) => {}
            (Some(_), _) | (_, Some(_)) => {
                return Err(RecordRefusalError::DecidedBefore { epoch: refusal.epoch });
            }
        }
        let reasons = serde_json::to_string(&refusal.reason).map_err(fault(ACTION))?;
        sqlx::query("INSERT INTO refusal (epoch, digest, leaf_index, refused_at, reasons) VALUES (?, ?, ?, ?, ?)")
            .bind(to_sql(refusal.epoch.get(), ACTION)?)
            .bind(&refusal.digest.0[..])
            .bind(to_sql(refusal.index.get(), ACTION)?)
            .bind(to_sql(refusal.refused_at.unix(), ACTION)?)
            .bind(reasons)
            .execute(&mut *transaction)
            .await
            .map_err(fault(ACTION))?;
        transaction.commit().await.map_err(fault(ACTION))?;
        Ok(())
    }

    async fn add_fork(&self, fork: &Fork) -> Result<(), LedgerFault> {
        const ACTION: &str = "keep the evidence of a fork";
        sqlx::query("INSERT INTO fork (verified, found, prefix_root, link, seen_at) VALUES (?, ?, ?, ?, ?)")
            .bind(&fork.verified)
            .bind(&fork.found)
            .bind(&fork.prefix_root.0.0[..])
            .bind(&fork.link)
            .bind(to_sql(fork.seen_at.unix(), ACTION)?)
            .execute(&self.pool)
            .await
            .map_err(fault(ACTION))?;
        Ok(())
    }

    async fn read_fork(&self) -> Result<Option<Fork>, LedgerFault> {
        const ACTION: &str = "read the evidence of forks";
        let fork =
            sqlx::query_as("SELECT verified, found, prefix_root, link, seen_at FROM fork ORDER BY fork_id LIMIT 1")
                .fetch_optional(&self.pool)
                .await
                .map_err(fault(ACTION))?;
        fork.map(rows::fork).transpose().map_err(fault(ACTION))
    }

    async fn read_newest(&self, count: u32) -> Result<Decisions, LedgerFault> {
        const ACTION: &str = "read the newest decisions";
        let countersigned =
            sqlx::query_as(rows::NEWEST_ROWS).bind(count).fetch_all(&self.pool).await.map_err(fault(ACTION))?;
        let refused =
            sqlx::query_as(rows::NEWEST_REFUSALS).bind(count).fetch_all(&self.pool).await.map_err(fault(ACTION))?;
        Ok((read_all(countersigned, rows::row, ACTION)?, read_all(refused, rows::refusal, ACTION)?))
    }
}

impl Ledger for SqliteLedger {
    fn head(&self) -> PortFuture<'_, Result<Option<KeptHead>, LedgerFault>> {
        Box::pin(self.read_head())
    }

    fn advance<'a>(
        &'a self,
        head: &'a KeptHead,
        sightings: &'a [Sighting],
    ) -> PortFuture<'a, Result<(), AdvanceError>> {
        Box::pin(self.keep_head(head, sightings))
    }

    fn sightings(&self) -> PortFuture<'_, Result<Vec<Sighting>, LedgerFault>> {
        Box::pin(self.read_sightings())
    }

    fn commit_row<'a>(&'a self, row: &'a NewRow) -> PortFuture<'a, Result<LedgerRow, CommitRowError>> {
        Box::pin(self.add_row(row))
    }

    fn decided(&self, epoch: Epoch) -> PortFuture<'_, Result<Option<Decided>, LedgerFault>> {
        Box::pin(self.read_decided(epoch))
    }

    fn newest_row(&self) -> PortFuture<'_, Result<Option<RowRecord>, LedgerFault>> {
        Box::pin(self.read_newest_row())
    }

    fn mark_activated(&self, epoch: Epoch, index: LeafIndex) -> PortFuture<'_, Result<(), LedgerFault>> {
        Box::pin(self.add_activation(epoch, index))
    }

    fn record_refusal<'a>(&'a self, refusal: &'a Refusal) -> PortFuture<'a, Result<(), RecordRefusalError>> {
        Box::pin(self.add_refusal(refusal))
    }

    fn keep_fork<'a>(&'a self, fork: &'a Fork) -> PortFuture<'a, Result<(), LedgerFault>> {
        Box::pin(self.add_fork(fork))
    }

    fn fork(&self) -> PortFuture<'_, Result<Option<Fork>, LedgerFault>> {
        Box::pin(self.read_fork())
    }

    fn newest_decisions(&self, count: u32) -> PortFuture<'_, Result<Decisions, LedgerFault>> {
        Box::pin(self.read_newest(count))
    }
}
