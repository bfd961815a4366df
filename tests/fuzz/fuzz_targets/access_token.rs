//! Access tokens: whatever is taken is the example's token, for what it says.
#![no_main]

use countermark_bundle::Namespace;
use countermark_fuzz::{NOW, key};
use countermark_signer_policy::access_token::{Audience, Issuer, KeySet, Scope, TokenKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let issuer = TokenKey { issuer: Issuer::new("operator").unwrap(), key: key(21) };
    let keys = KeySet::new(vec![issuer]).unwrap();
    let Ok(claims) = keys.verify(text, &Audience::new("log.example").unwrap(), NOW) else { return };
    assert_eq!(claims.subject.as_str(), "release");
    assert!(!claims.allow(&Namespace::parse("backup").unwrap(), Scope::Entries));
    assert!(keys.verify(text, &Audience::new("other.example").unwrap(), NOW).is_err());
});
