//! One file in one encoding; every rule of it broken once.

use super::*;
use crate::testing::*;
use countermark_tlog::proof::verify_inclusion;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::format;
use std::vec;

fn good() -> ValidationBundle {
    World::active().bundle(&[1, 2])
}

#[test]
fn a_bundle_is_read_as_it_was_written() {
    let mut bundle = good();
    for _ in 0..2 {
        assert_eq!(ValidationBundle::parse(&bundle.write()).unwrap(), bundle);
        bundle.records[1].witnessed = Some(String::from("a receipt"));
    }
}

#[test]
fn a_record_keeps_the_bytes_of_its_entry_and_their_path() {
    let world = World::active();
    let bundle = ValidationBundle::parse(&good().write()).unwrap();
    let head = world.head(3);
    for record in &bundle.records {
        assert_eq!(record.entry, world.entries[usize::try_from(record.index.get()).unwrap()]);
        let leaf = countermark_tlog::hash::leaf_hash(&record.entry);
        assert_eq!(verify_inclusion(leaf, record.index, head.size, head.root, &record.path()), Ok(()));
    }
}

#[test]
fn there_is_one_encoding() {
    let bytes = good().write();
    let tree: Value = serde_json::from_slice(&bytes).unwrap();
    let indented = serde_json::to_vec_pretty(&tree).unwrap();
    let others = [
        indented,
        // In a tree the fields are in alphabetical order, in a bundle they are not.
        edited(&bytes, |_| {}),
        bytes[..bytes.len() - 1].to_vec(),
        [bytes.as_slice(), b"\n"].concat(),
        [b" ", bytes.as_slice()].concat(),
        replaced(&bytes, "\"index\":1", "\"index\": 1"),
        replaced(&bytes, "log.example", "log\\u002eexample"),
        replaced(&bytes, "\n", "\r\n"),
    ];
    for other in others {
        let error = ValidationBundle::parse(&other).unwrap_err();
        assert!(matches!(error, BundleError::Encoding), "{error}: {}", String::from_utf8_lossy(&other));
    }
}

/// The variant's name. A new variant has to be named here and produced below.
const fn variant(error: &BundleError) -> &'static str {
    match error {
        BundleError::Json(JsonError::TooLarge { .. }) => "too large",
        BundleError::Json(JsonError::Invalid(_)) => "invalid",
        BundleError::Json(JsonError::WrongType { .. }) => "type",
        BundleError::Encoding => "encoding",
        BundleError::Records => "records",
        BundleError::PathTooLong => "path",
    }
}

/// A change, the variant that refuses it, and a part of what that says.
type Case = (fn(&mut Value), &'static str, &'static str);

const CASES: [Case; 15] = [
    (|b| b["type"] = json!("countermark/validation-bundle/v2"), "type", BUNDLE_TYPE),
    (|b| b["comment"] = json!(""), "invalid", "unknown field"),
    (|b| b["records"][0]["comment"] = json!(""), "invalid", "unknown field"),
    (|b| b["checkpoint"] = json!(null), "invalid", "expected a string"),
    (|b| b["records"][0]["index"] = json!(1.0), "invalid", "floating point"),
    (|b| b["records"][0]["index"] = json!(1_u64 << 53), "invalid", "2^53-1"),
    (|b| b["records"][0]["entry"] = json!("AAA"), "invalid", "standard padded base64"),
    (|b| b["records"][0]["path"][0] = json!("AAAA"), "invalid", "expected a hash in base64"),
    (|b| b["records"][0]["path"] = hashes(64), "path", "at most 63"),
    (|b| b["records"] = json!([]), "records", "1 to 64 records"),
    (|b| b["records"] = records(65), "records", "1 to 64 records"),
    (|b| b["records"].as_array_mut().unwrap().reverse(), "records", "sorted by index"),
    (|b| b["records"][1] = b["records"][0].clone(), "records", "unique"),
    (|b| b["records"] = records(64), "encoding", "one encoding"),
    (|b| b["records"][0]["path"] = hashes(63), "encoding", "one encoding"),
];

fn hashes(count: u8) -> Value {
    (0..count).map(|i| json!(Hash([i; 32]).to_base64())).collect()
}

fn records(count: u8) -> Value {
    (0..count).map(|i| json!({"index": i, "entry": "", "path": []})).collect()
}

#[test]
fn every_rule_is_broken_once_and_refused_by_its_own_variant() {
    let bytes = good().write();
    let check = |bytes: &[u8], expected: &str, says: &str| {
        let error = ValidationBundle::parse(bytes).expect_err(says);
        assert_eq!(variant(&error), expected, "{error}");
        assert!(format!("{error}").contains(says), "{error} does not say {says:?}");
        variant(&error)
    };
    let content = CASES.iter().map(|(edit, expected, says)| check(&edited(&bytes, edit), expected, says));
    let mut produced: BTreeSet<&str> = content.collect();
    produced.insert(check(&vec![b' '; BUNDLE_BYTES_MAX + 1], "too large", "1048577 bytes"));
    let doubled = replaced(&bytes, "{", "{\"checkpoint\":\"\",");
    let null = replaced(&bytes, "}", ",\"witnessed\":null}");
    produced.insert(check(&null, "invalid", "leave the field out"));
    produced.insert(check(&doubled, "invalid", "duplicate field `checkpoint`"));
    produced.insert(check(&[bytes.as_slice(), b"{}"].concat(), "invalid", "trailing characters"));
    assert_eq!(produced, BTreeSet::from(["too large", "invalid", "type", "encoding", "records", "path"]));
}
