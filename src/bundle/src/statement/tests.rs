//! Every rule of a statement is broken once, first in its content, then in its JSON.

use super::*;
use crate::testing::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::string::ToString;
use std::vec;

fn good() -> Statement {
    World::new().statement(1)
}

fn parse(bytes: &[u8]) -> Result<ParsedStatement, StatementError> {
    ParsedStatement::parse(bytes)
}

#[test]
fn a_statement_is_read_as_it_was_written() {
    let statement = good();
    let bytes = statement.write();
    let parsed = parse(&bytes).unwrap();
    assert_eq!((parsed.statement(), parsed.bytes()), (&statement, bytes.as_slice()));
    assert_eq!(parsed.digest(), Digest::of(&bytes));
    assert_eq!(statement.lifetime_seconds(), 90 * 86_400 + 10);
    assert_eq!(statement.keys().count(), 6);
}

#[test]
fn the_bytes_are_kept_exactly_so_other_white_space_is_another_statement() {
    let bytes = good().write();
    let parsed = parse(&bytes).unwrap();
    let compact = edited(&bytes, |_| {});
    for variant in [compact, replaced(&bytes, ": 1,", ":  1,"), [bytes.as_slice(), b" "].concat()] {
        let other = parse(&variant).unwrap();
        assert_eq!(other.bytes(), variant);
        assert_eq!(other.statement(), parsed.statement());
        assert_ne!(other.digest(), parsed.digest());
    }
}

/// The variant's name. A new variant has to be named here and produced below.
const fn variant(error: &StatementError) -> &'static str {
    match error {
        StatementError::Json(JsonError::TooLarge { .. }) => "too large",
        StatementError::Json(JsonError::Invalid(_)) => "invalid",
        StatementError::Json(JsonError::WrongType { .. }) => "type",
        StatementError::Previous => "previous",
        StatementError::Window { .. } => "window",
        StatementError::Bounds { .. } => "bounds",
        StatementError::Order { .. } => "order",
        StatementError::Text { .. } => "text",
        StatementError::Key { .. } => "key",
        StatementError::KeyRule { .. } => "key rule",
        StatementError::MemberKeys { .. } => "member keys",
    }
}

const VARIANTS: [&str; 11] =
    ["too large", "invalid", "type", "previous", "window", "bounds", "order", "text", "key", "key rule", "member keys"];

/// A change, the variant that refuses it, and a part of what that says.
type Case = (fn(&mut Statement), &'static str, &'static str);

const CASES: [Case; 37] = [
    (|s| s.kind = "countermark/fleet-statement/v2".to_string(), "type", STATEMENT_TYPE),
    (|s| s.previous = Some(Digest::of(b"0")), "previous", "epoch 1 has no previous"),
    (|s| s.epoch = Epoch::new(2).unwrap(), "previous", "every later epoch names one"),
    (|s| s.not_after = s.not_before, "window", "statement: not_before"),
    (|s| s.not_after = at(s.not_before.unix() - 1), "window", "statement: not_before"),
    (|s| key(s).not_after = key(s).not_before, "window", "key: not_before"),
    (|s| s.max_head_age_seconds = 59, "bounds", "max_head_age_seconds is 59, allowed are 60 to 2678400"),
    (|s| s.max_head_age_seconds = 31 * 86_400 + 1, "bounds", "max_head_age_seconds is 2678401"),
    (|s| s.fleets.clear(), "bounds", "fleets is 0, allowed are 1 to 16"),
    (|s| s.fleets = vec![small(s); 17], "bounds", "fleets is 17"),
    (|s| s.fleets[0].members.clear(), "bounds", "members is 0, allowed are 1 to 15"),
    (|s| s.fleets[0].members = vec![small(s).members.remove(0); 16], "bounds", "members is 16"),
    (|s| s.fleets[0].majority = 1, "bounds", "majority is 1, allowed are 2 to 3"),
    (|s| s.fleets[0].majority = 4, "bounds", "majority is 4, allowed are 2 to 3"),
    (|s| s.fleets[0].guess_limit = 0, "bounds", "guess_limit is 0, allowed are 1 to 100"),
    (|s| s.fleets[0].guess_limit = 101, "bounds", "guess_limit is 101"),
    (|s| member(s).keys.clear(), "bounds", "keys is 0, allowed are 1 to 8"),
    (|s| member(s).keys = vec![key(s).clone(); 9], "bounds", "keys is 9"),
    (|s| s.fleets.push(s.fleets[0].clone()), "order", "fleets"),
    (|s| s.fleets[0].members.swap(0, 1), "order", "members"),
    (|s| s.fleets[0].members[1].member_id = member(s).member_id.clone(), "order", "members"),
    (|s| member(s).keys.swap(0, 1), "order", "keys"),
    (|s| member(s).keys[1] = key(s).clone(), "order", "keys"),
    (|s| s.fleets[0].software.name.clear(), "text", "software.name"),
    (|s| s.fleets[0].software.version = "1 0".to_string(), "text", "software.version"),
    (|s| s.fleets[0].software.version = "ä".to_string(), "text", "software.version"),
    (|s| s.fleets[0].software.name = "x".repeat(65), "text", "software.name"),
    (|s| member(s).attestation.format = "a\n".to_string(), "text", "attestation.format"),
    (|s| key(s).public_key.truncate(62), "key", "has 32 bytes, found 31"),
    (|s| key(s).public_key = "00".repeat(32), "key", "not a usable"),
    (|s| key_of(s, KeyRole::Session).public_key = "ff".repeat(32), "key", "not a usable x25519 point"),
    (|s| key(s).key_id = KeyId(Digest([0; 32])), "key rule", "SHA-256 over algorithm and key"),
    (|s| key_of(s, KeyRole::Session).role = KeyRole::Identity, "key rule", "session keys are x25519"),
    (|s| key_of(s, KeyRole::Identity).role = KeyRole::Session, "key rule", "identity keys ed25519"),
    (|s| s.fleets[0].members[1].keys = member(s).keys.clone(), "key rule", "one key, one member"),
    (|s| member(s).keys.retain(|key| key.role == KeyRole::Session), "member keys", "member-1"),
    (|s| member(s).keys.retain(|key| key.role == KeyRole::Identity), "member keys", "member-1"),
];

fn member(statement: &mut Statement) -> &mut Member {
    &mut statement.fleets[0].members[0]
}

fn key(statement: &mut Statement) -> &mut MemberKey {
    &mut member(statement).keys[0]
}

fn key_of(statement: &mut Statement, role: KeyRole) -> &mut MemberKey {
    member(statement).keys.iter_mut().find(|key| key.role == role).unwrap()
}

/// A fleet of one member, of which many fit into a statement.
fn small(statement: &Statement) -> Fleet {
    let mut fleet = statement.fleets[0].clone();
    fleet.members.truncate(1);
    fleet
}

fn check(bytes: &[u8], expected: &str, says: &str) -> &'static str {
    let error = parse(bytes).expect_err(says);
    assert_eq!(variant(&error), expected, "{error}");
    assert!(error.to_string().contains(says), "{error} does not say {says:?}");
    variant(&error)
}

#[test]
fn every_rule_is_broken_once_and_refused_by_its_own_variant() {
    let content = CASES.iter().map(|(change, expected, says)| {
        let mut statement = good();
        change(&mut statement);
        // Compact, so that the longest lists stay below the limit of bytes.
        check(&serde_json::to_vec(&statement).unwrap(), expected, says)
    });
    let mut produced: BTreeSet<&str> = content.collect();
    produced.insert(check(b"", "invalid", "EOF"));
    produced.insert(check(&vec![b' '; STATEMENT_BYTES_MAX + 1], "too large", "32769 bytes, more than the 32768"));
    assert_eq!(produced, BTreeSet::from(VARIANTS));
}

#[test]
fn the_bounds_themselves_are_allowed() {
    let allowed: [fn(&mut Statement); 8] = [
        |s| s.max_head_age_seconds = 60,
        |s| s.max_head_age_seconds = 31 * 86_400,
        |s| s.fleets[0].majority = 3,
        |s| s.fleets[0].guess_limit = 1,
        |s| s.fleets[0].guess_limit = 100,
        |s| s.fleets[0].software.name = "x".repeat(64),
        |s| s.not_after = at(s.not_before.unix() + 1),
        |s| s.fleets[0].status = FleetStatus::Retired,
    ];
    for (i, change) in allowed.into_iter().enumerate() {
        let mut statement = good();
        change(&mut statement);
        parse(&statement.write()).unwrap_or_else(|error| panic!("{i}: {error}"));
    }
    let mut longest = good().write();
    longest.resize(STATEMENT_BYTES_MAX, b' ');
    parse(&longest).unwrap();
}

#[test]
fn statuses_say_whether_a_fleet_serves() {
    for (status, word, serves) in [
        (FleetStatus::Next, "next", false),
        (FleetStatus::Active, "active", true),
        (FleetStatus::Draining, "draining", true),
        (FleetStatus::Retired, "retired", false),
    ] {
        assert_eq!((status.as_str(), status.serves()), (word, serves));
        assert_eq!(serde_json::to_value(status).unwrap(), json!(word));
    }
}

#[test]
fn other_json_is_refused() {
    let bytes = good().write();
    let hex = good().fleets[0].software.sha256.to_hex();
    let upper = hex.to_uppercase();
    let key = key_of(&mut good(), KeyRole::Identity).public_key.clone();
    let upper_key = key.to_uppercase();
    assert!(upper != hex && upper_key != key);
    let cases = [
        ("\"epoch\": 1,", "\"epoch\": 1, \"epoch\": 1,", "duplicate field `epoch`"),
        ("\"epoch\": 1,", "\"epoch\": 1, \"\\u0065poch\": 1,", "duplicate field `epoch`"),
        ("\"majority\": 2,", "\"majority\": 2, \"majority\": 2,", "duplicate field `majority`"),
        ("\"epoch\": 1,", "\"epoch\": 1, \"comment\": \"\",", "unknown field `comment`"),
        ("\"majority\": 2,", "\"majority\": 2, \"minority\": 1,", "unknown field `minority`"),
        ("\"role\"", "\"Role\"", "unknown field `Role`"),
        ("\"epoch\": 1,", "", "missing field `epoch`"),
        ("\"epoch\": 1,", "\"epoch\": 0,", "an epoch is 1 to 2^53-1"),
        ("\"epoch\": 1,", "\"epoch\": 9007199254740992,", "an epoch is 1 to 2^53-1"),
        ("\"epoch\": 1,", "\"epoch\": 1.0,", "invalid type: floating point"),
        ("\"epoch\": 1,", "\"epoch\": 1e0,", "invalid type: floating point"),
        ("\"epoch\": 1,", "\"epoch\": -1,", "invalid value: integer `-1`"),
        ("\"epoch\": 1,", "\"epoch\": 01,", "invalid number"),
        ("\"epoch\": 1,", "\"epoch\": +1,", "expected value"),
        ("\"epoch\": 1,", "\"epoch\": \"1\",", "invalid type: string"),
        ("\"majority\": 2,", "\"majority\": 9007199254740992,", "integers stop at 2^53-1"),
        ("\"majority\": 2,", "\"majority\": 2.0,", "invalid type: floating point"),
        ("\"majority\": 2,", "\"majority\": 18446744073709551616,", "invalid type: floating point"),
        (hex.as_str(), upper.as_str(), "64 lower-case hex digits"),
        (hex.as_str(), &hex[2..], "64 lower-case hex digits"),
        (key.as_str(), upper_key.as_str(), "expected lower-case hex"),
        (key.as_str(), &key[1..], "expected lower-case hex"),
        ("\"active\"", "\"Active\"", "unknown variant"),
        ("\"x25519\"", "\"x448\"", "unknown variant"),
        ("2026-11-21T00:00:00Z", "2026-11-21T00:00:00+00:00", "a time is written as"),
        ("2026-11-21T00:00:00Z", "2026-11-21T00:00:00.000Z", "a time is written as"),
        ("\"fleet-1\"", "\"Fleet-1\"", "a name is 1 to 63"),
        ("\"log.example/backup\"", "\"\"", "not a valid origin"),
        ("{", "\u{feff}{", "expected value"),
        ("{", "// a comment\n{", "expected value"),
        (",", ",,", "key must be a string"),
    ];
    for (from, to, says) in cases {
        check(&replaced(&bytes, from, to), "invalid", says);
    }
    for trailing in ["{}", ",", "x", "\0", "null"] {
        check(&[bytes.as_slice(), trailing.as_bytes()].concat(), "invalid", "trailing characters");
    }
    check(&bytes[..bytes.len() - 2], "invalid", "EOF");
    check(&[b"\xff", bytes.as_slice()].concat(), "invalid", "expected value");
}

#[test]
fn a_second_form_of_the_same_content_is_refused() {
    let bytes = good().write();
    let cases: [SecondForm; 5] = [
        (|s| s["previous"] = Value::Null, "null stands for nothing: leave the field out"),
        (|s| s["fleets"][0]["status"] = json!({"active": null}), "invalid type: map"),
        (|s| s["fleets"][0]["members"][0]["keys"][0]["role"] = json!({"session": null}), "invalid type: map"),
        (|s| s["fleets"][0]["software"] = list(&s["fleets"][0]["software"], &SOFTWARE), "invalid type: sequence"),
        (|s| *s = list(s, &STATEMENT), "invalid type: sequence"),
    ];
    for (edit, says) in cases {
        check(&edited(&bytes, edit), "invalid", says);
    }
}

/// A change to the tree, and a part of what its refusal says.
type SecondForm = (fn(&mut Value), &'static str);

const SOFTWARE: [&str; 3] = ["name", "version", "sha256"];
const STATEMENT: [&str; 8] =
    ["type", "origin", "epoch", "issued_at", "not_before", "not_after", "max_head_age_seconds", "fleets"];

fn list(object: &Value, fields: &[&str]) -> Value {
    fields.iter().map(|field| object[field].clone()).collect()
}

#[test]
fn a_member_key_that_was_not_parsed_is_checked_when_it_is_used() {
    let mut upper = key_of(&mut good(), KeyRole::Identity).clone();
    upper.public_key = upper.public_key.to_uppercase();
    assert!(upper.key().is_err());
    let attestation = AttestationRef::to(b"bytes");
    assert_eq!((attestation.size, attestation.sha256), (5, Digest::of(b"bytes")));
}
