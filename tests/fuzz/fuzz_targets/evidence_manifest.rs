//! Evidence manifests: written and read again they are the same, and so is their root.
#![no_main]

use countermark_bundle::evidence::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = Manifest::parse(bytes) else { return };
    let root = manifest.root();
    let written = manifest.write();
    if let Ok(again) = Manifest::parse(&written) {
        assert_eq!(again, manifest);
        assert_eq!(again.root(), root);
    } else {
        assert!(written.len() > bytes.len());
    }
});
