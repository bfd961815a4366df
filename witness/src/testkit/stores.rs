//! Stores for tests: one in memory, and one around any other that fails and stalls on demand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use countermark_tlog::checkpoint::Origin;
use countermark_tlog::fork::{ForkId, VerifiedForkEvidence};
use countermark_tlog::size::TreeSize;
use tokio::sync::oneshot;

use crate::ports::{CosignedHead, ForkStore, HeadId, HeadState, HeadStore, Kept, StoreError, Swap, UnixSeconds};
use crate::register::{Generation, HeadRegister, RegisterError};

/// A store in memory, the plainest reading of the port. Its clones are one store.
#[derive(Clone, Default)]
pub struct MemoryHeads(Arc<Mutex<BTreeMap<Origin, CosignedHead>>>, Arc<Mutex<Remembered>>);

/// What a store never forgets.
#[derive(Default)]
struct Remembered {
    cosigned: BTreeMap<(Origin, TreeSize), Vec<u8>>,
    forks: BTreeMap<ForkId, VerifiedForkEvidence>,
}

impl ForkStore for MemoryHeads {
    async fn fork_of(&self, origin: &Origin) -> Result<Option<ForkId>, StoreError> {
        let remembered = self.1.lock().unwrap();
        Ok(remembered.forks.iter().find(|(_, fork)| fork.origin() == origin).map(|(id, _)| *id))
    }

    async fn keep_fork(&self, evidence: &VerifiedForkEvidence, _: UnixSeconds) -> Result<Kept, StoreError> {
        let new = self.1.lock().unwrap().forks.insert(evidence.id(), evidence.clone()).is_none();
        Ok(if new { Kept::New } else { Kept::Already })
    }

    async fn fork(&self, id: ForkId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.1.lock().unwrap().forks.get(&id).map(VerifiedForkEvidence::to_bytes))
    }

    async fn forks(&self) -> Result<Vec<ForkId>, StoreError> {
        Ok(self.1.lock().unwrap().forks.keys().copied().collect())
    }

    async fn cosigned_at(&self, origin: &Origin, size: TreeSize) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.1.lock().unwrap().cosigned.get(&(origin.clone(), size)).cloned())
    }
}

impl HeadStore for MemoryHeads {
    async fn read(&self, origin: &Origin) -> Result<HeadState, StoreError> {
        Ok(match self.0.lock().unwrap().get(origin) {
            None => HeadState::NeverCosigned,
            Some(head) => HeadState::Cosigned(head.clone()),
        })
    }

    async fn swap(&self, origin: &Origin, expected: Option<HeadId>, new: &CosignedHead) -> Result<Swap, StoreError> {
        let mut heads = self.0.lock().unwrap();
        let stored = heads.get(origin);
        if stored.map(|head| head.id) != expected {
            return Ok(Swap::Lost);
        }
        if stored.is_some_and(|head| head.cosigned_at > new.cosigned_at) {
            return Ok(if expected == Some(new.id) { Swap::NewerKept } else { Swap::Lost });
        }
        let mut remembered = self.1.lock().unwrap();
        if remembered.forks.values().any(|fork| fork.origin() == origin) {
            return Err(StoreError::Write("the log has forked".into()));
        }
        remembered.cosigned.insert((origin.clone(), new.id.size), new.checkpoint.clone());
        heads.insert(origin.clone(), new.clone());
        Ok(Swap::Stored)
    }

    async fn read_to_show(&self, origin: &Origin) -> Result<HeadState, StoreError> {
        self.read(origin).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What happens to one call.
pub enum Fate {
    /// It goes through.
    Pass,
    /// It fails and nothing is saved.
    FailUnsaved,
    /// It fails although everything was saved. Of a read, the same as the above.
    FailSaved,
    /// It says that it has arrived, and goes through when it is released.
    Stall(oneshot::Sender<()>, oneshot::Receiver<()>),
}

/// A store whose calls meet the fates that were set for them, in order, and pass when none is left. Its
/// clones are one store.
#[derive(Clone)]
pub struct FatedHeads<Inner> {
    inner: Inner,
    reads: Arc<Mutex<VecDeque<Fate>>>,
    swaps: Arc<Mutex<VecDeque<Fate>>>,
    keeps: Arc<Mutex<VecDeque<Fate>>>,
    forgets_forks: Arc<AtomicBool>,
}

impl<Inner> FatedHeads<Inner> {
    pub fn new(inner: Inner) -> Self {
        Self {
            inner,
            reads: Arc::default(),
            swaps: Arc::default(),
            keeps: Arc::default(),
            forgets_forks: Arc::default(),
        }
    }

    pub fn next_reads(&self, fates: impl IntoIterator<Item = Fate>) {
        self.reads.lock().unwrap().extend(fates);
    }

    pub fn next_swaps(&self, fates: impl IntoIterator<Item = Fate>) {
        self.swaps.lock().unwrap().extend(fates);
    }

    /// The fates of keeping evidence; they never stall.
    pub fn next_keeps(&self, fates: impl IntoIterator<Item = Fate>) {
        self.keeps.lock().unwrap().extend(fates);
    }

    /// From now on evidence is lost, so that a log goes on after a fork: what else refuses the other face is tested.
    pub fn forget_forks(&self) {
        self.forgets_forks.store(true, Ordering::SeqCst);
    }

    pub fn forget_fates(&self) {
        self.reads.lock().unwrap().clear();
        self.swaps.lock().unwrap().clear();
    }
}

fn next(fates: &Mutex<VecDeque<Fate>>) -> Fate {
    fates.lock().unwrap().pop_front().unwrap_or(Fate::Pass)
}

impl<Inner: HeadStore> HeadStore for FatedHeads<Inner> {
    async fn read(&self, origin: &Origin) -> Result<HeadState, StoreError> {
        // Lets other requests come between the steps of this one, as a real store does.
        tokio::task::yield_now().await;
        match next(&self.reads) {
            Fate::Pass => {}
            Fate::FailUnsaved | Fate::FailSaved => {
                return Err(StoreError::Read("set by the test".into()));
            }
            Fate::Stall(arrived, released) => {
                arrived.send(()).unwrap();
                released.await.unwrap();
            }
        }
        self.inner.read(origin).await
    }

    async fn swap(&self, origin: &Origin, expected: Option<HeadId>, new: &CosignedHead) -> Result<Swap, StoreError> {
        let failure = || Err(StoreError::Write("set by the test".into()));
        tokio::task::yield_now().await;
        match next(&self.swaps) {
            Fate::Pass => {}
            Fate::FailUnsaved => return failure(),
            Fate::FailSaved => {
                self.inner.swap(origin, expected, new).await?;
                return failure();
            }
            Fate::Stall(arrived, released) => {
                arrived.send(()).unwrap();
                released.await.unwrap();
            }
        }
        self.inner.swap(origin, expected, new).await
    }

    async fn read_to_show(&self, origin: &Origin) -> Result<HeadState, StoreError> {
        self.read(origin).await
    }

    /// Meets the next read's fate.
    async fn check(&self) -> Result<(), StoreError> {
        match next(&self.reads) {
            Fate::Pass | Fate::Stall(..) => self.inner.check().await,
            Fate::FailUnsaved | Fate::FailSaved => Err(StoreError::Read("set by the test".into())),
        }
    }
}

/// What happens to one call of a register.
#[derive(Clone, Copy)]
pub enum RegisterFate {
    /// It fails and nothing is saved.
    FailUnsaved,
    /// It fails although it was saved.
    FailSaved,
}

/// A register in memory whose next raises meet fates. Its clones are one register.
#[derive(Clone, Default)]
pub struct FatedRegister {
    value: Arc<Mutex<Option<Generation>>>,
    fates: Arc<Mutex<VecDeque<RegisterFate>>>,
    raises: Arc<AtomicUsize>,
}

impl FatedRegister {
    pub fn next_raises(&self, fates: impl IntoIterator<Item = RegisterFate>) {
        self.fates.lock().unwrap().extend(fates);
    }

    /// How often it was asked to raise.
    pub fn raises(&self) -> usize {
        self.raises.load(Ordering::SeqCst)
    }

    pub fn set(&self, value: Option<u64>) {
        *self.value.lock().unwrap() = value.map(Generation);
    }

    pub fn value(&self) -> Option<u64> {
        self.value.lock().unwrap().map(|generation| generation.0)
    }
}

impl HeadRegister for FatedRegister {
    fn read(&self) -> Result<Option<Generation>, RegisterError> {
        Ok(*self.value.lock().unwrap())
    }

    fn raise(&self, to: Generation) -> Result<(), RegisterError> {
        self.raises.fetch_add(1, Ordering::SeqCst);
        let fate = self.fates.lock().unwrap().pop_front();
        let mut value = self.value.lock().unwrap();
        match fate {
            Some(RegisterFate::FailUnsaved) => {}
            Some(RegisterFate::FailSaved) | None => *value = (*value).max(Some(to)),
        }
        if fate.is_some() { Err(RegisterError::Damaged { path: "set by the test".into() }) } else { Ok(()) }
    }
}

impl<Inner: ForkStore> ForkStore for FatedHeads<Inner> {
    async fn fork_of(&self, origin: &Origin) -> Result<Option<ForkId>, StoreError> {
        self.inner.fork_of(origin).await
    }

    async fn keep_fork(&self, evidence: &VerifiedForkEvidence, at: UnixSeconds) -> Result<Kept, StoreError> {
        if self.forgets_forks.load(Ordering::SeqCst) {
            return Ok(Kept::Already);
        }
        match next(&self.keeps) {
            Fate::Pass | Fate::Stall(..) => self.inner.keep_fork(evidence, at).await,
            Fate::FailUnsaved => Err(StoreError::Write("set by the test".into())),
            Fate::FailSaved => {
                self.inner.keep_fork(evidence, at).await?;
                Err(StoreError::Write("set by the test".into()))
            }
        }
    }

    async fn fork(&self, id: ForkId) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.fork(id).await
    }

    async fn forks(&self) -> Result<Vec<ForkId>, StoreError> {
        self.inner.forks().await
    }

    async fn cosigned_at(&self, origin: &Origin, size: TreeSize) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.cosigned_at(origin, size).await
    }
}
