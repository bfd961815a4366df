//! What everybody but the two tasks has of a namespace.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countermark_bundle::identity::{Digest, Namespace, Timestamp};
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::hash::{LeafHash, RootHash};
use countermark_tlog::proof::{ConsistencyProof, InclusionProof};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::TileCoord;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::queue::{Queue, Refused};
use super::submission::{Patience, Submission, SubmitError, SubmitFault, Submitted, WaitLevel};
use super::{Health, Identity, OwnerState, RETRY_AFTER, WitnessRounds};
use crate::cose::ReceiptSigner;
use crate::foundation::Foundation;
use crate::ports::{Clock, StoreReader};
use crate::proofs::{ReadError, TileReader};
use crate::published::{Committed, Published, Views};

/// A namespace that is being served. Cheap to clone; every clone is the same namespace.
#[derive(Clone)]
pub struct NamespaceHandle {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) identity: Identity,
    pub(super) clock: Arc<dyn Clock>,
    /// Nothing is submitted to a log that is only read.
    pub(super) queue: Option<Queue>,
    pub(super) views: Views,
    pub(super) reader: Arc<TileReader>,
    /// Nothing is signed where a log is only read.
    pub(super) receipts: Option<ReceiptSigner>,
    pub(super) witnesses: Arc<Mutex<WitnessRounds>>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) ended: watch::Receiver<bool>,
}

impl NamespaceHandle {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Hands in a submission and waits until its entry has come as far as `wait`, at most `deadline`.
    pub async fn submit(
        &self,
        submission: Submission,
        wait: WaitLevel,
        deadline: Duration,
    ) -> Result<Submitted, SubmitError> {
        self.submit_patiently(submission, wait, Patience { commit: deadline, level: deadline }).await
    }

    /// The same with less patience for the level than for the commit, without which there is nothing to say.
    pub async fn submit_patiently(
        &self,
        submission: Submission,
        wait: WaitLevel,
        patience: Patience,
    ) -> Result<Submitted, SubmitError> {
        let now = Instant::now();
        let (deadline, level_deadline) = (now + patience.commit, now + patience.level.min(patience.commit));
        let (answer, answered) = oneshot::channel();
        let queue = self.shared.queue.as_ref().ok_or_else(stopped)?;
        queue.put(submission, answer).map_err(|refused| match refused {
            Refused::Full => SubmitError::Overloaded { retry_after: RETRY_AFTER },
            Refused::Closed => stopped(),
        })?;
        let committed = match timeout_at(deadline, answered).await {
            Err(_) => return Err(SubmitError::DeadlinePassed { reached: None }),
            Ok(Err(_)) => return Err(self.unanswered()),
            Ok(Ok(settled)) => settled?,
        };
        self.wait_for(committed, wait, level_deadline).await
    }

    /// The owner task let go of the answer: it ended, or it could not find out what to say.
    fn unanswered(&self) -> SubmitError {
        match self.state() {
            OwnerState::Stopped => stopped(),
            OwnerState::Serving | OwnerState::Reloading | OwnerState::Frozen => {
                SubmitError::Fault { reason: SubmitFault::Unknown }
            }
        }
    }

    /// Waits until a committed entry has come as far as asked for.
    async fn wait_for(
        &self,
        mut reached: Submitted,
        wait: WaitLevel,
        deadline: Instant,
    ) -> Result<Submitted, SubmitError> {
        let index = reached.index;
        if wait >= WaitLevel::Witnessed {
            let mut witnessed = self.shared.views.witnessed.clone();
            let size = match timeout_at(deadline, witnessed.wait_for(|size| index.is_in(*size))).await {
                Err(_) => return Err(SubmitError::DeadlinePassed { reached: Some(reached) }),
                Ok(Err(_)) => return Err(stopped()),
                Ok(Ok(size)) => *size,
            };
            reached = Submitted { level: WaitLevel::Witnessed, size, ..reached };
        }
        if wait >= WaitLevel::Published {
            let mut published = self.shared.views.published.clone();
            let covers = |published: &Option<Arc<Published>>| {
                published.as_ref().is_some_and(|published| index.is_in(published.size))
            };
            let size = match timeout_at(deadline, published.wait_for(covers)).await {
                Err(_) => return Err(SubmitError::DeadlinePassed { reached: Some(reached) }),
                Ok(Err(_)) => return Err(stopped()),
                Ok(Ok(published)) => published.as_ref().map_or(reached.size, |published| published.size),
            };
            reached = Submitted { level: WaitLevel::Published, size, ..reached };
        }
        Ok(reached)
    }

    /// The newest head that met the witness quorum; `None` before the first.
    #[must_use]
    pub fn published(&self) -> Option<Arc<Published>> {
        self.shared.views.published.borrow().clone()
    }

    /// Size and root of the newest head that is durable in the database and in the head register.
    #[must_use]
    pub fn committed(&self) -> (TreeSize, RootHash) {
        let committed = self.shared.views.committed.borrow();
        (committed.head.size, committed.head.root)
    }

    /// How the namespace is doing.
    #[must_use]
    pub fn health(&self) -> Health {
        let published = self.published();
        let now = self.shared.clock.now_ms() / 1_000;
        let rounds = self.shared.witnesses.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Health {
            state: self.state(),
            queued: self.shared.queue.as_ref().map_or(0, Queue::depth),
            committed: self.committed().0,
            published: published.as_ref().map(|published| (published.size, published.head_time)),
            head_age_seconds: published.as_ref().map(|published| now.saturating_sub(published.head_time.unix())),
            witnesses: rounds.witnesses,
            without_quorum_since: rounds.without_quorum_since,
        }
    }

    /// What the owner task does.
    #[must_use]
    pub fn state(&self) -> OwnerState {
        let owner = &self.shared.views.owner;
        // A task that panicked has said nothing, and holds its end no more.
        if owner.has_changed().is_err() { OwnerState::Stopped } else { *owner.borrow() }
    }

    /// The log's origin.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.shared.identity.origin
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.shared.identity.namespace
    }

    /// What the namespace was created with.
    #[must_use]
    pub fn foundation(&self) -> &Foundation {
        &self.shared.identity.foundation
    }

    /// Which log it is, and what it was created with.
    pub(crate) fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// Who makes COSE receipts; `None` where the log's key is not at hand.
    pub(crate) fn receipts(&self) -> Option<&ReceiptSigner> {
        self.shared.receipts.as_ref()
    }

    /// What the log is read from.
    pub(crate) fn store(&self) -> Arc<dyn StoreReader> {
        self.shared.reader.store()
    }

    /// The newest head that met the witness quorum, and when there is another one.
    pub(crate) fn watch_published(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.shared.views.published.clone()
    }

    /// The newest head that is durable in the database and in the head register, and when there is another one.
    pub(crate) fn watch_committed(&self) -> watch::Receiver<Arc<Committed>> {
        self.shared.views.committed.clone()
    }

    /// The clock of this namespace.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.shared.clock)
    }

    /// How many submissions may wait; none where nothing is submitted.
    #[must_use]
    pub fn queue_max(&self) -> usize {
        self.shared.queue.as_ref().map_or(0, Queue::capacity)
    }

    /// The time of day of this namespace's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        crate::clock::timestamp(self.shared.clock.now_ms())
    }

    /// A hash tile; `None` beyond the committed tree.
    pub async fn tile(&self, tile: TileCoord) -> Result<Option<Arc<[u8]>>, ReadError> {
        self.shared.reader.tile(tile).await
    }

    /// The entry bundle at the place of a level 0 tile; `None` beyond the committed tree.
    pub async fn entry_bundle(&self, tile: TileCoord) -> Result<Option<Arc<[u8]>>, ReadError> {
        self.shared.reader.entry_bundle(tile).await
    }

    /// The exact bytes of an entry; `None` beyond the committed tree.
    pub async fn entry(&self, index: LeafIndex) -> Result<Option<Arc<[u8]>>, ReadError> {
        self.shared.reader.entry(index).await
    }

    /// The proof that the tree of this size has the leaf; `None` if it has not, or the size is beyond the committed tree.
    pub async fn inclusion(&self, index: LeafIndex, size: TreeSize) -> Result<Option<InclusionProof>, ReadError> {
        self.shared.reader.inclusion(index, size).await
    }

    /// The same with the leaf's hash, without reading the entry.
    pub async fn inclusion_and_leaf(
        &self,
        index: LeafIndex,
        size: TreeSize,
    ) -> Result<Option<(LeafHash, InclusionProof)>, ReadError> {
        self.shared.reader.inclusion_and_leaf(index, size).await
    }

    /// The proof that the tree of size `from` is the beginning of that of size `to`; `None` if `from` is the larger, or
    /// `to` is beyond the committed tree.
    pub async fn consistency(&self, from: TreeSize, to: TreeSize) -> Result<Option<ConsistencyProof>, ReadError> {
        self.shared.reader.consistency(from, to).await
    }

    /// Where the entry of this leaf hash is, within the committed tree.
    pub async fn index_of_leaf_hash(&self, leaf_hash: LeafHash) -> Result<Option<LeafIndex>, ReadError> {
        self.shared.reader.index_of_leaf_hash(leaf_hash).await
    }

    /// Where the entry of this identity is, within the committed tree.
    pub async fn index_of_identity(&self, identity: Digest) -> Result<Option<LeafIndex>, ReadError> {
        self.shared.reader.index_of_identity(identity).await
    }

    /// Asks both tasks to stop and waits until they have. What was being committed is finished; what still waits in the
    /// queue is answered [`SubmitFault::Stopped`].
    pub async fn shutdown(&self) {
        // Nobody listening means that both tasks have ended.
        let _ = self.shared.stop.send(true);
        let mut ended = self.shared.ended.clone();
        // An error means that the supervisor is gone, and the tasks with it.
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

const fn stopped() -> SubmitError {
    SubmitError::Fault { reason: SubmitFault::Stopped }
}
