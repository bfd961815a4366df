use proptest::prelude::*;

use super::*;
use crate::hash::leaf_hash;
use crate::sample_tree::{SampleTree, entry, naive_root, size};
use crate::size::SIZE_MAX;

#[test]
fn the_root_is_the_naive_recursion_s_at_every_size() {
    let tree = SampleTree::of(600);
    for (leaves, root) in tree.roots.iter().enumerate() {
        assert_eq!(*root, naive_root(&tree.leaves[..leaves]), "{leaves}");
    }
    assert_eq!(RightEdge::default().root(), empty_root());
}

#[test]
fn every_complete_node_is_announced_once_and_no_other() {
    let tree = SampleTree::of(300);
    for level in 0..10_u8 {
        let nodes = 300 >> level;
        for index in 0..nodes {
            let node = NodeCoord { level, index };
            let start = usize::try_from(index << level).unwrap();
            let end = usize::try_from(node.end().unwrap().get()).unwrap();
            assert_eq!(tree.nodes[&node], naive_root(&tree.leaves[start..end]).0, "{node:?}");
        }
        assert_eq!(u64::try_from(tree.nodes.keys().filter(|node| node.level == level).count()).unwrap(), nodes);
    }
}

#[test]
fn nodes_are_announced_from_the_leaf_up() {
    let mut edge = RightEdge::empty();
    let mut nodes = Vec::new();
    for leaf in 0..4 {
        nodes.clear();
        let index = edge.append(leaf_hash(&entry(leaf)), &mut |node, _| nodes.push((node.level, node.index)));
        assert_eq!(index.map(LeafIndex::get), Ok(leaf));
    }
    assert_eq!(nodes, [(0, 3), (1, 1), (2, 0)]);
}

#[test]
fn peaks_stand_at_the_set_bits_of_the_size() {
    let coords = |leaves| -> Vec<(u8, u64)> {
        peak_coords(size(leaves)).into_iter().map(|node| (node.level, node.index)).collect()
    };
    assert_eq!(coords(0), []);
    assert_eq!(coords(1), [(0, 0)]);
    assert_eq!(coords(8), [(3, 0)]);
    assert_eq!(coords(0b1011), [(3, 0), (1, 4), (0, 10)]);
    assert_eq!(coords(SIZE_MAX).len(), 63);
}

#[test]
fn an_edge_read_back_from_its_peaks_goes_on_alike() {
    let tree = SampleTree::of(200);
    for leaves in 0..200 {
        let peaks: Vec<Hash> = peak_coords(size(leaves)).iter().map(|node| tree.nodes[node]).collect();
        let mut edge = RightEdge::from_peaks(size(leaves), peaks.clone()).unwrap();
        assert_eq!(edge.peaks(), peaks);
        assert_eq!(edge.root(), tree.root(leaves));
        edge.append(tree.leaf(leaves), &mut |node, hash| assert_eq!(tree.nodes[&node], hash)).unwrap();
        assert_eq!((edge.size(), edge.root()), (size(leaves + 1), tree.root(leaves + 1)));
    }
}

#[test]
fn another_number_of_peaks_is_refused() {
    let refused = |size, expected, found| Err(EdgeError::PeakCount { size, expected, found });
    let peaks = |count| vec![Hash([7; 32]); count];
    assert_eq!(RightEdge::from_peaks(size(7), peaks(2)), refused(size(7), 3, 2));
    assert_eq!(RightEdge::from_peaks(size(7), peaks(4)), refused(size(7), 3, 4));
    assert_eq!(RightEdge::from_peaks(size(0), peaks(1)), refused(size(0), 0, 1));
}

#[test]
fn the_largest_tree_takes_no_leaf_and_stays_as_it_is() {
    let mut edge = RightEdge::from_peaks(TreeSize::MAX, vec![Hash([7; 32]); 63]).unwrap();
    let before = edge.clone();
    let refused = edge.append(leaf_hash(b""), &mut |_, _| panic!("nothing is announced"));
    assert_eq!(refused, Err(EdgeError::Full));
    assert_eq!(edge, before);
}

proptest! {
    #[test]
    fn any_entries_have_the_naive_root(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..80)) {
        let leaves: Vec<LeafHash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let mut edge = RightEdge::empty();
        for leaf in &leaves {
            edge.append(*leaf, &mut |_, _| ()).unwrap();
        }
        prop_assert_eq!(edge.root(), naive_root(&leaves));
        prop_assert_eq!(edge.peaks().len(), peak_coords(edge.size()).len());
    }
}

#[test]
fn a_subtree_is_as_good_as_its_leaves() {
    let tree = SampleTree::of(600);
    let mut edge = RightEdge::empty();
    let append = |edge: &mut RightEdge, level: u8, index: u64| {
        edge.append_subtree(level, tree.nodes[&NodeCoord { level, index }], &mut |node, hash| {
            assert_eq!(tree.nodes[&node], hash);
        })
    };
    for (level, index) in [(8, 0), (7, 2), (7, 3), (6, 8), (4, 36), (3, 74)] {
        assert_eq!(append(&mut edge, level, index), Ok(()));
        assert_eq!(edge.root(), tree.root((index + 1) << level));
    }
    let before = edge.clone();
    for level in [4, 8, 62] {
        let refused = edge.append_subtree(level, empty_root().0, &mut |_, _| panic!("nothing is announced"));
        assert_eq!(refused, Err(EdgeError::Unaligned { size: size(600), level }));
    }
    for level in [63, 64, u8::MAX] {
        let refused = edge.append_subtree(level, empty_root().0, &mut |_, _| panic!("nothing is announced"));
        assert_eq!(refused, Err(EdgeError::Full));
    }
    assert_eq!(edge, before);
}
