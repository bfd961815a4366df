//! Submissions: a token, a body, and how long to wait.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countermark_bundle::entry::ENTRY_BYTES_MAX;
use countermark_bundle::json;
use countermark_signer_policy::access_token::Scope;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{self, Freshness};
use super::parameters::Parameters;
use super::problem::{Problem, ProblemKind};
use super::{Served, Service};
use crate::sequencer::{Submission, SubmitError, Submitted, WaitLevel};

/// The most bytes of a statement with its approvals and attestations: 256 KiB.
pub(super) const STATEMENT_BODY_MAX: usize = 256 * 1024;

/// What a statement is submitted as.
#[derive(Deserialize, ToSchema)]
#[schema(as = StatementSubmission)]
#[serde(deny_unknown_fields)]
pub(super) struct StatementBody {
    /// In base64.
    statement: String,
    /// Officers' approvals, each a compact JWS.
    #[serde(default)]
    approvals: Vec<String>,
    /// Attestations of members, each in base64.
    #[serde(default)]
    attestations: Vec<String>,
}

/// Where the entry is now.
#[derive(Serialize, ToSchema)]
#[schema(as = Submitted)]
pub(super) struct SubmittedDocument {
    index: u64,
    #[schema(pattern = "^[0-9a-f]{64}$")]
    leaf_hash: String,
    #[schema(pattern = "^[0-9a-f]{64}$")]
    identity: String,
    /// How far the entry has come: `committed`, `witnessed` or `published`.
    level: &'static str,
    /// Of the head that reached the level.
    size: u64,
    /// Whether an earlier submission put the entry there.
    duplicate: bool,
}

/// The body limit of [`statement`].
pub(super) fn statement_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(STATEMENT_BODY_MAX)
}

/// The body limit of [`entry`].
pub(super) fn entry_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(ENTRY_BYTES_MAX)
}

/// `POST /v1/{ns}/statements?wait=`: a fleet statement to be admitted and certified.
pub(super) async fn statement(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let wait = wait_level(query.as_deref(), WaitLevel::Published)?;
    let served = service.namespace(&ns)?;
    let submitter = authorize(&service, served, &headers, Scope::Statements).await?;
    let body: StatementBody = json::parse(&whole(body)?, STATEMENT_BODY_MAX)
        .map_err(|error| Problem::new(ProblemKind::MalformedSubmission, error))?;
    let submission = Submission::Statement {
        statement: decode("statement", &body.statement)?,
        approvals: body.approvals,
        attestations: body.attestations.iter().map(|text| decode("attestations", text)).collect::<Result<_, _>>()?,
        submitter,
    };
    submit(&service, served, submission, wait).await
}

/// `POST /v1/{ns}/entries?wait=`: the exact bytes of a finished entry.
pub(super) async fn entry(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let wait = wait_level(query.as_deref(), WaitLevel::Published)?;
    let served = service.namespace(&ns)?;
    let submitter = authorize(&service, served, &headers, Scope::Entries).await?;
    let submission = Submission::Entry { bytes: whole(body)?.to_vec(), submitter };
    submit(&service, served, submission, wait).await
}

/// `POST /v1/{ns}/add?wait=`: an opaque entry of a `raw` log, answered with its index in decimal on the first line.
///
/// Without `wait` it is answered as soon as the entry is durable and the registered head covers it. The same bytes again
/// are answered with the same index.
pub(super) async fn add(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let wait = wait_level(query.as_deref(), WaitLevel::Committed)?;
    let served = service.namespace(&ns)?;
    authorize(&service, served, &headers, Scope::Entries).await?;
    let submission = Submission::raw(Arc::from(&whole(body)?[..]))?;
    let (status, submitted) = match served.handle.submit(submission, wait, service.submission_deadline).await {
        Ok(submitted) => (StatusCode::OK, submitted),
        Err(SubmitError::DeadlinePassed { reached: Some(reached) }) => (StatusCode::ACCEPTED, reached),
        Err(error) => return Err(error.into()),
    };
    let mut response = answer::text(format!("{}\n", submitted.index), Freshness::Never);
    *response.status_mut() = status;
    Ok(response)
}

async fn submit(
    service: &Service,
    served: &Served,
    submission: Submission,
    wait: WaitLevel,
) -> Result<Response, Problem> {
    match served.handle.submit(submission, wait, service.submission_deadline).await {
        Ok(submitted) => Ok(answer::json(StatusCode::OK, &document(&submitted), Freshness::Never)),
        Err(SubmitError::DeadlinePassed { reached: Some(reached) }) => {
            let mut response = answer::json(StatusCode::ACCEPTED, &document(&reached), Freshness::Never);
            // There the entry shows once it is published.
            let location = format!("/v1/{}/receipts/{}", served.handle.namespace(), reached.index);
            let location = HeaderValue::from_str(&location).expect("a namespace is plain ASCII");
            response.headers_mut().insert(header::LOCATION, location);
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

fn document(submitted: &Submitted) -> SubmittedDocument {
    SubmittedDocument {
        index: submitted.index.get(),
        leaf_hash: hex::encode(submitted.leaf_hash.0.0),
        identity: submitted.identity.to_hex(),
        level: match submitted.level {
            WaitLevel::Committed => "committed",
            WaitLevel::Witnessed => "witnessed",
            WaitLevel::Published => "published",
        },
        size: submitted.size.get(),
        duplicate: submitted.duplicate,
    }
}

/// Who submits, if a token allows it.
async fn authorize(service: &Service, served: &Served, headers: &HeaderMap, scope: Scope) -> Result<String, Problem> {
    let Some(tokens) = &service.tokens else {
        return Err(Problem::new(ProblemKind::SubmissionsClosed, "no token keys are configured"));
    };
    let values: Vec<&[u8]> = headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
    let handle = &served.handle;
    let claims = tokens.authorize(&values, handle.namespace(), scope, handle.now()).await?;
    Ok(claims.subject.to_string())
}

fn wait_level(query: Option<&str>, unless_said: WaitLevel) -> Result<WaitLevel, Problem> {
    match Parameters::parse(query, &["wait"])?.text("wait") {
        None => Ok(unless_said),
        Some("published") => Ok(WaitLevel::Published),
        Some("witnessed") => Ok(WaitLevel::Witnessed),
        Some("committed") => Ok(WaitLevel::Committed),
        Some(_) => Err(Problem::new(ProblemKind::MalformedParameter, "wait must be committed, witnessed or published")),
    }
}

fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Problem> {
    body.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            Problem::new(ProblemKind::BodyTooLarge, "the body is larger than this address takes")
        }
        _ => Problem::new(ProblemKind::BodyUnreadable, "the body did not arrive whole"),
    })
}

/// Standard, padded base64 without stray bits.
fn decode(field: &'static str, text: &str) -> Result<Vec<u8>, Problem> {
    STANDARD.decode(text).map_err(|_| {
        Problem::new(ProblemKind::MalformedSubmission, format_args!("{field} must be standard padded base64"))
    })
}
