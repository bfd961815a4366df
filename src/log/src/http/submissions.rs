//! Submissions: a token, what its submitter may send, a body, and how long to wait.
//!
//! Invariant: a body is looked at only after a token allowed the act and its submitter had room for it. How much of it arrives
//! before, from how many at once, is bounded by the listener.

use std::sync::Arc;

use axum::body::{Bytes, HttpBody as _};
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countermark_bundle::entry::ENTRY_BYTES_MAX;
use countermark_bundle::json;
use countermark_signer_policy::access_token::{AccessClaims, Scope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{self, Freshness};
use super::parameters::Parameters;
use super::patience;
use super::problem::{Problem, ProblemKind};
use super::{Served, Service};
use crate::limits::{BYTES_BURST_MIN, Place};
use crate::sequencer::{Patience, Submission, SubmitError, Submitted, WaitLevel};

/// The most bytes of a statement with its approvals and attestations: 256 KiB.
pub(super) const STATEMENT_BODY_MAX: usize = 256 * 1024;

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "both are known here")]
const _: () = assert!(STATEMENT_BODY_MAX as u32 <= BYTES_BURST_MIN, "a body that nobody could ever send");

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
    request: Request,
) -> Result<Response, Problem> {
    let wait = Wait::of(&service, &request, query.as_deref(), WaitLevel::Published)?;
    let served = service.namespace(&ns)?;
    let (claims, place) = admit(&service, served, request.headers(), Scope::Statements).await?;
    let body: StatementBody = json::parse(&whole(&place, request, STATEMENT_BODY_MAX).await?, STATEMENT_BODY_MAX)
        .map_err(|error| Problem::new(ProblemKind::MalformedSubmission, error))?;
    let submission = Submission::Statement {
        statement: decode("statement", &body.statement)?,
        approvals: body.approvals,
        attestations: body.attestations.iter().map(|text| decode("attestations", text)).collect::<Result<_, _>>()?,
        submitter: claims.subject.to_string(),
    };
    submit(served, submission, wait).await
}

/// `POST /v1/{ns}/entries?wait=`: the exact bytes of a finished entry.
pub(super) async fn entry(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let wait = Wait::of(&service, &request, query.as_deref(), WaitLevel::Published)?;
    let served = service.namespace(&ns)?;
    let (claims, place) = admit(&service, served, request.headers(), Scope::Entries).await?;
    let bytes = whole(&place, request, ENTRY_BYTES_MAX).await?.to_vec();
    submit(served, Submission::Entry { bytes, submitter: claims.subject.to_string() }, wait).await
}

/// `POST /v1/{ns}/add?wait=`: an opaque entry of a `raw` log, answered with its index in decimal on the first line.
///
/// Without `wait` it is answered as soon as the entry is durable and the registered head covers it. The same bytes again
/// are answered with the same index.
pub(super) async fn add(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let wait = Wait::of(&service, &request, query.as_deref(), WaitLevel::Committed)?;
    let served = service.namespace(&ns)?;
    let (_claims, place) = admit(&service, served, request.headers(), Scope::Entries).await?;
    let submission = Submission::raw(Arc::from(&whole(&place, request, ENTRY_BYTES_MAX).await?[..]))?;
    let index = |submitted: &Submitted| answer::text(format!("{}\n", submitted.index), Freshness::Never);
    wait.answer(served, submission, index).await
}

async fn submit(served: &Served, submission: Submission, wait: Wait) -> Result<Response, Problem> {
    let place = |submitted: &Submitted| answer::json(StatusCode::OK, &document(submitted), Freshness::Never);
    wait.answer(served, submission, place).await
}

/// What a submitter waits for, and how long.
struct Wait {
    level: WaitLevel,
    patience: Patience,
    /// What to say of the caller's own deadline.
    applied: Option<HeaderValue>,
}

impl Wait {
    fn of(service: &Service, request: &Request, query: Option<&str>, unless_said: WaitLevel) -> Result<Self, Problem> {
        let level = match Parameters::parse(query, &["wait"])?.text("wait") {
            None => unless_said,
            Some("published") => WaitLevel::Published,
            Some("witnessed") => WaitLevel::Witnessed,
            Some("committed") => WaitLevel::Committed,
            Some(_) => {
                let detail = "wait must be committed, witnessed or published";
                return Err(Problem::new(ProblemKind::MalformedParameter, detail));
            }
        };
        let commit = service.submission_deadline;
        let asked = patience::asked(request.headers()).filter(|asked| *asked <= commit);
        let patience = Patience { commit, level: asked.unwrap_or(commit) };
        Ok(Self { level, patience, applied: asked.map(patience::applied) })
    }

    /// Submits, and answers 200 where the level was reached in time, or 202 with the place of the entry's receipt.
    async fn answer(
        self,
        served: &Served,
        submission: Submission,
        write: impl FnOnce(&Submitted) -> Response,
    ) -> Result<Response, Problem> {
        let mut response = match served.handle.submit_patiently(submission, self.level, self.patience).await {
            Ok(submitted) => write(&submitted),
            Err(SubmitError::DeadlinePassed { reached: Some(reached) }) => {
                let mut response = write(&reached);
                *response.status_mut() = StatusCode::ACCEPTED;
                // There the entry shows once it is published.
                let location = format!("/v1/{}/receipts/{}", served.handle.namespace(), reached.index);
                let location = HeaderValue::from_str(&location).expect("a namespace is plain ASCII");
                response.headers_mut().insert(header::LOCATION, location);
                response
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(applied) = self.applied {
            response.headers_mut().insert(patience::APPLIED, applied);
        }
        Ok(response)
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

/// Who submits, if a token allows it and the submitter has room. The place is taken until it is dropped.
async fn admit(
    service: &Service,
    served: &Served,
    headers: &HeaderMap,
    scope: Scope,
) -> Result<(Arc<AccessClaims>, Place), Problem> {
    let Some(tokens) = &service.tokens else {
        return Err(Problem::new(ProblemKind::SubmissionsClosed, "no token keys are configured"));
    };
    let values: Vec<&[u8]> = headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
    let handle = &served.handle;
    let claims = tokens.authorize(&values, handle.namespace(), scope, handle.now()).await?;
    let place = service.limits.admit(handle.foundation().kind(), &claims)?;
    Ok((claims, place))
}

/// The body, charged to its submitter.
async fn whole(place: &Place, request: Request, bytes_max: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(ProblemKind::BodyTooLarge, "the body is larger than this address takes");
    // 1. A length that is said is charged before a byte is read, or refused.
    let said = request.body().size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    match said {
        Some(length) if length > bytes_max => return Err(too_large()),
        Some(length) => place.charge(length)?,
        None => {}
    }
    // 2. No more is read than the route's limit.
    let body = Bytes::from_request(request, &()).await.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => too_large(),
        _ => Problem::new(ProblemKind::BodyUnreadable, "the body did not arrive whole"),
    })?;
    // 3. A length that was not said is charged now: of it the log has nothing yet.
    if said.is_none() {
        place.charge(body.len())?;
    }
    Ok(body)
}

/// Standard, padded base64 without stray bits.
fn decode(field: &'static str, text: &str) -> Result<Vec<u8>, Problem> {
    STANDARD.decode(text).map_err(|_| {
        Problem::new(ProblemKind::MalformedSubmission, format_args!("{field} must be standard padded base64"))
    })
}
