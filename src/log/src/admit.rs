//! Admission: may this entry stand next in the log?
//!
//! The hard rules are `countermark_bundle`'s; what the authority is willing to certify is decided by
//! `countermark_signer_policy`. This module asks both, in that order, and makes the certificate only after both said yes.
//!
//! Invariant: what comes out of [`Parsed::admit`] was folded into the state by the code that auditors replay with, from
//! the exact bytes that will be logged.

mod refusal;

use std::sync::Arc;

use countermark_bundle::approval::{self, Approved};
use countermark_bundle::attestation::{UntrustedAttestation, VerifiedAttestation};
use countermark_bundle::certificate::{Certificate, CertificateMessage};
use countermark_bundle::entry::{CertifiedStatement, Entry};
use countermark_bundle::identity::Digest;
use countermark_bundle::key::PublicKey;
use countermark_bundle::namespace_state::{NamespaceState, PolicyInForce, RuleViolation};
use countermark_bundle::statement::ParsedStatement;
use countermark_bundle::to_sign;
use countermark_keys::SignError;
use countermark_signer_policy::{Action, PolicySet, Request};
use tracing::error;

use crate::clock::timestamp;
use crate::foundation::NextState;
use crate::ports::LogKind;
use crate::sequencer::{Certifying, NamespaceSettings, Submission, SubmitError, SubmitFault};
use crate::stage::NewEntry;

pub use refusal::{Refusal, rule_name};

/// A submission that is well formed by itself.
#[derive(Debug)]
pub(crate) enum Parsed {
    Statement(Box<UntrustedStatement>),
    Entry { entry: Box<Entry>, bytes: Arc<[u8]> },
    Raw(NewEntry),
}

/// A statement that nobody has admitted.
#[derive(Debug)]
pub(crate) struct UntrustedStatement {
    parsed: ParsedStatement,
    approvals: Vec<String>,
    attestations: Vec<Vec<u8>>,
    submitter: String,
}

impl Parsed {
    /// Reads a submission to a log of this kind.
    pub(crate) fn parse(submission: Submission, kind: LogKind) -> Result<Self, Refusal> {
        match (submission, kind) {
            (Submission::Raw(entry), LogKind::Raw) => Ok(Self::Raw(entry)),
            (Submission::Raw(_), LogKind::FleetKeys)
            | (Submission::Statement { .. } | Submission::Entry { .. }, LogKind::Raw) => {
                Err(Refusal::OtherKind { kind })
            }
            (Submission::Statement { statement, approvals, attestations, submitter }, LogKind::FleetKeys) => {
                Ok(Self::Statement(Box::new(UntrustedStatement {
                    parsed: ParsedStatement::parse(&statement)?,
                    approvals,
                    attestations,
                    submitter,
                })))
            }
            (Submission::Entry { bytes, submitter: _ }, LogKind::FleetKeys) => {
                let entry = Entry::parse(&bytes)?;
                match entry {
                    // The first is the log's own to write. The second changes keys that this process holds and the quorum
                    // it publishes under; it is not taken while the namespace is being served.
                    Entry::CertifiedStatement(_) | Entry::AuthorityChange(_) => {
                        Err(Refusal::NotSubmittable { entry_type: entry.type_name() })
                    }
                    Entry::Activation(_) | Entry::Revocation(_) | Entry::Evidence(_) | Entry::PolicyChange(_) => {
                        Ok(Self::Entry { entry: Box::new(entry), bytes: bytes.into() })
                    }
                }
            }
        }
    }

    /// What makes two submissions the same entry: never a signature, an approval or an attestation.
    pub(crate) fn identity(&self) -> Digest {
        match self {
            Self::Statement(statement) => {
                let parsed = &statement.parsed;
                let origin = parsed.statement().origin.as_str();
                Digest::of(&to_sign::certified_statement_identity(origin, parsed.digest()))
            }
            Self::Entry { entry, .. } => entry.identity(),
            Self::Raw(entry) => entry.identity,
        }
    }

    /// Decides whether the entry may stand next, and if so folds it into `state`. A refusal leaves `state` as it was.
    pub(crate) fn admit(
        self,
        settings: &NamespaceSettings,
        state: &mut NextState,
        now_ms: u64,
    ) -> Result<NewEntry, SubmitError> {
        let identity = self.identity();
        let bytes = match (self, state) {
            (Self::Raw(entry), NextState::Raw(state)) => {
                state.count_one();
                return Ok(entry);
            }
            (Self::Statement(statement), NextState::FleetKeys(state)) => {
                let bytes = statement.certify(settings, state, now_ms)?;
                // The second code path: the entry is read back and judged like a stranger's.
                state.apply(&bytes).map_err(|violation| {
                    error!(origin = %settings.origin, %violation, "a certified statement breaks a rule after it was admitted");
                    fault(SubmitFault::SelfCheck)
                })?;
                bytes.into()
            }
            (Self::Entry { bytes, .. }, NextState::FleetKeys(state)) => {
                state.apply(&bytes).map_err(Refusal::Rule)?;
                bytes
            }
            (Self::Raw(_), NextState::FleetKeys(_)) => return Err(other_kind(LogKind::FleetKeys)),
            (Self::Statement(_) | Self::Entry { .. }, NextState::Raw(_)) => return Err(other_kind(LogKind::Raw)),
        };
        Ok(NewEntry::new(identity, bytes))
    }
}

impl UntrustedStatement {
    /// Checks the statement, asks the policy, makes the certificate. Gives the entry's bytes.
    fn certify(
        self,
        settings: &NamespaceSettings,
        state: &NamespaceState,
        now_ms: u64,
    ) -> Result<Vec<u8>, SubmitError> {
        let Self { parsed, approvals, attestations, submitter } = self;
        let certifying = settings.certifying.as_ref().ok_or_else(|| other_kind(LogKind::Raw))?;
        state.check_statement(&parsed).map_err(|violation| refuse_statement(violation, state))?;
        let policy = policy_in_force(&certifying.policy, state)?;
        // Certificates rise in time with the epoch, whatever the clock does.
        let timestamp_ms = now_ms.max(state.next_certificate_ms());
        let (statement, digest) = (parsed.statement(), parsed.digest());
        let approved = Approved { origin: &settings.origin, epoch: statement.epoch, digest };
        let at = timestamp(timestamp_ms);
        let (officers, needed) = (&policy.officers, policy.approvals_needed);
        let approvers = approval::verify_all(&approvals, officers, needed, approved, at).map_err(Refusal::Approval)?;
        let attestations = verify_attestations(&attestations, &certifying.vendor_keys)?;
        let decision = certifying
            .policy
            .decide(&Request {
                action: Action::Certify,
                namespace: &settings.namespace,
                submitter: &submitter,
                statement,
                previous: state.newest_certified().map(|record| record.statement.statement()),
                approvers: &approvers,
                approvals_needed: needed,
                attestations: &attestations,
                now: at,
            })
            .map_err(Refusal::Policy)?;
        let message =
            CertificateMessage { namespace: &settings.namespace, timestamp_ms, epoch: statement.epoch, digest };
        let certificate = certify(certifying, &message).map_err(|failure| {
            error!(origin = %settings.origin, %failure, "no certificate was made");
            fault(SubmitFault::Signing)
        })?;
        let origin = settings.origin.clone();
        let entry = CertifiedStatement::new(origin, parsed.bytes().to_vec(), approvals, decision, certificate);
        Ok(Entry::CertifiedStatement(entry).write())
    }
}

fn certify(certifying: &Certifying, message: &CertificateMessage<'_>) -> Result<Certificate, SignError> {
    let signer = certifying.certificate_signer.as_ref();
    let failed = SignError::Failed { role: signer.role(), algorithm: signer.algorithm() };
    let key = PublicKey::ed25519(signer.public_key()).map_err(|_| failed)?;
    Ok(Certificate {
        timestamp_ms: message.timestamp_ms,
        key_id: key.key_id(),
        signature: signer.sign(&message.encode())?,
    })
}

/// The policy that decides must be the one that the log has announced.
fn policy_in_force<'s>(loaded: &PolicySet, state: &'s NamespaceState) -> Result<&'s PolicyInForce, Refusal> {
    let policy = state.policy().ok_or(Refusal::Rule(RuleViolation::NoPolicy))?;
    let loaded = loaded.digest();
    if loaded == policy.digest {
        Ok(policy)
    } else {
        Err(Refusal::PolicyNotInForce { in_force: policy.digest, loaded })
    }
}

/// Every attestation that is handed in must verify; which members they cover is the policy's to judge.
fn verify_attestations(
    attestations: &[Vec<u8>],
    vendor_keys: &[PublicKey],
) -> Result<Vec<VerifiedAttestation>, Refusal> {
    attestations
        .iter()
        .enumerate()
        .map(|(position, bytes)| {
            UntrustedAttestation::parse(bytes)
                .and_then(|attestation| attestation.verify(vendor_keys))
                .map_err(|source| Refusal::Attestation { position, source })
        })
        .collect()
}

/// Two statements for one epoch are a race that the submitter can win on the next try; everything else is final.
fn refuse_statement(violation: RuleViolation, state: &NamespaceState) -> SubmitError {
    match (violation, state.next_epoch()) {
        (rule @ (RuleViolation::Epoch { .. } | RuleViolation::Chain { .. }), Some(next_epoch)) => {
            SubmitError::Conflict {
                next_epoch,
                previous: state.newest_certified().map(|record| record.statement.digest()),
                rule,
            }
        }
        (violation, _) => Refusal::Rule(violation).into(),
    }
}

const fn other_kind(kind: LogKind) -> SubmitError {
    SubmitError::Refused(Refusal::OtherKind { kind })
}

const fn fault(reason: SubmitFault) -> SubmitError {
    SubmitError::Fault { reason }
}
