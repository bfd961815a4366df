//! Submissions: what is taken, what comes back, and what is refused.

use std::time::Duration;

use countermark_bundle::identity::{Digest, Side};
use countermark_bundle::statement::Statement;
use countermark_tlog::hash::leaf_hash;
use serde_json::{Value, json};

use axum::http::{Request, header};

use super::Bench;
use crate::http::submissions::STATEMENT_BODY_MAX;

const ENTRIES: &str = "/v1/backup/entries";
const STATEMENTS: &str = "/v1/backup/statements";

#[tokio::test]
async fn a_statement_is_certified_and_a_repeated_one_gets_the_same_index() {
    let bench = Bench::new().await;
    let statement = bench.world.statement(1, None);
    let first = bench.submit(STATEMENTS, bench.statement_body(&statement)).await;
    assert_eq!((first.status, first.header("cache-control")), (200, "no-store"));
    let first = first.json();
    let entry = bench.get("/v1/backup/entries/2").await.body;
    assert_eq!((&first["index"], &first["duplicate"]), (&json!(2), &json!(false)));
    assert_eq!((&first["level"], &first["size"]), (&json!("published"), &json!(3)));
    assert_eq!(first["leaf_hash"], json!(hex::encode(leaf_hash(&entry).0.0)));
    let again = bench.submit(STATEMENTS, bench.statement_body(&statement)).await.json();
    for field in ["index", "leaf_hash", "identity", "level", "size"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    assert_eq!(again["duplicate"], true);
    assert_eq!(bench.handle.published().unwrap().size.get(), 3);
}

#[tokio::test]
async fn every_level_can_be_waited_for() {
    let bench = Bench::new().await;
    for (number, level) in [(1, "committed"), (2, "witnessed"), (3, "published")] {
        let path = format!("{ENTRIES}?wait={level}");
        let answer = bench.submit(&path, bench.world.evidence(number).write()).await;
        assert_eq!((answer.status, &answer.json()["level"]), (200, &json!(level)));
    }
    let answer = bench.submit(&format!("{ENTRIES}?wait=soon"), "").await;
    assert_eq!(answer.problem(), "malformed-parameter");
    let answer = bench.submit(&format!("{ENTRIES}?level=published"), "").await;
    assert_eq!(answer.problem(), "unknown-parameter");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_after_the_commit_is_answered_with_the_place_so_far() {
    let bench = Bench::in_memory(Duration::from_secs(10)).await;
    let answer = bench.submit(ENTRIES, bench.world.evidence(1).write()).await;
    assert_eq!((answer.status, answer.header("location")), (202, "/v1/backup/receipts/1"));
    assert_eq!((&answer.json()["index"], &answer.json()["level"]), (&json!(1), &json!("committed")));
    let again = bench.submit(&format!("{ENTRIES}?wait=committed"), bench.world.evidence(1).write()).await;
    assert_eq!((again.status, &again.json()["index"]), (200, &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_wait_for_less_long_than_the_server_and_is_told_that_it_did() {
    let bench = Bench::in_memory(Duration::from_secs(10)).await;
    let (bearer, began) = (bench.bearer(), tokio::time::Instant::now());
    let submit = async |prefer: &str, number: u64| {
        let request = Request::post(ENTRIES).header(header::AUTHORIZATION, &bearer).header("prefer", prefer);
        bench.send(request.body(bench.world.evidence(number).write().into()).unwrap()).await
    };
    for (number, prefer, seconds, applied) in [
        (1, "wait=2", 2, "wait=2"),
        (2, "respond-async, wait=0", 2, "wait=0"),
        (3, "wait=11", 12, ""),
        (4, "wait=soon", 22, ""),
    ] {
        let answer = submit(prefer, number).await;
        assert_eq!((answer.status, answer.header("preference-applied")), (202, applied), "{prefer}");
        assert_eq!(answer.header("location"), format!("/v1/backup/receipts/{number}"));
        assert_eq!(began.elapsed().as_secs(), seconds, "{prefer}");
    }
}

#[tokio::test]
async fn the_place_of_a_202_answers_once_the_entry_is_published() {
    let bench = Bench::new().await;
    for endpoint in &bench.world.endpoints {
        bench.world.witnesses.behave(&endpoint.url, crate::testing::Manner::Unreachable);
    }
    let bearer = bench.bearer();
    let request = Request::post(ENTRIES).header(header::AUTHORIZATION, &bearer).header("prefer", "wait=0");
    let answer = bench.send(request.body(bench.world.evidence(1).write().into()).unwrap()).await;
    assert_eq!(answer.status, 202);
    let location = answer.header("location").to_owned();
    let early = bench.get(&location).await;
    assert_eq!((early.status, early.problem().as_str()), (404, "beyond-published-head"));
    assert_eq!(early.header("retry-after"), "1");
    for endpoint in &bench.world.endpoints[..3] {
        bench.world.witnesses.behave(&endpoint.url, crate::testing::Manner::Honest);
    }
    assert_eq!(bench.submit(ENTRIES, bench.world.evidence(1).write()).await.status, 200);
    assert_eq!(bench.get(&location).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_place_of_a_202_says_when_to_come_back_before_the_first_head_too() {
    let bench = Bench::in_memory(Duration::from_secs(10)).await;
    let location = bench.submit(ENTRIES, bench.world.evidence(1).write()).await.header("location").to_owned();
    let early = bench.get(&location).await;
    assert_eq!((early.problem().as_str(), early.header("retry-after")), ("nothing-published", "1"));
}

#[tokio::test]
async fn the_same_bytes_are_the_same_entry_at_every_level_and_all_at_once() {
    let bench = std::sync::Arc::new(Bench::new().await);
    let mut submitters = tokio::task::JoinSet::new();
    for number in 0..30 {
        let bench = bench.clone();
        submitters.spawn(async move {
            let level = ["committed", "witnessed", "published"][number % 3];
            let answer = bench.submit(&format!("{ENTRIES}?wait={level}"), bench.world.evidence(1).write()).await;
            assert_eq!(answer.status, 200);
            let answer = answer.json();
            (answer["index"].as_u64().unwrap(), answer["identity"].to_string(), answer["duplicate"].as_bool().unwrap())
        });
    }
    let answers = submitters.join_all().await;
    assert_eq!(answers.iter().filter(|(_, _, duplicate)| !duplicate).count(), 1, "one of them put it there");
    assert!(answers.iter().all(|(index, identity, _)| (*index, identity) == (answers[0].0, &answers[0].1)));
    for level in ["committed", "witnessed", "published"] {
        let again = bench.submit(&format!("{ENTRIES}?wait={level}"), bench.world.evidence(1).write()).await.json();
        assert_eq!((&again["index"], &again["duplicate"]), (&json!(answers[0].0), &json!(true)), "{level}");
    }
}

#[tokio::test]
async fn the_same_bytes_are_the_same_entry_after_a_restart() {
    let bench = Bench::new().await;
    let first = bench.submit(ENTRIES, bench.world.evidence(1).write()).await.json();
    let bench = bench.restarted().await;
    let again = bench.submit(ENTRIES, bench.world.evidence(1).write()).await.json();
    for field in ["index", "leaf_hash", "identity"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    assert_eq!(again["duplicate"], true);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_before_the_commit_promises_nothing() {
    let bench = Bench::in_memory(Duration::ZERO).await;
    let answer = bench.submit(ENTRIES, bench.world.evidence(1).write()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "not-committed-in-time"));
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn a_statement_that_does_not_follow_is_a_conflict_that_says_what_would() {
    let bench = Bench::new().await;
    let digest = bench.certify(1, None).await;
    let check = async |statement: Statement, name: &str| {
        let answer = bench.submit(STATEMENTS, bench.statement_body(&statement)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (409, name));
        let document = answer.problem_document();
        assert_eq!((&document["next_epoch"], &document["previous"]), (&json!(2), &json!(digest)));
    };
    check(bench.world.statement(3, Some(digest)), "epoch").await;
    check(bench.world.statement(2, Some(Digest::of(b"another"))), "chain").await;
    bench.certify(2, Some(digest)).await;
}

#[tokio::test]
async fn a_statement_that_the_rules_or_the_policy_do_not_permit_is_refused_by_name() {
    let bench = Bench::new().await;
    let statement = bench.world.statement(1, None);
    let body = |change: &dyn Fn(&mut Value)| {
        let mut body = serde_json::from_slice(&bench.statement_body(&statement)).unwrap();
        change(&mut body);
        body.to_string()
    };
    let check = async |body: String, status: u16, name: &str| {
        let answer = bench.submit(STATEMENTS, body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, name), "{answer:?}");
        answer.problem_document()
    };
    check("{}".to_owned(), 400, "malformed-submission").await;
    check("not JSON".to_owned(), 400, "malformed-submission").await;
    check(body(&|body| body["extra"] = json!(1)), 400, "malformed-submission").await;
    check(body(&|body| body["statement"] = json!("e30")), 400, "malformed-submission").await;
    check(body(&|body| body["attestations"] = json!(["?"])), 400, "malformed-submission").await;
    check(body(&|body| body["statement"] = json!("e30=")), 400, "malformed-statement").await;
    check(body(&|body| body["approvals"] = json!([])), 422, "approval").await;
    check(body(&|body| body["attestations"] = json!(["e30="])), 422, "attestation").await;
    let refusal = check(body(&|body| body["attestations"] = json!([])), 422, "policy").await;
    assert!(refusal["rules"].as_array().is_some_and(|rules| !rules.is_empty()), "{refusal}");
    assert_eq!(refusal["rules"].as_array().unwrap().len(), refusal["reasons"].as_array().unwrap().len());
    assert_eq!(bench.submit(STATEMENTS, body(&|_| ())).await.status, 200);
}

#[tokio::test]
async fn an_entry_that_breaks_a_rule_is_refused_by_name() {
    let bench = Bench::new().await;
    let digest = bench.certify(1, None).await;
    let (world, state) = (&bench.world, bench.handle.published().unwrap().state.clone());
    let check = async |body: Vec<u8>, status: u16, name: &str| {
        let answer = bench.submit(ENTRIES, body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, name));
        answer.problem_document()
    };
    check(b"{}".to_vec(), 400, "malformed-entry").await;
    check(vec![], 400, "malformed-entry").await;
    let certified = bench.get("/v1/backup/entries/2").await.body;
    check(certified, 422, "entry-type").await;
    let activation = String::from_utf8(world.activation(&state, 1).write()).unwrap();
    check(activation.replace("log.example/backup", "log.example/other").into_bytes(), 422, "other-log").await;
    check(activation.replace(&digest.to_hex(), &"ab".repeat(32)).into_bytes(), 422, "not-certified").await;
    let renewal = activation.replace("\"renewal\":0", "\"renewal\":7").into_bytes();
    assert_eq!(check(renewal, 409, "renewal").await["next_renewal"], 0);
    let policy = world.policy_change(7, Digest::of(b"policy")).write();
    assert_eq!(check(policy, 409, "policy-serial").await["next_serial"], 2);
    let revocation = String::from_utf8(world.revocation(Side::Operator, &[1]).write()).unwrap();
    check(revocation.replace("drill", "thrill").into_bytes(), 422, "signature").await;
    bench.activate(1).await;
    let state = bench.handle.published().unwrap().state.clone();
    check(world.activation(&state, 1).write(), 409, "renewal-too-early").await;
}

#[tokio::test]
async fn a_policy_that_the_log_announced_and_the_server_has_not_loaded_stops_certification() {
    let bench = Bench::new().await;
    let change = bench.world.policy_change(2, Digest::of(b"another policy")).write();
    assert_eq!(bench.submit(ENTRIES, change).await.status, 200);
    let body = bench.statement_body(&bench.world.statement(1, None));
    let answer = bench.submit(STATEMENTS, body).await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "policy-not-in-force"));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_and_the_largest_is_read() {
    let bench = Bench::new().await;
    for (path, max) in [(ENTRIES, 65_535), (STATEMENTS, STATEMENT_BODY_MAX)] {
        let answer = bench.submit(path, vec![b' '; max + 1]).await;
        assert_eq!((answer.status, answer.problem().as_str()), (413, "body-too-large"), "{path}");
        let answer = bench.submit(path, vec![b' '; max]).await;
        assert_eq!(answer.status, 400, "{path}");
    }
}

#[tokio::test]
async fn a_namespace_that_has_stopped_says_so() {
    let bench = Bench::new().await;
    bench.handle.shutdown().await;
    let answer = bench.submit(ENTRIES, bench.world.evidence(1).write()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "stopped"));
    assert_eq!(bench.get("/v1/backup/status").await.json()["state"], "stopped");
}
