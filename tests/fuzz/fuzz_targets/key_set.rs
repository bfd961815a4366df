//! Key sets: one order, one form.
#![no_main]

use countermark_signer_policy::access_token::KeySet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(keys) = KeySet::parse(bytes) else { return };
    let written = keys.write();
    let again = KeySet::parse(&written).expect("what we write is read");
    assert_eq!(again.write(), written);
});
