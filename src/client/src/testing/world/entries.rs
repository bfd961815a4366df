//! Every type of entry, signed by whoever must.

use countermark_bundle::approval::{self, Claims, Officer};
use countermark_bundle::authority::AuthorityKeys;
use countermark_bundle::certificate::{Certificate, CertificateMessage};
use countermark_bundle::countersignature::{Countersignature, Countersigned};
use countermark_bundle::entry::{
    AUTHORITY_CHANGE_TYPE, Activation, AdministrationSignature, AuthorityChange, CertifiedStatement, Decision,
    EVIDENCE_TYPE, Entry, Evidence, POLICY_CHANGE_TYPE, PolicyChange, REVOCATION_TYPE, Revocation,
};
use countermark_bundle::evidence::{CheckedBy, Item, MANIFEST_TYPE, Manifest};
use countermark_bundle::identity::{Digest, Side};
use countermark_bundle::key::KeyId;
use countermark_bundle::statement::{
    AttestationRef, Fleet, FleetStatus, KeyRole, Member, MemberKey, STATEMENT_TYPE, Software, Statement,
};
use countermark_bundle::to_sign;

use super::{NOW, World, at, epoch, name, namespace, origin};
use crate::testing::{ed25519_signer, x25519_public};

impl World {
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

    fn member(number: u8) -> Member {
        let (from, to) = (at(NOW - 10), at(NOW + 90 * 86_400));
        let mut keys = vec![
            MemberKey::new(KeyRole::Session, &x25519_public(100 + number), from, to),
            MemberKey::new(KeyRole::Identity, ed25519_signer(100 + number).public(), from, to),
        ];
        keys.sort_by_key(|key| key.key_id);
        Member {
            member_id: name(&format!("member-{number}")),
            failure_domain: name(&format!("site-{number}")),
            keys,
            attestation: AttestationRef::to(b"attestation"),
        }
    }

    pub fn statement(&self, number: u64) -> Statement {
        let software =
            Software { name: "vault".to_string(), version: "0.1.0".to_string(), sha256: Digest::of(b"executable") };
        let fleet = Fleet {
            fleet_id: name("fleet-1"),
            status: FleetStatus::Active,
            members: (1..=3).map(Self::member).collect(),
            majority: 2,
            guess_limit: 10,
            software,
            evidence_root: Digest::of(b"evidence"),
        };
        Statement {
            kind: STATEMENT_TYPE.to_string(),
            origin: origin(),
            epoch: epoch(number),
            previous: self.state.newest_certified().map(|record| record.statement.digest()),
            issued_at: at(NOW),
            not_before: at(NOW - 10),
            not_after: at(NOW + 90 * 86_400),
            max_head_age_seconds: 43_200,
            fleets: vec![fleet],
        }
    }

    pub fn approvals(&self, number: u64, digest: Digest) -> Vec<String> {
        let approve = |i: usize| {
            let officer = &self.officers[i];
            let claims = Claims::new(name(&format!("officer-{i}")), origin(), epoch(number), digest, at(NOW), 3600);
            let input = approval::signing_input(&claims, officer.public());
            approval::assemble(&input, &officer.sign(input.as_bytes()))
        };
        vec![approve(0), approve(1)]
    }

    pub fn certificate(&self, number: u64, digest: Digest, timestamp_ms: u64) -> Certificate {
        let namespace = namespace();
        let message = CertificateMessage { namespace: &namespace, timestamp_ms, epoch: epoch(number), digest };
        Certificate {
            timestamp_ms,
            key_id: self.certificate.public().key_id(),
            signature: self.certificate.sign(&message.encode()),
        }
    }

    /// A certified statement that obeys every rule.
    pub fn certified(&self, number: u64) -> CertifiedStatement {
        self.certified_statement(&self.statement(number))
    }

    pub fn certified_statement(&self, statement: &Statement) -> CertifiedStatement {
        let bytes = statement.write();
        let (number, digest) = (statement.epoch.get(), Digest::of(&bytes));
        let approvals = self.approvals(number, digest);
        let decision = Decision { policy: self.policy, rule: name("quorum-of-officers") };
        let certificate = self.certificate(number, digest, NOW * 1000 + number);
        CertifiedStatement::new(origin(), bytes, approvals, decision, certificate)
    }

    pub fn certify(&mut self, number: u64) -> u64 {
        self.push(&Entry::CertifiedStatement(self.certified(number)))
    }

    pub fn activation(&self, number: u64, renewal: u64) -> Activation {
        let record = self.state.statement(epoch(number)).unwrap();
        let (origin, statement, leaf_index) = (origin(), record.statement.digest(), record.index);
        let tuple = Countersigned {
            origin: &origin,
            epoch: epoch(number),
            statement,
            leaf_index,
            certificate_signature: &record.certificate.signature,
        };
        let signature = self.operator.sign(&to_sign::countersignature(&tuple));
        let countersignature = Countersignature { key_id: self.operator.public().key_id(), signature };
        Activation::new(origin, epoch(number), statement, leaf_index, renewal, vec![countersignature])
    }

    pub fn activate(&mut self, number: u64) -> u64 {
        let (renewal, _) = self.state.next_renewal(epoch(number)).unwrap();
        self.push(&Entry::Activation(self.activation(number, renewal)))
    }

    pub fn revoke(&self, side: Side, epochs: &[u64], fleets: &[&str], keys: Vec<KeyId>) -> Entry {
        let signer = &self.revocation[usize::from(side == Side::Operator)];
        let mut revocation = Revocation {
            kind: REVOCATION_TYPE.to_string(),
            origin: origin(),
            side,
            epochs: epochs.iter().map(|number| epoch(*number)).collect(),
            fleets: fleets.iter().map(|fleet| name(fleet)).collect(),
            keys,
            reason: "drill".to_string(),
            key_id: signer.public().key_id(),
            signature: vec![],
        };
        revocation.signature = signer.sign(&to_sign::revocation(&revocation));
        Entry::Revocation(revocation)
    }

    /// The revocation of a key that no fleet has.
    pub fn revoke_key(&self, number: u64) -> Entry {
        self.revoke(Side::Operator, &[], &[], vec![KeyId(Digest::of(&number.to_be_bytes()))])
    }

    pub fn evidence(&self, claims: &str) -> Entry {
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
        let mut evidence = Evidence {
            kind: EVIDENCE_TYPE.to_string(),
            origin: origin(),
            side: Side::Authority,
            manifest: manifest.write(),
            key_id: self.administration[0].public().key_id(),
            signature: vec![],
        };
        evidence.signature = self.administration[0].sign(&to_sign::evidence(&evidence, &evidence.root_hex()));
        Entry::Evidence(evidence)
    }

    /// A change to `keys`, signed by both administrations.
    pub fn authority_change(&self, serial: u64, keys: AuthorityKeys) -> AuthorityChange {
        let mut change = AuthorityChange {
            kind: AUTHORITY_CHANGE_TYPE.to_string(),
            origin: origin(),
            serial,
            keys,
            successors: vec![],
            signatures: vec![],
        };
        let message = to_sign::authority_change(&change);
        let sign = |(side, signer): (Side, &crate::testing::TestSigner)| AdministrationSignature {
            side,
            key_id: signer.public().key_id(),
            signature: signer.sign(&message),
        };
        change.signatures = [Side::Authority, Side::Operator].into_iter().zip(&self.administration).map(sign).collect();
        change
    }
}
