//! Wraps of a backup key, as a fleet hands them out.
#![no_main]

use countermark_fuzz::wrap_context;
use countermark_vault_core::machine::Wrap;
use countermark_vault_core::wrap::unwrap;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: ([u8; 32], Vec<u8>)| {
    let (commitment, ciphertext) = input;
    for kind in countermark_fuzz::WRAP_KINDS {
        let wrap = Wrap { kind, commitment, ciphertext: ciphertext.clone() };
        assert!(unwrap(&wrap, &[9; 64], &wrap_context()).is_err() || commitment == countermark_fuzz::commitment());
    }
});
