//! Every example: parsed, verified, and what the text around it says.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countermark_bundle::ExitClass;
use countermark_bundle::approval::{self, Approved};
use countermark_bundle::attestation::UntrustedAttestation;
use countermark_bundle::certificate::CertificateMessage;
use countermark_bundle::countersignature::{self, Countersigned};
use countermark_bundle::entry::Entry;
use countermark_bundle::evidence::Manifest;
use countermark_bundle::identity::{Digest, Timestamp};
use countermark_bundle::key::PublicKey;
use countermark_bundle::link::ConsistencyLink;
use countermark_bundle::to_sign;
use countermark_bundle::trust::{Floor, TrustFile};
use countermark_bundle::validation_bundle::ValidationBundle;
use countermark_bundle::verify::{Step, verify, verify_observed};
use countermark_keys::{KeyFile, Role};
use countermark_signer_policy::access_token::{Audience, KeySet, Scope};
use countermark_tests::root;
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::cosignature::{Cosignature, cosignature_message};
use countermark_tlog::fork::{ForkKind, UntrustedForkEvidence};
use countermark_tlog::gossip::HeadPage;
use countermark_tlog::hash::leaf_hash;
use countermark_tlog::note::VerifierKey;
use countermark_tlog::policy::Policy;
use countermark_tlog::proof::verify_consistency;
use countermark_tlog::tlog_proof::TlogProof;
use countermark_tlog::witness_wire::AddCheckpointRequest;
use countermark_vault_core::member::UntrustedMemberReport;
use countermark_vault_core::to_sign::report_message;

use crate::http;
use crate::vault;
use crate::world::World;

type Check = fn(&World);

/// One check for each example.
const CHECKS: [(&str, Check); 76] = [
    ("access-token", access_token),
    ("access-token-claims", access_token_claims),
    ("access-token-header", access_token_header),
    ("account", vault::account),
    ("account-proof", vault::account_proof),
    ("account-proof-signature", vault::account_proof_signature),
    ("account-token", vault::account_token),
    ("account-token-claims", vault::account_token_claims),
    ("account-token-header", vault::account_token_header),
    ("activation", |world| same_entry(world, "activation", 2)),
    ("activation-identity", |world| identity(world, "activation", "activation-identity")),
    ("add-checkpoint", add_checkpoint),
    ("approval", approval),
    ("attestation", attestation),
    ("attestation-to-sign", attestation_to_sign),
    ("authority-change", authority_change),
    ("authority-change-to-sign", |world| {
        signed(world, "authority-change-to-sign", &to_sign::authority_change(&world.authority_change()));
    }),
    ("certificate-message", certificate_message),
    ("certified-statement", |world| same_entry(world, "certified-statement", 1)),
    ("certified-statement-identity", |world| identity(world, "certified-statement", "certified-statement-identity")),
    ("checkpoint", checkpoint),
    ("cosignature-to-sign", cosignature_to_sign),
    ("countersignature-to-sign", countersignature_to_sign),
    ("evidence", |world| same_entry(world, "evidence", 3)),
    ("evidence-item-to-sign", |world| {
        signed(world, "evidence-item-to-sign", &to_sign::evidence_item(&manifest(world).items[0]));
    }),
    ("evidence-manifest", evidence_manifest),
    ("evidence-to-sign", |world| {
        signed(world, "evidence-to-sign", &to_sign::evidence(&world.evidence(), &world.evidence().root_hex()));
    }),
    ("export", http::export),
    ("floor", floor),
    ("fork-evidence", fork_evidence),
    ("fork-vkey", fork_evidence),
    ("gossip-heads", gossip_heads),
    ("head-register", http::head_register),
    ("http-consistency", http::consistency),
    ("http-inclusion", http::inclusion),
    ("http-problem", http::problem),
    ("http-record", http::record),
    ("http-status", http::status),
    ("http-authority-status", http::authority_status),
    ("http-submission", http::submission),
    ("http-submitted", http::submitted),
    ("key-file", key_file),
    ("token-key", token_key),
    ("key-id", |world| assert_eq!(world.line("key-id"), public_key(world).key_id().to_string())),
    ("key-id-message", key_id_message),
    ("key-set", key_set),
    ("link", link),
    ("member-report", member_report),
    ("member-report-golden", |world| {
        assert!(world.text("member-report-golden").starts_with("countermark/member-report/v1\n"));
    }),
    ("member-report-to-sign", member_report_to_sign),
    ("passphrase", |world| assert_eq!(world.line("passphrase").len(), 64)),
    ("peer-hello", vault::peer_hello_example),
    ("peer-prologue", vault::peer_prologue_example),
    ("plexi-audit", http::plexi_audit),
    ("plexi-info", http::plexi_info),
    ("plexi-last-verified-epoch", http::plexi_last_verified_epoch),
    ("plexi-namespace", http::plexi_namespace),
    ("policy", policy),
    ("policy-change", |world| same_entry(world, "policy-change", 0)),
    ("policy-change-to-sign", |world| {
        signed(world, "policy-change-to-sign", &to_sign::policy_change(&world.policy_change()));
    }),
    ("public-key", |world| assert_eq!(public_key(world), World::ed25519(2))),
    ("receipt", receipt),
    ("revocation", |world| same_entry(world, "revocation", 4)),
    ("revocation-identity", |world| identity(world, "revocation", "revocation-identity")),
    ("revocation-to-sign", |world| signed(world, "revocation-to-sign", &to_sign::revocation(&world.revocation()))),
    ("session-hello", vault::session_hello_example),
    ("session-prologue", vault::session_prologue_example),
    ("session-refused", vault::session_refused),
    ("statement", statement),
    ("successor-commitment", successor_commitment),
    ("to-sign-golden", to_sign_golden),
    ("trust", trust),
    ("validation-bundle", validation_bundle),
    ("vault-status", vault::vault_status),
    ("wrap-associated-data", vault::wrap_associated_data_example),
    ("wrap-ciphertext", vault::wrap_ciphertext),
];

#[test]
fn every_example_is_what_the_text_says() {
    let world = World::read();
    for (name, check) in CHECKS {
        assert!(world.examples().contains_key(name), "FORMATS.md has no example {name}");
        check(&world);
    }
    for (name, example) in world.examples() {
        assert!(CHECKS.iter().any(|(known, _)| known == name), "nobody checks the example {name}");
        if let Some(file) = &example.file {
            let quoted = fs::read(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(example.text.as_bytes(), quoted, "the example {name} is not {file}");
        }
    }
}

fn signed(world: &World, name: &str, message: &[u8]) {
    assert_eq!(world.text(name), String::from_utf8(message.to_vec()).unwrap(), "{name}");
}

/// The example is the SHA-256 preimage of the entry's identity.
fn identity(world: &World, entry: &str, name: &str) {
    assert_eq!(Entry::parse(world.bytes(entry)).unwrap().identity(), Digest::of(world.bytes(name)), "{name}");
}

/// The rules were checked when the world was read; this is the encoding.
fn same_entry(world: &World, name: &str, index: usize) {
    assert_eq!(Entry::parse(world.bytes(name)).unwrap().write(), world.entries[index], "{name}");
}

fn public_key(world: &World) -> PublicKey {
    let key: PublicKey = serde_json::from_str(world.text("public-key")).unwrap();
    assert_eq!(serde_json::to_string(&key).unwrap(), world.line("public-key"));
    key
}

fn key_id_message(world: &World) {
    let key = public_key(world);
    assert_eq!(world.line("key-id-message"), hex::encode(to_sign::key_id(key.algorithm(), key.bytes())));
}

fn key_file(world: &World) {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, example: &str| {
        let path = folder.path().join(name);
        fs::write(&path, world.bytes(example)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let (key, passphrase) = (put("log.key", "key-file"), put("passphrase", "passphrase"));
    let signer = KeyFile::open_signer(&key, Role::Log, &passphrase).unwrap();
    assert_eq!(hex::encode(signer.public_key()), KeyFile::public(&key).unwrap().public_key);
}

fn token_key(world: &World) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("witness.key");
    fs::write(&path, world.bytes("token-key")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let public = KeyFile::public(&path).unwrap();
    assert_eq!(public.role, Role::Witness);
    // The reader has one encoding, so that what it read is all that there is.
    assert!(world.line("token-key").contains(&public.public_key));
}

fn statement(world: &World) {
    assert_eq!(world.statement.statement().write(), world.bytes("statement"));
    assert_eq!(world.certified().statement, world.bytes("statement"));
    assert_eq!(world.statement.statement().fleets[0].evidence_root, manifest(world).root());
    assert_eq!(world.statement.digest(), world.activation().statement);
}

fn attestation(world: &World) {
    let attestation = UntrustedAttestation::parse(world.bytes("attestation")).unwrap();
    let verified = attestation.verify(&[World::ed25519(10)]).unwrap();
    let statement = world.statement.statement();
    let fleet = &statement.fleets[0];
    verified.covers(&statement.origin, &fleet.fleet_id, &fleet.members[0], &fleet.software).unwrap();
}

fn attestation_to_sign(world: &World) {
    let attestation = UntrustedAttestation::parse(world.bytes("attestation")).unwrap();
    signed(world, "attestation-to-sign", &to_sign::attestation(attestation.unverified_body()));
}

fn member_report(world: &World) {
    let report = UntrustedMemberReport::parse(world.bytes("member-report")).unwrap().verify().unwrap();
    assert_eq!(report.identity().identity_key, World::ed25519(101));
    assert_eq!(report.attestation(), Some(world.bytes("attestation")));
}

fn member_report_to_sign(world: &World) {
    let report = UntrustedMemberReport::parse(world.bytes("member-report")).unwrap().verify().unwrap();
    signed(world, "member-report-to-sign", &report_message(report.identity(), report.attestation()));
}

fn manifest(world: &World) -> Manifest {
    Manifest::parse(world.bytes("evidence-manifest")).unwrap()
}

fn evidence_manifest(world: &World) {
    assert_eq!(manifest(world).write(), world.bytes("evidence-manifest"));
    assert_eq!(world.evidence().manifest, world.bytes("evidence-manifest"));
}

fn approval(world: &World) {
    let certified = world.certified();
    assert_eq!(world.line("approval"), certified.approvals[0]);
    let statement = world.statement.statement();
    let approved = Approved { origin: &statement.origin, epoch: statement.epoch, digest: world.statement.digest() };
    let officers = world.policy_change().officers;
    let subject = approval::verify(world.line("approval"), &officers, approved, certified.certificate.time()).unwrap();
    assert_eq!(subject.as_str(), "officer-0");
}

fn certificate_message(world: &World) {
    let (namespace, certificate) = (world.trust.namespace(), world.certified().certificate);
    let (epoch, digest) = (world.statement.statement().epoch, world.statement.digest());
    let message = CertificateMessage { namespace: &namespace, timestamp_ms: certificate.timestamp_ms, epoch, digest };
    assert_eq!(world.line("certificate-message"), hex::encode(message.encode()));
    certificate.verify(&world.trust.keys.certificate, &namespace, epoch, digest).unwrap();
    assert_eq!(world.trust.keys.certificate, [World::ed25519(2)]);
}

fn countersignature_to_sign(world: &World) {
    let (activation, certificate) = (world.activation(), world.certified().certificate);
    let tuple = Countersigned {
        origin: &activation.origin,
        epoch: activation.epoch,
        statement: activation.statement,
        leaf_index: activation.leaf_index,
        certificate_signature: &certificate.signature,
    };
    signed(world, "countersignature-to-sign", &to_sign::countersignature(&tuple));
    let operator = &world.trust.keys.operator;
    countersignature::verify(&tuple, &activation.countersignatures, &operator.keys, operator.threshold).unwrap();
}

fn authority_change(world: &World) {
    let mut state = world.state.clone();
    state.apply(world.bytes("authority-change")).unwrap();
    let mut keys = [2, 42].map(World::ed25519);
    keys.sort();
    assert_eq!(state.authority().keys().certificate, keys);
}

fn successor_commitment(world: &World) {
    assert_eq!(world.trust.successors, [Digest::of(world.bytes("successor-commitment"))]);
}

fn policy(world: &World) {
    assert_eq!(world.text("policy"), world.trust.keys.policy);
    let found = Policy::parse(world.bytes("policy")).unwrap().require_fault_tolerance(1).unwrap();
    assert_eq!(found.faults, 1);
}

fn checkpoint(world: &World) {
    let head = world.head();
    assert_eq!(head.checkpoint().size.get(), u64::try_from(world.entries.len()).unwrap());
    assert_eq!(head.cosigned().len(), 3);
}

fn cosignature_to_sign(world: &World) {
    let signed_checkpoint = SignedCheckpoint::parse(world.bytes("checkpoint")).unwrap();
    let key = world.policy().witnesses()[0].vkey.clone();
    let line = signed_checkpoint.note().signature_of(&key).unwrap();
    let cosignature = Cosignature::from_note_signature(line).unwrap();
    let text = signed_checkpoint.note().text();
    cosignature.verify(&key, text).unwrap();
    signed(world, "cosignature-to-sign", &cosignature_message(cosignature.timestamp, text));
}

fn add_checkpoint(world: &World) {
    let request = AddCheckpointRequest::parse(world.bytes("add-checkpoint")).unwrap();
    assert_eq!(request.to_bytes(), world.bytes("add-checkpoint"));
    let signed_checkpoint = SignedCheckpoint::parse(&request.checkpoint).unwrap();
    let keys: Vec<_> = world.policy().logs().iter().map(|log| log.vkey.clone()).collect();
    signed_checkpoint.verify_log(&keys).unwrap();
    let (head, floor) = (signed_checkpoint.checkpoint(), &world.floor);
    assert_eq!((request.old, head), (floor.size, world.head().checkpoint()));
    verify_consistency(floor.size, floor.root, head.size, head.root, &request.proof).unwrap();
}

fn fork_evidence(world: &World) {
    let evidence = UntrustedForkEvidence::parse(world.bytes("fork-evidence")).unwrap();
    assert_eq!(evidence.to_bytes(), world.bytes("fork-evidence"));
    let verified = evidence.verify(&[VerifierKey::parse(world.line("fork-vkey")).unwrap()]).unwrap();
    assert_eq!((verified.smaller().size.get(), verified.larger().size.get()), (3, 4));
    assert!(matches!(verified.kind(), ForkKind::NotGrown { .. }));
}

fn gossip_heads(world: &World) {
    let page = HeadPage::parse(world.bytes("gossip-heads")).unwrap();
    assert_eq!(page.to_bytes(), world.bytes("gossip-heads"));
    assert_eq!(page.heads(), [SignedCheckpoint::parse(world.bytes("checkpoint")).unwrap()]);
}

fn receipt(world: &World) {
    let receipt = TlogProof::parse(world.bytes("receipt")).unwrap();
    assert_eq!(receipt.to_bytes(), world.bytes("receipt"));
    receipt.verify(&world.policy(), leaf_hash(&world.entries[1])).unwrap();
    assert_eq!(receipt.index, world.activation().leaf_index);
}

/// Each section is named after a function and begins with a line of its own.
fn to_sign_golden(world: &World) {
    let source = fs::read_to_string(root().join("src/bundle/src/to_sign.rs")).unwrap();
    let sections: Vec<&str> = world.text("to-sign-golden").split("=== ").skip(1).collect();
    assert_eq!(sections.len(), source.matches("\npub fn ").count());
    for section in sections {
        let (function, string) = section.split_once('\n').unwrap();
        assert!(source.contains(&format!("\npub fn {function}(")), "{function}");
        assert!(string.starts_with(&format!("countermark/{}/v1\n", function.replace('_', "-"))), "{function}");
    }
}

fn trust(world: &World) {
    assert_eq!(TrustFile::parse(world.bytes("trust")).unwrap().write(), world.bytes("trust"));
    let keys = &world.trust.keys;
    let seeds = [
        &keys.administration.authority,
        &keys.administration.operator,
        &keys.revocation.authority,
        &keys.revocation.operator,
    ];
    for (keys, seed) in seeds.into_iter().zip(4..) {
        assert_eq!(*keys, [World::ed25519(seed)]);
    }
}

fn floor(world: &World) {
    assert_eq!(Floor::parse(world.bytes("floor")).unwrap().write(), world.bytes("floor"));
    assert_eq!((world.floor.size.get(), world.floor.digest), (3, Some(world.statement.digest())));
    let [unlogged] = world.floor.revocations.as_slice() else { panic!("{:?}", world.floor.revocations) };
    assert!(matches!(Entry::parse(unlogged.as_bytes()).unwrap(), Entry::Revocation(_)));
    assert!(!world.entries.iter().any(|entry| entry == unlogged.as_bytes()));
}

fn link(world: &World) {
    assert_eq!(ConsistencyLink::parse(world.bytes("link")).unwrap().write(), world.bytes("link"));
}

/// The bundle verifies under the trust file, the floor and the link, and not without the link.
fn validation_bundle(world: &World) {
    let bytes = world.bytes("validation-bundle");
    let bundle = ValidationBundle::parse(bytes).unwrap();
    assert_eq!(bundle.checkpoint, world.text("checkpoint"));
    assert!(bundle.records.iter().map(|record| &record.entry).eq(&world.entries[1..]));
    let link = ConsistencyLink::parse(world.bytes("link")).unwrap();
    let now = Timestamp::from_unix(world.head().time().unwrap() + 60).unwrap();
    let refused = verify(bytes, None, &world.trust, &world.floor, now).unwrap_err();
    assert_eq!((refused.step(), refused.exit_class()), (Step::Floor, ExitClass::NotChecked));
    let mut passed = Vec::new();
    let mut observe = |step: countermark_bundle::verify::Passed| passed.push(step.step);
    let unstored = verify_observed(bytes, Some(&link), &world.trust, &world.floor, now, &mut observe).unwrap();
    let verified = unstored.store(|_| Ok::<(), ()>(())).unwrap();
    assert_eq!(passed, Step::ALL[..15]);
    assert_eq!(verified.statement().digest(), world.statement.digest());
}

fn key_set(world: &World) {
    assert_eq!(KeySet::parse(world.bytes("key-set")).unwrap().write(), world.bytes("key-set"));
}

fn access_token(world: &World) {
    let claims: serde_json::Value = serde_json::from_str(world.text("access-token-claims")).unwrap();
    let now = Timestamp::from_unix(claims["iat"].as_u64().unwrap()).unwrap();
    let audience = Audience::new(claims["aud"].as_str().unwrap()).unwrap();
    let keys = KeySet::parse(world.bytes("key-set")).unwrap();
    let accepted = keys.verify(world.line("access-token"), &audience, now).unwrap();
    assert!(accepted.allow(&world.trust.namespace(), Scope::Statements));
    assert!(!accepted.allow(&world.trust.namespace(), Scope::Entries));
    assert!(keys.verify(world.line("approval"), &audience, now).is_err());
}

fn access_token_header(world: &World) {
    assert_eq!(token_part(world, 0), world.line("access-token-header"));
}

fn access_token_claims(world: &World) {
    assert_eq!(token_part(world, 1), world.line("access-token-claims"));
}

fn token_part(world: &World, part: usize) -> String {
    let part = world.line("access-token").split('.').nth(part).unwrap();
    String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
