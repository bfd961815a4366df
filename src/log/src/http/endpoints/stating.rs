//! Statements and bundles.

use axum::routing::get;

use super::{Endpoint, SHOWN};
use crate::http::describe::Operation;
use crate::http::problem::ProblemKind::{
    MalformedParameter, NoSuchEpoch, NotActive, NothingActive, OtherKind, RenewalNeeded,
};
use crate::http::reads::documents::{RecordDocument, StatementsDocument};
use crate::http::reads::statements;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let list = Operation::get("statements", "/v1/{ns}/statements", "Published statements")
        .about("Every published statement that names the fleet and the key, and has the digest, as far as they are said; the newest first.")
        .query(&["fleet_id", "key_id", "digest"])
        .json::<StatementsDocument<'_>>(200, "What the log has on each.")
        .problems(&SHOWN)
        .problems(&[OtherKind]);
    let statement = Operation::get("statement", "/v1/{ns}/statements/{epoch}", "A published statement")
        .json::<serde_json::Value>(200, "Its exact bytes: the digest is over them.")
        .problems(&SHOWN)
        .problems(&[NoSuchEpoch, OtherKind, MalformedParameter]);
    let record = Operation::get("record", "/v1/{ns}/statements/{epoch}/record", "What the log has on a statement")
        .json::<RecordDocument<'_>>(200, "Certificate, activations, revocation.")
        .problems(&SHOWN)
        .problems(&[NoSuchEpoch, OtherKind, MalformedParameter]);
    let newest =
        Operation::get("newestBundle", "/v1/{ns}/bundles/newest", "The validation bundle of the newest active epoch")
            .about("Everything that a client verifies offline before it opens a session.")
            .json::<serde_json::Value>(200, "A validation bundle.")
            .problems(&SHOWN)
            .problems(&[NothingActive, RenewalNeeded, OtherKind]);
    let bundle = Operation::get("bundle", "/v1/{ns}/bundles/{epoch}", "The validation bundle of an epoch")
        .json::<serde_json::Value>(200, "A validation bundle.")
        .problems(&SHOWN)
        .problems(&[NoSuchEpoch, NotActive, RenewalNeeded, OtherKind, MalformedParameter]);
    vec![
        Endpoint::read(get(statements::statements), list),
        Endpoint::read(get(statements::statement), statement),
        Endpoint::read(get(statements::record), record),
        Endpoint::read(get(statements::newest_bundle), newest),
        Endpoint::read(get(statements::bundle), bundle),
    ]
}
