//! The backup key, and how it is kept: encrypted by its owner under a secret that the fleet never has.
//!
//! What it is not: it does not decide who gets a wrap; the session does. A wrap is of no use without its secret.
//!
//! Invariant: [`unwrap`] gives a key only if the wrap was made under this secret for this account, fleet and kind, and the
//! key has the commitment that stands beside it: whoever stores wraps cannot give a client another key.
//!
//! # Formats
//!
//! | what | how |
//! |---|---|
//! | commitment | SHA-256 of `countermark/backup-key-commitment/v1\n` ‖ key |
//! | wrapping key | HKDF-SHA256 (RFC 5869), no salt, secret as input, info `countermark/backup-key-wrap/v1\n<kind>\n` |
//! | ciphertext | nonce (24) ‖ XChaCha20-Poly1305 of the key (32 + 16), with [`to_sign::wrap_associated_data`] |

use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use countermark_bundle::identity::Name;
use countermark_tlog::checkpoint::Origin;
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::account::AccountId;
use crate::device::{DeviceFault, RandomSource};
use crate::machine::{Wrap, WrapKind};
use crate::to_sign;

/// The bytes of a backup key.
const KEY_BYTES: usize = 32;
/// The bytes of a nonce.
const NONCE_BYTES: usize = 24;
/// The bytes of a wrap's ciphertext: nonce, key, tag.
pub const WRAP_CIPHERTEXT_BYTES: usize = NONCE_BYTES + KEY_BYTES + 16;
/// The fewest bytes of a secret that a key is wrapped under.
const SECRET_BYTES_MIN: usize = 32;

/// The key that a user's backup is encrypted with: 32 random bytes, made by the client.
pub struct BackupKey(Zeroizing<[u8; KEY_BYTES]>);

impl BackupKey {
    /// Makes a new key.
    pub fn generate(rng: &mut dyn RandomSource) -> Result<Self, DeviceFault> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        rng.fill(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    /// Takes the bytes of a key that exists already.
    #[must_use]
    pub const fn from_bytes(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// What a key is known by without being shown.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"countermark/backup-key-commitment/v1\n");
        hash.update(self.0.as_slice());
        hash.finalize().into()
    }
}

impl PartialEq for BackupKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for BackupKey {}

impl fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupKey(…)")
    }
}

/// Whose wrap it is, and where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrapContext {
    /// The log of the fleet's statement.
    pub origin: Origin,
    /// The fleet.
    pub fleet_id: Name,
    /// The account.
    pub account: AccountId,
}

/// Why a key was not wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// Refused: a secret that can be guessed.
    #[error("a secret has at least {SECRET_BYTES_MIN} bytes")]
    WeakSecret,
    /// Fault: the device.
    #[error(transparent)]
    Device(#[from] DeviceFault),
}

/// Why a wrap was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// Not of the size of a wrap.
    #[error("the wrap is malformed")]
    Malformed,
    /// Made under another secret, for another account, fleet or kind, or changed since.
    #[error("the wrap was not made for this place under this secret")]
    NotOurs,
    /// The key inside is not the one that the wrap names.
    #[error("the wrapped key is not the one that was committed to")]
    OtherKey,
}

/// Wraps a key under a secret of at least 32 bytes of entropy's worth, as [`crate::opaque::ExportKey::expose`].
///
/// # Panics
/// Never: a wrapping key is derived, and a key encrypted, whatever their bytes.
pub fn wrap(
    kind: WrapKind,
    secret: &[u8],
    key: &BackupKey,
    context: &WrapContext,
    rng: &mut dyn RandomSource,
) -> Result<Wrap, WrapError> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(WrapError::WeakSecret);
    }
    let mut nonce = [0; NONCE_BYTES];
    rng.fill(&mut nonce)?;
    let commitment = key.commitment();
    let aad = associated_data(kind, context, &commitment);
    let payload = Payload { msg: key.0.as_slice(), aad: &aad };
    let sealed = cipher(kind, secret).encrypt(XNonce::from_slice(&nonce), payload).expect("32 bytes can be encrypted");
    let ciphertext = [nonce.as_slice(), &sealed].concat();
    Ok(Wrap { kind, commitment, ciphertext })
}

/// Opens a wrap with its secret.
pub fn unwrap(wrap: &Wrap, secret: &[u8], context: &WrapContext) -> Result<BackupKey, UnwrapError> {
    if wrap.ciphertext.len() != WRAP_CIPHERTEXT_BYTES {
        return Err(UnwrapError::Malformed);
    }
    let (nonce, sealed) = wrap.ciphertext.split_first_chunk::<NONCE_BYTES>().ok_or(UnwrapError::Malformed)?;
    let aad = associated_data(wrap.kind, context, &wrap.commitment);
    let opened = cipher(wrap.kind, secret).decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: &aad });
    let opened = Zeroizing::new(opened.map_err(|_| UnwrapError::NotOurs)?);
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    if opened.len() != bytes.len() {
        return Err(UnwrapError::Malformed);
    }
    bytes.copy_from_slice(&opened);
    let key = BackupKey(bytes);
    // The cipher alone does not commit to its key: without this, one ciphertext could open to two keys under two secrets.
    if key.commitment().ct_ne(&wrap.commitment).into() {
        return Err(UnwrapError::OtherKey);
    }
    Ok(key)
}

fn cipher(kind: WrapKind, secret: &[u8]) -> XChaCha20Poly1305 {
    let mut key = Zeroizing::new([0; 32]);
    let info = format!("countermark/backup-key-wrap/v1\n{}\n", kind_name(kind));
    Hkdf::<Sha256>::new(None, secret).expand(info.as_bytes(), key.as_mut_slice()).expect("SHA-256 expands to 32 bytes");
    XChaCha20Poly1305::new(key.as_slice().into())
}

fn associated_data(kind: WrapKind, context: &WrapContext, commitment: &[u8; 32]) -> Vec<u8> {
    let WrapContext { origin, fleet_id, account } = context;
    to_sign::wrap_associated_data(origin, fleet_id, account, kind_name(kind), commitment)
}

/// The kind's name in everything that is derived or authenticated.
const fn kind_name(kind: WrapKind) -> &'static str {
    match kind {
        WrapKind::VaultPassword => "vault-password",
        WrapKind::DigitKey => "digit-key",
        WrapKind::Passkey => "passkey",
    }
}

#[cfg(test)]
mod tests;
