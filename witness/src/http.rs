//! The HTTP interface: `add-checkpoint`, `sign-subtree`, the monitors' checkpoint, and a health check.
//!
//! Refusals become status codes in one table, [`answer_to`]. Bodies of refusals are problem documents
//! (RFC 9457), except for 409, whose body the specification fixes.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use countermark_tlog::size::TreeSize;
use countermark_tlog::witness_wire::{ADD_CHECKPOINT_BYTES_MAX, SIZE_CONTENT_TYPE, conflict_body};
use metrics_exporter_prometheus::PrometheusHandle;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::authenticate::AuthenticateError;
use crate::decide::Refusal;
use crate::metrics;
use crate::ports::{Clock, ForkStore};
use crate::subtree::SignSubtreeError;
use crate::witness::{AddCheckpointError, Witness};

mod gossip;

/// How long a request may take, from its first byte to its answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How many requests are served at once; others wait.
const REQUESTS_MAX: usize = 256;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The routes of a witness. Submission and monitoring prefix are the same.
///
/// A request that takes longer than `timeout` is dropped, which is a crash at the step it had reached, and
/// answered with 503.
pub fn router<Store: ForkStore, Time: Clock>(witness: Arc<Witness<Store, Time>>, timeout: Duration) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint::<Store, Time>))
        .route("/sign-subtree", post(sign_subtree::<Store, Time>))
        .route("/{origin_hash}/checkpoint", get(newest_checkpoint::<Store, Time>))
        .merge(gossip::routes::<Store, Time>())
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready::<Store, Time>))
        .layer(DefaultBodyLimit::max(ADD_CHECKPOINT_BYTES_MAX))
        .layer(GlobalConcurrencyLimitLayer::new(REQUESTS_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, timeout))
        .with_state(witness)
}

/// The routes of the listener that measures: who measures is seldom who submits.
pub fn metrics_router(recorder: PrometheusHandle) -> Router {
    let expose = |State(recorder): State<PrometheusHandle>| async move {
        ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (CACHE_CONTROL, "no-store")], recorder.render())
    };
    Router::new().route("/metrics", get(expose)).with_state(recorder)
}

/// Ready is a witness whose state can be read and written; alive (`/healthz`) is one that answers.
async fn ready<Store: ForkStore, Time: Clock>(State(witness): State<Arc<Witness<Store, Time>>>) -> Response {
    match witness.check().await {
        Ok(()) => "ready".into_response(),
        Err(error) => {
            tracing::warn!(error = causes(&error), "not ready");
            problem(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "the state cannot be read and written now")
        }
    }
}

/// A body within its bound, or the refusal that says so.
struct Whole(Bytes);

impl<State: Send + Sync> FromRequest<State> for Whole {
    type Rejection = Response;

    async fn from_request(request: Request, state: &State) -> Result<Self, Response> {
        let refused = |rejection: BytesRejection| problem(rejection.status(), "body", "the body was not read");
        Bytes::from_request(request, state).await.map(Self).map_err(refused)
    }
}

async fn add_checkpoint<Store: ForkStore, Time: Clock>(
    State(witness): State<Arc<Witness<Store, Time>>>,
    Whole(body): Whole,
) -> Response {
    match witness.add_checkpoint(&body).await {
        Ok(cosignatures) => {
            metrics::answered("cosigned");
            ([(CONTENT_TYPE, TEXT)], cosignatures).into_response()
        }
        Err(error) => {
            metrics::answered(outcome_of(&error));
            report(&error);
            answer_to(&error)
        }
    }
}

async fn sign_subtree<Store: ForkStore, Time: Clock>(
    State(witness): State<Arc<Witness<Store, Time>>>,
    Whole(body): Whole,
) -> Response {
    match witness.sign_subtree(&body).await {
        Ok(lines) => ([(CONTENT_TYPE, TEXT)], lines).into_response(),
        Err(error) => subtree_answer_to(error),
    }
}

/// The table from refusals of a subtree to answers. Anyone can cause them, but for the faults.
///
/// SPEC: C2SP tlog-witness, sign-subtree.
fn subtree_answer_to(error: SignSubtreeError) -> Response {
    if let SignSubtreeError::UnknownCheckpoint { known: Some(note), .. } = error {
        // SPEC: C2SP tlog-witness, sign-subtree: the body of a 409 is a checkpoint that is known.
        return (StatusCode::CONFLICT, [(CONTENT_TYPE, TEXT)], note).into_response();
    }
    let (status, kind) = match &error {
        SignSubtreeError::NotOffered => (StatusCode::NOT_FOUND, "not-offered"),
        SignSubtreeError::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed"),
        SignSubtreeError::UnknownOrigin { .. } => (StatusCode::NOT_FOUND, "unknown-origin"),
        SignSubtreeError::Range(_) => (StatusCode::BAD_REQUEST, "no-subtree"),
        SignSubtreeError::BadSignature { .. } => (StatusCode::FORBIDDEN, "not-signed"),
        SignSubtreeError::UnknownCheckpoint { .. } => (StatusCode::NOT_FOUND, "never-cosigned"),
        SignSubtreeError::Forked { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "fork"),
        SignSubtreeError::Proof(_) => (StatusCode::UNPROCESSABLE_ENTITY, "inconsistent"),
        SignSubtreeError::Sign(_) | SignSubtreeError::Store(_) => {
            tracing::error!(error = causes(&error), "fault: no subtree was signed");
            return fault();
        }
    };
    problem(status, kind, &causes(&error))
}

async fn newest_checkpoint<Store: ForkStore, Time: Clock>(
    State(witness): State<Arc<Witness<Store, Time>>>,
    Path(origin_hash): Path<String>,
) -> Response {
    // A newer one may be there at the next request.
    let no_cache = HeaderValue::from_static("no-cache");
    let path = format!("{origin_hash}/checkpoint");
    match witness.newest_checkpoint(&path).await {
        Ok(Some(note)) => ([(CONTENT_TYPE, TEXT), (CACHE_CONTROL, no_cache)], note).into_response(),
        Ok(None) => problem(StatusCode::NOT_FOUND, "never-cosigned", "no checkpoint of such a log was ever cosigned"),
        Err(error) => {
            tracing::error!(error = causes(&error), "fault: the state was not read");
            fault()
        }
    }
}

/// The one table from refusals to answers.
///
/// SPEC: C2SP tlog-witness, add-checkpoint.
fn answer_to(error: &AddCheckpointError) -> Response {
    let (status, kind) = match error {
        AddCheckpointError::NotAuthentic(error) => match error {
            AuthenticateError::MalformedRequest(_) | AuthenticateError::MalformedCheckpoint(_) => {
                (StatusCode::BAD_REQUEST, "malformed")
            }
            AuthenticateError::UnknownOrigin { .. } => (StatusCode::NOT_FOUND, "unknown-origin"),
            AuthenticateError::NotSigned { .. } => (StatusCode::FORBIDDEN, "not-signed"),
        },
        AddCheckpointError::Throttled { retry_after, .. } => return throttled(*retry_after, &causes(error)),
        AddCheckpointError::NotAdmitted(refusal) => match refusal {
            Refusal::OtherOldSize { stored, .. } => return conflict(*stored),
            Refusal::OldAboveSize { .. } => (StatusCode::BAD_REQUEST, "old-size-above-size"),
            Refusal::OtherEmptyRoot { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "empty-root"),
            Refusal::Fork { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "fork"),
            Refusal::Proof(_) => (StatusCode::UNPROCESSABLE_ENTITY, "inconsistent"),
        },
        AddCheckpointError::Forked { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "fork"),
        AddCheckpointError::Evidence(_)
        | AddCheckpointError::Clock(_)
        | AddCheckpointError::Cosign(_)
        | AddCheckpointError::Store(_) => return fault(),
    };
    problem(status, kind, &causes(error))
}

/// What is counted of an error.
fn outcome_of(error: &AddCheckpointError) -> &'static str {
    match error {
        AddCheckpointError::NotAuthentic(_) => "not-authentic",
        AddCheckpointError::Throttled { .. } => "throttled",
        AddCheckpointError::NotAdmitted(Refusal::OtherOldSize { .. }) => "conflict",
        AddCheckpointError::NotAdmitted(Refusal::Fork { .. } | Refusal::Proof(_)) => "inconsistent",
        AddCheckpointError::Forked { .. } => "forked",
        AddCheckpointError::NotAdmitted(Refusal::OldAboveSize { .. } | Refusal::OtherEmptyRoot { .. }) => "refused",
        AddCheckpointError::Clock(_)
        | AddCheckpointError::Cosign(_)
        | AddCheckpointError::Evidence(_)
        | AddCheckpointError::Store(_) => "fault",
    }
}

/// Whole seconds, rounded up: what comes back then finds room.
fn throttled(retry_after: Duration, detail: &str) -> Response {
    let seconds = retry_after.as_secs().saturating_add(u64::from(retry_after.subsec_nanos() > 0));
    let mut response = problem(StatusCode::TOO_MANY_REQUESTS, "throttled", detail);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn conflict(stored: TreeSize) -> Response {
    let size = HeaderValue::from_static(SIZE_CONTENT_TYPE);
    (StatusCode::CONFLICT, [(CONTENT_TYPE, size)], conflict_body(stored)).into_response()
}

/// A fault is ours: the caller learns nothing but that.
fn fault() -> Response {
    problem(StatusCode::INTERNAL_SERVER_ERROR, "fault", "the witness failed; ask again")
}

fn problem(status: StatusCode, kind: &str, detail: &str) -> Response {
    let document = serde_json::json!({
        "type": format!("urn:countermark:problem:witness:{kind}"),
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    (status, [(CONTENT_TYPE, PROBLEM)], document.to_string()).into_response()
}

/// Logs what was not cosigned, once.
fn report(error: &AddCheckpointError) {
    match error {
        AddCheckpointError::NotAdmitted(Refusal::Fork { .. }) => {
            tracing::error!(error = causes(error), "a followed log has forked");
        }
        // Anyone can cause these.
        AddCheckpointError::NotAuthentic(_) => {
            tracing::debug!(error = causes(error), "not cosigned");
        }
        // It was an error when it was found.
        AddCheckpointError::NotAdmitted(_)
        | AddCheckpointError::Throttled { .. }
        | AddCheckpointError::Forked { .. } => {
            tracing::info!(error = causes(error), "not cosigned");
        }
        AddCheckpointError::Evidence(_)
        | AddCheckpointError::Clock(_)
        | AddCheckpointError::Cosign(_)
        | AddCheckpointError::Store(_) => {
            tracing::error!(error = causes(error), "fault: not cosigned");
        }
    }
}

/// An error and its causes in one line.
fn causes(error: &dyn StdError) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        line.push_str(": ");
        line.push_str(&inner.to_string());
        cause = inner.source();
    }
    line
}

#[cfg(test)]
mod tests;
