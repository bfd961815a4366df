use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::slice;

use super::*;
use crate::testkit::log::TestLog;

const HEAD: &str = r#"
listen = "127.0.0.1:0"
name = "witness.example/w1"
key_file = "keys/witness.key"
passphrase_file = "/run/secrets/witness"
state = "../witness.sqlite"
"#;

fn log_section(origin: &str, vkeys: &[String]) -> String {
    format!("[[log]]\norigin = {origin:?}\nvkeys = {vkeys:?}\n")
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/witness"))
}

#[test]
fn paths_are_relative_to_the_folder_of_the_file() {
    let config = parse(HEAD).unwrap();
    assert_eq!(config.key_file, PathBuf::from("/etc/witness/keys/witness.key"));
    assert_eq!(config.passphrase_file, PathBuf::from("/run/secrets/witness"));
    assert_eq!(config.state, PathBuf::from("/etc/witness/../witness.sqlite"));
}

#[test]
fn a_witness_may_speak_tls() {
    assert_eq!(parse(HEAD).unwrap().tls, None);
    let text = format!("{HEAD}[tls]\ncertificate_file = \"c.pem\"\nprivate_key_file = \"/k.pem\"\n");
    let files = TlsFiles { certificate_file: "/etc/witness/c.pem".into(), private_key_file: "/k.pem".into() };
    assert_eq!(parse(&text).unwrap().tls, Some(files));
    let half = text.replace("private_key_file", "# private_key_file");
    assert!(matches!(parse(&half), Err(ConfigError::Toml(_))));
}

#[test]
fn a_witness_may_be_made_before_it_follows_a_log() {
    assert_eq!(parse(HEAD).unwrap().logs.count(), 0);
}

#[test]
fn several_keys_of_one_log_and_several_logs_are_followed() {
    let (one, two) = (TestLog::new("one.example/log"), TestLog::new("two.example/log"));
    let keys = [one.vkey(), one.with_key(9).vkey()].map(|key| key.to_string());
    let text =
        format!("{HEAD}{}{}", log_section(&one.origin, &keys), log_section(&two.origin, &[two.vkey().to_string()]));
    let logs = parse(&text).unwrap().logs;
    assert_eq!(logs.count(), 2);
    assert_eq!(logs.keys_of(&one.origin()).unwrap().len(), 2);
    assert_eq!(logs.keys_of(&two.origin()).unwrap(), [two.vkey()]);
}

#[test]
fn malformed_text_is_refused() {
    let cases = [
        ("an unknown field", format!("{HEAD}extra = 1\n")),
        ("an unknown field of a log", format!("{HEAD}[[log]]\norigin = \"o\"\nvkeys = []\nextra = 1\n")),
        ("a missing field", HEAD.replace("state", "# state")),
        ("a field twice", format!("{HEAD}{HEAD}")),
        ("no TOML", "listen: here".to_owned()),
        ("no address", HEAD.replace("127.0.0.1:0", "somewhere")),
    ];
    for (case, text) in cases {
        let error = parse(&text).unwrap_err();
        assert!(matches!(error, ConfigError::Toml(_)), "{case}: {error:?}");
    }
}

#[test]
fn a_name_that_no_key_can_carry_is_refused() {
    for name in ["", "two words", "plus+sign"] {
        let error = parse(&HEAD.replace("witness.example/w1", name)).unwrap_err();
        assert!(matches!(error, ConfigError::Name { .. }), "{error:?}");
    }
}

#[test]
fn a_log_that_cannot_be_followed_is_refused_by_name() {
    type Expected = fn(&LogError) -> bool;
    let log = TestLog::new("one.example/log");
    let vkey = log.vkey().to_string();
    let witness_type = crate::testkit::witness_keys()[0].to_string();
    let many: Vec<String> = (0..17).map(|seed| log.with_key(seed).vkey().to_string()).collect();
    let section = |vkeys: &[String]| log_section(&log.origin, vkeys);
    let witness_log = log_section("witness.example/w1", &[witness_type]);
    let cases: [(String, Expected); 8] = [
        (section(&[]), |e| matches!(e, LogError::KeyCount { found: 0 })),
        (section(&many), |e| matches!(e, LogError::KeyCount { found: 17 })),
        (section(&["one.example/log+0+AA".to_owned()]), |e| matches!(e, LogError::Vkey { .. })),
        (format!("{}requests_per_day = 0\n", section(slice::from_ref(&vkey))), |e| {
            matches!(e, LogError::RequestsPerDay { found: 0 })
        }),
        (witness_log, |e| matches!(e, LogError::KeyType { .. })),
        (section(&[vkey.clone(), vkey.clone()]), |e| matches!(e, LogError::DuplicateKey { .. })),
        (section(slice::from_ref(&vkey)).repeat(2), |e| matches!(e, LogError::DuplicateOrigin)),
        (log_section("two words", &[vkey]), |e| matches!(e, LogError::Origin(_))),
    ];
    for (section, expected) in cases {
        let error = parse(&format!("{HEAD}{section}")).unwrap_err();
        let ConfigError::Log { source, .. } = error else {
            panic!("{section}: {error:?}");
        };
        assert!(expected(&source), "{section}: {source:?}");
    }
}

#[test]
fn the_name_of_a_log_s_key_need_not_be_its_origin() {
    let key = TestLog::new("two.example/key").vkey();
    let config = parse(&format!("{HEAD}{}", log_section("one.example/log", &[key.to_string()]))).unwrap();
    let origin = countermark_tlog::checkpoint::Origin::new("one.example/log").unwrap();
    assert_eq!(config.logs.keys_of(&origin).unwrap(), [key]);
}

#[test]
fn logs_of_the_witness_network_s_lists_are_followed_beside_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let log = |name: &str| TestLog::new(name).vkey();
    let list = |name: &str, logs: &[(&str, &str)]| {
        let mut text = "# a list\nlogs/v0\n".to_owned();
        for (key, origin) in logs {
            write!(text, "\nvkey {}\norigin {origin}\nqpd 24\ncontact x\n", log(key)).unwrap();
        }
        std::fs::write(folder.path().join(name), text).unwrap();
    };
    let text = |lists: &str| {
        let one = log_section("one.example/log", &[log("one.example/log").to_string()]);
        format!("log_lists = [{lists}]\n{HEAD}{one}")
    };
    list("first", &[("a.example", "none"), ("b.example", "an/origin")]);
    list("second", &[("c.example", "none")]);
    let config = Config::parse(&text("\"first\", \"second\""), folder.path()).unwrap();
    let origins: Vec<_> = config.logs.origins().map(ToString::to_string).collect();
    assert_eq!(origins, ["a.example", "an/origin", "c.example", "one.example/log"]);

    list("again", &[("a.example", "none")]);
    let error = Config::parse(&text("\"first\", \"again\""), folder.path()).unwrap_err();
    assert!(matches!(&error, ConfigError::Log { origin, source: LogError::DuplicateOrigin } if origin == "a.example"));
    std::fs::write(folder.path().join("broken"), "logs/v0\nqpd 1\n").unwrap();
    let error = Config::parse(&text("\"broken\""), folder.path()).unwrap_err();
    assert!(matches!(&error, ConfigError::List { source, .. } if source.line == 2), "{error:?}");
    let error = Config::parse(&text("\"missing\""), folder.path()).unwrap_err();
    assert!(matches!(error, ConfigError::ListFile { .. }), "{error:?}");
}

#[test]
fn more_logs_than_the_limit_are_refused() {
    let mut logs = FollowedLogs::default();
    // One key object for all would be quicker, but a key carries its log's name.
    for number in 0..=crate::logs::LOGS_MAX {
        let log = TestLog::new(&format!("example/{number}"));
        match logs.follow(&log.origin, &[log.vkey().to_string()], crate::REQUESTS_PER_DAY) {
            Ok(()) => assert!(number < crate::logs::LOGS_MAX),
            Err(error) => {
                assert_eq!(number, crate::logs::LOGS_MAX);
                assert!(matches!(error, LogError::TooMany), "{error:?}");
            }
        }
    }
    assert_eq!(logs.count(), crate::logs::LOGS_MAX);
}

#[test]
fn a_file_that_is_missing_or_too_large_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("witness.toml");
    let error = Config::load(&path).unwrap_err();
    assert!(matches!(error, ConfigError::File(ReadError::Io { .. })), "{error:?}");
    std::fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
    let error = Config::load(&path).unwrap_err();
    assert!(matches!(error, ConfigError::File(ReadError::TooLarge { .. })), "{error:?}");
    std::fs::write(&path, HEAD).unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!(config.state, folder.path().join("../witness.sqlite"));
}

#[test]
fn gossip_is_off_unless_said_and_refused_by_name_where_it_cannot_be() {
    let quiet = parse(HEAD).unwrap().gossip;
    assert_eq!((quiet.peers.len(), quiet.interval.as_secs()), (0, 60));
    let said = parse(&format!("{HEAD}[gossip]\npeers = [\"http://127.0.0.1:1/w\"]\ninterval_seconds = 5\n")).unwrap();
    assert_eq!(said.gossip.peers[0].as_str(), "http://127.0.0.1:1/w/");
    let check = |gossip: &str, expect: fn(&GossipConfigError) -> bool| {
        let refused = parse(&format!("{HEAD}[gossip]\n{gossip}\n")).unwrap_err();
        assert!(matches!(&refused, ConfigError::Gossip(error) if expect(error)), "{gossip}: {refused:?}");
    };
    let is_url = |error: &GossipConfigError| matches!(error, GossipConfigError::Url { .. });
    for url in ["ftp://a.example", "https://user:secret@a.example", "https://a.example?q=1", "https://a.example#f", "a"]
    {
        check(&format!("peers = [{url:?}]"), is_url);
    }
    check("webhook = \"x\"", is_url);
    let many = vec!["http://a.example"; PEERS_MAX + 1];
    check(&format!("peers = {many:?}"), |error| matches!(error, GossipConfigError::Peers { found: 33 }));
    for interval in [0, 86_401] {
        check(&format!("interval_seconds = {interval}"), |error| matches!(error, GossipConfigError::Interval { .. }));
    }
}
