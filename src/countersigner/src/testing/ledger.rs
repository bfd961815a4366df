//! The memory ledger behind a port that fails on demand, in both forms: before and after it did what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use countermark_bundle::identity::Epoch;
use countermark_tlog::size::LeafIndex;
use tokio::sync::Notify;

use crate::ledger::memory::MemoryLedger;
use crate::ledger::{Decided, Fork, KeptHead, LedgerRow, NewRow, Refusal, RowRecord, Sighting};
use crate::ports::{AdvanceError, CommitRowError, Decisions, Ledger, LedgerFault, PortFuture, RecordRefusalError};

/// Which call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LedgerCall {
    Head,
    Advance,
    Sightings,
    CommitRow,
    Decided,
    NewestRow,
    MarkActivated,
    RecordRefusal,
    KeepFork,
}

/// How it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    NotSaved,
    Saved,
    HangNotSaved,
    HangSaved,
}

#[derive(Clone, Default)]
pub(crate) struct FaultyLedger {
    pub(crate) memory: MemoryLedger,
    faults: Arc<Mutex<VecDeque<(LedgerCall, Fault)>>>,
    /// Told when a call hangs.
    pub(crate) hung: Arc<Notify>,
}

impl FaultyLedger {
    /// The next call of this kind fails so, once.
    pub(crate) fn fail_next(&self, call: LedgerCall, fault: Fault) {
        self.faults.lock().unwrap().push_back((call, fault));
    }

    fn fault(&self, call: LedgerCall) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let at = faults.iter().position(|(failing, _)| *failing == call)?;
        faults.remove(at).map(|(_, fault)| fault)
    }

    fn call<'a, T: Send + 'a, E: From<LedgerFault> + Send + 'a>(
        &'a self,
        call: LedgerCall,
        inner: impl FnOnce(&'a MemoryLedger) -> PortFuture<'a, Result<T, E>> + Send + 'a,
    ) -> PortFuture<'a, Result<T, E>> {
        Box::pin(async move {
            let fault = self.fault(call);
            let failed = || E::from(LedgerFault { action: "do as it was told", source: "told to fail".into() });
            match fault {
                None => inner(&self.memory).await,
                Some(Fault::NotSaved) => Err(failed()),
                Some(Fault::Saved) => {
                    let _ = inner(&self.memory).await;
                    Err(failed())
                }
                Some(hang @ (Fault::HangNotSaved | Fault::HangSaved)) => {
                    if hang == Fault::HangSaved {
                        let _ = inner(&self.memory).await;
                    }
                    self.hung.notify_one();
                    std::future::pending().await
                }
            }
        })
    }
}

impl Ledger for FaultyLedger {
    fn head(&self) -> PortFuture<'_, Result<Option<KeptHead>, LedgerFault>> {
        self.call(LedgerCall::Head, Ledger::head)
    }

    fn advance<'a>(
        &'a self,
        head: &'a KeptHead,
        sightings: &'a [Sighting],
    ) -> PortFuture<'a, Result<(), AdvanceError>> {
        self.call(LedgerCall::Advance, move |memory| memory.advance(head, sightings))
    }

    fn sightings(&self) -> PortFuture<'_, Result<Vec<Sighting>, LedgerFault>> {
        self.call(LedgerCall::Sightings, Ledger::sightings)
    }

    fn commit_row<'a>(&'a self, row: &'a NewRow) -> PortFuture<'a, Result<LedgerRow, CommitRowError>> {
        self.call(LedgerCall::CommitRow, move |memory| memory.commit_row(row))
    }

    fn decided(&self, epoch: Epoch) -> PortFuture<'_, Result<Option<Decided>, LedgerFault>> {
        self.call(LedgerCall::Decided, move |memory| memory.decided(epoch))
    }

    fn newest_row(&self) -> PortFuture<'_, Result<Option<RowRecord>, LedgerFault>> {
        self.call(LedgerCall::NewestRow, Ledger::newest_row)
    }

    fn mark_activated(&self, epoch: Epoch, index: LeafIndex) -> PortFuture<'_, Result<(), LedgerFault>> {
        self.call(LedgerCall::MarkActivated, move |memory| memory.mark_activated(epoch, index))
    }

    fn record_refusal<'a>(&'a self, refusal: &'a Refusal) -> PortFuture<'a, Result<(), RecordRefusalError>> {
        self.call(LedgerCall::RecordRefusal, move |memory| memory.record_refusal(refusal))
    }

    fn keep_fork<'a>(&'a self, fork: &'a Fork) -> PortFuture<'a, Result<(), LedgerFault>> {
        self.call(LedgerCall::KeepFork, move |memory| memory.keep_fork(fork))
    }

    fn fork(&self) -> PortFuture<'_, Result<Option<Fork>, LedgerFault>> {
        self.memory.fork()
    }

    fn newest_decisions(&self, count: u32) -> PortFuture<'_, Result<Decisions, LedgerFault>> {
        self.memory.newest_decisions(count)
    }
}
