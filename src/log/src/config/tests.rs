use std::fs;

use countermark_bundle::identity::NameError;
use countermark_bundle::key::KeyAlgorithm;
use countermark_keys::{KeyFile, Role};
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::note::{SignatureType, VerifierKey};
use countermark_tlog::policy::QuorumAnalysisError;

use super::house::House;
use super::*;
use crate::ports::LogKind;
use crate::testing::TestSigner;

/// What a changed text of a house with one namespace, `backup`, gives.
fn refused(house: &House, from: &str, to: &str) -> ConfigError {
    let text = house.text.replacen(from, to, 1);
    assert_ne!(text, house.text, "{from:?} stands in the text");
    house.parse(&text).unwrap_err()
}

/// The same, where the namespace is what is refused.
fn namespace_refused(house: &House, from: &str, to: &str) -> NamespaceConfigError {
    match refused(house, from, to) {
        ConfigError::Namespace { source, .. } => *source,
        other => panic!("{other}"),
    }
}

fn assert_names(error: &impl std::fmt::Display, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} names {part:?}");
    }
}

#[test]
fn a_whole_configuration_is_read_and_its_defaults_follow_from_the_trust_file() {
    let house = House::new(&["backup", "keys"]);
    let config = house.config();
    assert_eq!((config.authority.as_str(), config.audience.as_str()), ("log.example", "log.example"));
    assert_eq!(config.submission_deadline, Duration::from_secs(2));
    assert!(matches!(&config.database, DatabaseConfig::Folder(path) if *path == house.path("databases")));
    let names: Vec<_> = config.namespaces.iter().map(|one| one.origin.as_str()).collect();
    assert_eq!(names, ["log.example/backup", "log.example/keys"]);
    let namespace = &config.namespaces[0];
    assert_eq!(namespace.witnesses.len(), 4);
    assert_eq!(namespace.witnesses[0].url, "http://w0.example", "without the slash at its end");
    assert_eq!(namespace.recosign_every, Duration::from_hours(6));
    let officers = &namespace.certifying.as_ref().unwrap().first_policy.as_ref().unwrap().officers;
    let subjects: Vec<_> = officers.iter().map(|officer| officer.subject.as_str()).collect();
    assert_eq!(subjects, ["officer-0", "officer-1"], "sorted, as the first entry needs them");
    assert!(namespace.open().is_ok());
}

#[test]
fn a_file_that_is_not_a_configuration_is_refused() {
    let house = House::new(&["backup"]);
    let path = house.path("log.toml");
    assert!(matches!(Config::load(&path).unwrap_err(), ConfigError::File(ReadError::Io { .. })));
    fs::write(&path, &house.text).unwrap();
    assert_eq!(Config::load(&path).unwrap().register, Location::Folder(house.path("register")));
    fs::write(&path, " ".repeat(1 << 20) + "x").unwrap();
    assert!(matches!(Config::load(&path).unwrap_err(), ConfigError::File(ReadError::TooLarge { .. })));
    for (from, to) in [
        ("authority =", "autority ="),
        ("listen = \"127.0.0.1:0\"\n", ""),
        ("\"fleet-keys\"", "\"raw\""),
        ("approvals_needed = 2", "approvals_needed = -1"),
        ("trust =", "trust_file ="),
    ] {
        assert!(matches!(refused(&house, from, to), ConfigError::Toml(_)), "{to}");
    }
}

#[test]
fn tokens_are_taken_by_tls_behind_a_proxy_or_from_this_machine_only() {
    let house = House::new(&["backup"]);
    let check = |listen: &str, has_keys: bool, has_tls: bool, is_behind_proxy: bool, expect: bool| {
        let mut text = house.text.replace("127.0.0.1:0", listen);
        if is_behind_proxy {
            text.insert_str(0, "behind_tls_proxy = true\n");
        }
        if has_keys {
            text.insert_str(0, "token_keys = \"keys.json\"\n");
        }
        if has_tls {
            text.push_str("\n[tls]\ncertificate_file = \"c.pem\"\nprivate_key_file = \"/k.pem\"\n");
        }
        let case = format!("{listen}, token_keys {has_keys}, [tls] {has_tls}, behind_tls_proxy {is_behind_proxy}");
        match house.parse(&text) {
            Ok(config) => {
                assert!(expect, "{case}");
                let files = TlsFiles { certificate_file: house.path("c.pem"), private_key_file: "/k.pem".into() };
                assert_eq!(config.tls, has_tls.then_some(files), "{case}");
            }
            Err(ConfigError::TokensInTheClear { listen: found }) => {
                assert!(!expect && found == listen.parse().unwrap(), "{case}");
            }
            Err(error) => panic!("{case}: {error}"),
        }
    };
    for bits in 0..8 {
        let [has_keys, has_tls, is_behind_proxy] = [1, 2, 4].map(|bit| bits & bit != 0);
        for (listen, is_loopback) in [
            ("127.0.0.1:80", true),
            ("127.1.2.3:80", true),
            ("[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:80", false),
            ("192.0.2.1:80", false),
            ("[::]:80", false),
            ("[2001:db8::1]:80", false),
        ] {
            let expect = !has_keys || is_loopback || has_tls || is_behind_proxy;
            check(listen, has_keys, has_tls, is_behind_proxy, expect);
        }
    }
    let said = house.parse(&format!("token_keys = \"k\"\n{}", house.text.replace("127.0.0.1:0", "0.0.0.0:80")));
    let said = said.unwrap_err().to_string();
    assert!(said.contains("[tls]") && said.contains("behind_tls_proxy"), "{said}");
}

#[test]
fn the_rules_of_the_whole_are_kept() {
    let house = House::new(&["backup"]);
    let one = refused(&house, "\"register\"", "\"./databases\"");
    assert!(matches!(one, ConfigError::OneFolder { .. }), "{one}");
    for deadline in ["0", "60001"] {
        let error = refused(&house, "deadline_ms = 2000", &format!("deadline_ms = {deadline}"));
        assert!(matches!(error, ConfigError::SubmissionDeadline { .. }), "{error}");
    }
    let error = refused(&house, "listen", "audience = \"a b\"\nlisten");
    assert!(matches!(error, ConfigError::Audience { .. }), "{error}");
    let none = house.text.split("\n[[namespace]]").next().unwrap();
    assert!(matches!(house.parse(none).unwrap_err(), ConfigError::NoNamespace));
    let twice = format!("{}{}", house.text, &house.text[none.len()..]);
    let error = house.parse(&twice).unwrap_err();
    assert!(matches!(error, ConfigError::NamespaceTwice { .. }), "{error}");
}

#[test]
fn no_two_namespaces_share_a_key() {
    let house = House::new(&["backup", "keys"]);
    let shared = house.config().namespaces[0].foundation.trust().unwrap().keys.revocation.operator.clone();
    house.change_trust("keys", |trust| trust.keys.revocation.operator = shared);
    let error = house.parse(&house.text).unwrap_err();
    assert!(
        matches!(&error, ConfigError::SharedKey { first, second, .. } if first == "backup" && second == "keys"),
        "{error}"
    );
}

#[test]
fn a_namespace_has_a_name_that_the_surface_does_not_need() {
    let house = House::new(&["backup"]);
    for (name, expect) in [("Backup", NameError::Form), ("v1", NameError::Reserved), ("tile", NameError::Reserved)] {
        let error = namespace_refused(&house, "name = \"backup\"", &format!("name = \"{name}\""));
        assert!(matches!(error, NamespaceConfigError::Name(found) if found == expect), "{error}");
    }
    // The audience follows from the authority's name, so it is said here.
    let error = namespace_refused(&house, "authority = \"log.example\"", "audience = \"a\"\nauthority = \"a+b\"");
    assert!(matches!(error, NamespaceConfigError::Origin { .. }), "{error}");
}

#[test]
fn the_trust_file_must_be_of_this_log_and_of_its_beginning() {
    let house = House::new(&["backup"]);
    let error = namespace_refused(&house, "backup/trust.json", "backup/none.json");
    assert!(matches!(error, NamespaceConfigError::ReadTrust { .. }), "{error}");
    assert_names(&error, &["trust:", "backup/none.json"]);
    let error = namespace_refused(&house, "backup/trust.json", "backup/log.key");
    assert!(matches!(error, NamespaceConfigError::Trust { .. }), "{error}");
    let error = namespace_refused(&house, "authority = \"log.example\"", "authority = \"other.example\"");
    assert!(matches!(error, NamespaceConfigError::OtherOrigin { .. }), "{error}");
    assert_names(&error, &["trust.json", "log.example/backup", "other.example/backup"]);
    house.change_trust("backup", |trust| trust.serial = 1);
    let error = namespace_refused(&house, "2000", "2001");
    assert!(matches!(error, NamespaceConfigError::TrustSerial { found: 1, .. }), "{error}");
}

#[test]
fn a_quorum_that_stands_no_faulty_witness_is_refused_unless_told() {
    let house = House::new(&["backup"]);
    house.change_trust("backup", |trust| {
        trust.keys.policy = trust.keys.policy.replace("group three 3 w0 w1 w2 w3", "group three 2 w0 w1 w2");
    });
    let error = namespace_refused(&house, "2000", "2001");
    let too_few = |error: &NamespaceConfigError| {
        matches!(error, NamespaceConfigError::Quorum { source: QuorumAnalysisError::TooFewFaults { .. }, .. })
    };
    assert!(too_few(&error), "{error}");
    assert_names(&error, &["trust.json", "allow_no_fault_tolerance"]);
    let told = house.text.replace("approvals_needed", "allow_no_fault_tolerance = true\napprovals_needed");
    assert!(house.parse(&told).is_ok());
}

#[test]
fn every_witness_has_a_url_that_can_be_asked() {
    for url in ["", " ftp://w0.example", " w0.example", " http://", " http://w0.example/?a=b"] {
        let house = House::new(&["backup"]);
        house.change_trust("backup", |trust| {
            trust.keys.policy = trust.keys.policy.replacen(" http://w0.example/", url, 1);
        });
        let error = namespace_refused(&house, "2000", "2001");
        assert!(matches!(error, NamespaceConfigError::WitnessUrl { .. }), "{url:?}: {error}");
        assert_names(&error, &["w0.example", "trust.json"]);
    }
}

#[test]
fn every_key_file_holds_the_key_that_the_trust_file_believes_in() {
    for (field, role) in [
        ("log_key_file", Role::Log),
        ("certificate_key_file", Role::Certificate),
        ("administration_key_file", Role::Administration),
    ] {
        let house = House::new(&["backup"]);
        let own = format!("{field} = \"backup/{}.key\"", field.trim_end_matches("_key_file"));
        let error = namespace_refused(&house, &own, &format!("{field} = \"backup/none.key\""));
        assert!(matches!(error, NamespaceConfigError::ReadKey { .. }), "{error}");
        assert_names(&error, &[field, "backup/none.key"]);
        house.stray_key("backup/revocation.key", Role::Revocation, "backup/passphrase");
        let error = namespace_refused(&house, &own, &format!("{field} = \"backup/revocation.key\""));
        assert!(matches!(error, NamespaceConfigError::KeyRole { .. }), "{error}");
        house.stray_key("backup/stray.key", role, "backup/passphrase");
        let error = namespace_refused(&house, &own, &format!("{field} = \"backup/stray.key\""));
        assert!(matches!(error, NamespaceConfigError::KeyNotTrusted { .. }), "{error}");
        assert_names(&error, &[field, "backup/stray.key", "backup/trust.json"]);
    }
}

#[test]
fn officers_and_vendors_are_read_strictly() {
    let house = House::new(&["backup"]);
    let officer = |seed| hex::encode(TestSigner::new(Role::Officer, seed).public().bytes());
    for bad in ["zz".to_owned(), officer(8).to_uppercase(), "00".repeat(31), format!("01{}", "00".repeat(31))] {
        let error = namespace_refused(&house, &officer(8), &bad);
        assert!(matches!(error, NamespaceConfigError::OfficerKey { .. }), "{bad}: {error}");
    }
    for (from, to) in [(officer(8), officer(9)), ("officer-0".to_owned(), "officer-1".to_owned())] {
        let error = namespace_refused(&house, &from, &to);
        assert!(matches!(error, NamespaceConfigError::OfficerTwice { .. }), "{error}");
    }
    for needed in ["approvals_needed = 0", "approvals_needed = 3", ""] {
        let error = namespace_refused(&house, "approvals_needed = 2", needed);
        assert!(matches!(error, NamespaceConfigError::ApprovalsNeeded { officers: 2 }), "{error}");
    }
    let x25519 = format!("algorithm = \"x25519\", public_key = \"{}\"", "07".repeat(32));
    let vendor = hex::encode(TestSigner::new(Role::Vendor, 10).public().bytes());
    let error = namespace_refused(&house, &format!("algorithm = \"ed25519\", public_key = \"{vendor}\""), &x25519);
    assert!(matches!(error, NamespaceConfigError::VendorAlgorithm { found: KeyAlgorithm::X25519 }), "{error}");
}

#[test]
fn heads_stay_young_and_witnesses_have_a_deadline() {
    let house = House::new(&["backup"]);
    let with = |line: &str| house.parse(&house.text.replace("approvals_needed", &format!("{line}\napprovals_needed")));
    let read = |config: Config| (config.namespaces[0].recosign_every, config.namespaces[0].witness_timeout);
    let found = read(with("recosign_every_seconds = 60\nwitness_timeout_ms = 700").unwrap());
    assert_eq!(found, (Duration::from_mins(1), Duration::from_millis(700)));
    for seconds in [0, 21_601] {
        let error = with(&format!("recosign_every_seconds = {seconds}")).unwrap_err().to_string();
        assert!(error.contains("must be 1 to 21600"), "{error}");
    }
    for ms in [0, 60_001] {
        let error = with(&format!("witness_timeout_ms = {ms}")).unwrap_err().to_string();
        assert!(error.contains("must be 1 to 60000"), "{error}");
    }
}

#[test]
fn keys_and_policies_that_do_not_open_are_told() {
    let house = House::new(&["backup"]);
    let config = house.config();
    let namespace = &config.namespaces[0];
    let with_policy = house.text.replace("approvals_needed", "policy = \"none\"\napprovals_needed");
    let error = house.parse(&with_policy).unwrap().namespaces[0].open().err().unwrap();
    assert!(matches!(error, OpenNamespaceError::Policy(_)), "{error}");
    let log_key = house.path("backup/log.key");
    fs::remove_file(&log_key).unwrap();
    let error = namespace.open().err().unwrap();
    assert!(matches!(error, OpenNamespaceError::Key(_)), "{error}");
    house.stray_key("backup/log.key", Role::Log, "backup/passphrase");
    let error = namespace.open().err().unwrap();
    assert!(matches!(&error, OpenNamespaceError::KeyChanged { path } if *path == log_key), "{error}");
}

#[test]
fn logs_are_kept_in_files_or_in_postgresql_and_not_in_both() {
    let house = House::new(&["backup"]);
    let folder = "database_folder = \"databases\"\n";
    let with = |text: &str| house.parse(&format!("{}\n{text}", house.text.replace(folder, "")));
    let refused = |text: &str| match with(text).unwrap_err() {
        ConfigError::Database(error) => error,
        other => panic!("{other}"),
    };
    let url = "postgres://log:hunter2@db/countermark";
    let config = with(&format!("[postgres]\nurl = \"{url}\"")).unwrap();
    let DatabaseConfig::Postgres(found) = &config.database else { panic!("{:?}", config.database) };
    assert_eq!((found.place().host.as_str(), found.place().database.as_str()), ("db", "countermark"));
    assert!(!format!("{config:?}").contains("hunter2"));
    fs::write(house.path("postgres.url"), format!("{url}\n")).unwrap();
    let config = with("[postgres]\nurl_file = \"postgres.url\"").unwrap();
    assert!(matches!(config.database, DatabaseConfig::Postgres(_)));
    assert!(matches!(refused(""), DatabaseConfigError::Nowhere));
    let both = house.parse(&format!("{}\n[postgres]\nurl = \"{url}\"", house.text)).unwrap_err();
    assert!(matches!(both, ConfigError::Database(DatabaseConfigError::Twice)), "{both}");
    assert!(matches!(refused("[postgres]"), DatabaseConfigError::OneUrl));
    let two = format!("[postgres]\nurl_file = \"postgres.url\"\nurl = \"{url}\"");
    assert!(matches!(refused(&two), DatabaseConfigError::OneUrl));
    let unread = refused("[postgres]\nurl_file = \"none.url\"");
    assert!(matches!(unread, DatabaseConfigError::ReadUrl { .. }), "{unread}");
    assert_names(&unread, &["none.url"]);
    let bad = refused("[postgres]\nurl = \"postgres://db/countermark\"");
    assert!(matches!(bad, DatabaseConfigError::Url(_)), "{bad}");
    assert_names(&bad, &["postgres.url", "user"]);
    assert!(matches!(with("[postgres]\nhost = \"db\"").unwrap_err(), ConfigError::Toml(_)));
}

#[test]
fn the_head_register_is_in_one_folder_or_one_bucket() {
    let house = House::new(&["backup"]);
    let folder = "register_folder = \"register\"\n";
    let with = |lines: &str| house.parse(&house.text.replace(folder, lines));
    let bucket = with("register_url = \"s3://bucket/register\"\nobject_store_credentials = \"s3.toml\"\n").unwrap();
    assert_eq!(bucket.register.to_string(), "s3://bucket/register");
    assert_eq!(bucket.object_store_credentials, Some(house.path("s3.toml")));
    for lines in ["", &format!("{folder}register_url = \"s3://bucket/register\"\n")] {
        let refused = with(lines).unwrap_err();
        assert!(matches!(refused, ConfigError::Register), "{refused}");
    }
    for place in ["register", "file:///mnt/register"] {
        let refused = with(&format!("register_url = {place:?}\n")).unwrap_err();
        assert!(matches!(refused, ConfigError::RegisterUrl { .. }), "{refused}");
    }
    let refused = with("register_url = \"gs://bucket/register\"\n").unwrap_err();
    assert!(matches!(refused, ConfigError::Location { field: "register_url", .. }), "{refused}");
}

#[test]
fn an_export_lies_beside_everything_else() {
    let house = House::new(&["backup"]);
    let folder = "register_folder = \"register\"\n";
    let with = |register: &str, export: &str| {
        house.parse(&house.text.replace(folder, &format!("{register}export = {export:?}\n")))
    };
    let bucket = "register_url = \"s3://bucket/register\"\n";
    for (register, export) in [(folder, "export"), (folder, "s3://bucket/a"), (bucket, "s3://bucket/export")] {
        assert!(with(register, export).unwrap().export.is_some(), "{export}");
    }
    assert_eq!(house.config().export, None);
    for (register, export) in [
        (folder, "databases"),
        (folder, "databases/export"),
        (folder, "."),
        (folder, "register"),
        (bucket, "s3://bucket/register/export"),
        (bucket, "s3://bucket"),
    ] {
        let refused = with(register, export).unwrap_err();
        assert!(matches!(refused, ConfigError::ExportInPlace { .. }), "{export}: {refused}");
    }
    let refused = with(folder, "http://bucket").unwrap_err();
    assert!(matches!(refused, ConfigError::Location { field: "export", .. }), "{refused}");
}

/// A house with one more namespace, `digests`, of opaque entries, under this quorum.
fn with_raw(quorum: &str) -> House {
    let mut house = House::new(&["backup"]);
    house.stray_key("digests.key", Role::Log, "backup/passphrase");
    let public = KeyFile::public(&house.path("digests.key")).unwrap().public_key;
    let origin = Origin::new("log.example/digests").unwrap();
    let key = VerifierKey::new(origin.key_name().clone(), SignatureType::Ed25519, &hex::decode(public).unwrap());
    fs::write(house.path("digests.policy"), format!("log {}\n{quorum}\n", key.unwrap())).unwrap();
    house.text.push_str(
        "\n[[namespace]]\nname = \"digests\"\nkind = \"raw\"\nwitness_policy = \"digests.policy\"\n\
         log_key_file = \"digests.key\"\npassphrase_file = \"backup/passphrase\"\n",
    );
    house
}

#[test]
fn a_namespace_of_opaque_entries_has_a_witness_policy_and_nothing_to_certify_with() {
    let house = with_raw("quorum none");
    let config = house.config();
    let raw = &config.namespaces[1];
    assert_eq!((raw.foundation.kind(), raw.witnesses.len()), (LogKind::Raw, 0));
    assert_eq!(raw.foundation.max_head_age_seconds(), 86_400);
    let opened = raw.open().unwrap();
    assert!(opened.certifying.is_none());
    let refused = |from: &str, to: &str| namespace_refused(&house, from, to);
    assert!(matches!(refused("digests.policy", "none.policy"), NamespaceConfigError::ReadWitnessPolicy { .. }));
    let age = |seconds: u64| format!("witness_policy = \"digests.policy\"\nmax_head_age_seconds = {seconds}");
    for seconds in [0, 366 * 86_400 + 1] {
        let error = refused("witness_policy = \"digests.policy\"", &age(seconds));
        assert!(matches!(error, NamespaceConfigError::MaxHeadAge { found } if found == seconds), "{error}");
    }
    let other_key = refused("log_key_file = \"digests.key\"", "log_key_file = \"backup/log.key\"");
    assert!(matches!(other_key, NamespaceConfigError::KeyNotTrusted { .. }), "{other_key}");
    let of_the_other_kind = house.parse(&format!("{}trust = \"backup/trust.json\"\n", house.text)).unwrap_err();
    assert!(matches!(of_the_other_kind, ConfigError::Toml(_)), "{of_the_other_kind}");
    let unknown = house.parse(&house.text.replace("kind = \"raw\"", "kind = \"tape\"")).unwrap_err();
    assert!(matches!(unknown, ConfigError::Toml(_)), "{unknown}");
}

#[test]
fn a_witness_policy_that_is_none_or_too_long_is_refused() {
    let house = with_raw("quorum none");
    let policy = fs::read_to_string(house.path("digests.policy")).unwrap();
    for text in ["", "quorum w9\n", &format!("{policy}{}", "#\n".repeat(140_000))] {
        fs::write(house.path("digests.policy"), text).unwrap();
        match house.parse(&house.text).unwrap_err() {
            ConfigError::Namespace { source, .. } => {
                assert!(matches!(*source, NamespaceConfigError::WitnessPolicy { .. }), "{source}");
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn limits_and_the_tile_cache_are_read_and_refused_by_name() {
    let house = House::new(&["backup"]);
    assert_eq!(house.config().limits, Limits::default());
    assert_eq!(house.config().tile_cache_bytes, TILE_CACHE_BYTES);
    let said =
        house.parse(&format!("tile_cache_bytes = 1048576\n{}\n[limits.raw]\nunder_way = 0\n", house.text)).unwrap();
    assert_eq!((said.tile_cache_bytes, said.limits.raw.under_way), (1 << 20, None));
    for found in [0, (1 << 20) - 1, (1 << 40) + 1] {
        let refused = house.parse(&format!("tile_cache_bytes = {found}\n{}", house.text)).unwrap_err();
        assert!(matches!(refused, ConfigError::TileCache { found: said } if said == found), "{refused}");
    }
    let refused = house.parse(&format!("{}\n[limits.raw]\nsubmissions_burst = 0\n", house.text)).unwrap_err();
    assert!(matches!(refused, ConfigError::Limits(_)), "{refused}");
}
