//! The tiles that were authenticated last.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use countermark_tlog::tile::TileCoord;

/// The most tiles kept: 2 MiB.
pub(super) const TILES_MAX: usize = 256;

/// Full tiles, at most [`TILES_MAX`]; the one that came first goes first.
#[derive(Default)]
pub(super) struct Cache {
    tiles: HashMap<TileCoord, Arc<[u8]>>,
    order: VecDeque<TileCoord>,
}

impl Cache {
    pub(super) fn get(&self, tile: TileCoord) -> Option<Arc<[u8]>> {
        self.tiles.get(&tile).cloned()
    }

    pub(super) fn insert(&mut self, tile: TileCoord, bytes: &Arc<[u8]>) {
        if self.tiles.insert(tile, Arc::clone(bytes)).is_some() {
            return;
        }
        self.order.push_back(tile);
        if self.order.len() > TILES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.tiles.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_keeps_the_tiles_that_came_last_and_no_more() {
        let (tile, bytes) = (|index: usize| TileCoord::new(0, index as u64, 256).unwrap(), Arc::from([0; 4]));
        let mut cache = Cache::default();
        for index in (0..=TILES_MAX).chain([TILES_MAX]) {
            cache.insert(tile(index), &bytes);
        }
        assert_eq!((cache.tiles.len(), cache.order.len()), (TILES_MAX, TILES_MAX));
        assert!(cache.get(tile(0)).is_none());
        assert!(cache.get(tile(1)).is_some() && cache.get(tile(TILES_MAX)).is_some());
    }
}
