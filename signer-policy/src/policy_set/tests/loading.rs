//! What is loaded, and what is refused by name.

use super::files::{FILE_BYTES_MAX, FILES_MAX, PolicyFiles, SCHEMA, digest_of};
use super::world::World;
use super::*;
use cedar_policy::Schema;
use countermark_bundle::identity::Side;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

use crate::request::Action;

const PERMIT: &str = r#"@id("ok") @reason("always") permit (principal, action == Action::"certify", resource);"#;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn load(files: &[(&str, &str)]) -> Result<PolicySet, LoadError> {
    PolicySet::load(folder(files).path())
}

/// Loads a folder of one good file and one with this text, which must be refused, naming the second.
fn refused(text: &str) -> LoadError {
    let error = load(&[("a.cedar", PERMIT), ("b.cedar", text)]).unwrap_err();
    assert!(error.to_string().starts_with("b.cedar: "), "{error}");
    error
}

fn shipped_folder(side: Side) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(side.as_str())
}

#[test]
fn the_shipped_policies_are_the_folders() {
    for side in [Side::Authority, Side::Operator] {
        let loaded = PolicySet::load(&shipped_folder(side)).unwrap();
        assert_eq!(loaded.digest(), PolicySet::shipped(side).digest());
        let names = |files: &PolicyFiles| files.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&PolicyFiles::shipped(side)), names(&PolicyFiles::read(&shipped_folder(side)).unwrap()));
    }
    assert_ne!(PolicySet::shipped(Side::Authority).digest(), PolicySet::shipped(Side::Operator).digest());
}

#[test]
fn the_schema_has_no_warnings() {
    let (_, warnings) = Schema::from_cedarschema_str(SCHEMA).unwrap();
    assert_eq!(warnings.count(), 0);
}

#[test]
fn the_digest_depends_on_every_byte_and_on_nothing_else() {
    let files = PolicyFiles::shipped(Side::Operator);
    let pairs: Vec<(&str, &str)> = files.iter().collect();
    let whole = digest_of(SCHEMA, pairs.iter().copied());
    assert_eq!(whole, PolicySet::shipped(Side::Operator).digest());
    assert_eq!(whole, digest_of(SCHEMA, pairs.iter().rev().copied()), "the order of reading");
    for index in 0..SCHEMA.len() {
        let changed = flip(SCHEMA, index);
        assert_ne!(whole, digest_of(&changed, pairs.iter().copied()), "schema, byte {index}");
    }
    for at in 0..pairs.len() {
        let (name, text) = pairs[at];
        for index in 0..text.len() {
            let changed = flip(text, index);
            let mut pairs = pairs.clone();
            pairs[at] = (name, &changed);
            assert_ne!(whole, digest_of(SCHEMA, pairs.into_iter()), "{name}, byte {index}");
        }
        let mut renamed = pairs.clone();
        renamed[at] = ("zzz.cedar", text);
        assert_ne!(whole, digest_of(SCHEMA, renamed.into_iter()));
    }
    assert_ne!(whole, digest_of(SCHEMA, pairs[1..].iter().copied()));
    assert_ne!(digest_of("", [("ab.cedar", "c")].into_iter()), digest_of("", [("a.cedar", "bc")].into_iter()));
}

fn flip(text: &str, index: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[index] ^= 1;
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_digest_is_the_documented_one() {
    let mut message = b"countermark/signer-policy/v1\n".to_vec();
    for part in ["a.cedar", PERMIT, "schema.cedarschema", SCHEMA] {
        message.extend_from_slice(&u64::try_from(part.len()).unwrap().to_be_bytes());
        message.extend_from_slice(part.as_bytes());
    }
    assert_eq!(load(&[("a.cedar", PERMIT)]).unwrap().digest(), Digest::of(&message));
}

#[test]
fn a_file_that_is_not_cedar_is_refused_by_name() {
    for text in ["permit", "permit (principal, action, resource)", "}", "@id permit(principal,action,resource);;"] {
        assert!(matches!(refused(text), LoadError::Syntax { .. }), "{text}");
    }
}

#[test]
fn a_rule_that_does_not_fit_the_schema_is_refused_by_name() {
    for (scope, condition) in [
        (r#"action == Action::"certify""#, "context.guesses > 20"),
        (r#"action == Action::"certify""#, r#"context.live_fleets.guess_limit_highest > "20""#),
        (r#"action == Action::"certify""#, "context.change.first > 1"),
        (r#"action == Action::"certify""#, "principal.name == \"x\""),
        (r#"action == Action::"certify""#, "context.approvals == 1"),
        (r#"action == Action::"sign""#, "true"),
    ] {
        let text = format!(r#"@id("bad") @reason("r") forbid (principal, {scope}, resource) when {{ {condition} }};"#);
        let error = refused(&text);
        assert!(matches!(&error, LoadError::Invalid { rule, .. } if rule.as_str() == "bad"), "{text}: {error}");
    }
}

#[test]
fn a_rule_that_can_never_apply_is_refused_by_name() {
    let never =
        r#"@id("never") @reason("r") forbid (principal, action == Action::"certify", resource) when { false };"#;
    assert!(matches!(refused(never), LoadError::Suspicious { rule, .. } if rule.as_str() == "never"));
}

#[test]
fn a_rule_without_a_name_or_a_reason_is_refused() {
    let scope = r#"permit (principal, action == Action::"certify", resource);"#;
    let second = format!(r#"@id("x") @reason("r") {scope} @reason("r") {scope}"#);
    assert!(matches!(refused(&second), LoadError::NoId { position: 2, .. }));
    assert!(matches!(refused(&format!(r#"@id("x") {scope}"#)), LoadError::NoReason { .. }));
    assert!(matches!(refused(&format!(r#"@id("x") @reason(" ") {scope}"#)), LoadError::NoReason { .. }));
    assert!(matches!(refused(&format!(r#"@id("A rule") @reason("r") {scope}"#)), LoadError::Id { .. }));
    assert!(matches!(refused(&format!(r#"@id("ok") @reason("r") {scope}"#)), LoadError::Duplicate { .. }));
    let twice = format!(r#"@id("x") @reason("r") {scope} @id("x") @reason("r") {scope}"#);
    assert!(matches!(refused(&twice), LoadError::Duplicate { .. }));
}

#[test]
fn a_template_is_refused() {
    let template = r#"@id("x") @reason("r") permit (principal == ?principal, action, resource);"#;
    assert!(matches!(refused(template), LoadError::Template { .. }));
}

#[test]
fn a_folder_without_a_permit_is_refused() {
    assert!(matches!(load(&[]), Err(LoadError::NothingPermitted)));
    let forbid = PERMIT.replace("permit", "forbid");
    assert!(matches!(load(&[("a.cedar", &forbid)]), Err(LoadError::NothingPermitted)));
}

#[test]
fn a_folder_holds_policy_files_and_nothing_else() {
    for stray in ["b.cedarx", "b", ".cedar", "b.cedar~", "README.md", "schema.cedarschema"] {
        let error = load(&[("a.cedar", PERMIT), (stray, "")]).unwrap_err();
        assert!(matches!(&error, LoadError::NotAPolicyFile { path } if path.ends_with(stray)), "{error}");
    }
    let inner = folder(&[("a.cedar", PERMIT)]);
    fs::create_dir(inner.path().join("b.cedar")).unwrap();
    assert!(matches!(PolicySet::load(inner.path()), Err(LoadError::NotAPolicyFile { .. })));
    let dangling = folder(&[("a.cedar", PERMIT)]);
    std::os::unix::fs::symlink("nowhere", dangling.path().join("b.cedar")).unwrap();
    assert!(matches!(PolicySet::load(dangling.path()), Err(LoadError::NotAPolicyFile { .. })));
}

#[test]
fn what_cannot_be_read_or_is_too_much_is_refused_by_name() {
    let empty = folder(&[]);
    assert!(matches!(PolicySet::load(&empty.path().join("missing")), Err(LoadError::Folder { .. })));
    let limit = usize::try_from(FILE_BYTES_MAX).unwrap();
    let full = format!("{PERMIT}{}", " ".repeat(limit - PERMIT.len()));
    assert!(load(&[("a.cedar", &full)]).is_ok());
    assert!(matches!(load(&[("a.cedar", &format!("{full} "))]), Err(LoadError::TooLarge { .. })));
    fs::write(empty.path().join("a.cedar"), [0xff]).unwrap();
    assert!(matches!(PolicySet::load(empty.path()), Err(LoadError::NotText { .. })));
    let names: Vec<String> = (0..=FILES_MAX).map(|n| format!("{n}.cedar")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    assert!(matches!(load(&many), Err(LoadError::TooManyFiles { .. })));
}

#[test]
fn a_file_that_vanishes_is_refused_by_name() {
    let folder = folder(&[]);
    let found = files::read_text(&folder.path().join("gone.cedar")).unwrap_err();
    assert!(matches!(found, LoadError::File { .. }));
}

#[test]
fn a_rule_that_cannot_be_evaluated_refuses_although_another_permits() {
    let scope = r#"(principal, action == Action::"certify", resource)"#;
    let overflow = format!("{} + context.approvals.needed > 0", i64::MAX);
    let broken = format!(r#"@id("overflows") @reason("r") forbid {scope} when {{ {overflow} }};"#);
    let policies = load(&[("a.cedar", PERMIT), ("b.cedar", &broken)]).unwrap();
    let mut world = World::new(Action::Certify);
    let refusal = policies.decide(&world.request()).unwrap_err();
    assert_eq!(refusal.rules, ["overflows"]);
    assert!(refusal.reasons[0].starts_with("could not be evaluated: "), "{refusal}");
    world.approvals_needed = 0;
    assert_eq!(policies.decide(&world.request()).unwrap_err().rules, ["overflows"], "now it forbids");
}

#[test]
fn of_several_permits_the_first_by_name_is_the_rule_of_the_decision() {
    let other = PERMIT.replace("\"ok\"", "\"earlier\"");
    let policies = load(&[("a.cedar", PERMIT), ("b.cedar", &other)]).unwrap();
    let decision = policies.decide(&World::new(Action::Certify).request()).unwrap();
    assert_eq!((decision.rule.as_str(), decision.policy), ("earlier", policies.digest()));
}
