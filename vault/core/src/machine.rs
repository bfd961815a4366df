//! The vault's deterministic machine: the same commands in the same order make the same state and the same answers, on
//! every member. It has no clock, no randomness and no storage.
//!
//! What it keeps: the adopted validation bundle, and for each user the records that a password opens and the budget of
//! guesses. What it is not: it does not evaluate passwords (OPAQUE) and knows nothing about sessions; it hands out what
//! an evaluation needs only in its answer to a charge.
//!
//! Invariants:
//! * a password is evaluated only with what the answer to [`Operation::Charge`] or [`Operation::Try`] contains: charge
//!   by commit, then evaluate;
//! * between two right guesses of a user, at most as many are charged as the adopted statement allows;
//! * the adopted bundle is one that [`countermark_bundle::verify`] accepted under the founding's trust file.

mod adoption;
mod command;
mod time;
mod user;

pub use adoption::Stapled;
pub use command::{
    ACCOUNT_ISSUERS_MAX, AccountIssuer, Adoption, AttemptId, BATCH_COMMANDS_MAX, Batch, Command, Evaluation, Founding,
    LINKS_MAX, Operation, Record, Refusal, RegistrationId, Response, SETUP_BYTES, UPLOAD_BYTES,
    WRAP_CIPHERTEXT_BYTES_MAX, WRAPS_MAX, Wrap, WrapKind,
};
pub use time::ReplicatedTime;
pub use user::{ATTEMPT_SECONDS, SESSION_SECONDS, UNDER_WAY_MAX};

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use countermark_bundle::identity::Digest;
use countermark_bundle::statement::FleetStatus;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::account::AccountId;
use crate::secret::Secret;
use adoption::Adopted;
use user::{Rules, User};

/// The most users of a fleet. They are kept in memory, about 1 KiB each.
pub const USERS_MAX: usize = 1_000_000;
/// How many users one command settles whose time has come.
const SETTLED_PER_TICK_MAX: usize = 1024;
/// The snapshot's version.
const SNAPSHOT_VERSION: u8 = 1;

/// The machine.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    state: State,
    /// When which user is due: follows from the state.
    due: BTreeSet<(ReplicatedTime, AccountId)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    version: u8,
    now: ReplicatedTime,
    founding: Option<Founding>,
    adopted: Option<Adopted>,
    users: BTreeMap<AccountId, User>,
}

impl Default for State {
    fn default() -> Self {
        let now = ReplicatedTime::START;
        Self { version: SNAPSHOT_VERSION, now, founding: None, adopted: None, users: BTreeMap::new() }
    }
}

/// Bytes that are no snapshot of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no snapshot of the machine, version {SNAPSHOT_VERSION}")]
pub struct SnapshotError;

impl Machine {
    /// A machine that nothing was done to.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies one entry of the replicated log: as many answers as commands, in their order.
    pub fn apply(&mut self, batch: &Batch) -> Vec<Response> {
        // Time never goes back, whatever a leader proposes.
        self.state.now = self.state.now.max(batch.now);
        if batch.commands.len() > BATCH_COMMANDS_MAX {
            return batch.commands.iter().map(|_| Response::Refused(Refusal::BatchTooLong)).collect();
        }
        batch.commands.iter().map(|command| self.obey(command).unwrap_or_else(Response::Refused)).collect()
    }

    /// The fleet's time.
    #[must_use]
    pub const fn now(&self) -> ReplicatedTime {
        self.state.now
    }

    /// What the fleet began with.
    #[must_use]
    pub const fn founding(&self) -> Option<&Founding> {
        self.state.founding.as_ref()
    }

    /// What is stapled to answers.
    #[must_use]
    pub fn stapled(&self) -> Option<Stapled<'_>> {
        self.state.adopted.as_ref().map(Adopted::stapled)
    }

    /// When a [`Command::Tick`] has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<ReplicatedTime> {
        // Where nobody is served, nothing is settled either: a tick would be in vain.
        self.rules().ok()?;
        self.due.first().map(|(at, _)| *at)
    }

    /// How many users something is kept about.
    #[must_use]
    pub fn users(&self) -> usize {
        self.state.users.len()
    }

    /// The whole state as bytes. They contain secrets: whoever stores or sends them seals them.
    ///
    /// # Panics
    /// Never: the state serialises.
    #[must_use]
    pub fn snapshot(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(postcard::to_allocvec(&self.state).expect("the state serialises"))
    }

    /// The machine that [`Machine::snapshot`] was taken of.
    pub fn restore(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let state: State = postcard::from_bytes(bytes).map_err(|_| SnapshotError)?;
        if state.version != SNAPSHOT_VERSION {
            return Err(SnapshotError);
        }
        let due = state.users.iter().filter_map(|(account, user)| Some((user.due()?, *account))).collect();
        Ok(Self { state, due })
    }

    /// SHA-256 of the snapshot: two members with the same log have the same.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.snapshot())
    }

    fn obey(&mut self, command: &Command) -> Result<Response, Refusal> {
        match command {
            Command::Found(founding) => self.found(founding),
            Command::Adopt(adoption) => self.adopt(adoption),
            Command::Account { account, operation } => self.operate(*account, operation),
            Command::Tick => {
                self.settle_due();
                Ok(Response::Done)
            }
        }
    }

    fn found(&mut self, founding: &Founding) -> Result<Response, Refusal> {
        if self.state.founding.is_some() {
            return Err(Refusal::FoundedAlready);
        }
        adoption::check_founding(founding)?;
        self.state.founding = Some(founding.clone());
        Ok(Response::Done)
    }

    fn adopt(&mut self, adoption: &Adoption) -> Result<Response, Refusal> {
        let founding = self.state.founding.as_ref().ok_or(Refusal::NotFounded)?;
        self.state.adopted = Some(adoption::verify(founding, self.state.adopted.as_ref(), adoption, self.state.now)?);
        Ok(Response::Done)
    }

    fn settle_due(&mut self) {
        let Ok(rules) = self.rules() else { return };
        for _ in 0..SETTLED_PER_TICK_MAX {
            let Some(&(at, account)) = self.due.first() else { return };
            if at > rules.now {
                return;
            }
            self.with_user(account, |user| user.settle(&rules));
        }
    }

    fn operate(&mut self, account: AccountId, operation: &Operation) -> Result<Response, Refusal> {
        let rules = self.rules()?;
        let decoy = self.decoy()?;
        if !self.state.users.contains_key(&account) && self.state.users.len() >= USERS_MAX {
            return Err(Refusal::Full);
        }
        self.with_user(account, |user| {
            user.settle(&rules);
            match operation {
                Operation::Charge { attempt } => user.charge(*attempt, &decoy, &rules),
                Operation::Succeed { attempt } => user.succeed(*attempt, &rules),
                Operation::Fail { attempt } => user.fail(*attempt, &rules),
                Operation::Enrol { registration, record } => {
                    check_record(record)?;
                    user.enrol(*registration, record.clone(), &rules)
                }
                Operation::Try { registration } => user.try_pending(*registration),
                Operation::Confirm { registration, login } => user.confirm(*registration, *login, &rules),
                Operation::Delete { login } => user.delete(*login, &rules),
            }
        })
    }

    /// Changes a user, and keeps what follows from users in step: a blank one is not kept, a due one is known.
    fn with_user<T>(&mut self, account: AccountId, change: impl FnOnce(&mut User) -> T) -> T {
        let mut user = self.state.users.remove(&account).unwrap_or_default();
        if let Some(at) = user.due() {
            self.due.remove(&(at, account));
        }
        let outcome = change(&mut user);
        if let Some(at) = user.due() {
            self.due.insert((at, account));
        }
        if !user.is_blank() {
            self.state.users.insert(account, user);
        }
        outcome
    }

    fn rules(&self) -> Result<Rules, Refusal> {
        let founding = self.state.founding.as_ref().ok_or(Refusal::NotFounded)?;
        let adopted = self.state.adopted.as_ref().ok_or(Refusal::NotServing)?;
        if !adopted.status.serves() {
            return Err(Refusal::NotServing);
        }
        Ok(Rules {
            now: self.state.now,
            limit: adopted.guess_limit,
            cool_off_seconds: founding.cool_off_seconds,
            takes_records: adopted.status == FleetStatus::Active,
        })
    }

    fn decoy(&self) -> Result<Secret, Refusal> {
        Ok(self.state.founding.as_ref().ok_or(Refusal::NotFounded)?.decoy_setup.clone())
    }
}

fn check_record(record: &Record) -> Result<(), Refusal> {
    let wraps_fit = (1..=WRAPS_MAX).contains(&record.wraps.len())
        && record.wraps.iter().all(|wrap| wrap.ciphertext.len() <= WRAP_CIPHERTEXT_BYTES_MAX);
    if record.setup.expose().len() == SETUP_BYTES && record.upload.expose().len() == UPLOAD_BYTES && wraps_fit {
        Ok(())
    } else {
        Err(Refusal::MalformedRecord)
    }
}

#[cfg(test)]
mod tests;
