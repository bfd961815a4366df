//! Following the log: from one verified head to the next, believing nothing that is not proved.
//!
//! Invariant: **every head that is kept has every head kept before as its beginning**, and everything that is read from
//! [`View::replay`] is included under the view's head.
//!
//! A log that contradicts itself is told from a web server that serves rubbish: only what two quorum-cosigned heads
//! themselves say stops the countersigner for good; everything else is an error, and is tried again.

use countermark_bundle::identity::Timestamp;
use countermark_bundle::link::ConsistencyLink;
use countermark_tlog::checkpoint::{Checkpoint, Origin};
use countermark_tlog::entry_bundle::{self, EntryBundleError};
use countermark_tlog::hash::RootHash;
use countermark_tlog::proof::{ConsistencyProof, roots_from_consistency};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::tile_of;
use countermark_tlog::tree::NodeCoord;
use thiserror::Error;

use crate::head::{HeadError, VerifiedHead};
use crate::ledger::{Decided, Fork, KeptHead, Sighting};
use crate::ports::{AdvanceError, Ledger, LedgerFault, LogReader, ReadError};
use crate::proofs::{self, ProofReadError, UntrustedPrefix, place_in_bundle};
use crate::replay::{BrokenRule, Replay};
use crate::stop::StopReason;

/// What is known of the log under its newest verified head.
#[derive(Debug, Clone)]
pub struct View {
    head: Option<VerifiedHead>,
    replay: Replay,
}

/// Why the view was not moved.
#[derive(Debug, Error)]
pub enum FollowError {
    /// The log was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Refused: its checkpoint is not believed.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// Its tiles were not read.
    #[error("no proof that the log only grew")]
    Prefix(#[from] ProofReadError),
    /// Its tiles are not those of the tree that its checkpoint commits to.
    #[error("the log's tiles do not lead to the root {expected} of its checkpoint of size {size}")]
    OtherTiles {
        /// The checkpoint's size.
        size: TreeSize,
        /// The checkpoint's root.
        expected: RootHash,
    },
    /// An entry bundle that is not one.
    #[error("an entry bundle of the log is malformed")]
    Bundle(#[from] EntryBundleError),
    /// Its entries are not those of the tree that its checkpoint commits to.
    #[error("the log's entries have the root {found}, its checkpoint of size {size} says {expected}")]
    OtherEntries {
        /// The checkpoint's size.
        size: TreeSize,
        /// The checkpoint's root.
        expected: RootHash,
        /// The root of the entries.
        found: RootHash,
    },
    /// The ledger was not read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerFault),
    /// The head was not kept.
    #[error(transparent)]
    Advance(#[from] AdvanceError),
    /// The log, or our own past, contradicts what was verified before: never go on.
    #[error(transparent)]
    Stop(#[from] StopReason),
}

/// The size and root that every later head must have as its beginning.
struct Anchor {
    size: TreeSize,
    root: RootHash,
    checkpoint: Vec<u8>,
}

impl View {
    /// Nothing of the log is known yet.
    #[must_use]
    pub const fn new(replay: Replay) -> Self {
        Self { head: None, replay }
    }

    /// The newest verified head; `None` before the first.
    #[must_use]
    pub const fn head(&self) -> Option<&VerifiedHead> {
        self.head.as_ref()
    }

    /// The log up to that head.
    #[must_use]
    pub const fn replay(&self) -> &Replay {
        &self.replay
    }

    /// Moves to the newest published head, if it is another one.
    pub async fn follow(
        &mut self,
        reader: &dyn LogReader,
        ledger: &dyn Ledger,
        floor: &Checkpoint,
        now: Timestamp,
    ) -> Result<(), FollowError> {
        // From the disk and not from memory, and before the log is asked: another process over this ledger may have
        // gone further, and must not make a rollback out of an answer that was on its way.
        let kept = ledger.head().await?;
        let note = reader.checkpoint().await?;
        if self.head.as_ref().is_some_and(|head| head.note() == note) {
            return Ok(());
        }
        let head = VerifiedHead::verify(&note, self.replay.state().authority())?;
        refuse_other_ledger(kept.as_ref(), &floor.origin)?;
        // The trust file does not change while we run: its floor needs to be reached once.
        let floor = self.head.is_none().then(|| Anchor::of_floor(floor));
        for anchor in floor.into_iter().chain(kept.as_ref().map(Anchor::of_kept)) {
            if let Some(fork) = anchor.contradiction(reader, &head, now).await? {
                // Durable before anything else happens: a restart must not forget it.
                ledger.keep_fork(&fork).await?;
                return Err(StopReason::Fork { verified: anchor.size, found: head.size() }.into());
            }
        }
        let replay = replay_to(&self.replay, &head, reader).await?;
        refuse_forgotten(&replay, self.replay.own_activations().len(), ledger).await?;
        // Head and sightings are one transaction. A crash before it: the same again from the head before. A crash
        // after it: the ledger is ahead of nobody's memory, and the replay starts over under the head kept here.
        let sightings = sightings(&replay, self.replay.size(), kept.as_ref());
        ledger.advance(&head.kept(kept.as_ref()), &sightings).await?;
        *self = Self { head: Some(head), replay };
        Ok(())
    }
}

impl Anchor {
    fn of_kept(kept: &KeptHead) -> Self {
        Self { size: kept.size, root: kept.root, checkpoint: kept.checkpoint.clone() }
    }

    /// The trust file's issuer verified this head; its signatures are not at hand.
    fn of_floor(floor: &Checkpoint) -> Self {
        Self { size: floor.size, root: floor.root, checkpoint: floor.text().into_bytes() }
    }

    /// Compares a verified head with this one; for a larger one the log's tiles must say what it has at this size.
    async fn contradiction(
        &self,
        reader: &dyn LogReader,
        head: &VerifiedHead,
        now: Timestamp,
    ) -> Result<Option<Fork>, FollowError> {
        if head.size() < self.size {
            return Err(StopReason::Rollback { verified: self.size, found: head.size() }.into());
        }
        let prefix = if head.size() == self.size || self.size == TreeSize::ZERO {
            // Between equal sizes the roots speak for themselves; every tree begins with the empty one.
            let root = if head.size() == self.size { head.root() } else { self.root };
            UntrustedPrefix { root, proof: ConsistencyProof::new(Vec::new()).expect("no hash is not too many") }
        } else {
            let prefix = proofs::prefix(reader, self.size, head.size()).await?;
            let roots = roots_from_consistency(self.size, prefix.root, head.size(), &prefix.proof);
            if roots != Ok((prefix.root, head.root())) {
                return Err(FollowError::OtherTiles { size: head.size(), expected: head.root() });
            }
            prefix
        };
        Ok((prefix.root != self.root).then(|| Fork {
            verified: self.checkpoint.clone(),
            found: head.note().to_vec(),
            prefix_root: prefix.root,
            link: ConsistencyLink::new(self.size, head.size(), &prefix.proof).write(),
            seen_at: now,
        }))
    }
}

fn refuse_other_ledger(kept: Option<&KeptHead>, origin: &Origin) -> Result<(), StopReason> {
    match kept {
        Some(kept) if kept.origin != origin.as_str() => {
            Err(StopReason::OtherLedger { expected: origin.clone(), size: kept.size })
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads every entry from the end of `from` to the head, and checks that they are the head's.
async fn replay_to(from: &Replay, head: &VerifiedHead, reader: &dyn LogReader) -> Result<Replay, FollowError> {
    // A copy: when anything fails, the view stays what it was.
    let mut replay = from.clone();
    let mut broken: Option<BrokenRule> = None;
    while let Some(bundle) = tile_of(next_leaf(&replay), head.size()) {
        let known = usize::from(place_in_bundle(replay.size().get()));
        let bytes = reader.entry_bundle(bundle).await?;
        for entry in entry_bundle::decode(&bytes, bundle.width())?.into_iter().skip(known) {
            match broken {
                None => broken = replay.append(entry),
                Some(_) => replay.append_unread(entry),
            }
        }
    }
    let (expected, found) = (head.root(), replay.root());
    if found != expected {
        return Err(FollowError::OtherEntries { size: head.size(), expected, found });
    }
    // Only now is the entry that broke a rule known to be the log's.
    match broken {
        Some(BrokenRule { index, violation }) => Err(StopReason::BrokenRule { index, violation }.into()),
        None => Ok(replay),
    }
}

/// The leaf after the last; in no tree as small as the replay.
fn next_leaf(replay: &Replay) -> NodeCoord {
    NodeCoord { level: 0, index: replay.size().get() }
}

/// Stops if the log has a countersignature of ours that the ledger knows nothing of: then the ledger lost its newest
/// rows, and nobody can say what else was countersigned.
async fn refuse_forgotten(replay: &Replay, known: usize, ledger: &dyn Ledger) -> Result<(), FollowError> {
    for own in replay.own_activations().iter().skip(known) {
        let remembered = match ledger.decided(own.epoch).await? {
            Some(Decided::Row(row)) => (row.digest, row.index) == (own.digest, own.statement_index),
            Some(Decided::Refused(_)) | None => false,
        };
        if !remembered {
            return Err(StopReason::ForgottenEpoch { epoch: own.epoch, index: own.at }.into());
        }
    }
    Ok(())
}

/// From when the cool-offs of the statements after size `known` are counted.
///
/// The certificate's time is the authority's word, which a dishonest authority would put into the past. It cannot have
/// been public before the last head that did not hold the statement, and that time is the witnesses' word.
fn sightings(replay: &Replay, known: TreeSize, kept: Option<&KeptHead>) -> Vec<Sighting> {
    let earliest = |index: LeafIndex| kept.filter(|kept| !index.is_in(kept.size)).map(|kept| kept.head_time);
    let new = replay.state().statements().filter(|(_, record)| !record.index.is_in(known));
    new.map(|(epoch, record)| {
        let certified = record.certificate.time();
        Sighting {
            epoch,
            digest: record.statement.digest(),
            index: record.index,
            counted_from: earliest(record.index).map_or(certified, |earliest| earliest.max(certified)),
        }
    })
    .collect()
}

#[cfg(test)]
mod tests;
