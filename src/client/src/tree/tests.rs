use countermark_tlog::proof::{verify_consistency, verify_inclusion};

use super::*;
use crate::testing::{Lie, TestLog, World, index, size};

async fn open(log: &TestLog, len: u64) -> Result<VerifiedTree, TreeError> {
    VerifiedTree::open(Arc::new(log.reader.clone()), &log.world().head(len)).await
}

#[tokio::test]
async fn proofs_from_tiles_are_the_ones_of_rfc_6962_at_every_kind_of_size() {
    let log = TestLog::serve(World::grown_to(700)).await;
    let world = log.world();
    for len in [1, 2, 3, 255, 256, 257, 511, 512, 513, 700, world.len()] {
        let tree = open(&log, len).await.unwrap();
        for i in [0, 1, len / 2, len - 1].into_iter().filter(|i| *i < len) {
            let proof = tree.prove_inclusion(index(i), size(len)).await.unwrap();
            assert_eq!(proof, world.grown.inclusion(i, len), "{i} of {len}");
            let leaf = tree.leaf_hash(index(i)).await.unwrap();
            verify_inclusion(leaf, index(i), size(len), tree.root(), &proof).unwrap();
            assert_eq!(&tree.entry(index(i)).await.unwrap(), world.grown.entry(i).unwrap());
        }
        for from in [0, 1, len / 3, len.saturating_sub(1), len] {
            let root = tree.root_at(size(from)).await.unwrap();
            assert_eq!(root, world.grown.root(from));
            let proof = tree.prove_consistency(size(from), size(len)).await.unwrap();
            verify_consistency(size(from), root, size(len), tree.root(), &proof).unwrap();
        }
    }
}

#[tokio::test]
async fn the_empty_tree_needs_no_tiles() {
    let log = TestLog::serve(World::empty()).await;
    let tree = open(&log, 0).await.unwrap();
    assert_eq!(tree.root_at(size(0)).await.unwrap(), tree.root());
    assert_eq!(log.asked(""), 0);
}

#[tokio::test]
async fn a_tree_of_three_levels_authenticates_from_the_top() {
    let mut world = World::new();
    (0_u64..66_000).for_each(|i| {
        world.grown.push(i.to_be_bytes().to_vec());
    });
    let log = TestLog::serve(world).await;
    let len = log.world().len();
    let tree = open(&log, len).await.unwrap();
    for i in [0, 255, 256, 65_535, 65_536, len - 1] {
        assert_eq!(tree.prove_inclusion(index(i), size(len)).await.unwrap(), log.world().grown.inclusion(i, len));
    }
    let wrong = log.world().grown.tile(TileCoord::new(0, 3, 256).unwrap()).unwrap();
    log.lie("backup/tile/1/000", Lie::Bytes(wrong));
    let tree = open(&log, len).await.unwrap();
    let error = tree.leaf_hash(index(700)).await.unwrap_err();
    assert!(matches!(error, TreeError::Tile { tile } if tile.level() == 1), "{error}");
}

#[tokio::test]
async fn a_wrong_tile_is_refused_before_anything_is_read_from_it() {
    let log = TestLog::serve(World::grown_to(700)).await;
    let len = log.world().len();
    let coord = TileCoord::new(0, 1, 256).unwrap();
    let good = log.world().grown.tile(coord).unwrap();
    for at in [0, 100, 8191] {
        let mut wrong = good.clone();
        wrong[at] ^= 1;
        log.lie("backup/tile/0/001", Lie::Bytes(wrong));
        let tree = open(&log, len).await.unwrap();
        let error = tree.leaf_hash(index(300)).await.unwrap_err();
        assert!(matches!(error, TreeError::Tile { tile } if tile == coord), "{error}");
        assert_eq!(error.exit_class(), ExitClass::Proof);
        tree.leaf_hash(index(10)).await.unwrap();
    }
    log.lie("backup/tile/0/001", Lie::Bytes(good));
    let tree = open(&log, len).await.unwrap();
    tree.leaf_hash(index(300)).await.unwrap();
}

#[tokio::test]
async fn a_wrong_right_edge_opens_no_tree() {
    let log = TestLog::serve(World::grown_to(300)).await;
    let len = log.world().len();
    let edge = tiles_of(size(len)).into_iter().filter(|tile| !tile.is_full());
    for tile in edge {
        let mut wrong = log.world().grown.tile(tile).unwrap();
        wrong[5] ^= 1;
        log.lie(&format!("backup/{}", tile.path()), Lie::Bytes(wrong));
        let error = open(&log, len).await.err().unwrap();
        assert!(matches!(error, TreeError::Root { .. }) && error.exit_class() == ExitClass::Proof);
        log.lie(&format!("backup/{}", tile.path()), Lie::Bytes(log.world().grown.tile(tile).unwrap()));
    }
    assert!(open(&log, len).await.is_ok());
    log.lie("backup/tile/1/000.p/1", Lie::Status(500, ""));
    let error = open(&log, len).await.err().unwrap();
    assert!(matches!(error, TreeError::Fetch(_)) && error.exit_class() == ExitClass::Unreachable);
}

#[tokio::test]
async fn an_entry_that_is_not_the_hashed_one_is_refused() {
    let log = TestLog::serve(World::grown_to(300)).await;
    let len = log.world().len();
    let coord = TileCoord::new(0, 0, 256).unwrap();
    let mut swapped: Vec<&[u8]> = log.world().grown.entries[..256].iter().map(Vec::as_slice).collect();
    swapped.swap(7, 8);
    let bytes = countermark_tlog::entry_bundle::encode(swapped.into_iter()).unwrap();
    log.lie(&format!("backup/{}", coord.entries_path()), Lie::Bytes(bytes));
    let tree = open(&log, len).await.unwrap();
    for i in [7, 8] {
        let error = tree.entry(index(i)).await.unwrap_err();
        assert!(matches!(error, TreeError::Entry { .. }) && error.exit_class() == ExitClass::Proof);
    }
    assert_eq!(&tree.entry(index(9)).await.unwrap(), log.world().grown.entry(9).unwrap());
}

#[tokio::test]
async fn what_the_tree_does_not_have_is_refused_without_asking() {
    let log = TestLog::serve(World::grown_to(300)).await;
    let len = log.world().len();
    let tree = open(&log, len).await.unwrap();
    let asked = log.asked("");
    let beyond = tree.leaf_hash(index(len)).await.unwrap_err();
    assert!(matches!(beyond, TreeError::NodeOutsideTree { .. }) && beyond.exit_class() == ExitClass::Usage);
    let outside = tree.prove_inclusion(index(9), size(9)).await.unwrap_err();
    assert!(matches!(outside, TreeError::Plan(PlanError::IndexOutsideTree { .. })));
    let larger = tree.root_at(size(len + 1)).await.unwrap_err();
    assert!(matches!(larger, TreeError::NodeOutsideTree { .. }));
    assert_eq!(log.asked(""), asked);
}

#[tokio::test]
async fn an_authenticated_tile_is_fetched_once() {
    let log = TestLog::serve(World::grown_to(700)).await;
    let tree = open(&log, log.world().len()).await.unwrap();
    for i in [256, 300, 511] {
        tree.leaf_hash(index(i)).await.unwrap();
    }
    assert_eq!(log.asked("backup/tile/0/001"), 1);
}
