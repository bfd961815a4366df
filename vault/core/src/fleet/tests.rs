use super::*;
use crate::member::MemberIdentity;
use crate::testing::{VENDOR, at, attest, body, identity, name, origin, public, report, report_signed_by};
use alloc::string::ToString;
use alloc::vec;
use countermark_bundle::attestation::AttestationBody;
use countermark_bundle::key::SignatureError;

fn settings() -> StatementSettings {
    StatementSettings {
        origin: origin(),
        epoch: Epoch::FIRST,
        previous: None,
        issued_at: at(0),
        window: Window { not_before: at(0), not_after: at(86_400) },
        key_window: Window { not_before: at(0), not_after: at(2 * 86_400) },
        max_head_age_seconds: 3600,
        fleet: FleetSettings {
            status: FleetStatus::Active,
            majority: 2,
            guess_limit: 10,
            evidence_root: Digest::of(b"evidence"),
        },
        other_fleets: Vec::new(),
    }
}

fn build(reports: &[UntrustedMemberReport]) -> Result<Statement, BuildError> {
    build_statement(reports, &settings(), &[public(VENDOR)])
}

/// The refusal of a fleet of members 1 and 3 and the report given, which is of member 2.
fn refused(second: UntrustedMemberReport) -> BuildError {
    let error = build(&[report(3), second, report(1)]).unwrap_err();
    assert!(error.to_string().contains("member-2"), "{error}");
    error
}

fn attested(identity: &MemberIdentity, attested: AttestationBody, by: u8) -> UntrustedMemberReport {
    report_signed_by(identity, Some(&attest(attested, by)), 2)
}

#[test]
fn a_statement_says_what_the_members_report_and_the_operator_decides() {
    let statement = build(&[report(2), report(1), report(3)]).unwrap();
    let fleet = &statement.fleets[0];
    assert_eq!((statement.fleets.len(), fleet.members.len()), (1, 3));
    assert_eq!((&fleet.fleet_id, &fleet.software), (&name("fleet-1"), &identity(1).software));
    assert_eq!((fleet.majority, fleet.guess_limit, statement.max_head_age_seconds), (2, 10, 3600));
    assert_eq!((statement.not_before, statement.not_after), (at(0), at(86_400)));
    for (member, seed) in fleet.members.iter().zip(1..) {
        let identity = identity(seed);
        assert_eq!((&member.member_id, &member.failure_domain), (&identity.member_id, &identity.failure_domain));
        assert_eq!(member.keys_of(KeyRole::Identity).next().unwrap().key().unwrap(), identity.identity_key);
        assert_eq!(member.keys_of(KeyRole::Session).next().unwrap().key().unwrap(), identity.session_key);
        assert!(member.keys.iter().all(|key| key.not_after == at(2 * 86_400)));
        assert_eq!(member.attestation, AttestationRef::to(&attest(body(&identity), VENDOR)));
    }
}

#[test]
fn the_order_of_the_reports_changes_nothing() {
    let expect = build(&[1, 2, 3].map(report)).unwrap().write();
    for order in [[1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
        assert_eq!(build(&order.map(report)).unwrap().write(), expect, "{order:?}");
    }
}

#[test]
fn a_fleet_of_nobody_is_refused() {
    assert!(matches!(build(&[]), Err(BuildError::NoReports)));
}

#[test]
fn a_report_without_proof_of_possession_is_refused() {
    let bytes = attest(body(&identity(2)), VENDOR);
    let stolen = report_signed_by(&identity(2), Some(&bytes), 9);
    let expect = |error| matches!(error, BuildError::Report { source: ReportError::ProofOfPossession(_), .. });
    assert!(expect(refused(stolen)));
}

#[test]
fn a_member_of_another_log_or_fleet_is_refused() {
    let log = Origin::new("log.example/other").unwrap();
    let other_log = MemberIdentity { origin: log, ..identity(2) };
    assert!(matches!(refused(attested(&other_log, body(&other_log), VENDOR)), BuildError::OtherLog { .. }));
    let other_fleet = MemberIdentity { fleet_id: name("fleet-2"), ..identity(2) };
    assert!(matches!(refused(attested(&other_fleet, body(&other_fleet), VENDOR)), BuildError::OtherFleet { .. }));
}

#[test]
fn members_that_run_different_software_are_refused() {
    let good = identity(2).software;
    for software in [
        Software { name: "other".to_string(), ..good.clone() },
        Software { version: "0.2.0".to_string(), ..good.clone() },
        Software { sha256: Digest::of(b"rebuilt"), ..good },
    ] {
        let other = MemberIdentity { software, ..identity(2) };
        let error = refused(attested(&other, body(&other), VENDOR));
        assert!(matches!(error, BuildError::OtherSoftware { .. }), "{error}");
    }
}

#[test]
fn a_member_counts_once() {
    assert!(matches!(build(&[report(1), report(2), report(2)]), Err(BuildError::DuplicateMember { .. })));
    let renamed = MemberIdentity { member_id: name("member-3"), ..identity(2) };
    let same_keys = report_signed_by(&renamed, Some(&attest(body(&renamed), VENDOR)), 2);
    let error = build(&[report(1), report(2), same_keys]).unwrap_err();
    assert!(matches!(error, BuildError::Statement(StatementError::KeyRule { .. })), "{error}");
}

#[test]
fn a_member_without_an_attestation_is_refused() {
    assert!(matches!(refused(report_signed_by(&identity(2), None, 2)), BuildError::NoAttestation { .. }));
}

#[test]
fn an_attestation_that_no_vendor_signed_is_refused() {
    let source = |report| match refused(report) {
        BuildError::Attestation { source, .. } => source,
        other => panic!("{other:?}"),
    };
    let own = || attested(&identity(2), body(&identity(2)), 2);
    assert!(matches!(source(own()), AttestationError::SelfSigned));
    // Another member's key is no vendor's either.
    let neighbour = attested(&identity(2), body(&identity(2)), 1);
    assert!(matches!(source(neighbour), AttestationError::UnknownVendor { .. }));
    let forged = countermark_bundle::attestation::write(body(&identity(2)), public(VENDOR).key_id(), vec![0; 64]);
    let forged = report_signed_by(&identity(2), Some(&forged), 2);
    assert!(matches!(source(forged), AttestationError::Signature(SignatureError::Invalid)));
    let configured = build_statement(&[own()], &settings(), &[public(2)]).unwrap_err();
    let self_signed = AttestationError::SelfSigned.to_string();
    assert!(configured.to_string().contains(&self_signed), "even where it is configured: {configured}");
}

#[test]
fn an_attestation_of_anything_else_is_refused() {
    let own = || body(&identity(2));
    let cover = |body| match refused(attested(&identity(2), body, VENDOR)) {
        BuildError::Uncovered(source) => source,
        other => panic!("{other:?}"),
    };
    let other_digest = AttestationBody { software_sha256: Digest::of(b"other"), ..own() };
    assert!(matches!(cover(other_digest), CoverError::OtherSoftware { .. }));
    let other_keys = AttestationBody { session_key: identity(9).session_key, ..own() };
    assert!(matches!(cover(other_keys), CoverError::OtherKeys { .. }));
    let other_keys = AttestationBody { identity_key: identity(9).identity_key, ..own() };
    assert!(matches!(cover(other_keys), CoverError::OtherKeys { .. }));
    let log = Origin::new("log.example/member-2").unwrap();
    assert!(matches!(cover(AttestationBody { origin: log, ..own() }), CoverError::OtherMember { .. }));
    let other_fleet = AttestationBody { fleet_id: name("fleet-2"), ..own() };
    assert!(matches!(cover(other_fleet), CoverError::OtherMember { .. }));
}

#[test]
fn an_attestation_of_another_member_is_refused() {
    let borrowed = report_signed_by(&identity(2), Some(&attest(body(&identity(1)), VENDOR)), 2);
    let error = build(&[report(1), borrowed, report(3)]).unwrap_err();
    assert!(matches!(error, BuildError::Uncovered(CoverError::OtherMember { .. })), "{error}");
}

#[test]
fn settings_that_make_no_valid_statement_are_refused() {
    let reports = [report(1), report(2), report(3)];
    let mut cases = vec![settings(); 4];
    cases[0].fleet.majority = 1;
    cases[1].window.not_after = at(0);
    cases[2].max_head_age_seconds = 1;
    cases[3].previous = Some(Digest::of(b"previous"));
    for settings in cases {
        let error = build_statement(&reports, &settings, &[public(VENDOR)]).unwrap_err();
        assert!(matches!(error, BuildError::Statement(_)), "{error}");
    }
}

#[test]
fn other_fleets_are_stated_too_and_never_the_same_twice() {
    let reports = [report(1), report(2), report(3)];
    let mut old = build(&reports).unwrap().fleets.remove(0);
    let with = |fleet: &Fleet| StatementSettings { other_fleets: vec![fleet.clone()], ..settings() };
    let twice = build_statement(&reports, &with(&old), &[public(VENDOR)]).unwrap_err();
    assert!(matches!(twice, BuildError::DuplicateFleet { fleet } if fleet == name("fleet-1")));
    old.fleet_id = name("fleet-0");
    old.members.truncate(1);
    (old.majority, old.status) = (1, FleetStatus::Retired);
    old.members[0].keys = vec![
        MemberKey::new(KeyRole::Identity, &public(90), at(0), at(9)),
        MemberKey::new(KeyRole::Session, &identity(90).session_key, at(0), at(9)),
    ];
    old.members[0].keys.sort_by_key(|key| key.key_id);
    let statement = build_statement(&reports, &with(&old), &[public(VENDOR)]).unwrap();
    let names: Vec<&str> = statement.fleets.iter().map(|fleet| fleet.fleet_id.as_str()).collect();
    assert_eq!(names, ["fleet-0", "fleet-1"]);
}
