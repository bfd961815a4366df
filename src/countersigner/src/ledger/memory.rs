//! The ledger in memory, for tests: a clone is another handle to the same memory, as a restarted service has one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use countermark_bundle::identity::Epoch;
use countermark_tlog::size::LeafIndex;

use super::{Decided, Fork, KeptHead, LedgerRow, NewRow, Refusal, RowRecord, Sighting};
use crate::ports::{AdvanceError, CommitRowError, Decisions, Ledger, LedgerFault, PortFuture, RecordRefusalError};

#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryLedger(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    head: Option<KeptHead>,
    sightings: BTreeMap<Epoch, Sighting>,
    rows: BTreeMap<Epoch, RowRecord>,
    refusals: BTreeMap<Epoch, Refusal>,
    forks: Vec<Fork>,
}

impl MemoryLedger {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap()
    }

    /// Puts a row there that nobody committed.
    pub(crate) fn put_row(&self, row: RowRecord) {
        self.kept().rows.insert(row.epoch, row);
    }

    fn add_row(&self, row: &NewRow) -> Result<LedgerRow, CommitRowError> {
        let mut kept = self.kept();
        let (epoch, newest) = (row.epoch, kept.rows.keys().next_back().copied());
        if kept.refusals.contains_key(&epoch) {
            return Err(CommitRowError::RefusedBefore { epoch });
        }
        if let Some(recorded) = kept.rows.get(&epoch)
            && (recorded.digest, recorded.index) != (row.digest, row.index)
        {
            return Err(CommitRowError::OtherStatement { epoch, recorded: recorded.digest, found: row.digest });
        }
        if let Some(newest) = newest.filter(|newest| *newest > epoch) {
            return Err(CommitRowError::BelowNewest { epoch, newest });
        }
        kept.rows.entry(epoch).or_insert_with(|| RowRecord {
            epoch,
            digest: row.digest,
            index: row.index,
            decision: row.decision.clone(),
            decided_at: row.decided_at,
            activation: None,
        });
        Ok(LedgerRow::committed(row))
    }

    fn add_head(&self, head: &KeptHead, sightings: &[Sighting]) -> Result<(), AdvanceError> {
        let mut kept = self.kept();
        let follows = kept.head.as_ref().is_none_or(|old| {
            old.origin == head.origin
                && old.head_time <= head.head_time
                && (old.size < head.size || (old.size == head.size && old.root == head.root))
        });
        if !follows {
            return Err(AdvanceError::Conflict { size: head.size });
        }
        kept.head = Some(head.clone());
        for sighting in sightings {
            kept.sightings.entry(sighting.epoch).or_insert(*sighting);
        }
        Ok(())
    }

    fn add_refusal(&self, refusal: &Refusal) -> Result<(), RecordRefusalError> {
        let mut kept = self.kept();
        let epoch = refusal.epoch;
        let other = kept.refusals.get(&epoch).is_some_and(|old| old.digest != refusal.digest);
        if other || kept.rows.contains_key(&epoch) {
            return Err(RecordRefusalError::DecidedBefore { epoch });
        }
        kept.refusals.entry(epoch).or_insert_with(|| refusal.clone());
        Ok(())
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> PortFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Ledger for MemoryLedger {
    fn head(&self) -> PortFuture<'_, Result<Option<KeptHead>, LedgerFault>> {
        ready(Ok(self.kept().head.clone()))
    }

    fn advance<'a>(
        &'a self,
        head: &'a KeptHead,
        sightings: &'a [Sighting],
    ) -> PortFuture<'a, Result<(), AdvanceError>> {
        ready(self.add_head(head, sightings))
    }

    fn sightings(&self) -> PortFuture<'_, Result<Vec<Sighting>, LedgerFault>> {
        ready(Ok(self.kept().sightings.values().copied().collect()))
    }

    fn commit_row<'a>(&'a self, row: &'a NewRow) -> PortFuture<'a, Result<LedgerRow, CommitRowError>> {
        ready(self.add_row(row))
    }

    fn decided(&self, epoch: Epoch) -> PortFuture<'_, Result<Option<Decided>, LedgerFault>> {
        let kept = self.kept();
        let row = kept.rows.get(&epoch).cloned().map(Decided::Row);
        ready(Ok(row.or_else(|| kept.refusals.get(&epoch).cloned().map(Decided::Refused))))
    }

    fn newest_row(&self) -> PortFuture<'_, Result<Option<RowRecord>, LedgerFault>> {
        ready(Ok(self.kept().rows.values().next_back().cloned()))
    }

    fn mark_activated(&self, epoch: Epoch, index: LeafIndex) -> PortFuture<'_, Result<(), LedgerFault>> {
        if let Some(row) = self.kept().rows.get_mut(&epoch) {
            row.activation.get_or_insert(index);
        }
        ready(Ok(()))
    }

    fn record_refusal<'a>(&'a self, refusal: &'a Refusal) -> PortFuture<'a, Result<(), RecordRefusalError>> {
        ready(self.add_refusal(refusal))
    }

    fn keep_fork<'a>(&'a self, fork: &'a Fork) -> PortFuture<'a, Result<(), LedgerFault>> {
        self.kept().forks.push(fork.clone());
        ready(Ok(()))
    }

    fn fork(&self) -> PortFuture<'_, Result<Option<Fork>, LedgerFault>> {
        ready(Ok(self.kept().forks.first().cloned()))
    }

    fn newest_decisions(&self, count: u32) -> PortFuture<'_, Result<Decisions, LedgerFault>> {
        let (kept, count) = (self.kept(), usize::try_from(count).unwrap());
        let rows = kept.rows.values().rev().take(count).cloned().collect();
        let refusals = kept.refusals.values().rev().take(count).cloned().collect();
        ready(Ok((rows, refusals)))
    }
}
