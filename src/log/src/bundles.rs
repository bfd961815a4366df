//! Validation bundles, assembled from what is published: the one file that a client verifies offline.
//!
//! It verifies nothing for the client; it checks its own paths, as everything that is released is checked.
//!
//! Invariant: a bundle holds the certified statement, its newest activation and **every** entry after that activation up
//! to the published size. A revoked or superseded epoch is bundled like any other: the tail says what became of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use countermark_bundle::identity::Epoch;
use countermark_bundle::namespace_state::{NamespaceState, StatementRecord};
use countermark_bundle::validation_bundle::{BUNDLE_BYTES_MAX, Record, TAIL_MAX, ValidationBundle};
use countermark_tlog::hash::leaf_hash;
use countermark_tlog::proof::{ProofError, verify_inclusion};
use countermark_tlog::size::LeafIndex;
use thiserror::Error;

use crate::ports::LogKind;
use crate::proofs::ReadError;
use crate::published::Published;
use crate::sequencer::NamespaceHandle;

/// The bundles kept for one head: the newest epoch is asked for by everybody, older ones by auditors.
const KEPT_MAX: usize = 8;

/// Why there is no bundle.
#[derive(Debug, Error)]
pub(crate) enum BundleRefusal {
    /// The log certifies no statements.
    #[error("a {kind} log certifies no statements")]
    OtherKind {
        /// Its kind.
        kind: LogKind,
    },
    /// No epoch is active.
    #[error("no statement of this namespace is countersigned and published yet")]
    NothingActive,
    /// No such statement.
    #[error("no statement of epoch {epoch} is published")]
    NoSuchEpoch {
        /// The epoch asked for.
        epoch: Epoch,
    },
    /// Certified, but not countersigned.
    #[error("the statement of epoch {epoch} is certified, its countersignature is not published yet")]
    NotActive {
        /// The epoch asked for.
        epoch: Epoch,
    },
    /// Too many entries after the newest activation.
    #[error("{tail} entries follow the newest activation of epoch {epoch}, a bundle carries at most {TAIL_MAX}")]
    RenewalNeeded {
        /// The epoch asked for.
        epoch: Epoch,
        /// Entries after its newest activation.
        tail: u64,
    },
    /// The entries after the newest activation are too large together.
    #[error("the bundle of epoch {epoch} has {found} bytes, at most {BUNDLE_BYTES_MAX} are read")]
    TooLarge {
        /// The epoch asked for.
        epoch: Epoch,
        /// Bytes of the bundle.
        found: usize,
    },
    /// Fault: the log took a change of authority, and the proof of its quorum is not kept.
    #[error("the keys in force have serial {serial}, this version bundles under those of the creation, serial 0")]
    AuthorityChanged {
        /// The serial in force.
        serial: u64,
    },
    /// Fault: our own path does not verify.
    #[error("the path of entry {index} does not verify under the published root")]
    Path {
        /// The entry.
        index: LeafIndex,
        /// Why not; `None` where there was no entry or no path.
        source: Option<ProofError>,
    },
    /// Fault: the log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The bundles of one namespace under its newest published head.
#[derive(Debug, Default)]
pub(crate) struct BundleShelf {
    under_head: Mutex<UnderHead>,
}

#[derive(Debug, Default)]
struct UnderHead {
    /// The head that the bundles stand under. A recosigned head of the same size is another one.
    head: Option<Arc<Published>>,
    bundles: BTreeMap<Epoch, Arc<[u8]>>,
}

impl BundleShelf {
    /// The bundle of an epoch, or of the newest active one.
    pub(crate) async fn bundle(
        &self,
        handle: &NamespaceHandle,
        published: &Arc<Published>,
        epoch: Option<Epoch>,
    ) -> Result<Arc<[u8]>, BundleRefusal> {
        let epoch = match epoch {
            Some(epoch) => epoch,
            None => newest_active(fleet_keys(published)?)?,
        };
        if let Some(kept) = self.kept(published, epoch) {
            return Ok(kept);
        }
        let bundle: Arc<[u8]> = assemble(handle, published, epoch).await?.into();
        self.keep(published, epoch, &bundle);
        Ok(bundle)
    }

    fn kept(&self, published: &Arc<Published>, epoch: Epoch) -> Option<Arc<[u8]>> {
        let here = self.under_head.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = here.head.as_ref().is_some_and(|head| Arc::ptr_eq(head, published));
        is_same.then(|| here.bundles.get(&epoch).cloned()).flatten()
    }

    fn keep(&self, published: &Arc<Published>, epoch: Epoch, bundle: &Arc<[u8]>) {
        let mut here = self.under_head.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = here.head.as_ref().is_some_and(|head| Arc::ptr_eq(head, published));
        if !is_same {
            *here = UnderHead { head: Some(published.clone()), bundles: BTreeMap::new() };
        }
        here.bundles.insert(epoch, bundle.clone());
        if here.bundles.len() > KEPT_MAX {
            here.bundles.pop_first();
        }
    }
}

fn fleet_keys(published: &Published) -> Result<&NamespaceState, BundleRefusal> {
    published.state.fleet_keys().ok_or(BundleRefusal::OtherKind { kind: LogKind::Raw })
}

fn newest_active(state: &NamespaceState) -> Result<Epoch, BundleRefusal> {
    let newest = state.newest_active().ok_or(BundleRefusal::NothingActive)?;
    Ok(newest.statement.statement().epoch)
}

async fn assemble(handle: &NamespaceHandle, published: &Published, epoch: Epoch) -> Result<Vec<u8>, BundleRefusal> {
    let (certified, rest) = places(fleet_keys(published)?, epoch)?;
    let mut records = Vec::with_capacity(2 + TAIL_MAX);
    records.push(record(handle, published, certified).await?);
    for index in rest {
        let index = LeafIndex::new(index).expect("below the size of a tree");
        records.push(record(handle, published, index).await?);
    }
    let checkpoint = String::from_utf8(published.note.clone()).expect("a published note was verified, so it is UTF-8");
    within_bounds(epoch, ValidationBundle::new(checkpoint, records).write())
}

/// Refuses what no client reads. Statement and activation alone always fit: a renewal cuts the tail.
fn within_bounds(epoch: Epoch, bundle: Vec<u8>) -> Result<Vec<u8>, BundleRefusal> {
    let found = bundle.len();
    if found > BUNDLE_BYTES_MAX { Err(BundleRefusal::TooLarge { epoch, found }) } else { Ok(bundle) }
}

/// Where the certified statement stands, and the range from its newest activation to the end.
fn places(state: &NamespaceState, epoch: Epoch) -> Result<(LeafIndex, Range<u64>), BundleRefusal> {
    let serial = state.authority().serial();
    if serial != 0 {
        return Err(BundleRefusal::AuthorityChanged { serial });
    }
    let StatementRecord { index, activations, .. } =
        state.statement(epoch).ok_or(BundleRefusal::NoSuchEpoch { epoch })?;
    let activation = activations.last().ok_or(BundleRefusal::NotActive { epoch })?.get();
    let size = state.size().get();
    let tail = size.saturating_sub(activation.saturating_add(1));
    if usize::try_from(tail).map_or(true, |tail| tail > TAIL_MAX) {
        return Err(BundleRefusal::RenewalNeeded { epoch, tail });
    }
    Ok((*index, activation..size))
}

async fn record(handle: &NamespaceHandle, published: &Published, index: LeafIndex) -> Result<Record, BundleRefusal> {
    let unproven = |source| BundleRefusal::Path { index, source };
    let entry = handle.entry(index).await?.ok_or(unproven(None))?;
    let path = handle.inclusion(index, published.size).await?.ok_or(unproven(None))?;
    verify_inclusion(leaf_hash(&entry), index, published.size, published.root, &path)
        .map_err(|source| unproven(Some(source)))?;
    Ok(Record::new(index, entry.to_vec(), &path, None))
}

#[cfg(test)]
mod tests;
