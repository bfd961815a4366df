use std::cell::RefCell;
use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::proof::{verify_consistency, verify_inclusion};
use crate::sample_tree::{SampleTree, index, size};
use crate::size::SIZE_MAX;
use crate::tree::{ProveError, prove_consistency, prove_inclusion, root};

fn tile(level: u8, index: u64, width: u16) -> TileCoord {
    TileCoord::new(level, index, width).unwrap()
}

fn parts(tiles: &[TileCoord]) -> Vec<(u8, u64, u16)> {
    tiles.iter().map(|tile| (tile.level(), tile.index(), tile.width())).collect()
}

/// The bytes of a tile of the sample tree.
fn bytes_of(tree: &SampleTree, tile: TileCoord) -> Vec<u8> {
    tile.nodes().flat_map(|node| tree.nodes[&node].0).collect()
}

// Which tiles a tree has.

#[test]
fn a_tree_of_70_000_has_the_tiles_of_the_specification() {
    let at = size(70_000);
    assert_eq!(parts(&tiles_of(at)), [(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
    let all = tiles_for_growth(TreeSize::ZERO, at);
    let count =
        |level: u8, is_full: bool| all.iter().filter(|tile| tile.level() == level && tile.is_full() == is_full).count();
    assert_eq!([count(0, true), count(0, false)], [273, 1]);
    assert_eq!([count(1, true), count(1, false)], [1, 1]);
    assert_eq!([count(2, true), count(2, false)], [0, 1]);
    assert_eq!(all.len(), 277);
    assert_eq!(entry_bundles_for_growth(TreeSize::ZERO, at).len(), 274);
}

#[test]
fn a_tree_of_256_has_a_full_tile_and_above_it_a_partial_one_of_width_1() {
    assert_eq!(parts(&tiles_of(size(256))), [(0, 0, 256), (1, 0, 1)]);
    assert_eq!(parts(&tiles_for_growth(size(255), size(256))), [(0, 0, 256), (1, 0, 1)]);
    assert_eq!(parts(&tiles_of(size(255))), [(0, 0, 255)]);
    assert_eq!(parts(&tiles_of(size(257))), [(0, 1, 1), (1, 0, 1)]);
    assert_eq!(parts(&tiles_of(size(65_536))), [(0, 255, 256), (1, 0, 256), (2, 0, 1)]);
    assert_eq!(tiles_of(TreeSize::ZERO), []);
    assert_eq!(tiles_of(TreeSize::MAX).len(), 8);
}

#[test]
fn growth_names_only_what_is_new() {
    assert_eq!(tiles_for_growth(size(5), size(5)), []);
    assert_eq!(tiles_for_growth(size(6), size(5)), []);
    assert_eq!(entry_bundles_for_growth(size(6), size(5)), []);
    assert_eq!(tiles_for_growth(TreeSize::ZERO, TreeSize::ZERO), []);
    // The level 1 tile does not grow between 256 and 511.
    assert_eq!(parts(&tiles_for_growth(size(256), size(511))), [(0, 1, 255)]);
    assert_eq!(parts(&tiles_for_growth(size(256), size(512))), [(0, 1, 256), (1, 0, 2)]);
    assert_eq!(parts(&entry_bundles_for_growth(size(256), size(600))), [(0, 1, 256), (0, 2, 88)]);
    assert_eq!(parts(&entry_bundles_for_growth(size(255), size(256))), [(0, 0, 256)]);
}

#[test]
fn tiles_written_while_growing_hold_every_node_of_every_size() {
    let tree = SampleTree::of(600);
    let mut bytes = HashMap::new();
    for tile in (0..600).flat_map(|old| tiles_for_growth(size(old), size(old + 1))) {
        bytes.entry(tile).or_insert_with(|| bytes_of(&tree, tile));
    }
    // Each (old, new) names exactly what the tree of `new` has and that of `old` had not.
    let all_at: Vec<BTreeSet<TileCoord>> =
        (0..=600).map(|at| tiles_for_growth(TreeSize::ZERO, size(at)).into_iter().collect()).collect();
    for (old, had) in all_at.iter().enumerate() {
        for (new, has) in all_at.iter().enumerate().skip(old) {
            let sizes = [old, new].map(|at| size(u64::try_from(at).unwrap()));
            let grown: BTreeSet<TileCoord> = tiles_for_growth(sizes[0], sizes[1]).into_iter().collect();
            let missing: BTreeSet<TileCoord> = has.difference(had).copied().collect();
            assert_eq!(grown, missing, "{old} to {new}");
        }
    }
    for node in tree.nodes.keys() {
        for at in [node.end().unwrap(), size(600)] {
            let tile = tile_of(*node, at).unwrap();
            assert!(all_at[usize::try_from(at.get()).unwrap()].contains(&tile));
            assert_eq!(hash_in_tile(tile, &bytes[&tile], *node), Ok(tree.nodes[node]), "{node:?} at {at}");
            assert_eq!(hash_in_tile(tile.full(), &bytes[&tile], *node).is_ok(), tile.is_full());
        }
    }
}

#[test]
fn a_node_that_the_tree_does_not_have_has_no_tile() {
    let node = |level, index| NodeCoord { level, index };
    assert_eq!(tile_of(node(0, 5), size(5)), None);
    assert_eq!(tile_of(node(0, 4), size(5)), Some(tile(0, 0, 5)));
    assert_eq!(tile_of(node(3, 0), size(7)), None);
    assert_eq!(tile_of(node(8, 0), size(256)), Some(tile(1, 0, 1)));
    assert_eq!(tile_of(node(62, 0), TreeSize::MAX), Some(tile(7, 0, 127)));
    assert_eq!(tile_of(node(63, 0), TreeSize::MAX), None);
    assert_eq!(tile_of(node(255, u64::MAX), TreeSize::MAX), None);
    assert_eq!(
        tiles_of_nodes(&[node(0, 300), node(0, 1), node(3, 1)], size(301)).map(|tiles| parts(&tiles)),
        Some(vec![(0, 0, 256), (0, 1, 45)])
    );
    assert_eq!(tiles_of_nodes(&[node(0, 1), node(0, 2)], size(2)), None);
}

// Hashes in a tile.

#[test]
fn a_tile_of_another_length_and_a_node_outside_it_are_refused() {
    let tree = SampleTree::of(600);
    let partial = tile(0, 1, 44);
    let bytes = bytes_of(&tree, partial);
    let node = |level, index| NodeCoord { level, index };
    for found in [0, 44 * 32 - 1, 44 * 32 + 1, 8192] {
        let refused = hash_in_tile(partial, &vec![0; found], node(0, 256));
        assert_eq!(refused, Err(TileError::ByteCount { expected: 44 * 32, found }));
    }
    assert_eq!(hash_in_tile(partial, &bytes, node(2, 64 + 10)), Ok(tree.nodes[&node(2, 64 + 10)]));
    let outside = [
        node(0, 255),
        node(0, 300),
        node(2, 64 + 11),
        node(2, 63),
        node(7, 2),
        node(7, 3),
        node(8, 1),
        node(62, 1),
        node(255, 0),
        node(0, u64::MAX),
        node(7, u64::MAX),
    ];
    for node in outside {
        assert_eq!(hash_in_tile(partial, &bytes, node), Err(TileError::NodeOutsideTile { node }));
    }
}

#[test]
fn every_flipped_hash_of_a_tile_changes_what_is_made_of_it() {
    let tree = SampleTree::of(256);
    let full = tile(0, 0, 256);
    let bytes = bytes_of(&tree, full);
    let node = NodeCoord { level: 7, index: 0 };
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let changed = hash_in_tile(full, &damaged, node) != Ok(tree.nodes[&node]);
        assert_eq!(changed, at < 128 * 32, "{at}");
    }
}

#[test]
fn proofs_read_from_tiles_verify_and_fetch_each_tile_once() {
    let tree = SampleTree::of(600);
    let fetched = RefCell::new(Vec::new());
    for at in [1, 2, 255, 256, 257, 511, 512, 513, 600] {
        let reader = TileReader::new(size(at), |tile| {
            assert!(!fetched.borrow().contains(&tile), "{tile:?} fetched twice");
            fetched.borrow_mut().push(tile);
            Ok::<_, &str>(bytes_of(&tree, tile))
        });
        assert_eq!(root(size(at), &reader), Ok(tree.root(at)));
        fetched.borrow_mut().clear();
        for leaf in (0..at).step_by(17) {
            let proof = prove_inclusion(index(leaf), size(at), &reader).unwrap();
            fetched.borrow_mut().clear();
            assert_eq!(verify_inclusion(tree.leaf(leaf), index(leaf), size(at), tree.root(at), &proof), Ok(()));
            let proof = prove_consistency(size(leaf), size(at), &reader).unwrap();
            fetched.borrow_mut().clear();
            let verified = verify_consistency(size(leaf), tree.root(leaf), size(at), tree.root(at), &proof);
            assert_eq!(verified, Ok(()));
        }
    }
}

#[test]
fn a_reader_tells_its_failures_apart() {
    let fails = TileReader::new(size(5), |_| Err::<Vec<u8>, _>("offline"));
    assert_eq!(root(size(5), &fails), Err(ProveError::Read(TileReadError::Fetch("offline"))));
    let node = NodeCoord { level: 0, index: 5 };
    let outside = TileReadError::NodeOutsideTree { node, size: size(5) };
    assert_eq!(fails.read(&[node]), Err(outside));
    let short = TileReader::new(size(5), |_| Ok::<_, &str>(vec![0; 31]));
    let malformed = TileReadError::Tile(TileError::ByteCount { expected: 160, found: 31 });
    assert_eq!(root(size(5), &short), Err(ProveError::Read(malformed)));
}

// Coordinates and paths.

#[test]
fn a_coordinate_out_of_range_is_refused() {
    assert_eq!(TileCoord::new(64, 0, 1), Err(TileError::Level { found: 64 }));
    assert_eq!(TileCoord::new(0, TILE_INDEX_MAX + 1, 1), Err(TileError::Index { found: 1 << 55 }));
    assert_eq!(TileCoord::new(0, u64::MAX, 1), Err(TileError::Index { found: u64::MAX }));
    assert_eq!(TileCoord::new(0, 0, 0), Err(TileError::Width { found: 0 }));
    assert_eq!(TileCoord::new(0, 0, 257), Err(TileError::Width { found: 257 }));
    assert_eq!(tile(0, 0, 256).byte_count(), TILE_BYTES_MAX);
    assert_eq!(tile(7, 0, 2).nodes().map(|node| (node.level, node.index)).collect::<Vec<_>>(), [(56, 0), (56, 1)]);
    assert_eq!(tile(8, 0, 2).nodes().count(), 0);
    assert_eq!(tile(63, TILE_INDEX_MAX, 2).nodes().count(), 0);
}

#[test]
fn each_tile_has_the_path_of_the_specification() {
    let check = |coord: TileCoord, path: &str| {
        assert_eq!(coord.path(), path);
        assert_eq!(TileCoord::parse_path(path), Ok(TilePath::Hashes(coord)));
    };
    check(tile(0, 0, 256), "tile/0/000");
    check(tile(0, 1_067, 5), "tile/0/x001/067.p/5");
    check(tile(3, 1_234_067, 256), "tile/3/x001/x234/067");
    check(tile(63, 999, 255), "tile/63/999.p/255");
    check(tile(1, 1_000_000, 1), "tile/1/x001/x000/000.p/1");
    check(tile(0, TILE_INDEX_MAX, 255), "tile/0/x036/x028/x797/x018/x963/967.p/255");

    let check = |coord: TileCoord, path: &str| {
        assert_eq!(coord.entries_path(), path);
        assert_eq!(TileCoord::parse_path(path), Ok(TilePath::Entries(coord)));
    };
    check(tile(0, 0, 256), "tile/entries/000");
    check(tile(0, 1_067, 256), "tile/entries/x001/067");
    check(tile(0, 273, 112), "tile/entries/273.p/112");
}

#[test]
fn no_second_path_names_a_tile() {
    let syntax = [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile//000",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/000 ",
        "tiles/0/000",
        "Tile/0/000",
        "tile/00/000",
        "tile/01/000",
        "tile/+1/000",
        "tile/-1/000",
        "tile/x/000",
        "tile/0/0",
        "tile/0/67",
        "tile/0/0067",
        "tile/0/1067",
        "tile/0/001/067",
        "tile/0/x001",
        "tile/0/x001/",
        "tile/0/x001/x067",
        "tile/0/x000/067",
        "tile/0/x000/x001/067",
        "tile/0/X001/067",
        "tile/0/xx01/067",
        "tile/0/x01/067",
        "tile/0/x1/067",
        "tile/0/x001//067",
        "tile/0/+67",
        "tile/0/x+01/067",
        "tile/0/00a",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/05",
        "tile/0/000.p/256",
        "tile/0/000.p/+5",
        "tile/0/000.p/-5",
        "tile/0/000.p/5/",
        "tile/0/000.p/5.p/5",
        "tile/0/000.P/5",
        "tile/0/000p/5",
        "tile/0/x001.p/5/067",
        "tile/0/000.p/5 ",
        "tile/0/\u{0660}\u{0660}\u{0660}",
        "tile/0/000?x",
        "tile/0/../000",
        "tile/entries",
        "tile/entries/",
        "tile/entries/0",
        "tile/Entries/000",
        "tile/entries/000.p/256",
        "tile/entries/x000/000",
        "tile/entries/0/000",
        "tile/0/entries/000",
        "tile/99999999999999999999/000",
        "tile/0/x001/x000/x000/x000/x000/x000/x000/000",
        "tile/0/x001/x001/x001/x001/x001/x001/x001/x001/x001/x001/x001/000",
    ];
    for path in syntax {
        assert_eq!(TileCoord::parse_path(path), Err(TileError::Path), "{path:?}");
    }
    let check = |path: &str, expect: TileError| assert_eq!(TileCoord::parse_path(path), Err(expect), "{path:?}");
    check("tile/64/000", TileError::Level { found: 64 });
    check("tile/256/000", TileError::Level { found: 256 });
    check("tile/0/000.p/0", TileError::Width { found: 0 });
    check("tile/0/000.p/257", TileError::Width { found: 257 });
    check("tile/entries/000.p/65536", TileError::Width { found: 65_536 });
    check("tile/0/x036/x028/x797/x018/x963/968", TileError::Index { found: 1 << 55 });
}

proptest! {
    #[test]
    fn any_path_is_read_back(level in 0..=63_u8, at in 0..=TILE_INDEX_MAX, shift in 0..55_u32, width in 1..=256_u16) {
        let coord = tile(level, at >> shift, width);
        prop_assert_eq!(TileCoord::parse_path(&coord.path()), Ok(TilePath::Hashes(coord)));
        let coord = tile(0, at >> shift, width);
        prop_assert_eq!(TileCoord::parse_path(&coord.entries_path()), Ok(TilePath::Entries(coord)));
    }

    #[test]
    fn whatever_is_read_as_a_path_is_written_the_same(text in "tile/(entries|[0-9+]{1,3})(/x?[0-9]{2,4}){1,3}([.]p/[0-9+]{1,4})?") {
        match TileCoord::parse_path(&text) {
            Ok(TilePath::Hashes(coord)) => prop_assert_eq!(coord.path(), text),
            Ok(TilePath::Entries(coord)) => prop_assert_eq!(coord.entries_path(), text),
            Err(_) => {}
        }
    }

    #[test]
    fn no_text_makes_path_reading_panic(text in any::<String>()) {
        prop_assert!(TileCoord::parse_path(&text).is_err());
    }

    #[test]
    fn no_node_makes_a_tile_panic(level: u8, at: u64, leaves in 0..=SIZE_MAX, width in 1..=256_u16) {
        let node = NodeCoord { level, index: at };
        if let Some(found) = tile_of(node, size(leaves)) {
            prop_assert!(hash_in_tile(found, &vec![0; found.byte_count()], node).is_ok());
        }
        let other = tile(level % 64, at >> 9, width);
        let _ = hash_in_tile(other, &vec![0; other.byte_count()], node);
    }
}
