use std::sync::Arc;

use axum::body::Body;
use axum::http::header;
use axum::routing::get;
use serde_json::Value;
use tokio::sync::Notify;
use tower::ServiceExt as _;

use super::*;

async fn ask(router: &Router, path: &str) -> (u16, Value, Option<String>) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let retry_after = parts.headers.get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
    (parts.status.as_u16(), serde_json::from_slice(&body).unwrap_or_default(), retry_after)
}

#[tokio::test]
async fn a_panic_is_answered_and_tells_nothing() {
    async fn panics() -> &'static str {
        panic!("the secret is 42")
    }
    let router = Guard::new(1, Duration::from_secs(5)).around(Router::new().route("/", get(panics)));
    let (status, problem, _) = ask(&router, "/").await;
    assert_eq!((status, problem["type"].as_str()), (500, Some("urn:countermark:refusal:fault")));
    assert!(!problem.to_string().contains("42"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_given_up() {
    let router = Router::new().route("/", get(std::future::pending::<&'static str>));
    let router = Guard::new(1, Duration::from_secs(5)).around(router);
    let (status, problem, retry_after) = ask(&router, "/").await;
    assert_eq!((status, problem["type"].as_str()), (503, Some("urn:countermark:refusal:timed-out")));
    assert_eq!(retry_after.as_deref(), Some("1"));
}

#[tokio::test]
async fn more_requests_than_places_are_told_to_come_back() {
    let release = Arc::new(Notify::new());
    let waiting = release.clone();
    let router = Router::new().route("/", get(|| async move { waiting.notified().await }));
    let guard = Guard::new(1, Duration::from_mins(1));
    let router = guard.around(router);
    let last = tokio::spawn({
        let router = router.clone();
        async move { ask(&router, "/").await }
    });
    while guard.places.free.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let (status, problem, retry_after) = ask(&router, "/").await;
    assert_eq!((status, problem["type"].as_str()), (503, Some("urn:countermark:refusal:overloaded")));
    assert_eq!(retry_after.as_deref(), Some("1"));
    release.notify_one();
    assert_eq!(last.await.unwrap().0, 200);
    assert_eq!(guard.places.free.available_permits(), 1);
}

#[tokio::test]
async fn a_path_has_one_spelling() {
    let router = Guard::new(1, Duration::from_secs(5)).around(Router::new().route("/a", get(|| async {})));
    assert_eq!(ask(&router, "/a").await.0, 200);
    let (status, problem, _) = ask(&router, "/%61").await;
    assert_eq!((status, problem["type"].as_str()), (400, Some("urn:countermark:refusal:path-not-canonical")));
}

#[tokio::test]
async fn a_busy_namespace_takes_no_place_of_another() {
    let release = Arc::new(Notify::new());
    let waiting = release.clone();
    let router = Router::new().route("/v1/{ns}/add", get(|| async move { waiting.notified().await }));
    let guard = Guard::new(1, Duration::from_mins(1)).apart(["busy", "idle"].map(|name| (name.to_owned(), 1)));
    let router = guard.around(router);
    let ask_in_background = |path: &'static str| {
        let router = router.clone();
        tokio::spawn(async move { ask(&router, path).await.0 })
    };
    let busy = ask_in_background("/v1/busy/add");
    while guard.of_namespaces["busy"].free.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&router, "/v1/busy/add").await.0, 503);
    let idle = ask_in_background("/v1/idle/add");
    while guard.of_namespaces["idle"].free.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    release.notify_waiters();
    assert_eq!((busy.await.unwrap(), idle.await.unwrap()), (200, 200));
}
