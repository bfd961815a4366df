//! What a member needs of the device that it runs in: four traits (randomness, sealed storage, a counter, the identity
//! key) and a fifth for the session key, because a key never leaves its holder. Nothing else of the device is used.
//!
//! A process on a server implements them with key files and a counter file; an HSM with its own means. What they protect
//! depends on where they live: sealing key and counter are worth something only where they are elsewhere than the disk.

use alloc::vec::Vec;
use zeroize::Zeroizing;

/// The device failed; nothing is known about what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device failed: {part}")]
pub struct DeviceFault {
    /// Which part of the device.
    pub part: &'static str,
}

/// Why sealed bytes were not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// Not sealed by this device, for this context, or changed since.
    #[error("the bytes were not sealed by this device for this place")]
    NotOurs,
    /// The device failed.
    #[error(transparent)]
    Fault(#[from] DeviceFault),
}

/// Where randomness comes from.
pub trait RandomSource: Send {
    /// Fills `bytes` with randomness fit for keys.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), DeviceFault>;
}

/// Sealed storage: what leaves the device to be kept is sealed by it, and only this device opens it again.
pub trait SealedStore: Send + Sync {
    /// Seals `plaintext` for the place that `context` names. Adds at most 64 bytes.
    fn seal(&self, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, DeviceFault>;

    /// Opens what [`SealedStore::seal`] made under the same `context`.
    fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError>;
}

/// A counter that never goes back, kept outside of everything that a disk's owner can restore.
pub trait MonotonicCounter: Send {
    /// The newest value that was reached.
    fn read(&mut self) -> Result<u64, DeviceFault>;

    /// Raises the counter to `value`, durably when it returns. A lower value than [`MonotonicCounter::read`] gives is a
    /// fault and changes nothing.
    fn raise(&mut self, value: u64) -> Result<(), DeviceFault>;
}

/// The member's identity key: Ed25519, made in the device.
pub trait IdentityKey: Send + Sync {
    /// The public key, 32 bytes.
    fn public_key(&self) -> [u8; 32];

    /// Signs `message` as it is: 64 bytes, RFC 8032.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], DeviceFault>;
}

/// The member's session key: X25519, made in the device; agreed with and never read.
pub trait SessionKey: Send + Sync {
    /// The public key, 32 bytes.
    fn public_key(&self) -> [u8; 32];

    /// The secret shared with the owner of `peer` (RFC 7748), or a fault where `peer` fixes it for everyone.
    fn diffie_hellman(&self, peer: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, DeviceFault>;
}
