use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use countermark_tlog::cosignature::Cosignature;
use countermark_tlog::note::SignedNote;
use countermark_tlog::witness_wire::{monitoring_path, parse_cosignature_lines};
use tokio::sync::oneshot;
use tower::ServiceExt;

use super::*;
use crate::REQUESTS_PER_DAY;
use crate::ports::HeadStore;
use crate::testkit::log::{TestLog, request};
use crate::testkit::stores::{Fate, FatedHeads, MemoryHeads};
use crate::testkit::{BEGIN, TestClock, witness, witness_keys};

struct Bench {
    log: TestLog,
    store: FatedHeads<MemoryHeads>,
    router: Router,
}

struct Answer {
    status: u16,
    content_type: String,
    body: String,
}

impl Bench {
    fn new() -> Self {
        Self::with_timeout(REQUEST_TIMEOUT)
    }

    fn with_timeout(timeout: Duration) -> Self {
        let log = TestLog::new("log.example/a");
        let store = FatedHeads::new(MemoryHeads::default());
        let witness = witness(&[&log], store.clone(), &TestClock::new());
        Self { log, store, router: router(Arc::new(witness), timeout) }
    }

    /// A witness that cosigned the log at 5.
    async fn at_five() -> Self {
        let bench = Self::new();
        assert_eq!(bench.post(bench.log.request(0, 5)).await.status, 200);
        bench
    }

    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Answer {
        let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let content_type = response.headers().get(CONTENT_TYPE);
        Answer {
            status: response.status().as_u16(),
            content_type: content_type.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default(),
            body: String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap(),
        }
    }

    async fn post(&self, body: Vec<u8>) -> Answer {
        self.send(Method::POST, "/add-checkpoint", body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Vec::new()).await
    }

    fn monitoring_path(&self) -> String {
        format!("/{}", monitoring_path(&self.log.origin()))
    }
}

impl Answer {
    /// Expects a problem document of this kind.
    fn is_problem(&self, status: u16, kind: &str, case: &str) {
        assert_eq!(self.status, status, "{case}: {}", self.body);
        assert_eq!(self.content_type, "application/problem+json", "{case}");
        let document: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(document["type"], format!("urn:countermark:problem:witness:{kind}"), "{case}");
        assert_eq!(document["status"], status, "{case}");
        assert!(document["title"].is_string(), "{case}");
        assert!(document["detail"].is_string(), "{case}");
    }

    /// Expects a 409 with this size.
    fn is_conflict(&self, body: &str, case: &str) {
        assert_eq!(self.status, 409, "{case}: {}", self.body);
        assert_eq!(self.content_type, "text/x.tlog.size", "{case}");
        assert_eq!(self.body, body, "{case}");
    }
}

#[tokio::test]
async fn a_cosigned_checkpoint_is_answered_with_its_cosignature_lines() {
    let bench = Bench::at_five().await;
    let answer = bench.post(bench.log.request(5, 9)).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/plain; charset=utf-8"));
    let lines = parse_cosignature_lines(answer.body.as_bytes()).unwrap();
    let keys = witness_keys();
    assert_eq!(lines.len(), keys.len(), "one of each type");
    for (line, key) in lines.iter().zip(&keys) {
        assert!(line.is_of(key));
        let cosignature = Cosignature::from_note_signature(line).unwrap();
        cosignature.verify(key, &bench.log.text(9)).unwrap();
        assert_eq!(cosignature.timestamp, BEGIN);
    }
}

#[tokio::test]
async fn every_refusal_has_its_status_and_changes_nothing() {
    let log = TestLog::new("log.example/a");
    let fork = log.forked_at(2);
    let other_empty = log.note(&log.text(1).replace("\n1\n", "\n0\n"));
    let spoilt = log.checkpoint(9) + &log.line("another text\n").to_line();
    let misnamed = log.note(&TestLog::new("log.example/b").text(9));
    let cases: [(&str, Vec<u8>, u16, &str); 16] = [
        ("nothing", Vec::new(), 400, "malformed"),
        ("not UTF-8", b"old 5\n\n\xff\n\n\xe2\x80\x94 x AAAAAAAA\n".to_vec(), 400, "malformed"),
        ("no old size", log.request(5, 9)[4..].to_vec(), 400, "malformed"),
        ("old size with a zero before it", [b"old 0".as_slice(), &log.request(5, 9)[4..]].concat(), 400, "malformed"),
        ("64 hashes", request(5, &[log.root(1).0; 64], &log.checkpoint(9)), 400, "malformed"),
        ("unsigned", request(5, &[], &format!("{}\n", log.text(9))), 400, "malformed"),
        ("another log", TestLog::new("log.example/b").request(5, 9), 404, "unknown-origin"),
        ("another log under a known key", request(5, &[], &misnamed), 404, "unknown-origin"),
        ("an unknown key", log.with_key(9).request(5, 9), 403, "not-signed"),
        (
            "a known key over another text",
            request(5, &[], &log.checkpoint(9).replace("\n9\n", "\n8\n")),
            403,
            "not-signed",
        ),
        ("a good line and a bad one of the same key", request(5, &[], &spoilt), 403, "not-signed"),
        ("old above size", request(9, &[], &log.checkpoint(5)), 400, "old-size-above-size"),
        ("no proof", request(5, &[], &log.checkpoint(9)), 422, "inconsistent"),
        ("a proof of another log", fork.request(5, 9), 422, "inconsistent"),
        ("the stored size, another root", fork.request(5, 5), 422, "fork"),
        ("the stored size, a proof too many", request(5, &[log.root(1).0], &log.checkpoint(5)), 422, "inconsistent"),
    ];
    let bench = Bench::at_five().await;
    // So that the cases after a fork are met.
    bench.store.forget_forks();
    let before = bench.store.read(&log.origin()).await.unwrap();
    for (case, body, status, kind) in cases {
        bench.post(body).await.is_problem(status, kind, case);
        assert_eq!(bench.store.read(&log.origin()).await.unwrap(), before, "{case}");
    }
    let fresh = Bench::new();
    let answer = fresh.post(request(0, &[], &other_empty)).await;
    answer.is_problem(422, "empty-root", "size 0 with another root");
    let answer = fresh.post(request(0, &[log.root(1).0], &log.checkpoint(9))).await;
    answer.is_problem(422, "inconsistent", "old size 0 with a proof");
}

#[tokio::test]
async fn every_conflict_carries_the_stored_size() {
    let bench = Bench::at_five().await;
    let log = &bench.log;
    let other_empty = log.note(&log.text(1).replace("\n1\n", "\n0\n"));
    let cases = [
        ("from nothing", log.request(0, 9)),
        ("from less", log.request(3, 9)),
        ("from more", log.request(7, 9)),
        ("from less, to less", log.request(3, 4)),
        ("from less, to the stored size", log.request(3, 5)),
        ("from less, a fork", log.forked_at(1).request(3, 9)),
        ("from less, a bad proof", request(3, &[], &log.checkpoint(9))),
        ("from nothing, another empty root", request(0, &[], &other_empty)),
    ];
    for (case, body) in cases {
        bench.post(body).await.is_conflict("5\n", case);
    }
    Bench::new().post(log.request(3, 9)).await.is_conflict("0\n", "never cosigned");
}

#[tokio::test]
async fn a_lost_race_is_a_conflict_with_the_winners_size() {
    let bench = Bench::at_five().await;
    let ((arrived, arrival), (release, released)) = (oneshot::channel(), oneshot::channel());
    bench.store.next_swaps([Fate::Stall(arrived, released)]);
    let slow = bench.post(bench.log.request(5, 7));
    let fast = async {
        arrival.await.unwrap();
        let answer = bench.post(bench.log.request(5, 9)).await;
        release.send(()).unwrap();
        answer
    };
    let (slow, fast) = tokio::join!(slow, fast);
    assert_eq!(fast.status, 200);
    slow.is_conflict("9\n", "the slower request");
}

#[tokio::test]
async fn a_fault_says_nothing_but_that() {
    let bench = Bench::at_five().await;
    bench.store.next_reads([Fate::FailUnsaved]);
    bench.post(bench.log.request(5, 9)).await.is_problem(500, "fault", "a read");
    bench.store.next_swaps([Fate::FailSaved]);
    let answer = bench.post(bench.log.request(5, 9)).await;
    answer.is_problem(500, "fault", "a swap");
    assert!(!answer.body.contains("set by the test"), "{}", answer.body);
    bench.store.next_reads([Fate::FailUnsaved]);
    bench.get(&bench.monitoring_path()).await.is_problem(500, "fault", "a monitor's read");
}

#[tokio::test]
async fn no_flipped_bit_of_a_request_is_cosigned() {
    let bench = Bench::at_five().await;
    let body = bench.log.request(5, 9);
    for index in 0..body.len() {
        let mut flipped = body.clone();
        flipped[index] ^= 1;
        let answer = bench.post(flipped).await;
        assert!([400, 403, 404, 409, 422].contains(&answer.status), "byte {index}: {}", answer.status);
    }
    assert_eq!(bench.post(body).await.status, 200);
}

#[tokio::test]
async fn a_body_is_at_most_64_kib() {
    let bench = Bench::new();
    for (bytes, status, kind) in [(65_536, 400, "malformed"), (65_537, 413, "body"), (1 << 20, 413, "body")] {
        let answer = bench.post(vec![b'\n'; bytes]).await;
        answer.is_problem(status, kind, &format!("{bytes} bytes"));
    }
}

#[tokio::test]
async fn only_the_methods_of_the_specification_are_allowed() {
    let bench = Bench::at_five().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::HEAD] {
        let answer = bench.send(method.clone(), "/add-checkpoint", bench.log.request(5, 9)).await;
        assert_eq!(answer.status, 405, "{method}");
    }
    let answer = bench.send(Method::POST, &bench.monitoring_path(), Vec::new()).await;
    assert_eq!(answer.status, 405);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_asks_too_often_is_told_when_to_come_back_and_strangers_spend_nothing_of_its_budget() {
    const BURST: u64 = REQUESTS_PER_DAY / 100;
    let bench = Bench::at_five().await;
    // Not signed by the log: not charged to it.
    for _ in 0..BURST {
        let answer = bench.post(bench.log.with_key(9).request(5, 9)).await;
        answer.is_problem(403, "not-signed", "a stranger");
    }
    for _ in 1..BURST {
        assert_eq!(bench.post(bench.log.request(5, 5)).await.status, 200);
    }
    let request = Request::builder().method(Method::POST).uri("/add-checkpoint");
    let request = request.body(Body::from(bench.log.request(5, 9))).unwrap();
    let response = bench.router.clone().oneshot(request).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()[RETRY_AFTER]),
        (StatusCode::TOO_MANY_REQUESTS, &HeaderValue::from(1))
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(bench.post(bench.log.request(5, 9)).await.status, 200);
}

#[tokio::test]
async fn monitors_get_a_note_that_log_and_witness_signed() {
    let bench = Bench::at_five().await;
    let answer = bench.get(&bench.monitoring_path()).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/plain; charset=utf-8"));
    let note = SignedNote::parse(answer.body.as_bytes()).unwrap();
    assert_eq!(note.text(), bench.log.text(5));
    let keys: Vec<_> = [bench.log.vkey()].into_iter().chain(witness_keys()).collect();
    assert_eq!(note.verify(&keys).unwrap(), keys);
    assert_eq!(note.signatures().len(), 3);
}

#[tokio::test]
async fn monitors_get_404_for_what_was_never_cosigned() {
    let bench = Bench::new();
    let path = bench.monitoring_path();
    let unknown = format!("/{}", monitoring_path(&TestLog::new("log.example/b").origin()));
    for (case, path) in [("never cosigned", path.as_str()), ("not followed", &unknown), ("no hash", "/x/checkpoint")] {
        bench.get(path).await.is_problem(404, "never-cosigned", case);
    }
    assert_eq!(bench.post(bench.log.request(0, 5)).await.status, 200);
    assert_eq!(bench.get(&path).await.status, 200);
    let upper_case = path.replace("/checkpoint", "").to_uppercase() + "/checkpoint";
    assert_ne!(upper_case, path);
    bench.get(&upper_case).await.is_problem(404, "never-cosigned", "upper-case hex");
}

#[tokio::test]
async fn a_healthy_witness_says_ok() {
    let answer = Bench::new().get("/healthz").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_dropped_and_cosigns_nothing() {
    let bench = Bench::with_timeout(Duration::from_millis(1));
    let ((arrived, _arrival), (_release, released)) = (oneshot::channel(), oneshot::channel());
    bench.store.next_swaps([Fate::Stall(arrived, released)]);
    assert_eq!(bench.post(bench.log.request(0, 5)).await.status, 503);
    bench.get(&bench.monitoring_path()).await.is_problem(404, "never-cosigned", "after the timeout");
}

#[tokio::test]
async fn a_witness_whose_state_cannot_be_written_is_alive_and_not_ready() {
    let bench = Bench::new();
    assert_eq!(bench.get("/readyz").await.body, "ready");
    bench.store.next_reads([Fate::FailUnsaved]);
    bench.get("/readyz").await.is_problem(503, "not-ready", "a fault");
    assert_eq!(bench.get("/healthz").await.body, "ok");
    assert_eq!(bench.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn what_was_answered_is_counted_by_outcome_and_log() {
    let recorder = metrics::recorder().unwrap();
    metrics::began(1);
    let bench = Bench::at_five().await;
    bench.post(bench.log.forked_at(2).request(5, 5)).await;
    bench.post(b"nonsense".to_vec()).await;
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let answer = metrics_router(recorder).oneshot(request).await.unwrap();
    let text = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    for line in [
        "countermark_witness_requests_total{outcome=\"cosigned\"} ",
        "countermark_witness_requests_total{outcome=\"inconsistent\"} ",
        "countermark_witness_requests_total{outcome=\"not-authentic\"} ",
        "countermark_witness_cosigned_total{origin=\"log.example/a\"} ",
        "countermark_witness_forks_refused_total{origin=\"log.example/a\"} ",
        "countermark_witness_register_failures_total ",
        "countermark_witness_logs ",
        "# HELP countermark_witness_requests_total ",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} is not in\n{text}");
    }
}

#[test]
fn above_a_hundred_logs_no_log_has_a_series_of_its_own() {
    let recorder = metrics::recorder().unwrap();
    let planted = countermark_tlog::checkpoint::Origin::new("log.example/one-of-many").unwrap();
    metrics::cosigned(&planted, metrics::LABELLED_LOGS_MAX + 1);
    let text = recorder.render();
    assert!(text.contains("\ncountermark_witness_cosigned_total "), "{text}");
    assert!(!text.contains("one-of-many"), "{text}");
}
