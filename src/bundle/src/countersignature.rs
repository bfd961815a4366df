//! The operator's countersignature: ECDSA P-384 with SHA-384 over origin, epoch, statement, log position *and* the
//! certificate. The operator makes it only after verifying that leaf under a quorum-cosigned checkpoint.

use alloc::vec::Vec;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::size::LeafIndex;
use serde::{Deserialize, Serialize};

use crate::identity::{Digest, Epoch};
use crate::key::{self, KeyId, PublicKey, SignatureError};
use crate::{to_sign, wire};

/// What is countersigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Countersigned<'a> {
    /// The log.
    pub origin: &'a Origin,
    /// The statement's epoch.
    pub epoch: Epoch,
    /// SHA-256 of the statement.
    pub statement: Digest,
    /// Where the certified statement stands in the log.
    pub leaf_index: LeafIndex,
    /// The authority's signature, 64 bytes.
    pub certificate_signature: &'a [u8],
}

/// One countersignature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Countersignature {
    /// The operator's key.
    pub key_id: KeyId,
    /// r‖s, 96 bytes; made with low s, accepted with either.
    #[serde(with = "wire::base64_bytes")]
    pub signature: Vec<u8>,
}

/// Why countersignatures do not activate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CountersignatureError {
    /// Made by a key that is not one of the operator's.
    #[error("countersigned by {found}, which is not an operator key")]
    UnknownKey {
        /// The key that it names.
        found: KeyId,
    },
    /// Does not verify over exactly this tuple.
    #[error("the countersignature by {key_id}: {source}")]
    Signature {
        /// The key that it names.
        key_id: KeyId,
        /// What is wrong.
        source: SignatureError,
    },
    /// Not sorted by key, or one key twice.
    #[error("countersignatures must be sorted by key and unique")]
    Order,
    /// Fewer than the operator's threshold.
    #[error("{found} countersignatures, {needed} needed")]
    Threshold {
        /// Valid countersignatures.
        found: u64,
        /// The operator's threshold.
        needed: u64,
    },
}

/// Checks that every countersignature verifies over the tuple, and that there are as many as the operator asks for.
pub fn verify(
    tuple: &Countersigned<'_>,
    countersignatures: &[Countersignature],
    keys: &[PublicKey],
    threshold: u64,
) -> Result<(), CountersignatureError> {
    if !wire::is_sorted_unique(countersignatures.iter().map(|one| one.key_id)) {
        return Err(CountersignatureError::Order);
    }
    let message = to_sign::countersignature(tuple);
    for Countersignature { key_id, signature } in countersignatures {
        let key = key::find(keys, *key_id).ok_or(CountersignatureError::UnknownKey { found: *key_id })?;
        key.verify_p384(&message, signature)
            .map_err(|source| CountersignatureError::Signature { key_id: *key_id, source })?;
    }
    let found = u64::try_from(countersignatures.len()).unwrap_or(u64::MAX);
    if found < threshold {
        return Err(CountersignatureError::Threshold { found, needed: threshold });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
