//! What a witness answers: lines of cosignatures.
#![no_main]

use countermark_fuzz::policy;
use countermark_tlog::cosignature::Cosignature;
use countermark_tlog::witness_wire::parse_cosignature_lines;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(lines) = parse_cosignature_lines(bytes) else { return };
    let written: String = lines.iter().map(|line| line.to_line().trim_end().to_owned() + "\n").collect();
    assert_eq!(written.as_bytes(), bytes);
    for line in &lines {
        let Ok(cosignature) = Cosignature::from_note_signature(line) else { continue };
        let keys = policy();
        let witness = &keys.witnesses()[0].vkey;
        assert_eq!(cosignature.to_note_signature(witness).signature, line.signature);
        assert!(cosignature.verify(witness, "another text\n").is_err());
    }
});
