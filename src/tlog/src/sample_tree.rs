//! Trees for the tests: one grown through [`RightEdge`], the definitions of RFC 6962 written down naively, and a tree
//! of any size whose leaves are all the same.

use std::collections::HashMap;
use std::convert::Infallible;

use crate::edge::RightEdge;
use crate::hash::{Hash, LeafHash, RootHash, empty_root, leaf_hash, node_hash};
use crate::size::{LeafIndex, TreeSize};
use crate::tree::{HashReader, NodeCoord};

pub fn size(leaves: u64) -> TreeSize {
    TreeSize::new(leaves).unwrap()
}

pub fn index(leaf: u64) -> LeafIndex {
    LeafIndex::new(leaf).unwrap()
}

pub fn entry(leaf: u64) -> Vec<u8> {
    format!("entry {leaf}").into_bytes()
}

/// The hash with its lowest bit turned.
pub fn flipped(hash: Hash) -> Hash {
    let mut bytes = hash.0;
    bytes[31] ^= 1;
    Hash(bytes)
}

/// All nodes of a tree and all its earlier roots.
pub struct SampleTree {
    pub leaves: Vec<LeafHash>,
    pub roots: Vec<RootHash>,
    pub nodes: HashMap<NodeCoord, Hash>,
}

impl SampleTree {
    pub fn of(leaves: u64) -> Self {
        let mut edge = RightEdge::empty();
        let mut roots = vec![edge.root()];
        let mut nodes = HashMap::new();
        let leaves: Vec<LeafHash> = (0..leaves).map(|leaf| leaf_hash(&entry(leaf))).collect();
        for leaf in &leaves {
            edge.append(*leaf, &mut |node, hash| assert_eq!(nodes.insert(node, hash), None)).unwrap();
            roots.push(edge.root());
        }
        Self { leaves, roots, nodes }
    }

    pub fn leaf(&self, leaf: u64) -> LeafHash {
        self.leaves[usize::try_from(leaf).unwrap()]
    }

    pub fn root(&self, leaves: u64) -> RootHash {
        self.roots[usize::try_from(leaves).unwrap()]
    }
}

impl HashReader for SampleTree {
    type Error = NodeCoord;

    fn read(&self, nodes: &[NodeCoord]) -> Result<Vec<Hash>, NodeCoord> {
        nodes.iter().map(|node| self.nodes.get(node).copied().ok_or(*node)).collect()
    }
}

fn split(leaves: &[LeafHash]) -> (&[LeafHash], &[LeafHash]) {
    let half = leaves.len().next_power_of_two() / 2;
    leaves.split_at(half)
}

/// MTH of RFC 6962 §2.1.
pub fn naive_root(leaves: &[LeafHash]) -> RootHash {
    match leaves {
        [] => empty_root(),
        [leaf] => RootHash(leaf.0),
        more => {
            let (left, right) = split(more);
            RootHash(node_hash(&naive_root(left).0, &naive_root(right).0))
        }
    }
}

/// PATH of RFC 6962 §2.1.1.
pub fn naive_path(leaf: usize, leaves: &[LeafHash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = split(leaves);
    let (mut path, sibling) =
        if leaf < left.len() { (naive_path(leaf, left), right) } else { (naive_path(leaf - left.len(), right), left) };
    path.push(naive_root(sibling).0);
    path
}

/// SUBPROOF of RFC 6962 §2.1.2.
pub fn naive_subproof(from: usize, leaves: &[LeafHash], is_whole: bool) -> Vec<Hash> {
    if from == leaves.len() {
        return if is_whole { Vec::new() } else { vec![naive_root(leaves).0] };
    }
    let (left, right) = split(leaves);
    let (mut proof, other) = if from <= left.len() {
        (naive_subproof(from, left, is_whole), right)
    } else {
        (naive_subproof(from - left.len(), right, false), left)
    };
    proof.push(naive_root(other).0);
    proof
}

/// A tree of any size up to 2^63 - 1, whose leaves are all the same: a node's hash depends on its level alone.
pub struct UniformTree;

impl UniformTree {
    pub fn leaf() -> LeafHash {
        leaf_hash(b"the same everywhere")
    }
}

impl HashReader for UniformTree {
    type Error = Infallible;

    fn read(&self, nodes: &[NodeCoord]) -> Result<Vec<Hash>, Infallible> {
        let hash_of = |node: &NodeCoord| (0..node.level).fold(Self::leaf().0, |hash, _| node_hash(&hash, &hash));
        Ok(nodes.iter().map(hash_of).collect())
    }
}
