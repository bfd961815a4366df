//! What is posted to a witness, and the size that a witness answers a conflict with.
#![no_main]

use countermark_tlog::witness_wire::{AddCheckpointRequest, SignSubtreeRequest, conflict_body, parse_conflict_body};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = AddCheckpointRequest::parse(bytes) {
        assert_eq!(request.to_bytes(), bytes);
    }
    if let Ok(request) = SignSubtreeRequest::parse(bytes) {
        assert_eq!(request.to_bytes(), bytes);
    }
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(size) = parse_conflict_body(text)
    {
        assert_eq!(conflict_body(size).trim_end_matches('\n'), text.trim_end_matches('\n'));
    }
});
