//! The plexi-shaped endpoints; the shapes are [`crate::plexi`]'s. Only what is certified *and* published shows here.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::answer::{self, Freshness};
use super::parameters::{self, Parameters};
use super::problem::{Problem, ProblemKind};
use super::reads::fleet_keys;
use super::{Served, Service};
use crate::plexi::{Configuration, KeyInfo, LastVerifiedEpoch, NamespaceInfo, Namespaces, SignatureResponse};

/// `GET /info`: the certificate keys of every namespace.
pub(super) async fn info(State(service): State<Arc<Service>>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let certifying = || service.namespaces().filter_map(|served| Some((served, served.handle.foundation().trust()?)));
    let keys = certifying().flat_map(|(_, trust)| &trust.keys.certificate);
    let configuration = Configuration {
        keys: keys.map(KeyInfo::of).collect(),
        logs: certifying().map(|(served, _)| served.handle.namespace().to_string()).collect(),
    };
    Ok(answer::json(StatusCode::OK, &configuration, Freshness::Revalidate))
}

/// `GET /namespaces`.
pub(super) async fn namespaces(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let namespaces =
        Namespaces { namespaces: service.namespaces().filter(|served| certifies(served)).map(info_of).collect() };
    Ok(answer::json(StatusCode::OK, &namespaces, Freshness::Revalidate))
}

/// `GET /namespaces/{ns}`.
pub(super) async fn namespace(
    State(service): State<Arc<Service>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    let served = service.namespace(&ns)?;
    if !certifies(served) {
        return Err(Problem::new(ProblemKind::OtherKind, "a raw log has no epochs to audit"));
    }
    let info = info_of(served);
    Ok(answer::json(StatusCode::OK, &info, Freshness::Revalidate))
}

/// plexi knows logs of statements only.
fn certifies(served: &Served) -> bool {
    served.handle.foundation().trust().is_some()
}

fn info_of(served: &Served) -> NamespaceInfo {
    let published = served.handle.published();
    NamespaceInfo::of(served.handle.namespace(), published.as_ref().and_then(|published| published.state.fleet_keys()))
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
    let state = fleet_keys(&published)?;
    let record = state.statement(epoch).ok_or_else(|| {
        Problem::new(ProblemKind::NoSuchEpoch, format_args!("no statement of epoch {epoch} is published"))
    })?;
    let keys = &state.authority().keys().certificate;
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
    let record = fleet_keys(&published)?
        .newest_certified()
        .ok_or_else(|| Problem::new(ProblemKind::NoSuchEpoch, "no statement is published yet"))?;
    Ok(answer::json(StatusCode::OK, &LastVerifiedEpoch::of(record), Freshness::Revalidate))
}
