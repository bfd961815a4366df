use serde_json::{Value, json};

use super::*;
use crate::testing::Lie;

/// Exactly one check is not verified, and says so in this way.
async fn check(log: &TestLog, name: CheckName, expect: Outcome, class: ExitClass, rules: &[&str]) {
    let report = audit_log(log).await.unwrap();
    assert_eq!((open(&report), rules_of(&report)), (vec![(name, expect)], rules.to_vec()), "{:?}", report.checks);
    assert_eq!(report.exit_class(), Some(class));
}

#[tokio::test]
async fn a_statement_served_otherwise_than_logged_is_found() {
    let log = TestLog::serve(World::grown_to(100)).await;
    let (name, path) = (CheckName::ServedStatements, "v1/backup/statements/2");
    log.lie(path, Lie::Bytes(log.world().statement(2).write()));
    check(&log, name, Outcome::Failed, ExitClass::Proof, &["served-statement-is-the-logged-one"]).await;
    for lie in [Lie::Status(404, "no-such-epoch"), Lie::Status(500, ""), Lie::Bytes(vec![b'x'; 40_000])] {
        log.lie(path, lie);
        check(&log, name, Outcome::NotChecked, ExitClass::NotChecked, &[]).await;
    }
}

#[tokio::test]
async fn a_certificate_served_otherwise_than_logged_is_found() {
    let log = TestLog::serve(World::grown_to(100)).await;
    let (name, path) = (CheckName::ServedCertificates, "namespaces/backup/audits/2");
    let good = log.reader.certificate(crate::testing::epoch(2)).await.unwrap();
    let good = json!({
        "version": 1, "ciphersuite": 1, "namespace": "backup", "timestamp": good.timestamp, "epoch": 2,
        "digest": hex::encode(&good.digest), "signature": hex::encode(&good.signature), "key_id": good.key_id,
        "serialized_message": good.serialized_message,
    });
    for (field, value) in [
        ("ciphersuite", json!(2)),
        ("namespace", json!("other")),
        ("timestamp", json!(1)),
        ("epoch", json!(3)),
        ("digest", json!("ab".repeat(32))),
        ("signature", json!("ab".repeat(64))),
        ("key_id", json!(7)),
        ("serialized_message", json!("ab")),
    ] {
        let mut other = good.clone();
        other[field] = value;
        log.lie(path, Lie::Bytes(other.to_string().into_bytes()));
        check(&log, name, Outcome::Failed, ExitClass::Proof, &["served-certificate-is-the-logged-one"]).await;
    }
    for lie in [Lie::Status(404, ""), Lie::Bytes(b"{}".to_vec())] {
        log.lie(path, lie);
        check(&log, name, Outcome::NotChecked, ExitClass::NotChecked, &[]).await;
    }
    // plexi's optional fields may be absent.
    let mut least = good;
    for field in ["version", "key_id", "serialized_message"] {
        least[field] = Value::Null;
    }
    log.lie(path, Lie::Bytes(least.to_string().into_bytes()));
    assert_eq!(audit_log(&log).await.unwrap().exit_class(), None);
}

#[tokio::test]
async fn a_bundle_that_does_not_verify_or_is_not_served_is_found() {
    let log = TestLog::serve(World::grown_to(100)).await;
    let (name, path) = (CheckName::NewestBundle, "v1/backup/bundles/newest");
    let verifies: &[&str] = &["newest-bundle-verifies"];
    log.lie(path, Lie::Bytes(b"no bundle".to_vec()));
    check(&log, name, Outcome::Failed, ExitClass::Malformed, verifies).await;
    log.lie(path, Lie::Status(503, ""));
    check(&log, name, Outcome::NotChecked, ExitClass::NotChecked, &[]).await;
    log.lie(path, Lie::Status(404, "nothing-active"));
    check(&log, name, Outcome::NotChecked, ExitClass::NotChecked, &[]).await;
    // The activation before the last: something newer stands in the tail.
    let (world, len) = (log.world(), log.world().len());
    let record = world.state.newest_active().unwrap();
    let before = record.activations[record.activations.len() - 2].get();
    log.lie(path, Lie::Bytes(world.bundle_of(record.index.get(), before, len)));
    check(&log, name, Outcome::Failed, ExitClass::Stale, verifies).await;
}

#[tokio::test]
async fn a_bundle_about_another_log_or_another_time_is_found() {
    let log = TestLog::serve(world_with(|world| {
        world.certify(2);
        world.activate(2);
    }))
    .await;
    let (name, path, world) = (CheckName::NewestBundle, "v1/backup/bundles/newest", log.world());
    // Signed by the same keys, of the same size, with another entry: the log has a second face.
    let mut fork = World::new();
    fork.push(&fork.evidence("b"));
    fork.push(&fork.evidence("c"));
    fork.certify(1);
    fork.activate(1);
    log.lie(path, Lie::Bytes(fork.bundle(5).unwrap()));
    check(&log, name, Outcome::Failed, ExitClass::Fork, &["newest-bundle-is-under-this-log"]).await;
    // An older bundle of this log, true of its size and fresh enough: clients are shown a superseded epoch.
    log.lie(path, Lie::Bytes(world.bundle_of(1, 2, 3)));
    check(&log, name, Outcome::Failed, ExitClass::Stale, &["newest-bundle-is-newest"]).await;
    // A bundle under a head beyond the checkpoint.
    log.publish(4);
    log.lie(path, Lie::Bytes(world.bundle(5).unwrap()));
    check(&log, name, Outcome::NotChecked, ExitClass::NotChecked, &[]).await;
}

#[tokio::test]
async fn a_bundle_that_is_a_little_behind_is_asked_for_again() {
    let log = TestLog::serve(world_with(|world| {
        world.push(&world.evidence("a"));
    }))
    .await;
    // The same epoch under the head before: nothing is wrong with that, after a second and a third look.
    log.lie("v1/backup/bundles/newest", Lie::Bytes(log.world().bundle(3).unwrap()));
    assert_eq!(audit_log(&log).await.unwrap().exit_class(), None);
    assert_eq!(log.asked("v1/backup/bundles/newest"), FETCH_ROUNDS_MAX);
}

#[tokio::test]
async fn a_bundle_of_an_epoch_that_a_far_revocation_took_back_is_found() {
    // A dishonest log renews a revoked epoch: the renewal is one finding, the bundle that hides the revocation another.
    let mut world = World::active();
    world.push(&world.revoke(countermark_bundle::identity::Side::Operator, &[1], &[], vec![]));
    (2..6).for_each(|serial| {
        world.push(&world.policy_change(serial));
    });
    let renewal = world.activation(1, 1);
    let at = world.push_unchecked(countermark_bundle::entry::Entry::Activation(renewal).write());
    let bundle = world.bundle_of(1, at, world.len());
    let log = TestLog::serve(world).await;
    log.lie("v1/backup/bundles/newest", Lie::Bytes(bundle));
    let report = audit_log(&log).await.unwrap();
    let expect = ["no-activation-of-revoked-epoch", "newest-active-is-revoked", "newest-bundle-is-not-revoked"];
    assert_eq!((rules_of(&report), report.exit_class()), (expect.to_vec(), Some(ExitClass::Revoked)));
}
