//! The HTTP surface: reads for everybody, submissions for bearers of tokens.
//!
//! It decides nothing about the log. It shows published views only: an entry or a tile beyond the published head does
//! not exist here, whatever the database has.
//!
//! | path | answer |
//! |---|---|
//! | `GET /{ns}/checkpoint`, `/{ns}/tile/…` | C2SP tlog-tiles ([`tiles`]) |
//! | `GET /v1/{ns}/entries\|receipts\|proofs\|statements\|bundles\|links\|trust\|policy\|status` | [`reads`] |
//! | `POST /v1/{ns}/statements`, `/v1/{ns}/entries`, `/v1/{ns}/add` | [`submissions`] |
//! | `GET /info`, `/namespaces…` | plexi-shaped ([`auditors`]) |
//! | `GET /healthz`, `/readyz` | [`health`] |

mod answer;
mod auditors;
pub(crate) mod exposition;
mod guard;
mod health;
mod parameters;
mod patience;
mod problem;
mod reads;
mod refusals;
mod submissions;
mod tiles;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, Method, header};
use axum::routing::{get, post};
use tokio::sync::watch;
use tower_http::cors::{Any, CorsLayer};

use crate::auth::TokenGate;
use crate::bundles::BundleShelf;
use crate::export::continuous::ExportStatus;
use crate::limits::{Limits, SubmitterLimits};
use crate::ports::LogKind;
use crate::published::Published;
use crate::sequencer::NamespaceHandle;
use guard::Guard;
use problem::{Problem, ProblemKind};

/// The time that a read has, and a submission beyond its own deadline.
const REQUEST_DEADLINE: Duration = Duration::from_secs(20);
/// The most reads under way.
const READS_MAX: usize = 1_024;
/// The most submissions under way to a namespace that certifies. They are counted apart: who waits for a quorum takes no
/// reader's place.
const SUBMISSIONS_MAX: usize = 512;
/// The most opaque entries under way to a `raw` namespace: with their bodies at most 512 MiB.
const ADDITIONS_MAX: usize = 8_192;
/// When a reader should come back for the first head.
const FIRST_HEAD_AFTER: Duration = Duration::from_secs(1);

/// What the handlers share.
pub(crate) struct Service {
    namespaces: BTreeMap<String, Served>,
    tokens: Option<TokenGate>,
    limits: SubmitterLimits,
    submission_deadline: Duration,
}

/// One namespace as HTTP sees it.
pub(crate) struct Served {
    pub(crate) handle: NamespaceHandle,
    pub(crate) bundles: BundleShelf,
    /// How its export is doing, if it is exported.
    pub(crate) export: Option<watch::Receiver<ExportStatus>>,
}

impl Service {
    /// Serves these namespaces. Without `tokens` nothing is taken.
    pub(crate) fn new(
        handles: impl IntoIterator<Item = NamespaceHandle>,
        tokens: Option<TokenGate>,
        submission_deadline: Duration,
    ) -> Self {
        let served = |handle: NamespaceHandle| {
            let name = handle.namespace().to_string();
            let bundles = BundleShelf::default();
            (name, Served { handle, bundles, export: None })
        };
        let namespaces = handles.into_iter().map(served).collect();
        Self { namespaces, tokens, limits: SubmitterLimits::new(Limits::default()), submission_deadline }
    }

    /// Allows each submitter this much, in place of the defaults.
    pub(crate) fn limit_submitters(&mut self, limits: Limits) {
        self.limits = SubmitterLimits::new(limits);
    }

    /// Shows how the export of a namespace is doing.
    pub(crate) fn show_export(&mut self, namespace: &str, status: watch::Receiver<ExportStatus>) {
        if let Some(served) = self.namespaces.get_mut(namespace) {
            served.export = Some(status);
        }
    }

    /// Every namespace, by name.
    fn namespaces(&self) -> impl Iterator<Item = &Served> {
        self.namespaces.values()
    }

    fn namespace(&self, name: &str) -> Result<&Served, Problem> {
        self.namespaces
            .get(name)
            .ok_or_else(|| Problem::new(ProblemKind::UnknownNamespace, format_args!("{name:?} is not served here")))
    }

    /// A namespace and its newest published head.
    fn published(&self, name: &str) -> Result<(&Served, Arc<Published>), Problem> {
        let served = self.namespace(name)?;
        let published = served.handle.published().ok_or_else(|| {
            let detail =
                format_args!("no head of {} has met the witness quorum yet", served.handle.origin()).to_string();
            Problem::new(ProblemKind::NothingPublished, detail).retry_after(FIRST_HEAD_AFTER)
        })?;
        Ok((served, published))
    }
}

/// Every route, behind its guard.
pub(crate) fn router(service: Arc<Service>) -> Router {
    let reads = Guard::new(READS_MAX, REQUEST_DEADLINE);
    let places = |served: &Served| match served.handle.foundation().kind() {
        LogKind::FleetKeys => (served.handle.namespace().to_string(), SUBMISSIONS_MAX),
        LogKind::Raw => (served.handle.namespace().to_string(), ADDITIONS_MAX),
    };
    let deadline = service.submission_deadline.saturating_add(REQUEST_DEADLINE);
    let submissions = Guard::new(SUBMISSIONS_MAX, deadline).apart(service.namespaces().map(places));
    let reading = reads.around(reading(service.clone())).layer(cors());
    reading.merge(submissions.around(submitting(service)))
}

fn reading(service: Arc<Service>) -> Router {
    Router::new()
        .route("/{ns}/checkpoint", get(tiles::checkpoint))
        .route("/{ns}/tile/{*rest}", get(tiles::tile))
        .route("/v1/{ns}/entries/{index}", get(reads::entry))
        .route("/v1/{ns}/receipts/{index}", get(reads::receipt))
        .route("/v1/{ns}/proofs/inclusion", get(reads::inclusion))
        .route("/v1/{ns}/proofs/consistency", get(reads::consistency))
        .route("/v1/{ns}/statements/{epoch}", get(reads::statement))
        .route("/v1/{ns}/statements/{epoch}/record", get(reads::statement_record))
        .route("/v1/{ns}/bundles/newest", get(reads::newest_bundle))
        .route("/v1/{ns}/bundles/{epoch}", get(reads::bundle))
        .route("/v1/{ns}/links", get(reads::link))
        .route("/v1/{ns}/trust", get(reads::trust))
        .route("/v1/{ns}/policy", get(reads::policy))
        .route("/v1/{ns}/status", get(reads::status))
        .route("/info", get(auditors::info))
        .route("/namespaces", get(auditors::namespaces))
        .route("/namespaces/{ns}", get(auditors::namespace))
        .route("/namespaces/{ns}/audits/{epoch}", get(auditors::audit))
        .route("/namespaces/{ns}/last-verified-epoch", get(auditors::last_verified_epoch))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .method_not_allowed_fallback(guard::method_not_allowed)
        .fallback(guard::not_found)
        .with_state(service)
}

fn submitting(service: Arc<Service>) -> Router {
    Router::new()
        .route("/v1/{ns}/statements", post(submissions::statement).layer(submissions::statement_limit()))
        .route("/v1/{ns}/entries", post(submissions::entry).layer(submissions::entry_limit()))
        .route("/v1/{ns}/add", post(submissions::add).layer(submissions::entry_limit()))
        .method_not_allowed_fallback(guard::method_not_allowed)
        .with_state(service)
}

/// Pages of any site may read; none may submit in its visitor's name, as submissions need a token that no browser adds.
fn cors() -> CorsLayer {
    let exposed: [HeaderName; 2] = [header::ETAG, header::RETRY_AFTER];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers([header::IF_NONE_MATCH])
        .expose_headers(exposed)
        // The answer is the same for every site, and so is its entry in a cache.
        .vary([])
}

#[cfg(test)]
mod tests;
