//! Log entries of all six types: their own checks, one form, one identity.
#![no_main]

use countermark_bundle::entry::{ENTRY_BYTES_MAX, Entry};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(entry) = Entry::parse(bytes) else { return };
    let written = entry.write();
    // Our newline may be the one byte too many.
    if written.len() > ENTRY_BYTES_MAX {
        return;
    }
    let again = Entry::parse(&written).expect("what we write is read");
    assert_eq!(again, entry);
    assert_eq!(again.write(), written);
    assert_eq!(again.identity(), entry.identity());
});
