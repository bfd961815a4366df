//! The successful answers: content type, how long each may be kept, and a validator for asking again.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use countermark_bundle::identity::Digest;
use serde::Serialize;
use tower_http::compression::Predicate;
use tower_http::compression::predicate::SizeAbove;

/// Below this compression gains nothing.
const COMPRESSED_BYTES_MIN: u64 = 512;

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

/// Marks an answer of bytes that look random: hashes.
#[derive(Clone, Copy)]
struct Incompressible;

/// Bytes as they stand in the log.
pub(crate) fn bytes(body: impl Into<Bytes>, freshness: Freshness) -> Response {
    tagged(StatusCode::OK, "application/octet-stream", body.into(), freshness)
}

/// Hashes of the tree, which never change either, and do not compress.
pub(crate) fn hashes(place: &str, body: impl Into<Bytes>) -> Response {
    let mut response = entries(place, body);
    response.extensions_mut().insert(Incompressible);
    response
}

/// An entry bundle. It never changes, so its place is validator enough.
pub(crate) fn entries(place: &str, body: impl Into<Bytes>) -> Response {
    let mut response = answer(StatusCode::OK, "application/octet-stream", body.into(), Freshness::Immutable);
    response.headers_mut().insert(header::ETAG, tag(place));
    response
}

/// A text of the C2SP formats.
pub(crate) fn text(body: impl Into<Bytes>, freshness: Freshness) -> Response {
    tagged(StatusCode::OK, "text/plain; charset=utf-8", body.into(), freshness)
}

/// A COSE object.
pub(crate) fn cose(body: impl Into<Bytes>, freshness: Freshness) -> Response {
    tagged(StatusCode::OK, "application/cose", body.into(), freshness)
}

/// JSON bytes that are kept as they are.
pub(crate) fn json_bytes(body: impl Into<Bytes>, freshness: Freshness) -> Response {
    tagged(StatusCode::OK, "application/json", body.into(), freshness)
}

/// A JSON document.
pub(crate) fn json<T: Serialize>(status: StatusCode, document: &T, freshness: Freshness) -> Response {
    let body = serde_json::to_vec(document).expect("answers have string keys only, so they always serialise");
    tagged(status, "application/json", body.into(), freshness)
}

/// Says that the answer was chosen by what the request accepts.
pub(crate) fn by_accept(mut response: Response) -> Response {
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// An answer with the digest of its bytes as validator, unless it belongs to one asker.
fn tagged(status: StatusCode, content_type: &'static str, body: Bytes, freshness: Freshness) -> Response {
    let validator = (freshness != Freshness::Never).then(|| tag(&Digest::of(&body).to_hex()));
    let mut response = answer(status, content_type, body, freshness);
    if let Some(validator) = validator {
        response.headers_mut().insert(header::ETAG, validator);
    }
    response
}

fn tag(text: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{text}\"")).expect("digests and tile paths are plain ASCII")
}

fn answer(status: StatusCode, content_type: &'static str, body: Bytes, freshness: Freshness) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(freshness.cache_control()));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Answers 304 to whoever knows what would be answered. SPEC: RFC 9110 §13.1.2, §15.4.5.
pub(super) async fn revalidated(request: Request, next: Next) -> Response {
    let known = request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect::<Vec<_>>();
    let mut response = next.run(request).await;
    if known.is_empty() || response.status() != StatusCode::OK {
        return response;
    }
    if response.headers().get(header::ETAG).is_some_and(|tag| has_tag(&known, tag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}

/// A list of tags, compared weakly, or `*`.
fn has_tag(known: &[HeaderValue], tag: &HeaderValue) -> bool {
    let texts = known.iter().filter_map(|value| value.to_str().ok());
    let mut tags = texts.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes())
}

/// Which answers are worth compressing.
pub(super) fn compressible() -> impl Predicate {
    let not_random = |_: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions| {
        extensions.get::<Incompressible>().is_none()
    };
    SizeAbove::new(COMPRESSED_BYTES_MIN).and(not_random)
}

/// A compressed answer is another sequence of bytes, so its validator holds for its meaning only.
/// SPEC: RFC 9110 §8.8.1.
pub(super) async fn weakened(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.headers().contains_key(header::CONTENT_ENCODING) {
        weaken(response.headers_mut());
    }
    response
}

fn weaken(headers: &mut HeaderMap) {
    let weak = headers.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    let weak = weak.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        headers.insert(header::ETAG, weak);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_tag_is_found_in_any_list() {
        let check = |values: &[&str], expect: bool| {
            let known: Vec<HeaderValue> = values.iter().map(|value| value.parse().unwrap()).collect();
            assert_eq!(has_tag(&known, &tag("ab")), expect, "{values:?}");
        };
        check(&[], false);
        check(&["\"ab\""], true);
        check(&["W/\"ab\""], true);
        check(&["\"cd\", \"ab\""], true);
        check(&["\"cd\"", "\"ab\""], true);
        check(&["*"], true);
        check(&["ab"], false);
        check(&["\"abc\""], false);
    }

    #[test]
    fn a_validator_is_weakened_once() {
        let mut headers = HeaderMap::from_iter([(header::ETAG, tag("ab"))]);
        for _ in 0..2 {
            weaken(&mut headers);
            assert_eq!(headers[header::ETAG], "W/\"ab\"");
        }
    }
}
