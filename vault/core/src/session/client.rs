//! A client's side of a session. It sends nothing itself: it gives frames to send and takes the frames that came back.
//!
//! * [`ClientSession`] seals requests, opens answers and counts;
//! * [`steps`]: what to ask in which order, and what an answer means.
//!
//! Invariant: one request, one answer. What is asked is seen by nobody but the member, and how much is asked neither, if
//! the session is filled up with [`Request::Idle`] as [`ClientSession::idle_left`] says.

pub mod steps;

use alloc::vec::Vec;
use core::fmt;

use super::message::{Answer, MessageError, Request};
use super::{EXCHANGES, EXCHANGES_MAX};
use crate::account_token::{self, UntrustedToken};
use crate::noise::channel::Channel;
use crate::noise::{NoiseError, SessionContext};

/// Why a session did not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientSessionError {
    /// A frame that is not the member's next one. The session cannot be used any more.
    #[error(transparent)]
    Channel(#[from] NoiseError),
    /// The member's frame holds no answer, or the request does not fit into a frame.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A request before the answer to the last one, or an answer to none.
    #[error("a session is one request and one answer at a time")]
    OutOfTurn,
    /// More than [`EXCHANGES_MAX`] requests.
    #[error("a session has at most {EXCHANGES_MAX} exchanges")]
    TooManyExchanges,
}

/// A session with one member.
pub struct ClientSession {
    channel: Channel,
    context: SessionContext,
    exchanges: u32,
    waits: bool,
}

impl ClientSession {
    /// The session on a channel that was just opened.
    #[must_use]
    pub const fn new(context: SessionContext, channel: Channel) -> Self {
        Self { channel, context, exchanges: 0, waits: false }
    }

    /// With whom it is.
    #[must_use]
    pub const fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The frame that asks `request`.
    pub fn request(&mut self, request: &Request) -> Result<Vec<u8>, ClientSessionError> {
        if self.waits {
            return Err(ClientSessionError::OutOfTurn);
        }
        if self.exchanges >= EXCHANGES_MAX {
            return Err(ClientSessionError::TooManyExchanges);
        }
        let frame = self.channel.seal(&request.encode()?)?;
        self.exchanges = self.exchanges.saturating_add(1);
        self.waits = true;
        Ok(frame)
    }

    /// The answer in the frame that came back.
    pub fn answer(&mut self, frame: &[u8]) -> Result<Answer, ClientSessionError> {
        if !self.waits {
            return Err(ClientSessionError::OutOfTurn);
        }
        let message = self.channel.open(frame)?;
        self.waits = false;
        Ok(Answer::decode(&message)?)
    }

    /// How often [`Request::Idle`] is still to be asked, so that this session is as long as every other one.
    #[must_use]
    pub const fn idle_left(&self) -> u32 {
        EXCHANGES.saturating_sub(self.exchanges)
    }

    /// What the account token's proof key has to sign for this session.
    #[must_use]
    pub fn proof_message(&self, token: &UntrustedToken) -> Vec<u8> {
        account_token::proof_message(&self.context, &self.channel.handshake_hash(), token)
    }
}

impl fmt::Debug for ClientSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSession").field("exchanges", &self.exchanges).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
