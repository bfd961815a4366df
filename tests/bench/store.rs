//! How many entries a second the store keeps in PostgreSQL: batches of 256, 1,024 and 4,096 entries of 200 bytes through
//! `Store::commit`, and beside them in the same run the same bytes into a table without keys, one statement and one
//! durable commit for each batch too.
//!
//! Staging and signing are done before the clock starts. The server is one of its own, with `fsync` on.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops at that line")]

use std::time::{Duration, Instant};

use countermark_keys::{KeyFile, Role, Signer, create_passphrase_file};
use countermark_log::ports::{LogKind, Store as _, WriterEpoch, WriterId};
use countermark_log::stage::{LogKey, NewEntry, SignedBatch, Tree, stage};
use countermark_log::store::postgres::PostgresStore;
use countermark_migrations::postgres::{Deadlines, PostgresUrl, migrate, open};
use countermark_tests::postgres::{PostgresServer, SUPERUSER};
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::hash::leaf_hash;
use countermark_tlog::note::{SignatureType, VerifierKey};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

/// Entries for each size of batches; three sizes make about a million.
const ENTRIES: usize = 344_064;
/// The same where it is only shown that everything runs.
const ENTRIES_QUICK: usize = 8_192;
const ENTRY_BYTES: usize = 200;
const BATCHES: [usize; 3] = [256, 1_024, 4_096];
/// So many batches are staged ahead of the clock.
const STAGED_AHEAD: usize = 16;

#[tokio::main]
async fn main() {
    let total = if std::env::args().any(|argument| argument == "--quick") { ENTRIES_QUICK } else { ENTRIES };
    // Room for what is written between two checkpoints, as every server that writes much is given.
    let server = PostgresServer::start_with(&["max_wal_size=4GB", "shared_buffers=512MB", "wal_compression=on"]);
    let mut log = Log::create(&server).await;
    println!("\nEntries of {ENTRY_BYTES} bytes kept in PostgreSQL, a second; {total} for each size of batches");
    println!("  {:<8} {:>12} {:>12} {:>7} {:>14}", "batch", "ours", "bare", "ratio", "ours, a commit");
    for size in BATCHES {
        let (ours, bare) = (log.measure(size, total).await, bare(&server, size, total).await);
        let rate = |time: Duration| f64::from(u32::try_from(total).unwrap()) / time.as_secs_f64();
        let commits = u32::try_from(total / size).unwrap();
        println!(
            "  {size:<8} {:>12.0} {:>12.0} {:>7.2} {:>11.2} ms",
            rate(ours),
            rate(bare),
            ours.as_secs_f64() / bare.as_secs_f64(),
            (ours / commits).as_secs_f64() * 1_000.0
        );
    }
}

/// A raw log and its writer.
struct Log {
    store: PostgresStore,
    origin: Origin,
    signer: Box<dyn Signer>,
    key: VerifierKey,
    epoch: WriterEpoch,
    tree: Tree,
}

impl Log {
    async fn create(server: &PostgresServer) -> Self {
        let mut connection = PgConnection::connect(&server.url(SUPERUSER, "postgres")).await.unwrap();
        for sql in [
            "CREATE ROLE countermark_log_service NOLOGIN",
            "CREATE ROLE service LOGIN IN ROLE countermark_log_service",
            "CREATE ROLE owner LOGIN",
            "CREATE DATABASE countermark OWNER owner",
        ] {
            connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
        }
        migrate(&PostgresUrl::parse(&server.url("owner", "countermark")).unwrap()).await.unwrap();
        let service = PostgresUrl::parse(&server.url("service", "countermark")).unwrap();
        let store = PostgresStore::new(open(&service, Deadlines::default()).await.unwrap());
        let folder = tempfile::tempdir().unwrap();
        let (file, passphrase) = (folder.path().join("log.key"), folder.path().join("passphrase"));
        create_passphrase_file(&passphrase).unwrap();
        KeyFile::create(&file, Role::Log, &passphrase).unwrap();
        let signer = KeyFile::open_signer(&file, Role::Log, &passphrase).unwrap();
        let origin = Origin::new("log.example/bench").unwrap();
        let key = VerifierKey::new(origin.key_name().clone(), SignatureType::Ed25519, signer.public_key()).unwrap();
        let first = stage(&origin, &Tree::empty(), Vec::new())
            .unwrap()
            .sign(&[LogKey { signer: &*signer, vkey: &key }])
            .unwrap();
        store.create_namespace(LogKind::Raw, &first).await.unwrap();
        let epoch = store.take_writer(&origin, WriterId([1; 16]), None).await.unwrap().epoch;
        Self { store, origin, signer, key, epoch, tree: first.tree().clone() }
    }

    fn next(&mut self, size: usize) -> SignedBatch {
        let from = self.tree.size().get();
        let entries = (from..).take(size).map(entry);
        let entries = entries.map(|bytes| NewEntry::raw(leaf_hash(&bytes), bytes.into())).collect();
        let batch = stage(&self.origin, &self.tree, entries)
            .unwrap()
            .sign(&[LogKey { signer: &*self.signer, vkey: &self.key }])
            .unwrap();
        self.tree = batch.tree().clone();
        batch
    }

    /// The time that all commits take.
    async fn measure(&mut self, size: usize, total: usize) -> Duration {
        let mut time = Duration::ZERO;
        let mut left = total / size;
        while left > 0 {
            let batches: Vec<_> = (0..left.min(STAGED_AHEAD)).map(|_| self.next(size)).collect();
            left -= batches.len();
            let begun = Instant::now();
            for batch in &batches {
                self.store.commit(self.epoch, batch).await.unwrap();
            }
            time += begun.elapsed();
        }
        time
    }
}

/// An entry that is like no other.
fn entry(number: u64) -> Vec<u8> {
    let mut bytes = vec![0x5a; ENTRY_BYTES];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// The time that the same bytes take without an index, a tile or a head.
async fn bare(server: &PostgresServer, size: usize, total: usize) -> Duration {
    let mut connection = PgConnection::connect(&server.url(SUPERUSER, "postgres")).await.unwrap();
    connection.execute("DROP TABLE IF EXISTS bare; CREATE TABLE bare (bytes bytea NOT NULL)").await.unwrap();
    let mut time = Duration::ZERO;
    for batch in 0..total / size {
        let from = u64::try_from(batch * size).unwrap();
        let entries: Vec<Vec<u8>> = (from..).take(size).map(entry).collect();
        let begun = Instant::now();
        let insert = sqlx::query("INSERT INTO bare (bytes) SELECT * FROM unnest($1::bytea[])").bind(entries);
        insert.execute(&mut connection).await.unwrap();
        time += begun.elapsed();
    }
    time
}
