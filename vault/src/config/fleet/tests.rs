use std::path::{Path, PathBuf};

use super::*;
use crate::testkit::name;

fn peer(number: usize) -> PeerText {
    PeerText { member_id: format!("member-{number}"), address: format!("127.0.0.1:{}", 7000 + number) }
}

fn issuer(name: &str, seed: u8) -> IssuerText {
    IssuerText { issuer: name.to_owned(), public_key: hex::encode(crate::testkit::public(seed).bytes()) }
}

fn good() -> FleetText {
    FleetText {
        peer_listen: Some("127.0.0.1:0".parse().unwrap()),
        peers: Some((1..=3).map(peer).collect()),
        log_url: Some("http://127.0.0.1:7311".to_owned()),
        trust: Some("trust.json".into()),
        data_folder: Some("data".into()),
        counter_file: Some("elsewhere/counter".into()),
        sealing_key_file: Some("sealing.key".into()),
        account_issuers: Some(vec![issuer("accounts.example", 1)]),
        ..FleetText::default()
    }
}

fn check(text: FleetText) -> Result<Option<FleetConfig>, FleetConfigError> {
    text.check(Path::new("/etc/vault"), &Origin::new("log.example/backup").unwrap(), &name("member-1"))
}

fn refused(change: impl FnOnce(&mut FleetText)) -> FleetConfigError {
    let mut text = good();
    change(&mut text);
    check(text).unwrap_err()
}

#[test]
fn a_whole_part_is_taken_with_its_defaults_and_paths_below_the_folder() {
    let config = check(good()).unwrap().unwrap();
    assert_eq!(config.data_folder, PathBuf::from("/etc/vault/data"));
    assert_eq!(config.counter_file, PathBuf::from("/etc/vault/elsewhere/counter"));
    assert_eq!((config.namespace.as_str(), config.log_url.as_str()), ("backup", "http://127.0.0.1:7311/"));
    assert_eq!(config.cool_off_seconds, 604_800);
    assert_eq!((config.write_deadline, config.bundle_poll_interval), (Duration::from_secs(5), Duration::from_mins(1)));
    assert_eq!(config.peers[1], PeerAddress { member_id: name("member-2"), address: "127.0.0.1:7002".to_owned() });
}

#[test]
fn without_any_of_it_a_member_only_attests() {
    assert!(check(FleetText::default()).unwrap().is_none());
}

#[test]
fn half_a_part_is_refused_by_the_field_that_is_missing() {
    type Remove = fn(&mut FleetText);
    let cases: [(&str, Remove); 8] = [
        ("peer_listen", |text| text.peer_listen = None),
        ("peers", |text| text.peers = None),
        ("log_url", |text| text.log_url = None),
        ("trust", |text| text.trust = None),
        ("data_folder", |text| text.data_folder = None),
        ("counter_file", |text| text.counter_file = None),
        ("sealing_key_file", |text| text.sealing_key_file = None),
        ("account_issuers", |text| text.account_issuers = None),
    ];
    for (expect, remove) in cases {
        let error = refused(remove);
        assert!(matches!(error, FleetConfigError::Incomplete { field } if field == expect), "{expect}: {error:?}");
    }
    // A number alone is a part, too: nothing that was written is ignored.
    let alone = check(FleetText { cool_off_seconds: Some(1), ..FleetText::default() }).unwrap_err();
    assert!(matches!(alone, FleetConfigError::Incomplete { .. }), "{alone:?}");
}

#[test]
fn peers_are_one_list_of_distinct_members_with_this_one_in_it() {
    let peers = |change: fn(&mut Vec<PeerText>)| refused(|text| change(text.peers.as_mut().unwrap()));
    assert!(matches!(peers(Vec::clear), FleetConfigError::PeerCount { found: 0 }));
    let many = peers(|peers| *peers = (1..=16).map(peer).collect());
    assert!(matches!(many, FleetConfigError::PeerCount { found: 16 }), "{many:?}");
    let stranger = peers(|peers| peers[0].member_id = "member-9".to_owned());
    assert!(matches!(stranger, FleetConfigError::OwnPeerMissing { .. }), "{stranger:?}");
    let unnamed = peers(|peers| peers[1].member_id = "Member 2".to_owned());
    assert!(matches!(unnamed, FleetConfigError::PeerName { .. }), "{unnamed:?}");
    for twice in [
        |peers: &mut Vec<PeerText>| peers[1].member_id = "member-1".to_owned(),
        |peers: &mut Vec<PeerText>| {
            peers[1].address = "127.0.0.1:7001".to_owned();
        },
    ] {
        let error = peers(twice);
        assert!(matches!(error, FleetConfigError::DuplicatePeer { .. }), "{error:?}");
    }
    for address in ["", "127.0.0.1", ":1", "host:0", "host:65536", "host:", "a b:1"] {
        let error = refused(|text| text.peers.as_mut().unwrap()[1].address = address.to_owned());
        assert!(matches!(error, FleetConfigError::PeerAddress { .. }), "{address}: {error:?}");
    }
    for address in ["vault-2.example:7319", "[::1]:7319"] {
        let mut text = good();
        text.peers.as_mut().unwrap()[1].address = address.to_owned();
        assert!(check(text).is_ok(), "{address}");
    }
}

#[test]
fn a_log_is_named_by_a_plain_address() {
    for bad in ["", "log.example", "ftp://log.example", "http://a?b", "http://a#b", "http://user@a", "http://:secret@a"]
    {
        let error = refused(|text| text.log_url = Some(bad.to_owned()));
        assert!(matches!(error, FleetConfigError::LogUrl), "{bad}: {error:?}");
    }
}

#[test]
fn a_counter_inside_the_data_folder_is_refused_however_it_is_written() {
    for inside in ["data/counter", "data", "./data/../data/x/counter", "/etc/vault/data/counter", "other/../data/c"] {
        let error = refused(|text| text.counter_file = Some(inside.into()));
        assert!(matches!(error, FleetConfigError::CounterInsideData), "{inside}: {error:?}");
    }
    for outside in ["data-counter", "data/../counter", "/mnt/counter/data"] {
        let mut text = good();
        text.counter_file = Some(outside.into());
        assert!(check(text).is_ok(), "{outside}");
    }
}

#[test]
fn issuers_have_names_and_one_key_each_in_one_spelling() {
    let issuers = |issuers: Vec<IssuerText>| refused(|text| text.account_issuers = Some(issuers));
    for (count, many) in [(0, vec![]), (9, (1..=9).map(|seed| issuer("a", seed)).collect())] {
        let error = issuers(many);
        assert!(matches!(error, FleetConfigError::IssuerCount { found } if found == count), "{error:?}");
    }
    for name in [String::new(), "x".repeat(129), "two\nlines".to_owned(), "ü".to_owned()] {
        let error = issuers(vec![issuer(&name, 1)]);
        assert!(matches!(error, FleetConfigError::IssuerName), "{name}: {error:?}");
    }
    let upper = hex::encode_upper(crate::testkit::public(1).bytes());
    for key in ["", "00", "zz", &upper, &"0".repeat(66)] {
        let error = issuers(vec![IssuerText { issuer: "a".to_owned(), public_key: key.to_owned() }]);
        assert!(matches!(error, FleetConfigError::IssuerKey { .. }), "{key}: {error:?}");
    }
    let error = issuers(vec![issuer("a", 1), issuer("b", 1)]);
    assert!(matches!(error, FleetConfigError::DuplicateIssuer { .. }), "{error:?}");
}

#[test]
fn numbers_have_ranges() {
    type Set = fn(&mut FleetText, u64);
    let cases: [(&str, Set, std::ops::RangeInclusive<u64>); 4] = [
        ("cool_off_seconds", |text, value| text.cool_off_seconds = Some(value), COOL_OFF_SECONDS),
        ("write_deadline_ms", |text, value| text.write_deadline_ms = Some(value), WRITE_DEADLINE_MS),
        ("heartbeat_ms", |text, value| text.heartbeat_ms = Some(value), HEARTBEAT_MS),
        ("bundle_poll_interval_ms", |text, value| text.bundle_poll_interval_ms = Some(value), BUNDLE_POLL_INTERVAL_MS),
    ];
    for (expect, set, range) in cases {
        for (value, fits) in
            [(range.start() - 1, false), (*range.start(), true), (*range.end(), true), (range.end() + 1, false)]
        {
            let mut text = good();
            set(&mut text, value);
            match check(text) {
                Ok(_) => assert!(fits, "{expect} = {value}"),
                Err(FleetConfigError::Range { field, found, .. }) => {
                    assert_eq!((field, found, fits), (expect, value, false));
                }
                Err(other) => panic!("{expect} = {value}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_log_without_a_namespace_serves_no_fleet() {
    let origin = Origin::new("log.example").unwrap();
    let error = good().check(Path::new("/etc/vault"), &origin, &name("member-1")).unwrap_err();
    assert!(matches!(error, FleetConfigError::Namespace(_)), "{error:?}");
}
