use super::*;
use crate::hash::LeafHash;
use crate::sample_tree::{SampleTree, flipped, naive_root, size};

const LEAVES: u64 = 35;

/// The definition of draft-ietf-plants-merkle-tree-certs-03 §4.4.1, written down naively.
fn naive_proof(start: usize, end: usize, leaves: &[LeafHash], is_known: bool) -> Vec<Hash> {
    let count = leaves.len();
    if (start, end) == (0, count) {
        return if is_known { vec![] } else { vec![naive_root(leaves).0] };
    }
    let split = count.next_power_of_two() / 2;
    let (left, right) = leaves.split_at(split);
    let (mut proof, sibling) = if end <= split {
        (naive_proof(start, end, left, is_known), right)
    } else if split <= start {
        (naive_proof(start - split, end - split, right, is_known), left)
    } else {
        (naive_proof(0, end - split, right, false), left)
    };
    proof.push(naive_root(sibling).0);
    proof
}

fn slice(tree: &SampleTree, start: u64, end: u64) -> &[LeafHash] {
    &tree.leaves[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()]
}

/// Every subtree of every tree of up to 35 leaves, its root and its proof.
fn every(mut judge: impl FnMut(Subtree, Hash, TreeSize, RootHash, Vec<Hash>)) {
    let tree = SampleTree::of(LEAVES);
    for n in 1..=LEAVES {
        for start in 0..n {
            for end in start + 1..=n {
                let Ok(subtree) = Subtree::new(start, end) else { continue };
                let root = naive_root(slice(&tree, start, end)).0;
                let (from, to) = (usize::try_from(start).unwrap(), usize::try_from(end).unwrap());
                judge(subtree, root, size(n), tree.root(n), naive_proof(from, to, slice(&tree, 0, n), true));
            }
        }
    }
}

fn proof(hashes: Vec<Hash>) -> ConsistencyProof {
    ConsistencyProof::new(hashes).unwrap()
}

#[test]
fn the_proof_of_every_subtree_of_every_tree_verifies_and_of_nothing_else() {
    let mut seen = 0;
    every(|subtree, root, n, tree_root, hashes| {
        let verify = |root, tree_root, hashes| subtree.verify_consistency(root, n, tree_root, &proof(hashes));
        assert_eq!(verify(root, tree_root, hashes.clone()), Ok(()), "{subtree} of {n}");
        assert!(verify(flipped(root), tree_root, hashes.clone()).is_err(), "{subtree} of {n}");
        assert!(verify(root, RootHash(flipped(tree_root.0)), hashes.clone()).is_err(), "{subtree} of {n}");
        for i in 0..hashes.len() {
            let mut broken = hashes.clone();
            broken[i] = flipped(broken[i]);
            assert!(verify(root, tree_root, broken).is_err(), "{subtree} of {n}, hash {i}");
        }
        let mut long = hashes.clone();
        long.push(Hash([1; 32]));
        assert!(verify(root, tree_root, long).is_err(), "{subtree} of {n}");
        if let Some((_, short)) = hashes.split_last() {
            assert!(verify(root, tree_root, short.to_vec()).is_err(), "{subtree} of {n}");
        }
        seen += 1;
    });
    assert!(seen > 1900, "{seen}");
}

#[test]
fn a_proof_from_the_first_leaf_on_is_the_consistency_proof_of_rfc_6962() {
    every(|subtree, root, n, tree_root, hashes| {
        if subtree.start() == 0 {
            let from = TreeSize::new(subtree.end()).unwrap();
            assert_eq!(
                crate::proof::verify_consistency(from, RootHash(root), n, tree_root, &proof(hashes)),
                Ok(()),
                "{subtree} of {n}"
            );
        }
    });
}

#[test]
fn a_range_is_a_subtree_where_it_is_aligned() {
    for (start, end, align) in [(1, 3, 2), (4, 12, 8), (8, 21, 16), (3, 8, 8)] {
        assert_eq!(Subtree::new(start, end), Err(SubtreeError::Unaligned { start, end, align }));
    }
    for (start, end) in [(0, 1), (7, 8), (8, 13), (4, 8), (0, SIZE_MAX), (SIZE_MAX - 1, SIZE_MAX)] {
        assert_eq!(Subtree::new(start, end).map(|found| (found.start(), found.end())), Ok((start, end)));
    }
    for (start, end) in [(0, 0), (5, 5), (6, 5), (0, SIZE_MAX + 1), (u64::MAX, 0)] {
        assert_eq!(Subtree::new(start, end), Err(SubtreeError::Range { start, end }));
    }
}

#[test]
fn a_subtree_that_ends_after_the_tree_is_not_in_it() {
    let subtree = Subtree::new(4, 8).unwrap();
    let outside = subtree.verify_consistency(Hash([0; 32]), size(7), RootHash(Hash([0; 32])), &proof(vec![]));
    assert_eq!(outside, Err(SubtreeError::OutsideTree { end: 8, size: size(7) }));
    let empty =
        Subtree::whole(size(0)).verify_consistency(Hash([0; 32]), size(0), RootHash(Hash([0; 32])), &proof(vec![]));
    assert_eq!(empty, Err(SubtreeError::OutsideTree { end: 0, size: size(0) }));
}
