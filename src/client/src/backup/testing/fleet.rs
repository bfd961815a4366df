//! What the members share: the machine, its time, and the outcomes of commits.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use countermark_bundle::entry::Entry;
use countermark_bundle::identity::Digest;
use countermark_bundle::statement::{FleetStatus, KeyRole, MemberKey};
use countermark_bundle::testing::{NOW, World, at, name};
use countermark_bundle::verify::{VerifiedBundle, verify};
use countermark_vault_core::machine::{Adoption, Batch, Command, Founding, Machine, ReplicatedTime, Response};
use countermark_vault_core::opaque::server::new_setup;
use countermark_vault_core::session::server::CommitOutcome;

use super::SeedSession;
use crate::backup::randomness::OsRandom;

pub(in crate::backup) const COOL_OFF_SECONDS: u64 = 600;
/// The guesses that a user of the test fleet has.
pub(in crate::backup) const GUESSES: u32 = 10;

/// What happens to a command instead of being committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backup) enum Fate {
    Committed,
    NotCommitted,
    Unknown,
}

pub(in crate::backup) struct Fleet {
    pub world: World,
    machine: Mutex<Machine>,
    now: Mutex<u64>,
    fates: Mutex<VecDeque<Fate>>,
    commits: Mutex<Vec<&'static str>>,
}

/// A world whose members have session keys that somebody holds.
pub(in crate::backup) fn world(status: FleetStatus) -> World {
    let mut world = World::new();
    let mut statement = world.statement(1);
    statement.fleets[0].status = status;
    for (number, member) in (1..).zip(&mut statement.fleets[0].members) {
        let (from, to) = (member.keys[0].not_before, member.keys[0].not_after);
        member.keys.retain(|key| key.role == KeyRole::Identity);
        member.keys.push(MemberKey::new(KeyRole::Session, &SeedSession::new(100 + number).public(), from, to));
        member.keys.sort_by_key(|key| key.key_id);
    }
    let certified = world.certified(&statement.write(), 1);
    world.push(&Entry::CertifiedStatement(certified));
    world.activate(1);
    world
}

pub(in crate::backup) fn verified(world: &World) -> VerifiedBundle {
    let bytes = world.bundle(&[1, 2]).write();
    let unstored = verify(&bytes, None, &world.trust, &world.trust.initial_floor(), at(NOW)).unwrap();
    unstored.store(|_| Ok::<_, Infallible>(())).unwrap()
}

impl Fleet {
    /// A fleet that was founded and adopted its bundle.
    pub fn new() -> Arc<Self> {
        Self::with(world(FleetStatus::Active))
    }

    pub fn with(world: World) -> Arc<Self> {
        let fleet = Self {
            machine: Mutex::default(),
            now: Mutex::new(NOW),
            fates: Mutex::default(),
            commits: Mutex::default(),
            world,
        };
        let founding = Founding {
            trust: fleet.world.trust.write(),
            fleet_id: name("fleet-1"),
            decoy_setup: new_setup(&mut OsRandom).unwrap(),
            account_issuers: vec![],
            cool_off_seconds: COOL_OFF_SECONDS,
        };
        let adoption = Adoption { bundle: fleet.world.bundle(&[1, 2]).write(), links: vec![] };
        for command in [Command::Found(founding), Command::Adopt(adoption)] {
            assert_eq!(fleet.apply(command), Response::Done);
        }
        Arc::new(fleet)
    }

    /// What the members serve under.
    pub fn adopted(&self) -> Digest {
        self.machine.lock().unwrap().stapled().unwrap().statement
    }

    pub fn stapled(&self) -> Vec<u8> {
        self.machine.lock().unwrap().stapled().unwrap().bundle.to_vec()
    }

    pub fn wait(&self, seconds: u64) {
        *self.now.lock().unwrap() += seconds;
        self.apply(Command::Tick);
    }

    pub fn users(&self) -> usize {
        self.machine.lock().unwrap().users()
    }

    /// What happens to the next commands; later ones are committed.
    pub fn fate(&self, fates: &[Fate]) {
        *self.fates.lock().unwrap() = fates.iter().copied().collect();
    }

    /// The operations that were proposed since this was asked last.
    pub fn proposed(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.commits.lock().unwrap())
    }

    pub fn commit(&self, command: Command) -> CommitOutcome {
        self.commits.lock().unwrap().push(operation_name(&command));
        let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Committed);
        match fate {
            Fate::Committed => CommitOutcome::Committed(self.apply(command)),
            Fate::NotCommitted => CommitOutcome::NotCommitted,
            Fate::Unknown => {
                self.apply(command);
                CommitOutcome::Unknown
            }
        }
    }

    fn apply(&self, command: Command) -> Response {
        let now = ReplicatedTime::from_unix(*self.now.lock().unwrap());
        self.machine.lock().unwrap().apply(&Batch { now, commands: vec![command] }).remove(0)
    }
}

fn operation_name(command: &Command) -> &'static str {
    use countermark_vault_core::machine::Operation;
    let Command::Account { operation, .. } = command else { return "other" };
    match operation {
        Operation::Charge { .. } => "charge",
        Operation::Succeed { .. } => "succeed",
        Operation::Fail { .. } => "fail",
        Operation::Enrol { .. } => "enrol",
        Operation::Try { .. } => "try",
        Operation::Confirm { .. } => "confirm",
        Operation::Delete { .. } => "delete",
    }
}
