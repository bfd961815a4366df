//! The frames of a user's session: every message in a frame of one size, sealed in order.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use snow::TransportState;
use zeroize::Zeroizing;

use super::resolver::{Handshake, refused};
use super::{DIGEST_BYTES, FRAME_BYTES, MESSAGE_BYTES_MAX, NoiseError, PLAINTEXT_BYTES, TAG_BYTES, exactly};

/// One end of an open session.
pub struct Channel {
    transport: Transport,
}

impl Channel {
    /// The channel that follows from a finished handshake.
    pub(super) fn after(handshake: Handshake) -> Result<Self, NoiseError> {
        Ok(Self { transport: Transport::after(handshake)? })
    }

    /// Seals `message`, at most [`MESSAGE_BYTES_MAX`] bytes, as this side's next frame of [`FRAME_BYTES`].
    pub fn seal(&mut self, message: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let plaintext = pad(message)?;
        self.transport.seal(&plaintext)
    }

    /// Opens the other side's next frame. A refusal closes the channel: every later call fails.
    pub fn open(&mut self, frame: &[u8]) -> Result<Zeroizing<Vec<u8>>, NoiseError> {
        let opened = exactly::<FRAME_BYTES>(frame)
            .and_then(|frame| self.transport.open(frame))
            .and_then(|plaintext| unpad(&plaintext));
        if opened.is_err() {
            self.transport.close();
        }
        opened
    }

    /// The handshake's hash: the same at both ends and in no other session; what is signed for this session names it.
    #[must_use]
    pub const fn handshake_hash(&self) -> [u8; DIGEST_BYTES] {
        self.transport.handshake_hash
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel(redacted)")
    }
}

/// The library's transport: gone once a message was refused.
pub(super) struct Transport {
    open: Option<TransportState>,
    handshake_hash: [u8; DIGEST_BYTES],
}

impl Transport {
    pub(super) fn after(handshake: Handshake) -> Result<Self, NoiseError> {
        let (handshake_hash, transport) = handshake.finish()?;
        Ok(Self { open: Some(transport), handshake_hash })
    }

    /// The hash of the handshake that this follows from.
    pub(super) const fn handshake_hash(&self) -> &[u8; DIGEST_BYTES] {
        &self.handshake_hash
    }

    /// Seals `plaintext` of at most 65,519 bytes as this side's next message.
    pub(super) fn seal(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let transport = self.open.as_mut().ok_or(NoiseError::Closed)?;
        let mut sealed = vec![0; plaintext.len().checked_add(TAG_BYTES).ok_or(NoiseError::State)?];
        match transport.write_message(plaintext, &mut sealed) {
            Ok(written) if written == sealed.len() => Ok(sealed),
            Ok(_) | Err(_) => {
                self.close();
                Err(NoiseError::State)
            }
        }
    }

    /// Opens the other side's next message; a refusal closes the transport.
    pub(super) fn open(&mut self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NoiseError> {
        let transport = self.open.as_mut().ok_or(NoiseError::Closed)?;
        let mut plaintext = Zeroizing::new(vec![0; sealed.len().saturating_sub(TAG_BYTES)]);
        match transport.read_message(sealed, &mut plaintext) {
            Ok(read) if read == plaintext.len() => Ok(plaintext),
            Ok(_) => {
                self.close();
                Err(NoiseError::State)
            }
            Err(error) => {
                self.close();
                Err(refused(error))
            }
        }
    }

    /// Forgets the keys.
    pub(super) fn close(&mut self) {
        self.open = None;
    }
}

/// The plaintext of a frame: length, message, zeros.
fn pad(message: &[u8]) -> Result<Zeroizing<Vec<u8>>, NoiseError> {
    let too_long = NoiseError::TooLong { max: MESSAGE_BYTES_MAX, found: message.len() };
    let length = u16::try_from(message.len()).map_err(|_longer| too_long)?;
    let mut plaintext = Zeroizing::new(vec![0; PLAINTEXT_BYTES]);
    let (head, rest) = plaintext.split_first_chunk_mut().ok_or(NoiseError::State)?;
    *head = length.to_be_bytes();
    rest.get_mut(..message.len()).ok_or(too_long)?.copy_from_slice(message);
    Ok(plaintext)
}

/// The message of a frame's plaintext. The other end sealed it, but one message has one frame all the same.
fn unpad(plaintext: &[u8]) -> Result<Zeroizing<Vec<u8>>, NoiseError> {
    let (head, rest) = plaintext.split_first_chunk().ok_or(NoiseError::Padding)?;
    let length = usize::from(u16::from_be_bytes(*head));
    let (message, padding) = rest.split_at_checked(length).ok_or(NoiseError::Padding)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(NoiseError::Padding);
    }
    Ok(Zeroizing::new(message.to_vec()))
}

#[cfg(test)]
mod tests;
