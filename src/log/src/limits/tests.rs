use std::collections::BTreeSet;

use countermark_bundle::identity::Namespace;
use tokio::time::advance;

use super::*;

fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// `burst` at once, and one more each second.
fn rate(burst: u32) -> Rate {
    Rate::new(count(1), Duration::from_secs(1), count(burst)).unwrap()
}

fn claims(issuer: &str, subject: &str) -> AccessClaims {
    AccessClaims {
        issuer: Issuer::new(issuer).unwrap(),
        subject: Name::parse(subject).unwrap(),
        namespaces: BTreeSet::from([Namespace::parse("digests").unwrap()]),
        scopes: BTreeSet::new(),
    }
}

fn accounts(allowance: Allowance) -> Accounts {
    Accounts::new(allowance)
}

#[tokio::test(start_paused = true)]
async fn a_submitter_sends_its_burst_and_then_as_fast_as_its_rate() {
    let accounts = accounts(Allowance { submissions: Some(rate(3)), ..Allowance::NONE });
    let one = claims("issuer", "one");
    let admitted = || accounts.admit(&one).map(|_| ());
    assert_eq!([admitted(), admitted(), admitted()], [Ok(()); 3]);
    let (burst, each) = (count(3), Duration::from_secs(1));
    advance(Duration::from_millis(400)).await;
    let retry_after = Duration::from_millis(600);
    assert_eq!(admitted(), Err(Exceeded::Submissions { burst, each, retry_after }));
    // What was refused was not charged: it comes exactly then.
    advance(retry_after).await;
    assert_eq!(admitted(), Ok(()));
    assert!(admitted().is_err());
    for other in [claims("issuer", "two"), claims("other-issuer", "one")] {
        assert!(accounts.admit(&other).is_ok(), "{other:?} has an account of its own");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_are_charged_in_units_and_what_is_refused_is_not() {
    let accounts = accounts(Allowance { bytes: Some(rate(10)), ..Allowance::NONE });
    let place = accounts.admit(&claims("issuer", "one")).unwrap();
    assert_eq!(place.charge(0), Ok(()));
    // One byte is a unit as 64 are.
    assert_eq!([1, 64, 65].map(|bytes| place.charge(bytes)), [Ok(()); 3]);
    let retry_after = Duration::from_secs(1);
    assert_eq!(place.charge(7 * 64), Err(Exceeded::Bytes { found: 448, retry_after }));
    assert_eq!(place.charge(6 * 64), Ok(()));
    assert_eq!(place.charge(usize::MAX), Err(Exceeded::Bytes { found: usize::MAX, retry_after: COME_BACK }));
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_again_when_the_submission_is_answered() {
    let max = NonZeroUsize::new(2).unwrap();
    let allowance = Allowance { under_way: Some(max), submissions: Some(rate(4)), ..Allowance::NONE };
    let accounts = accounts(allowance);
    let one = claims("issuer", "one");
    let (first, _second) = (accounts.admit(&one).unwrap(), accounts.admit(&one).unwrap());
    for _ in 0..10 {
        assert_eq!(accounts.admit(&one).err(), Some(Exceeded::UnderWay { max }));
    }
    drop(first);
    // Being refused a place has used up no submission.
    let _third = accounts.admit(&one).unwrap();
    assert!(accounts.admit(&claims("issuer", "two")).is_ok());
}

#[tokio::test(start_paused = true)]
async fn accounts_are_bounded_and_only_one_that_has_everything_again_is_forgotten() {
    let accounts = accounts(Allowance { submissions: Some(rate(2)), ..Allowance::NONE });
    let name = |number: usize| claims("issuer", &format!("s{number}"));
    let busy = accounts.admit(&name(0)).unwrap();
    for number in 1..ACCOUNTS_MAX {
        assert!(accounts.admit(&name(number)).is_ok());
    }
    assert_eq!(accounts.admit(&name(ACCOUNTS_MAX)).err(), Some(Exceeded::Accounts));
    // Whoever has one goes on.
    assert!(accounts.admit(&name(1)).is_ok());
    advance(Duration::from_secs(1)).await;
    assert_eq!(accounts.admit(&name(ACCOUNTS_MAX)).err(), Some(Exceeded::Accounts), "all have used something up");
    assert!(accounts.admit(&name(1)).is_ok());
    advance(Duration::from_secs(1)).await;
    assert!(accounts.admit(&name(ACCOUNTS_MAX)).is_ok());
    let kept: Vec<usize> = (0..3).filter(|number| knows(&accounts, &name(*number))).collect();
    assert_eq!(kept, [0, 1], "one is under way, one was used a second ago; the third is forgotten");
    drop(busy);
}

fn knows(accounts: &Accounts, claims: &AccessClaims) -> bool {
    let submitter = Submitter { issuer: claims.issuer.clone(), subject: claims.subject.clone() };
    accounts.held().accounts.contains_key(&submitter)
}

#[tokio::test(start_paused = true)]
async fn the_kinds_of_logs_are_counted_apart() {
    let allowance = Allowance { submissions: Some(rate(1)), ..Allowance::NONE };
    let limits = SubmitterLimits::new(Limits { fleet_keys: allowance, raw: allowance });
    let one = claims("issuer", "one");
    for kind in LogKind::ALL {
        assert!(limits.admit(kind, &one).is_ok());
        assert!(limits.admit(kind, &one).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn without_limits_nothing_is_refused() {
    let accounts = accounts(Allowance::NONE);
    let places: Vec<Place> = (0..10_000).map(|_| accounts.admit(&claims("issuer", "one")).unwrap()).collect();
    assert!(places.iter().all(|place| place.charge(1 << 20).is_ok()));
}

#[test]
fn a_rate_that_cannot_be_told_apart_is_none() {
    assert_eq!(Rate::new(count(2_000_000_000), Duration::from_secs(1), count(1)), None);
    assert!(Rate::new(count(1_000_000_000), Duration::from_secs(1), count(1)).is_some());
}
