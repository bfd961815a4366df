use std::fs;

use countermark_keys::Role;
use countermark_signer_policy::access_token::{Issuer, TokenKey};

use super::*;
use crate::testing::{NOW, TestSigner};

fn key_set(seed: u8) -> Vec<u8> {
    let key = TestSigner::new(Role::TokenIssuer, seed).public().clone();
    KeySet::new(vec![TokenKey { issuer: Issuer::new("issuer").unwrap(), key }]).unwrap().write()
}

fn audience() -> Audience {
    Audience::new("log.example").unwrap()
}

#[tokio::test]
async fn a_file_that_is_no_key_set_opens_no_gate_and_the_error_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let missing = TokenGate::open(&path, audience()).await.unwrap_err();
    assert!(matches!(missing, TokenKeysError::Read { .. }), "{missing}");
    assert!(missing.to_string().contains("keys.json"), "{missing}");
    fs::write(&path, "{}").unwrap();
    let malformed = TokenGate::open(&path, audience()).await.unwrap_err();
    assert!(matches!(malformed, TokenKeysError::KeySet { .. }), "{malformed}");
    fs::write(&path, vec![b' '; KEY_SET_BYTES_MAX + 1]).unwrap();
    let large = TokenGate::open(&path, audience()).await.unwrap_err();
    assert!(large.to_string().contains("more than"), "{large}");
}

#[tokio::test]
async fn keys_are_kept_while_the_file_is_the_same_and_read_again_when_it_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    fs::write(&path, key_set(1)).unwrap();
    let gate = TokenGate::open(&path, audience()).await.unwrap();
    let first = gate.keys().await.unwrap();
    assert!(Arc::ptr_eq(&first, &gate.keys().await.unwrap()));
    // The same length, and within the same tick of the clock: another file under the name is seen all the same.
    let beside = folder.path().join("beside.json");
    fs::write(&beside, key_set(2)).unwrap();
    fs::rename(&beside, &path).unwrap();
    tokio::time::sleep(LOOK_EVERY).await;
    let second = gate.keys().await.unwrap();
    assert_ne!(first, second);
    assert!(Arc::ptr_eq(&second, &gate.keys().await.unwrap()));
}

#[test]
fn a_token_is_one_word_behind_one_scheme() {
    let check = |headers: &[&str], expect: Option<&str>| {
        let headers: Vec<&[u8]> = headers.iter().map(|header| header.as_bytes()).collect();
        assert_eq!(bearer(&headers).ok(), expect, "{headers:?}");
    };
    check(&["Bearer abc"], Some("abc"));
    check(&["bEARER abc"], Some("abc"));
    check(&[], None);
    check(&["Bearer"], None);
    check(&["Bearer "], None);
    check(&["abc"], None);
    check(&["Basic abc"], None);
    check(&["Bearer abc", "Bearer abc"], None);
    assert!(matches!(bearer(&[b"Bearer \xff"]), Err(AuthRefusal::Header)));
}

#[test]
fn a_refusal_prints_no_token() {
    let headers: [&[u8]; 1] = [b"Digest top-secret"];
    let refusal = bearer(&headers).unwrap_err();
    assert!(!format!("{refusal} {refusal:?}").contains("top-secret"));
}

/// A gate for tokens of one issuer, and one of them.
async fn gate(folder: &tempfile::TempDir, role: Role) -> (TokenGate, String) {
    let path = folder.path().join("keys.json");
    let bearer = issue(&path, &TestSigner::new(role, 60), "backup");
    (TokenGate::open(&path, audience()).await.unwrap(), bearer)
}

async fn authorize(gate: &TokenGate, bearer: &str, now: u64) -> Result<Arc<AccessClaims>, AuthRefusal> {
    let namespace = Namespace::parse("backup").unwrap();
    gate.authorize(&[bearer.as_bytes()], &namespace, Scope::Entries, Timestamp::from_unix(now).unwrap()).await
}

/// The same token with another last but one digit of its signature.
fn forged(bearer: &str) -> String {
    let (signed, signature) = bearer.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    format!("{signed}.{other}{}", &signature[1..])
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_forged_tokens_is_bounded_and_stops_nobody_who_was_accepted_before() {
    for role in Role::TOKEN_ISSUERS {
        let folder = tempfile::tempdir().unwrap();
        let (gate, known) = gate(&folder, role).await;
        assert!(authorize(&gate, &known, NOW).await.is_ok());
        let forged = forged(&known);
        for _ in 1..VERIFICATIONS_PER_SECOND_MAX {
            let refused = authorize(&gate, &forged, NOW).await;
            assert!(matches!(refused, Err(AuthRefusal::Token(TokenError::BadSignature))), "{refused:?}");
        }
        let refused = authorize(&gate, &forged, NOW).await;
        let each = Duration::from_secs(1) / VERIFICATIONS_PER_SECOND_MAX;
        assert!(matches!(refused, Err(AuthRefusal::TooMany { retry_after }) if retry_after == each), "{refused:?}");
        assert!(authorize(&gate, &known, NOW).await.is_ok());
        tokio::time::advance(each).await;
        assert!(matches!(authorize(&gate, &forged, NOW).await, Err(AuthRefusal::Token(TokenError::BadSignature))));
    }
}

#[tokio::test(start_paused = true)]
async fn what_costs_no_verification_uses_none_up() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, known) = gate(&folder, Role::TokenIssuer).await;
    let stranger = issue(&folder.path().join("other.json"), &TestSigner::new(Role::TokenIssuer, 61), "backup");
    for _ in 0..VERIFICATIONS_PER_SECOND_MAX {
        let unknown = authorize(&gate, &stranger, NOW).await;
        assert!(matches!(unknown, Err(AuthRefusal::Token(TokenError::UnknownKey { .. }))), "{unknown:?}");
        let long = format!("Bearer {}", "a.".repeat(TOKEN_BYTES_MAX));
        let malformed = authorize(&gate, &long, NOW).await;
        assert!(matches!(malformed, Err(AuthRefusal::Token(TokenError::Malformed { .. }))), "{malformed:?}");
    }
    assert!(authorize(&gate, &known, NOW).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_accepted_expires_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, bearer) = gate(&folder, Role::TokenIssuerP384).await;
    assert!(authorize(&gate, &bearer, NOW).await.is_ok());
    let expired = authorize(&gate, &bearer, NOW + 3_600).await;
    assert!(matches!(expired, Err(AuthRefusal::Token(TokenError::Expired { .. }))), "{expired:?}");
    let early = authorize(&gate, &bearer, NOW - 3_600).await;
    assert!(matches!(early, Err(AuthRefusal::Token(TokenError::NotYetValid { .. }))), "{early:?}");
}

#[tokio::test]
async fn accepted_tokens_are_remembered_up_to_a_bound_and_those_that_expired_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, bearer) = gate(&folder, Role::TokenIssuer).await;
    let keys = gate.keys().await.unwrap();
    let token = Arc::new(keys.find_key(bearer.strip_prefix("Bearer ").unwrap()).unwrap().verify(&audience()).unwrap());
    let number = |number: usize| Digest::of(&number.to_be_bytes());
    let mut loaded = gate.loaded();
    let (now, later) = [NOW, NOW + 3_600].map(|now| Timestamp::from_unix(now).unwrap()).into();
    for one in 0..ACCEPTED_MAX {
        loaded.remember(number(one), &token, now);
    }
    assert_eq!(loaded.accepted.len(), ACCEPTED_MAX);
    loaded.remember(number(ACCEPTED_MAX), &token, now);
    assert_eq!(loaded.accepted.len(), 1, "none had expired");
    for one in 1..ACCEPTED_MAX {
        loaded.remember(number(one), &token, now);
    }
    loaded.remember(number(0), &token, later);
    assert_eq!(loaded.accepted.len(), 1, "all had expired");
}

/// Writes a key set with one issuer, and gives the authorization of a token that it made for a namespace of the house.
pub(crate) fn issue(path: &Path, issuer: &TestSigner, namespace: &str) -> String {
    use countermark_signer_policy::access_token::{Claims, mint};

    use crate::testing::world::{at, name};

    let by = Issuer::new("https://issuer.example").unwrap();
    let key = TokenKey { issuer: by.clone(), key: issuer.public().clone() };
    fs::write(path, KeySet::new(vec![key]).unwrap().write()).unwrap();
    let claims = Claims {
        issuer: by,
        subject: name("operator"),
        audience: audience(),
        issued_at: at(NOW),
        expires_at: at(NOW + 3_600),
        token_id: None,
        namespaces: [Namespace::parse(namespace).unwrap()].into(),
        scopes: Scope::ALL.into(),
    };
    format!("Bearer {}", mint(issuer, &claims).unwrap())
}
