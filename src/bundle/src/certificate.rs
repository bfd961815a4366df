//! The authority's third-party signature: Ed25519 over the protobuf message of Cloudflare's plexi, so that existing
//! auditor tools verify it unchanged. It proves no publication; the log entry does.
//!
//! Source: `cloudflare/plexi`, `plexi_core/src/proto/specs/types.proto`, message `SignatureMessage`, ciphersuite 0x0001.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::identity::{Digest, Epoch, Namespace, Timestamp};
use crate::key::{self, KeyId, PublicKey, SignatureError};
use crate::wire;

/// plexi's `ProtobufEd25519`.
pub const CIPHERSUITE: u32 = 0x0001;

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateMessage<'a> {
    /// The namespace; plexi knows no origin, so each namespace has a certificate key of its own.
    pub namespace: &'a Namespace,
    /// When, in milliseconds since 1970; rises with the epoch.
    pub timestamp_ms: u64,
    /// The statement's epoch.
    pub epoch: Epoch,
    /// SHA-256 of the statement.
    pub digest: Digest,
}

impl CertificateMessage<'_> {
    /// The protobuf encoding, fields in ascending order as every encoder of a `proto2` message with required fields
    /// writes them: 1 ciphersuite, 2 namespace, 3 timestamp, 4 epoch (a message with field 1), 5 digest.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(64 + self.namespace.as_str().len());
        varint_field(&mut message, 1, u64::from(CIPHERSUITE));
        bytes_field(&mut message, 2, self.namespace.as_str().as_bytes());
        varint_field(&mut message, 3, self.timestamp_ms);
        let mut epoch = Vec::new();
        varint_field(&mut epoch, 1, self.epoch.get());
        bytes_field(&mut message, 4, &epoch);
        bytes_field(&mut message, 5, &self.digest.0);
        message
    }
}

/// Protobuf encoding, "Base 128 Varints": seven bits at a time, lowest first.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

fn varint_field(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    varint(out, value);
}

fn bytes_field(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    out.extend_from_slice(bytes);
}

/// The certificate as a log entry carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// When, in milliseconds since 1970.
    #[serde(with = "wire::integer")]
    pub timestamp_ms: u64,
    /// The certificate key.
    pub key_id: KeyId,
    /// 64 bytes.
    #[serde(with = "wire::base64_bytes")]
    pub signature: Vec<u8>,
}

/// Why a certificate does not certify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Signed by a key that is not one of the authority's certificate keys.
    #[error("the certificate is signed by {found}, which is not a certificate key")]
    UnknownKey {
        /// The key that it names.
        found: KeyId,
    },
    /// The signature does not verify for exactly this namespace, epoch and digest.
    #[error("the certificate: {0}")]
    Signature(#[from] SignatureError),
}

impl Certificate {
    /// Checks the signature for exactly this namespace, epoch and digest.
    pub fn verify(
        &self,
        keys: &[PublicKey],
        namespace: &Namespace,
        epoch: Epoch,
        digest: Digest,
    ) -> Result<(), CertificateError> {
        let key = key::find(keys, self.key_id).ok_or(CertificateError::UnknownKey { found: self.key_id })?;
        let message = CertificateMessage { namespace, timestamp_ms: self.timestamp_ms, epoch, digest };
        Ok(key.verify_ed25519(&message.encode(), &self.signature)?)
    }

    /// The certificate's time in whole seconds: the time at which approvals are judged.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH.plus(self.timestamp_ms / 1000)
    }
}

#[cfg(test)]
mod tests;
