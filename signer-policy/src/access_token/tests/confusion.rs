//! Algorithm confusion: every way in which a header could talk a verifier out of the algorithm of its key.

use std::io::Write as _;
use std::process::{Command, Stdio};

use jsonwebtoken::{EncodingKey, Header as ForeignHeader};

use super::*;

/// The two keys of the key set that the tokens' issuer has, one of each algorithm.
fn both() -> [SeedSigner; 2] {
    [SeedSigner::new(1), SeedSigner::p384(4)]
}

fn expected(signer: &SeedSigner) -> &'static str {
    alg(signer.public.algorithm())
}

fn header_with(signer: &SeedSigner, found: &Value) -> Value {
    let mut header = signer.header();
    header["alg"] = found.clone();
    header
}

fn wrong(signer: &SeedSigner, found: &str) -> Result<AccessClaims, TokenError> {
    Err(TokenError::WrongAlgorithm { expected: expected(signer), found: found.to_owned() })
}

#[test]
fn the_header_cannot_choose_the_algorithm() {
    const NAMES: [&str; 20] = [
        "none", "None", "nOnE", "NONE", "HS256", "HS384", "HS512", "RS256", "RS384", "PS384", "ES256", "ES384",
        "ES512", "ES256K", "EdDSA", "Ed25519", "eddsa", "es384", "EdDSA ", "",
    ];
    for signer in both() {
        for found in NAMES.into_iter().filter(|found| *found != expected(&signer)) {
            let token = signer.token(&header_with(&signer, &json!(found)), &wire_claims());
            assert_eq!(verify(&token), wrong(&signer, found), "{found:?} under {}", expected(&signer));
            let (unsigned, _) = token.rsplit_once('.').unwrap();
            assert_eq!(verify(&format!("{unsigned}.")), wrong(&signer, found), "{found:?} without a signature");
        }
    }
}

#[test]
fn an_alg_that_is_not_one_name_is_malformed() {
    let malformed = Err(TokenError::Malformed { part: "header" });
    for signer in both() {
        for found in [json!(["EdDSA", "ES384"]), json!([]), json!(null), json!(-8), json!(-35), json!({"alg": "EdDSA"})]
        {
            let token = signer.token(&header_with(&signer, &found), &wire_claims());
            assert_eq!(verify(&token), malformed, "{found}");
        }
        let mut without = signer.header();
        without.as_object_mut().unwrap().remove("alg");
        assert_eq!(verify(&signer.token(&without, &wire_claims())), malformed);
        // Two members of one name: a reader that takes the first and one that takes the last would see two headers.
        let (kid, good) = (signer.public.key_id(), expected(&signer));
        for twice in [
            format!(r#"{{"alg":"none","alg":"{good}","typ":"at+jwt","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"{good}","alg":"none","typ":"at+jwt","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"{good}","typ":"at+jwt","kid":"{kid}","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"{good}","typ":"JWT","typ":"at+jwt","kid":"{kid}"}}"#),
        ] {
            let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(&twice), encode(&wire_claims()));
            let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signer.signature(input.as_bytes())));
            assert_eq!(verify(&token), malformed, "{twice}");
        }
    }
}

#[test]
fn a_header_brings_no_key_along() {
    for signer in both() {
        for (name, value) in [
            ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"})),
            ("jku", json!("https://attacker.example/keys")),
            ("x5u", json!("https://attacker.example/chain")),
            ("x5c", json!(["MIIB"])),
            ("x5t", json!("AAAA")),
            ("crit", json!(["exp"])),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("cty", json!("JWT")),
            ("enc", json!("A256GCM")),
        ] {
            let mut header = signer.header();
            header[name] = value;
            let refused = verify(&signer.token(&header, &wire_claims()));
            assert_eq!(refused, Err(TokenError::Malformed { part: "header" }), "{name}");
        }
    }
}

#[test]
fn a_signature_of_the_other_algorithm_is_none() {
    let [ed, p384] = both();
    for (named, signer) in [(&ed, &p384), (&p384, &ed)] {
        // The header tells the truth about the signature, and names the key of the other algorithm.
        let mut header = signer.header();
        header["kid"] = named.header()["kid"].clone();
        assert_eq!(verify(&signer.token(&header, &wire_claims())), wrong(named, expected(signer)));
        // The header agrees with the key, and the signature is the other's.
        let lying = signer.token(&named.header(), &wire_claims());
        assert_eq!(verify(&lying), Err(TokenError::BadSignature));
    }
}

#[test]
fn a_mac_keyed_with_the_public_key_is_refused() {
    for signer in both() {
        let bytes = signer.public.bytes();
        let secrets = [bytes.to_vec(), hex::encode(bytes).into_bytes(), URL_SAFE_NO_PAD.encode(bytes).into_bytes()];
        for (algorithm, name) in [
            (jsonwebtoken::Algorithm::HS256, "HS256"),
            (jsonwebtoken::Algorithm::HS384, "HS384"),
            (jsonwebtoken::Algorithm::HS512, "HS512"),
        ] {
            let mut header = ForeignHeader::new(algorithm);
            header.typ = Some(TOKEN_TYPE.to_owned());
            header.kid = Some(signer.public.key_id().to_string());
            for secret in &secrets {
                let key = EncodingKey::from_secret(secret);
                let token = jsonwebtoken::encode(&header, &wire_claims(), &key).unwrap();
                assert_eq!(verify(&token), wrong(&signer, name));
                // The same MAC under a header that says what the key wants.
                let (_, rest) = token.split_once('.').unwrap();
                let relabelled = format!("{}.{rest}", encode(&signer.header()));
                assert_eq!(verify(&relabelled), Err(TokenError::BadSignature));
            }
        }
    }
}

#[test]
fn a_p384_signature_has_96_bytes_and_is_not_zero() {
    let signer = SeedSigner::p384(4);
    let input = format!("{}.{}", encode(&signer.header()), encode(&wire_claims()));
    let with = |signature: &[u8]| verify(&format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)));
    let good = signer.signature(input.as_bytes());
    assert!(with(&good).is_ok());
    let der = ecdsa::Signature::from_slice(&good).unwrap().to_der();
    for bad in [&[][..], &good[..95], &[&good[..], &[0]].concat(), &[0; 96], &[0xff; 96], &good[..48], der.as_bytes()] {
        assert_eq!(with(bad), Err(TokenError::BadSignature), "{}", hex::encode(bad));
    }
}

/// Both are accepted, so a token's text names nothing: two texts can be one token.
#[test]
fn the_other_s_of_a_p384_signature_is_accepted_and_says_the_same() {
    let signer = SeedSigner::p384(4);
    let input = format!("{}.{}", encode(&signer.header()), encode(&wire_claims()));
    let one = ecdsa::Signature::from_slice(&signer.signature(input.as_bytes())).unwrap();
    let (r, s) = one.split_scalars();
    let other = ecdsa::Signature::from_scalars(r, -s).unwrap();
    let with = |signature: &ecdsa::Signature| {
        verify(&format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))).unwrap()
    };
    assert_ne!(one, other);
    assert_eq!(with(&one), with(&other));
}

/// A P-384 key and signature that OpenSSL made: another implementation's idea of both.
#[test]
fn a_token_that_openssl_signed_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    let openssl = |arguments: &[&str], input: &[u8]| {
        let mut child = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let file = key.to_str().unwrap();
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", file], &[]);
    let spki = openssl(&["pkey", "-in", file, "-pubout", "-outform", "DER"], &[]);
    let point = &spki[spki.len() - 97..];
    let public = PublicKey::new(KeyAlgorithm::EcdsaP384, point).unwrap();
    let header = json!({"alg": "ES384", "typ": "at+jwt", "kid": public.key_id().to_string()});
    let input = format!("{}.{}", encode(&header), encode(&wire_claims()));
    let der = openssl(&["dgst", "-sha384", "-sign", file], input.as_bytes());
    let signature = ecdsa::Signature::from_der(&der).unwrap();
    let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()));
    let keys = KeySet::new(vec![TokenKey { issuer: issuer(), key: public }]).unwrap();
    assert_eq!(keys.verify(&token, &audience(), at(NOW)).unwrap().subject.as_str(), "release-robot");
}
