//! The hard rules of a namespace, over entries that stand one on each line.
#![no_main]

use countermark_bundle::namespace_state::NamespaceState;
use countermark_fuzz::trust;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut state = NamespaceState::new(trust()).unwrap();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let before = state.size();
        if state.apply(line).is_ok() {
            assert_eq!(state.size().get(), before.get() + 1);
        } else {
            assert_eq!(state.size(), before, "a refused entry changes nothing");
            state.skip();
        }
    }
    if let (Some(active), Some(certified)) = (state.newest_active(), state.newest_certified()) {
        assert!(active.statement.statement().epoch <= certified.statement.statement().epoch);
    }
});
