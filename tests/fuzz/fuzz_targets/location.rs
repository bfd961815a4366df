//! Places of logs and of objects, as people write them.
#![no_main]

use std::path::Path;

use countermark_bundle::Namespace;
use countermark_client::fetch::{self, Timeouts};
use countermark_log::objects::location::Location;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(place) = Location::parse(text, Path::new("/srv")) {
        assert!(place.overlaps(&place));
    }
    // A path would be looked for on this disk.
    if text.contains("://") {
        let namespace = Namespace::parse("backup").unwrap();
        let _ = fetch::Location::parse(text, &namespace, Timeouts::default());
    }
});
