//! The six types of log entries. All of them exist from the first version, because a verifier that meets an unknown
//! type stops.
//!
//! An entry is read from the exact bytes that stand in the log; writing is for whoever makes a new one. Two entries are
//! the same if their [`Entry::identity`] is: it never covers a signature, because a signature can have two forms.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::size::LeafIndex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::approval::{APPROVAL_BYTES_MAX, Officer};
use crate::authority::AuthorityKeys;
use crate::certificate::Certificate;
use crate::countersignature::Countersignature;
use crate::evidence::{Manifest, ManifestError};
use crate::identity::{Digest, Epoch, Name, Side};
use crate::json::{self, JsonError};
use crate::key::{KeyAlgorithm, KeyId};
use crate::statement::{ParsedStatement, StatementError};
use crate::{to_sign, wire};

/// The most bytes of an entry: what an entry bundle of C2SP tlog-tiles can hold.
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// The most bytes of all approvals of a statement together: 16 KiB.
pub const APPROVALS_BYTES_MAX: usize = 16 * 1024;
/// The most officers of an admission policy.
pub const OFFICERS_MAX: usize = 32;
/// The most targets of one revocation, of each kind.
pub const TARGETS_MAX: usize = 64;
/// The most bytes of a revocation's reason.
pub const REASON_BYTES_MAX: usize = 500;
/// The most successor commitments at a time.
pub const SUCCESSORS_MAX: usize = 16;

/// `type` of a certified statement.
pub const CERTIFIED_STATEMENT_TYPE: &str = "countermark/certified-statement/v1";
/// `type` of an activation.
pub const ACTIVATION_TYPE: &str = "countermark/activation/v1";
/// `type` of a revocation.
pub const REVOCATION_TYPE: &str = "countermark/revocation/v1";
/// `type` of an evidence entry.
pub const EVIDENCE_TYPE: &str = "countermark/evidence/v1";
/// `type` of a policy change.
pub const POLICY_CHANGE_TYPE: &str = "countermark/policy-change/v1";
/// `type` of a change of authority.
pub const AUTHORITY_CHANGE_TYPE: &str = "countermark/authority-change/v1";

/// An entry of a `fleet-keys` log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A statement that the authority admitted and certified.
    CertifiedStatement(CertifiedStatement),
    /// The operator's countersignature.
    Activation(Activation),
    /// Either side's revocation.
    Revocation(Revocation),
    /// How a fleet was deployed.
    Evidence(Evidence),
    /// Another admission policy, or other officers.
    PolicyChange(PolicyChange),
    /// Other keys or witnesses.
    AuthorityChange(AuthorityChange),
}

/// Written by the log, after admission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifiedStatement {
    /// [`CERTIFIED_STATEMENT_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The log.
    #[serde(with = "wire::origin")]
    pub origin: Origin,
    /// The statement's exact bytes.
    #[serde(with = "wire::base64_bytes")]
    pub statement: Vec<u8>,
    /// The officers' approvals: compact JWS.
    pub approvals: Vec<String>,
    /// Why it was admitted.
    pub decision: Decision,
    /// The third-party signature.
    pub certificate: Certificate,
}

/// Which policy decided, and which of its rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Digest of the policy set.
    pub policy: Digest,
    /// The rule that permitted.
    pub rule: Name,
}

/// Written by the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// [`ACTIVATION_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The log.
    #[serde(with = "wire::origin")]
    pub origin: Origin,
    /// The statement's epoch.
    pub epoch: Epoch,
    /// SHA-256 of the statement.
    pub statement: Digest,
    /// Where the certified statement stands in the log.
    #[serde(with = "wire::leaf_index")]
    pub leaf_index: LeafIndex,
    /// 0 for the first activation of the epoch, then 1, 2, 3 …
    #[serde(with = "wire::integer")]
    pub renewal: u64,
    /// Sorted by key.
    pub countersignatures: Vec<Countersignature>,
}

/// Written by either side, alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// [`REVOCATION_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The log.
    #[serde(with = "wire::origin")]
    pub origin: Origin,
    /// Who revokes.
    pub side: Side,
    /// Epochs, sorted.
    pub epochs: Vec<Epoch>,
    /// Fleets, sorted.
    pub fleets: Vec<Name>,
    /// Member keys, sorted.
    pub keys: Vec<KeyId>,
    /// Why, in one line of at most 500 bytes.
    pub reason: String,
    /// The revocation key.
    pub key_id: KeyId,
    /// Ed25519 over [`to_sign::revocation`].
    #[serde(with = "wire::base64_bytes")]
    pub signature: Vec<u8>,
}

/// Written by operator or authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// [`EVIDENCE_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The log.
    #[serde(with = "wire::origin")]
    pub origin: Origin,
    /// Whose evidence it is.
    pub side: Side,
    /// The manifest's exact bytes.
    #[serde(with = "wire::base64_bytes")]
    pub manifest: Vec<u8>,
    /// The administration key.
    pub key_id: KeyId,
    /// Ed25519 over [`to_sign::evidence`].
    #[serde(with = "wire::base64_bytes")]
    pub signature: Vec<u8>,
}

/// Written by the authority. The first entry of every `fleet-keys` log is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyChange {
    /// [`POLICY_CHANGE_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The log.
    #[serde(with = "wire::origin")]
    pub origin: Origin,
    /// 1, 2, 3 …: a policy may return, a change may not be replayed.
    #[serde(with = "wire::integer")]
    pub serial: u64,
    /// Digest of the admission policy set.
    pub policy: Digest,
    /// Who may approve, sorted by subject.
    pub officers: Vec<Officer>,
    /// How many of them must.
    #[serde(with = "wire::integer")]
    pub approvals_needed: u64,
    /// The authority's administration key.
    pub key_id: KeyId,
    /// Ed25519 over [`to_sign::policy_change`].
    #[serde(with = "wire::base64_bytes")]
    pub signature: Vec<u8>,
}

/// Written by both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityChange {
    /// [`AUTHORITY_CHANGE_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The log.
    #[serde(with = "wire::origin")]
    pub origin: Origin,
    /// 1, 2, 3 …
    #[serde(with = "wire::integer")]
    pub serial: u64,
    /// The whole new set: the state, never a delta.
    pub keys: AuthorityKeys,
    /// The whole new set of successor commitments, sorted.
    pub successors: Vec<Digest>,
    /// One of each side, the authority's first.
    pub signatures: Vec<AdministrationSignature>,
}

/// An organisation's signature on a change of authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdministrationSignature {
    /// Whose.
    pub side: Side,
    /// The administration key.
    pub key_id: KeyId,
    /// Ed25519 over [`to_sign::authority_change`].
    #[serde(with = "wire::base64_bytes")]
    pub signature: Vec<u8>,
}

/// Why bytes are not an entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Not the JSON document.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A type that this version does not know. A verifier stops here.
    #[error("entries of type {found:?} are not known")]
    UnknownType {
        /// The type found.
        found: String,
    },
    /// The statement inside is none.
    #[error("the statement: {0}")]
    Statement(#[from] StatementError),
    /// The manifest inside is none.
    #[error("the evidence manifest: {0}")]
    Manifest(#[from] ManifestError),
    /// A document inside, or a remembered revocation, that is for another log.
    #[error("the document inside is for another log")]
    InnerOrigin,
    /// A list that is not sorted, names something twice, or is too long or empty.
    #[error("{list} must be sorted, unique and within its bounds")]
    List {
        /// Which list.
        list: &'static str,
    },
    /// A revocation of nothing.
    #[error("a revocation names at least one epoch, fleet or key")]
    NoTarget,
    /// A reason that is empty, too long or more than one line.
    #[error("a reason is one line of 1 to {REASON_BYTES_MAX} bytes")]
    Reason,
    /// An officer's key that cannot sign approvals, or that has another purpose.
    #[error("the key of officer {subject} {rule}")]
    OfficerKey {
        /// The officer.
        subject: Name,
        /// The rule that is broken.
        rule: &'static str,
    },
    /// A threshold of 0 or above the number of officers.
    #[error("approvals_needed must be 1 to the number of officers")]
    ApprovalsNeeded,
}

#[derive(Deserialize)]
struct TypeProbe {
    #[serde(rename = "type")]
    kind: String,
}

impl Entry {
    /// Reads an entry of at most [`ENTRY_BYTES_MAX`] bytes and checks every rule that it must obey by itself.
    /// Signatures are checked where the keys in force are known: [`crate::namespace_state`] and [`crate::verify`].
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        let TypeProbe { kind } = json::parse(bytes, ENTRY_BYTES_MAX)?;
        let entry = match kind.as_str() {
            CERTIFIED_STATEMENT_TYPE => Self::CertifiedStatement(read(bytes, CertifiedStatement::check)?),
            ACTIVATION_TYPE => Self::Activation(read(bytes, Activation::check)?),
            REVOCATION_TYPE => Self::Revocation(read(bytes, Revocation::check)?),
            EVIDENCE_TYPE => Self::Evidence(read(bytes, Evidence::check)?),
            POLICY_CHANGE_TYPE => Self::PolicyChange(read(bytes, PolicyChange::check)?),
            AUTHORITY_CHANGE_TYPE => Self::AuthorityChange(read(bytes, AuthorityChange::check)?),
            _ => return Err(EntryError::UnknownType { found: kind }),
        };
        Ok(entry)
    }

    /// The bytes of a new entry: compact JSON and a newline.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::CertifiedStatement(entry) => json::write_line(entry),
            Self::Activation(entry) => json::write_line(entry),
            Self::Revocation(entry) => json::write_line(entry),
            Self::Evidence(entry) => json::write_line(entry),
            Self::PolicyChange(entry) => json::write_line(entry),
            Self::AuthorityChange(entry) => json::write_line(entry),
        }
    }

    /// The log that it names.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        match self {
            Self::CertifiedStatement(entry) => &entry.origin,
            Self::Activation(entry) => &entry.origin,
            Self::Revocation(entry) => &entry.origin,
            Self::Evidence(entry) => &entry.origin,
            Self::PolicyChange(entry) => &entry.origin,
            Self::AuthorityChange(entry) => &entry.origin,
        }
    }

    /// Its `type`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::CertifiedStatement(_) => CERTIFIED_STATEMENT_TYPE,
            Self::Activation(_) => ACTIVATION_TYPE,
            Self::Revocation(_) => REVOCATION_TYPE,
            Self::Evidence(_) => EVIDENCE_TYPE,
            Self::PolicyChange(_) => POLICY_CHANGE_TYPE,
            Self::AuthorityChange(_) => AUTHORITY_CHANGE_TYPE,
        }
    }

    /// What makes two entries the same: 256 bits, never covering a signature.
    #[must_use]
    pub fn identity(&self) -> Digest {
        Digest::of(&match self {
            Self::CertifiedStatement(entry) => {
                to_sign::certified_statement_identity(entry.origin.as_str(), Digest::of(&entry.statement))
            }
            Self::Activation(entry) => {
                to_sign::activation_identity(entry.origin.as_str(), entry.epoch.get(), entry.statement, entry.renewal)
            }
            Self::Revocation(entry) => to_sign::revocation_identity(entry),
            Self::Evidence(entry) => to_sign::evidence(entry, &entry.root_hex()),
            Self::PolicyChange(entry) => to_sign::policy_change(entry),
            Self::AuthorityChange(entry) => to_sign::authority_change(entry),
        })
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8], check: fn(&T) -> Result<(), EntryError>) -> Result<T, EntryError> {
    let entry: T = json::parse(bytes, ENTRY_BYTES_MAX)?;
    check(&entry)?;
    Ok(entry)
}

fn list<T: Ord>(list: &'static str, items: &[T], max: usize) -> Result<(), EntryError> {
    if items.len() > max || !wire::is_sorted_unique(items) { Err(EntryError::List { list }) } else { Ok(()) }
}

impl CertifiedStatement {
    /// An entry for a statement.
    #[must_use]
    pub fn new(
        origin: Origin,
        statement: Vec<u8>,
        approvals: Vec<String>,
        decision: Decision,
        certificate: Certificate,
    ) -> Self {
        let kind = CERTIFIED_STATEMENT_TYPE.to_string();
        Self { kind, origin, statement, approvals, decision, certificate }
    }

    /// The statement inside.
    pub fn parsed(&self) -> Result<ParsedStatement, StatementError> {
        ParsedStatement::parse(&self.statement)
    }

    fn check(&self) -> Result<(), EntryError> {
        let approvals: usize = self.approvals.iter().map(String::len).sum();
        if approvals > APPROVALS_BYTES_MAX || self.approvals.iter().any(|one| one.len() > APPROVAL_BYTES_MAX) {
            return Err(EntryError::List { list: "approvals" });
        }
        if self.parsed()?.statement().origin != self.origin {
            return Err(EntryError::InnerOrigin);
        }
        Ok(())
    }
}

impl Activation {
    /// An activation of a statement that stands at `leaf_index`.
    #[must_use]
    pub fn new(
        origin: Origin,
        epoch: Epoch,
        statement: Digest,
        leaf_index: LeafIndex,
        renewal: u64,
        countersignatures: Vec<Countersignature>,
    ) -> Self {
        let kind = ACTIVATION_TYPE.to_string();
        Self { kind, origin, epoch, statement, leaf_index, renewal, countersignatures }
    }

    fn check(&self) -> Result<(), EntryError> {
        let keys: Vec<KeyId> = self.countersignatures.iter().map(|one| one.key_id).collect();
        if keys.is_empty() {
            return Err(EntryError::List { list: "countersignatures" });
        }
        list("countersignatures", &keys, crate::authority::KEYS_PER_ROLE_MAX)
    }
}

impl Revocation {
    fn check(&self) -> Result<(), EntryError> {
        list("epochs", &self.epochs, TARGETS_MAX)?;
        list("fleets", &self.fleets, TARGETS_MAX)?;
        list("keys", &self.keys, TARGETS_MAX)?;
        if self.epochs.is_empty() && self.fleets.is_empty() && self.keys.is_empty() {
            return Err(EntryError::NoTarget);
        }
        let reason = &self.reason;
        if reason.is_empty() || reason.len() > REASON_BYTES_MAX || reason.contains(char::is_control) {
            return Err(EntryError::Reason);
        }
        Ok(())
    }
}

impl Evidence {
    /// The manifest's root in hex, as it is signed.
    #[must_use]
    pub fn root_hex(&self) -> String {
        Manifest::parse(&self.manifest).map_or_else(|_| String::new(), |manifest| manifest.root().to_hex())
    }

    fn check(&self) -> Result<(), EntryError> {
        if Manifest::parse(&self.manifest)?.origin != self.origin {
            return Err(EntryError::InnerOrigin);
        }
        Ok(())
    }
}

impl PolicyChange {
    fn check(&self) -> Result<(), EntryError> {
        let subjects: Vec<&Name> = self.officers.iter().map(|officer| &officer.subject).collect();
        list("officers", &subjects, OFFICERS_MAX)?;
        if let Some(officer) = self.officers.iter().find(|officer| officer.key.algorithm() != KeyAlgorithm::Ed25519) {
            let subject = officer.subject.clone();
            return Err(EntryError::OfficerKey { subject, rule: "must be ed25519" });
        }
        let mut keys: Vec<KeyId> = self.officers.iter().map(|officer| officer.key.key_id()).collect();
        keys.sort();
        // The quorum counts people: one key may not stand for two of them.
        list("officers' keys", &keys, OFFICERS_MAX)?;
        let count = u64::try_from(self.officers.len()).unwrap_or(u64::MAX);
        if !(1..=count).contains(&self.approvals_needed) {
            return Err(EntryError::ApprovalsNeeded);
        }
        Ok(())
    }
}

impl AuthorityChange {
    fn check(&self) -> Result<(), EntryError> {
        list("successors", &self.successors, SUCCESSORS_MAX)?;
        let sides: Vec<Side> = self.signatures.iter().map(|one| one.side).collect();
        list("signatures", &sides, 2)
    }
}

#[cfg(test)]
mod tests;
