//! The one task that changes the state: it takes everything that waits and makes it durable together.
//!
//! It has no timer: the first request is written at once, and what comes meanwhile is the next batch. So the disk is
//! synced once for as many logs as wait, and a request that is alone waits for nobody.
//!
//! Invariant: a caller is told `Stored` or `NewerKept` only after the transaction is durable and the head register is at
//! least its generation. What becomes of one caller changes nothing for another of the same batch.

use std::sync::Arc;
use std::time::Instant;

use countermark_tlog::checkpoint::Origin;
use sqlx::{Acquire, SqliteConnection, SqlitePool};
use tokio::sync::{mpsc, oneshot};

use super::{Registered, generation, swap_in, write_error};
use crate::metrics;
use crate::ports::{CosignedHead, HeadId, StoreError, Swap};
use crate::register::{Generation, RegisterError};

/// The most requests that wait; more callers wait to be let in.
pub const QUEUE_MAX: usize = 1_024;

/// The most requests of one transaction.
pub const BATCH_MAX: usize = 256;

/// What the task is asked for.
pub enum Request {
    /// A compare-and-swap.
    Swap(Box<Wanted>),
    /// To raise the generation and nothing else, durably.
    Check(oneshot::Sender<Result<(), StoreError>>),
}

/// A compare-and-swap that somebody waits for.
pub struct Wanted {
    pub origin: Origin,
    pub expected: Option<HeadId>,
    pub new: CosignedHead,
    pub answer: oneshot::Sender<Result<Swap, StoreError>>,
}

/// Serves until every sender is gone and everything that they asked for is answered.
pub async fn write(pool: SqlitePool, registered: Arc<Registered>, mut requests: mpsc::Receiver<Request>) {
    let mut waiting = Vec::with_capacity(BATCH_MAX);
    while requests.recv_many(&mut waiting, BATCH_MAX).await > 0 {
        let (mut wanted, mut checks) = (Vec::new(), Vec::new());
        for request in waiting.drain(..) {
            match request {
                Request::Swap(swap) => wanted.push(*swap),
                Request::Check(answer) => checks.push(answer),
            }
        }
        let began = Instant::now();
        let outcome = persist(&pool, &registered, &wanted, !checks.is_empty()).await;
        metrics::batch(wanted.len(), began.elapsed(), outcome.is_ok());
        // 5. Only now may the callers go on. A crash here loses answers: each client is told the stored size on its retry.
        answer(wanted, checks, outcome);
    }
}

/// What became of each compare-and-swap of a durable batch, in its order.
type Swaps = Vec<Result<Swap, StoreError>>;

/// Why nothing is known of a whole batch.
enum BatchError {
    Write(Arc<sqlx::Error>),
    Register(Arc<RegisterError>),
}

async fn persist(
    pool: &SqlitePool,
    registered: &Registered,
    wanted: &[Wanted],
    must_write: bool,
) -> Result<Swaps, BatchError> {
    // 1. IMMEDIATE takes the one write lock before anything is looked at: no other writer, of this process or of another,
    //    comes between the comparisons and the commit. It is rolled back if it is dropped. A crash has changed nothing.
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(unknown)?;
    // 2. Every comparison and its change, one after the other: the second of one log sees the first. A crash from here to
    //    step 3 has changed nothing.
    let mut swaps = Vec::with_capacity(wanted.len());
    for swap in wanted {
        swaps.push(swap_alone(&mut transaction, swap).await.map_err(unknown)?);
    }
    let stored = swaps.iter().any(|swap| matches!(swap, Ok(Swap::Stored)));
    let reached = raise(&mut transaction, stored || must_write).await.map_err(unknown)?;
    // 3. The commit point of all of them, also where nothing changed: "lost" is told only of what is durable. After an
    //    error, or a crash, it is not known whether they are stored; all are, or none is.
    transaction.commit().await.map_err(unknown)?;
    // 4. The register. A crash before it leaves a state that is ahead of the register, and nobody saw a cosignature of the
    //    difference: the state may be lost and its last backup restored, as if the batch had not been. After an error
    //    nobody is answered; the next batch, or the next start, raises the register over this one.
    registered.at_least(reached).await.map_err(BatchError::Register)?;
    Ok(swaps)
}

/// One compare-and-swap that takes back only itself if the database refuses it.
async fn swap_alone(
    connection: &mut SqliteConnection,
    wanted: &Wanted,
) -> Result<Result<Swap, StoreError>, sqlx::Error> {
    if wanted.answer.is_closed() {
        // Nobody waits any more, and nothing was begun.
        return Ok(Ok(Swap::Lost));
    }
    let mut savepoint = connection.begin().await?;
    match swap_in(&mut savepoint, &wanted.origin, wanted.expected, &wanted.new).await {
        Ok(swap) => {
            savepoint.commit().await?;
            Ok(Ok(swap))
        }
        // A trigger or a key refused it: what is stored contradicts it. The others are not to blame.
        Err(error) if is_constraint(&error) => {
            savepoint.rollback().await?;
            Ok(Err(write_error(error)))
        }
        // After any other failure SQLite may have rolled everything back by itself: nothing of the batch goes on.
        Err(error) => Err(error),
    }
}

fn is_constraint(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| {
        error.is_unique_violation() || error.is_check_violation() || error.code().is_some_and(|code| code == TRIGGER)
    })
}

/// SQLite's extended result code for `RAISE(ABORT, …)`.
const TRIGGER: &str = "1811";

/// The generation that the transaction reaches; it rises where a head was stored, and for a check: SQLite writes nothing
/// where a row gets the value that it has.
async fn raise(connection: &mut SqliteConnection, must_write: bool) -> Result<Generation, sqlx::Error> {
    let query = if must_write {
        "UPDATE generation SET value = value + 1 RETURNING value"
    } else {
        "SELECT value FROM generation"
    };
    sqlx::query_scalar(query).fetch_one(connection).await.map(generation)
}

fn answer(
    wanted: Vec<Wanted>,
    checks: Vec<oneshot::Sender<Result<(), StoreError>>>,
    outcome: Result<Swaps, BatchError>,
) {
    // A caller that is gone is not told.
    match outcome {
        Ok(swaps) => {
            for (wanted, swap) in wanted.into_iter().zip(swaps) {
                let _ = wanted.answer.send(swap);
            }
            for check in checks {
                let _ = check.send(Ok(()));
            }
        }
        Err(error) => {
            for wanted in wanted {
                let _ = wanted.answer.send(Err(error.for_each()));
            }
            for check in checks {
                let _ = check.send(Err(error.for_each()));
            }
        }
    }
}

impl BatchError {
    fn for_each(&self) -> StoreError {
        match self {
            BatchError::Write(source) => StoreError::Write(Box::new(Arc::clone(source))),
            BatchError::Register(error) => StoreError::Register(Arc::clone(error)),
        }
    }
}

fn unknown(source: sqlx::Error) -> BatchError {
    BatchError::Write(Arc::new(source))
}
