//! From the members' reports to the statement of their fleet: the same reports and settings give the same bytes, in
//! whatever order the reports come.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use countermark_bundle::attestation::{AttestationError, CoverError, UntrustedAttestation};
use countermark_bundle::identity::{Digest, Epoch, Name, Timestamp};
use countermark_bundle::key::PublicKey;
use countermark_bundle::statement::{
    AttestationRef, Fleet, FleetStatus, KeyRole, Member, MemberKey, ParsedStatement, STATEMENT_TYPE, Software,
    Statement, StatementError,
};
use countermark_tlog::checkpoint::Origin;

use crate::member::{ReportError, UntrustedMemberReport, VerifiedMemberReport};

/// From when until when, exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From when.
    pub not_before: Timestamp,
    /// Until when, exclusive.
    pub not_after: Timestamp,
}

/// What the operator decides about a statement; everything else comes from the reports.
#[derive(Clone, Debug)]
pub struct StatementSettings {
    /// The log.
    pub origin: Origin,
    /// The statement's number.
    pub epoch: Epoch,
    /// SHA-256 of the last certified statement; `None` in epoch 1.
    pub previous: Option<Digest>,
    /// When it is written.
    pub issued_at: Timestamp,
    /// When it may be relied on.
    pub window: Window,
    /// When the members' keys may be used.
    pub key_window: Window,
    /// How old a tree head may be for the statement to be called current.
    pub max_head_age_seconds: u64,
    /// The fleet that the reports are of.
    pub fleet: FleetSettings,
    /// Every other fleet of the namespace, as it is to be stated: a statement is the whole state.
    pub other_fleets: Vec<Fleet>,
}

/// What the operator decides about a fleet.
#[derive(Clone, Debug)]
pub struct FleetSettings {
    /// Where it is in its life.
    pub status: FleetStatus,
    /// How many members must commit a write: more than half.
    pub majority: u64,
    /// How many wrong password guesses a user has.
    pub guess_limit: u64,
    /// The root of the evidence manifest.
    pub evidence_root: Digest,
}

/// Why there is no statement. Each names the member.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A fleet of nobody.
    #[error("a fleet needs the report of at least one member")]
    NoReports,
    /// A report that the member's identity key did not sign.
    #[error("member {member}: {source}")]
    Report {
        /// The member.
        member: Name,
        /// What is wrong.
        source: ReportError,
    },
    /// A report for another log.
    #[error("member {member} reports for {found}, the statement is for {expected}")]
    OtherLog {
        /// The member.
        member: Name,
        /// The statement's log.
        expected: Origin,
        /// The member's.
        found: Origin,
    },
    /// Members of two fleets.
    #[error("member {member} is of fleet {found}, the others are of {expected}")]
    OtherFleet {
        /// The member.
        member: Name,
        /// The first member's fleet.
        expected: Name,
        /// This member's.
        found: Name,
    },
    /// Members that run different software.
    #[error("member {member} runs {found}, the others run {expected}", found = label(found), expected = label(expected))]
    OtherSoftware {
        /// The member.
        member: Name,
        /// What the first member runs.
        expected: Box<Software>,
        /// What this one runs.
        found: Box<Software>,
    },
    /// Two reports of one member.
    #[error("member {member} reports twice")]
    DuplicateMember {
        /// The member.
        member: Name,
    },
    /// A member that nobody vouches for.
    #[error("member {member} has no attestation")]
    NoAttestation {
        /// The member.
        member: Name,
    },
    /// An attestation that does not attest: self-signed, by a stranger, or with a wrong signature.
    #[error("member {member}: {source}")]
    Attestation {
        /// The member.
        member: Name,
        /// What is wrong.
        source: AttestationError,
    },
    /// An attestation of something else: another executable, other keys, another member.
    #[error(transparent)]
    Uncovered(#[from] CoverError),
    /// The fleet is among the other fleets, too.
    #[error("fleet {fleet} stands among the other fleets already")]
    DuplicateFleet {
        /// The fleet.
        fleet: Name,
    },
    /// The settings make no valid statement.
    #[error("the statement: {0}")]
    Statement(#[from] StatementError),
}

fn label(software: &Software) -> String {
    alloc::format!("{} {} ({})", software.name, software.version, software.sha256)
}

/// Builds the statement of a fleet from its members' reports.
///
/// Every report is verified here: the identity key signed it, and a vendor attested these keys and this executable.
pub fn build_statement(
    reports: &[UntrustedMemberReport],
    settings: &StatementSettings,
    vendor_keys: &[PublicKey],
) -> Result<Statement, BuildError> {
    let fleet = build_fleet(reports, settings, vendor_keys)?;
    let mut fleets = settings.other_fleets.clone();
    if fleets.iter().any(|other| other.fleet_id == fleet.fleet_id) {
        return Err(BuildError::DuplicateFleet { fleet: fleet.fleet_id });
    }
    fleets.push(fleet);
    fleets.sort_by(|one, other| one.fleet_id.cmp(&other.fleet_id));
    let statement = Statement {
        kind: String::from(STATEMENT_TYPE),
        origin: settings.origin.clone(),
        epoch: settings.epoch,
        previous: settings.previous,
        issued_at: settings.issued_at,
        not_before: settings.window.not_before,
        not_after: settings.window.not_after,
        max_head_age_seconds: settings.max_head_age_seconds,
        fleets,
    };
    // Whoever reads the statement checks these rules; a statement that breaks one shall not even be shown to an officer.
    ParsedStatement::parse(&statement.write())?;
    Ok(statement)
}

fn build_fleet(
    reports: &[UntrustedMemberReport],
    settings: &StatementSettings,
    vendor_keys: &[PublicKey],
) -> Result<Fleet, BuildError> {
    let reports = verify_all(reports)?;
    let first = reports.first().ok_or(BuildError::NoReports)?.identity();
    let FleetSettings { status, majority, guess_limit, evidence_root } = settings.fleet;
    let mut fleet = Fleet {
        fleet_id: first.fleet_id.clone(),
        status,
        members: Vec::with_capacity(reports.len()),
        majority,
        guess_limit,
        software: first.software.clone(),
        evidence_root,
    };
    for report in &reports {
        check_same_fleet(report, &settings.origin, &fleet)?;
        let member = attested_member(report, settings, &fleet, vendor_keys)?;
        fleet.members.push(member);
    }
    Ok(fleet)
}

/// Verifies the reports and sorts them by member, so that every later error and the result depend on no order.
fn verify_all(reports: &[UntrustedMemberReport]) -> Result<Vec<VerifiedMemberReport>, BuildError> {
    let mut sorted: Vec<&UntrustedMemberReport> = reports.iter().collect();
    let member = |report: &UntrustedMemberReport| report.unverified_identity().member_id.clone();
    sorted.sort_by_key(|report| member(report));
    if let Some([_, twice]) = sorted.windows(2).find(|pair| matches!(pair, [a, b] if member(a) == member(b))) {
        return Err(BuildError::DuplicateMember { member: member(twice) });
    }
    let verify = |report: &UntrustedMemberReport| {
        report.clone().verify().map_err(|source| BuildError::Report { member: member(report), source })
    };
    sorted.into_iter().map(verify).collect()
}

fn check_same_fleet(report: &VerifiedMemberReport, origin: &Origin, fleet: &Fleet) -> Result<(), BuildError> {
    let identity = report.identity();
    let member = || identity.member_id.clone();
    if identity.origin != *origin {
        let found = identity.origin.clone();
        return Err(BuildError::OtherLog { member: member(), expected: origin.clone(), found });
    }
    if identity.fleet_id != fleet.fleet_id {
        let (expected, found) = (fleet.fleet_id.clone(), identity.fleet_id.clone());
        return Err(BuildError::OtherFleet { member: member(), expected, found });
    }
    if identity.software != fleet.software {
        let (expected, found) = (Box::new(fleet.software.clone()), Box::new(identity.software.clone()));
        return Err(BuildError::OtherSoftware { member: member(), expected, found });
    }
    Ok(())
}

fn attested_member(
    report: &VerifiedMemberReport,
    settings: &StatementSettings,
    fleet: &Fleet,
    vendor_keys: &[PublicKey],
) -> Result<Member, BuildError> {
    let identity = report.identity();
    let name = || identity.member_id.clone();
    let bytes = report.attestation().ok_or_else(|| BuildError::NoAttestation { member: name() })?;
    let attestation = UntrustedAttestation::parse(bytes)
        .and_then(|attestation| attestation.verify(vendor_keys))
        .map_err(|source| BuildError::Attestation { member: name(), source })?;
    let Window { not_before, not_after } = settings.key_window;
    let mut keys = Vec::from([
        MemberKey::new(KeyRole::Identity, &identity.identity_key, not_before, not_after),
        MemberKey::new(KeyRole::Session, &identity.session_key, not_before, not_after),
    ]);
    keys.sort_by_key(|key| key.key_id);
    let member = Member {
        member_id: name(),
        failure_domain: identity.failure_domain.clone(),
        keys,
        attestation: AttestationRef::to(bytes),
    };
    attestation.covers(&settings.origin, &fleet.fleet_id, &member, &fleet.software)?;
    Ok(member)
}

#[cfg(test)]
mod tests;
