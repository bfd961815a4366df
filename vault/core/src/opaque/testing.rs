//! What the tests of passwords and sessions share: randomness from a seed, randomness that fails, names.

use alloc::vec::Vec;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{NormalisedPassword, Parties};
use crate::account::AccountId;
use crate::device::{DeviceFault, RandomSource};
use crate::testing::{name, origin};

/// Randomness from a seed.
pub(crate) struct Seeded(pub(crate) u64);

impl RandomSource for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), DeviceFault> {
        for chunk in bytes.chunks_mut(32) {
            self.0 += 1 << 32;
            chunk.copy_from_slice(&Sha256::digest(self.0.to_be_bytes())[..chunk.len()]);
        }
        Ok(())
    }
}

/// The fault of every broken device.
pub(crate) const FAULT: DeviceFault = DeviceFault { part: "test" };

/// Randomness that fails after so many draws.
pub(crate) struct FailsAfter(pub(crate) u32);

impl RandomSource for FailsAfter {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), DeviceFault> {
        self.0 = self.0.checked_sub(1).ok_or(FAULT)?;
        Seeded(self.0.into()).fill(bytes)
    }
}

pub(crate) fn password(text: &str) -> NormalisedPassword {
    NormalisedPassword::new(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
}

/// An account at the fleet of the tests.
pub(crate) fn parties(account: u8) -> Parties {
    Parties::new(AccountId::from([account; 32]), &origin(), &name("fleet-1"))
}

/// Encodings that are not the one encoding of a ristretto255 element that can be used.
///
/// SPEC: RFC 9496 appendix A.2, one of each kind, and the identity.
pub(crate) fn unusable_elements() -> Vec<[u8; 32]> {
    let mut elements = Vec::new();
    for digits in [
        // The identity.
        "0000000000000000000000000000000000000000000000000000000000000000",
        // Not reduced: p, p + 2, 2^255 − 1.
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        // Negative.
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
        // Not a square.
        "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
        // Negative product of coordinates.
        "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
        // y = 0.
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        let mut element = [0; 32];
        hex::decode_to_slice(digits, &mut element).unwrap();
        elements.push(element);
    }
    elements
}
