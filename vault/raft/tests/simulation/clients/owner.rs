//! The only client of one user after the other: what it was told must be so later. When it is not told whether a change
//! was made, it leaves the user to its fate and goes on with a new one.

use countermark_vault_core::machine::{AttemptId, Evaluation, Operation, Refusal, RegistrationId, Response};
use countermark_vault_raft::CommitError;

use super::{Asker, GUESS_LIMIT, record};

/// An owner.
pub struct Owner {
    pub asker: Asker,
    user: u64,
    known: Known,
}

/// What an owner was told about its user.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The active record.
    mark: Option<u8>,
    /// The next record's mark.
    marks: u8,
    /// Guesses charged for certain since the last right one.
    charged: u32,
    /// Guesses that may have been charged at any time, or may be charged later.
    maybe_charged: u32,
}

/// The user cannot be followed any more.
struct Lost;

impl Owner {
    /// An owner whose users begin with this number.
    pub fn new(asker: Asker, user: u64) -> Self {
        Self { asker, user, known: Known::default() }
    }

    /// One thing that owners do.
    pub async fn step(&mut self) {
        let done = match self.asker.random.below(10) {
            0 | 1 => self.enrol(None).await,
            2 => self.delete().await,
            3 | 4 => self.guess_wrong().await,
            _ => self.log_in().await.map(drop),
        };
        if done.is_err() {
            self.asker.trace.note(format_args!("{}: leaves user {}", self.asker.name, self.user));
            self.user += 1;
            self.known = Known::default();
        }
        self.asker.pause().await;
    }

    /// Asks until it is known that nothing more was lost than this question.
    async fn charge(&mut self) -> Result<Option<AttemptId>, Lost> {
        let attempt = AttemptId(self.asker.random.bytes());
        match self.asker.ask_about(self.user, Operation::Charge { attempt }).await {
            Ok(Response::Charged { attempts_left, evaluation }) => {
                self.known.charged += 1;
                self.check_left(attempts_left);
                self.check_evaluation(&evaluation);
                Ok(Some(attempt))
            }
            Ok(Response::Refused(Refusal::NoAttemptLeft | Refusal::Exhausted { .. })) => Err(self.give_up()),
            Ok(Response::Refused(Refusal::TooManyUnderWay)) => Err(Lost),
            Ok(other) => Err(self.complain(&format!("a charge was answered with {other:?}"))),
            Err(CommitError::NoMajority) => Ok(None),
            Err(CommitError::Unknown) => {
                self.known.maybe_charged += 1;
                Ok(None)
            }
        }
    }

    async fn guess_wrong(&mut self) -> Result<(), Lost> {
        let Some(attempt) = self.charge().await? else { return Ok(()) };
        match self.asker.ask_about(self.user, Operation::Fail { attempt }).await {
            Ok(Response::Failed { attempts_left: 0 }) => Err(Lost),
            Ok(Response::Failed { attempts_left }) => {
                self.check_left(attempts_left);
                Ok(())
            }
            Ok(other) => Err(self.complain(&format!("a failure was answered with {other:?}"))),
            // An attempt that is under way for ever is only one that is under way.
            Err(_) => Ok(()),
        }
    }

    async fn log_in(&mut self) -> Result<Option<AttemptId>, Lost> {
        let Some(attempt) = self.charge().await? else { return Ok(None) };
        if self.known.mark.is_none() {
            return Ok(None);
        }
        match self.asker.ask_about(self.user, Operation::Succeed { attempt }).await {
            Ok(Response::Succeeded { attempts_left: GUESS_LIMIT, .. }) => {
                self.known.charged = 0;
                Ok(Some(attempt))
            }
            Ok(other) => Err(self.complain(&format!("a charged guess succeeded with {other:?}"))),
            Err(CommitError::NoMajority) => Ok(None),
            Err(CommitError::Unknown) => Err(Lost),
        }
    }

    async fn enrol(&mut self, login: Option<AttemptId>) -> Result<(), Lost> {
        // Without a login a second record would have to wait longer than the simulation lasts.
        let login = match (login, self.known.mark) {
            (None, Some(_)) => match self.log_in().await? {
                None => return Ok(()),
                login => login,
            },
            (login, _) => login,
        };
        let registration = RegistrationId(self.asker.random.bytes());
        let mark = self.known.marks + 1;
        self.known.marks = mark;
        let enrol = Operation::Enrol { registration, record: record(mark) };
        for (operation, is_tried) in [(enrol, false), (Operation::Try { registration }, true)] {
            match self.asker.ask_about(self.user, operation).await {
                Ok(Response::Done) if !is_tried => {}
                Ok(Response::Tried { record: tried }) if is_tried && tried == record(mark) => {}
                Ok(Response::Refused(Refusal::Exhausted { .. })) => return Err(self.give_up()),
                Ok(other) => return Err(self.complain(&format!("an enrolment was answered with {other:?}"))),
                Err(CommitError::NoMajority) => return Ok(()),
                Err(CommitError::Unknown) => return Err(Lost),
            }
        }
        match self.asker.ask_about(self.user, Operation::Confirm { registration, login }).await {
            Ok(Response::Confirmed { waits_until: None }) => {
                self.known.mark = Some(mark);
                Ok(())
            }
            Ok(Response::Refused(Refusal::Exhausted { .. } | Refusal::UnknownRegistration)) => Err(self.give_up()),
            Ok(other) => Err(self.complain(&format!("a confirmation was answered with {other:?}"))),
            Err(CommitError::NoMajority) => Ok(()),
            Err(CommitError::Unknown) => Err(Lost),
        }
    }

    async fn delete(&mut self) -> Result<(), Lost> {
        let login = match self.known.mark {
            Some(_) => match self.log_in().await? {
                None => return Ok(()),
                login => login,
            },
            None => None,
        };
        match self.asker.ask_about(self.user, Operation::Delete { login }).await {
            Ok(Response::Deleted { waits_until: None }) => {
                self.known.mark = None;
                Ok(())
            }
            Ok(other) => Err(self.complain(&format!("a deletion was answered with {other:?}"))),
            Err(CommitError::NoMajority) => Ok(()),
            Err(CommitError::Unknown) => Err(Lost),
        }
    }

    /// At the end, in calm weather: whatever was acknowledged is there.
    pub async fn check(&mut self) {
        if matches!(self.charge().await, Ok(None)) {
            self.complain("could not be charged in a healed fleet");
        }
    }

    /// The budget is spent, and the records are gone with it: as it must be possible.
    fn give_up(&self) -> Lost {
        if self.known.charged + self.known.maybe_charged < GUESS_LIMIT {
            self.complain(&format!("has no attempt left after {:?}", self.known));
        }
        Lost
    }

    fn check_left(&self, left: u32) {
        let Known { charged, maybe_charged, .. } = self.known;
        let most = GUESS_LIMIT.saturating_sub(charged);
        let least = GUESS_LIMIT.saturating_sub(charged + maybe_charged);
        if !(least..=most).contains(&left) {
            self.complain(&format!("has {left} attempts left, after {:?}", self.known));
        }
    }

    fn check_evaluation(&self, evaluation: &Evaluation) {
        let found = match evaluation {
            Evaluation::Record(record) => record.wraps.first().map(|wrap| wrap.commitment[0]),
            Evaluation::Decoy(_) => None,
        };
        if found != self.known.mark {
            self.complain(&format!("has record {found:?}, after {:?}", self.known));
        }
    }

    fn complain(&self, what: &str) -> Lost {
        self.asker.trace.violate(format!("{}: user {}: {what}", self.asker.name, self.user));
        Lost
    }
}
