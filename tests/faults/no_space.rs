//! Nothing can be written any more, and later it can again.
//!
//! A limit on the size of files, set and lifted from outside while the process runs, needs no privilege and no disk of its
//! own: every write and every growth of a file fails, as on a full disk.

use std::process::Command;

use crate::audit::audit;
use crate::authority::{Authority, NAMESPACES};
use crate::http;
use crate::log::{Log, poll};
use crate::submitter::{Ledger, Outcome};

/// A process that is told of a failed write instead of being killed for it.
fn tolerant() -> Vec<String> {
    ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""].map(ToString::to_string).into()
}

/// The most bytes of a file that the process may write; the hard limit stays, so that it can be lifted again.
fn limit(log: &Log, bytes: &str) {
    let process = log.pid().to_string();
    let limit = format!("--fsize={bytes}:");
    let set = Command::new("prlimit").args(["--pid", &process, &limit]).status().unwrap();
    assert!(set.success(), "prlimit {limit}");
}

fn state(log: &Log, namespace: &str) -> String {
    let status = http::get(log.address, &format!("/v1/{namespace}/status")).unwrap();
    status.json()["state"].as_str().unwrap().to_string()
}

/// Waits until an entry is published: acknowledged is only committed, and what is not published is not read.
fn published(log: &Log, namespace: &str, index: u64) {
    let path = format!("/v1/{namespace}/entries/{index}");
    let is_read = poll(|| (http::get(log.address, &path).unwrap().status == 200).then_some(()));
    assert!(is_read.is_some(), "{path} was not published:\n{}", log.said());
}

/// What is answered while nothing can be written.
fn without_space(authority: &Authority, ledger: &Ledger, log: &Log, namespace: &'static str, round: u32) {
    match ledger.submit(authority, log.address, namespace, &format!("round {round}, without space")) {
        Outcome::Problem(answer) => {
            assert!(["storage-unavailable", "not-committed-in-time"].contains(&answer.problem().as_str()));
            assert_eq!((answer.status, answer.has_retry_after()), (503, true), "{}", answer.text());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(state(log, namespace), "reloading");
    for path in [format!("/{namespace}/checkpoint"), format!("/v1/{namespace}/entries/0")] {
        assert_eq!(http::get(log.address, &path).unwrap().status, 200, "reads go on");
    }
}

#[test]
fn a_log_without_space_says_so_is_read_and_goes_on_by_itself_when_there_is_space() {
    let (authority, ledger) = (Authority::new(), Ledger::default());
    let mut log = Log::start(&authority, &tolerant()).unwrap_or_else(|refused| panic!("{refused}"));
    for round in 0..2 {
        for namespace in NAMESPACES {
            let index = ledger.must(&authority, log.address, namespace, &format!("round {round}, before"));
            published(&log, namespace, index);
        }
        limit(&log, "0");
        std::thread::scope(|scope| {
            for namespace in NAMESPACES {
                let (authority, ledger, log) = (&authority, &ledger, &log);
                scope.spawn(move || without_space(authority, ledger, log, namespace, round));
            }
        });
        assert!(log.is_running());
        limit(&log, "unlimited");
        for namespace in NAMESPACES {
            let serving = poll(|| (state(&log, namespace) == "serving").then_some(()));
            assert!(serving.is_some(), "{namespace} did not come back by itself:\n{}", log.said());
            // Also what had no space: once, wherever it came to stand.
            for text in ["without space", "after"] {
                ledger.must(&authority, log.address, namespace, &format!("round {round}, {text}"));
            }
        }
    }
    let ended = log.end();
    assert!(ended.status.success(), "{ended}");
    audit(&authority, &ledger, &[]);
}
