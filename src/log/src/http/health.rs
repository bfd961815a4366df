//! Is the process up, and is everything it serves fresh?

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::answer::{self, Freshness};
use super::extract::NoQuery;
use super::problem::{Problem, ProblemKind};
use super::{Served, Service};
use crate::sequencer::OwnerState;

/// The process is up.
#[derive(Serialize, ToSchema)]
pub(super) struct Up {
    up: bool,
}

/// Whether everything that is served can be relied on now.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    ready: bool,
    namespaces: Vec<NamespaceReadiness>,
}

/// Whether one namespace can be relied on now.
#[derive(Serialize, ToSchema)]
pub(super) struct NamespaceReadiness {
    name: String,
    ready: bool,
    serving: bool,
    /// Whether nothing waits for witnesses that do not cosign.
    quorum: bool,
    head_age_seconds: Option<u64>,
    max_head_age_seconds: u64,
}

impl NamespaceReadiness {
    pub(super) fn of(served: &Served) -> Self {
        let handle = &served.handle;
        let health = handle.health();
        let limit = head_age_limit(served);
        let fresh = health.head_age_seconds.is_some_and(|age| age < limit);
        let quorum = !health.waits_for_quorum();
        let serving = match health.state {
            OwnerState::Serving | OwnerState::Reloading | OwnerState::Frozen => true,
            OwnerState::Stopped => false,
        };
        Self {
            name: handle.namespace().to_string(),
            ready: serving && fresh && quorum,
            serving,
            quorum,
            head_age_seconds: health.head_age_seconds,
            max_head_age_seconds: limit,
        }
    }

    /// Whether it can be relied on.
    pub(super) const fn is_ready(&self) -> bool {
        self.ready
    }
}

/// The smaller of the trust file's limit and the newest active statement's, as a client takes it.
pub(crate) fn head_age_limit(served: &Served) -> u64 {
    let limit = served.handle.foundation().max_head_age_seconds();
    let published = served.handle.published();
    let active = published.as_ref().and_then(|published| published.state.fleet_keys()?.newest_active());
    active.map_or(limit, |record| limit.min(record.statement.statement().max_head_age_seconds))
}

/// `GET /healthz`: the process is up.
pub(super) async fn healthz(_: NoQuery) -> Result<Response, Problem> {
    Ok(answer::json(StatusCode::OK, &Up { up: true }, Freshness::Never))
}

/// `GET /readyz`: every namespace takes submissions, publishes them, and has a head that clients accept as current.
pub(super) async fn readyz(_: NoQuery, State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    let namespaces: Vec<_> = service.namespaces().map(NamespaceReadiness::of).collect();
    let late: Vec<&str> = namespaces.iter().filter(|one| !one.ready).map(|one| one.name.as_str()).collect();
    if late.is_empty() {
        let ready = Ready { ready: true, namespaces };
        return Ok(answer::json(StatusCode::OK, &ready, Freshness::Never));
    }
    let detail = format!("not ready: {}", late.join(", "));
    Err(Problem::new(ProblemKind::NotReady, detail).member("namespaces", json!(namespaces)))
}
