//! The plexi-shaped endpoints; the shapes are [`crate::plexi`]'s. Only what is certified *and* published shows here.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::answer::{self, Freshness};
use super::parameters::{self, Parameters};
use super::problem::{Problem, ProblemKind};
use super::{Served, Service};
use crate::plexi::{Configuration, KeyInfo, LastVerifiedEpoch, NamespaceInfo, Namespaces, SignatureResponse};

/// `GET /info`: the certificate keys of every namespace.
pub(super) async fn info(State(service): State<Arc<Service>>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let keys = service.namespaces().flat_map(|served| &served.handle.trust().keys.certificate);
    let configuration = Configuration {
        keys: keys.map(KeyInfo::of).collect(),
        logs: service.namespaces().map(|served| served.handle.namespace().to_string()).collect(),
    };
    Ok(answer::json(StatusCode::OK, &configuration, Freshness::Revalidate))
}

/// `GET /namespaces`.
pub(super) async fn namespaces(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let namespaces = Namespaces { namespaces: service.namespaces().map(info_of).collect() };
    Ok(answer::json(StatusCode::OK, &namespaces, Freshness::Revalidate))
}

/// `GET /namespaces/{ns}`.
pub(super) async fn namespace(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let info = info_of(service.namespace(&ns)?);
    Ok(answer::json(StatusCode::OK, &info, Freshness::Revalidate))
}

fn info_of(served: &Served) -> NamespaceInfo {
    let published = served.handle.published();
    NamespaceInfo::of(served.handle.namespace(), published.as_ref().map(|published| published.state.as_ref()))
}

/// `GET /namespaces/{ns}/audits/{epoch}`: the certificate of a published statement.
pub(super) async fn audit(
    State(service): State<Arc<Service>>,
    Path((ns, epoch)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let epoch = parameters::epoch(&epoch)?;
    let (served, published) = service.published(&ns)?;
    let record = published.state.statement(epoch).ok_or_else(|| {
        Problem::new(ProblemKind::NoSuchEpoch, format_args!("no statement of epoch {epoch} is published"))
    })?;
    let keys = &published.state.authority().keys().certificate;
    let audit = SignatureResponse::of(served.handle.namespace(), keys, record);
    Ok(answer::json(StatusCode::OK, &audit, Freshness::Revalidate))
}

/// `GET /namespaces/{ns}/last-verified-epoch`: the newest published statement.
pub(super) async fn last_verified_epoch(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let (_, published) = service.published(&ns)?;
    let record = published
        .state
        .newest_certified()
        .ok_or_else(|| Problem::new(ProblemKind::NoSuchEpoch, "no statement is published yet"))?;
    Ok(answer::json(StatusCode::OK, &LastVerifiedEpoch::of(record), Freshness::Revalidate))
}
