//! `GET /v1/status`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};

use super::Served;
use super::problem::{JSON, NO_STORE};
use crate::ports::{AttestationStore, Replicated};
use crate::status::MemberStatus;

/// How the member is.
pub(super) async fn status<Store: AttestationStore, Fleet: Replicated>(
    State(served): State<Arc<Served<Store, Fleet>>>,
) -> Response {
    let document = MemberStatus::of(&served.member, served.seat.as_deref()).to_json();
    ([(CONTENT_TYPE, JSON), (CACHE_CONTROL, NO_STORE)], document).into_response()
}
