use super::*;

#[test]
fn a_guess_is_charged_before_there_is_anything_to_evaluate_and_a_right_one_refills_the_budget() {
    let mut bench = Bench::serving();
    assert_eq!(bench.enrol(user(1), 1, None), Ok(None));
    for left in (5..LIMIT).rev() {
        assert_eq!(bench.guess_wrong(user(1)), Ok(left));
    }
    assert_eq!(bench.log_in(user(1)).1, record(1).wraps);
    assert_eq!(bench.charge(user(1)).unwrap().0, LIMIT - 1);
}

#[test]
fn the_last_wrong_guess_erases_the_record_and_nothing_begins_before_the_cool_off_is_over() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    for left in (0..LIMIT).rev() {
        assert_eq!(bench.guess_wrong(user(1)), Ok(left));
    }
    let until = ReplicatedTime::from_unix(bench.now + COOL_OFF);
    assert_eq!(bench.guess_wrong(user(1)), Err(Refusal::Exhausted { until }));
    assert_eq!(bench.enrol(user(1), 2, None), Err(Refusal::Exhausted { until }));
    assert!(!contains(&bench.machine, &[1; UPLOAD_BYTES]), "nothing of the record is left");
    bench.wait(COOL_OFF - 1);
    assert_eq!(bench.guess_wrong(user(1)), Err(Refusal::Exhausted { until }));
    bench.wait(1);
    assert_eq!(bench.enrol(user(1), 2, None), Ok(None));
    assert_eq!(bench.active(user(1)), Some(2));
}

#[test]
fn a_guess_that_nobody_reports_is_a_wrong_one() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    for _ in 0..LIMIT {
        bench.charge(user(1)).unwrap();
    }
    // The last ones may still be right.
    assert_eq!(bench.charge(user(1)), Err(Refusal::NoAttemptLeft));
    bench.wait(ATTEMPT_SECONDS - 1);
    assert_eq!(bench.charge(user(1)), Err(Refusal::NoAttemptLeft));
    bench.wait(1);
    assert_eq!(bench.machine.next_due(), Some(ReplicatedTime::from_unix(bench.now)));
    // The time alone erases it; nobody has to come.
    bench.command(Command::Tick);
    assert!(!contains(&bench.machine, &[1; UPLOAD_BYTES]));
    assert!(matches!(bench.charge(user(1)), Err(Refusal::Exhausted { .. })));
}

#[test]
fn the_last_guess_may_still_be_right_while_it_is_under_way() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    for _ in 1..LIMIT {
        bench.guess_wrong(user(1)).unwrap();
    }
    let (left, record, attempt) = bench.charge(user(1)).unwrap();
    assert_eq!((left, record.is_some()), (0, true));
    assert!(matches!(bench.ask(user(1), Operation::Succeed { attempt }), Response::Succeeded { .. }));
    assert_eq!(bench.guess_wrong(user(1)), Ok(LIMIT - 1));
}

#[test]
fn a_guess_is_answered_once() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    let (_, _, attempt) = bench.charge(user(1)).unwrap();
    bench.ask(user(1), Operation::Fail { attempt });
    for operation in [Operation::Succeed { attempt }, Operation::Fail { attempt }] {
        assert_eq!(bench.ask(user(1), operation), Response::Refused(Refusal::UnknownAttempt));
    }
    let (_, _, late) = bench.charge(user(1)).unwrap();
    bench.wait(ATTEMPT_SECONDS);
    let answer = bench.ask(user(1), Operation::Succeed { attempt: late });
    assert_eq!(answer, Response::Refused(Refusal::UnknownAttempt));
}

#[test]
fn a_name_of_a_guess_is_not_charged_twice() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    let (_, _, attempt) = bench.charge(user(1)).unwrap();
    let answer = bench.ask(user(1), Operation::Charge { attempt });
    assert_eq!(answer, Response::Refused(Refusal::UnknownAttempt));
    assert_eq!(bench.guess_wrong(user(1)), Ok(LIMIT - 2));
}

#[test]
fn a_guess_of_one_user_says_nothing_about_another() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    bench.enrol(user(2), 2, None).unwrap();
    let (_, _, attempt) = bench.charge(user(1)).unwrap();
    let answer = bench.ask(user(2), Operation::Succeed { attempt });
    assert_eq!(answer, Response::Refused(Refusal::UnknownAttempt));
    assert_eq!(bench.charge(user(2)).unwrap().0, LIMIT - 1);
}

#[test]
fn an_account_without_a_record_counts_down_and_is_exhausted_like_any_other() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    for _ in 0..LIMIT {
        assert_eq!(bench.guess_wrong(user(1)), bench.guess_wrong(user(2)));
    }
    assert_eq!(bench.guess_wrong(user(1)), bench.guess_wrong(user(2)));
    assert!(matches!(bench.guess_wrong(user(2)), Err(Refusal::Exhausted { .. })));
}

#[test]
fn a_right_guess_without_a_record_is_none() {
    let mut bench = Bench::serving();
    let (_, _, attempt) = bench.charge(user(1)).unwrap();
    let answer = bench.ask(user(1), Operation::Succeed { attempt });
    assert_eq!(answer, Response::Refused(Refusal::UnknownAttempt));
}

#[test]
fn guesses_under_way_are_bounded() {
    // A limit above the bound, as a statement may have.
    let rules = Rules { now: ReplicatedTime::from_unix(1), limit: 100, cool_off_seconds: 1, takes_records: true };
    let mut user = User::default();
    for number in 0..UNDER_WAY_MAX {
        user.charge(AttemptId([u8::try_from(number).unwrap(); 16]), &setup(), &rules).unwrap();
    }
    assert_eq!(user.charge(AttemptId([99; 16]), &setup(), &rules), Err(Refusal::TooManyUnderWay));
}

#[test]
fn time_never_goes_back() {
    let mut bench = Bench::serving();
    bench.enrol(user(1), 1, None).unwrap();
    let before = bench.machine.now();
    bench.now -= 1000;
    bench.command(Command::Tick);
    assert_eq!(bench.machine.now(), before);
}

#[test]
fn an_unserved_fleet_and_a_malformed_record_change_nothing() {
    let mut bench = Bench::new();
    assert_eq!(bench.charge(user(1)), Err(Refusal::NotFounded));
    bench.command(Command::Found(founding(&World::active())));
    assert_eq!(bench.charge(user(1)), Err(Refusal::NotServing));
    assert_eq!(bench.machine.users(), 0);

    let mut bench = Bench::serving();
    for malformed in [
        Record { setup: Secret::new(vec![1; SETUP_BYTES - 1]), ..(*record(1)).clone() },
        Record { upload: Secret::new(vec![1; UPLOAD_BYTES + 1]), ..(*record(1)).clone() },
        Record { wraps: vec![], ..(*record(1)).clone() },
        Record { wraps: vec![record(1).wraps[0].clone(); WRAPS_MAX + 1], ..(*record(1)).clone() },
    ] {
        let operation = Operation::Enrol { registration: RegistrationId([1; 16]), record: Arc::new(malformed) };
        assert_eq!(bench.ask(user(1), operation), Response::Refused(Refusal::MalformedRecord));
    }
    assert_eq!(bench.machine.users(), 0, "a user about whom nothing is known is not kept");
}

#[test]
fn a_batch_that_is_too_long_does_nothing() {
    let mut bench = Bench::serving();
    let charge = |n: usize| Command::Account {
        account: user(1),
        operation: Operation::Charge { attempt: AttemptId([u8::try_from(n % 256).unwrap(); 16]) },
    };
    let batch =
        Batch { now: ReplicatedTime::from_unix(bench.now), commands: (0..=BATCH_COMMANDS_MAX).map(charge).collect() };
    let answers = bench.machine.apply(&batch);
    assert_eq!(answers.len(), batch.commands.len());
    assert!(answers.iter().all(|answer| *answer == Response::Refused(Refusal::BatchTooLong)));
    assert_eq!(bench.machine.users(), 0);
}

/// Whether the machine's whole state contains these bytes anywhere.
fn contains(machine: &Machine, needle: &[u8]) -> bool {
    machine.snapshot().windows(needle.len()).any(|window| window == needle)
}
