use countermark_bundle::testing::{NOW, at};

use super::*;
use crate::testkit::{Commits, LocalFleet, TestClock, TestLog, TestWorld};

const LIMIT: u64 = 43_200;

struct Setup {
    log: TestLog,
    clock: TestClock,
    fleet: LocalFleet,
    trust: Vec<u8>,
}

impl Setup {
    /// A founded fleet that adopted nothing.
    fn new() -> Self {
        let (world, clock) = (TestWorld::of(3), TestClock::new());
        let fleet = LocalFleet::new(&clock);
        let trust = world.trust();
        fleet.found(&trust);
        Self { log: TestLog::new(world), clock, fleet, trust }
    }

    async fn renew(&self) -> Result<Stapling, StapleError> {
        let now = at(self.clock.unix());
        renew(&self.log, &self.fleet, &self.trust, now, Duration::from_secs(1)).await
    }

    /// The log's head is seen again, now.
    fn cosign(&self) {
        self.log.set_head_time(self.clock.unix());
    }

    fn grow(&self) {
        self.log.world.lock().unwrap().grow();
    }

    fn stapled_size(&self) -> u64 {
        self.fleet.read(|machine| machine.stapled().unwrap().size)
    }

    fn has_link(&self, from: u64) -> bool {
        let from = TreeSize::new(from).unwrap();
        self.fleet.read(|machine| machine.stapled().unwrap().link(from).is_some())
    }
}

fn adopted(stapling: Result<Stapling, StapleError>) -> bool {
    matches!(stapling.unwrap(), Stapling::Adopted { .. })
}

#[tokio::test]
async fn the_first_bundle_is_adopted_and_not_again() {
    let setup = Setup::new();
    assert!(adopted(setup.renew().await));
    assert_eq!(setup.renew().await.unwrap(), Stapling::Fresh);
    setup.cosign();
    assert_eq!(setup.renew().await.unwrap(), Stapling::Fresh);
}

#[tokio::test]
async fn a_newer_head_is_adopted_with_links_from_those_before() {
    let setup = Setup::new();
    assert!(adopted(setup.renew().await));
    let sizes = [3, 4, 6];
    for size in &sizes[1..] {
        while setup.log.world.lock().unwrap().size() < *size {
            setup.grow();
        }
        setup.clock.advance(LIMIT / 4);
        setup.cosign();
        assert!(adopted(setup.renew().await));
        assert_eq!(setup.stapled_size(), *size);
    }
    assert!(setup.has_link(3) && setup.has_link(4));
    // The same tree, seen later: the links stay.
    setup.clock.advance(LIMIT / 4);
    setup.cosign();
    assert!(adopted(setup.renew().await));
    assert!(setup.has_link(3) && setup.has_link(4));
}

#[tokio::test]
async fn another_statement_is_adopted_at_once() {
    let setup = Setup::new();
    assert!(adopted(setup.renew().await));
    setup.log.world.lock().unwrap().state(|_| {});
    assert!(adopted(setup.renew().await));
    assert_eq!(setup.fleet.read(|machine| machine.stapled().unwrap().epoch.get()), 2);
}

#[tokio::test]
async fn a_log_that_grows_between_bundle_and_link_is_asked_again() {
    let setup = Setup::new();
    assert!(adopted(setup.renew().await));
    setup.log.world.lock().unwrap().state(|_| {});
    setup.log.grow_while_asked(2);
    assert!(adopted(setup.renew().await));
    setup.log.world.lock().unwrap().state(|_| {});
    setup.log.grow_while_asked(u32::MAX);
    assert!(matches!(setup.renew().await, Err(StapleError::Growing)));
}

#[tokio::test]
async fn every_failure_has_its_name_and_changes_nothing() {
    let setup = Setup::new();
    let failed = async |expect: &str| assert_eq!(setup.renew().await.unwrap_err().state(), expect);
    setup.log.set_away(true);
    failed("fetch").await;
    setup.log.set_away(false);
    setup.clock.advance(LIMIT + 1);
    failed("stale").await;
    setup.cosign();
    setup.fleet.set_commits(Commits::NotDone);
    failed("no majority").await;
    assert!(setup.fleet.read(|machine| machine.stapled().is_none()));
    setup.fleet.set_commits(Commits::Lost);
    failed("commit unknown").await;
    setup.fleet.set_commits(Commits::Done);
    // It was done nevertheless.
    assert_eq!(setup.renew().await.unwrap(), Stapling::Fresh);
    // The fleet's clock is its own: what is fresh for this member may be stale for it.
    let not_founded = Setup { fleet: LocalFleet::new(&setup.clock), ..setup };
    assert_eq!(not_founded.renew().await.unwrap_err().state(), "refused");
}

#[test]
fn what_is_worth_a_command() {
    let statement = Digest::of(b"statement");
    let stapled = Stapled { statement, size: 7, head_time: at(NOW), stale_at: at(NOW + 400), sizes_before: vec![] };
    let check = |size, head_time, now, expect| {
        let worth = stapled.decide(statement, size, at(NOW + head_time), at(NOW + now));
        assert_eq!(worth, expect, "size {size}, head {head_time}, now {now}");
    };
    // By a quarter of the limit.
    check(7, 99, 99, false);
    check(7, 100, 100, true);
    // Half of the age has passed.
    check(7, 1, 199, false);
    check(7, 1, 200, true);
    check(7, 0, 399, false);
    // Behind.
    check(6, 100, 100, false);
    assert!(stapled.decide(Digest::of(b"next"), 7, at(NOW), at(NOW)));
    assert!(!stapled.decide(Digest::of(b"last"), 7, at(NOW - 1), at(NOW)));
}

#[test]
fn links_are_asked_from_the_newest_heads() {
    let stapled = |sizes_before: Vec<u64>| Stapled {
        statement: Digest::of(b"statement"),
        size: 100,
        head_time: at(NOW),
        stale_at: at(NOW + 1),
        sizes_before,
    };
    assert_eq!(stapled(vec![1, 2]).sizes_before(100), [1, 2]);
    assert_eq!(stapled(vec![1, 2]).sizes_before(101), [1, 2, 100]);
    let many: Vec<u64> = (1..=16).collect();
    assert_eq!(stapled(many.clone()).sizes_before(100), many);
    assert_eq!(stapled(many).sizes_before(101).first(), Some(&2));
}
