//! Trust files: one encoding, and usable keys.
#![no_main]

use countermark_bundle::trust::{Floor, TrustFile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(trust) = TrustFile::parse(bytes) else { return };
    assert_eq!(trust.write(), bytes);
    trust.authority().expect("a parsed trust file has usable keys");
    let floor = trust.initial_floor();
    assert_eq!(Floor::parse(&floor.write()).unwrap(), floor);
    let _ = trust.namespace();
});
