use super::*;

#[test]
fn a_pending_record_cannot_be_guessed_against() {
    let mut bench = Bench::serving();
    let registration = RegistrationId([1; 16]);
    bench.ask(user(1), Operation::Enrol { registration, record: record(1) });
    assert_eq!(bench.active(user(1)), None);
    // It is evaluated once, for whoever knows its name.
    let other = Operation::Try { registration: RegistrationId([2; 16]) };
    assert_eq!(bench.ask(user(1), other), Response::Refused(Refusal::UnknownRegistration));
    assert_eq!(bench.ask(user(1), Operation::Try { registration }), Response::Tried { record: record(1) });
    assert_eq!(bench.ask(user(1), Operation::Try { registration }), Response::Refused(Refusal::TriedAlready));
}

#[test]
fn a_record_is_not_confirmed_untried_nor_after_its_time() {
    let mut bench = Bench::serving();
    let registration = RegistrationId([1; 16]);
    let confirm = Operation::Confirm { registration, login: None };
    assert_eq!(bench.ask(user(1), confirm.clone()), Response::Refused(Refusal::UnknownRegistration));
    bench.ask(user(1), Operation::Enrol { registration, record: record(1) });
    assert_eq!(bench.ask(user(1), confirm.clone()), Response::Refused(Refusal::NotTried));
    bench.ask(user(1), Operation::Try { registration });
    bench.wait(SESSION_SECONDS);
    assert_eq!(bench.ask(user(1), confirm), Response::Refused(Refusal::UnknownRegistration));
    assert_eq!(bench.active(user(1)), None);
}

#[test]
fn without_the_old_secret_a_new_record_waits_and_the_old_one_stays() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    let at = bench.now + COOL_OFF;
    assert_eq!(bench.enrol(user(1), 2, None), Ok(Some(at)));
    bench.wait(COOL_OFF - 1);
    assert_eq!(bench.active(user(1)), Some(1));
    bench.wait(1);
    assert_eq!(bench.active(user(1)), Some(2));
}

#[test]
fn a_right_guess_on_the_old_record_cancels_what_waits() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    bench.enrol(user(1), 2, None).unwrap();
    bench.ask(user(1), Operation::Delete { login: None });
    bench.log_in(user(1));
    bench.wait(2 * COOL_OFF);
    assert_eq!(bench.active(user(1)), Some(1));
}

#[test]
fn with_the_old_secret_a_new_record_is_active_at_once() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    let (login, _) = bench.log_in(user(1));
    assert_eq!(bench.enrol(user(1), 2, Some(login)), Ok(None));
    assert_eq!(bench.active(user(1)), Some(2));
    // The login spoke for the old record.
    assert_eq!(bench.enrol(user(1), 3, Some(login)), Err(Refusal::UnknownLogin));
}

#[test]
fn a_login_that_is_claimed_must_be_the_last_one_and_recent() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    assert_eq!(bench.enrol(user(1), 2, Some(AttemptId([200; 16]))), Err(Refusal::UnknownLogin));
    let (login, _) = bench.log_in(user(1));
    bench.wait(SESSION_SECONDS);
    assert_eq!(bench.enrol(user(1), 2, Some(login)), Err(Refusal::UnknownLogin));
    let answer = bench.ask(user(1), Operation::Delete { login: Some(login) });
    assert_eq!(answer, Response::Refused(Refusal::UnknownLogin));
    assert_eq!(bench.active(user(1)), Some(1));
}

#[test]
fn replacing_a_record_does_not_refill_the_budget() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    for _ in 0..7 {
        bench.guess_wrong(user(1)).unwrap();
    }
    bench.enrol(user(1), 2, None).unwrap();
    bench.wait(COOL_OFF);
    assert_eq!(bench.guess_wrong(user(1)), Ok(2));
    // Nor does deleting it and beginning anew.
    bench.ask(user(1), Operation::Delete { login: None });
    bench.wait(COOL_OFF);
    assert_eq!(bench.enrol(user(1), 3, None), Ok(None));
    assert_eq!(bench.guess_wrong(user(1)), Ok(1));
}

#[test]
fn a_guess_on_the_way_to_a_replaced_record_opens_nothing() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    let (login, _) = bench.log_in(user(1));
    let (_, _, attempt) = bench.charge(user(1)).unwrap();
    bench.enrol(user(1), 2, Some(login)).unwrap();
    let answer = bench.ask(user(1), Operation::Succeed { attempt });
    assert_eq!(answer, Response::Refused(Refusal::UnknownAttempt));
}

#[test]
fn deleting_needs_a_login_or_the_cool_off_and_cannot_be_put_off() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    let (login, _) = bench.log_in(user(1));
    let answer = bench.ask(user(1), Operation::Delete { login: Some(login) });
    assert_eq!(answer, Response::Deleted { waits_until: None });
    assert_eq!(bench.active(user(1)), None);

    bench.enrol(user(2), 1, None).unwrap();
    let at = ReplicatedTime::from_unix(bench.now + COOL_OFF);
    for _ in 0..2 {
        let answer = bench.ask(user(2), Operation::Delete { login: None });
        assert_eq!(answer, Response::Deleted { waits_until: Some(at) });
        bench.wait(10);
    }
    bench.wait(COOL_OFF - 21);
    assert_eq!(bench.active(user(2)), Some(1));
    bench.wait(1);
    assert_eq!(bench.active(user(2)), None);
}

#[test]
fn exhaustion_takes_a_waiting_record_with_it() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    bench.enrol(user(1), 2, None).unwrap();
    for _ in 0..LIMIT {
        bench.guess_wrong(user(1)).unwrap();
    }
    bench.wait(COOL_OFF);
    assert_eq!(bench.active(user(1)), None);
}
