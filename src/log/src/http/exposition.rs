//! `GET /metrics`: the text form that Prometheus reads, on a listener of its own. Who measures is not who submits, and a
//! network that may see queues and refusals is seldom the one that reads the log.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::health::{NamespaceReadiness, head_age_limit};
use super::{Served, Service, guard};
use crate::metrics::{self, Observed};

/// Bounds of the commit times, in seconds.
const COMMIT_SECONDS: [f64; 10] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0];
/// Bounds of the times of requests, in seconds.
const REQUEST_SECONDS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 5.0, 20.0];
/// Bounds of the entries of a batch.
const BATCH_ENTRIES: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 2_048.0, 4_096.0];

/// What the handler shares.
struct Measured {
    recorder: PrometheusHandle,
    service: Arc<Service>,
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
        .set_buckets_for_metric(Matcher::Suffix("request_seconds".to_owned()), &REQUEST_SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("batch_entries".to_owned()), &BATCH_ENTRIES)?
        .install_recorder()?;
    metrics::describe();
    Ok(RECORDER.get_or_init(|| recorder).clone())
}

/// The routes of the listener that measures.
pub(crate) fn router(recorder: PrometheusHandle, service: Arc<Service>) -> Router {
    metrics::began(env!("CARGO_PKG_VERSION"), service.traffic.started_at().unix());
    let measured = Arc::new(Measured { recorder, service });
    let routes = Router::new().route("/metrics", get(expose)).with_state(measured);
    routes.method_not_allowed_fallback(guard::method_not_allowed).fallback(guard::not_found)
}

async fn expose(State(measured): State<Arc<Measured>>) -> impl IntoResponse {
    measured.service.namespaces().for_each(observe);
    let content_type = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    ([content_type, (header::CACHE_CONTROL, "no-store")], measured.recorder.render())
}

fn observe(served: &Served) {
    metrics::observe(&Observed {
        handle: &served.handle,
        ready: NamespaceReadiness::of(served).is_ready(),
        max_head_age_seconds: head_age_limit(served),
        export: served.export.as_ref().map(|status| *status.borrow()),
    });
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;
    use crate::http;
    use crate::sequencer::{Submission, WaitLevel};
    use crate::testing::World;

    #[tokio::test]
    async fn what_happened_is_counted_and_what_is_so_is_gauged() {
        let world = World::raw();
        let (_, handle) = world.served().await;
        let recorder = recorder().unwrap();
        let service = Arc::new(Service::new([handle.clone()], None, std::time::Duration::from_secs(1)));
        let routes = router(recorder, Arc::clone(&service));
        let surface = http::router(service);
        for (method, path) in [("GET", "/v1/backup/entries/0"), ("GET", "/planted/path"), ("POST", "/v1/backup/add")] {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            surface.clone().oneshot(request).await.unwrap();
        }
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
            format!("countermark_log_ready{{origin=\"{origin}\"}} 1"),
            format!("countermark_log_max_head_age_seconds{{origin=\"{origin}\"}} "),
            format!("countermark_log_queued_submissions_max{{origin=\"{origin}\"}} 16384"),
            format!("countermark_log_witness_cosigns{{origin=\"{origin}\",witness=\"w0.example\"}} 1"),
            "countermark_log_requests_total{route=\"/v1/{ns}/entries/{index}\",status=\"".to_owned(),
            "countermark_log_requests_total{route=\"other\",status=\"404\"} ".to_owned(),
            "countermark_log_request_seconds_bucket{route=\"/v1/{ns}/add\",le=\"0.001\"} ".to_owned(),
            format!(
                "countermark_log_refusals_total{{origin=\"{origin}\",type=\"submissions-closed\",status=\"403\"}} 1"
            ),
            concat!("countermark_log_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1").to_owned(),
            "countermark_log_start_time_seconds 1".to_owned(),
            "# HELP countermark_log_commits_total Batches".to_owned(),
        ] {
            assert!(text.lines().any(|found| found.starts_with(&line)), "{line} is not in\n{text}");
        }
        assert!(!text.contains("planted/path"), "a stranger's path became a label:\n{text}");
    }
}
