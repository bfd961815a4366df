//! `GET /v1/status`: the whole authority in one document, for people and for what they watch it with.
//!
//! It says nothing that is not public or a number: no submitter, no address of one, no token, no text of a refusal.
//! Nothing in it is signed, so nothing in it is proof.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countermark_bundle::identity::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Service;
use super::answer::{self, Freshness};
use super::extract::NoQuery;
use super::health::NamespaceReadiness;
use super::problem::Problem;
use super::reads::documents::StatusDocument;
use super::traffic::RefusalDocument;
use crate::SOFTWARE;

/// The whole authority. Field names never change.
#[derive(Serialize, ToSchema)]
#[schema(as = Authority)]
pub(super) struct AuthorityDocument<'a> {
    software: &'static str,
    /// The clock of the server, by which every age here was taken.
    #[schema(value_type = String, format = DateTime)]
    now: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// Whether `/readyz` answers 200.
    ready: bool,
    /// Whether tokens are taken here at all.
    takes_submissions: bool,
    /// By name, each as its own status says.
    namespaces: Vec<StatusDocument<'a>>,
    /// The newest first; one for each type and namespace.
    refusals: Vec<RefusalDocument>,
    /// Answers that were problems, by type, since the start.
    refusal_counts: BTreeMap<&'static str, u64>,
}

/// `GET /v1/status`: software, readiness, every namespace, the last refusals.
pub(super) async fn overview(_: NoQuery, State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    let document = AuthorityDocument {
        software: SOFTWARE,
        now: service.traffic.now(),
        started_at: service.traffic.started_at(),
        ready: service.namespaces().all(|served| NamespaceReadiness::of(served).is_ready()),
        takes_submissions: service.tokens.is_some(),
        namespaces: service
            .namespaces()
            .map(|served| StatusDocument::of(served, served.handle.published().as_deref()))
            .collect(),
        refusals: service.traffic.refusals(),
        refusal_counts: service.traffic.refusal_counts(),
    };
    Ok(answer::json(StatusCode::OK, &document, Freshness::Never))
}
