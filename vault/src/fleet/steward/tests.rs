use countermark_bundle::testing::NOW;
use tokio::time::advance;

use super::*;
use crate::account_token::TokenVerifier;
use crate::peer::Roster;
use crate::session_service::SessionService;
use crate::testkit::{Commits, LocalFleet, TestClock, TestLog, TestMember, TestWorld, name, terms};

const INTERVAL: Duration = Duration::from_mins(1);

struct Setup {
    log: TestLog,
    clock: TestClock,
    serving: Arc<Serving<LocalFleet>>,
    steward: Steward<TestLog, LocalFleet>,
}

impl Setup {
    fn new() -> Self {
        let (world, clock) = (TestWorld::of(3), TestClock::new());
        let fleet = Arc::new(LocalFleet::new(&clock));
        let own = world.members[0].own_end();
        let terms = Arc::new(terms(&world.trust()));
        let tokens = TokenVerifier::new(&own.origin, &own.fleet_id, &[]);
        let deadline = Duration::from_secs(5);
        let (shared, shared_terms) = (Arc::clone(&fleet), Arc::clone(&terms));
        let sessions = SessionService::new(own, tokens, Arc::new(clock.clone()), shared, deadline, shared_terms);
        let roster = Arc::new(Roster::new(world.members.iter().map(TestMember::roster_member)));
        let serving = Arc::new(Serving { fleet, sessions: Arc::new(sessions), roster, terms });
        let settings = StewardSettings { write_deadline: deadline, poll_interval: INTERVAL, poll_offset: INTERVAL / 3 };
        let log = TestLog::new(world);
        let steward = Steward {
            log: log.clone(),
            serving: Arc::clone(&serving),
            clock: Arc::new(clock.clone()),
            fleet_id: name("fleet-1"),
            settings,
            noted: Noted::default(),
        };
        Self { log, clock, serving, steward }
    }

    fn is_founded(&self) -> bool {
        self.serving.fleet.read(|machine| machine.founding().is_some())
    }

    fn is_stapled(&self) -> bool {
        self.serving.fleet.read(|machine| machine.stapled().is_some())
    }
}

#[tokio::test(start_paused = true)]
async fn the_leader_founds_the_fleet_once_and_with_a_setup_of_its_own() {
    let mut setup = Setup::new();
    setup.serving.fleet.set_role(Role::Follower);
    setup.steward.found().await;
    assert!(!setup.is_founded());
    setup.serving.fleet.set_role(Role::Leader);
    setup.serving.fleet.set_commits(Commits::NotDone);
    setup.steward.found().await;
    assert!(!setup.is_founded());
    setup.serving.fleet.set_commits(Commits::Done);
    setup.steward.found().await;
    let founding = setup.serving.fleet.read(|machine| machine.founding().cloned()).unwrap();
    assert_eq!((founding.trust.as_slice(), founding.cool_off_seconds), (&*setup.serving.terms.trust, 3600));
    let commands = setup.serving.fleet.committed().len();
    setup.steward.found().await;
    assert_eq!(setup.serving.fleet.committed().len(), commands);
    // No two fleets share the setup of decoys.
    let mut other = Setup::new();
    other.steward.found().await;
    let setup_of = |setup: &Setup| setup.serving.fleet.read(|machine| machine.founding().unwrap().decoy_setup.clone());
    assert_ne!(setup_of(&setup), setup_of(&other));
}

#[tokio::test(start_paused = true)]
async fn the_log_is_asked_once_an_interval_and_first_by_the_leader() {
    let mut setup = Setup::new();
    setup.steward.renew().await;
    assert_eq!(setup.log.asked(), 0, "nothing is stapled before the founding");
    setup.steward.found().await;
    setup.steward.renew().await;
    assert!(setup.is_stapled());
    setup.steward.renew().await;
    assert_eq!(setup.log.asked(), 1);
    advance(INTERVAL).await;
    setup.steward.renew().await;
    assert_eq!(setup.log.asked(), 2);

    let mut follower = Setup::new();
    follower.steward.found().await;
    follower.serving.fleet.set_role(Role::Follower);
    follower.steward.renew().await;
    assert_eq!(follower.log.asked(), 0);
    advance(INTERVAL / 3).await;
    follower.steward.renew().await;
    assert!(follower.is_stapled(), "a follower proposes, too");
}

#[tokio::test(start_paused = true)]
async fn a_short_head_age_is_polled_more_often_than_configured() {
    let mut setup = Setup::new();
    setup.log.world.lock().unwrap().state(|statement| statement.max_head_age_seconds = 80);
    setup.steward.found().await;
    setup.steward.renew().await;
    assert!(setup.is_stapled());
    assert_eq!(setup.steward.poll_interval(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_fleet_founded_on_other_terms_is_not_renewed() {
    let mut setup = Setup::new();
    let mut other = TestWorld::of(3);
    other.world.trust.issued_at = countermark_bundle::testing::at(NOW - 2000);
    setup.serving.fleet.found(&other.trust());
    setup.steward.renew().await;
    assert_eq!((setup.log.asked(), setup.steward.noted.founding), (0, Some("terms")));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_noted_when_it_begins_and_when_it_ends() {
    let mut setup = Setup::new();
    setup.steward.found().await;
    setup.log.set_away(true);
    setup.steward.renew().await;
    assert_eq!(setup.steward.noted.staple, Some("fetch"));
    setup.log.set_away(false);
    advance(INTERVAL).await;
    setup.steward.renew().await;
    assert_eq!(setup.steward.noted.staple, None);
    assert!(setup.is_stapled());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_the_adopted_statement_leaves_out_is_not_let_in() {
    let mut setup = Setup::new();
    setup.steward.found().await;
    setup.steward.renew().await;
    setup.steward.restate();
    let roster = Arc::clone(&setup.serving.roster);
    assert!((1..=3).all(|number| roster.keys(&name(&format!("member-{number}"))).is_some()));
    {
        let mut world = setup.log.world.lock().unwrap();
        // The third one is stated with other keys, the second one not at all.
        world.members[2] = TestMember::new(9).named(3);
        world.members.remove(1);
        world.state(|statement| statement.fleets[0].majority = 2);
    }
    setup.clock.advance(10);
    setup.log.set_head_time(setup.clock.unix());
    advance(INTERVAL).await;
    setup.steward.renew().await;
    setup.steward.restate();
    assert!(roster.keys(&name("member-1")).is_some());
    assert!(roster.keys(&name("member-2")).is_none() && roster.keys(&name("member-3")).is_none());
}
