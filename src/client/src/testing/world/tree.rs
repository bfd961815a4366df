//! The log's tree, and everything that is served from it.

use std::collections::HashMap;

use countermark_bundle::link::ConsistencyLink;
use countermark_bundle::validation_bundle::{Record, ValidationBundle};
use countermark_tlog::checkpoint::Checkpoint;
use countermark_tlog::cosignature::{Cosignature, cosignature_message};
use countermark_tlog::edge::RightEdge;
use countermark_tlog::entry_bundle;
use countermark_tlog::hash::{Hash, RootHash, leaf_hash};
use countermark_tlog::note::{NoteSignature, SignatureType, SignedNote};
use countermark_tlog::proof::{ConsistencyProof, InclusionProof};
use countermark_tlog::tile::{TileCoord, entry_bundles_for_growth, tiles_for_growth};
use countermark_tlog::tlog_proof::TlogProof;
use countermark_tlog::tree::{HashReader, NodeCoord, prove_consistency, prove_inclusion, root};

use super::{ORIGIN, World, index, origin, size};
use crate::testing::vkey;

/// Entries and every hash over them.
#[derive(Default)]
pub(crate) struct Grown {
    pub entries: Vec<Vec<u8>>,
    edge: RightEdge,
    nodes: HashMap<NodeCoord, Hash>,
}

impl HashReader for Grown {
    type Error = NodeCoord;

    fn read(&self, nodes: &[NodeCoord]) -> Result<Vec<Hash>, NodeCoord> {
        nodes.iter().map(|node| self.nodes.get(node).copied().ok_or(*node)).collect()
    }
}

impl Grown {
    pub fn push(&mut self, entry: Vec<u8>) -> u64 {
        let nodes = &mut self.nodes;
        let index = self.edge.append(leaf_hash(&entry), &mut |node, hash| {
            nodes.insert(node, hash);
        });
        self.entries.push(entry);
        index.unwrap().get()
    }

    pub fn len(&self) -> u64 {
        self.edge.size().get()
    }

    pub fn entry(&self, index: u64) -> Option<&Vec<u8>> {
        self.entries.get(usize::try_from(index).unwrap())
    }

    pub fn root(&self, len: u64) -> RootHash {
        root(size(len), self).unwrap()
    }

    pub fn inclusion(&self, i: u64, len: u64) -> InclusionProof {
        prove_inclusion(index(i), size(len), self).unwrap()
    }

    pub fn consistency(&self, from: u64, to: u64) -> ConsistencyProof {
        prove_consistency(size(from), size(to), self).unwrap()
    }

    /// The tile, if the tree has all of it.
    pub fn tile(&self, tile: TileCoord) -> Option<Vec<u8>> {
        let hashes = self.read(&tile.nodes().collect::<Vec<_>>()).ok()?;
        Some(hashes.iter().flat_map(|hash| hash.0).collect())
    }

    /// The entry bundle, if the log has all of it.
    pub fn entry_bundle(&self, bundle: TileCoord) -> Option<Vec<u8>> {
        let first = usize::try_from(bundle.index() * 256).unwrap();
        let entries = self.entries.get(first..first + usize::from(bundle.width()))?;
        Some(entry_bundle::encode(entries.iter().map(Vec::as_slice)).unwrap())
    }
}

impl World {
    pub fn head(&self, len: u64) -> Checkpoint {
        Checkpoint { origin: origin(), size: size(len), root: self.grown.root(len) }
    }

    /// The checkpoint at a size, cosigned as the world says.
    pub fn checkpoint(&self, len: u64) -> String {
        self.sign(&self.head(len))
    }

    pub fn sign(&self, head: &Checkpoint) -> String {
        let text = head.text();
        let log = vkey(ORIGIN, SignatureType::Ed25519, &self.log);
        let mut lines = vec![NoteSignature::new(&log, &self.log.sign(text.as_bytes()))];
        for i in &self.cosigners {
            let witness = &self.witnesses[*i];
            let key = vkey(&format!("w{i}.example"), SignatureType::CosignatureEd25519, witness);
            let signature = witness.sign(&cosignature_message(self.cosigned_at, &text));
            lines.push(Cosignature { timestamp: self.cosigned_at, signature }.to_note_signature(&key));
        }
        String::from_utf8(SignedNote::new(&text, lines).unwrap().to_bytes()).unwrap()
    }

    /// The whole log as a folder of tiles.
    pub fn export(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: String, bytes: Vec<u8>| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        for tile in tiles_for_growth(size(0), size(self.len())) {
            write(tile.path(), self.grown.tile(tile).unwrap());
        }
        for bundle in entry_bundles_for_growth(size(0), size(self.len())) {
            write(bundle.entries_path(), self.grown.entry_bundle(bundle).unwrap());
        }
        write("checkpoint".to_string(), self.checkpoint(self.len()).into_bytes());
        folder
    }

    pub fn receipt(&self, i: u64, len: u64) -> Vec<u8> {
        let (proof, checkpoint) = (self.grown.inclusion(i, len), self.checkpoint(len).into_bytes());
        TlogProof { extra: None, index: index(i), proof, checkpoint }.to_bytes()
    }

    pub fn link(&self, from: u64, to: u64) -> ConsistencyLink {
        ConsistencyLink::new(size(from), size(to), &self.grown.consistency(from, to))
    }

    /// The bundle of the newest active statement at a size: statement, newest activation, tail.
    pub fn bundle(&self, len: u64) -> Option<Vec<u8>> {
        let record = self.state.newest_active()?;
        let activation = record.activations.iter().map(|index| index.get()).filter(|index| *index < len).max()?;
        Some(self.bundle_of(record.index.get(), activation, len))
    }

    pub fn bundle_of(&self, certified: u64, activation: u64, len: u64) -> Vec<u8> {
        let indexes = std::iter::once(certified).chain(activation..len);
        let record =
            |i: u64| Record::new(index(i), self.grown.entry(i).unwrap().clone(), &self.grown.inclusion(i, len), None);
        ValidationBundle::new(self.checkpoint(len), indexes.map(record).collect()).write()
    }
}
