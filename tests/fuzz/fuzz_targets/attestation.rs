//! Attestations: never verified under a key of ours.
#![no_main]

use countermark_bundle::attestation::{UntrustedAttestation, write};
use countermark_fuzz::{VENDOR, key};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(attestation) = UntrustedAttestation::parse(bytes) else { return };
    let body = attestation.unverified_body().clone();
    if let Ok(verified) = attestation.verify(&[key(VENDOR)]) {
        assert_eq!(*verified.body(), body);
        assert_eq!(verified.bytes(), bytes);
    }
    let written = write(body.clone(), key(VENDOR).key_id(), vec![0; 64]);
    assert_eq!(*UntrustedAttestation::parse(&written).unwrap().unverified_body(), body);
});
