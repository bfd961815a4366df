//! Whole sessions, from the password to the machine and back.

use alloc::vec;
use alloc::vec::Vec;

use super::client::steps::*;
use super::message::*;
use super::testing::*;
use super::*;
use crate::machine::{Refusal, ReplicatedTime, Wrap, WrapKind};
use crate::opaque::testing::{Seeded, password};
use crate::wrap::{self, BackupKey};

/// Makes a record in a session that is authenticated.
fn enrol(
    talk: &mut Conversation<'_>,
    user: &str,
    text: &str,
    key: &BackupKey,
    others: Vec<Wrap>,
) -> Result<Option<u64>, StepError> {
    let (text, terms) = (password(text), terms(user));
    let (enrolment, request) = Enrolment::start(&text, &mut talk.rng)?;
    let answer = talk.ask(&request);
    let (pending, request) = enrolment.started(answer, &text, (key, others), &terms, &mut talk.rng)?;
    let answer = talk.ask(&request);
    let (confirmation, request) = pending.enrolled(answer, &text, &mut talk.rng)?;
    let answer = talk.ask(&request);
    let request = confirmation.opened(answer, &text, &terms, &mut talk.rng)?;
    confirmed(talk.ask(&request))
}

/// What a guess leads to.
#[derive(Debug)]
enum Guessed {
    Right(Recovered),
    Wrong { attempts_left: u32 },
}

/// Guesses in a session that is authenticated.
fn guess(talk: &mut Conversation<'_>, user: &str, text: &str) -> Result<Guessed, StepError> {
    let (text, terms) = (password(text), terms(user));
    let (guess, request) = Guess::start(&text, &mut talk.rng)?;
    let answer = talk.ask(&request);
    match guess.evaluated(answer, &text, &terms, &mut talk.rng)? {
        Verdict::Right(request, opened) => {
            let answer = talk.ask(&request);
            opened.recovered(answer, &terms).map(Guessed::Right)
        }
        Verdict::Wrong(request) => {
            let attempts_left = guess_failed(talk.ask(&request))?;
            Ok(Guessed::Wrong { attempts_left })
        }
    }
}

/// Fills the session up, as every client does.
fn fill_up(mut talk: Conversation<'_>) -> u32 {
    let mut idle = 0;
    while talk.client.idle_left() > 0 {
        assert_eq!(talk.ask(&Request::Idle), Answer::Idle);
        idle += 1;
    }
    assert_eq!(talk.abandoned(), None);
    idle
}

fn key(mark: u64) -> BackupKey {
    BackupKey::generate(&mut Seeded(mark)).unwrap()
}

fn register(fleet: &mut Fleet, user: &str, text: &str, mark: u64) -> Result<Option<u64>, StepError> {
    enrol(&mut fleet.session_of(user), user, text, &key(mark), vec![])
}

/// One session with one guess: the key, or how many guesses are left.
fn recover(fleet: &mut Fleet, user: &str, text: &str) -> Result<BackupKey, u32> {
    match guess(&mut fleet.session_of(user), user, text).unwrap() {
        Guessed::Right(recovered) => {
            assert_eq!(recovered.attempts_left, 10);
            Ok(recovered.key)
        }
        Guessed::Wrong { attempts_left } => Err(attempts_left),
    }
}

fn refused<T>(refusal: Refusal) -> Result<T, StepError> {
    Err(StepError::Refused(SessionRefusal::Machine(refusal)))
}

#[test]
fn a_key_that_was_registered_comes_back_for_its_password_in_another_session() {
    let mut fleet = Fleet::serving();
    assert_eq!(register(&mut fleet, "alice", "correct horse", 1), Ok(None));
    assert_eq!(recover(&mut fleet, "alice", "correct horse"), Ok(key(1)));
    // Another account's password opens nothing of hers, and the other way round.
    assert_eq!(register(&mut fleet, "bob", "battery staple", 2), Ok(None));
    assert_eq!(recover(&mut fleet, "bob", "correct horse"), Err(9));
    assert_eq!(recover(&mut fleet, "bob", "battery staple"), Ok(key(2)));
    assert_eq!(recover(&mut fleet, "alice", "correct horse"), Ok(key(1)));
}

#[test]
fn every_kind_of_session_has_the_same_number_of_exchanges() {
    let mut fleet = Fleet::serving();
    let mut register = fleet.session_of("alice");
    assert_eq!(enrol(&mut register, "alice", "one", &key(1), vec![]), Ok(None));
    assert_eq!(fill_up(register), 3);
    for text in ["one", "other"] {
        let mut recover = fleet.session_of("alice");
        guess(&mut recover, "alice", text).unwrap();
        assert_eq!(fill_up(recover), 5);
    }
    let mut change = fleet.session_of("alice");
    guess(&mut change, "alice", "one").unwrap();
    assert_eq!(enrol(&mut change, "alice", "two", &key(1), vec![]), Ok(None));
    assert_eq!(fill_up(change), 1);
    let mut delete = fleet.session_of("alice");
    guess(&mut delete, "alice", "two").unwrap();
    assert_eq!(deleted(delete.ask(&Request::Delete)), Ok(None));
    assert_eq!(fill_up(delete), 4);
    assert_eq!(fill_up(fleet.session_of("alice")), 7);
    assert_eq!(fill_up(fleet.open()), EXCHANGES);
}

#[test]
fn a_wrong_password_counts_down_and_the_right_one_fills_the_budget_up() {
    let mut fleet = Fleet::serving();
    register(&mut fleet, "alice", "correct horse", 1).unwrap();
    for left in [9, 8, 7] {
        assert_eq!(recover(&mut fleet, "alice", "wrong"), Err(left));
    }
    assert_eq!(recover(&mut fleet, "alice", "correct horse"), Ok(key(1)));
    assert_eq!(recover(&mut fleet, "alice", "wrong"), Err(9));
}

#[test]
fn the_last_wrong_guess_erases_the_record_and_nothing_begins_before_the_cool_off() {
    let mut fleet = Fleet::serving();
    register(&mut fleet, "alice", "correct horse", 1).unwrap();
    for left in (0..10).rev() {
        assert_eq!(recover(&mut fleet, "alice", "wrong"), Err(left));
    }
    let until = ReplicatedTime::from_unix(fleet.now + COOL_OFF);
    let exhausted = Refusal::Exhausted { until };
    let outcome = guess(&mut fleet.session_of("alice"), "alice", "correct horse");
    assert!(matches!(outcome, Err(StepError::Refused(SessionRefusal::Machine(refusal))) if refusal == exhausted));
    assert_eq!(register(&mut fleet, "alice", "new", 2), refused(exhausted));
    fleet.wait(COOL_OFF - 1);
    assert_eq!(register(&mut fleet, "alice", "new", 2), refused(exhausted));
    fleet.wait(1);
    assert_eq!(register(&mut fleet, "alice", "new", 2), Ok(None));
    assert_eq!(recover(&mut fleet, "alice", "new"), Ok(key(2)));
}

#[test]
fn an_account_without_a_record_has_a_budget_too_and_behaves_like_one_with() {
    let mut fleet = Fleet::serving();
    register(&mut fleet, "alice", "correct horse", 1).unwrap();
    for left in (0..10).rev() {
        assert_eq!(recover(&mut fleet, "alice", "wrong"), Err(left));
        assert_eq!(recover(&mut fleet, "nobody", "wrong"), Err(left));
    }
    let ends = ["alice", "nobody"].map(|user| guess(&mut fleet.session_of(user), user, "any").unwrap_err());
    assert_eq!(ends[0], ends[1]);
}

#[test]
fn a_change_of_the_password_takes_effect_at_once_and_keeps_the_other_wraps() {
    let mut fleet = Fleet::serving();
    let digits = wrap::wrap(WrapKind::DigitKey, &[3; 32], &key(1), terms("alice").place(), &mut Seeded(5)).unwrap();
    assert_eq!(enrol(&mut fleet.session_of("alice"), "alice", "old", &key(1), vec![digits.clone()]), Ok(None));

    let mut talk = fleet.session_of("alice");
    let Ok(Guessed::Right(recovered)) = guess(&mut talk, "alice", "old") else { panic!("the password is right") };
    assert_eq!(recovered.other_wraps, core::slice::from_ref(&digits));
    assert_eq!(enrol(&mut talk, "alice", "new", &recovered.key, recovered.other_wraps), Ok(None));
    // The login was one on the old record: about the new one it says nothing, and deleting it has to wait.
    let until = talk.fleet.now + COOL_OFF;
    assert_eq!(deleted(talk.ask(&Request::Delete)), Ok(Some(until)));

    assert_eq!(recover(&mut fleet, "alice", "old"), Err(9));
    let Ok(Guessed::Right(recovered)) = guess(&mut fleet.session_of("alice"), "alice", "new") else {
        panic!("it is right")
    };
    assert_eq!((recovered.key, recovered.other_wraps), (key(1), vec![digits]));
}

#[test]
fn a_new_record_without_the_old_password_waits_and_the_old_one_still_opens_and_cancels_it() {
    let mut fleet = Fleet::serving();
    register(&mut fleet, "alice", "old", 1).unwrap();
    let until = fleet.now + COOL_OFF;
    assert_eq!(register(&mut fleet, "alice", "new", 2), Ok(Some(until)));
    assert_eq!(recover(&mut fleet, "alice", "new"), Err(9));
    assert_eq!(recover(&mut fleet, "alice", "old"), Ok(key(1)));

    let until = fleet.now + COOL_OFF;
    assert_eq!(register(&mut fleet, "alice", "newer", 3), Ok(Some(until)));
    fleet.wait(COOL_OFF);
    assert_eq!(recover(&mut fleet, "alice", "old"), Err(9));
    assert_eq!(recover(&mut fleet, "alice", "newer"), Ok(key(3)));
}

#[test]
fn deletion_is_at_once_after_a_login_and_waits_without_one() {
    let mut fleet = Fleet::serving();
    register(&mut fleet, "alice", "one", 1).unwrap();
    let until = fleet.now + COOL_OFF;
    assert_eq!(deleted(fleet.session_of("alice").ask(&Request::Delete)), Ok(Some(until)));
    assert_eq!(recover(&mut fleet, "alice", "one"), Ok(key(1)));

    let mut talk = fleet.session_of("alice");
    guess(&mut talk, "alice", "one").unwrap();
    assert_eq!(deleted(talk.ask(&Request::Delete)), Ok(None));
    assert_eq!(fleet.machine.users(), 0);
    assert_eq!(recover(&mut fleet, "alice", "one"), Err(9));
}

#[test]
fn a_record_cannot_be_confirmed_by_another_session() {
    let mut fleet = Fleet::serving();
    let text = password("one");
    let mut talk = fleet.session_of("alice");
    let (enrolment, request) = Enrolment::start(&text, &mut talk.rng).unwrap();
    let answer = talk.ask(&request);
    let (pending, request) =
        enrolment.started(answer, &text, (&key(1), vec![]), &terms("alice"), &mut talk.rng).unwrap();
    let answer = talk.ask(&request);
    let (_, confirm) = pending.enrolled(answer, &text, &mut talk.rng).unwrap();
    let mut other = fleet.session_of("alice");
    assert_eq!(other.ask(&confirm), Answer::Refused(SessionRefusal::OutOfOrder));
    assert_eq!(other.committed, []);
    // What is only pending cannot be guessed at.
    assert_eq!(recover(&mut fleet, "alice", "one"), Err(9));
}

#[test]
fn a_login_speaks_for_its_own_session_and_not_for_ever() {
    let mut fleet = Fleet::serving();
    register(&mut fleet, "alice", "one", 1).unwrap();
    assert_eq!(recover(&mut fleet, "alice", "one"), Ok(key(1)));
    // The next session did not log in.
    let until = fleet.now + COOL_OFF;
    assert_eq!(register(&mut fleet, "alice", "two", 2), Ok(Some(until)));
    assert_eq!(recover(&mut fleet, "alice", "one"), Ok(key(1)));
    // Nor does a login that is too old.
    let mut talk = fleet.session_of("alice");
    guess(&mut talk, "alice", "one").unwrap();
    talk.fleet.wait(crate::machine::SESSION_SECONDS);
    assert_eq!(enrol(&mut talk, "alice", "two", &key(1), vec![]), refused(Refusal::UnknownLogin));
}
