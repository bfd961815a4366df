//! `GET /metrics`: the text form that Prometheus reads, on a listener of its own. Who measures is not who submits, and a
//! network that may see queues and refusals is seldom the one that reads the log.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::guard;
use crate::metrics;
use crate::sequencer::NamespaceHandle;

/// Bounds of the commit times, in seconds.
const COMMIT_SECONDS: [f64; 10] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0];
/// Bounds of the entries of a batch.
const BATCH_ENTRIES: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 2_048.0, 4_096.0];

/// What the handler shares.
struct Measured {
    recorder: PrometheusHandle,
    namespaces: Vec<NamespaceHandle>,
}

/// The recorder of this process: there is one, however many services run in it.
///
/// What is counted before it is installed is lost.
pub(crate) fn recorder() -> Result<PrometheusHandle, BuildError> {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(recorder) = RECORDER.get() {
        return Ok(recorder.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("commit_seconds".to_owned()), &COMMIT_SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("batch_entries".to_owned()), &BATCH_ENTRIES)?
        .install_recorder()?;
    metrics::describe();
    Ok(RECORDER.get_or_init(|| recorder).clone())
}

/// The routes of the listener that measures.
pub(crate) fn router(recorder: PrometheusHandle, namespaces: Vec<NamespaceHandle>) -> Router {
    let measured = Arc::new(Measured { recorder, namespaces });
    let routes = Router::new().route("/metrics", get(expose)).with_state(measured);
    routes.method_not_allowed_fallback(guard::method_not_allowed).fallback(guard::not_found)
}

async fn expose(State(measured): State<Arc<Measured>>) -> impl IntoResponse {
    measured.namespaces.iter().for_each(metrics::observe);
    let content_type = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    ([content_type, (header::CACHE_CONTROL, "no-store")], measured.recorder.render())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;
    use crate::sequencer::{Submission, WaitLevel};
    use crate::testing::World;

    #[tokio::test]
    async fn what_happened_is_counted_and_what_is_so_is_gauged() {
        let world = World::raw();
        let (_, handle) = world.served().await;
        let routes = router(recorder().unwrap(), vec![handle.clone()]);
        let entry = Submission::raw(b"counted".as_slice().into()).unwrap();
        handle.submit(entry, WaitLevel::Published, std::time::Duration::from_secs(20)).await.unwrap();
        metrics::problem("planted");
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let answer = routes.oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let origin = handle.origin();
        for line in [
            format!("countermark_log_commits_total{{origin=\"{origin}\"}} 1"),
            format!("countermark_log_batch_entries_sum{{origin=\"{origin}\"}} 1"),
            format!("countermark_log_state{{origin=\"{origin}\",state=\"serving\"}} 1"),
            format!("countermark_log_state{{origin=\"{origin}\",state=\"frozen\"}} 0"),
            format!("countermark_log_published_size{{origin=\"{origin}\"}} 1"),
            format!("countermark_log_queued_submissions{{origin=\"{origin}\"}} 0"),
            "countermark_log_problems_total{type=\"planted\"} 1".to_owned(),
            "# HELP countermark_log_commits_total Batches".to_owned(),
        ] {
            assert!(text.lines().any(|found| found.starts_with(&line)), "{line} is not in\n{text}");
        }
    }
}
