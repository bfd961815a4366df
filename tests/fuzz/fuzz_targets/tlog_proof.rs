//! Receipts (C2SP tlog-proof), verified for an entry under a policy.
#![no_main]

use countermark_fuzz::policy;
use countermark_tlog::hash::leaf_hash;
use countermark_tlog::tlog_proof::TlogProof;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(proof) = TlogProof::parse(bytes) else { return };
    assert_eq!(proof.to_bytes(), bytes);
    assert!(proof.verify(policy(), leaf_hash(b"an entry that no log has")).is_err());
});
