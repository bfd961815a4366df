//! Six types, one reader: what each must obey by itself, and what makes two entries the same.

use super::*;
use crate::statement::STATEMENT_BYTES_MAX;
use crate::testing::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::format;
use std::vec;

const CERTIFIED: usize = 0;
const ACTIVATION: usize = 1;
const REVOCATION: usize = 2;
const EVIDENCE: usize = 3;
const POLICY: usize = 4;
const AUTHORITY: usize = 5;

/// One entry of each type.
fn six() -> [Entry; 6] {
    let world = World::active();
    let parse = |i: usize| Entry::parse(&world.entries[i]).unwrap();
    let mut successors = vec![Digest::of(b"next"), Digest::of(b"the one after")];
    successors.sort();
    let change = world.authority_change(1, world.trust.keys.clone(), successors);
    [
        parse(1),
        parse(2),
        world.revoke(Side::Operator, &[1, 2], &["fleet-1"]),
        world.evidence(Side::Authority, "claims"),
        parse(0),
        Entry::AuthorityChange(change),
    ]
}

#[test]
fn every_type_is_read_as_it_was_written() {
    let types: Vec<&str> = six()
        .iter()
        .map(|entry| {
            let bytes = entry.write();
            assert_eq!(Entry::parse(&bytes).unwrap(), *entry);
            assert_eq!(bytes.iter().position(|byte| *byte == b'\n'), Some(bytes.len() - 1), "one line");
            assert_eq!(entry.origin(), &origin());
            let tree: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(tree["type"], entry.type_name());
            entry.type_name()
        })
        .collect();
    let expected = [
        CERTIFIED_STATEMENT_TYPE,
        ACTIVATION_TYPE,
        REVOCATION_TYPE,
        EVIDENCE_TYPE,
        POLICY_CHANGE_TYPE,
        AUTHORITY_CHANGE_TYPE,
    ];
    assert_eq!(types, expected);
}

/// The variant's name. A new variant has to be named here and produced below.
const fn variant(error: &EntryError) -> &'static str {
    match error {
        EntryError::Json(JsonError::TooLarge { .. }) => "too large",
        EntryError::Json(JsonError::Invalid(_)) => "invalid",
        EntryError::Json(JsonError::WrongType { .. }) => "type",
        EntryError::UnknownType { .. } => "unknown type",
        EntryError::Statement(_) => "statement",
        EntryError::Manifest(_) => "manifest",
        EntryError::InnerOrigin => "inner origin",
        EntryError::List { .. } => "list",
        EntryError::NoTarget => "no target",
        EntryError::Reason => "reason",
        EntryError::OfficerKey { .. } => "officer key",
        EntryError::ApprovalsNeeded => "approvals needed",
    }
}

/// What a parser of entries can refuse with; `type` is never met, because the type chooses the reader.
const VARIANTS: [&str; 11] = [
    "too large",
    "invalid",
    "unknown type",
    "statement",
    "manifest",
    "inner origin",
    "list",
    "no target",
    "reason",
    "officer key",
    "approvals needed",
];

/// An entry and a change to it.
type Change = (usize, fn(&mut Value));

/// An entry, a change to it, the variant that refuses it, and a part of what that says.
type Case = (usize, fn(&mut Value), &'static str, &'static str);

const CASES: [Case; 46] = [
    (CERTIFIED, |e| e["type"] = json!("countermark/certified-statement/v2"), "unknown type", "statement/v2"),
    (CERTIFIED, |e| e["type"] = json!(""), "unknown type", "\"\""),
    (CERTIFIED, |e| e["type"] = json!(ACTIVATION_TYPE), "invalid", "not the expected JSON document"),
    (CERTIFIED, |e| e["type"] = json!(1), "invalid", "expected a string"),
    (CERTIFIED, |e| *e = json!([e["type"]]), "invalid", "invalid type: sequence"),
    (CERTIFIED, |e| e["statement"] = json!(""), "statement", "EOF"),
    (CERTIFIED, |e| e["statement"] = json!("e30"), "invalid", "standard padded base64"),
    (CERTIFIED, |e| e["origin"] = json!("log.example/other"), "inner origin", "another log"),
    (CERTIFIED, |e| e["approvals"] = json!(["x".repeat(APPROVAL_BYTES_MAX + 1)]), "list", "approvals"),
    (CERTIFIED, |e| e["approvals"] = json!(vec!["x".repeat(APPROVAL_BYTES_MAX); 5]), "list", "approvals"),
    (CERTIFIED, |e| e["approvals"] = json!(null), "invalid", "expected a sequence"),
    (CERTIFIED, |e| e["decision"]["rule"] = json!("A rule"), "invalid", "a name is"),
    (CERTIFIED, |e| e["decision"] = json!([e["decision"]["policy"], "rule"]), "invalid", "invalid type: sequence"),
    (CERTIFIED, |e| e["certificate"]["timestamp_ms"] = json!(1_u64 << 53), "invalid", "2^53-1"),
    (ACTIVATION, |e| e["countersignatures"] = json!([]), "list", "countersignatures"),
    (ACTIVATION, |e| twice(e, "countersignatures"), "list", "countersignatures"),
    (ACTIVATION, |e| e["countersignatures"] = many(9, countersignature), "list", "countersignatures"),
    (ACTIVATION, |e| e["leaf_index"] = json!(-1), "invalid", "integer `-1`"),
    (ACTIVATION, |e| e["leaf_index"] = json!(1_u64 << 53), "invalid", "2^53-1"),
    (ACTIVATION, |e| e["epoch"] = json!(0), "invalid", "an epoch is"),
    (ACTIVATION, |e| e["renewal"] = json!("0"), "invalid", "expected u64"),
    (REVOCATION, |e| e["epochs"] = json!([2, 1]), "list", "epochs"),
    (REVOCATION, |e| e["epochs"] = many(65, |i| json!(i + 1)), "list", "epochs"),
    (REVOCATION, |e| twice(e, "fleets"), "list", "fleets"),
    (REVOCATION, |e| e["fleets"] = many(65, |i| json!(format!("fleet-{i:02}"))), "list", "fleets"),
    (REVOCATION, |e| e["keys"] = json!([digest(2), digest(1)]), "list", "keys"),
    (REVOCATION, |e| e["keys"] = many(65, |i| json!(digest(i))), "list", "keys"),
    (REVOCATION, |e| (e["epochs"], e["fleets"]) = (json!([]), json!([])), "no target", "at least one"),
    (REVOCATION, |e| e["reason"] = json!(""), "reason", "1 to 500"),
    (REVOCATION, |e| e["reason"] = json!("x".repeat(501)), "reason", "1 to 500"),
    (REVOCATION, |e| e["reason"] = json!("drill\nepoch 3"), "reason", "one line"),
    (REVOCATION, |e| e["reason"] = json!("\u{85}"), "reason", "one line"),
    (REVOCATION, |e| e["side"] = json!("witness"), "invalid", "unknown variant"),
    (EVIDENCE, |e| e["manifest"] = json!("e30="), "manifest", "missing field"),
    (EVIDENCE, |e| e["origin"] = json!("log.example/other"), "inner origin", "another log"),
    (POLICY, |e| e["officers"].as_array_mut().unwrap().reverse(), "list", "officers"),
    (POLICY, |e| twice(e, "officers"), "list", "officers"),
    (POLICY, |e| e["officers"] = many(33, officer), "list", "officers"),
    (POLICY, |e| e["officers"][0]["key"] = e["officers"][1]["key"].clone(), "list", "officers' keys"),
    (POLICY, |e| e["officers"][0]["key"] = json!(p384_signer(8).public()), "officer key", "officer-0 must be ed25519"),
    (POLICY, |e| e["officers"][1]["key"] = json!(x25519_public(8)), "officer key", "officer-1 must be ed25519"),
    (POLICY, |e| e["approvals_needed"] = json!(0), "approvals needed", "1 to the number"),
    (POLICY, |e| e["approvals_needed"] = json!(3), "approvals needed", "1 to the number"),
    (AUTHORITY, |e| e["successors"].as_array_mut().unwrap().reverse(), "list", "successors"),
    (AUTHORITY, |e| e["successors"] = many(17, |i| json!(digest(i))), "list", "successors"),
    (AUTHORITY, |e| e["signatures"].as_array_mut().unwrap().reverse(), "list", "signatures"),
];

fn many(count: u8, one: fn(u8) -> Value) -> Value {
    (0..count).map(one).collect()
}

/// A digest that rises with the number.
fn digest(i: u8) -> Digest {
    Digest([i; 32])
}

fn countersignature(i: u8) -> Value {
    json!({"key_id": digest(i), "signature": ""})
}

fn officer(i: u8) -> Value {
    json!({"subject": format!("officer-{i:02}"), "key": ed25519_signer(i + 1).public()})
}

fn twice(entry: &mut Value, list: &str) {
    let first = entry[list][0].clone();
    entry[list].as_array_mut().unwrap().insert(0, first);
}

fn check(bytes: &[u8], expected: &str, says: &str) -> &'static str {
    let error = Entry::parse(bytes).expect_err(says);
    assert_eq!(variant(&error), expected, "{error}");
    assert!(format!("{error}").contains(says), "{error} does not say {says:?}");
    variant(&error)
}

#[test]
fn every_rule_is_broken_once_and_refused_by_its_own_variant() {
    let six = six().map(|entry| entry.write());
    let content = CASES.iter().map(|(entry, edit, expected, says)| check(&edited(&six[*entry], edit), expected, says));
    let mut produced: BTreeSet<&str> = content.collect();
    produced.insert(check(&vec![b' '; ENTRY_BYTES_MAX + 1], "too large", "65536 bytes, more than the 65535"));
    assert_eq!(produced, BTreeSet::from(VARIANTS));
}

#[test]
fn the_bounds_themselves_are_allowed() {
    let six = six().map(|entry| entry.write());
    let allowed: [Change; 10] = [
        (CERTIFIED, |e| e["approvals"] = json!(vec!["x".repeat(APPROVAL_BYTES_MAX); 4])),
        (CERTIFIED, |e| e["approvals"] = json!([])),
        (ACTIVATION, |e| e["countersignatures"] = many(8, countersignature)),
        (REVOCATION, |e| (e["epochs"], e["fleets"], e["keys"]) = (json!([]), json!([]), json!([digest(1)]))),
        (REVOCATION, |e| e["epochs"] = many(64, |i| json!(i + 1))),
        (REVOCATION, |e| e["reason"] = json!("x".repeat(REASON_BYTES_MAX))),
        (POLICY, |e| e["officers"] = many(32, officer)),
        (POLICY, |e| e["approvals_needed"] = json!(1)),
        (AUTHORITY, |e| e["successors"] = many(16, |i| json!(digest(i)))),
        (AUTHORITY, |e| e["signatures"] = json!([])),
    ];
    for (i, (entry, edit)) in allowed.into_iter().enumerate() {
        Entry::parse(&edited(&six[entry], edit)).unwrap_or_else(|error| panic!("{i}: {error}"));
    }
    for bytes in six {
        let mut longest = bytes;
        longest.resize(ENTRY_BYTES_MAX, b' ');
        Entry::parse(&longest).unwrap();
    }
}

#[test]
fn unknown_and_doubled_fields_are_refused_in_every_type() {
    for entry in six() {
        let bytes = entry.write();
        check(&edited(&bytes, |e| e["comment"] = json!("")), "invalid", "unknown field `comment`");
        check(&replaced(&bytes, "{", "{\"origin\":\"log.example/backup\","), "invalid", "duplicate field `origin`");
        check(&replaced(&bytes, "{", "{\"type\":\"x\","), "invalid", "duplicate field `type`");
        check(&[bytes.as_slice(), b"{}"].concat(), "invalid", "trailing characters");
    }
}

#[test]
fn the_largest_statement_with_the_most_approvals_fits_into_an_entry() {
    let Entry::CertifiedStatement(mut certified) = six()[CERTIFIED].clone() else { panic!("the first is certified") };
    certified.statement.resize(STATEMENT_BYTES_MAX, b' ');
    certified.approvals = vec!["x".repeat(APPROVAL_BYTES_MAX); APPROVALS_BYTES_MAX / APPROVAL_BYTES_MAX];
    let bytes = Entry::CertifiedStatement(certified).write();
    assert!(bytes.len() <= ENTRY_BYTES_MAX, "{}", bytes.len());
    Entry::parse(&bytes).unwrap();
}

#[test]
fn the_largest_manifest_fits_into_an_entry() {
    let Entry::Evidence(mut evidence) = six()[EVIDENCE].clone() else { panic!("the fourth is evidence") };
    evidence.manifest.resize(crate::evidence::MANIFEST_BYTES_MAX, b' ');
    Entry::parse(&Entry::Evidence(evidence).write()).unwrap();
}

fn identity(bytes: &[u8]) -> Digest {
    Entry::parse(bytes).unwrap().identity()
}

#[test]
fn an_identity_never_covers_a_signature() {
    let six = six().map(|entry| entry.write());
    let other: [Change; 10] = [
        (CERTIFIED, |e| e["certificate"]["signature"] = json!("AAAA")),
        (CERTIFIED, |e| e["certificate"]["timestamp_ms"] = json!(1)),
        (CERTIFIED, |e| e["approvals"] = json!([])),
        (CERTIFIED, |e| e["decision"]["rule"] = json!("another")),
        (ACTIVATION, |e| e["countersignatures"][0]["signature"] = other_s(&e["countersignatures"][0]["signature"])),
        (ACTIVATION, |e| e["countersignatures"] = many(2, countersignature)),
        (REVOCATION, |e| (e["signature"], e["reason"]) = (json!("AAAA"), json!("another reason"))),
        (EVIDENCE, |e| (e["signature"], e["key_id"]) = (json!("AAAA"), json!(digest(1)))),
        (POLICY, |e| (e["signature"], e["key_id"]) = (json!("AAAA"), json!(digest(1)))),
        (AUTHORITY, |e| e["signatures"] = json!([])),
    ];
    for (i, (entry, edit)) in other.into_iter().enumerate() {
        let changed = edited(&six[entry], edit);
        assert_ne!(Entry::parse(&changed).unwrap(), Entry::parse(&six[entry]).unwrap(), "{i}");
        assert_eq!(identity(&changed), identity(&six[entry]), "{i}");
    }
}

fn other_s(signature: &Value) -> Value {
    let bytes = STANDARD.decode(signature.as_str().unwrap()).unwrap();
    json!(STANDARD.encode(with_other_s(&bytes)))
}

#[test]
fn an_identity_covers_everything_else() {
    let six = six().map(|entry| entry.write());
    let mut identities: BTreeSet<Digest> = six.iter().map(|bytes| identity(bytes)).collect();
    let other: [Change; 16] = [
        (CERTIFIED, |e| e["statement"] = with_a_space(&e["statement"])),
        (ACTIVATION, |e| e["origin"] = json!("log.example/other")),
        (ACTIVATION, |e| e["renewal"] = json!(1)),
        (ACTIVATION, |e| e["epoch"] = json!(2)),
        (ACTIVATION, |e| e["statement"] = json!(digest(1))),
        (REVOCATION, |e| e["side"] = json!("authority")),
        (REVOCATION, |e| e["epochs"] = json!([1])),
        (REVOCATION, |e| e["fleets"] = json!([])),
        (REVOCATION, |e| e["keys"] = json!([digest(1)])),
        (EVIDENCE, |e| e["side"] = json!("operator")),
        (EVIDENCE, |e| e["manifest"] = with_a_space(&e["manifest"])),
        (POLICY, |e| e["serial"] = json!(2)),
        (POLICY, |e| e["policy"] = json!(digest(1))),
        (POLICY, |e| e["approvals_needed"] = json!(1)),
        (AUTHORITY, |e| e["successors"] = json!([])),
        (AUTHORITY, |e| e["keys"]["operator"]["threshold"] = json!(2)),
    ];
    let expected = identities.len() + other.len();
    identities.extend(other.into_iter().map(|(entry, edit)| identity(&edited(&six[entry], edit))));
    assert_eq!(identities.len(), expected);
}

fn with_a_space(base64: &Value) -> Value {
    let bytes = STANDARD.decode(base64.as_str().unwrap()).unwrap();
    json!(STANDARD.encode([bytes.as_slice(), b" "].concat()))
}

#[test]
fn evidence_that_was_not_parsed_has_no_root() {
    let Entry::Evidence(mut evidence) = six()[EVIDENCE].clone() else { panic!("the fourth is evidence") };
    assert_eq!(evidence.root_hex().len(), 64);
    evidence.manifest.clear();
    assert_eq!(evidence.root_hex(), "");
}
