//! The JSON documents of the reads. Field names never change.

use countermark_bundle::certificate::Certificate;
use countermark_bundle::identity::{Digest, Epoch, Timestamp};
use countermark_bundle::namespace_state::{NamespaceState, StatementRecord};
use countermark_tlog::hash::{Hash, LeafHash};
use countermark_tlog::size::TreeSize;
use serde::{Serialize, Serializer};

use super::super::Served;
use super::super::health::{NamespaceReadiness, head_age_limit};
use crate::export::continuous::ExportStatus;
use crate::published::Published;
use crate::sequencer::OwnerState;

/// An RFC 6962 audit path.
#[derive(Serialize)]
pub(super) struct InclusionDocument<'a> {
    pub(super) origin: &'a str,
    pub(super) index: u64,
    pub(super) size: u64,
    #[serde(serialize_with = "leaf_hash")]
    pub(super) leaf_hash: LeafHash,
    /// From the leaf's sibling up.
    #[serde(serialize_with = "hashes")]
    pub(super) path: &'a [Hash],
}

/// An RFC 6962 consistency proof.
#[derive(Serialize)]
pub(super) struct ConsistencyDocument<'a> {
    pub(super) origin: &'a str,
    pub(super) from: u64,
    pub(super) to: u64,
    #[serde(serialize_with = "hashes")]
    pub(super) proof: &'a [Hash],
}

/// What the log has on a statement.
#[derive(Serialize)]
pub(super) struct RecordDocument<'a> {
    epoch: Epoch,
    digest: Digest,
    index: u64,
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
    pub(super) fn of(state: &NamespaceState, record: &'a StatementRecord) -> Self {
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

/// Where a namespace stands.
#[derive(Serialize)]
pub(in crate::http) struct StatusDocument<'a> {
    origin: &'a str,
    namespace: &'a str,
    kind: &'static str,
    state: &'static str,
    /// Whether it can be relied on now, as `/readyz` says.
    ready: bool,
    size: Option<u64>,
    root: Option<String>,
    head_time: Option<Timestamp>,
    /// By the server's clock.
    head_age_seconds: Option<u64>,
    /// From which age on clients refuse the head.
    max_head_age_seconds: u64,
    queued_submissions: usize,
    next_epoch: Option<Epoch>,
    newest_certified: Option<StatementDocument>,
    newest_active: Option<StatementDocument>,
    policy: Option<PolicyDocument>,
    /// Since when too few witnesses cosign.
    without_quorum_since: Option<Timestamp>,
    witnesses: Vec<WitnessDocument>,
    export: Option<ExportStatusDocument>,
}

#[derive(Serialize)]
struct ExportStatusDocument {
    state: &'static str,
    exported_size: Option<u64>,
}

impl ExportStatusDocument {
    fn of(status: ExportStatus) -> Self {
        Self { state: status.state.as_str(), exported_size: status.exported.map(TreeSize::get) }
    }
}

#[derive(Serialize)]
struct StatementDocument {
    epoch: Epoch,
    digest: Digest,
    index: u64,
    revoked: bool,
}

#[derive(Serialize)]
struct PolicyDocument {
    serial: u64,
    digest: Digest,
    approvals_needed: u64,
}

#[derive(Serialize)]
struct WitnessDocument {
    name: String,
    url: String,
    /// Whether the newest published head bears its cosignature, and it has not failed since.
    cosigns: bool,
    /// The last valid cosignature.
    last_success: Option<Timestamp>,
    /// The last failure since then.
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
