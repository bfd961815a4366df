//! The shapes as plexi-core 0.1.2 reads them: its own structs, field by field.

use serde::Deserialize;
use serde_json::{from_str, to_string};

use super::*;
use crate::testing::World;

/// `auditor.rs`.
#[derive(Deserialize)]
struct TheirConfiguration {
    keys: Vec<TheirKeyInfo>,
    logs: Vec<String>,
}

#[derive(Deserialize)]
struct TheirKeyInfo {
    public_key: String,
    not_before: u64,
}

/// `namespaces.rs`.
#[derive(Deserialize)]
struct TheirNamespaces {
    namespaces: Vec<TheirNamespaceInfo>,
}

/// `namespaces.rs`, `TempNamespaceInfo`.
#[derive(Deserialize)]
struct TheirNamespaceInfo {
    name: String,
    log_directory: Option<String>,
    root: Option<String>,
    last_verified_epoch: Option<u64>,
    status: TheirStatus,
    reports_uri: String,
    audits_uri: String,
    signature_version: Option<u32>,
    ciphersuite: Option<u32>,
}

#[derive(Deserialize, Debug, PartialEq)]
enum TheirStatus {
    Online,
    Initialization,
    Disabled,
}

/// `lib.rs`, `TempSignatureResponse`.
#[derive(Deserialize)]
struct TheirSignatureResponse {
    version: Option<u32>,
    ciphersuite: Option<u32>,
    namespace: String,
    timestamp: u64,
    epoch: u64,
    digest: String,
    signature: String,
    key_id: Option<u8>,
    serialized_message: Option<String>,
}

/// `lib.rs`, `LastVerifiedEpoch`.
#[derive(Deserialize)]
struct TheirLastVerifiedEpoch {
    job_id: String,
    epoch: u64,
    start_hash: String,
    end_hash: String,
    timestamp: u64,
}

fn certified(world: &World) -> NamespaceState {
    let mut state = NamespaceState::new(&world.trust).unwrap();
    state.apply(&world.first_entry()).unwrap();
    state
}

#[test]
fn their_configuration_reads_our_keys() {
    let world = World::new();
    let key = world.certificate.public();
    let ours = Configuration { keys: vec![KeyInfo::of(key)], logs: vec!["backup".to_owned()] };
    let theirs: TheirConfiguration = from_str(&to_string(&ours).unwrap()).unwrap();
    assert_eq!(
        (theirs.keys[0].public_key.as_str(), theirs.logs[0].as_str()),
        (hex::encode(key.bytes()).as_str(), "backup")
    );
    assert_eq!(theirs.keys[0].not_before, 0);
}

#[test]
fn their_namespace_reads_ours_before_and_after_the_first_statement() {
    let world = World::new();
    let namespace = Namespace::parse("backup").unwrap();
    for state in [None, Some(certified(&world))] {
        let ours = Namespaces { namespaces: vec![NamespaceInfo::of(&namespace, state.as_ref())] };
        let theirs: TheirNamespaces = from_str(&to_string(&ours).unwrap()).unwrap();
        let theirs = &theirs.namespaces[0];
        assert_eq!(theirs.status, TheirStatus::Initialization);
        assert_ne!(theirs.status, TheirStatus::Disabled);
        assert_ne!(theirs.status, TheirStatus::Online);
        assert_eq!((theirs.name.as_str(), &theirs.log_directory, &theirs.root), ("backup", &None, &None));
        assert_eq!(
            (theirs.last_verified_epoch, theirs.signature_version, theirs.ciphersuite),
            (None, Some(1), Some(1))
        );
        assert_eq!(theirs.audits_uri, "/namespaces/backup/audits");
        assert_eq!(theirs.reports_uri, "/namespaces/backup/reports");
    }
}

#[tokio::test]
async fn their_signature_and_last_epoch_read_ours() {
    let world = World::new();
    let (_, handle) = world.served().await;
    let statement = world.statement(1, None);
    let wait = crate::sequencer::WaitLevel::Published;
    handle.submit(world.submission(&statement), wait, std::time::Duration::from_secs(20)).await.unwrap();
    let published = handle.published().unwrap();
    let record = published.state.fleet_keys().unwrap().newest_certified().unwrap();
    let keys = std::slice::from_ref(world.certificate.public());
    let ours = to_string(&SignatureResponse::of(handle.namespace(), keys, record)).unwrap();
    let theirs: TheirSignatureResponse = from_str(&ours).unwrap();
    assert_eq!((theirs.version, theirs.ciphersuite, theirs.namespace.as_str()), (Some(1), Some(1), "backup"));
    assert_eq!((theirs.epoch, theirs.timestamp), (1, record.certificate.timestamp_ms));
    assert_eq!((theirs.digest.len(), theirs.signature.len()), (64, 128));
    assert_eq!(theirs.key_id, world.certificate.public().bytes().last().copied());
    let message = hex::decode(theirs.serialized_message.unwrap()).unwrap();
    world.certificate.public().verify_ed25519(&message, &hex::decode(theirs.signature).unwrap()).unwrap();

    let theirs: TheirLastVerifiedEpoch = from_str(&to_string(&LastVerifiedEpoch::of(record)).unwrap()).unwrap();
    assert_eq!((theirs.epoch, theirs.timestamp), (1, record.certificate.timestamp_ms));
    assert_eq!((theirs.start_hash.len(), theirs.end_hash), (64, record.statement.digest().to_hex()));
    assert!(is_uuid(&theirs.job_id), "{}", theirs.job_id);
}

/// The form that the `uuid` crate reads.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[test]
fn a_job_is_numbered_by_the_statements_digest() {
    assert_eq!(job_id(Digest([0xff; 32])), "ffffffff-ffff-8fff-bfff-ffffffffffff");
    assert_eq!(job_id(Digest([0; 32])), "00000000-0000-8000-8000-000000000000");
    assert_ne!(job_id(Digest::of(b"one")), job_id(Digest::of(b"two")));
}
