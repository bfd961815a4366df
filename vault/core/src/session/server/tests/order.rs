//! One order of requests; everything else is refused and changes nothing.

use super::*;

const STAGES: [Stage; 5] = [Stage::Ready, Stage::Guessing, Stage::Enrolling, Stage::Enrolled, Stage::Confirming];

/// Whether a request of this kind follows at this stage.
const fn follows(stage: Stage, request: &Request) -> bool {
    match request {
        Request::LoginStart { .. } | Request::EnrolStart { .. } | Request::Delete => matches!(stage, Stage::Ready),
        Request::LoginFinish { .. } | Request::LoginAbandon => matches!(stage, Stage::Guessing),
        Request::EnrolFinish { .. } => matches!(stage, Stage::Enrolling),
        Request::ConfirmStart { .. } => matches!(stage, Stage::Enrolled),
        Request::ConfirmFinish { .. } => matches!(stage, Stage::Confirming),
        Request::Authenticate { .. } | Request::Idle => true,
    }
}

#[test]
fn a_request_out_of_order_is_refused_and_changes_nothing() {
    for stage in STAGES {
        let mut fleet = with_record();
        let (mut talk, next) = reach(&mut fleet, stage, RIGHT);
        let (commands, abandoned, state) = (talk.committed.len(), talk.abandoned(), talk.fleet.machine.digest());
        for request in requests().iter().filter(|request| !follows(stage, request)) {
            assert_eq!(talk.ask(request), refused(SessionRefusal::OutOfOrder), "{stage:?} {request:?}");
        }
        assert_eq!((talk.committed.len(), talk.abandoned()), (commands, abandoned), "{stage:?}");
        assert_eq!(talk.fleet.machine.digest(), state);
        // What was to follow still follows.
        let answer = talk.ask(&next);
        let went_on = match stage {
            Stage::Ready => matches!(answer, Answer::LoginStarted { .. }),
            Stage::Guessing => matches!(answer, Answer::LoggedIn { .. }),
            Stage::Enrolling => answer == Answer::Enrolled,
            Stage::Enrolled => matches!(answer, Answer::ConfirmStarted { .. }),
            Stage::Confirming => matches!(answer, Answer::Confirmed { .. }),
        };
        assert!(went_on, "{stage:?} {answer:?}");
    }
}

/// Requests that follow at a stage and hold something that is none.
fn malformed(next: &Request) -> Vec<Request> {
    let spoil = |bytes: &[u8]| {
        let mut spoiled = vec![bytes[1..].to_vec(), [bytes, &[0]].concat()];
        for element in unusable_elements() {
            spoiled.push([element.as_slice(), &bytes[32..]].concat());
        }
        spoiled
    };
    match next {
        Request::LoginStart { ke1 } => {
            let enrol = |request: Vec<u8>| Request::EnrolStart { request };
            let login = |ke1| Request::LoginStart { ke1 };
            spoil(&ke1[..32]).into_iter().map(enrol).chain(spoil(ke1).into_iter().map(login)).collect()
        }
        Request::EnrolFinish { upload, wraps } => {
            let finish = |upload| Request::EnrolFinish { upload: Secret::new(upload), wraps: wraps.clone() };
            spoil(upload.expose()).into_iter().map(finish).collect()
        }
        Request::ConfirmStart { ke1 } => spoil(ke1).into_iter().map(|ke1| Request::ConfirmStart { ke1 }).collect(),
        Request::LoginFinish { ke3 } => [&ke3[1..], &[]].map(|ke3| Request::LoginFinish { ke3: ke3.to_vec() }).to_vec(),
        Request::ConfirmFinish { ke3 } => {
            [&ke3[1..], &[]].map(|ke3| Request::ConfirmFinish { ke3: ke3.to_vec() }).to_vec()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_malformed_value_is_refused_before_anything_is_committed() {
    let fleet = with_record();
    for stage in STAGES {
        let (_, next) = reach(&mut fleet.copy(), stage, RIGHT);
        for request in malformed(&next) {
            let mut fleet = fleet.copy();
            let (mut talk, next) = reach(&mut fleet, stage, RIGHT);
            let (commands, abandoned, state) = (talk.committed.len(), talk.abandoned(), talk.fleet.machine.digest());
            assert_eq!(talk.ask(&request), refused(SessionRefusal::Malformed), "{stage:?} {request:?}");
            assert_eq!((talk.committed.len(), talk.abandoned()), (commands, abandoned));
            assert_eq!(talk.fleet.machine.digest(), state);
            assert!(!matches!(talk.ask(&next), Answer::Refused(_)), "{stage:?}");
        }
    }
}

#[test]
fn a_frame_without_a_request_in_it_is_refused_and_the_session_goes_on() {
    let mut rng = Seeded(3);
    let (mut client, server) = channels(&context(), &mut rng);
    let mut session = Box::new(ServerSession::new(context(), server));
    for garbage in [&[] as &[u8], &[200], &[9, 0], &[1, 255, 255, 255, 255, 15]] {
        let frame = client.seal(garbage).unwrap();
        let Turn::Answer(next, answer) = session.receive(&frame, &mut rng).unwrap() else { panic!("an answer") };
        let answer = Answer::decode(&client.open(&answer).unwrap()).unwrap();
        assert_eq!(answer, refused(SessionRefusal::Malformed));
        session = next;
    }
}

#[test]
fn a_session_answers_sixteen_times_and_then_leaves_its_guess_behind() {
    let mut fleet = with_record();
    let (mut talk, _) = reach(&mut fleet, Stage::Guessing, RIGHT);
    let attempt = charged(&talk);
    for _ in 2..EXCHANGES_MAX {
        assert_eq!(talk.ask(&Request::Idle), Answer::Idle);
    }
    // Whatever the seventeenth frame holds, it is not even opened.
    let closed = talk.server.take().unwrap().receive(&[], &mut talk.rng).unwrap_err();
    assert_eq!(closed.reason, ClosedReason::TooManyExchanges);
    assert_eq!(operation(&closed.abandoned.unwrap()), &Operation::Fail { attempt });
}

#[test]
fn a_frame_that_is_not_the_clients_next_one_ends_the_session_and_leaves_its_guess_behind() {
    let mut fleet = with_record();
    let (mut talk, next) = reach(&mut fleet, Stage::Guessing, RIGHT);
    let attempt = charged(&talk);
    let mut frame = talk.client.request(&next).unwrap();
    frame[100] ^= 1;
    let closed = talk.server.take().unwrap().receive(&frame, &mut talk.rng).unwrap_err();
    assert_eq!(closed.reason, ClosedReason::Channel(NoiseError::NotAuthentic));
    assert_eq!(operation(&closed.abandoned.unwrap()), &Operation::Fail { attempt });

    let mut talk = fleet.open();
    let closed = talk.server.take().unwrap().receive(&[0; 10], &mut talk.rng).unwrap_err();
    assert!(matches!(closed.reason, ClosedReason::Channel(NoiseError::Length { .. })));
    assert_eq!(closed.abandoned, None);
}

#[test]
fn a_replayed_frame_ends_the_session() {
    let mut fleet = Fleet::serving();
    let mut talk = fleet.open();
    let frame = talk.client.request(&Request::Idle).unwrap();
    let turn = talk.server.take().unwrap().receive(&frame, &mut talk.rng).unwrap();
    let Turn::Answer(session, _) = turn else { panic!("an answer") };
    let closed = session.receive(&frame, &mut talk.rng).unwrap_err();
    assert_eq!(closed.reason, ClosedReason::Channel(NoiseError::NotAuthentic));
}

#[test]
fn a_login_speaks_for_one_deletion() {
    let mut fleet = with_record();
    let (mut talk, right) = reach(&mut fleet, Stage::Guessing, RIGHT);
    let attempt = charged(&talk);
    assert!(matches!(talk.ask(&right), Answer::LoggedIn { .. }));
    for login in [Some(attempt), None] {
        assert_eq!(talk.ask(&Request::Delete), Answer::Deleted { waits_until_unix: None });
        assert_eq!(operation(talk.committed.last().unwrap()), &Operation::Delete { login });
    }
}
