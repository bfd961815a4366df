//! Rows of the ledger's tables: how values stand in SQL, and the statements that more than one transaction needs.

use std::error::Error as StdError;

use countermark_bundle::entry::Decision;
use countermark_bundle::identity::{Digest, Epoch, Name, NameError, Timestamp};
use countermark_tlog::hash::{Hash, RootHash};
use countermark_tlog::size::{LeafIndex, TreeSize};
use sqlx::SqliteConnection;
use thiserror::Error;

use crate::ledger::{Fork, KeptHead, NewRow, Refusal, RowRecord, Sighting};
use crate::ports::LedgerFault;

macro_rules! select_row {
    ($rest:literal) => {
        concat!(
            "SELECT ledger_row.epoch, digest, ledger_row.leaf_index, policy, rule, decided_at, activation.leaf_index ",
            "FROM ledger_row LEFT JOIN activation USING (epoch) ",
            $rest
        )
    };
}

macro_rules! select_refusal {
    ($rest:literal) => {
        concat!("SELECT epoch, digest, leaf_index, refused_at, reasons FROM refusal ", $rest)
    };
}

pub(super) const NEWEST_ROWS: &str = select_row!("ORDER BY ledger_row.epoch DESC LIMIT ?");
pub(super) const NEWEST_REFUSALS: &str = select_refusal!("ORDER BY epoch DESC LIMIT ?");

/// Why a stored value is not one that the program wrote.
#[derive(Debug, Error)]
pub(super) enum ValueError {
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
    #[error("a stored rule has no name: {0}")]
    Rule(#[from] NameError),
    /// Reasons that are not the JSON that was written.
    #[error("stored reasons are not readable")]
    Reasons(#[from] serde_json::Error),
}

pub(super) type SqlHead = (String, i64, Vec<u8>, i64, Vec<u8>);
pub(super) type SqlSighting = (i64, Vec<u8>, i64, i64);
pub(super) type SqlRow = (i64, Vec<u8>, i64, Vec<u8>, String, i64, Option<i64>);
pub(super) type SqlRefusal = (i64, Vec<u8>, i64, i64, String);
pub(super) type SqlFork = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, i64);

pub(super) fn head((origin, size, root, head_time, checkpoint): SqlHead) -> Result<KeptHead, ValueError> {
    let (size, root) = (from_sql(size, TreeSize::new)?, RootHash(Hash(bytes32(&root)?)));
    Ok(KeptHead { origin, size, root, head_time: timestamp(head_time)?, checkpoint })
}

pub(super) fn sighting((epoch, digest, index, counted_from): SqlSighting) -> Result<Sighting, ValueError> {
    Ok(Sighting {
        epoch: from_sql(epoch, Epoch::new)?,
        digest: Digest(bytes32(&digest)?),
        index: leaf_index(index)?,
        counted_from: timestamp(counted_from)?,
    })
}

pub(super) fn row(
    (epoch, digest, index, policy, rule, decided_at, activation): SqlRow,
) -> Result<RowRecord, ValueError> {
    Ok(RowRecord {
        epoch: from_sql(epoch, Epoch::new)?,
        digest: Digest(bytes32(&digest)?),
        index: leaf_index(index)?,
        decision: Decision { policy: Digest(bytes32(&policy)?), rule: Name::parse(&rule)? },
        decided_at: timestamp(decided_at)?,
        activation: activation.map(leaf_index).transpose()?,
    })
}

pub(super) fn refusal((epoch, digest, index, refused_at, reasons): SqlRefusal) -> Result<Refusal, ValueError> {
    Ok(Refusal {
        epoch: from_sql(epoch, Epoch::new)?,
        digest: Digest(bytes32(&digest)?),
        index: leaf_index(index)?,
        refused_at: timestamp(refused_at)?,
        reason: serde_json::from_str(&reasons)?,
    })
}

pub(super) fn fork((verified, found, prefix_root, link, seen_at): SqlFork) -> Result<Fork, ValueError> {
    let prefix_root = RootHash(Hash(bytes32(&prefix_root)?));
    Ok(Fork { verified, found, prefix_root, link, seen_at: timestamp(seen_at)? })
}

/// Reads every row, or names what failed.
pub(super) fn read_all<S, T>(
    rows: Vec<S>,
    read: fn(S) -> Result<T, ValueError>,
    action: &'static str,
) -> Result<Vec<T>, LedgerFault> {
    rows.into_iter().map(read).collect::<Result<_, _>>().map_err(fault(action))
}

/// Whether the epoch was refused, and the newest epoch that has a row.
pub(super) async fn decided_before(
    connection: &mut SqliteConnection,
    of: Epoch,
    action: &'static str,
) -> Result<(bool, Option<Epoch>), LedgerFault> {
    let refused: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM refusal WHERE epoch = ?)")
        .bind(to_sql(of.get(), action)?)
        .fetch_one(&mut *connection)
        .await
        .map_err(fault(action))?;
    let newest: Option<i64> =
        sqlx::query_scalar("SELECT max(epoch) FROM ledger_row").fetch_one(connection).await.map_err(fault(action))?;
    let newest = newest.map(|newest| from_sql(newest, Epoch::new)).transpose();
    Ok((refused, newest.map_err(fault(action))?))
}

pub(super) async fn row_of(
    connection: &mut SqliteConnection,
    of: Epoch,
    action: &'static str,
) -> Result<Option<RowRecord>, LedgerFault> {
    let found = sqlx::query_as(select_row!("WHERE ledger_row.epoch = ?"))
        .bind(to_sql(of.get(), action)?)
        .fetch_optional(connection)
        .await
        .map_err(fault(action))?;
    found.map(row).transpose().map_err(fault(action))
}

pub(super) async fn refusal_of(
    connection: &mut SqliteConnection,
    of: Epoch,
    action: &'static str,
) -> Result<Option<Refusal>, LedgerFault> {
    let found = sqlx::query_as(select_refusal!("WHERE epoch = ?"))
        .bind(to_sql(of.get(), action)?)
        .fetch_optional(connection)
        .await
        .map_err(fault(action))?;
    found.map(refusal).transpose().map_err(fault(action))
}

pub(super) async fn insert_row(
    connection: &mut SqliteConnection,
    row: &NewRow,
    action: &'static str,
) -> Result<(), LedgerFault> {
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

/// Names what failed.
pub(super) fn fault<E: StdError + Send + Sync + 'static>(action: &'static str) -> impl Fn(E) -> LedgerFault {
    move |source| LedgerFault { action, source: Box::new(source) }
}

/// SQLite's integers are signed.
pub(super) fn to_sql(number: u64, action: &'static str) -> Result<i64, LedgerFault> {
    i64::try_from(number).map_err(|_| fault(action)(ValueError::OutOfRange))
}

fn from_sql<T>(number: i64, take: impl FnOnce(u64) -> Option<T>) -> Result<T, ValueError> {
    u64::try_from(number).ok().and_then(take).ok_or(ValueError::OutOfRange)
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
