use std::collections::BTreeMap;

use countermark_keys::{Algorithm, Role};
use countermark_tlog::note::SignatureType;

use super::*;
use crate::testing::TestSigner;

const ORIGIN: &str = "log.example/backup";

fn origin() -> Origin {
    Origin::new(ORIGIN).unwrap()
}

fn entries(from: u32, to: u32) -> Vec<NewEntry> {
    let entry = |n: u32| NewEntry::new(Digest::of(&n.to_be_bytes()), n.to_be_bytes().into());
    (from..to).map(entry).collect()
}

fn log() -> (TestSigner, VerifierKey) {
    let signer = TestSigner::new(Role::Log, 1);
    let key = signer.vkey(ORIGIN, SignatureType::Ed25519);
    (signer, key)
}

fn signed(tree: &Tree, from: u32, to: u32) -> SignedBatch {
    let (signer, key) = log();
    stage(&origin(), tree, entries(from, to)).unwrap().sign(&[LogKey { signer: &signer, vkey: &key }]).unwrap()
}

/// Signs with another key, or not at all.
struct OddSigner(Option<TestSigner>);

impl Signer for OddSigner {
    fn role(&self) -> Role {
        Role::Log
    }

    fn algorithm(&self) -> Algorithm {
        Algorithm::Ed25519
    }

    fn public_key(&self) -> &[u8] {
        &[]
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let failed = SignError::Failed { role: Role::Log, algorithm: Algorithm::Ed25519 };
        self.0.as_ref().map(|signer| signer.make_signature(message)).ok_or(failed)
    }
}

#[test]
fn batches_of_any_size_give_the_same_tree() {
    let whole = signed(&Tree::empty(), 0, 700);
    for cuts in [vec![1, 2, 3, 255, 256, 257], vec![699], vec![512], (1..700).step_by(37).collect()] {
        let (mut tree, mut from) = (Tree::empty(), 0);
        for cut in cuts.into_iter().chain([700]) {
            tree = signed(&tree, from, cut).tree().clone();
            from = cut;
        }
        assert_eq!(&tree, whole.tree());
    }
    assert_eq!(whole.head().root, whole.tree().root());
}

#[test]
fn changes_of_the_right_edge_lead_from_one_to_the_next() {
    let (mut tree, mut from) = (Tree::empty(), 0);
    let mut edge: BTreeMap<u8, TileBytes> = BTreeMap::new();
    for to in [1, 5, 255, 256, 257, 300, 512, 600, 1_100] {
        let batch = signed(&tree, from, to);
        for level in batch.emptied_levels() {
            edge.remove(level);
        }
        for (tile, bytes) in batch.changed_partial_tiles() {
            edge.insert(tile.level(), (*tile, bytes.clone()));
        }
        let stored: Vec<TileBytes> = edge.values().cloned().collect();
        let size = TreeSize::new(u64::from(to)).unwrap();
        assert_eq!(&Tree::from_partial_tiles(size, stored).unwrap(), batch.tree(), "{to}");
        (tree, from) = (batch.tree().clone(), to);
    }
}

#[test]
fn entries_are_numbered_from_the_old_size() {
    let first = signed(&Tree::empty(), 0, 3);
    let second = signed(first.tree(), 3, 5);
    let indexes: Vec<u64> = second.entries().iter().map(|entry| entry.index.get()).collect();
    assert_eq!((second.old_size().get(), indexes), (3, vec![3, 4]));
    let note = SignedCheckpoint::parse(&second.head().checkpoint).unwrap();
    assert_eq!(note.checkpoint().size.get(), 5);
}

#[test]
fn a_batch_of_nothing_is_refused_on_a_log_that_has_entries() {
    let tree = signed(&Tree::empty(), 0, 1).tree().clone();
    assert!(matches!(stage(&origin(), &tree, vec![]), Err(StageError::Empty)));
}

#[test]
fn a_log_may_be_made_without_an_entry() {
    let empty = signed(&Tree::empty(), 0, 0);
    assert_eq!((empty.head().size, empty.head().root), (TreeSize::ZERO, empty_root()));
    assert_eq!(&Tree::from_partial_tiles(TreeSize::ZERO, vec![]).unwrap(), empty.tree());
    assert_eq!(signed(empty.tree(), 0, 300).head(), signed(&Tree::empty(), 0, 300).head());
}

#[test]
fn every_batch_at_every_old_size_is_recomputed_to_the_same_root() {
    for old in 0..70 {
        let tree = signed(&Tree::empty(), 0, old).tree().clone();
        for new in [old + 1, old + 2, old + 7, old + 64] {
            assert_eq!(signed(&tree, old, new).head(), signed(&Tree::empty(), 0, new).head(), "{old} {new}");
        }
    }
}

#[test]
fn a_batch_that_its_own_key_did_not_sign_is_not_released() {
    let (_, key) = log();
    let staged = || stage(&origin(), &Tree::empty(), entries(0, 2)).unwrap();
    let other = OddSigner(Some(TestSigner::new(Role::Log, 2)));
    let refused = staged().sign(&[LogKey { signer: &other, vkey: &key }]).unwrap_err();
    assert!(matches!(refused, SignBatchError::Checkpoint(_)), "{refused}");
    let refused = staged().sign(&[LogKey { signer: &OddSigner(None), vkey: &key }]).unwrap_err();
    assert!(matches!(refused, SignBatchError::Sign(_)), "{refused}");
}

#[test]
fn a_flipped_bit_in_memory_is_found_before_release() {
    let (signer, key) = log();
    let tree = signed(&Tree::empty(), 0, 9).tree().clone();
    let staged = || stage(&origin(), &tree, entries(9, 14)).unwrap();
    let mut entry = staged();
    entry.entries[2].bytes = b"other"[..].into();
    assert!(matches!(entry.sign(&[LogKey { signer: &signer, vkey: &key }]), Err(SignBatchError::Root { .. })));
    let mut last = staged();
    last.entries[4].bytes = b"other"[..].into();
    assert!(matches!(last.sign(&[LogKey { signer: &signer, vkey: &key }]), Err(SignBatchError::Proof(_))));
    let mut swapped = staged();
    swapped.entries.swap(1, 2);
    assert!(matches!(swapped.sign(&[LogKey { signer: &signer, vkey: &key }]), Err(SignBatchError::Root { .. })));
    let mut root = staged();
    root.old_root.0.0[0] ^= 1;
    assert!(matches!(root.sign(&[LogKey { signer: &signer, vkey: &key }]), Err(SignBatchError::Proof(_))));
    let mut lacks = staged();
    lacks.nodes.clear();
    assert!(matches!(lacks.sign(&[LogKey { signer: &signer, vkey: &key }]), Err(SignBatchError::Prove(_))));
    let coords: Vec<NodeCoord> = staged().nodes.keys().copied().collect();
    let mut found = 0;
    for coord in coords {
        let mut node = staged();
        node.nodes.get_mut(&coord).unwrap().0[7] ^= 1;
        // Nodes that no proof of this batch uses are not in the signed root either: it comes from the right edge.
        found += usize::from(node.sign(&[LogKey { signer: &signer, vkey: &key }]).is_err());
    }
    assert!(found > 5, "{found}");
}

#[test]
fn a_checkpoint_of_another_log_is_not_released() {
    let (signer, key) = log();
    let foreign = stage(&Origin::new("log.example/other").unwrap(), &Tree::empty(), entries(0, 1)).unwrap();
    assert!(matches!(foreign.sign(&[LogKey { signer: &signer, vkey: &key }]), Err(SignBatchError::Checkpoint(_))));
}
