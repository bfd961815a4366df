use std::fs;

use countermark_keys::Role;
use countermark_signer_policy::access_token::{Issuer, TokenKey};

use super::*;
use crate::testing::TestSigner;

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

/// Writes a key set with one issuer, and gives the authorization of a token that it made for a namespace of the house.
pub(crate) fn issue(path: &Path, issuer: &TestSigner, namespace: &str) -> String {
    use countermark_signer_policy::access_token::{Claims, mint};

    use crate::testing::NOW;
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
