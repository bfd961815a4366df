//! Fork evidence: one encoding, and no bytes convict a log whose key signed nothing in them.
#![no_main]

use countermark_fuzz::policy;
use countermark_tlog::fork::{FORK_EVIDENCE_BYTES_MAX, UntrustedForkEvidence};
use countermark_tlog::note::VerifierKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(evidence) = UntrustedForkEvidence::parse(bytes) else { return };
    assert!(bytes.len() <= FORK_EVIDENCE_BYTES_MAX);
    assert_eq!(evidence.to_bytes(), bytes);
    let keys: Vec<VerifierKey> = policy().logs().iter().map(|log| log.vkey.clone()).collect();
    assert!(evidence.verify(&keys).is_err());
});
