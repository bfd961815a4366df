//! What a client pins and what it remembers: one encoding each, and every rule broken once.

use super::*;
use crate::identity::Side;
use crate::testing::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::format;
use std::vec;

/// A trust file that uses every field.
fn full() -> TrustFile {
    let mut trust = World::new().trust;
    trust.successors = vec![digest(1), digest(2)];
    trust.serial = 3;
    trust.floor = TrustFloor {
        epoch: Some(Epoch::FIRST),
        digest: Some(digest(3)),
        size: size(3),
        root: RootHash(countermark_tlog::hash::Hash([4; 32])),
    };
    trust.pinned_keys = Some(vec![KeyId(digest(5)), KeyId(digest(6))]);
    trust
}

fn digest(i: u8) -> Digest {
    Digest([i; 32])
}

/// Revocations of these epochs, as a floor remembers them.
fn revocations(epochs: core::ops::RangeInclusive<u64>) -> Vec<String> {
    let world = World::new();
    let one = |epoch| String::from_utf8(world.revoke(Side::Operator, &[epoch], &[]).write()).unwrap();
    let mut all: Vec<String> = epochs.map(one).collect();
    all.sort();
    all
}

/// A floor that uses every field.
fn full_floor() -> Floor {
    Floor { head_time: Some(at(NOW)), revocations: revocations(7..=8), ..full().initial_floor() }
}

#[test]
fn a_trust_file_is_read_as_it_was_written() {
    for trust in [World::new().trust, full()] {
        assert_eq!(TrustFile::parse(&trust.write()).unwrap(), trust);
    }
    assert_eq!(full().namespace().as_str(), "backup");
    let authority = full().authority().unwrap();
    assert_eq!((authority.serial(), authority.keys()), (3, &full().keys));
}

#[test]
fn a_floor_is_read_as_it_was_written() {
    for floor in [World::new().trust.initial_floor(), full_floor()] {
        assert_eq!(Floor::parse(&floor.write()).unwrap(), floor);
    }
    let initial = full().initial_floor();
    assert_eq!((initial.epoch, initial.digest, initial.size), (Some(Epoch::FIRST), Some(digest(3)), size(3)));
    assert_eq!((initial.head_time, initial.revocations), (None, vec![]));
}

/// Changes that keep the content and are not the one encoding.
fn other_encodings(document: &[u8], first: &str, second: &str) -> Vec<Vec<u8>> {
    let swapped = replaced(&replaced(document, first, "\u{1}"), second, first);
    vec![
        edited(document, |_| {}),
        document[..document.len() - 1].to_vec(),
        [document, b"\n"].concat(),
        [b" ", document].concat(),
        replaced(document, "\": ", "\":  "),
        replaced(document, "log.example", "log\\u002eexample"),
        replaced(document, "/v1", "\\/v1"),
        replaced(document, "\n", "\r\n"),
        replaced(&swapped, "\u{1}", second),
    ]
}

#[test]
fn there_is_one_encoding_of_a_trust_file() {
    let good = full().write();
    let (issued, serial) = ("\"issued_at\": \"2026-11-20T23:43:20Z\"", "\"serial\": 3");
    let others = other_encodings(&good, issued, serial);
    for other in others {
        let error = TrustFile::parse(&other).unwrap_err();
        assert!(matches!(error, TrustError::Encoding), "{error}: {}", String::from_utf8_lossy(&other));
    }
}

#[test]
fn an_absent_field_is_not_null() {
    let unpinned = TrustFile { pinned_keys: None, ..full() }.write();
    let null = replaced(&unpinned, "\"require_link\": true", "\"require_link\": true,\n  \"pinned_keys\": null");
    let error = TrustFile::parse(&null).unwrap_err();
    assert!(error.to_string().contains("leave the field out"), "{error}");
}

#[test]
fn there_is_one_encoding_of_a_floor() {
    let good = full_floor().write();
    for other in other_encodings(&good, "\"epoch\": 1", "\"size\": 3") {
        let error = Floor::parse(&other).unwrap_err();
        assert!(matches!(error, TrustError::Encoding), "{error}: {}", String::from_utf8_lossy(&other));
    }
}

/// The variant's name. A new variant has to be named here and produced below.
const fn variant(error: &TrustError) -> &'static str {
    match error {
        TrustError::Json(JsonError::TooLarge { .. }) => "too large",
        TrustError::Json(JsonError::Invalid(_)) => "invalid",
        TrustError::Json(JsonError::WrongType { .. }) => "type",
        TrustError::Encoding => "encoding",
        TrustError::Keys(_) => "keys",
        TrustError::Origin => "origin",
        TrustError::List { .. } => "list",
        TrustError::Limits => "limits",
        TrustError::Floor => "floor",
        TrustError::Revocation(_) => "revocation",
    }
}

/// A change to a document, the variant that refuses it, and a part of what that says.
type Case = (fn(&mut Value), &'static str, &'static str);

const TRUST_CASES: [Case; 22] = [
    (|t| t["type"] = json!(FLOOR_TYPE), "type", TRUST_TYPE),
    (|t| t["comment"] = json!(""), "invalid", "unknown field"),
    (|t| t["keys"]["comment"] = json!(""), "invalid", "unknown field"),
    (|t| t["serial"] = json!(1_u64 << 53), "invalid", "2^53-1"),
    (|t| t["serial"] = json!(-1), "invalid", "integer `-1`"),
    (|t| t["require_link"] = json!(1), "invalid", "expected a boolean"),
    (|t| t["floor"]["root"] = json!("AA=="), "invalid", "not a valid root_hash"),
    (|t| t["keys"]["certificate"][0]["public_key"] = json!("00".repeat(32)), "invalid", "not a usable"),
    (|t| t["origin"] = json!("log.example"), "origin", "<authority name>/<namespace>"),
    (|t| t["origin"] = json!("/backup"), "origin", "<authority name>/<namespace>"),
    (|t| t["origin"] = json!("log.example/Backup"), "origin", "<authority name>/<namespace>"),
    (|t| t["origin"] = json!("log.example/tile"), "origin", "<authority name>/<namespace>"),
    (|t| t["origin"] = json!("log.example/other"), "keys", "must name the log"),
    (|t| t["keys"]["operator"]["threshold"] = json!(0), "keys", "threshold"),
    (|t| reverse(&mut t["successors"]), "list", "successors"),
    (|t| t["successors"] = digests(17), "list", "successors"),
    (|t| t["limits"]["max_head_age_seconds"] = json!(0), "limits", "at least one second"),
    (|t| t["limits"]["max_statement_lifetime_seconds"] = json!(0), "limits", "at least one second"),
    (|t| reverse(&mut t["pinned_keys"]), "list", "pinned_keys"),
    (|t| t["pinned_keys"] = digests(1025), "list", "pinned_keys"),
    (|t| remove(&mut t["floor"], "digest"), "floor", "epoch and digest together"),
    (|t| t["floor"]["size"] = json!(0), "floor", "empty root"),
];

const FLOOR_CASES: [Case; 12] = [
    (|f| f["type"] = json!(TRUST_TYPE), "type", FLOOR_TYPE),
    (|f| f["comment"] = json!(""), "invalid", "unknown field"),
    (|f| f["head_time"] = json!(NOW), "invalid", "expected a string"),
    (|f| remove(f, "epoch"), "floor", "epoch and digest together"),
    (|f| remove(f, "digest"), "floor", "epoch and digest together"),
    (|f| f["size"] = json!(0), "floor", "empty root"),
    (|f| reverse(&mut f["revocations"]), "list", "revocations"),
    (|f| f["revocations"][1] = f["revocations"][0].clone(), "list", "revocations"),
    (|f| f["revocations"] = (0..257_u16).map(|i| json!(format!("{i:03}"))).collect(), "list", "revocations"),
    (|f| f["revocations"] = json!(["{}"]), "revocation", "missing field"),
    (|f| f["revocations"] = json!([evidence()]), "list", "revocations"),
    (|f| f["origin"] = json!("log.example/other"), "revocation", "another log"),
];

fn reverse(list: &mut Value) {
    list.as_array_mut().unwrap().reverse();
}

fn remove(object: &mut Value, field: &str) {
    assert!(object.as_object_mut().unwrap().remove(field).is_some());
}

fn digests(count: u16) -> Value {
    let digest = |i: u16| {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&i.to_be_bytes());
        json!(Digest(bytes))
    };
    (0..count).map(digest).collect()
}

fn evidence() -> String {
    String::from_utf8(World::new().evidence(Side::Operator, "claims").write()).unwrap()
}

fn check<T: core::fmt::Debug>(
    parse: fn(&[u8]) -> Result<T, TrustError>,
    good: &[u8],
    cases: &[Case],
) -> BTreeSet<&'static str> {
    let of_case = |(edit, expected, says): &Case| {
        let error = parse(&edited(good, edit)).expect_err(says);
        assert_eq!(variant(&error), *expected, "{error}");
        assert!(error.to_string().contains(says), "{error} does not say {says:?}");
        variant(&error)
    };
    let mut produced: BTreeSet<&str> = cases.iter().map(of_case).collect();
    produced.insert(variant(&parse(&vec![b' '; TRUST_BYTES_MAX + 1]).unwrap_err()));
    produced
}

#[test]
fn every_rule_of_a_trust_file_is_broken_once_and_refused_by_its_own_variant() {
    let produced = check(TrustFile::parse, &full().write(), &TRUST_CASES);
    let expected = ["too large", "invalid", "type", "keys", "origin", "list", "limits", "floor"];
    assert_eq!(produced, BTreeSet::from(expected), "and `encoding` above");
}

#[test]
fn every_rule_of_a_floor_is_broken_once_and_refused_by_its_own_variant() {
    let produced = check(Floor::parse, &full_floor().write(), &FLOOR_CASES);
    let expected = ["too large", "invalid", "type", "list", "floor", "revocation"];
    assert_eq!(produced, BTreeSet::from(expected), "and `encoding` above");
}

#[test]
fn the_bounds_themselves_are_allowed() {
    let mut trust = full();
    trust.successors = (0..16).map(digest).collect();
    let pinned = |i: u16| {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&i.to_be_bytes());
        KeyId(Digest(bytes))
    };
    trust.pinned_keys = Some((0..1024).map(pinned).collect());
    trust.limits = Limits { max_head_age_seconds: 1, max_statement_lifetime_seconds: 1 };
    assert_eq!(TrustFile::parse(&trust.write()).unwrap(), trust);
    trust.pinned_keys = Some(vec![]);
    assert_eq!(TrustFile::parse(&trust.write()).unwrap(), trust, "none is pinned, which is not the same as not asked");

    let mut floor = full_floor();
    floor.revocations = revocations(1..=256);
    assert_eq!(Floor::parse(&floor.write()).unwrap(), floor);
}
