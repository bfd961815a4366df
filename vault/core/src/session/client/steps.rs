//! What a client asks in which order, and what the answers mean.
//!
//! | to | steps |
//! |---|---|
//! | register | [`authenticate`], [`Enrolment`], [`PendingRecord`], [`Confirmation`] |
//! | recover | [`authenticate`], [`Guess`], [`OpenedRecord`] |
//! | change the password | recover, then as register without [`authenticate`] |
//! | delete | recover, then [`deleted`]; or without the password: [`authenticate`], [`deleted`], and wait |
//!
//! A guess that is wrong is to be abandoned, so that its outcome is known at once: [`Verdict::Wrong`] says how.

use alloc::vec;
use alloc::vec::Vec;

use super::ClientSession;
use crate::account::AccountId;
use crate::account_token::{TokenRefusal, UntrustedToken};
use crate::device::RandomSource;
use crate::machine::{Wrap, WrapKind};
use crate::noise::SessionContext;
use crate::opaque::client::{Login, LoginError, Registration, RegistrationError};
use crate::opaque::{ExportKey, Hardness, NormalisedPassword, Parties};
use crate::secret::Secret;
use crate::session::message::{Answer, Request, SessionRefusal};
use crate::wrap::{self, BackupKey, UnwrapError, WrapContext, WrapError};

/// Why a step did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The member refused.
    #[error(transparent)]
    Refused(#[from] SessionRefusal),
    /// The member answered something else than what was asked for.
    #[error("the member answered another question")]
    Unexpected,
    /// No record could be made.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// The record could not be opened, for another reason than a wrong password where a guess was made.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The backup key could not be wrapped.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// The member gave no wrap that the password opens.
    #[error("there is no wrap for the password")]
    NoWrap,
    /// The wrap is not ours.
    #[error(transparent)]
    Unwrap(#[from] UnwrapError),
    /// The pending record opens to something else than what was enrolled.
    #[error("the pending record is not the one that was enrolled")]
    OtherRecord,
}

/// Whose record it is, where it is kept, and how hard its password is to guess.
#[derive(Clone, Debug)]
pub struct Terms {
    parties: Parties,
    place: WrapContext,
    hardness: Hardness,
}

impl Terms {
    /// The terms of an account at the fleet that the session leads to.
    #[must_use]
    pub fn new(context: &SessionContext, account: AccountId, hardness: Hardness) -> Self {
        let (origin, fleet_id) = (context.origin.clone(), context.fleet_id.clone());
        let parties = Parties::new(account, &origin, &fleet_id);
        Self { parties, place: WrapContext { origin, fleet_id, account }, hardness }
    }

    /// Where wraps of the backup key belong.
    #[must_use]
    pub const fn place(&self) -> &WrapContext {
        &self.place
    }
}

/// Asks to be believed: `sign` signs with the key that the token is bound to.
pub fn authenticate(
    session: &ClientSession,
    token: &str,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Result<Request, TokenRefusal> {
    let token = UntrustedToken::parse(token.as_bytes())?;
    let proof = sign(&session.proof_message(&token)).to_vec();
    Ok(Request::Authenticate { token: Secret::new(token.as_str().as_bytes().to_vec()), proof })
}

/// The answer to [`authenticate`].
pub fn authenticated(answer: Answer) -> Result<(), StepError> {
    if answer == Answer::Authenticated { Ok(()) } else { Err(otherwise(answer)) }
}

/// A guess at the active record's password.
#[derive(Debug)]
pub struct Guess(Login);

/// What a guess turned out to be, and what to tell the member.
#[derive(Debug)]
pub enum Verdict {
    /// Right: the request that proves it, and what takes the answer.
    Right(Request, OpenedRecord),
    /// Wrong, or there is no record: the request that says so; its answer goes to [`guess_failed`].
    Wrong(Request),
}

impl Guess {
    /// Begins a guess.
    pub fn start(password: &NormalisedPassword, rng: &mut dyn RandomSource) -> Result<(Self, Request), StepError> {
        let (login, ke1) = Login::start(password, rng)?;
        Ok((Self(login), Request::LoginStart { ke1 }))
    }

    /// Goes on with the answer: the guess is spent. Takes as long as the terms' hardness says.
    pub fn evaluated(
        self,
        answer: Answer,
        password: &NormalisedPassword,
        terms: &Terms,
        rng: &mut dyn RandomSource,
    ) -> Result<Verdict, StepError> {
        let Answer::LoginStarted { ke2, attempts_left: _ } = answer else { return Err(otherwise(answer)) };
        match self.0.finish(password, &ke2, &terms.parties, terms.hardness, rng) {
            Ok((ke3, export_key)) => Ok(Verdict::Right(Request::LoginFinish { ke3 }, OpenedRecord { export_key })),
            Err(LoginError::WrongPassword) => Ok(Verdict::Wrong(Request::LoginAbandon)),
            Err(refused) => Err(refused.into()),
        }
    }
}

/// The answer to a wrong guess: how many are left.
pub fn guess_failed(answer: Answer) -> Result<u32, StepError> {
    if let Answer::LoginFailed { attempts_left } = answer { Ok(attempts_left) } else { Err(otherwise(answer)) }
}

/// The active record, opened; the member has still to give what it holds.
#[derive(Debug)]
pub struct OpenedRecord {
    export_key: ExportKey,
}

/// What a right guess gives.
#[derive(Debug)]
pub struct Recovered {
    /// The backup key.
    pub key: BackupKey,
    /// Its other wraps: a new record takes them over.
    pub other_wraps: Vec<Wrap>,
    /// The budget, full again.
    pub attempts_left: u32,
}

impl OpenedRecord {
    /// Takes the answer to the right guess.
    pub fn recovered(self, answer: Answer, terms: &Terms) -> Result<Recovered, StepError> {
        let Answer::LoggedIn { wraps, attempts_left } = answer else { return Err(otherwise(answer)) };
        let is_ours = |wrap: &Wrap| wrap.kind == WrapKind::VaultPassword;
        let ours = wraps.iter().find(|wrap| is_ours(wrap)).ok_or(StepError::NoWrap)?;
        let key = wrap::unwrap(ours, self.export_key.expose(), &terms.place)?;
        let other_wraps = wraps.into_iter().filter(|wrap| !is_ours(wrap)).collect();
        Ok(Recovered { key, other_wraps, attempts_left })
    }
}

/// A record that is being made.
#[derive(Debug)]
pub struct Enrolment(Registration);

impl Enrolment {
    /// Begins a record.
    pub fn start(password: &NormalisedPassword, rng: &mut dyn RandomSource) -> Result<(Self, Request), StepError> {
        let (registration, request) = Registration::start(password, rng)?;
        Ok((Self(registration), Request::EnrolStart { request }))
    }

    /// Goes on with the answer: the request that has the record kept as pending, with the key wrapped under the password
    /// beside `other_wraps`. Takes as long as the terms' hardness says.
    pub fn started(
        self,
        answer: Answer,
        password: &NormalisedPassword,
        (key, other_wraps): (&BackupKey, Vec<Wrap>),
        terms: &Terms,
        rng: &mut dyn RandomSource,
    ) -> Result<(PendingRecord, Request), StepError> {
        let Answer::EnrolStarted { response } = answer else { return Err(otherwise(answer)) };
        let (upload, export_key) = self.0.finish(password, &response, &terms.parties, terms.hardness, rng)?;
        let mut wraps = vec![wrap::wrap(WrapKind::VaultPassword, export_key.expose(), key, &terms.place, rng)?];
        wraps.extend(other_wraps);
        Ok((PendingRecord { export_key }, Request::EnrolFinish { upload, wraps }))
    }
}

/// A record that the fleet was asked to keep as pending.
#[derive(Debug)]
pub struct PendingRecord {
    export_key: ExportKey,
}

impl PendingRecord {
    /// Takes the answer and begins to prove that the record opens.
    pub fn enrolled(
        self,
        answer: Answer,
        password: &NormalisedPassword,
        rng: &mut dyn RandomSource,
    ) -> Result<(Confirmation, Request), StepError> {
        if answer != Answer::Enrolled {
            return Err(otherwise(answer));
        }
        let (login, ke1) = Login::start(password, rng)?;
        Ok((Confirmation { login, export_key: self.export_key }, Request::ConfirmStart { ke1 }))
    }
}

/// A pending record that is being opened.
#[derive(Debug)]
pub struct Confirmation {
    login: Login,
    export_key: ExportKey,
}

impl Confirmation {
    /// Goes on with the answer: the request that proves it; its answer goes to [`confirmed`]. Takes as long as the terms'
    /// hardness says.
    pub fn opened(
        self,
        answer: Answer,
        password: &NormalisedPassword,
        terms: &Terms,
        rng: &mut dyn RandomSource,
    ) -> Result<Request, StepError> {
        let Answer::ConfirmStarted { ke2 } = answer else { return Err(otherwise(answer)) };
        let (ke3, export_key) = self.login.finish(password, &ke2, &terms.parties, terms.hardness, rng)?;
        // A record that opens to another key would lose the backup, whatever the fleet says about it.
        if export_key != self.export_key {
            return Err(StepError::OtherRecord);
        }
        Ok(Request::ConfirmFinish { ke3 })
    }
}

/// The answer to [`Confirmation::opened`]: when the record becomes the active one, in seconds since 1970; `None` if it is.
pub fn confirmed(answer: Answer) -> Result<Option<u64>, StepError> {
    if let Answer::Confirmed { waits_until_unix } = answer { Ok(waits_until_unix) } else { Err(otherwise(answer)) }
}

/// The answer to [`Request::Delete`]: when the records are deleted, in seconds since 1970; `None` if they are.
pub fn deleted(answer: Answer) -> Result<Option<u64>, StepError> {
    if let Answer::Deleted { waits_until_unix } = answer { Ok(waits_until_unix) } else { Err(otherwise(answer)) }
}

#[expect(clippy::needless_pass_by_value, reason = "an answer is used once")]
fn otherwise(answer: Answer) -> StepError {
    if let Answer::Refused(refusal) = answer { StepError::Refused(refusal) } else { StepError::Unexpected }
}
