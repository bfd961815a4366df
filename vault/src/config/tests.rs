use super::*;
use crate::testing::VENDOR_KEY;
use std::fs;

fn text() -> String {
    format!(
        r#"listen = "127.0.0.1:0"
origin = "log.example/backup"
fleet_id = "fleet-1"
member_id = "member-1"
failure_domain = "site-a"
identity_key_file = "identity.key"
session_key_file = "/elsewhere/session.key"
passphrase_file = "passphrase"
attestation_file = "attestation.json"
vendor_keys = [{{ algorithm = "ed25519", public_key = "{VENDOR_KEY}" }}]
"#
    )
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/folder"))
}

#[test]
fn paths_are_relative_to_the_folder_of_the_file() {
    let config = parse(&text()).unwrap();
    assert_eq!(config.identity_key_file, Path::new("/folder/identity.key"));
    assert_eq!(config.session_key_file, Path::new("/elsewhere/session.key"));
    assert_eq!(config.vendor_keys.len(), 1);
}

#[test]
fn a_field_that_is_missing_unknown_or_wrong_is_refused() {
    for line in text().lines() {
        let (field, _) = line.split_once(" = ").unwrap();
        assert!(matches!(parse(&text().replace(line, "")), Err(ConfigError::Toml(_))), "{field} missing");
    }
    assert!(matches!(parse(&format!("{}extra = 1\n", text())), Err(ConfigError::Toml(_))));
    for (right, wrong) in [("127.0.0.1:0", "localhost"), ("fleet-1", "Fleet 1"), (VENDOR_KEY, "00")] {
        assert!(matches!(parse(&text().replace(right, wrong)), Err(ConfigError::Toml(_))), "{wrong}");
    }
    let spaced = parse(&text().replace("log.example/backup", "log example"));
    assert!(matches!(spaced, Err(ConfigError::Origin { .. })));
    let agrees = parse(&text().replace("ed25519", "x25519"));
    assert!(matches!(agrees, Err(ConfigError::VendorKey { found: KeyAlgorithm::X25519 })));
}

#[test]
fn a_file_that_is_missing_or_too_large_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.toml");
    assert!(matches!(Config::load(&path), Err(ConfigError::Read { .. })));
    fs::write(&path, text()).unwrap();
    assert_eq!(Config::load(&path).unwrap().passphrase_file, folder.path().join("passphrase"));
    let limit = usize::try_from(CONFIG_BYTES_MAX).unwrap();
    fs::write(&path, " ".repeat(limit + 1)).unwrap();
    assert!(matches!(Config::load(&path), Err(ConfigError::TooLarge { .. })));
}
