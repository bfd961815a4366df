//! Random histories: whatever a few users, thieves of their tokens and a lossy network do, the rules hold.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Act {
    Charge,
    Succeed(usize),
    Fail(usize),
    Enrol(u8),
    Try,
    Confirm { with_login: bool },
    Delete { with_login: bool },
    Wait(u64),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => Just(Act::Charge),
        1 => (0_usize..20).prop_map(Act::Succeed),
        3 => (0_usize..20).prop_map(Act::Fail),
        2 => (1_u8..200).prop_map(Act::Enrol),
        2 => Just(Act::Try),
        2 => any::<bool>().prop_map(|with_login| Act::Confirm { with_login }),
        1 => any::<bool>().prop_map(|with_login| Act::Delete { with_login }),
        2 => prop_oneof![Just(1), Just(ATTEMPT_SECONDS), Just(SESSION_SECONDS), Just(COOL_OFF)].prop_map(Act::Wait),
        1 => Just(Act::Restart),
    ]
}

/// What an outsider counts: charges since the budget was last legitimately full.
#[derive(Default)]
struct Ledger {
    charges: u32,
    attempts: Vec<AttemptId>,
    login: Option<AttemptId>,
    registration: Option<RegistrationId>,
}

fn play(acts: &[Act]) {
    let mut bench = Bench::serving();
    let mut ledger = Ledger::default();
    let mut exhausted_until = None;
    for act in acts {
        match act {
            Act::Charge => match bench.charge(user(1)) {
                Ok((left, _, attempt)) => {
                    if exhausted_until.take().is_some() {
                        ledger.charges = 0;
                    }
                    ledger.charges += 1;
                    ledger.attempts.push(attempt);
                    assert!(ledger.charges <= LIMIT, "more guesses than the budget");
                    assert_eq!(left, LIMIT - ledger.charges);
                }
                Err(Refusal::Exhausted { until }) => {
                    assert!(until.unix() > bench.now, "an exhaustion that is over");
                    exhausted_until = Some(until);
                }
                Err(refusal) => assert!(matches!(refusal, Refusal::NoAttemptLeft | Refusal::TooManyUnderWay)),
            },
            Act::Succeed(which) => {
                let Some(attempt) = ledger.attempts.get(*which).copied() else { continue };
                if let Response::Succeeded { .. } = bench.ask(user(1), Operation::Succeed { attempt }) {
                    ledger.charges = 0;
                    ledger.login = Some(attempt);
                }
            }
            Act::Fail(which) => {
                let Some(attempt) = ledger.attempts.get(*which).copied() else { continue };
                bench.ask(user(1), Operation::Fail { attempt });
            }
            Act::Enrol(mark) => {
                let registration = RegistrationId(bench.next_name());
                ledger.registration = Some(registration);
                bench.ask(user(1), Operation::Enrol { registration, record: record(*mark) });
            }
            Act::Try => {
                let Some(registration) = ledger.registration else { continue };
                bench.ask(user(1), Operation::Try { registration });
            }
            Act::Confirm { with_login } => {
                let Some(registration) = ledger.registration else { continue };
                let login = ledger.login.filter(|_| *with_login);
                bench.ask(user(1), Operation::Confirm { registration, login });
            }
            Act::Delete { with_login } => {
                let login = ledger.login.filter(|_| *with_login);
                bench.ask(user(1), Operation::Delete { login });
            }
            Act::Wait(seconds) => {
                bench.wait(*seconds);
                bench.command(Command::Tick);
                // An exhaustion may have come and gone unseen.
                if bench.machine.users() == 0 {
                    ledger.charges = 0;
                }
            }
            Act::Restart => {
                let restored = Machine::restore(&bench.machine.snapshot()).unwrap();
                assert_eq!(restored.digest(), bench.machine.digest());
                assert_eq!(restored.next_due(), bench.machine.next_due());
                bench.machine = restored;
            }
        }
    }
}

proptest! {
    #[test]
    fn no_history_gives_more_guesses_than_the_budget(acts in proptest::collection::vec(act(), 1..60)) {
        play(&acts);
    }
}

#[test]
fn a_snapshot_is_refused_if_it_is_cut_or_of_another_version() {
    let snapshot = Bench::serving().machine.snapshot();
    assert_eq!(Machine::restore(&snapshot[..snapshot.len() - 1]).unwrap_err(), SnapshotError);
    let mut other = snapshot.to_vec();
    other[0] = 2;
    assert_eq!(Machine::restore(&other).unwrap_err(), SnapshotError);
}
