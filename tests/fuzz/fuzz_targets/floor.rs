//! Floors: one encoding.
#![no_main]

use countermark_bundle::trust::Floor;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(floor) = Floor::parse(bytes) {
        assert_eq!(floor.write(), bytes);
    }
});
