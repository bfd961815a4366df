use countermark_vault_core::account::AccountId;
use countermark_vault_core::account_token::{CLOCK_SKEW_SECONDS, Confirmation, Jwk, assemble, signing_input};
use ed25519_dalek::{Signer as _, SigningKey};

use super::*;
use crate::testkit::{name, public};

const NOW: u64 = 1_795_253_400;
const ISSUER: u8 = 7;
const PHONE: u8 = 8;

fn issuer(name: &str, seed: u8) -> AccountIssuer {
    AccountIssuer { issuer: name.to_owned(), key: public(seed) }
}

fn verifier() -> TokenVerifier {
    let issuers = [issuer("accounts.example", ISSUER), issuer("other.example", 9), issuer("accounts.example", 10)];
    TokenVerifier::new(&Origin::new("log.example/backup").unwrap(), &name("fleet-1"), &issuers)
}

fn claims() -> AccountClaims {
    AccountClaims {
        iss: "accounts.example".to_owned(),
        sub: "user-1".to_owned(),
        aud: "log.example/backup fleet-1".to_owned(),
        iat: NOW,
        exp: NOW + 3600,
        jti: "1".to_owned(),
        cnf: Confirmation { jwk: Jwk::of(&public(PHONE)) },
    }
}

fn sign(input: &str, seed: u8) -> String {
    assemble(input, &SigningKey::from_bytes(&[seed; 32]).sign(input.as_bytes()).to_bytes())
}

fn verify_at(token: &str, now: u64) -> Result<VerifiedAccountToken, TokenRefusal> {
    let token = UntrustedToken::parse(token.as_bytes())?;
    verifier().verify(&token, Timestamp::from_unix(now).unwrap())
}

fn verify(token: &str) -> Result<VerifiedAccountToken, TokenRefusal> {
    verify_at(token, NOW)
}

/// A token of this header and these claims as they stand here, signed by the issuer.
fn spelled(header: &str, claims: &str) -> String {
    sign(&format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims)), ISSUER)
}

#[test]
fn a_token_of_a_pinned_issuer_names_its_account_and_its_proof_key() {
    for key in [ISSUER, 10] {
        let verified = verify(&sign(&signing_input(&claims()), key)).unwrap();
        assert_eq!(verified.account(), AccountId::of("accounts.example", "user-1"));
        assert_eq!(verified.proof_key(), &public(PHONE));
    }
}

#[test]
fn only_the_named_issuers_keys_count() {
    let check = |claims: &AccountClaims, key, expect| {
        assert_eq!(verify(&sign(&signing_input(claims), key)).unwrap_err(), expect);
    };
    check(&claims(), 9, TokenRefusal::Signature);
    check(&claims(), PHONE, TokenRefusal::Signature);
    check(&AccountClaims { iss: "other.example".to_owned(), ..claims() }, ISSUER, TokenRefusal::Signature);
    check(&AccountClaims { iss: "stranger.example".to_owned(), ..claims() }, ISSUER, TokenRefusal::Issuer);
}

#[test]
fn the_claims_are_held_to_their_rules() {
    let check = |claims: AccountClaims, expect| {
        assert_eq!(verify(&sign(&signing_input(&claims), ISSUER)).unwrap_err(), expect);
    };
    check(AccountClaims { aud: "log.example/backup fleet-2".to_owned(), ..claims() }, TokenRefusal::Audience);
    check(AccountClaims { exp: NOW + 86_401, ..claims() }, TokenRefusal::Lifetime);
    check(AccountClaims { sub: "two\nlines".to_owned(), ..claims() }, TokenRefusal::Names);
    let token = sign(&signing_input(&claims()), ISSUER);
    assert_eq!(verify_at(&token, NOW + 3600).unwrap_err(), TokenRefusal::Expired);
    assert_eq!(verify_at(&token, NOW - CLOCK_SKEW_SECONDS - 1).unwrap_err(), TokenRefusal::NotYetValid);
    assert!(verify_at(&token, NOW - CLOCK_SKEW_SECONDS).is_ok() && verify_at(&token, NOW + 3599).is_ok());
}

#[test]
fn another_algorithm_another_type_and_another_header_are_refused() {
    let good_claims = serde_json::to_string(&claims()).unwrap();
    let good = r#"{"alg":"EdDSA","typ":"countermark-account+jwt"}"#;
    assert!(verify(&spelled(good, &good_claims)).is_ok());
    for header in [
        r#"{"alg":"none","typ":"countermark-account+jwt"}"#,
        r#"{"alg":"HS256","typ":"countermark-account+jwt"}"#,
        r#"{"alg":"EdDSA","typ":"JWT"}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt"}"#,
        r#"{"alg":"EdDSA"}"#,
        r#"{"alg":"EdDSA","typ":"countermark-account+jwt","crit":["x"]}"#,
        r#"{"alg":"none","alg":"EdDSA","typ":"countermark-account+jwt"}"#,
        "",
    ] {
        assert_eq!(verify(&spelled(header, &good_claims)).unwrap_err(), TokenRefusal::Form, "{header}");
    }
}

#[test]
fn claims_are_read_once_and_strictly() {
    let good = serde_json::to_string(&claims()).unwrap();
    let header = r#"{"alg":"EdDSA","typ":"countermark-account+jwt"}"#;
    let cases = [
        good.replace("\"sub\"", "\"sub\":\"user-2\",\"sub\""),
        good.replace("\"sub\"", "\"scope\":\"x\",\"sub\""),
        good.replace("\"sub\":\"user-1\",", ""),
        good.replace("1795253400", "1795253400.5"),
        format!("{good}{{}}"),
        String::new(),
    ];
    for claims in cases {
        assert_eq!(verify(&spelled(header, &claims)).unwrap_err(), TokenRefusal::Form, "{claims}");
    }
}

#[test]
fn no_character_of_a_token_can_be_changed() {
    let token = sign(&signing_input(&claims()), ISSUER);
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(verify(std::str::from_utf8(&changed).unwrap()).is_err(), "{at}");
    }
}
