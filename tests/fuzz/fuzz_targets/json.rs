//! Strict JSON: whatever is taken is JSON for everybody else too, and says the same.
#![no_main]

use countermark_bundle::json;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let strict = json::parse::<Value>(bytes, 64 * 1024);
    if let Ok(value) = strict {
        assert_eq!(serde_json::from_slice::<Value>(bytes).unwrap(), value);
        let written = serde_json::to_vec(&value).unwrap();
        assert_eq!(json::parse::<Value>(&written, written.len()).unwrap(), value);
    }
});
