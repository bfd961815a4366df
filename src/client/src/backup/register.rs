//! Registering a backup key: a new record, proved to open before it counts.

use std::sync::Arc;

use countermark_bundle::identity::Timestamp;
use countermark_vault_core::machine::Wrap;
use countermark_vault_core::opaque::NormalisedPassword;
use countermark_vault_core::session::client::steps::{self, Enrolment};
use countermark_vault_core::wrap::BackupKey;

use super::error::{BackupError, Deed};
use super::randomness::OsRandom;
use super::session::{Needs, Session, hard_work};
use super::vault::Operation;

/// A record that opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// When it becomes the active one; `None` if it is. Until then the older record opens, and a right guess on it cancels
    /// this one.
    pub waits_until: Option<Timestamp>,
}

/// Registers a key under a password.
pub(super) struct Register {
    pub password: Arc<NormalisedPassword>,
    pub key: Arc<BackupKey>,
}

impl Operation for Register {
    type Outcome = Registered;

    const NEEDS: Needs = Needs::Active;

    async fn carry_out(&self, session: &mut Session<'_>) -> Result<Registered, BackupError> {
        let waits_until = enrol(session, &self.password, &self.key, Vec::new()).await?;
        Ok(Registered { waits_until })
    }
}

/// Makes a record of a key, has it kept as pending, proves that it opens, and has it confirmed. Says when it becomes the
/// active one, if it is not already.
pub(super) async fn enrol(
    session: &mut Session<'_>,
    password: &Arc<NormalisedPassword>,
    key: &Arc<BackupKey>,
    other_wraps: Vec<Wrap>,
) -> Result<Option<Timestamp>, BackupError> {
    // 1. The password is blinded and answered under a setup that is made for this record alone.
    let started = Enrolment::start(password, &mut OsRandom);
    let (enrolment, request) = started.map_err(|error| session.failed(error, Deed::Enrolment))?;
    let answer = session.ask(&request, Deed::Enrolment).await?;

    // 2. The key is wrapped under what the password opens, and the record is kept as pending: nobody can guess against it.
    let (own, own_key, terms) = (Arc::clone(password), Arc::clone(key), session.terms().clone());
    let started =
        hard_work(move || enrolment.started(answer, &own, (&own_key, other_wraps), &terms, &mut OsRandom)).await?;
    let (pending, request) = started.map_err(|error| session.failed(error, Deed::Enrolment))?;
    let answer = session.ask_for(Deed::Enrolment, &request).await?;

    // 3. The record is opened, once: a mistyped or damaged one never replaces one that works.
    let enrolled = pending.enrolled(answer, password, &mut OsRandom);
    let (confirmation, request) = enrolled.map_err(|error| session.failed(error, Deed::Enrolment))?;
    let answer = session.ask_for(Deed::Enrolment, &request).await?;
    let (own, terms) = (Arc::clone(password), session.terms().clone());
    let opened = hard_work(move || confirmation.opened(answer, &own, &terms, &mut OsRandom)).await?;
    let request = opened.map_err(|error| session.failed(error, Deed::Enrolment))?;

    // 4. It is confirmed: from now on, or from the end of the cool-off on, it is the one that opens.
    let answer = session.ask_for(Deed::Confirmation, &request).await?;
    let until = steps::confirmed(answer).map_err(|error| session.failed(error, Deed::Confirmation))?;
    waiting(until)
}

/// A time as the member says it.
pub(super) fn waiting(until_unix: Option<u64>) -> Result<Option<Timestamp>, BackupError> {
    let read =
        |seconds| Timestamp::from_unix(seconds).ok_or(BackupError::Protocol { rule: "a time after the year 9999" });
    until_unix.map(read).transpose()
}
