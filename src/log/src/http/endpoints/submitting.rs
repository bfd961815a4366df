//! Submissions.

use axum::routing::post;

use super::{Endpoint, NAMED};
use crate::http::describe::Operation;
use crate::http::problem::ProblemKind;
use crate::http::submissions::{self, StatementBody, SubmittedDocument};

/// Who asks.
const AUTHORIZED: [ProblemKind; 16] = [
    ProblemKind::SubmissionsClosed,
    ProblemKind::TokenMissing,
    ProblemKind::TokenMalformed,
    ProblemKind::ApprovalAsToken,
    ProblemKind::TokenType,
    ProblemKind::TokenAlgorithm,
    ProblemKind::TokenKeyUnknown,
    ProblemKind::TokenIssuer,
    ProblemKind::TokenSignature,
    ProblemKind::TokenAudience,
    ProblemKind::TokenLifetime,
    ProblemKind::TokenExpired,
    ProblemKind::TokenNotYetValid,
    ProblemKind::WrongNamespace,
    ProblemKind::MissingScope,
    ProblemKind::TokenKeysUnreadable,
];

/// What may become of any submission.
const SUBMITTED: [ProblemKind; 9] = [
    ProblemKind::RateLimited,
    ProblemKind::BodyTooLarge,
    ProblemKind::BodyUnreadable,
    ProblemKind::OtherKind,
    ProblemKind::Frozen,
    ProblemKind::MalformedParameter,
    ProblemKind::NotCommittedInTime,
    ProblemKind::StorageUnavailable,
    ProblemKind::Stopped,
];

/// What a log of statements refuses.
const RULES: [ProblemKind; 25] = [
    ProblemKind::MalformedEntry,
    ProblemKind::MalformedStatement,
    ProblemKind::Epoch,
    ProblemKind::Chain,
    ProblemKind::Renewal,
    ProblemKind::RenewalTooEarly,
    ProblemKind::PolicySerial,
    ProblemKind::OtherLog,
    ProblemKind::NoPolicy,
    ProblemKind::StatementLifetime,
    ProblemKind::RevokedReturns,
    ProblemKind::OtherPolicy,
    ProblemKind::Certificate,
    ProblemKind::CertificateTime,
    ProblemKind::Approval,
    ProblemKind::Attestation,
    ProblemKind::Policy,
    ProblemKind::NotCertified,
    ProblemKind::ActivationOrder,
    ProblemKind::RevokedEpoch,
    ProblemKind::Countersignature,
    ProblemKind::UnknownKey,
    ProblemKind::Signature,
    ProblemKind::AuthorityChange,
    ProblemKind::PolicyNotInForce,
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
        .problems(&[ProblemKind::MalformedSubmission])
        .problems(&RULES);
    let entry = described("submitEntry", "/v1/{ns}/entries", "Submit a finished entry")
        .about("An activation, a revocation, evidence, a change of policy or of authority.")
        .takes_bytes("Its exact bytes.")
        .json::<SubmittedDocument>(200, "Where the entry is.")
        .json::<SubmittedDocument>(202, late)
        .problems(&[ProblemKind::EntryType])
        .problems(&RULES);
    let add = described("add", "/v1/{ns}/add", "Append an opaque entry to a `raw` log")
        .about("`wait` is `committed` if not said. The same bytes again are answered with the same index.")
        .takes_bytes("The entry: 1 to 65,535 bytes.")
        .gives(200, "text/plain", "The index in decimal, and a newline.")
        .gives(202, "text/plain", "The same, where the level asked for was not reached in time.")
        .problems(&[ProblemKind::EntryLength]);
    let limits = (submissions::statement_limit, submissions::entry_limit);
    vec![
        Endpoint::submission(post(submissions::statement).layer(limits.0()), statement),
        Endpoint::submission(post(submissions::entry).layer(limits.1()), entry),
        Endpoint::submission(post(submissions::add).layer(limits.1()), add),
    ]
}
