//! The hashes between two tile levels: what a full tile's 256 hashes make, by hashing, on the seven levels above them.
//!
//! Every proof needs one of each of these levels from each tile that it passes: 247 hashings for a tile, which a tile that
//! many proofs pass need not cost each time.

use std::sync::Arc;

use countermark_tlog::hash::{HASH_BYTES, Hash, node_hash};
use countermark_tlog::tile::{TILE_HEIGHT, TILE_WIDTH, TileCoord};
use countermark_tlog::tree::NodeCoord;

/// 128 hashes of the first level, 64 of the second, to 2 of the seventh, one after another: 8,128 bytes.
pub(super) fn inner_hashes(tile: &[u8]) -> Arc<[u8]> {
    let mut inner = Vec::with_capacity(tile.len());
    let mut row: Vec<Hash> = tile.as_chunks().0.iter().copied().map(Hash).collect();
    while row.len() > 2 {
        row = row.as_chunks().0.iter().map(|[left, right]| node_hash(left, right)).collect();
        inner.extend(row.iter().flat_map(|hash| hash.0));
    }
    inner.into()
}

/// The hash of a node between the tile's own level and the next; `None` for any other node.
pub(super) fn inner_hash(tile: TileCoord, inner: &[u8], node: NodeCoord) -> Option<Hash> {
    let above = node.level % TILE_HEIGHT;
    if node.level / TILE_HEIGHT != tile.level() || above == 0 {
        return None;
    }
    // Below this row stand those of 128, 64, … hashes.
    let width = u64::from(TILE_WIDTH) >> above;
    let below = u64::from(TILE_WIDTH).checked_sub(width.checked_mul(2)?)?;
    let place = node.index.checked_sub(tile.index().checked_mul(width)?).filter(|place| *place < width)?;
    let hashes: &[[u8; HASH_BYTES]] = inner.as_chunks().0;
    hashes.get(usize::try_from(below.checked_add(place)?).ok()?).copied().map(Hash)
}

#[cfg(test)]
mod tests {
    use countermark_tlog::tile::hash_in_tile;

    use super::*;

    #[test]
    fn every_node_between_two_tile_levels_is_the_one_that_hashing_makes() {
        let bytes: Vec<u8> = (0..8_192_u32).map(|byte| byte.to_be_bytes()[2] ^ byte.to_be_bytes()[3]).collect();
        let inner = inner_hashes(&bytes);
        assert_eq!(inner.len(), 254 * HASH_BYTES);
        for (level, index) in [(0, 0), (0, 7), (1, 3)] {
            let tile = TileCoord::new(level, index, TILE_WIDTH).unwrap();
            for above in 1..TILE_HEIGHT {
                let width = u64::from(TILE_WIDTH) >> above;
                let nodes = index * width..(index + 1) * width;
                let node = |index| NodeCoord { level: level * TILE_HEIGHT + above, index };
                for index in nodes.clone() {
                    let expect = hash_in_tile(tile, &bytes, node(index)).unwrap();
                    assert_eq!(inner_hash(tile, &inner, node(index)), Some(expect));
                }
                for outside in [nodes.start.checked_sub(1), Some(nodes.end)].into_iter().flatten() {
                    assert_eq!(inner_hash(tile, &inner, node(outside)), None);
                }
            }
            let own = NodeCoord { level: level * TILE_HEIGHT, index: index * u64::from(TILE_WIDTH) };
            assert_eq!(inner_hash(tile, &inner, own), None);
        }
    }
}
