//! Opaque entries of a `raw` log.

use countermark_tlog::hash::leaf_hash;
use serde_json::json;

use super::Bench;

const ADD: &str = "/v1/backup/add";

#[tokio::test]
async fn an_entry_is_answered_with_its_index_and_the_same_bytes_with_the_same() {
    let bench = Bench::raw().await;
    for (index, body) in ["first", "second", "third"].iter().enumerate() {
        let answer = bench.submit(ADD, *body).await;
        let text = String::from_utf8(answer.body.clone()).unwrap();
        assert_eq!((answer.status, text.lines().next()), (200, Some(index.to_string().as_str())), "{text}");
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let again = bench.submit(&format!("{ADD}?wait=published"), "second").await;
    assert_eq!((again.status, again.body.as_slice()), (200, &b"1\n"[..]));
    assert_eq!(bench.get("/v1/backup/entries/1").await.body, b"second");
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_not_published_in_time_is_answered_with_its_index_and_its_place() {
    let bench = Bench::raw_in_memory().await;
    assert_eq!(bench.submit(ADD, "first").await.status, 200);
    let late = bench.submit(&format!("{ADD}?wait=published"), "second").await;
    assert_eq!(
        (late.status, late.body.as_slice(), late.header("location")),
        (202, &b"1\n"[..], "/v1/backup/receipts/1")
    );
    assert_eq!(late.header("content-type"), "text/plain; charset=utf-8");
}

#[tokio::test]
async fn an_entry_has_one_byte_at_least_and_as_many_as_a_bundle_holds() {
    let bench = Bench::raw().await;
    assert_eq!(bench.submit(ADD, "").await.problem(), "entry-length");
    assert_eq!(bench.submit(ADD, vec![7; 65_536]).await.problem(), "body-too-large");
    assert_eq!(bench.submit(ADD, vec![7; 65_535]).await.status, 200);
    assert_eq!(bench.submit(ADD, vec![0]).await.body, b"1\n");
}

#[tokio::test]
async fn entries_need_a_token_of_this_namespace() {
    let bench = Bench::raw().await;
    assert_eq!(bench.post(ADD, &[], "x").await.problem(), "token-missing");
    let reader = bench.bearer_with(|claims| claims.scopes.retain(|scope| scope.as_str() == "statements"));
    assert_eq!(bench.post(ADD, &[&reader], "x").await.problem(), "missing-scope");
    assert_eq!(bench.submit("/v1/other/add", "x").await.problem(), "unknown-namespace");
}

#[tokio::test]
async fn a_log_takes_what_its_kind_takes() {
    let raw = Bench::raw().await;
    assert_eq!(raw.submit("/v1/backup/entries", raw.world.evidence(1).write()).await.problem(), "other-kind");
    let statement = raw.world.statement(1, None);
    assert_eq!(raw.submit("/v1/backup/statements", raw.statement_body(&statement)).await.problem(), "other-kind");
    let fleet_keys = Bench::new().await;
    assert_eq!(fleet_keys.submit(ADD, "x").await.problem(), "other-kind");
}

#[tokio::test]
async fn a_raw_log_is_read_like_any_other_and_has_no_statements() {
    let bench = Bench::raw().await;
    bench.submit(&format!("{ADD}?wait=published"), "entry").await;
    let status = bench.get("/v1/backup/status").await.json();
    assert_eq!((&status["kind"], &status["state"], &status["size"]), (&json!("raw"), &json!("serving"), &json!(1)));
    let hash = hex::encode(leaf_hash(b"entry").0.0);
    for path in [
        "/backup/checkpoint".to_owned(),
        "/backup/tile/0/000.p/1".to_owned(),
        "/backup/tile/entries/000.p/1".to_owned(),
        "/v1/backup/receipts/0".to_owned(),
        "/v1/backup/policy".to_owned(),
        format!("/v1/backup/proofs/inclusion?leaf_hash={hash}"),
    ] {
        assert_eq!(bench.get(&path).await.status, 200, "{path}");
    }
    for path in ["trust", "statements/1", "statements/1/record", "bundles/newest", "bundles/1"] {
        assert_eq!(bench.get(&format!("/v1/backup/{path}")).await.problem(), "other-kind", "{path}");
    }
    assert_eq!(bench.get("/namespaces").await.json()["namespaces"], json!([]));
    assert_eq!(bench.get("/namespaces/backup").await.problem(), "other-kind");
    assert_eq!(bench.get("/namespaces/backup/audits/1").await.problem(), "other-kind");
}

#[tokio::test]
async fn thousands_of_submitters_at_once_get_indexes_of_their_own() {
    let bench = std::sync::Arc::new(Bench::raw().await);
    let mut submitters = tokio::task::JoinSet::new();
    for number in 0..3_000_u32 {
        let bench = bench.clone();
        submitters.spawn(async move {
            let answer = bench.submit(ADD, format!("entry {}", number / 2)).await;
            assert_eq!(answer.status, 200);
            let index: u64 = String::from_utf8(answer.body).unwrap().trim().parse().unwrap();
            (number / 2, index)
        });
    }
    let mut answers = submitters.join_all().await;
    answers.sort_unstable();
    answers.dedup();
    let mut indexes: Vec<u64> = answers.iter().map(|(_, index)| *index).collect();
    assert_eq!(answers.len(), 1_500, "both who sent the same bytes were given the same index");
    indexes.sort_unstable();
    assert_eq!(indexes, (0..1_500).collect::<Vec<u64>>());
}
