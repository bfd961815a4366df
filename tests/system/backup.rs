//! A backup key at the fleet that `up` started: what a phone, a thief of its disk and a relay get to see of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use countermark_bundle::identity::Timestamp;
use countermark_bundle::statement::KeyRole;
use countermark_bundle::trust::TrustFile;
use countermark_bundle::verify::verify;
use countermark_keys::{KeyFile, Role};
use countermark_vault_core::account::AccountId;
use countermark_vault_core::device::{DeviceFault, RandomSource};
use countermark_vault_core::noise::{SessionContext, client::Opening};
use countermark_vault_core::opaque::{Hardness, NormalisedPassword};
use countermark_vault_core::session::client::{ClientSession, steps};
use countermark_vault_core::session::message::{Answer, Request};
use serde_json::Value;

use crate::support::{Home, countermark, ends_with, json, request, text};

const PASSWORD: &str = "a password that stands nowhere else";
const ISSUER: &str = "accounts.localhost";

/// A phone with nothing but a trust file, an account token and the key that the token is bound to.
struct Phone<'a> {
    home: &'a Home,
    folder: PathBuf,
    subject: String,
}

impl<'a> Phone<'a> {
    fn new(home: &'a Home, name: &str, subject: &str) -> Self {
        let folder = home.path(name);
        fs::create_dir(&folder).unwrap();
        fs::copy(home.trust("client"), folder.join("trust.json")).unwrap();
        let phone = Self { home, folder, subject: subject.to_string() };
        let key = json(&[
            "keys",
            "new",
            "--role",
            "account-proof",
            "--key-file",
            &phone.file("proof.key"),
            "--passphrase-file",
            &phone.file("passphrase"),
        ]);
        let accounts = home.data().join("accounts");
        let issuer = |name: &str| accounts.join(name).to_str().unwrap().to_string();
        ends_with(
            0,
            &[
                "token",
                "account",
                "--key-file",
                &issuer("account-issuer.key"),
                "--passphrase-file",
                &issuer("passphrase"),
                "--issuer",
                ISSUER,
                "--subject",
                subject,
                "--origin",
                "countermark.localhost/backup",
                "--fleet",
                "fleet-1",
                "--proof-public-key",
                key["public_key"].as_str().unwrap(),
                "--out",
                &phone.file("token"),
            ],
        );
        phone
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_string()
    }

    fn arguments(&self, verb: &str, password: &str, more: &[&str]) -> Vec<String> {
        fs::write(self.folder.join("typed"), password).unwrap();
        let mut arguments: Vec<String> = ["backup", verb].map(ToString::to_string).into();
        for number in 0..3 {
            arguments.extend(["--member".to_string(), self.home.member_url(number)]);
        }
        for (flag, name) in [
            ("--trust", "trust.json"),
            ("--floor", "floor.json"),
            ("--account-token", "token"),
            ("--proof-key-file", "proof.key"),
            ("--passphrase-file", "passphrase"),
            ("--password-file", "typed"),
        ] {
            arguments.extend([flag.to_string(), self.file(name)]);
        }
        arguments.extend(more.iter().map(ToString::to_string));
        arguments
    }

    fn ends_with(&self, code: i32, verb: &str, password: &str, more: &[&str]) -> String {
        let arguments = self.arguments(verb, password, more);
        let said = ends_with(code, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        fs::remove_file(self.folder.join("typed")).unwrap();
        said
    }

    fn json(&self, verb: &str, password: &str, more: &[&str]) -> Value {
        let arguments = self.arguments(verb, password, more);
        let answer = json(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        fs::remove_file(self.folder.join("typed")).unwrap();
        answer
    }
}

struct SystemRandom;

impl RandomSource for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), DeviceFault> {
        getrandom::fill(bytes).map_err(|_| DeviceFault { part: "randomness" })
    }
}

/// The backup key itself, taken out of a session of our own: no verb gives it.
fn recovered_key(phone: &Phone<'_>) -> [u8; 32] {
    let rng = &mut SystemRandom;
    let bytes = request(&phone.home.member_url(0), "GET", "/v1/backup/bundles/newest", &[]);
    let trust = TrustFile::parse(&fs::read(phone.file("trust.json")).unwrap()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let now = Timestamp::from_unix(now).unwrap();
    let unstored = verify(&bytes, None, &trust, &trust.initial_floor(), now).unwrap();
    let bundle = unstored.store(|_| Ok::<_, std::convert::Infallible>(())).unwrap();
    let statement = bundle.statement();
    let fleet = &statement.statement().fleets[0];
    let member = &fleet.members[0];
    let key = |role| member.keys.iter().find(|key| key.role == role).unwrap().key().unwrap();
    let context = SessionContext {
        origin: statement.statement().origin.clone(),
        statement: statement.digest(),
        fleet_id: fleet.fleet_id.clone(),
        member_id: member.member_id.clone(),
    };
    let session_key: [u8; 32] = key(KeyRole::Session).bytes().try_into().unwrap();
    let (opening, bytes) = Opening::start(context.clone(), &session_key, rng).unwrap();
    let opened = request(&phone.home.member_url(0), "POST", "/v1/sessions", &bytes);
    let (id, channel) = opening.finish(&opened, &key(KeyRole::Identity)).unwrap();
    let mut session = ClientSession::new(context.clone(), channel);
    let path = format!("/v1/sessions/{}", id.to_hex());
    let ask = |session: &mut ClientSession, asked: &Request| -> Answer {
        let frame = session.request(asked).unwrap();
        let answer = request(&phone.home.member_url(0), "POST", &path, &frame);
        session.answer(&answer).unwrap()
    };
    let (key_file, passphrase) = (phone.file("proof.key"), phone.file("passphrase"));
    let proof = KeyFile::open_signer(Path::new(&key_file), Role::AccountProof, Path::new(&passphrase)).unwrap();
    let token = fs::read_to_string(phone.file("token")).unwrap();
    let sign = |message: &[u8]| proof.sign(message).unwrap().try_into().unwrap();
    let authenticate = steps::authenticate(&session, token.trim(), sign).unwrap();
    steps::authenticated(ask(&mut session, &authenticate)).unwrap();
    let terms = steps::Terms::new(&context, AccountId::of(ISSUER, &phone.subject), Hardness::Rfc9106);
    let password = NormalisedPassword::new(PASSWORD.as_bytes().to_vec().into()).unwrap();
    let (guess, asked) = steps::Guess::start(&password, rng).unwrap();
    let answer = ask(&mut session, &asked);
    let steps::Verdict::Right(asked, opened) = guess.evaluated(answer, &password, &terms, rng).unwrap() else {
        panic!("the password is the right one")
    };
    *opened.recovered(ask(&mut session, &asked), &terms).unwrap().key.expose()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Fails if one of the files below a folder contains one of the secrets in a form that a person or a program would write.
fn assert_none_contains(folder: &Path, secrets: &[&[u8]]) {
    let found = files(folder);
    assert!(!found.is_empty());
    for path in found {
        let Ok(content) = fs::read(&path) else { continue };
        for secret in secrets {
            for form in [
                secret.to_vec(),
                hex::encode(secret).into_bytes(),
                hex::encode_upper(secret).into_bytes(),
                STANDARD_NO_PAD.encode(secret).into_bytes(),
                URL_SAFE_NO_PAD.encode(secret).into_bytes(),
            ] {
                let found = content.windows(form.len()).any(|window| window == form);
                assert!(!found, "{} contains a secret", path.display());
            }
        }
    }
}

#[test]
fn a_new_phone_is_given_no_trace_of_key_or_password_and_recovers() {
    let home = Home::new();
    let mut up = home.up();
    assert!(up.says("Try"));
    let first = Phone::new(&home, "first", "grep-user");
    let (plain, sealed) = (home.path("plain"), home.path("sealed.age"));
    fs::write(&plain, b"the backup of this user, which nobody else may read").unwrap();
    let paths = [&plain, &sealed].map(|path| path.to_str().unwrap().to_string());
    let registered = first.json("register", PASSWORD, &["--encrypt", &paths[0], "--out", &paths[1]]);
    assert!(registered["waits_until"].is_null(), "{registered}");

    let second = Phone::new(&home, "second", "grep-user");
    let key = recovered_key(&second);
    let secrets: [&[u8]; 2] = [&key, PASSWORD.as_bytes()];
    // Everything that the new phone is given, and everything that anybody keeps.
    assert_none_contains(&second.folder, &secrets);
    assert_none_contains(&first.folder, &secrets);
    assert_none_contains(&home.data(), &secrets);
    let sealed = fs::read(&paths[1]).unwrap();
    assert!(!sealed.windows(16).any(|window| b"the backup of this user".windows(16).any(|part| part == window)));

    let out = second.file("plain");
    second.ends_with(0, "recover", PASSWORD, &["--decrypt", &paths[1], "--out", &out]);
    assert_eq!(fs::read(&out).unwrap(), fs::read(&plain).unwrap());
    fs::remove_file(&out).unwrap();
    assert_none_contains(&second.folder, &secrets);
    assert_eq!(up.interrupt().0, Some(0));
}

#[test]
fn guesses_are_counted_a_right_one_refills_them_and_the_last_wrong_one_erases_the_record() {
    let home = Home::new();
    let mut up = home.up();
    assert!(up.says("Try"));
    let phone = Phone::new(&home, "phone", "guess-user");
    phone.ends_with(0, "register", PASSWORD, &[]);
    let said = phone.ends_with(20, "recover", "wrong", &[]);
    assert!(said.contains("9 attempts are left"), "{said}");
    assert_eq!(phone.json("recover", PASSWORD, &[])["attempts_left"], 10);
    for left in (1..10).rev() {
        let said = phone.ends_with(20, "recover", "wrong", &[]);
        assert!(said.contains(&format!("{left} attempt")), "{said}");
    }
    phone.ends_with(20, "recover", "wrong", &[]);
    // Gone, for the right password too.
    let said = phone.ends_with(20, "recover", PASSWORD, &[]);
    assert!(said.contains("all attempts were spent"), "{said}");
    assert_eq!(up.interrupt().0, Some(0));
}

#[test]
fn a_password_is_changed_and_a_record_deleted() {
    let home = Home::new();
    let mut up = home.up();
    assert!(up.says("Try"));
    let phone = Phone::new(&home, "phone", "change-user");
    phone.ends_with(0, "register", PASSWORD, &[]);
    let new = phone.file("new-password");
    fs::write(&new, "another one").unwrap();
    phone.ends_with(0, "change-password", PASSWORD, &["--new-password-file", &new]);
    phone.ends_with(20, "recover", PASSWORD, &[]);
    phone.ends_with(0, "recover", "another one", &[]);
    phone.ends_with(0, "delete", "another one", &[]);
    phone.ends_with(20, "recover", "another one", &[]);
    assert_eq!(up.interrupt().0, Some(0));
}

#[test]
fn a_stolen_token_without_its_key_opens_nothing() {
    let home = Home::new();
    let mut up = home.up();
    assert!(up.says("Try"));
    let owner = Phone::new(&home, "owner", "theft-user");
    owner.ends_with(0, "register", PASSWORD, &[]);
    // The thief has the token, a proof key of their own, and even the password.
    let thief = Phone::new(&home, "thief", "thief-user");
    fs::copy(owner.file("token"), thief.file("token")).unwrap();
    let said = thief.ends_with(20, "recover", PASSWORD, &[]);
    assert!(said.contains("token"), "{said}");
    assert_eq!(owner.json("recover", PASSWORD, &[])["attempts_left"], 10);
    assert_eq!(up.interrupt().0, Some(0));
}

#[test]
fn a_client_that_pins_other_keys_opens_no_session() {
    let home = Home::new();
    let mut up = home.up();
    assert!(up.says("Try"));
    let phone = Phone::new(&home, "phone", "pin-user");
    let mut trust: Value = serde_json::from_slice(&fs::read(phone.file("trust.json")).unwrap()).unwrap();
    trust["pinned_keys"] = serde_json::json!([hex::encode([7; 32])]);
    let written = format!("{}\n", serde_json::to_string_pretty(&trust).unwrap());
    fs::write(phone.file("trust.json"), written).unwrap();
    let said = phone.ends_with(18, "register", PASSWORD, &[]);
    assert!(said.contains("not pinned"), "{said}");
    assert_eq!(up.interrupt().0, Some(0));
}

#[test]
fn what_is_asked_for_is_not_visible_in_arguments_of_processes() {
    // Passwords come from a file or a prompt, never from an argument that every user of the machine can read.
    let help = text(&countermark(&["backup", "recover", "--help"]).stdout);
    assert!(help.contains("--password-file") && !help.contains("--password "), "{help}");
}
