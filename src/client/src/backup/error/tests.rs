use countermark_bundle::identity::Name;
use countermark_vault_core::session::client::steps::StepError;

use super::*;
use crate::fetch::{Place, Problem};

fn unavailable(name: &str) -> BackupError {
    let problem = format!(r#"{{"type":"urn:countermark:refusal:{name}"}}"#);
    let problem = Problem::parse(problem.as_bytes()).map(Box::new);
    BackupError::Unreachable(FetchError::Unavailable {
        place: Place::new("here"),
        status: 503,
        retry_after: None,
        problem,
    })
}

#[test]
fn what_a_member_says_about_not_serving_has_its_class() {
    assert_eq!(unavailable("not-serving").exit_class(), ExitClass::NotActive);
    assert_eq!(unavailable("other-statement").exit_class(), ExitClass::Unreachable);
    assert_eq!(unavailable("busy").exit_class(), ExitClass::Unreachable);
}

#[test]
fn of_many_failures_the_one_that_says_most_gives_the_class() {
    let member = |error| MemberFailure { address: "here".to_string(), error };
    let fleet_id = Name::parse("fleet-1").unwrap();
    let stated = BackupError::Access(AccessError::UnknownFleet { fleet_id });
    let failures = vec![member(unavailable("busy")), member(stated)];
    let error = BackupError::NoMember { failures };
    assert_eq!((error.exit_class(), error.name()), (ExitClass::NotChecked, "no-member"));
    let same = vec![member(unavailable("busy")), member(unavailable("busy"))];
    assert_eq!(BackupError::NoMember { failures: same }.name(), "unreachable");
}

#[test]
fn a_refusal_is_what_it_is_whenever_it_comes() {
    let check = |refusal, name: &str, class| {
        let error = BackupError::of_step(StepError::Refused(refusal), Deed::Guess, false);
        assert_eq!((error.name(), error.exit_class()), (name, class), "{error}");
    };
    let machine = SessionRefusal::Machine;
    let until = ReplicatedTime::from_unix(5);
    check(machine(Refusal::NoAttemptLeft), "no-attempt-left", ExitClass::RefusedByPolicy);
    check(machine(Refusal::Exhausted { until }), "exhausted", ExitClass::RefusedByPolicy);
    check(machine(Refusal::NotServing), "not-serving", ExitClass::NotActive);
    check(machine(Refusal::Draining), "not-serving", ExitClass::NotActive);
    check(machine(Refusal::TooManyUnderWay), "refused", ExitClass::RefusedByPolicy);
    check(SessionRefusal::NoMajority, "no-majority", ExitClass::Unreachable);
    check(SessionRefusal::Unknown, "unknown-outcome", ExitClass::NotChecked);
    check(SessionRefusal::MemberFault, "member-fault", ExitClass::Unreachable);
    check(SessionRefusal::NotOpened, "not-opened", ExitClass::Proof);
    check(SessionRefusal::OutOfOrder, "protocol", ExitClass::Malformed);
    check(SessionRefusal::Token(TokenRefusal::Expired), "token-refused", ExitClass::RefusedByPolicy);
}

#[test]
fn only_what_surely_cost_nothing_is_free() {
    let free = |refusal, deed, spent| BackupError::of_step(StepError::Refused(refusal), deed, spent).is_free();
    assert!(free(SessionRefusal::NoMajority, Deed::Guess, false));
    assert!(!free(SessionRefusal::NoMajority, Deed::Login, true));
    assert!(!free(SessionRefusal::Unknown, Deed::Guess, false));
    assert!(free(SessionRefusal::MemberFault, Deed::Authentication, false));
    assert!(!free(SessionRefusal::MemberFault, Deed::Guess, false));
    assert!(free(SessionRefusal::Machine(Refusal::NotServing), Deed::Guess, false));
    assert!(!free(SessionRefusal::Machine(Refusal::NoAttemptLeft), Deed::Guess, false));
}

#[test]
fn what_is_left_is_said_as_a_person_would() {
    let said = |attempts_left| BackupError::WrongPassword { attempts_left }.to_string();
    assert_eq!(said(2), "wrong password, or nothing is registered; 2 attempts are left");
    assert_eq!(said(1), "wrong password, or nothing is registered; 1 attempt is left");
    assert_eq!(said(0), "wrong password, or nothing is registered; no attempt is left, and the record is erased");
}
