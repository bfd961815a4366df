//! What a peer sends: pages of heads, verdicts, names of evidence; each in one encoding.
#![no_main]

use countermark_tlog::gossip::{HEADS_MAX, HeadPage, fork_ids_body, parse_fork_ids, parse_verdicts, verdicts_body};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(page) = HeadPage::parse(bytes) {
        assert!(page.heads().len() <= HEADS_MAX);
        assert_eq!(page.to_bytes(), bytes);
    }
    if let Ok(verdicts) = parse_verdicts(bytes) {
        assert_eq!(verdicts_body(&verdicts).as_bytes(), bytes);
    }
    if let Ok(ids) = parse_fork_ids(bytes) {
        assert_eq!(fork_ids_body(&ids).as_bytes(), bytes);
    }
});
