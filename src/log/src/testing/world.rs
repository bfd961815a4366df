//! A whole authority in memory: keys of both organisations, four witnesses, and everything that can be submitted.

use std::sync::Arc;
use std::time::Duration;

use countermark_bundle::approval::{self, Claims, Officer};
use countermark_bundle::attestation::{self, AttestationBody};
use countermark_bundle::authority::{AuthorityKeys, OperatorKeys, SidedKeys};
use countermark_bundle::countersignature::{Countersignature, Countersigned};
use countermark_bundle::entry::{
    Activation, EVIDENCE_TYPE, Entry, Evidence, POLICY_CHANGE_TYPE, PolicyChange, REVOCATION_TYPE, Revocation,
};
use countermark_bundle::evidence::{CheckedBy, Item, MANIFEST_TYPE, Manifest};
use countermark_bundle::identity::{Digest, Epoch, Name, Side, Timestamp};
use countermark_bundle::key::PublicKey;
use countermark_bundle::statement::{
    AttestationRef, Fleet, FleetStatus, KeyRole, Member, MemberKey, STATEMENT_TYPE, Software, Statement,
};
use countermark_bundle::to_sign;
use countermark_bundle::trust::{Limits, TRUST_TYPE, TrustFile, TrustFloor};
use countermark_keys::{Role, Signer};
use countermark_signer_policy::PolicySet;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::note::SignatureType;
use countermark_tlog::policy::Policy;

use super::{MemoryRegister, SimulatedWitnesses, TestClock, TestSigner};
use crate::foundation::{Foundation, LogState, RawFoundation};
use crate::ports::{LogKind, Store, WitnessEndpoint};
use crate::sequencer::{self, Certifying, NamespaceHandle, NamespaceSettings, Ports, Submission};
use crate::store::memory::MemoryStore;

/// 2026-11-21T00:00:00Z.
pub(crate) const NOW: u64 = 1_795_219_200;
/// The log of every test.
pub(crate) const ORIGIN: &str = "log.example/backup";

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(seconds).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Keys, witnesses, register and clock of one authority. The store comes from outside.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) kind: LogKind,
    pub(crate) log: TestSigner,
    pub(crate) ml_dsa_44: Option<TestSigner>,
    pub(crate) certificate: TestSigner,
    pub(crate) operator: TestSigner,
    pub(crate) administration: [TestSigner; 2],
    pub(crate) revocation: [TestSigner; 2],
    pub(crate) officers: [TestSigner; 2],
    pub(crate) vendor: TestSigner,
    pub(crate) endpoints: Vec<WitnessEndpoint>,
    pub(crate) trust: TrustFile,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) register: Arc<MemoryRegister>,
    pub(crate) witnesses: Arc<SimulatedWitnesses>,
    pub(crate) recosign_every: Duration,
    pub(crate) witness_timeout: Duration,
}

impl World {
    pub(crate) fn new() -> Self {
        let log = TestSigner::new(Role::Log, 1);
        let witness_keys: Vec<TestSigner> = (11..15).map(|seed| TestSigner::new(Role::Witness, seed)).collect();
        let endpoint = |(i, signer): (usize, &TestSigner)| WitnessEndpoint {
            vkeys: vec![signer.vkey(&format!("w{i}.example"), SignatureType::CosignatureEd25519)],
            url: format!("http://w{i}.example"),
        };
        let endpoints: Vec<WitnessEndpoint> = witness_keys.iter().enumerate().map(endpoint).collect();
        let clock = Arc::new(TestClock::at(NOW));
        let peers = endpoints.iter().cloned().zip(witness_keys.into_iter().map(|key| vec![key]));
        let witnesses = Arc::new(SimulatedWitnesses::new(Arc::clone(&clock), peers));
        let two = |role, a, b| [TestSigner::new(role, a), TestSigner::new(role, b)];
        let administration = two(Role::Administration, 4, 5);
        let revocation = two(Role::Revocation, 6, 7);
        let certificate = TestSigner::new(Role::Certificate, 2);
        let operator = TestSigner::new(Role::Operator, 3);
        let keys = AuthorityKeys {
            policy: policy_text(&log, None, &endpoints),
            certificate: vec![certificate.public().clone()],
            operator: OperatorKeys { keys: vec![operator.public().clone()], threshold: 1 },
            administration: sided(&administration),
            revocation: sided(&revocation),
        };
        Self {
            kind: LogKind::FleetKeys,
            log,
            ml_dsa_44: None,
            certificate,
            operator,
            administration,
            revocation,
            officers: two(Role::Officer, 8, 9),
            vendor: TestSigner::new(Role::Vendor, 10),
            endpoints,
            trust: trust(keys),
            clock,
            register: Arc::new(MemoryRegister::default()),
            witnesses,
            recosign_every: Duration::from_hours(1),
            witness_timeout: Duration::from_secs(2),
        }
    }

    /// The log signs with ML-DSA-44 beside Ed25519, and so do the witnesses but the last.
    pub(crate) fn post_quantum() -> Self {
        let mut world = Self::new();
        let second = |i: usize| TestSigner::new(Role::WitnessMlDsa44, 21 + u8::try_from(i).unwrap());
        let log = TestSigner::new(Role::LogMlDsa44, 1);
        let mut peers = Vec::new();
        for (i, endpoint) in world.endpoints.iter_mut().enumerate() {
            let mut signers = vec![TestSigner::new(Role::Witness, 11 + u8::try_from(i).unwrap())];
            if i < 3 {
                signers.push(second(i));
                endpoint.vkeys.push(second(i).vkey(endpoint.name(), SignatureType::CosignatureMlDsa44));
            }
            peers.push((endpoint.clone(), signers));
        }
        world.witnesses = Arc::new(SimulatedWitnesses::new(Arc::clone(&world.clock), peers));
        world.trust.keys.policy = policy_text(&world.log, Some(&log), &world.endpoints);
        world.ml_dsa_44 = Some(log);
        world
    }

    /// The same keys and witnesses around a log of opaque entries.
    pub(crate) fn raw() -> Self {
        Self { kind: LogKind::Raw, ..Self::new() }
    }

    /// What the log is judged by.
    pub(crate) fn foundation(&self) -> Foundation {
        match self.kind {
            LogKind::FleetKeys => Foundation::FleetKeys(Box::new(self.trust.clone())),
            LogKind::Raw => {
                let text = self.trust.keys.policy.clone();
                let policy = Arc::new(Policy::parse(text.as_bytes()).unwrap());
                Foundation::Raw(RawFoundation { text, policy, max_head_age_seconds: 86_400 })
            }
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        self.trust.origin.clone()
    }

    pub(crate) fn url(&self, witness: usize) -> &str {
        &self.endpoints[witness].url
    }

    pub(crate) fn settings(&self) -> NamespaceSettings {
        NamespaceSettings {
            origin: self.origin(),
            namespace: self.trust.namespace(),
            foundation: self.foundation(),
            log_signer: Arc::new(self.log.clone()),
            ml_dsa_44_log_signer: self.ml_dsa_44.clone().map(|signer| -> Arc<dyn Signer> { Arc::new(signer) }),
            certifying: (self.kind == LogKind::FleetKeys).then(|| Certifying {
                certificate_signer: Box::new(self.certificate.clone()),
                policy: PolicySet::shipped(Side::Authority),
                vendor_keys: vec![self.vendor.public().clone()],
            }),
            witnesses: self.endpoints.clone(),
            recosign_every: self.recosign_every,
            witness_timeout: self.witness_timeout,
            tile_cache_bytes: crate::proofs::TILE_CACHE_BYTES,
        }
    }

    /// As [`World::settings`], with another holder of the certificate key.
    pub(crate) fn settings_certified_by(&self, certificate_signer: Box<dyn Signer>) -> NamespaceSettings {
        let settings = self.settings();
        let certifying = settings.certifying.map(|certifying| Certifying { certificate_signer, ..certifying });
        NamespaceSettings { certifying, ..settings }
    }

    pub(crate) fn ports(&self, store: Arc<dyn Store>) -> Ports {
        Ports { store, register: self.register.clone(), witnesses: self.witnesses.clone(), clock: self.clock.clone() }
    }

    /// Makes the namespace in the store.
    pub(crate) async fn create(&self, store: Arc<dyn Store>) {
        sequencer::create(&self.settings(), self.first_entries(), &self.ports(store)).await.unwrap();
    }

    /// Starts the namespace of the store.
    pub(crate) async fn start(&self, store: Arc<dyn Store>) -> NamespaceHandle {
        sequencer::start(self.settings(), self.ports(store)).await.unwrap().0
    }

    /// A namespace in a new memory store, started.
    pub(crate) async fn served(&self) -> (Arc<MemoryStore>, NamespaceHandle) {
        let store = Arc::new(MemoryStore::default());
        self.create(store.clone()).await;
        let handle = self.start(store.clone()).await;
        (store, handle)
    }

    /// What a log of this kind is made with.
    pub(crate) fn first_entries(&self) -> Vec<Vec<u8>> {
        match self.kind {
            LogKind::FleetKeys => vec![self.first_entry()],
            LogKind::Raw => vec![],
        }
    }

    /// An entry that changes nothing in a log of this kind, another one for each number, and its submission.
    pub(crate) fn numbered(&self, number: u64) -> (Vec<u8>, Submission) {
        match self.kind {
            LogKind::FleetKeys => {
                let evidence = self.evidence(number);
                (evidence.write(), entry(&evidence))
            }
            LogKind::Raw => {
                let bytes = format!("opaque entry {number}").into_bytes();
                (bytes.clone(), Submission::raw(bytes.into()).unwrap())
            }
        }
    }

    /// The policy change that every fleet-keys log begins with.
    pub(crate) fn first_entry(&self) -> Vec<u8> {
        self.policy_change(1, PolicySet::shipped(Side::Authority).digest()).write()
    }

    pub(crate) fn policy_change(&self, serial: u64, policy: Digest) -> Entry {
        let officer =
            |i: usize| Officer { subject: name(&format!("officer-{i}")), key: self.officers[i].public().clone() };
        let mut change = PolicyChange {
            kind: POLICY_CHANGE_TYPE.to_string(),
            origin: self.origin(),
            serial,
            policy,
            officers: vec![officer(0), officer(1)],
            approvals_needed: 2,
            key_id: self.administration[0].public().key_id(),
            signature: vec![],
        };
        change.signature = self.administration[0].make_signature(&to_sign::policy_change(&change));
        Entry::PolicyChange(change)
    }

    /// A fleet of three for this epoch.
    pub(crate) fn statement(&self, epoch: u64, previous: Option<Digest>) -> Statement {
        let software =
            Software { name: "vault".to_string(), version: "0.1.0".to_string(), sha256: Digest::of(b"executable") };
        let fleet = Fleet {
            fleet_id: name("fleet-1"),
            status: FleetStatus::Active,
            members: (1..=3).map(|member| self.member(member)).collect(),
            majority: 2,
            guess_limit: 10,
            software,
            evidence_root: Digest::of(b"evidence"),
        };
        Statement {
            kind: STATEMENT_TYPE.to_string(),
            origin: self.origin(),
            epoch: Epoch::new(epoch).unwrap(),
            previous,
            issued_at: at(NOW),
            not_before: at(NOW - 10),
            not_after: at(NOW + 90 * 86_400),
            max_head_age_seconds: 43_200,
            fleets: vec![fleet],
        }
    }

    pub(crate) fn attestation(&self, member: u8) -> Vec<u8> {
        let body = AttestationBody {
            origin: self.origin(),
            fleet_id: name("fleet-1"),
            member_id: name(&format!("member-{member}")),
            identity_key: identity_key(member),
            session_key: session_key(member),
            software_sha256: Digest::of(b"executable"),
            issued_at: at(NOW),
        };
        let signature = self.vendor.make_signature(&to_sign::attestation(&body));
        attestation::write(body, self.vendor.public().key_id(), signature)
    }

    fn member(&self, member: u8) -> Member {
        let (from, to) = (at(NOW - 10), at(NOW + 90 * 86_400));
        let mut keys = vec![
            MemberKey::new(KeyRole::Session, &session_key(member), from, to),
            MemberKey::new(KeyRole::Identity, &identity_key(member), from, to),
        ];
        keys.sort_by_key(|key| key.key_id);
        Member {
            member_id: name(&format!("member-{member}")),
            failure_domain: name(&format!("site-{member}")),
            keys,
            attestation: AttestationRef::to(&self.attestation(member)),
        }
    }

    pub(crate) fn approvals(&self, statement: &Statement) -> Vec<String> {
        let digest = Digest::of(&statement.write());
        let approve = |i: usize| {
            let officer = &self.officers[i];
            let subject = name(&format!("officer-{i}"));
            let claims = Claims::new(subject, self.origin(), statement.epoch, digest, at(NOW), 3_600);
            let input = approval::signing_input(&claims, officer.public());
            approval::assemble(&input, &officer.make_signature(input.as_bytes()))
        };
        vec![approve(0), approve(1)]
    }

    /// A statement with everything that the shipped policy asks for.
    pub(crate) fn submission(&self, statement: &Statement) -> Submission {
        Submission::Statement {
            statement: statement.write(),
            approvals: self.approvals(statement),
            attestations: (1..=3).map(|member| self.attestation(member)).collect(),
            submitter: "operator".to_string(),
        }
    }

    /// An entry that changes nothing, another one for each number.
    pub(crate) fn evidence(&self, number: u64) -> Entry {
        let item = Item {
            name: name("record.txt"),
            media_type: "text/plain".to_string(),
            size: 5,
            sha256: Digest::of(b"hello"),
            claims: format!("item {number}"),
            checked_by: CheckedBy::Human,
        };
        let manifest = Manifest {
            kind: MANIFEST_TYPE.to_string(),
            origin: self.origin(),
            fleet_id: name("fleet-1"),
            items: vec![item],
        };
        let signer = &self.administration[1];
        let mut evidence = Evidence {
            kind: EVIDENCE_TYPE.to_string(),
            origin: self.origin(),
            side: Side::Operator,
            manifest: manifest.write(),
            key_id: signer.public().key_id(),
            signature: vec![],
        };
        evidence.signature = signer.make_signature(&to_sign::evidence(&evidence, &evidence.root_hex()));
        Entry::Evidence(evidence)
    }

    pub(crate) fn revocation(&self, side: Side, epochs: &[u64]) -> Entry {
        let signer = &self.revocation[usize::from(side == Side::Operator)];
        let mut revocation = Revocation {
            kind: REVOCATION_TYPE.to_string(),
            origin: self.origin(),
            side,
            epochs: epochs.iter().map(|epoch| Epoch::new(*epoch).unwrap()).collect(),
            fleets: vec![],
            keys: vec![],
            reason: "drill".to_string(),
            key_id: signer.public().key_id(),
            signature: vec![],
        };
        revocation.signature = signer.make_signature(&to_sign::revocation(&revocation));
        Entry::Revocation(revocation)
    }

    /// The next activation of an epoch that is certified in `state`.
    pub(crate) fn activation(&self, state: &LogState, epoch: u64) -> Entry {
        let state = state.fleet_keys().unwrap();
        let epoch = Epoch::new(epoch).unwrap();
        let record = state.statement(epoch).unwrap();
        let (statement, leaf_index) = (record.statement.digest(), record.index);
        let (renewal, _) = state.next_renewal(epoch).unwrap();
        let origin = self.origin();
        let tuple = Countersigned {
            origin: &origin,
            epoch,
            statement,
            leaf_index,
            certificate_signature: &record.certificate.signature,
        };
        let countersignature = Countersignature {
            key_id: self.operator.public().key_id(),
            signature: self.operator.make_signature(&to_sign::countersignature(&tuple)),
        };
        Entry::Activation(Activation::new(origin, epoch, statement, leaf_index, renewal, vec![countersignature]))
    }
}

/// A finished entry as it is handed in.
pub(crate) fn entry(entry: &Entry) -> Submission {
    Submission::Entry { bytes: entry.write(), submitter: "operator".to_string() }
}

fn identity_key(member: u8) -> PublicKey {
    TestSigner::new(Role::VaultIdentity, 100 + member).public().clone()
}

fn session_key(member: u8) -> PublicKey {
    PublicKey::new(countermark_bundle::KeyAlgorithm::X25519, &[100 + member; 32]).unwrap()
}

fn sided(two: &[TestSigner; 2]) -> SidedKeys {
    SidedKeys { authority: vec![two[0].public().clone()], operator: vec![two[1].public().clone()] }
}

/// Three of four witnesses.
fn policy_text(log: &TestSigner, ml_dsa_44: Option<&TestSigner>, endpoints: &[WitnessEndpoint]) -> String {
    let witness = |(i, endpoint): (usize, &WitnessEndpoint)| match &endpoint.vkeys[..] {
        [vkey] => format!("witness w{i} {vkey}\n"),
        [ed25519, ml_dsa_44] => {
            format!("witness w{i}-a {ed25519}\nwitness w{i}-b {ml_dsa_44}\ngroup w{i} any w{i}-a w{i}-b\n")
        }
        _ => unreachable!("a witness of these tests has one key or two"),
    };
    let witnesses: String = endpoints.iter().enumerate().map(witness).collect();
    let log = log.vkey(ORIGIN, SignatureType::Ed25519);
    let beside = ml_dsa_44.map(|key| format!("log {}\n", key.vkey(ORIGIN, SignatureType::CosignatureMlDsa44)));
    let beside = beside.unwrap_or_default();
    format!("log {log}\n{beside}{witnesses}group quorum-of-witnesses 3 w0 w1 w2 w3\nquorum quorum-of-witnesses\n")
}

fn trust(keys: AuthorityKeys) -> TrustFile {
    TrustFile {
        kind: TRUST_TYPE.to_string(),
        origin: Origin::new(ORIGIN).unwrap(),
        keys,
        successors: vec![],
        serial: 0,
        issued_at: at(NOW - 1_000),
        limits: Limits { max_head_age_seconds: 86_400, max_statement_lifetime_seconds: 400 * 86_400 },
        floor: TrustFloor::empty(),
        require_link: true,
        pinned_keys: None,
    }
}
