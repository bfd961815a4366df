//! Copies of another time.

use super::*;

#[test]
fn every_older_copy_of_the_database_is_refused() {
    let rig = Rig::default();
    let storage = rig.open().unwrap();
    let mut images = vec![(rig.disk.image(), rig.counter.value())];
    for index in 0..4 {
        storage.append(&[entry(1, index)]).unwrap();
        images.push((rig.disk.image(), rig.counter.value()));
    }
    storage.save_vote(Vote::new(2, member())).unwrap();
    drop(storage);
    let (newest, counter) = (rig.disk.image(), rig.counter.value());
    for (image, at) in images {
        rig.disk.restore(&image);
        match rig.open().map(drop) {
            Err(OpenError::RolledBack { stored, counter: found }) => assert_eq!((stored, found), (at, counter)),
            other => panic!("{other:?}"),
        }
        assert_eq!(rig.counter.value(), counter, "refusing changes nothing");
    }
    rig.disk.restore(&newest);
    rig.open().unwrap();
}

#[test]
fn a_counter_that_is_not_the_databases_is_refused() {
    let generation = Rig::filled().counter.value();
    for (counter, accepted) in [
        (0, false),
        (generation - 2, false),
        (generation - 1, true),
        (generation, true),
        (generation + 1, false),
        (u64::MAX, false),
    ] {
        let rig = Rig::filled();
        rig.counter.set(counter);
        match rig.open().map(drop) {
            Ok(()) => assert!(accepted, "{counter}"),
            Err(OpenError::RolledBack { stored, counter: found }) => {
                assert!(!accepted, "{counter}");
                assert_eq!((stored, found), (generation, counter));
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_member_that_lost_its_disk_is_retired() {
    for counter in [1, 2, u64::MAX] {
        let rig = Rig::default();
        rig.counter.set(counter);
        match rig.open().map(drop) {
            Err(OpenError::Lost { counter: found }) => assert_eq!(found, counter),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_database_with_an_older_copy_of_one_generation_that_nobody_was_told_of_is_accepted() {
    // The member died between sync and counter; the copy of before is as good as the disk.
    let rig = Rig::filled();
    let storage = rig.open().unwrap();
    let (image, shown) = (rig.disk.image(), show(&storage));
    rig.counter.fail(crate::simulated::disk::FaultForm::NotSaved);
    storage.save_vote(Vote::new(9, member())).unwrap_err();
    drop(storage);
    rig.disk.restore(&image);
    assert_eq!(show(&rig.open().unwrap()), shown);
}

#[test]
fn a_database_that_nobody_was_told_of_does_not_replace_one_that_somebody_was() {
    // The member dies between sync and counter, and whoever keeps the disk keeps that database for later.
    let rig = Rig::filled();
    let storage = rig.open().unwrap();
    let before = rig.disk.image();
    rig.counter.fail(crate::simulated::disk::FaultForm::NotSaved);
    storage.save_vote(Vote::new(8, member())).unwrap_err();
    drop(storage);
    let kept = rig.disk.image();
    rig.disk.restore(&before);
    let storage = rig.open().unwrap();
    storage.save_vote(Vote::new(9, member())).unwrap();
    drop(storage);
    rig.disk.restore(&kept);
    match rig.open().map(drop) {
        Err(OpenError::RolledBack { .. }) => {}
        other => panic!("a vote that was told is forgotten: {other:?}"),
    }
}
