//! One worked example of every JSON format, in `testdata/`, which FORMATS.md quotes.
//!
//! They tell one story. `statement.json` stands in `certified-statement.json`, which `activation.json` activates; the
//! client that pins `trust.json` and remembers `floor.json` is handed `validation-bundle.json` and `link.json`. All keys
//! are made from small numbers, so nobody may trust them.

use crate::approval;
use crate::attestation::UntrustedAttestation;
use crate::authority::{AuthorityRole, KeyTriple, successor_commitment};
use crate::countersignature::{self, Countersigned};
use crate::entry::{Entry, Evidence};
use crate::evidence::Manifest;
use crate::identity::{Digest, Side};
use crate::link::ConsistencyLink;
use crate::namespace_state::NamespaceState;
use crate::statement::ParsedStatement;
use crate::testing::*;
use crate::trust::{Floor, TrustFile};
use crate::validation_bundle::ValidationBundle;
use crate::verify::verify;
use countermark_tlog::size::LeafIndex;
use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::path::PathBuf;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

/// Every example by its file's name, without `.json`.
pub(crate) type Examples = BTreeMap<&'static str, Vec<u8>>;

/// The new certificate key that the trust file commits to.
fn successor() -> KeyTriple {
    KeyTriple { role: AuthorityRole::Certificate, key: ed25519_signer(42).public().clone() }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// The fixture's log, under a trust file that commits to a successor.
fn world() -> World {
    let mut world = World::new();
    world.trust.successors = vec![successor_commitment(&[successor()])];
    world.state = NamespaceState::new(&world.trust).unwrap();
    world.state.apply(&world.entries[0]).unwrap();
    world
}

pub(crate) fn examples() -> Examples {
    let mut world = world();
    let manifest = match world.evidence(Side::Operator, "the ceremony was filmed from three sides") {
        Entry::Evidence(Evidence { manifest, .. }) => Manifest::parse(&manifest).unwrap(),
        other => unreachable!("{other:?}"),
    };
    let mut statement = world.statement(1);
    statement.fleets[0].evidence_root = manifest.root();
    let certified = world.certified(&statement.write(), 1);
    world.push(&Entry::CertifiedStatement(certified));
    world.activate(1);

    // What the client verified before, and a revocation that it was handed and no log has.
    let first = verify(&world.bundle(&[1, 2]).write(), None, &world.trust, &world.trust.initial_floor(), at(NOW));
    let mut floor = None;
    let stored = first.unwrap().store(|new| {
        floor = Some(new.clone());
        Ok::<(), ()>(())
    });
    stored.unwrap();
    let unlogged = text(world.revoke(Side::Authority, &[], &["fleet-0"]).write());
    let floor = Floor { revocations: vec![unlogged], ..floor.unwrap() };

    let evidence = world.evidence(Side::Operator, "the ceremony was filmed from three sides");
    world.push(&evidence);
    let revocation = world.revoke_key(Side::Operator, ed25519_signer(100).public().key_id());
    world.push(&revocation);

    let mut keys = world.trust.keys.clone();
    keys.certificate.push(successor().key);
    keys.certificate.sort();
    let next = KeyTriple { role: AuthorityRole::Log, key: ed25519_signer(43).public().clone() };
    let change = world.authority_change(1, keys, vec![successor_commitment(&[next])]);
    world.state.check(&Entry::AuthorityChange(change.clone())).unwrap();

    BTreeMap::from([
        ("statement", statement.write()),
        ("attestation", world.attestation("fleet-1", 1, statement.fleets[0].software.sha256)),
        ("evidence-manifest", manifest.write()),
        ("policy-change", world.entries[0].clone()),
        ("certified-statement", world.entries[1].clone()),
        ("activation", world.entries[2].clone()),
        ("evidence", world.entries[3].clone()),
        ("revocation", world.entries[4].clone()),
        ("authority-change", Entry::AuthorityChange(change).write()),
        ("trust", world.trust.write()),
        ("floor", floor.write()),
        ("validation-bundle", world.bundle(&[1, 2, 3, 4]).write()),
        ("link", world.link(3, 5).write()),
    ])
}

#[test]
fn every_example_is_the_file_in_testdata() {
    let examples = examples();
    for (name, bytes) in &examples {
        check_golden(&format!("testdata/{name}.json"), bytes);
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let documents: BTreeSet<String> = files.filter_map(|file| file.strip_suffix(".json").map(String::from)).collect();
    assert_eq!(documents, examples.keys().map(ToString::to_string).collect());
}

#[test]
fn the_client_of_the_examples_believes_their_bundle() {
    let examples = examples();
    let trust = TrustFile::parse(&examples["trust"]).unwrap();
    let floor = Floor::parse(&examples["floor"]).unwrap();
    let link = ConsistencyLink::parse(&examples["link"]).unwrap();
    let bundle = &examples["validation-bundle"];
    let mut remembered = None;
    let verified = verify(bundle, Some(&link), &trust, &floor, at(NOW)).unwrap().store(|new| {
        remembered = Some(new.clone());
        Ok::<(), ()>(())
    });
    assert_eq!(verified.unwrap().statement().bytes(), examples["statement"]);
    let mut revocations = vec![floor.revocations[0].clone(), text(examples["revocation"].clone())];
    revocations.sort();
    assert_eq!(remembered.unwrap().revocations, revocations);
    assert!(verify(bundle, None, &trust, &floor, at(NOW)).is_err(), "without the link");
}

#[test]
fn the_entries_of_the_examples_are_one_log() {
    let examples = examples();
    let trust = TrustFile::parse(&examples["trust"]).unwrap();
    let bundle = ValidationBundle::parse(&examples["validation-bundle"]).unwrap();
    let mut state = NamespaceState::new(&trust).unwrap();
    let log = ["policy-change", "certified-statement", "activation", "evidence", "revocation", "authority-change"];
    for (index, name) in log.into_iter().enumerate() {
        let entry = state.apply(&examples[name]).unwrap();
        assert_eq!(entry.type_name(), format!("countermark/{name}/v1"));
        assert_eq!(entry.write(), examples[name]);
        let index = LeafIndex::new(index.try_into().unwrap()).unwrap();
        if let Some(record) = bundle.records.iter().find(|record| record.index == index) {
            assert_eq!(record.entry, examples[name]);
        }
    }
    assert_eq!(state.authority().serial(), 1);
}

#[test]
fn the_documents_inside_the_examples_refer_to_each_other() {
    let examples = examples();
    let parsed = ParsedStatement::parse(&examples["statement"]).unwrap();
    let (statement, digest) = (parsed.statement(), parsed.digest());
    let Entry::CertifiedStatement(certified) = Entry::parse(&examples["certified-statement"]).unwrap() else {
        panic!("certified-statement.json is another entry")
    };
    assert_eq!(certified.statement, examples["statement"]);
    let Entry::PolicyChange(policy) = Entry::parse(&examples["policy-change"]).unwrap() else {
        panic!("policy-change.json is another entry")
    };
    let approved = approval::Approved { origin: &statement.origin, epoch: statement.epoch, digest };
    let (officers, needed, time) = (&policy.officers, policy.approvals_needed, certified.certificate.time());
    let approvers = approval::verify_all(&certified.approvals, officers, needed, approved, time).unwrap();
    assert_eq!(approvers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["officer-0", "officer-1"]);

    let Entry::Activation(activation) = Entry::parse(&examples["activation"]).unwrap() else {
        panic!("activation.json is another entry")
    };
    let tuple = Countersigned {
        origin: &statement.origin,
        epoch: statement.epoch,
        statement: digest,
        leaf_index: index(1),
        certificate_signature: &certified.certificate.signature,
    };
    let operator = &TrustFile::parse(&examples["trust"]).unwrap().keys.operator;
    countersignature::verify(&tuple, &activation.countersignatures, &operator.keys, operator.threshold).unwrap();

    let fleet = &statement.fleets[0];
    let manifest = Manifest::parse(&examples["evidence-manifest"]).unwrap();
    assert_eq!(manifest.root(), fleet.evidence_root);
    let Entry::Evidence(evidence) = Entry::parse(&examples["evidence"]).unwrap() else {
        panic!("evidence.json is another entry")
    };
    assert_eq!(evidence.manifest, examples["evidence-manifest"]);
    assert_eq!(manifest.items[0].sha256, Digest::of(b"hello"));

    let attestation = UntrustedAttestation::parse(&examples["attestation"]).unwrap();
    let attestation = attestation.verify(&[world().vendor.public().clone()]).unwrap();
    attestation.covers(&statement.origin, &fleet.fleet_id, &fleet.members[0], &fleet.software).unwrap();
}
