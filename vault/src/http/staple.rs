//! What the fleet staples, at the addresses and in the form of the log: whoever can read a bundle from the log can read
//! it from a member.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse as _, Response};
use countermark_bundle::link::ConsistencyLink;
use countermark_tlog::proof::ConsistencyProof;
use countermark_tlog::size::TreeSize;
use countermark_vault_core::machine::Stapled;

use super::Served;
use super::problem::{JSON, Problem, Refused};
use crate::ports::Replicated;

/// Ask again each time: a fresher one may be there.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// `GET /v1/{ns}/bundles/newest`: the adopted bundle, byte for byte.
pub(super) async fn newest_bundle<Store, Fleet: Replicated>(
    State(served): State<Arc<Served<Store, Fleet>>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    if query.is_some_and(|query| !query.is_empty()) {
        return Problem::UnknownParameter.answer("this address knows no parameters");
    }
    stapled(&served, &ns, |stapled| Ok(stapled.bundle.to_vec()))
}

/// `GET /v1/{ns}/links?from=`: the consistency link from a head that was stapled before.
pub(super) async fn link<Store, Fleet: Replicated>(
    State(served): State<Arc<Served<Store, Fleet>>>,
    Path(ns): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let from = match parse_from(query.as_deref().unwrap_or_default()) {
        Ok(from) => from,
        Err(refused) => return refused.answer(),
    };
    stapled(&served, &ns, |stapled| link_from(stapled, from))
}

fn link_from(stapled: &Stapled<'_>, from: TreeSize) -> Result<Vec<u8>, Refused> {
    let to = TreeSize::new(stapled.size).ok_or_else(|| Problem::Fault.refuse("the member failed"))?;
    if from > to {
        let detail = format!("a tree of size {from} is not stapled, the stapled head has {to}");
        return Err(Problem::BeyondPublishedHead.refuse(detail));
    }
    // SPEC: RFC 6962 §2.1.2: from the empty tree, and between equal ones, a proof has no hashes.
    if from == to || from == TreeSize::ZERO {
        let nothing = ConsistencyProof::new(Vec::new()).expect("no hashes are not too many");
        return Ok(ConsistencyLink::new(from, to, &nothing).write());
    }
    let kept = stapled.link(from).map(<[u8]>::to_vec);
    kept.ok_or_else(|| Problem::UnknownLink.refuse(format!("no link from size {from} to size {to} is kept here")))
}

fn stapled<Store, Fleet: Replicated>(
    served: &Served<Store, Fleet>,
    ns: &str,
    read: impl FnOnce(&Stapled<'_>) -> Result<Vec<u8>, Refused>,
) -> Response {
    let seat = served.seat.as_ref().filter(|seat| seat.namespace().as_str() == ns);
    let Some(seat) = seat else {
        return Problem::UnknownNamespace.answer("the fleet's log is of another namespace");
    };
    let read = seat.serving().and_then(|serving| serving.fleet.read(|machine| machine.stapled().map(|it| read(&it))));
    match read {
        Some(Ok(bytes)) => {
            let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, NO_CACHE), (X_CONTENT_TYPE_OPTIONS, NO_SNIFF)];
            (headers, bytes).into_response()
        }
        Some(Err(refused)) => refused.answer(),
        None => Problem::NothingActive.answer("no bundle is adopted yet"),
    }
}

/// The one parameter, read as strictly as the log does.
fn parse_from(query: &str) -> Result<TreeSize, Refused> {
    let malformed = || Problem::MalformedParameter.refuse("from must stand there once, as a decimal number");
    let mut from = None;
    for part in query.split('&').filter(|_| !query.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if name != "from" {
            return Err(Problem::UnknownParameter.refuse("this address knows the parameter from, and no other"));
        }
        if from.replace(value).is_some() {
            return Err(malformed());
        }
    }
    from.and_then(|from| TreeSize::parse_decimal(from).ok()).ok_or_else(malformed)
}
