//! One request, one answer, and what a client makes of each.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::steps::*;
use super::*;
use crate::account_token::TokenRefusal;
use crate::device::RandomSource;
use crate::machine::{Evaluation, Record, Refusal, Wrap, WrapKind};
use crate::opaque::client::{LoginError, RegistrationError};
use crate::opaque::server::{LoginRequest, ServerLogin, new_setup, register_start};
use crate::opaque::testing::{FAULT, FailsAfter, Seeded, password};
use crate::opaque::{NormalisedPassword, Parties};
use crate::session::message::SessionRefusal;
use crate::session::testing::{account, channels, context, terms};
use crate::wrap::{BackupKey, UnwrapError, WrapContext, WrapError, wrap};

const USER: &str = "alice";

fn pair() -> (ClientSession, Channel) {
    let (client, server) = channels(&context(), &mut Seeded(1));
    (ClientSession::new(context(), client), server)
}

fn exchange(session: &mut ClientSession, member: &mut Channel, answer: &Answer) -> Result<Answer, ClientSessionError> {
    let frame = session.request(&Request::Idle).unwrap();
    assert_eq!(Request::decode(&member.open(&frame).unwrap()), Ok(Request::Idle));
    session.answer(&member.seal(&answer.encode().unwrap()).unwrap())
}

#[test]
fn a_session_is_one_request_and_one_answer_at_a_time() {
    let (mut session, mut member) = pair();
    assert_eq!(session.answer(&[0; 2064]), Err(ClientSessionError::OutOfTurn));
    session.request(&Request::Idle).unwrap();
    assert_eq!(session.request(&Request::Idle), Err(ClientSessionError::OutOfTurn));
    let answer = member.seal(&Answer::Idle.encode().unwrap()).unwrap();
    assert_eq!(session.answer(&answer), Ok(Answer::Idle));
    assert_eq!(session.answer(&answer), Err(ClientSessionError::OutOfTurn));
    assert!(session.request(&Request::Idle).is_ok());
}

#[test]
fn a_session_counts_its_exchanges() {
    let (mut session, mut member) = pair();
    for left in (0..EXCHANGES).rev() {
        exchange(&mut session, &mut member, &Answer::Idle).unwrap();
        assert_eq!(session.idle_left(), left);
    }
    for _ in EXCHANGES..EXCHANGES_MAX {
        exchange(&mut session, &mut member, &Answer::Idle).unwrap();
        assert_eq!(session.idle_left(), 0);
    }
    assert_eq!(session.request(&Request::Idle), Err(ClientSessionError::TooManyExchanges));
}

#[test]
fn what_does_not_fit_is_not_sent_and_costs_no_exchange() {
    let (mut session, _) = pair();
    let large = Request::LoginStart { ke1: vec![0; 3000] };
    assert_eq!(session.request(&large), Err(ClientSessionError::Message(MessageError)));
    assert_eq!(session.idle_left(), EXCHANGES);
    assert!(session.request(&Request::Idle).is_ok());
}

#[test]
fn a_frame_that_is_not_the_members_next_one_ends_the_session() {
    let (mut session, mut member) = pair();
    session.request(&Request::Idle).unwrap();
    let mut frame = member.seal(&Answer::Idle.encode().unwrap()).unwrap();
    frame[0] ^= 1;
    assert_eq!(session.answer(&frame), Err(ClientSessionError::Channel(NoiseError::NotAuthentic)));
    frame[0] ^= 1;
    assert_eq!(session.answer(&frame), Err(ClientSessionError::Channel(NoiseError::Closed)));

    let (mut session, mut member) = pair();
    session.request(&Request::Idle).unwrap();
    let garbage = member.seal(&[99]).unwrap();
    assert_eq!(session.answer(&garbage), Err(ClientSessionError::Message(MessageError)));
}

#[test]
fn every_frame_has_one_size() {
    let (mut session, mut member) = pair();
    let requests =
        [Request::Idle, Request::LoginStart { ke1: vec![1; 96] }, Request::LoginStart { ke1: vec![1; 2000] }];
    for request in requests {
        let frame = session.request(&request).unwrap();
        assert_eq!(frame.len(), crate::noise::FRAME_BYTES);
        session.answer(&member.seal(&Answer::Idle.encode().unwrap()).unwrap()).unwrap();
    }
}

#[test]
fn what_is_no_token_is_not_sent() {
    let (session, _) = pair();
    let refusal = authenticate(&session, "no token", |_| [0; 64]).unwrap_err();
    assert_eq!(refusal, TokenRefusal::Form);
}

fn text() -> NormalisedPassword {
    password("correct horse")
}

fn key() -> BackupKey {
    BackupKey::generate(&mut Seeded(2)).unwrap()
}

fn started(answer: Answer, rng: &mut dyn RandomSource) -> Result<(PendingRecord, Request), StepError> {
    let (enrolment, _) = Enrolment::start(&text(), &mut Seeded(3)).unwrap();
    enrolment.started(answer, &text(), (&key(), vec![]), &terms(USER), rng)
}

fn parties() -> Parties {
    Parties::new(account(USER), &context().origin, &context().fleet_id)
}

/// A pending record, and the fleet's copy of it.
fn enrolled(seed: u64) -> (PendingRecord, Record) {
    let mut rng = Seeded(seed);
    let setup = new_setup(&mut rng).unwrap();
    let (enrolment, request) = Enrolment::start(&text(), &mut rng).unwrap();
    let Request::EnrolStart { request } = request else { panic!("{request:?}") };
    let response = register_start(&setup, &parties(), &request).unwrap();
    let answer = Answer::EnrolStarted { response };
    let (pending, request) = enrolment.started(answer, &text(), (&key(), vec![]), &terms(USER), &mut rng).unwrap();
    let Request::EnrolFinish { upload, wraps } = request else { panic!("{request:?}") };
    (pending, Record { setup, upload, wraps })
}

fn evaluate(record: &Record, ke1: &[u8]) -> Vec<u8> {
    let evaluation = Evaluation::Record(Arc::new(record.clone()));
    ServerLogin::start(&evaluation, &parties(), LoginRequest::parse(ke1).unwrap(), &mut Seeded(4)).unwrap().1
}

/// The record that a right guess opened, before the member gave its wraps.
fn opened(record: &Record) -> OpenedRecord {
    let (guess, request) = Guess::start(&text(), &mut Seeded(5)).unwrap();
    let Request::LoginStart { ke1 } = request else { panic!("{request:?}") };
    let answer = Answer::LoginStarted { ke2: evaluate(record, &ke1), attempts_left: 9 };
    match guess.evaluated(answer, &text(), &terms(USER), &mut Seeded(6)).unwrap() {
        Verdict::Right(_, opened) => opened,
        Verdict::Wrong(_) => panic!("the password is right"),
    }
}

/// Every step's refusal of an answer.
fn refusals_of(answer: &Answer) -> Vec<StepError> {
    let (record, rng) = (&enrolled(7).1, &mut Seeded(8));
    let guess = Guess::start(&text(), rng).unwrap().0;
    let (confirmation, _) = enrolled(7).0.enrolled(Answer::Enrolled, &text(), rng).unwrap();
    vec![
        authenticated(answer.clone()).unwrap_err(),
        guess.evaluated(answer.clone(), &text(), &terms(USER), rng).unwrap_err(),
        guess_failed(answer.clone()).unwrap_err(),
        opened(record).recovered(answer.clone(), &terms(USER)).unwrap_err(),
        started(answer.clone(), rng).unwrap_err(),
        enrolled(7).0.enrolled(answer.clone(), &text(), rng).unwrap_err(),
        confirmation.opened(answer.clone(), &text(), &terms(USER), rng).unwrap_err(),
        confirmed(answer.clone()).unwrap_err(),
        deleted(answer.clone()).unwrap_err(),
    ]
}

#[test]
fn every_step_tells_a_refusal_from_an_answer_to_another_question() {
    let refusal = SessionRefusal::Machine(Refusal::Full);
    assert_eq!(refusals_of(&Answer::Refused(refusal)), vec![StepError::Refused(refusal); 9]);
    assert_eq!(refusals_of(&Answer::Idle), vec![StepError::Unexpected; 9]);
}

#[test]
fn an_answer_that_is_malformed_or_reflected_is_neither_a_right_nor_a_wrong_guess() {
    let guess = |answer: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let (guess, request) = Guess::start(&text(), &mut Seeded(9)).unwrap();
        let Request::LoginStart { ke1 } = request else { panic!("{request:?}") };
        let answer = Answer::LoginStarted { ke2: answer(ke1), attempts_left: 9 };
        guess.evaluated(answer, &text(), &terms(USER), &mut Seeded(10)).unwrap_err()
    };
    assert_eq!(guess(&|_| vec![1; 5]), StepError::Login(LoginError::Malformed));
    let reflect = |ke1: Vec<u8>| [&ke1[..32], &evaluate(&enrolled(7).1, &ke1)[32..]].concat();
    assert_eq!(guess(&reflect), StepError::Login(LoginError::Reflected));
    let answer = Answer::EnrolStarted { response: vec![1; 5] };
    assert_eq!(started(answer, &mut Seeded(11)).unwrap_err(), StepError::Registration(RegistrationError::Malformed));
}

#[test]
fn a_member_cannot_hand_over_another_key_or_none() {
    let (_, record) = enrolled(7);
    let recover = |wraps: Vec<Wrap>| {
        let answer = Answer::LoggedIn { wraps, attempts_left: 10 };
        opened(&record).recovered(answer, &terms(USER)).map(|recovered| recovered.key)
    };
    assert_eq!(recover(record.wraps.clone()), Ok(key()));
    assert_eq!(recover(vec![]).unwrap_err(), StepError::NoWrap);
    let other = WrapContext { account: account("bob"), ..terms(USER).place().clone() };
    let digits = wrap(WrapKind::DigitKey, &[1; 32], &key(), terms(USER).place(), &mut Seeded(12)).unwrap();
    assert_eq!(recover(vec![digits]).unwrap_err(), StepError::NoWrap);
    let theirs = wrap(WrapKind::VaultPassword, &[1; 64], &key(), &other, &mut Seeded(12)).unwrap();
    assert_eq!(recover(vec![theirs]).unwrap_err(), StepError::Unwrap(UnwrapError::NotOurs));
}

#[test]
fn a_pending_record_that_opens_to_something_else_is_not_confirmed() {
    let (_, record) = enrolled(7);
    let (_, other) = enrolled(13);
    for (record, expect) in [(&other, Some(StepError::OtherRecord)), (&record, None)] {
        let (confirmation, request) = enrolled(7).0.enrolled(Answer::Enrolled, &text(), &mut Seeded(14)).unwrap();
        let Request::ConfirmStart { ke1 } = request else { panic!("{request:?}") };
        let answer = Answer::ConfirmStarted { ke2: evaluate(record, &ke1) };
        assert_eq!(confirmation.opened(answer, &text(), &terms(USER), &mut Seeded(15)).err(), expect);
    }
    // Nor is one that does not open at all.
    let (pending, record) = enrolled(7);
    let (confirmation, request) = pending.enrolled(Answer::Enrolled, &text(), &mut Seeded(14)).unwrap();
    let Request::ConfirmStart { ke1 } = request else { panic!("{request:?}") };
    let answer = Answer::ConfirmStarted { ke2: evaluate(&Record { upload: other.upload, ..record }, &ke1) };
    let outcome = confirmation.opened(answer, &text(), &terms(USER), &mut Seeded(15));
    assert_eq!(outcome.unwrap_err(), StepError::Login(LoginError::WrongPassword));
}

#[test]
fn a_device_that_fails_is_told_apart() {
    let fails = || FailsAfter(0);
    assert_eq!(Guess::start(&text(), &mut fails()).unwrap_err(), StepError::Login(LoginError::Device(FAULT)));
    let enrol = Enrolment::start(&text(), &mut fails()).unwrap_err();
    assert_eq!(enrol, StepError::Registration(RegistrationError::Device(FAULT)));
    let (_, request) = Enrolment::start(&text(), &mut Seeded(3)).unwrap();
    let Request::EnrolStart { request } = request else { panic!("{request:?}") };
    let setup = new_setup(&mut Seeded(16)).unwrap();
    let answer = Answer::EnrolStarted { response: register_start(&setup, &parties(), &request).unwrap() };
    // The envelope's nonce is drawn first, then the wrap's.
    let errors = [0, 1].map(|draws| started(answer.clone(), &mut FailsAfter(draws)).unwrap_err());
    assert_eq!(errors[0], StepError::Registration(RegistrationError::Device(FAULT)));
    assert_eq!(errors[1], StepError::Wrap(WrapError::Device(FAULT)));
    assert!(started(answer, &mut FailsAfter(2)).is_ok());
}

#[test]
fn printing_a_session_shows_how_far_it_is_and_nothing_else() {
    let (mut session, _) = pair();
    session.request(&Request::Idle).unwrap();
    assert_eq!(alloc::format!("{session:?}"), "ClientSession { exchanges: 1, .. }");
}
