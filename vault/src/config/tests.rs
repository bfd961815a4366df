use std::path::{Path, PathBuf};

use super::*;
use crate::testkit::public;

fn vendor(seed: u8) -> String {
    serde_json::to_string(&public(seed)).unwrap().replace("\":", "\" = ")
}

fn head(vendor_keys: &str) -> String {
    format!(
        r#"
listen = "127.0.0.1:0"
origin = "log.example/backup"
fleet_id = "fleet-1"
member_id = "member-1"
failure_domain = "site-1"
identity_key_file = "keys/identity.key"
session_key_file = "keys/session.key"
passphrase_file = "/run/secrets/vault"
attestation_file = "../attestation.json"
vendor_keys = [{vendor_keys}]
"#
    )
}

fn good() -> String {
    head(&vendor(1))
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/vault"))
}

#[test]
fn paths_are_relative_to_the_folder_of_the_file() {
    let config = parse(&good()).unwrap();
    assert_eq!(config.identity_key_file, PathBuf::from("/etc/vault/keys/identity.key"));
    assert_eq!(config.session_key_file, PathBuf::from("/etc/vault/keys/session.key"));
    assert_eq!(config.passphrase_file, PathBuf::from("/run/secrets/vault"));
    assert_eq!(config.attestation_file, PathBuf::from("/etc/vault/../attestation.json"));
}

#[test]
fn a_member_may_speak_tls() {
    assert_eq!(parse(&good()).unwrap().tls, None);
    let text = format!("{}[tls]\ncertificate_file = \"c.pem\"\nprivate_key_file = \"/k.pem\"\n", good());
    let files = TlsFiles { certificate_file: "/etc/vault/c.pem".into(), private_key_file: "/k.pem".into() };
    assert_eq!(parse(&text).unwrap().tls, Some(files));
    let more = format!("{text}extra = 1\n");
    assert!(matches!(parse(&more), Err(ConfigError::Toml(_))));
}

#[test]
fn a_member_has_several_vendors() {
    let text = head(&format!("{}, {}", vendor(1), vendor(2)));
    assert_eq!(parse(&text).unwrap().vendor_keys, [public(1), public(2)]);
}

#[test]
fn malformed_text_is_refused() {
    let good = good();
    let cases = [
        ("an unknown field", format!("{good}extra = 1\n")),
        ("an unknown field of a key", good.replace("public_key", "extra = 1, public_key")),
        ("a missing field", good.replace("member_id", "# member_id")),
        ("a field twice", format!("{good}{good}")),
        ("no TOML", "listen: here".to_owned()),
        ("no address", good.replace("127.0.0.1:0", "somewhere")),
        ("a key that is none", head(r#"{ algorithm = "ed25519", public_key = "00" }"#)),
    ];
    for (case, text) in cases {
        let error = parse(&text).unwrap_err();
        assert!(matches!(error, ConfigError::Toml(_)), "{case}: {error:?}");
    }
}

#[test]
fn names_that_are_none_are_refused_by_their_field() {
    for (field, value) in [("fleet_id", "fleet-1"), ("member_id", "member-1"), ("failure_domain", "site-1")] {
        let error = parse(&good().replace(value, "Not a name")).unwrap_err();
        let ConfigError::Name { field: found, .. } = error else { panic!("{error:?}") };
        assert_eq!(found, field);
    }
    let error = parse(&good().replace("log.example/backup", "two words")).unwrap_err();
    assert!(matches!(error, ConfigError::Origin { .. }), "{error:?}");
}

#[test]
fn vendor_keys_that_cannot_count_are_refused() {
    let many = (1..=9).map(vendor).collect::<Vec<_>>().join(", ");
    for (keys, expect) in [(String::new(), 0), (many, 9)] {
        let error = parse(&head(&keys)).unwrap_err();
        assert!(matches!(error, ConfigError::VendorKeyCount { found } if found == expect), "{error:?}");
    }
    let error = parse(&head(&format!("{}, {}", vendor(1), vendor(1)))).unwrap_err();
    assert!(matches!(error, ConfigError::DuplicateVendorKey { .. }), "{error:?}");
    let error = parse(&head(&vendor(1).replace("ed25519", "x25519"))).unwrap_err();
    assert!(matches!(error, ConfigError::VendorKeyAlgorithm { .. }), "{error:?}");
}

#[test]
fn a_file_that_is_missing_or_too_large_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("member.toml");
    assert!(matches!(Config::load(&path), Err(ConfigError::File(ReadError::Io { .. }))));
    std::fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
    assert!(matches!(Config::load(&path), Err(ConfigError::File(ReadError::TooLarge { .. }))));
    std::fs::write(&path, good()).unwrap();
    assert_eq!(Config::load(&path).unwrap().attestation_file, folder.path().join("../attestation.json"));
}

#[test]
fn the_fleets_part_stands_in_the_same_file_and_may_be_absent() {
    assert!(parse(&good()).unwrap().fleet.is_none());
    let part = format!(
        r#"
peer_listen = "127.0.0.1:0"
peers = [{{ member_id = "member-1", address = "127.0.0.1:7319" }}]
log_url = "http://127.0.0.1:7311"
trust = "trust.json"
data_folder = "data"
counter_file = "elsewhere/counter"
sealing_key_file = "sealing.key"
account_issuers = [{{ issuer = "accounts.example", public_key = "{}" }}]
bundle_poll_interval_ms = 250
"#,
        hex::encode(public(3).bytes())
    );
    let whole = format!("{}{part}", good());
    let fleet = parse(&whole).unwrap().fleet.unwrap();
    assert_eq!(fleet.sealing_key_file, PathBuf::from("/etc/vault/sealing.key"));
    assert_eq!(fleet.bundle_poll_interval.as_millis(), 250);
    let half = parse(&whole.replace("log_url", "# log_url")).unwrap_err();
    assert!(matches!(half, ConfigError::Fleet(FleetConfigError::Incomplete { field: "log_url" })), "{half:?}");
    let more = parse(&whole.replace("issuer = ", "extra = 1, issuer = ")).unwrap_err();
    assert!(matches!(more, ConfigError::Toml(_)), "{more:?}");
}
