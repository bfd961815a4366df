//! The HTTP interface: the member's report, its attestation, a health check.
//!
//! Refusals become status codes in one table, [`Problem`]; their bodies are problem documents (RFC 9457).

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use countermark_bundle::attestation::{ATTESTATION_BYTES_MAX, AttestationError};
use countermark_bundle::identity::Digest;
use countermark_vault_core::attest::AdmitError;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::member::{AcceptError, Accepted, Member};
use crate::ports::AttestationStore;

/// How long a request may take, from its first byte to its answer.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How many requests are served at once; others wait.
const REQUESTS_MAX: usize = 64;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
/// An attestation may replace what was answered a moment ago.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Who may bring an attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attesting {
    /// The listener is a loopback one: only this machine reaches it.
    Open,
    /// Others reach the listener.
    Closed,
}

impl Attesting {
    /// What follows from the address that is listened on.
    pub(crate) fn at(address: SocketAddr) -> Self {
        // Canonical, or an IPv4 loopback address written as IPv6 would count as a stranger's.
        if address.ip().to_canonical().is_loopback() { Self::Open } else { Self::Closed }
    }
}

/// The routes of a member.
pub(crate) fn router<Store: AttestationStore>(member: Arc<Member<Store>>, attesting: Attesting) -> Router {
    let attestation = match attesting {
        Attesting::Open => put(put_attestation::<Store>),
        Attesting::Closed => put(|| async { Problem::NotLoopback.answer("this listener is not a loopback one") }),
    };
    Router::new()
        .route("/v1/member", get(member_report::<Store>))
        .route("/v1/attestation", attestation)
        .route("/healthz", get(|| async { "ok" }))
        .fallback(|| async { Problem::NotFound.answer("there is nothing at this address") })
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed.answer("not by this method") })
        .layer(DefaultBodyLimit::max(ATTESTATION_BYTES_MAX))
        .layer(GlobalConcurrencyLimitLayer::new(REQUESTS_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .with_state(member)
}

async fn member_report<Store: AttestationStore>(State(member): State<Arc<Member<Store>>>) -> Response {
    let report = member.report();
    ([(CONTENT_TYPE, JSON), (CACHE_CONTROL, NO_STORE)], Body::from(Bytes::from_owner(report))).into_response()
}

async fn put_attestation<Store: AttestationStore>(
    State(member): State<Arc<Member<Store>>>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return Problem::BodyTooLarge.answer(&format!("at most {ATTESTATION_BYTES_MAX} bytes"));
        }
        Err(_rejection) => return Problem::BodyUnreadable.answer("the body did not arrive whole"),
    };
    let attestation = Digest::of(&body);
    // On a thread of its own, which runs to its end even if the caller goes away: what was begun is completed.
    let accepted = tokio::task::spawn_blocking(move || member.accept(&body)).await;
    match accepted {
        Ok(Ok(accepted)) => {
            tracing::info!(%attestation, ?accepted, "attested");
            let unchanged = accepted == Accepted::Unchanged;
            let document = serde_json::json!({ "attestation_sha256": attestation.to_hex(), "unchanged": unchanged });
            ([(CONTENT_TYPE, JSON), (CACHE_CONTROL, NO_STORE)], document.to_string()).into_response()
        }
        Ok(Err(AcceptError::Refused(refusal))) => {
            let detail = causes(&refusal);
            tracing::info!(refusal = detail, "an attestation was refused");
            Problem::of(&refusal).answer(&detail)
        }
        Ok(Err(fault @ (AcceptError::Report(_) | AcceptError::Store(_)))) => {
            tracing::error!(error = causes(&fault), "fault: an attestation was not stored");
            Problem::Fault.answer("the member failed; sending the same attestation again is safe")
        }
        Err(panicked) => {
            tracing::error!(error = causes(&panicked), "fault: an attestation was not stored");
            Problem::Fault.answer("the member failed; sending the same attestation again is safe")
        }
    }
}

/// Everything that is answered instead of what was asked for. A name never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    NotFound,
    MethodNotAllowed,
    NotLoopback,
    BodyTooLarge,
    BodyUnreadable,
    Malformed,
    SelfSigned,
    UnknownVendor,
    Signature,
    OtherMember,
    OtherKeys,
    OtherSoftware,
    Fault,
}

impl Problem {
    /// The one table from refusals to names.
    fn of(refusal: &AdmitError) -> Self {
        match refusal {
            AdmitError::Attestation(error) => match error {
                AttestationError::Json(_) | AttestationError::Algorithms => Self::Malformed,
                AttestationError::SelfSigned => Self::SelfSigned,
                AttestationError::UnknownVendor { .. } => Self::UnknownVendor,
                AttestationError::Signature(_) => Self::Signature,
            },
            AdmitError::OtherMember { .. } => Self::OtherMember,
            AdmitError::OtherKeys => Self::OtherKeys,
            AdmitError::OtherSoftware { .. } => Self::OtherSoftware,
        }
    }

    /// Status, name and title.
    const fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is nothing at this address."),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This address does not take this method.")
            }
            Self::NotLoopback => {
                (StatusCode::FORBIDDEN, "not-loopback", "Attestations are taken on a loopback listener only.")
            }
            Self::BodyTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is larger than any attestation.")
            }
            Self::BodyUnreadable => (StatusCode::BAD_REQUEST, "body-unreadable", "The body did not arrive whole."),
            Self::Malformed => (StatusCode::BAD_REQUEST, "attestation-malformed", "The body is not an attestation."),
            Self::SelfSigned => {
                (StatusCode::UNPROCESSABLE_ENTITY, "attestation-self-signed", "A member cannot attest itself.")
            }
            Self::UnknownVendor => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "attestation-unknown-vendor",
                "The attestation is by none of this member's vendors.",
            ),
            Self::Signature => {
                (StatusCode::UNPROCESSABLE_ENTITY, "attestation-signature", "The vendor's signature does not verify.")
            }
            Self::OtherMember => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "attestation-other-member",
                "The attestation is for another log, fleet or member.",
            ),
            Self::OtherKeys => {
                (StatusCode::UNPROCESSABLE_ENTITY, "attestation-other-keys", "The attestation is for other keys.")
            }
            Self::OtherSoftware => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "attestation-other-software",
                "The attestation is for another executable than the one that runs.",
            ),
            Self::Fault => (StatusCode::INTERNAL_SERVER_ERROR, "fault", "The member failed."),
        }
    }

    fn answer(self, detail: &str) -> Response {
        let (status, name, title) = self.row();
        let document = serde_json::json!({
            "type": format!("urn:countermark:refusal:{name}"),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
        });
        (status, [(CONTENT_TYPE, PROBLEM), (CACHE_CONTROL, NO_STORE)], document.to_string()).into_response()
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
