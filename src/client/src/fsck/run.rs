//! The run: ranges handed to jobs, results folded in order.
//!
//! At most a few ranges are handed out beyond the one that is folded next, so that a slow one cannot make the others pile
//! up.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use countermark_bundle::ExitClass;
use countermark_tlog::checkpoint::Checkpoint;
use countermark_tlog::recompute::{Fold, LeafRange, Recomputed};
use countermark_tlog::size::TreeSize;
use countermark_tlog::tile::TileCoord;
use tokio::runtime::Handle;

use super::findings::{Finding, Findings, Rule};
use super::job::{Counts, Done, Failing, Job, Shared};
use super::shelf::Shelf;
use super::{FsckError, FsckProgress, FsckSource};
use crate::fetch::{FetchError, Patience};

/// Ranges in a row without a single entry bundle, after which a run ends: 131,072 entries.
pub const EMPTY_RANGES_MAX: u64 = 2;

/// What to do.
pub(super) struct Plan {
    pub source: FsckSource,
    pub head: Checkpoint,
    pub roots_at: Vec<TreeSize>,
    pub jobs: usize,
    pub patience: Patience,
    pub progress: Arc<FsckProgress>,
    pub stop: Arc<AtomicBool>,
    pub runtime: Handle,
}

/// What came of it.
pub(super) struct Ran {
    /// None if the run ended before the tree did.
    pub recomputed: Option<Recomputed>,
    pub findings: Findings,
    pub counts: Counts,
}

/// What a job says of a range: that it came to something, failed, or panicked.
type Said = Result<Result<Done, FsckError>, Box<dyn Any + Send>>;

/// Runs to the end, on this thread and as many more as there are jobs; none of them of the runtime.
pub(super) fn run(plan: &Plan) -> Result<Ran, FsckError> {
    let shared = Shared {
        shelf: Shelf::new(&plan.source, plan.patience, &plan.runtime),
        roots_at: &plan.roots_at,
        progress: &plan.progress,
        stop: &plan.stop,
        failing: Failing::default(),
    };
    // Never more than are handed out, so nobody waits to say something.
    let (say, said) = channel();
    let ahead_max = plan.jobs.saturating_mul(2);
    let (hand_out, ranges) = sync_channel(ahead_max);
    let ranges = Mutex::new(ranges);
    thread::scope(|scope| {
        for _ in 0..plan.jobs {
            let (say, shared, ranges) = (say.clone(), &shared, &ranges);
            scope.spawn(move || work(shared, ranges, &say));
        }
        drop(say);
        let outcome = catch_unwind(AssertUnwindSafe(|| lead(plan, &shared, &hand_out, &said, ahead_max)));
        // However it ended: jobs that still work end at their next bundle, the others with the channel.
        plan.stop.store(true, Ordering::Relaxed);
        drop(hand_out);
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// A job's thread.
fn work(shared: &Shared<'_>, ranges: &Mutex<Receiver<LeafRange>>, say: &Sender<Said>) {
    let mut job = Job::new(shared);
    loop {
        let range = ranges.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(range) = range else { return };
        let done = catch_unwind(AssertUnwindSafe(|| job.check(range)));
        let last = !matches!(done, Ok(Ok(_)));
        if say.send(done).is_err() || last {
            return;
        }
    }
}

fn lead(
    plan: &Plan,
    shared: &Shared<'_>,
    hand_out: &SyncSender<LeafRange>,
    said: &Receiver<Said>,
    ahead_max: usize,
) -> Result<Ran, FsckError> {
    let size = plan.head.size;
    let mut tree = Tree::new(shared, size);
    let (mut next, mut asked, mut waiting, mut empty) = (0_u64, 0_u64, BTreeMap::new(), 0_u64);
    while next < LeafRange::count(size) {
        let ahead = u64::try_from(ahead_max).unwrap_or(u64::MAX);
        while asked < next.saturating_add(ahead)
            && let Some(range) = LeafRange::new(asked, size)
        {
            hand_out.send(range).map_err(|_| FsckError::Stopped(FetchError::Stopped))?;
            asked += 1;
        }
        let done = said.recv().map_err(|_| FsckError::Stopped(FetchError::Stopped))?;
        let done = done.unwrap_or_else(|panic| resume_unwind(panic))?;
        waiting.insert(done.hashes.range().index(), done);
        while let Some(done) = waiting.remove(&next) {
            next += 1;
            empty = if done.counts.bundles == 0 { empty + 1 } else { 0 };
            tree.push(done)?;
            if empty == EMPTY_RANGES_MAX && next < LeafRange::count(size) {
                return Ok(tree.abandon(next, &plan.head));
            }
        }
    }
    tree.finish(&plan.head)
}

/// The fold of all ranges, and the tiles that only it reads.
struct Tree<'a> {
    fold: Fold,
    /// Reads the tiles of level 2 and above: one for every 16 million entries.
    reader: RefCell<Job<'a>>,
    failed: RefCell<Option<FsckError>>,
    findings: RefCell<Findings>,
    counts: Cell<Counts>,
}

impl<'a> Tree<'a> {
    fn new(shared: &'a Shared<'a>, size: TreeSize) -> Self {
        Self {
            fold: Fold::new(size),
            reader: RefCell::new(Job::new(shared)),
            failed: RefCell::default(),
            findings: RefCell::default(),
            counts: Cell::default(),
        }
    }

    /// A stored tile; findings of the reading come before those about the tile.
    fn stored(&self, tile: TileCoord) -> Option<Vec<u8>> {
        let read = self.reader.borrow_mut().tile(tile);
        let (findings, counts) = self.reader.borrow_mut().take();
        self.add(findings, counts);
        read.unwrap_or_else(|error| {
            *self.failed.borrow_mut() = Some(error);
            None
        })
    }

    fn add(&self, findings: Findings, counts: Counts) {
        self.findings.borrow_mut().append(findings);
        self.counts.set(self.counts.get().plus(counts));
    }

    fn push(&mut self, done: Done) -> Result<(), FsckError> {
        let Done { hashes, findings, counts } = done;
        self.add(findings, counts);
        let mut fold = std::mem::replace(&mut self.fold, Fold::new(TreeSize::ZERO));
        let pushed = fold.push(hashes, &mut |tile| self.stored(tile), &mut |found| {
            self.findings.borrow_mut().disagreement(found);
        });
        self.fold = fold;
        self.failed.take().map_or(Ok(()), Err)?;
        Ok(pushed?)
    }

    fn finish(mut self, head: &Checkpoint) -> Result<Ran, FsckError> {
        let fold = std::mem::replace(&mut self.fold, Fold::new(TreeSize::ZERO));
        let recomputed = fold.finish(head.root, &mut |tile| self.stored(tile), &mut |found| {
            self.findings.borrow_mut().disagreement(found);
        });
        self.failed.take().map_or(Ok(()), Err)?;
        Ok(Ran { recomputed: Some(recomputed?), findings: self.findings.into_inner(), counts: self.counts.get() })
    }

    /// Ends before the tree does.
    fn abandon(self, next: u64, head: &Checkpoint) -> Ran {
        let mut findings = self.findings.into_inner();
        let first_entry = LeafRange::new(next, head.size).map_or(head.size.get(), LeafRange::first_leaf);
        let last_entry = head.size.get().saturating_sub(1);
        findings.add(Finding {
            rule: Rule::EndedEarly,
            class: ExitClass::NotChecked,
            path: "checkpoint".to_string(),
            first_entry,
            last_entry,
            detail: format!(
                "no entry bundle was there for so long that entries from {first_entry} on were not looked at"
            ),
        });
        Ran { recomputed: None, findings, counts: self.counts.get() }
    }
}
