//! What a client sends for OPAQUE, and what a record is checked for before it is kept.
#![no_main]

use countermark_fuzz::{parties, setup};
use countermark_vault_core::opaque::server::{KeyConfirmation, LoginRequest, check_upload, register_start};
use countermark_vault_core::secret::Secret;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = LoginRequest::parse(bytes);
    let _ = KeyConfirmation::parse(bytes);
    let _ = register_start(setup(), parties(), bytes);
    let _ = check_upload(setup(), &Secret::new(bytes.to_vec()));
    // A stranger's setup, as it would stand in a founding.
    let _ = register_start(&Secret::new(bytes.to_vec()), parties(), &[2; 32]);
});
