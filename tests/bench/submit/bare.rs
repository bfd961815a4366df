//! What nobody can do without: the disk's durable write, the database's commit, the signatures.

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use ed25519_dalek::{Signer as _, SigningKey};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::figures::{Row, Sample};

/// Signatures that are made and checked, one after the other, until a statement is committed. Made: certificate, head.
/// Checked: the token, 3 attestations, 2 approvals; then, as a stranger would, 2 approvals, certificate, head.
const COMMITTED: Signatures = Signatures { made: 2, checked: 10 };
/// And until it is witnessed. Made: a cosignature; the witnesses work at the same time. Checked: the head by the witness,
/// 3 cosignatures as they arrive; then, as a stranger would, the head and 3 cosignatures.
const WITNESSED: Signatures = Signatures { made: 3, checked: 18 };

const WRITE_BYTES: usize = 4096;
/// About the size of what these keys sign.
const SIGNED_BYTES: usize = 300;

#[derive(Clone, Copy)]
struct Signatures {
    made: usize,
    checked: usize,
}

pub struct Bare {
    pub write: Sample,
    pub commit: Sample,
    pub signatures_committed: Sample,
    pub signatures_witnessed: Sample,
}

impl Bare {
    /// Measures all of it, `count` times each, on the disk of the folder.
    pub fn measure(folder: &Path, count: usize) -> Self {
        Self {
            write: writes(folder, count),
            commit: commits(folder, count),
            signatures_committed: COMMITTED.sample(count),
            signatures_witnessed: WITNESSED.sample(count),
        }
    }

    /// As rows of a table.
    pub fn rows(&self) -> Vec<Row> {
        let signatures = |Signatures { made, checked }| format!("{made} signatures made, {checked} checked");
        vec![
            Row::alone("4 KiB written, fdatasync", self.write.clone()),
            Row::alone("1 row, SQLite, WAL, FULL", self.commit.clone()),
            Row::alone(&signatures(COMMITTED), self.signatures_committed.clone()),
            Row::alone(&signatures(WITNESSED), self.signatures_witnessed.clone()),
        ]
    }
}

/// Appends to a file, as a log does.
fn writes(folder: &Path, count: usize) -> Sample {
    let path = folder.join("bare.bytes");
    let mut file = File::create_new(&path).unwrap();
    let times = (0..count).map(|_| {
        let begun = Instant::now();
        file.write_all(&[0x5a; WRITE_BYTES]).unwrap();
        file.sync_data().unwrap();
        begun.elapsed()
    });
    Sample::of(&times.collect::<Vec<_>>())
}

/// Adds one row in a transaction of its own, through the library and with the settings that the services use.
fn commits(folder: &Path, count: usize) -> Sample {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("bare.sqlite"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut connection = options.connect().await.unwrap();
        let table = "CREATE TABLE bare (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL)";
        sqlx::query(table).execute(&mut connection).await.unwrap();
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let begun = Instant::now();
            let row = sqlx::query("INSERT INTO bare (bytes) VALUES (?)").bind(&[0x5a; SIGNED_BYTES][..]);
            row.execute(&mut connection).await.unwrap();
            times.push(begun.elapsed());
        }
        connection.close().await.unwrap();
        Sample::of(&times)
    })
}

impl Signatures {
    fn sample(self, count: usize) -> Sample {
        let key = SigningKey::from_bytes(&[7; 32]);
        let (message, public) = ([0x5a; SIGNED_BYTES], key.verifying_key());
        let times = (0..count).map(|_| {
            let begun = Instant::now();
            let mut signature = key.sign(black_box(&message));
            for _ in 1..self.made {
                signature = key.sign(black_box(&message));
            }
            for _ in 0..self.checked {
                public.verify_strict(black_box(&message), &signature).unwrap();
            }
            begun.elapsed()
        });
        Sample::of(&times.collect::<Vec<_>>())
    }
}
