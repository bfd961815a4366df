use std::path::Path;

use countermark_bundle::identity::Namespace;
use tokio::time::timeout;

use super::*;
use crate::export::ExportedLog;
use crate::export::document::CHECKPOINT_FILE;
use crate::objects::Objects;
use crate::objects::folder::Folder;
use crate::sequencer::{NamespaceHandle, WaitLevel};
use crate::testing::World;
use crate::testing::objects::{FaultyObjects, Strike};
use crate::testing::world::entry;

const PATIENCE: Duration = Duration::from_secs(30);

fn begin(handle: &NamespaceHandle, objects: Arc<dyn Objects>) -> Continuous {
    let log = ExportedLog::of(handle.identity()).unwrap();
    Continuous::begin(Exporter::new(log, handle.store(), objects), handle.watch_published())
}

async fn publish(world: &World, handle: &NamespaceHandle, number: u64) -> Arc<Published> {
    handle.submit(entry(&world.evidence(number)), WaitLevel::Published, PATIENCE).await.unwrap();
    handle.published().unwrap()
}

async fn until(export: &Continuous, wanted: impl Fn(&ExportStatus) -> bool) -> ExportStatus {
    let mut status = export.status.clone();
    *timeout(PATIENCE, status.wait_for(wanted)).await.expect("in time").unwrap()
}

fn checkpoint(folder: &Path, namespace: &Namespace) -> Vec<u8> {
    std::fs::read(folder.join(namespace.as_str()).join(CHECKPOINT_FILE)).unwrap()
}

#[tokio::test]
async fn what_is_published_is_exported() {
    let world = World::new();
    let (_store, handle) = world.served().await;
    let folder = tempfile::tempdir().unwrap();
    let export = begin(&handle, Arc::new(Folder::new(folder.path())));
    for number in 1..5 {
        let published = publish(&world, &handle, number).await;
        let status = until(&export, |status| status.exported == Some(published.size)).await;
        assert_eq!((status.state, status.failures), (ExportState::Following, 0));
    }
    // More cosignatures of the same head are exported too.
    let newest = async {
        while checkpoint(folder.path(), handle.namespace()) != handle.published().unwrap().note {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, newest).await.unwrap();
    export.stop().await;
}

#[tokio::test]
async fn an_export_that_fails_is_tried_again() {
    let world = World::new();
    let (_store, handle) = world.served().await;
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join(handle.namespace().as_str());
    std::fs::write(&in_the_way, "a file where the export should be").unwrap();
    let export = begin(&handle, Arc::new(Folder::new(folder.path())));
    let published = publish(&world, &handle, 1).await;
    let status = until(&export, |status| status.failures > 1).await;
    assert_eq!((status.state, status.exported), (ExportState::Retrying, None));
    std::fs::remove_file(&in_the_way).unwrap();
    let status = until(&export, |status| status.exported == Some(published.size)).await;
    assert_eq!(status.state, ExportState::Following);
    export.stop().await;
}

#[tokio::test]
async fn an_export_that_never_answers_delays_no_publication() {
    let world = World::new();
    let (_store, handle) = world.served().await;
    let folder = tempfile::tempdir().unwrap();
    let silent = FaultyObjects::new(Arc::new(Folder::new(folder.path())), Some((2, Strike::Silent)));
    let export = begin(&handle, silent.clone());
    publish(&world, &handle, 1).await;
    timeout(PATIENCE, silent.until_silent()).await.unwrap();
    let published = publish(&world, &handle, 2).await;
    assert_eq!(published.size.get(), 3);
    assert_eq!(export.status.borrow().exported, None);
    timeout(PATIENCE, export.stop()).await.unwrap();
}

#[tokio::test]
async fn an_export_of_another_log_halts_it_and_is_left_as_it_was() {
    let world = World::new();
    let (_store, handle) = world.served().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(handle.namespace().as_str());
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join(CHECKPOINT_FILE), "somebody else's").unwrap();
    let export = begin(&handle, Arc::new(Folder::new(folder.path())));
    publish(&world, &handle, 1).await;
    let status = until(&export, |status| status.state == ExportState::Halted).await;
    assert_eq!((status.exported, status.failures), (None, 1));
    assert_eq!(checkpoint(folder.path(), handle.namespace()), b"somebody else's");
    publish(&world, &handle, 2).await;
    export.stop().await;
}
