//! Single rows that somebody else wrote, restored or took away.

use redb::{Database, ReadableDatabase as _, ReadableTable as _};

use super::super::StoragePart;
use super::super::rows::{HEAD, HEAD_KEY, LOG, SNAPSHOT};
use super::*;
use crate::simulated::random::Random;

/// All rows of a database, sealed as they are.
struct Rows {
    head: (u64, Vec<u8>),
    log: Vec<(u64, Vec<u8>)>,
    snapshot: Vec<(u64, Vec<u8>)>,
}

fn database(rig: &Rig) -> Database {
    redb::Builder::new().create_with_backend(rig.disk.backend()).unwrap()
}

fn rows(rig: &Rig) -> Rows {
    let database = database(rig);
    let transaction = database.begin_read().unwrap();
    let table = |definition| {
        let table = transaction.open_table(definition).unwrap();
        let rows = table.iter().unwrap().map(|row| row.unwrap());
        rows.map(|(key, value): (redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, &[u8]>)| {
            (key.value(), value.value().to_vec())
        })
        .collect()
    };
    let head = transaction.open_table(HEAD).unwrap();
    let head = head.get(HEAD_KEY).unwrap().unwrap();
    Rows { head: (head.value().0, head.value().1.to_vec()), log: table(LOG), snapshot: table(SNAPSHOT) }
}

fn write(rig: &Rig, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = database(rig);
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

fn refuses(rig: &Rig, expect: StoragePart, case: &str) {
    match rig.open().map(drop) {
        Err(OpenError::Changed { part }) => assert_eq!(part, expect, "{case}"),
        other => panic!("{case}: {other:?}"),
    }
}

/// A rig, and its rows from an earlier time with other entries 4 and 5 and another snapshot.
fn rig_with_a_past() -> (Rig, Rows) {
    let rig = Rig::filled();
    let past = rows(&rig);
    let storage = rig.open().unwrap();
    storage.truncate(4).unwrap();
    storage.append(&[entry(2, 4), entry(2, 5)]).unwrap();
    storage.save_snapshot(&meta(3), &snapshot_bytes(3)).unwrap();
    drop(storage);
    (rig, past)
}

#[test]
fn a_single_older_row_of_the_log_is_refused() {
    for index in [4, 5] {
        let (rig, past) = rig_with_a_past();
        let (_, old) = past.log.iter().find(|(key, _)| *key == index).unwrap();
        write(&rig, |transaction| {
            transaction.open_table(LOG).unwrap().insert(index, old.as_slice()).unwrap();
        });
        refuses(&rig, StoragePart::Log, &format!("entry {index}"));
    }
    // All entries of before, as a consistent log: the head names another end.
    let (rig, past) = rig_with_a_past();
    write(&rig, |transaction| {
        for (index, row) in &past.log {
            transaction.open_table(LOG).unwrap().insert(index, row.as_slice()).unwrap();
        }
    });
    refuses(&rig, StoragePart::Log, "the whole log");
}

#[test]
fn a_missing_a_moved_and_an_added_row_of_the_log_are_refused() {
    for index in 2..=5 {
        let (rig, _) = rig_with_a_past();
        write(&rig, |transaction| drop(transaction.open_table(LOG).unwrap().remove(index).unwrap()));
        refuses(&rig, StoragePart::Log, &format!("without {index}"));
    }
    for (from, to) in [(2_u64, 6_u64), (5, 6), (2, 1), (5, 4)] {
        let (rig, _) = rig_with_a_past();
        let row = rows(&rig).log.into_iter().find(|(key, _)| *key == from).unwrap().1;
        write(&rig, |transaction| {
            transaction.open_table(LOG).unwrap().insert(to, row.as_slice()).unwrap();
        });
        refuses(&rig, StoragePart::Log, &format!("{from} at {to}"));
    }
}

#[test]
fn a_purged_row_that_is_put_back_is_refused() {
    let rig = Rig::default();
    let storage = rig.open().unwrap();
    storage.append(&(0..=5).map(|index| entry(1, index)).collect::<Vec<_>>()).unwrap();
    drop(storage);
    let past = rows(&rig);
    let storage = rig.open().unwrap();
    storage.purge(log_id(1, 1)).unwrap();
    drop(storage);
    write(&rig, |transaction| {
        transaction.open_table(LOG).unwrap().insert(1, past.log[1].1.as_slice()).unwrap();
    });
    refuses(&rig, StoragePart::Log, "entry 1");
}

#[test]
fn an_older_a_missing_and_an_added_row_of_the_snapshot_are_refused() {
    for part in [0, 1] {
        let (rig, past) = rig_with_a_past();
        let (_, old) = &past.snapshot[usize::try_from(part).unwrap()];
        write(&rig, |transaction| {
            transaction.open_table(SNAPSHOT).unwrap().insert(part, old.as_slice()).unwrap();
        });
        refuses(&rig, StoragePart::Snapshot, &format!("part {part}"));
        let (rig, _) = rig_with_a_past();
        write(&rig, |transaction| drop(transaction.open_table(SNAPSHOT).unwrap().remove(part).unwrap()));
        refuses(&rig, StoragePart::Snapshot, &format!("without part {part}"));
    }
    let (rig, _) = rig_with_a_past();
    let row = rows(&rig).snapshot.swap_remove(1).1;
    write(&rig, |transaction| {
        transaction.open_table(SNAPSHOT).unwrap().insert(2, row.as_slice()).unwrap();
    });
    refuses(&rig, StoragePart::Snapshot, "part 1 again");
}

#[test]
fn an_older_head_is_an_older_database() {
    let (rig, past) = rig_with_a_past();
    let (generation, sealed) = &past.head;
    write(&rig, |transaction| {
        transaction.open_table(HEAD).unwrap().insert(HEAD_KEY, (*generation, sealed.as_slice())).unwrap();
    });
    match rig.open().map(drop) {
        Err(OpenError::RolledBack { stored, counter }) => assert!(stored < counter),
        other => panic!("{other:?}"),
    }
    // Under the newest generation's number it does not open.
    write(&rig, |transaction| {
        let row = (rig.counter.value(), sealed.as_slice());
        transaction.open_table(HEAD).unwrap().insert(HEAD_KEY, row).unwrap();
    });
    refuses(&rig, StoragePart::Head, "renumbered");
    write(&rig, |transaction| drop(transaction.open_table(HEAD).unwrap().remove(HEAD_KEY).unwrap()));
    refuses(&rig, StoragePart::Head, "removed");
}

#[test]
fn a_database_of_another_device_or_another_member_is_refused() {
    for (device, identity) in [(2, [1; 32]), (1, [2; 32])] {
        let rig = Rig::filled();
        let opened =
            Storage::open(rig.disk.backend(), Arc::new(Sealer(device)), Box::new(rig.counter.clone()), identity);
        match opened.map(drop) {
            Err(OpenError::Changed { part }) => assert_eq!(part, StoragePart::Head),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_row_that_changes_under_the_running_member_stops_it() {
    type Change = fn(&Storage);
    let log: Change = |storage| {
        let transaction = storage.database.begin_write().unwrap();
        transaction.open_table(LOG).unwrap().remove(3).unwrap();
        transaction.commit().unwrap();
        assert!(matches!(storage.entries(3..4, usize::MAX), Err(StorageFault::Changed(StoragePart::Log))));
    };
    let old_entry: Change = |storage| {
        let read = |key| storage.database.begin_read().unwrap().open_table(LOG).unwrap().get(key).unwrap().unwrap();
        let old = read(5).value().to_vec();
        storage.truncate(5).unwrap();
        storage.append(&[entry(2, 5)]).unwrap();
        let transaction = storage.database.begin_write().unwrap();
        transaction.open_table(LOG).unwrap().insert(5, old.as_slice()).unwrap();
        transaction.commit().unwrap();
        assert!(matches!(storage.entries(.., usize::MAX), Err(StorageFault::Changed(StoragePart::Log))));
    };
    let snapshot: Change = |storage| {
        let transaction = storage.database.begin_write().unwrap();
        transaction.open_table(SNAPSHOT).unwrap().remove(1).unwrap();
        transaction.commit().unwrap();
        let read = storage.snapshot().map(drop);
        assert!(matches!(read, Err(StorageFault::Changed(StoragePart::Snapshot))));
    };
    for change in [log, old_entry, snapshot] {
        let storage = Rig::filled().open().unwrap();
        change(&storage);
        assert!(matches!(storage.append(&[entry(9, 9)]), Err(StorageFault::Stopped)));
    }
}

#[test]
fn a_flipped_bit_is_refused_or_in_no_row() {
    let rig = Rig::default();
    let storage = rig.open().unwrap();
    storage.append(&(0..=5).map(|index| entry(1, index)).collect::<Vec<_>>()).unwrap();
    let shown = show(&storage);
    drop(storage);
    let image = rig.disk.image();
    let mut random = Random::new(1);
    let mut refused = 0;
    for _ in 0..200 {
        rig.disk.restore(&image.with_flipped_bit(random.next()));
        match rig.open() {
            Ok(storage) => assert_eq!(show(&storage), shown),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0);
}
