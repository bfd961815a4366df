//! What is committed before what, and what follows when it was not.

use super::*;
use crate::machine::{Response, Wrap};

type Commit = fn(&mut Fleet, Command) -> CommitOutcome;

fn not_committed(_: &mut Fleet, _: Command) -> CommitOutcome {
    CommitOutcome::NotCommitted
}

/// It was done, and nobody heard.
fn unheard(fleet: &mut Fleet, command: Command) -> CommitOutcome {
    fleet.commit(command);
    CommitOutcome::Unknown
}

/// It was not done, and nobody knows.
fn lost(_: &mut Fleet, _: Command) -> CommitOutcome {
    CommitOutcome::Unknown
}

/// Not done, known and unknown.
const NOT_DONE: [(Commit, SessionRefusal); 2] =
    [(not_committed, SessionRefusal::NoMajority), (lost, SessionRefusal::Unknown)];

fn wraps_in(answer: &Answer) -> Option<&Vec<Wrap>> {
    if let Answer::LoggedIn { wraps, .. } = answer { Some(wraps) } else { None }
}

#[test]
fn a_guess_is_charged_before_it_is_evaluated() {
    let mut fleet = with_record();
    let (mut talk, request) = reach(&mut fleet, Stage::Ready, RIGHT);
    let frame = talk.client.request(&request).unwrap();
    let turn = talk.server.take().unwrap().receive(&frame, &mut talk.rng).unwrap();
    // There is no answer yet, only a command.
    let Turn::Commit(command, awaiting) = turn else { panic!("a charge is to be committed") };
    let Operation::Charge { attempt } = *operation(&command) else { panic!("{command:?}") };
    assert_eq!(operation(&awaiting.abandoned().unwrap()), &Operation::Fail { attempt });
    let outcome = CommitOutcome::Committed(talk.fleet.commit(command));
    let (_, answer) = awaiting.committed(outcome, &mut talk.rng).unwrap();
    assert!(matches!(talk.client.answer(&answer), Ok(Answer::LoginStarted { attempts_left: 9, .. })));
}

#[test]
fn wraps_come_only_with_a_committed_success() {
    for (outcome, refusal) in NOT_DONE {
        let mut fleet = with_record();
        let (mut talk, right) = reach(&mut fleet, Stage::Guessing, RIGHT);
        let attempt = charged(&talk);
        assert_eq!(talk.ask_with(&right, outcome), refused(refusal));
        assert_eq!(operation(talk.committed.last().unwrap()), &Operation::Succeed { attempt });
        // The guess was right: what is left behind says so, and asking again is enough.
        assert_eq!(operation(&talk.abandoned().unwrap()), &Operation::Succeed { attempt });
        assert_eq!(talk.ask(&Request::LoginAbandon), refused(SessionRefusal::OutOfOrder));
        let answer = talk.ask(&right);
        assert_eq!(wraps_in(&answer).map(|wraps| wraps[0].kind), Some(WrapKind::VaultPassword));
        assert_eq!(talk.abandoned(), None);
    }
}

#[test]
fn a_wrong_proof_and_an_abandoned_guess_are_committed_as_failures() {
    for wrong in [Request::LoginAbandon, Request::LoginFinish { ke3: vec![1; 64] }] {
        let mut fleet = with_record();
        let (mut talk, _) = reach(&mut fleet, Stage::Guessing, RIGHT);
        let attempt = charged(&talk);
        assert_eq!(operation(&talk.abandoned().unwrap()), &Operation::Fail { attempt });
        assert_eq!(talk.ask(&wrong), Answer::LoginFailed { attempts_left: 9 });
        assert_eq!(operation(talk.committed.last().unwrap()), &Operation::Fail { attempt });
        assert_eq!(talk.abandoned(), None);
        // It cannot be right any more.
        assert_eq!(talk.ask(&Request::LoginFinish { ke3: vec![1; 64] }), refused(SessionRefusal::OutOfOrder));
    }
}

#[test]
fn every_byte_of_the_proof_counts() {
    let fleet = with_record();
    for at in 0..64 {
        let mut fleet = fleet.copy();
        let (mut talk, right) = reach(&mut fleet, Stage::Guessing, RIGHT);
        let Request::LoginFinish { mut ke3 } = right else { panic!("{right:?}") };
        ke3[at] ^= 1;
        assert_eq!(talk.ask(&Request::LoginFinish { ke3 }), Answer::LoginFailed { attempts_left: 9 }, "byte {at}");
    }
}

#[test]
fn a_wrong_guess_stays_wrong_while_the_fleet_does_not_hear_of_it() {
    let mut fleet = with_record();
    let (mut talk, right) = reach(&mut fleet, Stage::Guessing, RIGHT);
    let attempt = charged(&talk);
    for (outcome, refusal) in NOT_DONE {
        assert_eq!(talk.ask_with(&Request::LoginAbandon, outcome), refused(refusal));
        assert_eq!(operation(&talk.abandoned().unwrap()), &Operation::Fail { attempt });
    }
    // Even the right proof comes too late.
    assert_eq!(talk.ask(&right), Answer::LoginFailed { attempts_left: 9 });
}

#[test]
fn a_charge_that_was_not_committed_costs_nothing_and_one_that_perhaps_was_counts_as_spent() {
    let mut fleet = with_record();
    let (mut talk, request) = reach(&mut fleet, Stage::Ready, RIGHT);
    assert_eq!(talk.ask_with(&request, not_committed), refused(SessionRefusal::NoMajority));
    assert_eq!(talk.abandoned(), None);
    assert!(matches!(talk.ask(&request), Answer::LoginStarted { attempts_left: 9, .. }));
    assert_eq!(talk.ask(&Request::LoginAbandon), Answer::LoginFailed { attempts_left: 9 });

    assert_eq!(talk.ask_with(&request, unheard), refused(SessionRefusal::Unknown));
    let attempt = charged(&talk);
    assert_eq!(operation(&talk.abandoned().unwrap()), &Operation::Fail { attempt });
    // Nothing was evaluated, so nothing can be proved.
    assert_eq!(talk.ask(&request), refused(SessionRefusal::OutOfOrder));
    assert_eq!(talk.ask(&Request::LoginAbandon), Answer::LoginFailed { attempts_left: 8 });
}

#[test]
fn an_enrolment_that_was_not_committed_can_be_asked_for_again_at_every_step() {
    for (outcome, refusal) in NOT_DONE {
        for (stage, commands) in [(Stage::Enrolling, 1), (Stage::Enrolled, 2), (Stage::Confirming, 3)] {
            let mut fleet = Fleet::serving();
            let (mut talk, request) = reach(&mut fleet, stage, RIGHT);
            assert_eq!(talk.ask_with(&request, outcome), refused(refusal));
            assert_eq!(talk.abandoned(), None);
            assert!(!matches!(talk.ask(&request), Answer::Refused(_)), "{stage:?}");
            assert_eq!(talk.committed.len(), commands + 1);
        }
        let mut fleet = Fleet::serving();
        let mut talk = fleet.session_of(USER);
        assert_eq!(talk.ask_with(&Request::Delete, outcome), refused(refusal));
        assert_eq!(talk.ask(&Request::Delete), Answer::Deleted { waits_until_unix: None });
    }
}

#[test]
fn what_was_done_and_not_heard_of_is_not_done_twice() {
    for (stage, refusal) in [
        (Stage::Guessing, Refusal::UnknownAttempt),
        (Stage::Enrolled, Refusal::TriedAlready),
        (Stage::Confirming, Refusal::UnknownRegistration),
    ] {
        let mut fleet = if stage == Stage::Guessing { with_record() } else { Fleet::serving() };
        let (mut talk, request) = reach(&mut fleet, stage, RIGHT);
        assert_eq!(talk.ask_with(&request, unheard), refused(SessionRefusal::Unknown));
        assert_eq!(talk.ask(&request), refused(SessionRefusal::Machine(refusal)), "{stage:?}");
        // The session may begin anew.
        assert_eq!(talk.abandoned(), None);
        assert!(!matches!(talk.ask(&Request::Delete), Answer::Refused(_)));
    }
    // A second pending record takes the first one's place.
    let mut fleet = Fleet::serving();
    let (mut talk, request) = reach(&mut fleet, Stage::Enrolling, RIGHT);
    assert_eq!(talk.ask_with(&request, unheard), refused(SessionRefusal::Unknown));
    assert_eq!(talk.ask(&request), Answer::Enrolled);
}

#[test]
fn a_pending_record_that_was_not_opened_is_given_up() {
    let mut fleet = Fleet::serving();
    let (mut talk, request) = reach(&mut fleet, Stage::Confirming, RIGHT);
    let commands = talk.committed.len();
    assert_eq!(talk.ask(&Request::ConfirmFinish { ke3: vec![1; 64] }), refused(SessionRefusal::NotOpened));
    assert_eq!(talk.committed.len(), commands);
    assert_eq!(talk.ask(&request), refused(SessionRefusal::OutOfOrder));
}

#[test]
fn what_the_machine_refuses_is_told_and_the_session_is_ready_again() {
    let fleet = with_record();
    let refuse = |_: &mut Fleet, _: Command| CommitOutcome::Committed(Response::Refused(Refusal::NotServing));
    for stage in [Stage::Ready, Stage::Guessing, Stage::Enrolling, Stage::Enrolled, Stage::Confirming] {
        let mut fleet = fleet.copy();
        let (mut talk, request) = reach(&mut fleet, stage, RIGHT);
        let expect = refused(SessionRefusal::Machine(Refusal::NotServing));
        assert_eq!(talk.ask_with(&request, refuse), expect, "{stage:?}");
        assert_eq!(talk.abandoned(), None);
        assert_eq!(talk.ask_with(&Request::Delete, refuse), expect);
    }
    let mut fleet = fleet.copy();
    let (mut talk, request) = reach(&mut fleet, Stage::Enrolling, RIGHT);
    let Request::EnrolFinish { upload, .. } = request else { panic!("{request:?}") };
    let answer = talk.ask(&Request::EnrolFinish { upload, wraps: vec![] });
    assert_eq!(answer, refused(SessionRefusal::Machine(Refusal::MalformedRecord)));
}

#[test]
fn an_answer_to_another_command_is_a_fault_of_the_member() {
    let fleet = with_record();
    let confirmed = |_: &mut Fleet, _: Command| CommitOutcome::Committed(Response::Confirmed { waits_until: None });
    let failed = |_: &mut Fleet, _: Command| CommitOutcome::Committed(Response::Failed { attempts_left: 0 });
    for stage in [Stage::Ready, Stage::Guessing, Stage::Enrolling, Stage::Enrolled, Stage::Confirming] {
        let mut fleet = fleet.copy();
        let (mut talk, request) = reach(&mut fleet, stage, RIGHT);
        let answer = if stage == Stage::Confirming {
            talk.ask_with(&request, failed)
        } else {
            talk.ask_with(&request, confirmed)
        };
        assert_eq!(answer, refused(SessionRefusal::MemberFault), "{stage:?}");
        if stage == Stage::Ready {
            // A charge that was answered otherwise counts as spent.
            let attempt = charged(&talk);
            assert_eq!(operation(&talk.abandoned().unwrap()), &Operation::Fail { attempt });
        }
    }
    let mut fleet = fleet.copy();
    assert_eq!(fleet.session_of(USER).ask_with(&Request::Delete, failed), refused(SessionRefusal::MemberFault));
}

/// One exchange with a device that fails after so many draws; a command is committed.
fn ask_with_broken_device(talk: &mut Conversation<'_>, request: &Request, draws: u32) -> Answer {
    let mut rng = FailsAfter(draws);
    let frame = talk.client.request(request).unwrap();
    let (session, answer) = match talk.server.take().unwrap().receive(&frame, &mut rng).unwrap() {
        Turn::Answer(session, answer) => (*session, answer),
        Turn::Commit(command, awaiting) => {
            talk.committed.push(command.clone());
            let outcome = CommitOutcome::Committed(talk.fleet.commit(command));
            awaiting.committed(outcome, &mut rng).unwrap()
        }
        Turn::Verify(..) => panic!("no token was sent"),
    };
    talk.server = Some(session);
    talk.client.answer(&answer).unwrap()
}

#[test]
fn a_device_that_fails_is_a_fault_of_the_member_and_costs_a_guess_only_if_one_was_charged() {
    let mut fleet = with_record();
    let (mut talk, request) = reach(&mut fleet, Stage::Ready, RIGHT);
    assert_eq!(ask_with_broken_device(&mut talk, &request, 0), refused(SessionRefusal::MemberFault));
    assert_eq!((talk.committed.len(), talk.abandoned()), (0, None));
    assert_eq!(ask_with_broken_device(&mut talk, &request, 2), refused(SessionRefusal::MemberFault));
    let attempt = charged(&talk);
    assert_eq!(operation(&talk.abandoned().unwrap()), &Operation::Fail { attempt });
    assert_eq!(talk.ask(&Request::LoginAbandon), Answer::LoginFailed { attempts_left: 9 });
    let enrol = Request::EnrolStart { request: vec![0; 32] };
    assert_eq!(ask_with_broken_device(&mut talk, &enrol, 1), refused(SessionRefusal::MemberFault));

    for (stage, draws) in [(Stage::Enrolling, 0), (Stage::Enrolled, 1)] {
        let (mut talk, request) = reach(&mut fleet, stage, RIGHT);
        let answer = ask_with_broken_device(&mut talk, &request, draws);
        assert_eq!(answer, refused(SessionRefusal::MemberFault), "{stage:?}");
        assert_eq!(talk.abandoned(), None);
    }
}

#[test]
fn a_value_that_reflects_the_servers_key_is_refused() {
    let mut fleet = with_record();
    // The key of a record's setup is known to who registers it: it stands in the answer to the request.
    let mut talk = fleet.session_of(USER);
    let (enrolment, request) = Enrolment::start(&password(RIGHT), &mut talk.rng).unwrap();
    let answer = talk.ask(&request);
    let Answer::EnrolStarted { response } = answer.clone() else { panic!("{answer:?}") };
    let own = &response[32..];
    let (pending, request) =
        enrolment.started(answer, &password(RIGHT), (&key(), vec![]), &terms(USER), &mut talk.rng).unwrap();
    let Request::EnrolFinish { upload, wraps } = request else { panic!("{request:?}") };
    let reflected = Secret::new([own, &upload.expose()[32..]].concat());
    let answer = talk.ask(&Request::EnrolFinish { upload: reflected, wraps: wraps.clone() });
    assert_eq!(answer, refused(SessionRefusal::Malformed));
    let answer = talk.ask(&Request::EnrolFinish { upload, wraps });
    let (_, request) = pending.enrolled(answer, &password(RIGHT), &mut talk.rng).unwrap();
    let Request::ConfirmStart { ke1 } = request else { panic!("{request:?}") };
    let answer = talk.ask(&Request::ConfirmStart { ke1: [&ke1[..64], own].concat() });
    assert_eq!(answer, refused(SessionRefusal::Malformed));
    // The one evaluation is spent.
    assert_eq!(talk.ask(&Request::ConfirmStart { ke1 }), refused(SessionRefusal::OutOfOrder));
}

#[test]
fn a_command_under_way_leaves_behind_what_is_known_about_its_guess() {
    let mut fleet = with_record();
    let left_behind = |talk: &mut Conversation<'_>, request: &Request| {
        let frame = talk.client.request(request).unwrap();
        let turn = talk.server.take().unwrap().receive(&frame, &mut talk.rng).unwrap();
        let Turn::Commit(_, awaiting) = turn else { panic!("a command") };
        awaiting.abandoned()
    };
    let (mut talk, right) = reach(&mut fleet, Stage::Guessing, RIGHT);
    let attempt = charged(&talk);
    let left = left_behind(&mut talk, &right);
    assert_eq!(operation(&left.unwrap()), &Operation::Succeed { attempt });
    let (mut talk, _) = reach(&mut fleet, Stage::Guessing, RIGHT);
    let attempt = charged(&talk);
    let left = left_behind(&mut talk, &Request::LoginAbandon);
    assert_eq!(operation(&left.unwrap()), &Operation::Fail { attempt });
    for stage in [Stage::Enrolling, Stage::Enrolled, Stage::Confirming] {
        let (mut talk, request) = reach(&mut fleet, stage, RIGHT);
        assert_eq!(left_behind(&mut talk, &request), None);
    }
    assert_eq!(left_behind(&mut fleet.session_of(USER), &Request::Delete), None);
}
