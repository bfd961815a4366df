//! The successful answers: content type and how long each may be kept.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

/// How long an answer stays true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// For ever: a full or partial tile or entry bundle that exists.
    Immutable,
    /// Until the next head, a few seconds at most.
    Head,
    /// Ask again each time.
    Revalidate,
    /// Belongs to one asker.
    Never,
}

impl Freshness {
    const fn cache_control(self) -> &'static str {
        match self {
            Self::Immutable => "public, max-age=31536000, immutable",
            Self::Head => "public, max-age=2",
            Self::Revalidate => "no-cache",
            Self::Never => "no-store",
        }
    }
}

/// Bytes as they stand in the log.
pub(crate) fn bytes(body: impl Into<Body>, freshness: Freshness) -> Response {
    answer(StatusCode::OK, "application/octet-stream", body.into(), freshness)
}

/// A text of the C2SP formats.
pub(crate) fn text(body: impl Into<Body>, freshness: Freshness) -> Response {
    answer(StatusCode::OK, "text/plain; charset=utf-8", body.into(), freshness)
}

/// JSON bytes that are kept as they are.
pub(crate) fn json_bytes(body: impl Into<Body>, freshness: Freshness) -> Response {
    answer(StatusCode::OK, "application/json", body.into(), freshness)
}

/// A JSON document.
pub(crate) fn json<T: Serialize>(status: StatusCode, document: &T, freshness: Freshness) -> Response {
    let body = serde_json::to_vec(document).expect("answers have string keys only, so they always serialise");
    answer(status, "application/json", Body::from(body), freshness)
}

fn answer(status: StatusCode, content_type: &'static str, body: Body, freshness: Freshness) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(freshness.cache_control()));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
