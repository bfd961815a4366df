//! The scrubber: recomputes a log that is being served from its stored entries, slowly, again and again.
//!
//! A disk that rots answers as if nothing were wrong until somebody asks for a proof. The scrubber reads every entry and
//! every tile from the store itself, past the caches that readers are served from, recomputes all of it with the code of
//! `fsck` ([`countermark_tlog::recompute`]), and compares the root with the one that was signed. It repairs nothing and
//! stops nothing: what it finds is an alarm, a metric and a number in the status.
//!
//! Its pace is bounded in entries per second, so that it is never in the way; its memory by one range of 65,536 entries' hashes
//! and 8 KiB for each 16 million entries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use countermark_tlog::checkpoint::Origin;
use countermark_tlog::entry_bundle::{self, EntryBundleError};
use countermark_tlog::recompute::{Disagreement, Fold, LeafRange, RangeCheck, RecomputeError, leaf_hashes};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::{TILE_HEIGHT, TILE_WIDTH, TileCoord};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{Instrument as _, debug, error, info_span, warn};

use crate::metrics;
use crate::ports::{PortFault, StoreReader};
use crate::published::{Committed, stopped};
use crate::sequencer::NamespaceHandle;

/// The levels of tiles that a tree of the largest size has.
const TILE_LEVELS: u8 = 8;
/// The wait after a round that could not be finished.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// The wait after a round, so that a small log is not read all the time.
const PAUSE: Duration = Duration::from_mins(10);

/// What a scrubber has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Scrubbed {
    /// Whole rounds.
    pub(crate) rounds: u64,
    /// The size that the last whole round covered.
    pub(crate) size: Option<TreeSize>,
    /// Places that were found wrong, in all rounds.
    pub(crate) findings: u64,
}

/// Why a round was not finished.
#[derive(Debug, Error)]
enum RoundError {
    #[error(transparent)]
    Port(#[from] PortFault),
    #[error(transparent)]
    Recompute(#[from] RecomputeError),
    #[error("stored entries make no bundle: {0}")]
    Bundle(#[from] EntryBundleError),
}

/// The scrubber of one log.
struct Scrubber {
    origin: Origin,
    reader: Arc<dyn StoreReader>,
    committed: watch::Receiver<Arc<Committed>>,
    seen: watch::Sender<Scrubbed>,
    /// At least 1.
    entries_per_second: u32,
    stop: watch::Receiver<bool>,
}

/// A scrubber at work.
pub(crate) struct Scrubbing {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    pub(crate) seen: watch::Receiver<Scrubbed>,
}

impl Scrubbing {
    /// Begins to read a log that is being served, at most so many entries a second, at least one.
    pub(crate) fn begin(handle: &NamespaceHandle, entries_per_second: u32) -> Self {
        let (stop, stopping) = watch::channel(false);
        let (seen_sender, seen) = watch::channel(Scrubbed::default());
        let scrubber = Scrubber {
            origin: handle.origin().clone(),
            reader: handle.store(),
            committed: handle.watch_committed(),
            seen: seen_sender,
            entries_per_second: entries_per_second.max(1),
            stop: stopping,
        };
        let span = info_span!("scrubber", origin = %handle.origin());
        let task = tokio::spawn(scrubber.run().instrument(span));
        Self { stop, task, seen }
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        // An error means that the task has ended already.
        let _ = self.stop.send(true);
        if self.task.await.is_err() {
            error!("a scrubber panicked");
        }
        let Scrubbed { rounds, findings, .. } = *self.seen.borrow();
        debug!(rounds, findings, "the scrubber has stopped");
    }
}

impl Scrubber {
    /// Reads the log round after round until it is stopped.
    async fn run(self) {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            () = stopped(&mut stop) => {}
            () = self.rounds() => {}
        }
    }

    async fn rounds(&self) {
        loop {
            let head = Arc::clone(&self.committed.borrow());
            let wait = match self.round(&head).await {
                Ok(findings) => {
                    self.seen.send_modify(|seen| {
                        *seen = Scrubbed {
                            rounds: seen.rounds.saturating_add(1),
                            size: Some(head.head.size),
                            findings: seen.findings.saturating_add(findings),
                        };
                    });
                    metrics::scrubbed(&self.origin, head.head.size);
                    debug!(size = %head.head.size, findings, "the log was read through");
                    PAUSE
                }
                Err(failure) => {
                    warn!(%failure, "the log could not be read through; it is tried again");
                    RETRY_AFTER
                }
            };
            sleep(wait).await;
        }
    }

    /// Recomputes the tree of a head that was signed. Gives the number of findings.
    async fn round(&self, head: &Committed) -> Result<u64, RoundError> {
        let size = head.head.size;
        let mut findings = 0_u64;
        let upper = self.upper_tiles(size).await?;
        let mut stored = |tile: TileCoord| upper.get(&tile).cloned().flatten();
        let mut found = |what: Disagreement| {
            findings = findings.saturating_add(1);
            self.alarm(what);
        };
        let mut fold = Fold::new(size);
        let mut due = Instant::now();
        for index in 0..LeafRange::count(size) {
            let Some(range) = LeafRange::new(index, size) else { break };
            let mut check = RangeCheck::new(range, &[]);
            let mut made = Vec::new();
            for bundle in range.bundles() {
                // One bundle for each tick of the pace.
                sleep_until(due).await;
                due = due.max(Instant::now()) + self.time_of(bundle);
                let made = self.recompute(bundle, &mut made).await?;
                let stored = self.stored_tile(bundle).await?;
                check.push(made, stored.as_deref())?;
            }
            let above = match range.tile_above() {
                Some(tile) => self.stored_tile(tile).await?,
                None => None,
            };
            fold.push(check.finish(above.as_deref(), &mut found)?, &mut stored, &mut found)?;
        }
        let recomputed = fold.finish(head.head.root, &mut stored, &mut found)?;
        if recomputed.root != Some(head.head.root) {
            findings = findings.saturating_add(1);
            metrics::scrub_finding(&self.origin);
            let (signed, made) = (head.head.root.0.to_base64(), recomputed.root.map(|root| root.0.to_base64()));
            error!(%size, signed, ?made, "the stored entries do not make the root that was signed");
        }
        Ok(findings)
    }

    /// How long the pace gives a bundle.
    fn time_of(&self, bundle: TileCoord) -> Duration {
        Duration::from_secs(u64::from(bundle.width())) / self.entries_per_second
    }

    /// The leaf hashes of the stored entries of a bundle; `None` where there are fewer than there should be.
    async fn recompute<'m>(&self, bundle: TileCoord, made: &'m mut Vec<u8>) -> Result<Option<&'m [u8]>, RoundError> {
        let first = bundle.index().checked_mul(u64::from(TILE_WIDTH)).and_then(LeafIndex::new);
        let Some(first) = first else { return Ok(None) };
        let entries = self.reader.entries(&self.origin, first, usize::from(bundle.width())).await?;
        if entries.len() != usize::from(bundle.width()) {
            return Ok(None);
        }
        let bytes = entry_bundle::encode(entries.iter().map(Vec::as_slice))?;
        leaf_hashes(&bytes, bundle.width(), made)?;
        Ok(Some(made))
    }

    /// A tile as a tree of the scrubbed size has it, from the full or partial one that is stored by now.
    async fn stored_tile(&self, tile: TileCoord) -> Result<Option<Vec<u8>>, RoundError> {
        // A partial tile may become full between the two questions: then the first one is asked again.
        for _ in 0..2 {
            if let Some(mut full) = self.reader.full_tile(&self.origin, tile.full()).await? {
                full.truncate(tile.byte_count());
                return Ok(Some(full));
            }
            let partial = self.reader.partial_tiles(&self.origin).await?;
            let wide = partial.into_iter().find(|(edge, _)| edge.full() == tile.full() && edge.width() >= tile.width());
            if let Some((_, mut bytes)) = wide {
                bytes.truncate(tile.byte_count());
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// The tiles over whole ranges: one for each 16 million entries, and those above.
    async fn upper_tiles(&self, size: TreeSize) -> Result<BTreeMap<TileCoord, Option<Vec<u8>>>, RoundError> {
        let mut tiles = BTreeMap::new();
        for level in 2..TILE_LEVELS {
            let hashes = size.get() >> (u32::from(level) * u32::from(TILE_HEIGHT));
            for index in 0..hashes.div_ceil(u64::from(TILE_WIDTH)) {
                let left = hashes - index * u64::from(TILE_WIDTH);
                let width = u16::try_from(left).map_or(TILE_WIDTH, |left| left.min(TILE_WIDTH));
                let Ok(tile) = TileCoord::new(level, index, width) else { continue };
                tiles.insert(tile, self.stored_tile(tile).await?);
            }
        }
        Ok(tiles)
    }

    fn alarm(&self, what: Disagreement) {
        metrics::scrub_finding(&self.origin);
        error!(?what, "the store holds something that the signed tree does not");
    }
}

#[cfg(test)]
mod tests;
