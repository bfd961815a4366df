//! The whole authority in one document.

use axum::http::Request;
use serde_json::{Value, json};

use super::Bench;
use super::bench::send;
use crate::config::house::PATIENCE;
use crate::sequencer::WaitLevel;
use crate::testing::NOW;
use crate::testing::world::entry;

async fn overview(bench: &Bench) -> Value {
    let answer = bench.get("/v1/status").await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    answer.json()
}

#[tokio::test]
async fn the_authority_shows_every_namespace_as_its_own_status_does() {
    let bench = Bench::new().await;
    bench.world.clock.set(NOW + 60);
    let document = overview(&bench).await;
    let namespaces = document["namespaces"].as_array().unwrap();
    assert_eq!(namespaces.as_slice(), [bench.get("/v1/backup/status").await.json()]);
    let namespace = &namespaces[0];
    assert_eq!((&document["ready"], &document["takes_submissions"]), (&json!(true), &json!(true)));
    assert_eq!(document["software"], concat!("countermark-log ", env!("CARGO_PKG_VERSION")));
    assert_eq!(
        (&document["started_at"], &document["now"]),
        (&json!("2026-11-21T00:00:00Z"), &json!("2026-11-21T00:01:00Z"))
    );
    let expected = (&json!(60), &json!(86_400), &json!(0), &json!(true));
    let [age, limit, queued, ready] =
        ["head_age_seconds", "max_head_age_seconds", "queued_submissions", "ready"].map(|field| &namespace[field]);
    assert_eq!((age, limit, queued, ready), expected);
    let cosigns: Vec<_> = namespace["witnesses"].as_array().unwrap().iter().map(|one| &one["cosigns"]).collect();
    assert_eq!(
        cosigns,
        [&json!(true), &json!(true), &json!(true), &json!(false)],
        "three of four were asked and answered"
    );
    assert_eq!((&document["refusals"], &document["refusal_counts"]), (&json!([]), &json!({})));
}

#[tokio::test]
async fn a_witness_that_fails_after_it_cosigned_does_not_cosign() {
    let bench = Bench::new().await;
    bench.stop_witnesses();
    let entry = entry(&bench.world.evidence(7));
    bench.handle.submit(entry, WaitLevel::Committed, PATIENCE).await.unwrap();
    let shown = async || {
        let document = overview(&bench).await;
        let witnesses = document["namespaces"][0]["witnesses"].as_array().unwrap().clone();
        witnesses.iter().any(|one| one["cosigns"] == true) || document["ready"] == true
    };
    let fail = async {
        while shown().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, fail).await.unwrap();
}

#[tokio::test]
async fn refused_submissions_show_and_nothing_of_what_they_said() {
    let bench = Bench::new().await;
    let [path, secret] = ["/v1/backup/statements", "planted-marker"];
    bench.post(path, &[], secret).await;
    bench.post(path, &[], secret).await;
    bench.post(path, &[&format!("Bearer {secret}")], secret).await;
    bench.submit(path, secret).await;
    bench.submit(&format!("/v1/{secret}/statements"), secret).await;
    bench.get("/v1/backup/entries/99").await;
    let document = overview(&bench).await;
    let found: Vec<_> = document["refusals"].as_array().unwrap().clone();
    let at = "2026-11-21T00:00:00Z";
    let backup =
        |name, status, count| json!({"at": at, "namespace": "backup", "type": name, "status": status, "count": count});
    let expected = [
        json!({"at": at, "namespace": null, "type": "unknown-namespace", "status": 404, "count": 1}),
        backup("malformed-submission", 400, 1),
        backup("token-malformed", 401, 1),
        backup("token-missing", 401, 2),
    ];
    assert_eq!(found, expected);
    assert_eq!(document["refusal_counts"]["beyond-published-head"], 1, "a reader's refusal is counted only");
    assert!(!document.to_string().contains(secret), "{document}");
}

#[tokio::test]
async fn an_export_has_an_overview_too_and_takes_nothing() {
    let bench = super::exported::live().await;
    let folder = tempfile::tempdir().unwrap();
    let (router, _started) = super::exported::exported(&bench, folder.path()).await;
    let get = || Request::get("/v1/status").body(axum::body::Body::empty()).unwrap();
    let document = send(&router, get()).await.json();
    assert_eq!((&document["takes_submissions"], &document["ready"]), (&json!(false), &json!(true)));
    assert_eq!(document["namespaces"][0]["namespace"], "backup");
    assert_eq!(document["namespaces"][0]["size"], bench.get("/v1/backup/status").await.json()["size"]);
}
