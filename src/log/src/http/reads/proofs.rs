//! Entries, and proofs about them.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use axum::response::Response;
use countermark_bundle::link::ConsistencyLink;

use super::documents::{ConsistencyDocument, InclusionDocument};
use super::{FINDERS, consistency_proof, entry_bytes, find, leaf_and_path};
use crate::http::answer::{self, Freshness};
use crate::http::extract::{NoQuery, Shown};
use crate::http::parameters::{self, Parameters};
use crate::http::problem::Problem;

/// `GET /v1/{ns}/entries/{index}`: the exact bytes.
pub(in crate::http) async fn entry(
    _: NoQuery,
    Path((_, index)): Path<(String, String)>,
    shown: Shown,
) -> Result<Response, Problem> {
    let entry = entry_bytes(&shown, parameters::leaf_index(&index)?).await?;
    Ok(answer::bytes(Bytes::from_owner(entry), Freshness::Revalidate))
}

/// `GET /v1/{ns}/proofs/inclusion?index=|leaf_hash=|digest=|epoch=&size=`: the size is the published one if not said.
pub(in crate::http) async fn inclusion(shown: Shown, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let parameters = Parameters::parse(query.as_deref(), &[FINDERS.as_slice(), &["size"]].concat())?;
    let size = parameters.tree_size("size")?.unwrap_or(shown.published.size);
    let index = find(&shown, &parameters).await?;
    let (leaf_hash, path) = leaf_and_path(&shown, index, size).await?;
    let document = InclusionDocument {
        origin: shown.served.handle.origin().as_str(),
        index: index.get(),
        size: size.get(),
        leaf_hash,
        path: path.hashes(),
    };
    Ok(answer::json(StatusCode::OK, &document, Freshness::Revalidate))
}

/// `GET /v1/{ns}/proofs/consistency?from=&to=`: `to` is the published size if not said.
pub(in crate::http) async fn consistency(shown: Shown, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let parameters = Parameters::parse(query.as_deref(), &["from", "to"])?;
    let from = parameters.tree_size("from")?.ok_or_else(|| parameters::missing("from"))?;
    let to = parameters.tree_size("to")?.unwrap_or(shown.published.size);
    let proof = consistency_proof(&shown, from, to).await?;
    let document = ConsistencyDocument {
        origin: shown.served.handle.origin().as_str(),
        from: from.get(),
        to: to.get(),
        proof: proof.hashes(),
    };
    Ok(answer::json(StatusCode::OK, &document, Freshness::Revalidate))
}

/// `GET /v1/{ns}/links?from=`: the consistency link from a client's floor to the published head.
pub(in crate::http) async fn link(shown: Shown, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let parameters = Parameters::parse(query.as_deref(), &["from"])?;
    let from = parameters.tree_size("from")?.ok_or_else(|| parameters::missing("from"))?;
    let proof = consistency_proof(&shown, from, shown.published.size).await?;
    let link = ConsistencyLink::new(from, shown.published.size, &proof);
    Ok(answer::json_bytes(link.write(), Freshness::Revalidate))
}
