//! The same over HTTP, as apps use it.

use countermark_bundle::identity::Namespace;
use countermark_bundle::statement::KeyRole;
use countermark_bundle::verify::Distrust;

use super::*;
use crate::backup::staple::believe;
use crate::fetch::{LogReader, Timeouts};
use crate::floor_store::FloorFile;
use crate::testing::serve_raw;
use crate::verify::VerifyError;

fn transports(addresses: &[&str]) -> Vec<Arc<dyn Transport>> {
    let member = |address: &&str| HttpMember::new(address, Timeouts::default()).unwrap();
    addresses.iter().map(|address| Arc::new(member(address)) as Arc<dyn Transport>).collect()
}

fn reader(address: &str) -> LogReader {
    LogReader::new(address, &Namespace::parse("backup").unwrap(), Timeouts::default()).unwrap()
}

/// A member that serves, and one whose address nobody listens at.
async fn served() -> (Setup, TestServer, String) {
    let setup = Setup::new();
    let server = TestServer::serve(Arc::clone(&setup.members[1])).await;
    let gone = TestServer::serve(Arc::clone(&setup.members[0])).await.address.clone();
    (setup, server, gone)
}

#[tokio::test]
async fn an_app_believes_the_staple_registers_and_recovers() {
    let (setup, server, _) = served().await;
    let folder = tempfile::tempdir().unwrap();
    let floor = FloorFile::new(&folder.path().join("floor.json"));
    let believed = believe(&[reader(&server.address)], &setup.fleet.world.trust, &floor, at(NOW)).await.unwrap();
    assert_eq!((believed.address, believed.passed.len()), (format!("{}/", server.address), 16));
    let transports = transports(&[&server.address]);
    let vault = Vault::new(&believed.bundle, &transports, account("alice"), at(NOW)).cheap();
    let key = new_key().unwrap();
    let done = vault.register(password("correct horse"), &key).await.unwrap();
    assert_eq!((done.member_id.as_str(), done.address), ("member-2", server.address.clone()));
    assert_eq!(vault.recover(password("correct horse")).await.unwrap().outcome.key, key);
    every_session_has_the_same_length(&setup);
}

#[tokio::test]
async fn a_member_that_is_gone_is_passed_over_for_the_bundle_and_for_the_session() {
    let (setup, server, gone) = served().await;
    let folder = tempfile::tempdir().unwrap();
    let floor = FloorFile::new(&folder.path().join("floor.json"));
    let sources = [reader(&gone), reader(&server.address)];
    let believed = believe(&sources, &setup.fleet.world.trust, &floor, at(NOW)).await.unwrap();
    assert_eq!(believed.passed_over.len(), 1);
    let transports = transports(&[&gone, &server.address]);
    let vault = Vault::new(&believed.bundle, &transports, account("alice"), at(NOW)).cheap();
    let done = vault.register(password("x"), &new_key().unwrap()).await.unwrap();
    assert_eq!((done.member_id.as_str(), done.passed_over.len()), ("member-2", 1));
    assert_eq!(done.passed_over[0].error.name(), "unreachable");
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_charge_is_reported_and_not_repeated() {
    let (setup, server, _) = served().await;
    setup.members[1].fault(Fault::LostAt(2));
    let other = TestServer::serve(Arc::clone(&setup.members[2])).await;
    let transports = transports(&[&server.address, &other.address]);
    let vault = Vault::new(&setup.bundle, &transports, account("alice"), at(NOW)).cheap();
    let error = vault.recover(password("x")).await.unwrap_err();
    assert!(matches!(error, BackupError::UnknownOutcome { deed: Deed::Guess, cause: Some(_) }), "{error}");
    assert_eq!(setup.fleet.proposed(), ["charge"], "nobody charged twice");
    assert_eq!(setup.sessions(), 1);
}

#[tokio::test]
async fn pinned_keys_let_in_exactly_the_fleet_that_they_name() {
    let (setup, server, _) = served().await;
    let folder = tempfile::tempdir().unwrap();
    let mut trust = setup.fleet.world.trust.clone();
    let members = setup.bundle.serving_fleets().flat_map(|fleet| &fleet.members);
    let keys: Vec<_> = members.flat_map(|member| &member.keys).collect();
    let mut pinned: Vec<_> = keys.iter().map(|key| key.key_id).collect();
    pinned.sort();
    trust.pinned_keys = Some(pinned.clone());
    let floor = |name: &str| FloorFile::new(&folder.path().join(name));
    believe(&[reader(&server.address)], &trust, &floor("all"), at(NOW)).await.unwrap();

    let one = keys.iter().find(|key| key.role == KeyRole::Session).unwrap().key_id;
    trust.pinned_keys = Some(pinned.into_iter().filter(|key| *key != one).collect());
    let error = believe(&[reader(&server.address)], &trust, &floor("one-missing"), at(NOW)).await.unwrap_err();
    assert!(matches!(error.failures[0].error, VerifyError::Distrust(Distrust::NotPinned { .. })), "{error}");

    let late = at(NOW + 50_000);
    let error = believe(&[reader(&server.address)], &setup.fleet.world.trust, &floor("late"), late).await.unwrap_err();
    assert_eq!(error.exit_class(), countermark_bundle::ExitClass::Stale, "pinned or not, a stale head opens nothing");
}

#[tokio::test]
async fn answers_that_are_none_are_named_and_pass_to_the_next_member() {
    const CASES: [(&[u8], &[u8], &str); 5] = [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", b"", "protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n", b"", "unreachable"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"4\r\nabcd\r\n", "unreachable"),
        (b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", b"", "unreachable"),
        (b"HTTP/1.1 503 no\r\ncontent-length: 0\r\n\r\n", b"", "unreachable"),
    ];
    let (setup, server, _) = served().await;
    for (begin, forever, expect) in CASES {
        let hostile = serve_raw(begin, forever).await;
        let transports = transports(&[&hostile, &server.address]);
        let vault = Vault::new(&setup.bundle, &transports, account("alice"), at(NOW)).cheap();
        let done = vault.delete(None).await.unwrap();
        assert_eq!(done.passed_over[0].error.name(), expect, "{}", done.passed_over[0]);
    }
}
