//! Fleet statements: what was parsed can be written and is read as the same.
#![no_main]

use countermark_bundle::statement::ParsedStatement;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(parsed) = ParsedStatement::parse(bytes) else { return };
    assert_eq!(parsed.bytes(), bytes);
    let statement = parsed.statement();
    for (_, _, key) in statement.keys() {
        assert_eq!(key.key().expect("a parsed statement has usable keys").key_id(), key.key_id);
    }
    let written = statement.write();
    // White space is free, so that what we write may be longer than the bound.
    if let Ok(again) = ParsedStatement::parse(&written) {
        assert_eq!(again.statement(), statement);
        assert_eq!(again.statement().write(), written);
    } else {
        assert!(written.len() > bytes.len());
    }
});
