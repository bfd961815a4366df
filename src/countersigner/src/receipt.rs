//! A certified statement, verified as far as anybody can verify it: included under a quorum-cosigned head, certified,
//! approved, and standing in the log's state exactly as it was replayed.
//!
//! What comes over the network is an [`UntrustedEntry`]; [`UntrustedEntry::verify`] is the only source of a
//! [`VerifiedReceipt`], and only a [`VerifiedReceipt`] can be countersigned ([`crate::countersign`]).

use countermark_bundle::approval::{self, ApprovalError, Approved};
use countermark_bundle::certificate::{Certificate, CertificateError};
use countermark_bundle::entry::{Entry, EntryError};
use countermark_bundle::identity::{Digest, Epoch, Name, Namespace};
use countermark_bundle::namespace_state::NamespaceState;
use countermark_bundle::statement::{ParsedStatement, Statement};
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::entry_bundle::{self, EntryBundleError};
use countermark_tlog::hash::leaf_hash;
use countermark_tlog::proof::{InclusionProof, ProofError, verify_inclusion};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::tile_of;
use countermark_tlog::tlog_proof::TlogProof;
use countermark_tlog::tree::NodeCoord;
use thiserror::Error;

use crate::head::VerifiedHead;
use crate::ports::{LogReader, ReadError};
use crate::proofs::{self, ProofReadError, place_in_bundle};
use crate::replay::AdmissionRules;

/// An entry and its path as the log served them. Nobody has checked either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntrustedEntry {
    /// Where it is said to stand.
    pub index: LeafIndex,
    /// The exact bytes.
    pub bytes: Vec<u8>,
    /// The path that is said to lead to the head's root.
    pub path: InclusionProof,
}

/// Why an entry and its path were not read.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The log was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The path was not read.
    #[error("no inclusion proof")]
    Path(#[from] ProofReadError),
    /// An entry bundle that is not one.
    #[error("an entry bundle of the log is malformed")]
    Bundle(#[from] EntryBundleError),
    /// The head is too small for the entry.
    #[error("entry {index} is not in a tree of size {size}")]
    Outside {
        /// The entry.
        index: LeafIndex,
        /// The head's size.
        size: TreeSize,
    },
}

/// Why an entry is not a receipt.
#[derive(Debug, Error)]
pub enum ReceiptError {
    /// Refused: the path does not lead from these bytes to the verified root.
    #[error("entry {index} is not included under the verified head")]
    Inclusion {
        /// The entry.
        index: LeafIndex,
        /// What is wrong with its path.
        source: ProofError,
    },
    /// Refused: not an entry.
    #[error("entry {index} is none")]
    Entry {
        /// Where it stands.
        index: LeafIndex,
        /// What is wrong with it.
        source: EntryError,
    },
    /// Refused: an entry of another type.
    #[error("entry {index} is a {found}, not a certified statement")]
    OtherType {
        /// Where it stands.
        index: LeafIndex,
        /// Its type.
        found: &'static str,
    },
    /// Refused: not what the replay found at this place.
    #[error("entry {index} is not the certified statement of epoch {epoch} that was replayed")]
    NotReplayed {
        /// Where it stands.
        index: LeafIndex,
        /// The epoch that it names.
        epoch: Epoch,
    },
    /// Refused: the certificate does not certify.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Refused: the officers did not approve.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
}

/// A certified statement under a verified head. Only [`UntrustedEntry::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedReceipt {
    namespace: Namespace,
    statement: ParsedStatement,
    index: LeafIndex,
    certificate: Certificate,
    approvers: Vec<Name>,
    approvals_needed: u64,
    proof: Vec<u8>,
}

impl UntrustedEntry {
    /// Reads an entry and its path from the log's static files.
    pub async fn fetch(reader: &dyn LogReader, index: LeafIndex, head: &VerifiedHead) -> Result<Self, FetchError> {
        let size = head.size();
        let leaf = NodeCoord { level: 0, index: index.get() };
        let bundle = tile_of(leaf, size).ok_or(FetchError::Outside { index, size })?;
        let bytes = reader.entry_bundle(bundle).await?;
        let entries = entry_bundle::decode(&bytes, bundle.width())?;
        let entry = entries.get(usize::from(place_in_bundle(index.get())));
        let bytes = entry.ok_or(FetchError::Outside { index, size })?.to_vec();
        let path = proofs::inclusion(reader, index, size).await?;
        Ok(Self { index, bytes, path })
    }

    /// Verifies inclusion under the head, and the certificate and approvals under the keys that were in force where the
    /// entry stands. The replay found them valid too; this is the second code path.
    pub fn verify(
        self,
        head: &VerifiedHead,
        state: &NamespaceState,
        rules: Option<&AdmissionRules>,
    ) -> Result<VerifiedReceipt, ReceiptError> {
        let Self { index, bytes, path } = self;
        verify_inclusion(leaf_hash(&bytes), index, head.size(), head.root(), &path)
            .map_err(|source| ReceiptError::Inclusion { index, source })?;
        let entry = Entry::parse(&bytes).map_err(|source| ReceiptError::Entry { index, source })?;
        let certified = match entry {
            Entry::CertifiedStatement(certified) => certified,
            Entry::Activation(_)
            | Entry::Revocation(_)
            | Entry::Evidence(_)
            | Entry::PolicyChange(_)
            | Entry::AuthorityChange(_) => return Err(ReceiptError::OtherType { index, found: entry.type_name() }),
        };
        let statement = certified.parsed().map_err(|source| ReceiptError::Entry { index, source: source.into() })?;
        let (epoch, digest) = (statement.statement().epoch, statement.digest());
        let replayed = state.statement(epoch).filter(|record| {
            (record.index, record.statement.digest()) == (index, digest) && record.certificate == certified.certificate
        });
        let rules = rules.filter(|_| replayed.is_some()).ok_or(ReceiptError::NotReplayed { index, epoch })?;
        certified.certificate.verify(&rules.certificate_keys, &rules.namespace, epoch, digest)?;
        let approved = Approved { origin: &certified.origin, epoch, digest };
        let (officers, needed, at) = (&rules.officers, rules.approvals_needed, certified.certificate.time());
        let approvers = approval::verify_all(&certified.approvals, officers, needed, approved, at)?;
        Ok(VerifiedReceipt {
            namespace: rules.namespace.clone(),
            statement,
            index,
            certificate: certified.certificate,
            approvers,
            approvals_needed: rules.approvals_needed,
            proof: TlogProof { extra: None, index, proof: path, checkpoint: head.note().to_vec() }.to_bytes(),
        })
    }
}

impl VerifiedReceipt {
    /// The log.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.statement().origin
    }

    /// The log's namespace.
    #[must_use]
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The statement's epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.statement().epoch
    }

    /// SHA-256 of the statement.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.statement.digest()
    }

    /// What the statement says.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        self.statement.statement()
    }

    /// Where it stands in the log.
    #[must_use]
    pub const fn index(&self) -> LeafIndex {
        self.index
    }

    /// The authority's certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The officers who approved, sorted.
    #[must_use]
    pub fn approvers(&self) -> &[Name] {
        &self.approvers
    }

    /// How many of them had to.
    #[must_use]
    pub const fn approvals_needed(&self) -> u64 {
        self.approvals_needed
    }

    /// The receipt as bytes: a C2SP tlog-proof, kept as evidence of what was verified.
    #[must_use]
    pub fn proof(&self) -> &[u8] {
        &self.proof
    }
}

#[cfg(test)]
mod tests;
