//! The keys in force, and what the log was created with. To be compared, never to be trusted: a client's own come from
//! elsewhere.

use axum::http::StatusCode;
use axum::response::Response;

use super::documents::{KeysDocument, StatusDocument};
use super::other_kind;
use crate::http::answer::{self, Freshness};
use crate::http::extract::{InNamespace, NoQuery};
use crate::http::problem::Problem;

/// `GET /v1/{ns}/keys`: the keys in force at the published head, or those that the log begins with.
pub(in crate::http) async fn keys(_: NoQuery, InNamespace(served): InNamespace) -> Result<Response, Problem> {
    let document = KeysDocument::of(&served, served.handle.published().as_deref());
    let document = document.map_err(|error| Problem::fault("read the keys in force", &error))?;
    Ok(answer::json(StatusCode::OK, &document, Freshness::Revalidate))
}

/// `GET /v1/{ns}/trust`: the trust file that the namespace was created with.
pub(in crate::http) async fn trust(_: NoQuery, InNamespace(served): InNamespace) -> Result<Response, Problem> {
    let trust = served.handle.foundation().trust().ok_or_else(other_kind)?;
    Ok(answer::json_bytes(trust.write(), Freshness::Revalidate))
}

/// `GET /v1/{ns}/policy`: the tlog-policy text that the log was created with.
pub(in crate::http) async fn policy(_: NoQuery, InNamespace(served): InNamespace) -> Result<Response, Problem> {
    let policy = served.handle.foundation().policy_text().to_owned();
    Ok(answer::text(policy, Freshness::Revalidate))
}

/// `GET /v1/{ns}/status`: where the namespace stands; also before the first head is published.
pub(in crate::http) async fn status(_: NoQuery, InNamespace(served): InNamespace) -> Result<Response, Problem> {
    let document = StatusDocument::of(&served, served.handle.published().as_deref());
    Ok(answer::json(StatusCode::OK, &document, Freshness::Revalidate))
}
