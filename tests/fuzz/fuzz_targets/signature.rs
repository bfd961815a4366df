//! Keys and signatures of strangers: none verifies, and none of them is our fault.
#![no_main]

use countermark_bundle::{KeyAlgorithm, PublicKey};
use libfuzzer_sys::fuzz_target;

// A letter for the algorithm, a key of its length, a signature.
fuzz_target!(|input: &[u8]| {
    let Some((letter, rest)) = input.split_first() else { return };
    let (algorithm, length) = match letter {
        b'e' => (KeyAlgorithm::Ed25519, 32),
        b'p' => (KeyAlgorithm::EcdsaP384, 97),
        b'x' => (KeyAlgorithm::X25519, 32),
        _ => return,
    };
    let Some((key, signature)) = rest.split_at_checked(length) else { return };
    let Ok(key) = PublicKey::new(algorithm, key) else { return };
    let _ = key.verify_ed25519(b"message", signature);
    let _ = key.verify_p384(b"message", signature);
});
