//! Ports that fail on demand, in both forms: failed and not done, failed but done.

use std::sync::{Arc, Mutex};

use countermark_bundle::identity::Digest;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::hash::LeafHash;
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::TileCoord;
use tokio::sync::watch;

use crate::ports::{
    CommitError, CreateNamespaceError, FreezeError, HeadRegister, LogKind, PortFault, PortFuture, PortName,
    RegisterError, Store, StoreReader, StoredHead, StoredPublication, TakeWriterError, TileBytes,
    UntrustedWitnessAnswer, WitnessClient, WitnessEndpoint, WitnessError, WriterEpoch, WriterId, WriterTaken,
};
use crate::sequencer::Ports;
use crate::stage::SignedBatch;

/// A call of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    CreateNamespace,
    TakeWriter,
    Commit,
    Freeze,
    Entries,
    FullTile,
    PartialTiles,
    IndexesOfIdentities,
    IndexOfLeafHash,
    RecordPublication,
    Publication,
    ReadRegister,
    CompareAndSwap,
    AddCheckpoint,
    NewestCheckpoint,
}

/// Every call that a port has.
pub(crate) const CALLS: [Call; 15] = [
    Call::CreateNamespace,
    Call::TakeWriter,
    Call::Commit,
    Call::Freeze,
    Call::Entries,
    Call::FullTile,
    Call::PartialTiles,
    Call::IndexesOfIdentities,
    Call::IndexOfLeafHash,
    Call::RecordPublication,
    Call::Publication,
    Call::ReadRegister,
    Call::CompareAndSwap,
    Call::AddCheckpoint,
    Call::NewestCheckpoint,
];

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// It was not done.
    NotDone,
    /// It was done, and the caller does not know.
    Done,
}

/// Which call fails next, and how.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Mutex<Vec<(Call, Form)>>,
    struck: Mutex<Vec<Call>>,
    held: watch::Sender<Option<Call>>,
    waiting: watch::Sender<usize>,
}

impl Faults {
    /// The next such call fails in this way.
    pub(crate) fn arm(&self, call: Call, form: Form) {
        self.armed.lock().unwrap().push((call, form));
    }

    /// Nothing fails any more.
    pub(crate) fn disarm(&self) {
        self.armed.lock().unwrap().clear();
    }

    /// The calls that did fail.
    pub(crate) fn struck(&self) -> Vec<Call> {
        self.struck.lock().unwrap().clone()
    }

    /// Every such call waits until [`Faults::release`].
    pub(crate) fn hold(&self, call: Call) {
        self.held.send_replace(Some(call));
    }

    /// Lets the calls go on that were held.
    pub(crate) fn release(&self) {
        self.held.send_replace(None);
    }

    /// Waits until so many calls have been held, in all.
    pub(crate) async fn until_held(&self, calls: usize) {
        self.waiting.subscribe().wait_for(|waiting| *waiting >= calls).await.unwrap();
    }

    async fn pass(&self, call: Call) {
        let mut held = self.held.subscribe();
        if *held.borrow() == Some(call) {
            self.waiting.send_modify(|waiting| *waiting += 1);
            held.wait_for(|held| *held != Some(call)).await.unwrap();
        }
    }

    fn strikes(&self, call: Call) -> Option<Form> {
        let mut armed = self.armed.lock().unwrap();
        let position = armed.iter().position(|(armed, _)| *armed == call)?;
        self.struck.lock().unwrap().push(call);
        Some(armed.remove(position).1)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the test wants it so")]
struct Wanted;

fn fault(port: PortName) -> PortFault {
    PortFault { port, action: "please", source: Box::new(Wanted) }
}

fn lost() -> WitnessError {
    WitnessError::Unreachable { source: Box::new(Wanted) }
}

/// The ports of `ports`, failing when `faults` say so.
pub(crate) fn faulty(ports: Ports, faults: &Arc<Faults>) -> Ports {
    Ports {
        store: Arc::new(Faulty { faults: Arc::clone(faults), inner: ports.store }),
        register: Arc::new(Faulty { faults: Arc::clone(faults), inner: ports.register }),
        witnesses: Arc::new(Faulty { faults: Arc::clone(faults), inner: ports.witnesses }),
        clock: ports.clock,
    }
}

/// A port that fails when its faults say so.
pub(crate) struct Faulty<P: ?Sized> {
    pub(crate) faults: Arc<Faults>,
    pub(crate) inner: Arc<P>,
}

impl<P: ?Sized> Faulty<P> {
    async fn call<T, E>(
        &self,
        call: Call,
        real: impl Future<Output = Result<T, E>>,
        error: impl FnOnce() -> E,
    ) -> Result<T, E> {
        self.faults.pass(call).await;
        match self.faults.strikes(call) {
            None => real.await,
            Some(Form::NotDone) => Err(error()),
            Some(Form::Done) => {
                real.await?;
                Err(error())
            }
        }
    }

    async fn store<T, E: From<PortFault>>(&self, call: Call, real: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.call(call, real, || fault(PortName::Store).into()).await
    }
}

impl Store for Faulty<dyn Store> {
    fn create_namespace<'a>(
        &'a self,
        kind: LogKind,
        first: &'a SignedBatch,
    ) -> PortFuture<'a, Result<(), CreateNamespaceError>> {
        Box::pin(self.store(Call::CreateNamespace, self.inner.create_namespace(kind, first)))
    }

    fn take_writer<'a>(
        &'a self,
        origin: &'a Origin,
        writer: WriterId,
        held: Option<WriterEpoch>,
    ) -> PortFuture<'a, Result<WriterTaken, TakeWriterError>> {
        Box::pin(self.store(Call::TakeWriter, self.inner.take_writer(origin, writer, held)))
    }

    fn commit<'a>(&'a self, epoch: WriterEpoch, batch: &'a SignedBatch) -> PortFuture<'a, Result<(), CommitError>> {
        Box::pin(self.store(Call::Commit, self.inner.commit(epoch, batch)))
    }

    fn freeze<'a>(&'a self, origin: &'a Origin) -> PortFuture<'a, Result<TreeSize, FreezeError>> {
        Box::pin(self.store(Call::Freeze, self.inner.freeze(origin)))
    }

    fn record_publication<'a>(
        &'a self,
        origin: &'a Origin,
        publication: &'a StoredPublication,
    ) -> PortFuture<'a, Result<(), PortFault>> {
        Box::pin(self.store(Call::RecordPublication, self.inner.record_publication(origin, publication)))
    }
}

impl StoreReader for Faulty<dyn Store> {
    fn entries<'a>(
        &'a self,
        origin: &'a Origin,
        from: LeafIndex,
        count: usize,
    ) -> PortFuture<'a, Result<Vec<Vec<u8>>, PortFault>> {
        Box::pin(self.store(Call::Entries, self.inner.entries(origin, from, count)))
    }

    fn full_tile<'a>(
        &'a self,
        origin: &'a Origin,
        tile: TileCoord,
    ) -> PortFuture<'a, Result<Option<Vec<u8>>, PortFault>> {
        Box::pin(self.store(Call::FullTile, self.inner.full_tile(origin, tile)))
    }

    fn partial_tiles<'a>(&'a self, origin: &'a Origin) -> PortFuture<'a, Result<Vec<TileBytes>, PortFault>> {
        Box::pin(self.store(Call::PartialTiles, self.inner.partial_tiles(origin)))
    }

    fn indexes_of_identities<'a>(
        &'a self,
        origin: &'a Origin,
        identities: &'a [Digest],
    ) -> PortFuture<'a, Result<Vec<Option<LeafIndex>>, PortFault>> {
        Box::pin(self.store(Call::IndexesOfIdentities, self.inner.indexes_of_identities(origin, identities)))
    }

    fn index_of_leaf_hash<'a>(
        &'a self,
        origin: &'a Origin,
        leaf_hash: LeafHash,
    ) -> PortFuture<'a, Result<Option<LeafIndex>, PortFault>> {
        Box::pin(self.store(Call::IndexOfLeafHash, self.inner.index_of_leaf_hash(origin, leaf_hash)))
    }

    fn publications<'a>(
        &'a self,
        origin: &'a Origin,
        up_to: TreeSize,
        count: usize,
    ) -> PortFuture<'a, Result<Vec<StoredPublication>, PortFault>> {
        Box::pin(self.store(Call::Publication, self.inner.publications(origin, up_to, count)))
    }
}

impl HeadRegister for Faulty<dyn HeadRegister> {
    fn read<'a>(&'a self, origin: &'a Origin) -> PortFuture<'a, Result<Option<StoredHead>, PortFault>> {
        Box::pin(self.call(Call::ReadRegister, self.inner.read(origin), || fault(PortName::HeadRegister)))
    }

    fn compare_and_swap<'a>(
        &'a self,
        origin: &'a Origin,
        expected: Option<&'a StoredHead>,
        head: &'a StoredHead,
    ) -> PortFuture<'a, Result<(), RegisterError>> {
        let real = self.inner.compare_and_swap(origin, expected, head);
        Box::pin(self.call(Call::CompareAndSwap, real, || fault(PortName::HeadRegister).into()))
    }
}

impl WitnessClient for Faulty<dyn WitnessClient> {
    fn add_checkpoint<'a>(
        &'a self,
        witness: &'a WitnessEndpoint,
        body: Vec<u8>,
    ) -> PortFuture<'a, Result<UntrustedWitnessAnswer, WitnessError>> {
        Box::pin(self.call(Call::AddCheckpoint, self.inner.add_checkpoint(witness, body), lost))
    }

    fn newest_checkpoint<'a>(
        &'a self,
        witness: &'a WitnessEndpoint,
        origin: &'a Origin,
    ) -> PortFuture<'a, Result<Option<Vec<u8>>, WitnessError>> {
        Box::pin(self.call(Call::NewestCheckpoint, self.inner.newest_checkpoint(witness, origin), lost))
    }
}
