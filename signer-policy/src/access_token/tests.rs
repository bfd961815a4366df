use super::*;
use ed25519_dalek::{Signer as _, SigningKey};
use p384::ecdsa;
use serde_json::{Value, json};

mod confusion;

/// Stands for a key file: the same trait, a key from a seed.
struct SeedSigner {
    key: SeedKey,
    public: PublicKey,
    role: Role,
    works: bool,
}

enum SeedKey {
    Ed25519(SigningKey),
    P384(ecdsa::SigningKey),
}

impl SeedSigner {
    fn new(seed: u8) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let public = PublicKey::ed25519(&key.verifying_key().to_bytes()).unwrap();
        Self { public, key: SeedKey::Ed25519(key), role: Role::TokenIssuer, works: true }
    }

    fn p384(seed: u8) -> Self {
        let key = ecdsa::SigningKey::from_slice(&[seed; 48]).unwrap();
        let point = key.verifying_key().to_sec1_point(false);
        let public = PublicKey::new(KeyAlgorithm::EcdsaP384, point.as_bytes()).unwrap();
        Self { public, key: SeedKey::P384(key), role: Role::TokenIssuerP384, works: true }
    }

    fn public(&self) -> PublicKey {
        self.public.clone()
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        match &self.key {
            SeedKey::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            SeedKey::P384(key) => {
                let signature: ecdsa::Signature = ecdsa::signature::Signer::sign(key, message);
                signature.to_bytes().to_vec()
            }
        }
    }

    /// A token with any header and claims.
    fn token(&self, header: &Value, claims: &Value) -> String {
        let input = format!("{}.{}", encode(header), encode(claims));
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(self.signature(input.as_bytes())))
    }

    fn header(&self) -> Value {
        json!({"alg": alg(self.public.algorithm()), "typ": "at+jwt", "kid": self.public.key_id().to_string()})
    }
}

impl Signer for SeedSigner {
    fn role(&self) -> Role {
        self.role
    }

    fn algorithm(&self) -> countermark_keys::Algorithm {
        self.role.algorithm()
    }

    fn public_key(&self) -> &[u8] {
        self.public.bytes()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if self.works {
            Ok(self.signature(message))
        } else {
            Err(SignError::Failed { role: self.role, algorithm: self.algorithm() })
        }
    }
}

const NOW: u64 = 1_795_253_400;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(seconds).unwrap()
}

fn issuer() -> Issuer {
    Issuer::new("https://login.operator.example").unwrap()
}

fn audience() -> Audience {
    Audience::new("https://log.example").unwrap()
}

fn namespace(text: &str) -> Namespace {
    Namespace::parse(text).unwrap()
}

fn claims() -> Claims {
    Claims {
        issuer: issuer(),
        subject: Name::parse("release-robot").unwrap(),
        audience: audience(),
        issued_at: at(NOW),
        expires_at: at(NOW + 600),
        token_id: Some(Name::parse("t-1").unwrap()),
        namespaces: [namespace("backup"), namespace("archive")].into(),
        scopes: Scope::ALL.into(),
    }
}

fn wire_claims() -> Value {
    json!({
        "iss": issuer().as_str(), "sub": "release-robot", "aud": audience().as_str(),
        "iat": NOW, "exp": NOW + 600, "namespaces": ["archive", "backup"], "scope": "entries statements",
    })
}

/// The claims with some replaced; `null` removes one.
fn wire_with(changes: &Value) -> Value {
    let mut claims = wire_claims();
    for (name, value) in changes.as_object().unwrap() {
        let claims = claims.as_object_mut().unwrap();
        if value.is_null() {
            claims.remove(name);
        } else {
            claims.insert(name.clone(), value.clone());
        }
    }
    claims
}

fn key_set() -> KeySet {
    let other = Issuer::new("https://other.example").unwrap();
    KeySet::new(vec![
        TokenKey { issuer: issuer(), key: SeedSigner::new(1).public() },
        TokenKey { issuer: other, key: SeedSigner::new(2).public() },
        TokenKey { issuer: issuer(), key: SeedSigner::p384(4).public() },
    ])
    .unwrap()
}

fn verify(token: &str) -> Result<AccessClaims, TokenError> {
    key_set().verify(token, &audience(), at(NOW))
}

fn check(changes: &Value, expect: &TokenError) {
    let signer = SeedSigner::new(1);
    let token = signer.token(&signer.header(), &wire_with(changes));
    assert_eq!(verify(&token), Err(expect.clone()), "{changes}");
}

#[test]
fn a_minted_token_is_accepted_and_says_what_was_asked_for() {
    for signer in [SeedSigner::new(1), SeedSigner::p384(4)] {
        let token = mint(&signer, &claims()).unwrap();
        let accepted = verify(&token).unwrap();
        let Claims { issuer, subject, namespaces, scopes, .. } = claims();
        assert_eq!(accepted, AccessClaims { issuer, subject, namespaces, scopes });
        assert!(accepted.allow(&namespace("backup"), Scope::Statements));
        assert!(!accepted.allow(&namespace("other"), Scope::Statements));
    }
}

#[test]
fn a_token_allows_only_the_scopes_it_names() {
    let token = mint(&SeedSigner::new(1), &Claims { scopes: [Scope::Entries].into(), ..claims() }).unwrap();
    let accepted = verify(&token).unwrap();
    assert!(accepted.allow(&namespace("backup"), Scope::Entries));
    assert!(!accepted.allow(&namespace("backup"), Scope::Statements));
}

#[test]
fn only_a_token_issuer_mints_and_only_what_would_be_accepted() {
    let signer = SeedSigner::new(1);
    let refusal = |claims: Claims| mint(&signer, &claims).unwrap_err();
    for (expires_at, expect) in [(NOW, 0), (NOW - 1, 0), (NOW + 86_401, 86_401)] {
        let found = refusal(Claims { expires_at: at(expires_at), ..claims() });
        assert!(matches!(found, MintError::Lifetime { found } if found == expect), "{found:?}");
    }
    assert!(matches!(refusal(Claims { scopes: BTreeSet::new(), ..claims() }), MintError::AllowsNothing));
    assert!(matches!(refusal(Claims { namespaces: BTreeSet::new(), ..claims() }), MintError::AllowsNothing));
    let many = (0..600).map(|n| namespace(&format!("namespace-{n}"))).collect();
    assert!(matches!(refusal(Claims { namespaces: many, ..claims() }), MintError::TooLarge));
    let officer = SeedSigner { role: Role::Officer, ..SeedSigner::new(1) };
    assert!(matches!(mint(&officer, &claims()), Err(MintError::WrongRole { found: Role::Officer })));
    let unplugged = SeedSigner { works: false, ..SeedSigner::new(1) };
    assert!(matches!(mint(&unplugged, &claims()), Err(MintError::Sign(_))));
}

#[test]
fn what_is_not_a_token_is_malformed() {
    let signer = SeedSigner::new(1);
    let malformed = |part| Err(TokenError::Malformed { part });
    let good = mint(&signer, &claims()).unwrap();
    let header = encode(&signer.header());
    let (_, rest) = good.split_once('.').unwrap();
    for (token, part) in [
        (String::new(), "token"),
        ("a.b".to_owned(), "token"),
        (format!("{good}.x"), "token"),
        (format!("{good}{}", "A".repeat(TOKEN_BYTES_MAX)), "token"),
        (format!("!.{rest}"), "header"),
        (format!("{header}=.{rest}"), "header"),
        (format!("{}.{rest}", encode(&json!("text"))), "header"),
        (format!("{good}!"), "token"),
        (format!("{header}.{}.", encode(&wire_claims())), "nothing"),
    ] {
        let expect = if part == "nothing" { Err(TokenError::BadSignature) } else { malformed(part) };
        assert_eq!(verify(&token), expect, "{token}");
    }
    for extra in ["crit", "jwk", "jku", "x5c", "x5u", "b64"] {
        let mut header = signer.header();
        header[extra] = json!(["x"]);
        assert_eq!(verify(&signer.token(&header, &wire_claims())), malformed("header"), "{extra}");
    }
    let twice = format!(r#"{{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"{}"}}"#, signer.public().key_id());
    assert_eq!(verify(&format!("{}.{rest}", URL_SAFE_NO_PAD.encode(twice))), malformed("header"));
}

#[test]
fn claims_that_are_missing_unknown_or_of_another_form_are_malformed() {
    let malformed = TokenError::Malformed { part: "claims" };
    for name in ["iss", "sub", "aud", "iat", "exp", "namespaces", "scope"] {
        check(&json!({ name: null }), &malformed);
    }
    for changes in [
        json!({"cnf": {"jkt": "x"}}),
        json!({"aud": [audience().as_str()]}),
        json!({"aud": ""}),
        json!({"sub": "Not A Name"}),
        json!({"aud": [audience().as_str(), "https://other.example"]}),
        json!({"iat": -1}),
        json!({"exp": 1.5}),
        json!({"exp": NOW}),
        json!({"exp": NOW - 1}),
        json!({"iat": u64::MAX - 1, "exp": u64::MAX}),
        json!({"namespaces": []}),
        json!({"namespaces": ["backup", "archive"]}),
        json!({"namespaces": ["backup", "backup"]}),
        json!({"namespaces": ["tile"]}),
        json!({"scope": ""}),
        json!({"scope": "statements everything"}),
        json!({"scope": "statements  entries"}),
    ] {
        check(&changes, &malformed);
    }
}

#[test]
fn an_approval_is_refused_by_name() {
    let signer = SeedSigner::new(1);
    let mut header = signer.header();
    header["typ"] = json!(countermark_bundle::approval::APPROVAL_TYPE);
    assert_eq!(verify(&signer.token(&header, &wire_claims())), Err(TokenError::IsAnApproval));
    check(&json!({"aud": countermark_bundle::approval::APPROVAL_AUDIENCE}), &TokenError::IsAnApproval);
}

#[test]
fn a_real_approval_is_no_token_and_a_token_no_approval() {
    use countermark_bundle::approval::{self, ApprovalError, Approved, Officer};
    use countermark_bundle::identity::{Digest, Epoch};
    use countermark_tlog::checkpoint::Origin;

    let signer = SeedSigner::new(1);
    let (subject, digest) = (Name::parse("release-robot").unwrap(), Digest::of(b"statement"));
    let origin = Origin::new("log.example/backup").unwrap();
    let statement = approval::Claims::new(subject.clone(), origin.clone(), Epoch::FIRST, digest, at(NOW), 600);
    let input = approval::signing_input(&statement, &signer.public());
    let given = approval::assemble(&input, &signer.sign(input.as_bytes()).unwrap());
    assert_eq!(verify(&given), Err(TokenError::IsAnApproval));

    let token = mint(&signer, &claims()).unwrap();
    let officers = [Officer { subject, key: signer.public() }];
    let approved = Approved { origin: &origin, epoch: Epoch::FIRST, digest };
    let refused = approval::verify(&token, &officers, approved, at(NOW)).unwrap_err();
    assert!(matches!(refused, ApprovalError::Json { .. } | ApprovalError::Purpose { .. }), "{refused:?}");
    assert!(approval::verify(&given, &officers, approved, at(NOW)).is_ok());
}

#[test]
fn another_kind_of_token_is_refused() {
    let signer = SeedSigner::new(1);
    for found in ["JWT", "AT+JWT", ""] {
        let mut header = signer.header();
        header["typ"] = json!(found);
        let expect = TokenError::WrongType { found: found.to_owned() };
        assert_eq!(verify(&signer.token(&header, &wire_claims())), Err(expect));
    }
}

#[test]
fn a_key_that_is_not_in_the_set_is_refused() {
    let stranger = SeedSigner::new(3);
    let token = mint(&stranger, &claims()).unwrap();
    assert_eq!(verify(&token), Err(TokenError::UnknownKey { key_id: stranger.public().key_id() }));
}

#[test]
fn no_byte_of_a_token_can_be_changed() {
    for signer in [SeedSigner::new(1), SeedSigner::p384(4)] {
        let token = mint(&signer, &claims()).unwrap();
        // Verifying under P-384 takes long: there one bit of each byte has to do.
        let bits = if signer.role == Role::TokenIssuer { 0..7 } else { 0..1 };
        for index in 0..token.len() {
            for bit in bits.clone() {
                let flip = 1 << bit;
                let mut bytes = token.clone().into_bytes();
                bytes[index] ^= flip;
                if let Ok(changed) = String::from_utf8(bytes) {
                    assert!(verify(&changed).is_err(), "byte {index}, bit {bit}");
                }
            }
        }
    }
}

#[test]
fn a_signature_of_another_token_is_refused() {
    let signer = SeedSigner::new(1);
    let one = mint(&signer, &claims()).unwrap();
    let two = mint(&signer, &Claims { token_id: None, ..claims() }).unwrap();
    let (input, _) = one.rsplit_once('.').unwrap();
    let (_, signature) = two.rsplit_once('.').unwrap();
    assert_eq!(verify(&format!("{input}.{signature}")), Err(TokenError::BadSignature));
}

#[test]
fn an_issuer_speaks_only_with_its_own_key() {
    let token = mint(&SeedSigner::new(2), &claims()).unwrap();
    let expected = Issuer::new("https://other.example").unwrap();
    assert_eq!(verify(&token), Err(TokenError::WrongIssuer { expected, found: issuer() }));
}

#[test]
fn a_token_for_another_service_is_refused() {
    let found = Audience::new("https://log.example/").unwrap();
    let expect = TokenError::WrongAudience { expected: audience(), found: found.clone() };
    check(&json!({"aud": found.as_str()}), &expect);
}

#[test]
fn a_token_holds_from_its_first_second_to_before_its_last() {
    let signer = SeedSigner::new(1);
    let token = mint(&signer, &claims()).unwrap();
    let verify_at = |now| key_set().verify(&token, &audience(), at(now)).map(|_| ());
    let from = NOW;
    for now in [NOW - CLOCK_SKEW_SECONDS, NOW, NOW + 599] {
        assert_eq!(verify_at(now), Ok(()), "{now}");
    }
    let early = at(NOW - CLOCK_SKEW_SECONDS - 1);
    assert_eq!(verify_at(early.unix()), Err(TokenError::NotYetValid { from, now: early }));
    let until = NOW + 600;
    assert_eq!(verify_at(until), Err(TokenError::Expired { until, now: at(until) }));
    // The clock of this machine is not asked.
    assert_eq!(verify_at(NOW + 100_000_000), Err(TokenError::Expired { until, now: at(NOW + 100_000_000) }));
    let nbf = NOW + CLOCK_SKEW_SECONDS + 1;
    check(&json!({"nbf": nbf}), &TokenError::NotYetValid { from: nbf, now: at(NOW) });
    let accepted = signer.token(&signer.header(), &wire_with(&json!({"nbf": NOW})));
    assert!(verify(&accepted).is_ok());
}

#[test]
fn a_token_that_lives_longer_than_a_day_is_refused() {
    let signer = SeedSigner::new(1);
    let day = signer.token(&signer.header(), &wire_with(&json!({"exp": NOW + 86_400})));
    assert!(verify(&day).is_ok());
    check(&json!({"exp": NOW + 86_401}), &TokenError::LifetimeTooLong { found: 86_401 });
}

#[test]
fn a_key_set_reads_back() {
    let bytes = key_set().write();
    assert_eq!(KeySet::parse(&bytes).unwrap(), key_set());
    assert!(KeySet::parse(br#"{"keys":[]}"#).is_ok());
}

#[test]
fn a_key_set_that_is_not_one_is_refused_by_name() {
    let (one, two) = (SeedSigner::new(1).public(), SeedSigner::new(2).public());
    let entry = |key: &PublicKey| {
        json!({"issuer": "https://i.example", "key_id": key.key_id().to_string(),
               "algorithm": "ed25519", "public_key": hex::encode(key.bytes())})
    };
    let parse = |keys: Vec<Value>| KeySet::parse(&serde_json::to_vec(&json!({ "keys": keys })).unwrap());
    assert!(parse(vec![entry(&one)]).is_ok());
    let with = |name: &str, value: Value| {
        let mut changed = entry(&one);
        changed[name] = value;
        parse(vec![changed]).unwrap_err()
    };
    assert!(matches!(with("public_key", json!("ZZ")), KeySetError::Hex { .. }));
    assert!(matches!(with("public_key", json!(hex::encode_upper(one.bytes()))), KeySetError::Hex { .. }));
    assert!(matches!(with("public_key", json!("00")), KeySetError::Key { .. }));
    assert!(matches!(with("key_id", json!(two.key_id().to_string())), KeySetError::KeyId { .. }));
    assert!(matches!(with("issuer", json!("two words")), KeySetError::Json(_)));
    assert!(matches!(with("use", json!("sig")), KeySetError::Json(_)));
    assert!(matches!(with("algorithm", json!("rsa")), KeySetError::Json(_)));
    assert!(matches!(parse(vec![entry(&one), entry(&one)]), Err(KeySetError::Order)));
    let mut falling = [&one, &two];
    falling.sort_by_key(|key| std::cmp::Reverse(key.key_id()));
    assert!(matches!(parse(falling.map(entry).to_vec()), Err(KeySetError::Order)));
    let session = PublicKey::new(countermark_bundle::KeyAlgorithm::X25519, &[9; 32]).unwrap();
    let mut agrees = entry(&session);
    agrees["algorithm"] = json!("x25519");
    assert!(matches!(parse(vec![agrees]), Err(KeySetError::Algorithm { .. })));
    let large = vec![b' '; KEY_SET_BYTES_MAX + 1];
    assert!(matches!(KeySet::parse(&large), Err(KeySetError::Json(_))));
}

#[test]
fn parties_have_one_form() {
    for bad in ["", " ", "a b", "a\n", "ä", &"x".repeat(256)] {
        assert_eq!(Issuer::new(bad), Err(PartyError));
        assert_eq!(Audience::new(bad), Err(PartyError));
    }
    assert!(Issuer::new(&"x".repeat(255)).is_ok());
}
