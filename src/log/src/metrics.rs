//! What an on-call engineer measures: counters where things happen, gauges when they are asked for.
//!
//! It decides nothing and keeps nothing but numbers; no label carries what a submitter sent. RUNBOOK.md says what each
//! means and when to be woken by it.

use std::time::Duration;

use countermark_tlog::checkpoint::Origin;
use countermark_tlog::size::TreeSize;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::export::continuous::{ExportState, ExportStatus};
use crate::sequencer::{Health, NamespaceHandle, OwnerState, WitnessFailureReason};

const COMMITS: &str = "countermark_log_commits_total";
const COMMIT_SECONDS: &str = "countermark_log_commit_seconds";
const BATCH_ENTRIES: &str = "countermark_log_batch_entries";
const RELOADS: &str = "countermark_log_reloads_total";
const PROBLEMS: &str = "countermark_log_problems_total";
const WITNESS_FAILURES: &str = "countermark_log_witness_failures_total";
const STATE: &str = "countermark_log_state";
const QUEUED: &str = "countermark_log_queued_submissions";
const COMMITTED_SIZE: &str = "countermark_log_committed_size";
const PUBLISHED_SIZE: &str = "countermark_log_published_size";
const HEAD_AGE: &str = "countermark_log_head_age_seconds";
const WITHOUT_QUORUM: &str = "countermark_log_without_quorum_seconds";
const SCRUB_FINDINGS: &str = "countermark_log_scrub_findings_total";
const SCRUBBED_SIZE: &str = "countermark_log_scrubbed_size";
const WITNESS_SILENCE: &str = "countermark_log_witness_silence_seconds";
const WITNESS_COSIGNS: &str = "countermark_log_witness_cosigns";
const READY: &str = "countermark_log_ready";
const MAX_HEAD_AGE: &str = "countermark_log_max_head_age_seconds";
const QUEUE_MAX: &str = "countermark_log_queued_submissions_max";
const EXPORT_STATE: &str = "countermark_log_export_state";
const EXPORTED_SIZE: &str = "countermark_log_exported_size";
const EXPORT_FAILURES: &str = "countermark_log_export_failures_total";
const REQUESTS: &str = "countermark_log_requests_total";
const REQUEST_SECONDS: &str = "countermark_log_request_seconds";
const REFUSALS: &str = "countermark_log_refusals_total";
const BUILD_INFO: &str = "countermark_log_build_info";
const START_TIME: &str = "countermark_log_start_time_seconds";

/// Says what each is, for whoever reads the text form.
pub(crate) fn describe() {
    describe_counter!(COMMITS, "Batches that are durable in the database and in the head register");
    describe_histogram!(COMMIT_SECONDS, "Seconds from a batch's signature to its registered head");
    describe_histogram!(BATCH_ENTRIES, "Entries of a batch");
    describe_counter!(RELOADS, "Times that everything was read again after a fault of the database or the register");
    describe_counter!(PROBLEMS, "Answers that are problem documents, by their type");
    describe_counter!(WITNESS_FAILURES, "Calls to a witness that gave no valid cosignature");
    describe_gauge!(STATE, "1 for what the namespace's writer does now");
    describe_gauge!(QUEUED, "Submissions that wait for the writer");
    describe_gauge!(COMMITTED_SIZE, "Entries that are durable");
    describe_gauge!(PUBLISHED_SIZE, "Entries under the newest published head");
    describe_gauge!(HEAD_AGE, "Seconds since the quorum cosigned the newest published head");
    describe_gauge!(
        WITHOUT_QUORUM,
        "Seconds since rounds of witnesses began to end without a quorum; 0 while they do not"
    );
    describe_counter!(SCRUB_FINDINGS, "Places of the store that the signed tree says are wrong");
    describe_gauge!(SCRUBBED_SIZE, "Entries that the last whole round of the scrubber read");
    describe_gauge!(WITNESS_SILENCE, "Seconds since a witness's last valid cosignature");
    describe_gauge!(
        WITNESS_COSIGNS,
        "1 if the newest published head bears the witness's cosignature and it has not failed since"
    );
    describe_gauge!(READY, "1 if the namespace can be relied on now, as /readyz says");
    describe_gauge!(MAX_HEAD_AGE, "Seconds from which age on clients refuse the head");
    describe_gauge!(QUEUE_MAX, "Submissions that may wait for the writer");
    describe_gauge!(EXPORT_STATE, "1 for what the namespace's export does now");
    describe_gauge!(EXPORTED_SIZE, "Entries that this process has exported, or found exported");
    describe_counter!(EXPORT_FAILURES, "Attempts to export that failed");
    describe_counter!(REQUESTS, "Answers, by the route's template and the status");
    describe_histogram!(REQUEST_SECONDS, "Seconds from a request's head to its answer's head, by the route's template");
    describe_counter!(
        REFUSALS,
        "Answers that are problem documents, by the log that was asked, where one was, and their type"
    );
    describe_gauge!(BUILD_INFO, "1; the label says which version runs");
    describe_gauge!(START_TIME, "When the service began, in seconds since 1970");
}

/// A batch is durable in the database and in the head register.
pub(crate) fn committed(origin: &Origin, entries: usize, took: Duration) {
    let label = origin.as_str().to_owned();
    counter!(COMMITS, "origin" => label.clone()).increment(1);
    histogram!(COMMIT_SECONDS, "origin" => label.clone()).record(took);
    histogram!(BATCH_ENTRIES, "origin" => label).record(f64::from(u32::try_from(entries).unwrap_or(u32::MAX)));
}

/// A port failed, and everything is read again.
pub(crate) fn reloading(origin: &Origin) {
    counter!(RELOADS, "origin" => origin.as_str().to_owned()).increment(1);
}

/// A request was answered with a problem of this type.
pub(crate) fn problem(name: &'static str) {
    counter!(PROBLEMS, "type" => name).increment(1);
}

/// A request was answered.
pub(crate) fn requested(route: &str, status: u16, took: Duration) {
    counter!(REQUESTS, "route" => route.to_owned(), "status" => status.to_string()).increment(1);
    histogram!(REQUEST_SECONDS, "route" => route.to_owned()).record(took);
}

/// A request was answered with a problem; `origin` is empty where it asked for no log of this server.
pub(crate) fn refused(origin: &str, name: &'static str, status: u16) {
    counter!(REFUSALS, "origin" => origin.to_owned(), "type" => name, "status" => status.to_string()).increment(1);
}

/// Says which program runs, and since when.
pub(crate) fn began(version: &'static str, at: u64) {
    gauge!(BUILD_INFO, "version" => version).set(1.0);
    gauge!(START_TIME).set(number(at));
}

/// A call to a witness gave no valid cosignature.
pub(crate) fn witness_failed(origin: &Origin, witness: String, reason: WitnessFailureReason) {
    let origin = origin.as_str().to_owned();
    counter!(WITNESS_FAILURES, "origin" => origin, "witness" => witness, "reason" => reason.to_string()).increment(1);
}

/// The scrubber found a place of the store wrong.
pub(crate) fn scrub_finding(origin: &Origin) {
    counter!(SCRUB_FINDINGS, "origin" => origin.as_str().to_owned()).increment(1);
}

/// The scrubber has read the store through.
pub(crate) fn scrubbed(origin: &Origin, size: TreeSize) {
    gauge!(SCRUBBED_SIZE, "origin" => origin.as_str().to_owned()).set(number(size.get()));
}

/// What is known of a namespace beside its own health.
pub(crate) struct Observed<'a> {
    pub(crate) handle: &'a NamespaceHandle,
    pub(crate) ready: bool,
    pub(crate) max_head_age_seconds: u64,
    pub(crate) export: Option<ExportStatus>,
}

/// Sets the gauges of a namespace to what is so now.
pub(crate) fn observe(observed: &Observed<'_>) {
    let Observed { handle, ready, max_head_age_seconds, export } = observed;
    let label = || handle.origin().as_str().to_owned();
    let Health { state, queued, committed, published, head_age_seconds, without_quorum_since, witnesses } =
        handle.health();
    for (candidate, word) in STATES {
        gauge!(STATE, "origin" => label(), "state" => word).set(one_if(candidate == state));
    }
    gauge!(QUEUED, "origin" => label()).set(number(u64::try_from(queued).unwrap_or(u64::MAX)));
    gauge!(COMMITTED_SIZE, "origin" => label()).set(number(committed.get()));
    if let Some((size, _)) = published {
        gauge!(PUBLISHED_SIZE, "origin" => label()).set(number(size.get()));
    }
    if let Some(age) = head_age_seconds {
        gauge!(HEAD_AGE, "origin" => label()).set(number(age));
    }
    let now = handle.now().unix();
    let without = without_quorum_since.map_or(0, |since| now.saturating_sub(since.unix()));
    gauge!(WITHOUT_QUORUM, "origin" => label()).set(number(without));
    gauge!(READY, "origin" => label()).set(one_if(*ready));
    gauge!(MAX_HEAD_AGE, "origin" => label()).set(number(*max_head_age_seconds));
    gauge!(QUEUE_MAX, "origin" => label()).set(number(u64::try_from(handle.queue_max()).unwrap_or(u64::MAX)));
    // Counters that may never count are shown from the start: what appears with its first count has not risen.
    for name in [COMMITS, RELOADS, SCRUB_FINDINGS] {
        counter!(name, "origin" => label()).increment(0);
    }
    let newest = handle.published();
    for witness in witnesses {
        let cosigns = one_if(witness.cosigns(newest.as_deref()));
        gauge!(WITNESS_COSIGNS, "origin" => label(), "witness" => witness.name.clone()).set(cosigns);
        if let Some(last) = witness.last_success {
            let silence = now.saturating_sub(last.unix());
            gauge!(WITNESS_SILENCE, "origin" => label(), "witness" => witness.name).set(number(silence));
        }
    }
    if let Some(export) = export {
        observe_export(handle.origin(), export);
    }
}

fn observe_export(origin: &Origin, export: &ExportStatus) {
    let label = || origin.as_str().to_owned();
    for state in [ExportState::Following, ExportState::Retrying, ExportState::Halted] {
        let is = one_if(state == export.state);
        gauge!(EXPORT_STATE, "origin" => label(), "state" => state.as_str()).set(is);
    }
    if let Some(size) = export.exported {
        gauge!(EXPORTED_SIZE, "origin" => label()).set(number(size.get()));
    }
    counter!(EXPORT_FAILURES, "origin" => label()).absolute(export.failures);
}

const fn one_if(so: bool) -> f64 {
    if so { 1.0 } else { 0.0 }
}

const STATES: [(OwnerState, &str); 4] = [
    (OwnerState::Serving, "serving"),
    (OwnerState::Reloading, "reloading"),
    (OwnerState::Frozen, "frozen"),
    (OwnerState::Stopped, "stopped"),
];

/// Prometheus knows 64-bit floats only: above 2^53 the number is a neighbour's.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "the text form has floats only")]
fn number(number: u64) -> f64 {
    number as f64
}
