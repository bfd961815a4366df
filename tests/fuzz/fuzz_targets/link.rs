//! Consistency links.
#![no_main]

use countermark_bundle::link::ConsistencyLink;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(link) = ConsistencyLink::parse(bytes) else { return };
    let again = ConsistencyLink::parse(&link.write()).expect("what we write is read");
    assert_eq!(again, link);
    assert_eq!(ConsistencyLink::new(link.from, link.to, &link.proof()), link);
});
