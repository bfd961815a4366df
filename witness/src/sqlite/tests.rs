mod batch;

use std::task::Poll;

use countermark_migrations::{Database, Open, open_sqlite};
use tempfile::TempDir;

use super::*;
use crate::testkit::log::TestLog;
use crate::testkit::stores::{FatedRegister, MemoryHeads};

struct StateFile {
    folder: TempDir,
}

impl StateFile {
    async fn create() -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        file.open(Open::CreateNew).await.close().await;
        file
    }

    async fn open(&self, open: Open) -> SqlitePool {
        open_sqlite(&self.folder.path().join("witness.sqlite"), Database::Witness, open).await.unwrap()
    }
}

fn log() -> TestLog {
    TestLog::new("log.example/a")
}

fn head(log: &TestLog, leaves: usize, cosigned_at: u64) -> CosignedHead {
    CosignedHead {
        id: HeadId { size: TreeSize::new(leaves.try_into().unwrap()).unwrap(), root: log.root(leaves) },
        cosigned_at: UnixSeconds::new(cosigned_at).unwrap(),
        checkpoint: log.checkpoint(leaves).into_bytes(),
        cosignatures: format!("— witness {cosigned_at}\n"),
    }
}

async fn heads(pool: &SqlitePool) -> SqliteHeads {
    heads_with(pool, &Arc::default()).await
}

async fn heads_with(pool: &SqlitePool, register: &Arc<FatedRegister>) -> SqliteHeads {
    SqliteHeads::open(pool.clone(), Arc::<FatedRegister>::clone(register)).await.unwrap()
}

/// What every store of heads does.
async fn check_contract(store: &impl HeadStore) {
    let log = log();
    let origin = log.origin();
    let [five, seven, nine] = [5, 7, 9].map(|leaves| head(&log, leaves, 100));
    let fork = head(&log.forked_at(2), 7, 100);
    let renewed = head(&log, 7, 101);

    let cases: [(&str, Option<HeadId>, &CosignedHead, Swap, &CosignedHead); 12] = [
        ("the first head", None, &five, Swap::Stored, &five),
        ("the first head again", None, &five, Swap::Lost, &five),
        ("another first head", None, &seven, Swap::Lost, &five),
        ("from a head that was never stored", Some(seven.id), &nine, Swap::Lost, &five),
        ("a larger head", Some(five.id), &seven, Swap::Stored, &seven),
        ("a larger head from an overtaken one", Some(five.id), &nine, Swap::Lost, &seven),
        ("the stored head from an overtaken one", Some(five.id), &seven, Swap::Lost, &seven),
        ("from another root of the stored size", Some(fork.id), &nine, Swap::Lost, &seven),
        ("a renewal", Some(seven.id), &renewed, Swap::Stored, &renewed),
        ("an older renewal", Some(seven.id), &seven, Swap::NewerKept, &renewed),
        ("a renewal at the same time", Some(seven.id), &renewed, Swap::Stored, &renewed),
        ("a larger head with an older time", Some(seven.id), &nine, Swap::Lost, &renewed),
    ];
    assert_eq!(store.read(&origin).await.unwrap(), HeadState::NeverCosigned);
    for (case, expected, new, swap, then) in cases {
        assert_eq!(store.swap(&origin, expected, new).await.unwrap(), swap, "{case}");
        assert_eq!(store.read(&origin).await.unwrap(), HeadState::Cosigned(then.clone()), "{case}");
    }

    // Another log is another row.
    let other = TestLog::new("log.example/b");
    assert_eq!(store.read(&other.origin()).await.unwrap(), HeadState::NeverCosigned);
    let empty = head(&other, 0, 100);
    assert_eq!(store.swap(&other.origin(), None, &empty).await.unwrap(), Swap::Stored);
    assert_eq!(store.read(&other.origin()).await.unwrap(), HeadState::Cosigned(empty));
    assert_eq!(store.read(&origin).await.unwrap(), HeadState::Cosigned(renewed));
}

#[tokio::test]
async fn heads_in_memory_keep_the_contract() {
    check_contract(&MemoryHeads::default()).await;
}

#[tokio::test]
async fn heads_in_sqlite_keep_the_contract() {
    let file = StateFile::create().await;
    let pool = file.open(Open::Existing).await;
    check_contract(&heads(&pool).await).await;
    pool.close().await;
}

#[tokio::test]
async fn every_head_ever_cosigned_is_remembered_once() {
    let file = StateFile::create().await;
    let pool = file.open(Open::Existing).await;
    let (log, store) = (log(), heads(&pool).await);
    let steps = [(None, 5, 100), (Some(5), 5, 101), (Some(5), 7, 102), (Some(7), 7, 103)];
    for (from, to, at) in steps {
        let expected = from.map(|leaves| head(&log, leaves, 1).id);
        let swap = store.swap(&log.origin(), expected, &head(&log, to, at)).await.unwrap();
        assert_eq!(swap, Swap::Stored);
    }
    let rows: Vec<(i64, i64, Vec<u8>)> =
        sqlx::query_as("SELECT size, first_cosigned_at, checkpoint FROM cosigned_head ORDER BY size")
            .fetch_all(&pool)
            .await
            .unwrap();
    let expect = [(5, 100), (7, 102)];
    assert_eq!(rows.len(), expect.len());
    for ((size, at, checkpoint), (leaves, first_at)) in rows.into_iter().zip(expect) {
        assert_eq!((size, at), (i64::try_from(leaves).unwrap(), first_at));
        assert_eq!(checkpoint, log.checkpoint(leaves).into_bytes());
    }
    pool.close().await;
}

#[tokio::test]
async fn the_database_itself_refuses_what_no_witness_does() {
    let file = StateFile::create().await;
    let pool = file.open(Open::Existing).await;
    let (log, store) = (log(), heads(&pool).await);
    store.swap(&log.origin(), None, &head(&log, 7, 100)).await.unwrap();
    let statements = [
        "UPDATE head SET size = 6",
        "UPDATE head SET root = zeroblob(32)",
        "UPDATE head SET cosigned_at = 99",
        "UPDATE head SET origin = 'log.example/b'",
        "UPDATE head SET size = -1",
        "UPDATE head SET root = zeroblob(31), size = 8",
        "UPDATE head SET size = 'seven'",
        "DELETE FROM head",
        "UPDATE cosigned_head SET root = zeroblob(32)",
        "DELETE FROM cosigned_head",
        "INSERT INTO cosigned_head SELECT origin, size, zeroblob(32), 1, checkpoint FROM cosigned_head",
    ];
    for statement in statements {
        sqlx::query(statement).execute(&pool).await.expect_err(statement);
    }
    assert_eq!(store.read(&log.origin()).await.unwrap(), HeadState::Cosigned(head(&log, 7, 100)));
    pool.close().await;
}

#[tokio::test]
async fn of_two_processes_on_one_state_file_only_one_advances() {
    let file = StateFile::create().await;
    let pools = [file.open(Open::Existing).await, file.open(Open::Existing).await];
    let register = Arc::new(FatedRegister::default());
    let stores = [heads_with(&pools[0], &register).await, heads_with(&pools[1], &register).await];
    for round in 0..40 {
        let log = TestLog::new(&format!("log.example/{round}"));
        let origin = log.origin();
        let first = head(&log, 1, 100);
        stores[0].swap(&origin, None, &first).await.unwrap();
        // Both start from the same head, and each wants a successor of its own.
        let news = [head(&log, 2, 100), head(&log.forked_at(1), 2, 100)];
        let swaps = tokio::join!(
            stores[0].swap(&origin, Some(first.id), &news[0]),
            stores[1].swap(&origin, Some(first.id), &news[1]),
        );
        let winner = match (swaps.0.unwrap(), swaps.1.unwrap()) {
            (Swap::Stored, Swap::Lost) => &news[0],
            (Swap::Lost, Swap::Stored) => &news[1],
            other => panic!("round {round}: {other:?}"),
        };
        for store in &stores {
            assert_eq!(store.read(&origin).await.unwrap(), HeadState::Cosigned(winner.clone()), "round {round}");
        }
    }
    for pool in pools {
        pool.close().await;
    }
}

#[tokio::test]
async fn a_row_that_holds_no_head_is_damaged_not_empty() {
    let log = log();
    let cases = [
        ("root", "UPDATE head SET root = zeroblob(31), size = 8"),
        ("cosignatures", "UPDATE head SET cosignatures = x'ff'"),
        ("size", "UPDATE head SET size = -1"),
        ("cosigned_at", "UPDATE head SET cosigned_at = 0"),
    ];
    for (column, statement) in cases {
        let file = StateFile::create().await;
        let pool = file.open(Open::Existing).await;
        let store = heads(&pool).await;
        store.swap(&log.origin(), None, &head(&log, 7, 100)).await.unwrap();
        let mut connection = pool.acquire().await.unwrap();
        for step in ["DROP TRIGGER head_never_goes_back", "PRAGMA ignore_check_constraints = ON", statement] {
            sqlx::query(step).execute(&mut *connection).await.unwrap();
        }
        drop(connection);
        match store.read(&log.origin()).await.unwrap_err() {
            StoreError::Damaged { column: found, .. } => assert_eq!(found, column),
            other => panic!("{column}: {other:?}"),
        }
        pool.close().await;
    }
}

#[tokio::test]
async fn a_closed_file_is_a_fault_not_an_empty_state() {
    let file = StateFile::create().await;
    let pool = file.open(Open::Existing).await;
    let (log, store) = (log(), heads(&pool).await);
    pool.close().await;
    assert!(matches!(store.read(&log.origin()).await, Err(StoreError::Read(_))));
    let swap = store.swap(&log.origin(), None, &head(&log, 7, 100)).await;
    assert!(matches!(swap, Err(StoreError::Write(_))), "{swap:?}");
}

/// Runs a future for at most `polls` polls and drops it where it then is.
async fn dropped_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => match left.checked_sub(1) {
            Some(fewer) => {
                left = fewer;
                Poll::Pending
            }
            None => Poll::Ready(None),
        },
    })
    .await
}

#[tokio::test]
async fn a_swap_that_is_dropped_at_any_moment_leaves_the_old_head_or_the_new_one_and_no_lock() {
    let file = StateFile::create().await;
    let pool = file.open(Open::Existing).await;
    let store = heads(&pool).await;
    let mut dropped = 0;
    for polls in 0..12 {
        let log = TestLog::new(&format!("log.example/{polls}"));
        let [one, two] = [1, 2].map(|leaves| head(&log, leaves, 100));
        store.swap(&log.origin(), None, &one).await.unwrap();
        if dropped_after(polls, store.swap(&log.origin(), Some(one.id), &two)).await.is_none() {
            dropped += 1;
        }
        let HeadState::Cosigned(stored) = store.read(&log.origin()).await.unwrap() else {
            panic!("{polls} polls: the head is lost");
        };
        assert!(stored == one || stored == two, "{polls} polls: {stored:?}");
        // A lock that was left behind would make this wait, and fail after five seconds. Which of the two
        // heads it meets may still change while the dropped commit is under way.
        let three = head(&log, 3, 100);
        let swaps = [
            store.swap(&log.origin(), Some(one.id), &three).await.unwrap(),
            store.swap(&log.origin(), Some(two.id), &three).await.unwrap(),
        ];
        assert!(swaps.contains(&Swap::Stored), "{polls} polls: {swaps:?}");
        assert_eq!(store.read(&log.origin()).await.unwrap(), HeadState::Cosigned(three));
    }
    assert!(dropped > 0);
    pool.close().await;
}
