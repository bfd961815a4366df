//! Strict JSON: whatever is taken is JSON for everybody else too, and says the same.
#![no_main]

use countermark_bundle::json;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// No document of ours has a fraction, and this reader rounds them.
fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(fields) => fields.values().any(has_fraction),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let strict = json::parse::<Value>(bytes, 64 * 1024);
    if let Ok(value) = strict {
        assert_eq!(serde_json::from_slice::<Value>(bytes).unwrap(), value);
        if has_fraction(&value) {
            return;
        }
        let written = serde_json::to_vec(&value).unwrap();
        assert_eq!(json::parse::<Value>(&written, written.len()).unwrap(), value);
    }
});
