//! Every call of the objects fails in every form, at each step from one exported size to the next.

use super::*;
use crate::testing::objects::{FaultyObjects, Strike};

/// Whether the run came to its end without the strike.
async fn run(log: &RawLog, objects: &Arc<dyn Objects>, head: &ExportHead, strike: (usize, Strike)) -> bool {
    let faulty = FaultyObjects::new(Arc::clone(objects), Some(strike));
    let dynamic: Arc<dyn Objects> = faulty.clone();
    let mut exporter = exporter(log, &dynamic);
    tokio::select! {
        done = exporter.export(head, &mut |_| {}) => {
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
    // The faster one comes between the slower one's look and its checkpoint.
    let slow = FaultyObjects::new(Arc::clone(&objects), Some((1, Strike::Silent)));
    let dynamic: Arc<dyn Objects> = slow.clone();
    let mut slow_exporter = exporter(&log, &dynamic);
    tokio::select! {
        _ = slow_exporter.export(&old, &mut |_| {}) => panic!("it was to wait"),
        () = slow.until_silent() => {}
    }
    export(&log, &objects, &new).await.unwrap();
    let destination = Destination::new(&log.identity.namespace, Arc::clone(&objects));
    let late = destination.swap_checkpoint(None, old.note.clone()).await;
    assert!(matches!(late, Err(SwapError::Conflict)), "{late:?}");
    assert_eq!(check_whole(&log, &objects).await, Some(size(400)));
}
