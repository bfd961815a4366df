//! A link between two members of one fleet: both prove their attested session key and their identity key.
//!
//! A message of up to 64 MiB travels as one or more pieces, each one Noise transport message. The joined plaintexts are:
//! length of the message (4 bytes, big-endian) ‖ message; every piece but the last is full, 65,519 bytes of plaintext.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use countermark_bundle::key::PublicKey;
use zeroize::Zeroizing;

use super::channel::Transport;
use super::resolver::Handshake;
use super::{
    DIGEST_BYTES, HANDSHAKE_BYTES, KEY_BYTES, NoiseError, PEER_MESSAGE_BYTES_MAX, PeerContext, PeerSide,
    SIGNATURE_BYTES, TAG_BYTES, exactly,
};
use crate::device::{IdentityKey, RandomSource, SessionKey};
use crate::to_sign;

/// Bytes of a hello: the sealed signature.
pub const PEER_HELLO_BYTES: usize = SIGNATURE_BYTES + TAG_BYTES;
/// Bytes of the message that opens a link.
pub const PEER_OPENING_BYTES: usize = HANDSHAKE_BYTES;
/// Bytes of the answer to it.
pub const PEER_ANSWER_BYTES: usize = HANDSHAKE_BYTES + PEER_HELLO_BYTES;
/// The most bytes of a piece.
pub const PIECE_BYTES_MAX: usize = 65_535;

/// The most plaintext of a piece.
const PIECE_PLAINTEXT_BYTES: usize = PIECE_BYTES_MAX - TAG_BYTES;
/// Bytes of the length before a message.
const LENGTH_BYTES: usize = 4;

/// The other end of a link, as the statement names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerKeys {
    /// Its session key, X25519.
    pub session_public: [u8; KEY_BYTES],
    /// Its identity key, Ed25519.
    pub identity: PublicKey,
}

/// The opening end of a link that was not answered yet.
pub struct Initiator {
    context: PeerContext,
    handshake: Handshake,
    responder: PublicKey,
}

impl Initiator {
    /// Opens a link towards `responder`; gives the [`PEER_OPENING_BYTES`] to send.
    pub fn start(
        context: PeerContext,
        own: Arc<dyn SessionKey>,
        responder: PeerKeys,
        rng: &mut dyn RandomSource,
    ) -> Result<(Self, Vec<u8>), NoiseError> {
        let prologue = to_sign::peer_prologue(&context);
        let mut handshake = Handshake::peer(&prologue, own, &responder.session_public, PeerSide::Initiates, rng)?;
        let message = handshake.write()?.to_vec();
        Ok((Self { context, handshake, responder: responder.identity }, message))
    }

    /// Takes the answer of [`PEER_ANSWER_BYTES`], with the responder's hello in it; gives the own hello to send.
    pub fn finish(mut self, answer: &[u8], identity: &dyn IdentityKey) -> Result<(PeerChannel, Vec<u8>), NoiseError> {
        let answer: &[u8; PEER_ANSWER_BYTES] = exactly(answer)?;
        let (message, hello) = answer.split_at_checked(HANDSHAKE_BYTES).ok_or(NoiseError::State)?;
        self.handshake.read(message)?;
        let transport = Transport::after(self.handshake)?;
        let mut unproven =
            UnprovenPeer { context: self.context, transport, other: PeerSide::Responds, identity: self.responder };
        let own = unproven.own_hello(identity)?;
        Ok((unproven.check_hello(hello)?, own))
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initiator").field("context", &self.context).finish_non_exhaustive()
    }
}

/// The called end of a link; a name for [`Responder::accept`] to stand under.
#[derive(Clone, Copy, Debug)]
pub struct Responder;

impl Responder {
    /// Answers the opening of a link by `initiator`: the end that still waits for its hello, and the
    /// [`PEER_ANSWER_BYTES`] to send.
    pub fn accept(
        context: PeerContext,
        opening: &[u8],
        own: Arc<dyn SessionKey>,
        identity: &dyn IdentityKey,
        initiator: PeerKeys,
        rng: &mut dyn RandomSource,
    ) -> Result<(UnprovenPeer, Vec<u8>), NoiseError> {
        let prologue = to_sign::peer_prologue(&context);
        let mut handshake = Handshake::peer(&prologue, own, &initiator.session_public, PeerSide::Responds, rng)?;
        handshake.read(opening)?;
        let mut answer = handshake.write()?.to_vec();
        let transport = Transport::after(handshake)?;
        let mut unproven =
            UnprovenPeer { context, transport, other: PeerSide::Initiates, identity: initiator.identity };
        answer.extend(unproven.own_hello(identity)?);
        Ok((unproven, answer))
    }
}

/// A link whose other end has not shown its identity key yet. It neither seals nor opens messages:
///
/// ```compile_fail,E0599
/// fn talk(mut unproven: countermark_vault_core::noise::peer::UnprovenPeer) {
///     let _ = unproven.seal(b"too early");
/// }
/// ```
pub struct UnprovenPeer {
    context: PeerContext,
    transport: Transport,
    other: PeerSide,
    identity: PublicKey,
}

impl UnprovenPeer {
    /// Takes the other end's hello of [`PEER_HELLO_BYTES`]; the link exists only if it is signed by its identity key.
    pub fn check_hello(mut self, hello: &[u8]) -> Result<PeerChannel, NoiseError> {
        let hello: &[u8; PEER_HELLO_BYTES] = exactly(hello)?;
        let signature = self.transport.open(hello)?;
        let signed = to_sign::peer_hello(&self.context, self.other, self.transport.handshake_hash());
        self.identity.verify_ed25519(&signed, &signature).map_err(|_invalid| NoiseError::Identity)?;
        Ok(PeerChannel { transport: self.transport, incoming: None })
    }

    /// This side's first transport message.
    fn own_hello(&mut self, identity: &dyn IdentityKey) -> Result<Vec<u8>, NoiseError> {
        let own = match self.other {
            PeerSide::Initiates => PeerSide::Responds,
            PeerSide::Responds => PeerSide::Initiates,
        };
        let signature = identity.sign(&to_sign::peer_hello(&self.context, own, self.transport.handshake_hash()))?;
        self.transport.seal(&signature)
    }
}

impl fmt::Debug for UnprovenPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnprovenPeer").field("context", &self.context).finish_non_exhaustive()
    }
}

/// One end of a link between two members that both proved who they are.
pub struct PeerChannel {
    transport: Transport,
    incoming: Option<Incoming>,
}

/// A message of which pieces are missing.
struct Incoming {
    length: usize,
    received: Zeroizing<Vec<u8>>,
}

impl PeerChannel {
    /// Seals `message`, at most [`PEER_MESSAGE_BYTES_MAX`], as the pieces to send, in order: each at most
    /// [`PIECE_BYTES_MAX`], never none.
    pub fn seal(&mut self, message: &[u8]) -> Result<Vec<Vec<u8>>, NoiseError> {
        let too_long = NoiseError::TooLong { max: PEER_MESSAGE_BYTES_MAX, found: message.len() };
        if message.len() > PEER_MESSAGE_BYTES_MAX {
            return Err(too_long);
        }
        let length = u32::try_from(message.len()).map_err(|_longer| too_long)?.to_be_bytes();
        let (first, rest) = message.split_at(message.len().min(PIECE_PLAINTEXT_BYTES - LENGTH_BYTES));
        let first = Zeroizing::new([length.as_slice(), first].concat());
        let mut pieces = Vec::with_capacity(1 + rest.len().div_ceil(PIECE_PLAINTEXT_BYTES));
        pieces.push(self.transport.seal(&first)?);
        for plaintext in rest.chunks(PIECE_PLAINTEXT_BYTES) {
            pieces.push(self.transport.seal(plaintext)?);
        }
        Ok(pieces)
    }

    /// Opens the other end's next piece: the message if it was the last one, `None` if more follow. A refusal closes the
    /// channel: every later call fails.
    pub fn open(&mut self, piece: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, NoiseError> {
        let opened = self.transport.open(piece).and_then(|plaintext| self.join(&plaintext));
        if opened.is_err() {
            self.incoming = None;
            self.transport.close();
        }
        opened
    }

    /// The handshake's hash: the same at both ends and of no other link.
    #[must_use]
    pub const fn handshake_hash(&self) -> [u8; DIGEST_BYTES] {
        *self.transport.handshake_hash()
    }

    fn join(&mut self, plaintext: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, NoiseError> {
        let (mut incoming, part) = match self.incoming.take() {
            Some(incoming) => (incoming, plaintext),
            None => Incoming::begin(plaintext)?,
        };
        let missing = incoming.length.saturating_sub(incoming.received.len());
        // One message has one division into pieces: full ones, then the rest.
        let room = PIECE_PLAINTEXT_BYTES - if incoming.received.is_empty() { LENGTH_BYTES } else { 0 };
        if part.len() != missing.min(room) {
            return Err(NoiseError::Padding);
        }
        incoming.received.extend_from_slice(part);
        if part.len() == missing {
            return Ok(Some(incoming.received));
        }
        self.incoming = Some(incoming);
        Ok(None)
    }
}

impl Incoming {
    fn begin(plaintext: &[u8]) -> Result<(Self, &[u8]), NoiseError> {
        let (length, part) = plaintext.split_first_chunk::<LENGTH_BYTES>().ok_or(NoiseError::Padding)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_longer| NoiseError::State)?;
        if length > PEER_MESSAGE_BYTES_MAX {
            return Err(NoiseError::TooLong { max: PEER_MESSAGE_BYTES_MAX, found: length });
        }
        // Room taken at once: growing would leave unwiped copies behind. The sender is a proven member.
        Ok((Self { length, received: Zeroizing::new(Vec::with_capacity(length)) }, part))
    }
}

impl fmt::Debug for PeerChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerChannel(redacted)")
    }
}

#[cfg(test)]
mod tests;
