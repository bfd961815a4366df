//! The operating system's randomness, and what happens when there is none.

use getrandom::SysRng;
use rand_core::TryCryptoRng;
use thiserror::Error;

/// Why no random bytes were drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RandomnessError {
    /// Fault: the generator failed; nothing may be made from what it left behind.
    #[error("the operating system gave no randomness")]
    Unavailable,
}

/// Draws `N` bytes from the operating system's generator.
pub fn os_random_bytes<const N: usize>() -> Result<[u8; N], RandomnessError> {
    let mut bytes = [0; N];
    fill(&mut SysRng, &mut bytes)?;
    Ok(bytes)
}

/// Fills `bytes` from `rng`; tests pass one that fails.
pub(crate) fn fill(rng: &mut impl TryCryptoRng, bytes: &mut [u8]) -> Result<(), RandomnessError> {
    rng.try_fill_bytes(bytes).map_err(|_failed| RandomnessError::Unavailable)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rand_core::TryRng;

    /// A generator that has nothing to give.
    pub(crate) struct Empty;

    impl TryRng for Empty {
        type Error = std::fmt::Error;

        fn try_next_u32(&mut self) -> Result<u32, std::fmt::Error> {
            Err(std::fmt::Error)
        }

        fn try_next_u64(&mut self) -> Result<u64, std::fmt::Error> {
            Err(std::fmt::Error)
        }

        fn try_fill_bytes(&mut self, _bytes: &mut [u8]) -> Result<(), std::fmt::Error> {
            Err(std::fmt::Error)
        }
    }

    impl TryCryptoRng for Empty {}

    #[test]
    fn a_generator_that_fails_is_an_error_and_not_zeros() {
        assert_eq!(fill(&mut Empty, &mut [0; 4]), Err(RandomnessError::Unavailable));
    }

    #[test]
    fn two_draws_differ() {
        assert_ne!(os_random_bytes::<32>().unwrap(), os_random_bytes::<32>().unwrap());
    }
}
