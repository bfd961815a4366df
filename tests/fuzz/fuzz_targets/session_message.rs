//! What client and member say to each other inside of a session: one encoding for each message.
#![no_main]

use countermark_vault_core::session::message::{Answer, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = Request::decode(bytes) {
        let written = request.encode().expect("what was decoded is encoded");
        assert_eq!(Request::decode(&written).unwrap(), request);
    }
    if let Ok(answer) = Answer::decode(bytes) {
        let written = answer.encode().expect("what was decoded is encoded");
        assert_eq!(Answer::decode(&written).unwrap(), answer);
    }
});
