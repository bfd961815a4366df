use countermark_bundle::trust::Floor;

use super::*;
use crate::testing::{NOW, World, at, epoch, size};
use countermark_bundle::identity::Digest;

/// A floor at a size of a log of some entries.
fn floor(len: u64) -> Floor {
    let world = World::grown_to(20);
    let mut floor = world.trust.initial_floor();
    (floor.size, floor.root) = (size(len), world.grown.root(len));
    (floor.epoch, floor.digest) = (Some(epoch(2)), Some(Digest::of(b"2")));
    floor.head_time = Some(at(NOW));
    floor
}

fn revocation(number: u64) -> String {
    String::from_utf8(World::new().revoke_key(number).write()).unwrap()
}

#[test]
fn no_floor_is_none_and_a_stored_one_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = FloorFile::new(&folder.path().join("floor.json"));
    assert!(file.read().unwrap().is_none());
    let mut locked = file.lock().unwrap();
    assert!(locked.read().unwrap().is_none());
    for len in [7, 7, 9] {
        locked.write(&floor(len)).unwrap();
        assert_eq!(file.read().unwrap(), Some(floor(len)));
    }
    assert_eq!(std::fs::read(folder.path().join("floor.json")).unwrap(), floor(9).write());
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["floor.json", "floor.json.lock"], "no temporary file is left");
}

#[test]
fn a_damaged_floor_is_an_error_and_never_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("floor.json");
    let file = FloorFile::new(&path);
    let good = floor(7).write();
    let compact = serde_json::to_vec(&serde_json::from_slice::<serde_json::Value>(&good).unwrap()).unwrap();
    let cases =
        [b"".to_vec(), b"{}".to_vec(), good[..good.len() - 1].to_vec(), compact, vec![b' '; TRUST_BYTES_MAX + 1]];
    for bytes in cases {
        std::fs::write(&path, &bytes).unwrap();
        let error = file.read().unwrap_err();
        assert!(matches!(error, FloorStoreError::Damaged { .. }) && error.exit_class() == ExitClass::Malformed);
        let error = file.lock().unwrap().write(&floor(9)).unwrap_err();
        assert!(matches!(error, FloorStoreError::Damaged { .. }), "a damaged floor is not written over");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_floor_that_may_be_elsewhere_is_an_error_and_never_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("floor.json");
    let unreadable = |path: &Path| {
        let error = FloorFile::new(path).read().unwrap_err();
        assert!(matches!(error, FloorStoreError::Io { action: "read", .. }), "{error}");
        assert_eq!(error.exit_class(), ExitClass::OurFault);
    };
    unreadable(&folder.path().join("missing/floor.json"));
    std::fs::create_dir(&path).unwrap();
    unreadable(&path);
    #[cfg(unix)]
    {
        std::fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink(folder.path().join("gone"), &path).unwrap();
        unreadable(&path);
    }
}

#[test]
fn a_floor_never_goes_backwards() {
    let folder = tempfile::tempdir().unwrap();
    let file = FloorFile::new(&folder.path().join("floor.json"));
    let mut stored = floor(9);
    stored.revocations = vec![revocation(1)];
    file.lock().unwrap().write(&stored).unwrap();
    let check = |expect: &str, change: &dyn Fn(&mut Floor)| {
        let mut new = stored.clone();
        change(&mut new);
        let error = file.lock().unwrap().write(&new).unwrap_err();
        assert!(matches!(error, FloorStoreError::Backwards { field } if field == expect), "{expect}: {error}");
        assert_eq!(error.exit_class(), ExitClass::Rollback);
        assert_eq!(file.read().unwrap(), Some(stored.clone()));
    };
    check("size", &|new| *new = Floor { revocations: new.revocations.clone(), ..floor(8) });
    check("another root of the same size", &|new| new.root = floor(8).root);
    check("epoch", &|new| new.epoch = Some(epoch(1)));
    check("epoch", &|new| (new.epoch, new.digest) = (None, None));
    check("another statement of the same epoch", &|new| new.digest = Some(Digest::of(b"other")));
    check("head time", &|new| new.head_time = Some(at(NOW - 1)));
    check("head time", &|new| new.head_time = None);
    check("a revocation is forgotten", &|new| new.revocations = vec![revocation(2)]);

    let mut other = stored.clone();
    other.origin = Origin::new("log.example/other").unwrap();
    let error = file.lock().unwrap().write(&other).unwrap_err();
    assert!(matches!(error, FloorStoreError::OtherOrigin { .. }));
    assert_eq!(error.exit_class(), ExitClass::UnknownAuthority);

    let mut newer = floor(10);
    newer.revocations = vec![revocation(1), revocation(2)];
    newer.revocations.sort();
    file.lock().unwrap().write(&newer).unwrap();
    assert_eq!(file.read().unwrap(), Some(newer));
}

#[test]
fn what_a_crash_left_behind_is_cleared_away() {
    let folder = tempfile::tempdir().unwrap();
    let file = FloorFile::new(&folder.path().join("floor.json"));
    file.lock().unwrap().write(&floor(7)).unwrap();
    // A crash before the rename: half of a new floor beside the old one.
    std::fs::write(folder.path().join("floor.json.new"), &floor(9).write()[..20]).unwrap();
    assert_eq!(file.read().unwrap(), Some(floor(7)));
    file.lock().unwrap().write(&floor(9)).unwrap();
    assert_eq!(file.read().unwrap(), Some(floor(9)));
}

#[test]
fn a_write_that_cannot_succeed_leaves_the_old_floor() {
    let folder = tempfile::tempdir().unwrap();
    let file = FloorFile::new(&folder.path().join("floor.json"));
    file.lock().unwrap().write(&floor(7)).unwrap();
    // Something in the way that is no file.
    std::fs::create_dir(folder.path().join("floor.json.new")).unwrap();
    let error = file.lock().unwrap().write(&floor(9)).unwrap_err();
    assert!(matches!(error, FloorStoreError::Io { action: "clear the way for", .. }), "{error}");
    assert_eq!(file.read().unwrap(), Some(floor(7)));
}

#[test]
fn a_lock_that_cannot_be_taken_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("floor.json.lock")).unwrap();
    let file = FloorFile::new(&folder.path().join("floor.json"));
    assert!(matches!(file.lock().unwrap_err(), FloorStoreError::Io { action: "lock", .. }));
}

#[test]
fn a_second_holder_waits_and_then_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("floor.json");
    let (first, second) = (FloorFile::new(&path), FloorFile::new(&path));
    let held = first.lock().unwrap();
    let error = second.lock_within(Duration::ZERO).unwrap_err();
    assert!(matches!(error, FloorStoreError::Busy { .. }) && error.exit_class() == ExitClass::OurFault);
    drop(held);
    second.lock_within(Duration::ZERO).unwrap();
}

#[test]
fn two_holders_at_once_lose_no_floor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("floor.json");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let file = FloorFile::new(&path);
                for _ in 0..5 {
                    let mut locked = file.lock().unwrap();
                    let next = locked.read().unwrap().map_or(0, |floor| floor.size.get()) + 1;
                    let mut new = floor(1);
                    new.size = size(next);
                    locked.write(&new).unwrap();
                }
            });
        }
    });
    assert_eq!(FloorFile::new(&path).read().unwrap().unwrap().size, size(20));
}
