//! The rules of account tokens, each with what breaks it.

use alloc::vec::Vec;

use super::*;
use crate::testing::{at, name, origin, public, sign};

const ISSUER: &str = "accounts.example";

fn claims() -> AccountClaims {
    AccountClaims {
        iss: ISSUER.to_string(),
        sub: "user-1".to_string(),
        aud: audience(&origin(), &name("fleet-1")),
        iat: at(0).unix(),
        exp: at(600).unix(),
        jti: "1".to_string(),
        cnf: Confirmation { jwk: Jwk::of(&public(7)) },
    }
}

fn token() -> UntrustedToken {
    let input = signing_input(&claims());
    UntrustedToken::parse(assemble(&input, &sign(1, input.as_bytes())).as_bytes()).unwrap()
}

fn context() -> SessionContext {
    SessionContext {
        origin: origin(),
        statement: Digest::of(b"statement"),
        fleet_id: name("fleet-1"),
        member_id: name("member-1"),
    }
}

#[test]
fn a_token_is_the_jwt_of_its_claims() {
    let text = token().as_str().to_string();
    let parts: Vec<&str> = text.split('.').collect();
    let json = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    assert_eq!(json(parts[0]), r#"{"alg":"EdDSA","typ":"countermark-account+jwt"}"#);
    let x = URL_SAFE_NO_PAD.encode(public(7).bytes());
    let expected = format!(
        r#"{{"iss":"accounts.example","sub":"user-1","aud":"log.example/backup fleet-1","iat":{},"exp":{},"jti":"1","cnf":{{"jwk":{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}}}}}"#,
        at(0).unix(),
        at(600).unix(),
    );
    assert_eq!(json(parts[1]), expected);
    assert!(serde_json::from_str::<AccountClaims>(&json(parts[1])).unwrap() == claims());
    let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
    let input = signing_input(&claims());
    assert_eq!(public(1).verify_ed25519(input.as_bytes(), &signature), Ok(()));
}

#[test]
fn claims_that_obey_every_rule_name_the_account_and_its_key() {
    let verified = claims().check(at(1), &claims().aud).unwrap();
    assert_eq!(verified.account(), AccountId::of(ISSUER, "user-1"));
    assert_eq!(*verified.proof_key(), public(7));
}

#[test]
fn claims_that_break_a_rule_are_refused() {
    let longest = "x".repeat(CLAIM_BYTES_MAX);
    let too_long = "x".repeat(CLAIM_BYTES_MAX + 1);
    let good = claims;
    let check = |change: &dyn Fn(&mut AccountClaims), expect: Result<(), TokenRefusal>| {
        let mut changed = good();
        change(&mut changed);
        assert_eq!(changed.check(at(300), &good().aud).map(|_| ()), expect);
    };
    check(&|_| {}, Ok(()));
    check(&|claims| claims.aud = audience(&origin(), &name("fleet-2")), Err(TokenRefusal::Audience));
    check(&|claims| claims.aud.push(' '), Err(TokenRefusal::Audience));
    for bad in ["", "a\nb", "a\n", "\r", "a\tb", "ä", "\u{7f}", &too_long] {
        check(&|claims| claims.iss = bad.to_string(), Err(TokenRefusal::Names));
        check(&|claims| claims.sub = bad.to_string(), Err(TokenRefusal::Names));
        check(&|claims| claims.jti = bad.to_string(), Err(TokenRefusal::Names));
    }
    for fine in ["a b", "~", longest.as_str()] {
        check(&|claims| claims.sub = fine.to_string(), Ok(()));
    }
    check(&|claims| claims.exp = claims.iat, Err(TokenRefusal::Lifetime));
    check(&|claims| claims.exp = claims.iat - 1, Err(TokenRefusal::Lifetime));
    check(&|claims| claims.exp = claims.iat + TOKEN_LIFETIME_SECONDS_MAX, Ok(()));
    check(&|claims| claims.exp = claims.iat + TOKEN_LIFETIME_SECONDS_MAX + 1, Err(TokenRefusal::Lifetime));
    check(&|claims| (claims.iat, claims.exp) = (0, u64::MAX), Err(TokenRefusal::Lifetime));
    check(&|claims| claims.exp = at(300).unix(), Err(TokenRefusal::Expired));
    check(&|claims| claims.exp = at(301).unix(), Ok(()));
    let from =
        |seconds| move |claims: &mut AccountClaims| (claims.iat, claims.exp) = (at(seconds).unix(), at(1000).unix());
    check(&from(300 + CLOCK_SKEW_SECONDS), Ok(()));
    check(&from(301 + CLOCK_SKEW_SECONDS), Err(TokenRefusal::NotYetValid));
    check(&|claims| claims.cnf.jwk.kty = "EC".to_string(), Err(TokenRefusal::ProofKey));
    check(&|claims| claims.cnf.jwk.crv = "X25519".to_string(), Err(TokenRefusal::ProofKey));
    for bad in ["", "AA", "!", &URL_SAFE_NO_PAD.encode([0; 32]), &URL_SAFE_NO_PAD.encode([1; 33])] {
        check(&|claims| claims.cnf.jwk.x = bad.to_string(), Err(TokenRefusal::ProofKey));
    }
}

#[test]
fn unknown_claims_are_refused() {
    let json = serde_json::to_string(&claims()).unwrap();
    for (from, to) in [
        (r#""jti":"#, r#""nbf":1,"jti":"#),
        (r#""kty":"#, r#""use":"sig","kty":"#),
        (r#""jwk":"#, r#""kid":"1","jwk":"#),
    ] {
        assert!(json.contains(from));
        assert!(serde_json::from_str::<AccountClaims>(&json.replace(from, to)).is_err());
    }
}

#[test]
fn only_three_parts_of_base64url_are_a_token() {
    let parse = |text: &str| UntrustedToken::parse(text.as_bytes()).map(|_| ());
    assert_eq!(parse(token().as_str()), Ok(()));
    assert_eq!(parse(&format!("a.b.{}", "c".repeat(TOKEN_BYTES_MAX - 4))), Ok(()));
    let too_long = format!("a.b.{}", "c".repeat(TOKEN_BYTES_MAX - 3));
    for bad in
        ["", "a", "a.b", "a.b.c.d", "..", "a..c", "a.b.", ".b.c", "a.b.c=", "a.b.c\n", "a.b. c", "a.b.ä", &too_long]
    {
        assert_eq!(parse(bad), Err(TokenRefusal::Form), "{bad}");
    }
}

#[test]
fn a_proof_holds_for_one_session_member_fleet_and_token() {
    let verified = claims().check(at(1), &claims().aud).unwrap();
    let message = proof_message(&context(), &[1; 32], &token());
    let proof = sign(7, &message);
    let check = |message: &[u8], proof: &[u8]| check_proof(&verified, message, proof);
    assert_eq!(check(&message, &proof), Ok(()));
    let other_token = UntrustedToken::parse(b"a.b.c").unwrap();
    let others = [
        proof_message(&context(), &[2; 32], &token()),
        proof_message(&context(), &[1; 32], &other_token),
        proof_message(&SessionContext { member_id: name("member-2"), ..context() }, &[1; 32], &token()),
        proof_message(&SessionContext { fleet_id: name("fleet-2"), ..context() }, &[1; 32], &token()),
        proof_message(
            &SessionContext { origin: Origin::new("log.example/b").unwrap(), ..context() },
            &[1; 32],
            &token(),
        ),
    ];
    for other in others {
        assert_eq!(check(&other, &proof), Err(TokenRefusal::Proof));
    }
    // The issuer's key is not the client's.
    assert_eq!(check(&message, &sign(1, &message)), Err(TokenRefusal::Proof));
    for at in 0..proof.len() {
        let mut changed = proof.clone();
        changed[at] ^= 1;
        assert_eq!(check(&message, &changed), Err(TokenRefusal::Proof), "byte {at}");
    }
    assert_eq!(check(&message, &proof[..63]), Err(TokenRefusal::Proof));
    assert_eq!(check(&message, &[]), Err(TokenRefusal::Proof));
}

#[test]
fn nothing_that_is_printed_tells_who_came() {
    let verified = claims().check(at(1), &claims().aud).unwrap();
    let printed = format!("{:?} {:?} {:?} {verified:?}", token(), claims(), claims().cnf);
    assert_eq!(printed, "UntrustedToken(…) AccountClaims(…) Confirmation(…) VerifiedAccountToken(…)");
    assert_eq!(format!("{:?}", claims().cnf.jwk), "Jwk(…)");
}
