use countermark_tlog::fork::{ForkKind, UntrustedForkEvidence};

use super::*;
use crate::ports::{HeadStore, StoreError};
use crate::testkit::log::TestLog;
use crate::testkit::stores::{Fate, FatedHeads, MemoryHeads};
use crate::testkit::{TestClock, witness};
use crate::witness::AddCheckpointError;

type TestWitness = Witness<FatedHeads<MemoryHeads>, TestClock>;

fn bench(log: &TestLog) -> (TestWitness, FatedHeads<MemoryHeads>) {
    let store = FatedHeads::new(MemoryHeads::default());
    (witness(&[log], store.clone(), &TestClock::new()), store)
}

fn head(log: &TestLog, size: usize) -> SignedCheckpoint {
    SignedCheckpoint::parse(log.checkpoint(size).as_bytes()).unwrap()
}

/// A witness that cosigned sizes 3 and 5 of the log.
async fn grown(log: &TestLog) -> (TestWitness, FatedHeads<MemoryHeads>) {
    let (witness, store) = bench(log);
    witness.add_checkpoint(&log.request(0, 3)).await.unwrap();
    witness.add_checkpoint(&log.request(3, 5)).await.unwrap();
    (witness, store)
}

#[tokio::test]
async fn every_head_is_judged_by_those_that_were_cosigned() {
    let log = TestLog::new("log.example/l");
    let (witness, store) = grown(&log).await;
    let check = async |head: SignedCheckpoint, expect: Verdict| assert_eq!(witness.hear(&head).await.unwrap(), expect);
    check(head(&log, 5), Verdict::Consistent).await;
    check(head(&log, 3), Verdict::Consistent).await;
    check(head(&log, 4), Verdict::Behind).await;
    check(head(&log, 6), Verdict::Ahead).await;
    check(head(&log.with_key(9), 5), Verdict::NotSigned).await;
    check(head(&TestLog::new("stranger.example"), 5), Verdict::Unknown).await;
    assert_eq!(store.forks().await.unwrap(), [], "nothing of all that is a fork");
}

#[tokio::test]
async fn an_older_head_of_the_other_face_is_a_fork_and_ends_the_cosigning() {
    let log = TestLog::new("log.example/l");
    let (witness, store) = grown(&log).await;
    let Verdict::Fork(id) = witness.hear(&head(&log.forked_at(1), 3)).await.unwrap() else { panic!() };
    let evidence = store.fork(id).await.unwrap().unwrap();
    let verified = UntrustedForkEvidence::parse(&evidence).unwrap().verify(&[log.vkey()]).unwrap();
    assert_eq!((verified.kind(), verified.id()), (ForkKind::TwoRoots, id));
    // Neither face is cosigned again, not even the head that was cosigned before.
    for request in [log.request(5, 6), log.request(5, 5), log.forked_at(1).request(5, 6)] {
        let refused = witness.add_checkpoint(&request).await;
        assert!(matches!(&refused, Err(AddCheckpointError::Forked { evidence, .. }) if *evidence == id), "{refused:?}");
    }
}

#[tokio::test]
async fn a_request_that_contradicts_what_was_cosigned_leaves_evidence() {
    let log = TestLog::new("log.example/l");
    // At the newest size, at an older one, and with an old size that alone would be a conflict.
    for (old, size) in [(5, 5), (3, 3), (0, 5)] {
        let (witness, store) = grown(&log).await;
        let refused = witness.add_checkpoint(&log.forked_at(0).request(old, size)).await;
        assert!(matches!(refused, Err(AddCheckpointError::NotAdmitted(_))), "{refused:?}");
        assert_eq!(store.forks().await.unwrap().len(), 1, "{old} {size}");
    }
}

#[tokio::test]
async fn evidence_is_kept_once_whoever_tells_of_it() {
    let log = TestLog::new("log.example/l");
    let made = UntrustedForkEvidence::new(&head(&log, 4), &head(&log.forked_at(0), 4), Vec::new()).unwrap().to_bytes();
    // A witness that cosigned neither head is convinced by the evidence alone.
    let (witness, store) = bench(&log);
    let id = witness.hear_evidence(&made).await.unwrap();
    assert_eq!(witness.hear_evidence(&made).await.unwrap(), id);
    assert_eq!(store.forks().await.unwrap(), [id]);
    assert!(matches!(witness.add_checkpoint(&log.request(0, 1)).await, Err(AddCheckpointError::Forked { .. })));
}

#[tokio::test]
async fn what_proves_nothing_is_refused_by_name_and_not_stored() {
    let log = TestLog::new("log.example/l");
    let stranger = TestLog::new("stranger.example");
    let (witness, store) = bench(&log);
    let made = |one: &TestLog, other: &TestLog, sizes: (usize, usize)| {
        UntrustedForkEvidence::new(&head(one, sizes.0), &head(other, sizes.1), Vec::new()).unwrap().to_bytes()
    };
    let refused = witness.hear_evidence(b"x").await;
    assert!(matches!(refused, Err(ConvictError::Malformed(_))), "{refused:?}");
    let refused = witness.hear_evidence(&made(&stranger, &stranger.forked_at(0), (4, 4))).await;
    assert!(matches!(refused, Err(ConvictError::NotFollowed { .. })), "{refused:?}");
    for evidence in [made(&log, &log, (2, 4)), made(&log, &log.with_key(9).forked_at(0), (4, 4))] {
        let refused = witness.hear_evidence(&evidence).await;
        assert!(matches!(refused, Err(ConvictError::ProvesNothing(_))), "{refused:?}");
    }
    assert_eq!(store.forks().await.unwrap(), []);
    witness.add_checkpoint(&log.request(0, 1)).await.unwrap();
}

#[tokio::test]
async fn evidence_survives_a_store_that_fails_before_or_after_it_is_written() {
    let log = TestLog::new("log.example/l");
    for (fate, is_kept) in [(Fate::FailUnsaved, false), (Fate::FailSaved, true)] {
        let (witness, store) = grown(&log).await;
        store.next_keeps([fate]);
        // A fault, and no signature under the other face, whatever was written.
        let failed = witness.add_checkpoint(&log.forked_at(0).request(5, 5)).await;
        assert!(
            matches!(failed, Err(AddCheckpointError::Evidence(ConvictError::Store(StoreError::Write(_))))),
            "{failed:?}"
        );
        assert_eq!(store.fork_of(&log.origin()).await.unwrap().is_some(), is_kept);
        // Whoever asks again finds it, or makes it again.
        let refused = witness.add_checkpoint(&log.forked_at(0).request(5, 5)).await;
        if is_kept {
            assert!(matches!(refused, Err(AddCheckpointError::Forked { .. })), "{refused:?}");
        } else {
            assert!(matches!(refused, Err(AddCheckpointError::NotAdmitted(_))), "{refused:?}");
        }
        assert_eq!(store.forks().await.unwrap().len(), 1);
        let size = store.read(&log.origin()).await.unwrap().size();
        assert_eq!(size.get(), 5, "the head stands where it stood");
    }
}

#[tokio::test]
async fn a_page_goes_on_after_its_last_log() {
    let logs: Vec<TestLog> = (0..70).map(|number| TestLog::new(&format!("log-{number}.example"))).collect();
    let store = MemoryHeads::default();
    let witness = witness(&logs.iter().collect::<Vec<_>>(), store, &TestClock::new());
    for log in &logs {
        witness.add_checkpoint(&log.request(0, 1)).await.unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = witness.newest_heads(after.as_deref()).await.unwrap();
        let Some(last) = page.heads().last() else { break };
        after = Some(countermark_tlog::gossip::origin_hash(&last.checkpoint().origin));
        seen.extend(page.heads().iter().map(|head| head.checkpoint().origin.clone()));
    }
    seen.sort();
    let mut all: Vec<_> = logs.iter().map(TestLog::origin).collect();
    all.sort();
    assert_eq!(seen, all);
}

#[tokio::test]
async fn pushed_heads_wait_only_if_something_is_to_be_found_out() {
    let log = TestLog::new("log.example/l");
    let (witness, _) = grown(&log).await;
    for pushed in [head(&log, 6), head(&log, 6), head(&log, 5), head(&TestLog::new("stranger.example"), 1)] {
        witness.hear_later(&pushed).await.unwrap();
    }
    assert_eq!(witness.bell.waiting(), [head(&log, 6)]);
}
