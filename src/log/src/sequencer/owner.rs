//! The owner task: the only code that changes a namespace's log.
//!
//! It takes whatever waits in the queue (at once when idle, all that arrived during the last commit otherwise), and takes
//! it through the numbered steps of [`Owner::flush`]. After a fault it believes nothing that it remembers and reads
//! everything again through [`crate::recover`].

use std::sync::Arc;
use std::time::Duration;

use countermark_bundle::identity::Digest;
use countermark_tlog::hash::{Hash, LeafHash};
use countermark_tlog::size::LeafIndex;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::draft::{Answer, Candidate, Draft, Waiters, not_kept, reply, stored};
use super::queue::Queued;
use super::submission::{SubmitFault, Submitted, WaitLevel};
use super::{BATCH_BYTES_MAX, NamespaceSettings, OwnerState, Ports, batch_max};
use crate::admit::{Parsed, Refusal};
use crate::foundation::LogState;
use crate::metrics;
use crate::ports::{CommitError, LogKind, PortFault, RegisterError, TakeWriterError, WriterEpoch, WriterId};
use crate::published::{Committed, stopped};
use crate::recover::{self, HeadName, LoadError, LogIdentity};
use crate::sequencer::start::LogKeys;
use crate::stage::{NewEntry, SignBatchError, SignedBatch, stage};

/// The first wait before everything is read again once more.
const RELOAD_BACKOFF_MIN: Duration = Duration::from_millis(50);
/// The longest wait.
const RELOAD_BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Why a namespace is no longer served.
#[derive(Debug, Error)]
pub enum Ended {
    /// It was asked to stop.
    #[error("shut down")]
    ShutDown,
    /// Another process writes to it. Nothing of this one's was kept that had not been acknowledged.
    #[error("another process has taken the namespace over ({found}, this process had {held})")]
    Fenced {
        /// The epoch of this process.
        held: WriterEpoch,
        /// The epoch in force.
        found: WriterEpoch,
    },
    /// What was read again after a fault contradicts itself, or what was signed. Nothing more is signed.
    #[error("the namespace is not served any more: {0}")]
    Contradiction(#[from] LoadError),
    /// A task of the namespace panicked.
    #[error("a task of the namespace panicked")]
    Panicked,
}

/// The owner task of one namespace.
pub(super) struct Owner {
    pub(super) settings: Arc<NamespaceSettings>,
    pub(super) log_keys: LogKeys,
    pub(super) ports: Ports,
    pub(super) writer: WriterId,
    pub(super) epoch: WriterEpoch,
    pub(super) frozen: bool,
    pub(super) queue: mpsc::Receiver<Queued>,
    pub(super) state: watch::Sender<OwnerState>,
    pub(super) committed: watch::Sender<Arc<Committed>>,
    pub(super) stop: watch::Receiver<bool>,
}

/// How a batch ended.
enum Flushed {
    /// Everybody is answered; memory and store agree.
    Done,
    /// A port failed after something may have been written. Memory is not to be believed.
    Poisoned(Waiters),
    /// The log was frozen; everybody is answered.
    Frozen,
    /// Another process has taken the namespace over.
    Fenced(Ended),
}

impl Owner {
    /// Serves until it is stopped, fenced off, or contradicted.
    pub(super) async fn run(mut self) -> Ended {
        let ended = loop {
            let Some(batch) = self.next_batch().await else {
                break Ended::ShutDown;
            };
            match self.flush(batch).await {
                Flushed::Done => {}
                Flushed::Frozen => self.freeze(),
                Flushed::Poisoned(waiters) => {
                    if let Err(ended) = self.reload(waiters).await {
                        break ended;
                    }
                }
                Flushed::Fenced(ended) => break ended,
            }
        };
        self.state.send_replace(OwnerState::Stopped);
        // Whoever still waits in the queue sees its answer's other end dropped.
        ended
    }

    /// The log was frozen: from now on what is new is refused without a commit; what the log has is still found.
    fn freeze(&mut self) {
        self.frozen = true;
        self.state.send_replace(OwnerState::Frozen);
        let size = self.committed.borrow().head.size;
        info!(origin = %self.settings.origin, %size, "the log is frozen");
    }

    /// Everything that waits, up to the bounds of one commit; waits for the first. `None` when asked to stop.
    async fn next_batch(&mut self) -> Option<Vec<Queued>> {
        let first = tokio::select! {
            biased;
            () = stopped(&mut self.stop) => return None,
            first = self.queue.recv() => first?,
        };
        let (count_max, mut bytes) = (batch_max(self.kind()), first.weight());
        let mut batch = vec![first];
        while batch.len() < count_max
            && bytes < BATCH_BYTES_MAX
            && let Ok(next) = self.queue.try_recv()
        {
            bytes = bytes.saturating_add(next.weight());
            batch.push(next);
        }
        Some(batch)
    }

    async fn flush(&mut self, batch: Vec<Queued>) -> Flushed {
        let current = self.committed.borrow().clone();
        let Some((entries, state, waiters)) = self.draft(&current, batch).await else {
            return Flushed::Done;
        };
        // 1. Indexes, hashes, root, signature: in memory only. A crash here leaves nothing.
        let batch = match self.sign(&current, entries) {
            Ok(batch) => batch,
            Err(reason) => {
                waiters.failed(reason);
                return Flushed::Done;
            }
        };
        let signed = Instant::now();
        // 2. The commit point: entries, tiles, right edge and signed head in one transaction, fenced on writer epoch and
        //    size. A crash before it leaves nothing; after it the batch is in the log, and start-up takes it on from here.
        match self.ports.store.commit(self.epoch, &batch).await {
            Ok(()) => {}
            Err(CommitError::Fenced { expected, found, .. }) if found != expected => {
                waiters.failed(SubmitFault::NotKept);
                return Flushed::Fenced(Ended::Fenced { held: expected, found });
            }
            Err(CommitError::Frozen { size }) => {
                waiters.frozen(size);
                return Flushed::Frozen;
            }
            Err(failure @ (CommitError::Fenced { .. } | CommitError::Fault(_))) => {
                warn!(origin = %self.settings.origin, %failure, "the outcome of a commit is unknown; reading everything again");
                return Flushed::Poisoned(waiters);
            }
        }
        // 3. The head register, on other storage. A crash before it: start-up finds the register one head behind and moves
        //    it. From here on no database that lacks this head will ever be signed for.
        let swapped =
            self.ports.register.compare_and_swap(&self.settings.origin, Some(&current.head), batch.head()).await;
        match swapped {
            Ok(()) => {}
            Err(failure @ (RegisterError::Conflict { .. } | RegisterError::Fault(_))) => {
                warn!(origin = %self.settings.origin, %failure, "the head register did not take a head; reading everything again");
                return Flushed::Poisoned(waiters);
            }
        }
        // 4. Only now may a signature leave the process: readers and the publisher see the head, submitters their index. A
        //    crash before an answer: the submitter asks again and is given the same index.
        self.committed.send_replace(Arc::new(Committed {
            head: batch.head().clone(),
            state,
            tree: batch.tree().clone(),
        }));
        waiters.committed(batch.entries(), batch.head().size);
        metrics::committed(&self.settings.origin, batch.entries().len(), signed.elapsed());
        Flushed::Done
    }

    /// Answers what needs no commit, admits the rest.
    async fn draft(&self, current: &Committed, batch: Vec<Queued>) -> Option<(Vec<NewEntry>, LogState, Waiters)> {
        let candidates = self.unknown(current, parse(batch, self.kind())).await;
        if self.frozen {
            let size = current.head.size;
            for candidate in candidates {
                reply(candidate.answer, Err(Refusal::Frozen { size }.into()));
            }
            return None;
        }
        if candidates.is_empty() {
            return None;
        }
        let mut draft = Draft::on(&current.state);
        for candidate in candidates {
            draft.consider(candidate, &self.settings, self.ports.clock.now_ms());
        }
        draft.finish()
    }

    /// Answers the submissions whose entry is in the log already; gives the others.
    async fn unknown(&self, current: &Committed, candidates: Vec<Candidate>) -> Vec<Candidate> {
        let identities: Vec<Digest> = candidates.iter().map(|candidate| candidate.parsed.identity()).collect();
        let origin = &self.settings.origin;
        let indexes = match self.ports.store.indexes_of_identities(origin, &identities).await {
            Ok(indexes) => indexes,
            Err(failure) => {
                self.fail(&failure, candidates);
                return Vec::new();
            }
        };
        let mut unknown = Vec::new();
        for ((candidate, identity), index) in candidates.into_iter().zip(identities).zip(indexes) {
            match index {
                None => unknown.push(candidate),
                Some(index) => self.answer_known(current, candidate.answer, identity, index).await,
            }
        }
        unknown
    }

    async fn answer_known(&self, current: &Committed, answer: Answer, identity: Digest, index: LeafIndex) {
        if self.kind() == LogKind::Raw {
            // Under this leaf hash the store keeps the entry: reading it would say nothing else.
            let (leaf_hash, size) = (LeafHash(Hash(identity.0)), current.head.size);
            let level = WaitLevel::Committed;
            reply(answer, Ok(Submitted { index, leaf_hash, identity, level, size, duplicate: true }));
            return;
        }
        match stored(&self.settings, &self.ports, identity, index, current.head.size).await {
            Ok(Some(submitted)) => reply(answer, Ok(submitted)),
            Ok(None) => reply(answer, Err(not_kept())),
            Err(failure) => {
                warn!(origin = %self.settings.origin, %failure, "a stored entry could not be read");
                reply(answer, Err(not_kept()));
            }
        }
    }

    fn fail(&self, failure: &PortFault, candidates: Vec<Candidate>) {
        warn!(origin = %self.settings.origin, %failure, "the store could not be asked for known entries");
        for candidate in candidates {
            reply(candidate.answer, Err(not_kept()));
        }
    }

    /// Stages and signs a batch, in memory.
    fn sign(&self, current: &Committed, entries: Vec<NewEntry>) -> Result<SignedBatch, SubmitFault> {
        let staged = stage(&self.settings.origin, &current.tree, entries).map_err(|failure| {
            error!(origin = %self.settings.origin, %failure, "a batch was not staged");
            SubmitFault::SelfCheck
        })?;
        staged.sign(&self.log_keys.with_holders(&self.settings)).map_err(|failure| {
            error!(origin = %self.settings.origin, %failure, "a batch was not signed");
            match failure {
                SignBatchError::Sign(_) => SubmitFault::Signing,
                SignBatchError::Message(_)
                | SignBatchError::Note(_)
                | SignBatchError::Checkpoint(_)
                | SignBatchError::OtherHead { .. }
                | SignBatchError::Prove(_)
                | SignBatchError::Peak(_)
                | SignBatchError::Root { .. }
                | SignBatchError::Proof(_) => SubmitFault::SelfCheck,
            }
        })
    }

    fn kind(&self) -> LogKind {
        self.settings.foundation.kind()
    }

    /// Forgets what is in memory and reads everything again, until that works or shows that it never will.
    async fn reload(&mut self, waiters: Waiters) -> Result<(), Ended> {
        self.state.send_replace(OwnerState::Reloading);
        metrics::reloading(&self.settings.origin);
        let mut backoff = RELOAD_BACKOFF_MIN;
        loop {
            match self.try_reload().await {
                Ok(()) => break,
                Err(Ended::Contradiction(failure)) if failure.is_fault() => {
                    warn!(origin = %self.settings.origin, %failure, "the namespace could not be read again");
                }
                Err(ended) => {
                    waiters.failed(SubmitFault::Unknown);
                    return Err(ended);
                }
            }
            tokio::select! {
                biased;
                () = stopped(&mut self.stop) => {
                    waiters.failed(SubmitFault::Unknown);
                    return Err(Ended::ShutDown);
                }
                () = sleep(backoff) => {}
            }
            backoff = (backoff * 2).min(RELOAD_BACKOFF_MAX);
        }
        self.state.send_replace(if self.frozen { OwnerState::Frozen } else { OwnerState::Serving });
        let size = self.committed.borrow().head.size;
        info!(origin = %self.settings.origin, %size, "the namespace was read again");
        if let Err(failure) = waiters.reloaded(&self.settings, &self.ports, size).await {
            warn!(origin = %self.settings.origin, %failure, "waiting submitters could not be told what became of their entries");
        }
        Ok(())
    }

    async fn try_reload(&mut self) -> Result<(), Ended> {
        let log = LogIdentity {
            origin: &self.settings.origin,
            log_key: &self.log_keys.ed25519,
            foundation: &self.settings.foundation,
        };
        let loaded = match recover::load(log, &self.ports, self.writer, Some(self.epoch)).await {
            Ok(loaded) => loaded,
            Err(LoadError::TakeWriter(TakeWriterError::Fenced { expected, found })) => {
                return Err(Ended::Fenced { held: expected, found });
            }
            Err(failure) => return Err(failure.into()),
        };
        self.epoch = loaded.epoch;
        self.frozen = loaded.frozen;
        let loaded = loaded.roll_forward(&self.settings.origin, &self.ports).await?;
        let shown = HeadName::from(&self.committed.borrow().head);
        let database = HeadName::from(&loaded.committed.head);
        if database.size < shown.size {
            return Err(LoadError::Shrunk { shown, database }.into());
        }
        self.committed.send_replace(loaded.committed);
        Ok(())
    }
}

/// Reads each submission by itself; one that is malformed is answered at once.
fn parse(batch: Vec<Queued>, kind: LogKind) -> Vec<Candidate> {
    let mut candidates = Vec::with_capacity(batch.len());
    for queued in batch {
        let (submission, answer) = queued.take();
        match Parsed::parse(submission, kind) {
            Ok(parsed) => candidates.push(Candidate { parsed, answer }),
            Err(refusal) => reply(answer, Err(refusal.into())),
        }
    }
    candidates
}
