//! Verifier keys of C2SP signed-note: one text for each key.
#![no_main]

use countermark_tlog::note::VerifierKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
});
