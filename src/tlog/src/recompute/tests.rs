use std::collections::BTreeMap;

use super::*;
use crate::edge::RightEdge;
use crate::hash::{LeafHash, RootHash};
use crate::sample_tree::{entry, naive_root, size};
use crate::tile::{entry_bundles_for_growth, tiles_for_growth};

/// A log as it is stored: what the recomputation is shown. `None` for what is not there.
struct Stored {
    size: TreeSize,
    root: RootHash,
    /// Leaf hashes as the bundles make them.
    bundles: BTreeMap<TileCoord, Vec<u8>>,
    tiles: BTreeMap<TileCoord, Vec<u8>>,
    leaves: Vec<LeafHash>,
}

impl Stored {
    fn of(leaves: u64) -> Self {
        let hashes: Vec<LeafHash> = (0..leaves).map(|leaf| leaf_hash(&entry(leaf))).collect();
        let mut nodes = BTreeMap::new();
        let mut edge = RightEdge::empty();
        for leaf in &hashes {
            edge.append(*leaf, &mut |node, hash| assert_eq!(nodes.insert(node, hash), None)).unwrap();
        }
        let row = |tile: TileCoord| tile.nodes().flat_map(|node| nodes[&node].0).collect::<Vec<u8>>();
        let all = |tiles: Vec<TileCoord>| tiles.into_iter().map(|tile| (tile, row(tile))).collect();
        Self {
            size: size(leaves),
            root: edge.root(),
            bundles: all(entry_bundles_for_growth(size(0), size(leaves))),
            tiles: all(tiles_for_growth(size(0), size(leaves))),
            leaves: hashes,
        }
    }

    fn tile(&self, level: u8, index: u64) -> TileCoord {
        *self.tiles.keys().find(|tile| (tile.level(), tile.index()) == (level, index)).unwrap()
    }

    /// Changes one hash of a stored tile.
    fn damage_tile(&mut self, level: u8, index: u64, position: usize) {
        let tile = self.tile(level, index);
        self.tiles.get_mut(&tile).unwrap()[position * HASH_BYTES] ^= 1;
    }

    /// Changes one entry, by its leaf hash.
    fn damage_entry(&mut self, leaf: usize) {
        let bundle = self.tile(0, u64::try_from(leaf / 256).unwrap());
        self.bundles.get_mut(&bundle).unwrap()[leaf % 256 * HASH_BYTES] ^= 1;
    }

    fn recompute(&self, roots_at: &[u64]) -> (Vec<Disagreement>, Recomputed) {
        let roots_at: Vec<TreeSize> = roots_at.iter().copied().map(size).collect();
        let mut found = Vec::new();
        let mut stored = |tile: TileCoord| self.tiles.get(&tile).cloned();
        let mut fold = Fold::new(self.size);
        for index in 0..LeafRange::count(self.size) {
            let range = LeafRange::new(index, self.size).unwrap();
            let mut check = RangeCheck::new(range, &roots_at);
            for bundle in range.bundles() {
                let (made, tile) = (self.bundles.get(&bundle), self.tiles.get(&bundle));
                check.push(made.map(Vec::as_slice), tile.map(Vec::as_slice)).unwrap();
            }
            let above = range.tile_above().and_then(|tile| self.tiles.get(&tile));
            let hashes = check.finish(above.map(Vec::as_slice), &mut |disagreement| found.push(disagreement)).unwrap();
            fold.push(hashes, &mut stored, &mut |disagreement| found.push(disagreement)).unwrap();
        }
        let recomputed = fold.finish(self.root, &mut stored, &mut |disagreement| found.push(disagreement)).unwrap();
        (found, recomputed)
    }
}

const fn at(first: u16, count: u16) -> Difference {
    Difference { first, count }
}

#[test]
fn an_undamaged_log_of_any_size_comes_to_its_root_without_a_word() {
    for leaves in [0, 1, 2, 255, 256, 257, 511, 512, 1000, 65_535, 65_536, 65_537, 70_000] {
        let stored = Stored::of(leaves);
        let (found, recomputed) = stored.recompute(&[]);
        assert_eq!((found, recomputed.root), (vec![], Some(stored.root)), "{leaves}");
    }
}

#[test]
fn roots_of_earlier_sizes_are_those_of_the_definition() {
    let stored = Stored::of(66_100);
    let sizes = [1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 66_048, 66_049, 66_099, 66_100];
    let (_, recomputed) = stored.recompute(&sizes);
    assert_eq!(recomputed.roots.iter().map(|(at, _)| at.get()).collect::<Vec<_>>(), sizes);
    for leaves in sizes {
        let expected = naive_root(&stored.leaves[..usize::try_from(leaves).unwrap()]);
        assert_eq!(recomputed.root_at(size(leaves)), Some(expected), "{leaves}");
    }
    assert_eq!(recomputed.root_at(size(0)), Some(naive_root(&[])));
    assert_eq!(recomputed.root_at(size(7)), None, "nobody asked");
}

#[test]
fn the_place_that_is_wrong_is_named_and_no_other() {
    let check = |leaves: u64, damage: &dyn Fn(&mut Stored), root: bool, expect: &dyn Fn(&Stored) -> Disagreement| {
        let mut stored = Stored::of(leaves);
        damage(&mut stored);
        let (found, recomputed) = stored.recompute(&[]);
        assert_eq!(found, [expect(&stored)]);
        assert_eq!(recomputed.root == Some(stored.root), root, "{found:?}");
    };
    let bundle =
        |index: u64, at: Difference| move |log: &Stored| Disagreement::Bundle { bundle: log.tile(0, index), at };
    let tile = |level: u8, index: u64, at: Difference| {
        move |log: &Stored| Disagreement::Tile { tile: log.tile(level, index), at }
    };
    // An entry of a full bundle, and of the last one.
    check(600, &|log| log.damage_entry(300), false, &bundle(1, at(44, 1)));
    check(600, &|log| log.damage_entry(599), false, &bundle(2, at(87, 1)));
    check(66_000, &|log| log.damage_entry(65_535), false, &bundle(255, at(255, 1)));
    let two = |log: &mut Stored| [256, 511].map(|leaf| log.damage_entry(leaf)).into_iter().collect();
    check(600, &two, false, &bundle(1, at(0, 2)));
    // A tile of each level, full and partial.
    check(600, &|log| log.damage_tile(0, 1, 3), true, &tile(0, 1, at(3, 1)));
    check(600, &|log| log.damage_tile(0, 2, 87), true, &tile(0, 2, at(87, 1)));
    check(600, &|log| log.damage_tile(1, 0, 1), true, &tile(1, 0, at(1, 1)));
    check(66_000, &|log| log.damage_tile(1, 0, 255), true, &tile(1, 0, at(255, 1)));
    check(66_000, &|log| log.damage_tile(1, 1, 0), true, &tile(1, 1, at(0, 1)));
    check(66_000, &|log| log.damage_tile(2, 0, 0), true, &tile(2, 0, at(0, 1)));
}

#[test]
fn where_nothing_says_what_is_right_both_are_named() {
    let mut stored = Stored::of(600);
    stored.damage_entry(5);
    let above = stored.tile(1, 0);
    stored.tiles.remove(&above);
    let place = stored.tile(0, 0);
    assert_eq!(stored.recompute(&[]).0, [Disagreement::BundleOrTile { place, at: at(5, 1) }]);

    // Bundle, tile and the tile above all differ.
    let mut stored = Stored::of(600);
    stored.damage_entry(5);
    stored.damage_tile(1, 0, 0);
    let expected = [
        Disagreement::BundleOrTile { place, at: at(5, 1) },
        Disagreement::Tile { tile: stored.tile(1, 0), at: at(0, 1) },
    ];
    assert_eq!(stored.recompute(&[]).0, expected);

    // In the last bundle, under a root that neither makes.
    let mut stored = Stored::of(600);
    stored.damage_entry(599);
    stored.damage_tile(0, 2, 0);
    let place = stored.tile(0, 2);
    assert_eq!(stored.recompute(&[]).0, [Disagreement::BundleOrTile { place, at: at(0, 2) }]);
}

#[test]
fn entry_and_tile_changed_alike_are_found_by_the_tile_above() {
    let mut stored = Stored::of(600);
    stored.damage_entry(5);
    stored.damage_tile(0, 0, 5);
    let (found, recomputed) = stored.recompute(&[]);
    assert_eq!(found, [Disagreement::Tile { tile: stored.tile(1, 0), at: at(0, 1) }]);
    assert_ne!(recomputed.root, Some(stored.root));
}

#[test]
fn a_missing_bundle_leaves_no_root_and_its_tile_still_stands_under_the_others() {
    let mut stored = Stored::of(66_100);
    let gone = stored.tile(0, 2);
    stored.bundles.remove(&gone);
    let (found, recomputed) = stored.recompute(&[512, 513, 66_000]);
    assert_eq!((found, recomputed.root), (vec![], None));
    assert_eq!(recomputed.root_at(size(512)), Some(naive_root(&stored.leaves[..512])));
    assert_eq!((recomputed.root_at(size(513)), recomputed.root_at(size(66_000))), (None, None));

    stored.damage_tile(0, 2, 9);
    let expected = Disagreement::Tile { tile: stored.tile(1, 0), at: at(2, 1) };
    assert_eq!(stored.recompute(&[]).0, [expected], "the tile above knows neither");
    stored.tiles.remove(&gone);
    assert_eq!(stored.recompute(&[]).0, [], "nothing is known of what is below");

    // A damaged tile over it is still told apart from the one above that.
    let mut stored = Stored::of(66_100);
    stored.bundles.remove(&gone);
    stored.damage_tile(1, 0, 7);
    assert_eq!(stored.recompute(&[]).0, [Disagreement::Tile { tile: stored.tile(1, 0), at: at(7, 1) }]);

    let mut stored = Stored::of(600);
    let gone = stored.tile(0, 2);
    stored.bundles.remove(&gone);
    assert_eq!(stored.recompute(&[]), (vec![], Recomputed { root: None, roots: vec![] }));
}

#[test]
fn missing_tiles_do_not_stand_in_the_way_of_the_root() {
    let mut stored = Stored::of(66_100);
    stored.tiles.clear();
    assert_eq!(stored.recompute(&[]), (vec![], Recomputed { root: Some(stored.root), roots: vec![] }));
}

#[test]
fn ranges_cover_the_tree_and_have_the_tiles_of_its_size() {
    let check = |leaves: u64, index: u64, bundles: &[(u64, u16)], above: Option<u16>| {
        let range = LeafRange::new(index, size(leaves)).unwrap();
        let all: Vec<_> = range.bundles().map(|bundle| (bundle.index(), bundle.width())).collect();
        assert_eq!([all[0], all[all.len() - 1]], [bundles[0], bundles[bundles.len() - 1]], "{leaves}");
        assert_eq!(range.tile_above().map(TileCoord::width), above, "{leaves}");
    };
    assert_eq!((LeafRange::count(size(0)), LeafRange::new(0, size(0))), (0, None));
    check(1, 0, &[(0, 1)], None);
    check(255, 0, &[(0, 255)], None);
    check(256, 0, &[(0, 256)], Some(1));
    check(257, 0, &[(0, 256), (1, 1)], Some(1));
    check(65_536, 0, &[(0, 256), (255, 256)], Some(256));
    check(70_000, 1, &[(256, 256), (273, 112)], Some(17));
    assert_eq!(LeafRange::new(2, size(70_000)), None);
    let last = LeafRange::new(LeafRange::count(TreeSize::MAX) - 1, TreeSize::MAX).unwrap();
    assert_eq!((last.bundles().count(), last.bundles().last().map(TileCoord::width)), (256, Some(255)));
}

#[test]
fn a_bundle_hashes_to_its_tile_and_what_is_none_leaves_nothing() {
    let entries: Vec<Vec<u8>> = (0..256).map(entry).collect();
    let bundle = entry_bundle::encode(entries.iter().map(Vec::as_slice)).unwrap();
    let mut tile = Vec::new();
    leaf_hashes(&bundle, 256, &mut tile).unwrap();
    let leaves: Vec<LeafHash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    assert_eq!(tile, leaves.iter().flat_map(|leaf| leaf.0.0).collect::<Vec<u8>>());
    assert_eq!(tile_root(&tile).unwrap(), naive_root(&leaves).0);
    for (bytes, width) in [(&bundle[..bundle.len() - 1], 256), (&bundle, 255), (&bundle, 0), (&bundle, 257)] {
        assert_eq!(leaf_hashes(bytes, width, &mut tile), entry_bundle::decode(bytes, width).map(drop));
        assert!(tile.is_empty());
    }
    for length in [0, TILE_BYTES_MAX - HASH_BYTES, TILE_BYTES_MAX + 1] {
        let expected = TileError::ByteCount { expected: TILE_BYTES_MAX, found: length };
        assert_eq!(tile_root(&vec![0; length]), Err(expected));
    }
}

#[test]
fn what_a_caller_does_in_another_order_is_refused() {
    let stored = Stored::of(300);
    let range = LeafRange::new(0, stored.size).unwrap();
    let rows: Vec<&[u8]> = stored.bundles.values().map(Vec::as_slice).collect();
    let mut check = RangeCheck::new(range, &[]);
    let short = TileError::ByteCount { expected: 8192, found: 44 * 32 };
    assert_eq!(check.push(Some(rows[1]), None), Err(RecomputeError::Tile(short)));
    check.push(Some(rows[0]), None).unwrap();
    let early = check.clone().finish(None, &mut |_| ());
    assert_eq!(early.unwrap_err(), RecomputeError::BundleCount { expected: 2, found: 1 });
    check.push(None, Some(rows[1])).unwrap();
    assert_eq!(check.push(None, None), Err(RecomputeError::NoMoreBundles));
    let wide = TileError::ByteCount { expected: 32, found: 64 };
    assert_eq!(check.clone().finish(Some(&[0; 64]), &mut |_| ()).unwrap_err(), RecomputeError::Tile(wide));
    let hashes = check.finish(None, &mut |_| ()).unwrap();
    assert_eq!(hashes.range(), range);

    let nothing = &mut |_: TileCoord| None;
    let mut fold = Fold::new(stored.size);
    let early = fold.clone().finish(stored.root, nothing, &mut |_| ());
    assert_eq!(early, Err(RecomputeError::OutOfOrder { expected: 0, found: 1 }));
    fold.push(hashes.clone(), nothing, &mut |_| ()).unwrap();
    let again = fold.push(hashes.clone(), nothing, &mut |_| ());
    assert_eq!(again, Err(RecomputeError::OutOfOrder { expected: 1, found: 0 }));
    let other = Fold::new(size(301)).push(hashes, nothing, &mut |_| ());
    assert_eq!(other, Err(RecomputeError::OutOfOrder { expected: 0, found: 0 }));
}

#[test]
fn tiles_above_level_2_are_compared_where_a_tree_has_them() {
    // 257 ranges that were recomputed already, so that nobody has to hash 16 million leaves.
    let (over_range, ranges) = (leaf_hash(b"a range").0, 257_u64);
    let tree = size(ranges * RANGE_LEAVES);
    let mut edge = RightEdge::empty();
    for _ in 0..ranges {
        edge.append_subtree(16, over_range, &mut |_, _| ()).unwrap();
    }
    let row: Vec<u8> = over_range.0.repeat(256);
    let tile = |level, index, width| TileCoord::new(level, index, width).unwrap();
    let stored = BTreeMap::from([
        (tile(2, 0, 256), row.clone()),
        (tile(2, 1, 1), over_range.0.to_vec()),
        (tile(3, 0, 1), tile_root(&row).unwrap().0.to_vec()),
    ]);
    let recompute = |stored: &BTreeMap<TileCoord, Vec<u8>>| {
        let (mut fold, mut found) = (Fold::new(tree), Vec::new());
        for index in 0..ranges {
            let hashes = RangeHashes {
                range: LeafRange::new(index, tree).unwrap(),
                made: Some(over_range),
                below: Some(over_range),
                stored: Some(over_range),
                bundles: vec![],
                tail: None,
                cuts: vec![],
            };
            fold.push(hashes, &mut |tile| stored.get(&tile).cloned(), &mut |found_here| found.push(found_here))
                .unwrap();
        }
        let end = fold.finish(edge.root(), &mut |tile| stored.get(&tile).cloned(), &mut |here| found.push(here));
        assert_eq!(end.unwrap().root, Some(edge.root()));
        found
    };
    assert_eq!(recompute(&stored), []);
    for (place, position) in [(tile(2, 0, 256), 200_u16), (tile(2, 1, 1), 0), (tile(3, 0, 1), 0)] {
        let mut damaged = stored.clone();
        damaged.get_mut(&place).unwrap()[usize::from(position) * HASH_BYTES] ^= 1;
        assert_eq!(recompute(&damaged), [Disagreement::Tile { tile: place, at: at(position, 1) }]);
    }
}
