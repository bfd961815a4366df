use std::sync::Arc;
use std::time::Duration;

use countermark_tlog::checkpoint::Checkpoint;
use countermark_tlog::hash::Hash;
use countermark_tlog::note::{NoteSignature, SignatureType, SignedNote};

use super::*;
use crate::sequencer::{Ended, NamespaceHandle, StartError, SubmitError, SubmitFault, WaitLevel, start};
use crate::store::memory::{Flip, MemoryStore};
use crate::testing::audit::audit;
use crate::testing::faulty::{Call, Faults, Form, faulty};
use crate::testing::world::{ORIGIN, entry};
use crate::testing::{Manner, World};

const LONG: Duration = Duration::from_mins(10);

/// Whether a namespace is refused for the right reason.
type Expected = fn(&LoadError) -> bool;

/// A log of five entries in a store, published and stopped.
async fn stopped_log(world: &World) -> Arc<MemoryStore> {
    let (store, handle) = world.served().await;
    grow(world, &handle, 0..4).await;
    handle.shutdown().await;
    store
}

async fn grow(world: &World, handle: &NamespaceHandle, numbers: std::ops::Range<u64>) {
    for number in numbers {
        handle.submit(entry(&world.evidence(number)), WaitLevel::Published, LONG).await.unwrap();
    }
}

/// Why the namespace is not started.
async fn refused(world: &World, store: &Arc<MemoryStore>) -> LoadError {
    match start(world.settings(), world.ports(store.clone())).await {
        Err(StartError::Load(failure)) => failure,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the namespace was started"),
    }
}

/// A head of this log that its key signed.
fn signed(world: &World, size: u64, root: [u8; 32]) -> StoredHead {
    let head = Checkpoint { origin: world.origin(), size: TreeSize::new(size).unwrap(), root: RootHash(Hash(root)) };
    let text = head.text();
    let key = world.log.vkey(ORIGIN, SignatureType::Ed25519);
    let line = NoteSignature::new(&key, &world.log.make_signature(text.as_bytes()));
    let checkpoint = SignedNote::new(&text, vec![line]).unwrap().to_bytes();
    StoredHead { size: head.size, root: head.root, checkpoint }
}

#[tokio::test(start_paused = true)]
async fn a_restart_shows_what_was_published_before_any_witness_answers() {
    let world = World::new();
    let store = stopped_log(&world).await;
    for witness in 0..4 {
        world.witnesses.behave(world.url(witness), Manner::Hangs);
    }
    let handle = world.start(store.clone()).await;
    let published = handle.published().unwrap();
    assert_eq!((published.size.get(), published.state.size().get(), handle.committed().0.get()), (5, 5, 5));
    audit(&world, store.as_ref()).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_was_never_created_does_not_begin_by_itself() {
    let world = World::new();
    let failure = refused(&world, &Arc::new(MemoryStore::default())).await;
    assert!(matches!(failure, LoadError::TakeWriter(TakeWriterError::Missing { .. })), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn an_older_database_is_refused_and_both_heads_are_named() {
    let world = World::new();
    let (store, handle) = world.served().await;
    grow(&world, &handle, 0..2).await;
    let (_, old_root) = handle.committed();
    let backup = store.snapshot();
    grow(&world, &handle, 2..4).await;
    let (_, new_root) = handle.committed();
    handle.shutdown().await;
    let restored = Arc::new(backup);
    let failure = refused(&world, &restored).await;
    assert!(matches!(failure, LoadError::RegisterAhead { .. }), "{failure}");
    let message = failure.to_string();
    for named in ["size 5", "size 3", &old_root.0.to_base64(), &new_root.0.to_base64()] {
        assert!(message.contains(named), "{message}");
    }

    // The register was restored with it: the witnesses still know.
    let origin = world.origin();
    let old = world.register.history(&origin)[2].clone();
    world.register.force(&origin, Some(old));
    let failure = refused(&world, &restored).await;
    assert!(matches!(&failure, LoadError::WitnessAhead { .. }), "{failure}");
    let message = failure.to_string();
    for named in ["example", "size 5", "size 3", &old_root.0.to_base64(), &new_root.0.to_base64()] {
        assert!(message.contains(named), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_forked_register_or_witness_is_refused() {
    let world = World::new();
    let store = stopped_log(&world).await;
    let fork = signed(&world, 3, [9; 32]);
    world.witnesses.show(world.url(2), &fork.checkpoint);
    let failure = refused(&world, &store).await;
    assert!(matches!(&failure, LoadError::WitnessContradicts { witness, .. } if witness == "w2.example"), "{failure}");
    world.register.force(&world.origin(), Some(fork));
    let failure = refused(&world, &store).await;
    assert!(matches!(failure, LoadError::RegisterContradicts { .. }), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_witness_that_shows_what_the_log_never_signed_stops_nobody() {
    let world = World::new();
    let store = stopped_log(&world).await;
    let mut forged = signed(&world, 77, [9; 32]).checkpoint;
    let end = forged.len() - 5;
    forged[end] = if forged[end] == b'A' { b'B' } else { b'A' };
    world.witnesses.show(world.url(0), &forged);
    for (witness, manner) in [(1, Manner::Garbage), (2, Manner::Unreachable), (3, Manner::Hangs)] {
        world.witnesses.behave(world.url(witness), manner);
    }
    assert_eq!(world.start(store).await.committed().0.get(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_register_that_a_crash_left_behind_is_moved() {
    let world = World::new();
    let store = stopped_log(&world).await;
    let origin = world.origin();
    let history = world.register.history(&origin);
    for behind in [4, 1] {
        world.register.force(&origin, Some(history[behind - 1].clone()));
        let handle = world.start(store.clone()).await;
        assert_eq!(world.register.history(&origin).last(), history.last());
        handle.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_register_that_the_writer_before_moves_meanwhile_is_no_hindrance() {
    let world = World::new();
    let store = stopped_log(&world).await;
    let origin = world.origin();
    let newest = world.register.history(&origin).pop().unwrap();
    world.register.force(&origin, Some(signed(&world, 0, countermark_tlog::hash::empty_root().0.0)));
    let faults = Arc::new(Faults::default());
    faults.hold(Call::CompareAndSwap);
    let ports = faulty(world.ports(store), &faults);
    let starting = tokio::spawn(crate::sequencer::start(world.settings(), ports));
    faults.until_held(1).await;
    // It was taken over between its commit and the register, and finishes now.
    world.register.force(&origin, Some(newest));
    faults.release();
    let (handle, _) = starting.await.unwrap().unwrap();
    assert_eq!(handle.committed().0.get(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_lost_register_is_refused_once_the_log_has_grown() {
    let world = World::new();
    let store = Arc::new(MemoryStore::default());
    let faults = Arc::new(Faults::default());
    faults.arm(Call::CompareAndSwap, Form::NotDone);
    let ports = faulty(world.ports(store.clone()), &faults);
    let first = vec![world.first_entry()];
    assert!(crate::sequencer::create(&world.settings(), first, &ports).await.is_err());
    // A crash between creating and registering.
    let handle = world.start(store.clone()).await;
    grow(&world, &handle, 0..1).await;
    handle.shutdown().await;
    world.register.force(&world.origin(), None);
    let failure = refused(&world, &store).await;
    assert!(matches!(failure, LoadError::RegisterMissing { .. }), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_register_that_holds_no_head_of_this_log_is_refused() {
    let world = World::new();
    let store = stopped_log(&world).await;
    let newest = world.register.history(&world.origin()).pop().unwrap();
    let mut unsigned = newest.clone();
    unsigned.checkpoint = b"nonsense".to_vec();
    world.register.force(&world.origin(), Some(unsigned));
    let failure = refused(&world, &store).await;
    assert!(matches!(failure, LoadError::Checkpoint { holder: HeadHolder::HeadRegister, .. }), "{failure}");
    let other = StoredHead { size: TreeSize::new(4).unwrap(), ..newest };
    world.register.force(&world.origin(), Some(other));
    let failure = refused(&world, &store).await;
    assert!(matches!(failure, LoadError::OtherCheckpoint { holder: HeadHolder::HeadRegister, .. }), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_register_that_moves_meanwhile_is_refused() {
    let world = World::new();
    let store = stopped_log(&world).await;
    let origin = world.origin();
    let history = world.register.history(&origin);
    world.register.force(&origin, Some(history[0].clone()));
    let faults = Arc::new(Faults::default());
    faults.hold(Call::CompareAndSwap);
    let ports = faulty(world.ports(store.clone()), &faults);
    let starting = tokio::spawn(start(world.settings(), ports));
    faults.until_held(1).await;
    world.register.force(&origin, Some(history[1].clone()));
    faults.release();
    let failure = starting.await.unwrap().map(|_| ()).unwrap_err();
    assert!(matches!(failure, StartError::Load(LoadError::RegisterMoved)), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_contradicts_itself_is_refused() {
    let world = World::new();
    let cases: [(Flip, Expected); 9] = [
        (Flip::Entry(2), |failure| matches!(failure, LoadError::Rule { index, .. } if index.get() == 2)),
        (Flip::EntrySpace(2), |failure| matches!(failure, LoadError::RootMismatch { recomputed_from: "entries", .. })),
        (Flip::LostEntry, |failure| matches!(failure, LoadError::EntryCount { found: 4, .. })),
        (Flip::ExtraEntry(world.evidence(99).write()), |failure| {
            matches!(failure, LoadError::EntryCount { found: 6, .. })
        }),
        (Flip::PartialTile, |failure| matches!(failure, LoadError::RootMismatch { recomputed_from: "right edge", .. })),
        (Flip::Checkpoint, |failure| matches!(failure, LoadError::Checkpoint { holder: HeadHolder::Database, .. })),
        (Flip::Size, |failure| matches!(failure, LoadError::OtherCheckpoint { .. })),
        (Flip::Root, |failure| matches!(failure, LoadError::OtherCheckpoint { .. })),
        (Flip::Publication, |failure| matches!(failure, LoadError::Publication { .. })),
    ];
    let whole = stopped_log(&world).await;
    for (flip, expected) in cases {
        let broken = Arc::new(whole.snapshot());
        broken.flip(&world.origin(), flip.clone());
        let failure = refused(&world, &broken).await;
        assert!(expected(&failure), "{flip:?}: {failure:?}");
        assert!(!failure.is_fault());
    }
    assert_eq!(world.start(whole).await.committed().0.get(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_fails_at_start_is_a_fault() {
    let world = World::new();
    let store = stopped_log(&world).await;
    for call in [Call::TakeWriter, Call::Entries, Call::PartialTiles, Call::Publication, Call::ReadRegister] {
        let faults = Arc::new(Faults::default());
        faults.arm(call, Form::NotDone);
        let failure =
            start(world.settings(), faulty(world.ports(store.clone()), &faults)).await.map(|_| ()).unwrap_err();
        assert!(matches!(&failure, StartError::Load(failure) if failure.is_fault()), "{call:?}: {failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_has_shown_more_than_the_database_has_stops() {
    let world = World::new();
    let store = Arc::new(MemoryStore::default());
    world.create(store.clone()).await;
    let (handle, ended) = start(world.settings(), world.ports(store.clone())).await.unwrap();
    grow(&world, &handle, 0..2).await;
    let older = store.snapshot();
    let registered = world.register.history(&world.origin()).pop();
    grow(&world, &handle, 2..4).await;
    // Both are put back under the running process.
    store.restore(older);
    world.register.force(&world.origin(), registered);
    let failed = handle.submit(entry(&world.evidence(9)), WaitLevel::Committed, LONG).await;
    assert!(matches!(failed, Err(SubmitError::Fault { reason: SubmitFault::Unknown })), "{failed:?}");
    let ended = ended.await.unwrap();
    assert!(matches!(ended, Ended::Contradiction(LoadError::Shrunk { .. })), "{ended}");
}
