//! One namespace: its owner task, its publisher task, and the handle that everybody else has.
//!
//! The owner task alone changes the log: it admits, signs, commits ([`owner`]). The publisher task alone talks to the
//! witnesses and publishes ([`crate::witness_round`]). The handle reads views and queues submissions; it decides nothing.
//!
//! Invariants: one writer for each namespace in a process (this module) and across processes (the writer epoch in the
//! store); a submission is answered only with what is durable at the level it asked for; no timer stands in the way of a
//! submission.

mod draft;
mod handle;
mod owner;
mod queue;
mod start;
mod submission;
mod supervise;
mod witness_health;

use std::sync::Arc;
use std::time::Duration;

use countermark_bundle::identity::{Namespace, Timestamp};
use countermark_bundle::key::PublicKey;
use countermark_keys::Signer;
use countermark_signer_policy::PolicySet;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::size::TreeSize;

use crate::foundation::Foundation;
use crate::ports::{Clock, HeadRegister, LogKind, Store, WitnessClient, WitnessEndpoint};

pub use handle::NamespaceHandle;
pub use owner::Ended;
pub use queue::{QUEUE_BYTES_MAX, queue_max};
pub use start::{CreateError, SettingsError, StartError, create, start};
pub(crate) use start::{Follower, read_only};
pub use submission::{Patience, Submission, SubmitError, SubmitFault, Submitted, WaitLevel};
pub(crate) use witness_health::WitnessRounds;
pub use witness_health::{WitnessFailure, WitnessFailureReason, WitnessHealth};

/// The bytes after which no further entry joins a commit: 16 MiB.
pub const BATCH_BYTES_MAX: usize = 16 << 20;

/// The most entries of one commit to a `fleet-keys` log.
const BATCH_MAX: usize = 256;
/// The most opaque entries of one commit.
const RAW_BATCH_MAX: usize = 4_096;

/// The most entries of one commit to a log of this kind.
#[must_use]
pub const fn batch_max(kind: LogKind) -> usize {
    match kind {
        LogKind::FleetKeys => BATCH_MAX,
        LogKind::Raw => RAW_BATCH_MAX,
    }
}

/// When an overloaded submitter should come back.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a namespace is served with.
pub struct NamespaceSettings {
    /// The log's origin, `<authority name>/<namespace>`.
    pub origin: Origin,
    /// The namespace.
    pub namespace: Namespace,
    /// The keys, quorum and limits the namespace was created with.
    pub foundation: Foundation,
    /// Signs checkpoints, and the roots of published ones for COSE receipts.
    pub log_signer: Arc<dyn Signer>,
    /// Signs checkpoints beside it with ML-DSA-44.
    pub ml_dsa_44_log_signer: Option<Arc<dyn Signer>>,
    /// What statements are certified with; a `raw` namespace has none.
    pub certifying: Option<Certifying>,
    /// Who is asked for cosignatures.
    pub witnesses: Vec<WitnessEndpoint>,
    /// How old the newest cosignatures may grow before new ones are asked for.
    pub recosign_every: Duration,
    /// The deadline of one call to a witness.
    pub witness_timeout: Duration,
    /// The bytes of full hash tiles that are kept in memory.
    pub tile_cache_bytes: usize,
}

impl NamespaceSettings {
    /// Which log this is.
    pub(crate) fn identity(&self) -> Identity {
        let Self { origin, namespace, foundation, .. } = self;
        Identity { origin: origin.clone(), namespace: namespace.clone(), foundation: foundation.clone() }
    }
}

/// Which log it is, and what it is judged by: all that reading needs beside the bytes.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The log's origin.
    pub origin: Origin,
    /// The namespace.
    pub namespace: Namespace,
    /// What the log was created with.
    pub foundation: Foundation,
}

/// What a `fleet-keys` namespace certifies statements with.
pub struct Certifying {
    /// Signs certificates.
    pub certificate_signer: Box<dyn Signer>,
    /// What the authority agrees to certify.
    pub policy: PolicySet,
    /// Whose attestations count.
    pub vendor_keys: Vec<PublicKey>,
}

/// The outside world of a namespace.
#[derive(Clone)]
pub struct Ports {
    /// Entries, tiles and heads.
    pub store: Arc<dyn Store>,
    /// The last signed head, on other storage.
    pub register: Arc<dyn HeadRegister>,
    /// The way to the witnesses.
    pub witnesses: Arc<dyn WitnessClient>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
}

/// How a namespace is doing.
#[derive(Debug, Clone)]
pub struct Health {
    /// What the owner task does.
    pub state: OwnerState,
    /// Submissions that wait for the owner task.
    pub queued: usize,
    /// The committed size.
    pub committed: TreeSize,
    /// The published size and head time; `None` before the first publication.
    pub published: Option<(TreeSize, Timestamp)>,
    /// The age of the published head time in seconds.
    pub head_age_seconds: Option<u64>,
    /// Every witness, in the order of the settings.
    pub witnesses: Vec<WitnessHealth>,
    /// Since when every witness round has ended without a quorum.
    pub without_quorum_since: Option<Timestamp>,
}

impl Health {
    /// Whether an entry is committed that too few witnesses cosign for it to be published.
    #[must_use]
    pub fn waits_for_quorum(&self) -> bool {
        self.without_quorum_since.is_some() && self.published.is_none_or(|(size, _)| size < self.committed)
    }
}

/// What the owner task of a namespace does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerState {
    /// Admits and commits.
    Serving,
    /// A port failed; it is reading everything again.
    Reloading,
    /// The log was frozen: it is read, and its head is cosigned again, but it never grows.
    Frozen,
    /// Stopped for good: shut down, fenced off by another process, or what it read again contradicts what it signed.
    Stopped,
}

#[cfg(test)]
mod tests;
