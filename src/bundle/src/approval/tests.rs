//! What an approval is, and every token that is none.

use super::*;
use crate::key::KeyAlgorithm;
use crate::testing::*;
use serde_json::{Value, json};

/// `officer-0` and `officer-1`, with the keys of seeds 8 and 9.
fn officers() -> Vec<Officer> {
    let officer = |i: u8| Officer { subject: name(&format!("officer-{i}")), key: officer_key(i).public().clone() };
    [0, 1].map(officer).to_vec()
}

fn officer_key(i: u8) -> TestSigner {
    ed25519_signer(8 + i)
}

fn digest() -> Digest {
    Digest::of(b"statement")
}

/// Header and claims of a good approval by `officer-0`, given at [`NOW`] for an hour.
fn good_parts() -> (Value, Value) {
    let header = json!({"alg": "EdDSA", "typ": APPROVAL_TYPE, "kid": officer_key(0).public().key_id()});
    let claims = json!({
        "aud": APPROVAL_AUDIENCE, "sub": "officer-0", "origin": ORIGIN, "epoch": 1, "digest": digest(),
        "iat": NOW, "exp": NOW + 3600,
    });
    (header, claims)
}

fn sign(header: &str, claims: &str, signer: &TestSigner) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    assemble(&input, &signer.sign(input.as_bytes()))
}

fn approval_of(i: u8) -> String {
    let claims = Claims::new(name(&format!("officer-{i}")), origin(), Epoch::FIRST, digest(), at(NOW), 3600);
    let input = signing_input(&claims, officer_key(i).public());
    assemble(&input, &officer_key(i).sign(input.as_bytes()))
}

fn verify_at(approval: &str, at: Timestamp) -> Result<Name, ApprovalError> {
    let origin = origin();
    verify(approval, &officers(), Approved { origin: &origin, epoch: Epoch::FIRST, digest: digest() }, at)
}

#[test]
fn an_approval_of_ours_and_one_of_another_library_count() {
    let (header, claims) = good_parts();
    for approval in [approval_of(0), sign(&header.to_string(), &claims.to_string(), &officer_key(0))] {
        assert_eq!(verify_at(&approval, at(NOW)).unwrap(), name("officer-0"));
    }
}

/// A change to header or claims, the key that signs then, and the refusal.
type Case = (&'static str, fn(&mut Value, &mut Value), u8, fn(&ApprovalError) -> bool);

fn purpose(error: &ApprovalError, of: &str) -> bool {
    matches!(error, ApprovalError::Purpose { field, expected, found } if *field == of && expected != found)
}

fn json_of(error: &ApprovalError, of: &str) -> bool {
    matches!(error, ApprovalError::Json { part, source: JsonError::Invalid(_) } if *part == of)
}

fn other(error: &ApprovalError, of: &str) -> bool {
    matches!(error, ApprovalError::OtherStatement { what, .. } if *what == of)
}

const CASES: [Case; 28] = [
    ("an access token", |h, _| h["typ"] = json!("at+jwt"), 8, |e| purpose(e, "typ")),
    ("any JWT", |h, _| h["typ"] = json!("JWT"), 8, |e| purpose(e, "typ")),
    ("another case of typ", |h, _| h["typ"] = json!("Countermark-Approval+JWT"), 8, |e| purpose(e, "typ")),
    ("no algorithm", |h, _| h["alg"] = json!("none"), 8, |e| purpose(e, "alg")),
    ("a shared secret", |h, _| h["alg"] = json!("HS256"), 8, |e| purpose(e, "alg")),
    ("another signature algorithm", |h, _| h["alg"] = json!("ES384"), 8, |e| purpose(e, "alg")),
    ("another audience", |_, c| c["aud"] = json!("countermark"), 8, |e| purpose(e, "aud")),
    ("a list of audiences", |_, c| c["aud"] = json!([APPROVAL_AUDIENCE]), 8, |e| json_of(e, "claims")),
    ("an extra header", |h, _| h["crit"] = json!(["exp"]), 8, |e| json_of(e, "header")),
    ("an embedded key", |h, _| h["jwk"] = json!({}), 8, |e| json_of(e, "header")),
    ("a header that is a list", |h, _| *h = json!(["EdDSA", h["typ"], h["kid"]]), 8, |e| json_of(e, "header")),
    ("no kid", |h, _| remove(h, "kid"), 8, |e| json_of(e, "header")),
    ("an extra claim", |_, c| c["scope"] = json!("admin"), 8, |e| json_of(e, "claims")),
    ("no expiry", |_, c| remove(c, "exp"), 8, |e| json_of(e, "claims")),
    ("a fraction of a second", |_, c| c["exp"] = json!(1_795_219_260.5), 8, |e| json_of(e, "claims")),
    ("a time of 2^53", |_, c| c["exp"] = json!(1_u64 << 53), 8, |e| json_of(e, "claims")),
    ("a time before 1970", |_, c| c["iat"] = json!(-1), 8, |e| json_of(e, "claims")),
    ("an unknown officer", |_, c| c["sub"] = json!("officer-2"), 8, not_an_officer),
    ("a stranger's key", |h, _| h["kid"] = json!(ed25519_signer(77).public().key_id()), 77, not_an_officer),
    ("an officer with another's key", |h, _| h["kid"] = json!(officer_key(1).public().key_id()), 9, not_an_officer),
    ("signed by another officer's key", |_, _| {}, 9, |e| matches!(e, ApprovalError::Signature { .. })),
    ("another log", |_, c| c["origin"] = json!("log.example/other"), 8, |e| other(e, "log")),
    ("another epoch", |_, c| c["epoch"] = json!(2), 8, |e| other(e, "epoch")),
    ("another digest", |_, c| c["digest"] = json!(Digest::of(b"other")), 8, |e| other(e, "digest")),
    ("no life at all", |_, c| c["exp"] = json!(NOW), 8, lifetime),
    ("an end before its beginning", |_, c| c["exp"] = json!(NOW - 1), 8, lifetime),
    ("a life of seven days and a second", |_, c| c["exp"] = json!(NOW + 7 * 86_400 + 1), 8, lifetime),
    ("given in the future", |_, c| c["iat"] = json!(NOW + 301), 8, not_in_force),
];

fn remove(object: &mut Value, field: &str) {
    assert!(object.as_object_mut().unwrap().remove(field).is_some());
}

fn not_an_officer(error: &ApprovalError) -> bool {
    matches!(error, ApprovalError::NotAnOfficer { .. })
}

fn lifetime(error: &ApprovalError) -> bool {
    matches!(error, ApprovalError::Lifetime { .. })
}

fn not_in_force(error: &ApprovalError) -> bool {
    matches!(error, ApprovalError::NotInForce { .. })
}

#[test]
fn a_token_that_differs_in_one_thing_is_no_approval() {
    for (what, change, seed, expected) in CASES {
        let (mut header, mut claims) = good_parts();
        change(&mut header, &mut claims);
        let approval = sign(&header.to_string(), &claims.to_string(), &ed25519_signer(seed));
        let error = verify_at(&approval, at(NOW)).expect_err(what);
        assert!(expected(&error), "{what}: {error:?}");
    }
}

#[test]
fn a_claim_that_stands_twice_is_refused() {
    let (header, claims) = good_parts();
    let (header, claims) = (header.to_string(), claims.to_string());
    let twice = |text: &str, field: &str| text.replacen('{', &format!("{{{field},"), 1);
    let epoch = verify_at(&sign(&header, &twice(&claims, r#""epoch":1"#), &officer_key(0)), at(NOW));
    assert!(epoch.is_err_and(|error| json_of(&error, "claims")));
    let algorithm = verify_at(&sign(&twice(&header, r#""alg":"none""#), &claims, &officer_key(0)), at(NOW));
    assert!(algorithm.is_err_and(|error| json_of(&error, "header")));
    let trailing = verify_at(&sign(&header, &format!("{claims}{{}}"), &officer_key(0)), at(NOW));
    assert!(trailing.is_err_and(|error| json_of(&error, "claims")));
}

#[test]
fn an_approval_is_three_parts_of_unpadded_base64url() {
    let good = approval_of(0);
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { panic!("{good}") };
    let standard = |text: &str| text.replace('-', "+").replace('_', "/");
    // 64 bytes have 86 digits, of which the last carries four stray bits.
    let last = signature.chars().last().unwrap();
    let stray = char::from(u8::try_from(last).unwrap() + 1);
    let cases = [
        String::new(),
        format!("{header}.{claims}"),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!("{header}.{claims}.{header}.{signature}"),
        format!("{header}=.{claims}.{signature}"),
        format!("{header}.{claims}==.{signature}"),
        format!("{header}.{claims}.{signature}=="),
        format!("{header}.{claims}.{}{stray}", &signature[..85]),
        format!("{header}.{claims}.{}", standard(signature)),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{good}{}", "A".repeat(APPROVAL_BYTES_MAX)),
    ];
    assert_ne!(standard(signature), *signature, "the fixture's signature has a digit that differs");
    for case in cases {
        let error = verify_at(&case, at(NOW)).expect_err(&case);
        assert!(matches!(error, ApprovalError::Form), "{case}: {error:?}");
    }
}

#[test]
fn an_approval_without_a_signature_is_refused() {
    let good = approval_of(0);
    let (signed, _) = good.rsplit_once('.').unwrap();
    for signature in [String::new(), URL_SAFE_NO_PAD.encode([0; 64]), URL_SAFE_NO_PAD.encode([0; 63])] {
        let error = verify_at(&format!("{signed}.{signature}"), at(NOW)).unwrap_err();
        let expected = |subject: &Name, source: &SignatureError| {
            (subject.as_str(), *source) == ("officer-0", SignatureError::Invalid)
        };
        assert!(matches!(&error, ApprovalError::Signature { subject, source } if expected(subject, source)), "{error}");
    }
}

#[test]
fn an_officer_with_a_key_of_another_algorithm_approves_nothing() {
    let key = p384_signer(3);
    let officers = [Officer { subject: name("officer-0"), key: key.public().clone() }];
    let (mut header, claims) = good_parts();
    header["kid"] = json!(key.public().key_id());
    let approval = sign(&header.to_string(), &claims.to_string(), &key);
    let origin = origin();
    let approved = Approved { origin: &origin, epoch: Epoch::FIRST, digest: digest() };
    let source = SignatureError::Algorithm { algorithm: KeyAlgorithm::EcdsaP384 };
    let error = verify(&approval, &officers, approved, at(NOW)).unwrap_err();
    assert!(matches!(error, ApprovalError::Signature { source: found, .. } if found == source));
}

#[test]
fn an_approval_holds_from_its_time_less_the_skew_until_its_expiry() {
    let good = approval_of(0);
    let check = |seconds: u64, holds: bool| match verify_at(&good, at(seconds)) {
        Ok(_) => assert!(holds, "{seconds}"),
        Err(error) => assert!(!holds && not_in_force(&error), "{seconds}: {error}"),
    };
    check(NOW - CLOCK_SKEW_SECONDS - 1, false);
    check(NOW - CLOCK_SKEW_SECONDS, true);
    check(NOW, true);
    check(NOW + 3599, true);
    check(NOW + 3600, false);
    let longest =
        Claims::new(name("officer-0"), origin(), Epoch::FIRST, digest(), at(NOW), APPROVAL_LIFETIME_SECONDS_MAX);
    let input = signing_input(&longest, officer_key(0).public());
    let longest = assemble(&input, &officer_key(0).sign(input.as_bytes()));
    assert!(verify_at(&longest, at(NOW + APPROVAL_LIFETIME_SECONDS_MAX - 1)).is_ok());
}

#[test]
fn the_quorum_counts_people() {
    let origin = origin();
    let approved = Approved { origin: &origin, epoch: Epoch::FIRST, digest: digest() };
    let all = |approvals: &[String], needed| verify_all(approvals, &officers(), needed, approved, at(NOW));
    let (first, second) = (approval_of(0), approval_of(1));
    let names = [name("officer-0"), name("officer-1")];
    assert_eq!(all(&[second.clone(), first.clone()], 2).unwrap(), names, "sorted");
    assert_eq!(all(&[first.clone(), second.clone()], 1).unwrap(), names, "more than needed");

    let error = all(std::slice::from_ref(&first), 2).unwrap_err();
    assert!(matches!(error, ApprovalError::TooFew { found: 1, needed: 2 }), "{error}");
    let error = all(&[], 1).unwrap_err();
    assert!(matches!(error, ApprovalError::TooFew { found: 0, needed: 1 }), "{error}");
    let (header, claims) = good_parts();
    // Other bytes of the same approval, however the trees order their fields.
    let again = sign(&format!(" {header}"), &claims.to_string(), &officer_key(0));
    assert_ne!(again, first);
    let error = all(&[first.clone(), again], 2).unwrap_err();
    assert!(matches!(&error, ApprovalError::Twice { subject } if *subject == names[0]), "{error}");
    // A bad approval is not passed over, even if the others suffice.
    let error = all(&[first, second, String::from("x")], 2).unwrap_err();
    assert!(matches!(error, ApprovalError::Form), "{error}");
}
