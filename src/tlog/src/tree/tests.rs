use proptest::prelude::*;

use super::*;
use crate::hash::leaf_hash;
use crate::proof::{verify_consistency, verify_inclusion};
use crate::sample_tree::{SampleTree, UniformTree, entry, index, naive_path, naive_root, naive_subproof, size};
use crate::size::SIZE_MAX;

/// Above every power-of-two boundary that matters: 64, 128, 256.
const LEAVES: u64 = 300;

/// RFC 6962's domain separation for a library that has none of its own.
#[derive(Clone)]
struct Rfc6962;

impl rs_merkle::Hasher for Rfc6962 {
    type Hash = [u8; 32];

    fn hash(data: &[u8]) -> [u8; 32] {
        leaf_hash(data).0.0
    }

    fn concat_and_hash(left: &[u8; 32], right: Option<&[u8; 32]>) -> [u8; 32] {
        right.map_or(*left, |right| node_hash(&Hash(*left), &Hash(*right)).0)
    }
}

#[test]
fn roots_of_any_earlier_size_are_rfc_6962_s() {
    let tree = SampleTree::of(LEAVES);
    for leaves in 0..=LEAVES {
        let expect = naive_root(&tree.leaves[..usize::try_from(leaves).unwrap()]);
        assert_eq!(root(size(leaves), &tree), Ok(expect), "{leaves}");
    }
}

#[test]
fn inclusion_proofs_are_rfc_6962_s_and_verify() {
    let tree = SampleTree::of(130);
    for leaves in 1..=130_u64 {
        for leaf in 0..leaves {
            let proof = prove_inclusion(index(leaf), size(leaves), &tree).unwrap();
            let expect = naive_path(usize::try_from(leaf).unwrap(), &tree.leaves[..usize::try_from(leaves).unwrap()]);
            assert_eq!(proof.hashes(), expect, "{leaf} in {leaves}");
            let verified = verify_inclusion(tree.leaf(leaf), index(leaf), size(leaves), tree.root(leaves), &proof);
            assert_eq!(verified, Ok(()), "{leaf} in {leaves}");
        }
    }
}

#[test]
fn consistency_proofs_are_rfc_6962_s_and_verify() {
    let tree = SampleTree::of(130);
    for to in 0..=130_u64 {
        for from in 0..=to {
            let proof = prove_consistency(size(from), size(to), &tree).unwrap();
            if from > 0 {
                let leaves = &tree.leaves[..usize::try_from(to).unwrap()];
                let expect = naive_subproof(usize::try_from(from).unwrap(), leaves, true);
                assert_eq!(proof.hashes(), expect, "{from} to {to}");
            }
            let verified = verify_consistency(size(from), tree.root(from), size(to), tree.root(to), &proof);
            assert_eq!(verified, Ok(()), "{from} to {to}");
        }
    }
}

#[test]
fn rs_merkle_makes_the_same_roots_and_accepts_the_inclusion_proofs() {
    let tree = SampleTree::of(LEAVES);
    let hashes: Vec<[u8; 32]> = tree.leaves.iter().map(|leaf| leaf.0.0).collect();
    for leaves in [1, 2, 3, 5, 8, 31, 70, 128, 129, 255, 256, 257, 300] {
        let oracle = rs_merkle::MerkleTree::<Rfc6962>::from_leaves(&hashes[..leaves]);
        let oracle_root = oracle.root().unwrap();
        let tree_size = size(u64::try_from(leaves).unwrap());
        assert_eq!(root(tree_size, &tree).unwrap().0.0, oracle_root, "{leaves}");
        for leaf in 0..leaves {
            let proof = prove_inclusion(index(u64::try_from(leaf).unwrap()), tree_size, &tree).unwrap();
            let raw: Vec<[u8; 32]> = proof.hashes().iter().map(|hash| hash.0).collect();
            assert_eq!(oracle.proof(&[leaf]).proof_hashes(), raw, "{leaf} in {leaves}");
            let theirs = rs_merkle::MerkleProof::<Rfc6962>::new(raw);
            assert!(theirs.verify(oracle_root, &[leaf], &hashes[leaf..=leaf], leaves), "{leaf} in {leaves}");
        }
    }
}

#[test]
fn ct_merkle_makes_the_same_roots_and_proofs() {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    let tree = SampleTree::of(100);
    let mut oracle = MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
    for leaves in 1..=100_u64 {
        oracle.push(entry(leaves - 1));
        assert_eq!(tree.root(leaves).0.0[..], oracle.root().as_bytes()[..], "{leaves}");
        for leaf in 0..leaves {
            let ours = prove_inclusion(index(leaf), size(leaves), &tree).unwrap();
            let theirs = oracle.prove_inclusion(usize::try_from(leaf).unwrap());
            let ours: Vec<u8> = ours.hashes().iter().flat_map(|hash| hash.0).collect();
            assert_eq!(ours, theirs.as_bytes(), "{leaf} in {leaves}");
        }
        for from in 1..leaves {
            let ours = prove_consistency(size(from), size(leaves), &tree).unwrap();
            let theirs = oracle.prove_consistency(usize::try_from(leaves - from).unwrap());
            let ours: Vec<u8> = ours.hashes().iter().flat_map(|hash| hash.0).collect();
            assert_eq!(ours, theirs.as_bytes(), "{from} to {leaves}");
        }
    }
}

#[test]
fn a_leaf_outside_the_tree_and_a_shrinking_tree_have_no_plan() {
    let outside = PlanError::IndexOutsideTree { index: index(5), size: size(5) };
    assert_eq!(InclusionPlan::new(index(5), size(5)), Err(outside));
    assert!(InclusionPlan::new(index(0), TreeSize::ZERO).is_err());
    let shrinks = PlanError::Shrinks { from: size(6), to: size(5) };
    assert_eq!(ConsistencyPlan::new(size(6), size(5)), Err(shrinks));

    let tree = SampleTree::of(5);
    assert_eq!(prove_inclusion(index(5), size(5), &tree), Err(ProveError::Plan(outside)));
    assert_eq!(prove_consistency(size(6), size(5), &tree), Err(ProveError::Plan(shrinks)));
}

#[test]
fn a_store_that_fails_or_answers_with_another_count_is_refused() {
    struct Forgetful;
    impl HashReader for Forgetful {
        type Error = &'static str;
        fn read(&self, nodes: &[NodeCoord]) -> Result<Vec<Hash>, Self::Error> {
            Ok(nodes.iter().skip(1).map(|_| Hash([0; 32])).collect())
        }
    }
    let wrong_count = |expected, found| ProveError::Plan(PlanError::HashCount { expected, found });
    assert_eq!(root(size(7), &Forgetful), Err(wrong_count(3, 2)));
    assert_eq!(prove_inclusion(index(0), size(4), &Forgetful), Err(wrong_count(2, 1)));
    assert_eq!(prove_consistency(size(3), size(4), &Forgetful), Err(wrong_count(3, 2)));
    let plan = RootPlan::new(size(1)).unwrap();
    assert_eq!(plan.assemble(vec![Hash([0; 32]); 2]), Err(PlanError::HashCount { expected: 1, found: 2 }));

    let tree = SampleTree::of(3);
    let missing = NodeCoord { level: 2, index: 0 };
    assert_eq!(root(size(4), &tree), Err(ProveError::Read(missing)));
    assert_eq!(prove_inclusion(index(4), size(5), &tree), Err(ProveError::Read(missing)));
    assert_eq!(prove_consistency(size(4), size(5), &tree), Err(ProveError::Read(NodeCoord { level: 0, index: 4 })));
}

#[test]
fn a_proof_of_64_hashes_is_not_made() {
    let plan = ConsistencyPlan::new(size((1 << 62) - 1), TreeSize::MAX).unwrap();
    let hashes = vec![Hash([0; 32]); plan.nodes().len()];
    assert_eq!(plan.assemble(hashes), Err(PlanError::TooManyHashes { found: 64 }));
    let plan = InclusionPlan::new(index(0), TreeSize::MAX).unwrap();
    let proof = plan.assemble(vec![Hash([0; 32]); plan.nodes().len()]).unwrap();
    assert_eq!(proof.hashes().len(), 63);
}

#[test]
fn a_node_ends_with_its_last_leaf() {
    let end = |level, index| NodeCoord { level, index }.end().map(TreeSize::get);
    assert_eq!(end(0, 0), Some(1));
    assert_eq!(end(3, 2), Some(24));
    assert_eq!(end(62, 0), Some(1 << 62));
    assert_eq!(end(62, 1), None);
    assert_eq!(end(63, 0), None);
    assert_eq!(end(64, 0), None);
    assert_eq!(end(255, u64::MAX), None);
    assert_eq!(end(0, SIZE_MAX), None);
    assert_eq!(end(0, u64::MAX), None);
}

proptest! {
    #[test]
    fn inclusion_in_trees_of_any_size_verifies(leaves in 1..=SIZE_MAX, at in any::<u64>(), shift in 0..63_u32) {
        let leaves = (leaves >> shift).max(1);
        let (tree_size, leaf) = (size(leaves), index(at % leaves));
        let tree_root = root(tree_size, &UniformTree).unwrap();
        let proof = prove_inclusion(leaf, tree_size, &UniformTree).unwrap();
        prop_assert_eq!(verify_inclusion(UniformTree::leaf(), leaf, tree_size, tree_root, &proof), Ok(()));
    }

    #[test]
    fn consistency_of_trees_of_any_size_verifies(to in 1..=SIZE_MAX >> 1, at in any::<u64>(), shift in 0..62_u32) {
        let to = (to >> shift).max(1);
        let (from, to) = (size(at % to), size(to));
        let from_root = root(from, &UniformTree).unwrap();
        let to_root = root(to, &UniformTree).unwrap();
        let proof = prove_consistency(from, to, &UniformTree).unwrap();
        prop_assert_eq!(verify_consistency(from, from_root, to, to_root, &proof), Ok(()));
    }

    #[test]
    fn the_nodes_of_a_plan_and_its_leaf_cover_the_tree_once(leaves in 1..=SIZE_MAX, at in any::<u64>()) {
        let leaf = index(at % leaves);
        let plan = InclusionPlan::new(leaf, size(leaves)).unwrap();
        let own = NodeCoord { level: 0, index: leaf.get() };
        let mut spans: Vec<(u64, u64)> = plan.nodes().iter().chain([&own])
            .map(|node| (node.index << node.level, node.end().unwrap().get()))
            .collect();
        spans.sort_unstable();
        prop_assert_eq!(spans.first().unwrap().0, 0);
        prop_assert_eq!(spans.last().unwrap().1, leaves);
        prop_assert!(spans.windows(2).all(|pair| pair[0].1 == pair[1].0));
    }
}
