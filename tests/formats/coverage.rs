//! What the code has and the specification must describe.

use std::collections::BTreeSet;
use std::fs;

use countermark_bundle::ExitClass;
use countermark_bundle::identity::RESERVED_NAMESPACES;
use countermark_bundle::verify::Step;
use countermark_keys::Role;
use countermark_tests::root;

use crate::book::{code_spans, document, rows, rust_files};

/// Folders of production code.
const SOURCES: [&str; 4] = ["src", "signer-policy/src", "witness/src", "vault"];

/// Every `countermark/<words>/v<number>` in a text.
fn versioned_names(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("countermark/") {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '/');
        let name: String = text[at..].chars().take_while(|c| plain(*c)).collect();
        let version = name.rsplit_once("/v").map(|(_, version)| version);
        if version.is_some_and(|version| !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())) {
            found.insert(name);
        }
    }
    found
}

#[test]
fn every_type_and_every_context_line_is_described() {
    let mut files = Vec::new();
    for folder in SOURCES {
        rust_files(&root().join(folder), &mut files);
    }
    let described: BTreeSet<String> = code_spans(&document("FORMATS.md")).into_iter().collect();
    let mut names = 0;
    for path in files {
        // Tests name documents that do not exist.
        if path
            .iter()
            .any(|part| matches!(part.to_str(), Some("tests" | "tests.rs" | "testing" | "testing.rs" | "benches")))
        {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let production = text.split("#[cfg(test)]\nmod ").next().unwrap();
        for name in versioned_names(production) {
            assert!(described.contains(&name), "{}: FORMATS.md does not describe {name}", path.display());
            names += 1;
        }
    }
    assert!(names > 20, "only {names} names were found: is the sources' folder where it should be?");
}

#[test]
fn every_line_of_the_golden_files_begins_a_string_that_is_described() {
    let described: BTreeSet<String> = code_spans(&document("FORMATS.md")).into_iter().collect();
    for golden in ["src/bundle/src/to_sign/golden.txt", "vault/core/src/to_sign/golden.txt"] {
        let text = document(golden);
        for name in text.lines().filter(|line| versioned_names(line).contains(*line)) {
            assert!(described.contains(name), "{golden}: FORMATS.md does not describe {name}");
        }
    }
}

/// A part of FORMATS.md, from a line to another one.
fn part(from: &str, to: &str) -> String {
    document("FORMATS.md").split(from).nth(1).unwrap().split(to).next().unwrap().to_owned()
}

fn check_listed(rows: &[Vec<String>], status: &str, name: &str) {
    let name = format!("`{name}`");
    let listed = rows.iter().any(|row| row[0] == status && row[1].split(", ").any(|one| one == name));
    assert!(listed, "FORMATS.md does not list {name} under {status}");
}

#[test]
fn every_problem_of_a_member_is_listed_under_its_status() {
    let source = document("vault/src/http/problem.rs");
    let rows = rows(&part("**Vault member**", "**Countersigner**"));
    let mut problems = 0;
    for (_, rest) in source.match_indices('(').map(|(at, before)| (at, &source[at + before.len()..])) {
        // (status, "name", "title")
        let Some((status, rest)) = rest.split_once(", \"") else { continue };
        if status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()) {
            check_listed(&rows, status, rest.split('"').next().unwrap());
            problems += 1;
        }
    }
    assert_eq!(problems, 24);
}

#[test]
fn every_route_of_a_member_is_described() {
    let described = part("**Vault member**", "**Countersigner**");
    let source = document("vault/src/http.rs");
    let mut routes = 0;
    for (_, rest) in source.match_indices(".route(\"").map(|(at, before)| (at, &source[at + before.len()..])) {
        let path = rest.split('"').next().unwrap();
        assert!(described.contains(path), "FORMATS.md does not describe {path}");
        routes += 1;
    }
    assert_eq!(routes, 8);
}

#[test]
fn every_name_of_a_refusal_of_the_backup_verbs_is_listed() {
    let source = document("src/client/src/backup/error.rs");
    let names = source.split("pub fn name(&self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let listed = rows(&part("## Exit codes", "A refusal in `--json`"));
    let mut found = 0;
    for name in names.split('"').skip(1).step_by(2) {
        let cell = format!("`{name}`");
        assert!(listed.iter().any(|row| row[0].split(", ").any(|one| one == cell)), "FORMATS.md does not list {name}");
        found += 1;
    }
    assert!(found > 15, "only {found} names were found");
}

#[test]
fn every_problem_of_the_log_is_listed_under_its_status() {
    let source = document("src/log/src/http/problem.rs");
    let rows = rows(&part("## HTTP of the log", "\n## "));
    let mut problems = 0;
    for line in source.lines() {
        // Kind status "name" "title"
        let words: Vec<&str> = line.split_whitespace().take(3).collect();
        let [_, status, name] = words.as_slice() else { continue };
        if status.len() != 3 || !status.bytes().all(|byte| byte.is_ascii_digit()) || !name.starts_with('"') {
            continue;
        }
        check_listed(&rows, status, name.trim_matches('"'));
        problems += 1;
    }
    assert!(problems > 50, "only {problems} problems were found");
}

#[test]
fn every_route_of_the_log_is_described() {
    let formats = document("FORMATS.md");
    let mut routes = 0;
    for part in ["tiling", "proving", "stating", "submitting", "auditing"] {
        let source = document(&format!("src/log/src/http/endpoints/{part}.rs"));
        let addresses = source.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/'));
        for path in addresses.filter(|path| !path.contains("/tile/")) {
            assert!(formats.contains(path), "FORMATS.md does not describe {path}");
            routes += 1;
        }
    }
    assert!(routes > 25, "only {routes} routes were found");
}

#[test]
fn every_rule_that_an_audit_names_is_listed() {
    let spans: BTreeSet<String> = code_spans(&document("FORMATS.md")).into_iter().collect();
    let source = document("src/client/src/audit/rules.rs");
    let names =
        source.lines().filter_map(|line| line.split_once("=> \"")).map(|(_, rest)| rest.split('"').next().unwrap());
    for name in names {
        assert!(spans.contains(name), "FORMATS.md does not list {name}");
    }
}

#[test]
fn every_rule_that_fsck_names_is_listed() {
    let listed = rows(&part("## Fsck report", "## Smaller files"));
    let source = document("src/client/src/fsck/findings.rs");
    let names = source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""));
    assert_eq!(names.clone().count(), 12);
    for (_, name) in names {
        let cell = format!("`{}`", name.split('"').next().unwrap());
        assert!(listed.iter().any(|row| row[0].split(", ").any(|one| one == cell)), "FORMATS.md does not list {cell}");
    }
}

/// Every class; a new one does not compile here without a line.
fn classes() -> Vec<ExitClass> {
    let known = |class: ExitClass| match class {
        ExitClass::OurFault
        | ExitClass::Usage
        | ExitClass::Malformed
        | ExitClass::Proof
        | ExitClass::Quorum
        | ExitClass::Stale
        | ExitClass::Rollback
        | ExitClass::Fork
        | ExitClass::Revoked
        | ExitClass::NotActive
        | ExitClass::UnknownAuthority
        | ExitClass::NotChecked
        | ExitClass::RefusedByPolicy
        | ExitClass::Unreachable => class,
    };
    [
        ExitClass::OurFault,
        ExitClass::Usage,
        ExitClass::Malformed,
        ExitClass::Proof,
        ExitClass::Quorum,
        ExitClass::Stale,
        ExitClass::Rollback,
        ExitClass::Fork,
        ExitClass::Revoked,
        ExitClass::NotActive,
        ExitClass::UnknownAuthority,
        ExitClass::NotChecked,
        ExitClass::RefusedByPolicy,
        ExitClass::Unreachable,
    ]
    .map(known)
    .to_vec()
}

#[test]
fn the_exit_codes_are_those_of_the_code() {
    let formats = document("FORMATS.md");
    // The first table; what follows is about verbs.
    let table = formats.split("## Exit codes").nth(1).unwrap().split("\n\n`log`").next().unwrap();
    let found: Vec<(String, String)> = rows(table)
        .into_iter()
        .skip(1)
        .map(|row| (row[0].clone(), row[1].clone()))
        .filter(|(code, _)| code != "0")
        .collect();
    let expected: Vec<(String, String)> =
        classes().into_iter().map(|class| (class.code().to_string(), class.as_str().to_owned())).collect();
    assert_eq!(found, expected);
    let readme = document("README.md");
    let short: Vec<Vec<String>> = rows(readme.split("## Exit codes").nth(1).unwrap());
    for (code, class) in expected {
        let listed = short.iter().any(|row| row.windows(2).any(|pair| pair == [code.clone(), class.clone()]));
        assert!(listed, "README.md does not list {code} as {class}");
    }
}

#[test]
fn roles_steps_and_reserved_names_are_listed() {
    let formats = document("FORMATS.md");
    let rows = rows(&formats);
    for role in Role::ALL {
        let cells = [format!("`{role}`"), format!("`{}`", role.algorithm())];
        assert!(rows.iter().any(|row| row.starts_with(&cells)), "no row for the role {role}");
    }
    for step in Step::ALL {
        let title = format!("{} {}", step.number(), step.title());
        assert!(rows.iter().any(|row| row[0] == title), "no row for step {title}");
    }
    for name in RESERVED_NAMESPACES {
        assert!(formats.contains(&format!("`{name}`")), "{name} is not listed as reserved");
    }
}
