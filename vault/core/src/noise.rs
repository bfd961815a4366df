//! Encrypted channels: from a user's client into one attested member, and between two members.
//!
//! * [`client`] and [`server`]: one session of a user, `Noise_NK_25519_ChaChaPoly_SHA256`. The client knows the member's
//!   session key from the published statement; nobody in between, not even a relay that ends TLS, sees or changes a byte.
//! * [`peer`]: one link between two members, `Noise_KK_25519_ChaChaPoly_SHA256`.
//! * [`channel`]: the frames of a session, all of one size, so that their length says nothing.
//!
//! The module is no transport: it turns bytes into bytes. Static keys stay in the device ([`crate::device::SessionKey`]),
//! ephemeral ones are made from the device's randomness.
//!
//! Invariants:
//! * Nothing is sealed or opened before the other side's identity key signed this very handshake (client and peers).
//! * Both sides hold the same origin, fleet, statement and names, or there is no channel.
//! * A channel that refused one message refuses every later one.
//!
//! Limit: ephemeral keys are wiped, but the library's transport keys are not; they are gone when their memory is used
//! again.
//!
//! # Formats
//!
//! | message | bytes |
//! |---|---|
//! | opening | statement digest (32) ‖ Noise message 1 (48: ephemeral key 32, tag of the empty payload 16) |
//! | answer to an opening | session id (16) ‖ Noise message 2 (48) ‖ frame of the hello |
//! | hello | Ed25519 signature (64) over [`crate::to_sign::session_hello`] ‖ session id (16) |
//! | frame | Noise transport message: ciphertext of the plaintext (2048) ‖ tag (16) |
//! | plaintext of a frame | length (2, big-endian) ‖ message ‖ zeros |
//! | member's first message | Noise message 1 (48) |
//! | member's answer | Noise message 2 (48) ‖ Noise transport message of the hello (80) |
//! | member's hello | Ed25519 signature (64) over [`crate::to_sign::peer_hello`] |
//! | member's later messages | Noise transport messages of at most 65,535 bytes, see [`peer::PeerChannel`] |
//!
//! SPEC: The Noise Protocol Framework, revision 34, §7.5 (NK, KK); prologues are [`crate::to_sign::session_prologue`] and
//! [`crate::to_sign::peer_prologue`].

use alloc::string::String;
use core::fmt;

use countermark_bundle::identity::{Digest, Name};
use countermark_bundle::key::{KeyAlgorithm, PublicKey};
use countermark_tlog::checkpoint::Origin;
use zeroize::Zeroizing;

use crate::device::{DeviceFault, RandomSource};

pub mod channel;
pub mod client;
pub mod peer;
mod resolver;
pub mod server;

/// Bytes of a Noise handshake message: an ephemeral key and the tag of an empty payload.
const HANDSHAKE_BYTES: usize = 48;
/// Bytes of an X25519 public key.
const KEY_BYTES: usize = 32;
/// Bytes of the tag that every Noise message ends with.
const TAG_BYTES: usize = 16;
/// Bytes of an Ed25519 signature.
const SIGNATURE_BYTES: usize = 64;
/// Bytes of a statement digest.
const DIGEST_BYTES: usize = 32;

/// Bytes of a session's opening.
pub const OPENING_BYTES: usize = DIGEST_BYTES + HANDSHAKE_BYTES;
/// Bytes of the answer to an opening.
pub const OPENED_BYTES: usize = SessionId::BYTES + HANDSHAKE_BYTES + FRAME_BYTES;
/// Bytes of a frame's plaintext, before encryption.
pub const PLAINTEXT_BYTES: usize = 2048;
/// Bytes of a frame.
pub const FRAME_BYTES: usize = PLAINTEXT_BYTES + TAG_BYTES;
/// The longest message of a frame.
pub const MESSAGE_BYTES_MAX: usize = PLAINTEXT_BYTES - 2;
/// The longest message between two members: 64 MiB.
pub const PEER_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What both ends of a user's session agree on before the first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionContext {
    /// The log that the fleet's statement stands in.
    pub origin: Origin,
    /// The digest of the statement that the client verified and the member adopted.
    pub statement: Digest,
    /// The fleet.
    pub fleet_id: Name,
    /// The member that is talked to.
    pub member_id: Name,
}

/// What both ends of a link between members agree on before the first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerContext {
    /// The log that the fleet's statement stands in.
    pub origin: Origin,
    /// The fleet of both.
    pub fleet_id: Name,
    /// The member that opened the link.
    pub initiator: Name,
    /// The member that was called.
    pub responder: Name,
}

/// Which end of a link a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerSide {
    /// Opened the link.
    Initiates,
    /// Was called.
    Responds,
}

impl PeerSide {
    /// The side's line in [`crate::to_sign::peer_hello`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initiates => "initiates",
            Self::Responds => "responds",
        }
    }
}

/// Names a session at one member, for the addresses of its frames. 16 random bytes, no secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; Self::BYTES]);

impl SessionId {
    /// Bytes of an identifier.
    pub const BYTES: usize = 16;

    /// Draws a new one.
    pub fn draw(rng: &mut dyn RandomSource) -> Result<Self, DeviceFault> {
        let mut bytes = [0; Self::BYTES];
        rng.fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The bytes of the identifier.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Reads 32 lower-case hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.bytes().any(|digit| digit.is_ascii_uppercase()) {
            return None;
        }
        let mut bytes = [0; Self::BYTES];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// 32 lower-case hex digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl From<[u8; Self::BYTES]> for SessionId {
    fn from(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.to_hex())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// Why a channel was not made, or a message not sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoiseError {
    /// Refused: a message of another length than its format has.
    #[error("the message has {found} bytes, not {expected}")]
    Length {
        /// Bytes of the format.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// Refused: the client verified another statement than the member adopted.
    #[error("the session is opened under statement {found}, adopted is {adopted}")]
    OtherStatement {
        /// The member's.
        adopted: Digest,
        /// The client's.
        found: Digest,
    },
    /// Refused: the other side's X25519 key is not the one encoding of a point that can be used.
    #[error("the other side's key is of low order or in another encoding")]
    PeerKey,
    /// Refused: not sealed by the other end of this channel as its next message.
    #[error("the message is not the other side's next one")]
    NotAuthentic,
    /// Refused: the hello is not signed by the identity key that the statement names.
    #[error("the other side is not the attested member")]
    Identity,
    /// Refused: the frame's plaintext is longer than it says, or its padding is not zero.
    #[error("the frame is not padded with zeros")]
    Padding,
    /// Refused: more than one message can hold.
    #[error("the message has {found} bytes, at most {max} are sent")]
    TooLong {
        /// The most bytes of a message.
        max: usize,
        /// Bytes given, or announced by the other side.
        found: usize,
    },
    /// Refused: an earlier message of this channel was refused.
    #[error("the channel is closed")]
    Closed,
    /// Fault: the device failed, or drew zeros.
    #[error(transparent)]
    Device(#[from] DeviceFault),
    /// Fault: the library refused a step that is always allowed, or the channel's 2^64 messages are used up.
    #[error("the channel's state does not allow the step")]
    State,
}

/// Exactly `N` bytes, or a refusal.
fn exactly<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], NoiseError> {
    bytes.try_into().map_err(|_other| NoiseError::Length { expected: N, found: bytes.len() })
}

/// Draws key material. A source that gives zeros is a broken one: the key would be everybody's.
fn draw(rng: &mut dyn RandomSource) -> Result<Zeroizing<[u8; KEY_BYTES]>, NoiseError> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    rng.fill(bytes.as_mut_slice())?;
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(NoiseError::Device(DeviceFault { part: "random source" }));
    }
    Ok(bytes)
}

/// Refuses a key of the other side before anything is computed with it.
fn check_key(bytes: &[u8]) -> Result<(), NoiseError> {
    // SPEC: RFC 7748 §6.1; and one encoding only, so that what was sent is what was used.
    PublicKey::new(KeyAlgorithm::X25519, bytes).map(|_usable| ()).map_err(|_unusable| NoiseError::PeerKey)
}

/// Refuses a handshake message of another length, or with an ephemeral key that fixes the secret.
fn check_handshake(message: &[u8]) -> Result<(), NoiseError> {
    let message: &[u8; HANDSHAKE_BYTES] = exactly(message)?;
    let (ephemeral, _tag) = message.split_at(KEY_BYTES);
    check_key(ephemeral)
}

#[cfg(test)]
mod tests;
