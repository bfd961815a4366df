//! A witness whose key is in a PKCS#11 token: the same witness, configured the same way.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use countermark_keys::{KeyFile, NewTokenKey, OpenError, PinSource, Role};
use countermark_tlog::note::VerifierKey;
use countermark_witness::{InitError, KeyError, init};

use crate::log::TestLog;
use crate::support::{self, Home, Running};

#[macro_use]
#[path = "../../../src/keys/src/pkcs11/tests/softhsm.rs"]
mod softhsm;

use softhsm::{PIN, SoftHsm};

/// How long a token that came back may take to be found.
const DEADLINE: Duration = Duration::from_mins(1);

/// Makes the witness's key in the token, and the reference to it.
fn create_key(home: &Home) {
    let asked = NewTokenKey {
        role: Role::Witness,
        module: SoftHsm::library(),
        token_label: Some("token-1"),
        token_serial: None,
        key_label: "cosign-1",
        pin: PinSource::PassphraseFile,
    };
    let pin_file = home.path("witness.passphrase");
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&pin_file)
        .unwrap()
        .write_all(PIN.as_bytes())
        .unwrap();
    KeyFile::create_in_token(&home.path("witness.key"), &asked, &pin_file).unwrap();
}

async fn serve_through_a_loss(hsm: &SoftHsm) {
    let log = TestLog::new("log.example/a");
    let home = Home::new(&[&log]);
    create_key(&home);
    let named = init(&home.config()).await.unwrap();
    let key = VerifierKey::parse(&named[0]).unwrap();
    let signer = KeyFile::open_signer(&home.path("witness.key"), Role::Witness, &home.path("witness.passphrase"));
    assert_eq!(key.key_bytes(), signer.unwrap().public_key());
    let running = Running::start(home.config()).await;
    let answer = running.post(log.request(0, 5)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    support::verify_cosignature(&answer.body, &key, &log.text(5));
    // The token is gone: nothing is cosigned, and nothing is lost.
    let gone = hsm.at("gone");
    fs::rename(hsm.tokens(), &gone).unwrap();
    let refused = running.post(log.request(5, 7)).await;
    assert!(refused.status >= 500, "{}", refused.status);
    fs::rename(&gone, hsm.tokens()).unwrap();
    let begun = Instant::now();
    let answer = loop {
        let answer = running.post(log.request(5, 7)).await;
        if answer.status == 200 {
            break answer;
        }
        assert!(begun.elapsed() < DEADLINE, "{} {}", answer.status, answer.body);
    };
    support::verify_cosignature(&answer.body, &key, &log.text(7));
    running.stop().await.unwrap();
}

#[test]
fn a_witness_cosigns_with_a_key_in_a_token_and_goes_on_when_the_token_is_back() {
    with_softhsm!(|hsm| tokio::runtime::Runtime::new().unwrap().block_on(serve_through_a_loss(hsm)));
}

async fn init_without_its_pin() {
    let home = Home::new(&[]);
    create_key(&home);
    fs::remove_file(home.path("witness.passphrase")).unwrap();
    let error = init(&home.config()).await.unwrap_err();
    assert!(matches!(error, InitError::Key(KeyError::Open(OpenError::Pin { .. }))), "{error:?}");
    assert!(!home.path("witness.passphrase").exists());
}

#[test]
fn no_passphrase_is_made_for_a_token_that_takes_a_pin() {
    with_softhsm!(|_hsm| tokio::runtime::Runtime::new().unwrap().block_on(init_without_its_pin()));
}
