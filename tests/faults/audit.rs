//! A stranger's look at the databases of a log that does not run: everything recomputed from entry bytes.

use std::collections::BTreeMap;
use std::path::Path;

use countermark_bundle::namespace_state::NamespaceState;
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::edge::RightEdge;
use countermark_tlog::hash::{Hash, RootHash, empty_root, leaf_hash, node_hash};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};

use crate::authority::{Authority, NAMESPACES};
use crate::submitter::Ledger;
use crate::witness::Witness;

/// What a database holds.
struct Stored {
    entries: Vec<Vec<u8>>,
    heads: Vec<(i64, Vec<u8>)>,
    tiles: BTreeMap<(i64, i64), Vec<u8>>,
    publications: Vec<Vec<u8>>,
}

/// Recomputes both logs and judges by them every head that was ever signed: those in the database, in the register, those
/// that the witnesses were shown, and `seen` by readers. Everything acknowledged is where it was acknowledged to be.
pub fn audit(authority: &Authority, ledger: &Ledger, seen: &[(&'static str, Vec<u8>)]) {
    let acknowledged = ledger.acknowledged();
    for namespace in NAMESPACES {
        let stored = read(&authority.database(namespace));
        let roots = roots(&stored.entries);
        assert_eq!(stored.tiles, tiles(&stored.entries), "{namespace}: tiles");
        let registered: Value = serde_json::from_slice(&std::fs::read(authority.register(namespace)).unwrap()).unwrap();
        let registered = registered["checkpoint"].as_str().unwrap().as_bytes().to_vec();
        let mut notes: Vec<(&str, Vec<u8>)> = vec![("register", registered.clone())];
        for (size, note) in &stored.heads {
            let said = SignedCheckpoint::parse(note).unwrap().checkpoint().size.get();
            assert_eq!(i64::try_from(said), Ok(*size));
            notes.push(("database", note.clone()));
        }
        notes.extend(stored.publications.iter().map(|note| ("publication", note.clone())));
        notes.extend(seen.iter().filter(|(name, _)| *name == namespace).map(|(_, note)| ("a reader", note.clone())));
        if namespace == "backup" {
            let shown = authority.witnesses.iter().flat_map(Witness::shown);
            notes.extend(shown.map(|note| ("a witness", note)));
            judge_rules(authority, &stored);
        }
        let largest = SignedCheckpoint::parse(&registered).unwrap().checkpoint().size;
        for (holder, note) in notes {
            let signed = SignedCheckpoint::parse(&note).unwrap();
            signed.verify_log(std::slice::from_ref(authority.log_key(namespace))).unwrap();
            let head = signed.checkpoint();
            assert_eq!(roots.get(&head.size.get()), Some(&head.root), "{namespace}: the head of {holder} disagrees");
            let left = holder != "database";
            assert!(!left || head.size <= largest, "{namespace}: {holder} has a head that was not registered");
        }
        for ((name, entry), index) in &acknowledged {
            if *name == namespace {
                let found = stored.entries.get(usize::try_from(*index).unwrap());
                assert_eq!(found, Some(entry), "{namespace}: acknowledged entry {index} is gone");
            }
        }
    }
}

/// Every entry keeps every rule, and what is published meets the quorum.
fn judge_rules(authority: &Authority, stored: &Stored) {
    let mut state = NamespaceState::new(authority.trust()).unwrap();
    for entry in &stored.entries {
        state.apply(entry).unwrap();
    }
    for note in &stored.publications {
        state.authority().policy().verify(&SignedCheckpoint::parse(note).unwrap()).unwrap();
    }
}

fn roots(entries: &[Vec<u8>]) -> BTreeMap<u64, RootHash> {
    let mut edge = RightEdge::empty();
    let mut roots = BTreeMap::from([(0, empty_root())]);
    for entry in entries {
        edge.append(leaf_hash(entry), &mut |_, _| {}).unwrap();
        roots.insert(edge.size().get(), edge.root());
    }
    roots
}

/// Every full tile and the partial one of each level, by level and index.
fn tiles(entries: &[Vec<u8>]) -> BTreeMap<(i64, i64), Vec<u8>> {
    let mut tiles = BTreeMap::new();
    let mut hashes: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry).0).collect();
    let mut level = 0;
    while !hashes.is_empty() {
        for (index, tile) in (0..).zip(hashes.chunks(256)) {
            tiles.insert((level, index), tile.iter().flat_map(|hash| hash.0).collect());
        }
        hashes = hashes.chunks_exact(256).map(above).collect();
        level += 1;
    }
    tiles
}

/// The node above 256 hashes.
fn above(tile: &[Hash]) -> Hash {
    let mut hashes = tile.to_vec();
    while hashes.len() > 1 {
        hashes = hashes.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    hashes[0]
}

fn read(database: &Path) -> Stored {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite://{}", database.display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        let damage: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut connection).await.unwrap();
        assert_eq!(damage, ["ok"]);
        let entries: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT entry_id, bytes FROM entry ORDER BY entry_id").fetch_all(&mut connection).await.unwrap();
        for (place, (entry_id, _)) in (0..).zip(&entries) {
            assert_eq!(entry_id & ((1 << 48) - 1), place, "no gap between entries");
        }
        let heads =
            sqlx::query_as("SELECT size, checkpoint FROM signed_head").fetch_all(&mut connection).await.unwrap();
        let tiles: Vec<(i64, i64, Vec<u8>)> = sqlx::query_as(
            "SELECT level, tile_index, hashes FROM full_tile UNION ALL SELECT level, tile_index, hashes FROM partial_tile",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        let publications = sqlx::query_scalar("SELECT note FROM publication").fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        Stored {
            entries: entries.into_iter().map(|(_, bytes)| bytes).collect(),
            heads,
            tiles: tiles.into_iter().map(|(level, index, hashes)| ((level, index), hashes)).collect(),
            publications,
        }
    })
}
