//! Many requests in one transaction, and what the head register has to do with it.

use countermark_tlog::fork::{ForkId, VerifiedForkEvidence};
use tokio::task::JoinSet;

use super::*;
use crate::decide::Refusal;
use crate::ports::{ForkStore, Kept};
use crate::testkit::stores::{Fate, FatedHeads, RegisterFate};
use crate::testkit::{TestClock, witness};
use crate::witness::AddCheckpointError;

#[tokio::test]
async fn what_waits_together_is_made_durable_together() {
    let file = StateFile::create().await;
    let pool = file.open(Open::Existing).await;
    let register = Arc::new(FatedRegister::default());
    let store = Arc::new(heads_with(&pool, &register).await);
    let before = register.raises();
    let mut callers = JoinSet::new();
    for number in 0..200 {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            let log = TestLog::new(&format!("log.example/{number}"));
            let one = head(&log, 1, 100);
            assert_eq!(store.swap(&log.origin(), None, &one).await.unwrap(), Swap::Stored);
            assert_eq!(store.read_to_show(&log.origin()).await.unwrap(), HeadState::Cosigned(one));
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    let written = register.raises() - before;
    assert!((1..50).contains(&written), "200 requests, {written} batches");
    pool.close().await;
}

#[tokio::test]
async fn of_two_requests_for_one_log_in_one_batch_the_second_sees_the_first() {
    let file = StateFile::create().await;
    let pool = file.open(Open::Existing).await;
    let (log, store) = (log(), heads(&pool).await);
    let (origin, first) = (log.origin(), head(&log, 5, 100));
    let (later, fork, next) = (head(&log, 5, 101), head(&log.forked_at(1), 5, 100), head(&log, 7, 102));
    let swaps = tokio::join!(
        store.swap(&origin, None, &first),
        store.swap(&origin, None, &fork),
        store.swap(&origin, Some(first.id), &later),
        store.swap(&origin, Some(first.id), &first),
        store.swap(&origin, Some(first.id), &next),
    );
    assert_eq!(swaps.0.unwrap(), Swap::Stored);
    assert_eq!(swaps.1.unwrap(), Swap::Lost);
    assert_eq!(swaps.2.unwrap(), Swap::Stored);
    assert_eq!(swaps.3.unwrap(), Swap::NewerKept);
    assert_eq!(swaps.4.unwrap(), Swap::Stored);
    assert_eq!(store.read(&origin).await.unwrap(), HeadState::Cosigned(next));
    pool.close().await;
}

#[tokio::test]
async fn what_the_database_refuses_of_one_caller_takes_back_nothing_of_another() {
    let file = StateFile::create().await;
    let pool = file.open(Open::Existing).await;
    let store = heads(&pool).await;
    let [a, b, c] = ["a", "b", "c"].map(|name| TestLog::new(&format!("log.example/{name}")));
    // The state contradicts itself: a head of `b` is remembered under a root that no head row has.
    sqlx::query("INSERT INTO cosigned_head VALUES ('log.example/b', 5, zeroblob(32), 1, x'')")
        .execute(&pool)
        .await
        .unwrap();
    let [of_a, of_b, of_c] = [&a, &b, &c].map(|log| (log.origin(), head(log, 5, 100)));
    let swaps = tokio::join!(
        store.swap(&of_a.0, None, &of_a.1),
        store.swap(&of_b.0, None, &of_b.1),
        store.swap(&of_c.0, None, &of_c.1),
    );
    assert_eq!(swaps.0.unwrap(), Swap::Stored);
    assert!(matches!(swaps.1, Err(StoreError::Write(_))), "{:?}", swaps.1);
    assert_eq!(swaps.2.unwrap(), Swap::Stored);
    assert_eq!(store.read(&of_b.0).await.unwrap(), HeadState::NeverCosigned);
    assert_eq!(store.read(&of_a.0).await.unwrap(), HeadState::Cosigned(of_a.1));
    assert_eq!(store.read(&of_c.0).await.unwrap(), HeadState::Cosigned(of_c.1));
    pool.close().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_changes_nothing_for_the_others() {
    let file = StateFile::create().await;
    let pool = file.open(Open::Existing).await;
    let store = heads(&pool).await;
    let [a, b] = ["a", "b"].map(|name| TestLog::new(&format!("log.example/{name}")));
    let (one, two) = (head(&a, 1, 100), head(&b, 1, 100));
    assert!(dropped_after(0, store.swap(&a.origin(), None, &one)).await.is_none());
    assert_eq!(store.swap(&b.origin(), None, &two).await.unwrap(), Swap::Stored);
    assert_eq!(store.read(&b.origin()).await.unwrap(), HeadState::Cosigned(two));
    assert_eq!(store.read(&a.origin()).await.unwrap(), HeadState::NeverCosigned, "nobody waited for it");
    pool.close().await;
}

#[tokio::test]
async fn nothing_is_answered_or_shown_that_the_register_does_not_cover() {
    for fate in [RegisterFate::FailUnsaved, RegisterFate::FailSaved] {
        let file = StateFile::create().await;
        let pool = file.open(Open::Existing).await;
        let register = Arc::new(FatedRegister::default());
        let store = heads_with(&pool, &register).await;
        let log = log();
        let first = head(&log, 5, 100);
        register.next_raises([fate, fate, fate]);
        let outcome = store.swap(&log.origin(), None, &first).await;
        assert!(matches!(outcome, Err(StoreError::Register(_))), "{outcome:?}");
        // It is durable, so it is what the next request builds on; its cosignature is for nobody.
        assert_eq!(store.read(&log.origin()).await.unwrap(), HeadState::Cosigned(first.clone()));
        let shown = store.read_to_show(&log.origin()).await;
        assert!(matches!(shown, Err(StoreError::Register(_))), "{shown:?}");
        let renewal = store.swap(&log.origin(), Some(first.id), &head(&log, 5, 101)).await;
        assert!(matches!(renewal, Err(StoreError::Register(_))), "{renewal:?}");
        // The register can be written again.
        let HeadState::Cosigned(shown) = store.read_to_show(&log.origin()).await.unwrap() else { panic!("lost") };
        assert_eq!(shown, head(&log, 5, 101));
        assert_eq!(register.value(), Some(2));
        pool.close().await;
    }
}

#[tokio::test]
async fn a_state_is_served_only_if_it_is_at_least_as_new_as_the_register() {
    let log = log();
    let cases: [(Option<u64>, Result<(), &str>); 6] = [
        (Some(3), Err("older copy")),
        (Some(u64::MAX), Err("older copy")),
        (None, Err("no head register")),
        (Some(2), Ok(())),
        // A crash between the commit and the register.
        (Some(1), Ok(())),
        (Some(0), Ok(())),
    ];
    for (registered, expect) in cases {
        let file = StateFile::create().await;
        let pool = file.open(Open::Existing).await;
        let register = Arc::new(FatedRegister::default());
        let store = heads_with(&pool, &register).await;
        let [one, two] = [1, 2].map(|leaves| head(&log, leaves, 100));
        store.swap(&log.origin(), None, &one).await.unwrap();
        store.swap(&log.origin(), Some(one.id), &two).await.unwrap();
        drop(store);
        assert_eq!(register.value(), Some(2));
        register.set(registered);
        let opened = SqliteHeads::open(pool.clone(), Arc::<FatedRegister>::clone(&register)).await;
        match (opened, expect) {
            (Ok(_), Ok(())) => assert_eq!(register.value(), Some(2), "{registered:?}"),
            (Err(error), Err(words)) => {
                assert!(error.to_string().contains(words), "{registered:?}: {error}");
                assert_eq!(register.value(), registered, "what was refused changes nothing");
            }
            (opened, _) => panic!("{registered:?}: {:?}", opened.err()),
        }
        pool.close().await;
    }
}

#[tokio::test]
async fn a_register_that_cannot_be_raised_at_the_start_is_not_served() {
    for fate in [RegisterFate::FailUnsaved, RegisterFate::FailSaved] {
        let file = StateFile::create().await;
        let pool = file.open(Open::Existing).await;
        let register = Arc::new(FatedRegister::default());
        register.next_raises([fate]);
        let opened = SqliteHeads::open(pool.clone(), Arc::<FatedRegister>::clone(&register)).await;
        assert!(matches!(opened.err(), Some(OpenHeadsError::Register(_))));
        pool.close().await;
    }
}

#[tokio::test]
async fn a_check_writes_and_fails_when_nothing_can_be_written() {
    let file = StateFile::create().await;
    let pool = file.open(Open::Existing).await;
    let register = Arc::new(FatedRegister::default());
    let store = heads_with(&pool, &register).await;
    store.check().await.unwrap();
    let pool_of_other = file.open(Open::Existing).await;
    let other = heads_with(&pool_of_other, &register).await;
    pool_of_other.close().await;
    other.check().await.unwrap_err();
    other.check().await.unwrap_err();
    pool.close().await;
}

/// The race of tlog-witness: a request is held between its decision and its swap, and another one overtakes it.
#[tokio::test]
async fn a_request_that_was_overtaken_rolls_nothing_back() {
    let file = StateFile::create().await;
    let pool = file.open(Open::Existing).await;
    let store = FatedHeads::new(Shared(Arc::new(heads(&pool).await)));
    let log = log();
    let witness = Arc::new(witness(&[&log], store.clone(), &TestClock::new()));
    witness.add_checkpoint(&log.request(0, 5)).await.unwrap();
    let ((arrived, arrival), (release, released)) = (oneshot::channel(), oneshot::channel());
    store.next_swaps([Fate::Stall(arrived, released)]);
    let (slow, body) = (Arc::clone(&witness), log.request(5, 7));
    let overtaken = tokio::spawn(async move { slow.add_checkpoint(&body).await });
    arrival.await.unwrap();
    witness.add_checkpoint(&log.request(5, 9)).await.unwrap();
    release.send(()).unwrap();
    match overtaken.await.unwrap() {
        Err(AddCheckpointError::NotAdmitted(Refusal::OtherOldSize { stored, .. })) => assert_eq!(stored.get(), 9),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.read(&log.origin()).await.unwrap().size().get(), 9);
    pool.close().await;
}

#[derive(Clone)]
struct Shared(Arc<SqliteHeads>);

impl HeadStore for Shared {
    async fn read(&self, origin: &Origin) -> Result<HeadState, StoreError> {
        self.0.read(origin).await
    }

    async fn swap(&self, origin: &Origin, expected: Option<HeadId>, new: &CosignedHead) -> Result<Swap, StoreError> {
        self.0.swap(origin, expected, new).await
    }

    async fn read_to_show(&self, origin: &Origin) -> Result<HeadState, StoreError> {
        self.0.read_to_show(origin).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.0.check().await
    }
}

impl ForkStore for Shared {
    async fn fork_of(&self, origin: &Origin) -> Result<Option<ForkId>, StoreError> {
        self.0.fork_of(origin).await
    }

    async fn keep_fork(&self, evidence: &VerifiedForkEvidence, found_at: UnixSeconds) -> Result<Kept, StoreError> {
        self.0.keep_fork(evidence, found_at).await
    }

    async fn fork(&self, id: ForkId) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.fork(id).await
    }

    async fn forks(&self) -> Result<Vec<ForkId>, StoreError> {
        self.0.forks().await
    }

    async fn cosigned_at(&self, origin: &Origin, size: TreeSize) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.cosigned_at(origin, size).await
    }
}
