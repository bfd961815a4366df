//! Account tokens and what they claim.
#![no_main]

use countermark_fuzz::NOW;
use countermark_vault_core::account_token::{AccountClaims, UntrustedToken};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(token) = UntrustedToken::parse(bytes) {
        assert_eq!(token.as_str().as_bytes(), bytes);
        assert!(!format!("{token:?}").contains(token.as_str()), "a token is a secret");
    }
    if let Ok(claims) = serde_json::from_slice::<AccountClaims>(bytes)
        && let Ok(token) = claims.check(NOW, "log.example/backup fleet-1")
    {
        let _ = (token.account(), token.proof_key());
    }
});
