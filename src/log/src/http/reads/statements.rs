//! Statements and the bundles that certify them.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
use axum::response::Response;
use countermark_bundle::identity::Epoch;
use countermark_bundle::statement::Statement;

use super::documents::{RecordDocument, StatementsDocument};
use super::{certified, fleet_keys};
use crate::http::answer::{self, Freshness};
use crate::http::extract::{NoQuery, Shown};
use crate::http::parameters::{self, Parameters};
use crate::http::problem::Problem;

/// `GET /v1/{ns}/statements?fleet_id=&key_id=&digest=`: every published statement, newest first, that names the fleet and
/// the key, and has the digest.
pub(in crate::http) async fn statements(shown: Shown, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let parameters = Parameters::parse(query.as_deref(), &["fleet_id", "key_id", "digest"])?;
    let fleet = parameters.name("fleet_id")?;
    let key = parameters.digest("key_id")?;
    let digest = parameters.digest("digest")?;
    let state = fleet_keys(&shown.published)?;
    let names_fleet = |statement: &Statement| {
        fleet.as_ref().is_none_or(|fleet| statement.fleets.iter().any(|one| one.fleet_id == *fleet))
    };
    let names_key = |statement: &Statement| {
        let mut keys = statement.fleets.iter().flat_map(|fleet| &fleet.members).flat_map(|member| &member.keys);
        key.is_none_or(|key| keys.any(|one| one.key_id.0 == key))
    };
    let statements = state.statements().rev().map(|(_, record)| record).filter(|record| {
        let statement = record.statement.statement();
        digest.is_none_or(|digest| record.statement.digest() == digest)
            && names_fleet(statement)
            && names_key(statement)
    });
    let document = StatementsDocument {
        origin: shown.served.handle.origin().as_str(),
        size: shown.published.size.get(),
        statements: statements.map(|record| RecordDocument::of(state, record)).collect(),
    };
    Ok(answer::json(StatusCode::OK, &document, Freshness::Revalidate))
}

/// `GET /v1/{ns}/statements/{epoch}`: the exact bytes of a published statement.
pub(in crate::http) async fn statement(
    _: NoQuery,
    Path((_, epoch)): Path<(String, String)>,
    shown: Shown,
) -> Result<Response, Problem> {
    let epoch = parameters::epoch(&epoch)?;
    let bytes = certified(&shown.published, epoch)?.statement.bytes().to_vec();
    Ok(answer::json_bytes(bytes, Freshness::Revalidate))
}

/// `GET /v1/{ns}/statements/{epoch}/record`: what the log has on a published statement.
pub(in crate::http) async fn record(
    _: NoQuery,
    Path((_, epoch)): Path<(String, String)>,
    shown: Shown,
) -> Result<Response, Problem> {
    let epoch = parameters::epoch(&epoch)?;
    let published = &shown.published;
    let document = RecordDocument::of(fleet_keys(published)?, certified(published, epoch)?);
    Ok(answer::json(StatusCode::OK, &document, Freshness::Revalidate))
}

/// `GET /v1/{ns}/bundles/newest`: the validation bundle of the newest active epoch.
pub(in crate::http) async fn newest_bundle(_: NoQuery, shown: Shown) -> Result<Response, Problem> {
    bundle_of(&shown, None).await
}

/// `GET /v1/{ns}/bundles/{epoch}`: the validation bundle of an epoch.
pub(in crate::http) async fn bundle(
    _: NoQuery,
    Path((_, epoch)): Path<(String, String)>,
    shown: Shown,
) -> Result<Response, Problem> {
    bundle_of(&shown, Some(parameters::epoch(&epoch)?)).await
}

async fn bundle_of(Shown { served, published }: &Shown, epoch: Option<Epoch>) -> Result<Response, Problem> {
    let bundle = served.bundles.bundle(&served.handle, published, epoch).await?;
    Ok(answer::json_bytes(Bytes::from_owner(bundle), Freshness::Revalidate))
}
