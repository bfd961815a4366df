mod fleet;

use super::*;
use crate::testkit::{FailsAt, LocalFleet, MemoryStore, VENDOR, attest, body, identity, name, public, start};
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request};
use countermark_bundle::attestation::{ATTESTATION_BYTES_MAX, AttestationBody};
use countermark_bundle::identity::Digest;
use countermark_vault_core::member::UntrustedMemberReport;
use serde_json::Value;
use tower::ServiceExt as _;

struct Answer {
    status: u16,
    media_type: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The name of a problem, after checking the document around it.
    fn problem(&self) -> String {
        assert_eq!(self.media_type, "application/problem+json");
        let document = self.json();
        assert_eq!(document["status"], self.status);
        assert!(document["title"].is_string() && document["detail"].is_string());
        document["type"].as_str().unwrap().strip_prefix("urn:countermark:refusal:").unwrap().to_owned()
    }
}

/// A member behind its routes.
struct Home {
    router: Router,
    disk: MemoryStore,
}

impl Home {
    fn new(attesting: Attesting) -> Self {
        let disk = MemoryStore::holding(None);
        let member = start(identity(), disk.clone()).unwrap();
        let served: Served<MemoryStore, LocalFleet> = Served { member, seat: None };
        Self { router: router(Arc::new(served), attesting), disk }
    }

    async fn ask(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let media_type = response.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec();
        Answer { status, media_type: media_type.unwrap_or_default(), body }
    }

    async fn put(&self, attestation: Vec<u8>) -> Answer {
        self.ask(Method::PUT, "/v1/attestation", attestation).await
    }

    async fn attestation(&self) -> Option<Vec<u8>> {
        let answer = self.ask(Method::GET, "/v1/member", Body::empty()).await;
        assert_eq!((answer.status, answer.media_type.as_str()), (200, "application/json"));
        let report = UntrustedMemberReport::parse(&answer.body).unwrap().verify().unwrap();
        assert_eq!(report.identity(), &identity());
        report.attestation().map(<[u8]>::to_vec)
    }
}

fn attestation() -> Vec<u8> {
    attest(body(&identity()), VENDOR)
}

#[tokio::test]
async fn an_attestation_is_taken_once_and_reported() {
    let served = Home::new(Attesting::Open);
    assert_eq!(served.attestation().await, None);
    for unchanged in [false, true] {
        let answer = served.put(attestation()).await;
        assert_eq!((answer.status, answer.media_type.as_str()), (200, "application/json"));
        let digest = Digest::of(&attestation()).to_hex();
        assert_eq!(answer.json(), serde_json::json!({"attestation_sha256": digest, "unchanged": unchanged}));
        assert_eq!(served.attestation().await, Some(attestation()));
    }
}

#[tokio::test]
async fn every_refusal_has_a_name_and_changes_nothing() {
    let served = Home::new(Attesting::Open);
    let own = || body(&identity());
    let vendors = |body| attest(body, VENDOR);
    let forged = countermark_bundle::attestation::write(own(), public(VENDOR).key_id(), vec![0; 64]);
    let algorithms = AttestationBody { session_key: public(1), ..own() };
    let cases = [
        (400, "attestation-malformed", Vec::new()),
        (400, "attestation-malformed", vendors(algorithms)),
        (422, "attestation-self-signed", attest(own(), 1)),
        (422, "attestation-unknown-vendor", attest(own(), VENDOR + 1)),
        (422, "attestation-signature", forged),
        (422, "attestation-other-member", vendors(AttestationBody { member_id: name("member-2"), ..own() })),
        (422, "attestation-other-keys", vendors(AttestationBody { identity_key: public(9), ..own() })),
        (422, "attestation-other-software", vendors(AttestationBody { software_sha256: Digest::of(b"o"), ..own() })),
        (413, "body-too-large", vec![b' '; ATTESTATION_BYTES_MAX + 1]),
    ];
    for (status, expect, attestation) in cases {
        let answer = served.put(attestation).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, expect));
    }
    assert_eq!((served.attestation().await, served.disk.on_disk()), (None, None));
}

#[tokio::test]
async fn a_listener_that_others_reach_takes_no_attestation() {
    let served = Home::new(Attesting::Closed);
    let answer = served.put(attestation()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (403, "not-loopback"));
    assert_eq!((served.attestation().await, served.disk.on_disk()), (None, None));
}

#[test]
fn only_loopback_addresses_are_loopback() {
    for (address, expect) in [
        ("127.0.0.1:1", Attesting::Open),
        ("127.9.9.9:1", Attesting::Open),
        ("[::1]:1", Attesting::Open),
        ("[::ffff:127.0.0.1]:1", Attesting::Open),
        ("0.0.0.0:1", Attesting::Closed),
        ("[::]:1", Attesting::Closed),
        ("192.0.2.1:1", Attesting::Closed),
        ("[::ffff:192.0.2.1]:1", Attesting::Closed),
    ] {
        assert_eq!(Attesting::at(address.parse().unwrap()), expect, "{address}");
    }
}

#[tokio::test]
async fn a_store_that_fails_is_a_fault_and_the_old_report_goes_on() {
    for at in [FailsAt::BeforeRename, FailsAt::AfterRename] {
        let served = Home::new(Attesting::Open);
        served.disk.fail(at);
        let answer = served.put(attestation()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (500, "fault"), "{at:?}");
        // What broke is not the caller's to know.
        assert!(!String::from_utf8(answer.body).unwrap().contains("broken"));
        assert_eq!(served.attestation().await, None, "{at:?}");
        served.disk.fail(FailsAt::Nowhere);
        assert_eq!(served.put(attestation()).await.status, 200, "{at:?}");
        assert_eq!(served.attestation().await, Some(attestation()), "{at:?}");
    }
}

#[tokio::test]
async fn other_addresses_and_methods_are_refused_by_name() {
    let served = Home::new(Attesting::Open);
    for (method, path, status, expect) in [
        (Method::GET, "/", 404, "not-found"),
        (Method::GET, "/v1/member/", 404, "not-found"),
        (Method::POST, "/v1/member", 405, "method-not-allowed"),
        (Method::GET, "/v1/attestation", 405, "method-not-allowed"),
    ] {
        let answer = served.ask(method, path, Body::empty()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, expect), "{path}");
    }
    let healthy = served.ask(Method::GET, "/healthz", Body::empty()).await;
    assert_eq!((healthy.status, healthy.body.as_slice()), (200, b"ok".as_slice()));
}
