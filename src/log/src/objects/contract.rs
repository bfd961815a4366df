//! What every object store must do; each back end runs the same cases, the bucket against a real server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countermark_tests::s3_server::{BUCKET, S3Server};
use tokio::task::JoinSet;

use super::access::Access;
use super::folder::Folder;
use super::location::Location;
use super::{Objects, ObjectsFaultCause, SwapError};

/// The bucket of a test's server.
pub(crate) fn bucket(server: &S3Server, prefix: &str, call_timeout: Duration) -> Arc<dyn Objects> {
    let location = Location::parse(&format!("s3://{BUCKET}/{prefix}"), Path::new("/")).unwrap();
    location.open(|| Ok(Access::to_test_server(&server.endpoint())), call_timeout).unwrap()
}

async fn read(objects: &Arc<dyn Objects>, key: &str) -> Option<Vec<u8>> {
    objects.get(key, 64).await.unwrap().map(|object| object.bytes)
}

async fn check(objects: Arc<dyn Objects>) {
    assert_eq!(objects.folders().await.unwrap(), Vec::<String>::new(), "a place that nobody wrote to is empty");
    an_object_is_read_as_it_was_written(&objects).await;
    an_object_is_swapped_by_who_knows_it(&objects).await;
    of_many_swaps_one_wins(&objects).await;
    a_folder_goes_with_all_that_is_in_it(&objects).await;
    assert_eq!(objects.folders().await.unwrap(), ["a", "b"]);
}

async fn an_object_is_read_as_it_was_written(objects: &Arc<dyn Objects>) {
    assert_eq!(read(objects, "a/none").await, None);
    for content in [&b"one"[..], b"another", b""] {
        objects.put("a/x001/067.p/5", content.to_vec()).await.unwrap();
        objects.settle().await.unwrap();
        assert_eq!(read(objects, "a/x001/067.p/5").await.as_deref(), Some(content));
    }
    objects.put("a/long", vec![7; 65]).await.unwrap();
    let refused = objects.get("a/long", 64).await.unwrap_err();
    assert!(matches!(refused.source, ObjectsFaultCause::TooLarge { bytes_max: 64 }), "{refused:?}");
}

async fn an_object_is_swapped_by_who_knows_it(objects: &Arc<dyn Objects>) {
    objects.swap("b/head", None, b"1".to_vec()).await.unwrap();
    let first = objects.get("b/head", 64).await.unwrap().unwrap();
    let refused = objects.swap("b/head", None, b"2".to_vec()).await;
    assert!(matches!(refused, Err(SwapError::Conflict)), "{refused:?}");
    objects.swap("b/head", Some(&first.tag), b"3".to_vec()).await.unwrap();
    for key in ["b/head", "b/other"] {
        let refused = objects.swap(key, Some(&first.tag), b"4".to_vec()).await;
        assert!(matches!(refused, Err(SwapError::Conflict)), "{key}: {refused:?}");
    }
    assert_eq!(read(objects, "b/head").await.unwrap(), b"3");
    assert_eq!(read(objects, "b/other").await, None);
}

async fn of_many_swaps_one_wins(objects: &Arc<dyn Objects>) {
    let before = objects.get("b/head", 64).await.unwrap().unwrap();
    for expected in [Some(before.tag), None] {
        let key = if expected.is_some() { "b/head" } else { "b/new" };
        let mut racing = JoinSet::new();
        for number in 0..8_u8 {
            let (objects, expected) = (Arc::clone(objects), expected.clone());
            racing.spawn(async move { objects.swap(key, expected.as_ref(), vec![number]).await.is_ok() });
        }
        assert_eq!(racing.join_all().await.into_iter().filter(|won| *won).count(), 1, "{key}");
    }
}

async fn a_folder_goes_with_all_that_is_in_it(objects: &Arc<dyn Objects>) {
    for key in ["b/000.p/1", "b/000.p/2", "b/000"] {
        objects.put(key, b"x".to_vec()).await.unwrap();
    }
    for _ in 0..2 {
        objects.remove_folder("b/000.p").await.unwrap();
    }
    let found = [read(objects, "b/000.p/1").await, read(objects, "b/000.p/2").await, read(objects, "b/000").await];
    assert_eq!(found, [None, None, Some(b"x".to_vec())]);
}

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    check(Arc::new(Folder::new(&folder.path().join("not/there/yet")))).await;
}

#[tokio::test]
async fn a_bucket_keeps_the_contract() {
    let server = S3Server::start();
    check(bucket(&server, "", Duration::from_secs(20))).await;
    check(bucket(&server, "some/prefix", Duration::from_secs(20))).await;
}

#[tokio::test]
async fn a_server_that_is_gone_or_silent_is_a_fault_in_time() {
    let mut server = S3Server::start();
    let objects = bucket(&server, "", Duration::from_secs(1));
    objects.put("a/b", b"x".to_vec()).await.unwrap();
    server.pause();
    let silent = objects.get("a/b", 64).await;
    assert!(silent.is_err(), "{silent:?}");
    let silent = objects.swap("a/c", None, b"x".to_vec()).await;
    assert!(matches!(silent, Err(SwapError::Fault(_))), "{silent:?}");
    server.resume();
    server.kill();
    assert!(objects.get("a/b", 64).await.is_err());
    assert!(objects.put("a/b", b"x".to_vec()).await.is_err());
    assert!(objects.folders().await.is_err());
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_a_fault_and_not_an_absence() {
    let server = S3Server::start();
    let location = Location::parse("s3://another-bucket/a", Path::new("/")).unwrap();
    let objects = location.open(|| Ok(Access::to_test_server(&server.endpoint())), Duration::from_secs(20)).unwrap();
    let found = objects.get("a", 64).await;
    assert!(found.is_err(), "{found:?}");
}

#[tokio::test]
async fn what_lies_in_the_way_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "a file where a folder should be").unwrap();
    let objects = Folder::new(folder.path());
    let refused = objects.put("a/b", vec![]).await.unwrap_err();
    assert!(matches!(refused.source, ObjectsFaultCause::Io(_)), "{refused:?}");
    let refused = objects.get("a/b", 64).await;
    assert!(refused.is_err(), "{refused:?}");
}
