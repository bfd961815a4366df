//! Sealing with one secret key: XChaCha20-Poly1305 under a random nonce. The format is specified in the documentation of
//! the crate.

use std::mem;

use chacha20poly1305::aead::AeadInPlace as _;
use chacha20poly1305::{Key, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use getrandom::SysRng;
use rand_core::TryCryptoRng;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::holder::{SealError, SealingKey, UnsealKeyError};
use crate::randomness;

/// What sealing adds: the nonce and the tag.
pub const OVERHEAD_BYTES: usize = NONCE_BYTES + TAG_BYTES;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const KEY_ID_CONTEXT: &[u8] = b"countermark/sealing-key/v1\n";

/// A sealing key in memory, wiped when dropped.
pub(crate) struct SealingSecret(Zeroizing<[u8; 32]>);

impl SealingSecret {
    /// Takes the secret over.
    pub(crate) const fn new(secret: Zeroizing<[u8; 32]>) -> Self {
        Self(secret)
    }

    /// The secret, only ever to be sealed.
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(Key::from_slice(self.0.as_slice()))
    }

    /// Seals under a nonce of `rng`; tests pass one that fails.
    fn seal_from<R: TryCryptoRng>(&self, context: &[u8], plaintext: &[u8], rng: &mut R) -> Result<Vec<u8>, SealError> {
        let failed = SealError::Failed { bytes: plaintext.len() };
        let mut nonce = [0; NONCE_BYTES];
        randomness::fill(rng, &mut nonce)?;
        // Wiped unless it becomes the ciphertext. Room taken at once: growing would leave unwiped copies behind.
        let mut sealed = Zeroizing::new(Vec::with_capacity(plaintext.len().saturating_add(OVERHEAD_BYTES)));
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let tag = self
            .cipher()
            .encrypt_in_place_detached(XNonce::from_slice(&nonce), &associated(context), &mut sealed[NONCE_BYTES..])
            .map_err(|_too_long| failed)?;
        sealed.extend_from_slice(&tag);
        Ok(mem::take(&mut *sealed))
    }
}

impl SealingKey for SealingSecret {
    fn key_id(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(KEY_ID_CONTEXT);
        hash.update(self.0.as_slice());
        hash.finalize().into()
    }

    fn seal(&self, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal_from(context, plaintext, &mut SysRng)
    }

    fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealKeyError> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(UnsealKeyError::NotOurs)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(UnsealKeyError::NotOurs)?;
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        self.cipher()
            .decrypt_in_place_detached(
                XNonce::from_slice(nonce),
                &associated(context),
                &mut plaintext,
                Tag::from_slice(tag),
            )
            .map_err(|_not_ours| UnsealKeyError::NotOurs)?;
        Ok(plaintext)
    }
}

/// The associated data: the context behind its length.
fn associated(context: &[u8]) -> Vec<u8> {
    let length = u64::try_from(context.len()).expect("a length in memory fits 64 bits");
    [length.to_be_bytes().as_slice(), context].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::randomness::RandomnessError;
    use crate::randomness::tests::Empty;

    fn key(seed: u8) -> SealingSecret {
        SealingSecret::new(Zeroizing::new([seed; 32]))
    }

    #[test]
    fn what_was_sealed_opens_under_the_same_key_and_context() {
        let key = key(1);
        for length in [0, 1, 15, 16, 17, 4096] {
            let plaintext = vec![7; length];
            let sealed = key.seal(b"table 1", &plaintext).unwrap();
            assert_eq!(sealed.len(), length + OVERHEAD_BYTES);
            assert_eq!(*key.unseal(b"table 1", &sealed).unwrap(), plaintext);
        }
    }

    #[test]
    fn another_key_or_context_opens_nothing() {
        let sealed = key(1).seal(b"table 1", b"row").unwrap();
        assert_eq!(key(2).unseal(b"table 1", &sealed), Err(UnsealKeyError::NotOurs));
        for context in [&b""[..], b"table 2", b"table 10", b"table "] {
            assert_eq!(key(1).unseal(context, &sealed), Err(UnsealKeyError::NotOurs), "{context:?}");
        }
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_refused() {
        let key = key(1);
        let sealed = key.seal(b"context", b"plaintext").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(key.unseal(b"context", &changed), Err(UnsealKeyError::NotOurs), "byte {index}");
            assert_eq!(key.unseal(b"context", &sealed[..index]), Err(UnsealKeyError::NotOurs), "{index} bytes");
        }
        let longer = [&sealed[..], &[0]].concat();
        assert_eq!(key.unseal(b"context", &longer), Err(UnsealKeyError::NotOurs));
    }

    #[test]
    fn sealing_twice_gives_other_bytes() {
        let key = key(1);
        assert_ne!(key.seal(b"", b"same").unwrap(), key.seal(b"", b"same").unwrap());
    }

    #[test]
    fn nothing_is_sealed_without_randomness() {
        let refused = key(1).seal_from(b"context", b"plaintext", &mut Empty).unwrap_err();
        assert_eq!(refused, SealError::Randomness(RandomnessError::Unavailable));
    }

    #[test]
    fn the_cipher_is_that_of_the_draft_and_the_format_that_of_the_documentation() {
        // SPEC: draft-irtf-cfrg-xchacha-03 §A.3.1, whose associated data is not of our form; so the tag is not its own.
        let secret = std::array::from_fn(|index| 0x80 | u8::try_from(index).unwrap());
        let key = SealingSecret::new(Zeroizing::new(secret));
        let nonce: [u8; 24] = std::array::from_fn(|index| 0x40 | u8::try_from(index).unwrap());
        let plaintext = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                          sunscreen would be it.";
        let sealed = key.seal_from(b"", plaintext, &mut Fixed(nonce)).unwrap();
        assert_eq!(sealed[..24], nonce);
        assert_eq!(hex::encode(&sealed[24..56]), "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb");
    }

    #[test]
    fn the_identifier_is_the_documented_hash_and_tells_keys_apart() {
        let expect: [u8; 32] = Sha256::digest([&b"countermark/sealing-key/v1\n"[..], &[1; 32]].concat()).into();
        assert_eq!(key(1).key_id(), expect);
        assert_ne!(key(2).key_id(), expect);
    }

    /// Gives one nonce.
    struct Fixed([u8; 24]);

    impl rand_core::TryRng for Fixed {
        type Error = std::fmt::Error;

        fn try_next_u32(&mut self) -> Result<u32, std::fmt::Error> {
            Err(std::fmt::Error)
        }

        fn try_next_u64(&mut self) -> Result<u64, std::fmt::Error> {
            Err(std::fmt::Error)
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), std::fmt::Error> {
            bytes.copy_from_slice(&self.0);
            Ok(())
        }
    }

    impl TryCryptoRng for Fixed {}
}
