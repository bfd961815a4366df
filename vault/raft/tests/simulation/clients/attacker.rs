//! Several attackers guess at one user's password, all of them wrong. However many members crash, forget and disagree:
//! together they get no more evaluations than the budget has guesses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use countermark_vault_core::machine::{AttemptId, Operation, Refusal, Response};
use countermark_vault_raft::CommitError;

use super::{Asker, GUESS_LIMIT};

/// One of the attackers of one user.
pub struct Attacker {
    pub asker: Asker,
    pub user: u64,
    pub guesses: Arc<Guesses>,
    /// Evaluates without having been charged: what a member does that answers before the commit.
    pub evaluates_early: bool,
}

/// What the attackers of one user got together.
#[derive(Debug, Default)]
pub struct Guesses {
    /// Charged answers: evaluations.
    evaluations: AtomicU32,
    /// Charges of which it is not known whether they were committed.
    unknown: AtomicU32,
}

impl Attacker {
    /// One guess.
    pub async fn step(&mut self) {
        let attempt = AttemptId(self.asker.random.bytes());
        match self.asker.ask_about(self.user, Operation::Charge { attempt }).await {
            Ok(Response::Charged { attempts_left, .. }) => self.evaluate(Some(attempts_left)),
            Ok(Response::Refused(Refusal::NoAttemptLeft | Refusal::Exhausted { .. })) => self.check_refusal(),
            Ok(Response::Refused(Refusal::TooManyUnderWay)) => {}
            Ok(other) => self.asker.trace.violate(format!("{}: a charge was answered with {other:?}", self.asker.name)),
            Err(_) if self.evaluates_early => self.evaluate(None),
            Err(CommitError::Unknown) => {
                self.guesses.unknown.fetch_add(1, Ordering::SeqCst);
            }
            Err(CommitError::NoMajority) => {}
        }
        if self.asker.random.percent(50) {
            // Wrong, or never known to be right: whatever is answered.
            let _ = self.asker.ask_about(self.user, Operation::Fail { attempt }).await;
        }
        self.asker.pause().await;
    }

    fn evaluate(&self, attempts_left: Option<u32>) {
        let evaluations = self.guesses.evaluations.fetch_add(1, Ordering::SeqCst) + 1;
        let (name, user) = (&self.asker.name, self.user);
        if evaluations > GUESS_LIMIT {
            self.asker
                .trace
                .violate(format!("{name}: evaluation {evaluations} of user {user}, whose budget is {GUESS_LIMIT}"));
        }
        if attempts_left.is_some_and(|left| left >= GUESS_LIMIT) {
            self.asker
                .trace
                .violate(format!("{name}: user {user} has {attempts_left:?} attempts left after one was charged"));
        }
    }

    /// A refusal although there must be a guess left is a charge that nobody asked for.
    fn check_refusal(&self) {
        let guesses = &self.guesses;
        let at_most = guesses.evaluations.load(Ordering::SeqCst) + guesses.unknown.load(Ordering::SeqCst);
        // Other attackers' charges may be on their way back.
        if at_most + ATTACKERS_MAX < GUESS_LIMIT {
            self.asker.trace.violate(format!("{}: refused after at most {at_most} charges", self.asker.name));
        }
    }
}

/// The most attackers of one user.
pub const ATTACKERS_MAX: u32 = 3;
