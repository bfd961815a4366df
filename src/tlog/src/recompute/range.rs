//! One range: its bundles against their tiles, and those against the tile of level 1.

use alloc::vec::Vec;

use super::{Difference, Disagreement, LeafRange, RecomputeError, check_length, hashes, tile_root};
use crate::hash::{HASH_BYTES, Hash};
use crate::size::TreeSize;
use crate::tile::{TILE_WIDTH, TileCoord};

/// A range in the making: takes its bundles in order, and then the tile of level 1.
#[derive(Clone, Debug)]
pub struct RangeCheck {
    range: LeafRange,
    /// Of the full bundles, in order.
    rows: Vec<Row>,
    tail: Option<Tail>,
    /// Sizes within the range whose roots are asked for, first to last.
    stops: Vec<TreeSize>,
    cuts: Vec<Cut>,
}

/// A full bundle and the tile of its place.
#[derive(Clone, Copy, Debug)]
struct Row {
    bundle: TileCoord,
    /// What the entries make.
    made: Option<Hash>,
    /// What the stored tile makes.
    stored: Option<Hash>,
    difference: Option<Difference>,
}

/// The last bundle of the tree, if it is not full.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub bundle: TileCoord,
    /// The hashes that the entries make.
    pub made: Option<Vec<u8>>,
    /// Those of the stored tile, if they are others.
    pub stored: Option<Vec<u8>>,
    pub difference: Option<Difference>,
}

/// The leaf hashes of a bundle up to a size whose root is asked for.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub size: TreeSize,
    /// None if the entries are not there.
    pub leaves: Option<Vec<u8>>,
}

/// What a range comes to: the part of it that a [`Fold`](super::Fold) needs.
#[derive(Clone, Debug)]
pub struct RangeHashes {
    pub(super) range: LeafRange,
    /// The hash over a full range that its entries make.
    pub(super) made: Option<Hash>,
    /// The same, with the stored tile of level 0 in the place of a bundle that is not there: for comparisons only.
    pub(super) below: Option<Hash>,
    /// The hash over a full range that the stored tile of level 1 makes.
    pub(super) stored: Option<Hash>,
    /// The hashes over the full bundles, where the range is not full or a root within it is asked for.
    pub(super) bundles: Vec<Option<Hash>>,
    pub(super) tail: Option<Tail>,
    pub(super) cuts: Vec<Cut>,
}

impl RangeHashes {
    /// The range.
    #[must_use]
    pub const fn range(&self) -> LeafRange {
        self.range
    }
}

impl RangeCheck {
    /// Begins a range. `roots_at` are sizes whose roots are asked for, in any order; those outside the range are
    /// passed over.
    #[must_use]
    pub fn new(range: LeafRange, roots_at: &[TreeSize]) -> Self {
        let (first, end) = (range.first_leaf(), range.first_leaf().saturating_add(range.leaves()));
        let mut stops: Vec<TreeSize> =
            roots_at.iter().copied().filter(|size| first < size.get() && size.get() <= end).collect();
        stops.sort_unstable();
        stops.dedup();
        let rows = Vec::with_capacity(usize::from(TILE_WIDTH));
        Self { range, rows, tail: None, stops, cuts: Vec::new() }
    }

    /// Takes the next bundle as [`leaf_hashes`](super::leaf_hashes) of it, and the stored tile of level 0 of its place;
    /// `None` for what is not there or not one.
    pub fn push(&mut self, made: Option<&[u8]>, stored: Option<&[u8]>) -> Result<(), RecomputeError> {
        let pushed = self.rows.len().saturating_add(usize::from(self.tail.is_some()));
        let bundle = self.range.bundles().nth(pushed).ok_or(RecomputeError::NoMoreBundles)?;
        for row in [made, stored].into_iter().flatten() {
            check_length(bundle, row)?;
        }
        self.cut(bundle, made);
        let difference = made.zip(stored).and_then(|(made, stored)| Difference::between(made, stored));
        if bundle.is_full() {
            let made = made.map(tile_root).transpose()?;
            // Hashed again only where it is not the same row.
            let same = made.filter(|_| stored.is_some() && difference.is_none());
            let stored = if same.is_some() { same } else { stored.map(tile_root).transpose()? };
            self.rows.push(Row { bundle, made, stored, difference });
        } else {
            let stored = stored.filter(|_| made.is_none() || difference.is_some()).map(<[u8]>::to_vec);
            self.tail = Some(Tail { bundle, made: made.map(<[u8]>::to_vec), stored, difference });
        }
        Ok(())
    }

    /// Ends the range with the stored tile of level 1 ([`LeafRange::tile_above`]), and calls `found` with everything that
    /// disagrees but in the tree's last bundle, of which only the root can say what is right.
    pub fn finish(
        self,
        above: Option<&[u8]>,
        found: &mut impl FnMut(Disagreement),
    ) -> Result<RangeHashes, RecomputeError> {
        let (expected, pushed) =
            (self.range.bundles().count(), self.rows.len().saturating_add(usize::from(self.tail.is_some())));
        if expected != pushed {
            return Err(RecomputeError::BundleCount { expected, found: pushed });
        }
        let coord = self.range.tile_above();
        let above = above.filter(|_| coord.is_some());
        if let (Some(tile), Some(row)) = (coord, above) {
            check_length(tile, row)?;
        }
        self.compare(above, found);
        if let (Some(tile), Some(row)) = (coord, above)
            && let Some(at) = self.strangers(row)
        {
            found(Disagreement::Tile { tile, at });
        }
        self.hashes(above)
    }

    /// Names what differs at level 0.
    fn compare(&self, above: Option<&[u8]>, found: &mut impl FnMut(Disagreement)) {
        let mut parents = above.map(hashes).unwrap_or_default().iter().copied().map(Hash);
        for Row { bundle, made, stored, difference } in self.rows.iter().copied() {
            let parent = parents.next();
            let Some(at) = difference else { continue };
            found(if parent.is_some() && parent == made {
                Disagreement::Tile { tile: bundle, at }
            } else if parent.is_some() && parent == stored {
                Disagreement::Bundle { bundle, at }
            } else {
                Disagreement::BundleOrTile { place: bundle, at }
            });
        }
    }

    /// The hashes of the tile of level 1 that come from nothing below it.
    fn strangers(&self, above: &[u8]) -> Option<Difference> {
        let pairs = hashes(above).iter().copied().map(Hash).zip(&self.rows).zip(0_u16..);
        Difference::of(pairs.filter(|((parent, row), _)| is_stranger(*parent, row.made, row.stored)).map(|(_, at)| at))
    }

    fn hashes(self, above: Option<&[u8]>) -> Result<RangeHashes, RecomputeError> {
        let bundles: Vec<Option<Hash>> = self.rows.iter().map(|row| row.made).collect();
        let (mut made, mut below, mut stored) = (None, None, None);
        if self.range.is_full() {
            made = root_of(&bundles)?;
            below = made;
            if below.is_none() {
                let patched: Vec<Option<Hash>> = self.rows.iter().map(|row| row.made.or(row.stored)).collect();
                below = root_of(&patched)?;
            }
            stored = match above {
                // Hashed again only where it is not the same row.
                Some(row) if !is_row_of(row, &bundles) => Some(tile_root(row)?),
                Some(_) => made,
                None => None,
            };
        }
        let end = self.range.first_leaf().saturating_add(self.range.leaves());
        let needed = !self.range.is_full() || self.cuts.iter().any(|cut| cut.size.get() < end);
        let bundles = if needed { bundles } else { Vec::new() };
        Ok(RangeHashes { range: self.range, made, below, stored, bundles, tail: self.tail, cuts: self.cuts })
    }

    /// Keeps the leaves of a bundle that a root is asked for within.
    fn cut(&mut self, bundle: TileCoord, made: Option<&[u8]>) {
        let first = bundle.index().saturating_mul(u64::from(TILE_WIDTH));
        let end = first.saturating_add(u64::from(bundle.width()));
        for size in self.stops.iter().copied().filter(|size| first < size.get() && size.get() <= end) {
            let leaves = usize::try_from(size.get().saturating_sub(first)).unwrap_or(usize::MAX);
            // The end of a full bundle needs none of them: the bundle is folded as a whole.
            let leaves = if size.get() == end && bundle.is_full() { 0 } else { leaves };
            let leaves = made.and_then(|made| made.get(..leaves.saturating_mul(HASH_BYTES))).map(<[u8]>::to_vec);
            self.cuts.push(Cut { size, leaves });
        }
    }
}

/// Whether a tile's hash comes from nothing below it; not if nothing is known of what is below.
pub(super) fn is_stranger(parent: Hash, made: Option<Hash>, stored: Option<Hash>) -> bool {
    (made.is_some() || stored.is_some()) && made != Some(parent) && stored != Some(parent)
}

/// The hash over 256 hashes; `None` if one is not there.
pub(super) fn root_of(row: &[Option<Hash>]) -> Result<Option<Hash>, RecomputeError> {
    let mut bytes = Vec::with_capacity(row.len().saturating_mul(HASH_BYTES));
    for hash in row {
        let Some(hash) = hash else { return Ok(None) };
        bytes.extend_from_slice(hash.as_bytes());
    }
    Ok(Some(tile_root(&bytes)?))
}

fn is_row_of(bytes: &[u8], row: &[Option<Hash>]) -> bool {
    hashes(bytes).iter().copied().map(|hash| Some(Hash(hash))).eq(row.iter().copied())
}
