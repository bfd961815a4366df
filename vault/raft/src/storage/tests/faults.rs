//! Every step of making something durable fails once, in both forms: failed and not saved, failed but saved.

use countermark_vault_core::device::{DeviceFault, SealedStore, UnsealError};
use zeroize::Zeroizing;

use super::*;
use crate::simulated::disk::{Fault, FaultForm};
use crate::simulated::random::Random;

const STEPS: [(&str, Step); 5] = [
    ("vote", |storage| storage.save_vote(Vote::new(2, member()))),
    ("append", |storage| storage.append(&(6..=9).map(|index| entry(1, index)).collect::<Vec<_>>())),
    ("truncate", |storage| storage.truncate(4)),
    ("purge", |storage| storage.purge(log_id(1, 3))),
    ("snapshot", |storage| storage.save_snapshot(&meta(4), &snapshot_bytes(4))),
];

const FORMS: [FaultForm; 2] = [FaultForm::NotSaved, FaultForm::SavedNevertheless];

/// The state before the step, and the one after it.
fn both(step: Step) -> (Shown, Shown) {
    let storage = Rig::filled().open().unwrap();
    let before = show(&storage);
    step(&storage).unwrap();
    (before, show(&storage))
}

fn assert_stopped(storage: &Storage) {
    assert!(storage.is_stopped());
    assert!(matches!(storage.vote(), Err(StorageFault::Stopped)));
    assert!(matches!(storage.entries(.., 1), Err(StorageFault::Stopped)));
    assert!(matches!(storage.snapshot().map(drop), Err(StorageFault::Stopped)));
    for (_, step) in STEPS {
        assert!(matches!(step(storage), Err(StorageFault::Stopped)));
    }
}

#[test]
fn a_fault_of_the_disk_stops_the_storage_and_a_restart_has_the_old_state_or_the_new_one() {
    for (name, step) in STEPS {
        let (before, after) = both(step);
        let changes = {
            let rig = Rig::filled();
            let storage = rig.open().unwrap();
            let start = rig.disk.changes();
            step(&storage).unwrap();
            rig.disk.changes() - start
        };
        assert!(changes >= 2, "a write and a sync");
        let mut saved = 0;
        for (fault, form) in (0..changes).flat_map(|after| FORMS.map(|form| (after, form))) {
            let rig = Rig::filled();
            let storage = rig.open().unwrap();
            rig.disk.fail(Fault { after: fault, form });
            let told = step(&storage);
            if told.is_err() {
                assert_stopped(&storage);
            }
            rig.disk.crash(&mut Random::new(fault));
            drop(storage);
            let shown = show(&rig.open().unwrap());
            assert!(shown == after || (told.is_err() && shown == before), "{name}, {fault}, {form:?}: {told:?}");
            saved += u32::from(shown == after);
        }
        assert!(saved > 0, "{name}: no fault saved what it reported as failed");
    }
}

#[test]
fn a_fault_of_the_counter_stops_the_storage_and_a_restart_has_the_new_state() {
    for ((name, step), form) in STEPS.into_iter().flat_map(|step| FORMS.map(|form| (step, form))) {
        let (_, after) = both(step);
        let rig = Rig::filled();
        let storage = rig.open().unwrap();
        let generation = rig.counter.value();
        rig.counter.fail(form);
        assert!(matches!(step(&storage), Err(StorageFault::Device(_))), "{name}");
        assert_stopped(&storage);
        rig.disk.crash_keeping(|_| false);
        drop(storage);
        // The database was synced before the counter was touched: opening it finishes the step.
        assert_eq!(show(&rig.open().unwrap()), after, "{name}, {form:?}");
        assert_eq!(rig.counter.value(), generation + 2, "the step's, and the one that each start uses up");
    }
}

#[test]
fn a_crash_loses_nothing_that_was_told() {
    for ((name, step), seed) in STEPS.into_iter().flat_map(|step| (0..8).map(move |seed| (step, seed))) {
        let (_, after) = both(step);
        let rig = Rig::filled();
        let storage = rig.open().unwrap();
        step(&storage).unwrap();
        rig.disk.crash(&mut Random::new(seed));
        drop(storage);
        assert_eq!(show(&rig.open().unwrap()), after, "{name}");
    }
}

/// Fails to seal once.
struct FailingSealer(std::sync::atomic::AtomicBool);

impl SealedStore for FailingSealer {
    fn seal(&self, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, DeviceFault> {
        if self.0.swap(false, std::sync::atomic::Ordering::SeqCst) {
            return Err(DeviceFault { part: "the simulated device" });
        }
        Sealer(1).seal(context, plaintext)
    }

    fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        Sealer(1).unseal(context, sealed)
    }
}

#[test]
fn a_fault_of_the_device_stops_the_storage_and_a_restart_has_the_old_state() {
    for (name, step) in STEPS {
        let (before, _) = both(step);
        let rig = Rig::filled();
        let sealer = Arc::new(FailingSealer(false.into()));
        let open = |sealer: &Arc<FailingSealer>| {
            Storage::open(rig.disk.backend(), sealer.clone(), Box::new(rig.counter.clone()), [1; 32])
        };
        let storage = open(&sealer).unwrap();
        sealer.0.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(matches!(step(&storage), Err(StorageFault::Device(_))), "{name}");
        assert_stopped(&storage);
        drop(storage);
        assert_eq!(show(&open(&sealer).unwrap()), before, "{name}");
    }
}

#[test]
fn a_member_that_died_while_it_was_made_is_made_again() {
    // The database itself is made by `file_backend`, under another name.
    let make_database = |rig: &Rig| drop(redb::Builder::new().create_with_backend(rig.disk.backend()).unwrap());
    let changes = {
        let rig = Rig::default();
        make_database(&rig);
        let start = rig.disk.changes();
        drop(rig.open().unwrap());
        rig.disk.changes() - start
    };
    for (fault, form) in (0..changes).flat_map(|after| FORMS.map(|form| (after, form))) {
        let rig = Rig::default();
        make_database(&rig);
        rig.disk.fail(Fault { after: fault, form });
        drop(rig.open());
        rig.disk.crash_keeping(|_| false);
        let storage = rig.open().unwrap_or_else(|error| panic!("{fault}, {form:?}: {error}"));
        fill(&storage);
    }
}
