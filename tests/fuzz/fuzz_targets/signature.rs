//! Keys and signatures of strangers: none verifies, and none of them is our fault.
#![no_main]

use countermark_bundle::{KeyAlgorithm, PublicKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8], &[u8])| {
    let (algorithm, key, signature) = input;
    let algorithm = match algorithm % 3 {
        0 => KeyAlgorithm::Ed25519,
        1 => KeyAlgorithm::EcdsaP384,
        _ => KeyAlgorithm::X25519,
    };
    let Ok(key) = PublicKey::new(algorithm, key) else { return };
    let _ = key.verify_ed25519(b"message", signature);
    let _ = key.verify_p384(b"message", signature);
});
