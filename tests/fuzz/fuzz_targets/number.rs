//! Sizes and indexes as text: one form for each number.
#![no_main]

use countermark_tlog::size::{LeafIndex, TreeSize, parse_decimal_u64};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(size) = TreeSize::parse_decimal(text) {
        assert_eq!(size.to_string(), text);
    }
    if let Ok(index) = LeafIndex::parse_decimal(text) {
        assert_eq!(index.to_string(), text);
    }
    if let Ok(number) = parse_decimal_u64(text) {
        assert_eq!(number.to_string(), text);
    }
});
