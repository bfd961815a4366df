use tempfile::TempDir;

use super::*;

fn register() -> (TempDir, FileRegister) {
    let folder = tempfile::tempdir().unwrap();
    let register = FileRegister::new(&folder.path().join("key.has-state"), Path::new("/state/witness.sqlite"));
    (folder, register)
}

#[test]
fn the_number_only_rises() {
    let (_folder, register) = register();
    assert_eq!(register.read().unwrap(), None);
    for (to, then) in [(0, 0), (3, 3), (2, 3), (3, 3), (4, 4)] {
        register.raise(Generation(to)).unwrap();
        assert_eq!(register.read().unwrap(), Some(Generation(then)), "raised to {to}");
    }
}

#[test]
fn two_processes_that_raise_at_once_leave_the_larger_number() {
    let (_folder, register) = register();
    std::thread::scope(|scope| {
        for first in 0..2 {
            let other_process = register.clone();
            scope.spawn(move || {
                for step in 0..50 {
                    let to = Generation(2 * step + first);
                    other_process.raise(to).unwrap();
                    assert!(other_process.read().unwrap() >= Some(to));
                }
            });
        }
    });
    assert_eq!(register.read().unwrap(), Some(Generation(99)));
}

#[test]
fn the_mark_of_an_older_release_is_generation_zero_and_is_replaced() {
    let (_folder, register) = register();
    fs::write(&register.file, "/var/lib/witness/witness.sqlite\n").unwrap();
    assert_eq!(register.read().unwrap(), Some(Generation(0)));
    register.raise(Generation(0)).unwrap();
    assert!(fs::read_to_string(&register.file).unwrap().starts_with(HEADER));
}

#[test]
fn every_changed_byte_and_every_missing_one_is_damage_or_no_number() {
    let (_folder, register) = register();
    register.raise(Generation(17)).unwrap();
    let whole = fs::read(&register.file).unwrap();
    let damaged = (0..whole.len()).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    });
    let shortened = (0..whole.len()).map(|length| whole[..length].to_vec());
    for bytes in damaged.chain(shortened).chain([vec![b'x'; 9_000], [whole.as_slice(), b"\n"].concat()]) {
        fs::write(&register.file, &bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(matches!(register.read(), Err(RegisterError::Damaged { .. })), "{text:?}");
        // It is not repaired by what comes next either.
        assert!(matches!(register.raise(Generation(18)), Err(RegisterError::Damaged { .. })), "{text:?}");
    }
}

#[test]
fn what_cannot_be_read_or_written_is_a_fault_not_an_empty_register() {
    let folder = tempfile::tempdir().unwrap();
    let register = FileRegister::new(folder.path(), Path::new("state"));
    assert!(matches!(register.read(), Err(RegisterError::Io { .. })));
    let register = FileRegister::new(&folder.path().join("missing/register"), Path::new("state"));
    assert!(matches!(register.raise(Generation(1)), Err(RegisterError::Io { .. })));
}
