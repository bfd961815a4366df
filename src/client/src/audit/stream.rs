//! A log's entry bundles in order, some of them fetched ahead.

use std::collections::BTreeMap;
use std::sync::Arc;

use countermark_tlog::size::TreeSize;
use countermark_tlog::tile::{TILE_WIDTH, TileCoord};
use tokio::task::JoinSet;

use crate::fetch::{EntryBundle, FetchError, MalformedAnswer, Place, TileSource, fetch_bundle, resumed};

/// The most entry bundles under way or waiting: of ordinary entries 2 MiB, of the longest ones 128 MiB.
pub const PREFETCH_MAX: usize = 8;

/// The entry bundles of a tree, first to last.
pub(super) struct BundleStream {
    source: Arc<dyn TileSource>,
    size: u64,
    /// The bundle to hand out next, and the one to ask for next.
    next: u64,
    ask: u64,
    under_way: JoinSet<Result<EntryBundle, FetchError>>,
    waiting: BTreeMap<u64, EntryBundle>,
}

impl BundleStream {
    pub fn new(source: Arc<dyn TileSource>, size: TreeSize) -> Self {
        let (under_way, waiting) = (JoinSet::new(), BTreeMap::new());
        Self { source, size: size.get(), next: 0, ask: 0, under_way, waiting }
    }

    /// The next bundle; `None` after the last. The first failure ends the stream and whatever is under way.
    pub async fn next(&mut self) -> Result<Option<EntryBundle>, FetchError> {
        loop {
            self.ask_ahead()?;
            if let Some(bundle) = self.waiting.remove(&self.next) {
                self.next = self.next.saturating_add(1);
                self.ask_ahead()?;
                return Ok(Some(bundle));
            }
            match self.under_way.join_next().await {
                None => return Ok(None),
                Some(done) => {
                    let bundle = resumed(done)??;
                    self.waiting.insert(bundle.coord().index(), bundle);
                }
            }
        }
    }

    fn ask_ahead(&mut self) -> Result<(), FetchError> {
        while self.under_way.len().saturating_add(self.waiting.len()) < PREFETCH_MAX {
            let Some(coord) = bundle_of(self.ask, self.size)? else { return Ok(()) };
            let source = Arc::clone(&self.source);
            self.under_way.spawn(async move { fetch_bundle(&*source, coord).await });
            self.ask = self.ask.saturating_add(1);
        }
        Ok(())
    }
}

/// The bundle at an index of a tree of this size; `None` beyond the last.
fn bundle_of(index: u64, size: u64) -> Result<Option<TileCoord>, FetchError> {
    let width = u64::from(TILE_WIDTH);
    let left = index.checked_mul(width).and_then(|first| size.checked_sub(first)).filter(|left| *left > 0);
    let Some(left) = left else { return Ok(None) };
    let width = u16::try_from(left.min(width)).unwrap_or(TILE_WIDTH);
    // A size from outside: the last index that a path can name is far beyond any log.
    let coord = TileCoord::new(0, index, width);
    coord.map(Some).map_err(|_| FetchError::Malformed {
        place: Place::new("the checkpoint"),
        source: MalformedAnswer::OtherQuestion { field: "size" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_cover_the_tree_and_the_last_one_is_as_wide_as_what_is_left() {
        let widths = |size: u64| -> Vec<u16> {
            (0..).map_while(|index| bundle_of(index, size).unwrap()).map(TileCoord::width).collect()
        };
        assert!(widths(0).is_empty());
        assert_eq!(widths(1), [1]);
        assert_eq!(widths(256), [256]);
        assert_eq!(widths(257), [256, 1]);
        assert_eq!(widths(512), [256, 256]);
        assert_eq!(bundle_of(u64::MAX, u64::MAX >> 1).unwrap(), None);
    }
}
