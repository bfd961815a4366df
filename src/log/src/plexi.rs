//! What is published, in the shapes of Cloudflare's plexi, so that its auditor tools read it unchanged.
//!
//! The shapes are those of plexi-core 0.1.2: `auditor::Configuration`, `namespaces::NamespaceInfo`, `SignatureResponse`,
//! `LastVerifiedEpoch`. They prove no publication; the log does. A plexi auditor picks a key by its last byte and takes
//! the first that fits, so it can mistake a namespace's key for another's; it then refuses, never accepts.

use countermark_bundle::certificate::{CIPHERSUITE, CertificateMessage};
use countermark_bundle::identity::{Digest, Epoch, Namespace};
use countermark_bundle::key::{self, PublicKey};
use countermark_bundle::namespace_state::{NamespaceState, StatementRecord};
use serde::Serialize;
use utoipa::ToSchema;

/// `auditor::Configuration`: whose signatures to expect.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = plexi::Configuration)]
pub(crate) struct Configuration {
    pub(crate) keys: Vec<KeyInfo>,
    pub(crate) logs: Vec<String>,
}

/// `auditor::KeyInfo`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = plexi::KeyInfo)]
pub(crate) struct KeyInfo {
    public_key: String,
    not_before: u64,
}

impl KeyInfo {
    /// A certificate key. It holds from the namespace's first entry on, which is before any certificate.
    pub(crate) fn of(key: &PublicKey) -> Self {
        Self { public_key: hex::encode(key.bytes()), not_before: 0 }
    }
}

/// `namespaces::Namespaces`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = plexi::Namespaces)]
pub(crate) struct Namespaces {
    pub(crate) namespaces: Vec<NamespaceInfo>,
}

/// `namespaces::NamespaceInfo`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = plexi::NamespaceInfo)]
pub(crate) struct NamespaceInfo {
    name: String,
    /// Where plexi finds proofs of its own kind. There are none here: the log has better ones.
    log_directory: Option<String>,
    /// The first epoch and its digest, `<epoch>/<hex>`.
    root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    last_verified_epoch: Option<Epoch>,
    status: Status,
    reports_uri: String,
    audits_uri: String,
    signature_version: u32,
    ciphersuite: u32,
}

/// `namespaces::NamespaceStatus`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = plexi::Status)]
enum Status {
    Online,
    Initialization,
}

impl NamespaceInfo {
    /// A namespace as of its published head; `None` before the first.
    pub(crate) fn of(namespace: &Namespace, published: Option<&NamespaceState>) -> Self {
        let first = published.and_then(|state| state.statements().next());
        let newest = published.and_then(|state| state.statements().next_back());
        Self {
            name: namespace.to_string(),
            log_directory: None,
            root: first.map(|(epoch, record)| format!("{epoch}/{}", record.statement.digest())),
            last_verified_epoch: newest.map(|(epoch, _)| epoch),
            status: if newest.is_some() { Status::Online } else { Status::Initialization },
            reports_uri: format!("/namespaces/{namespace}/reports"),
            audits_uri: format!("/namespaces/{namespace}/audits"),
            signature_version: CIPHERSUITE,
            ciphersuite: CIPHERSUITE,
        }
    }
}

/// `SignatureResponse`: a certificate.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = plexi::SignatureResponse)]
pub(crate) struct SignatureResponse {
    version: u32,
    ciphersuite: u32,
    namespace: String,
    timestamp: u64,
    #[schema(value_type = u64)]
    epoch: Epoch,
    #[schema(value_type = String)]
    digest: Digest,
    signature: String,
    /// The last byte of the verifying key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<u8>,
    serialized_message: String,
}

impl SignatureResponse {
    /// The certificate of a published statement. `keys` are the certificate keys in force.
    pub(crate) fn of(namespace: &Namespace, keys: &[PublicKey], record: &StatementRecord) -> Self {
        let (epoch, digest) = (record.statement.statement().epoch, record.statement.digest());
        let message = CertificateMessage { namespace, timestamp_ms: record.certificate.timestamp_ms, epoch, digest };
        let key = key::find(keys, record.certificate.key_id);
        Self {
            version: CIPHERSUITE,
            ciphersuite: CIPHERSUITE,
            namespace: namespace.to_string(),
            timestamp: record.certificate.timestamp_ms,
            epoch,
            digest,
            signature: hex::encode(&record.certificate.signature),
            key_id: key.and_then(|key| key.bytes().last().copied()),
            serialized_message: hex::encode(message.encode()),
        }
    }
}

/// `LastVerifiedEpoch`: the newest certified epoch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = plexi::LastVerifiedEpoch)]
pub(crate) struct LastVerifiedEpoch {
    job_id: String,
    #[schema(value_type = u64)]
    epoch: Epoch,
    start_hash: String,
    #[schema(value_type = String)]
    end_hash: Digest,
    timestamp: u64,
}

impl LastVerifiedEpoch {
    /// The newest published statement.
    pub(crate) fn of(record: &StatementRecord) -> Self {
        let statement = record.statement.statement();
        let digest = record.statement.digest();
        Self {
            job_id: job_id(digest),
            epoch: statement.epoch,
            // Nothing stands before the first epoch.
            start_hash: statement.previous.map_or_else(|| hex::encode([0; 32]), Digest::to_hex),
            end_hash: digest,
            timestamp: record.certificate.timestamp_ms,
        }
    }
}

/// plexi numbers its verification jobs. Ours is the statement itself: a UUID made of its digest.
fn job_id(digest: Digest) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.0[..16]);
    // SPEC: RFC 9562 §5.8: version 8, variant 10.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests;
