//! The one place where the operator's key signs.
//!
//! A countersignature needs a [`VerifiedReceipt`] and the [`LedgerRow`] of the same statement: neither can be made by
//! hand. It says "this operator agrees that exactly this statement, certified so, standing there, becomes active".

use countermark_bundle::countersignature::{self, Countersignature, CountersignatureError, Countersigned};
use countermark_bundle::identity::{Digest, Epoch};
use countermark_bundle::key::{KeyAlgorithm, KeyId, PublicKey, PublicKeyError};
use countermark_bundle::to_sign;
use countermark_keys::{Role, SignError, Signer};
use thiserror::Error;

use crate::ledger::LedgerRow;
use crate::receipt::VerifiedReceipt;

/// Why a key cannot countersign.
#[derive(Debug, Error)]
pub enum OperatorKeyError {
    /// Refused: made for another purpose.
    #[error("a {found} key does not countersign")]
    WrongRole {
        /// What the key is for.
        found: Role,
    },
    /// Refused: not a P-384 key.
    #[error("the operator key is none")]
    Key(#[from] PublicKeyError),
}

/// Why no countersignature was made.
#[derive(Debug, Error)]
pub enum CountersignError {
    /// Refused: the row is of another statement.
    #[error("the ledger row is for epoch {row} ({row_digest}), the receipt for epoch {receipt} ({receipt_digest})")]
    OtherRow {
        /// The row's epoch.
        row: Epoch,
        /// The row's digest.
        row_digest: Digest,
        /// The receipt's epoch.
        receipt: Epoch,
        /// The receipt's digest.
        receipt_digest: Digest,
    },
    /// Fault: the holder of the key gave no signature.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Fault: the signature does not verify; it was not released.
    #[error("our own countersignature does not verify")]
    SelfCheck(#[from] CountersignatureError),
}

/// The operator's countersigning key.
pub struct OperatorKey {
    signer: Box<dyn Signer>,
    public: PublicKey,
}

impl OperatorKey {
    /// Takes a key of the role operator.
    pub fn new(signer: Box<dyn Signer>) -> Result<Self, OperatorKeyError> {
        match signer.role() {
            Role::Operator => {}
            found => return Err(OperatorKeyError::WrongRole { found }),
        }
        let public = PublicKey::new(KeyAlgorithm::EcdsaP384, signer.public_key())?;
        Ok(Self { signer, public })
    }

    /// The key's identity.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.public.key_id()
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Countersigns a verified statement whose row is durable.
    pub fn countersign(
        &self,
        receipt: &VerifiedReceipt,
        row: &LedgerRow,
    ) -> Result<Countersignature, CountersignError> {
        if (row.epoch(), row.digest(), row.index()) != (receipt.epoch(), receipt.digest(), receipt.index()) {
            return Err(CountersignError::OtherRow {
                row: row.epoch(),
                row_digest: row.digest(),
                receipt: receipt.epoch(),
                receipt_digest: receipt.digest(),
            });
        }
        let tuple = Countersigned {
            origin: receipt.origin(),
            epoch: receipt.epoch(),
            statement: receipt.digest(),
            leaf_index: receipt.index(),
            certificate_signature: &receipt.certificate().signature,
        };
        let signature = self.signer.sign(&to_sign::countersignature(&tuple))?;
        let countersignature = Countersignature { key_id: self.key_id(), signature };
        // By a second code path, before anything is released: bit flips have ended real logs.
        let ours = std::slice::from_ref(&countersignature);
        countersignature::verify(&tuple, ours, std::slice::from_ref(&self.public), 1)?;
        Ok(countersignature)
    }
}

impl std::fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OperatorKey").field(&self.public).finish()
    }
}

#[cfg(test)]
mod tests;
