//! What a member's side refuses, what it has committed in which order, and what it leaves behind.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::account_token::TokenRefusal;
use crate::machine::{AttemptId, Operation, Refusal, WrapKind};
use crate::opaque::testing::{FailsAfter, Seeded, password, unusable_elements};
use crate::secret::Secret;
use crate::session::client::steps::{Enrolment, Guess, Verdict};
use crate::session::testing::*;
use crate::wrap::BackupKey;

mod authentication;
mod commits;
mod order;

/// The account of these tests, and its record's password.
const USER: &str = "alice";
const RIGHT: &str = "correct horse";

const fn refused(refusal: SessionRefusal) -> Answer {
    Answer::Refused(refusal)
}

fn key() -> BackupKey {
    BackupKey::generate(&mut Seeded(1)).unwrap()
}

/// How far a session went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Ready,
    Guessing,
    Enrolling,
    Enrolled,
    Confirming,
}

/// The session at a stage, and the request that follows: for [`Stage::Ready`] a guess.
fn reach<'f>(fleet: &'f mut Fleet, stage: Stage, text: &str) -> (Conversation<'f>, Request) {
    let mut talk = fleet.session_of(USER);
    let (text, terms) = (password(text), terms(USER));
    if stage <= Stage::Guessing {
        let (guess, request) = Guess::start(&text, &mut talk.rng).unwrap();
        if stage == Stage::Ready {
            return (talk, request);
        }
        let answer = talk.ask(&request);
        let verdict = guess.evaluated(answer, &text, &terms, &mut talk.rng).unwrap();
        let (Verdict::Right(request, _) | Verdict::Wrong(request)) = verdict;
        return (talk, request);
    }
    let (enrolment, request) = Enrolment::start(&text, &mut talk.rng).unwrap();
    let answer = talk.ask(&request);
    let (pending, request) = enrolment.started(answer, &text, (&key(), vec![]), &terms, &mut talk.rng).unwrap();
    if stage == Stage::Enrolling {
        return (talk, request);
    }
    let answer = talk.ask(&request);
    let (confirmation, request) = pending.enrolled(answer, &text, &mut talk.rng).unwrap();
    if stage == Stage::Enrolled {
        return (talk, request);
    }
    let answer = talk.ask(&request);
    let request = confirmation.opened(answer, &text, &terms, &mut talk.rng).unwrap();
    (talk, request)
}

/// A fleet that keeps a record of the account.
fn with_record() -> Fleet {
    let mut fleet = Fleet::serving();
    let (mut talk, request) = reach(&mut fleet, Stage::Confirming, RIGHT);
    assert_eq!(talk.ask(&request), Answer::Confirmed { waits_until_unix: None });
    fleet
}

fn operation(command: &Command) -> &Operation {
    match command {
        Command::Account { account: of, operation } if *of == account(USER) => operation,
        other => panic!("{other:?}"),
    }
}

fn charged(talk: &Conversation<'_>) -> AttemptId {
    match talk.committed.last().map(operation) {
        Some(Operation::Charge { attempt }) => *attempt,
        other => panic!("{other:?}"),
    }
}

/// One request of every kind.
fn requests() -> Vec<Request> {
    let element = || [7; 32].to_vec();
    vec![
        Request::LoginStart { ke1: vec![1; 96] },
        Request::LoginFinish { ke3: vec![1; 64] },
        Request::LoginAbandon,
        Request::EnrolStart { request: element() },
        Request::EnrolFinish { upload: Secret::new(vec![1; 192]), wraps: vec![] },
        Request::ConfirmStart { ke1: vec![1; 96] },
        Request::ConfirmFinish { ke3: vec![1; 64] },
        Request::Delete,
    ]
}

#[test]
fn printing_a_session_shows_nothing() {
    let mut fleet = Fleet::serving();
    let talk = fleet.open();
    assert_eq!(alloc::format!("{:?}", talk.server.unwrap()), "ServerSession(…)");
}
