//! The HTTP interface: the member's report, its attestation, its state; and, for a member of a fleet, the stapled bundle
//! and users' sessions.
//!
//! Refusals become status codes in one table, [`problem`]; their bodies are problem documents (RFC 9457).

mod attestation;
mod problem;
mod session;
mod staple;
mod status;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use countermark_bundle::attestation::ATTESTATION_BYTES_MAX;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::fleet::Seat;
use crate::member::Member;
use crate::ports::{AttestationStore, Replicated};
use crate::session_service::BODY_BYTES_MAX;
use problem::Problem;

/// How long a request may take, from its first byte to its answer.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How many requests about the member are served at once; others wait.
const REQUESTS_MAX: usize = 64;
/// How many requests of sessions are served at once; others wait. Most of them wait for the fleet.
const SESSION_REQUESTS_MAX: usize = 1024;

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

/// What is served.
pub(crate) struct Served<Store, Fleet> {
    /// The member itself.
    pub(crate) member: Member<Store>,
    /// Its seat in a fleet, if it is configured to have one.
    pub(crate) seat: Option<Arc<Seat<Fleet>>>,
}

/// The routes of a member.
pub(crate) fn router<Store: AttestationStore, Fleet: Replicated>(
    served: Arc<Served<Store, Fleet>>,
    attesting: Attesting,
) -> Router {
    let fleet = if served.seat.is_some() { fleet_routes() } else { Router::new() };
    let attestation = match attesting {
        Attesting::Open => put(attestation::put_attestation::<Store, Fleet>),
        Attesting::Closed => put(|| async { Problem::NotLoopback.answer("this listener is not a loopback one") }),
    };
    Router::new()
        .route("/v1/member", get(attestation::member_report::<Store, Fleet>))
        .route("/v1/attestation", attestation)
        .route("/v1/status", get(status::status::<Store, Fleet>))
        .route("/healthz", get(|| async { "ok" }))
        .layer(DefaultBodyLimit::max(ATTESTATION_BYTES_MAX))
        .layer(GlobalConcurrencyLimitLayer::new(REQUESTS_MAX))
        .merge(fleet)
        .fallback(|| async { Problem::NotFound.answer("there is nothing at this address") })
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed.answer("not by this method") })
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .with_state(served)
}

fn fleet_routes<Store: AttestationStore, Fleet: Replicated>() -> Router<Arc<Served<Store, Fleet>>> {
    let staple = Router::new()
        .route("/v1/{ns}/bundles/newest", get(staple::newest_bundle::<Store, Fleet>))
        .route("/v1/{ns}/links", get(staple::link::<Store, Fleet>))
        .layer(GlobalConcurrencyLimitLayer::new(REQUESTS_MAX));
    let sessions = Router::new()
        .route("/v1/sessions", post(session::open::<Store, Fleet>))
        .route("/v1/sessions/{id}", post(session::exchange::<Store, Fleet>))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(GlobalConcurrencyLimitLayer::new(SESSION_REQUESTS_MAX));
    staple.merge(sessions)
}

#[cfg(test)]
mod tests;
