//! A disk in memory that a crash can take from: what was not synced is lost or kept in parts. It can be made to fail,
//! and an older copy of it can be put back.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

use super::random::Random;

/// What a disk tears at.
const SECTOR_BYTES: usize = 512;

/// A disk. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

/// The whole content of a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image(Vec<u8>);

impl Image {
    /// The same with one bit flipped in what is not zero.
    pub fn with_flipped_bit(&self, choice: u64) -> Self {
        let mut random = Random::new(choice);
        let length = u64::try_from(self.0.len()).unwrap();
        let mut image = self.clone();
        loop {
            let at = usize::try_from(random.below(length)).unwrap();
            if image.0[at] != 0 {
                image.0[at] ^= 1 << random.below(8);
                return image;
            }
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// What survives a crash for certain.
    synced: Vec<u8>,
    /// What a reader sees.
    seen: Vec<u8>,
    unsynced: Vec<Change>,
    /// Backends of an earlier life of the machine reach nothing.
    life: u64,
    fault: Option<Fault>,
    /// A fault happened in this life.
    failed: bool,
    ignores_syncs: bool,
    changes: u64,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// A failure to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// After so many changes (writes, new lengths, syncs) that work.
    pub after: u64,
    pub form: FaultForm,
}

/// Both forms of a failure that is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultForm {
    NotSaved,
    SavedNevertheless,
}

impl Disk {
    /// The disk, for a database. There is one at a time: after a crash the ones before reach nothing.
    pub fn backend(&self) -> Backend {
        Backend { disk: self.clone(), life: self.lock().life }
    }

    /// Takes away some of what was not synced. Every change since the last sync may be there or not, a write also in
    /// parts; what was synced is there.
    pub fn crash(&self, random: &mut Random) {
        // Some crashes are clean: power fails when nothing is written, or a kernel survives its process.
        let percent = [0, 50, 50, 100][usize::try_from(random.below(4)).unwrap()];
        // By place and not by order: the order of redb's writes is nobody's promise.
        let salt = random.next();
        self.crash_keeping(|at| Random::new(salt.wrapping_add(u64::try_from(at).unwrap())).percent(percent));
    }

    /// Keeps of what was not synced what the function says of each sector's place.
    pub fn crash_keeping(&self, mut keeps: impl FnMut(usize) -> bool) {
        let mut state = self.lock();
        let mut image = std::mem::take(&mut state.synced);
        for change in std::mem::take(&mut state.unsynced) {
            match change {
                Change::Length(length) => {
                    if keeps(usize::MAX) {
                        resize(&mut image, length);
                    }
                }
                Change::Write(at, bytes) => {
                    for (sector, part) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        let at = at + sector * SECTOR_BYTES;
                        // A write behind the end that was lost with the new length.
                        if keeps(at) && at + part.len() <= image.len() {
                            image[at..at + part.len()].copy_from_slice(part);
                        }
                    }
                }
            }
        }
        state.seen.clone_from(&image);
        state.synced = image;
        state.life += 1;
        state.fault = None;
        state.failed = false;
    }

    /// Lets a later change fail.
    pub fn fail(&self, fault: Fault) {
        self.lock().fault = Some(fault);
    }

    /// Takes a failure back that did not happen yet.
    pub fn heal(&self) {
        self.lock().fault = None;
    }

    /// Whether a failure happened since the last crash.
    pub fn has_failed(&self) -> bool {
        self.lock().failed
    }

    /// How many changes there were.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// From now on this disk only says that it syncs.
    pub fn ignore_syncs(&self) {
        self.lock().ignores_syncs = true;
    }

    /// A copy of what is on the disk for certain.
    pub fn image(&self) -> Image {
        Image(self.lock().synced.clone())
    }

    /// Puts a copy back. Whoever has the disk open is cut off.
    pub fn restore(&self, image: &Image) {
        let mut state = self.lock();
        state.synced.clone_from(&image.0);
        state.seen.clone_from(&image.0);
        state.unsynced.clear();
        state.life += 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    /// Makes a change, unless it fails; the outcome is what the changer is told.
    fn change(&mut self, make: impl FnOnce(&mut Self)) -> io::Result<()> {
        self.changes += 1;
        match &mut self.fault {
            Some(Fault { after: 0, form }) => {
                if *form == FaultForm::SavedNevertheless {
                    make(self);
                }
                self.fault = None;
                self.failed = true;
                return Err(io::Error::other("the simulated disk failed"));
            }
            Some(Fault { after, .. }) => *after -= 1,
            None => {}
        }
        make(self);
        Ok(())
    }

    fn sync(&mut self) {
        if self.ignores_syncs {
            return;
        }
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Write(at, bytes) => self.synced[at..at + bytes.len()].copy_from_slice(&bytes),
                Change::Length(length) => resize(&mut self.synced, length),
            }
        }
    }
}

/// `Vec::resize`, which is slow without optimisation.
fn resize(image: &mut Vec<u8>, length: usize) {
    let mut resized = vec![0; length];
    let kept = length.min(image.len());
    resized[..kept].copy_from_slice(&image[..kept]);
    *image = resized;
}

/// One life's view of a disk.
#[derive(Debug)]
pub struct Backend {
    disk: Disk,
    life: u64,
}

impl Backend {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock();
        if state.life == self.life { Ok(state) } else { Err(io::Error::other("the simulated machine crashed")) }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.seen.len().try_into().unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let state = self.state()?;
        let bytes = state.seen.get(at..at + out.len()).ok_or_else(|| io::Error::other("behind the end"))?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let length = usize::try_from(len).unwrap();
        self.state()?.change(|state| {
            resize(&mut state.seen, length);
            state.unsynced.push(Change::Length(length));
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state()?.change(State::sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.state()?.change(|state| {
            state.seen[at..at + data.len()].copy_from_slice(data);
            state.unsynced.push(Change::Write(at, data.to_vec()));
        })
    }
}
