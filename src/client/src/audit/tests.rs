use super::*;
use crate::testing::{NOW, TestLog, World, at};

mod authority;
mod good;
mod hostile;
mod rules;
mod served;

/// Audits everything that a log serves.
async fn audit_log(log: &TestLog) -> Result<AuditReport, AuditError> {
    audit_with(log, &[], true).await
}

async fn audit_with(log: &TestLog, known_heads: &[KnownHead], served: bool) -> Result<AuditReport, AuditError> {
    let request = AuditRequest {
        tiles: Arc::new(log.reader.clone()),
        log: served.then_some(&log.reader),
        trust: &log.world().trust,
        known_heads,
        now: at(NOW),
    };
    audit(request, &mut |_| {}).await
}

fn outcome(report: &AuditReport, name: CheckName) -> Outcome {
    report.checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no check {name:?}")).outcome
}

/// The checks that were asked for and are not verified.
fn open(report: &AuditReport) -> Vec<(CheckName, Outcome)> {
    let open = report.checks.iter().filter(|check| match check.outcome {
        Outcome::Verified | Outcome::NothingToCheck => false,
        Outcome::Failed | Outcome::NotChecked | Outcome::NotAsked => true,
    });
    open.map(|check| (check.name, check.outcome)).collect()
}

fn rules_of(report: &AuditReport) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.rule).collect()
}

fn world_with(change: impl FnOnce(&mut World)) -> World {
    let mut world = World::active();
    change(&mut world);
    world
}
