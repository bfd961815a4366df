//! One job: reads a range, hashes its entries, compares its tiles.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use countermark_tlog::recompute::{LeafRange, RangeCheck, RangeHashes, leaf_hashes};
use countermark_tlog::size::TreeSize;
use countermark_tlog::tile::{TILE_BYTES_MAX, TileCoord, TilePath};

use super::findings::Findings;
use super::shelf::{Row, Shelf};
use super::{FAILURES_IN_A_ROW_MAX, FsckError, FsckProgress};
use crate::fetch::{Buffer, FetchError};

/// What the jobs of a run share.
pub(super) struct Shared<'a> {
    pub shelf: Shelf,
    pub roots_at: &'a [TreeSize],
    pub progress: &'a FsckProgress,
    pub stop: &'a AtomicBool,
    pub failing: Failing,
}

/// Reads that failed since the last that did not, over all jobs.
#[derive(Default)]
pub(super) struct Failing {
    in_a_row: AtomicU64,
}

/// What a range came to.
pub(super) struct Done {
    pub hashes: RangeHashes,
    pub findings: Findings,
    pub counts: Counts,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Entries that were hashed, and their bytes.
    pub entries: u64,
    pub entry_bytes: u64,
    /// Bundles and tiles that were there and of the right form.
    pub bundles: u64,
    pub tiles: u64,
}

impl Counts {
    pub fn plus(self, other: Self) -> Self {
        Self {
            entries: self.entries + other.entries,
            entry_bytes: self.entry_bytes + other.entry_bytes,
            bundles: self.bundles + other.bundles,
            tiles: self.tiles + other.tiles,
        }
    }
}

/// A job with memory that it uses again for every range.
pub(super) struct Job<'a> {
    shared: &'a Shared<'a>,
    bundle: Buffer,
    tile: Buffer,
    made: Vec<u8>,
    findings: Findings,
    counts: Counts,
}

impl<'a> Job<'a> {
    pub fn new(shared: &'a Shared<'a>) -> Self {
        Self {
            shared,
            bundle: Buffer::default(),
            tile: Buffer::default(),
            made: Vec::with_capacity(TILE_BYTES_MAX),
            findings: Findings::default(),
            counts: Counts::default(),
        }
    }

    /// Checks a range.
    pub fn check(&mut self, range: LeafRange) -> Result<Done, FsckError> {
        let bundles = range.bundles().flat_map(|bundle| [TilePath::Entries(bundle), TilePath::Hashes(bundle)]);
        let wanted: VecDeque<TilePath> = bundles.chain(range.tile_above().map(TilePath::Hashes)).collect();
        let mut row = self.shared.shelf.row(wanted);
        let mut check = RangeCheck::new(range, self.shared.roots_at);
        for bundle in range.bundles() {
            if self.shared.stop.load(Ordering::Relaxed) {
                return Err(FsckError::Stopped(FetchError::Stopped));
            }
            let made = self.hash_bundle(&mut row, bundle)?;
            let stored = self.read_tile(&mut row, bundle)?;
            let made = if made { self.made.get(..bundle.byte_count()) } else { None };
            let stored = if stored { self.tile.bytes().get(..bundle.byte_count()) } else { None };
            check.push(made, stored)?;
            self.shared.progress.add(bundle.width().into());
        }
        let mut above = None;
        if let Some(tile) = range.tile_above()
            && self.read_tile(&mut row, tile)?
        {
            above = self.tile.bytes().get(..tile.byte_count());
        }
        let mut findings = std::mem::take(&mut self.findings);
        let hashes = check.finish(above, &mut |disagreement| findings.disagreement(disagreement))?;
        findings.sort();
        Ok(Done { hashes, findings, counts: std::mem::take(&mut self.counts) })
    }

    /// Reads one tile by itself.
    pub fn tile(&mut self, tile: TileCoord) -> Result<Option<Vec<u8>>, FsckError> {
        let mut row = self.shared.shelf.row(VecDeque::from([TilePath::Hashes(tile)]));
        let there = self.read_tile(&mut row, tile)?;
        Ok(self.tile.bytes().get(..tile.byte_count()).filter(|_| there).map(<[u8]>::to_vec))
    }

    /// What [`Self::tile`] found and counted since it was asked last.
    pub fn take(&mut self) -> (Findings, Counts) {
        (std::mem::take(&mut self.findings), std::mem::take(&mut self.counts))
    }

    /// Reads the next bundle and hashes its entries into `made`; false if it is not there or none.
    fn hash_bundle(&mut self, row: &mut Row<'_>, wanted: TileCoord) -> Result<bool, FsckError> {
        let read = match row.next(&mut self.bundle) {
            Ok(read) => read,
            Err(error) => return self.unread(TilePath::Entries(wanted), error),
        };
        self.shared.failing.heal();
        let bytes = self.bundle.bytes();
        if let Err(error) = leaf_hashes(bytes, read.width(), &mut self.made) {
            self.findings.malformed_bundle(read, error);
            return Ok(false);
        }
        let lengths = usize::from(read.width()).saturating_mul(2);
        self.counts.entries += u64::from(wanted.width());
        self.counts.entry_bytes += u64::try_from(bytes.len().saturating_sub(lengths)).unwrap_or(u64::MAX);
        self.counts.bundles += 1;
        Ok(true)
    }

    /// Reads the next tile; false if it is not there or none.
    fn read_tile(&mut self, row: &mut Row<'_>, wanted: TileCoord) -> Result<bool, FsckError> {
        let read = match row.next(&mut self.tile) {
            Ok(read) => read,
            Err(error) => return self.unread(TilePath::Hashes(wanted), error),
        };
        self.shared.failing.heal();
        let found = self.tile.bytes().len();
        if found != read.byte_count() {
            self.findings.malformed_tile(read, found);
            return Ok(false);
        }
        self.counts.tiles += 1;
        Ok(true)
    }

    fn unread(&mut self, what: TilePath, error: FetchError) -> Result<bool, FsckError> {
        if let FetchError::Stopped = error {
            return Err(FsckError::Stopped(error));
        }
        self.findings.unread(what, &error);
        // What is not there was said by somebody who answers.
        if error.is_not_found() {
            self.shared.failing.heal();
        } else {
            self.shared.failing.fail(error)?;
        }
        Ok(false)
    }
}

impl Failing {
    fn heal(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
    }

    fn fail(&self, error: FetchError) -> Result<(), FsckError> {
        let so_many = self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        if so_many < FAILURES_IN_A_ROW_MAX {
            return Ok(());
        }
        Err(FsckError::Failing(error))
    }
}
