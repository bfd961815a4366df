//! The keys of both organisations, the operator's trust file, and a countersigner over ports that tests own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use countermark_bundle::authority::{AuthorityKeys, OperatorKeys, SidedKeys};
use countermark_bundle::entry::Decision;
use countermark_bundle::identity::{Digest, Epoch, Name, Side, Timestamp};
use countermark_bundle::key::{KeyAlgorithm, PublicKey};
use countermark_bundle::statement::{
    AttestationRef, Fleet, FleetStatus, KeyRole, Member, MemberKey, STATEMENT_TYPE, Software, Statement,
};
use countermark_bundle::trust::{Limits, TRUST_TYPE, TrustFile, TrustFloor};
use countermark_keys::Role;
use countermark_signer_policy::PolicySet;
use countermark_signer_policy::access_token::{Audience, Issuer};
use countermark_tlog::checkpoint::{Checkpoint, Origin};
use countermark_tlog::hash::empty_root;
use countermark_tlog::note::{KeyName, SignatureType, VerifierKey};
use countermark_tlog::size::{LeafIndex, TreeSize};

use super::{FakeLog, FaultyLedger, Signatures, TestSigner};
use crate::access::AccessTokens;
use crate::countersign::OperatorKey;
use crate::countersigner::{Countersigner, Ports, Settings};
use crate::decide::OperatorRules;
use crate::follow::View;
use crate::ports::Clock;
use crate::receipt::{UntrustedEntry, VerifiedReceipt};
use crate::replay::Replay;

/// 2026-11-21T00:00:00Z.
pub(crate) const NOW: u64 = 1_795_219_200;
pub(crate) const ORIGIN: &str = "log.example/backup";
pub(crate) const AUDIENCE: &str = "https://log.example";
pub(crate) const ISSUER: &str = "https://operator.example";

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(seconds).unwrap()
}

pub(crate) fn epoch(number: u64) -> Epoch {
    Epoch::new(number).unwrap()
}

pub(crate) fn index(number: u64) -> LeafIndex {
    LeafIndex::new(number).unwrap()
}

pub(crate) fn size(number: u64) -> TreeSize {
    TreeSize::new(number).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn origin() -> Origin {
    Origin::new(ORIGIN).unwrap()
}

pub(crate) fn vkey(name: &str, kind: SignatureType, key: &PublicKey) -> VerifierKey {
    VerifierKey::new(KeyName::new(name).unwrap(), kind, key.bytes()).unwrap()
}

/// Who signs what. Every number is used once.
pub(crate) struct Keys;

impl Keys {
    pub(crate) fn log() -> TestSigner {
        TestSigner::new(Role::Log, 1)
    }

    pub(crate) fn certificate() -> TestSigner {
        TestSigner::new(Role::Certificate, 2)
    }

    pub(crate) fn operator() -> TestSigner {
        TestSigner::new(Role::Operator, 3)
    }

    /// A second countersigning key of the operator.
    pub(crate) fn second_operator() -> TestSigner {
        TestSigner::new(Role::Operator, 30)
    }

    pub(crate) fn administration(side: Side) -> TestSigner {
        TestSigner::new(Role::Administration, if side == Side::Authority { 4 } else { 5 })
    }

    pub(crate) fn revocation(side: Side) -> TestSigner {
        TestSigner::new(Role::Revocation, if side == Side::Authority { 6 } else { 7 })
    }

    pub(crate) fn officer() -> TestSigner {
        TestSigner::new(Role::Officer, 8)
    }

    pub(crate) fn token_issuer() -> TestSigner {
        TestSigner::new(Role::TokenIssuer, 9)
    }

    pub(crate) fn witness(number: u8) -> TestSigner {
        TestSigner::new(Role::Witness, 11 + number)
    }
}

/// One log, four witnesses of which three must cosign.
pub(crate) fn policy_text() -> String {
    let log = vkey(ORIGIN, SignatureType::Ed25519, Keys::log().public());
    let witness = |number: u8| {
        let name = format!("w{number}.example");
        let key = vkey(&name, SignatureType::CosignatureEd25519, Keys::witness(number).public());
        format!("witness w{number} {key}")
    };
    let group = "group quorum-of-witnesses 3 w0 w1 w2 w3\nquorum quorum-of-witnesses\n";
    let lines = [format!("log {log}"), witness(0), witness(1), witness(2), witness(3), group.to_owned()];
    lines.join("\n")
}

pub(crate) fn trust() -> TrustFile {
    let sided = |key: fn(Side) -> TestSigner| SidedKeys {
        authority: vec![key(Side::Authority).public().clone()],
        operator: vec![key(Side::Operator).public().clone()],
    };
    let mut operator_keys = vec![Keys::operator().public().clone(), Keys::second_operator().public().clone()];
    operator_keys.sort();
    TrustFile {
        kind: TRUST_TYPE.to_owned(),
        origin: origin(),
        keys: AuthorityKeys {
            policy: policy_text(),
            certificate: vec![Keys::certificate().public().clone()],
            operator: OperatorKeys { keys: operator_keys, threshold: 1 },
            administration: sided(Keys::administration),
            revocation: sided(Keys::revocation),
        },
        successors: vec![],
        serial: 0,
        issued_at: at(NOW - 1000),
        limits: Limits { max_head_age_seconds: 86_400, max_statement_lifetime_seconds: 400 * 86_400 },
        floor: TrustFloor::empty(),
        require_link: true,
        pinned_keys: None,
    }
}

/// A statement with one active fleet of three members. It names no previous statement yet.
pub(crate) fn statement(number: u64) -> Statement {
    let software =
        Software { name: "vault".to_owned(), version: "0.1.0".to_owned(), sha256: Digest::of(b"executable") };
    let fleet = Fleet {
        fleet_id: name("fleet-1"),
        status: FleetStatus::Active,
        members: (1..=3).map(member).collect(),
        majority: 2,
        guess_limit: 10,
        software,
        evidence_root: Digest::of(b"evidence"),
    };
    Statement {
        kind: STATEMENT_TYPE.to_owned(),
        origin: origin(),
        epoch: epoch(number),
        previous: None,
        issued_at: at(NOW),
        not_before: at(NOW - 10),
        not_after: at(NOW + 90 * 86_400),
        max_head_age_seconds: 43_200,
        fleets: vec![fleet],
    }
}

pub(crate) fn member(number: u8) -> Member {
    let (from, to) = (at(NOW - 10), at(NOW + 90 * 86_400));
    let session = PublicKey::new(KeyAlgorithm::X25519, &[100 + number; 32]).unwrap();
    let identity = TestSigner::new(Role::VaultIdentity, 100 + number);
    let mut keys = vec![
        MemberKey::new(KeyRole::Session, &session, from, to),
        MemberKey::new(KeyRole::Identity, identity.public(), from, to),
    ];
    keys.sort_by_key(|key| key.key_id);
    Member {
        member_id: name(&format!("member-{number}")),
        failure_domain: name(&format!("site-{number}")),
        keys,
        attestation: AttestationRef::to(b"attestation"),
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn at(seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seconds)))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        at(self.0.load(Ordering::SeqCst))
    }
}

/// Everything outside of a countersigner. Starting another one over it is a restart.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) log: FakeLog,
    pub(crate) ledger: FaultyLedger,
    pub(crate) clock: TestClock,
    pub(crate) signatures: Signatures,
}

impl World {
    /// A log with its policy entry alone, and an empty ledger.
    pub(crate) fn new() -> Self {
        let clock = TestClock::at(NOW);
        Self { log: FakeLog::new(&clock), ledger: FaultyLedger::default(), clock, signatures: Signatures::default() }
    }

    pub(crate) fn settings(&self, cool_off_seconds: u64) -> Settings {
        Settings {
            trust: trust(),
            key: OperatorKey::new(Box::new(Keys::operator().recorded_by(&self.signatures))).unwrap(),
            tokens: AccessTokens {
                signer: Box::new(Keys::token_issuer()),
                issuer: Issuer::new(ISSUER).unwrap(),
                subject: name("countersigner"),
                audience: Audience::new(AUDIENCE).unwrap(),
            },
            rules: OperatorRules { policy: PolicySet::shipped(Side::Operator), cool_off_seconds },
        }
    }

    pub(crate) fn ports(&self) -> Ports {
        Ports {
            reader: Arc::new(self.log.clone()),
            submitter: Arc::new(self.log.clone()),
            ledger: Arc::new(self.ledger.clone()),
            clock: Arc::new(self.clock.clone()),
        }
    }

    /// A countersigner without a cool-off.
    pub(crate) async fn start(&self) -> Countersigner {
        self.start_with(self.settings(0)).await
    }

    pub(crate) async fn start_with(&self, settings: Settings) -> Countersigner {
        Countersigner::start(settings, self.ports()).await.unwrap()
    }
}

/// The whole published log as somebody verifies it who has countersigned nothing in it.
pub(crate) async fn view_of(log: &FakeLog) -> View {
    let mut view = View::new(Replay::new(&trust(), Keys::officer().public().key_id()).unwrap());
    let floor = Checkpoint { origin: origin(), size: size(0), root: empty_root() };
    view.follow(log, &FaultyLedger::default(), &floor, at(NOW)).await.unwrap();
    view
}

/// The receipt of an epoch under a view's head.
pub(crate) async fn receipt_of(log: &FakeLog, view: &View, number: u64) -> VerifiedReceipt {
    let (head, state) = (view.head().unwrap(), view.replay().state());
    let index = state.statement(epoch(number)).unwrap().index;
    let entry = UntrustedEntry::fetch(log, index, head).await.unwrap();
    entry.verify(head, state, view.replay().admission_rules(epoch(number))).unwrap()
}

/// A decision of no policy at all.
pub(crate) fn decision() -> Decision {
    Decision { policy: Digest::of(b"operator policy"), rule: name("still-valid") }
}
