//! The HTTP service of a test member: the routes that a client uses.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use countermark_vault_core::noise::SessionId;
use tokio::net::TcpListener;

use super::TestMember;

/// A member behind HTTP; it ends when this is dropped.
pub(in crate::backup) struct TestServer {
    pub address: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestServer {
    pub async fn serve(member: Arc<TestMember>) -> Self {
        let router = Router::new()
            .route("/v1/member", get(|State(member): State<Arc<TestMember>>| async move { member.report_bytes() }))
            .route("/v1/backup/bundles/newest", get(newest))
            .route("/v1/sessions", post(open))
            .route("/v1/sessions/{id}", post(exchange))
            .with_state(member);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        Self { address, task: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }) }
    }
}

async fn newest(State(member): State<Arc<TestMember>>) -> Vec<u8> {
    member.fleet.stapled()
}

async fn open(State(member): State<Arc<TestMember>>, opening: Bytes) -> Response {
    match member.opened(&opening) {
        Some(answer) => answer.into_response(),
        None => StatusCode::BAD_GATEWAY.into_response(),
    }
}

async fn exchange(State(member): State<Arc<TestMember>>, Path(id): Path<String>, frame: Bytes) -> Response {
    // A handler that panics takes its connection with it, without an answer.
    let answer = member.answered(SessionId::from_hex(&id).unwrap(), &frame);
    answer.expect("the member's fault: the connection breaks").into_response()
}
