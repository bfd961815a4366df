//! Sessions with users: opened by the handshake, carried on frame by frame, ended by whatever is not the next frame.
//!
//! What is said inside is `countermark_vault_core`'s; here its questions are answered: whether an account token is its
//! issuer's, and what became of a command.
//!
//! Invariants: nothing here is logged that would tell users, their sessions or the outcomes of sessions apart; and every
//! session costs its relay the same bytes, whatever goes on inside.

use std::sync::Arc;
use std::time::Duration;

use countermark_bundle::identity::{Digest, Timestamp};
use countermark_vault_core::machine::{Command, Machine};
use countermark_vault_core::noise::{self, NoiseError, SessionContext, SessionId, server};
use countermark_vault_core::session::EXCHANGES;
use countermark_vault_core::session::server::{AwaitingCommit, CommitOutcome, ServerSession, SessionClosed, Turn};
use countermark_vault_raft::CommitError;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::account_token::TokenVerifier;
use crate::device::OsRandomness;
use crate::fleet::FoundingTerms;
use crate::peer::OwnEnd;
use crate::ports::{Replicated, WallClock};
use crate::session_table::{DONE_IDLE_MAX, IDLE_MAX, SESSIONS_MAX, STRANGER_IDLE_MAX, SessionTable, Taken};

/// How many guesses that expired sessions left behind are reported at once. The machine settles the others in its own
/// time.
const ABANDONED_MAX: usize = 256;

/// Why no session was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum OpenRefusal {
    /// The fleet has adopted no bundle, or was founded under another trust file than this member's.
    #[error("this member serves no sessions yet")]
    NotServing,
    /// The client verified another statement.
    #[error("another statement is adopted: {adopted}")]
    OtherStatement {
        /// The digest of the adopted statement.
        adopted: Digest,
    },
    /// Not the opening of a session.
    #[error("not the opening of a session")]
    Malformed,
    /// There is no room.
    #[error("this member has no room for another session")]
    Busy,
    /// The member failed.
    #[error("the member failed")]
    Fault,
}

/// There is no such session, or it has just ended. More is said to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no such session")]
pub(crate) struct NoSession;

/// What sessions are served with.
pub(crate) struct SessionService<Fleet> {
    own: OwnEnd,
    tokens: TokenVerifier,
    clock: Arc<dyn WallClock>,
    fleet: Arc<Fleet>,
    write_deadline: Duration,
    /// What the fleet must have been founded on.
    terms: Arc<FoundingTerms>,
    table: SessionTable<ServerSession>,
}

impl<Fleet: Replicated> SessionService<Fleet> {
    pub(crate) fn new(
        own: OwnEnd,
        tokens: TokenVerifier,
        clock: Arc<dyn WallClock>,
        fleet: Arc<Fleet>,
        write_deadline: Duration,
        terms: Arc<FoundingTerms>,
    ) -> Self {
        Self { own, tokens, clock, fleet, write_deadline, terms, table: SessionTable::new(SESSIONS_MAX) }
    }

    /// Opens a session: the answer to the client's opening.
    pub(crate) fn open(&self, opening: &[u8]) -> Result<Vec<u8>, OpenRefusal> {
        let adopted = self.fleet.read(|machine| adopted(machine, &self.terms)).ok_or(OpenRefusal::NotServing)?;
        // Before the handshake: a full member does no arithmetic for strangers.
        if !self.table.has_room() {
            return Err(OpenRefusal::Busy);
        }
        let OwnEnd { origin, fleet_id, member_id, identity, session } = self.own.clone();
        let context = SessionContext { origin, fleet_id, member_id, statement: adopted };
        let id = SessionId::draw(&mut OsRandomness).map_err(|_| fault("the device drew no session id"))?;
        let accepted = server::accept(&context, opening, session, identity.as_ref(), id, &mut OsRandomness);
        let (answer, channel) = accepted.map_err(|error| refuse(error, adopted))?;
        let session = ServerSession::new(context, channel);
        self.table.insert(id, session, Instant::now() + STRANGER_IDLE_MAX).map_err(|_full| OpenRefusal::Busy)?;
        Ok(answer)
    }

    /// Carries a session on: the frame that answers a frame.
    ///
    /// It must run to its end once begun, or what was charged for this session is settled only in the machine's time.
    pub(crate) async fn exchange(&self, id: SessionId, frame: &[u8]) -> Result<Vec<u8>, NoSession> {
        let session = match self.table.take(id, Instant::now()) {
            Taken::Session(session) => session,
            Taken::Expired(session) => {
                self.abandon(session.abandoned()).await;
                return Err(NoSession);
            }
            Taken::Unknown => return Err(NoSession),
        };
        match self.answer(session, frame).await {
            Ok((session, answer)) => {
                let wait = if session.exchanges() >= EXCHANGES {
                    DONE_IDLE_MAX
                } else if session.is_authenticated() {
                    IDLE_MAX
                } else {
                    STRANGER_IDLE_MAX
                };
                if let Some(ended) = self.table.put_back(id, session, Instant::now() + wait) {
                    self.abandon(ended.abandoned()).await;
                    return Err(NoSession);
                }
                Ok(answer)
            }
            Err(closed) => {
                self.table.remove(id);
                self.abandon(closed.abandoned.map(|command| *command)).await;
                Err(NoSession)
            }
        }
    }

    /// Ends the sessions that waited too long, and reports the guesses that they leave behind.
    pub(crate) async fn expire(self: &Arc<Self>) {
        let abandoned = self.table.expire(Instant::now()).into_iter().filter_map(|session| session.abandoned());
        let mut reports = JoinSet::new();
        for command in abandoned.take(ABANDONED_MAX) {
            let service = Arc::clone(self);
            reports.spawn(async move { service.abandon(Some(command)).await });
        }
        while reports.join_next().await.is_some() {}
    }

    async fn answer(&self, session: ServerSession, frame: &[u8]) -> Result<(ServerSession, Vec<u8>), SessionClosed> {
        match session.receive(frame, &mut OsRandomness)? {
            Turn::Answer(session, answer) => Ok((*session, answer)),
            Turn::Verify(token, awaiting) => awaiting.verified(self.tokens.verify(&token, self.now())),
            Turn::Commit(command, awaiting) => self.commit(command, *awaiting).await,
        }
    }

    /// The later of this member's clock and the fleet's time: a host that sets its clock back revives no token.
    fn now(&self) -> Timestamp {
        let own = self.clock.now();
        self.fleet.read(|machine| machine.now().timestamp()).map_or(own, |fleet| own.max(fleet))
    }

    /// 1. The command is committed by a majority, or its deadline passes. A crash here leaves a charge that was spent
    ///    and never evaluated.
    /// 2. Only with the machine's answer in hand the session goes on, which may evaluate a password, or give wraps.
    /// 3. The frame leaves. A crash before that costs the client its session; it opens another one.
    async fn commit(
        &self,
        command: Command,
        awaiting: AwaitingCommit,
    ) -> Result<(ServerSession, Vec<u8>), SessionClosed> {
        let outcome = match self.fleet.commit(command, Instant::now() + self.write_deadline).await {
            Ok(response) => CommitOutcome::Committed(response),
            Err(CommitError::NoMajority) => CommitOutcome::NotCommitted,
            Err(CommitError::Unknown) => CommitOutcome::Unknown,
        };
        awaiting.committed(outcome, &mut OsRandomness)
    }

    /// Reports a guess whose outcome nobody will report. If that fails, too, the machine settles it in its own time.
    async fn abandon(&self, command: Option<Command>) {
        if let Some(command) = command {
            let _ = self.fleet.commit(command, Instant::now() + self.write_deadline).await;
        }
    }
}

/// The statement that sessions are opened under.
pub(crate) fn adopted(machine: &Machine, terms: &FoundingTerms) -> Option<Digest> {
    // A fleet that was founded on other terms staples, or believes, what this member's operator never agreed to.
    machine.founding().filter(|founding| terms.are_those_of(founding))?;
    machine.stapled().map(|stapled| stapled.statement)
}

fn refuse(error: NoiseError, adopted: Digest) -> OpenRefusal {
    match error {
        NoiseError::OtherStatement { .. } => OpenRefusal::OtherStatement { adopted },
        NoiseError::Device(_) | NoiseError::State => fault("a session could not be opened"),
        NoiseError::Length { .. }
        | NoiseError::PeerKey
        | NoiseError::NotAuthentic
        | NoiseError::Identity
        | NoiseError::Padding
        | NoiseError::TooLong { .. }
        | NoiseError::Closed => OpenRefusal::Malformed,
    }
}

fn fault(what: &'static str) -> OpenRefusal {
    tracing::error!("fault: {what}");
    OpenRefusal::Fault
}

/// The bytes of an opening, and of a frame.
pub(crate) const BODY_BYTES_MAX: usize = noise::FRAME_BYTES;

#[cfg(test)]
mod tests;
