//! Somebody's tile log as a folder: entries of which nothing is known, and a log key.

use std::fmt::Write as _;
use std::path::PathBuf;

use countermark_tlog::checkpoint::{Checkpoint, Origin};
use countermark_tlog::edge::RightEdge;
use countermark_tlog::entry_bundle;
use countermark_tlog::hash::{Hash, LeafHash, RootHash, leaf_hash, node_hash};
use countermark_tlog::note::{NoteSignature, SignatureType, SignedNote, VerifierKey};
use countermark_tlog::tile::TileCoord;

use super::{TestSigner, ed25519_signer, size, vkey};

pub(crate) const TILE_LOG_ORIGIN: &str = "tiles.example/log";

pub(crate) struct TileLog {
    pub folder: tempfile::TempDir,
    pub root: RootHash,
    leaves: Vec<LeafHash>,
    signer: TestSigner,
}

fn tile_log_entry(index: u64) -> Vec<u8> {
    // Of every length from 1, and some of none.
    let length = usize::try_from(index % 9).unwrap();
    format!("{index:x}").into_bytes().repeat(length)
}

impl TileLog {
    /// A whole log: every bundle, every tile, and a checkpoint that the log signed.
    pub fn of(entries: u64) -> Self {
        let leaves: Vec<LeafHash> = (0..entries).map(|index| leaf_hash(&tile_log_entry(index))).collect();
        let log =
            Self { folder: tempfile::tempdir().unwrap(), root: root_of(&leaves), leaves, signer: ed25519_signer(77) };
        let all: Vec<Vec<u8>> = (0..entries).map(tile_log_entry).collect();
        for (index, bundle) in all.chunks(256).enumerate() {
            let bytes = entry_bundle::encode(bundle.iter().map(Vec::as_slice)).unwrap();
            log.write(&coord(0, index, bundle.len()).entries_path(), &bytes);
        }
        let mut row: Vec<Hash> = log.leaves.iter().map(|leaf| leaf.0).collect();
        for level in 0.. {
            for (index, tile) in row.chunks(256).enumerate() {
                let bytes: Vec<u8> = tile.iter().flat_map(|hash| hash.0).collect();
                log.write(&coord(level, index, tile.len()).path(), &bytes);
            }
            row = row.chunks_exact(256).map(naive).collect();
            if row.is_empty() {
                break;
            }
        }
        log.publish(&log.head(entries));
        log
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Changes a file; `None` takes it away.
    pub fn change(&self, path: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
        let path = self.path(path);
        match change(std::fs::read(&path).unwrap()) {
            Some(bytes) => std::fs::write(path, bytes).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
    }

    pub fn vkey(&self) -> VerifierKey {
        vkey(TILE_LOG_ORIGIN, SignatureType::Ed25519, &self.signer)
    }

    /// The head at a size of the log.
    pub fn head(&self, len: u64) -> Checkpoint {
        let root = root_of(&self.leaves[..usize::try_from(len).unwrap()]);
        Checkpoint { origin: Origin::new(TILE_LOG_ORIGIN).unwrap(), size: size(len), root }
    }

    pub fn publish(&self, head: &Checkpoint) {
        self.publish_with_extensions(head, &[]);
    }

    /// Signs whatever it is told to.
    pub fn publish_with_extensions(&self, head: &Checkpoint, extensions: &[&str]) {
        let mut text = head.text();
        for line in extensions {
            writeln!(text, "{line}").unwrap();
        }
        let line = NoteSignature::new(&self.vkey(), &self.signer.sign(text.as_bytes()));
        std::fs::write(self.path("checkpoint"), SignedNote::new(&text, vec![line]).unwrap().to_bytes()).unwrap();
    }
}

fn coord(level: u8, index: usize, width: usize) -> TileCoord {
    TileCoord::new(level, u64::try_from(index).unwrap(), u16::try_from(width).unwrap()).unwrap()
}

fn root_of(leaves: &[LeafHash]) -> RootHash {
    let mut edge = RightEdge::empty();
    for leaf in leaves {
        edge.append(*leaf, &mut |_, _| ()).unwrap();
    }
    edge.root()
}

/// MTH of RFC 6962 §2.1 over a power of two.
fn naive(row: &[Hash]) -> Hash {
    match row {
        [one] => *one,
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            node_hash(&naive(left), &naive(right))
        }
    }
}
