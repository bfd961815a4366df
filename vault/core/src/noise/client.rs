//! The client's end of a session: opens it towards one member of a verified statement.

use core::fmt;

use countermark_bundle::key::PublicKey;

use super::channel::Channel;
use super::resolver::Handshake;
use super::{
    HANDSHAKE_BYTES, KEY_BYTES, NoiseError, OPENED_BYTES, OPENING_BYTES, SIGNATURE_BYTES, SessionContext, SessionId,
    exactly,
};
use crate::device::RandomSource;
use crate::to_sign;

/// A session whose opening was sent and not answered yet.
pub struct Opening {
    context: SessionContext,
    handshake: Handshake,
}

impl Opening {
    /// Starts a session with the owner of `session_public`, which the verified statement names for `context.member_id`.
    /// Gives the bytes to send.
    pub fn start(
        context: SessionContext,
        session_public: &[u8; KEY_BYTES],
        rng: &mut dyn RandomSource,
    ) -> Result<(Self, [u8; OPENING_BYTES]), NoiseError> {
        let mut handshake = Handshake::client(&to_sign::session_prologue(&context), session_public, rng)?;
        let message = handshake.write()?;
        let mut opening = [0; OPENING_BYTES];
        let (statement, rest) = opening.split_first_chunk_mut().ok_or(NoiseError::State)?;
        *statement = context.statement.0;
        rest.copy_from_slice(&message);
        Ok((Self { context, handshake }, opening))
    }

    /// Takes the member's answer of [`OPENED_BYTES`]. There is a channel only if `identity`, the member's identity key in
    /// the statement, signed this handshake.
    pub fn finish(mut self, answer: &[u8], identity: &PublicKey) -> Result<(SessionId, Channel), NoiseError> {
        let answer: &[u8; OPENED_BYTES] = exactly(answer)?;
        let (session_id, rest) = answer.split_first_chunk().ok_or(NoiseError::State)?;
        let (message, frame) = rest.split_at_checked(HANDSHAKE_BYTES).ok_or(NoiseError::State)?;
        self.handshake.read(message)?;
        let mut channel = Channel::after(self.handshake)?;
        let hello = channel.open(frame)?;
        let (signature, said_id) = hello.split_at_checked(SIGNATURE_BYTES).ok_or(NoiseError::Identity)?;
        // The identifier outside is the relay's word; inside it is the member's.
        if said_id != session_id {
            return Err(NoiseError::NotAuthentic);
        }
        let signed = to_sign::session_hello(&self.context, &channel.handshake_hash());
        identity.verify_ed25519(&signed, signature).map_err(|_invalid| NoiseError::Identity)?;
        Ok((SessionId::from(*session_id), channel))
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("context", &self.context).finish_non_exhaustive()
    }
}
