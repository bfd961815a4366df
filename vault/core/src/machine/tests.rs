//! What the machine promises, by examples and by random histories.

mod adoption;
mod budget;
mod histories;
mod replacement;

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use countermark_bundle::testing::{NOW, World, name};

use super::*;

pub(super) const COOL_OFF: u64 = 86_400;
pub(super) const LIMIT: u32 = 10;

/// A machine under test, with a clock and counters of names of its own.
pub(super) struct Bench {
    pub(super) machine: Machine,
    pub(super) now: u64,
    names: u8,
}

pub(super) fn setup() -> Secret {
    Secret::new(vec![7; SETUP_BYTES])
}

pub(super) fn founding(world: &World) -> Founding {
    Founding {
        trust: world.trust.write(),
        fleet_id: name("fleet-1"),
        decoy_setup: setup(),
        account_issuers: vec![],
        cool_off_seconds: COOL_OFF,
    }
}

/// A record that tells itself apart by one byte.
pub(super) fn record(mark: u8) -> Arc<Record> {
    Arc::new(Record {
        setup: Secret::new(vec![mark; SETUP_BYTES]),
        upload: Secret::new(vec![mark; UPLOAD_BYTES]),
        wraps: vec![Wrap { kind: WrapKind::VaultPassword, commitment: [mark; 32], ciphertext: vec![mark; 72] }],
    })
}

pub(super) fn user(mark: u8) -> AccountId {
    AccountId::from([mark; 32])
}

impl Bench {
    /// A founded machine that adopted a bundle whose fleet allows [`LIMIT`] guesses.
    pub(super) fn serving() -> Self {
        let world = World::active();
        let mut bench = Self::new();
        assert_eq!(bench.command(Command::Found(founding(&world))), Response::Done);
        let records: Vec<u64> = (0..u64::try_from(world.entries.len()).unwrap()).collect();
        let bundle = world.bundle(&records[records.len() - 2..]).write();
        assert_eq!(bench.command(Command::Adopt(Adoption { bundle, links: vec![] })), Response::Done);
        bench
    }

    pub(super) fn new() -> Self {
        Self { machine: Machine::new(), now: NOW, names: 0 }
    }

    pub(super) fn command(&mut self, command: Command) -> Response {
        let batch = Batch { now: ReplicatedTime::from_unix(self.now), commands: vec![command] };
        self.machine.apply(&batch).pop().unwrap()
    }

    pub(super) fn ask(&mut self, account: AccountId, operation: Operation) -> Response {
        self.command(Command::Account { account, operation })
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.now += seconds;
    }

    fn next_name(&mut self) -> [u8; 16] {
        self.names += 1;
        [self.names; 16]
    }

    /// Charges a guess: what is left, whether there was a record, and the guess's name.
    pub(super) fn charge(&mut self, account: AccountId) -> Result<(u32, Option<Arc<Record>>, AttemptId), Refusal> {
        let attempt = AttemptId(self.next_name());
        match self.ask(account, Operation::Charge { attempt }) {
            Response::Charged { attempts_left, evaluation: Evaluation::Record(record) } => {
                Ok((attempts_left, Some(record), attempt))
            }
            Response::Charged { attempts_left, evaluation: Evaluation::Decoy(decoy) } => {
                assert_eq!(decoy, setup());
                Ok((attempts_left, None, attempt))
            }
            Response::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn guess_wrong(&mut self, account: AccountId) -> Result<u32, Refusal> {
        let (_, _, attempt) = self.charge(account)?;
        match self.ask(account, Operation::Fail { attempt }) {
            Response::Failed { attempts_left } => Ok(attempts_left),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn log_in(&mut self, account: AccountId) -> (AttemptId, Vec<Wrap>) {
        let (_, _, attempt) = self.charge(account).unwrap();
        match self.ask(account, Operation::Succeed { attempt }) {
            Response::Succeeded { attempts_left: LIMIT, wraps } => (attempt, wraps),
            other => panic!("{other:?}"),
        }
    }

    /// Enrols, tries and confirms: until when it waits.
    pub(super) fn enrol(
        &mut self,
        account: AccountId,
        mark: u8,
        login: Option<AttemptId>,
    ) -> Result<Option<u64>, Refusal> {
        let registration = RegistrationId(self.next_name());
        for operation in [Operation::Enrol { registration, record: record(mark) }, Operation::Try { registration }] {
            if let Response::Refused(refusal) = self.ask(account, operation) {
                return Err(refusal);
            }
        }
        match self.ask(account, Operation::Confirm { registration, login }) {
            Response::Confirmed { waits_until } => Ok(waits_until.map(ReplicatedTime::unix)),
            Response::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    /// Which record a guess is evaluated against, by its mark. Spends a guess.
    pub(super) fn active(&mut self, account: AccountId) -> Option<u8> {
        self.charge(account).unwrap().1.map(|record| record.wraps[0].ciphertext[0])
    }
}
