//! How a member gets its keys, and why it does not.

use std::fs;

use countermark_keys::{CreateError, KeyFile, OpenError, Role, create_passphrase_file};
use countermark_vault::{Existing, InitError, KeyError, init};

use crate::support::Home;

#[test]
fn a_member_makes_both_keys_and_its_passphrase() {
    let home = Home::new();
    let keys = init(&home.config(), Existing::Refuse).unwrap();
    let identity = KeyFile::public(&home.path("identity.key")).unwrap();
    let session = KeyFile::public(&home.path("session.key")).unwrap();
    assert_eq!((identity.role, session.role), (Role::VaultIdentity, Role::VaultSession));
    assert_eq!(serde_json::to_value(&keys.identity).unwrap()["public_key"], identity.public_key);
    assert_eq!(serde_json::to_value(&keys.session).unwrap()["public_key"], session.public_key);
    assert!(home.path("passphrase").exists() && !home.path("attestation.json").exists());
}

#[test]
fn two_members_have_no_key_in_common() {
    let [one, other] = [Home::new(), Home::new()].map(|home| init(&home.config(), Existing::Refuse).unwrap());
    assert_ne!(one.identity, other.identity);
    assert_ne!(one.session, other.session);
}

#[test]
fn an_existing_passphrase_file_is_used() {
    let home = Home::new();
    create_passphrase_file(&home.path("passphrase")).unwrap();
    let before = fs::read(home.path("passphrase")).unwrap();
    init(&home.config(), Existing::Refuse).unwrap();
    assert_eq!(fs::read(home.path("passphrase")).unwrap(), before);
}

#[test]
fn keys_that_exist_are_refused_or_kept_as_they_are() {
    let home = Home::new();
    let keys = init(&home.config(), Existing::Refuse).unwrap();
    assert_eq!(init(&home.config(), Existing::Keep).unwrap(), keys);
    for (file, other) in [("identity.key", "session.key"), ("session.key", "identity.key")] {
        fs::rename(home.path(other), home.path("aside")).unwrap();
        let error = init(&home.config(), Existing::Refuse).unwrap_err();
        assert!(matches!(&error, InitError::KeyExists { path } if *path == home.path(file)), "{error:?}");
        assert!(!home.path(other).exists());
        fs::rename(home.path("aside"), home.path(other)).unwrap();
    }
    assert_eq!(init(&home.config(), Existing::Keep).unwrap(), keys);
}

#[test]
fn an_interrupted_init_is_taken_up_again() {
    let home = Home::new();
    create_passphrase_file(&home.path("passphrase")).unwrap();
    KeyFile::create(&home.path("identity.key"), Role::VaultIdentity, &home.path("passphrase")).unwrap();
    let made = KeyFile::public(&home.path("identity.key")).unwrap();
    let keys = init(&home.config(), Existing::Keep).unwrap();
    assert_eq!(serde_json::to_value(&keys.identity).unwrap()["public_key"], made.public_key);
    assert!(home.path("session.key").exists());
}

#[test]
fn a_member_that_was_attested_gets_no_new_keys() {
    for lost in [&["identity.key"][..], &["session.key"], &["identity.key", "session.key"]] {
        let home = Home::new();
        init(&home.config(), Existing::Refuse).unwrap();
        fs::write(home.path("attestation.json"), "anything").unwrap();
        for file in lost {
            fs::remove_file(home.path(file)).unwrap();
        }
        let error = init(&home.config(), Existing::Keep).unwrap_err();
        let InitError::KeysLost { key, .. } = error else { panic!("{error:?}") };
        assert_eq!(key, home.path(lost[0]));
        assert!(!home.path(lost[0]).exists());
    }
}

#[test]
fn kept_keys_must_open() {
    let home = Home::new();
    init(&home.config(), Existing::Refuse).unwrap();
    fs::remove_file(home.path("passphrase")).unwrap();
    let error = init(&home.config(), Existing::Keep).unwrap_err();
    assert!(matches!(error, InitError::Key(KeyError::Open(OpenError::Passphrase { .. }))), "{error:?}");
    assert!(!home.path("passphrase").exists(), "a new passphrase would open nothing");
    create_passphrase_file(&home.path("passphrase")).unwrap();
    let error = init(&home.config(), Existing::Keep).unwrap_err();
    assert!(matches!(error, InitError::Key(KeyError::Open(OpenError::WrongPassphrase { .. }))), "{error:?}");
}

#[test]
fn a_key_of_another_role_is_refused() {
    let home = Home::new();
    create_passphrase_file(&home.path("passphrase")).unwrap();
    KeyFile::create(&home.path("identity.key"), Role::Log, &home.path("passphrase")).unwrap();
    let error = init(&home.config(), Existing::Keep).unwrap_err();
    assert!(matches!(error, InitError::Key(KeyError::Open(OpenError::WrongRole { .. }))), "{error:?}");
}

#[test]
fn what_cannot_be_written_or_looked_at_is_a_fault() {
    type Expected = fn(&InitError) -> bool;
    let cases: [(&str, &str, Expected); 3] = [
        ("passphrase\"", "missing/passphrase\"", |e| matches!(e, InitError::Passphrase(_))),
        ("identity.key", "missing/identity.key", |e| matches!(e, InitError::CreateKey(CreateError::Write { .. }))),
        ("identity.key", "vendor.key/identity.key", |e| matches!(e, InitError::Io { .. })),
    ];
    for (file, instead, expected) in cases {
        let home = Home::new();
        let text = fs::read_to_string(home.path("member.toml")).unwrap();
        fs::write(home.path("member.toml"), text.replace(file, instead)).unwrap();
        let error = init(&home.config(), Existing::Refuse).unwrap_err();
        assert!(expected(&error), "{instead}: {error:?}");
    }
}

/// Lets the member of this home be part of a fleet.
fn add_fleet(home: &Home) {
    let key = KeyFile::public(&home.path("vendor.key")).unwrap().public_key;
    let before = fs::read_to_string(home.path("member.toml")).unwrap();
    let text = format!(
        "{before}peer_listen = \"127.0.0.1:0\"\npeers = [{{ member_id = \"member-1\", address = \"127.0.0.1:1\" }}]\n\
         log_url = \"http://127.0.0.1:1\"\ntrust = \"trust.json\"\ndata_folder = \"data\"\n\
         counter_file = \"counter\"\nsealing_key_file = \"sealing.key\"\n\
         account_issuers = [{{ issuer = \"accounts.example\", public_key = \"{key}\" }}]\n"
    );
    fs::write(home.path("member.toml"), text).unwrap();
}

#[test]
fn a_member_of_a_fleet_has_a_sealing_key_and_a_counter_and_no_data_yet() {
    let home = Home::new();
    add_fleet(&home);
    init(&home.config(), Existing::Refuse).unwrap();
    assert_eq!(KeyFile::public(&home.path("sealing.key")).unwrap().role, Role::VaultSealing);
    assert!(home.path("counter").exists() && !home.path("data").exists());
    let error = init(&home.config(), Existing::Refuse).unwrap_err();
    assert!(matches!(error, InitError::KeyExists { .. }), "{error:?}");
}

#[test]
fn a_member_that_was_attested_can_still_become_part_of_a_fleet() {
    let home = Home::new();
    let keys = init(&home.config(), Existing::Refuse).unwrap();
    fs::write(home.path("attestation.json"), "anything").unwrap();
    add_fleet(&home);
    assert_eq!(init(&home.config(), Existing::Keep).unwrap(), keys);
    assert!(home.path("sealing.key").exists());
}

#[test]
fn a_member_that_was_attested_gets_no_new_counter() {
    let home = Home::new();
    add_fleet(&home);
    init(&home.config(), Existing::Refuse).unwrap();
    fs::write(home.path("attestation.json"), "anything").unwrap();
    fs::remove_file(home.path("counter")).unwrap();
    let error = init(&home.config(), Existing::Keep).unwrap_err();
    assert!(matches!(error, InitError::CounterLost { .. }), "{error:?}");
    assert!(!home.path("counter").exists());
}

#[test]
fn a_member_that_took_part_gets_no_new_sealing_key() {
    let home = Home::new();
    add_fleet(&home);
    init(&home.config(), Existing::Refuse).unwrap();
    fs::write(home.path("counter"), "anything").unwrap();
    fs::remove_file(home.path("sealing.key")).unwrap();
    let error = init(&home.config(), Existing::Keep).unwrap_err();
    let InitError::KeysLost { key, trace } = error else { panic!("{error:?}") };
    assert_eq!((key, trace), (home.path("sealing.key"), home.path("counter")));
}
