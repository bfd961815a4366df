//! What an audit found: a document for people and programs.
//!
//! It says what was verified, what was found to be wrong, and what was *not* checked. Its verdict is
//! [`AuditReport::exit_class`]: nothing but `None` is a success.

use std::collections::BTreeMap;

use countermark_bundle::ExitClass;
use countermark_bundle::identity::{Digest, Epoch, Name, Timestamp};
use countermark_bundle::key::KeyId;
use countermark_bundle::namespace_state::{NamespaceState, StatementRecord};
use countermark_bundle::trust::TrustFile;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::hash::RootHash;
use countermark_tlog::note::KeyName;
use countermark_tlog::size::{LeafIndex, TreeSize};
use serde::{Serialize, Serializer};

use super::replay::{Change, Mark, Replay, Seen};
use super::tiles::Compared;
use crate::head::VerifiedHead;

/// The report's `type`.
pub const REPORT_TYPE: &str = "countermark/audit-report/v1";

/// The result of an audit that came to its end.
#[derive(Clone, Debug, Serialize)]
pub struct AuditReport {
    /// [`REPORT_TYPE`].
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The log.
    #[serde(serialize_with = "shown")]
    pub origin: Origin,
    /// Entries replayed.
    #[serde(serialize_with = "shown_size")]
    pub size: TreeSize,
    /// The root that they lead to, in base64 as in a checkpoint.
    #[serde(serialize_with = "shown_root")]
    pub root: RootHash,
    /// The time that the witness quorum vouches for; absent if the policy asks for no witnesses.
    pub head_time: Option<Timestamp>,
    /// When it was audited, by the local clock.
    pub audited_at: Timestamp,
    /// The witnesses that cosigned the head.
    #[serde(serialize_with = "shown_names")]
    pub witnesses: Vec<KeyName>,
    /// How many entries of each type.
    pub entries: BTreeMap<&'static str, u64>,
    /// Every certified statement, by epoch.
    pub statements: Vec<StatementLine>,
    /// The epoch that was activated last, revoked or not.
    pub newest_active: Option<Epoch>,
    /// The admission policy in force; absent in an empty log.
    pub policy: Option<PolicyLine>,
    /// How many changes of authority the log holds.
    pub authority_changes: u64,
    /// Everything that was revoked.
    pub revoked: RevokedLine,
    /// What is wrong, in the order in which it was met.
    pub findings: Vec<Finding>,
    /// How many more findings there were than are listed.
    pub findings_omitted: u64,
    /// What was checked, and what was not.
    pub checks: Vec<Check>,
}

/// A certified statement.
#[derive(Clone, Debug, Serialize)]
pub struct StatementLine {
    /// Its epoch.
    pub epoch: Epoch,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Where it stands in the log.
    #[serde(serialize_with = "shown_index")]
    pub index: LeafIndex,
    /// The certificate's time.
    pub certified_at: Timestamp,
    /// Where its activations stand, renewals after the first; none if it was never countersigned.
    #[serde(serialize_with = "shown_indexes")]
    pub activations: Vec<LeafIndex>,
    /// Whether the epoch, or a fleet or key in it, was revoked.
    pub revoked: bool,
}

/// The admission policy in force.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyLine {
    /// The number of the change that set it.
    pub serial: u64,
    /// Digest of the policy set.
    pub digest: Digest,
    /// Who may approve.
    pub officers: Vec<OfficerLine>,
    /// How many of them must.
    pub approvals_needed: u64,
}

/// Who may approve.
#[derive(Clone, Debug, Serialize)]
pub struct OfficerLine {
    /// The pseudonym.
    pub subject: Name,
    /// The officer's key.
    pub key_id: KeyId,
}

/// Everything that was revoked.
#[derive(Clone, Debug, Serialize)]
pub struct RevokedLine {
    /// Epochs.
    pub epochs: Vec<Epoch>,
    /// Fleets.
    pub fleets: Vec<Name>,
    /// Member keys.
    pub keys: Vec<KeyId>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The audit has failed.
    Violation,
    /// Worth knowing; the audit has not failed for it.
    Notice,
}

/// Something that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The entry that it is about, if it is about one.
    #[serde(serialize_with = "shown_optional_index")]
    pub index: Option<LeafIndex>,
    /// The rule that was broken; a stable name.
    pub rule: &'static str,
    /// The class of the failure.
    #[serde(serialize_with = "shown_class")]
    pub class: ExitClass,
    /// What exactly, for a person.
    pub detail: String,
}

/// What an audit checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckName {
    /// The head is signed by the log and cosigned by a quorum, under the keys in force at its size.
    Head,
    /// The head is no older than the trust file allows.
    HeadAge,
    /// The entries make the head's root.
    TreeRoot,
    /// Every head known before is a beginning of the log.
    KnownHeads,
    /// Every entry obeys every rule.
    EntryRules,
    /// The served hash tiles are the ones that the entries make.
    HashTiles,
    /// The trust file's floor names the statement that the log holds.
    TrustFloor,
    /// Every change of authority was included under the quorum in force before it.
    AuthorityChanges,
    /// The statements served by epoch are the logged ones.
    ServedStatements,
    /// The certificates served in plexi's form are the logged ones.
    ServedCertificates,
    /// The newest bundle verifies and is about the newest active statement.
    NewestBundle,
}

impl CheckName {
    /// What only the log's HTTP service can show.
    pub const SERVED: [Self; 3] = [Self::ServedStatements, Self::ServedCertificates, Self::NewestBundle];
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds.
    Verified,
    /// It does not; a finding says more.
    Failed,
    /// It could not be checked: the audit is no success.
    NotChecked,
    /// It was not asked for.
    NotAsked,
    /// The log holds nothing to which it applies.
    NothingToCheck,
}

/// A check and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Which.
    pub name: CheckName,
    /// What came of it.
    pub outcome: Outcome,
    /// How much was checked, or why not.
    pub detail: String,
}

impl AuditReport {
    /// `None` only if everything that was asked for was checked and no rule was broken. Otherwise the class of the
    /// first violation, or that something was not checked.
    #[must_use]
    pub fn exit_class(&self) -> Option<ExitClass> {
        let violation = self.findings.iter().find(|finding| finding.severity == Severity::Violation);
        let open = self.checks.iter().any(|check| match check.outcome {
            Outcome::NotChecked | Outcome::Failed => true,
            Outcome::Verified | Outcome::NotAsked | Outcome::NothingToCheck => false,
        });
        violation.map(|finding| finding.class).or(open.then_some(ExitClass::NotChecked))
    }
}

/// A report in the making.
pub(super) struct Draft {
    report: AuditReport,
    state: NamespaceState,
    seen: Seen,
}

impl Draft {
    /// Everything that the replay has shown.
    pub fn new(trust: &TrustFile, head: &VerifiedHead, now: Timestamp, replay: Replay) -> Self {
        let (state, mut seen) = replay.into_parts();
        let report = AuditReport {
            kind: REPORT_TYPE,
            origin: trust.origin.clone(),
            size: head.size(),
            root: head.checkpoint().root,
            head_time: head.time(),
            audited_at: now,
            witnesses: head.witnesses(),
            entries: std::mem::take(&mut seen.entries),
            statements: state.statements().map(|(epoch, record)| statement_line(&state, epoch, record)).collect(),
            newest_active: state.newest_active().map(|record| record.statement.statement().epoch),
            policy: policy_line(&state),
            authority_changes: state.authority().serial(),
            revoked: RevokedLine {
                epochs: state.revoked().epochs.iter().copied().collect(),
                fleets: state.revoked().fleets.iter().cloned().collect(),
                keys: state.revoked().keys.iter().copied().collect(),
            },
            findings: Vec::new(),
            findings_omitted: 0,
            checks: Vec::new(),
        };
        let mut draft = Self { report, state, seen };
        let (size, broken) = (head.size(), draft.seen.findings.len());
        draft.check(CheckName::Head, Outcome::Verified, format!("{} witnesses", head.witnesses().len()));
        draft.check(CheckName::TreeRoot, Outcome::Verified, format!("{size} entries"));
        draft.check(CheckName::KnownHeads, Outcome::Verified, format!("{} heads", draft.seen.known_heads));
        let rules = if broken == 0 { Outcome::Verified } else { Outcome::Failed };
        draft.check(CheckName::EntryRules, rules, format!("{size} entries"));
        if let Some(newest) = draft.report.statements.iter().find(|line| Some(line.epoch) == draft.report.newest_active)
            && newest.revoked
        {
            draft.seen.add(Finding {
                severity: Severity::Notice,
                index: Some(newest.index),
                rule: "newest-active-is-revoked",
                class: ExitClass::Revoked,
                detail: format!(
                    "epoch {} was activated last, and was revoked: no client uses the namespace",
                    newest.epoch
                ),
            });
        }
        draft
    }

    /// The namespace's state at the head.
    pub const fn state(&self) -> &NamespaceState {
        &self.state
    }

    /// The changes of authority.
    pub fn changes(&self) -> &[Change] {
        &self.seen.changes
    }

    /// The log as it was at the size of the bundle that it serves.
    pub const fn mark(&self) -> Option<&Mark> {
        self.seen.mark.as_ref()
    }

    pub fn check(&mut self, name: CheckName, outcome: Outcome, detail: String) {
        self.report.checks.push(Check { name, outcome, detail });
    }

    pub fn violation(&mut self, index: Option<LeafIndex>, rule: &'static str, class: ExitClass, detail: String) {
        self.seen.add(Finding { severity: Severity::Violation, index, rule, class, detail });
    }

    pub fn not_asked(&mut self, names: &[CheckName]) {
        for name in names {
            self.check(*name, Outcome::NotAsked, "only tiles were given".to_string());
        }
    }

    pub fn add_tiles(&mut self, compared: &Compared) {
        let Compared { same, different, different_omitted, not_fetched, first_failure } = compared;
        for tile in different {
            let detail = format!("{} is not the tile that the entries make", tile.path());
            self.violation(None, "served-tile-is-the-log's", ExitClass::Proof, detail);
        }
        self.seen.findings_omitted += different_omitted;
        let (outcome, detail) = match first_failure {
            Some(error) => (Outcome::NotChecked, format!("{not_fetched} tiles were not fetched: {error}")),
            None if different.is_empty() => (Outcome::Verified, format!("{same} tiles")),
            None => (Outcome::Failed, format!("{same} tiles are right")),
        };
        self.check(CheckName::HashTiles, outcome, detail);
    }

    pub fn add_age(&mut self, trust: &TrustFile, head: &VerifiedHead, now: Timestamp) {
        let limit = trust.limits.max_head_age_seconds;
        let Some(time) = head.time() else {
            let detail = "the policy asks for no witnesses, so nobody vouches for a time".to_string();
            return self.check(CheckName::HeadAge, Outcome::NotChecked, detail);
        };
        let age = now.max(trust.issued_at).seconds_since(time);
        let detail = format!("{age} s old, at most {limit} s are allowed");
        if age > limit {
            self.violation(None, "head-is-fresh", ExitClass::Stale, detail.clone());
            self.check(CheckName::HeadAge, Outcome::Failed, detail);
        } else {
            self.check(CheckName::HeadAge, Outcome::Verified, detail);
        }
    }

    pub fn add_trust_floor(&mut self, trust: &TrustFile) {
        let (Some(epoch), Some(digest)) = (trust.floor.epoch, trust.floor.digest) else {
            return self.check(CheckName::TrustFloor, Outcome::NothingToCheck, "it names no epoch".to_string());
        };
        let found = self.state.statement(epoch).map(|record| (record.index, record.statement.digest()));
        if found.is_some_and(|(_, found)| found == digest) {
            return self.check(CheckName::TrustFloor, Outcome::Verified, format!("epoch {epoch}"));
        }
        let detail = format!("epoch {epoch} of the trust file has digest {digest}, the log's is another");
        self.violation(found.map(|(index, _)| index), "trust-floor-is-logged", ExitClass::Fork, detail);
        self.check(CheckName::TrustFloor, Outcome::Failed, format!("epoch {epoch}"));
    }

    pub fn finish(self) -> AuditReport {
        let Self { mut report, seen, .. } = self;
        (report.findings, report.findings_omitted) = (seen.findings, seen.findings_omitted);
        report.checks.sort_by_key(|check| check.name);
        report
    }
}

fn statement_line(state: &NamespaceState, epoch: Epoch, record: &StatementRecord) -> StatementLine {
    StatementLine {
        epoch,
        digest: record.statement.digest(),
        index: record.index,
        certified_at: record.certificate.time(),
        activations: record.activations.clone(),
        revoked: is_revoked(state, record),
    }
}

/// Whether the epoch, or a fleet or key in the statement, was revoked.
pub(super) fn is_revoked(state: &NamespaceState, record: &StatementRecord) -> bool {
    let statement = record.statement.statement();
    state.revoked().epochs.contains(&statement.epoch) || state.revoked().touches(statement).is_some()
}

fn policy_line(state: &NamespaceState) -> Option<PolicyLine> {
    let policy = state.policy()?;
    let officer = |officer: &countermark_bundle::approval::Officer| OfficerLine {
        subject: officer.subject.clone(),
        key_id: officer.key.key_id(),
    };
    Some(PolicyLine {
        serial: policy.serial,
        digest: policy.digest,
        officers: policy.officers.iter().map(officer).collect(),
        approvals_needed: policy.approvals_needed,
    })
}

fn shown<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn shown_root<S: Serializer>(root: &RootHash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&root.0.to_base64())
}

fn shown_names<S: Serializer>(names: &[KeyName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(KeyName::as_str))
}

fn shown_indexes<S: Serializer>(indexes: &[LeafIndex], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(indexes.iter().map(|index| index.get()))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `serialize_with` hands over a reference")]
fn shown_size<S: Serializer>(size: &TreeSize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(size.get())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `serialize_with` hands over a reference")]
fn shown_index<S: Serializer>(index: &LeafIndex, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(index.get())
}

#[expect(clippy::ref_option, reason = "serde's `serialize_with` hands over a reference")]
fn shown_optional_index<S: Serializer>(index: &Option<LeafIndex>, serializer: S) -> Result<S::Ok, S::Error> {
    index.map(LeafIndex::get).serialize(serializer)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `serialize_with` hands over a reference")]
fn shown_class<S: Serializer>(class: &ExitClass, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(class.as_str())
}
