//! A fleet of one machine in memory, with a clock that stands.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use countermark_bundle::identity::Timestamp;
use countermark_bundle::testing::NOW;
use countermark_vault_core::machine::{Adoption, Batch, Command, Machine, ReplicatedTime, Response};
use countermark_vault_core::opaque::server::new_setup;
use countermark_vault_raft::{CommitError, MemberNumber, ReplicaStatus, Role};
use tokio::time::Instant;

use super::{TestWorld, name};
use crate::device::OsRandomness;
use crate::fleet::FoundingTerms;
use crate::ports::{Replicated, WallClock};

/// A clock that is moved by hand.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(NOW)))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn unix(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl WallClock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.unix()).unwrap()
    }
}

/// What becomes of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commits {
    Done,
    NotDone,
    /// Done, and nobody learns it.
    Lost,
}

/// A machine that obeys at once.
pub(crate) struct LocalFleet {
    machine: Mutex<Machine>,
    clock: TestClock,
    commits: Mutex<Commits>,
    role: Mutex<Role>,
    committed: Mutex<Vec<Command>>,
}

/// The terms of every fleet of the tests, under this trust file.
pub(crate) fn terms(trust: &[u8]) -> FoundingTerms {
    FoundingTerms { trust: trust.into(), fleet_id: name("fleet-1"), account_issuers: vec![], cool_off_seconds: 3600 }
}

impl LocalFleet {
    pub(crate) fn new(clock: &TestClock) -> Self {
        Self {
            machine: Mutex::default(),
            clock: clock.clone(),
            commits: Mutex::new(Commits::Done),
            role: Mutex::new(Role::Leader),
            committed: Mutex::default(),
        }
    }

    /// A founded one that adopted the newest bundle of this world.
    pub(crate) fn serving(clock: &TestClock, world: &TestWorld) -> Self {
        let fleet = Self::new(clock);
        fleet.found(&world.trust());
        let adoption = Adoption { bundle: world.bundle_at(clock.unix()), links: vec![] };
        assert_eq!(fleet.obey(Command::Adopt(adoption)), Response::Done);
        fleet
    }

    pub(crate) fn found(&self, trust: &[u8]) {
        let decoy_setup = new_setup(&mut OsRandomness).unwrap();
        let founding = terms(trust).found(decoy_setup);
        assert_eq!(self.obey(Command::Found(founding)), Response::Done);
    }

    pub(crate) fn obey(&self, command: Command) -> Response {
        self.committed.lock().unwrap().push(command.clone());
        let batch = Batch { now: ReplicatedTime::from_unix(self.clock.unix()), commands: vec![command] };
        self.machine.lock().unwrap().apply(&batch).pop().unwrap()
    }

    pub(crate) fn set_commits(&self, commits: Commits) {
        *self.commits.lock().unwrap() = commits;
    }

    pub(crate) fn set_role(&self, role: Role) {
        *self.role.lock().unwrap() = role;
    }

    /// Everything that was committed, in its order.
    pub(crate) fn committed(&self) -> Vec<Command> {
        self.committed.lock().unwrap().clone()
    }
}

impl Replicated for LocalFleet {
    async fn commit(&self, command: Command, _deadline: Instant) -> Result<Response, CommitError> {
        let commits = *self.commits.lock().unwrap();
        match commits {
            Commits::Done => Ok(self.obey(command)),
            Commits::NotDone => Err(CommitError::NoMajority),
            Commits::Lost => {
                self.obey(command);
                Err(CommitError::Unknown)
            }
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Machine) -> T) -> T {
        read(&self.machine.lock().unwrap())
    }

    fn status(&self) -> ReplicaStatus {
        ReplicaStatus {
            role: *self.role.lock().unwrap(),
            term: 1,
            leader: Some(MemberNumber::from(1)),
            last_applied: Some(3),
            commit_lag: 0,
            members: BTreeMap::new(),
        }
    }
}
