//! Checkpoint and tiles.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::entry_bundle;
use countermark_tlog::hash::{Hash, leaf_hash};
use countermark_tlog::policy::Policy;
use countermark_tlog::tile::{TileCoord, TileReader};
use countermark_tlog::tree;

use super::Bench;
use crate::http::problem::ProblemKind;
use crate::sequencer::WaitLevel;
use crate::testing::world::entry;

#[tokio::test]
async fn the_checkpoint_meets_the_quorum_and_is_revalidated_by_its_tag() {
    let bench = Bench::new().await;
    let answer = bench.get("/backup/checkpoint").await;
    let policy = Policy::parse(&bench.get("/v1/backup/policy").await.body).unwrap();
    let head = policy.verify(&SignedCheckpoint::parse(&answer.body).unwrap()).unwrap();
    assert_eq!(head.checkpoint().size, bench.handle.published().unwrap().size);
    let tag = answer.header("etag").to_owned();
    let conditional =
        |tag: &str| Request::get("/backup/checkpoint").header(header::IF_NONE_MATCH, tag).body(Body::empty()).unwrap();
    let unchanged = bench.send(conditional(&tag)).await;
    assert_eq!((unchanged.status, unchanged.body.len(), unchanged.header("etag")), (304, 0, tag.as_str()));
    assert_eq!(bench.send(conditional("\"other\"")).await.status, 200);
    bench.publish_evidence(1).await;
    assert_eq!(bench.send(conditional(&tag)).await.status, 200);
}

/// 300 entries: a full tile, a full bundle, partial ones beside them, and a tile above.
async fn three_hundred() -> Bench {
    let bench = Bench::new().await;
    let long = Duration::from_mins(1);
    let last = (2..300).map(|number| {
        let (handle, submission) = (bench.handle.clone(), entry(&bench.world.evidence(number)));
        tokio::spawn(async move { handle.submit(submission, WaitLevel::Published, long).await.unwrap() })
    });
    for task in last.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(bench.handle.published().unwrap().size.get(), 300);
    bench
}

#[tokio::test]
async fn the_served_tiles_make_the_published_root_and_the_served_entries_make_the_tiles() {
    let bench = three_hundred().await;
    let published = bench.handle.published().unwrap();
    let paths = ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"];
    let mut tiles = std::collections::HashMap::new();
    for path in paths {
        let answer = bench.get(&format!("/backup/{path}")).await;
        assert_eq!(answer.status, 200, "{path}");
        tiles.insert(path.to_owned(), answer.body);
    }
    let reader = TileReader::new(published.size, |tile: TileCoord| tiles.get(&tile.path()).cloned().ok_or(()));
    assert_eq!(tree::root(published.size, &reader).unwrap(), published.root);

    for (bundle, width, tile) in
        [("tile/entries/000", 256, "tile/0/000"), ("tile/entries/001.p/44", 44, "tile/0/001.p/44")]
    {
        let bytes = bench.get(&format!("/backup/{bundle}")).await.body;
        let entries = entry_bundle::decode(&bytes, width).unwrap();
        let hashes: Vec<u8> = entries.iter().flat_map(|entry| leaf_hash(entry).0.0).collect();
        assert_eq!(hashes, tiles[tile], "{bundle}");
    }
    let first = entry_bundle::decode(&bench.get("/backup/tile/entries/000.p/2").await.body, 2)
        .unwrap()
        .into_iter()
        .map(<[u8]>::to_vec)
        .collect::<Vec<_>>();
    assert_eq!(first[0], bench.world.first_entry());
}

#[tokio::test]
async fn a_partial_tile_is_the_beginning_of_the_full_one_at_every_width() {
    let bench = three_hundred().await;
    let full = bench.get("/backup/tile/0/000").await.body;
    for width in [1, 2, 44, 255] {
        let partial = bench.get(&format!("/backup/tile/0/000.p/{width}")).await;
        assert_eq!(partial.status, 200, "{width}");
        assert_eq!(partial.body, full[..width * size_of::<Hash>()], "{width}");
    }
}

#[tokio::test]
async fn a_tile_that_is_not_there_or_not_spelled_in_the_one_way_is_not_found() {
    let bench = three_hundred().await;
    let (beyond, malformed) = (ProblemKind::BeyondPublishedHead.name(), ProblemKind::MalformedTilePath.name());
    for (path, expect) in [
        ("tile/0/001", beyond),
        ("tile/0/001.p/45", beyond),
        ("tile/0/002.p/1", beyond),
        ("tile/1/000", beyond),
        ("tile/1/000.p/2", beyond),
        ("tile/1/001.p/1", beyond),
        ("tile/2/000.p/1", beyond),
        ("tile/63/000.p/1", beyond),
        ("tile/entries/001", beyond),
        ("tile/entries/001.p/45", beyond),
        ("tile/entries/x001/000", beyond),
        ("tile/0/000.p/256", malformed),
        ("tile/0/000.p/0", malformed),
        ("tile/0/000.p/044", malformed),
        ("tile/0/000.p/+4", malformed),
        ("tile/0/000.p/", malformed),
        ("tile/0/000.p/4/", malformed),
        ("tile/0/0", malformed),
        ("tile/0/00", malformed),
        ("tile/0/0000", malformed),
        ("tile/0/x000/000", malformed),
        ("tile/0/001/000", malformed),
        ("tile/00/000", malformed),
        ("tile/64/000", malformed),
        ("tile/-1/000", malformed),
        ("tile/entries/000.p/256", malformed),
        ("tile/data/000", malformed),
        ("tile/0", malformed),
        ("tile/0/", malformed),
    ] {
        let answer = bench.get(&format!("/backup/{path}")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, expect), "{path}");
    }
    assert_eq!(bench.get("/other/tile/0/000").await.problem(), "unknown-namespace");
    assert_eq!(bench.get("/other/checkpoint").await.problem(), "unknown-namespace");
    assert_eq!(bench.get("/v1/tile/0/000").await.status, 404);
}
