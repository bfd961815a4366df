//! Sessions: octets in, octets out. What stands in them is nobody's business here.
//!
//! Whatever goes on inside, an exchange is answered with 200 and as many bytes as every other one, or with 404.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use countermark_vault_core::noise::SessionId;

use super::Served;
use super::problem::{NO_STORE, Problem, Refused};
use crate::fleet::Serving;
use crate::ports::Replicated;
use crate::session_service::{BODY_BYTES_MAX, NoSession, OpenRefusal};

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// `POST /v1/sessions`: opens a session.
pub(super) async fn open<Store, Fleet: Replicated>(
    State(served): State<Arc<Served<Store, Fleet>>>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match read(body) {
        Ok(body) => body,
        Err(refused) => return refused.answer(),
    };
    let opened = serving(&served).ok_or(OpenRefusal::NotServing).and_then(|serving| serving.sessions.open(&body));
    match opened {
        Ok(answer) => octets(answer),
        Err(refusal) => {
            let adopted = match refusal {
                OpenRefusal::OtherStatement { adopted } => Some(adopted),
                OpenRefusal::NotServing | OpenRefusal::Malformed | OpenRefusal::Busy | OpenRefusal::Fault => None,
            };
            Problem::of_opening(refusal).answer_about(&refusal.to_string(), adopted)
        }
    }
}

/// `POST /v1/sessions/{id}`: carries a session on by one frame.
pub(super) async fn exchange<Store, Fleet: Replicated>(
    State(served): State<Arc<Served<Store, Fleet>>>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match read(body) {
        Ok(body) => body,
        Err(refused) => return refused.answer(),
    };
    let unknown = || Problem::UnknownSession.answer(&NoSession.to_string());
    let (Some(id), Some(serving)) = (SessionId::from_hex(&id), serving(&served)) else { return unknown() };
    let sessions = Arc::clone(&serving.sessions);
    // In a task of its own, which runs to its end even if the caller goes away: a charge that was begun is completed.
    // There are at most as many as sessions, and each ends with its write's deadline.
    let exchange = tokio::spawn(async move { sessions.exchange(id, &body).await });
    match exchange.await {
        Ok(Ok(answer)) => octets(answer),
        Ok(Err(NoSession)) => unknown(),
        Err(_panicked) => {
            tracing::error!("fault: an exchange panicked");
            Problem::Fault.answer("the member failed")
        }
    }
}

fn serving<Store, Fleet>(served: &Served<Store, Fleet>) -> Option<&Arc<Serving<Fleet>>> {
    served.seat.as_ref()?.serving()
}

fn read(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refused> {
    body.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::BodyTooLarge.refuse(format!("at most {BODY_BYTES_MAX} bytes"))
        } else {
            Problem::BodyUnreadable.refuse("the body did not arrive whole")
        }
    })
}

fn octets(bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, OCTETS), (CACHE_CONTROL, NO_STORE)], bytes).into_response()
}
