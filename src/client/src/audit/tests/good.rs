use countermark_bundle::entry;
use countermark_bundle::identity::{Epoch, Side};
use serde_json::Value;

use super::*;
use crate::fetch::FolderSource;
use crate::testing::{index, size};

#[tokio::test]
async fn a_good_log_of_every_type_passes_with_everything_checked() {
    let log = TestLog::serve(World::grown_to(700)).await;
    let (world, len) = (log.world(), log.world().len());
    let mut seen = Vec::new();
    let request = AuditRequest {
        tiles: Arc::new(log.reader.clone()),
        log: Some(&log.reader),
        trust: &world.trust,
        known_heads: &[KnownHead { size: size(300), root: world.grown.root(300) }],
        now: at(NOW),
    };
    let report = audit(request, &mut |progress| seen.push((progress.done, progress.total))).await.unwrap();
    assert_eq!((report.exit_class(), open(&report), rules_of(&report)), (None, vec![], vec![]));
    assert_eq!(seen, [(256, len), (512, len), (len, len)]);
    assert_eq!((report.size, report.root), (size(len), world.grown.root(len)));
    assert_eq!((report.head_time, report.witnesses.len()), (Some(at(NOW)), 3));
    assert_eq!(report.entries.values().sum::<u64>(), len);
    let of = |kind: &str| report.entries[kind];
    assert!(of(entry::REVOCATION_TYPE) > 50 && of(entry::EVIDENCE_TYPE) > 50 && of(entry::ACTIVATION_TYPE) > 50);
    assert_eq!(of(entry::CERTIFIED_STATEMENT_TYPE), u64::try_from(report.statements.len()).unwrap());
    let first = &report.statements[0];
    assert_eq!((first.index, first.activations[0], first.revoked), (index(1), index(2), false));
    assert_eq!(report.newest_active, report.statements.last().map(|line| line.epoch));
    let policy = report.policy.unwrap();
    assert_eq!((policy.officers.len(), policy.approvals_needed), (2, 2));
    assert_eq!(outcome_count(&report.checks, Outcome::Verified), 9);
    assert_eq!(
        outcome_count(&report.checks, Outcome::NothingToCheck),
        2,
        "no change of keys, no epoch in the trust file"
    );
}

fn outcome_count(checks: &[Check], outcome: Outcome) -> usize {
    checks.iter().filter(|check| check.outcome == outcome).count()
}

#[tokio::test]
async fn a_folder_of_tiles_is_audited_and_says_what_it_cannot_show() {
    let world = World::grown_to(300);
    let folder = world.export();
    let request = AuditRequest {
        tiles: Arc::new(FolderSource::open(folder.path()).unwrap()),
        log: None,
        trust: &world.trust,
        known_heads: &[],
        now: at(NOW),
    };
    let report = audit(request, &mut |_| {}).await.unwrap();
    assert_eq!(report.exit_class(), None, "what was asked for was checked");
    assert_eq!(open(&report), CheckName::SERVED.map(|name| (name, Outcome::NotAsked)));
}

#[tokio::test]
async fn a_log_without_a_statement_and_an_empty_one_pass() {
    for world in [World::new(), World::empty()] {
        let log = TestLog::serve(world).await;
        let report = audit_log(&log).await.unwrap();
        assert_eq!((report.exit_class(), open(&report)), (None, vec![]));
        assert_eq!(outcome(&report, CheckName::NewestBundle), Outcome::NothingToCheck);
        assert_eq!(outcome(&report, CheckName::ServedStatements), Outcome::NothingToCheck);
    }
}

#[tokio::test]
async fn a_statement_that_was_never_countersigned_is_reported_as_such() {
    let log = TestLog::serve(world_with(|world| {
        world.certify(2);
    }))
    .await;
    let report = audit_log(&log).await.unwrap();
    assert_eq!((report.exit_class(), report.newest_active.map(Epoch::get)), (None, Some(1)));
    assert!(report.statements[1].activations.is_empty());
}

#[tokio::test]
async fn a_revoked_namespace_passes_with_a_notice() {
    let log = TestLog::serve(world_with(|world| {
        world.push(&world.revoke(Side::Operator, &[1], &["fleet-9"], vec![]));
    }))
    .await;
    let report = audit_log(&log).await.unwrap();
    assert_eq!((report.exit_class(), open(&report)), (None, vec![]));
    assert_eq!(rules_of(&report), ["newest-active-is-revoked"]);
    assert_eq!(report.findings[0].severity, Severity::Notice);
    assert!(report.statements[0].revoked);
    assert_eq!((report.revoked.epochs.len(), report.revoked.fleets.len()), (1, 1));
    // The service may as well show no bundle at all.
    log.lie("v1/backup/bundles/newest", crate::testing::Lie::Status(409, "renewal-needed"));
    assert_eq!(audit_log(&log).await.unwrap().exit_class(), None);
}

#[tokio::test]
async fn a_report_is_json_in_the_words_of_the_formats() {
    let mut world = World::active();
    world.push_unchecked(b"{}".to_vec());
    let log = TestLog::serve(world).await;
    let report = serde_json::to_value(audit_log(&log).await.unwrap()).unwrap();
    let text = |pointer: &str| report.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string();
    assert_eq!(text("/type"), "countermark/audit-report/v1");
    assert_eq!(text("/origin"), "log.example/backup");
    assert_eq!(text("/head_time"), "2026-11-21T00:00:00Z");
    assert_eq!(text("/root"), log.world().grown.root(4).0.to_base64());
    assert_eq!(report["size"], 4);
    assert_eq!(text("/witnesses/0"), "w0.example");
    assert_eq!(report["entries"]["unreadable"], 1);
    assert_eq!(report["statements"][0]["activations"], serde_json::json!([2]));
    assert_eq!(text("/statements/0/certified_at"), "2026-11-21T00:00:00Z");
    let finding = serde_json::json!(["violation", 3, "entry-format", "malformed"]);
    let found = &report["findings"][0];
    assert_eq!(serde_json::json!([found["severity"], found["index"], found["rule"], found["class"]]), finding);
    assert_eq!((text("/checks/0/name"), text("/checks/0/outcome")), ("head".to_string(), "verified".to_string()));
}
