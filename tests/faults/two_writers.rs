//! Two processes on one database: one keeps serving, the other says why it does not, and there is one log.

use crate::audit::audit;
use crate::authority::{Authority, NAMESPACES};
use crate::log::Log;
use crate::submitter::{Ledger, Outcome};

/// The one that was taken over learns it when it is to write; then it ends as a whole.
fn is_taken_over(authority: &Authority, ledger: &Ledger, old: Log, text: &str) {
    match ledger.submit(authority, old.address, "opaque", text) {
        Outcome::Problem(answer) => assert_eq!((answer.status, answer.has_retry_after()), (503, true), "{answer:?}"),
        Outcome::Acknowledged(index) => panic!("{text} was acknowledged at {index} by a writer that was taken over"),
        Outcome::Broken => {}
    }
    let ended = old.wait();
    assert_eq!(ended.status.code(), Some(1), "{ended}");
    assert!(ended.said.contains("namespace opaque: another process writes to this namespace"), "{ended}");
}

#[test]
fn the_newer_of_two_writers_goes_on_and_the_older_one_says_why_it_ends() {
    let (authority, ledger) = (Authority::new(), Ledger::default());
    let old = authority.serve();
    for namespace in NAMESPACES {
        ledger.must(&authority, old.address, namespace, "before");
    }
    let mut new = authority.serve();
    for namespace in NAMESPACES {
        ledger.must(&authority, new.address, namespace, "between");
    }
    is_taken_over(&authority, &ledger, old, "by the old one");
    assert!(new.is_running());
    for namespace in NAMESPACES {
        ledger.must(&authority, new.address, namespace, "after");
    }
    assert!(new.end().status.success());
    audit(&authority, &ledger, &[]);
    let third = authority.serve();
    for namespace in NAMESPACES {
        ledger.must(&authority, third.address, namespace, "after");
        ledger.must(&authority, third.address, namespace, "by the third");
    }
    assert!(third.end().status.success());
    audit(&authority, &ledger, &[]);
}

#[test]
fn of_two_writers_that_start_at_once_under_load_one_goes_on() {
    for round in 0..3 {
        let (authority, ledger) = (Authority::new(), Ledger::default());
        let started = std::thread::scope(|scope| {
            let begun = [(); 2].map(|()| scope.spawn(|| Log::start(&authority, &[])));
            begun.map(|begun| begun.join().unwrap())
        });
        let mut serving: Vec<Log> = started.into_iter().map(|started| started.unwrap()).collect();
        // Both are written to until one is gone.
        std::thread::scope(|scope| {
            for (writer, log) in (0..).zip(&serving) {
                let (authority, ledger) = (&authority, &ledger);
                scope.spawn(move || {
                    for number in 0..40 {
                        let text = format!("round {round}, entry {number} by {writer}");
                        for namespace in NAMESPACES {
                            if !matches!(
                                ledger.submit(authority, log.address, namespace, &text),
                                Outcome::Acknowledged(_)
                            ) {
                                return;
                            }
                        }
                    }
                });
            }
        });
        let older = crate::log::poll(|| serving.iter_mut().position(|log| !log.is_running())).expect("both go on");
        let ended = serving.swap_remove(older).wait();
        assert_eq!(ended.status.code(), Some(1), "{ended}");
        assert!(ended.said.contains("another process writes to this namespace"), "{ended}");
        let newer = serving.pop().unwrap();
        for namespace in NAMESPACES {
            ledger.must(&authority, newer.address, namespace, "after");
        }
        assert!(newer.end().status.success());
        audit(&authority, &ledger, &[]);
    }
}
