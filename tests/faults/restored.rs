//! A database of yesterday, a register that is lost, a database that is lost: nothing is signed, and the refusal says what
//! contradicts what.

use std::fs;
use std::path::Path;

use countermark_tlog::checkpoint::SignedCheckpoint;

use crate::audit::audit;
use crate::authority::{Authority, said};
use crate::http;
use crate::log::{Log, poll};
use crate::submitter::Ledger;

/// A database with its sidecars, as a copy of the disk has them.
fn copy(from: &Path, to: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = (format!("{}{suffix}", from.display()), format!("{}{suffix}", to.display()));
        // One of yesterday never stands beside one of today.
        let _ = fs::remove_file(&to);
        if Path::new(&from).exists() {
            fs::copy(from, to).unwrap();
        }
    }
}

/// The registered head as messages name it: size and root.
fn head_of(note: &[u8]) -> String {
    let signed = SignedCheckpoint::parse(note).unwrap();
    let head = signed.checkpoint();
    format!("size {} root {}", head.size, head.root.0.to_base64())
}

fn registered(authority: &Authority, namespace: &str) -> String {
    let document: serde_json::Value =
        serde_json::from_slice(&fs::read(authority.register(namespace)).unwrap()).unwrap();
    head_of(document["checkpoint"].as_str().unwrap().as_bytes())
}

/// Serves, takes some entries, waits until they are published, ends.
fn a_day(authority: &Authority, ledger: &Ledger, texts: &[&str]) {
    let log = authority.serve();
    for text in texts {
        for namespace in ["backup", "opaque"] {
            let index = ledger.must(authority, log.address, namespace, text);
            let published = poll(|| {
                let answer = http::get(log.address, &format!("/v1/{namespace}/entries/{index}")).unwrap();
                (answer.status == 200).then_some(())
            });
            assert!(published.is_some(), "{}", log.said());
        }
    }
    let ended = log.end();
    assert!(ended.status.success(), "{ended}");
}

#[test]
fn a_database_of_yesterday_is_refused_by_the_names_of_both_heads() {
    for namespace in ["backup", "opaque"] {
        let (authority, ledger) = (Authority::new(), Ledger::default());
        a_day(&authority, &ledger, &["one", "two"]);
        let (database, yesterday) = (authority.database(namespace), authority.path("yesterday.sqlite"));
        let old_head = registered(&authority, namespace);
        copy(&database, &yesterday);
        a_day(&authority, &ledger, &["three"]);
        let today = authority.path("today.sqlite");
        copy(&database, &today);
        copy(&yesterday, &database);
        let refused = Log::start(&authority, &[]).err().expect("yesterday's database is served");
        assert_eq!(refused.status.code(), Some(1), "{refused}");
        for part in [registered(&authority, namespace), old_head, "an older database was restored".to_string()] {
            assert!(refused.said.contains(&part), "{part:?} is not in:\n{refused}");
        }
        // Nothing was signed: with the right database it goes on.
        copy(&today, &database);
        a_day(&authority, &ledger, &["four"]);
        audit(&authority, &ledger, &[]);
    }
}

#[test]
fn a_witness_remembers_when_database_and_register_are_both_of_yesterday() {
    let (authority, ledger) = (Authority::new(), Ledger::default());
    a_day(&authority, &ledger, &["one"]);
    let (database, yesterday) = (authority.database("backup"), authority.path("yesterday.sqlite"));
    copy(&database, &yesterday);
    let register = fs::read(authority.register("backup")).unwrap();
    let old_head = registered(&authority, "backup");
    a_day(&authority, &ledger, &["two"]);
    let new_head = registered(&authority, "backup");
    copy(&yesterday, &database);
    fs::write(authority.register("backup"), register).unwrap();
    let refused = Log::start(&authority, &[]).err().expect("yesterday's database is served");
    assert_eq!(refused.status.code(), Some(1), "{refused}");
    for part in ["witness w1.example has", &new_head, &old_head] {
        assert!(refused.said.contains(part), "{part:?} is not in:\n{refused}");
    }
    // The register is lost altogether.
    fs::remove_file(authority.register("backup")).unwrap();
    let refused = Log::start(&authority, &[]).err().expect("a log without its register is served");
    assert!(refused.said.contains("the head register knows no head of this log"), "{refused}");
}

#[test]
fn a_database_of_the_first_day_is_refused_by_a_witness_when_the_register_is_lost() {
    let (authority, ledger) = (Authority::new(), Ledger::default());
    let (database, first) = (authority.database("backup"), authority.path("first.sqlite"));
    let old_head = registered(&authority, "backup");
    copy(&database, &first);
    a_day(&authority, &ledger, &["one"]);
    let new_head = registered(&authority, "backup");
    copy(&first, &database);
    // Now everything here looks like a log that was only just made.
    fs::remove_file(authority.register("backup")).unwrap();
    let refused = Log::start(&authority, &[]).err().expect("the first day's database is served");
    assert_eq!(refused.status.code(), Some(1), "{refused}");
    for part in ["witness w1.example has", &new_head, &old_head] {
        assert!(refused.said.contains(part), "{part:?} is not in:\n{refused}");
    }
    assert!(!authority.register("backup").exists(), "nothing was registered");
}

#[test]
fn a_lost_database_does_not_become_a_new_log() {
    let (authority, ledger) = (Authority::new(), Ledger::default());
    a_day(&authority, &ledger, &["one"]);
    let (database, kept) = (authority.database("backup"), authority.path("kept.sqlite"));
    copy(&database, &kept);
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", database.display()));
    }
    let refused = Log::start(&authority, &[]).err().expect("a log without its database is served");
    assert_eq!(refused.status.code(), Some(1), "{refused}");
    for verb in [&["create"][..], &["create", "--if-absent"]] {
        let made = authority.verb(verb);
        assert_eq!(made.status.code(), Some(1), "{}", said(&made));
        assert!(said(&made).contains("the head register knows a head of size 2"), "{}", said(&made));
        assert!(!database.exists(), "no file is left behind");
    }
    // Not even where the register is lost too: a witness knows the log.
    let register = fs::read(authority.register("backup")).unwrap();
    fs::remove_file(authority.register("backup")).unwrap();
    let made = authority.verb(&["create", "--if-absent"]);
    assert_eq!(made.status.code(), Some(1), "{}", said(&made));
    assert!(said(&made).contains("witness w1.example knows"), "{}", said(&made));
    fs::write(authority.register("backup"), register).unwrap();
    copy(&kept, &database);
    a_day(&authority, &ledger, &["two"]);
    audit(&authority, &ledger, &[]);
}
