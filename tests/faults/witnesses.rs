//! Witnesses of a real process that hang, lie and contradict: one of four delays nothing, two stop publication, and both
//! are named, asked again, and believed again, without a hand.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::audit::audit;
use crate::authority::Authority;
use crate::http;
use crate::log::{Log, poll};
use crate::submitter::Ledger;
use crate::witness::Manner;

/// Every way to fail, and the name that it gets.
const FAILURES: [(Manner, &str); 11] = [
    (Manner::Hangs, "timeout"),
    (Manner::Closes, "unreachable"),
    (Manner::OtherKey, "invalid-cosignature"),
    (Manner::OtherHead, "invalid-cosignature"),
    (Manner::Garbage, "malformed"),
    (Manner::Huge, "malformed"),
    (Manner::SameSize, "conflict"),
    (Manner::Claims(1), "conflict"),
    (Manner::Claims(1_000_000), "conflict"),
    (Manner::Status(500), "refused"),
    (Manner::Status(422), "refused"),
];

/// Quorum three of four.
const QUORUM: usize = 3;

fn status(log: &Log) -> Value {
    http::get(log.address, "/v1/backup/status").unwrap().json()
}

/// Polls the status until it is as wanted.
fn until(log: &Log, what: &str, wanted: impl Fn(&Value) -> bool) {
    let came = poll(|| wanted(&status(log)).then_some(()));
    assert!(came.is_some(), "{what} never came: {}\n{}", status(log), log.said());
}

/// Adds an entry and waits until it is published.
fn published(authority: &Authority, ledger: &Ledger, log: &Log, text: &str) {
    let index = ledger.must(authority, log.address, "backup", text);
    until(log, text, |status| status["size"].as_u64() > Some(index));
}

#[test]
fn one_bad_witness_delays_nothing_and_is_named_and_two_stop_publication_until_one_is_good_again() {
    let (authority, ledger) = (Authority::with_witnesses(4, QUORUM), Ledger::default());
    let log = authority.serve();
    published(&authority, &ledger, &log, "at first");
    for (manner, reason) in FAILURES {
        let [.., third, fourth] = &authority.witnesses[..] else { panic!("four witnesses") };
        fourth.behave(manner);
        let begun = Instant::now();
        published(&authority, &ledger, &log, &format!("one witness: {manner:?}"));
        assert!(begun.elapsed() < Duration::from_secs(5), "{manner:?} delayed publication: {:?}", begun.elapsed());
        until(&log, reason, |status| status["witnesses"][3]["last_failure_reason"] == reason);
        assert_eq!(status(&log)["without_quorum_since"], Value::Null);
        assert_eq!(http::get(log.address, "/readyz").unwrap().status, 200, "{manner:?}");

        third.behave(manner);
        let before = status(&log)["size"].clone();
        let index = ledger.must(&authority, log.address, "backup", &format!("two witnesses: {manner:?}"));
        until(&log, "without quorum", |status| !status["without_quorum_since"].is_null());
        assert_eq!(status(&log)["size"], before, "{manner:?}");
        assert_eq!(status(&log)["witnesses"][2]["last_failure_reason"], reason);
        let ready = http::get(log.address, "/readyz").unwrap();
        assert_eq!((ready.status, ready.problem().as_str()), (503, "not-ready"));
        let backup = &ready.json()["namespaces"][0];
        assert_eq!((&backup["serving"], &backup["quorum"]), (&Value::Bool(true), &Value::Bool(false)));

        let asked = fourth.asked();
        fourth.behave(Manner::Honest);
        third.behave(Manner::Honest);
        until(&log, "the head that waited", |status| status["size"].as_u64() > Some(index));
        assert!(fourth.asked() > asked, "{manner:?}: it is asked again");
        published(&authority, &ledger, &log, &format!("after {manner:?}"));
        for witness in [2, 3] {
            until(&log, "a good witness", |status| status["witnesses"][witness]["last_failure"].is_null());
        }
        assert_eq!(status(&log)["without_quorum_since"], Value::Null);
        assert_eq!(http::get(log.address, "/readyz").unwrap().status, 200);
    }
    assert!(log.end().status.success());
    audit(&authority, &ledger, &[]);
}
