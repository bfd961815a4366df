//! The status page. It takes no orders, and listens on the loopback interface or speaks TLS.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use tokio::sync::watch;

use crate::status::Status;

/// `GET /healthz` answers as long as the process lives; `GET /v1/status` says how it is doing.
pub fn router(status: watch::Receiver<Arc<Status>>) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/v1/status", get(page)).with_state(status)
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn page(State(status): State<watch::Receiver<Arc<Status>>>) -> Json<Status> {
    let status = Arc::clone(&status.borrow());
    Json(Status::clone(&status))
}
