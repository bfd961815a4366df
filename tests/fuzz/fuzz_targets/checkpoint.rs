//! Checkpoints, with and without extension lines, under a policy of one log and four witnesses.
#![no_main]

use countermark_fuzz::policy;
use countermark_tlog::checkpoint::{Checkpoint, SignedCheckpoint};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(checkpoint) = Checkpoint::parse(text)
    {
        assert_eq!(checkpoint.text(), text);
    }
    let strict = SignedCheckpoint::parse(bytes);
    let Ok(signed) = SignedCheckpoint::parse_allowing_extensions(bytes) else {
        assert!(strict.is_err());
        return;
    };
    assert_eq!(signed.to_bytes(), bytes);
    if let Ok(witnessed) = policy().verify(&signed) {
        // Nobody who fuzzes has the keys: what verifies is the example's head, whatever else stands beside it.
        assert_eq!(witnessed.checkpoint().size.get(), 5);
    }
});
