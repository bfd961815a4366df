//! Submissions.

use axum::routing::post;

use super::{Endpoint, NAMED};
use crate::http::describe::Operation;
use crate::http::problem::ProblemKind::{self, *};
use crate::http::submissions::{self, StatementBody, SubmittedDocument};

/// Who asks.
const AUTHORIZED: [ProblemKind; 16] = [
    SubmissionsClosed,
    TokenMissing,
    TokenMalformed,
    ApprovalAsToken,
    TokenType,
    TokenAlgorithm,
    TokenKeyUnknown,
    TokenIssuer,
    TokenSignature,
    TokenAudience,
    TokenLifetime,
    TokenExpired,
    TokenNotYetValid,
    WrongNamespace,
    MissingScope,
    TokenKeysUnreadable,
];

/// What may become of any submission.
const SUBMITTED: [ProblemKind; 9] = [
    RateLimited,
    BodyTooLarge,
    BodyUnreadable,
    OtherKind,
    Frozen,
    MalformedParameter,
    NotCommittedInTime,
    StorageUnavailable,
    Stopped,
];

/// What a log of statements refuses.
const RULES: [ProblemKind; 25] = [
    MalformedEntry,
    MalformedStatement,
    Epoch,
    Chain,
    Renewal,
    RenewalTooEarly,
    PolicySerial,
    OtherLog,
    NoPolicy,
    StatementLifetime,
    RevokedReturns,
    OtherPolicy,
    Certificate,
    CertificateTime,
    Approval,
    Attestation,
    Policy,
    NotCertified,
    ActivationOrder,
    RevokedEpoch,
    Countersignature,
    UnknownKey,
    Signature,
    AuthorityChange,
    PolicyNotInForce,
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    let described = |id, path, summary| {
        Operation::post(id, path, summary)
            .query(&["wait"])
            .header("prefer")
            .problems(&NAMED)
            .problems(&AUTHORIZED)
            .problems(&SUBMITTED)
    };
    let late =
        "The entry is kept, and has not come as far as `wait` says before the deadline; it will be at `location`.";
    let statement = described("submitStatement", "/v1/{ns}/statements", "Submit a statement")
        .about("It is admitted by the policy in force, certified and logged. The same statement again is answered with the same index.")
        .takes_json::<StatementBody>("At most 256 KiB.")
        .json::<SubmittedDocument>(200, "Where the entry is.")
        .json::<SubmittedDocument>(202, late)
        .problems(&[MalformedSubmission])
        .problems(&RULES);
    let entry = described("submitEntry", "/v1/{ns}/entries", "Submit a finished entry")
        .about("An activation, a revocation, evidence, a change of policy or of authority.")
        .takes_bytes("Its exact bytes.")
        .json::<SubmittedDocument>(200, "Where the entry is.")
        .json::<SubmittedDocument>(202, late)
        .problems(&[EntryType])
        .problems(&RULES);
    let add = described("add", "/v1/{ns}/add", "Append an opaque entry to a `raw` log")
        .about("`wait` is `committed` if not said. The same bytes again are answered with the same index.")
        .takes_bytes("The entry: 1 to 65,535 bytes.")
        .gives(200, "text/plain", "The index in decimal, and a newline.")
        .gives(202, "text/plain", "The same, where the level asked for was not reached in time.")
        .problems(&[EntryLength]);
    let limits = (submissions::statement_limit, submissions::entry_limit);
    vec![
        Endpoint::submission(post(submissions::statement).layer(limits.0()), statement),
        Endpoint::submission(post(submissions::entry).layer(limits.1()), entry),
        Endpoint::submission(post(submissions::add).layer(limits.1()), add),
    ]
}
