//! Validation bundles: one encoding, and the sixteen steps over it.
#![no_main]

use countermark_bundle::link::ConsistencyLink;
use countermark_bundle::trust::Floor;
use countermark_bundle::validation_bundle::ValidationBundle;
use countermark_bundle::verify::verify;
use countermark_fuzz::{NOW, link, statement_digest, trust};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(bundle) = ValidationBundle::parse(bytes) {
        assert_eq!(bundle.write(), bytes);
    }
    let floor = trust().initial_floor();
    let links: [Option<&ConsistencyLink>; 2] = [None, Some(link())];
    for link in links {
        let Ok(unstored) = verify(bytes, link, trust(), &floor, NOW) else { continue };
        let mut stored = None;
        let verified = unstored.store(|floor| {
            stored = Some(floor.write());
            Ok::<(), ()>(())
        });
        // Nobody who fuzzes has the keys: what is believed is the example's statement.
        assert_eq!(verified.unwrap().statement().digest(), statement_digest());
        // A client that cannot read its own memory is locked out.
        Floor::parse(&stored.unwrap()).unwrap();
    }
});
