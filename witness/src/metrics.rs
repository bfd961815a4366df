//! What an on-call engineer measures. It decides nothing and keeps nothing but numbers.
//!
//! Invariant: how many series there are does not depend on strangers. A log's origin is a label only of what a followed log
//! caused, and only where at most [`LABELLED_LOGS_MAX`] logs are followed; above, all logs are counted together.
//! RUNBOOK.md says what each means.

use std::sync::OnceLock;
use std::time::Duration;

use countermark_tlog::checkpoint::Origin;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// The most followed logs that have series of their own.
pub const LABELLED_LOGS_MAX: usize = 100;

const REQUESTS: &str = "countermark_witness_requests_total";
const COSIGNED: &str = "countermark_witness_cosigned_total";
const FORKS: &str = "countermark_witness_forks_refused_total";
const FORK_EVIDENCE: &str = "countermark_witness_forks";
const UNRESOLVED: &str = "countermark_witness_unresolved_heads_total";
const BATCH_SWAPS: &str = "countermark_witness_batch_swaps";
const COMMIT_SECONDS: &str = "countermark_witness_commit_seconds";
const COMMIT_FAILURES: &str = "countermark_witness_commit_failures_total";
const REGISTER_FAILURES: &str = "countermark_witness_register_failures_total";
const LOGS: &str = "countermark_witness_logs";
const BUILD_INFO: &str = "countermark_witness_build_info";

/// Bounds of the commit times, in seconds.
const COMMIT_SECONDS_BOUNDS: [f64; 10] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0];
/// Bounds of the requests of a batch.
const BATCH_BOUNDS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// The recorder of this process: there is one, however many services run in it. What is counted before is lost.
pub fn recorder() -> Result<PrometheusHandle, BuildError> {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(recorder) = RECORDER.get() {
        return Ok(recorder.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(COMMIT_SECONDS.to_owned()), &COMMIT_SECONDS_BOUNDS)?
        .set_buckets_for_metric(Matcher::Full(BATCH_SWAPS.to_owned()), &BATCH_BOUNDS)?
        .install_recorder()?;
    describe();
    Ok(RECORDER.get_or_init(|| recorder).clone())
}

fn describe() {
    describe_counter!(REQUESTS, "Answers to add-checkpoint, by outcome");
    describe_counter!(COSIGNED, "Heads cosigned, renewals too, by log where at most 100 are followed");
    describe_counter!(
        FORKS,
        "Requests refused because the log showed two trees, by log where at most 100 are followed"
    );
    describe_gauge!(FORK_EVIDENCE, "Pieces of fork evidence that are kept");
    describe_counter!(UNRESOLVED, "Heads in gossip of which it could not be said how they stand to ours");
    describe_histogram!(BATCH_SWAPS, "Requests that were made durable together");
    describe_histogram!(COMMIT_SECONDS, "Seconds to make a batch durable in the state and in the head register");
    describe_counter!(COMMIT_FAILURES, "Batches of which it is not known whether they are durable");
    describe_counter!(REGISTER_FAILURES, "Times that the head register could not be raised");
    describe_gauge!(LOGS, "Logs that are followed");
    describe_gauge!(BUILD_INFO, "1; the label says which version runs");
}

/// Shows what is known at the start: what appears with its first count has not risen.
pub fn began(logs: usize) {
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    gauge!(LOGS).set(number(logs));
    for name in [COMMIT_FAILURES, REGISTER_FAILURES, UNRESOLVED] {
        counter!(name).increment(0);
    }
}

/// A request to cosign was answered.
pub fn answered(outcome: &'static str) {
    counter!(REQUESTS, "outcome" => outcome).increment(1);
}

/// So many pieces of fork evidence are kept.
pub fn forks(count: usize) {
    gauge!(FORK_EVIDENCE).set(number(count));
}

/// Of a head in gossip it could not be said how it stands to ours.
pub fn unresolved() {
    counter!(UNRESOLVED).increment(1);
}

/// A head was cosigned.
pub fn cosigned(origin: &Origin, logs: usize) {
    of_log(COSIGNED, origin, logs);
}

/// A log showed two trees.
pub fn fork_refused(origin: &Origin, logs: usize) {
    of_log(FORKS, origin, logs);
}

fn of_log(name: &'static str, origin: &Origin, logs: usize) {
    if logs <= LABELLED_LOGS_MAX {
        counter!(name, "origin" => origin.as_str().to_owned()).increment(1);
    } else {
        counter!(name).increment(1);
    }
}

/// A batch ended.
pub fn batch(swaps: usize, took: Duration, is_durable: bool) {
    histogram!(BATCH_SWAPS).record(number(swaps));
    histogram!(COMMIT_SECONDS).record(took);
    if !is_durable {
        counter!(COMMIT_FAILURES).increment(1);
    }
}

/// The head register was perhaps not raised.
pub fn register_failed() {
    counter!(REGISTER_FAILURES).increment(1);
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
