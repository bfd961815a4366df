//! Where the Noise library gets its primitives: hash and cipher are its own, keys and randomness come from the device.
//!
//! It is the only place that names the library's types together with the device's.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::Cell;

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use subtle::ConstantTimeEq as _;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use super::{DIGEST_BYTES, HANDSHAKE_BYTES, KEY_BYTES, NoiseError, PeerSide, check_handshake, check_key, draw};
use crate::device::{DeviceFault, RandomSource, SessionKey};

/// The pattern of a user's session: the responder is known, the initiator is nobody.
const SESSION_PATTERN: &str = "Noise_NK_25519_ChaChaPoly_SHA256";
/// The pattern of a link between members: both are known.
const PEER_PATTERN: &str = "Noise_KK_25519_ChaChaPoly_SHA256";

/// One end of a handshake; how it was made decides the pattern.
pub(super) struct Handshake(HandshakeState);

impl Handshake {
    /// The client's end of a session.
    pub(super) fn client(
        prologue: &[u8],
        server: &[u8; KEY_BYTES],
        rng: &mut dyn RandomSource,
    ) -> Result<Self, NoiseError> {
        check_key(server)?;
        let builder = Builder::with_resolver(pattern(SESSION_PATTERN)?, DeviceResolver::boxed(None, rng)?);
        let builder = builder.prologue(prologue).map_err(state)?.remote_public_key(server).map_err(state)?;
        builder.build_initiator().map(Self).map_err(state)
    }

    /// The member's end of a session.
    pub(super) fn server(
        prologue: &[u8],
        own: Arc<dyn SessionKey>,
        rng: &mut dyn RandomSource,
    ) -> Result<Self, NoiseError> {
        let handle = own.public_key();
        let builder = Builder::with_resolver(pattern(SESSION_PATTERN)?, DeviceResolver::boxed(Some(own), rng)?);
        let builder = builder.prologue(prologue).map_err(state)?.local_private_key(&handle).map_err(state)?;
        builder.build_responder().map(Self).map_err(state)
    }

    /// One end of a link between members.
    pub(super) fn peer(
        prologue: &[u8],
        own: Arc<dyn SessionKey>,
        other: &[u8; KEY_BYTES],
        side: PeerSide,
        rng: &mut dyn RandomSource,
    ) -> Result<Self, NoiseError> {
        check_key(other)?;
        let handle = own.public_key();
        let builder = Builder::with_resolver(pattern(PEER_PATTERN)?, DeviceResolver::boxed(Some(own), rng)?);
        let builder = builder.prologue(prologue).map_err(state)?.local_private_key(&handle).map_err(state)?;
        let builder = builder.remote_public_key(other).map_err(state)?;
        let built = match side {
            PeerSide::Initiates => builder.build_initiator(),
            PeerSide::Responds => builder.build_responder(),
        };
        built.map(Self).map_err(state)
    }

    /// This side's next handshake message, without a payload.
    pub(super) fn write(&mut self) -> Result<[u8; HANDSHAKE_BYTES], NoiseError> {
        let mut message = [0; HANDSHAKE_BYTES];
        let written = self.0.write_message(&[], &mut message).map_err(refused)?;
        if written == HANDSHAKE_BYTES { Ok(message) } else { Err(NoiseError::State) }
    }

    /// Takes the other side's next handshake message.
    pub(super) fn read(&mut self, message: &[u8]) -> Result<(), NoiseError> {
        check_handshake(message)?;
        self.0.read_message(message, &mut []).map(|_empty| ()).map_err(refused)
    }

    /// The finished handshake: its hash, which both sides share with nobody, and the library's transport.
    pub(super) fn finish(self) -> Result<([u8; DIGEST_BYTES], snow::TransportState), NoiseError> {
        let hash = self.0.get_handshake_hash().try_into().map_err(|_other_hash| NoiseError::State)?;
        Ok((hash, self.0.into_transport_mode().map_err(state)?))
    }

    /// The library's state, to be fed the payloads of published vectors.
    #[cfg(test)]
    pub(super) fn into_inner(self) -> HandshakeState {
        self.0
    }
}

/// What the library's refusal of a message means to us.
#[expect(clippy::needless_pass_by_value, reason = "the argument of map_err")]
pub(super) fn refused(error: snow::Error) -> NoiseError {
    match error {
        snow::Error::Decrypt => NoiseError::NotAuthentic,
        // Keys of low order were refused before: here the device failed, or gave zeros for a good key.
        snow::Error::Dh => NoiseError::Device(DeviceFault { part: "session key" }),
        // Not our enum, and open to new variants: whatever else it says, no message can cause it.
        _ => NoiseError::State,
    }
}

fn state(_error: snow::Error) -> NoiseError {
    NoiseError::State
}

fn pattern(name: &str) -> Result<snow::params::NoiseParams, NoiseError> {
    name.parse().map_err(state)
}

/// Hands out the library's hash and cipher, and the device's keys.
struct DeviceResolver {
    session_key: Option<Arc<dyn SessionKey>>,
    /// Taken by the one generator that a handshake asks for.
    drawn: Cell<Option<Drawn>>,
}

impl DeviceResolver {
    fn boxed(session_key: Option<Arc<dyn SessionKey>>, rng: &mut dyn RandomSource) -> Result<Box<Self>, NoiseError> {
        // Drawn before the library asks: a fault of the device stops us here, as an error.
        let drawn = Drawn(Some(draw(rng)?));
        Ok(Box::new(Self { session_key, drawn: Cell::new(Some(drawn)) }))
    }
}

impl CryptoResolver for DeviceResolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        self.drawn.take().map(|drawn| -> Box<dyn Random> { Box::new(drawn) })
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        // The library's enum grows with its features: everything but our curve is refused.
        matches!(choice, DHChoice::Curve25519).then(|| -> Box<dyn Dh> {
            Box::new(DeviceDh { session_key: self.session_key.clone(), public: [0; KEY_BYTES], held: Held::Nothing })
        })
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// The randomness of one ephemeral key; it is given once.
struct Drawn(Option<Zeroizing<[u8; KEY_BYTES]>>);

impl Random for Drawn {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        let bytes = self.0.take().ok_or(snow::Error::Rng)?;
        let dest: &mut [u8; KEY_BYTES] = dest.try_into().map_err(|_other_length| snow::Error::Rng)?;
        dest.copy_from_slice(bytes.as_slice());
        Ok(())
    }
}

/// X25519 with a key that is either the device's or ephemeral.
struct DeviceDh {
    session_key: Option<Arc<dyn SessionKey>>,
    public: [u8; KEY_BYTES],
    held: Held,
}

/// The private half of a [`DeviceDh`].
enum Held {
    /// Not set yet: nothing can be agreed on.
    Nothing,
    /// In the device.
    Static(Arc<dyn SessionKey>),
    /// Here, wiped when dropped.
    Ephemeral(StaticSecret),
}

impl Dh for DeviceDh {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        KEY_BYTES
    }

    fn priv_len(&self) -> usize {
        KEY_BYTES
    }

    /// Takes the device's *public* key as the handle of the private one, which never leaves it.
    fn set(&mut self, handle: &[u8]) {
        if let Some(key) = self.session_key.as_ref().filter(|key| key.public_key() == handle) {
            self.public = key.public_key();
            self.held = Held::Static(Arc::clone(key));
        }
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        rng.try_fill_bytes(bytes.as_mut_slice())?;
        let secret = StaticSecret::from(*bytes);
        self.public = x25519_dalek::PublicKey::from(&secret).to_bytes();
        self.held = Held::Ephemeral(secret);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    /// Never asked for in a handshake; there is nothing to give.
    fn privkey(&self) -> &[u8] {
        &[]
    }

    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        // The library passes a buffer that has room for longer keys of other curves.
        let peer: &[u8; KEY_BYTES] = pubkey.first_chunk().ok_or(snow::Error::Dh)?;
        let shared = match &self.held {
            Held::Nothing => return Err(snow::Error::Dh),
            Held::Static(key) => key.diffie_hellman(peer).map_err(|_fault| snow::Error::Dh)?,
            Held::Ephemeral(secret) => {
                Zeroizing::new(secret.diffie_hellman(&x25519_dalek::PublicKey::from(*peer)).to_bytes())
            }
        };
        // SPEC: RFC 7748 §6.1; a second line behind the check of the key, and against a device that forgot it.
        if bool::from(shared.ct_eq(&[0; KEY_BYTES])) {
            return Err(snow::Error::Dh);
        }
        out.first_chunk_mut::<KEY_BYTES>().ok_or(snow::Error::Dh)?.copy_from_slice(shared.as_slice());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
