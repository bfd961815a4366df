//! The routes of gossip. Whoever asks is nobody: heads and evidence are judged by the log's signatures alone.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use countermark_tlog::fork::{FORK_EVIDENCE_BYTES_MAX, ForkId};
use countermark_tlog::gossip::{HEADS_BYTES_MAX, HeadPage, Verdict, fork_ids_body, verdicts_body};
use countermark_tlog::size::TreeSize;
use serde::Deserialize;
use tower::limit::GlobalConcurrencyLimitLayer;

use super::{TEXT, Whole, causes, fault, problem};
use crate::conviction::ConvictError;
use crate::ports::{Clock, ForkStore};
use crate::witness::Witness;

/// How many requests of gossip are served at once; `add-checkpoint` never waits for them.
const REQUESTS_MAX: usize = 16;

/// The routes below `/gossip/v1`.
pub(super) fn routes<Store: ForkStore, Time: Clock>() -> Router<Arc<Witness<Store, Time>>> {
    let heads = get(newest_heads::<Store, Time>).post(hear_heads::<Store, Time>);
    let forks = get(fork_ids::<Store, Time>).post(hear_fork::<Store, Time>);
    Router::new()
        .route("/gossip/v1/heads", heads.layer(DefaultBodyLimit::max(HEADS_BYTES_MAX)))
        .route("/gossip/v1/heads/{origin_hash}/{size}", get(head_at::<Store, Time>))
        .route("/gossip/v1/forks", forks.layer(DefaultBodyLimit::max(FORK_EVIDENCE_BYTES_MAX)))
        .route("/gossip/v1/forks/{id}", get(fork::<Store, Time>))
        .layer(GlobalConcurrencyLimitLayer::new(REQUESTS_MAX))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    after: Option<String>,
}

async fn newest_heads<Store: ForkStore, Time: Clock>(
    State(witness): State<Arc<Witness<Store, Time>>>,
    query: Result<Query<After>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let Ok(Query(After { after })) = query else {
        return problem(StatusCode::BAD_REQUEST, "malformed", "the only parameter is `after`");
    };
    match witness.newest_heads(after.as_deref()).await {
        Ok(page) => tagged(page.to_bytes(), &headers),
        Err(error) => failed(&error),
    }
}

/// The bytes with their digest as the tag; none of them to whoever has them.
fn tagged(bytes: Vec<u8>, headers: &HeaderMap) -> Response {
    let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", ForkId::of(&bytes))) else { return fault() };
    let no_cache = HeaderValue::from_static("no-cache");
    if headers.get(IF_NONE_MATCH) == Some(&tag) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag), (CACHE_CONTROL, no_cache)]).into_response();
    }
    ([(CONTENT_TYPE, TEXT), (ETAG, tag), (CACHE_CONTROL, no_cache)], bytes).into_response()
}

async fn hear_heads<Store: ForkStore, Time: Clock>(
    State(witness): State<Arc<Witness<Store, Time>>>,
    Whole(body): Whole,
) -> Response {
    let page = match HeadPage::parse(&body) {
        Ok(page) => page,
        Err(error) => return problem(StatusCode::BAD_REQUEST, "malformed", &causes(&error)),
    };
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(page.heads().len());
    for head in page.heads() {
        match witness.hear_later(head).await {
            Ok(verdict) => verdicts.push(verdict),
            Err(error) => return failed(&error),
        }
    }
    ([(CONTENT_TYPE, TEXT)], verdicts_body(&verdicts)).into_response()
}

async fn head_at<Store: ForkStore, Time: Clock>(
    State(witness): State<Arc<Witness<Store, Time>>>,
    Path((origin_hash, size)): Path<(String, String)>,
) -> Response {
    let Ok(size) = TreeSize::parse_decimal(&size) else {
        return problem(StatusCode::BAD_REQUEST, "malformed", "the size is a decimal without leading zeroes");
    };
    match witness.head_at(&origin_hash, size).await {
        Ok(Some(head)) => ([(CONTENT_TYPE, TEXT)], head).into_response(),
        Ok(None) => problem(StatusCode::NOT_FOUND, "never-cosigned", "no such head was ever cosigned"),
        Err(error) => failed(&error.into()),
    }
}

async fn fork_ids<Store: ForkStore, Time: Clock>(State(witness): State<Arc<Witness<Store, Time>>>) -> Response {
    let no_cache = HeaderValue::from_static("no-cache");
    match witness.store.forks().await {
        Ok(ids) => ([(CONTENT_TYPE, TEXT), (CACHE_CONTROL, no_cache)], fork_ids_body(&ids)).into_response(),
        Err(error) => failed(&error.into()),
    }
}

async fn fork<Store: ForkStore, Time: Clock>(
    State(witness): State<Arc<Witness<Store, Time>>>,
    Path(id): Path<String>,
) -> Response {
    let Some(id) = ForkId::from_hex(&id) else {
        return problem(StatusCode::BAD_REQUEST, "malformed", "evidence is named by 64 lower-case hex digits");
    };
    match witness.store.fork(id).await {
        Ok(Some(evidence)) => ([(CONTENT_TYPE, TEXT)], evidence).into_response(),
        Ok(None) => problem(StatusCode::NOT_FOUND, "unknown-evidence", "there is no such evidence here"),
        Err(error) => failed(&error.into()),
    }
}

async fn hear_fork<Store: ForkStore, Time: Clock>(
    State(witness): State<Arc<Witness<Store, Time>>>,
    Whole(body): Whole,
) -> Response {
    match witness.hear_evidence(&body).await {
        Ok(id) => ([(CONTENT_TYPE, TEXT)], format!("{}\n", Verdict::Fork(id))).into_response(),
        Err(error) => failed(&error),
    }
}

/// The one table of gossip.
fn failed(error: &ConvictError) -> Response {
    let (status, kind) = match error {
        ConvictError::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed"),
        ConvictError::NotFollowed { .. } => (StatusCode::NOT_FOUND, "unknown-origin"),
        ConvictError::ProvesNothing(_) => (StatusCode::UNPROCESSABLE_ENTITY, "proves-nothing"),
        ConvictError::Relate(_) | ConvictError::Stored { .. } | ConvictError::Clock(_) | ConvictError::Store(_) => {
            tracing::error!(error = causes(error), "fault: gossip was not answered");
            return fault();
        }
    };
    problem(status, kind, &causes(error))
}
