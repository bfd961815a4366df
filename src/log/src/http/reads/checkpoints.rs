//! The history of published heads, with every cosignature that each had at last.

use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use axum::response::Response;
use countermark_tlog::size::TreeSize;

use super::documents::{CheckpointDocument, CheckpointsDocument};
use crate::http::answer::{self, Freshness};
use crate::http::extract::{NoQuery, Shown};
use crate::http::parameters::{self, Parameters};
use crate::http::problem::{Problem, ProblemKind};
use crate::proofs::ReadError;

/// The most heads of one answer.
pub(in crate::http) const CHECKPOINTS_MAX: u64 = 100;
/// The heads of an answer to whoever does not say how many.
const CHECKPOINTS: u64 = 20;

/// `GET /v1/{ns}/checkpoints?before=&limit=`: published heads, the largest first.
pub(in crate::http) async fn checkpoints(shown: Shown, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let parameters = Parameters::parse(query.as_deref(), &["before", "limit"])?;
    let before = parameters.tree_size("before")?;
    let limit = parameters.count("limit", CHECKPOINTS_MAX)?.unwrap_or(CHECKPOINTS);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let origin = shown.served.handle.origin();
    let newest = shown.published.size;
    let heads = match before.map_or(Some(newest), one_less) {
        // What was stored and is not shown yet does not exist here.
        Some(up_to) => {
            let store = shown.served.handle.store();
            let found = store.publications(origin, up_to.min(newest), limit.saturating_add(1)).await;
            found.map_err(ReadError::Store)?
        }
        None => Vec::new(),
    };
    let more = heads.len() > limit;
    let notes = heads.iter().take(limit);
    let checkpoints = notes.map(CheckpointDocument::of).collect::<Option<Vec<_>>>().ok_or_else(malformed)?;
    let next = checkpoints.last().filter(|_| more).map(|last| last.size);
    let document = CheckpointsDocument { origin: origin.as_str(), checkpoints, next };
    Ok(answer::json(StatusCode::OK, &document, Freshness::Revalidate))
}

/// `GET /v1/{ns}/checkpoints/{size}`: the signed note of a published head.
pub(in crate::http) async fn checkpoint(
    _: NoQuery,
    Path((_, size)): Path<(String, String)>,
    shown: Shown,
) -> Result<Response, Problem> {
    let size = parameters::tree_size(&size)?;
    let handle = &shown.served.handle;
    let mut found = Vec::new();
    if size <= shown.published.size {
        found = handle.store().publications(handle.origin(), size, 1).await.map_err(ReadError::Store)?;
    }
    let Some(head) = found.pop().filter(|head| head.size == size) else {
        let detail =
            format!("no head of size {size} was published here; /v1/{}/checkpoints lists them", handle.namespace());
        return Err(Problem::new(ProblemKind::NoSuchCheckpoint, detail));
    };
    Ok(answer::text(head.note, Freshness::Revalidate))
}

fn one_less(size: TreeSize) -> Option<TreeSize> {
    size.get().checked_sub(1).and_then(TreeSize::new)
}

/// What was published was verified before it was stored.
fn malformed() -> Problem {
    tracing::error!("a published head cannot be read back");
    Problem::new(ProblemKind::Fault, "the server failed to read the history")
}
