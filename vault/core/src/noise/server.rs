//! The member's end of a session: answers an opening.

use alloc::sync::Arc;
use alloc::vec::Vec;

use countermark_bundle::identity::Digest;

use super::channel::Channel;
use super::resolver::Handshake;
use super::{DIGEST_BYTES, NoiseError, OPENED_BYTES, OPENING_BYTES, SessionContext, SessionId, exactly};
use crate::device::{IdentityKey, RandomSource, SessionKey};
use crate::to_sign;

/// Answers an opening with [`OPENED_BYTES`] bytes and the member's end of the channel.
///
/// Who opened is unknown to it, and an opening can be replayed: then the answer and the channel are others.
pub fn accept(
    context: &SessionContext,
    opening: &[u8],
    session_key: Arc<dyn SessionKey>,
    identity: &dyn IdentityKey,
    session_id: SessionId,
    rng: &mut dyn RandomSource,
) -> Result<(Vec<u8>, Channel), NoiseError> {
    let (found, message) = split(opening)?;
    let adopted = context.statement;
    if found != adopted {
        return Err(NoiseError::OtherStatement { adopted, found });
    }
    let mut handshake = Handshake::server(&to_sign::session_prologue(context), session_key, rng)?;
    handshake.read(message)?;
    let answer = handshake.write()?;
    let mut channel = Channel::after(handshake)?;
    let signature = identity.sign(&to_sign::session_hello(context, &channel.handshake_hash()))?;
    let hello = [signature.as_slice(), session_id.as_bytes()].concat();
    let frame = channel.seal(&hello)?;
    let mut bytes = Vec::with_capacity(OPENED_BYTES);
    for part in [session_id.as_bytes(), answer.as_slice(), &frame] {
        bytes.extend_from_slice(part);
    }
    Ok((bytes, channel))
}

/// The statement that an opening claims to be made under; nothing proves it before [`accept`].
pub fn untrusted_statement(opening: &[u8]) -> Result<Digest, NoiseError> {
    split(opening).map(|(statement, _message)| statement)
}

fn split(opening: &[u8]) -> Result<(Digest, &[u8]), NoiseError> {
    let opening: &[u8; OPENING_BYTES] = exactly(opening)?;
    let (statement, message) = opening.split_first_chunk::<DIGEST_BYTES>().ok_or(NoiseError::State)?;
    Ok((Digest(*statement), message))
}
