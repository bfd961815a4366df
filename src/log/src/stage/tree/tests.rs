use countermark_tlog::hash::leaf_hash;

use super::*;

fn size(leaves: u64) -> TreeSize {
    TreeSize::new(leaves).unwrap()
}

/// A tree of so many leaves, and its full tiles.
fn grown(leaves: u64) -> (Tree, Vec<TileBytes>) {
    let (mut tree, mut full) = (Tree::empty(), Vec::new());
    for leaf in 0..leaves {
        let index = tree.append(leaf_hash(&leaf.to_be_bytes()), |_, _| {}, |tile, bytes| full.push((tile, bytes)));
        assert_eq!(index.unwrap().get(), leaf);
    }
    (tree, full)
}

fn stored(tree: &Tree) -> Vec<TileBytes> {
    tree.partial_tiles().map(|(tile, bytes)| (tile, bytes.to_vec())).collect()
}

#[test]
fn a_tree_is_read_back_from_its_partial_tiles() {
    for leaves in [0, 1, 2, 255, 256, 257, 512, 65_535, 65_536, 65_537, 66_000] {
        let (tree, _) = grown(leaves);
        assert_eq!(Tree::from_partial_tiles(size(leaves), stored(&tree)).unwrap(), tree, "{leaves}");
    }
}

#[test]
fn every_full_tile_is_given_once() {
    let (_, full) = grown(66_000);
    let level_0 = full.iter().filter(|(tile, _)| tile.level() == 0).count();
    let level_1 = full.iter().filter(|(tile, _)| tile.level() == 1).count();
    assert_eq!((level_0, level_1, full.len()), (257, 1, 258));
    assert!(full.iter().all(|(tile, bytes)| tile.is_full() && bytes.len() == 8_192));
}

#[test]
fn a_right_edge_of_another_size_is_refused() {
    let (tree, _) = grown(300);
    let tiles = stored(&tree);
    let refused = |leaves, tiles: Vec<TileBytes>| Tree::from_partial_tiles(size(leaves), tiles).unwrap_err();
    assert!(matches!(refused(301, tiles.clone()), TreeError::PartialTiles { .. }));
    assert!(matches!(refused(44, tiles.clone()), TreeError::PartialTiles { .. }));
    assert!(matches!(refused(300, tiles[..1].to_vec()), TreeError::PartialTiles { .. }));
    assert!(matches!(refused(300, [tiles.clone(), tiles.clone()].concat()), TreeError::PartialTiles { .. }));
    let mut short = tiles;
    short[0].1.pop();
    assert!(matches!(refused(300, short), TreeError::Tile(TileError::ByteCount { .. })));
}

#[test]
fn a_partial_tile_is_given_up_to_its_width() {
    let (tree, _) = grown(300);
    let tile = |index, width| TileCoord::new(0, index, width).unwrap();
    assert_eq!(tree.partial_tile(tile(1, 44)).map(<[u8]>::len), Some(44 * 32));
    assert_eq!(tree.partial_tile(tile(1, 10)).map(<[u8]>::len), Some(320));
    assert_eq!(tree.partial_tile(tile(1, 45)), None);
    assert_eq!(tree.partial_tile(tile(0, 10)), None);
    assert_eq!(tree.partial_tile(tile(2, 1)), None);
}
