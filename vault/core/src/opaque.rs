//! OPAQUE (RFC 9807): a password opens a record, and nobody but its owner can try passwords without a charge each.
//!
//! * [`client`]: the side that knows the password and does the expensive hashing.
//! * [`server`]: the side that keeps a record, made under a setup of its own.
//!
//! What the suite is: ristretto255 with SHA-512 for the oblivious function and the key exchange (3DH), Argon2id with
//! RFC 9106's second recommended parameters on top of the function's output. The names of both sides and a context line
//! are part of every transcript, so that a record of one fleet opens nothing at another.
//!
//! Invariants:
//! * a group element is used only after it was decoded: one encoding each, never the identity, never the other side's own
//!   element sent back;
//! * randomness comes from the device; if it fails, what was made with it is dropped.

pub mod client;
pub mod server;

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use countermark_bundle::identity::Name;
use countermark_tlog::checkpoint::Origin;
use opaque_ke::errors::InternalError;
use opaque_ke::generic_array::{ArrayLength, GenericArray};
use opaque_ke::ksf::Ksf;
use opaque_ke::{CipherSuite, Identifiers, Ristretto255, TripleDh};
use rand_core_06::{CryptoRng, RngCore};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::account::AccountId;
use crate::device::{DeviceFault, RandomSource};

/// The bytes of a registration request: one element.
pub const REGISTRATION_REQUEST_BYTES: usize = 32;
/// The bytes of a registration response: two elements.
pub const REGISTRATION_RESPONSE_BYTES: usize = 64;
/// The bytes of a login's first message: the blinded password, a nonce, an ephemeral key.
pub const KE1_BYTES: usize = 96;
/// The bytes of a login's second message: the evaluation, the masked record, a nonce, an ephemeral key, a MAC.
pub const KE2_BYTES: usize = 320;
/// The bytes of a login's third message: a MAC.
pub const KE3_BYTES: usize = 64;
/// The bytes of an encoded group element.
const ELEMENT_BYTES: usize = 32;
/// The bytes of an export key.
const EXPORT_KEY_BYTES: usize = 64;
/// The most bytes of a normalised password.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// What the key exchange is for; part of every transcript.
const CONTEXT: &[u8] = b"countermark/opaque/v1";

/// SPEC: RFC 9807 §7, with RFC 9106 §4's second recommended parameters.
struct Suite;

impl CipherSuite for Suite {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, sha2_010::Sha512>;
    type Ksf = Stretching;
}

/// How much work a guess is for who knows the setup and the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hardness {
    /// 64 MiB, 3 passes, 4 lanes: what every record of version 1 is made with.
    #[default]
    Rfc9106,
    /// 64 KiB, 1 pass, 1 lane: for tests, which would take minutes otherwise.
    #[cfg(any(test, feature = "testing"))]
    TestOnly,
}

impl Hardness {
    const fn costs(self) -> (u32, u32, u32) {
        match self {
            Self::Rfc9106 => (65_536, 3, 4),
            #[cfg(any(test, feature = "testing"))]
            Self::TestOnly => (64, 1, 1),
        }
    }
}

/// Argon2id over the oblivious function's output.
#[derive(Default)]
struct Stretching(Hardness);

impl Ksf for Stretching {
    fn hash<L: ArrayLength<u8>>(&self, input: GenericArray<u8, L>) -> Result<GenericArray<u8, L>, InternalError> {
        let input = Zeroizing::new(input.to_vec());
        let (memory_kib, passes, lanes) = self.0.costs();
        let params = Params::new(memory_kib, passes, lanes, None).map_err(|_| InternalError::KsfError)?;
        // The library does not wipe the blocks that it allocates itself.
        let mut blocks = Zeroizing::new(vec![Block::new(); params.block_count()]);
        let mut output = GenericArray::default();
        // SPEC: RFC 9807 §7: the salt is 16 zero bytes; the input is different for every record anyway.
        let salt = [0; 16];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(&input, &salt, &mut output, blocks.as_mut_slice())
            .map_err(|_| InternalError::KsfError)?;
        Ok(output)
    }
}

/// The password in its one form: what RFC 8265's OpaqueString made of it. 1 to [`PASSWORD_BYTES_MAX`] bytes.
pub struct NormalisedPassword(Zeroizing<Vec<u8>>);

/// A password of no byte or of more than [`PASSWORD_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has 1 to {PASSWORD_BYTES_MAX} bytes")]
pub struct PasswordLengthError;

impl NormalisedPassword {
    /// Takes a password that was normalised before.
    pub fn new(normalised: Zeroizing<Vec<u8>>) -> Result<Self, PasswordLengthError> {
        if (1..=PASSWORD_BYTES_MAX).contains(&normalised.len()) {
            Ok(Self(normalised))
        } else {
            Err(PasswordLengthError)
        }
    }
}

impl fmt::Debug for NormalisedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NormalisedPassword(…)")
    }
}

/// What only the password opens: 64 bytes that the fleet never sees.
pub struct ExportKey(Zeroizing<[u8; EXPORT_KEY_BYTES]>);

impl ExportKey {
    /// Takes the library's copy over and wipes it.
    fn take(bytes: &mut [u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; EXPORT_KEY_BYTES]);
        let fits = bytes.len() == key.len();
        if fits {
            key.copy_from_slice(bytes);
        }
        bytes.zeroize();
        fits.then_some(Self(key))
    }

    /// The bytes themselves: the secret of a wrap.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl PartialEq for ExportKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for ExportKey {}

impl fmt::Debug for ExportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExportKey(…)")
    }
}

/// Who the two sides are: the account, and the fleet of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parties {
    account: AccountId,
    fleet: String,
}

impl Parties {
    /// An account at a fleet.
    #[must_use]
    pub fn new(account: AccountId, origin: &Origin, fleet_id: &Name) -> Self {
        Self { account, fleet: format!("{origin}\n{fleet_id}\n") }
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    fn identifiers(&self) -> Identifiers<'_> {
        Identifiers { client: Some(self.account.as_bytes()), server: Some(self.fleet.as_bytes()) }
    }

    /// What a record's keys are derived for.
    const fn credential_identifier(&self) -> &[u8] {
        self.account.as_bytes()
    }
}

/// The device's randomness, for a library that cannot be told that it failed.
struct Draw<'a> {
    source: &'a mut dyn RandomSource,
    fault: Option<DeviceFault>,
}

/// Runs `with` on the device's randomness. If the device fails meanwhile, what was made is dropped.
fn drawing<T>(source: &mut dyn RandomSource, with: impl FnOnce(&mut Draw<'_>) -> T) -> Result<T, DeviceFault> {
    let mut draw = Draw { source, fault: None };
    let made = with(&mut draw);
    draw.fault.map_or(Ok(made), Err)
}

impl RngCore for Draw<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        let filled = match self.fault {
            None => self.source.fill(bytes),
            Some(fault) => Err(fault),
        };
        if let Err(fault) = filled {
            self.fault = Some(fault);
            // Never used: `drawing` drops what is made of them. Not zero, because the library draws again until a scalar
            // is not zero.
            bytes.fill(1);
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core_06::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Draw<'_> {}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
