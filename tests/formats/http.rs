//! The examples of answers over HTTP: what they say must follow from the log of the examples, and every field must stand in
//! the source that writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countermark_bundle::certificate::Certificate;
use countermark_bundle::entry::Entry;
use countermark_bundle::identity::Timestamp;
use countermark_bundle::namespace_state::RuleViolation;
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::hash::{Hash, leaf_hash};
use countermark_tlog::proof::{ConsistencyProof, InclusionProof, verify_consistency, verify_inclusion};
use countermark_tlog::size::LeafIndex;
use serde_json::{Value, json};

use crate::book::document;
use crate::world::World;

const DOCUMENTS: &str = "src/log/src/http/reads/documents.rs";
const SUBMISSIONS: &str = "src/log/src/http/submissions.rs";
const PLEXI: &str = "src/log/src/plexi.rs";

/// An example as JSON; each of its fields is one of the source's.
fn answer(world: &World, name: &str, source: &str) -> Value {
    let value: Value = serde_json::from_str(world.text(name)).unwrap();
    let source_text = document(source);
    for field in value.as_object().unwrap().keys() {
        assert!(source_text.contains(&format!(" {field}: ")), "{source} writes no {field} of {name}");
    }
    value
}

fn hashes(list: &Value) -> Vec<Hash> {
    list.as_array().unwrap().iter().map(|hash| Hash::from_base64(hash.as_str().unwrap()).unwrap()).collect()
}

fn leaf(world: &World, index: usize) -> String {
    hex::encode(leaf_hash(&world.entries[index]).0.0)
}

fn root_of(world: &World) -> String {
    world.head().checkpoint().root.0.to_base64()
}

fn digest(world: &World) -> String {
    world.statement.digest().to_hex()
}

fn time_of(seconds: u64) -> String {
    Timestamp::from_unix(seconds).unwrap().to_string()
}

pub fn inclusion(world: &World) {
    let answer = answer(world, "http-inclusion", DOCUMENTS);
    assert_eq!(
        (&answer["origin"], &answer["leaf_hash"]),
        (&json!(world.trust.origin.as_str()), &json!(leaf(world, 1)))
    );
    let path = InclusionProof::new(hashes(&answer["path"])).unwrap();
    let index = LeafIndex::new(answer["index"].as_u64().unwrap()).unwrap();
    let head = world.head();
    let head = head.checkpoint();
    assert_eq!(answer["size"], json!(head.size.get()));
    verify_inclusion(leaf_hash(&world.entries[1]), index, head.size, head.root, &path).unwrap();
}

pub fn consistency(world: &World) {
    let answer = answer(world, "http-consistency", DOCUMENTS);
    let (floor, head) = (&world.floor, world.head());
    let head = head.checkpoint();
    assert_eq!((&answer["from"], &answer["to"]), (&json!(floor.size.get()), &json!(head.size.get())));
    let proof = ConsistencyProof::new(hashes(&answer["proof"])).unwrap();
    verify_consistency(floor.size, floor.root, head.size, head.root, &proof).unwrap();
}

pub fn record(world: &World) {
    let answer = answer(world, "http-record", DOCUMENTS);
    let certificate: Certificate = serde_json::from_value(answer["certificate"].clone()).unwrap();
    assert_eq!(certificate, world.certified().certificate);
    let (renewal, due) = world.state.next_renewal(world.activation().epoch).unwrap();
    let expected = json!({
        "epoch": 1, "digest": digest(world), "index": 1, "certificate": answer["certificate"], "activations": [2],
        "next_renewal": renewal, "renewal_due": due, "revoked": false,
    });
    assert_eq!(answer, expected);
}

pub fn status(world: &World) {
    let answer = answer(world, "http-status", DOCUMENTS);
    let (state, head) = (&world.state, world.head());
    let statement = json!({ "epoch": 1, "digest": digest(world), "index": 1, "revoked": false });
    let policy = state.policy().unwrap();
    for (field, expected) in [
        ("origin", json!(world.trust.origin.as_str())),
        ("namespace", json!(world.trust.namespace())),
        ("ready", json!(true)),
        ("max_head_age_seconds", json!(world.statement.statement().max_head_age_seconds)),
        ("queued_submissions", json!(0)),
        ("state", json!("serving")),
        ("without_quorum_since", Value::Null),
        ("size", json!(head.checkpoint().size.get())),
        ("root", json!(root_of(world))),
        ("head_time", json!(time_of(head.time().unwrap()))),
        ("next_epoch", json!(state.next_epoch())),
        ("newest_certified", statement.clone()),
        ("newest_active", statement),
        (
            "policy",
            json!({ "serial": policy.serial, "digest": policy.digest, "approvals_needed": policy.approvals_needed }),
        ),
    ] {
        assert_eq!(answer[field], expected, "{field}");
    }
    let stamped = |name: &str| head.cosigned().iter().find(|(key, _)| key.name().as_str() == name).map(|(_, at)| *at);
    let witnesses = answer["witnesses"].as_array().unwrap();
    assert_eq!(witnesses.len(), world.policy().witnesses().len());
    for witness in witnesses {
        let at = stamped(witness["name"].as_str().unwrap()).map(time_of);
        assert_eq!(witness["last_success"], json!(at));
        assert_eq!(witness["cosigns"], json!(at.is_some()));
        assert_eq!(witness["last_failure"].is_null(), at.is_some());
        assert_eq!(witness["last_failure_reason"].is_null(), at.is_some());
    }
}

pub fn authority_status(world: &World) {
    let answer = answer(world, "http-authority-status", "src/log/src/http/overview.rs");
    let namespace: Value = serde_json::from_str(world.text("http-status")).unwrap();
    assert_eq!(answer["namespaces"], json!([namespace]));
    let problems = document("src/log/src/http/problem.rs");
    let shown = document("src/log/src/http/traffic.rs");
    let refusals = answer["refusals"].as_array().unwrap();
    for refusal in refusals {
        let row = format!("{} \"{}\"", refusal["status"], refusal["type"].as_str().unwrap());
        assert!(problems.contains(&row), "{row}");
        assert!(refusal.as_object().unwrap().keys().all(|field| shown.contains(&format!("{field}: "))), "{refusal}");
    }
    for name in answer["refusal_counts"].as_object().unwrap().keys() {
        assert!(problems.contains(&format!("\"{name}\"")), "{name}");
    }
}

pub fn submission(world: &World) {
    let submission = answer(world, "http-submission", SUBMISSIONS);
    let decode = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    assert_eq!(decode(&submission["statement"]), world.bytes("statement"));
    assert_eq!(submission["approvals"], json!(world.certified().approvals));
    let members = &world.statement.statement().fleets[0].members;
    let attestations = submission["attestations"].as_array().unwrap();
    assert_eq!(attestations.len(), members.len());
    for (attestation, member) in attestations.iter().zip(members) {
        assert_eq!(countermark_bundle::statement::AttestationRef::to(&decode(attestation)), member.attestation);
    }
}

pub fn submitted(world: &World) {
    let identity = Entry::parse(&world.entries[1]).unwrap().identity();
    let expected = json!({
        "index": 1, "leaf_hash": leaf(world, 1), "identity": identity, "level": "published", "size": 2, "duplicate": false,
    });
    assert_eq!(answer(world, "http-submitted", SUBMISSIONS), expected);
}

pub fn problem(world: &World) {
    let problem: Value = serde_json::from_str(world.text("http-problem")).unwrap();
    let name = problem["type"].as_str().unwrap().strip_prefix("urn:countermark:refusal:").unwrap();
    let row = format!("{} \"{name}\" \"{}\"", problem["status"], problem["title"].as_str().unwrap());
    assert!(document("src/log/src/http/problem.rs").contains(&row), "{row}");
    // Somebody submits epoch 1 a second time.
    let (expected, found) = (world.state.next_epoch().unwrap(), world.activation().epoch);
    assert_eq!(problem["detail"], json!(RuleViolation::Epoch { expected, found }.to_string()));
    assert_eq!((&problem["next_epoch"], &problem["previous"]), (&json!(expected), &json!(digest(world))));
}

pub fn plexi_info(world: &World) {
    let key = world.trust.keys.certificate[0].bytes();
    let expected = json!({ "keys": [{ "public_key": hex::encode(key), "not_before": 0 }], "logs": ["backup"] });
    assert_eq!(answer(world, "plexi-info", PLEXI), expected);
}

pub fn plexi_namespace(world: &World) {
    let expected = json!({
        "name": world.trust.namespace(), "log_directory": null, "root": format!("1/{}", digest(world)), "last_verified_epoch": 1,
        "status": "Online", "reports_uri": "/namespaces/backup/reports", "audits_uri": "/namespaces/backup/audits",
        "signature_version": 1, "ciphersuite": 1,
    });
    assert_eq!(answer(world, "plexi-namespace", PLEXI), expected);
}

pub fn plexi_audit(world: &World) {
    let certificate = world.certified().certificate;
    let expected = json!({
        "version": 1, "ciphersuite": 1, "namespace": "backup", "timestamp": certificate.timestamp_ms, "epoch": 1,
        "digest": digest(world), "signature": hex::encode(&certificate.signature),
        "key_id": world.trust.keys.certificate[0].bytes().last(), "serialized_message": world.line("certificate-message"),
    });
    assert_eq!(answer(world, "plexi-audit", PLEXI), expected);
}

pub fn plexi_last_verified_epoch(world: &World) {
    let last = answer(world, "plexi-last-verified-epoch", PLEXI);
    assert_eq!(last["end_hash"], json!(digest(world)));
    assert_eq!(last["start_hash"], json!("0".repeat(64)));
    // SPEC: RFC 9562 §5.8: the first 128 bits, but for version and variant.
    let job = last["job_id"].as_str().unwrap().replace('-', "");
    let digits = digest(world);
    assert_eq!(
        (&job[..12], &job[12..13], &job[13..16], &job[17..]),
        (&digits[..12], "8", &digits[13..16], &digits[17..32])
    );
}

pub fn head_register(world: &World) {
    let register = answer(world, "head-register", "src/log/src/head_register/document.rs");
    let checkpoint = register["checkpoint"].as_str().unwrap();
    let signed = SignedCheckpoint::parse(checkpoint.as_bytes()).unwrap();
    let keys: Vec<_> = world.policy().logs().iter().map(|log| log.vkey.clone()).collect();
    signed.verify_log(&keys).unwrap();
    assert_eq!(signed.checkpoint(), world.head().checkpoint());
    let size = world.head().checkpoint().size.get();
    assert_eq!((&register["size"], &register["root"]), (&json!(size), &json!(root_of(world))));
}

pub fn export(world: &World) {
    let export: Value = serde_json::from_str(world.text("export")).unwrap();
    let source = document("src/log/src/export/document.rs");
    for field in export.as_object().unwrap().keys() {
        let written = [format!(" {field}: "), format!("rename = \"{field}\"")].iter().any(|form| source.contains(form));
        assert!(written, "an export has no {field}");
    }
    let origin = world.trust.origin.as_str();
    for (field, expected) in [
        ("type", json!("countermark/export/v1")),
        ("kind", json!("fleet-keys")),
        ("origin", json!(origin)),
        ("namespace", json!(world.trust.namespace())),
        ("max_head_age_seconds", json!(world.trust.limits.max_head_age_seconds)),
    ] {
        assert_eq!(export[field], expected, "{field}");
    }
    assert!(export["software"].as_str().unwrap().starts_with("countermark-log "));
    assert_eq!(export.as_object().unwrap().len(), 6);
}
