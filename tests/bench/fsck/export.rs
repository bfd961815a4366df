//! A log of synthetic entries, exported to a folder.

use std::fs;
use std::path::Path;

use countermark_tlog::checkpoint::{Checkpoint, Origin};
use countermark_tlog::edge::RightEdge;
use countermark_tlog::entry_bundle;
use countermark_tlog::hash::{Hash, LeafHash, RootHash};
use countermark_tlog::note::{KeyName, NoteSignature, SignatureType, SignedNote, VerifierKey};
use countermark_tlog::recompute::{leaf_hashes, tile_root};
use countermark_tlog::size::TreeSize;
use countermark_tlog::tile::TileCoord;
use ed25519_dalek::{Signer as _, SigningKey};
use tempfile::TempDir;

pub const ENTRY_BYTES: usize = 200;
const ORIGIN: &str = "tiles.example/log";
const WIDTH: usize = 256;

/// The folder; it is gone when this is dropped.
pub struct Export {
    folder: TempDir,
    head: Checkpoint,
    key: SigningKey,
}

impl Export {
    pub fn of(entries: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: &[u8]| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let (mut tile, mut row, mut edge) = (Vec::new(), Vec::new(), RightEdge::empty());
        for first in (0..entries).step_by(WIDTH) {
            let indexes = first..entries.min(first + 256);
            let bundle: Vec<[u8; ENTRY_BYTES]> = indexes.map(entry).collect();
            let coord = coord(0, first / 256, bundle.len());
            let bytes = entry_bundle::encode(bundle.iter().map(<[u8; ENTRY_BYTES]>::as_slice)).unwrap();
            leaf_hashes(&bytes, coord.width(), &mut tile).unwrap();
            for leaf in tile.as_chunks::<32>().0 {
                edge.append(LeafHash(Hash(*leaf)), &mut |_, _| ()).unwrap();
            }
            write(&coord.entries_path(), &bytes);
            write(&coord.path(), &tile);
            row.extend(coord.is_full().then(|| tile_root(&tile).unwrap()));
        }
        for level in 1.. {
            if row.is_empty() {
                break;
            }
            let tiles: Vec<Vec<u8>> =
                row.chunks(WIDTH).map(|tile: &[Hash]| tile.iter().flat_map(|hash| hash.0).collect()).collect();
            for (index, tile) in (0..).zip(&tiles) {
                write(&coord(level, index, tile.len() / 32).path(), tile);
            }
            row = tiles.iter().filter_map(|tile| tile_root(tile).ok()).collect();
        }
        let size = TreeSize::new(entries).unwrap();
        let head = Checkpoint { origin: Origin::new(ORIGIN).unwrap(), size, root: edge.root() };
        let export = Self { folder, head, key: SigningKey::from_bytes(&[7; 32]) };
        let text = export.head.text();
        let line = NoteSignature::new(&export.vkey(), &export.key.sign(text.as_bytes()).to_bytes());
        let note = SignedNote::new(&text, vec![line]).unwrap();
        fs::write(export.folder().join("checkpoint"), note.to_bytes()).unwrap();
        export
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn entries(&self) -> u64 {
        self.head.size.get()
    }

    pub const fn root(&self) -> RootHash {
        self.head.root
    }

    pub fn vkey(&self) -> VerifierKey {
        let name = KeyName::new(ORIGIN).unwrap();
        VerifierKey::new(name, SignatureType::Ed25519, self.key.verifying_key().as_bytes()).unwrap()
    }

    /// Every entry bundle, in memory.
    pub fn bundles(&self) -> Vec<Vec<u8>> {
        let entries = usize::try_from(self.entries()).unwrap();
        let width = |index: u64| (entries - usize::try_from(index).unwrap() * WIDTH).min(WIDTH);
        let paths = (0..self.entries().div_ceil(256)).map(|index| coord(0, index, width(index)).entries_path());
        paths.map(|path| fs::read(self.folder().join(path)).unwrap()).collect()
    }
}

fn coord(level: u8, index: u64, width: usize) -> TileCoord {
    TileCoord::new(level, index, u16::try_from(width).unwrap()).unwrap()
}

fn entry(index: u64) -> [u8; ENTRY_BYTES] {
    let mut entry = [0x5a; ENTRY_BYTES];
    entry[..8].copy_from_slice(&index.to_be_bytes());
    entry
}
