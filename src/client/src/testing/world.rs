//! A whole authority in memory: keys of both organisations, four witnesses, and a log that can be asked for everything.

mod entries;
mod tree;

use std::fmt::Write as _;

use countermark_bundle::authority::{AuthorityKeys, OperatorKeys, SidedKeys};
use countermark_bundle::entry::Entry;
use countermark_bundle::identity::{Digest, Epoch, Name, Namespace, Timestamp};
use countermark_bundle::namespace_state::NamespaceState;
use countermark_bundle::trust::{Limits, TRUST_TYPE, TrustFile, TrustFloor};
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::note::SignatureType;
use countermark_tlog::size::{LeafIndex, TreeSize};

use super::{TestSigner, ed25519_signer, p384_signer, vkey};
pub(crate) use tree::Grown;

/// 2026-11-21T00:00:00Z.
pub(crate) const NOW: u64 = 1_795_219_200;
pub(crate) const ORIGIN: &str = "log.example/backup";

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(seconds).unwrap()
}

pub(crate) fn origin() -> Origin {
    Origin::new(ORIGIN).unwrap()
}

pub(crate) fn namespace() -> Namespace {
    Namespace::parse("backup").unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn epoch(n: u64) -> Epoch {
    Epoch::new(n).unwrap()
}

pub(crate) fn index(n: u64) -> LeafIndex {
    LeafIndex::new(n).unwrap()
}

pub(crate) fn size(n: u64) -> TreeSize {
    TreeSize::new(n).unwrap()
}

pub(crate) struct World {
    pub log: TestSigner,
    pub certificate: TestSigner,
    pub operator: TestSigner,
    pub administration: [TestSigner; 2],
    pub revocation: [TestSigner; 2],
    pub officers: [TestSigner; 2],
    pub witnesses: Vec<TestSigner>,
    pub trust: TrustFile,
    pub state: NamespaceState,
    pub policy: Digest,
    /// The log: entries and every hash over them.
    pub grown: Grown,
    /// When the witnesses cosign, and which of them do.
    pub cosigned_at: u64,
    pub cosigners: Vec<usize>,
}

pub(crate) fn policy_text(log: &TestSigner, witnesses: &[TestSigner]) -> String {
    let (mut text, mut names) = (format!("log {}\n", vkey(ORIGIN, SignatureType::Ed25519, log)), String::new());
    for (i, witness) in witnesses.iter().enumerate() {
        let key = vkey(&format!("w{i}.example"), SignatureType::CosignatureEd25519, witness);
        let _ = writeln!(text, "witness w{i} {key}");
        let _ = write!(names, " w{i}");
    }
    let threshold = witnesses.len() - 1;
    let _ = writeln!(text, "group quorum-of-witnesses {threshold}{names}\nquorum quorum-of-witnesses");
    text
}

impl World {
    /// An authority whose log is empty.
    pub fn empty() -> Self {
        let log = ed25519_signer(1);
        let witnesses: Vec<TestSigner> = (11..15).map(ed25519_signer).collect();
        let (certificate, operator) = (ed25519_signer(2), p384_signer(3));
        let administration = [ed25519_signer(4), ed25519_signer(5)];
        let revocation = [ed25519_signer(6), ed25519_signer(7)];
        let sided = |two: &[TestSigner; 2]| SidedKeys {
            authority: vec![two[0].public().clone()],
            operator: vec![two[1].public().clone()],
        };
        let keys = AuthorityKeys {
            policy: policy_text(&log, &witnesses),
            certificate: vec![certificate.public().clone()],
            operator: OperatorKeys { keys: vec![operator.public().clone()], threshold: 1 },
            administration: sided(&administration),
            revocation: sided(&revocation),
        };
        let trust = TrustFile {
            kind: TRUST_TYPE.to_string(),
            origin: origin(),
            keys,
            successors: vec![],
            serial: 0,
            issued_at: at(NOW - 1000),
            limits: Limits { max_head_age_seconds: 86_400, max_statement_lifetime_seconds: 400 * 86_400 },
            floor: TrustFloor::empty(),
            require_link: true,
            pinned_keys: None,
        };
        Self {
            log,
            certificate,
            operator,
            administration,
            revocation,
            officers: [ed25519_signer(8), ed25519_signer(9)],
            witnesses,
            state: NamespaceState::new(&trust).unwrap(),
            trust,
            policy: Digest::of(b"policy"),
            grown: Grown::default(),
            cosigned_at: NOW,
            cosigners: vec![0, 1, 2],
        }
    }

    /// A log that holds its policy and nothing else.
    pub fn new() -> Self {
        let mut world = Self::empty();
        world.push(&world.policy_change(1));
        world
    }

    /// A log with epoch 1 certified at index 1 and active at index 2.
    pub fn active() -> Self {
        let mut world = Self::new();
        world.certify(1);
        world.activate(1);
        world
    }

    /// A log of at least so many entries of every type but changes of authority, whose newest bundle verifies.
    pub fn grown_to(entries: u64) -> Self {
        let mut world = Self::active();
        let (mut number, mut statement) = (0, 1);
        while world.len() + 1 < entries {
            number += 1;
            match number % 8 {
                0 => world.activate(statement),
                1 => world.push(&world.revoke_key(number)),
                2 => world.push(&world.evidence(&format!("claim {number}"))),
                3 if number % 40 == 3 => {
                    statement += 1;
                    world.certify(statement);
                    world.activate(statement)
                }
                _ => world.push(&world.policy_change(world.state.policy().unwrap().serial + 1)),
            };
        }
        world.settle();
        world
    }

    /// Renews the newest activation, so that a bundle's tail is empty.
    pub fn settle(&mut self) {
        let newest = self.state.newest_active().unwrap().statement.statement().epoch;
        while self.state.next_renewal(newest).is_some_and(|(_, due)| !due) {
            self.push(&self.policy_change(self.state.policy().unwrap().serial + 1));
        }
        self.activate(newest.get());
    }

    pub fn len(&self) -> u64 {
        self.grown.len()
    }

    /// Applies an entry, which must obey every rule, and returns its index.
    pub fn push(&mut self, entry: &Entry) -> u64 {
        let bytes = entry.write();
        self.state.apply(&bytes).unwrap();
        self.grown.push(bytes)
    }

    /// Appends whatever a dishonest log might, without effect.
    pub fn push_unchecked(&mut self, bytes: Vec<u8>) -> u64 {
        self.state.skip();
        self.grown.push(bytes)
    }
}
