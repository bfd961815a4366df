//! What a cache between us and a reader is told, and what a browser is.

use std::io::Read as _;

use axum::body::Body;
use axum::http::{Method, Request};
use countermark_tlog::size::TreeSize;
use countermark_tlog::tile::tiles_for_growth;
use flate2::read::GzDecoder;

use super::bench::{Answer, Bench};

async fn with(bench: &Bench, path: &str, header: &str, value: &str) -> Answer {
    bench.send(Request::get(path).header(header, value).body(Body::empty()).unwrap()).await
}

/// Everything that is answered well and is the same for everybody.
const READS: [&str; 12] = [
    "/backup/checkpoint",
    "/backup/tile/0/000.p/2",
    "/backup/tile/entries/000.p/2",
    "/v1/backup/entries/1",
    "/v1/backup/receipts/1",
    "/v1/backup/proofs/inclusion?index=1",
    "/v1/backup/checkpoints",
    "/v1/backup/keys",
    "/v1/backup/trust",
    "/v1/backup/policy",
    "/namespaces",
    "/openapi.json",
];

#[tokio::test]
async fn whoever_knows_an_answer_is_told_that_it_is_still_so() {
    let bench = Bench::new().await;
    for path in READS {
        let answer = bench.get(path).await;
        let tag = answer.header("etag").to_owned();
        assert!(answer.status == 200 && tag.starts_with('"'), "{path}: {} {tag}", answer.status);
        let again = with(&bench, path, "if-none-match", &tag).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        for header in ["etag", "cache-control", "access-control-allow-origin"] {
            assert_eq!(again.header(header), answer.header(header), "{path}");
        }
        let other = with(&bench, path, "if-none-match", "\"other\"").await;
        assert_eq!((other.status, &other.body), (200, &answer.body), "{path}");
        let head = bench.call(Method::HEAD, path).await;
        assert_eq!((head.status, head.header("etag")), (200, tag.as_str()), "{path}");
    }
}

#[tokio::test]
async fn a_new_head_has_another_tag() {
    let bench = Bench::new().await;
    let tag = bench.get("/backup/checkpoint").await.header("etag").to_owned();
    bench.publish_evidence(1).await;
    assert_eq!(with(&bench, "/backup/checkpoint", "if-none-match", &tag).await.status, 200);
}

#[tokio::test]
async fn refusals_are_never_kept() {
    let bench = Bench::new().await;
    for path in ["/backup/tile/0/001", "/v1/backup/entries/9", "/v1/other/keys", "/nothing", "/v1/backup/keys?x=1"] {
        let answer = with(&bench, path, "if-none-match", "*").await;
        answer.problem();
        assert_eq!(answer.header("etag"), "", "{path}");
    }
    let put = bench.call(Method::PUT, "/backup/checkpoint").await;
    assert_eq!((put.status, put.header("cache-control"), put.header("allow")), (405, "no-store", "GET,HEAD"));
}

#[tokio::test]
async fn long_answers_are_compressed_for_whoever_accepts_it_and_hashes_never() {
    let bench = Bench::new().await;
    for number in 1..40 {
        bench.publish_evidence(number).await;
    }
    let size = bench.handle.published().unwrap().size;
    for path in
        [format!("/backup/tile/entries/000.p/{size}"), "/openapi.json".to_owned(), "/v1/backup/trust".to_owned()]
    {
        let plain = bench.get(&path).await;
        assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "accept-encoding"), "{path}");
        let packed = with(&bench, &path, "accept-encoding", "gzip").await;
        assert_eq!((packed.status, packed.header("content-encoding")), (200, "gzip"), "{path}");
        assert_eq!(packed.header("vary"), "accept-encoding");
        assert_eq!(packed.header("etag"), format!("W/{}", plain.header("etag")), "{path}");
        assert!(packed.body.len() < plain.body.len());
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed.body[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain.body, "{path}");
        // The weak tag is recognised, also by whoever asks for the plain bytes.
        assert_eq!(with(&bench, &path, "if-none-match", packed.header("etag")).await.status, 304);
        let zstd = with(&bench, &path, "accept-encoding", "gzip;q=0.5, zstd").await;
        assert_eq!((zstd.header("content-encoding"), &zstd.body[..4]), ("zstd", &[0x28, 0xb5, 0x2f, 0xfd][..]));
        assert_eq!(with(&bench, &path, "accept-encoding", "br, identity").await.body, plain.body);
    }
    for tile in tiles_for_growth(TreeSize::ZERO, size) {
        let answer = with(&bench, &format!("/backup/{}", tile.path()), "accept-encoding", "gzip, zstd").await;
        assert_eq!(answer.header("content-encoding"), "", "{}", tile.path());
    }
    assert_eq!(with(&bench, "/healthz", "accept-encoding", "gzip").await.header("content-encoding"), "");
}

#[tokio::test]
async fn pages_of_any_site_may_read_and_none_may_submit() {
    let bench = Bench::new().await;
    let preflight = |method: &'static str, headers: &'static str, path: &'static str| {
        let request = Request::builder().method(Method::OPTIONS).uri(path).header("origin", "https://other.example");
        let request = request.header("access-control-request-method", method);
        bench.send(request.header("access-control-request-headers", headers).body(Body::empty()).unwrap())
    };
    let read = preflight("GET", "if-none-match", "/v1/backup/statements").await;
    assert_eq!((read.status, read.header("access-control-allow-origin")), (200, "*"));
    assert_eq!(read.header("access-control-allow-headers"), "if-none-match");
    let submit = preflight("POST", "authorization", "/v1/backup/statements").await;
    assert!(!submit.header("access-control-allow-methods").contains("POST"));
    assert!(!submit.header("access-control-allow-headers").contains("authorization"));
}
