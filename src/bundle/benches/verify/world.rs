//! A whole authority in memory, in a log of 2^16 earlier entries, and the bundle that it hands out.

use std::collections::BTreeMap;

use countermark_bundle::approval::{self, Claims};
use countermark_bundle::authority::{AuthorityKeys, OperatorKeys, SidedKeys};
use countermark_bundle::certificate::{Certificate, CertificateMessage};
use countermark_bundle::countersignature::{Countersignature, Countersigned};
use countermark_bundle::entry::{Activation, CertifiedStatement, Decision, Entry};
use countermark_bundle::identity::{Digest, Epoch, Name, Namespace, Timestamp};
use countermark_bundle::key::{KeyAlgorithm, PublicKey};
use countermark_bundle::statement::{
    AttestationRef, Fleet, FleetStatus, KeyRole, Member, MemberKey, STATEMENT_TYPE, Software, Statement,
};
use countermark_bundle::to_sign;
use countermark_bundle::trust::{Limits, TRUST_TYPE, TrustFile, TrustFloor};
use countermark_bundle::validation_bundle::{Record, ValidationBundle};
use countermark_tlog::checkpoint::{Checkpoint, Origin};
use countermark_tlog::cosignature::{Cosignature, cosignature_message};
use countermark_tlog::edge::RightEdge;
use countermark_tlog::hash::{Hash, leaf_hash};
use countermark_tlog::note::{NoteSignature, SignatureType, SignedNote};
use countermark_tlog::size::LeafIndex;
use countermark_tlog::tree::{InclusionPlan, NodeCoord};

use crate::signer::{Check, Ed25519, P384};

const ORIGIN: &str = "log.example/backup";
/// 2026-11-21T00:00:00Z.
const NOW: u64 = 1_795_219_200;
/// Entries that no bundle carries, so that paths are as long as in a log of some age.
const EARLIER_ENTRIES: u64 = 1 << 16;
const WITNESSES: u8 = 4;
const QUORUM: u8 = 3;

pub fn now() -> Timestamp {
    at(NOW)
}

/// What a client has in its hands, and what verifying it cannot do without.
pub struct Handed {
    pub bundle: Vec<u8>,
    pub trust: TrustFile,
    /// Each signature check that the bundle needs, once.
    pub checks: Vec<Check>,
}

/// Hands out a bundle in which epoch 1 is active and so many later epochs are certified only.
pub fn bundle_with_tail(tail: usize) -> Handed {
    let mut world = World::new();
    let mut previous = world.certify(Epoch::FIRST, None);
    world.activate_first();
    let mut epoch = Epoch::FIRST;
    for _ in 0..tail {
        epoch = epoch.next().unwrap();
        previous = world.certify(epoch, Some(previous));
    }
    world.hand_out()
}

struct World {
    log: Ed25519,
    certificate: Ed25519,
    operator: P384,
    officers: [Ed25519; 2],
    witnesses: Vec<Ed25519>,
    trust: TrustFile,
    edge: RightEdge,
    nodes: BTreeMap<NodeCoord, Hash>,
    /// The entries that the bundle carries.
    entries: Vec<(LeafIndex, Vec<u8>)>,
    first: Option<Certified>,
    checks: Vec<Check>,
}

/// What the operator countersigns of a certified statement.
struct Certified {
    digest: Digest,
    index: LeafIndex,
    signature: [u8; 64],
}

impl World {
    fn new() -> Self {
        let (log, certificate, operator) = (Ed25519::new(1), Ed25519::new(2), P384::new(3));
        let witnesses: Vec<Ed25519> = (0..WITNESSES).map(|witness| Ed25519::new(20 + witness)).collect();
        let trust = trust(policy(&log, &witnesses), &certificate, &operator);
        let mut world = Self {
            log,
            certificate,
            operator,
            officers: [Ed25519::new(8), Ed25519::new(9)],
            witnesses,
            trust,
            edge: RightEdge::empty(),
            nodes: BTreeMap::new(),
            entries: vec![],
            first: None,
            checks: vec![],
        };
        for entry in 0..EARLIER_ENTRIES {
            world.append(&entry.to_be_bytes());
        }
        world
    }

    fn append(&mut self, entry: &[u8]) -> LeafIndex {
        let Self { edge, nodes, .. } = self;
        let keep = &mut |node, hash| _ = nodes.insert(node, hash);
        edge.append(leaf_hash(entry), keep).unwrap()
    }

    fn log_entry(&mut self, entry: &Entry) -> LeafIndex {
        let bytes = entry.write();
        let index = self.append(&bytes);
        self.entries.push((index, bytes));
        index
    }

    /// Logs a certified statement and returns its digest.
    fn certify(&mut self, epoch: Epoch, previous: Option<Digest>) -> Digest {
        let bytes = statement(epoch, previous).write();
        let (digest, timestamp_ms) = (Digest::of(&bytes), (NOW + epoch.get()) * 1000);
        let namespace = Namespace::parse("backup").unwrap();
        let message = CertificateMessage { namespace: &namespace, timestamp_ms, epoch, digest };
        let (signature, check) = self.certificate.sign(&message.encode());
        self.checks.push(check);
        let certificate =
            Certificate { timestamp_ms, key_id: self.certificate.public.key_id(), signature: signature.to_vec() };
        let decision = Decision { policy: Digest::of(b"policy"), rule: name("enough-officers-approved") };
        let approvals = self.approvals(epoch, digest);
        let entry = CertifiedStatement::new(origin(), bytes, approvals, decision, certificate);
        let index = self.log_entry(&Entry::CertifiedStatement(entry));
        self.first.get_or_insert(Certified { digest, index, signature });
        digest
    }

    fn approvals(&self, epoch: Epoch, digest: Digest) -> Vec<String> {
        let approve = |(officer, subject): (&Ed25519, &str)| {
            let claims = Claims::new(name(subject), origin(), epoch, digest, at(NOW), 3600);
            let input = approval::signing_input(&claims, &officer.public);
            approval::assemble(&input, &officer.sign(input.as_bytes()).0)
        };
        self.officers.iter().zip(["officer-1", "officer-2"]).map(approve).collect()
    }

    fn activate_first(&mut self) {
        let Certified { digest, index, signature } = self.first.as_ref().unwrap();
        let (statement, leaf_index) = (*digest, *index);
        let tuple = Countersigned {
            origin: &origin(),
            epoch: Epoch::FIRST,
            statement,
            leaf_index,
            certificate_signature: signature,
        };
        let (signature, check) = self.operator.sign(&to_sign::countersignature(&tuple));
        self.checks.push(check);
        let countersignature = Countersignature { key_id: self.operator.public.key_id(), signature };
        let activation = Activation::new(origin(), Epoch::FIRST, statement, leaf_index, 0, vec![countersignature]);
        self.log_entry(&Entry::Activation(activation));
    }

    /// Signs and cosigns the head, and puts the bundle together.
    fn hand_out(mut self) -> Handed {
        let head = Checkpoint { origin: origin(), size: self.edge.size(), root: self.edge.root() };
        let text = head.text();
        let (signature, check) = self.log.sign(text.as_bytes());
        let mut lines = vec![NoteSignature::new(&self.log.vkey(ORIGIN, SignatureType::Ed25519), &signature)];
        self.checks.push(check);
        for (number, witness) in (0..QUORUM).zip(&self.witnesses) {
            let (signature, check) = witness.sign(&cosignature_message(NOW, &text));
            let key = witness.vkey(&witness_name(number), SignatureType::CosignatureEd25519);
            lines.push(Cosignature { timestamp: NOW, signature: signature.to_vec() }.to_note_signature(&key));
            self.checks.push(check);
        }
        let checkpoint = String::from_utf8(SignedNote::new(&text, lines).unwrap().to_bytes()).unwrap();
        let records = self.entries.iter().map(|(index, entry)| {
            let plan = InclusionPlan::new(*index, head.size).unwrap();
            let path = plan.nodes().iter().map(|node| self.nodes[node]).collect();
            Record::new(*index, entry.clone(), &plan.assemble(path).unwrap(), None)
        });
        let bundle = ValidationBundle::new(checkpoint, records.collect()).write();
        Handed { bundle, trust: self.trust, checks: self.checks }
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(seconds).unwrap()
}

fn origin() -> Origin {
    Origin::new(ORIGIN).unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn witness_name(number: u8) -> String {
    format!("witness-{number}.example")
}

fn policy(log: &Ed25519, witnesses: &[Ed25519]) -> String {
    let (mut lines, mut names) = (vec![], vec![]);
    for (number, witness) in (0..).zip(witnesses) {
        let vkey = witness.vkey(&witness_name(number), SignatureType::CosignatureEd25519);
        lines.push(format!("witness witness-{number} {vkey}\n"));
        names.push(format!(" witness-{number}"));
    }
    let (lines, names) = (lines.concat(), names.concat());
    let log = log.vkey(ORIGIN, SignatureType::Ed25519);
    format!("log {log}\n{lines}group three-of-four {QUORUM}{names}\nquorum three-of-four\n")
}

fn trust(policy: String, certificate: &Ed25519, operator: &P384) -> TrustFile {
    let sided = |authority, operator| SidedKeys {
        authority: vec![Ed25519::new(authority).public],
        operator: vec![Ed25519::new(operator).public],
    };
    let trust = TrustFile {
        kind: TRUST_TYPE.to_string(),
        origin: origin(),
        keys: AuthorityKeys {
            policy,
            certificate: vec![certificate.public.clone()],
            operator: OperatorKeys { keys: vec![operator.public.clone()], threshold: 1 },
            administration: sided(4, 5),
            revocation: sided(6, 7),
        },
        successors: vec![],
        serial: 0,
        issued_at: at(NOW - 1000),
        limits: Limits { max_head_age_seconds: 86_400, max_statement_lifetime_seconds: 400 * 86_400 },
        floor: TrustFloor::empty(),
        require_link: true,
        pinned_keys: None,
    };
    trust.check().unwrap();
    trust
}

fn statement(epoch: Epoch, previous: Option<Digest>) -> Statement {
    let software =
        Software { name: "vault".to_string(), version: "0.1.0".to_string(), sha256: Digest::of(b"executable") };
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
        kind: STATEMENT_TYPE.to_string(),
        origin: origin(),
        epoch,
        previous,
        issued_at: at(NOW),
        not_before: at(NOW - 10),
        not_after: at(NOW + 90 * 86_400),
        max_head_age_seconds: 43_200,
        fleets: vec![fleet],
    }
}

fn member(number: u8) -> Member {
    let (from, to) = (at(NOW - 10), at(NOW + 90 * 86_400));
    let session = PublicKey::new(KeyAlgorithm::X25519, &[100 + number; 32]).unwrap();
    let mut keys = vec![
        MemberKey::new(KeyRole::Session, &session, from, to),
        MemberKey::new(KeyRole::Identity, &Ed25519::new(100 + number).public, from, to),
    ];
    keys.sort_by_key(|key| key.key_id);
    Member {
        member_id: name(&format!("member-{number}")),
        failure_domain: name(&format!("site-{number}")),
        keys,
        attestation: AttestationRef::to(&[number; 900]),
    }
}
