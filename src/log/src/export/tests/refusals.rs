//! What must not be written over, and what must not be exported.

use super::*;
use crate::store::memory::Flip;

async fn exported(log: &RawLog, head: &ExportHead) -> (TempDir, Arc<dyn Objects>) {
    let (folder, objects) = folder();
    export(log, &objects, head).await.unwrap();
    (folder, objects)
}

#[tokio::test]
async fn a_larger_exported_head_is_not_written_over() {
    let (mut log, _) = RawLog::new(1).await;
    let old = log.grow_to(300).await;
    let new = log.grow_to(400).await;
    let (_folder, objects) = exported(&log, &new).await;
    let refused = export(&log, &objects, &old).await.unwrap_err();
    assert!(matches!(&refused, ExportError::Ahead { exported, ours } if *exported == new.name && *ours == old.name));
    assert!(!refused.is_fault());
    assert_eq!(check_whole(&log, &objects).await, Some(size(400)));
}

#[tokio::test]
async fn a_fork_is_not_written_over() {
    let (mut log, _) = RawLog::new(1).await;
    let ours = log.grow_to(300).await;
    let (mut fork, _) = RawLog::new(1).await;
    fork.add(1_000..1_010).await;
    let theirs = fork.add(1_010..1_200).await;
    let (folder, objects) = exported(&fork, &theirs).await;
    let refused = export(&log, &objects, &ours).await.unwrap_err();
    let ExportError::Contradicts { exported, ours } = &refused else { panic!("{refused}") };
    assert_eq!((*exported, ours.size), (theirs.name, theirs.name.size));
    assert_ne!(exported.root, ours.root);
    let kept = std::fs::read(folder.path().join("digests/checkpoint")).unwrap();
    assert_eq!(kept, theirs.note, "the evidence is kept");
}

#[tokio::test]
async fn another_log_is_not_written_over() {
    let (mut log, _) = RawLog::new(1).await;
    let head = log.grow_to(3).await;
    let (mut other, _) = RawLog::new(2).await;
    let others = other.grow_to(3).await;
    let (folder, objects) = exported(&other, &others).await;
    let refused = export(&log, &objects, &head).await.unwrap_err();
    assert!(matches!(refused, ExportError::Checkpoint(_)), "{refused}");
    let path = folder.path().join("digests/export.json");
    let whole = std::fs::read_to_string(&path).unwrap();
    let check = async |text: String, expect: &str| {
        assert_ne!(text, whole);
        std::fs::write(&path, text).unwrap();
        let refused = export(&log, &objects, &head).await.unwrap_err();
        assert!(!refused.is_fault() && refused.to_string().contains(expect), "{refused}");
    };
    check(whole.replace("log.example/digests", "log.example/other"), "the raw log log.example/other").await;
    check(whole.replace("\"raw\"", "\"fleet-keys\""), "the fleet-keys log").await;
    check(whole.replace("export/v1", "export/v2"), "not a description").await;
    check(whole.replace('{', "{\"more\":1,"), "not a description").await;
    check(String::new(), "not a description").await;
}

#[tokio::test]
async fn a_store_that_lost_a_byte_exports_nothing() {
    let check = async |flip: Flip| {
        let (mut log, _) = RawLog::new(1).await;
        let head = log.grow_to(700).await;
        log.store.flip(&log.identity.origin, flip.clone());
        let (folder, objects) = folder();
        let refused = export(&log, &objects, &head).await.unwrap_err();
        assert!(!refused.is_fault(), "{flip:?}: {refused}");
        assert!(!folder.path().join("digests/checkpoint").exists(), "{flip:?}");
        refused
    };
    for index in [0, 255, 256, 600, 699] {
        let refused = check(Flip::Entry(index)).await;
        assert!(matches!(refused, ExportError::RootMismatch { .. } | ExportError::Tile { .. }), "{index}: {refused}");
    }
    let refused = check(Flip::LostEntry).await;
    assert!(matches!(refused, ExportError::Read(ReadError::MissingEntries { .. })), "{refused}");
}

#[tokio::test]
async fn a_damaged_right_edge_is_not_exported() {
    let (mut log, _) = RawLog::new(1).await;
    // The only partial tile of 512 entries is that of level 1.
    let head = log.grow_to(512).await;
    log.store.flip(&log.identity.origin, Flip::PartialTile);
    let (folder, objects) = folder();
    let refused = export(&log, &objects, &head).await.unwrap_err();
    assert!(matches!(refused, ExportError::Tile { tile } if tile.level() == 1), "{refused}");
    assert!(!folder.path().join("digests/checkpoint").exists());
}
