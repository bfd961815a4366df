//! A member over HTTP, in this process.

use std::fs;

use countermark_bundle::attestation::{self, AttestationBody};
use countermark_bundle::identity::{Digest, Name};
use countermark_keys::{KeyFile, OpenError, Role};
use countermark_service::listener::BindError;
use countermark_vault::endorse::endorse;
use countermark_vault::{Existing, KeyError, MemberError, ServeError, StoreError, init, serve};
use countermark_vault_core::attest::AdmitError;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Home, Running, exchange, put_attestation, read_answer};

async fn refused(home: &Home) -> ServeError {
    serve(home.config(), |_| panic!("it serves"), std::future::ready(())).await.unwrap_err()
}

/// An attestation of the running member by its vendor, of a body that `change` was applied to.
async fn attested(home: &Home, running: &Running, change: impl FnOnce(&mut AttestationBody)) -> Vec<u8> {
    let report = running.report().await;
    let identity = report.identity();
    let mut body = AttestationBody {
        origin: identity.origin.clone(),
        fleet_id: identity.fleet_id.clone(),
        member_id: identity.member_id.clone(),
        identity_key: identity.identity_key.clone(),
        session_key: identity.session_key.clone(),
        software_sha256: identity.software.sha256,
        issued_at: home.endorsement(running.address, Digest([0; 32])).now,
    };
    change(&mut body);
    let vendor = KeyFile::open_signer(&home.path("vendor.key"), Role::Vendor, &home.path("vendor.passphrase")).unwrap();
    let signature = vendor.sign(&countermark_bundle::to_sign::attestation(&body)).unwrap();
    attestation::write(body, home.vendor_key().key_id(), signature)
}

#[tokio::test]
async fn the_report_names_the_executable_that_runs() {
    let home = Home::new();
    let keys = init(&home.config(), Existing::Refuse).unwrap();
    let running = Running::start(home.config()).await;
    let report = running.report().await;
    let identity = report.identity();
    assert_eq!((&identity.identity_key, &identity.session_key), (&keys.identity, &keys.session));
    let executable = fs::read(std::env::current_exe().unwrap()).unwrap();
    assert_eq!(identity.software.sha256, Digest::of(&executable));
    assert_eq!(identity.software.name, "countermark-vault");
    assert_eq!((report.attestation(), report.attested_software()), (None, None));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_attestation_survives_a_restart_and_the_same_bytes_change_nothing() {
    let home = Home::new();
    init(&home.config(), Existing::Refuse).unwrap();
    let running = Running::start(home.config()).await;
    let bytes = attested(&home, &running, |_| {}).await;
    for unchanged in ["\"unchanged\":false", "\"unchanged\":true"] {
        let answer = put_attestation(running.address, &bytes).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains(unchanged), "{}", answer.body);
    }
    assert_eq!(fs::read(home.path("attestation.json")).unwrap(), bytes);
    running.stop().await.unwrap();
    let running = Running::start(home.config()).await;
    assert_eq!(running.report().await.attestation(), Some(bytes.as_slice()));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_attestation_of_another_executable_or_member_is_refused_and_not_stored() {
    let home = Home::new();
    init(&home.config(), Existing::Refuse).unwrap();
    let running = Running::start(home.config()).await;
    let other_software = attested(&home, &running, |body| body.software_sha256 = Digest::of(b"other")).await;
    let other_member = attested(&home, &running, |body| body.member_id = Name::parse("member-2").unwrap()).await;
    for (bytes, expect) in [(other_software, "other-software"), (other_member, "other-member")] {
        let answer = put_attestation(running.address, &bytes).await;
        assert_eq!(answer.status, 422);
        assert!(answer.body.contains(&format!("urn:countermark:refusal:attestation-{expect}")), "{}", answer.body);
    }
    assert!(!home.path("attestation.json").exists());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_attestation_signed_with_the_members_own_key_is_refused() {
    let home = Home::new();
    init(&home.config(), Existing::Refuse).unwrap();
    let running = Running::start(home.config()).await;
    let report = running.report().await;
    let software = report.identity().software.sha256;
    let body = countermark_vault_core::attest::endorse(
        &report,
        software,
        &home.vendor_key(),
        home.endorsement(running.address, software).now,
    )
    .unwrap();
    let own = KeyFile::open_signer(&home.path("identity.key"), Role::VaultIdentity, &home.path("passphrase")).unwrap();
    let signature = own.sign(&countermark_bundle::to_sign::attestation(&body)).unwrap();
    let own_key_id = body.identity_key.key_id();
    let answer = put_attestation(running.address, &attestation::write(body, own_key_id, signature)).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("attestation-self-signed"), "{}", answer.body);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let home = Home::new();
    init(&home.config(), Existing::Refuse).unwrap();
    let running = Running::start(home.config()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let head =
        "PUT /v1/attestation HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_answer(stream).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("body-unreadable"), "{}", answer.body);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_member_that_others_reach_reports_itself_and_takes_no_attestation() {
    let home = Home::new();
    init(&home.config(), Existing::Refuse).unwrap();
    home.write_config("0.0.0.0:0");
    let running = Running::start(home.config()).await;
    let address = ([127, 0, 0, 1], running.address.port()).into();
    let answer = put_attestation(address, b"{}").await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("not-loopback"), "{}", answer.body);
    assert_eq!(exchange(address, "GET /v1/member", &[]).await.status, 200);
    assert_eq!(exchange(address, "GET /healthz", &[]).await.body, "ok");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_member_without_its_keys_is_retired() {
    for file in ["identity.key", "session.key"] {
        let home = Home::new();
        init(&home.config(), Existing::Refuse).unwrap();
        fs::remove_file(home.path(file)).unwrap();
        let error = refused(&home).await;
        let ServeError::Key(KeyError::Missing { path }) = &error else { panic!("{error:?}") };
        assert_eq!(*path, home.path(file));
        assert!(error.to_string().contains("retired"), "{error}");
    }
}

#[tokio::test]
async fn keys_that_do_not_open_are_refused() {
    let home = Home::new();
    init(&home.config(), Existing::Refuse).unwrap();
    fs::copy(home.path("vendor.passphrase"), home.path("passphrase")).unwrap();
    let error = refused(&home).await;
    assert!(matches!(error, ServeError::Key(KeyError::Open(OpenError::WrongPassphrase { .. }))), "{error:?}");
}

#[tokio::test]
async fn a_damaged_attestation_does_not_let_the_member_start() {
    let home = Home::new();
    init(&home.config(), Existing::Refuse).unwrap();
    fs::write(home.path("attestation.json"), "{").unwrap();
    let error = refused(&home).await;
    let expected = matches!(error, ServeError::Member(MemberError::StoredAttestation(AdmitError::Attestation(_))));
    assert!(expected, "{error:?}");
    fs::write(home.path("attestation.json"), vec![b' '; 8 * 1024 + 1]).unwrap();
    let error = refused(&home).await;
    assert!(matches!(error, ServeError::Member(MemberError::Store(StoreError::TooLarge { .. }))), "{error:?}");
}

#[tokio::test]
async fn an_attestation_of_another_member_does_not_let_this_one_start() {
    let (one, other) = (Home::new(), Home::new());
    for home in [&one, &other] {
        init(&home.config(), Existing::Refuse).unwrap();
    }
    let running = Running::start(other.config()).await;
    let software = running.report().await.identity().software.sha256;
    endorse(&other.endorsement(running.address, software)).await.unwrap();
    running.stop().await.unwrap();
    // Same names, same vendor, other keys.
    fs::copy(other.path("vendor.key"), one.path("vendor.key")).unwrap();
    one.write_config("127.0.0.1:0");
    fs::copy(other.path("attestation.json"), one.path("attestation.json")).unwrap();
    let error = refused(&one).await;
    let expected = matches!(error, ServeError::Member(MemberError::StoredAttestation(AdmitError::OtherKeys)));
    assert!(expected, "{error:?}");
}

#[tokio::test]
async fn an_address_that_cannot_be_listened_on_is_named() {
    let home = Home::new();
    init(&home.config(), Existing::Refuse).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = home.config();
    config.listen = taken.local_addr().unwrap();
    let error = serve(config, |_| panic!("it serves"), std::future::ready(())).await.unwrap_err();
    assert!(
        matches!(error, ServeError::Bind(BindError::AddressInUse { address }) if address == taken.local_addr().unwrap())
    );
    let mut config = home.config();
    config.listen = "192.0.2.1:0".parse().unwrap();
    let error = serve(config, |_| panic!("it serves"), std::future::ready(())).await.unwrap_err();
    assert!(matches!(error, ServeError::Bind(BindError::Refused { .. })), "{error:?}");
}

#[tokio::test]
async fn a_member_that_is_told_to_end_ends_though_a_connection_stays_open() {
    let home = Home::new();
    init(&home.config(), Existing::Refuse).unwrap();
    let running = Running::start(home.config()).await;
    let _idle = std::net::TcpStream::connect(running.address).unwrap();
    running.stop().await.unwrap();
}
