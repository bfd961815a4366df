//! The plexi-shaped endpoints.

use countermark_bundle::certificate::CertificateMessage;
use countermark_bundle::identity::{Epoch, Namespace};
use serde_json::{Value, json};

use super::Bench;
use crate::testing::NOW;

#[tokio::test]
async fn info_carries_the_certificate_keys() {
    let bench = Bench::new().await;
    let key = hex::encode(bench.world.certificate.public().bytes());
    let expect = json!({"keys": [{"public_key": key, "not_before": 0}], "logs": ["backup"]});
    assert_eq!(bench.get("/info").await.json(), expect);
}

#[tokio::test]
async fn a_namespace_is_initialising_until_its_first_statement_is_published() {
    let bench = Bench::new().await;
    let before = bench.get("/namespaces/backup").await.json();
    assert_eq!((&before["status"], &before["root"]), (&json!("Initialization"), &Value::Null));
    assert_eq!(before.get("last_verified_epoch"), None);
    assert_eq!(bench.get("/namespaces/backup/last-verified-epoch").await.problem(), "no-such-epoch");
    let digest = bench.certify(1, None).await;
    let after = bench.get("/namespaces/backup").await.json();
    let expect = json!({
        "name": "backup",
        "log_directory": null,
        "root": format!("1/{digest}"),
        "last_verified_epoch": 1,
        "status": "Online",
        "reports_uri": "/namespaces/backup/reports",
        "audits_uri": "/namespaces/backup/audits",
        "signature_version": 1,
        "ciphersuite": 1,
    });
    assert_eq!(after, expect);
    assert_eq!(bench.get("/namespaces").await.json(), json!({"namespaces": [after]}));
    assert_eq!(bench.get("/namespaces/other").await.problem(), "unknown-namespace");
}

#[tokio::test]
async fn an_audit_is_the_certificate_and_verifies_under_the_key_of_info() {
    let bench = Bench::new().await;
    let digest = bench.certify(1, None).await;
    let audit = bench.get("/namespaces/backup/audits/1").await.json();
    let certificate = bench.world.certificate.public();
    let namespace = Namespace::parse("backup").unwrap();
    let timestamp_ms = audit["timestamp"].as_u64().unwrap();
    assert_eq!(timestamp_ms, NOW * 1_000);
    let message = CertificateMessage { namespace: &namespace, timestamp_ms, epoch: Epoch::FIRST, digest }.encode();
    assert_eq!(audit["serialized_message"], json!(hex::encode(&message)));
    assert_eq!((&audit["version"], &audit["ciphersuite"], &audit["epoch"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!((&audit["namespace"], &audit["digest"]), (&json!("backup"), &json!(digest)));
    assert_eq!(audit["key_id"], json!(certificate.bytes()[31]));
    let signature = hex::decode(audit["signature"].as_str().unwrap()).unwrap();
    certificate.verify_ed25519(&message, &signature).unwrap();
    assert_eq!(bench.get("/namespaces/backup/audits/2").await.problem(), "no-such-epoch");
    assert_eq!(bench.get("/namespaces/backup/audits/0").await.problem(), "malformed-parameter");
}

#[tokio::test]
async fn the_last_verified_epoch_leads_from_digest_to_digest() {
    let bench = Bench::new().await;
    let first = bench.certify(1, None).await;
    let last = bench.get("/namespaces/backup/last-verified-epoch").await.json();
    assert_eq!((&last["epoch"], &last["start_hash"]), (&json!(1), &json!("00".repeat(32))));
    let second = bench.certify(2, Some(first)).await;
    let last = bench.get("/namespaces/backup/last-verified-epoch").await.json();
    assert_eq!((&last["epoch"], &last["start_hash"], &last["end_hash"]), (&json!(2), &json!(first), &json!(second)));
    // Certificates rise in time even when the clock stands still.
    assert_eq!(last["timestamp"], json!(NOW * 1_000 + 1));
}

#[tokio::test]
async fn a_statement_that_is_certified_and_not_published_is_not_audited() {
    let bench = Bench::new().await;
    bench.stop_witnesses();
    let body = bench.statement_body(&bench.world.statement(1, None));
    let answer = bench.submit("/v1/backup/statements?wait=committed", body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(bench.get("/namespaces/backup/audits/1").await.problem(), "no-such-epoch");
    assert_eq!(bench.get("/namespaces/backup").await.json()["status"], "Initialization");
}
