//! Entry bundles, read for the width that the first two bytes say.
#![no_main]

use countermark_tlog::entry_bundle::{decode, encode, entries};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((width, bytes)) = input.split_first_chunk() else { return };
    let width = u16::from_be_bytes(*width);
    // One by one, as a reader of a whole log does: what fails there fails as a whole.
    let one_by_one = entries(bytes, width).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let Ok(found) = decode(bytes, width) else {
        assert!(one_by_one.is_err());
        return;
    };
    assert_eq!(one_by_one.unwrap(), found);
    assert_eq!(found.len(), usize::from(width));
    assert_eq!(encode(found.into_iter()).unwrap(), bytes);
});
