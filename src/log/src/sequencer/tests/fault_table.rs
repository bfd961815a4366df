//! Every call of every port fails once, in both forms, at every moment of a log's life that makes it; then the same is
//! tried again, or something new comes, or the process is killed and another one starts. Afterwards the log is whole, all
//! of it recomputed from its entries, nothing that was signed contradicts it, and everything acknowledged is where it was
//! acknowledged to be. For every kind of log over every store.
//!
//! Nothing here waits for a clock but the log's own pauses after a fault: a store may do its work in other threads.

mod run;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use countermark_migrations::{Database, Open, open_sqlite};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::ports::{LogKind, PortFuture, Store};
use crate::store::memory::MemoryStore;
use crate::store::sqlite::SqliteStore;
use crate::testing::faulty::{CALLS, Call, Form};
use crate::testing::postgres::TestPostgres;

use run::run;

/// How many rows are worked on at once.
const AT_ONCE: usize = 16;
/// The same where each row has connections to one server.
const DATABASES_AT_ONCE: usize = 4;

/// What a store is made in, and opened again by every process that uses it.
trait Place: Send + Sync {
    /// The store as a process that has just started opens it.
    fn open(&self) -> PortFuture<'_, Arc<dyn Store>>;
}

/// A store in memory survives its processes.
struct InMemory(Arc<MemoryStore>);

impl Place for InMemory {
    fn open(&self) -> PortFuture<'_, Arc<dyn Store>> {
        Box::pin(async { Arc::clone(&self.0) as Arc<dyn Store> })
    }
}

async fn in_memory() -> InMemory {
    InMemory(Arc::default())
}

/// A file that each process opens for itself.
struct InFile(TempDir);

impl Place for InFile {
    fn open(&self) -> PortFuture<'_, Arc<dyn Store>> {
        Box::pin(async {
            let pool = open_sqlite(&self.0.path().join("log.db"), Database::Log, Open::Existing).await.unwrap();
            Arc::new(SqliteStore::open(pool).await.unwrap()) as Arc<dyn Store>
        })
    }
}

async fn in_file() -> InFile {
    let folder = tempfile::tempdir().unwrap();
    open_sqlite(&folder.path().join("log.db"), Database::Log, Open::CreateNew).await.unwrap().close().await;
    InFile(folder)
}

/// A database on a server that all rows share.
struct InDatabase {
    server: Arc<TestPostgres>,
    name: String,
}

impl Place for InDatabase {
    fn open(&self) -> PortFuture<'_, Arc<dyn Store>> {
        Box::pin(async { Arc::new(self.server.store_of_copy(&self.name).await) as Arc<dyn Store> })
    }
}

async fn in_database(server: &Arc<TestPostgres>, number: &AtomicUsize) -> InDatabase {
    let name = format!("row_{}", number.fetch_add(1, Ordering::Relaxed));
    server.copy(&name).await;
    InDatabase { server: Arc::clone(server), name }
}

/// When the fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// While the log is made.
    Create,
    /// While a process starts.
    Start,
    /// While a process starts and finds a head that a crash kept out of the register.
    StartBehind,
    /// While an entry is added and published.
    Submit,
    /// While an entry is handed in that is in the log already.
    Repeat,
    /// While everything is read again after another fault.
    Reload,
    /// While somebody reads.
    Read,
    /// While the log is frozen.
    Freeze,
}

/// What comes after the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The same once more.
    Retry,
    /// Another submission.
    New,
    /// The process is killed, and another one starts.
    Restart,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
struct Row {
    kind: LogKind,
    moment: Moment,
    call: Call,
    form: Form,
    next: Next,
}

/// Which calls each moment makes. A row whose fault does not strike is a failure, so this cannot claim too much; that
/// every call has a moment is checked, so it cannot claim nothing.
const fn calls(moment: Moment, kind: LogKind) -> &'static [Call] {
    match (moment, kind) {
        (Moment::Create, _) => {
            &[Call::ReadRegister, Call::NewestCheckpoint, Call::CreateNamespace, Call::CompareAndSwap]
        }
        (Moment::Start, _) => &[
            Call::TakeWriter,
            Call::PartialTiles,
            Call::Publication,
            Call::Entries,
            Call::ReadRegister,
            Call::NewestCheckpoint,
        ],
        (Moment::StartBehind, _) => &[Call::CompareAndSwap],
        (Moment::Submit, _) => &[
            Call::IndexesOfIdentities,
            Call::Commit,
            Call::CompareAndSwap,
            Call::AddCheckpoint,
            Call::RecordPublication,
        ],
        // Of an opaque entry the store's index says all there is to say.
        (Moment::Repeat, LogKind::Raw) => &[Call::IndexesOfIdentities],
        (Moment::Repeat, LogKind::FleetKeys) => &[Call::IndexesOfIdentities, Call::Entries],
        (Moment::Reload, _) => &[
            Call::TakeWriter,
            Call::PartialTiles,
            Call::Publication,
            Call::Entries,
            Call::ReadRegister,
            Call::CompareAndSwap,
            Call::IndexesOfIdentities,
        ],
        // The log of the other kind is too small to have a full tile.
        (Moment::Read, LogKind::Raw) => {
            &[Call::Entries, Call::FullTile, Call::IndexOfLeafHash, Call::IndexesOfIdentities]
        }
        (Moment::Read, LogKind::FleetKeys) => &[Call::Entries, Call::IndexOfLeafHash, Call::IndexesOfIdentities],
        (Moment::Freeze, _) => &[Call::Freeze],
    }
}

/// Every row for logs of this kind.
fn rows(kind: LogKind) -> Vec<Row> {
    let moments = [
        Moment::Create,
        Moment::Start,
        Moment::StartBehind,
        Moment::Submit,
        Moment::Repeat,
        Moment::Reload,
        Moment::Read,
        Moment::Freeze,
    ];
    let mut rows = Vec::new();
    for moment in moments {
        for call in calls(moment, kind) {
            for form in [Form::NotDone, Form::Done] {
                for next in [Next::Retry, Next::New, Next::Restart] {
                    rows.push(Row { kind, moment, call: *call, form, next });
                }
            }
        }
    }
    rows
}

/// Works through the table over one store.
async fn work_through<P: Place + 'static>(rows: Vec<Row>, at_once: usize, place: impl AsyncFn() -> P) {
    let permits = Arc::new(Semaphore::new(at_once));
    let mut under_way = JoinSet::new();
    for row in rows {
        let permit = Arc::clone(&permits).acquire_owned().await.unwrap();
        let place = place().await;
        under_way.spawn(async move {
            // In a task of its own, so that a failure is told with its row.
            let ended = tokio::spawn(async move { run(&place, row).await }).await;
            drop(permit);
            assert!(ended.is_ok(), "{row:?}");
        });
    }
    while let Some(ended) = under_way.join_next().await {
        ended.unwrap();
    }
}

macro_rules! table {
    ($($store:ident: $place:ident),* $(,)?) => {
        $(mod $store {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_fault_of_any_port_at_any_moment_leaves_one_whole_fleet_keys_log() {
                work_through(rows(LogKind::FleetKeys), AT_ONCE, $place).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_fault_of_any_port_at_any_moment_leaves_one_whole_raw_log() {
                work_through(rows(LogKind::Raw), AT_ONCE, $place).await;
            }
        })*
    };
}

// A store joins the table with its line here, or with a module of its own where its rows share something.
table!(memory: in_memory, sqlite: in_file);

mod postgres {
    use super::*;

    async fn work_through_databases(kind: LogKind) {
        let server = Arc::new(TestPostgres::migrated().await);
        let number = AtomicUsize::new(0);
        let mut rows = rows(kind);
        // A database for each row takes its time: what comes after the fault varies in the long run only.
        if std::env::var_os("COUNTERMARK_LONG").is_none() {
            rows.retain(|row| row.next == Next::Restart);
        }
        work_through(rows, DATABASES_AT_ONCE, async || in_database(&server, &number).await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_fault_of_any_port_at_any_moment_leaves_one_whole_fleet_keys_log() {
        work_through_databases(LogKind::FleetKeys).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_fault_of_any_port_at_any_moment_leaves_one_whole_raw_log() {
        work_through_databases(LogKind::Raw).await;
    }
}

#[test]
fn the_table_has_every_call_of_every_port() {
    let rows = rows(LogKind::Raw);
    for call in CALLS {
        assert!(rows.iter().any(|row| row.call == call), "{call:?} never fails");
    }
}
