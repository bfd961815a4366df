//! The plexi-shaped endpoints; the shapes are [`crate::plexi`]'s. Only what is certified *and* published shows here.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::answer::{self, Freshness};
use super::extract::{InNamespace, NoQuery, Shown};
use super::parameters;
use super::problem::{Problem, ProblemKind};
use super::reads::{fleet_keys, no_such_epoch};
use super::{Served, Service};
use crate::plexi::{Configuration, KeyInfo, LastVerifiedEpoch, NamespaceInfo, Namespaces, SignatureResponse};

/// `GET /info`: the certificate keys of every namespace.
pub(super) async fn info(_: NoQuery, State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    let certifying = || service.namespaces().filter_map(|served| Some((served, served.handle.foundation().trust()?)));
    let keys = certifying().flat_map(|(_, trust)| &trust.keys.certificate);
    let configuration = Configuration {
        keys: keys.map(KeyInfo::of).collect(),
        logs: certifying().map(|(served, _)| served.handle.namespace().to_string()).collect(),
    };
    Ok(answer::json(StatusCode::OK, &configuration, Freshness::Revalidate))
}

/// `GET /namespaces`.
pub(super) async fn namespaces(_: NoQuery, State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    let namespaces =
        Namespaces { namespaces: service.namespaces().filter(|served| certifies(served)).map(info_of).collect() };
    Ok(answer::json(StatusCode::OK, &namespaces, Freshness::Revalidate))
}

/// `GET /namespaces/{ns}`.
pub(super) async fn namespace(_: NoQuery, InNamespace(served): InNamespace) -> Result<Response, Problem> {
    if !certifies(&served) {
        return Err(Problem::new(ProblemKind::OtherKind, "a raw log has no epochs to audit"));
    }
    let info = info_of(&served);
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
    _: NoQuery,
    Path((_, epoch)): Path<(String, String)>,
    Shown { served, published }: Shown,
) -> Result<Response, Problem> {
    let epoch = parameters::epoch(&epoch)?;
    let state = fleet_keys(&published)?;
    let record = state.statement(epoch).ok_or_else(|| no_such_epoch(epoch))?;
    let keys = &state.authority().keys().certificate;
    let audit = SignatureResponse::of(served.handle.namespace(), keys, record);
    Ok(answer::json(StatusCode::OK, &audit, Freshness::Revalidate))
}

/// `GET /namespaces/{ns}/last-verified-epoch`: the newest published statement.
pub(super) async fn last_verified_epoch(_: NoQuery, Shown { published, .. }: Shown) -> Result<Response, Problem> {
    let record = fleet_keys(&published)?
        .newest_certified()
        .ok_or_else(|| Problem::new(ProblemKind::NoSuchEpoch, "no statement is published yet"))?;
    Ok(answer::json(StatusCode::OK, &LastVerifiedEpoch::of(record), Freshness::Revalidate))
}
