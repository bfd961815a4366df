use std::sync::Arc;

use countermark_tlog::witness_wire::parse_cosignature_lines;
use tokio::sync::oneshot;

use super::*;
use crate::ports::{HeadStore, UnixSeconds};
use crate::testkit::log::TestLog;
use crate::testkit::stores::{Fate, FatedHeads, MemoryHeads};
use crate::testkit::{BEGIN, SignerFault, TestClock, following, signers, witness, witness_keys, witness_name};

mod random;

type TestWitness = Witness<FatedHeads<MemoryHeads>, TestClock>;

/// A witness that follows one log, with its store and its clock in the test's hands.
struct Bench {
    log: TestLog,
    witness: Arc<TestWitness>,
    store: FatedHeads<MemoryHeads>,
    clock: TestClock,
}

impl Bench {
    fn new() -> Self {
        let log = TestLog::new("log.example/a");
        let (store, clock) = (FatedHeads::new(MemoryHeads::default()), TestClock::new());
        let witness = Arc::new(witness(&[&log], store.clone(), &clock));
        Self { log, witness, store, clock }
    }

    /// A witness whose newest head has this many entries.
    async fn at(leaves: usize) -> Self {
        let bench = Self::new();
        bench.cosigned(0, leaves).await;
        bench
    }

    async fn add(&self, log: &TestLog, old: usize, new: usize) -> Result<String, AddCheckpointError> {
        self.witness.add_checkpoint(&log.request(old, new)).await
    }

    /// Expects a cosignature on the honest head and gives its time.
    async fn cosigned(&self, old: usize, new: usize) -> u64 {
        let lines = self.add(&self.log, old, new).await.unwrap();
        time_of(&lines, &self.log.text(new))
    }

    async fn conflict(&self, old: usize, new: usize, stored: u64) {
        match self.add(&self.log, old, new).await {
            Err(AddCheckpointError::NotAdmitted(Refusal::OtherOldSize { stored: found, .. })) => {
                assert_eq!(found.get(), stored);
            }
            other => panic!("{old} to {new}: {other:?}"),
        }
    }

    async fn fault(&self, old: usize, new: usize) {
        let answer = self.add(&self.log, old, new).await;
        assert!(matches!(answer, Err(AddCheckpointError::Store(_))), "{answer:?}");
    }

    async fn stored(&self) -> HeadState {
        self.store.read(&self.log.origin()).await.unwrap()
    }

    /// Begins a request that stalls at its compare-and-swap; it goes on when the sender is used.
    async fn stalled(
        &self,
        old: usize,
        new: usize,
    ) -> (tokio::task::JoinHandle<Result<String, AddCheckpointError>>, oneshot::Sender<()>) {
        let ((arrived, arrival), (release, released)) = (oneshot::channel(), oneshot::channel());
        self.store.next_swaps([Fate::Stall(arrived, released)]);
        let (witness, body) = (Arc::clone(&self.witness), self.log.request(old, new));
        let task = tokio::spawn(async move { witness.add_checkpoint(&body).await });
        arrival.await.unwrap();
        (task, release)
    }
}

/// Verifies the cosignatures in `lines` over `text`, one of each key, and gives their time.
fn time_of(lines: &str, text: &str) -> u64 {
    let lines = parse_cosignature_lines(lines.as_bytes()).unwrap();
    let keys = witness_keys();
    assert_eq!(lines.len(), keys.len());
    let mut times = lines.iter().zip(&keys).map(|(line, key)| {
        assert!(line.is_of(key));
        let cosignature = Cosignature::from_note_signature(line).unwrap();
        cosignature.verify(key, text).unwrap();
        cosignature.timestamp
    });
    let time = times.next().unwrap();
    assert!(times.all(|other| other == time));
    time
}

#[tokio::test]
async fn a_log_that_grows_is_cosigned_at_every_step() {
    let bench = Bench::new();
    for (old, new) in [(0, 0), (0, 1), (1, 5), (5, 5), (5, 64), (64, 65)] {
        assert_eq!(bench.cosigned(old, new).await, BEGIN, "{old} to {new}");
        assert_eq!(bench.stored().await.size().get(), u64::try_from(new).unwrap());
    }
}

#[tokio::test]
async fn a_renewal_carries_the_new_time_and_never_an_older_one() {
    let bench = Bench::at(5).await;
    for (now, expect) in [(BEGIN + 60, BEGIN + 60), (BEGIN + 10, BEGIN + 60), (BEGIN + 61, BEGIN + 61)] {
        bench.clock.set(now);
        assert_eq!(bench.cosigned(5, 5).await, expect);
    }
}

#[tokio::test]
async fn the_cosignature_covers_extension_lines() {
    let bench = Bench::new();
    let text = bench.log.text(5) + "extension\n";
    let body = crate::testkit::log::request(0, &[], &bench.log.note(&text));
    let lines = bench.witness.add_checkpoint(&body).await.unwrap();
    time_of(&lines, &text);
    bench.witness.verify_state().await.unwrap();
}

/// The race of C2SP tlog-witness: request A (5 to 7) is checked, request B (5 to 9) is stored and answered,
/// and then A goes on.
#[tokio::test]
async fn the_slower_of_two_requests_rolls_nothing_back() {
    let bench = Bench::at(5).await;
    let (slow, release) = bench.stalled(5, 7).await;
    bench.cosigned(5, 9).await;
    let after_fast = bench.stored().await;
    release.send(()).unwrap();
    match slow.await.unwrap() {
        Err(AddCheckpointError::NotAdmitted(Refusal::OtherOldSize { old, stored })) => {
            assert_eq!((old.get(), stored.get()), (5, 9));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.stored().await, after_fast);
}

#[tokio::test]
async fn the_slower_of_two_first_requests_rolls_nothing_back() {
    let bench = Bench::new();
    let (slow, release) = bench.stalled(0, 7).await;
    bench.cosigned(0, 9).await;
    release.send(()).unwrap();
    assert!(slow.await.unwrap().is_err());
    bench.conflict(0, 7, 9).await;
}

#[tokio::test]
async fn the_slower_of_two_renewals_is_answered_and_the_newer_stays() {
    let bench = Bench::at(5).await;
    let (slow, release) = bench.stalled(5, 5).await;
    bench.clock.set(BEGIN + 60);
    assert_eq!(bench.cosigned(5, 5).await, BEGIN + 60);
    release.send(()).unwrap();
    assert_eq!(time_of(&slow.await.unwrap().unwrap(), &bench.log.text(5)), BEGIN);
    let HeadState::Cosigned(head) = bench.stored().await else { panic!("lost") };
    assert_eq!(head.cosigned_at.get(), BEGIN + 60);
}

#[tokio::test]
async fn requests_of_different_logs_do_not_wait_for_one_another() {
    let (one, two) = (TestLog::new("log.example/a"), TestLog::new("log.example/b"));
    let (store, clock) = (FatedHeads::new(MemoryHeads::default()), TestClock::new());
    let witness = Arc::new(witness(&[&one, &two], store.clone(), &clock));
    let ((arrived, arrival), (release, released)) = (oneshot::channel(), oneshot::channel());
    store.next_swaps([Fate::Stall(arrived, released)]);
    let stalled = {
        let (witness, body) = (Arc::clone(&witness), one.request(0, 5));
        tokio::spawn(async move { witness.add_checkpoint(&body).await })
    };
    arrival.await.unwrap();
    time_of(&witness.add_checkpoint(&two.request(0, 3)).await.unwrap(), &two.text(3));
    release.send(()).unwrap();
    time_of(&stalled.await.unwrap().unwrap(), &one.text(5));
}

#[tokio::test]
async fn a_read_that_fails_is_a_fault_and_the_retry_goes_through() {
    for fate in [Fate::FailUnsaved, Fate::FailSaved] {
        let bench = Bench::at(5).await;
        bench.store.next_reads([fate]);
        bench.fault(5, 7).await;
        assert_eq!(bench.stored().await.size().get(), 5);
        bench.cosigned(5, 7).await;
    }
}

#[tokio::test]
async fn a_first_read_that_fails_is_never_an_empty_state() {
    let bench = Bench::at(5).await;
    bench.store.next_reads([Fate::FailUnsaved]);
    // Cosigning here would be the fork: the stored state could not be read, and 0 looks like a beginning.
    let answer = bench.add(&bench.log.forked_at(2), 0, 5).await;
    assert!(matches!(answer, Err(AddCheckpointError::Store(_))), "{answer:?}");
}

#[tokio::test]
async fn a_swap_that_failed_unsaved_is_a_fault_and_the_retry_goes_through() {
    let bench = Bench::at(5).await;
    bench.store.next_swaps([Fate::FailUnsaved]);
    bench.fault(5, 7).await;
    assert_eq!(bench.stored().await.size().get(), 5);
    bench.cosigned(5, 7).await;
}

#[tokio::test]
async fn a_swap_that_failed_saved_is_a_fault_and_the_retry_learns_the_stored_size() {
    let bench = Bench::at(5).await;
    bench.store.next_swaps([Fate::FailSaved]);
    bench.fault(5, 7).await;
    bench.conflict(5, 7, 7).await;
    bench.cosigned(7, 7).await;
    bench.cosigned(7, 9).await;
}

#[tokio::test]
async fn after_a_swap_of_unknown_outcome_no_other_story_is_cosigned() {
    for (fate, stored) in [(Fate::FailUnsaved, 5), (Fate::FailSaved, 7)] {
        let bench = Bench::at(5).await;
        bench.store.next_swaps([fate]);
        bench.fault(5, 7).await;
        let fork = bench.log.forked_at(4);
        for (old, new) in [(0, 7), (5, 7), (7, 7), (5, 9), (7, 9)] {
            let answer = bench.add(&fork, old, new).await;
            let refused = matches!(answer, Err(AddCheckpointError::NotAdmitted(_) | AddCheckpointError::Forked { .. }));
            assert!(refused, "{old} to {new}: {answer:?}");
        }
        assert_eq!(bench.stored().await.size().get(), stored);
    }
}

#[tokio::test]
async fn a_lost_race_whose_second_read_fails_is_a_fault_and_the_retry_learns_the_stored_size() {
    let bench = Bench::at(5).await;
    let (slow, release) = bench.stalled(5, 7).await;
    bench.cosigned(5, 9).await;
    bench.store.next_reads([Fate::FailUnsaved]);
    release.send(()).unwrap();
    let answer = slow.await.unwrap();
    assert!(matches!(answer, Err(AddCheckpointError::Store(_))), "{answer:?}");
    bench.conflict(5, 7, 9).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_before_the_commit_changes_nothing() {
    let bench = Bench::at(5).await;
    let (slow, _release) = bench.stalled(5, 7).await;
    slow.abort();
    assert!(slow.await.unwrap_err().is_cancelled());
    assert_eq!(bench.stored().await.size().get(), 5);
    bench.cosigned(5, 9).await;
}

#[tokio::test]
async fn without_a_good_signature_nothing_is_stored() {
    type Expected = fn(&CosignError) -> bool;
    let cases: [(SignerFault, Expected); 3] = [
        (SignerFault::Refuses, |e| matches!(e, CosignError::Sign(_))),
        (SignerFault::FlipsABit, |e| matches!(e, CosignError::OwnSignature(_))),
        (SignerFault::GivesTooFewBytes, |e| matches!(e, CosignError::OwnSignature(_))),
    ];
    let log = TestLog::new("log.example/a");
    let each = |(fault, expected)| [(fault, SignerFault::None, expected), (SignerFault::None, fault, expected)];
    for (ed25519, ml_dsa_44, expected) in cases.into_iter().flat_map(each) {
        let (logs, store) = (following(&[&log]), MemoryHeads::default());
        let cosigner = Cosigner::new(&witness_name(), signers(ed25519, ml_dsa_44), &logs).unwrap();
        let witness = Witness::new(logs, cosigner, store.clone(), TestClock::new());
        match witness.add_checkpoint(&log.request(0, 5)).await {
            Err(AddCheckpointError::Cosign(error)) => assert!(expected(&error), "{error:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(store.read(&log.origin()).await.unwrap(), HeadState::NeverCosigned);
    }
}

#[tokio::test]
async fn without_a_usable_time_nothing_is_stored() {
    let bench = Bench::new();
    bench.clock.set(0);
    let answer = bench.add(&bench.log, 0, 5).await;
    assert!(matches!(answer, Err(AddCheckpointError::Clock(_))), "{answer:?}");
    assert_eq!(bench.stored().await, HeadState::NeverCosigned);
}

#[tokio::test]
async fn monitors_get_the_logs_verified_lines_and_the_newest_cosignature() {
    let bench = Bench::new();
    let path = countermark_tlog::witness_wire::monitoring_path(&bench.log.origin());
    assert_eq!(bench.witness.newest_checkpoint(&path).await.unwrap(), None);
    let stranger = TestLog::new("stranger.example").with_key(3);
    let noisy = bench.log.checkpoint(5) + &stranger.line(&bench.log.text(5)).to_line();
    let body = crate::testkit::log::request(0, &[], &noisy);
    let lines = bench.witness.add_checkpoint(&body).await.unwrap();
    let served = bench.witness.newest_checkpoint(&path).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(served).unwrap(), bench.log.checkpoint(5) + &lines);
    assert_eq!(bench.witness.newest_checkpoint("00/checkpoint").await.unwrap(), None);
    bench.store.next_reads([Fate::FailUnsaved]);
    assert!(bench.witness.newest_checkpoint(&path).await.is_err());
}

/// Adds a line to the text of a note, which every signature on it notices.
fn insert_extension(note: &mut Vec<u8>) {
    let text = String::from_utf8(std::mem::take(note)).unwrap();
    *note = text.replacen("\n\n", "\nextension\n\n", 1).into_bytes();
}

#[tokio::test]
async fn a_state_that_is_damaged_or_of_another_witness_is_refused_before_serving() {
    type Change = fn(&mut CosignedHead);
    type Expected = fn(&StateError) -> bool;
    let cases: [(&str, Change, Expected); 7] = [
        (
            "another size",
            |h| h.id.size = h.id.size.checked_add(1).unwrap(),
            |e| matches!(e, StateError::OtherHead { .. }),
        ),
        (
            "another root",
            |h| h.id.root = countermark_tlog::hash::empty_root(),
            |e| matches!(e, StateError::OtherHead { .. }),
        ),
        (
            "another time",
            |h| h.cosigned_at = UnixSeconds::new(1).unwrap(),
            |e| matches!(e, StateError::OtherHead { .. }),
        ),
        ("no checkpoint", |h| h.checkpoint.clear(), |e| matches!(e, StateError::Checkpoint { .. })),
        (
            "another log",
            |h| h.checkpoint = TestLog::new("log.example/b").checkpoint(5).into_bytes(),
            |e| matches!(e, StateError::OtherHead { .. }),
        ),
        ("another text", |h| insert_extension(&mut h.checkpoint), |e| matches!(e, StateError::Cosignature { .. })),
        (
            "another witness",
            |h| h.cosignatures = h.cosignatures.replace("w1", "w2"),
            |e| matches!(e, StateError::OtherWitness { .. }),
        ),
    ];
    for (case, change, expected) in cases {
        let bench = Bench::at(5).await;
        let HeadState::Cosigned(mut head) = bench.stored().await else { panic!("lost") };
        bench.witness.verify_state().await.unwrap();
        change(&mut head);
        let store = MemoryHeads::default();
        store.swap(&bench.log.origin(), None, &head).await.unwrap();
        let other = witness(&[&bench.log], store, &bench.clock);
        let error = other.verify_state().await.unwrap_err();
        assert!(expected(&error), "{case}: {error:?}");
    }
}
