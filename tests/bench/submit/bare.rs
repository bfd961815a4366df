//! What nobody can do without: the disk's durable write, the database's commit, the signatures.

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer as _, SigningKey};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqliteConnection};
use tokio::runtime::{self, Runtime};

/// What is made and checked, one after the other, until a statement is committed. Made: certificate, head. Checked: the
/// token, 3 attestations, 2 approvals; then, as a stranger would, 2 approvals, certificate, head.
pub const SIGNATURES_COMMITTED: Signatures = Signatures { made: 2, checked: 10 };
/// And until it is witnessed. Made: a cosignature; the witnesses work at the same time. Checked: the head by the witness,
/// 3 cosignatures as they arrive; then, as a stranger would, the head and 3 cosignatures.
pub const SIGNATURES_WITNESSED: Signatures = Signatures { made: 3, checked: 18 };

const WRITE_BYTES: usize = 4096;
/// About the size of what these keys sign.
const SIGNED_BYTES: usize = 300;

/// So many Ed25519 signatures.
#[derive(Clone, Copy)]
pub struct Signatures {
    pub made: usize,
    pub checked: usize,
}

/// The tools, and the times of each.
pub struct Bare {
    file: File,
    database: Database,
    key: SigningKey,
    pub writes: Vec<Duration>,
    pub commits: Vec<Duration>,
    pub signatures_committed: Vec<Duration>,
    pub signatures_witnessed: Vec<Duration>,
}

impl Bare {
    /// On the disk of an existing folder.
    pub fn new(folder: &Path) -> Self {
        Self {
            file: File::create_new(folder.join("bare.bytes")).unwrap(),
            database: Database::create(&folder.join("bare.sqlite")),
            key: SigningKey::from_bytes(&[7; 32]),
            writes: vec![],
            commits: vec![],
            signatures_committed: vec![],
            signatures_witnessed: vec![],
        }
    }

    /// Does each once, and times it.
    pub fn measure(&mut self) {
        let Self { file, database, key, .. } = self;
        // Appends, as a log does.
        self.writes.push(timed(|| {
            file.write_all(&[0x5a; WRITE_BYTES]).unwrap();
            file.sync_data().unwrap();
        }));
        self.commits.push(timed(|| database.commit_row()));
        self.signatures_committed.push(timed(|| SIGNATURES_COMMITTED.work(key)));
        self.signatures_witnessed.push(timed(|| SIGNATURES_WITNESSED.work(key)));
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

impl Signatures {
    fn work(self, key: &SigningKey) {
        let (message, public) = ([0x5a; SIGNED_BYTES], key.verifying_key());
        let mut signature = key.sign(black_box(&message));
        for _ in 1..self.made {
            signature = key.sign(black_box(&message));
        }
        for _ in 0..self.checked {
            public.verify_strict(black_box(&message), &signature).unwrap();
        }
    }
}

/// A database through the library and with the settings of the services.
struct Database {
    runtime: Runtime,
    connection: SqliteConnection,
}

impl Database {
    fn create(path: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        let connection = runtime.block_on(async {
            let mut connection = options.connect().await.unwrap();
            let table = "CREATE TABLE bare (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL)";
            sqlx::query(table).execute(&mut connection).await.unwrap();
            connection
        });
        Self { runtime, connection }
    }

    /// One row in a transaction of its own.
    fn commit_row(&mut self) {
        let row = sqlx::query("INSERT INTO bare (bytes) VALUES (?)").bind(&[0x5a; SIGNED_BYTES][..]);
        self.runtime.block_on(row.execute(&mut self.connection)).unwrap();
    }
}
