//! Entries, proofs, receipts, heads and keys.

use axum::routing::get;

use super::{Endpoint, NAMED, SHOWN};
use crate::http::describe::Operation;
use crate::http::problem::ProblemKind::{
    self, BeyondPublishedHead, MalformedParameter, NoSuchCheckpoint, NoSuchEpoch, NotAcceptable, OtherKind,
    SizesOutOfOrder, UnknownDigest, UnknownLeaf,
};
use crate::http::reads::documents::{
    CheckpointsDocument, ConsistencyDocument, InclusionDocument, KeysDocument, LinkSchema, ReceiptDocument,
    StatusDocument,
};
use crate::http::reads::{FINDERS, checkpoints, keys, proofs, receipts};

/// An entry that may not be found.
const FOUND: [ProblemKind; 5] = [BeyondPublishedHead, UnknownLeaf, UnknownDigest, NoSuchEpoch, OtherKind];
/// The forms of receipts beside JSON.
const RECEIPT_FORMS: [&str; 2] = ["text/plain", "application/cose"];
const RECEIPT: &str = "As text/plain a C2SP tlog-proof, with the witnesses' cosignatures; as application/json the same in \
                       JSON; as application/cose an RFC 9942 receipt, which the log alone has signed. Chosen by `Accept`; \
                       tlog-proof if nothing is said. A server without the log's key has no COSE receipts.";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = about_entries();
    endpoints.extend(about_heads());
    endpoints
}

fn about_entries() -> Vec<Endpoint> {
    let entry = Operation::get("entry", "/v1/{ns}/entries/{index}", "An entry")
        .gives(200, "application/octet-stream", "Its exact bytes.")
        .problems(&SHOWN)
        .problems(&[BeyondPublishedHead, MalformedParameter]);
    let inclusion = Operation::get("inclusionProof", "/v1/{ns}/proofs/inclusion", "An inclusion proof")
        .about("Asked for by exactly one of `index`, `leaf_hash`, `digest` and `epoch`, in the tree of any size up to the published one.")
        .query(&FINDERS)
        .query(&["size"])
        .json::<InclusionDocument<'_>>(200, "An RFC 6962 audit path.")
        .problems(&SHOWN)
        .problems(&FOUND);
    let consistency = Operation::get("consistencyProof", "/v1/{ns}/proofs/consistency", "A consistency proof")
        .needs("from")
        .query(&["to"])
        .json::<ConsistencyDocument<'_>>(200, "An RFC 6962 consistency proof.")
        .problems(&SHOWN)
        .problems(&[BeyondPublishedHead, SizesOutOfOrder]);
    let link =
        Operation::get("link", "/v1/{ns}/links", "The consistency link from a client's floor to the published head")
            .needs("from")
            .json::<LinkSchema>(200, "What a client needs beside a bundle.")
            .problems(&SHOWN)
            .problems(&[BeyondPublishedHead, SizesOutOfOrder]);
    let receipt = Operation::get("receipt", "/v1/{ns}/receipts/{index}", "An entry's receipt")
        .about(RECEIPT)
        .forms::<ReceiptDocument<'_>>(200, "Its inclusion under the newest head.", &RECEIPT_FORMS)
        .problems(&SHOWN)
        .problems(&[BeyondPublishedHead, MalformedParameter, NotAcceptable]);
    let found = Operation::get("findReceipt", "/v1/{ns}/receipts", "The receipt of an entry that is looked up")
        .about(RECEIPT)
        .query(&FINDERS)
        .forms::<ReceiptDocument<'_>>(200, "Its inclusion under the newest head.", &RECEIPT_FORMS)
        .problems(&SHOWN)
        .problems(&FOUND)
        .problems(&[NotAcceptable]);
    vec![
        Endpoint::read(get(proofs::entry), entry),
        Endpoint::read(get(proofs::inclusion), inclusion),
        Endpoint::read(get(proofs::consistency), consistency),
        Endpoint::read(get(proofs::link), link),
        Endpoint::read(get(receipts::receipt), receipt),
        Endpoint::read(get(receipts::found), found),
    ]
}

fn about_heads() -> Vec<Endpoint> {
    let checkpoints = Operation::get("checkpoints", "/v1/{ns}/checkpoints", "The history of published heads")
        .about(
            "Every head that was ever published, each with every cosignature that it had at last; the largest first. \
                A server over an export has the newest alone.",
        )
        .query(&["before", "limit"])
        .json::<CheckpointsDocument<'_>>(200, "A part of the history.")
        .problems(&SHOWN);
    let checkpoint = Operation::get("checkpointOfSize", "/v1/{ns}/checkpoints/{size}", "A published head")
        .gives(200, "text/plain", "Its signed note.")
        .problems(&SHOWN)
        .problems(&[NoSuchCheckpoint, MalformedParameter]);
    let keys = Operation::get("keys", "/v1/{ns}/keys", "The keys in force")
        .about("To be compared, never to be trusted: a client's own come from elsewhere.")
        .json::<KeysDocument>(200, "Each with what it is for.")
        .problems(&NAMED);
    let trust = Operation::get("trust", "/v1/{ns}/trust", "The trust file that the log was created with")
        .about("To be compared, never to be trusted.")
        .json::<serde_json::Value>(200, "A trust file.")
        .problems(&NAMED)
        .problems(&[OtherKind]);
    let policy = Operation::get("policy", "/v1/{ns}/policy", "The witness policy that the log was created with")
        .gives(200, "text/plain", "SPEC: C2SP tlog-policy.")
        .problems(&NAMED);
    let status = Operation::get("status", "/v1/{ns}/status", "Where a namespace stands")
        .json::<StatusDocument<'_>>(200, "Also before the first head is published.")
        .problems(&NAMED);
    vec![
        Endpoint::read(get(checkpoints::checkpoints), checkpoints),
        Endpoint::read(get(checkpoints::checkpoint), checkpoint),
        Endpoint::read(get(keys::keys), keys),
        Endpoint::read(get(keys::trust), trust),
        Endpoint::read(get(keys::policy), policy),
        Endpoint::read(get(keys::status), status),
    ]
}
