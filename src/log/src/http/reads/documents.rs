//! The JSON documents of the reads. Field names never change.

mod checkpoints;
mod keys;

use std::borrow::Cow;

use countermark_bundle::certificate::Certificate;
use countermark_bundle::identity::{Digest, Epoch, Timestamp};
use countermark_bundle::namespace_state::{NamespaceState, StatementRecord};
use countermark_tlog::hash::{Hash, LeafHash};
use countermark_tlog::size::TreeSize;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

pub(in crate::http) use checkpoints::{CheckpointDocument, CheckpointsDocument};
pub(in crate::http) use keys::KeysDocument;

use crate::export::continuous::ExportStatus;
use crate::http::Served;
use crate::http::health::{NamespaceReadiness, head_age_limit};
use crate::published::Published;
use crate::sequencer::OwnerState;

/// An RFC 6962 audit path.
#[derive(Serialize, ToSchema)]
#[schema(as = Inclusion)]
pub(in crate::http) struct InclusionDocument<'a> {
    /// The log.
    pub(super) origin: &'a str,
    /// Which entry.
    pub(super) index: u64,
    /// In the tree of how many entries.
    pub(super) size: u64,
    #[serde(serialize_with = "leaf_hash")]
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub(super) leaf_hash: LeafHash,
    /// In base64, from the leaf's sibling up.
    #[serde(serialize_with = "hashes")]
    #[schema(value_type = Vec<String>, max_items = 63)]
    pub(super) path: &'a [Hash],
}

/// An audit path with the head that it leads to.
#[derive(Serialize, ToSchema)]
#[schema(as = Receipt)]
pub(in crate::http) struct ReceiptDocument<'a> {
    #[serde(flatten)]
    pub(super) inclusion: InclusionDocument<'a>,
    /// The signed note: the log's signature and the witnesses' cosignatures.
    pub(super) checkpoint: Cow<'a, str>,
}

/// An RFC 6962 consistency proof.
#[derive(Serialize, ToSchema)]
#[schema(as = Consistency)]
pub(in crate::http) struct ConsistencyDocument<'a> {
    /// The log.
    pub(super) origin: &'a str,
    /// The smaller size.
    pub(super) from: u64,
    /// The larger size.
    pub(super) to: u64,
    /// In base64.
    #[serde(serialize_with = "hashes")]
    #[schema(value_type = Vec<String>, max_items = 64)]
    pub(super) proof: &'a [Hash],
}

/// A consistency link, as it stands in FORMATS.md.
#[derive(ToSchema)]
#[schema(as = Link)]
#[expect(dead_code, reason = "the shape of a type of another crate")]
pub(in crate::http) struct LinkSchema {
    r#type: String,
    from: u64,
    to: u64,
    /// In base64.
    proof: Vec<String>,
}

/// Statements, the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = Statements)]
pub(in crate::http) struct StatementsDocument<'a> {
    /// The log.
    pub(super) origin: &'a str,
    /// The published size.
    pub(super) size: u64,
    /// What the log has on each.
    pub(super) statements: Vec<RecordDocument<'a>>,
}

/// What the log has on a statement.
#[derive(Serialize, ToSchema)]
#[schema(as = Record)]
pub(in crate::http) struct RecordDocument<'a> {
    #[schema(value_type = u64, minimum = 1)]
    epoch: Epoch,
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    digest: Digest,
    /// Where the statement is in the log.
    index: u64,
    #[schema(value_type = CertificateSchema)]
    certificate: &'a Certificate,
    /// Where its activations stand, renewals after the first.
    activations: Vec<u64>,
    /// The number that its next activation must have.
    next_renewal: Option<u64>,
    /// Whether an activation of that number is admitted already.
    renewal_due: bool,
    revoked: bool,
}

impl<'a> RecordDocument<'a> {
    pub(in crate::http) fn of(state: &NamespaceState, record: &'a StatementRecord) -> Self {
        let epoch = record.statement.statement().epoch;
        let renewal = state.next_renewal(epoch);
        Self {
            epoch,
            digest: record.statement.digest(),
            index: record.index.get(),
            certificate: &record.certificate,
            activations: record.activations.iter().map(|index| index.get()).collect(),
            next_renewal: renewal.map(|(number, _)| number),
            renewal_due: renewal.is_some_and(|(_, due)| due),
            revoked: is_revoked(state, record),
        }
    }
}

/// A certificate, as it stands in bundles.
#[derive(ToSchema)]
#[schema(as = Certificate)]
#[expect(dead_code, reason = "the shape of a type of another crate")]
struct CertificateSchema {
    /// Milliseconds since 1970.
    timestamp_ms: u64,
    #[schema(pattern = "^[0-9a-f]{64}$")]
    key_id: String,
    /// In base64.
    signature: String,
}

/// Where a namespace stands.
#[derive(Serialize, ToSchema)]
#[schema(as = Status)]
pub(in crate::http) struct StatusDocument<'a> {
    origin: &'a str,
    namespace: &'a str,
    /// `fleet-keys` or `raw`.
    kind: &'static str,
    /// `serving`, `reloading`, `frozen` or `stopped`.
    state: &'static str,
    /// Whether it can be relied on now, as `/readyz` says.
    ready: bool,
    /// Of the newest published head; null before the first.
    size: Option<u64>,
    root: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    head_time: Option<Timestamp>,
    /// By the server's clock.
    head_age_seconds: Option<u64>,
    /// From which age on clients refuse the head.
    max_head_age_seconds: u64,
    queued_submissions: usize,
    #[schema(value_type = Option<u64>, minimum = 1)]
    next_epoch: Option<Epoch>,
    newest_certified: Option<StatementDocument>,
    newest_active: Option<StatementDocument>,
    policy: Option<PolicyDocument>,
    /// Since when too few witnesses cosign.
    #[schema(value_type = Option<String>, format = DateTime)]
    without_quorum_since: Option<Timestamp>,
    witnesses: Vec<WitnessDocument>,
    export: Option<ExportStatusDocument>,
}

/// How the export is doing.
#[derive(Serialize, ToSchema)]
#[schema(as = ExportStatus)]
struct ExportStatusDocument {
    state: &'static str,
    exported_size: Option<u64>,
}

impl ExportStatusDocument {
    fn of(status: ExportStatus) -> Self {
        Self { state: status.state.as_str(), exported_size: status.exported.map(TreeSize::get) }
    }
}

/// A statement.
#[derive(Serialize, ToSchema)]
#[schema(as = StatementStatus)]
struct StatementDocument {
    #[schema(value_type = u64, minimum = 1)]
    epoch: Epoch,
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    digest: Digest,
    index: u64,
    revoked: bool,
}

/// The admission policy in force.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyStatus)]
struct PolicyDocument {
    serial: u64,
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    digest: Digest,
    approvals_needed: u64,
}

/// How a witness is doing.
#[derive(Serialize, ToSchema)]
#[schema(as = WitnessStatus)]
struct WitnessDocument {
    name: String,
    url: String,
    /// Whether the newest published head bears its cosignature, and it has not failed since.
    cosigns: bool,
    /// The last valid cosignature.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_success: Option<Timestamp>,
    /// The last failure since then.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_failure: Option<Timestamp>,
    /// Which kind of failure; what exactly stands in the log's own records.
    last_failure_reason: Option<&'static str>,
}

impl<'a> StatusDocument<'a> {
    /// A namespace and what it has published, if anything.
    pub(in crate::http) fn of(served: &'a Served, published: Option<&Published>) -> Self {
        let handle = &served.handle;
        let health = handle.health();
        let state = published.and_then(|published| published.state.fleet_keys());
        let statement =
            |record: Option<&StatementRecord>| record.zip(state).map(|(record, state)| describe(state, record));
        let policy = state.and_then(NamespaceState::policy);
        Self {
            origin: handle.origin().as_str(),
            namespace: handle.namespace().as_str(),
            kind: handle.foundation().kind().as_str(),
            state: match health.state {
                OwnerState::Serving => "serving",
                OwnerState::Reloading => "reloading",
                OwnerState::Frozen => "frozen",
                OwnerState::Stopped => "stopped",
            },
            ready: NamespaceReadiness::of(served).is_ready(),
            size: published.map(|published| published.size.get()),
            root: published.map(|published| published.root.0.to_base64()),
            head_time: published.map(|published| published.head_time),
            head_age_seconds: health.head_age_seconds,
            max_head_age_seconds: head_age_limit(served),
            queued_submissions: health.queued,
            next_epoch: state.and_then(NamespaceState::next_epoch),
            newest_certified: statement(state.and_then(NamespaceState::newest_certified)),
            newest_active: statement(state.and_then(NamespaceState::newest_active)),
            policy: policy.map(|policy| PolicyDocument {
                serial: policy.serial,
                digest: policy.digest,
                approvals_needed: policy.approvals_needed,
            }),
            without_quorum_since: health.without_quorum_since,
            witnesses: health
                .witnesses
                .into_iter()
                .map(|witness| WitnessDocument {
                    cosigns: witness.cosigns(published),
                    name: witness.name,
                    url: witness.url,
                    last_success: witness.last_success,
                    last_failure: witness.last_failure.as_ref().map(|failure| failure.at),
                    last_failure_reason: witness.last_failure.map(|failure| failure.reason.as_str()),
                })
                .collect(),
            export: served.export.as_ref().map(|status| ExportStatusDocument::of(*status.borrow())),
        }
    }
}

fn describe(state: &NamespaceState, record: &StatementRecord) -> StatementDocument {
    StatementDocument {
        epoch: record.statement.statement().epoch,
        digest: record.statement.digest(),
        index: record.index.get(),
        revoked: is_revoked(state, record),
    }
}

/// Whether the epoch, or a fleet or key in it, was revoked.
fn is_revoked(state: &NamespaceState, record: &StatementRecord) -> bool {
    let statement = record.statement.statement();
    let revoked = state.revoked();
    revoked.epochs.contains(&statement.epoch) || revoked.touches(statement).is_some()
}

fn leaf_hash<S: Serializer>(hash: &LeafHash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(hash.0.0))
}

fn hashes<S: Serializer>(hashes: &&[Hash], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(hashes.iter().map(Hash::to_base64))
}
