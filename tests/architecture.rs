//! Who may import whom, as ARCHITECTURE.md states it, read from the manifests and the `use` lines.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "architecture/parsers.rs"]
mod parsers;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use countermark_tests::root;

/// Every crate: its folder, and every crate of ours that it may depend on.
const MAY_IMPORT: [(&str, &str, &[&str]); 14] = [
    ("countermark-tlog", "src/tlog", &[]),
    ("countermark-bundle", "src/bundle", &["countermark-tlog"]),
    ("countermark-keys", "src/keys", &[]),
    ("countermark-migrations", "migrations", &[]),
    ("countermark-service", "src/service", &[]),
    ("countermark-signer-policy", "signer-policy", &["countermark-tlog", "countermark-bundle", "countermark-keys"]),
    (
        "countermark-log",
        "src/log",
        &[
            "countermark-tlog",
            "countermark-bundle",
            "countermark-keys",
            "countermark-signer-policy",
            "countermark-migrations",
            "countermark-service",
        ],
    ),
    (
        "countermark-countersigner",
        "src/countersigner",
        &[
            "countermark-tlog",
            "countermark-bundle",
            "countermark-keys",
            "countermark-signer-policy",
            "countermark-migrations",
            "countermark-service",
        ],
    ),
    (
        "countermark-witness",
        "witness",
        &["countermark-tlog", "countermark-keys", "countermark-migrations", "countermark-service"],
    ),
    ("countermark-vault-core", "vault/core", &["countermark-tlog", "countermark-bundle"]),
    ("countermark-vault-raft", "vault/raft", &["countermark-tlog", "countermark-bundle", "countermark-vault-core"]),
    (
        "countermark-vault",
        "vault",
        &[
            "countermark-tlog",
            "countermark-bundle",
            "countermark-keys",
            "countermark-vault-core",
            "countermark-vault-raft",
            "countermark-service",
        ],
    ),
    ("countermark-client", "src/client", &["countermark-tlog", "countermark-bundle", "countermark-vault-core"]),
    (
        "countermark",
        "src/cli",
        &[
            "countermark-tlog",
            "countermark-bundle",
            "countermark-keys",
            "countermark-signer-policy",
            "countermark-log",
            "countermark-witness",
            "countermark-countersigner",
            "countermark-client",
            "countermark-vault-core",
            "countermark-vault",
            "countermark-service",
        ],
    ),
];

/// Pure crates: no async, no socket, no file, no clock, no randomness of their own.
const PURE: [&str; 3] = ["src/tlog", "src/bundle", "vault/core"];

fn manifest(folder: &str) -> toml::Table {
    fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap().parse().unwrap()
}

fn dependencies(manifest: &toml::Table, section: &str) -> BTreeSet<String> {
    let table = manifest.get(section).and_then(toml::Value::as_table);
    table.into_iter().flat_map(toml::Table::keys).cloned().collect()
}

/// Every Rust file below a folder that is not a test.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "testing" | "testkit")))
        || path.file_stem().is_some_and(|stem| {
            matches!(
                stem.to_str(),
                Some("tests" | "testing" | "testkit" | "sample_tree" | "worked_examples" | "hostile_bytes" | "golden")
            )
        })
}

/// The part of a file before its test module: production code.
fn production(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_string()
}

#[test]
fn every_crate_imports_only_what_it_may() {
    let known: BTreeSet<&str> = MAY_IMPORT.iter().map(|(name, _, _)| *name).collect();
    for (name, folder, allowed) in MAY_IMPORT {
        let manifest = manifest(folder);
        assert_eq!(manifest["package"]["name"].as_str(), Some(name));
        for dependency in dependencies(&manifest, "dependencies") {
            if known.contains(dependency.as_str()) {
                assert!(allowed.contains(&dependency.as_str()), "{name} may not depend on {dependency}");
            }
        }
        let forbidden: Vec<String> = known
            .iter()
            .filter(|other| **other != name && !allowed.contains(other))
            .map(|n| n.replace('-', "_"))
            .collect();
        for path in sources(&root().join(folder).join("src")).iter().filter(|path| !is_test(path)) {
            let text = production(path);
            for other in &forbidden {
                let used = text
                    .lines()
                    .any(|line| !line.trim_start().starts_with("//") && line.contains(&format!("{other}::")));
                assert!(!used, "{} uses {other}", path.display());
            }
        }
    }
}

#[test]
fn the_workspace_holds_exactly_these_crates() {
    let workspace: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let members: BTreeSet<String> = workspace["workspace"]["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member.as_str().unwrap().to_string())
        .collect();
    let mut expected: BTreeSet<String> = MAY_IMPORT.iter().map(|(_, folder, _)| (*folder).to_string()).collect();
    expected.insert("tests".to_string());
    assert_eq!(members, expected);
    assert_eq!(workspace["workspace"]["default-members"].as_array().unwrap().len(), 1);
}

#[test]
fn pure_crates_do_nothing_by_themselves() {
    const FORBIDDEN: [&str; 9] = [
        "std::fs",
        "std::net",
        "std::time::SystemTime",
        "std::time::Instant",
        "std::env",
        "tokio::",
        "async fn",
        "rand::",
        "getrandom",
    ];
    for folder in PURE {
        let library = fs::read_to_string(root().join(folder).join("src/lib.rs")).unwrap();
        assert!(library.contains("no_std"), "{folder} builds without the standard library");
        for path in sources(&root().join(folder).join("src")).iter().filter(|path| !is_test(path)) {
            let text = production(path);
            for word in FORBIDDEN {
                let found = text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word));
                assert!(!found, "{} uses {word}", path.display());
            }
        }
        for dependency in dependencies(&manifest(folder), "dependencies") {
            assert!(
                !matches!(dependency.as_str(), "tokio" | "reqwest" | "axum" | "sqlx" | "getrandom"),
                "{folder}: {dependency}"
            );
        }
    }
}

#[test]
fn inside_a_service_the_domain_knows_neither_http_nor_sql() {
    // (folder, files that may use axum, files that may use sqlx)
    const SERVICES: [(&str, &[&str], &[&str]); 3] = [
        ("src/log/src", &["http", "serve", "plexi"], &["store", "create", "serve", "testing"]),
        ("witness/src", &["http", "service"], &["sqlite", "service"]),
        ("src/countersigner/src", &["http", "serve"], &["ledger", "serve"]),
    ];
    for (folder, http, sql) in SERVICES {
        let base = root().join(folder);
        for path in sources(&base).iter().filter(|path| !is_test(path)) {
            let top = path.strip_prefix(&base).unwrap().components().next().unwrap().as_os_str().to_str().unwrap();
            let top = top.trim_end_matches(".rs");
            let text = production(path);
            let uses = |word: &str| text.lines().any(|l| !l.trim_start().starts_with("//") && l.contains(word));
            assert!(!uses("axum::") || http.contains(&top), "{} uses axum", path.display());
            assert!(!uses("sqlx::") || sql.contains(&top), "{} uses sqlx", path.display());
        }
    }
}

/// The names of every crate that is linked into the given packages.
fn cargo_tree(packages: &[&str]) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "-e", "normal", "--prefix", "none", "--offline"])
        .args(packages)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let names = String::from_utf8(tree.stdout).unwrap();
    names.lines().filter_map(|line| line.split_whitespace().next()).map(ToString::to_string).collect()
}

#[test]
fn witness_and_vault_stay_small_programs() {
    const CASES: [(&str, &[&str]); 2] = [
        ("countermark-witness", &["sqlx-postgres", "openraft", "cedar-policy", "opaque-ke", "snow", "redb"]),
        ("countermark-vault", &["sqlx", "sqlx-core", "cedar-policy"]),
    ];
    for (program, weight) in CASES {
        let tree = cargo_tree(&["-p", program]);
        let (_, _, may) = MAY_IMPORT.iter().find(|(name, _, _)| *name == program).unwrap();
        for name in &tree {
            assert!(!weight.contains(&name.as_str()), "{program} depends on {name}");
            let ours = name.starts_with("countermark") && name != program;
            assert!(!ours || may.contains(&name.as_str()), "{program} depends on {name}");
        }
    }
}

#[test]
fn a_library_that_may_be_exchanged_is_named_in_one_place() {
    // (what a `use` of it looks like, below which paths it may stand)
    const HOMES: [(&str, &[&str]); 7] = [
        ("opaque_ke::", &["vault/core/src/opaque"]),
        ("rand_core_06::", &["vault/core/src/opaque"]),
        ("sha2_010::", &["vault/core/src/opaque"]),
        ("snow::", &["vault/core/src/noise"]),
        ("openraft::", &["vault/raft/src"]),
        ("redb::", &["vault/raft/src"]),
        ("jsonwebtoken::", &["vault/src/account_token", "signer-policy/src/access_token"]),
    ];
    for (_, folder, _) in MAY_IMPORT {
        for path in sources(&root().join(folder).join("src")).iter().filter(|path| !is_test(path)) {
            let place = path.strip_prefix(root()).unwrap().to_str().unwrap();
            let text = production(path);
            for (word, homes) in HOMES {
                let used = text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word));
                assert!(!used || homes.iter().any(|home| place.starts_with(home)), "{place} uses {word}");
            }
        }
    }
}

#[test]
fn files_have_one_subject_and_an_end() {
    let mut long = BTreeMap::new();
    for (_, folder, _) in MAY_IMPORT {
        for path in sources(&root().join(folder).join("src")) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            let name = path.file_name().unwrap().to_str().unwrap().to_string();
            assert_ne!(name, "mod.rs", "{}: `foo.rs` and `foo/`, no mod.rs", path.display());
            assert!(
                !matches!(name.as_str(), "utils.rs" | "util.rs" | "common.rs" | "helpers.rs" | "types.rs"),
                "{} names no subject",
                path.display()
            );
            if lines > 500 && !is_test(&path) {
                long.insert(path, lines);
            }
        }
    }
    assert!(long.is_empty(), "files over 500 lines: {long:?}");
}

#[test]
fn every_dependency_has_its_reason() {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = text.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    for line in section.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')) {
        assert!(line.starts_with("countermark") || line.contains('#'), "no reason: {line}");
    }
    let tree = cargo_tree(&["--workspace"]);
    for banned in ["openssl-sys", "rsa", "native-tls", "ring"] {
        assert!(!tree.contains(banned), "{banned} came into the tree");
    }
}

#[test]
fn no_path_of_a_developers_machine_stands_in_the_project() {
    let files = Command::new("git").args(["ls-files"]).current_dir(root()).output().unwrap();
    for file in String::from_utf8(files.stdout).unwrap().lines() {
        let Ok(text) = fs::read_to_string(root().join(file)) else { continue };
        for word in [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")] {
            assert!(!text.contains(word), "{file} names a path of a machine: {word}");
        }
    }
}
