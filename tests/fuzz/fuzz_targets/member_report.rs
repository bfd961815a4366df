//! Reports of vault members.
#![no_main]

use countermark_vault_core::member::UntrustedMemberReport;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(report) = UntrustedMemberReport::parse(bytes) else { return };
    let identity = report.unverified_identity().clone();
    if let Ok(verified) = report.verify() {
        assert_eq!(*verified.identity(), identity);
    }
});
