//! Who may submit: every way in which a token does not count.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countermark_bundle::identity::Namespace;
use countermark_keys::Role;
use countermark_signer_policy::access_token::{self, Audience, Claims, Issuer, Scope};
use serde_json::{Value, json};

use super::Bench;
use super::bench::{ISSUER, claims, write_keys};
use crate::testing::world::at;
use crate::testing::{NOW, TestSigner};

type Change = Box<dyn Fn(&mut Claims)>;

const PATH: &str = "/v1/backup/entries";

/// A JWS of the bench's issuer with any header and claims.
fn forge(bench: &Bench, header: &Value, claims: &Value) -> String {
    let input =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = bench.issuer.make_signature(input.as_bytes());
    format!("Bearer {input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn parts(bearer: &str) -> (Value, Value) {
    let token = bearer.strip_prefix("Bearer ").unwrap();
    let parse = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let mut parts = token.split('.');
    (parse(parts.next().unwrap()), parse(parts.next().unwrap()))
}

async fn refused(bench: &Bench, authorization: &[&str], status: u16, name: &str) {
    let answer = bench.post(PATH, authorization, bench.world.evidence(1).write()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (status, name), "{authorization:?}");
    let challenge = answer.header("www-authenticate");
    match (status, name) {
        (401, "token-missing") => assert_eq!(challenge, "Bearer realm=\"countermark\""),
        (401, _) => assert_eq!(challenge, "Bearer realm=\"countermark\", error=\"invalid_token\""),
        (403, "submissions-closed") => assert_eq!(challenge, ""),
        (403, _) => assert_eq!(challenge, "Bearer realm=\"countermark\", error=\"insufficient_scope\""),
        (_, _) => assert_eq!(challenge, ""),
    }
    for secret in authorization.iter().filter_map(|value| value.rsplit(['.', ' ']).next()).filter(|s| s.len() > 8) {
        assert!(!String::from_utf8_lossy(&answer.body).contains(secret), "an answer repeats no token");
    }
}

#[tokio::test]
async fn a_token_that_allows_it_is_accepted_in_any_case_of_its_scheme() {
    let bench = Bench::new().await;
    let bearer = bench.bearer();
    let body = bench.world.evidence(1).write();
    assert_eq!(bench.post(PATH, &[&bearer], body.clone()).await.status, 200);
    let lower = bearer.replacen("Bearer", "bearer", 1);
    assert_eq!(bench.post(PATH, &[&lower], body).await.status, 200);
}

#[tokio::test]
async fn what_is_not_one_bearer_token_is_refused() {
    let bench = Bench::new().await;
    let good = bench.bearer();
    refused(&bench, &[], 401, "token-missing").await;
    for malformed in ["Bearer", "Bearer ", "Basic b3BlcmF0b3I6c2VjcmV0", "Bearer abc", "Bearer a.b", "Bearer a.b.c.d"] {
        refused(&bench, &[malformed], 401, "token-malformed").await;
    }
    refused(&bench, &[&good, &good], 401, "token-malformed").await;
    refused(&bench, &[&format!("Bearer  {}", &good[7..])], 401, "token-malformed").await;
    refused(&bench, &[&format!("{good} ")], 401, "token-malformed").await;
}

#[tokio::test]
async fn a_token_of_another_time_or_party_is_refused() {
    let bench = Bench::new().await;
    let cases: [(&str, Change); 6] = [
        ("token-issuer", Box::new(|claims| claims.issuer = Issuer::new("https://other.example").unwrap())),
        ("token-audience", Box::new(|claims| claims.audience = Audience::new("other.example").unwrap())),
        (
            "token-expired",
            Box::new(|claims| {
                claims.issued_at = at(NOW - 3_600);
                claims.expires_at = at(NOW);
            }),
        ),
        (
            "token-not-yet-valid",
            Box::new(|claims| {
                claims.issued_at = at(NOW + 3_600);
                claims.expires_at = at(NOW + 7_200);
            }),
        ),
        (
            "wrong-namespace",
            Box::new(|claims| claims.namespaces = BTreeSet::from([Namespace::parse("other").unwrap()])),
        ),
        ("missing-scope", Box::new(|claims| claims.scopes = BTreeSet::from([Scope::Statements]))),
    ];
    for (name, change) in cases {
        let status = if name.starts_with("token") { 401 } else { 403 };
        refused(&bench, &[&bench.bearer_with(change)], status, name).await;
    }
    let entries_only = bench.bearer_with(|claims| claims.scopes = BTreeSet::from([Scope::Entries]));
    let answer = bench.post("/v1/backup/statements", &[&entries_only], "{}").await;
    assert_eq!(answer.problem(), "missing-scope");
}

#[tokio::test]
async fn a_token_under_another_algorithm_key_or_signature_is_refused() {
    let bench = Bench::new().await;
    let (header, body) = parts(&bench.bearer());
    let with = |field: &str, value: Value| {
        let mut changed = header.clone();
        changed[field] = value;
        changed
    };
    for alg in ["none", "HS256", "ES384", "eddsa"] {
        refused(&bench, &[&forge(&bench, &with("alg", json!(alg)), &body)], 401, "token-algorithm").await;
    }
    let unsigned = forge(&bench, &with("alg", json!("none")), &body);
    let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
    refused(&bench, &[&unsigned], 401, "token-algorithm").await;
    refused(&bench, &[&forge(&bench, &with("typ", json!("JWT")), &body)], 401, "token-type").await;
    refused(&bench, &[&forge(&bench, &with("jwk", json!({})), &body)], 401, "token-malformed").await;
    let unknown = hex::encode([9; 32]);
    refused(&bench, &[&forge(&bench, &with("kid", json!(unknown)), &body)], 401, "token-key-unknown").await;
    let stranger = TestSigner::new(Role::TokenIssuer, 32);
    let strangers = format!("Bearer {}", access_token::mint(&stranger, &claims()).unwrap());
    refused(&bench, &[&strangers], 401, "token-key-unknown").await;
    let mut longer = body.clone();
    longer["exp"] = json!(NOW + 90_000);
    refused(&bench, &[&forge(&bench, &header, &longer)], 401, "token-lifetime").await;
    let mut unknown_claim = body.clone();
    unknown_claim["cnf"] = json!({});
    refused(&bench, &[&forge(&bench, &header, &unknown_claim)], 401, "token-malformed").await;
    let good = bench.bearer();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    refused(&bench, &[&format!("{signed}.{other}{}", &signature[1..])], 401, "token-signature").await;
}

#[tokio::test]
async fn a_p384_key_and_an_ed25519_key_stand_side_by_side_and_are_not_confused() {
    let bench = Bench::new().await;
    let p384 = TestSigner::new(Role::TokenIssuerP384, 34);
    write_keys(&bench.token_file, &[(ISSUER, &bench.issuer), (ISSUER, &p384)]);
    bench.look_again().await;
    let good = format!("Bearer {}", access_token::mint(&p384, &claims()).unwrap());
    let body = bench.world.evidence(1).write();
    assert_eq!(bench.post(PATH, &[&good], body.clone()).await.status, 200);
    assert_eq!(bench.post(PATH, &[&bench.bearer()], body).await.status, 200);
    let (header, claims) = parts(&good);
    assert_eq!(header["alg"], "ES384");
    // Signed by the Ed25519 key.
    refused(&bench, &[&forge(&bench, &header, &claims)], 401, "token-signature").await;
    let mut eddsa = header.clone();
    eddsa["alg"] = json!("EdDSA");
    refused(&bench, &[&forge(&bench, &eddsa, &claims)], 401, "token-algorithm").await;
    let (signed, _) = good.rsplit_once('.').unwrap();
    refused(&bench, &[&format!("{signed}.")], 401, "token-signature").await;
}

#[tokio::test]
async fn an_approval_is_not_a_token() {
    let bench = Bench::new().await;
    let approvals = bench.world.approvals(&bench.world.statement(1, None));
    refused(&bench, &[&format!("Bearer {}", approvals[0])], 401, "approval-as-token").await;
}

#[tokio::test]
async fn keys_are_read_again_when_the_file_changes_and_nobody_passes_while_it_is_unreadable() {
    let bench = Bench::new().await;
    let (old, body) = (bench.bearer(), bench.world.evidence(1).write());
    assert_eq!(bench.post(PATH, &[&old], body.clone()).await.status, 200);
    let successor = TestSigner::new(Role::TokenIssuer, 33);
    write_keys(&bench.token_file, &[(ISSUER, &bench.issuer), (ISSUER, &successor)]);
    bench.look_again().await;
    let new = format!("Bearer {}", access_token::mint(&successor, &claims()).unwrap());
    assert_eq!(bench.post(PATH, &[&new], body.clone()).await.status, 200);
    write_keys(&bench.token_file, &[(ISSUER, &successor)]);
    bench.look_again().await;
    refused(&bench, &[&old], 401, "token-key-unknown").await;
    assert_eq!(bench.post(PATH, &[&new], body.clone()).await.status, 200);

    std::fs::write(&bench.token_file, "{\"keys\":[").unwrap();
    bench.look_again().await;
    let answer = bench.post(PATH, &[&new], body.clone()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "token-keys-unreadable"));
    let detail = answer.problem_document()["detail"].as_str().unwrap().to_owned();
    assert!(!detail.contains(bench.token_file.to_str().unwrap()), "{detail}");
    std::fs::remove_file(&bench.token_file).unwrap();
    bench.look_again().await;
    refused(&bench, &[&new], 503, "token-keys-unreadable").await;
    write_keys(&bench.token_file, &[(ISSUER, &successor)]);
    bench.look_again().await;
    assert_eq!(bench.post(PATH, &[&new], body).await.status, 200);
}

#[tokio::test]
async fn a_server_without_token_keys_takes_nothing() {
    let bench = Bench::new().await;
    let bearer = bench.bearer();
    let bench = bench.closed();
    refused(&bench, &[&bearer], 403, "submissions-closed").await;
    refused(&bench, &[], 403, "submissions-closed").await;
}

#[tokio::test]
async fn an_unknown_namespace_is_told_before_any_token_is_looked_at() {
    let bench = Bench::new().await;
    let answer = bench.post("/v1/other/entries", &[], "").await;
    assert_eq!(answer.problem(), "unknown-namespace");
}
