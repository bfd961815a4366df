mod faults;
mod refusals;

use std::path::Path;
use std::time::Duration;

use countermark_tests::s3_server::S3Server;
use countermark_tlog::hash::leaf_hash;
use countermark_tlog::size::LeafIndex;
use countermark_tlog::tile::{entry_bundles_for_growth, tiles_for_growth};
use tempfile::TempDir;

use super::document::{CHECKPOINT_FILE, EXPORT_FILE, ExportDocument};
use super::follow::Followed;
use super::reader::ExportReader;
use super::*;
use crate::objects::contract::bucket;
use crate::objects::folder::Folder;
use crate::testing::at;
use crate::testing::raw_log::{RawLog, entry};

fn folder() -> (TempDir, Arc<dyn Objects>) {
    let folder = tempfile::tempdir().unwrap();
    let objects = Arc::new(Folder::new(folder.path()));
    (folder, objects)
}

fn exporter(log: &RawLog, objects: &Arc<dyn Objects>) -> Exporter {
    let mut exporter = Exporter::new(log.exported(), log.store.clone(), Arc::clone(objects));
    exporter.pass_entries = 256;
    exporter
}

async fn export(log: &RawLog, objects: &Arc<dyn Objects>, head: &ExportHead) -> Result<TreeSize, ExportError> {
    exporter(log, objects).export(head, &mut |_| {}).await
}

/// What is exported is whole at its checkpoint: every tile and bundle of it, and every entry byte. Gives the size.
async fn check_whole(log: &RawLog, objects: &Arc<dyn Objects>) -> Option<TreeSize> {
    let reader = Arc::new(ExportReader::new(LogKind::Raw, &log.identity.namespace, Arc::clone(objects)));
    let mut followed = Followed::new(&log.identity.foundation, Arc::clone(&reader)).unwrap();
    let view = followed.look(at(1_795_219_200)).await.unwrap()?;
    let size = view.published.size;
    for tile in tiles_for_growth(TreeSize::ZERO, size) {
        let bytes = reader.object(&tile.path(), 8_192).await.unwrap();
        assert_eq!(bytes.map(|bytes| bytes.len()), Some(tile.byte_count()), "{} at {size}", tile.path());
        assert_eq!(reader.tile(tile).await.unwrap(), log_tile(log, tile).await, "{} at {size}", tile.path());
    }
    for bundle in entry_bundles_for_growth(TreeSize::ZERO, size) {
        assert!(reader.object(&bundle.entries_path(), 1 << 20).await.unwrap().is_some(), "{}", bundle.entries_path());
    }
    let origin = &log.identity.origin;
    let count = usize::try_from(size.get()).unwrap();
    let entries = reader.entries(origin, LeafIndex::new(0).unwrap(), count + 1).await.unwrap();
    assert_eq!(entries, (0..size.get()).map(entry).collect::<Vec<_>>());
    for (number, entry) in (0..).zip(&entries) {
        let found = reader.index_of_leaf_hash(origin, leaf_hash(entry)).await.unwrap();
        assert_eq!(found, LeafIndex::new(number), "{number}");
    }
    assert_eq!(reader.index_of_leaf_hash(origin, leaf_hash(b"unknown")).await.unwrap(), None);
    let document = reader.object(EXPORT_FILE, 4_096).await.unwrap().unwrap();
    assert_eq!(ExportDocument::parse(&document).unwrap().origin, *origin);
    Some(size)
}

async fn log_tile(log: &RawLog, tile: TileCoord) -> Vec<u8> {
    Source::new(log.identity.origin.clone(), log.store.clone()).tile(tile).await.unwrap()
}

fn size(size: u64) -> TreeSize {
    TreeSize::new(size).unwrap()
}

#[tokio::test]
async fn an_export_is_whole_at_every_size_that_it_passes() {
    let (mut log, first) = RawLog::new(1).await;
    let (_folder, objects) = folder();
    assert_eq!(check_whole(&log, &objects).await, None);
    assert_eq!(export(&log, &objects, &first).await.unwrap(), size(0));
    let mut exporter = exporter(&log, &objects);
    for next in [1, 2, 255, 256, 257, 511, 700, 1_025, 1_279] {
        let head = log.grow_to(next).await;
        for _ in 0..2 {
            assert_eq!(exporter.export(&head, &mut |_| {}).await.unwrap(), size(next));
            assert_eq!(check_whole(&log, &objects).await, Some(size(next)));
        }
    }
}

#[tokio::test]
async fn a_whole_log_is_exported_at_once_and_says_how_far_it_is() {
    let (mut log, _) = RawLog::new(1).await;
    let head = log.grow_to(1_100).await;
    let (_folder, objects) = folder();
    let mut passed = Vec::new();
    let size_reached = exporter(&log, &objects).export(&head, &mut |size| passed.push(size.get())).await.unwrap();
    assert_eq!((size_reached, passed), (size(1_100), vec![256, 512, 768, 1_024, 1_100]));
    assert_eq!(check_whole(&log, &objects).await, Some(size(1_100)));
}

#[tokio::test]
async fn a_head_below_the_committed_one_is_exported_as_it_was() {
    let (mut log, _) = RawLog::new(1).await;
    let (_folder, objects) = folder();
    let published = log.grow_to(300).await;
    log.grow_to(900).await;
    assert_eq!(export(&log, &objects, &published).await.unwrap(), size(300));
    assert_eq!(check_whole(&log, &objects).await, Some(size(300)));
}

#[tokio::test]
async fn partial_tiles_stay_until_the_full_one_is_there() {
    let (mut log, _) = RawLog::new(1).await;
    let (folder, objects) = folder();
    let mut exporter = exporter(&log, &objects);
    let is_there = |path: &str| folder.path().join("digests").join(path).exists();
    for next in [10, 20] {
        let head = log.grow_to(next).await;
        exporter.export(&head, &mut |_| {}).await.unwrap();
    }
    for path in ["tile/0/000.p/10", "tile/0/000.p/20", "tile/entries/000.p/10", "tile/entries/000.p/20"] {
        assert!(is_there(path), "{path}");
    }
    let head = log.grow_to(300).await;
    exporter.export(&head, &mut |_| {}).await.unwrap();
    for path in ["tile/0/000.p", "tile/entries/000.p"] {
        assert!(!is_there(path), "{path}");
    }
    for path in ["tile/0/000", "tile/entries/000", "tile/0/001.p/44", "tile/1/000.p/1"] {
        assert!(is_there(path), "{path}");
    }
}

#[tokio::test]
async fn nothing_but_the_log_is_in_an_export() {
    let (mut log, _) = RawLog::new(1).await;
    let (folder, objects) = folder();
    let head = log.grow_to(3).await;
    export(&log, &objects, &head).await.unwrap();
    let mut found = Vec::new();
    list(folder.path(), folder.path(), &mut found);
    found.sort();
    let expect = [
        ".swap.lock",
        "digests/checkpoint",
        "digests/export.json",
        "digests/policy",
        "digests/tile/0/000.p/3",
        "digests/tile/entries/000.p/3",
    ];
    assert_eq!(found, expect);
    assert_eq!(std::fs::read(folder.path().join("digests/checkpoint")).unwrap(), head.note);
    assert_eq!(std::fs::read(folder.path().join("digests/policy")).unwrap(), log.exported().record);
}

fn list(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(root, &path, found);
        } else {
            found.push(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
}

#[tokio::test]
async fn a_bucket_holds_the_same_and_an_export_goes_on_after_its_server_died() {
    let mut server = S3Server::start();
    let (mut log, _) = RawLog::new(1).await;
    let head = log.grow_to(700).await;
    let objects = bucket(&server, "export", Duration::from_secs(20));
    let mut exporter = exporter(&log, &objects);
    // In the middle: some full bundles are there, the checkpoint is not.
    let mut kill = |reached: TreeSize| {
        if reached == size(256) {
            server.kill();
        }
    };
    let failed = exporter.export(&head, &mut kill).await.unwrap_err();
    assert!(failed.is_fault(), "{failed}");
    server.start_again();
    assert_eq!(exporter.export(&head, &mut |_| {}).await.unwrap(), size(700));
    assert_eq!(check_whole(&log, &objects).await, Some(size(700)));
    let head = log.grow_to(800).await;
    server.pause();
    let impatient = bucket(&server, "export", Duration::from_secs(1));
    let failed = export(&log, &impatient, &head).await.unwrap_err();
    assert!(failed.is_fault(), "{failed}");
    server.resume();
    assert_eq!(exporter.export(&head, &mut |_| {}).await.unwrap(), size(800));
    assert_eq!(check_whole(&log, &objects).await, Some(size(800)));
    assert_eq!(objects.get("digests/checkpoint", 4_096).await.unwrap().unwrap().bytes, head.note);
    assert_eq!(objects.get(&format!("digests/{CHECKPOINT_FILE}"), 4_096).await.unwrap().unwrap().bytes, head.note);
}
