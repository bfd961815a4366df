use std::path::Path;

use countermark_tlog::size::TreeSize;
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::export::{ExportHead, ExportedLog, Exporter};
use crate::objects::folder::Folder;
use crate::sequencer::WaitLevel;
use crate::testing::raw_log::RawLog;
use crate::testing::world::entry;
use crate::testing::{NOW, TestClock, World};

const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

fn objects(folder: &Path) -> Arc<dyn Objects> {
    Arc::new(Folder::new(folder))
}

async fn export(log: &RawLog, folder: &Path, head: &ExportHead) {
    let mut exporter = Exporter::new(log.exported(), log.store.clone(), objects(folder));
    exporter.export(head, &mut |_| {}).await.unwrap();
}

async fn start(folder: &Path, trust: &[PathBuf]) -> Result<Vec<Started>, ServeStaticError> {
    let place = Location::Folder(folder.to_owned());
    start_all(&objects(folder), pinned(trust)?, &place, Arc::new(TestClock::at(NOW)), POLL).await
}

/// The one namespace of an export.
async fn start_one(folder: &Path) -> Started {
    start(folder, &[]).await.unwrap().pop().unwrap()
}

async fn refused(folder: &Path, trust: &[PathBuf]) -> ServeExportError {
    match start(folder, trust).await.err().unwrap() {
        ServeStaticError::Namespace { source, .. } => *source,
        other => panic!("{other}"),
    }
}

/// Waits until the handle is in this state; bounded.
async fn until(handle: &NamespaceHandle, state: OwnerState) {
    let reached = async {
        while handle.state() != state {
            sleep(POLL).await;
        }
    };
    timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{:?}, not {state:?}", handle.state()));
}

async fn until_size(handle: &NamespaceHandle, size: u64) {
    let mut published = handle.watch_published();
    let covers = |published: &Option<Arc<crate::published::Published>>| {
        published.as_ref().is_some_and(|published| published.size.get() == size)
    };
    timeout(PATIENCE, published.wait_for(covers)).await.unwrap().unwrap();
}

fn size_of(handle: &NamespaceHandle) -> TreeSize {
    handle.published().unwrap().size
}

#[tokio::test]
async fn a_growing_export_is_followed() {
    let (mut log, first) = RawLog::new(1).await;
    let folder = tempfile::tempdir().unwrap();
    export(&log, folder.path(), &first).await;
    let served = start_one(folder.path()).await;
    assert_eq!(size_of(&served.handle), TreeSize::ZERO);
    for next in [1, 255, 256, 300, 800, 801] {
        let head = log.grow_to(next).await;
        export(&log, folder.path(), &head).await;
        until_size(&served.handle, next).await;
        let last = countermark_tlog::size::LeafIndex::new(next - 1).unwrap();
        let read = served.handle.entry(last).await.unwrap().unwrap();
        assert_eq!(read.as_ref(), crate::testing::raw_log::entry(next - 1));
        let hash = countermark_tlog::hash::leaf_hash(&read);
        assert_eq!(served.handle.index_of_leaf_hash(hash).await.unwrap(), Some(last));
        let path = served.handle.inclusion(last, head.name.size).await.unwrap().unwrap();
        countermark_tlog::proof::verify_inclusion(hash, last, head.name.size, head.name.root, &path).unwrap();
    }
    served.stop().await;
}

/// Puts another export in the place of one that is followed; what was shown is shown on, and an alarm is raised.
async fn check_alarm(old: &ExportHead, served: &Started, folder: &TempDir, other: &TempDir) {
    std::fs::rename(folder.path().join("digests"), folder.path().join("away")).unwrap();
    std::fs::rename(other.path().join("digests"), folder.path().join("digests")).unwrap();
    until(&served.handle, OwnerState::Stopped).await;
    assert_eq!(served.handle.published().unwrap().note, old.note);
    std::fs::rename(folder.path().join("digests"), other.path().join("digests")).unwrap();
    std::fs::rename(folder.path().join("away"), folder.path().join("digests")).unwrap();
    until(&served.handle, OwnerState::Serving).await;
}

#[tokio::test]
async fn an_older_export_or_a_fork_is_not_shown() {
    let (mut log, _) = RawLog::new(1).await;
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let old = log.grow_to(300).await;
    export(&log, other.path(), &old).await;
    let new = log.grow_to(400).await;
    export(&log, folder.path(), &new).await;
    let served = start_one(folder.path()).await;
    check_alarm(&new, &served, &folder, &other).await;
    for size in [400, 900] {
        let (mut fork, _) = RawLog::new(1).await;
        let forked = fork.add(1_000..1_000 + size).await;
        let other = tempfile::tempdir().unwrap();
        export(&fork, other.path(), &forked).await;
        check_alarm(&new, &served, &folder, &other).await;
    }
    let (mut stranger, _) = RawLog::new(2).await;
    let strange = stranger.grow_to(500).await;
    let other = tempfile::tempdir().unwrap();
    export(&stranger, other.path(), &strange).await;
    check_alarm(&new, &served, &folder, &other).await;
    served.stop().await;
}

#[tokio::test]
async fn an_export_that_cannot_be_read_is_read_again_later() {
    let (mut log, _) = RawLog::new(1).await;
    let folder = tempfile::tempdir().unwrap();
    let head = log.grow_to(300).await;
    export(&log, folder.path(), &head).await;
    let served = start_one(folder.path()).await;
    let tile = folder.path().join("digests/tile/0/001.p");
    let next = log.grow_to(310).await;
    export(&log, folder.path(), &next).await;
    until_size(&served.handle, 310).await;
    // The next head is there, and a tile of it is not.
    let last = log.grow_to(320).await;
    let elsewhere = tempfile::tempdir().unwrap();
    export(&log, elsewhere.path(), &last).await;
    std::fs::copy(elsewhere.path().join("digests/checkpoint"), folder.path().join("digests/checkpoint")).unwrap();
    until(&served.handle, OwnerState::Reloading).await;
    assert_eq!(size_of(&served.handle), next.name.size);
    std::fs::copy(
        elsewhere.path().join("digests/tile/entries/001.p/64"),
        tile.parent().unwrap().join("../entries/001.p/64"),
    )
    .unwrap();
    std::fs::copy(elsewhere.path().join("digests/tile/0/001.p/64"), tile.join("64")).unwrap();
    let upper = "digests/tile/1/000.p/1";
    std::fs::copy(elsewhere.path().join(upper), folder.path().join(upper)).unwrap();
    until_size(&served.handle, 320).await;
    until(&served.handle, OwnerState::Serving).await;
    served.stop().await;
}

#[tokio::test]
async fn a_damaged_export_is_not_served() {
    let (mut log, _) = RawLog::new(1).await;
    let head = log.grow_to(300).await;
    for path in ["checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "policy", "export.json"] {
        let folder = tempfile::tempdir().unwrap();
        export(&log, folder.path(), &head).await;
        let path = folder.path().join("digests").join(path);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let damaged = refused(folder.path(), &[]).await;
        assert!(!matches!(damaged, ServeExportError::NothingExported), "{}: {damaged}", path.display());
        std::fs::remove_file(&path).unwrap();
        assert!(start(folder.path(), &[]).await.is_err(), "{}", path.display());
    }
}

#[tokio::test]
async fn where_nothing_is_exported_nothing_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = start(folder.path(), &[]).await.err().unwrap();
    assert!(matches!(nothing, ServeStaticError::Nothing { .. }), "{nothing}");
    let (log, head) = RawLog::new(1).await;
    export(&log, folder.path(), &head).await;
    std::fs::remove_file(folder.path().join("digests/checkpoint")).unwrap();
    let nothing = refused(folder.path(), &[]).await;
    assert!(matches!(nothing, ServeExportError::NothingExported), "{nothing}");
}

#[tokio::test]
async fn the_files_that_are_given_are_what_an_export_is_judged_by() {
    let (mut log, _) = RawLog::new(1).await;
    let head = log.grow_to(3).await;
    let (folder, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    export(&log, folder.path(), &head).await;
    let file = |name: &str, text: &[u8]| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        vec![path]
    };
    let own = file("own", &log.exported().record);
    assert_eq!(start(folder.path(), &own).await.unwrap().len(), 1);
    // A policy that names the same log with another key.
    let other_key = file("other", &RawLog::new(2).await.0.exported().record);
    let judged = refused(folder.path(), &other_key).await;
    assert!(matches!(judged, ServeExportError::Refused(_)), "{judged}");
    let trust = file("trust", &World::new().trust.write());
    let unused = start(folder.path(), &trust).await.err().unwrap();
    assert!(matches!(unused, ServeStaticError::TrustUnused { .. }), "{unused}");
    let neither = start(folder.path(), &file("neither", b"{}")).await.err().unwrap();
    assert!(matches!(neither, ServeStaticError::Trust { .. }), "{neither}");
    let missing = start(folder.path(), &[files.path().join("missing")]).await.err().unwrap();
    assert!(matches!(missing, ServeStaticError::ReadTrust { .. }), "{missing}");
}

#[tokio::test]
async fn a_head_without_a_quorum_is_not_shown() {
    let world = World::new();
    let (store, handle) = world.served().await;
    handle.submit(entry(&world.evidence(1)), WaitLevel::Published, PATIENCE).await.unwrap();
    let published = handle.published().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = ExportedLog::of(handle.identity()).unwrap();
    let mut exporter = Exporter::new(log.clone(), store.clone(), objects(folder.path()));
    exporter.export(&ExportHead::from(published.as_ref()), &mut |_| {}).await.unwrap();
    start_one(folder.path()).await.stop().await;
    // The same head with the log's signature alone.
    let bare = store.heads(handle.origin()).pop().unwrap();
    assert_eq!(bare.size, published.size);
    std::fs::write(folder.path().join("backup/checkpoint"), &bare.checkpoint).unwrap();
    let judged = refused(folder.path(), &[]).await;
    assert!(matches!(judged, ServeExportError::Refused(_)) && judged.to_string().contains("quorum"), "{judged}");
}
