use std::path::Path;
use std::{fs, iter};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::sample_tree::{SampleTree, flipped, index, size};
use crate::tree::{prove_consistency, prove_inclusion};

const LEAVES: u64 = 130;

// The probes of transparency-dev.

/// Runs the probes of one folder and returns how many were accepted and how many refused.
fn run_probes(folder: &str, verify: impl Fn(&Value) -> Option<()>) -> (usize, usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/external/merkle").join(folder);
    let (mut accepted, mut refused) = (0, 0);
    for file in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = file.unwrap().path();
        let probe: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let expect_refusal = probe["wantErr"].as_bool().unwrap();
        assert_eq!(verify(&probe).is_none(), expect_refusal, "{}", path.display());
        *(if expect_refusal { &mut refused } else { &mut accepted }) += 1;
    }
    (accepted, refused)
}

fn probe_hash(probe: &Value, field: &str) -> Option<Hash> {
    Hash::from_base64(probe[field].as_str().unwrap()).ok()
}

fn probe_size(probe: &Value, field: &str) -> Option<TreeSize> {
    TreeSize::new(probe[field].as_u64().unwrap())
}

fn probe_proof(probe: &Value) -> Option<Vec<Hash>> {
    match &probe["proof"] {
        Value::Null => Some(Vec::new()),
        proof => proof.as_array().unwrap().iter().map(|hash| Hash::from_base64(hash.as_str().unwrap()).ok()).collect(),
    }
}

#[test]
fn the_public_inclusion_probes_are_accepted_and_refused_as_they_say() {
    let (accepted, refused) = run_probes("inclusion", |probe| {
        let leaf = LeafHash(probe_hash(probe, "leafHash")?);
        let leaf_index = LeafIndex::new(probe["leafIdx"].as_u64().unwrap())?;
        let root = RootHash(probe_hash(probe, "root")?);
        let proof = InclusionProof::new(probe_proof(probe)?).ok()?;
        verify_inclusion(leaf, leaf_index, probe_size(probe, "treeSize")?, root, &proof).ok()
    });
    assert!(accepted >= 2 && refused >= 20, "{accepted} accepted, {refused} refused");
}

#[test]
fn the_public_consistency_probes_are_accepted_and_refused_as_they_say() {
    let (accepted, refused) = run_probes("consistency", |probe| {
        let (from, to) = (probe_size(probe, "size1")?, probe_size(probe, "size2")?);
        let (from_root, to_root) = (RootHash(probe_hash(probe, "root1")?), RootHash(probe_hash(probe, "root2")?));
        let proof = ConsistencyProof::new(probe_proof(probe)?).ok()?;
        verify_consistency(from, from_root, to, to_root, &proof).ok()
    });
    assert!(accepted >= 2 && refused >= 15, "{accepted} accepted, {refused} refused");
}

// Every proof, damaged.

/// The hashes with one bit turned, at each place once.
fn each_flipped(hashes: &[Hash]) -> impl Iterator<Item = Vec<Hash>> {
    (0..hashes.len()).map(move |at| {
        let mut damaged = hashes.to_vec();
        damaged[at] = flipped(damaged[at]);
        damaged
    })
}

/// The hashes without one at each place, and with one too many at either end.
fn each_of_another_length(hashes: &[Hash]) -> impl Iterator<Item = Vec<Hash>> {
    let shorter = (0..hashes.len()).map(move |at| {
        let mut damaged = hashes.to_vec();
        damaged.remove(at);
        damaged
    });
    let extra = Hash([0x5a; 32]);
    let longer = [[hashes, &[extra]].concat(), [&[extra], hashes].concat()];
    shorter.chain(longer)
}

#[test]
fn an_inclusion_proof_with_any_hash_flipped_is_refused() {
    let tree = SampleTree::of(LEAVES);
    for leaves in 1..=LEAVES {
        for leaf in 0..leaves {
            let proof = prove_inclusion(index(leaf), size(leaves), &tree).unwrap();
            let verify = |leaf_hash, root, hashes| {
                verify_inclusion(leaf_hash, index(leaf), size(leaves), root, &InclusionProof(hashes))
            };
            for damaged in each_flipped(proof.hashes()) {
                let refused = verify(tree.leaf(leaf), tree.root(leaves), damaged);
                assert!(matches!(refused, Err(ProofError::RootMismatch { .. })), "{leaf} in {leaves}: {refused:?}");
            }
            let honest = proof.hashes().to_vec();
            assert!(verify(LeafHash(flipped(tree.leaf(leaf).0)), tree.root(leaves), honest.clone()).is_err());
            assert!(verify(tree.leaf(leaf), RootHash(flipped(tree.root(leaves).0)), honest).is_err());
        }
    }
}

#[test]
fn an_inclusion_proof_of_another_length_is_refused() {
    let tree = SampleTree::of(LEAVES);
    for leaves in 1..=LEAVES {
        for leaf in 0..leaves {
            let proof = prove_inclusion(index(leaf), size(leaves), &tree).unwrap();
            for damaged in each_of_another_length(proof.hashes()) {
                let found = damaged.len();
                let is_short = found < proof.hashes().len();
                let expect = if is_short { ProofError::TooShort { found } } else { ProofError::TooLong { found } };
                let damaged = InclusionProof(damaged);
                let refused = verify_inclusion(tree.leaf(leaf), index(leaf), size(leaves), tree.root(leaves), &damaged);
                assert_eq!(refused, Err(expect), "{leaf} in {leaves}");
            }
        }
    }
}

#[test]
fn an_inclusion_proof_for_another_index_is_refused() {
    let tree = SampleTree::of(LEAVES);
    for leaves in 1..=LEAVES {
        for leaf in 0..leaves {
            let proof = prove_inclusion(index(leaf), size(leaves), &tree).unwrap();
            let near = leaf.saturating_sub(2)..=leaf + 2;
            let others = if leaves <= 40 { 0..=leaves } else { near };
            for other in others.filter(|other| *other != leaf) {
                let refused = verify_inclusion(tree.leaf(leaf), index(other), size(leaves), tree.root(leaves), &proof);
                assert!(refused.is_err(), "{leaf} as {other} in {leaves}");
            }
        }
    }
}

#[test]
fn an_inclusion_proof_verifies_only_where_it_is_the_honest_one() {
    let tree = SampleTree::of(24);
    let places: Vec<(u64, u64)> = (1..=24).flat_map(|leaves| (0..leaves).map(move |leaf| (leaf, leaves))).collect();
    let proofs: Vec<InclusionProof> =
        places.iter().map(|&(leaf, leaves)| prove_inclusion(index(leaf), size(leaves), &tree).unwrap()).collect();
    for (&(leaf, leaves), honest) in iter::zip(&places, &proofs) {
        for proof in &proofs {
            let verified = verify_inclusion(tree.leaf(leaf), index(leaf), size(leaves), tree.root(leaves), proof);
            assert_eq!(verified.is_ok(), proof == honest, "{leaf} in {leaves}");
        }
    }
}

#[test]
fn a_consistency_proof_with_any_hash_flipped_is_refused() {
    let tree = SampleTree::of(LEAVES);
    for to in 1..=LEAVES {
        for from in 1..=to {
            let proof = prove_consistency(size(from), size(to), &tree).unwrap();
            let verify = |from_root, to_root, hashes| {
                verify_consistency(size(from), from_root, size(to), to_root, &ConsistencyProof(hashes))
            };
            for damaged in each_flipped(proof.hashes()) {
                assert!(verify(tree.root(from), tree.root(to), damaged).is_err(), "{from} to {to}");
            }
            let honest = proof.hashes().to_vec();
            assert!(verify(RootHash(flipped(tree.root(from).0)), tree.root(to), honest.clone()).is_err());
            assert!(verify(tree.root(from), RootHash(flipped(tree.root(to).0)), honest).is_err());
        }
    }
}

#[test]
fn a_consistency_proof_of_another_length_is_refused() {
    let tree = SampleTree::of(LEAVES);
    for to in 0..=LEAVES {
        for from in 0..=to {
            let proof = prove_consistency(size(from), size(to), &tree).unwrap();
            for damaged in each_of_another_length(proof.hashes()) {
                let found = damaged.len();
                let is_short = found < proof.hashes().len();
                let expect = if is_short { ProofError::TooShort { found } } else { ProofError::TooLong { found } };
                let damaged = ConsistencyProof(damaged);
                let refused = verify_consistency(size(from), tree.root(from), size(to), tree.root(to), &damaged);
                assert_eq!(refused, Err(expect), "{from} to {to}");
            }
        }
    }
}

#[test]
fn a_consistency_proof_verifies_only_where_it_is_the_honest_one() {
    let tree = SampleTree::of(24);
    let pairs: Vec<(u64, u64)> = (0..=24).flat_map(|to| (0..=to).map(move |from| (from, to))).collect();
    let proofs: Vec<ConsistencyProof> =
        pairs.iter().map(|&(from, to)| prove_consistency(size(from), size(to), &tree).unwrap()).collect();
    for (&(from, to), honest) in iter::zip(&pairs, &proofs) {
        for proof in &proofs {
            let verified = verify_consistency(size(from), tree.root(from), size(to), tree.root(to), proof);
            assert_eq!(verified.is_ok(), proof == honest, "{from} to {to}");
        }
    }
}

// The corners.

#[test]
fn from_the_empty_tree_only_the_empty_proof_and_root_are_accepted() {
    let tree = SampleTree::of(5);
    let (none, one) = (ConsistencyProof(Vec::new()), ConsistencyProof(vec![tree.root(5).0]));
    let verify =
        |from_root, to, to_root, proof| verify_consistency(TreeSize::ZERO, from_root, size(to), to_root, proof);
    assert_eq!(verify(empty_root(), 5, tree.root(5), &none), Ok(()));
    assert_eq!(verify(empty_root(), 0, empty_root(), &none), Ok(()));
    assert_eq!(verify(empty_root(), 5, tree.root(5), &one), Err(ProofError::TooLong { found: 1 }));
    assert_eq!(verify(empty_root(), 0, empty_root(), &one), Err(ProofError::TooLong { found: 1 }));
    let not_empty = ProofError::FromRootMismatch { expected: tree.root(1), found: empty_root() };
    assert_eq!(verify(tree.root(1), 5, tree.root(5), &none), Err(not_empty));
    assert_eq!(verify(tree.root(1), 0, tree.root(1), &none), Err(not_empty));
    let not_the_root = ProofError::RootMismatch { expected: tree.root(1), found: empty_root() };
    assert_eq!(verify(empty_root(), 0, tree.root(1), &none), Err(not_the_root));
    let unsaid = roots_from_consistency(TreeSize::ZERO, empty_root(), size(5), &none);
    assert_eq!(unsaid, Err(ProofError::TooShort { found: 0 }));
}

#[test]
fn equal_sizes_need_equal_roots_and_no_proof() {
    let tree = SampleTree::of(6);
    let none = ConsistencyProof(Vec::new());
    let verify = |to_root, proof| verify_consistency(size(5), tree.root(5), size(5), to_root, proof);
    assert_eq!(verify(tree.root(5), &none), Ok(()));
    let forked = ProofError::RootMismatch { expected: tree.root(6), found: tree.root(5) };
    assert_eq!(verify(tree.root(6), &none), Err(forked));
    let padded = ConsistencyProof(vec![tree.root(5).0]);
    assert_eq!(verify(tree.root(5), &padded), Err(ProofError::TooLong { found: 1 }));
}

#[test]
fn a_tree_does_not_shrink() {
    let tree = SampleTree::of(6);
    let none = ConsistencyProof(Vec::new());
    let shrinks = |from, to| Err(ProofError::Shrinks { from: size(from), to: size(to) });
    let verify = |from, to| verify_consistency(size(from), tree.root(from), size(to), tree.root(to), &none);
    assert_eq!(verify(6, 5), shrinks(6, 5));
    assert_eq!(verify(1, 0), shrinks(1, 0));
}

#[test]
fn a_leaf_outside_the_tree_is_refused() {
    let tree = SampleTree::of(5);
    let none = InclusionProof(Vec::new());
    for (leaf, leaves) in [(0, 0), (1, 1), (5, 5), (9, 5)] {
        let outside = ProofError::IndexOutsideTree { index: index(leaf), size: size(leaves) };
        let refused = verify_inclusion(tree.leaf(0), index(leaf), size(leaves), tree.root(leaves), &none);
        assert_eq!(refused, Err(outside));
    }
}

#[test]
fn a_fork_shows_both_roots_of_the_proof() {
    // 6 leaves are no power of two: the proof carries the smaller tree's own hashes.
    let tree = SampleTree::of(11);
    let proof = prove_consistency(size(6), size(11), &tree).unwrap();
    let other = RootHash(flipped(tree.root(6).0));
    let roots = roots_from_consistency(size(6), other, size(11), &proof);
    assert_eq!(roots, Ok((tree.root(6), tree.root(11))));
    let forked = ProofError::FromRootMismatch { expected: other, found: tree.root(6) };
    assert_eq!(verify_consistency(size(6), other, size(11), tree.root(11), &proof), Err(forked));
}

#[test]
fn a_proof_has_at_most_63_hashes() {
    let hashes = |count| vec![Hash([1; 32]); count];
    assert_eq!(InclusionProof::new(hashes(63)).map(|proof| proof.hashes().len()), Ok(63));
    assert_eq!(ConsistencyProof::new(hashes(63)).map(|proof| proof.hashes().len()), Ok(63));
    assert_eq!(InclusionProof::new(hashes(64)), Err(ProofError::TooManyHashes { found: 64 }));
    assert_eq!(ConsistencyProof::new(hashes(64)), Err(ProofError::TooManyHashes { found: 64 }));
}

proptest! {
    #[test]
    fn no_numbers_and_no_hashes_make_verification_panic(
        numbers in any::<[u64; 2]>(),
        shifts in prop::array::uniform2(1..64_u32),
        hashes in prop::collection::vec(any::<[u8; 32]>(), 0..=63),
    ) {
        let [low, high] = [numbers[0] >> shifts[0], numbers[1] >> shifts[1]];
        let hashes: Vec<Hash> = hashes.into_iter().map(Hash).collect();
        let (hash, root) = (Hash([1; 32]), RootHash(Hash([2; 32])));
        let inclusion = InclusionProof::new(hashes.clone()).unwrap();
        prop_assert!(verify_inclusion(LeafHash(hash), index(low), size(high), root, &inclusion).is_err());
        let consistency = ConsistencyProof::new(hashes).unwrap();
        prop_assert!(verify_consistency(size(low), RootHash(hash), size(high), root, &consistency).is_err());
    }
}
