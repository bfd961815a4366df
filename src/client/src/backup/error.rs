//! Why an operation on a backup key was not done, and what it may have cost.

use countermark_bundle::ExitClass;
use countermark_bundle::identity::Timestamp;
use countermark_vault_core::account_token::TokenRefusal;
use countermark_vault_core::device::DeviceFault;
use countermark_vault_core::machine::{Refusal, ReplicatedTime};
use countermark_vault_core::member::ReportError;
use countermark_vault_core::noise::NoiseError;
use countermark_vault_core::opaque::client::{LoginError, RegistrationError};
use countermark_vault_core::session::client::ClientSessionError;
use countermark_vault_core::session::client::steps::StepError;
use countermark_vault_core::session::message::SessionRefusal;
use countermark_vault_core::wrap::{UnwrapError, WrapError};

use super::access::AccessError;
use super::account::ProofFault;
use crate::fetch::FetchError;

/// Something that changes what the vault keeps, so that its outcome matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Nothing but saying who the client is.
    Authentication,
    /// Spending a guess.
    Guess,
    /// Reporting that the guess was right.
    Login,
    /// Storing a new record as pending.
    Enrolment,
    /// Making the new record the active one.
    Confirmation,
    /// Deleting the records.
    Deletion,
}

impl std::fmt::Display for Deed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Authentication => "the authentication",
            Self::Guess => "the guess",
            Self::Login => "the login",
            Self::Enrolment => "the enrolment",
            Self::Confirmation => "the confirmation",
            Self::Deletion => "the deletion",
        })
    }
}

/// Why a frame was not exchanged for an answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// It was not carried, or nothing came back.
    #[error(transparent)]
    Carried(#[from] FetchError),
    /// What came back was not sealed by the member as its next frame, or holds no answer.
    #[error(transparent)]
    Session(#[from] ClientSessionError),
}

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The bundle does not lead to this member. Nothing was asked of it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The member cannot be reached. Nothing was asked of it.
    #[error("the member cannot be used: {0}")]
    Unreachable(#[source] FetchError),
    /// The member does not say which one it is.
    #[error("the member's report: {0}")]
    Report(#[source] Box<ReportError>),
    /// The member is not the one that the bundle states, or somebody is in between. Nothing was sent but an opening.
    #[error("the member did not prove that it is the one that the bundle states: {0}")]
    Unproven(#[source] NoiseError),
    /// The session broke before anything was asked for.
    #[error("the session broke before anything was asked for: {0}")]
    Broken(#[source] ExchangeError),
    /// The fleet does not believe the account token.
    #[error("the account token was refused: {0}")]
    TokenRefused(TokenRefusal),
    /// The app did not sign with the account's proof key.
    #[error(transparent)]
    Proof(#[from] ProofFault),
    /// The password opens nothing: it is another one, or nothing is registered.
    #[error("wrong password, or nothing is registered; {}", attempts(*attempts_left))]
    WrongPassword {
        /// How many guesses are left.
        attempts_left: u32,
    },
    /// The last guess is under way, or was lost a moment ago.
    #[error("no attempt is left")]
    NoAttemptLeft,
    /// All guesses were spent.
    #[error("all attempts were spent and the record is erased; a new one can be made from {until} on")]
    Exhausted {
        /// From when a new record may be made.
        until: ReplicatedTime,
    },
    /// The fleet does not serve, or takes no new records.
    #[error("the fleet does not serve this: {0}")]
    NotServing(Refusal),
    /// The fleet refused for another reason.
    #[error("the fleet refused: {0}")]
    Refused(Refusal),
    /// No majority of the fleet took part: the deed was not done.
    #[error("no majority of the fleet was reached: {deed} did not happen{}", if *spent { ", and a guess was spent" } else { "" })]
    NoMajority {
        /// What was not done.
        deed: Deed,
        /// Whether a guess was spent before, in the same session.
        spent: bool,
    },
    /// Nobody knows whether the deed was done. Nothing was tried again.
    #[error("it is not known whether {deed} happened{}; nothing was tried again", because(cause.as_ref()))]
    UnknownOutcome {
        /// What may have been done. A guess counts as spent.
        deed: Deed,
        /// What broke; `None` if the member itself says that it does not know.
        cause: Option<ExchangeError>,
    },
    /// The member failed while it worked. A guess that was under way counts as spent.
    #[error("the member failed during {deed}")]
    MemberFault {
        /// What was under way.
        deed: Deed,
    },
    /// The member answered something that does not follow from what was asked, or a value that cannot be used.
    #[error("the member broke the protocol: {rule}")]
    Protocol {
        /// The rule that it broke.
        rule: &'static str,
    },
    /// The member refused a step that our order of steps never gets wrong.
    #[error("the member refused a step: {0}")]
    Step(SessionRefusal),
    /// The record that was just made does not open. It is pending and will be forgotten.
    #[error("the new record does not open with its password; it was not activated")]
    NotOpened,
    /// The password is right, and the backup key that came with it is not this user's, or was changed.
    #[error("the backup key that was kept is not the one of this account, fleet and kind: {0}")]
    Wrap(#[from] UnwrapError),
    /// The record holds no backup key that a vault password opens, or keys that contradict one another.
    #[error("what was kept for this password does not contain one backup key: {rule}")]
    Wraps {
        /// The rule that is broken.
        rule: &'static str,
    },
    /// This system's randomness failed.
    #[error(transparent)]
    Device(#[from] DeviceFault),
    /// This system stopped the work.
    #[error("the work was stopped")]
    Stopped,
    /// No member could be used, each for its own reason. Nothing was asked of any.
    #[error("no member could be used: {}", list(failures))]
    NoMember {
        /// In the order of trying.
        failures: Vec<MemberFailure>,
    },
}

/// Why one member could not be used.
#[derive(Debug)]
pub struct MemberFailure {
    /// Where it was looked for.
    pub address: String,
    /// Why it could not be used.
    pub error: BackupError,
}

impl std::fmt::Display for MemberFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.address, self.error)
    }
}

fn attempts(left: u32) -> String {
    match left {
        0 => "no attempt is left, and the record is erased".to_string(),
        1 => "1 attempt is left".to_string(),
        left => format!("{left} attempts are left"),
    }
}

fn because(cause: Option<&ExchangeError>) -> String {
    cause.map_or_else(String::new, |cause| format!(" ({cause})"))
}

fn list(failures: &[MemberFailure]) -> String {
    let texts: Vec<String> = failures.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "none was named".to_string() } else { texts.join("; ") }
}

impl BackupError {
    /// What a step's error means while `deed` was under way. `spent`: a guess was spent before, in the same session.
    pub(super) fn of_step(error: StepError, deed: Deed, spent: bool) -> Self {
        match error {
            StepError::Refused(refusal) => Self::of_refusal(refusal, deed, spent),
            StepError::Unexpected => Self::Protocol { rule: "an answer to another question" },
            StepError::Registration(RegistrationError::Malformed | RegistrationError::Reflected) => {
                Self::Protocol { rule: "a registration's answer that cannot be used" }
            }
            // Where a guess is made, a wrong password is a verdict and no error: here it is about the new record.
            StepError::Login(LoginError::WrongPassword) | StepError::OtherRecord => Self::NotOpened,
            StepError::Login(LoginError::Malformed | LoginError::Reflected) => {
                Self::Protocol { rule: "a login's answer that cannot be used" }
            }
            StepError::Registration(RegistrationError::Device(fault))
            | StepError::Login(LoginError::Device(fault))
            | StepError::Wrap(WrapError::Device(fault)) => fault.into(),
            // An export key has 64 bytes.
            StepError::Wrap(WrapError::WeakSecret) => Self::Stopped,
            StepError::NoWrap => Self::Wraps { rule: "there is no wrap for a vault password" },
            StepError::Unwrap(error) => error.into(),
        }
    }

    fn of_refusal(refusal: SessionRefusal, deed: Deed, spent: bool) -> Self {
        match refusal {
            SessionRefusal::Token(refusal) => Self::TokenRefused(refusal),
            SessionRefusal::NotOpened => Self::NotOpened,
            SessionRefusal::NoMajority => Self::NoMajority { deed, spent },
            SessionRefusal::Unknown => Self::UnknownOutcome { deed, cause: None },
            SessionRefusal::MemberFault => Self::MemberFault { deed },
            SessionRefusal::NotAuthenticated | SessionRefusal::OutOfOrder | SessionRefusal::Malformed => {
                Self::Step(refusal)
            }
            SessionRefusal::Machine(refusal) => match refusal {
                Refusal::NoAttemptLeft => Self::NoAttemptLeft,
                Refusal::Exhausted { until } => Self::Exhausted { until },
                Refusal::NotFounded | Refusal::NotServing | Refusal::Draining => Self::NotServing(refusal),
                Refusal::FoundedAlready
                | Refusal::MalformedFounding
                | Refusal::Distrust { .. }
                | Refusal::OtherFleet
                | Refusal::Link { .. }
                | Refusal::UnknownAttempt
                | Refusal::UnknownRegistration
                | Refusal::TriedAlready
                | Refusal::NotTried
                | Refusal::UnknownLogin
                | Refusal::MalformedRecord
                | Refusal::Full
                | Refusal::TooManyUnderWay
                | Refusal::BatchTooLong => Self::Refused(refusal),
            },
        }
    }

    /// Whether surely nothing was spent and nothing changed: only then another member may be asked in silence.
    pub(super) const fn is_free(&self) -> bool {
        match self {
            Self::Access(_)
            | Self::Unreachable(_)
            | Self::Report(_)
            | Self::Unproven(_)
            | Self::Broken(_)
            | Self::NotServing(_)
            | Self::NoMajority { spent: false, .. }
            | Self::MemberFault { deed: Deed::Authentication } => true,
            Self::TokenRefused(_)
            | Self::Proof(_)
            | Self::WrongPassword { .. }
            | Self::NoAttemptLeft
            | Self::Exhausted { .. }
            | Self::Refused(_)
            | Self::NoMajority { spent: true, .. }
            | Self::UnknownOutcome { .. }
            | Self::MemberFault { .. }
            | Self::Protocol { .. }
            | Self::Step(_)
            | Self::NotOpened
            | Self::Wrap(_)
            | Self::Wraps { .. }
            | Self::Device(_)
            | Self::Stopped
            | Self::NoMember { .. } => false,
        }
    }

    /// The class that a process exits with.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Access(error) => error.exit_class(),
            Self::Unreachable(error) => match error.problem().map(crate::fetch::Problem::name) {
                Some("not-serving") => ExitClass::NotActive,
                // It is a matter of moments until both know the same statement.
                Some("other-statement") => ExitClass::Unreachable,
                Some(_) | None => error.exit_class(),
            },
            Self::Report(_) | Self::Protocol { .. } | Self::Step(_) => ExitClass::Malformed,
            Self::Unproven(error) => match error {
                NoiseError::Device(_) | NoiseError::State => ExitClass::OurFault,
                NoiseError::Length { .. }
                | NoiseError::OtherStatement { .. }
                | NoiseError::PeerKey
                | NoiseError::NotAuthentic
                | NoiseError::Identity
                | NoiseError::Padding
                | NoiseError::TooLong { .. }
                | NoiseError::Closed => ExitClass::Proof,
            },
            Self::TokenRefused(_)
            | Self::WrongPassword { .. }
            | Self::NoAttemptLeft
            | Self::Exhausted { .. }
            | Self::Refused(_) => ExitClass::RefusedByPolicy,
            Self::NotServing(_) => ExitClass::NotActive,
            Self::Broken(_) | Self::NoMajority { .. } | Self::MemberFault { .. } => ExitClass::Unreachable,
            Self::UnknownOutcome { .. } => ExitClass::NotChecked,
            Self::NotOpened | Self::Wrap(_) | Self::Wraps { .. } => ExitClass::Proof,
            Self::Proof(_) | Self::Device(_) | Self::Stopped => ExitClass::OurFault,
            // What tells more than "not reachable" is what the caller should hear.
            Self::NoMember { failures } => failures
                .iter()
                .map(|failure| failure.error.exit_class())
                .find(|class| *class != ExitClass::Unreachable)
                .unwrap_or(ExitClass::Unreachable),
        }
    }

    /// A short name that never changes, for programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Access(AccessError::Stale { .. }) => "stale",
            Self::Access(AccessError::NotServing { .. }) | Self::NotServing(_) => "not-serving",
            Self::Access(AccessError::Draining { .. }) => "draining",
            Self::Access(
                AccessError::UnknownFleet { .. }
                | AccessError::UnknownMember { .. }
                | AccessError::NoKey { .. }
                | AccessError::Key { .. },
            ) => "not-stated",
            Self::Unreachable(_) | Self::Broken(_) => "unreachable",
            Self::Report(_) | Self::Protocol { .. } | Self::Step(_) => "protocol",
            Self::Unproven(_) => "member-not-proven",
            Self::TokenRefused(_) => "token-refused",
            Self::WrongPassword { .. } => "wrong-password",
            Self::NoAttemptLeft => "no-attempt-left",
            Self::Exhausted { .. } => "exhausted",
            Self::Refused(_) => "refused",
            Self::NoMajority { .. } => "no-majority",
            Self::UnknownOutcome { .. } => "unknown-outcome",
            Self::MemberFault { .. } => "member-fault",
            Self::NotOpened => "not-opened",
            Self::Wrap(_) | Self::Wraps { .. } => "wrap-mismatch",
            Self::Proof(_) | Self::Device(_) | Self::Stopped => "fault",
            Self::NoMember { failures } => {
                let mut names = failures.iter().map(|failure| failure.error.name());
                let first = names.next().unwrap_or("no-member");
                if names.all(|name| name == first) { first } else { "no-member" }
            }
        }
    }

    /// How many guesses are left, where the answer says it.
    #[must_use]
    pub const fn attempts_left(&self) -> Option<u32> {
        if let Self::WrongPassword { attempts_left } = self {
            return Some(*attempts_left);
        }
        if matches!(self, Self::NoAttemptLeft | Self::Exhausted { .. }) { Some(0) } else { None }
    }

    /// From when a new record may be made, after the last guess.
    #[must_use]
    pub const fn exhausted_until(&self) -> Option<Timestamp> {
        if let Self::Exhausted { until } = self { until.timestamp() } else { None }
    }
}

#[cfg(test)]
mod tests;
