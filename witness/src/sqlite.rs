//! The state in SQLite: one row per log, changed by compare-and-swap.
//!
//! One task changes it: see [`batch`]. The tables, and triggers that refuse a head that goes back, are in
//! `migrations/sqlite/witness`.

mod batch;
mod forks;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countermark_tlog::checkpoint::Origin;
use countermark_tlog::hash::{Hash, RootHash};
use countermark_tlog::size::TreeSize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::metrics;
use crate::ports::{CosignedHead, HeadId, HeadState, HeadStore, StoreError, Swap, UnixSeconds};
use crate::register::{Generation, HeadRegister, RegisterError};

/// How long the outcome of a check is given again.
const CHECK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The heads of a witness in its state file.
///
/// When it is dropped, its task ends what was asked of it and stops.
pub struct SqliteHeads {
    pool: SqlitePool,
    requests: mpsc::Sender<batch::Request>,
    registered: Arc<Registered>,
    checked: Mutex<Option<(Instant, bool)>>,
}

/// Why a state is not one to go on from.
#[derive(Debug, Error)]
pub enum OpenHeadsError {
    /// The state could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The head register could not be read or raised.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The register has seen more than the state: a backup was restored, or the register is another witness's.
    #[error(
        "the state is an older copy: it was changed {found} times, and the head register knows of {registered}; a witness \
         whose newest state is gone is retired, never restored"
    )]
    OlderState {
        /// The state's generation.
        found: u64,
        /// The register's.
        registered: u64,
    },
    /// Heads were cosigned and the register knows nothing.
    #[error("the state was changed {found} times, and there is no head register: put it back where it was")]
    RegisterMissing {
        /// The state's generation.
        found: u64,
    },
}

impl SqliteHeads {
    /// Compares an open state file with the register, raises the register to it and starts the task that writes.
    pub async fn open(pool: SqlitePool, register: Arc<dyn HeadRegister>) -> Result<Self, OpenHeadsError> {
        let found = generation_in(&pool).await?;
        let registered = Arc::new(Registered { register, newest: AtomicU64::new(0) });
        // 1. An older copy of the state is recognised before anything is cosigned or shown.
        match registered.read().await? {
            Some(registered) if registered > found => {
                return Err(OpenHeadsError::OlderState { found: found.0, registered: registered.0 });
            }
            None if found > Generation(0) => return Err(OpenHeadsError::RegisterMissing { found: found.0 }),
            // Nothing was ever stored: an `init` that was killed at its end.
            Some(_) | None => {}
        }
        // 2. What is in the state and was not registered: a crash came between. From now on it may be shown.
        registered.raise(found).await?;
        let (requests, receiver) = mpsc::channel(batch::QUEUE_MAX);
        tokio::spawn(batch::write(pool.clone(), Arc::clone(&registered), receiver));
        Ok(Self { pool, requests, registered, checked: Mutex::new(None) })
    }

    fn checked(&self) -> MutexGuard<'_, Option<(Instant, bool)>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn asked<Answer>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<Answer, StoreError>>) -> batch::Request,
    ) -> Result<Answer, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| ended())?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> StoreError {
    StoreError::Write("the task that writes the state has ended".into())
}

/// The register, and what this process knows of it.
struct Registered {
    register: Arc<dyn HeadRegister>,
    /// What it holds at least.
    newest: AtomicU64,
}

impl Registered {
    async fn read(&self) -> Result<Option<Generation>, RegisterError> {
        let register = Arc::clone(&self.register);
        blocking(move || register.read()).await
    }

    /// Raises the register in the file, whatever is known of it.
    async fn raise(&self, to: Generation) -> Result<(), RegisterError> {
        let register = Arc::clone(&self.register);
        blocking(move || register.raise(to)).await?;
        self.newest.fetch_max(to.0, Ordering::SeqCst);
        Ok(())
    }

    /// Raises the register unless it is known to be there.
    async fn at_least(&self, to: Generation) -> Result<(), Arc<RegisterError>> {
        if self.newest.load(Ordering::SeqCst) >= to.0 {
            return Ok(());
        }
        self.raise(to).await.map_err(|error| {
            metrics::register_failed();
            Arc::new(error)
        })
    }
}

/// Files block; the runtime's threads must not.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RegisterError> + Send + 'static,
) -> Result<T, RegisterError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(RegisterError::Cancelled))
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
        let (origin, new) = (origin.clone(), new.clone());
        self.asked(|answer| batch::Request::Swap(Box::new(batch::Wanted { origin, expected, new, answer }))).await
    }

    async fn read_to_show(&self, origin: &Origin) -> Result<HeadState, StoreError> {
        let state = self.read(origin).await?;
        // Read after the head: at least the generation in which it was stored, by whichever process.
        self.registered.at_least(generation_in(&self.pool).await?).await.map_err(StoreError::Register)?;
        Ok(state)
    }

    async fn check(&self) -> Result<(), StoreError> {
        // Strangers ask this: they must not make the disk work more than once in a while.
        if let Some((at, sound)) = *self.checked()
            && at.elapsed() < CHECK_AGAIN_AFTER
        {
            return if sound { Ok(()) } else { Err(StoreError::Write("not writable a moment ago".into())) };
        }
        let outcome = self.asked(batch::Request::Check).await;
        *self.checked() = Some((Instant::now(), outcome.is_ok()));
        outcome
    }
}

async fn generation_in(pool: &SqlitePool) -> Result<Generation, StoreError> {
    let value: i64 = sqlx::query_scalar("SELECT value FROM generation").fetch_one(pool).await.map_err(read_error)?;
    Ok(generation(value))
}

/// The table holds no negative number.
fn generation(value: i64) -> Generation {
    Generation(value.unsigned_abs())
}

/// The compare-and-swap, inside the caller's transaction.
async fn swap_in(
    connection: &mut SqliteConnection,
    origin: &Origin,
    expected: Option<HeadId>,
    new: &CosignedHead,
) -> Result<Swap, sqlx::Error> {
    let swap = match expected {
        None => insert(connection, origin, new).await,
        Some(expected) => update(connection, origin, expected, new).await,
    }?;
    match swap {
        Swap::Stored if expected != Some(new.id) => remember(connection, origin, new).await?,
        Swap::Stored | Swap::NewerKept | Swap::Lost => {}
    }
    Ok(swap)
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
