//! A whole authority in memory: keys of both organisations, four witnesses, a log, and everything it can be asked for.

use crate::approval::{self, Claims, Officer};
use crate::attestation::{self, AttestationBody};
use crate::authority::{AuthorityKeys, OperatorKeys, SidedKeys};
use crate::certificate::{Certificate, CertificateMessage};
use crate::countersignature::{Countersignature, Countersigned};
use crate::entry::*;
use crate::evidence::{CheckedBy, Item, MANIFEST_TYPE, Manifest};
use crate::identity::{Digest, Epoch, Name, Namespace, Side, Timestamp};
use crate::key::KeyId;
use crate::link::ConsistencyLink;
use crate::namespace_state::NamespaceState;
use crate::statement::*;
use crate::testing::{TestSigner, ed25519_signer, p384_signer, x25519_public};
use crate::to_sign;
use crate::trust::{Limits, TRUST_TYPE, TrustFile, TrustFloor};
use crate::validation_bundle::{Record, ValidationBundle};
use countermark_tlog::checkpoint::{Checkpoint, Origin};
use countermark_tlog::cosignature::{Cosignature, cosignature_message};
use countermark_tlog::edge::RightEdge;
use countermark_tlog::hash::{Hash, leaf_hash};
use countermark_tlog::note::{NoteSignature, SignatureType, SignedNote, VerifierKey};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tree::{ConsistencyPlan, InclusionPlan, NodeCoord};
use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

/// 2026-11-21T00:00:00Z.
pub const NOW: u64 = 1_795_219_200;
pub const ORIGIN: &str = "log.example/backup";

pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(seconds).unwrap()
}

pub fn origin() -> Origin {
    Origin::new(ORIGIN).unwrap()
}

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub fn index(n: u64) -> LeafIndex {
    LeafIndex::new(n).unwrap()
}

pub fn size(n: usize) -> TreeSize {
    TreeSize::new(n.try_into().unwrap()).unwrap()
}

pub fn vkey(name: &str, kind: SignatureType, signer: &TestSigner) -> VerifierKey {
    let name = countermark_tlog::note::KeyName::new(name).unwrap();
    VerifierKey::new(name, kind, signer.public().bytes()).unwrap()
}

pub struct World {
    pub log: TestSigner,
    pub certificate: TestSigner,
    pub operator: TestSigner,
    pub administration: [TestSigner; 2],
    pub revocation: [TestSigner; 2],
    pub officers: [TestSigner; 2],
    pub witnesses: Vec<TestSigner>,
    pub vendor: TestSigner,
    pub trust: TrustFile,
    pub state: NamespaceState,
    pub entries: Vec<Vec<u8>>,
    pub policy: Digest,
}

/// A log and witnesses of which all but one must cosign.
pub fn policy_text(log: &TestSigner, witnesses: &[TestSigner]) -> String {
    let key = |i: usize, witness| vkey(&format!("w{i}.example"), SignatureType::CosignatureEd25519, witness);
    let mut lines = vec![format!("log {}", vkey(ORIGIN, SignatureType::Ed25519, log))];
    lines.extend(witnesses.iter().enumerate().map(|(i, witness)| format!("witness w{i} {}", key(i, witness))));
    let names: Vec<String> = (0..witnesses.len()).map(|i| format!("w{i}")).collect();
    lines.push(format!("group quorum-of-witnesses {} {}", witnesses.len() - 1, names.join(" ")));
    lines.push("quorum quorum-of-witnesses\n".to_string());
    lines.join("\n")
}

impl World {
    /// An authority whose log holds its policy and nothing else.
    pub fn new() -> Self {
        let log = ed25519_signer(1);
        let witnesses: Vec<TestSigner> = (11..15).map(ed25519_signer).collect();
        let (certificate, operator) = (ed25519_signer(2), p384_signer(3));
        let (administration, revocation) =
            ([ed25519_signer(4), ed25519_signer(5)], [ed25519_signer(6), ed25519_signer(7)]);
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
        let officers = [ed25519_signer(8), ed25519_signer(9)];
        let state = NamespaceState::new(&trust).unwrap();
        let (vendor, policy) = (ed25519_signer(10), Digest::of(b"policy"));
        let mut world = Self {
            log,
            certificate,
            operator,
            administration,
            revocation,
            officers,
            witnesses,
            vendor,
            trust,
            state,
            entries: vec![],
            policy,
        };
        let change = world.policy_change(1);
        world.push(&change);
        world
    }

    /// A log with epoch 1 certified at index 1 and active at index 2.
    pub fn active() -> Self {
        let mut world = Self::new();
        world.certify(1);
        world.activate(1);
        world
    }

    /// Applies an entry, which must obey every rule.
    pub fn push(&mut self, entry: &Entry) -> u64 {
        let bytes = entry.write();
        self.state.apply(&bytes).unwrap();
        self.push_unchecked(bytes)
    }

    /// Appends whatever a dishonest log might.
    pub fn push_unchecked(&mut self, bytes: Vec<u8>) -> u64 {
        self.entries.push(bytes);
        u64::try_from(self.entries.len()).unwrap() - 1
    }

    pub fn policy_change(&self, serial: u64) -> Entry {
        let officer =
            |i: usize| Officer { subject: name(&format!("officer-{i}")), key: self.officers[i].public().clone() };
        let mut change = PolicyChange {
            kind: POLICY_CHANGE_TYPE.to_string(),
            origin: origin(),
            serial,
            policy: self.policy,
            officers: vec![officer(0), officer(1)],
            approvals_needed: 2,
            key_id: self.administration[0].public().key_id(),
            signature: vec![],
        };
        change.signature = self.administration[0].sign(&to_sign::policy_change(&change));
        Entry::PolicyChange(change)
    }

    pub fn attestation(&self, fleet: &str, member: u8, software: Digest) -> Vec<u8> {
        let body = AttestationBody {
            origin: origin(),
            fleet_id: name(fleet),
            member_id: name(&format!("member-{member}")),
            identity_key: ed25519_signer(100 + member).public().clone(),
            session_key: x25519_public(100 + member),
            software_sha256: software,
            issued_at: at(NOW),
        };
        let signature = self.vendor.sign(&to_sign::attestation(&body));
        attestation::write(body, self.vendor.public().key_id(), signature)
    }

    pub fn member(&self, fleet: &str, member: u8, software: Digest) -> Member {
        let (from, to) = (at(NOW - 10), at(NOW + 90 * 86_400));
        let mut keys = vec![
            MemberKey::new(KeyRole::Session, &x25519_public(100 + member), from, to),
            MemberKey::new(KeyRole::Identity, ed25519_signer(100 + member).public(), from, to),
        ];
        keys.sort_by_key(|key| key.key_id);
        Member {
            member_id: name(&format!("member-{member}")),
            failure_domain: name(&format!("site-{member}")),
            keys,
            attestation: AttestationRef::to(&self.attestation(fleet, member, software)),
        }
    }

    pub fn statement(&self, epoch: u64) -> Statement {
        let software =
            Software { name: "vault".to_string(), version: "0.1.0".to_string(), sha256: Digest::of(b"executable") };
        let fleet = Fleet {
            fleet_id: name("fleet-1"),
            status: FleetStatus::Active,
            members: (1..=3).map(|member| self.member("fleet-1", member, software.sha256)).collect(),
            majority: 2,
            guess_limit: 10,
            software,
            evidence_root: Digest::of(b"evidence"),
        };
        Statement {
            kind: STATEMENT_TYPE.to_string(),
            origin: origin(),
            epoch: Epoch::new(epoch).unwrap(),
            previous: self.state.newest_certified().filter(|_| epoch > 1).map(|record| record.statement.digest()),
            issued_at: at(NOW),
            not_before: at(NOW - 10),
            not_after: at(NOW + 90 * 86_400),
            max_head_age_seconds: 43_200,
            fleets: vec![fleet],
        }
    }

    pub fn approvals(&self, epoch: u64, digest: Digest) -> Vec<String> {
        let approve = |i: usize| {
            let officer = &self.officers[i];
            let subject = name(&format!("officer-{i}"));
            let claims = Claims::new(subject, origin(), Epoch::new(epoch).unwrap(), digest, at(NOW), 3600);
            let input = approval::signing_input(&claims, officer.public());
            approval::assemble(&input, &officer.sign(input.as_bytes()))
        };
        vec![approve(0), approve(1)]
    }

    pub fn certificate(&self, epoch: u64, digest: Digest, timestamp_ms: u64) -> Certificate {
        let namespace = Namespace::parse("backup").unwrap();
        let epoch = Epoch::new(epoch).unwrap();
        let message = CertificateMessage { namespace: &namespace, timestamp_ms, epoch, digest };
        Certificate {
            timestamp_ms,
            key_id: self.certificate.public().key_id(),
            signature: self.certificate.sign(&message.encode()),
        }
    }

    pub fn certified(&self, statement: &[u8], epoch: u64) -> CertifiedStatement {
        let digest = Digest::of(statement);
        CertifiedStatement::new(
            origin(),
            statement.to_vec(),
            self.approvals(epoch, digest),
            Decision { policy: self.policy, rule: name("quorum-of-officers") },
            self.certificate(epoch, digest, (NOW + epoch) * 1000),
        )
    }

    pub fn certify(&mut self, epoch: u64) -> u64 {
        let certified = self.certified(&self.statement(epoch).write(), epoch);
        self.push(&Entry::CertifiedStatement(certified))
    }

    pub fn activation(&self, epoch: u64, renewal: u64) -> Activation {
        let record = self.state.statement(Epoch::new(epoch).unwrap()).unwrap();
        let (statement, leaf_index) = (record.statement.digest(), record.index);
        let origin = origin();
        let epoch = Epoch::new(epoch).unwrap();
        let certificate_signature = &record.certificate.signature;
        let tuple = Countersigned { origin: &origin, epoch, statement, leaf_index, certificate_signature };
        let signature = self.operator.sign(&to_sign::countersignature(&tuple));
        let countersignature = Countersignature { key_id: self.operator.public().key_id(), signature };
        Activation::new(origin, epoch, statement, leaf_index, renewal, vec![countersignature])
    }

    pub fn activate(&mut self, epoch: u64) -> u64 {
        let (renewal, _) = self.state.next_renewal(Epoch::new(epoch).unwrap()).unwrap();
        let activation = self.activation(epoch, renewal);
        self.push(&Entry::Activation(activation))
    }

    pub fn revoke(&self, side: Side, epochs: &[u64], fleets: &[&str]) -> Entry {
        self.revocation(Revocation {
            kind: REVOCATION_TYPE.to_string(),
            origin: origin(),
            side,
            epochs: epochs.iter().map(|epoch| Epoch::new(*epoch).unwrap()).collect(),
            fleets: fleets.iter().map(|fleet| name(fleet)).collect(),
            keys: vec![],
            reason: "drill".to_string(),
            key_id: self.revocation[usize::from(side == Side::Operator)].public().key_id(),
            signature: vec![],
        })
    }

    /// A revocation, signed by its side.
    pub fn revocation(&self, mut revocation: Revocation) -> Entry {
        let signer = &self.revocation[usize::from(revocation.side == Side::Operator)];
        revocation.signature = signer.sign(&to_sign::revocation(&revocation));
        Entry::Revocation(revocation)
    }

    pub fn revoke_key(&self, side: Side, key: KeyId) -> Entry {
        let Entry::Revocation(revocation) = self.revoke(side, &[], &[]) else { unreachable!("a revocation") };
        self.revocation(Revocation { keys: vec![key], ..revocation })
    }

    pub fn evidence(&self, side: Side, claims: &str) -> Entry {
        let item = Item {
            name: name("record.txt"),
            media_type: "text/plain".to_string(),
            size: 5,
            sha256: Digest::of(b"hello"),
            claims: claims.to_string(),
            checked_by: CheckedBy::Human,
        };
        let manifest = Manifest {
            kind: MANIFEST_TYPE.to_string(),
            origin: origin(),
            fleet_id: name("fleet-1"),
            items: vec![item],
        };
        let signer = &self.administration[usize::from(side == Side::Operator)];
        let mut evidence = Evidence {
            kind: EVIDENCE_TYPE.to_string(),
            origin: origin(),
            side,
            manifest: manifest.write(),
            key_id: signer.public().key_id(),
            signature: vec![],
        };
        evidence.signature = signer.sign(&to_sign::evidence(&evidence, &evidence.root_hex()));
        Entry::Evidence(evidence)
    }

    /// A change to `keys`, signed by both administrations in force.
    pub fn authority_change(&self, serial: u64, keys: AuthorityKeys, successors: Vec<Digest>) -> AuthorityChange {
        let mut change = AuthorityChange {
            kind: AUTHORITY_CHANGE_TYPE.to_string(),
            origin: origin(),
            serial,
            keys,
            successors,
            signatures: vec![],
        };
        let message = to_sign::authority_change(&change);
        change.signatures = [Side::Authority, Side::Operator]
            .into_iter()
            .zip(&self.administration)
            .map(|(side, signer)| AdministrationSignature {
                side,
                key_id: signer.public().key_id(),
                signature: signer.sign(&message),
            })
            .collect();
        change
    }

    fn nodes(&self, len: usize) -> (RightEdge, BTreeMap<(u8, u64), Hash>) {
        let (mut edge, mut nodes) = (RightEdge::empty(), BTreeMap::new());
        for entry in &self.entries[..len] {
            let _ = edge.append(leaf_hash(entry), &mut |node: NodeCoord, hash| {
                nodes.insert((node.level, node.index), hash);
            });
        }
        (edge, nodes)
    }

    pub fn head(&self, len: usize) -> Checkpoint {
        let edge = self.nodes(len).0;
        Checkpoint { origin: origin(), size: size(len), root: edge.root() }
    }

    /// The checkpoint at a size, cosigned at a time by some of the witnesses.
    pub fn checkpoint(&self, len: usize, time: u64, witnesses: &[usize]) -> String {
        self.sign(&self.head(len), time, witnesses)
    }

    pub fn sign(&self, head: &Checkpoint, time: u64, witnesses: &[usize]) -> String {
        let text = head.text();
        let log = vkey(ORIGIN, SignatureType::Ed25519, &self.log);
        let mut lines = vec![NoteSignature::new(&log, &self.log.sign(text.as_bytes()))];
        for i in witnesses {
            let key = vkey(&format!("w{i}.example"), SignatureType::CosignatureEd25519, &self.witnesses[*i]);
            let signature = self.witnesses[*i].sign(&cosignature_message(time, &text));
            lines.push(Cosignature { timestamp: time, signature }.to_note_signature(&key));
        }
        String::from_utf8(SignedNote::new(&text, lines).unwrap().to_bytes()).unwrap()
    }

    pub fn record(&self, i: u64, len: usize) -> Record {
        let nodes = self.nodes(len).1;
        let plan = InclusionPlan::new(index(i), size(len)).unwrap();
        let path = plan.nodes().iter().map(|node| nodes[&(node.level, node.index)]).collect();
        let entry = self.entries[usize::try_from(i).unwrap()].clone();
        Record::new(index(i), entry, &plan.assemble(path).unwrap(), None)
    }

    pub fn link(&self, from: usize, to: usize) -> ConsistencyLink {
        let nodes = self.nodes(to).1;
        let plan = ConsistencyPlan::new(size(from), size(to)).unwrap();
        let hashes = plan.nodes().iter().map(|node| nodes[&(node.level, node.index)]).collect();
        ConsistencyLink::new(size(from), size(to), &plan.assemble(hashes).unwrap())
    }

    /// A bundle of the given records under the whole log's checkpoint, cosigned now by the first three witnesses.
    pub fn bundle(&self, records: &[u64]) -> ValidationBundle {
        let len = self.entries.len();
        let records = records.iter().map(|i| self.record(*i, len)).collect();
        ValidationBundle::new(self.checkpoint(len, NOW, &[0, 1, 2]), records)
    }
}

#[test]
fn the_world_is_made_of_valid_parts() {
    let world = World::active();
    assert!(crate::wire::is_sorted_unique(world.statement(2).fleets.iter().map(|fleet| &fleet.fleet_id)));
    ParsedStatement::parse(&world.statement(1).write()).unwrap();
    TrustFile::parse(&world.trust.write()).unwrap();
    assert_eq!(world.entries.len(), 3);
}
