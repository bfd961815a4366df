//! One session with one member: opened, authenticated, asked, filled up to the length that every session has.

use countermark_bundle::identity::Timestamp;
use countermark_bundle::statement::FleetStatus;
use countermark_bundle::verify::VerifiedBundle;
use countermark_vault_core::member::UntrustedMemberReport;
use countermark_vault_core::noise::client::Opening;
use countermark_vault_core::noise::{SessionContext, SessionId};
use countermark_vault_core::opaque::Hardness;
use countermark_vault_core::session::client::ClientSession;
use countermark_vault_core::session::client::steps::{self, StepError, Terms};
use countermark_vault_core::session::message::{Answer, Request};

use super::access::{AccessError, FleetAccess, MemberAccess};
use super::account::Account;
use super::error::{BackupError, Deed, ExchangeError};
use super::randomness::OsRandom;
use super::transport::Transport;
use crate::fetch::resumed;

/// What an operation needs of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// A fleet that serves.
    Serving,
    /// A fleet that also takes new records.
    Active,
}

/// Who asks, what is believed, and at which time.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub bundle: &'a VerifiedBundle,
    pub account: &'a Account,
    pub now: Timestamp,
    pub hardness: Hardness,
}

/// An authenticated session.
pub(super) struct Session<'a> {
    transport: &'a dyn Transport,
    id: SessionId,
    inner: ClientSession,
    terms: Terms,
    /// Whether a guess was spent in it.
    spent: bool,
}

impl<'a> Session<'a> {
    /// Opens a session and says who the client is. Whatever fails, nothing was spent.
    pub async fn open(transport: &'a dyn Transport, caller: Caller<'_>, needs: Needs) -> Result<Self, BackupError> {
        // 1. Which member is it? Its own word only chooses among the keys that the bundle states.
        let access = find(transport, caller, needs).await?;

        // 2. The handshake. The member proves that it holds both keys, or there is no session.
        let context = access.context().clone();
        let (opening, bytes) =
            Opening::start(context.clone(), access.session_public(), &mut OsRandom).map_err(BackupError::Unproven)?;
        let answer = transport.open(bytes).await.map_err(BackupError::Unreachable)?;
        let (id, channel) = opening.finish(&answer, access.identity()).map_err(BackupError::Unproven)?;

        // 3. Only now the token leaves this process, and only for this member.
        let terms = Terms::new(&context, caller.account.id(), caller.hardness);
        let mut session = Self { transport, id, inner: ClientSession::new(context, channel), terms, spent: false };
        if let Err(error) = session.authenticate(caller.account).await {
            session.fill().await;
            return Err(error);
        }
        Ok(session)
    }

    async fn authenticate(&mut self, account: &Account) -> Result<(), BackupError> {
        let signature = account.proof.sign(&self.inner.proof_message(&account.token))?;
        let request = steps::authenticate(&self.inner, account.token.as_str(), |_| signature);
        let answer = self.exchange(&request.map_err(BackupError::TokenRefused)?).await.map_err(BackupError::Broken)?;
        steps::authenticated(answer).map_err(|error| self.failed(error, Deed::Authentication))
    }

    /// Whose record, where, how hard.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// With whom.
    pub fn context(&self) -> &SessionContext {
        self.inner.context()
    }

    /// A guess was spent: from now on nothing is free.
    pub fn spend(&mut self) {
        self.spent = true;
    }

    /// Whether one more request fits without making this session longer than others.
    pub fn has_room(&self) -> bool {
        self.inner.idle_left() > 0
    }

    /// Asks for something that commits nothing.
    pub async fn ask(&mut self, request: &Request, leads_to: Deed) -> Result<Answer, BackupError> {
        let spent = self.spent;
        self.exchange(request).await.map_err(|cause| {
            if spent {
                BackupError::UnknownOutcome { deed: leads_to, cause: Some(cause) }
            } else {
                BackupError::Broken(cause)
            }
        })
    }

    /// Asks for a deed. If no answer comes back, nobody knows whether it was done.
    pub async fn ask_for(&mut self, deed: Deed, request: &Request) -> Result<Answer, BackupError> {
        self.exchange(request).await.map_err(|cause| BackupError::UnknownOutcome { deed, cause: Some(cause) })
    }

    /// What a step's error means while a deed was under way.
    pub fn failed(&self, error: StepError, deed: Deed) -> BackupError {
        BackupError::of_step(error, deed, self.spent)
    }

    /// Asks for nothing, until this session is as long as every other one. What fails here changes no outcome.
    pub async fn fill(mut self) {
        while self.inner.idle_left() > 0 {
            if self.exchange(&Request::Idle).await.is_err() {
                return;
            }
        }
    }

    async fn exchange(&mut self, request: &Request) -> Result<Answer, ExchangeError> {
        let frame = self.inner.request(request)?;
        let answer = self.transport.exchange(self.id, frame).await?;
        Ok(self.inner.answer(&answer)?)
    }
}

/// The member behind an address, as the bundle states it.
async fn find(transport: &dyn Transport, caller: Caller<'_>, needs: Needs) -> Result<MemberAccess, BackupError> {
    let report = transport.report().await.map_err(BackupError::Unreachable)?;
    let report = UntrustedMemberReport::parse(&report).map_err(|source| BackupError::Report(Box::new(source)))?;
    let named = report.unverified_identity();
    let fleet = FleetAccess::new(caller.bundle, &named.fleet_id, caller.now)?;
    if needs == Needs::Active && fleet.fleet().status != FleetStatus::Active {
        return Err(AccessError::Draining { fleet_id: named.fleet_id.clone() }.into());
    }
    Ok(fleet.member(&named.member_id)?)
}

/// Runs what takes long on a thread of its own: the runtime's threads have others to serve.
pub(super) async fn hard_work<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, BackupError> {
    resumed(tokio::task::spawn_blocking(work).await).map_err(|_| BackupError::Stopped)
}
