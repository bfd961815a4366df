//! The shapes of plexi, the service's health, and this description.

use axum::routing::get;

use super::{Endpoint, NAMED, SHOWN};
use crate::http::describe::Operation;
use crate::http::health::{self, Ready, Up};
use crate::http::overview::{self, AuthorityDocument};
use crate::http::problem::ProblemKind::{MalformedParameter, NoSuchEpoch, NotReady, OtherKind};
use crate::http::{auditors, openapi};
use crate::plexi::{Configuration, LastVerifiedEpoch, NamespaceInfo, Namespaces, SignatureResponse};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = plexi();
    let healthz = Operation::get("healthz", "/healthz", "Is the process up?").never_kept().json::<Up>(200, "It is.");
    let readyz = Operation::get("readyz", "/readyz", "Is everything that is served fresh?")
        .never_kept()
        .json::<Ready>(200, "Every namespace takes submissions, publishes them, and has a head that clients accept.")
        .problems(&[NotReady]);
    let overview = Operation::get("authority", "/v1/status", "The whole authority")
        .never_kept()
        .about("Nothing in it is signed, so nothing in it is proof.")
        .json::<AuthorityDocument<'_>>(200, "Every namespace as its own status says, and the last refusals.");
    let described =
        Operation::get("openapi", "/openapi.json", "This description").json::<serde_json::Value>(200, "OpenAPI 3.1.");
    endpoints.push(Endpoint::read(get(health::healthz), healthz));
    endpoints.push(Endpoint::read(get(health::readyz), readyz));
    endpoints.push(Endpoint::read(get(overview::overview), overview));
    endpoints.push(Endpoint::read(get(openapi::openapi), described));
    endpoints
}

fn plexi() -> Vec<Endpoint> {
    let info = Operation::get("plexiInfo", "/info", "The certificate keys, for plexi's auditors")
        .json::<Configuration>(200, "plexi's `auditor::Configuration`.");
    let namespaces = Operation::get("plexiNamespaces", "/namespaces", "The namespaces, for plexi's auditors")
        .json::<Namespaces>(200, "plexi's `namespaces::Namespaces`.");
    let namespace = Operation::get("plexiNamespace", "/namespaces/{ns}", "A namespace, for plexi's auditors")
        .json::<NamespaceInfo>(200, "plexi's `namespaces::NamespaceInfo`.")
        .problems(&NAMED)
        .problems(&[OtherKind]);
    let audit = Operation::get("plexiAudit", "/namespaces/{ns}/audits/{epoch}", "A certificate, for plexi's auditors")
        .json::<SignatureResponse>(200, "plexi's `SignatureResponse`.")
        .problems(&SHOWN)
        .problems(&[NoSuchEpoch, OtherKind, MalformedParameter]);
    let last = "/namespaces/{ns}/last-verified-epoch";
    let last = Operation::get("plexiLastVerifiedEpoch", last, "The newest published statement, for plexi's auditors")
        .json::<LastVerifiedEpoch>(200, "plexi's `LastVerifiedEpoch`.")
        .problems(&SHOWN)
        .problems(&[NoSuchEpoch, OtherKind]);
    vec![
        Endpoint::read(get(auditors::info), info),
        Endpoint::read(get(auditors::namespaces), namespaces),
        Endpoint::read(get(auditors::namespace), namespace),
        Endpoint::read(get(auditors::audit), audit),
        Endpoint::read(get(auditors::last_verified_epoch), last),
    ]
}
