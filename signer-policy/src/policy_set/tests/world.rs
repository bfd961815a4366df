//! A statement of one fleet of three attested members, and the request for it.

use countermark_bundle::attestation::{self, AttestationBody, UntrustedAttestation, VerifiedAttestation};
use countermark_bundle::identity::{Digest, Epoch, Name, Namespace, Timestamp};
use countermark_bundle::key::{KeyAlgorithm, PublicKey};
use countermark_bundle::statement::{
    AttestationRef, Fleet, FleetStatus, KeyRole, Member, MemberKey, STATEMENT_TYPE, Software, Statement,
};
use countermark_bundle::to_sign;
use countermark_tlog::checkpoint::Origin;
use ed25519_dalek::{Signer as _, SigningKey};

use crate::request::{Action, Request};

pub const NOW: u64 = 1_795_253_400;
pub const DAY: u64 = 86_400;
const VENDOR_SEED: u8 = 200;

pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(seconds).unwrap()
}

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn ed25519(seed: u8) -> PublicKey {
    PublicKey::ed25519(SigningKey::from_bytes(&[seed; 32]).verifying_key().as_bytes()).unwrap()
}

fn origin() -> Origin {
    Origin::new("log.example/backup").unwrap()
}

/// Everything that a request refers to.
pub struct World {
    pub action: Action,
    pub namespace: Namespace,
    pub submitter: String,
    pub statement: Statement,
    pub previous: Option<Statement>,
    pub approvers: Vec<Name>,
    pub approvals_needed: u64,
    pub attestations: Vec<VerifiedAttestation>,
    pub now: Timestamp,
}

impl World {
    /// A first statement that every shipped policy agrees to.
    pub fn new(action: Action) -> Self {
        let software = Digest::of(b"executable");
        let (members, attestations) = (1..=3).map(|seed| member(seed, software)).unzip();
        let statement = Statement {
            kind: STATEMENT_TYPE.to_owned(),
            origin: origin(),
            epoch: Epoch::FIRST,
            previous: None,
            issued_at: at(NOW - 60),
            not_before: at(NOW - 60),
            not_after: at(NOW + 90 * DAY),
            max_head_age_seconds: DAY,
            fleets: vec![Fleet {
                fleet_id: name("fleet-1"),
                status: FleetStatus::Active,
                members,
                majority: 2,
                guess_limit: 10,
                software: Software { name: "vault".to_owned(), version: "1.0.0".to_owned(), sha256: software },
                evidence_root: Digest::of(b"evidence"),
            }],
        };
        Self {
            action,
            namespace: Namespace::parse("backup").unwrap(),
            submitter: "release-robot".to_owned(),
            statement,
            previous: None,
            approvers: vec![name("officer-1"), name("officer-2")],
            approvals_needed: 2,
            attestations,
            now: at(NOW),
        }
    }

    /// The next statement, so far the same as the one before.
    pub fn second(action: Action) -> Self {
        let mut world = Self::new(action);
        world.previous = Some(world.statement.clone());
        world.statement.previous = Some(Digest::of(&world.statement.write()));
        world.statement.epoch = Epoch::new(2).unwrap();
        world
    }

    pub fn fleet(&mut self) -> &mut Fleet {
        &mut self.statement.fleets[0]
    }

    pub fn fleet_before(&mut self) -> &mut Fleet {
        &mut self.previous.as_mut().unwrap().fleets[0]
    }

    pub fn request(&self) -> Request<'_> {
        Request {
            action: self.action,
            namespace: &self.namespace,
            submitter: &self.submitter,
            statement: &self.statement,
            previous: self.previous.as_ref(),
            approvers: &self.approvers,
            approvals_needed: self.approvals_needed,
            attestations: &self.attestations,
            now: self.now,
        }
    }
}

/// A member of `fleet-1` and a vendor's attestation of it.
pub fn member(seed: u8, software: Digest) -> (Member, VerifiedAttestation) {
    let identity_key = ed25519(seed);
    let session_key = PublicKey::new(KeyAlgorithm::X25519, &[seed; 32]).unwrap();
    let body = AttestationBody {
        origin: origin(),
        fleet_id: name("fleet-1"),
        member_id: name(&format!("member-{seed}")),
        identity_key: identity_key.clone(),
        session_key: session_key.clone(),
        software_sha256: software,
        issued_at: at(NOW),
    };
    let vendor = SigningKey::from_bytes(&[VENDOR_SEED; 32]);
    let signature = vendor.sign(&to_sign::attestation(&body)).to_bytes().to_vec();
    let bytes = attestation::write(body, ed25519(VENDOR_SEED).key_id(), signature);
    let verified = UntrustedAttestation::parse(&bytes).unwrap().verify(&[ed25519(VENDOR_SEED)]).unwrap();
    let window = (at(NOW - 60), at(NOW + 90 * DAY));
    let mut keys = vec![
        MemberKey::new(KeyRole::Identity, &identity_key, window.0, window.1),
        MemberKey::new(KeyRole::Session, &session_key, window.0, window.1),
    ];
    keys.sort_by_key(|key| key.key_id);
    let member = Member {
        member_id: name(&format!("member-{seed}")),
        failure_domain: name(&format!("site-{seed}")),
        keys,
        attestation: AttestationRef::to(&bytes),
    };
    (member, verified)
}
