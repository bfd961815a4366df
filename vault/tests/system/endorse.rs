//! The vendor's side, against members that are what they say and servers that are not.

use std::net::SocketAddr;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use countermark_bundle::ExitClass;
use countermark_bundle::attestation::UntrustedAttestation;
use countermark_bundle::identity::Digest;
use countermark_keys::OpenError;
use countermark_vault::endorse::{EndorseError, endorse};
use countermark_vault::{Existing, FetchError, init};
use countermark_vault_core::attest;
use countermark_vault_core::member::ReportError;

use crate::support::{Home, Running, exchange};

/// A server that answers everything with the same; it ends with the test's runtime.
async fn answering(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(move || async move { (status, headers, body) });
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}

async fn refused(home: &Home, address: SocketAddr) -> EndorseError {
    endorse(&home.endorsement(address, Digest([7; 32]))).await.unwrap_err()
}

async fn report_of(address: SocketAddr) -> Vec<u8> {
    exchange(address, "GET /v1/member", &[]).await.body.into_bytes()
}

#[tokio::test]
async fn an_endorsed_member_holds_what_the_vendor_signed() {
    let home = Home::new();
    init(&home.config(), Existing::Refuse).unwrap();
    let running = Running::start(home.config()).await;
    let software = running.report().await.identity().software.sha256;
    let endorsed = endorse(&home.endorsement(running.address, software)).await.unwrap();
    let report = running.report().await;
    let bytes = report.attestation().unwrap();
    assert_eq!(Digest::of(bytes), endorsed.attestation_sha256);
    let verified = UntrustedAttestation::parse(bytes).unwrap().verify(&[home.vendor_key()]).unwrap();
    assert_eq!(verified.body(), &endorsed.body);
    assert_eq!(endorsed.vendor_key_id, home.vendor_key().key_id());
    assert_eq!(report.attested_software(), Some(software));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_member_that_runs_another_executable_is_not_endorsed() {
    let home = Home::new();
    init(&home.config(), Existing::Refuse).unwrap();
    let running = Running::start(home.config()).await;
    let error = refused(&home, running.address).await;
    assert!(matches!(error, EndorseError::Refused(attest::EndorseError::OtherSoftware { .. })), "{error:?}");
    assert_eq!(error.class(), ExitClass::RefusedByPolicy);
    assert_eq!(running.report().await.attestation(), None);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_member_that_does_not_know_the_vendor_refuses_its_word() {
    let (home, stranger) = (Home::new(), Home::new());
    init(&home.config(), Existing::Refuse).unwrap();
    let running = Running::start(home.config()).await;
    let software = running.report().await.identity().software.sha256;
    let error = endorse(&stranger.endorsement(running.address, software)).await.unwrap_err();
    let EndorseError::Fetch(FetchError::Answer { status, problem, .. }) = &error else { panic!("{error:?}") };
    assert_eq!(status.as_u16(), 422);
    assert!(problem.starts_with("urn:countermark:refusal:attestation-unknown-vendor"), "{problem}");
    assert_eq!(error.class(), ExitClass::RefusedByPolicy);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_report_that_its_identity_key_did_not_sign_is_not_endorsed() {
    let home = Home::new();
    init(&home.config(), Existing::Refuse).unwrap();
    let running = Running::start(home.config()).await;
    let report = String::from_utf8(report_of(running.address).await).unwrap();
    running.stop().await.unwrap();
    let stolen = report.replace("\"member-1\"", "\"member-2\"");
    let address = answering(StatusCode::OK, HeaderMap::new(), stolen.into_bytes()).await;
    let error = refused(&home, address).await;
    assert!(matches!(error, EndorseError::Report(ReportError::ProofOfPossession(_))), "{error:?}");
    assert_eq!(error.class(), ExitClass::Proof);
}

#[tokio::test]
async fn what_is_not_a_report_is_refused() {
    let home = Home::new();
    let address = answering(StatusCode::OK, HeaderMap::new(), b"<html>".to_vec()).await;
    let error = refused(&home, address).await;
    assert!(matches!(error, EndorseError::Report(ReportError::Json(_))), "{error:?}");
    assert_eq!(error.class(), ExitClass::Malformed);
    let address = answering(StatusCode::OK, HeaderMap::new(), vec![b' '; 16 * 1024 + 1]).await;
    let error = refused(&home, address).await;
    assert!(matches!(error, EndorseError::Fetch(FetchError::TooLarge { limit: 16_384, .. })), "{error:?}");
    assert_eq!(error.class(), ExitClass::Malformed);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let home = Home::new();
    init(&home.config(), Existing::Refuse).unwrap();
    let running = Running::start(home.config()).await;
    let elsewhere = format!("http://{}/v1/member", running.address).parse().unwrap();
    let headers = HeaderMap::from_iter([(axum::http::header::LOCATION, elsewhere)]);
    let address = answering(StatusCode::TEMPORARY_REDIRECT, headers, Vec::new()).await;
    let error = refused(&home, address).await;
    assert!(
        matches!(error, EndorseError::Fetch(FetchError::Answer { status, .. }) if status.as_u16() == 307),
        "{error:?}"
    );
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_member_that_fails_or_is_not_there_is_unreachable() {
    let home = Home::new();
    let address = answering(StatusCode::INTERNAL_SERVER_ERROR, HeaderMap::new(), Vec::new()).await;
    let error = refused(&home, address).await;
    assert!(matches!(error, EndorseError::Fetch(FetchError::Answer { .. })), "{error:?}");
    assert_eq!(error.class(), ExitClass::Unreachable);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let error = refused(&home, nobody).await;
    assert!(matches!(error, EndorseError::Fetch(FetchError::Unreachable { .. })), "{error:?}");
    assert_eq!(error.class(), ExitClass::Unreachable);
}

#[tokio::test]
async fn only_a_vendors_key_endorses() {
    let home = Home::new();
    init(&home.config(), Existing::Refuse).unwrap();
    let mut endorsement = home.endorsement(([127, 0, 0, 1], 1).into(), Digest([7; 32]));
    endorsement.vendor_key_file = home.path("identity.key");
    endorsement.passphrase_file = home.path("passphrase");
    let error = endorse(&endorsement).await.unwrap_err();
    assert!(matches!(error, EndorseError::Key(OpenError::WrongRole { .. })), "{error:?}");
    assert_eq!(error.class(), ExitClass::OurFault);
    endorsement.member = "127.0.0.1:1".to_owned();
    let error = endorse(&endorsement).await.unwrap_err();
    assert!(matches!(error, EndorseError::Address), "{error:?}");
    assert_eq!(error.class(), ExitClass::Usage);
}
