//! The monotonic counter of a member without better hardware: a file. It protects against a restored database only
//! where it lives elsewhere than the database.
//!
//! The file has two slots, each in a sector of its own and written in turns, so that a torn write never touches the
//! newest value that was reached. A slot is value (8 bytes, big-endian) || SHA-256 over the slot's number and the
//! value.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use countermark_vault_core::device::{DeviceFault, MonotonicCounter};
use sha2::{Digest as _, Sha256};

/// The bytes from one slot to the next: a sector of the larger kind.
const SLOT_STRIDE: u64 = 4096;
const SLOT_BYTES: usize = 8 + 32;
const SLOTS: [u64; 2] = [0, 1];

/// A counter in a file.
#[derive(Debug)]
pub struct CounterFile {
    file: File,
    value: u64,
    /// Where the next value goes: not where the newest one is.
    next_slot: u64,
    /// A write failed: what is in the file is known only after it was opened again.
    failed: bool,
}

/// Why a counter file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum CounterFileError {
    /// The file is missing. A member that had one has lost its counter, and with it its proof that its database is new.
    #[error("the counter file is missing")]
    Missing,
    /// The file exists already.
    #[error("the counter file exists already")]
    Exists,
    /// Another process has it open.
    #[error("the counter file is in use")]
    InUse,
    /// Neither slot is whole, or the file has another size. It is never taken for a counter at 0.
    #[error("the counter file is damaged")]
    Damaged,
    /// The file system failed.
    #[error("the counter file failed")]
    Fault(#[source] io::Error),
}

impl CounterFile {
    /// Makes a counter at 0. It is on the disk, under its name, when this returns.
    pub fn create(path: &Path) -> Result<Self, CounterFileError> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists { CounterFileError::Exists } else { fault(error) }
        })?;
        lock(&file)?;
        // The blocks are there from now on: a full disk does not stop a member between writing and counting.
        for slot in SLOTS {
            let mut sector = slot_bytes(slot, 0).to_vec();
            sector.resize(usize::try_from(SLOT_STRIDE).unwrap_or(SLOT_BYTES), 0);
            file.write_all_at(&sector, slot * SLOT_STRIDE).map_err(fault)?;
        }
        file.sync_all().map_err(fault)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(fault)?;
        Ok(Self { file, value: 0, next_slot: 0, failed: false })
    }

    /// Opens a counter where it stands. One torn slot is what a crash leaves; two are damage.
    pub fn open(path: &Path) -> Result<Self, CounterFileError> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound { CounterFileError::Missing } else { fault(error) }
        })?;
        lock(&file)?;
        if file.metadata().map_err(fault)?.len() != SLOT_STRIDE * 2 {
            return Err(CounterFileError::Damaged);
        }
        let (value, slot) = match (read_slot(&file, 0)?, read_slot(&file, 1)?) {
            (Some(first), Some(second)) if second > first => (second, 1),
            (Some(first), Some(_) | None) => (first, 0),
            (None, Some(second)) => (second, 1),
            (None, None) => return Err(CounterFileError::Damaged),
        };
        Ok(Self { file, value, next_slot: 1 - slot, failed: false })
    }
}

impl MonotonicCounter for CounterFile {
    fn read(&mut self) -> Result<u64, DeviceFault> {
        if self.failed { Err(FAULT) } else { Ok(self.value) }
    }

    fn raise(&mut self, value: u64) -> Result<(), DeviceFault> {
        if self.failed || value < self.value {
            return Err(FAULT);
        }
        if value == self.value {
            return Ok(());
        }
        // Whatever fails below may be in the file nevertheless.
        self.failed = true;
        // 1. Write the older slot. A crash in here tears it: the newer one counts, the value was not reached.
        self.file.write_all_at(&slot_bytes(self.next_slot, value), self.next_slot * SLOT_STRIDE).map_err(|_| FAULT)?;
        // 2. Sync. A crash in here leaves either value; nobody was told of the new one.
        self.file.sync_data().map_err(|_| FAULT)?;
        // 3. Now it is reached.
        self.value = value;
        self.next_slot = 1 - self.next_slot;
        self.failed = false;
        Ok(())
    }
}

const FAULT: DeviceFault = DeviceFault { part: "the counter file" };

fn fault(error: io::Error) -> CounterFileError {
    CounterFileError::Fault(error)
}

fn lock(file: &File) -> Result<(), CounterFileError> {
    file.try_lock().map_err(|error| match error {
        std::fs::TryLockError::WouldBlock => CounterFileError::InUse,
        std::fs::TryLockError::Error(error) => fault(error),
    })
}

fn slot_bytes(slot: u64, value: u64) -> [u8; SLOT_BYTES] {
    let mut hash = Sha256::new();
    hash.update(b"countermark/vault-counter/v1\n");
    hash.update(slot.to_be_bytes());
    hash.update(value.to_be_bytes());
    let mut bytes = [0; SLOT_BYTES];
    bytes[..8].copy_from_slice(&value.to_be_bytes());
    bytes[8..].copy_from_slice(&hash.finalize());
    bytes
}

fn read_slot(file: &File, slot: u64) -> Result<Option<u64>, CounterFileError> {
    let mut bytes = [0; SLOT_BYTES];
    file.read_exact_at(&mut bytes, slot * SLOT_STRIDE).map_err(fault)?;
    let value = bytes.first_chunk().map(|value| u64::from_be_bytes(*value));
    Ok(value.filter(|value| bytes == slot_bytes(slot, *value)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counter");
        (folder, path)
    }

    fn flip(path: &Path, at: u64) {
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }

    #[test]
    fn the_counter_is_where_it_was_raised_to_and_never_lower() {
        let (_folder, path) = folder();
        let mut counter = CounterFile::create(&path).unwrap();
        for value in [1, 2, 2, 3, 1_000, u64::MAX] {
            counter.raise(value).unwrap();
            assert_eq!(counter.read(), Ok(value));
            drop(counter);
            counter = CounterFile::open(&path).unwrap();
            assert_eq!(counter.read(), Ok(value));
        }
        assert_eq!(counter.raise(7), Err(FAULT));
        assert_eq!(counter.read(), Ok(u64::MAX), "a refused value changes nothing");
    }

    #[test]
    fn a_torn_slot_leaves_the_value_before_and_two_leave_a_fault() {
        for at in 0..u64::try_from(SLOT_BYTES).unwrap() {
            let (_folder, path) = folder();
            let mut counter = CounterFile::create(&path).unwrap();
            counter.raise(1).unwrap();
            counter.raise(2).unwrap();
            drop(counter);
            // 1 went to slot 0, and 2 to slot 1.
            flip(&path, SLOT_STRIDE + at);
            let mut counter = CounterFile::open(&path).unwrap();
            assert_eq!(counter.read(), Ok(1));
            counter.raise(2).unwrap();
            drop(counter);
            assert_eq!(CounterFile::open(&path).unwrap().read(), Ok(2), "the torn slot is written again");
            flip(&path, at);
            flip(&path, SLOT_STRIDE + at);
            assert!(matches!(CounterFile::open(&path), Err(CounterFileError::Damaged)), "byte {at}");
        }
    }

    #[test]
    fn another_size_an_empty_file_and_a_missing_one_are_never_a_counter_at_zero() {
        for size in [0, SLOT_STRIDE, SLOT_STRIDE * 2 - 1, SLOT_STRIDE * 2 + 1] {
            let (_folder, path) = folder();
            drop(CounterFile::create(&path).unwrap());
            OpenOptions::new().write(true).open(&path).unwrap().set_len(size).unwrap();
            assert!(matches!(CounterFile::open(&path), Err(CounterFileError::Damaged)), "{size} bytes");
        }
        let (_folder, path) = folder();
        std::fs::write(&path, vec![0; usize::try_from(SLOT_STRIDE * 2).unwrap()]).unwrap();
        assert!(matches!(CounterFile::open(&path), Err(CounterFileError::Damaged)));
        assert!(matches!(CounterFile::create(&path), Err(CounterFileError::Exists)));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(CounterFile::open(&path), Err(CounterFileError::Missing)));
    }

    #[test]
    fn a_counter_is_open_once() {
        let (_folder, path) = folder();
        let _counter = CounterFile::create(&path).unwrap();
        assert!(matches!(CounterFile::open(&path), Err(CounterFileError::InUse)));
    }

    #[test]
    fn a_counter_that_failed_stays_failed_until_it_is_opened_again() {
        let (_folder, path) = folder();
        drop(CounterFile::create(&path).unwrap());
        let mut counter = CounterFile::open(&path).unwrap();
        // Writing to a file that is open for reading only fails.
        counter.file = File::open(&path).unwrap();
        assert_eq!(counter.raise(1), Err(FAULT));
        assert_eq!(counter.read(), Err(FAULT));
        assert_eq!(counter.raise(1), Err(FAULT));
        drop(counter);
        assert_eq!(CounterFile::open(&path).unwrap().read(), Ok(0));
    }
}
