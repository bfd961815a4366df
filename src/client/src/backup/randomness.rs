//! The operating system's randomness.

use countermark_vault_core::device::{DeviceFault, RandomSource};

/// The operating system's randomness, as the vault's protocols draw it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OsRandom;

impl RandomSource for OsRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), DeviceFault> {
        getrandom::fill(bytes).map_err(|_| DeviceFault { part: "the system's randomness" })
    }
}
