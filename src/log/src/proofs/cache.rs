//! Full tiles in memory, by place, up to a number of bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countermark_tlog::tile::TileCoord;

/// What never changes once it is full. The oldest goes first: a log's readers mostly want what is new.
#[derive(Debug)]
pub(super) struct Cache {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    tiles: HashMap<TileCoord, Arc<[u8]>>,
    order: VecDeque<TileCoord>,
    bytes: usize,
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, kept: Mutex::default() }
    }

    pub(super) fn get(&self, tile: TileCoord) -> Option<Arc<[u8]>> {
        self.kept().tiles.get(&tile).cloned()
    }

    pub(super) fn insert(&self, tile: TileCoord, bytes: &Arc<[u8]>) {
        let mut kept = self.kept();
        if bytes.len() > self.bytes_max || kept.tiles.insert(tile, Arc::clone(bytes)).is_some() {
            return;
        }
        kept.order.push_back(tile);
        kept.bytes += bytes.len();
        while kept.bytes > self.bytes_max {
            let Some(oldest) = kept.order.pop_front() else { break };
            if let Some(dropped) = kept.tiles.remove(&oldest) {
                kept.bytes -= dropped.len();
            }
        }
    }

    /// A panic while the lock was held leaves at worst a wrong byte count, never wrong bytes.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(index: u64) -> TileCoord {
        TileCoord::new(0, index, 256).unwrap()
    }

    #[test]
    fn the_oldest_tile_makes_room() {
        let cache = Cache::new(8);
        for index in 0..3 {
            cache.insert(tile(index), &Arc::from([0_u8; 4]));
        }
        let kept: Vec<bool> = (0..3).map(|index| cache.get(tile(index)).is_some()).collect();
        assert_eq!(kept, [false, true, true]);
    }

    #[test]
    fn what_is_larger_than_the_cache_is_not_kept() {
        let cache = Cache::new(3);
        cache.insert(tile(0), &Arc::from([0_u8; 4]));
        assert_eq!(cache.get(tile(0)), None);
    }

    #[test]
    fn the_same_tile_counts_once() {
        let cache = Cache::new(8);
        for index in [0, 0, 0, 1] {
            cache.insert(tile(index), &Arc::from([0_u8; 4]));
        }
        assert!(cache.get(tile(0)).is_some());
    }
}
