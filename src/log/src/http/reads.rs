//! Reads of `/v1/{ns}/…`: entries, receipts, proofs, statements, bundles, and what a stranger needs to begin.
//!
//! Hashes of the tree stand in base64, as in checkpoints; leaf hashes, digests and key identities in hex, as in the
//! formats.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use countermark_bundle::identity::Epoch;
use countermark_bundle::link::ConsistencyLink;
use countermark_bundle::namespace_state::{NamespaceState, StatementRecord};
use countermark_tlog::hash::{Hash, LeafHash};
use countermark_tlog::proof::{ConsistencyProof, InclusionProof};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tlog_proof::TlogProof;

use super::answer::{self, Freshness};
use super::parameters::{self, Parameters};
use super::problem::{Problem, ProblemKind};
use super::{Served, Service};
use crate::published::Published;

mod documents;

use documents::{ConsistencyDocument, InclusionDocument, RecordDocument, StatusDocument};

/// `GET /v1/{ns}/entries/{index}`: the exact bytes.
pub(super) async fn entry(
    State(service): State<Arc<Service>>,
    Path((ns, index)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let index = parameters::leaf_index(&index)?;
    let (served, published) = service.published(&ns)?;
    let entry = entry_bytes(served, &published, index).await?;
    Ok(answer::bytes(Bytes::from_owner(entry), Freshness::Revalidate))
}

/// `GET /v1/{ns}/receipts/{index}`: C2SP tlog-proof under the newest published head.
pub(super) async fn receipt(
    State(service): State<Arc<Service>>,
    Path((ns, index)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let index = parameters::leaf_index(&index)?;
    let (served, published) = service.published(&ns)?;
    let receipt = TlogProof {
        extra: None,
        index,
        proof: inclusion_path(served, &published, index, published.size).await?,
        checkpoint: published.note.clone(),
    };
    Ok(answer::text(receipt.to_bytes(), Freshness::Revalidate))
}

/// `GET /v1/{ns}/proofs/inclusion?index=|leaf_hash=&size=`: the size is the published one if not said.
pub(super) async fn inclusion(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let parameters = Parameters::parse(query.as_deref(), &["index", "leaf_hash", "size"])?;
    let (index, hash) = (parameters.leaf_index("index")?, parameters.text("leaf_hash"));
    let (served, published) = service.published(&ns)?;
    let size = parameters.tree_size("size")?.unwrap_or(published.size);
    let index = match (index, hash) {
        (Some(index), None) => index,
        (None, Some(hash)) => index_of(served, &published, hash).await?,
        (Some(_), Some(_)) | (None, None) => return Err(parameters::missing("index or leaf_hash, one of them")),
    };
    within(&published, index, size)?;
    let (leaf_hash, path) = served.handle.inclusion_and_leaf(index, size).await?.ok_or_else(unreadable)?;
    let document = InclusionDocument {
        origin: served.handle.origin().as_str(),
        index: index.get(),
        size: size.get(),
        leaf_hash,
        path: path.hashes(),
    };
    Ok(answer::json(StatusCode::OK, &document, Freshness::Revalidate))
}

/// `GET /v1/{ns}/proofs/consistency?from=&to=`: `to` is the published size if not said.
pub(super) async fn consistency(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let parameters = Parameters::parse(query.as_deref(), &["from", "to"])?;
    let from = parameters.tree_size("from")?.ok_or_else(|| parameters::missing("from"))?;
    let (served, published) = service.published(&ns)?;
    let to = parameters.tree_size("to")?.unwrap_or(published.size);
    let proof = consistency_proof(served, &published, from, to).await?;
    let document = ConsistencyDocument {
        origin: served.handle.origin().as_str(),
        from: from.get(),
        to: to.get(),
        proof: proof.hashes(),
    };
    Ok(answer::json(StatusCode::OK, &document, Freshness::Revalidate))
}

/// `GET /v1/{ns}/links?from=`: the consistency link from a client's floor to the published head.
pub(super) async fn link(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let parameters = Parameters::parse(query.as_deref(), &["from"])?;
    let from = parameters.tree_size("from")?.ok_or_else(|| parameters::missing("from"))?;
    let (served, published) = service.published(&ns)?;
    let proof = consistency_proof(served, &published, from, published.size).await?;
    let link = ConsistencyLink::new(from, published.size, &proof);
    Ok(answer::json_bytes(link.write(), Freshness::Revalidate))
}

/// `GET /v1/{ns}/statements/{epoch}`: the exact bytes of a published statement.
pub(super) async fn statement(
    State(service): State<Arc<Service>>,
    Path((ns, epoch)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let epoch = parameters::epoch(&epoch)?;
    let (_, published) = service.published(&ns)?;
    let bytes = certified(&published, epoch)?.statement.bytes().to_vec();
    Ok(answer::json_bytes(bytes, Freshness::Revalidate))
}

/// `GET /v1/{ns}/statements/{epoch}/record`: what the log has on a published statement.
pub(super) async fn statement_record(
    State(service): State<Arc<Service>>,
    Path((ns, epoch)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let epoch = parameters::epoch(&epoch)?;
    let (_, published) = service.published(&ns)?;
    let document = RecordDocument::of(fleet_keys(&published)?, certified(&published, epoch)?);
    Ok(answer::json(StatusCode::OK, &document, Freshness::Revalidate))
}

/// `GET /v1/{ns}/bundles/newest`: the validation bundle of the newest active epoch.
pub(super) async fn newest_bundle(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    bundle_of(&service, &ns, None).await
}

/// `GET /v1/{ns}/bundles/{epoch}`: the validation bundle of an epoch.
pub(super) async fn bundle(
    State(service): State<Arc<Service>>,
    Path((ns, epoch)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    bundle_of(&service, &ns, Some(parameters::epoch(&epoch)?)).await
}

async fn bundle_of(service: &Service, ns: &str, epoch: Option<Epoch>) -> Result<Response, Problem> {
    let (served, published) = service.published(ns)?;
    let bundle = served.bundles.bundle(&served.handle, &published, epoch).await?;
    Ok(answer::json_bytes(Bytes::from_owner(bundle), Freshness::Revalidate))
}

/// `GET /v1/{ns}/trust`: the trust file that the namespace was created with. To be compared, never to be trusted: a
/// client's own comes from elsewhere.
pub(super) async fn trust(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let trust = service.namespace(&ns)?.handle.foundation().trust().ok_or_else(other_kind)?;
    Ok(answer::json_bytes(trust.write(), Freshness::Revalidate))
}

/// `GET /v1/{ns}/policy`: the tlog-policy text that the log was created with.
pub(super) async fn policy(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let policy = service.namespace(&ns)?.handle.foundation().policy_text().to_owned();
    Ok(answer::text(policy, Freshness::Revalidate))
}

/// `GET /v1/{ns}/status`: where the namespace stands; also before the first head is published.
pub(super) async fn status(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let served = service.namespace(&ns)?;
    let document = StatusDocument::of(served, served.handle.published().as_deref());
    Ok(answer::json(StatusCode::OK, &document, Freshness::Revalidate))
}

fn certified(published: &Published, epoch: Epoch) -> Result<&StatementRecord, Problem> {
    fleet_keys(published)?.statement(epoch).ok_or_else(|| {
        Problem::new(ProblemKind::NoSuchEpoch, format_args!("no statement of epoch {epoch} is published"))
    })
}

/// The state of a log that certifies statements.
pub(super) fn fleet_keys(published: &Published) -> Result<&NamespaceState, Problem> {
    published.state.fleet_keys().ok_or_else(other_kind)
}

fn other_kind() -> Problem {
    Problem::new(ProblemKind::OtherKind, "a raw log has opaque entries, no statements and no trust file")
}

async fn entry_bytes(served: &Served, published: &Published, index: LeafIndex) -> Result<Arc<[u8]>, Problem> {
    if !index.is_in(published.size) {
        return Err(beyond(published, format_args!("entry {index}")));
    }
    served.handle.entry(index).await?.ok_or_else(unreadable)
}

/// The path of an entry in a tree of a size that was published or passed.
async fn inclusion_path(
    served: &Served,
    published: &Published,
    index: LeafIndex,
    size: TreeSize,
) -> Result<InclusionProof, Problem> {
    within(published, index, size)?;
    served.handle.inclusion(index, size).await?.ok_or_else(unreadable)
}

/// Refuses an entry that a published tree of this size does not have.
fn within(published: &Published, index: LeafIndex, size: TreeSize) -> Result<(), Problem> {
    if size > published.size {
        return Err(beyond(published, format_args!("a tree of size {size}")));
    }
    if !index.is_in(published.size) {
        return Err(beyond(published, format_args!("entry {index}")));
    }
    if !index.is_in(size) {
        let detail = format!("a tree of size {size} has no entry {index}");
        return Err(Problem::new(ProblemKind::MalformedParameter, detail));
    }
    Ok(())
}

async fn consistency_proof(
    served: &Served,
    published: &Published,
    from: TreeSize,
    to: TreeSize,
) -> Result<ConsistencyProof, Problem> {
    if to > published.size || from > published.size {
        return Err(beyond(published, format_args!("a tree of size {}", from.max(to))));
    }
    if from > to {
        let detail = format!("no tree of size {from} is the beginning of one of size {to}");
        return Err(Problem::new(ProblemKind::SizesOutOfOrder, detail));
    }
    served.handle.consistency(from, to).await?.ok_or_else(unreadable)
}

/// Where the published entry of a leaf hash is.
async fn index_of(served: &Served, published: &Published, text: &str) -> Result<LeafIndex, Problem> {
    let bytes: Option<[u8; 32]> = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    let hash = bytes
        .filter(|bytes| hex::encode(bytes) == text)
        .ok_or_else(|| Problem::new(ProblemKind::MalformedParameter, "leaf_hash must be 64 lower-case hex digits"))?;
    let index = served.handle.index_of_leaf_hash(LeafHash(Hash(hash))).await?;
    index.filter(|index| index.is_in(published.size)).ok_or_else(|| {
        Problem::new(ProblemKind::UnknownLeaf, format_args!("no published entry has the leaf hash {text}"))
    })
}

fn beyond(published: &Published, what: std::fmt::Arguments<'_>) -> Problem {
    let detail = format!("{what} is not published, the log has published {}", published.size);
    Problem::new(ProblemKind::BeyondPublishedHead, detail)
}

/// The published tree is never larger than the committed one, so what it has can be read.
fn unreadable() -> Problem {
    tracing::error!("the published tree has something that could not be read");
    Problem::new(ProblemKind::Fault, "the server failed to read the log")
}
