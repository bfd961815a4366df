use axum::Router;
use axum::http::{StatusCode as Status, Uri};
use axum::routing::{get, post};
use countermark_keys::Role;
use countermark_tlog::note::SignatureType;

use super::*;
use crate::testing::TestSigner;

/// Serves a router at a port of its own.
async fn witness(router: Router) -> WitnessEndpoint {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/prefix", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().nest("/prefix", router)).await });
    WitnessEndpoint {
        vkeys: vec![TestSigner::new(Role::Witness, 1).vkey("w.example", SignatureType::CosignatureEd25519)],
        url,
    }
}

fn origin() -> Origin {
    Origin::new("log.example/backup").unwrap()
}

#[tokio::test]
async fn answers_come_back_by_their_status() {
    let client = HttpWitnessClient::new().unwrap();
    let cases = [
        (Status::OK, "lines", UntrustedWitnessAnswer::Cosignatures(b"lines".to_vec())),
        (Status::CONFLICT, "12\n", UntrustedWitnessAnswer::OtherSize(b"12\n".to_vec())),
        (Status::UNPROCESSABLE_ENTITY, "", UntrustedWitnessAnswer::Refused { status: 422 }),
        (Status::FOUND, "", UntrustedWitnessAnswer::Refused { status: 302 }),
        (Status::INTERNAL_SERVER_ERROR, "", UntrustedWitnessAnswer::Refused { status: 500 }),
    ];
    for (status, body, expect) in cases {
        let echo = post(move |sent: String| async move {
            assert_eq!(sent, "request");
            (status, body)
        });
        let endpoint = witness(Router::new().route("/add-checkpoint", echo)).await;
        let answer = client.add_checkpoint(&endpoint, b"request".to_vec()).await.unwrap();
        assert_eq!(answer, expect);
    }
}

#[tokio::test]
async fn the_newest_checkpoint_is_asked_for_by_the_hash_of_the_origin() {
    let client = HttpWitnessClient::new().unwrap();
    let shown = get(|uri: Uri| async move { uri.path().to_owned() });
    let endpoint = witness(Router::new().route("/{hash}/checkpoint", shown)).await;
    let path = client.newest_checkpoint(&endpoint, &origin()).await.unwrap().unwrap();
    let hash = countermark_bundle::identity::Digest::of(b"log.example/backup").to_hex();
    assert_eq!(String::from_utf8(path).unwrap(), format!("/{hash}/checkpoint"));
    let nothing = witness(Router::new()).await;
    assert_eq!(client.newest_checkpoint(&nothing, &origin()).await.unwrap(), None);
    let broken = witness(Router::new().route("/{hash}/checkpoint", get(|| async { Status::BAD_GATEWAY }))).await;
    let refused = client.newest_checkpoint(&broken, &origin()).await;
    assert!(matches!(refused, Err(WitnessError::Status { status: 502 })), "{refused:?}");
}

#[tokio::test]
async fn a_witness_cannot_fill_the_memory() {
    let client = HttpWitnessClient::new().unwrap();
    for (length, accepted) in [(WITNESS_ANSWER_MAX, true), (WITNESS_ANSWER_MAX + 1, false)] {
        let endless = post(move || async move { "x".repeat(length) });
        let endpoint = witness(Router::new().route("/add-checkpoint", endless)).await;
        let answer = client.add_checkpoint(&endpoint, vec![]).await;
        assert_eq!(answer.is_ok(), accepted, "{length}");
        assert!(accepted || matches!(answer, Err(WitnessError::TooLong)));
    }
}

#[tokio::test]
async fn a_witness_that_is_not_there_is_unreachable() {
    let client = HttpWitnessClient::new().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    let vkey = TestSigner::new(Role::Witness, 1).vkey("w.example", SignatureType::CosignatureEd25519);
    for url in [format!("http://{free}"), "not a url".to_owned()] {
        let endpoint = WitnessEndpoint { vkeys: vec![vkey.clone()], url };
        let answer = client.add_checkpoint(&endpoint, vec![]).await;
        assert!(matches!(answer, Err(WitnessError::Unreachable { .. })), "{answer:?}");
    }
}
