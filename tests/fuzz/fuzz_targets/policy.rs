//! Witness policies (C2SP tlog-policy) and the analysis of their quorum.
#![no_main]

use countermark_tlog::policy::Policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(policy) = Policy::parse(bytes) else { return };
    let everybody = policy.quorum_met(&|_| true);
    assert!(everybody || !policy.quorum_met(&|_| false), "nobody is more than everybody");
    if policy.require_fault_tolerance(1).is_ok() {
        assert!(policy.fault_tolerance().is_ok());
        assert!(!policy.quorum_met(&|_| false), "a quorum of nobody tolerates nothing");
    }
});
