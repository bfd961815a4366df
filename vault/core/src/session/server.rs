//! A member's side of a session. It reads no clock, keeps no file and waits for nothing: it says which token is to be
//! verified and which command is to be committed, and goes on with the outcome.
//!
//! The order "charge by commit, then evaluate, then commit the success, then give the wraps" is the only one that the
//! types allow: an evaluation needs what a committed charge answers, and wraps come only with a committed success.
//!
//! Invariant: a request that is refused as out of order or malformed changes nothing but the count of exchanges.

mod account;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use account::{Account, Step};

use super::EXCHANGES_MAX;
use super::message::{Answer, Request, SessionRefusal};
use crate::account_token::{self, TokenRefusal, UntrustedToken, VerifiedAccountToken};
use crate::device::RandomSource;
use crate::machine::{Command, Response};
use crate::noise::channel::Channel;
use crate::noise::{NoiseError, SessionContext};
use crate::opaque::Parties;

/// A session that waits for its client's next frame.
pub struct ServerSession {
    line: Line,
    account: Option<Account>,
}

/// What a frame asked for.
#[derive(Debug)]
pub enum Turn {
    /// It is answered: the session that goes on, and the frame to send.
    Answer(Box<ServerSession>, Vec<u8>),
    /// The issuer's signature and the claims of this token are to be verified.
    Verify(UntrustedToken, Box<AwaitingToken>),
    /// This command is to be committed.
    Commit(Command, Box<AwaitingCommit>),
}

/// What became of a command.
#[derive(Debug)]
pub enum CommitOutcome {
    /// The machine applied it and answered this.
    Committed(Response),
    /// It was surely not done.
    NotCommitted,
    /// It may have been done.
    Unknown,
}

/// The session is over; nothing more is answered.
#[derive(Debug, thiserror::Error)]
#[error("the session is closed: {reason}")]
pub struct SessionClosed {
    /// Why.
    #[source]
    pub reason: ClosedReason,
    /// What is to be committed about a guess that the session leaves behind.
    pub abandoned: Option<Box<Command>>,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClosedReason {
    /// A frame that is not the client's next one, or an answer that could not be sealed.
    #[error(transparent)]
    Channel(#[from] NoiseError),
    /// The client asked more than [`EXCHANGES_MAX`] times.
    #[error("a session has at most {EXCHANGES_MAX} exchanges")]
    TooManyExchanges,
}

impl ServerSession {
    /// The session on a channel that was just accepted.
    #[must_use]
    pub const fn new(context: SessionContext, channel: Channel) -> Self {
        Self { line: Line { channel, context, exchanges: 0 }, account: None }
    }

    /// Takes the client's next frame.
    pub fn receive(mut self, frame: &[u8], rng: &mut dyn RandomSource) -> Result<Turn, SessionClosed> {
        let message = match self.line.open(frame) {
            Ok(message) => message,
            Err(reason) => return Err(SessionClosed::new(reason, self.abandoned())),
        };
        match message {
            None => self.refuse(SessionRefusal::Malformed),
            Some(Request::Idle) => self.answer(&Answer::Idle),
            Some(Request::Authenticate { token, proof }) => self.authenticate(token.expose(), proof),
            Some(request) => match self.account.take() {
                None => self.refuse(SessionRefusal::NotAuthenticated),
                Some(account) => match account.ask(request, rng) {
                    Step::Answer(account, answer) => {
                        self.account = Some(account);
                        self.answer(&answer)
                    }
                    Step::Commit(command, pending) => {
                        Ok(Turn::Commit(command, Box::new(AwaitingCommit { line: self.line, pending })))
                    }
                },
            },
        }
    }

    /// Whether the client said who it is, and was believed.
    #[must_use]
    pub const fn is_authenticated(&self) -> bool {
        self.account.is_some()
    }

    /// How often its client asked.
    #[must_use]
    pub const fn exchanges(&self) -> u32 {
        self.line.exchanges
    }

    /// What is to be committed if the session ends here: the outcome of a guess that was charged. `None` if there is none.
    #[must_use]
    pub fn abandoned(&self) -> Option<Command> {
        self.account.as_ref().and_then(Account::abandoned)
    }

    fn authenticate(self, token: &[u8], proof: Vec<u8>) -> Result<Turn, SessionClosed> {
        if self.account.is_some() {
            return self.refuse(SessionRefusal::OutOfOrder);
        }
        match UntrustedToken::parse(token) {
            Err(refusal) => self.refuse(SessionRefusal::Token(refusal)),
            Ok(token) => {
                let hash = self.line.channel.handshake_hash();
                let message = account_token::proof_message(&self.line.context, &hash, &token);
                Ok(Turn::Verify(token, Box::new(AwaitingToken { line: self.line, message, proof })))
            }
        }
    }

    fn refuse(self, refusal: SessionRefusal) -> Result<Turn, SessionClosed> {
        self.answer(&Answer::Refused(refusal))
    }

    fn answer(self, answer: &Answer) -> Result<Turn, SessionClosed> {
        let (session, frame) = self.sealed(answer)?;
        Ok(Turn::Answer(Box::new(session), frame))
    }

    fn sealed(mut self, answer: &Answer) -> Result<(Self, Vec<u8>), SessionClosed> {
        match self.line.seal(answer) {
            Ok(frame) => Ok((self, frame)),
            Err(reason) => Err(SessionClosed::new(reason, self.abandoned())),
        }
    }
}

impl fmt::Debug for ServerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerSession(…)")
    }
}

/// A session that waits for what the issuer's key says about a token.
pub struct AwaitingToken {
    line: Line,
    /// What the token's proof key must have signed.
    message: Vec<u8>,
    proof: Vec<u8>,
}

impl AwaitingToken {
    /// Goes on with the token's outcome. The proof of possession is checked here. Gives the frame to send.
    pub fn verified(
        self,
        outcome: Result<VerifiedAccountToken, TokenRefusal>,
    ) -> Result<(ServerSession, Vec<u8>), SessionClosed> {
        let believed = outcome.and_then(|token| {
            account_token::check_proof(&token, &self.message, &self.proof)?;
            Ok(token.account())
        });
        let (account, answer) = match believed {
            Ok(account) => {
                let parties = Parties::new(account, &self.line.context.origin, &self.line.context.fleet_id);
                (Some(Account::new(parties)), Answer::Authenticated)
            }
            Err(refusal) => (None, Answer::Refused(SessionRefusal::Token(refusal))),
        };
        ServerSession { line: self.line, account }.sealed(&answer)
    }
}

impl fmt::Debug for AwaitingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwaitingToken(…)")
    }
}

/// A session that waits for what became of its command.
pub struct AwaitingCommit {
    line: Line,
    pending: account::Pending,
}

impl AwaitingCommit {
    /// Goes on with the outcome. Gives the frame to send.
    pub fn committed(
        self,
        outcome: CommitOutcome,
        rng: &mut dyn RandomSource,
    ) -> Result<(ServerSession, Vec<u8>), SessionClosed> {
        let (account, answer) = self.pending.committed(outcome, rng);
        ServerSession { line: self.line, account: Some(account) }.sealed(&answer)
    }

    /// What is to be committed if nobody waits for the outcome any more. `None` if there is nothing.
    #[must_use]
    pub fn abandoned(&self) -> Option<Command> {
        self.pending.abandoned()
    }
}

impl fmt::Debug for AwaitingCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwaitingCommit(…)")
    }
}

impl SessionClosed {
    fn new(reason: ClosedReason, abandoned: Option<Command>) -> Self {
        Self { reason, abandoned: abandoned.map(Box::new) }
    }
}

/// The channel, and how often it was used.
struct Line {
    channel: Channel,
    context: SessionContext,
    exchanges: u32,
}

impl Line {
    /// Opens a frame. `None` is a frame of the client's with something else than a request in it.
    fn open(&mut self, frame: &[u8]) -> Result<Option<Request>, ClosedReason> {
        if self.exchanges >= EXCHANGES_MAX {
            return Err(ClosedReason::TooManyExchanges);
        }
        self.exchanges = self.exchanges.saturating_add(1);
        let message = self.channel.open(frame)?;
        Ok(Request::decode(&message).ok())
    }

    fn seal(&mut self, answer: &Answer) -> Result<Vec<u8>, ClosedReason> {
        // Every answer fits: the machine bounds what it keeps.
        let message = answer.encode().map_err(|_| NoiseError::State)?;
        Ok(self.channel.seal(&message)?)
    }
}

#[cfg(test)]
mod tests;
