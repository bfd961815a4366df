//! The ledger in one SQLite file.
//!
//! Every rule is held in the transaction that writes, and once more by the triggers of `migrations/sqlite/countersigner`.

use countermark_bundle::entry::Decision;
use countermark_bundle::identity::{Digest, Epoch, Name, NameError, Timestamp};
use countermark_tlog::hash::{Hash, RootHash};
use countermark_tlog::size::{LeafIndex, TreeSize};
use sqlx::{FromRow, Sqlite, SqliteConnection, SqlitePool, Transaction};
use thiserror::Error;

use super::{Decided, Fork, KeptHead, LedgerRow, NewRow, Refusal, RowRecord, Sighting};
use crate::ports::{AdvanceError, CommitRowError, Ledger, LedgerFault, PortFuture, RecordRefusalError};

/// Takes the write lock at once: a transaction that reads first and then writes can fail as busy without any wait.
const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

const SELECT_ROW: &str = "SELECT ledger_row.epoch, digest, ledger_row.leaf_index, policy, rule, decided_at, \
     activation.leaf_index AS activation FROM ledger_row LEFT JOIN activation USING (epoch)";
const SELECT_REFUSAL: &str = "SELECT epoch, digest, leaf_index, refused_at, reasons FROM refusal";

/// A ledger over a pool of `countermark_migrations::open_sqlite`.
#[derive(Debug, Clone)]
pub struct SqliteLedger {
    pool: SqlitePool,
}

/// Why a stored value is not one that the program wrote.
#[derive(Debug, Error)]
enum ValueError {
    /// A number outside of the range that SQL and the program share.
    #[error("a stored number is out of range")]
    OutOfRange,
    /// A blob of the wrong length.
    #[error("a stored hash has {found} bytes, not 32")]
    HashLength {
        /// Its length.
        found: usize,
    },
    /// A rule's name that is none.
    #[error(transparent)]
    Rule(#[from] NameError),
    /// Reasons that are not the JSON that was written.
    #[error("stored reasons are not readable")]
    Reasons(#[source] serde_json::Error),
}

#[derive(FromRow)]
struct SqlHead {
    origin: String,
    size: i64,
    root: Vec<u8>,
    head_time: i64,
    checkpoint: Vec<u8>,
}

#[derive(FromRow)]
struct SqlSighting {
    epoch: i64,
    digest: Vec<u8>,
    leaf_index: i64,
    counted_from: i64,
}

#[derive(FromRow)]
struct SqlRow {
    epoch: i64,
    digest: Vec<u8>,
    leaf_index: i64,
    policy: Vec<u8>,
    rule: String,
    decided_at: i64,
    activation: Option<i64>,
}

#[derive(FromRow)]
struct SqlRefusal {
    epoch: i64,
    digest: Vec<u8>,
    leaf_index: i64,
    refused_at: i64,
    reasons: String,
}

#[derive(FromRow)]
struct SqlFork {
    verified: Vec<u8>,
    found: Vec<u8>,
    prefix_root: Vec<u8>,
    link: Vec<u8>,
    seen_at: i64,
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
        let head: Option<SqlHead> =
            sqlx::query_as("SELECT origin, size, root, head_time, checkpoint FROM verified_head")
                .fetch_optional(&self.pool)
                .await
                .map_err(fault(ACTION))?;
        head.map(|head| {
            Ok(KeptHead {
                size: tree_size(head.size)?,
                root: RootHash(Hash(bytes32(&head.root)?)),
                head_time: timestamp(head.head_time)?,
                origin: head.origin,
                checkpoint: head.checkpoint,
            })
        })
        .transpose()
        .map_err(fault::<ValueError>(ACTION))
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
        let rows: Vec<SqlSighting> =
            sqlx::query_as("SELECT epoch, digest, leaf_index, counted_from FROM sighting ORDER BY epoch")
                .fetch_all(&self.pool)
                .await
                .map_err(fault(ACTION))?;
        let sighting = |row: SqlSighting| {
            Ok(Sighting {
                epoch: epoch(row.epoch)?,
                digest: Digest(bytes32(&row.digest)?),
                index: leaf_index(row.leaf_index)?,
                counted_from: timestamp(row.counted_from)?,
            })
        };
        rows.into_iter().map(sighting).collect::<Result<_, _>>().map_err(fault::<ValueError>(ACTION))
    }

    async fn add_row(&self, row: &NewRow) -> Result<LedgerRow, CommitRowError> {
        const ACTION: &str = "commit a row";
        let mut transaction = self.begin(ACTION).await?;
        let (refused, newest) = decided_before(&mut transaction, row.epoch, ACTION).await?;
        if refused {
            return Err(CommitRowError::RefusedBefore { epoch: row.epoch });
        }
        let recorded = row_of(&mut transaction, row.epoch, ACTION).await?;
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
            insert_row(&mut transaction, row, ACTION).await?;
            // The commit point. A crash before it leaves no row, a crash inside it leaves the row or none.
            transaction.commit().await.map_err(fault(ACTION))?;
        }
        Ok(LedgerRow::committed(row))
    }

    async fn read_decided(&self, epoch: Epoch) -> Result<Option<Decided>, LedgerFault> {
        const ACTION: &str = "read a decision";
        let mut connection = self.pool.acquire().await.map_err(fault(ACTION))?;
        if let Some(record) = row_of(&mut connection, epoch, ACTION).await? {
            return Ok(Some(Decided::Row(record)));
        }
        Ok(refusal_of(&mut connection, epoch, ACTION).await?.map(Decided::Refused))
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
        let recorded = refusal_of(&mut transaction, refusal.epoch, ACTION).await?;
        let countersigned = row_of(&mut transaction, refusal.epoch, ACTION).await?;
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
        let row: Option<SqlFork> = sqlx::query_as(
            "SELECT verified, found, prefix_root, link, seen_at FROM fork ORDER BY fork_id LIMIT 1",
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(fault(ACTION))?;
        row.map(|row| {
            Ok(Fork {
                prefix_root: RootHash(Hash(bytes32(&row.prefix_root)?)),
                seen_at: timestamp(row.seen_at)?,
                verified: row.verified,
                found: row.found,
                link: row.link,
            })
        })
        .transpose()
        .map_err(fault::<ValueError>(ACTION))
    }

    async fn read_newest(&self, count: u32) -> Result<(Vec<RowRecord>, Vec<Refusal>), LedgerFault> {
        const ACTION: &str = "read the newest decisions";
        let rows: Vec<SqlRow> = sqlx::query_as(&format!("{SELECT_ROW} ORDER BY ledger_row.epoch DESC LIMIT ?"))
            .bind(count)
            .fetch_all(&self.pool)
            .await
            .map_err(fault(ACTION))?;
        let refusals: Vec<SqlRefusal> = sqlx::query_as(&format!("{SELECT_REFUSAL} ORDER BY epoch DESC LIMIT ?"))
            .bind(count)
            .fetch_all(&self.pool)
            .await
            .map_err(fault(ACTION))?;
        let rows = rows.into_iter().map(RowRecord::try_from).collect::<Result<_, _>>();
        let refusals = refusals.into_iter().map(Refusal::try_from).collect::<Result<_, _>>();
        Ok((rows.map_err(fault(ACTION))?, refusals.map_err(fault(ACTION))?))
    }
}

/// Whether the epoch was refused, and the newest epoch that has a row.
async fn decided_before(
    connection: &mut SqliteConnection,
    of: Epoch,
    action: &'static str,
) -> Result<(bool, Option<Epoch>), LedgerFault> {
    let refused: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM refusal WHERE epoch = ?)")
        .bind(to_sql(of.get(), action)?)
        .fetch_one(&mut *connection)
        .await
        .map_err(fault(action))?;
    let newest: Option<i64> = sqlx::query_scalar("SELECT max(epoch) FROM ledger_row")
        .fetch_one(connection)
        .await
        .map_err(fault(action))?;
    Ok((refused, newest.map(epoch).transpose().map_err(fault(action))?))
}

async fn row_of(
    connection: &mut SqliteConnection,
    of: Epoch,
    action: &'static str,
) -> Result<Option<RowRecord>, LedgerFault> {
    let row: Option<SqlRow> = sqlx::query_as(&format!("{SELECT_ROW} WHERE ledger_row.epoch = ?"))
        .bind(to_sql(of.get(), action)?)
        .fetch_optional(connection)
        .await
        .map_err(fault(action))?;
    row.map(RowRecord::try_from).transpose().map_err(fault(action))
}

async fn refusal_of(
    connection: &mut SqliteConnection,
    of: Epoch,
    action: &'static str,
) -> Result<Option<Refusal>, LedgerFault> {
    let row: Option<SqlRefusal> = sqlx::query_as(&format!("{SELECT_REFUSAL} WHERE epoch = ?"))
        .bind(to_sql(of.get(), action)?)
        .fetch_optional(connection)
        .await
        .map_err(fault(action))?;
    row.map(Refusal::try_from).transpose().map_err(fault(action))
}

async fn insert_row(connection: &mut SqliteConnection, row: &NewRow, action: &'static str) -> Result<(), LedgerFault> {
    sqlx::query(
        "INSERT INTO ledger_row (epoch, digest, leaf_index, policy, rule, decided_at, receipt) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(to_sql(row.epoch.get(), action)?)
    .bind(&row.digest.0[..])
    .bind(to_sql(row.index.get(), action)?)
    .bind(&row.decision.policy.0[..])
    .bind(row.decision.rule.as_str())
    .bind(to_sql(row.decided_at.unix(), action)?)
    .bind(&row.receipt)
    .execute(connection)
    .await
    .map_err(fault(action))?;
    Ok(())
}

impl TryFrom<SqlRow> for RowRecord {
    type Error = ValueError;

    fn try_from(row: SqlRow) -> Result<Self, ValueError> {
        Ok(Self {
            epoch: epoch(row.epoch)?,
            digest: Digest(bytes32(&row.digest)?),
            index: leaf_index(row.leaf_index)?,
            decision: Decision { policy: Digest(bytes32(&row.policy)?), rule: Name::parse(&row.rule)? },
            decided_at: timestamp(row.decided_at)?,
            activation: row.activation.map(leaf_index).transpose()?,
        })
    }
}

impl TryFrom<SqlRefusal> for Refusal {
    type Error = ValueError;

    fn try_from(row: SqlRefusal) -> Result<Self, ValueError> {
        Ok(Self {
            epoch: epoch(row.epoch)?,
            digest: Digest(bytes32(&row.digest)?),
            index: leaf_index(row.leaf_index)?,
            refused_at: timestamp(row.refused_at)?,
            reason: serde_json::from_str(&row.reasons).map_err(ValueError::Reasons)?,
        })
    }
}

/// Names what failed.
fn fault<E: std::error::Error + Send + Sync + 'static>(action: &'static str) -> impl Fn(E) -> LedgerFault {
    move |source| LedgerFault { action, source: Box::new(source) }
}

/// SQLite's integers are signed.
fn to_sql(number: u64, action: &'static str) -> Result<i64, LedgerFault> {
    i64::try_from(number).map_err(|_| fault(action)(ValueError::OutOfRange))
}

fn from_sql<T>(number: i64, take: impl FnOnce(u64) -> Option<T>) -> Result<T, ValueError> {
    u64::try_from(number).ok().and_then(take).ok_or(ValueError::OutOfRange)
}

fn epoch(number: i64) -> Result<Epoch, ValueError> {
    from_sql(number, Epoch::new)
}

fn tree_size(number: i64) -> Result<TreeSize, ValueError> {
    from_sql(number, TreeSize::new)
}

fn leaf_index(number: i64) -> Result<LeafIndex, ValueError> {
    from_sql(number, LeafIndex::new)
}

fn timestamp(number: i64) -> Result<Timestamp, ValueError> {
    from_sql(number, Timestamp::from_unix)
}

fn bytes32(bytes: &[u8]) -> Result<[u8; 32], ValueError> {
    bytes.try_into().map_err(|_| ValueError::HashLength { found: bytes.len() })
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

    fn newest_decisions(&self, count: u32) -> PortFuture<'_, Result<(Vec<RowRecord>, Vec<Refusal>), LedgerFault>> {
        Box::pin(self.read_newest(count))
    }
}
