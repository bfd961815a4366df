//! What an authenticated session may do next, and what it does with what was committed.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::CommitOutcome;
use crate::device::{DeviceFault, RandomSource};
use crate::machine::{
    AttemptId, Command, Evaluation, Operation, Record, RegistrationId, ReplicatedTime, Response, Wrap,
};
use crate::opaque::Parties;
use crate::opaque::server::{
    EvaluationError, KeyConfirmation, LoginRequest, ServerLogin, check_upload, new_setup, register_start,
};
use crate::secret::Secret;
use crate::session::message::{Answer, Request, SessionRefusal};

/// A session whose client proved which account it speaks for.
pub(super) struct Account {
    parties: Parties,
    /// The session's successful guess: it makes waiting unnecessary.
    login: Option<AttemptId>,
    phase: Phase,
}

/// What goes on. There is one thing at a time.
enum Phase {
    /// Nothing.
    Ready,
    /// A guess was charged and evaluated; its outcome is not known.
    Guessing { attempt: AttemptId, login: ServerLogin },
    /// The guess was right; the fleet does not know yet.
    Right { attempt: AttemptId },
    /// The guess was wrong, or nothing was evaluated for it; the fleet does not know yet.
    Wrong { attempt: AttemptId },
    /// A record is being made under this setup.
    Enrolling { setup: Secret },
    /// The record is pending.
    Enrolled { registration: RegistrationId },
    /// The pending record was evaluated, once.
    Confirming { registration: RegistrationId, login: ServerLogin },
    /// The pending record was opened; the fleet does not know yet.
    Opened { registration: RegistrationId },
}

/// What a request leads to.
pub(super) enum Step {
    Answer(Account, Answer),
    Commit(Command, Pending),
}

/// A command on its way, and what follows it.
pub(super) struct Pending {
    account: Account,
    commit: Commit,
}

enum Commit {
    Charge { attempt: AttemptId, request: Box<LoginRequest> },
    Succeed { attempt: AttemptId },
    Fail { attempt: AttemptId },
    Enrol { registration: RegistrationId, setup: Secret },
    Try { registration: RegistrationId, request: Box<LoginRequest> },
    Confirm { registration: RegistrationId },
    Delete,
}

/// What a request that is in order wants, or why it is refused. A refusal leaves the phase as it was.
enum Wish {
    Commit(Operation, Commit),
    Answer(Phase, Answer),
    Refuse(Phase, SessionRefusal),
}

impl Account {
    pub(super) const fn new(parties: Parties) -> Self {
        Self { parties, login: None, phase: Phase::Ready }
    }

    /// What is to be committed about a guess if the session ends here.
    pub(super) fn abandoned(&self) -> Option<Command> {
        let operation = match &self.phase {
            Phase::Guessing { attempt, .. } | Phase::Wrong { attempt } => Operation::Fail { attempt: *attempt },
            // The password was right: that it is not reported would cost the user a guess.
            Phase::Right { attempt } => Operation::Succeed { attempt: *attempt },
            Phase::Ready
            | Phase::Enrolling { .. }
            | Phase::Enrolled { .. }
            | Phase::Confirming { .. }
            | Phase::Opened { .. } => return None,
        };
        Some(self.command(operation))
    }

    pub(super) fn ask(mut self, request: Request, rng: &mut dyn RandomSource) -> Step {
        let phase = core::mem::replace(&mut self.phase, Phase::Ready);
        match self.wish(phase, request, rng) {
            Wish::Commit(operation, commit) => Step::Commit(self.command(operation), Pending { account: self, commit }),
            Wish::Answer(phase, answer) => Step::Answer(Self { phase, ..self }, answer),
            Wish::Refuse(phase, refusal) => Step::Answer(Self { phase, ..self }, Answer::Refused(refusal)),
        }
    }

    fn command(&self, operation: Operation) -> Command {
        Command::Account { account: self.parties.account(), operation }
    }

    fn wish(&self, phase: Phase, request: Request, rng: &mut dyn RandomSource) -> Wish {
        match (phase, request) {
            (Phase::Ready, Request::LoginStart { ke1 }) => charge(&ke1, rng),
            (Phase::Guessing { attempt, login }, Request::LoginFinish { ke3 }) => self.judge(attempt, login, &ke3),
            (Phase::Guessing { attempt, .. } | Phase::Wrong { attempt }, Request::LoginAbandon)
            | (Phase::Wrong { attempt }, Request::LoginFinish { .. }) => fail(attempt),
            (Phase::Right { attempt }, Request::LoginFinish { .. }) => succeed(attempt),
            (Phase::Ready, Request::EnrolStart { request }) => self.enrol_start(&request, rng),
            (Phase::Enrolling { setup }, Request::EnrolFinish { upload, wraps }) => enrol(setup, upload, wraps, rng),
            (Phase::Enrolled { registration }, Request::ConfirmStart { ke1 }) => try_pending(registration, &ke1),
            (Phase::Confirming { registration, login }, Request::ConfirmFinish { ke3 }) => {
                self.judge_pending(registration, login, &ke3)
            }
            (Phase::Opened { registration }, Request::ConfirmFinish { .. }) => self.confirm(registration),
            (Phase::Ready, Request::Delete) => Wish::Commit(Operation::Delete { login: self.login }, Commit::Delete),
            (phase, _out_of_order) => Wish::Refuse(phase, SessionRefusal::OutOfOrder),
        }
    }

    fn judge(&self, attempt: AttemptId, login: ServerLogin, ke3: &[u8]) -> Wish {
        let Ok(proof) = KeyConfirmation::parse(ke3) else {
            return Wish::Refuse(Phase::Guessing { attempt, login }, SessionRefusal::Malformed);
        };
        match login.finish(&self.parties, proof) {
            Ok(()) => succeed(attempt),
            Err(_wrong) => fail(attempt),
        }
    }

    fn judge_pending(&self, registration: RegistrationId, login: ServerLogin, ke3: &[u8]) -> Wish {
        let Ok(proof) = KeyConfirmation::parse(ke3) else {
            return Wish::Refuse(Phase::Confirming { registration, login }, SessionRefusal::Malformed);
        };
        match login.finish(&self.parties, proof) {
            Ok(()) => self.confirm(registration),
            // Its one evaluation is spent: the pending record is of no use any more.
            Err(_wrong) => Wish::Refuse(Phase::Ready, SessionRefusal::NotOpened),
        }
    }

    fn confirm(&self, registration: RegistrationId) -> Wish {
        Wish::Commit(Operation::Confirm { registration, login: self.login }, Commit::Confirm { registration })
    }

    fn enrol_start(&self, request: &[u8], rng: &mut dyn RandomSource) -> Wish {
        let started = new_setup(rng).map_err(EvaluationError::from).and_then(|setup| {
            let response = register_start(&setup, &self.parties, request)?;
            Ok((setup, response))
        });
        match started {
            Ok((setup, response)) => Wish::Answer(Phase::Enrolling { setup }, Answer::EnrolStarted { response }),
            Err(error) => Wish::Refuse(Phase::Ready, refusal_of(error)),
        }
    }
}

fn charge(ke1: &[u8], rng: &mut dyn RandomSource) -> Wish {
    // What is malformed is refused before it costs a guess.
    let Ok(request) = LoginRequest::parse(ke1) else {
        return Wish::Refuse(Phase::Ready, SessionRefusal::Malformed);
    };
    match draw_name(rng) {
        Ok(name) => {
            let attempt = AttemptId(name);
            Wish::Commit(Operation::Charge { attempt }, Commit::Charge { attempt, request: Box::new(request) })
        }
        Err(_fault) => Wish::Refuse(Phase::Ready, SessionRefusal::MemberFault),
    }
}

const fn succeed(attempt: AttemptId) -> Wish {
    Wish::Commit(Operation::Succeed { attempt }, Commit::Succeed { attempt })
}

const fn fail(attempt: AttemptId) -> Wish {
    Wish::Commit(Operation::Fail { attempt }, Commit::Fail { attempt })
}

fn enrol(setup: Secret, upload: Secret, wraps: Vec<Wrap>, rng: &mut dyn RandomSource) -> Wish {
    if let Err(error) = check_upload(&setup, &upload) {
        return Wish::Refuse(Phase::Enrolling { setup }, refusal_of(error));
    }
    match draw_name(rng) {
        Ok(name) => {
            let registration = RegistrationId(name);
            let record = Arc::new(Record { setup: setup.clone(), upload, wraps });
            Wish::Commit(Operation::Enrol { registration, record }, Commit::Enrol { registration, setup })
        }
        Err(_fault) => Wish::Refuse(Phase::Enrolling { setup }, SessionRefusal::MemberFault),
    }
}

fn try_pending(registration: RegistrationId, ke1: &[u8]) -> Wish {
    match LoginRequest::parse(ke1) {
        Ok(request) => {
            let request = Box::new(request);
            Wish::Commit(Operation::Try { registration }, Commit::Try { registration, request })
        }
        Err(_malformed) => Wish::Refuse(Phase::Enrolled { registration }, SessionRefusal::Malformed),
    }
}

impl Pending {
    /// What is to be committed about a guess if nobody waits for the outcome.
    pub(super) fn abandoned(&self) -> Option<Command> {
        let operation = match self.commit {
            Commit::Charge { attempt, .. } | Commit::Fail { attempt } => Operation::Fail { attempt },
            Commit::Succeed { attempt } => Operation::Succeed { attempt },
            Commit::Enrol { .. } | Commit::Try { .. } | Commit::Confirm { .. } | Commit::Delete => return None,
        };
        Some(self.account.command(operation))
    }

    pub(super) fn committed(self, outcome: CommitOutcome, rng: &mut dyn RandomSource) -> (Account, Answer) {
        let Self { mut account, commit } = self;
        let (phase, answer) = match outcome {
            CommitOutcome::Committed(Response::Refused(refusal)) => {
                (Phase::Ready, Answer::Refused(SessionRefusal::Machine(refusal)))
            }
            CommitOutcome::Committed(response) => account.done(commit, response, rng),
            CommitOutcome::NotCommitted => (commit.not_done(), Answer::Refused(SessionRefusal::NoMajority)),
            CommitOutcome::Unknown => (commit.perhaps_done(), Answer::Refused(SessionRefusal::Unknown)),
        };
        account.phase = phase;
        (account, answer)
    }
}

impl Commit {
    /// Surely nothing was done: it may be asked for again.
    fn not_done(self) -> Phase {
        match self {
            Self::Charge { .. } | Self::Delete => Phase::Ready,
            Self::Succeed { attempt } => Phase::Right { attempt },
            Self::Fail { attempt } => Phase::Wrong { attempt },
            Self::Enrol { setup, .. } => Phase::Enrolling { setup },
            Self::Try { registration, .. } => Phase::Enrolled { registration },
            Self::Confirm { registration } => Phase::Opened { registration },
        }
    }

    /// It may have been done. Asking again is refused by the machine if it was; only a charge is taken for done.
    fn perhaps_done(self) -> Phase {
        match self {
            Self::Charge { attempt, .. } => Phase::Wrong { attempt },
            not_a_charge => not_a_charge.not_done(),
        }
    }
}

impl Account {
    /// What follows from what the machine did.
    fn done(&mut self, commit: Commit, response: Response, rng: &mut dyn RandomSource) -> (Phase, Answer) {
        match (commit, response) {
            (Commit::Charge { attempt, request }, Response::Charged { attempts_left, evaluation }) => {
                match ServerLogin::start(&evaluation, &self.parties, *request, rng) {
                    Ok((login, ke2)) => {
                        (Phase::Guessing { attempt, login }, Answer::LoginStarted { ke2, attempts_left })
                    }
                    Err(error) => (Phase::Wrong { attempt }, Answer::Refused(refusal_of(error))),
                }
            }
            (Commit::Succeed { attempt }, Response::Succeeded { attempts_left, wraps }) => {
                self.login = Some(attempt);
                (Phase::Ready, Answer::LoggedIn { wraps, attempts_left })
            }
            (Commit::Fail { .. }, Response::Failed { attempts_left }) => {
                (Phase::Ready, Answer::LoginFailed { attempts_left })
            }
            (Commit::Enrol { registration, .. }, Response::Done) => {
                (Phase::Enrolled { registration }, Answer::Enrolled)
            }
            (Commit::Try { registration, request }, Response::Tried { record }) => {
                match ServerLogin::start(&Evaluation::Record(record), &self.parties, *request, rng) {
                    Ok((login, ke2)) => (Phase::Confirming { registration, login }, Answer::ConfirmStarted { ke2 }),
                    Err(error) => (Phase::Ready, Answer::Refused(refusal_of(error))),
                }
            }
            (Commit::Confirm { .. }, Response::Confirmed { waits_until }) => {
                // The login spoke for the record that is replaced.
                self.login = None;
                (Phase::Ready, Answer::Confirmed { waits_until_unix: waits_until.map(ReplicatedTime::unix) })
            }
            (Commit::Delete, Response::Deleted { waits_until }) => {
                self.login = None;
                (Phase::Ready, Answer::Deleted { waits_until_unix: waits_until.map(ReplicatedTime::unix) })
            }
            // An answer to another command than ours: what was done is not known.
            (commit, _of_another) => (commit.perhaps_done(), Answer::Refused(SessionRefusal::MemberFault)),
        }
    }
}

fn draw_name(rng: &mut dyn RandomSource) -> Result<[u8; 16], DeviceFault> {
    let mut name = [0; 16];
    rng.fill(&mut name)?;
    Ok(name)
}

const fn refusal_of(error: EvaluationError) -> SessionRefusal {
    match error {
        EvaluationError::Message(_) => SessionRefusal::Malformed,
        EvaluationError::Record | EvaluationError::Device(_) => SessionRefusal::MemberFault,
    }
}
