//! The HTTP surface: reads for everybody, submissions for bearers of tokens.
//!
//! It decides nothing about the log. It shows published views only: an entry or a tile beyond the published head does
//! not exist here, whatever the database has.
//!
//! | path | answer |
//! |---|---|
//! | `GET /{ns}/checkpoint`, `/{ns}/tile/…` | C2SP tlog-tiles ([`tiles`]) |
//! | `GET /v1/{ns}/…` | entries, receipts, proofs, statements, bundles, heads, keys ([`reads`]) |
//! | `POST /v1/{ns}/statements`, `/v1/{ns}/entries`, `/v1/{ns}/add` | [`submissions`] |
//! | `GET /info`, `/namespaces…` | plexi-shaped ([`auditors`]) |
//! | `GET /v1/status` | [`overview`] |
//! | `GET /healthz`, `/readyz` | [`health`] |
//! | `GET /openapi.json` | all of this, described ([`endpoints`], [`openapi`]) |

mod answer;
mod auditors;
mod describe;
mod endpoints;
pub(crate) mod exposition;
mod extract;
mod guard;
mod health;
mod negotiate;
mod openapi;
mod overview;
mod parameters;
mod patience;
mod problem;
mod reads;
mod refusals;
mod submissions;
mod tiles;
mod traffic;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, Method, header};
use axum::middleware::from_fn;
use tokio::sync::watch;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{Any, CorsLayer};

use crate::auth::TokenGate;
use crate::bundles::BundleShelf;
use crate::export::continuous::ExportStatus;
use crate::limits::{Limits, SubmitterLimits};
use crate::ports::LogKind;
use crate::sequencer::NamespaceHandle;
use endpoints::Lane;
use guard::Guard;
use problem::{Problem, ProblemKind};
use traffic::Traffic;

/// The time that a read has, and a submission beyond its own deadline.
const REQUEST_DEADLINE: Duration = Duration::from_secs(20);
/// The most reads under way.
const READS_MAX: usize = 1_024;
/// The most submissions under way to a namespace that certifies. They are counted apart: who waits for a quorum takes no
/// reader's place.
const SUBMISSIONS_MAX: usize = 512;
/// The most opaque entries under way to a `raw` namespace: with their bodies at most 512 MiB.
const ADDITIONS_MAX: usize = 8_192;

/// What the handlers share.
pub(crate) struct Service {
    namespaces: BTreeMap<String, Arc<Served>>,
    tokens: Option<TokenGate>,
    limits: SubmitterLimits,
    submission_deadline: Duration,
    traffic: Arc<Traffic>,
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
            (name, Arc::new(Served { handle, bundles, export: None }))
        };
        let namespaces: BTreeMap<_, _> = handles.into_iter().map(served).collect();
        let traffic = Arc::new(Traffic::of(namespaces.values().map(|served| &served.handle)));
        let limits = SubmitterLimits::new(Limits::default());
        Self { namespaces, tokens, limits, submission_deadline, traffic }
    }

    /// Allows each submitter this much, in place of the defaults.
    pub(crate) fn limit_submitters(&mut self, limits: Limits) {
        self.limits = SubmitterLimits::new(limits);
    }

    /// Shows how the export of a namespace is doing.
    pub(crate) fn show_export(&mut self, namespace: &str, status: watch::Receiver<ExportStatus>) {
        if let Some(served) = self.namespaces.get_mut(namespace).and_then(Arc::get_mut) {
            served.export = Some(status);
        }
    }

    /// Every namespace, by name.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &Served> {
        self.namespaces.values().map(Arc::as_ref)
    }

    fn namespace(&self, name: &str) -> Result<&Arc<Served>, Problem> {
        self.namespaces
            .get(name)
            .ok_or_else(|| Problem::new(ProblemKind::UnknownNamespace, format_args!("{name:?} is not served here")))
    }
}

/// Every route, behind its guard.
pub(crate) fn router(service: Arc<Service>) -> Router {
    let reads = Guard::new(READS_MAX, REQUEST_DEADLINE).noting(&service.traffic);
    let places = |served: &Served| match served.handle.foundation().kind() {
        LogKind::FleetKeys => (served.handle.namespace().to_string(), SUBMISSIONS_MAX),
        LogKind::Raw => (served.handle.namespace().to_string(), ADDITIONS_MAX),
    };
    let deadline = service.submission_deadline.saturating_add(REQUEST_DEADLINE);
    let submissions = Guard::new(SUBMISSIONS_MAX, deadline).noting(&service.traffic);
    let submissions = submissions.apart(service.namespaces().map(places));
    let mut reading = Router::new();
    let mut submitting = Router::new();
    for endpoint in endpoints::all() {
        let router = match endpoint.lane {
            Lane::Read => &mut reading,
            Lane::Submission => &mut submitting,
        };
        *router = std::mem::take(router).route(endpoint.route, endpoint.methods);
    }
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(answer::compressible());
    let reading =
        reads.around(reading).layer(from_fn(answer::revalidated)).layer(compression).layer(from_fn(answer::weakened));
    let routes = reading.merge(submissions.around(submitting));
    let others = reads.around(Router::new().fallback(guard::not_found));
    routes
        .method_not_allowed_fallback(guard::method_not_allowed)
        .fallback_service(others)
        .layer(cors())
        .with_state(service)
}

/// Pages of any site may read; none may submit in its visitor's name: submissions need a token, which no browser adds by
/// itself and which is not among the headers that a page may set here.
fn cors() -> CorsLayer {
    let exposed: [HeaderName; 3] = [header::ETAG, header::LOCATION, header::RETRY_AFTER];
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
