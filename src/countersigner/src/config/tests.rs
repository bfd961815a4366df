use super::*;

/// The example, with one line replaced or, where there is none with that name, added.
fn load_with(line: &str) -> (tempfile::TempDir, Result<Config, ConfigError>) {
    let name = line.split(' ').next().unwrap();
    let kept = EXAMPLE.lines().filter(|known| known.split(' ').next() != Some(name));
    let text: Vec<&str> = kept.chain([line]).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("countersigner.toml");
    std::fs::write(&path, text.join("\n")).unwrap();
    let config = Config::load(&path);
    (folder, config)
}

const EXAMPLE: &str = include_str!("../../countersigner.example.toml");

#[test]
fn relative_paths_are_relative_to_the_file() {
    let (folder, config) = load_with("policy = \"policy\"");
    let config = config.unwrap();
    assert_eq!(config.ledger, folder.path().join("state/ledger.sqlite"));
    assert_eq!(config.policy, Some(folder.path().join("policy")));
    assert_eq!(config.passphrase_file, Path::new("/run/secrets/passphrase"));
    assert_eq!(config.poll_interval(), Duration::from_secs(1));
}

#[test]
fn the_page_and_the_interval_have_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("countersigner.toml");
    let text: Vec<&str> =
        EXAMPLE.lines().filter(|line| !line.starts_with("listen") && !line.starts_with("poll")).collect();
    std::fs::write(&path, text.join("\n")).unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!((config.listen, config.poll_interval_ms), (any_loopback_port(), 500));
    assert_eq!(config.policy, None);
}

#[test]
fn a_page_that_others_could_reach_is_refused() {
    for address in ["0.0.0.0:80", "192.0.2.1:80", "[::]:80"] {
        let (_folder, refused) = load_with(&format!("listen = \"{address}\""));
        assert!(matches!(refused, Err(ConfigError::NotLoopback { .. })), "{address}");
    }
    assert!(load_with("listen = \"[::1]:80\"").1.is_ok());
    let tls = "tls = { certificate_file = \"c.pem\", private_key_file = \"/k.pem\" }";
    let (folder, config) = load_with(&format!("listen = \"0.0.0.0:80\"\n{tls}"));
    let files = TlsFiles { certificate_file: folder.path().join("c.pem"), private_key_file: "/k.pem".into() };
    assert_eq!(config.unwrap().tls, Some(files));
}

#[test]
fn a_log_that_tokens_would_reach_in_the_clear_is_refused() {
    let (_folder, refused) = load_with("log_url = \"http://log.example\"");
    assert!(
        matches!(refused, Err(ConfigError::LogUrl { source: BearerRefused::InTheClear { .. }, .. })),
        "{refused:?}"
    );
    let (_folder, refused) = load_with("log_url = \"log.example\"");
    assert!(matches!(refused, Err(ConfigError::LogUrl { source: BearerRefused::Address { .. }, .. })), "{refused:?}");
    for fine in ["http://127.0.0.1:1/a", "http://localhost", "https://log.example"] {
        assert!(load_with(&format!("log_url = {fine:?}")).1.is_ok(), "{fine}");
    }
}

#[test]
fn numbers_have_bounds() {
    for line in ["poll_interval_ms = 9", "poll_interval_ms = 3600001", "cool_off_seconds = 2678401"] {
        assert!(matches!(load_with(line).1, Err(ConfigError::Bounds { .. })), "{line}");
    }
    assert!(load_with("cool_off_seconds = 0").1.is_ok());
}

#[test]
fn what_is_unknown_missing_or_malformed_is_refused() {
    for line in [
        "surprise = 1",
        "subject = \"Not A Name\"",
        "issuer = \"two words\"",
        "token_audience = \"\"",
        "listen = \"localhost\"",
        "cool_off_seconds = -1",
    ] {
        assert!(matches!(load_with(line).1, Err(ConfigError::Malformed { .. })), "{line}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("countersigner.toml");
    assert!(matches!(Config::load(&path), Err(ConfigError::File(ReadError::Io { .. }))));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(Config::load(&path), Err(ConfigError::Malformed { .. })));
    std::fs::write(&path, " ".repeat((1 << 20) + 1)).unwrap();
    assert!(matches!(Config::load(&path), Err(ConfigError::File(ReadError::TooLarge { .. }))));
}
