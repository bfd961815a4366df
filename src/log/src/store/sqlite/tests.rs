use std::sync::Arc;
use std::time::Duration;

use countermark_migrations::{Database, Open, open_sqlite};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;
use crate::head_register::FileRegister;
use crate::ports::HeadRegister as _;
use crate::recover::LoadError;
use crate::sequencer::{self, NamespaceHandle, Ports, StartError, WaitLevel};
use crate::testing::World;
use crate::testing::audit::audit_registered;
use crate::testing::world::entry;

const LONG: Duration = Duration::from_mins(1);

/// A namespace on a disk: database and register in folders of their own.
struct Disk {
    world: World,
    database: TempDir,
    register: TempDir,
}

impl Disk {
    async fn created() -> Self {
        let disk = Self {
            world: World::new(),
            database: tempfile::tempdir().unwrap(),
            register: tempfile::tempdir().unwrap(),
        };
        let pool = open_sqlite(&disk.path(), Database::Log, Open::CreateNew).await.unwrap();
        let store = Arc::new(SqliteStore::open(pool).await.unwrap());
        let first = vec![disk.world.first_entry()];
        sequencer::create(&disk.world.settings(), first, &disk.ports(store)).await.unwrap();
        disk
    }

    fn path(&self) -> std::path::PathBuf {
        self.database.path().join("log.db")
    }

    fn ports(&self, store: Arc<SqliteStore>) -> Ports {
        let register = Arc::new(FileRegister::open(self.register.path()).unwrap());
        Ports { register, ..self.world.ports(store) }
    }

    async fn store(&self) -> Arc<SqliteStore> {
        let pool = open_sqlite(&self.path(), Database::Log, Open::Existing).await.unwrap();
        Arc::new(SqliteStore::open(pool).await.unwrap())
    }

    async fn start(&self) -> Result<NamespaceHandle, StartError> {
        let ports = self.ports(self.store().await);
        Ok(sequencer::start(self.world.settings(), ports).await?.0)
    }

    async fn audit(&self) -> Vec<Vec<u8>> {
        let register = FileRegister::open(self.register.path()).unwrap();
        let registered = register.read(&self.world.origin()).await.unwrap();
        audit_registered(&self.world, self.store().await.as_ref(), registered.into_iter().collect()).await
    }

    async fn submit(&self, handle: &NamespaceHandle, number: u64) -> u64 {
        let submission = entry(&self.world.evidence(number));
        handle.submit(submission, WaitLevel::Published, LONG).await.unwrap().index.get()
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let mut first = runtime();
    let disk = first.block_on(Disk::created());
    let mut acknowledged: Vec<(u64, u64)> = Vec::new();
    for life in 0..4 {
        let killed = std::mem::replace(&mut first, runtime());
        let handle = killed.block_on(disk.start()).unwrap();
        for (number, index) in &acknowledged {
            assert_eq!(killed.block_on(disk.submit(&handle, *number)), *index);
        }
        for number in life * 100..life * 100 + 3 {
            acknowledged.push((number, killed.block_on(disk.submit(&handle, number))));
        }
        // Some more are on their way when everything that runs is dropped where it stands.
        for number in life * 100 + 3..life * 100 + 50 {
            let (handle, submission) = (handle.clone(), entry(&disk.world.evidence(number)));
            killed.spawn(async move { handle.submit(submission, WaitLevel::Committed, LONG).await });
        }
        let more = entry(&disk.world.evidence(life * 100 + 99));
        let _ = killed.block_on(handle.submit(more, WaitLevel::Committed, Duration::from_micros(life * 700)));
        killed.shutdown_background();
    }
    let handle = first.block_on(disk.start()).unwrap();
    for (number, index) in &acknowledged {
        assert_eq!(first.block_on(disk.submit(&handle, *number)), *index);
    }
    first.block_on(async { disk.audit().await });
}

#[tokio::test]
async fn a_commit_that_sqlite_rolled_back_by_itself_blocks_no_later_one() {
    let disk = Disk::created().await;
    let store = disk.store().await;
    let ports = disk.ports(Arc::clone(&store));
    let (handle, _) = sequencer::start(disk.world.settings(), ports).await.unwrap();
    for number in 0..3 {
        {
            let mut writer = store.writer.lock().await;
            let mut transaction = writer.begin_with(BEGIN_WRITE).await.unwrap();
            // As SQLite does where the disk is full.
            sqlx::raw_sql("ROLLBACK").execute(&mut *transaction).await.unwrap();
        }
        assert_eq!(disk.submit(&handle, number).await, number + 1);
    }
    disk.audit().await;
}

#[tokio::test]
async fn a_restored_backup_is_refused() {
    let disk = Disk::created().await;
    let backup = disk.database.path().join("backup.db");
    let store = disk.store().await;
    let handle = disk.start().await.unwrap();
    disk.submit(&handle, 1).await;
    sqlx::query("VACUUM INTO ?").bind(backup.to_str().unwrap()).execute(&store.pool).await.unwrap();
    disk.submit(&handle, 2).await;
    handle.shutdown().await;
    drop(handle);
    let pool = store.pool.clone();
    drop(store);
    pool.close().await;
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", disk.path().display()));
    }
    std::fs::rename(&backup, disk.path()).unwrap();
    let refused = disk.start().await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, StartError::Load(LoadError::RegisterAhead { .. })), "{refused}");
}

#[tokio::test]
async fn statements_survive_a_restart() {
    let disk = Disk::created().await;
    let handle = disk.start().await.unwrap();
    let statement = disk.world.statement(1, None);
    handle.submit(disk.world.submission(&statement), WaitLevel::Published, LONG).await.unwrap();
    let activation = disk.world.activation(&handle.published().unwrap().state, 1);
    handle.submit(entry(&activation), WaitLevel::Published, LONG).await.unwrap();
    handle.shutdown().await;
    let again = disk.start().await.unwrap();
    let published = again.published().unwrap();
    assert_eq!(published.state.fleet_keys().unwrap().newest_active().unwrap().statement.bytes(), statement.write());
}

#[tokio::test]
async fn hundreds_of_submitters_at_once_are_taken_in_few_commits() {
    let disk = Disk::created().await;
    let handle = disk.start().await.unwrap();
    let mut submitters = tokio::task::JoinSet::new();
    for number in 0..600 {
        let (handle, submission) = (handle.clone(), entry(&disk.world.evidence(number)));
        submitters.spawn(async move { handle.submit(submission, WaitLevel::Published, LONG).await.unwrap().index });
    }
    let mut indexes: Vec<u64> = submitters.join_all().await.iter().map(|index| index.get()).collect();
    indexes.sort_unstable();
    assert_eq!(indexes, (1..=600).collect::<Vec<u64>>());
    let store = disk.store().await;
    let heads: i64 = sqlx::query_scalar("SELECT count(*) FROM signed_head").fetch_one(&store.pool).await.unwrap();
    assert!(heads < 200, "{heads}");
    disk.audit().await;
}

#[tokio::test]
async fn nothing_that_was_signed_can_be_changed_or_deleted() {
    let disk = Disk::created().await;
    let handle = disk.start().await.unwrap();
    disk.submit(&handle, 1).await;
    handle.shutdown().await;
    let pool = disk.store().await.pool.clone();
    sqlx::query("INSERT INTO full_tile VALUES (1, 0, 0, zeroblob(8192))").execute(&pool).await.unwrap();
    for statement in [
        "UPDATE entry SET bytes = x'00'",
        "DELETE FROM entry",
        "UPDATE full_tile SET hashes = zeroblob(8192)",
        "DELETE FROM full_tile",
        "UPDATE signed_head SET root = zeroblob(32)",
        "DELETE FROM signed_head",
        "DELETE FROM log",
        "UPDATE log SET size = size - 1",
        "UPDATE log SET writer_epoch = 0",
        "UPDATE log SET origin = 'other'",
        "UPDATE publication SET size = 9",
        "UPDATE publication SET note = x'00' WHERE size = 1",
        "INSERT INTO publication SELECT log_id, 0, note FROM publication",
        "INSERT OR REPLACE INTO publication SELECT log_id, 1, x'00' FROM publication WHERE size > 1",
        "DELETE FROM publication",
        "INSERT INTO signed_head SELECT log_id, size, root, checkpoint FROM signed_head",
        "INSERT OR REPLACE INTO signed_head SELECT log_id, size, zeroblob(32), checkpoint FROM signed_head",
        "INSERT OR REPLACE INTO full_tile SELECT log_id, level, tile_index, zeroblob(8192) FROM full_tile",
        "INSERT OR REPLACE INTO log SELECT * FROM log",
        "UPDATE log SET kind = 'raw'",
        "INSERT OR REPLACE INTO entry SELECT entry_id, x'00' FROM entry",
        "INSERT INTO entry SELECT max(entry_id) + 2, x'00' FROM entry",
        "UPDATE entry_key SET leaf_index = 7",
        "DELETE FROM entry_key",
        "INSERT OR REPLACE INTO entry_key SELECT log_id, key, 7, is_identity, is_leaf_hash FROM entry_key",
    ] {
        let refused = sqlx::query(statement).execute(&pool).await;
        assert!(refused.is_err(), "{statement}: {refused:?}");
    }
    let origins = SqliteStore::open(pool).await.unwrap().origins().await.unwrap();
    assert_eq!(origins, ["log.example/backup"]);
}

#[tokio::test]
async fn values_that_the_program_did_not_write_are_faults() {
    let disk = Disk::created().await;
    let store = disk.store().await;
    let origin = disk.world.origin();
    sqlx::query("INSERT INTO partial_tile VALUES (1, 3, -0, zeroblob(64))").execute(&store.pool).await.unwrap();
    assert!(store.partial_tiles(&origin).await.is_ok());
    sqlx::query("PRAGMA ignore_check_constraints = ON").execute(&store.pool).await.unwrap();
    let edits = [
        "UPDATE partial_tile SET tile_index = -1 WHERE level = 3",
        "UPDATE partial_tile SET tile_index = 0, hashes = zeroblob(0) WHERE level = 3",
    ];
    for edit in edits {
        let mut connection = store.pool.acquire().await.unwrap();
        sqlx::query("PRAGMA ignore_check_constraints = ON").execute(&mut *connection).await.unwrap();
        sqlx::query(edit).execute(&mut *connection).await.unwrap();
        drop(connection);
        assert!(store.partial_tiles(&origin).await.is_err(), "{edit}");
    }
}
