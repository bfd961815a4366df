//! A server over an export answers as the live one does for the same head, byte for byte; and a plain file server suffices
//! for readers of tiles.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use countermark_tlog::hash::leaf_hash;
use countermark_tlog::size::TreeSize;
use countermark_tlog::tile::{entry_bundles_for_growth, tiles_for_growth};
use serde_json::Value;
use tokio::task::JoinSet;

use super::Bench;
use super::bench::send;
use crate::export::{ExportHead, ExportedLog, Exporter};
use crate::http::{Service, router};
use crate::objects::Objects;
use crate::objects::folder::Folder;
use crate::objects::location::Location;
use crate::sequencer::WaitLevel;
use crate::serve_static::{Started, start_all};
use crate::testing::world::entry;

const PATIENCE: Duration = Duration::from_secs(30);

/// A live log of more than 256 entries with two epochs, the newest of them active.
pub(super) async fn live() -> Bench {
    let bench = Bench::new().await;
    let first = bench.certify(1, None).await;
    bench.activate(1).await;
    let mut submitted = JoinSet::new();
    for number in 1..300 {
        let (handle, entry) = (bench.handle.clone(), entry(&bench.world.evidence(number)));
        submitted.spawn(async move { handle.submit(entry, WaitLevel::Published, PATIENCE).await.unwrap().index });
    }
    submitted.join_all().await;
    bench.certify(2, Some(first)).await;
    bench.activate(2).await;
    bench.closed()
}

/// Exports what is published, and serves the export.
pub(super) async fn exported(bench: &Bench, folder: &Path) -> (Router, Vec<Started>) {
    let objects: Arc<dyn Objects> = Arc::new(Folder::new(folder));
    let log = ExportedLog::of(bench.handle.identity()).unwrap();
    let head = ExportHead::from(bench.handle.published().unwrap().as_ref());
    let mut exporter = Exporter::new(log, bench.handle.store(), Arc::clone(&objects));
    exporter.export(&head, &mut |_| {}).await.unwrap();
    let place = Location::Folder(folder.to_owned());
    let clock = bench.world.clock.clone();
    let started = start_all(&objects, BTreeMap::new(), &place, clock, PATIENCE).await.unwrap();
    let service = Service::new(started.iter().map(|one| one.handle.clone()), None, Duration::from_secs(10));
    (router(Arc::new(service)), started)
}

/// Every tile and bundle, each also at widths that no head had.
fn tiles(size: TreeSize) -> Vec<String> {
    let mut paths = Vec::new();
    for tile in tiles_for_growth(TreeSize::ZERO, size) {
        paths.push(format!("/backup/{}", tile.path()));
    }
    for bundle in entry_bundles_for_growth(TreeSize::ZERO, size) {
        paths.push(format!("/backup/{}", bundle.entries_path()));
    }
    paths
}

/// Addresses that are answered well, and addresses that are refused.
fn addresses(size: u64, hash: &str) -> Vec<String> {
    let end = size - 1;
    let mut paths: Vec<String> = [
        "/backup/checkpoint",
        "/backup/tile/0/000.p/7",
        "/backup/tile/0/001.p/3",
        "/backup/tile/entries/000.p/7",
        "/backup/tile/entries/001.p/3",
        "/v1/backup/trust",
        "/v1/backup/policy",
        "/v1/backup/keys",
        "/v1/backup/statements",
        "/v1/backup/statements?fleet_id=fleet-1",
        "/v1/backup/receipts?epoch=2",
        "/openapi.json",
        "/v1/backup/statements/1",
        "/v1/backup/statements/2",
        "/v1/backup/statements/1/record",
        "/v1/backup/bundles/newest",
        "/v1/backup/bundles/1",
        "/v1/backup/bundles/2",
        "/v1/backup/links?from=2",
        "/v1/backup/links?from=0",
        "/v1/backup/proofs/consistency?from=5",
        "/v1/backup/proofs/consistency?from=5&to=299",
        "/info",
        "/namespaces",
        "/namespaces/backup",
        "/namespaces/backup/audits/1",
        "/namespaces/backup/last-verified-epoch",
        "/healthz",
        "/readyz",
        "/v1/other/trust",
        "/v1/backup/statements/9",
        "/v1/backup/bundles/9",
        "/backup/tile/0/099",
        "/backup/tile/x",
        "/v1/backup/entries/99999",
        "/v1/backup/links?from=99999",
        "/v1/backup/trust?x=1",
        "/v1/backup/proofs/inclusion?leaf_hash=00",
        "/nothing",
    ]
    .map(str::to_owned)
    .to_vec();
    for index in [0, 1, 255, 256, 299, end] {
        paths.push(format!("/v1/backup/entries/{index}"));
        paths.push(format!("/v1/backup/receipts/{index}"));
        paths.push(format!("/v1/backup/proofs/inclusion?index={index}"));
    }
    paths.push(format!("/v1/backup/checkpoints/{size}"));
    paths.push("/v1/backup/proofs/inclusion?index=7&size=200".to_owned());
    paths.push(format!("/v1/backup/proofs/inclusion?leaf_hash={hash}"));
    paths.push(format!("/v1/backup/proofs/inclusion?leaf_hash={}", "ab".repeat(32)));
    paths
}

#[tokio::test]
async fn every_answer_from_an_export_is_the_live_one() {
    let bench = live().await;
    let folder = tempfile::tempdir().unwrap();
    let (router, started) = exported(&bench, folder.path()).await;
    let size = bench.handle.published().unwrap().size;
    assert!(size.get() > 300);
    let hash = hex::encode(leaf_hash(&bench.get("/v1/backup/entries/77").await.body).0.0);
    let mut answered = 0;
    for path in tiles(size).into_iter().chain(addresses(size.get(), &hash)) {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::POST] {
            let request = || Request::builder().method(method.clone()).uri(&path).body(Body::empty()).unwrap();
            let (live, exported) = (bench.send(request()).await, send(&router, request()).await);
            assert_eq!(exported.status, live.status, "{method} {path}");
            assert_eq!(exported.headers, live.headers, "{method} {path}");
            assert_eq!(exported.body, live.body, "{method} {path}");
            answered += usize::from(method == Method::GET && live.status == 200);
        }
    }
    assert!(answered > 40, "{answered} addresses were answered well");
    for path in ["/v1/backup/statements", "/v1/backup/entries"] {
        let post = Request::post(path).body(Body::from("x")).unwrap();
        assert_eq!(send(&router, post).await.problem(), "submissions-closed");
    }
    let cose = Request::get("/v1/backup/receipts/0").header("accept", "application/cose").body(Body::empty()).unwrap();
    assert_eq!(send(&router, cose).await.problem(), "not-acceptable", "an export has no key");
    let tag = bench.get("/backup/checkpoint").await.header("etag").to_owned();
    let known = Request::get("/backup/checkpoint").header("if-none-match", tag).body(Body::empty()).unwrap();
    assert_eq!(send(&router, known).await.status, 304);
    for one in started {
        one.stop().await;
    }
}

#[tokio::test]
async fn the_status_of_an_export_differs_only_in_what_a_server_itself_knows() {
    let bench = live().await;
    let folder = tempfile::tempdir().unwrap();
    let (router, _started) = exported(&bench, folder.path()).await;
    let get = || Request::get("/v1/backup/status").body(Body::empty()).unwrap();
    let strip = |mut document: Value| {
        let document_fields = document.as_object_mut().unwrap();
        for own in ["witnesses", "export"] {
            assert!(document_fields.remove(own).is_some(), "{own}");
        }
        document
    };
    let (live, exported) = (bench.send(get()).await.json(), send(&router, get()).await.json());
    assert_eq!(strip(exported), strip(live));
}

#[tokio::test]
async fn a_plain_file_server_suffices_for_readers_of_tiles() {
    let bench = live().await;
    let folder = tempfile::tempdir().unwrap();
    let (_router, _started) = exported(&bench, folder.path()).await;
    let size = bench.handle.published().unwrap().size;
    // A file server gives the file that the path names.
    for path in tiles(size).into_iter().chain(["/backup/checkpoint".to_owned()]) {
        let file = std::fs::read(folder.path().join(path.trim_start_matches('/'))).unwrap();
        assert_eq!(file, bench.get(&path).await.body, "{path}");
    }
    let trust = std::fs::read(folder.path().join("backup/trust.json")).unwrap();
    assert_eq!(trust, bench.get("/v1/backup/trust").await.body);
}
