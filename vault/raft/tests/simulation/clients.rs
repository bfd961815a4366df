//! Who asks: attackers who guess as often as they may, and owners who enrol, log in and delete. They believe only what
//! they were told, and complain when it turns out wrong.

mod attacker;
mod owner;

pub use attacker::Attacker;
pub use owner::Owner;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use countermark_bundle::testing::{World, name};
use countermark_vault_core::account::AccountId;
use countermark_vault_core::machine::{
    Adoption, Command, Founding, Operation, Record, Response, SETUP_BYTES, UPLOAD_BYTES, Wrap, WrapKind,
};
use countermark_vault_core::secret::Secret;
use countermark_vault_raft::CommitError;
use tokio::time::{Instant, sleep};

use super::cluster::Cluster;
use super::random::Random;
use super::trace::Trace;

/// What the adopted statement allows.
pub const GUESS_LIMIT: u32 = 10;
/// How long a client waits for a command.
const DEADLINE: Duration = Duration::from_secs(3);

/// Somebody's way to the fleet: a different member each time.
pub struct Asker {
    pub cluster: Arc<Cluster>,
    pub trace: Trace,
    pub random: Random,
    pub name: String,
}

impl Asker {
    /// Asks some running member. `NoMajority` without one.
    pub async fn ask(&mut self, command: Command) -> Result<Response, CommitError> {
        let running = self.cluster.running();
        let Some(choice) = u64::try_from(running.len()).ok().filter(|count| *count > 0) else {
            sleep(Duration::from_millis(100)).await;
            return Err(CommitError::NoMajority);
        };
        let place = running[usize::try_from(self.random.below(choice)).unwrap()];
        self.ask_member(place, command).await
    }

    /// Asks this member. It answers at the deadline at the latest.
    pub async fn ask_member(&mut self, place: usize, command: Command) -> Result<Response, CommitError> {
        let Some(replica) = self.cluster.replica(place) else { return Err(CommitError::NoMajority) };
        let deadline = Instant::now() + DEADLINE;
        let answer = replica.commit(command, deadline).await;
        if Instant::now() > deadline + Duration::from_millis(50) {
            self.trace.violate(format!("{}: member {place} answered after the deadline", self.name));
        }
        answer
    }

    /// Asks for something about a user.
    pub async fn ask_about(&mut self, user: u64, operation: Operation) -> Result<Response, CommitError> {
        let asked = said(&operation);
        let answer = self.ask(Command::Account { account: account(user), operation }).await;
        let told = match &answer {
            Ok(Response::Charged { attempts_left, .. }) => format!("charged, {attempts_left} left"),
            Ok(Response::Tried { .. }) => "tried".to_owned(),
            Ok(Response::Succeeded { attempts_left, .. }) => format!("succeeded, {attempts_left} left"),
            Ok(other) => format!("{other:?}"),
            Err(error) => format!("{error:?}"),
        };
        self.trace.note(format_args!("{}: {asked} user {user}: {told}", self.name));
        answer
    }

    /// Thinks for a while.
    pub async fn pause(&mut self) {
        sleep(Duration::from_millis(self.random.below(120))).await;
    }
}

fn said(operation: &Operation) -> &'static str {
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

/// A user's account.
pub fn account(user: u64) -> AccountId {
    AccountId::of("simulation", &user.to_string())
}

/// A record that tells itself apart.
fn record(mark: u8) -> Arc<Record> {
    Arc::new(Record {
        setup: Secret::new(vec![mark; SETUP_BYTES]),
        upload: Secret::new(vec![mark; UPLOAD_BYTES]),
        wraps: vec![Wrap { kind: WrapKind::VaultPassword, commitment: [mark; 32], ciphertext: vec![mark; 72] }],
    })
}

/// What a fleet begins with: its founding and its first bundle.
pub fn beginning() -> [Command; 2] {
    static BEGINNING: OnceLock<[Command; 2]> = OnceLock::new();
    BEGINNING
        .get_or_init(|| {
            let world = World::active();
            let founding = Founding {
                trust: world.trust.write(),
                fleet_id: name("fleet-1"),
                decoy_setup: Secret::new(vec![0; SETUP_BYTES]),
                account_issuers: vec![],
                cool_off_seconds: 86_400,
            };
            let last = u64::try_from(world.entries.len()).unwrap();
            let bundle = world.bundle(&[last - 2, last - 1]).write();
            [Command::Found(founding), Command::Adopt(Adoption { bundle, links: Vec::new() })]
        })
        .clone()
}
