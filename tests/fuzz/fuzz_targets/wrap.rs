//! Wraps of a backup key, as a fleet hands them out.
#![no_main]

use countermark_fuzz::wrap_context;
use countermark_vault_core::machine::Wrap;
use countermark_vault_core::wrap::unwrap;
use libfuzzer_sys::fuzz_target;

// A commitment and a ciphertext.
fuzz_target!(|input: &[u8]| {
    let Some((&commitment, ciphertext)) = input.split_first_chunk() else { return };
    for kind in countermark_fuzz::WRAP_KINDS {
        let wrap = Wrap { kind, commitment, ciphertext: ciphertext.to_vec() };
        assert!(unwrap(&wrap, &[9; 64], &wrap_context()).is_err() || commitment == countermark_fuzz::commitment());
    }
});
