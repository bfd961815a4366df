//! Receipts: an entry's inclusion under the newest head, in the form that the request accepts.

use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use countermark_tlog::size::LeafIndex;
use countermark_tlog::tlog_proof::TlogProof;

use super::documents::{InclusionDocument, ReceiptDocument};
use super::{FINDERS, find, leaf_and_path};
use crate::http::answer::{self, Freshness};
use crate::http::extract::{NoQuery, Shown};
use crate::http::negotiate;
use crate::http::parameters::{self, Parameters};
use crate::http::problem::{Problem, ProblemKind};

/// The form of a receipt.
enum Form {
    /// C2SP tlog-proof: with the witnesses' cosignatures.
    TlogProof,
    /// The same in JSON.
    Json,
    /// RFC 9942: with the log's signature alone.
    Cose,
}

const FORMS: [(&str, Form); 3] =
    [("text/plain", Form::TlogProof), ("application/json", Form::Json), ("application/cose", Form::Cose)];

/// `GET /v1/{ns}/receipts/{index}`.
pub(in crate::http) async fn receipt(
    _: NoQuery,
    Path((_, index)): Path<(String, String)>,
    headers: HeaderMap,
    shown: Shown,
) -> Result<Response, Problem> {
    receipt_of(&shown, parameters::leaf_index(&index)?, &headers).await
}

/// `GET /v1/{ns}/receipts?index=|leaf_hash=|digest=|epoch=`.
pub(in crate::http) async fn found(
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    shown: Shown,
) -> Result<Response, Problem> {
    let parameters = Parameters::parse(query.as_deref(), &FINDERS)?;
    let index = find(&shown, &parameters).await?;
    receipt_of(&shown, index, &headers).await
}

async fn receipt_of(shown: &Shown, index: LeafIndex, headers: &HeaderMap) -> Result<Response, Problem> {
    let form = negotiate::choose(headers, &FORMS)?;
    let published = &shown.published;
    let (leaf_hash, proof) = leaf_and_path(shown, index, published.size).await?;
    let response = match form {
        Form::TlogProof => {
            let receipt = TlogProof { extra: None, index, proof, checkpoint: published.note.clone() };
            answer::text(receipt.to_bytes(), Freshness::Revalidate)
        }
        Form::Json => {
            let inclusion = InclusionDocument {
                origin: shown.served.handle.origin().as_str(),
                index: index.get(),
                size: published.size.get(),
                leaf_hash,
                path: proof.hashes(),
            };
            let checkpoint = String::from_utf8_lossy(&published.note);
            answer::json(StatusCode::OK, &ReceiptDocument { inclusion, checkpoint }, Freshness::Revalidate)
        }
        Form::Cose => {
            let signer = shown.served.handle.receipts().ok_or_else(|| {
                let detail = "this server has no key and signs no COSE receipts; it has the other forms";
                Problem::new(ProblemKind::NotAcceptable, detail)
            })?;
            let receipt = signer.receipt(published, index, proof.hashes());
            let receipt = receipt.map_err(|error| Problem::fault("make a COSE receipt", &error))?;
            answer::cose(receipt, Freshness::Revalidate)
        }
    };
    Ok(answer::by_accept(response))
}
