//! COSE receipts of inclusion. SPEC: RFC 9942 §5.2 (`RFC9162_SHA256`), RFC 9052 (`COSE_Sign1`).
//!
//! A receipt proves that the log's key signed a root under which the entry is. It carries no cosignature: who must know
//! that everybody sees the same tree takes the C2SP form, which does.
//!
//! The key is the log's own, whose purpose is tree heads, and this is one: the signature covers the root and no entry, so
//! there is one for each head that somebody asks about. What is signed here is never what a checkpoint signs: the one begins
//! with CBOR's `84 6a "Signature1"`, the other with the origin's letters.
//!
//! Invariant: only roots of published heads are signed.

use std::sync::{Arc, Mutex, PoisonError};

use ciborium::Value;
use coset::{CoseError, CoseSign1Builder, HeaderBuilder, TaggedCborSerializable as _, iana};
use countermark_bundle::key::{PublicKey, PublicKeyError, SignatureError};
use countermark_keys::{SignError, Signer};
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::hash::{Hash, RootHash};
use countermark_tlog::size::LeafIndex;
use thiserror::Error;

use crate::published::Published;

/// The header parameter of the verifiable data structure. SPEC: RFC 9942 §8.
const VDS: i64 = 395;
/// The header parameter of its proofs.
const VDP: i64 = 396;
/// The tree of RFC 9162 over SHA-256.
const RFC9162_SHA256: i64 = 1;
/// The label of its inclusion proofs.
const INCLUSION: i64 = -1;
/// The header parameter of claims. SPEC: RFC 9597.
const CWT_CLAIMS: i64 = 15;
/// The claim that names who issued. SPEC: RFC 8392 §3.1.1.
const ISSUER: i64 = 1;

/// Why no receipt was made.
#[derive(Debug, Error)]
pub enum CoseReceiptError {
    /// The key gave no signature.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The log's key is not what it was.
    #[error(transparent)]
    Key(#[from] PublicKeyError),
    /// The signature that was made does not verify; it is not released.
    #[error("the signature just made does not verify: {0}")]
    Verify(#[from] SignatureError),
    /// The object was not written.
    #[error("the receipt was not encoded: {0}")]
    Encode(#[source] CoseError),
    /// The proof was not written.
    #[error("the proof was not encoded")]
    EncodeProof,
}

/// Makes receipts of one log.
pub(crate) struct ReceiptSigner {
    origin: Origin,
    signer: Arc<dyn Signer>,
    /// The last root that was signed, and the signature.
    newest: Mutex<Option<(RootHash, Vec<u8>)>>,
}

impl ReceiptSigner {
    pub(crate) fn new(origin: Origin, signer: Arc<dyn Signer>) -> Self {
        Self { origin, signer, newest: Mutex::default() }
    }

    /// The receipt of an entry under a published head, a tagged `COSE_Sign1` with the root detached. `path` goes from the
    /// leaf's sibling up.
    pub(crate) fn receipt(
        &self,
        published: &Published,
        index: LeafIndex,
        path: &[Hash],
    ) -> Result<Vec<u8>, CoseReceiptError> {
        let public = PublicKey::ed25519(self.signer.public_key())?;
        let issuer = Value::Map(vec![(ISSUER.into(), self.origin.as_str().into())]);
        let protected = HeaderBuilder::new()
            .algorithm(iana::Algorithm::EdDSA)
            .key_id(public.key_id().0.0.to_vec())
            .value(CWT_CLAIMS, issuer)
            .value(VDS, RFC9162_SHA256.into())
            .build();
        let path = path.iter().map(|hash| Value::Bytes(hash.0.to_vec())).collect();
        let proof = Value::Array(vec![published.size.get().into(), index.get().into(), Value::Array(path)]);
        let mut encoded = Vec::new();
        ciborium::into_writer(&proof, &mut encoded).map_err(|_| CoseReceiptError::EncodeProof)?;
        let proofs = Value::Map(vec![(INCLUSION.into(), Value::Array(vec![Value::Bytes(encoded)]))]);
        let unprotected = HeaderBuilder::new().value(VDP, proofs).build();
        let receipt = CoseSign1Builder::new()
            .protected(protected)
            .unprotected(unprotected)
            .try_create_detached_signature(&published.root.0.0, &[], |message| {
                self.signature(published.root, message, &public)
            })?
            .build();
        receipt.to_tagged_vec().map_err(CoseReceiptError::Encode)
    }

    /// Signs a root, once. What is signed beside it never changes.
    fn signature(&self, root: RootHash, message: &[u8], public: &PublicKey) -> Result<Vec<u8>, CoseReceiptError> {
        // A panic while the lock was held leaves what was there, or nothing.
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((signed, signature)) = newest.as_ref()
            && *signed == root
        {
            return Ok(signature.clone());
        }
        // 1. The head is published: `Published` shows nothing that is not durable in the database, in the head register and
        //    under the quorum. A crash from here on loses a signature that is made again, over the same root.
        let signature = self.signer.sign(message)?;
        // 2. A flipped bit is found here, not by a reader.
        public.verify_ed25519(message, &signature)?;
        // 3. Only now may it leave, and be given again.
        *newest = Some((root, signature.clone()));
        Ok(signature)
    }
}

#[cfg(test)]
mod tests;
