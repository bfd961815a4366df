//! Signed notes and their lines: what was parsed is written as the same bytes.
#![no_main]

use countermark_fuzz::policy;
use countermark_tlog::note::{NoteSignature, SignedNote};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = SignedNote::parse(bytes) {
        assert_eq!(note.to_bytes(), bytes);
        let keys = policy();
        let known = keys.logs().iter().map(|log| &log.vkey).chain(keys.witnesses().iter().map(|witness| &witness.vkey));
        let _ = note.verify(known);
    }
    if let Ok(line) = str::from_utf8(bytes)
        && let Ok(signature) = NoteSignature::parse_line(line)
    {
        assert_eq!(signature.to_line().trim_end_matches('\n'), line.trim_end_matches('\n'));
    }
});
