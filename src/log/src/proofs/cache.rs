//! Full tiles in memory, by place, up to a number of bytes.

use std::sync::Arc;

use countermark_tlog::tile::{TILE_BYTES_MAX, TileCoord};
use quick_cache::sync::Cache as QuickCache;
use quick_cache::{OptionsBuilder, Weighter};

/// What never changes once it is full. What is asked for again and again stays: every proof needs the tiles of the upper
/// levels, and an auditor who reads all entries once must not push them out.
#[derive(Debug)]
pub(super) struct Cache {
    kept: QuickCache<TileCoord, Arc<[u8]>, Bytes>,
    bytes_max: usize,
}

/// Weighs a tile by its bytes.
#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<TileCoord, Arc<[u8]>> for Bytes {
    fn weight(&self, _: &TileCoord, tile: &Arc<[u8]>) -> u64 {
        u64::try_from(tile.len()).unwrap_or(u64::MAX)
    }
}

/// Parts that are locked apart. Each holds hundreds of tiles, or the parts would be told apart by what they keep.
const PARTS: usize = 8;

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self::in_parts(bytes_max, PARTS)
    }

    /// For what is large: a part would be smaller than a bundle of large entries (16 MiB), and would keep none.
    pub(super) fn undivided(bytes_max: usize) -> Self {
        Self::in_parts(bytes_max, 1)
    }

    fn in_parts(bytes_max: usize, parts: usize) -> Self {
        let options = OptionsBuilder::new()
            .shards(parts)
            .estimated_items_capacity(bytes_max.div_ceil(TILE_BYTES_MAX).max(1))
            .weight_capacity(u64::try_from(bytes_max).unwrap_or(u64::MAX))
            .build()
            .expect("both capacities are said");
        let kept = QuickCache::with_options(
            options,
            Bytes,
            quick_cache::DefaultHashBuilder::default(),
            quick_cache::sync::DefaultLifecycle::default(),
        );
        Self { kept, bytes_max }
    }

    pub(super) fn get(&self, tile: TileCoord) -> Option<Arc<[u8]>> {
        self.kept.get(&tile)
    }

    pub(super) fn insert(&self, tile: TileCoord, bytes: &Arc<[u8]>) {
        if bytes.len() <= self.bytes_max {
            self.kept.insert(tile, Arc::clone(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(level: u8, index: u64) -> TileCoord {
        TileCoord::new(level, index, 256).unwrap()
    }

    fn bytes() -> Arc<[u8]> {
        Arc::from([0_u8; 4])
    }

    #[test]
    fn a_bundle_of_the_largest_entries_is_kept() {
        let cache = Cache::undivided(64 << 20);
        let bundle: Arc<[u8]> = Arc::from(vec![0_u8; 256 * (2 + 65_535)]);
        for index in 0..3 {
            cache.insert(tile(0, index), &bundle);
            assert!(cache.get(tile(0, index)).is_some(), "{index}");
        }
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let cache = Cache::in_parts(40, 1);
        for index in 0..1_000 {
            cache.insert(tile(0, index), &bytes());
        }
        let kept = (0..1_000).filter(|index| cache.get(tile(0, *index)).is_some()).count();
        assert!((1..=10).contains(&kept), "{kept} of 10");
    }

    #[test]
    fn what_is_asked_for_again_survives_what_is_asked_for_once() {
        let cache = Cache::in_parts(400, 1);
        cache.insert(tile(1, 0), &bytes());
        for index in 0..10_000 {
            assert!(cache.get(tile(1, 0)).is_some(), "after {index} others");
            cache.insert(tile(0, index), &bytes());
        }
    }

    #[test]
    fn what_is_larger_than_the_cache_is_not_kept() {
        let cache = Cache::in_parts(3, 1);
        cache.insert(tile(0, 0), &bytes());
        assert_eq!(cache.get(tile(0, 0)), None);
    }

    #[test]
    fn the_same_tile_counts_once() {
        let cache = Cache::in_parts(8, 1);
        for index in [0, 0, 0, 1] {
            cache.insert(tile(0, index), &bytes());
        }
        assert!(cache.get(tile(0, 0)).is_some());
    }
}
