//! Folders of Cedar policies: loaded twice they are the same policy.
#![no_main]

use std::fs;

use countermark_fuzz::folder;
use countermark_signer_policy::PolicySet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = folder("policies");
    fs::write(folder.join("policy.cedar"), bytes).unwrap();
    let Ok(policies) = PolicySet::load(&folder) else { return };
    let again = PolicySet::load(&folder).expect("it was loaded a moment ago");
    assert_eq!(policies.digest(), again.digest());
});
