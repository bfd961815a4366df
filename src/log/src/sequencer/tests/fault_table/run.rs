//! One row of the table: a log's life with one fault in it.

use std::sync::Arc;
use std::time::Duration;

use countermark_bundle::identity::Digest;
use countermark_tlog::hash::leaf_hash;
use countermark_tlog::size::LeafIndex;
use countermark_tlog::tile::TileCoord;

use super::{Moment, Next, Place, Row};
use crate::admit::Refusal;
use crate::ports::{CreateNamespaceError, FreezeError, LogKind, PortFault, Store, WriterId};
use crate::proofs::ReadError;
use crate::sequencer::{
    CreateError, NamespaceHandle, Ports, StartError, SubmitError, SubmitFault, WaitLevel, create, start,
};
use crate::testing::World;
use crate::testing::audit::audit;
use crate::testing::faulty::{Call, Faults, Form, faulty};

/// Far more than anything here takes.
const LONG: Duration = Duration::from_mins(1);
/// The number of the submission that the fault meets.
const MET: u64 = 1_000;
/// How often anything is tried before the test gives up.
const TRIES: usize = 5;

/// A process: its ports, and the handle while it serves.
struct Process {
    ports: Ports,
    store: Arc<dyn Store>,
    handle: Option<NamespaceHandle>,
}

struct Life<'a> {
    world: World,
    place: &'a dyn Place,
    faults: Arc<Faults>,
    process: Process,
    /// What was acknowledged: number, entry, index.
    acknowledged: Vec<(u64, Vec<u8>, LeafIndex)>,
}

pub(super) async fn run(place: &dyn Place, row: Row) {
    let world = match row.kind {
        LogKind::FleetKeys => World::new(),
        LogKind::Raw => World::raw(),
    };
    let faults = Arc::new(Faults::default());
    let process = opened(&world, place, &faults).await;
    let mut life = Life { world, place, faults, process, acknowledged: Vec::new() };
    life.until(row.moment).await;
    life.arm(row);
    life.attempt(row).await;
    assert_eq!(life.faults.struck().last(), Some(&row.call), "the fault did not strike");
    life.faults.disarm();
    match row.next {
        Next::Retry => life.attempt(row).await,
        Next::New => life.submit(MET + 1).await,
        Next::Restart => life.restart().await,
    }
    life.audit().await;
    life.live_on(row).await;
}

async fn opened(world: &World, place: &dyn Place, faults: &Arc<Faults>) -> Process {
    let store = place.open().await;
    let ports = faulty(world.ports(Arc::clone(&store)), faults);
    Process { ports, store, handle: None }
}

impl Life<'_> {
    /// Everything that comes before the moment.
    async fn until(&mut self, moment: Moment) {
        if moment == Moment::Create {
            return;
        }
        self.create().await;
        self.start().await;
        // A raw log is about to have a full tile, or has one; of the other kind every start verifies all entries again.
        let entries = match (self.world.kind, moment) {
            (LogKind::Raw, Moment::Submit | Moment::Reload) => 255,
            (LogKind::Raw, Moment::Read) => 257,
            (LogKind::Raw | LogKind::FleetKeys, _) => 3,
        };
        let handle = self.process.handle.clone().unwrap();
        let all = (0..entries).map(|number| {
            let (handle, submission) = (handle.clone(), self.world.numbered(number).1);
            tokio::spawn(async move { handle.submit(submission, WaitLevel::Published, LONG).await })
        });
        for (number, submitted) in (0..).zip(all.collect::<Vec<_>>()) {
            let index = submitted.await.unwrap().unwrap().index;
            self.acknowledged.push((number, self.world.numbered(number).0, index));
        }
        match moment {
            Moment::Start => self.kill().await,
            Moment::StartBehind => {
                self.faults.arm(Call::CompareAndSwap, Form::NotDone);
                self.faults.hold(Call::TakeWriter);
                let (handle, submission) = (handle.clone(), self.world.numbered(900).1);
                let waiting = tokio::spawn(async move { handle.submit(submission, WaitLevel::Committed, LONG).await });
                self.faults.until_held(1).await;
                waiting.abort();
                self.kill().await;
                // The one that was killed takes nothing over any more.
                self.faults = Arc::new(Faults::default());
                self.process = opened(&self.world, self.place, &self.faults).await;
            }
            // A new process has no tile in memory.
            Moment::Read => self.restart().await,
            Moment::Repeat => self.submit(MET).await,
            Moment::Create | Moment::Submit | Moment::Reload | Moment::Freeze => {}
        }
    }

    fn arm(&self, row: Row) {
        match row.moment {
            // The same calls come before it: armed when they are past.
            Moment::Reload => {
                self.faults.arm(Call::Commit, Form::Done);
                self.faults.hold(Call::TakeWriter);
            }
            Moment::Create
            | Moment::Start
            | Moment::StartBehind
            | Moment::Submit
            | Moment::Repeat
            | Moment::Read
            | Moment::Freeze => self.faults.arm(row.call, row.form),
        }
    }

    /// Does once what belongs to the moment, whatever comes of it.
    async fn attempt(&mut self, row: Row) {
        match row.moment {
            Moment::Create => self.try_create().await,
            Moment::Start | Moment::StartBehind => self.try_start().await,
            Moment::Submit | Moment::Repeat => self.try_submit(MET).await,
            Moment::Reload => {
                let release = async {
                    self.faults.until_held(1).await;
                    if self.faults.struck().last() == Some(&Call::Commit) {
                        self.faults.arm(row.call, row.form);
                    }
                    self.faults.release();
                };
                let handle = self.process.handle.clone().unwrap();
                let (bytes, submission) = self.world.numbered(MET);
                let (submitted, ()) = tokio::join!(handle.submit(submission, WaitLevel::Published, LONG), release);
                self.note(MET, bytes, submitted.map(|submitted| submitted.index));
            }
            Moment::Read => self.read(row.call).await,
            Moment::Freeze => {
                let frozen = self.process.ports.store.freeze(&self.world.origin()).await;
                assert!(matches!(frozen, Ok(_) | Err(FreezeError::Fault(_))), "{frozen:?}");
            }
        }
    }

    async fn try_create(&self) {
        let made = create(&self.world.settings(), self.world.first_entries(), &self.process.ports).await;
        match made {
            Ok(_)
            | Err(
                CreateError::Register(_)
                | CreateError::AlreadyRegistered { .. }
                | CreateError::Store(CreateNamespaceError::Fault(_) | CreateNamespaceError::AlreadyExists { .. }),
            ) => {}
            Err(other) => panic!("{other}"),
        }
    }

    async fn create(&self) {
        for _ in 0..TRIES {
            self.try_create().await;
            let heads = self.process.store.take_writer(&self.world.origin(), WriterId([9; 16]), None).await;
            if heads.is_ok() {
                return;
            }
        }
        panic!("the log was not made");
    }

    async fn try_start(&mut self) {
        match start(self.world.settings(), self.process.ports.clone()).await {
            Ok((handle, _)) => self.process.handle = Some(handle),
            Err(StartError::Load(failure)) if failure.is_fault() => {}
            Err(other) => panic!("{other}"),
        }
    }

    async fn start(&mut self) {
        for _ in 0..TRIES {
            if self.process.handle.is_some() {
                return;
            }
            self.try_start().await;
        }
        panic!("the log was not started");
    }

    /// Nothing is shut down: what was being done is left as it is.
    async fn kill(&mut self) {
        self.process = opened(&self.world, self.place, &self.faults).await;
    }

    async fn restart(&mut self) {
        self.kill().await;
        self.create().await;
        self.start().await;
    }

    async fn serving(&mut self) -> NamespaceHandle {
        if self.process.handle.is_none() {
            self.create().await;
            self.start().await;
        }
        self.process.handle.clone().unwrap()
    }

    async fn try_submit(&mut self, number: u64) {
        let handle = self.serving().await;
        let (bytes, submission) = self.world.numbered(number);
        let submitted = handle.submit(submission, WaitLevel::Published, LONG).await;
        self.note(number, bytes, submitted.map(|submitted| submitted.index));
    }

    /// Submits until it is acknowledged, or the log is frozen.
    async fn submit(&mut self, number: u64) {
        for _ in 0..TRIES {
            self.try_submit(number).await;
            let acknowledged = self.acknowledged.iter().any(|(one, ..)| *one == number);
            if acknowledged || self.is_frozen() {
                return;
            }
        }
        panic!("entry {number} was not taken");
    }

    fn is_frozen(&self) -> bool {
        let handle = self.process.handle.as_ref();
        handle.is_some_and(|handle| handle.state() == crate::sequencer::OwnerState::Frozen)
    }

    /// Notes an acknowledgement; a failure must be one that says to try again.
    fn note(&mut self, number: u64, bytes: Vec<u8>, submitted: Result<LeafIndex, SubmitError>) {
        match submitted {
            Ok(index) => {
                let registered = self.world.register.history(&self.world.origin());
                assert!(index.is_in(registered.last().unwrap().size), "acknowledged before it was registered");
                for (_, _, before) in self.acknowledged.iter().filter(|(one, ..)| *one == number) {
                    assert_eq!(*before, index, "acknowledged twice, at two places");
                }
                self.acknowledged.push((number, bytes, index));
            }
            Err(
                SubmitError::Fault { reason: SubmitFault::NotKept | SubmitFault::Unknown }
                | SubmitError::Refused(Refusal::Frozen { .. }),
            ) => {}
            Err(other) => panic!("{other}"),
        }
    }

    /// One read that makes the call.
    async fn read(&mut self, call: Call) {
        let handle = self.serving().await;
        let (_, bytes, index) = self.acknowledged[0].clone();
        let read: Result<(), ReadError> = match call {
            Call::Entries => handle.entry(index).await.map(|found| assert_eq!(found.unwrap()[..], bytes[..])),
            Call::FullTile => {
                let tile = TileCoord::new(0, 0, 256).unwrap();
                handle.tile(tile).await.map(|found| assert!(found.is_some()))
            }
            Call::IndexOfLeafHash => {
                handle.index_of_leaf_hash(leaf_hash(&bytes)).await.map(|found| assert_eq!(found, Some(index)))
            }
            _ => {
                let identity = match self.world.kind {
                    LogKind::Raw => Digest(leaf_hash(&bytes).0.0),
                    LogKind::FleetKeys => countermark_bundle::entry::Entry::parse(&bytes).unwrap().identity(),
                };
                handle.index_of_identity(identity).await.map(|found| assert_eq!(found, Some(index)))
            }
        };
        assert!(matches!(read, Ok(()) | Err(ReadError::Store(PortFault { .. }))), "{read:?}");
    }

    /// The full check of the log from entry bytes, and everything acknowledged is there.
    async fn audit(&self) {
        if self.acknowledged.is_empty() {
            return;
        }
        let entries = audit(&self.world, self.process.store.as_ref()).await;
        for (number, bytes, index) in &self.acknowledged {
            let found = entries.get(usize::try_from(index.get()).unwrap());
            assert_eq!(found, Some(bytes), "acknowledged entry {number} is gone");
        }
    }

    /// Whatever happened: what the fault met is taken, then something new, and another process finds the same.
    async fn live_on(&mut self, row: Row) {
        if row.moment == Moment::Freeze {
            return self.frozen_for_good().await;
        }
        self.submit(MET).await;
        self.submit(MET + 2).await;
        self.audit().await;
        self.restart().await;
        self.submit(MET).await;
        self.submit(MET + 3).await;
        self.audit().await;
        let before = audit(&self.world, self.process.store.as_ref()).await.len();
        for number in [MET, MET + 2, MET + 3] {
            self.submit(number).await;
        }
        assert_eq!(audit(&self.world, self.process.store.as_ref()).await.len(), before, "an entry is there twice");
        assert_eq!(
            self.process.handle.as_ref().unwrap().published().unwrap().size.get(),
            u64::try_from(before).unwrap()
        );
    }

    async fn frozen_for_good(&mut self) {
        let size = self.process.store.freeze(&self.world.origin()).await.unwrap();
        for _ in 0..2 {
            self.try_submit(MET + 9).await;
            self.try_submit(0).await;
            self.audit().await;
            assert!(self.is_frozen());
            assert_eq!(self.process.handle.as_ref().unwrap().committed().0, size);
            self.restart().await;
        }
    }
}
