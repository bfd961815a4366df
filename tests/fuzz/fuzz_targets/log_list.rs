//! Lists of the public witness network.
#![no_main]

use countermark_tlog::log_list::{LOG_LIST_LOGS_MAX, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(logs) = parse(bytes) else { return };
    assert!(logs.len() <= LOG_LIST_LOGS_MAX);
    assert!(logs.iter().all(|log| log.requests_per_day > 0 && !log.contact.is_empty()));
});
