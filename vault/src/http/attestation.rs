//! The member's report and its attestation.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use countermark_bundle::attestation::ATTESTATION_BYTES_MAX;
use countermark_bundle::identity::Digest;
use countermark_service::lifecycle::with_causes;

use super::Served;
use super::problem::{JSON, NO_STORE, Problem};
use crate::member::{AcceptError, Accepted};
use crate::ports::{AttestationStore, Replicated};

/// `GET /v1/member`: the signed report.
pub(super) async fn member_report<Store: AttestationStore, Fleet: Replicated>(
    State(served): State<Arc<Served<Store, Fleet>>>,
) -> Response {
    let report = served.member.report();
    ([(CONTENT_TYPE, JSON), (CACHE_CONTROL, NO_STORE)], Body::from(Bytes::from_owner(report))).into_response()
}

/// `PUT /v1/attestation`: a vendor's word about this member.
pub(super) async fn put_attestation<Store: AttestationStore, Fleet: Replicated>(
    State(served): State<Arc<Served<Store, Fleet>>>,
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
    let accepted = tokio::task::spawn_blocking(move || served.member.accept(&body)).await;
    match accepted {
        Ok(Ok(accepted)) => {
            tracing::info!(%attestation, ?accepted, "attested");
            let unchanged = accepted == Accepted::Unchanged;
            let document = serde_json::json!({ "attestation_sha256": attestation.to_hex(), "unchanged": unchanged });
            ([(CONTENT_TYPE, JSON), (CACHE_CONTROL, NO_STORE)], document.to_string()).into_response()
        }
        Ok(Err(AcceptError::Refused(refusal))) => {
            let detail = with_causes(&refusal);
            tracing::info!(refusal = detail, "an attestation was refused");
            Problem::of(&refusal).answer(&detail)
        }
        Ok(Err(fault @ (AcceptError::Report(_) | AcceptError::Store(_)))) => {
            tracing::error!(error = with_causes(&fault), "fault: an attestation was not stored");
            Problem::Fault.answer("the member failed; sending the same attestation again is safe")
        }
        Err(panicked) => {
            tracing::error!(error = with_causes(&panicked), "fault: an attestation was not stored");
            Problem::Fault.answer("the member failed; sending the same attestation again is safe")
        }
    }
}
