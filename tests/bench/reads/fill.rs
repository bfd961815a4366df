//! Fills a log that the command created, past the store: the same rows in the order of the tables, in one transaction that
//! need not be durable. The server recomputes the root from the tiles at its start, and so would find it wrong.

use std::path::Path;

use countermark_keys::{KeyFile, Role};
use countermark_tlog::checkpoint::{Checkpoint, Origin};
use countermark_tlog::edge::RightEdge;
use countermark_tlog::hash::{Hash, leaf_hash};
use countermark_tlog::note::{NoteSignature, SignatureType, SignedNote, VerifierKey};
use countermark_tlog::size::TreeSize;
use countermark_tlog::tree::NodeCoord;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, QueryBuilder, Sqlite, SqliteConnection};

const ENTRY_BYTES: usize = 64;
/// Rows of one statement.
const ROWS: usize = 1_024;
const INDEX_BITS: u32 = 48;

/// An entry that is like no other, not even of another log.
pub fn entry(size: u64, index: u64) -> [u8; ENTRY_BYTES] {
    let mut entry = [0x5a; ENTRY_BYTES];
    entry[..8].copy_from_slice(&index.to_be_bytes());
    entry[8..16].copy_from_slice(&size.to_be_bytes());
    entry
}

pub fn fill(folder: &Path, namespace: &str, size: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new()
            .filename(folder.join(format!("databases/{namespace}.sqlite")))
            .journal_mode(SqliteJournalMode::Memory)
            .locking_mode(SqliteLockingMode::Exclusive)
            .synchronous(SqliteSynchronous::Off)
            .foreign_keys(false)
            .pragma("cache_size", "-262144");
        let mut connection = options.connect().await.unwrap();
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let log_id: i64 = sqlx::query_scalar("SELECT log_id FROM log").fetch_one(&mut *transaction).await.unwrap();
        let (mut tree, mut keys) = (Tiles::new(), Vec::new());
        let mut index = 0;
        while index < size {
            let end = size.min(index + u64::try_from(ROWS).unwrap());
            let entries: Vec<(i64, [u8; ENTRY_BYTES])> = (index..end)
                .map(|index| {
                    let bytes = entry(size, index);
                    let leaf = leaf_hash(&bytes);
                    keys.push((leaf.0.0, u32::try_from(index).unwrap()));
                    tree.edge.append(leaf, &mut |node, hash| tree.levels.add(node, hash)).unwrap();
                    ((log_id << INDEX_BITS) + i64::try_from(index).unwrap(), bytes)
                })
                .collect();
            insert(&mut transaction, "entry (entry_id, bytes)", &entries, |mut row, (id, bytes)| {
                row.push_bind(*id).push_bind(&bytes[..]);
            })
            .await;
            let full = std::mem::take(&mut tree.levels.full);
            insert(
                &mut transaction,
                "full_tile (log_id, level, tile_index, hashes)",
                &full,
                |mut row, (level, at, hashes)| {
                    row.push_bind(log_id).push_bind(*level).push_bind(*at).push_bind(&hashes[..]);
                },
            )
            .await;
            index = end;
        }
        keys.sort_unstable();
        for keys in keys.chunks(ROWS) {
            let columns = "entry_key (log_id, key, leaf_index, is_identity, is_leaf_hash)";
            insert(&mut transaction, columns, keys, |mut row, (key, index)| {
                row.push_bind(log_id).push_bind(&key[..]).push_bind(i64::from(*index)).push("1").push("1");
            })
            .await;
        }
        finish(&mut transaction, folder, namespace, log_id, &tree).await;
        transaction.commit().await.unwrap();
        connection.close().await.unwrap();
    });
}

/// The right edge, the head and the size.
async fn finish(connection: &mut SqliteConnection, folder: &Path, namespace: &str, log_id: i64, tree: &Tiles) {
    let partial: Vec<(i64, i64, &[u8])> = tree.levels.partial();
    insert(
        connection,
        "partial_tile (log_id, level, tile_index, hashes)",
        &partial,
        |mut row, (level, index, hashes)| {
            row.push_bind(log_id).push_bind(*level).push_bind(*index).push_bind(*hashes);
        },
    )
    .await;
    let (size, root) = (tree.edge.size(), tree.edge.root());
    let note = sign(folder, namespace, size, root);
    std::fs::write(folder.join("checkpoint"), &note).unwrap();
    let size = i64::try_from(size.get()).unwrap();
    sqlx::query("INSERT INTO signed_head (log_id, size, root, checkpoint) VALUES (?, ?, ?, ?)")
        .bind(log_id)
        .bind(size)
        .bind(root.0.0.to_vec())
        .bind(note)
        .execute(&mut *connection)
        .await
        .unwrap();
    sqlx::query("UPDATE log SET size = ?").bind(size).execute(connection).await.unwrap();
}

fn sign(folder: &Path, namespace: &str, size: TreeSize, root: countermark_tlog::hash::RootHash) -> Vec<u8> {
    let origin = Origin::new(&format!("log.example/{namespace}")).unwrap();
    let signer = KeyFile::open_signer(&folder.join("log.key"), Role::Log, &folder.join("passphrase")).unwrap();
    let key = VerifierKey::new(origin.key_name().clone(), SignatureType::Ed25519, signer.public_key()).unwrap();
    let text = Checkpoint { origin, size, root }.text();
    let line = NoteSignature::new(&key, &signer.sign(text.as_bytes()).unwrap());
    SignedNote::new(&text, vec![line]).unwrap().to_bytes()
}

/// The tree as it grows.
struct Tiles {
    edge: RightEdge,
    levels: Levels,
}

impl Tiles {
    const fn new() -> Self {
        Self { edge: RightEdge::empty(), levels: Levels { rows: Vec::new(), full: Vec::new() } }
    }
}

/// Level, index and bytes of a tile.
type Tile = (i64, i64, Vec<u8>);

/// The hashes of every eighth level that no full tile holds yet, and the tiles that are full.
struct Levels {
    rows: Vec<(i64, Vec<u8>)>,
    full: Vec<Tile>,
}

impl Levels {
    fn add(&mut self, node: NodeCoord, hash: Hash) {
        if !node.level.is_multiple_of(8) {
            return;
        }
        let level = usize::from(node.level / 8);
        if self.rows.len() == level {
            self.rows.push((0, Vec::new()));
        }
        let (index, bytes) = &mut self.rows[level];
        bytes.extend_from_slice(hash.as_bytes());
        if bytes.len() == 8_192 {
            self.full.push((i64::try_from(level).unwrap(), *index, std::mem::take(bytes)));
            *index += 1;
        }
    }

    fn partial(&self) -> Vec<(i64, i64, &[u8])> {
        let levels = (0..).zip(&self.rows).filter(|(_, (_, bytes))| !bytes.is_empty());
        levels.map(|(level, (index, bytes))| (level, *index, bytes.as_slice())).collect()
    }
}

async fn insert<'a, T: 'a>(
    connection: &mut SqliteConnection,
    table: &str,
    rows: &'a [T],
    bind: impl FnMut(sqlx::query_builder::Separated<'_, Sqlite, &'static str>, &'a T),
) {
    if rows.is_empty() {
        return;
    }
    let mut query = QueryBuilder::<Sqlite>::new(format!("INSERT INTO {table} "));
    query.push_values(rows, bind);
    query.build().persistent(rows.len() == ROWS).execute(connection).await.unwrap();
}
