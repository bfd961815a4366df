//! Every refusal of the domain, made as data, and the row of the table that it becomes.

use std::collections::BTreeSet;
use std::io;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use axum::response::IntoResponse as _;
use countermark_bundle::approval::ApprovalError;
use countermark_bundle::attestation::UntrustedAttestation;
use countermark_bundle::authority::AuthorityChangeError;
use countermark_bundle::certificate::CertificateError;
use countermark_bundle::countersignature::CountersignatureError;
use countermark_bundle::entry::EntryError;
use countermark_bundle::identity::{Digest, Epoch, Namespace, Side};
use countermark_bundle::key::{KeyId, SignatureError};
use countermark_bundle::namespace_state::Returning;
use countermark_bundle::statement::StatementError;
use countermark_signer_policy::access_token::{Audience, Issuer, Scope};
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::size::{LeafIndex, TreeSize};

use super::*;
use crate::admit::rule_name;
use crate::auth::TokenKeysError;
use crate::ports::{LogKind, PortFault, PortName};
use crate::testing::world::at;

const DIGEST: Digest = Digest([7; 32]);
const KEY: KeyId = KeyId(DIGEST);
const EPOCH: Epoch = Epoch::FIRST;

fn rules() -> Vec<RuleViolation> {
    let origin = || Origin::new("log.example/backup").unwrap();
    vec![
        EntryError::NoTarget.into(),
        RuleViolation::OtherLog { expected: origin(), found: origin() },
        RuleViolation::NoPolicy,
        StatementError::Previous.into(),
        RuleViolation::Epoch { expected: EPOCH, found: EPOCH },
        RuleViolation::Chain { expected: None, found: Some(DIGEST) },
        RuleViolation::StatementLifetime { found: 2, limit: 1 },
        RuleViolation::Returns { what: Returning::Key(KEY) },
        RuleViolation::Policy { expected: DIGEST, found: DIGEST },
        CertificateError::UnknownKey { found: KEY }.into(),
        RuleViolation::CertificateTime { last: 2, found: 1 },
        ApprovalError::Form.into(),
        RuleViolation::NotCertified { epoch: EPOCH },
        RuleViolation::ActivationOrder { newest: EPOCH, found: EPOCH },
        RuleViolation::Renewal { epoch: EPOCH, expected: 1, found: 2 },
        RuleViolation::RenewalTooEarly { epoch: EPOCH },
        RuleViolation::RevokedEpoch { epoch: EPOCH },
        CountersignatureError::Order.into(),
        RuleViolation::UnknownKey { side: Side::Operator, purpose: "revocation", found: KEY },
        RuleViolation::Signature { purpose: "revocation", source: SignatureError::Invalid },
        RuleViolation::PolicySerial { expected: 1, found: 2 },
        AuthorityChangeError::NotCommitted.into(),
    ]
}

fn refusals() -> Vec<Refusal> {
    let attestation = UntrustedAttestation::parse(b"{}").unwrap_err();
    let policy = countermark_signer_policy::Refusal { policy: DIGEST, rules: vec![], reasons: vec![] };
    let mut refusals = vec![
        StatementError::Previous.into(),
        EntryError::NoTarget.into(),
        Refusal::NotSubmittable { entry_type: "countermark/authority-change/v1" },
        Refusal::OtherKind { kind: LogKind::Raw },
        Refusal::EntryLength { found: 0 },
        Refusal::Frozen { size: TreeSize::ZERO },
        Refusal::Approval(ApprovalError::Form),
        Refusal::Attestation { position: 0, source: attestation },
        Refusal::Policy(policy),
        Refusal::PolicyNotInForce { in_force: DIGEST, loaded: DIGEST },
    ];
    refusals.extend(rules().into_iter().map(Refusal::Rule));
    refusals
}

fn tokens() -> Vec<AuthRefusal> {
    let text = || "x".to_owned();
    let (issuer, audience) = (|| Issuer::new("i").unwrap(), || Audience::new("a").unwrap());
    let errors = vec![
        TokenError::Malformed { part: "token" },
        TokenError::IsAnApproval,
        TokenError::WrongType { found: text() },
        TokenError::UnknownKey { key_id: KEY },
        TokenError::WrongAlgorithm { expected: "EdDSA", found: text() },
        TokenError::BadSignature,
        TokenError::WrongIssuer { expected: issuer(), found: issuer() },
        TokenError::WrongAudience { expected: audience(), found: audience() },
        TokenError::LifetimeTooLong { found: 1 },
        TokenError::NotYetValid { from: 2, now: at(1) },
        TokenError::Expired { until: 1, now: at(2) },
    ];
    let unreadable = TokenKeysError::Read { path: "keys.json".into(), source: io::ErrorKind::NotFound.into() };
    let mut refusals: Vec<_> = errors.into_iter().map(AuthRefusal::Token).collect();
    refusals.extend([
        AuthRefusal::Missing,
        AuthRefusal::Header,
        AuthRefusal::Namespace { namespace: Namespace::parse("backup").unwrap() },
        AuthRefusal::Scope { scope: Scope::Entries },
        AuthRefusal::TooMany { retry_after: Duration::from_secs(1) },
        unreadable.into(),
    ]);
    refusals
}

fn exceeded() -> Vec<Exceeded> {
    let retry_after = Duration::from_millis(1_001);
    vec![
        Exceeded::Submissions { burst: NonZeroU32::MIN, each: Duration::from_secs(1), retry_after },
        Exceeded::Bytes { found: 1, retry_after },
        Exceeded::UnderWay { max: NonZeroUsize::MIN },
        Exceeded::Accounts,
    ]
}

fn read_error() -> ReadError {
    let source = io::Error::other("the disk is at /dev/secret");
    ReadError::Store(PortFault { port: PortName::Store, action: "read", source: source.into() })
}

fn bundles() -> Vec<BundleRefusal> {
    vec![
        BundleRefusal::OtherKind { kind: LogKind::Raw },
        BundleRefusal::NothingActive,
        BundleRefusal::NoSuchEpoch { epoch: EPOCH },
        BundleRefusal::NotActive { epoch: EPOCH },
        BundleRefusal::RenewalNeeded { epoch: EPOCH, tail: 17 },
        BundleRefusal::TooLarge { epoch: EPOCH, found: 1 << 21 },
        BundleRefusal::AuthorityChanged { serial: 1 },
        BundleRefusal::Path { index: LeafIndex::new(1).unwrap(), source: None },
        read_error().into(),
    ]
}

fn submissions() -> Vec<SubmitError> {
    let rule = RuleViolation::Epoch { expected: EPOCH, found: EPOCH };
    let mut errors = vec![
        SubmitError::Conflict { next_epoch: EPOCH, previous: None, rule },
        SubmitError::Overloaded { retry_after: Duration::from_secs(3) },
        SubmitError::DeadlinePassed { reached: None },
    ];
    let reasons = [
        SubmitFault::Signing,
        SubmitFault::SelfCheck,
        SubmitFault::NotKept,
        SubmitFault::Unknown,
        SubmitFault::Stopped,
    ];
    errors.extend(reasons.map(|reason| SubmitError::Fault { reason }));
    errors.extend(refusals().into_iter().map(SubmitError::Refused));
    errors
}

/// Rows that no refusal of the domain leads to: the surface itself says them, and its tests make it.
const OF_THE_SURFACE: [ProblemKind; 21] = [
    ProblemKind::NotFound,
    ProblemKind::MethodNotAllowed,
    ProblemKind::PathNotCanonical,
    ProblemKind::UnknownParameter,
    ProblemKind::MalformedParameter,
    ProblemKind::UnknownNamespace,
    ProblemKind::MalformedTilePath,
    ProblemKind::NothingPublished,
    ProblemKind::BeyondPublishedHead,
    ProblemKind::SizesOutOfOrder,
    ProblemKind::UnknownLeaf,
    ProblemKind::UnknownDigest,
    ProblemKind::NoSuchCheckpoint,
    ProblemKind::NotAcceptable,
    ProblemKind::NotReady,
    ProblemKind::SubmissionsClosed,
    ProblemKind::BodyTooLarge,
    ProblemKind::BodyUnreadable,
    ProblemKind::MalformedSubmission,
    ProblemKind::TimedOut,
    ProblemKind::Overloaded,
];

#[test]
fn every_refusal_is_in_the_table_and_every_row_is_a_refusal() {
    let mut found: BTreeSet<ProblemKind> = OF_THE_SURFACE.into_iter().collect();
    found.extend(tokens().into_iter().map(|refusal| Problem::from(refusal).kind()));
    found.extend(exceeded().into_iter().map(|exceeded| Problem::from(exceeded).kind()));
    found.extend(bundles().into_iter().map(|refusal| Problem::from(refusal).kind()));
    found.extend(submissions().into_iter().map(|error| Problem::from(error).kind()));
    let all: BTreeSet<ProblemKind> = ProblemKind::ALL.iter().copied().collect();
    assert_eq!(found, all);
}

#[test]
fn the_table_names_a_refusal_as_the_domain_does() {
    for refusal in refusals() {
        assert_eq!(refusal_kind(&refusal).name(), refusal.name(), "{refusal}");
    }
    for rule in rules() {
        assert_eq!(rule_kind(&rule).name(), rule_name(&rule), "{rule}");
    }
}

#[test]
fn names_are_unique_and_statuses_are_of_errors() {
    let names: BTreeSet<&str> = ProblemKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), ProblemKind::ALL.len());
    for kind in ProblemKind::ALL {
        assert!((400..600).contains(&kind.status()), "{kind:?}");
        assert!(kind.title().ends_with('.'), "{kind:?}");
        assert!(kind.name().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{kind:?}");
    }
}

#[test]
fn a_fault_tells_nothing_of_our_inside() {
    for problem in [Problem::from(read_error()), Problem::from(BundleRefusal::Read(read_error()))] {
        assert_eq!(problem.kind(), ProblemKind::Fault);
        assert!(!format!("{problem:?}").contains("secret"), "{problem:?}");
    }
}

#[test]
fn an_overloaded_log_says_when_to_come_back() {
    let problem = Problem::from(SubmitError::Overloaded { retry_after: Duration::from_secs(3) });
    let response = problem.into_response();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "3");
}

#[test]
fn whatever_is_only_so_for_a_time_says_when_to_come_back() {
    for kind in ProblemKind::ALL {
        let response = Problem::new(*kind, "x").into_response();
        let after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse::<u64>().unwrap());
        match (kind.status(), kind) {
            (429 | 503, _) | (_, ProblemKind::BeyondPublishedHead) => assert!(after.is_some_and(|s| s > 0), "{kind:?}"),
            (_, _) => assert_eq!(after, None, "{kind:?}"),
        }
    }
}

#[test]
fn the_time_to_come_back_is_rounded_up() {
    for (exceeded, expect) in exceeded().into_iter().zip(["2", "2", "1", "1"]) {
        let response = Problem::from(exceeded).into_response();
        assert_eq!(response.headers()["retry-after"], expect, "{exceeded:?}");
    }
}
