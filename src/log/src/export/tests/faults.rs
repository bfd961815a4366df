//! Every call of the objects fails in every form, at each step from one exported size to the next.

use super::*;
use crate::objects::{Object, Tag};
use crate::ports::PortFuture;
use crate::testing::objects::{FaultyObjects, Strike};

/// Whether the run came to its end without the strike.
async fn run(log: &RawLog, objects: &Arc<dyn Objects>, head: &ExportHead, strike: (usize, Strike)) -> bool {
    let faulty = FaultyObjects::new(Arc::clone(objects), Some(strike));
    let dynamic: Arc<dyn Objects> = faulty.clone();
    let (mut exporter, mut ignore) = (exporter(log, &dynamic), |_| {});
    tokio::select! {
        done = exporter.export(head, &mut ignore) => {
            if let Err(failure) = &done {
                assert!(failure.is_fault(), "{strike:?}: {failure}");
            }
        }
        () = faulty.until_silent() => {}
    }
    faulty.calls() <= strike.0
}

async fn check(form: Strike) {
    let mut call = 0;
    loop {
        let (mut log, _) = RawLog::new(1).await;
        let (_folder, objects) = folder();
        let old = log.grow_to(300).await;
        export(&log, &objects, &old).await.unwrap();
        let head = log.grow_to(800).await;
        let passed = run(&log, &objects, &head, (call, form)).await;
        let reached = check_whole(&log, &objects).await;
        assert!([Some(size(300)), Some(size(800))].contains(&reached), "{form:?} of call {call}: {reached:?}");
        if passed {
            break;
        }
        // It goes on from there, and there is nothing left of it.
        assert_eq!(export(&log, &objects, &head).await.unwrap(), size(800));
        assert_eq!(check_whole(&log, &objects).await, Some(size(800)), "{form:?} of call {call}");
        call += 1;
    }
    assert!(call > 15, "{call} calls were tried");
}

#[tokio::test]
async fn whatever_is_not_done_the_export_is_whole_and_goes_on() {
    check(Strike::NotDone).await;
}

#[tokio::test]
async fn whatever_is_done_and_not_heard_of_the_export_is_whole_and_goes_on() {
    check(Strike::Done).await;
}

#[tokio::test]
async fn whatever_is_the_last_thing_done_the_export_is_whole_and_goes_on() {
    check(Strike::Silent).await;
}

#[tokio::test]
async fn a_first_export_that_breaks_off_shows_nothing() {
    let (mut log, _) = RawLog::new(1).await;
    let head = log.grow_to(300).await;
    for call in 0..8 {
        let (_folder, objects) = folder();
        assert!(!run(&log, &objects, &head, (call, Strike::Silent)).await);
        assert_eq!(check_whole(&log, &objects).await, None);
        assert_eq!(export(&log, &objects, &head).await.unwrap(), size(300));
        assert_eq!(check_whole(&log, &objects).await, Some(size(300)));
    }
}

#[tokio::test]
async fn of_two_exporters_the_slower_one_is_told() {
    let (mut log, _) = RawLog::new(1).await;
    let (_folder, objects) = folder();
    let old = log.grow_to(300).await;
    let new = log.grow_to(400).await;
    export(&log, &objects, &new).await.unwrap();
    objects.remove_folder("digests/tile").await.unwrap();
    let at_first = objects.get("digests/checkpoint", 4_096).await.unwrap().unwrap();
    objects.swap("digests/checkpoint", Some(&at_first.tag), old.note.clone()).await.unwrap();
    // The faster one's checkpoint comes between the slower one's look and its checkpoint.
    let overtaken: Arc<dyn Objects> = Arc::new(Overtaken { inner: Arc::clone(&objects), note: new.note.clone() });
    let newest = log.grow_to(500).await;
    let refused = export(&log, &overtaken, &newest).await.unwrap_err();
    assert!(matches!(refused, ExportError::Moved) && refused.is_fault(), "{refused}");
    let now = objects.get("digests/checkpoint", 4_096).await.unwrap().unwrap();
    assert_eq!(now.bytes, new.note);
}

/// Objects in which somebody is faster with every checkpoint.
#[derive(Debug)]
struct Overtaken {
    inner: Arc<dyn Objects>,
    note: Vec<u8>,
}

impl Objects for Overtaken {
    fn get<'a>(&'a self, key: &'a str, bytes_max: usize) -> PortFuture<'a, Result<Option<Object>, ObjectsFault>> {
        self.inner.get(key, bytes_max)
    }

    fn put<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> PortFuture<'a, Result<(), ObjectsFault>> {
        self.inner.put(key, bytes)
    }

    fn settle(&self) -> PortFuture<'_, Result<(), ObjectsFault>> {
        self.inner.settle()
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a Tag>,
        bytes: Vec<u8>,
    ) -> PortFuture<'a, Result<(), SwapError>> {
        Box::pin(async move {
            self.inner.swap(key, expected, self.note.clone()).await?;
            self.inner.swap(key, expected, bytes).await
        })
    }

    fn remove_folder<'a>(&'a self, folder: &'a str) -> PortFuture<'a, Result<(), ObjectsFault>> {
        self.inner.remove_folder(folder)
    }

    fn folders(&self) -> PortFuture<'_, Result<Vec<String>, ObjectsFault>> {
        self.inner.folders()
    }
}
