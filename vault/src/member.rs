//! The member itself: what it reports, and the one thing that changes about it, its attestation.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use countermark_bundle::identity::Digest;
use countermark_bundle::key::PublicKey;
use countermark_keys::{SignError, Signer};
use countermark_vault_core::attest::{AdmitError, admit, admit_any_software};
use countermark_vault_core::member::{self, MemberIdentity, ReportError};
use countermark_vault_core::to_sign;
use thiserror::Error;

use crate::ports::{AttestationStore, StoreError};

/// A member and what it keeps.
pub(crate) struct Member<Store> {
    identity: MemberIdentity,
    vendor_keys: Vec<PublicKey>,
    signer: Arc<dyn Signer>,
    /// Held from the check to the swap, so that changes happen one after the other.
    store: Mutex<Store>,
    /// What is served. Only ever what the store has made durable.
    served: RwLock<Arc<Served>>,
}

/// A report and the attestation in it.
struct Served {
    attestation: Option<Vec<u8>>,
    report: Arc<[u8]>,
}

/// What an accepted attestation changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It is stored now.
    Stored,
    /// The very same bytes were stored before.
    Unchanged,
}

/// Why a stored attestation does not let the member start.
#[derive(Debug, Error)]
pub enum MemberError {
    /// Fault: it was not read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is damaged, or not a vendor's word about this member and its keys.
    #[error("the stored attestation is damaged or for another member; let the vendor attest again after removing it")]
    StoredAttestation(#[source] AdmitError),
    /// No report could be made.
    #[error(transparent)]
    Report(#[from] MakeReportError),
}

/// Why an attestation was not accepted.
#[derive(Debug, Error)]
pub(crate) enum AcceptError {
    /// Refused: it is not a vendor's word about exactly this member.
    #[error(transparent)]
    Refused(#[from] AdmitError),
    /// Fault: the report that carries it could not be made.
    #[error(transparent)]
    Report(#[from] MakeReportError),
    /// Fault: it may be stored or not; the member goes on with what it had.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Fault: the member could not report itself.
#[derive(Debug, Error)]
pub enum MakeReportError {
    /// The identity key did not sign.
    #[error("the identity key did not sign the report")]
    Sign(#[from] SignError),
    /// What the member is told to say of itself fits no report.
    #[error("the member makes no report")]
    Report(#[from] ReportError),
}

impl<Store: AttestationStore> Member<Store> {
    /// Starts from what is stored. An attestation of another executable is kept: it is true of what ran before, and the
    /// report says which executable runs now.
    pub(crate) fn open(
        identity: MemberIdentity,
        vendor_keys: Vec<PublicKey>,
        signer: Arc<dyn Signer>,
        store: Store,
    ) -> Result<Self, MemberError> {
        let attestation = store.read()?;
        if let Some(bytes) = &attestation {
            admit_any_software(bytes, &identity, &vendor_keys).map_err(MemberError::StoredAttestation)?;
        }
        let served = Served::new(&identity, signer.as_ref(), attestation)?;
        Ok(Self { identity, vendor_keys, signer, store: Mutex::new(store), served: RwLock::new(Arc::new(served)) })
    }

    /// What the member is.
    pub(crate) const fn identity(&self) -> &MemberIdentity {
        &self.identity
    }

    /// The signed report with the stored attestation, as it is served.
    pub(crate) fn report(&self) -> Arc<[u8]> {
        Arc::clone(&self.served().report)
    }

    /// SHA-256 of the stored attestation, if there is one.
    pub(crate) fn attestation(&self) -> Option<Digest> {
        self.served().attestation.as_deref().map(Digest::of)
    }

    /// Whether a vendor vouches for the executable that runs.
    pub(crate) fn is_attested(&self) -> bool {
        let served = self.served();
        let attestation = served.attestation.as_deref();
        attestation.is_some_and(|bytes| admit(bytes, &self.identity, &self.vendor_keys).is_ok())
    }

    /// Takes an attestation of exactly this member and the running executable. Blocks on the disk.
    pub(crate) fn accept(&self, attestation: &[u8]) -> Result<Accepted, AcceptError> {
        // A panic under this lock leaves the served state behind the stored one at most, so the lock stays usable.
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        // 1. Verify, against what this member is. What is served was verified and is durable, so the same bytes again
        //    change nothing.
        admit(attestation, &self.identity, &self.vendor_keys)?;
        if self.served().attestation.as_deref() == Some(attestation) {
            return Ok(Accepted::Unchanged);
        }
        let served = Served::new(&self.identity, self.signer.as_ref(), Some(attestation.to_vec()))?;
        // 2. Store: temporary file, fsync, rename, fsync of the folder. A crash or an error here leaves the old or the
        //    new attestation on disk; the next start reads which. The old report is served until then.
        store.replace(attestation)?;
        // 3. Swap in memory: only what is durable is served, or a restart would take back what somebody relies on.
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(served);
        // 4. Answer. A crash before the answer arrives is repaired by sending the same bytes again.
        Ok(Accepted::Stored)
    }

    fn served(&self) -> Arc<Served> {
        // The value is replaced whole, so a poisoned lock still holds a whole one.
        Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Served {
    fn new(
        identity: &MemberIdentity,
        signer: &dyn Signer,
        attestation: Option<Vec<u8>>,
    ) -> Result<Self, MakeReportError> {
        let proof = signer.sign(&to_sign::report_message(identity, attestation.as_deref()))?;
        let report = member::write(identity, attestation.as_deref(), &proof)?.into();
        Ok(Self { attestation, report })
    }
}

#[cfg(test)]
mod tests;
