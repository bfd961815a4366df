//! Entries, receipts, proofs, statements, bundles, links, status, health.

use axum::http::Method;
use countermark_bundle::ExitClass;
use countermark_bundle::identity::Side;
use countermark_bundle::link::ConsistencyLink;
use countermark_bundle::trust::{Floor, TrustFile};
use countermark_bundle::verify::{BundleState, verify};
use countermark_tlog::hash::{Hash, LeafHash, leaf_hash};
use countermark_tlog::policy::Policy;
use countermark_tlog::proof::{ConsistencyProof, InclusionProof, verify_consistency, verify_inclusion};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tlog_proof::TlogProof;
use serde_json::{Value, json};

use super::{Answer, Bench};
use crate::http::problem::ProblemKind;
use crate::testing::NOW;
use crate::testing::world::at;

fn hashes(list: &Value) -> Vec<Hash> {
    list.as_array().unwrap().iter().map(|text| Hash::from_base64(text.as_str().unwrap()).unwrap()).collect()
}

fn index(number: u64) -> LeafIndex {
    LeafIndex::new(number).unwrap()
}

fn size(number: u64) -> TreeSize {
    TreeSize::new(number).unwrap()
}

fn exact_hex(text: &Value) -> [u8; 32] {
    hex::decode(text.as_str().unwrap()).unwrap().try_into().unwrap()
}

#[tokio::test]
async fn an_entry_is_served_as_it_was_submitted() {
    let bench = Bench::new().await;
    let answer = bench.get("/v1/backup/entries/1").await;
    assert_eq!((answer.status, answer.body), (200, bench.world.evidence(0).write()));
    assert_eq!(bench.get("/v1/backup/entries/0").await.body, bench.world.first_entry());
}

#[tokio::test]
async fn a_receipt_verifies_under_the_policy_that_is_served() {
    let bench = Bench::new().await;
    let policy = bench.get("/v1/backup/policy").await;
    assert_eq!(policy.header("content-type"), "text/plain; charset=utf-8");
    let policy = Policy::parse(&policy.body).unwrap();
    for number in 0..2 {
        let entry = bench.get(&format!("/v1/backup/entries/{number}")).await.body;
        let receipt = bench.get(&format!("/v1/backup/receipts/{number}")).await;
        assert_eq!((receipt.status, receipt.header("content-type")), (200, "text/plain; charset=utf-8"));
        let receipt = TlogProof::parse(&receipt.body).unwrap();
        assert_eq!(receipt.index, index(number));
        let head = receipt.verify(&policy, leaf_hash(&entry)).unwrap();
        assert_eq!(head.checkpoint().size, size(2));
        assert!(receipt.verify(&policy, leaf_hash(b"another entry")).is_err());
    }
}

#[tokio::test]
async fn inclusion_proofs_verify_by_index_and_by_leaf_hash_at_every_published_size() {
    let bench = Bench::new().await;
    let mut roots = vec![];
    for number in 1..=6 {
        bench.publish_evidence(number).await;
        roots.push((bench.handle.published().unwrap().size.get(), bench.handle.published().unwrap().root));
    }
    for (tree, root) in roots {
        for leaf in 0..tree {
            let entry = bench.get(&format!("/v1/backup/entries/{leaf}")).await.body;
            let by_index = bench.get(&format!("/v1/backup/proofs/inclusion?index={leaf}&size={tree}")).await.json();
            let hash = by_index["leaf_hash"].as_str().unwrap().to_owned();
            let path = format!("/v1/backup/proofs/inclusion?leaf_hash={hash}&size={tree}");
            assert_eq!(bench.get(&path).await.json(), by_index);
            let proof = InclusionProof::new(hashes(&by_index["path"])).unwrap();
            assert_eq!(LeafHash(Hash(exact_hex(&by_index["leaf_hash"]))), leaf_hash(&entry));
            verify_inclusion(leaf_hash(&entry), index(leaf), size(tree), root, &proof).unwrap();
        }
    }
    let newest = bench.get("/v1/backup/proofs/inclusion?index=0").await.json();
    assert_eq!((&newest["size"], &newest["origin"]), (&json!(8), &json!("log.example/backup")));
}

#[tokio::test]
async fn consistency_proofs_and_links_verify_between_published_sizes() {
    let bench = Bench::new().await;
    let old = bench.handle.published().unwrap();
    for number in 1..=5 {
        bench.publish_evidence(number).await;
    }
    let new = bench.handle.published().unwrap();
    let document = bench.get("/v1/backup/proofs/consistency?from=2").await.json();
    assert_eq!((&document["from"], &document["to"]), (&json!(2), &json!(7)));
    let proof = ConsistencyProof::new(hashes(&document["proof"])).unwrap();
    verify_consistency(old.size, old.root, new.size, new.root, &proof).unwrap();
    assert_eq!(bench.get("/v1/backup/proofs/consistency?from=2&to=7").await.json(), document);

    let link = ConsistencyLink::parse(&bench.get("/v1/backup/links?from=2").await.body).unwrap();
    assert_eq!((link.from, link.to), (old.size, new.size));
    verify_consistency(old.size, old.root, new.size, new.root, &link.proof()).unwrap();
    for from in [0, 7] {
        let link = ConsistencyLink::parse(&bench.get(&format!("/v1/backup/links?from={from}")).await.body).unwrap();
        assert!(link.proof().hashes().is_empty(), "nothing is to be proved from {from} to 7");
    }
}

#[tokio::test]
async fn nothing_beyond_the_published_head_is_proved_or_shown() {
    let bench = Bench::new().await;
    let unknown = hex::encode([7; 32]);
    for (path, expect) in [
        ("/v1/backup/entries/2", ProblemKind::BeyondPublishedHead),
        ("/v1/backup/entries/9223372036854775807", ProblemKind::BeyondPublishedHead),
        ("/v1/backup/entries/9223372036854775808", ProblemKind::MalformedParameter),
        ("/v1/backup/entries/01", ProblemKind::MalformedParameter),
        ("/v1/backup/receipts/2", ProblemKind::BeyondPublishedHead),
        ("/v1/backup/receipts/x", ProblemKind::MalformedParameter),
        ("/v1/backup/proofs/inclusion?index=2", ProblemKind::BeyondPublishedHead),
        ("/v1/backup/proofs/inclusion?index=2&size=2", ProblemKind::BeyondPublishedHead),
        ("/v1/backup/proofs/inclusion?index=0&size=3", ProblemKind::BeyondPublishedHead),
        ("/v1/backup/proofs/inclusion?index=1&size=1", ProblemKind::MalformedParameter),
        ("/v1/backup/proofs/inclusion?size=1", ProblemKind::MalformedParameter),
        ("/v1/backup/proofs/inclusion?index=0&leaf_hash=00", ProblemKind::MalformedParameter),
        ("/v1/backup/proofs/inclusion?leaf_hash=00", ProblemKind::MalformedParameter),
        (&format!("/v1/backup/proofs/inclusion?leaf_hash={unknown}"), ProblemKind::UnknownLeaf),
        (&format!("/v1/backup/proofs/inclusion?leaf_hash={}", "AB".repeat(32)), ProblemKind::MalformedParameter),
        ("/v1/backup/proofs/consistency", ProblemKind::MalformedParameter),
        ("/v1/backup/proofs/consistency?from=2&to=1", ProblemKind::SizesOutOfOrder),
        ("/v1/backup/proofs/consistency?from=2&to=3", ProblemKind::BeyondPublishedHead),
        ("/v1/backup/proofs/consistency?from=3&to=2", ProblemKind::BeyondPublishedHead),
        ("/v1/backup/links", ProblemKind::MalformedParameter),
        ("/v1/backup/links?from=3", ProblemKind::BeyondPublishedHead),
        ("/v1/backup/links?from=1&to=2", ProblemKind::UnknownParameter),
        ("/v1/backup/statements/1", ProblemKind::NoSuchEpoch),
        ("/v1/backup/statements/0", ProblemKind::MalformedParameter),
        ("/v1/backup/statements/1/record", ProblemKind::NoSuchEpoch),
        ("/v1/backup/bundles/newest", ProblemKind::NothingActive),
        ("/v1/backup/bundles/1", ProblemKind::NoSuchEpoch),
        ("/v1/other/entries/0", ProblemKind::UnknownNamespace),
        ("/v1/backup", ProblemKind::NotFound),
        ("/v1/backup/entries/0/", ProblemKind::NotFound),
        ("/", ProblemKind::NotFound),
        ("/v1/b%61ckup/entries/0", ProblemKind::PathNotCanonical),
    ] {
        assert_eq!(bench.get(path).await.problem(), expect.name(), "{path}");
    }
}

/// Committed, but never witnessed: the database has it, the surface does not.
#[tokio::test]
async fn an_entry_that_the_quorum_has_not_cosigned_is_not_served() {
    let bench = Bench::new().await;
    bench.stop_witnesses();
    let answer = bench.submit("/v1/backup/entries?wait=committed", bench.world.evidence(1).write()).await;
    assert_eq!((answer.status, answer.json()["level"].as_str()), (200, Some("committed")));
    let leaf = answer.json()["leaf_hash"].as_str().unwrap().to_owned();
    assert_eq!(bench.handle.committed().0, size(3));
    for (path, expect) in [
        ("/v1/backup/entries/2".to_owned(), ProblemKind::BeyondPublishedHead),
        ("/v1/backup/receipts/2".to_owned(), ProblemKind::BeyondPublishedHead),
        ("/v1/backup/proofs/inclusion?index=2".to_owned(), ProblemKind::BeyondPublishedHead),
        (format!("/v1/backup/proofs/inclusion?leaf_hash={leaf}"), ProblemKind::UnknownLeaf),
        ("/v1/backup/proofs/consistency?from=2&to=3".to_owned(), ProblemKind::BeyondPublishedHead),
        ("/backup/tile/0/000.p/3".to_owned(), ProblemKind::BeyondPublishedHead),
        ("/backup/tile/entries/000.p/3".to_owned(), ProblemKind::BeyondPublishedHead),
    ] {
        assert_eq!(bench.get(&path).await.problem(), expect.name(), "{path}");
    }
    assert_eq!(bench.get("/v1/backup/status").await.json()["size"], 2);
}

#[tokio::test]
async fn before_the_first_published_head_there_is_nothing_to_read_but_status() {
    let bench = Bench::unpublished().await;
    for path in ["/backup/checkpoint", "/backup/tile/0/000.p/1", "/v1/backup/entries/0", "/v1/backup/bundles/newest"] {
        let answer = bench.get(path).await;
        assert_eq!(answer.problem(), ProblemKind::NothingPublished.name(), "{path}");
        assert_eq!(answer.header("retry-after"), "1");
    }
    let status = bench.get("/v1/backup/status").await.json();
    assert_eq!((&status["size"], &status["state"]), (&Value::Null, &json!("serving")));
    assert_eq!(bench.get("/readyz").await.problem(), ProblemKind::NotReady.name());
    assert_eq!(bench.get("/healthz").await.json(), json!({"up": true}));
}

#[tokio::test]
async fn a_statement_is_served_byte_for_byte_with_its_record() {
    let bench = Bench::new().await;
    let digest = bench.certify(1, None).await;
    let answer = bench.get("/v1/backup/statements/1").await;
    assert_eq!(answer.body, bench.world.statement(1, None).write());
    let record = bench.get("/v1/backup/statements/1/record").await.json();
    assert_eq!(record["digest"], json!(digest));
    assert_eq!((&record["epoch"], &record["index"], &record["revoked"]), (&json!(1), &json!(2), &json!(false)));
    assert_eq!((&record["activations"], &record["next_renewal"]), (&json!([]), &json!(0)));
    assert_eq!((&record["renewal_due"], &record["certificate"]["timestamp_ms"]), (&json!(true), &json!(NOW * 1_000)));
    assert_eq!(bench.get("/v1/backup/bundles/1").await.problem(), ProblemKind::NotActive.name());
    assert_eq!(bench.get("/v1/backup/bundles/newest").await.problem(), ProblemKind::NothingActive.name());
    let activation = bench.activate(1).await;
    let record = bench.get("/v1/backup/statements/1/record").await.json();
    assert_eq!((&record["activations"], &record["renewal_due"]), (&json!([activation]), &json!(false)));
}

#[tokio::test]
async fn a_bundle_verifies_through_the_clients_one_door() {
    let bench = Bench::new().await;
    bench.certify(1, None).await;
    bench.activate(1).await;
    let trust = TrustFile::parse(&bench.get("/v1/backup/trust").await.body).unwrap();
    assert_eq!(trust, bench.world.trust);
    let first = bench.get("/v1/backup/bundles/newest").await;
    assert_eq!(first.body, bench.get("/v1/backup/bundles/1").await.body);
    let floor = trust.initial_floor();
    let link = ConsistencyLink::parse(&bench.get("/v1/backup/links?from=0").await.body).unwrap();
    let mut stored = None;
    let verified = verify(&first.body, Some(&link), &trust, &floor, at(NOW + 60)).unwrap();
    let keep = |floor: &Floor| {
        stored = Some(floor.clone());
        Ok::<_, ()>(())
    };
    let bundle = verified.store(keep).unwrap();
    assert_eq!(bundle.statement().bytes(), bench.world.statement(1, None).write());
    assert_eq!(bundle.state(), BundleState::Ok);
    assert_eq!(bundle.serving_fleets().count(), 1);

    // Later, from the floor that was stored.
    bench.publish_evidence(9).await;
    let floor = stored.unwrap();
    let second = bench.get("/v1/backup/bundles/newest").await.body;
    assert_ne!(first.body, second);
    let link = ConsistencyLink::parse(&bench.get(&format!("/v1/backup/links?from={}", floor.size)).await.body).unwrap();
    assert!(verify(&second, Some(&link), &trust, &floor, at(NOW + 60)).is_ok());
}

#[tokio::test]
async fn a_bundle_carries_the_whole_tail_until_a_renewal_is_needed() {
    let bench = Bench::new().await;
    bench.certify(1, None).await;
    bench.activate(1).await;
    for number in 1..=16 {
        bench.publish_evidence(number).await;
    }
    let bundle: Value = serde_json::from_slice(&bench.get("/v1/backup/bundles/newest").await.body).unwrap();
    assert_eq!(bundle["records"].as_array().unwrap().len(), 18);
    bench.publish_evidence(17).await;
    for path in ["/v1/backup/bundles/newest", "/v1/backup/bundles/1"] {
        let answer = bench.get(path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (409, ProblemKind::RenewalNeeded.name()));
    }
    let renewal = bench.activate(1).await;
    let bundle = bench.get("/v1/backup/bundles/newest").await.body;
    let document: Value = serde_json::from_slice(&bundle).unwrap();
    let indexes: Vec<u64> =
        document["records"].as_array().unwrap().iter().map(|record| record["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, [2, renewal]);
}

#[tokio::test]
async fn a_revoked_epoch_is_still_bundled_and_says_that_it_is_revoked() {
    let bench = Bench::new().await;
    bench.certify(1, None).await;
    bench.activate(1).await;
    let revocation = bench.world.revocation(Side::Operator, &[1]).write();
    assert_eq!(bench.submit("/v1/backup/entries", revocation).await.status, 200);
    assert_eq!(bench.get("/v1/backup/statements/1/record").await.json()["revoked"], true);
    let status = bench.get("/v1/backup/status").await.json();
    assert_eq!((&status["newest_active"]["epoch"], &status["newest_active"]["revoked"]), (&json!(1), &json!(true)));
    let bundle = bench.get("/v1/backup/bundles/newest").await.body;
    let trust = &bench.world.trust;
    let link = ConsistencyLink::parse(&bench.get("/v1/backup/links?from=0").await.body).unwrap();
    let distrust = verify(&bundle, Some(&link), trust, &trust.initial_floor(), at(NOW)).unwrap_err();
    assert_eq!(distrust.exit_class(), ExitClass::Revoked);
}

#[tokio::test]
async fn status_says_where_the_namespace_stands() {
    let bench = Bench::new().await;
    let digest = bench.certify(1, None).await;
    let status = bench.get("/v1/backup/status").await.json();
    let published = bench.handle.published().unwrap();
    assert_eq!(status["origin"], "log.example/backup");
    assert_eq!(status["namespace"], "backup");
    assert_eq!((&status["size"], &status["root"]), (&json!(3), &json!(published.root.0.to_base64())));
    assert_eq!((&status["head_time"], &status["next_epoch"]), (&json!("2026-11-21T00:00:00Z"), &json!(2)));
    assert_eq!(status["newest_certified"], json!({"epoch": 1, "digest": digest, "index": 2, "revoked": false}));
    assert_eq!((&status["newest_active"], &status["policy"]["approvals_needed"]), (&Value::Null, &json!(2)));
    let witnesses = status["witnesses"].as_array().unwrap();
    assert_eq!((witnesses.len(), &witnesses[0]["name"]), (4, &json!("w0.example")));
}

#[tokio::test]
async fn readiness_ends_when_the_head_is_too_old_or_the_namespace_stops() {
    let bench = Bench::new().await;
    let ready = bench.get("/readyz").await;
    assert_eq!((ready.status, ready.header("cache-control")), (200, "no-store"));
    assert_eq!(ready.json()["namespaces"][0]["head_age_seconds"], 0);
    // The trust file allows a day; an active statement of half a day is the smaller limit.
    bench.stop_witnesses();
    bench.world.clock.set(NOW + 86_399);
    assert_eq!(bench.get("/readyz").await.status, 200);
    bench.world.clock.set(NOW + 86_400);
    let late = bench.get("/readyz").await;
    assert_eq!((late.status, late.problem().as_str()), (503, "not-ready"));
    assert_eq!(late.problem_document()["namespaces"][0]["serving"], true);
    assert_eq!(bench.get("/healthz").await.status, 200);

    let bench = Bench::new().await;
    bench.certify(1, None).await;
    bench.activate(1).await;
    bench.stop_witnesses();
    bench.world.clock.set(NOW + 43_200);
    assert_eq!(bench.get("/readyz").await.problem(), "not-ready");

    let bench = Bench::new().await;
    bench.handle.shutdown().await;
    assert_eq!(bench.get("/readyz").await.problem_document()["namespaces"][0]["serving"], false);
    assert_eq!(bench.get("/v1/backup/entries/0").await.status, 200, "reads go on");
}

#[tokio::test]
async fn every_read_answers_head_and_cors_and_no_other_method_and_no_query() {
    let bench = Bench::new().await;
    bench.certify(1, None).await;
    bench.activate(1).await;
    for (path, content_type, cache) in [
        ("/backup/checkpoint", "text/plain; charset=utf-8", "public, max-age=2"),
        ("/backup/tile/0/000.p/4", "application/octet-stream", "public, max-age=31536000, immutable"),
        ("/backup/tile/entries/000.p/4", "application/octet-stream", "public, max-age=31536000, immutable"),
        ("/v1/backup/entries/0", "application/octet-stream", "no-cache"),
        ("/v1/backup/receipts/0", "text/plain; charset=utf-8", "no-cache"),
        ("/v1/backup/proofs/inclusion?index=0", "application/json", "no-cache"),
        ("/v1/backup/proofs/consistency?from=1", "application/json", "no-cache"),
        ("/v1/backup/statements/1", "application/json", "no-cache"),
        ("/v1/backup/statements/1/record", "application/json", "no-cache"),
        ("/v1/backup/bundles/newest", "application/json", "no-cache"),
        ("/v1/backup/bundles/1", "application/json", "no-cache"),
        ("/v1/backup/links?from=1", "application/json", "no-cache"),
        ("/v1/backup/trust", "application/json", "no-cache"),
        ("/v1/backup/policy", "text/plain; charset=utf-8", "no-cache"),
        ("/v1/backup/status", "application/json", "no-cache"),
        ("/info", "application/json", "no-cache"),
        ("/namespaces", "application/json", "no-cache"),
        ("/namespaces/backup", "application/json", "no-cache"),
        ("/namespaces/backup/audits/1", "application/json", "no-cache"),
        ("/namespaces/backup/last-verified-epoch", "application/json", "no-cache"),
        ("/v1/status", "application/json", "no-store"),
        ("/healthz", "application/json", "no-store"),
        ("/readyz", "application/json", "no-store"),
    ] {
        let answer = bench.get(path).await;
        let found = (answer.status, answer.header("content-type"), answer.header("cache-control"));
        assert_eq!(found, (200, content_type, cache), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        // Not the origin: the answer is the same for every site, and so is its entry in a cache.
        for vary in answer.headers.get_all("vary") {
            assert!(["accept", "accept-encoding"].contains(&vary.to_str().unwrap()), "{path}: {vary:?}");
        }
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        let head = bench.call(Method::HEAD, path).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        let separator = if path.contains('?') { '&' } else { '?' };
        let queried = bench.get(&format!("{path}{separator}x=1")).await;
        assert_eq!(queried.problem(), "unknown-parameter", "{path}");
        assert_eq!(queried.header("access-control-allow-origin"), "*", "{path}");
        let refused = bench.call(Method::DELETE, path).await;
        assert_eq!((refused.problem().as_str(), refused.header("allow")), ("method-not-allowed", "GET,HEAD"), "{path}");
    }
}

impl Bench {
    pub(super) fn stop_witnesses(&self) {
        for endpoint in &self.world.endpoints {
            self.world.witnesses.behave(&endpoint.url, crate::testing::Manner::Unreachable);
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}
