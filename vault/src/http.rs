//! The routes of a member.
//!
//! | route | answer |
//! |---|---|
//! | `GET /v1/member` | the signed report |
//! | `PUT /v1/attestation` | 200 once the attestation is stored; only from the same machine |
//! | `GET /healthz` | `ok` |
//!
//! Refusals become status codes in one table, [`answer_to`]; their bodies are problem documents (RFC 9457).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use countermark_bundle::attestation::{ATTESTATION_BYTES_MAX, AttestationError};
use countermark_bundle::identity::Digest;
use countermark_vault_core::attest::AdmitError;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::causes;
use crate::member::{AcceptError, Accepted, VaultMember};

/// How long a request may take, from its first byte to its answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How many requests are served at once; others wait.
const REQUESTS_MAX: usize = 64;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// The routes of a member. They must be served with the peer's address (`into_make_service_with_connect_info`).
pub fn router(member: Arc<VaultMember>) -> Router {
    Router::new()
        .route("/v1/member", get(report))
        .route("/v1/attestation", put(accept))
        .route("/healthz", get(|| async { "ok" }))
        .layer(DefaultBodyLimit::max(ATTESTATION_BYTES_MAX))
        .layer(GlobalConcurrencyLimitLayer::new(REQUESTS_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .with_state(member)
}

async fn report(State(member): State<Arc<VaultMember>>) -> Response {
    ([(CONTENT_TYPE, JSON), (CACHE_CONTROL, NO_CACHE)], member.report().to_vec()).into_response()
}

async fn accept(
    State(member): State<Arc<VaultMember>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    // An IPv4 peer of an IPv6 socket shows up as ::ffff:127.0.0.1.
    if !peer.ip().to_canonical().is_loopback() {
        tracing::warn!(%peer, "refused: an attestation from another machine");
        return problem(StatusCode::FORBIDDEN, "not-loopback", "an attestation is taken from the same machine only");
    }
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return problem(rejection.status(), "body", "the body was not read"),
    };
    let digest = Digest::of(&body);
    // The file system blocks; a task that is dropped at the deadline leaves this to finish by itself.
    match tokio::task::spawn_blocking(move || member.accept(&body)).await {
        Ok(Ok(accepted)) => {
            let stored = match accepted {
                Accepted::Stored => true,
                Accepted::Unchanged => false,
            };
            tracing::info!(attestation = %digest, stored, "attested");
            let answer = serde_json::json!({ "attestation_sha256": digest, "stored": stored });
            ([(CONTENT_TYPE, JSON)], answer.to_string()).into_response()
        }
        Ok(Err(error)) => {
            let answer = answer_to(&error);
            if answer.status().is_server_error() {
                tracing::error!(error = causes(&error), "fault: the attestation was not stored");
            } else {
                tracing::warn!(error = causes(&error), "refused: the attestation was not stored");
            }
            answer
        }
        Err(error) => {
            tracing::error!(%error, "fault: the attestation was not stored");
            fault()
        }
    }
}

/// The one table from refusals to answers.
fn answer_to(error: &AcceptError) -> Response {
    let (status, kind) = match error {
        AcceptError::Refused(AdmitError::Attestation(source)) => match source {
            AttestationError::Json(_) => (StatusCode::BAD_REQUEST, "malformed"),
            AttestationError::Algorithms => (StatusCode::BAD_REQUEST, "algorithms"),
            AttestationError::SelfSigned => (StatusCode::FORBIDDEN, "self-signed"),
            AttestationError::UnknownVendor { .. } => (StatusCode::FORBIDDEN, "unknown-vendor"),
            AttestationError::Signature(_) => (StatusCode::FORBIDDEN, "signature"),
        },
        AcceptError::Refused(AdmitError::OtherMember { .. }) => (StatusCode::UNPROCESSABLE_ENTITY, "other-member"),
        AcceptError::Refused(AdmitError::OtherKeys) => (StatusCode::UNPROCESSABLE_ENTITY, "other-keys"),
        AcceptError::Refused(AdmitError::OtherSoftware { .. }) => (StatusCode::UNPROCESSABLE_ENTITY, "other-software"),
        AcceptError::Older { .. } => (StatusCode::CONFLICT, "older"),
        AcceptError::Report(_) | AcceptError::Write { .. } => return fault(),
    };
    problem(status, kind, &causes(error))
}

/// A fault is ours: the caller learns nothing but that.
fn fault() -> Response {
    problem(StatusCode::INTERNAL_SERVER_ERROR, "fault", "the member failed; ask again")
}

fn problem(status: StatusCode, kind: &str, detail: &str) -> Response {
    let document = serde_json::json!({
        "type": format!("urn:countermark:refusal:{kind}"),
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    (status, [(CONTENT_TYPE, PROBLEM)], document.to_string()).into_response()
}

#[cfg(test)]
mod tests;
