//! What a member of a fleet serves.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use axum::http::header::CACHE_CONTROL;
use countermark_bundle::link::ConsistencyLink;
use countermark_bundle::testing::NOW;
use countermark_vault_core::machine::{Adoption, Command, Response as MachineResponse};
use countermark_vault_core::noise::{FRAME_BYTES, OPENED_BYTES, OPENING_BYTES};

use super::*;
use crate::account_token::TokenVerifier;
use crate::config::AccountIssuer;
use crate::fleet::{Phase, Seat, Serving};
use crate::peer::Roster;
use crate::session_service::SessionService;
use crate::status::{MemberStatus, PhaseStatus};
use crate::testkit::{ISSUER, TestClock, TestMember, TestWorld, User, terms};
use countermark_bundle::identity::Namespace;

struct Fleet {
    home: Home,
    world: TestWorld,
    clock: TestClock,
    machine: Arc<LocalFleet>,
    seat: Arc<Seat<LocalFleet>>,
}

impl Fleet {
    /// A member of a fleet that adopted nothing yet, and has not joined.
    fn seeking() -> Self {
        let (world, clock) = (TestWorld::of(3), TestClock::new());
        let disk = MemoryStore::holding(None);
        let member = start(identity(), disk.clone()).unwrap();
        let seat = Arc::new(Seat::new(Namespace::parse("backup").unwrap()));
        let served = Served { member, seat: Some(Arc::clone(&seat)) };
        let home = Home { router: router(Arc::new(served), Attesting::Open), disk };
        let machine = Arc::new(LocalFleet::new(&clock));
        Self { home, world, clock, machine, seat }
    }

    fn join(&self) {
        let own = self.world.members[0].own_end();
        let issuer = AccountIssuer { issuer: "accounts.example".to_owned(), key: public(ISSUER) };
        let tokens = TokenVerifier::new(&own.origin, &own.fleet_id, &[issuer]);
        let terms = Arc::new(terms(&self.world.trust()));
        let clock = Arc::new(self.clock.clone());
        let deadline = Duration::from_secs(5);
        let sessions = SessionService::new(own, tokens, clock, Arc::clone(&self.machine), deadline, Arc::clone(&terms));
        let roster = Arc::new(Roster::new(self.world.members.iter().map(TestMember::roster_member)));
        let fleet = Arc::clone(&self.machine);
        self.seat.serve(Arc::new(Serving { fleet, sessions: Arc::new(sessions), roster, terms }));
    }

    fn adopt(&self, links: &[u64]) {
        let links = links.iter().map(|from| self.world.link(*from)).collect();
        let adoption = Adoption { bundle: self.world.bundle_at(NOW), links };
        assert_eq!(self.machine.obey(Command::Adopt(adoption)), MachineResponse::Done);
    }

    fn serving() -> Self {
        let fleet = Self::seeking();
        fleet.join();
        fleet.machine.found(&fleet.world.trust());
        fleet.adopt(&[]);
        fleet
    }

    async fn get(&self, path: &str) -> Answer {
        self.home.ask(Method::GET, path, Body::empty()).await
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> Answer {
        self.home.ask(Method::POST, path, body).await
    }

    async fn status(&self) -> MemberStatus {
        serde_json::from_slice(&self.get("/v1/status").await.body).unwrap()
    }

    fn adopted(&self) -> Digest {
        use crate::ports::Replicated as _;
        self.machine.read(|machine| machine.stapled().unwrap().statement)
    }
}

#[tokio::test]
async fn the_stapled_bundle_is_served_as_the_log_serves_it() {
    let fleet = Fleet::serving();
    let answer = fleet.get("/v1/backup/bundles/newest").await;
    assert_eq!((answer.status, answer.media_type.as_str()), (200, "application/json"));
    assert_eq!(answer.body, fleet.world.bundle_at(NOW));
    assert_eq!(fleet.get("/v1/backup/bundles/newest?").await.status, 200);
    let request = Request::builder().uri("/v1/backup/bundles/newest").body(Body::empty()).unwrap();
    let response = fleet.home.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[CACHE_CONTROL], "no-cache");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn links_lead_from_heads_stapled_before_to_the_stapled_one() {
    let mut fleet = Fleet::serving();
    fleet.world.grow();
    fleet.adopt(&[3]);
    for (from, expect) in [(3, Some(fleet.world.link(3))), (0, None), (4, None)] {
        let answer = fleet.get(&format!("/v1/backup/links?from={from}")).await;
        assert_eq!((answer.status, answer.media_type.as_str()), (200, "application/json"), "{from}");
        let link = ConsistencyLink::parse(&answer.body).unwrap();
        assert_eq!((link.from.get(), link.to.get()), (from, 4));
        assert!(expect.is_none_or(|expect| expect == answer.body));
    }
    for (path, status, expect) in
        [("/v1/backup/links?from=1", 404, "unknown-link"), ("/v1/backup/links?from=5", 404, "beyond-published-head")]
    {
        let answer = fleet.get(path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, expect), "{path}");
    }
}

#[tokio::test]
async fn addresses_are_read_as_strictly_as_the_logs() {
    let fleet = Fleet::serving();
    for (path, status, expect) in [
        ("/v1/backup/bundles/newest?a=1", 400, "unknown-parameter"),
        ("/v1/backup/links", 400, "malformed-parameter"),
        ("/v1/backup/links?", 400, "malformed-parameter"),
        ("/v1/backup/links?from=", 400, "malformed-parameter"),
        ("/v1/backup/links?from=01", 400, "malformed-parameter"),
        ("/v1/backup/links?from=1&from=1", 400, "malformed-parameter"),
        ("/v1/backup/links?to=1", 400, "unknown-parameter"),
        ("/v1/backup/links?from=1&", 400, "unknown-parameter"),
        ("/v1/other/bundles/newest", 404, "unknown-namespace"),
        ("/v1/other/links?from=1", 404, "unknown-namespace"),
        ("/v1/backup/bundles/1", 404, "not-found"),
    ] {
        let answer = fleet.get(path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, expect), "{path}");
    }
}

#[tokio::test]
async fn before_anything_is_adopted_nothing_is_stapled_and_no_session_opened() {
    type Take = fn(&Fleet);
    let fleet = Fleet::seeking();
    let opening = vec![0; OPENING_BYTES];
    let steps: [(&str, Take); 3] =
        [("seeking", |_| {}), ("joined", Fleet::join), ("founded", |fleet| fleet.machine.found(&fleet.world.trust()))];
    for (step, take) in steps {
        take(&fleet);
        for path in ["/v1/backup/bundles/newest", "/v1/backup/links?from=1"] {
            let answer = fleet.get(path).await;
            assert_eq!((answer.status, answer.problem().as_str()), (404, "nothing-active"), "{step}: {path}");
        }
        let answer = fleet.post("/v1/sessions", opening.clone()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (503, "not-serving"), "{step}");
    }
}

#[tokio::test]
async fn a_session_is_opened_and_carried_on_in_octets() {
    let fleet = Fleet::serving();
    let (opening, finish) = User::open("user-1", &fleet.world.members[0], fleet.adopted(), fleet.clock.unix());
    let opened = fleet.post("/v1/sessions", opening).await;
    assert_eq!((opened.status, opened.media_type.as_str()), (200, "application/octet-stream"));
    assert_eq!(opened.body.len(), OPENED_BYTES);
    let mut user = finish(&opened.body);
    let path = format!("/v1/sessions/{}", user.id);
    let frame = user.authenticate();
    let answer = fleet.post(&path, frame.clone()).await;
    assert_eq!(
        (answer.status, answer.media_type.as_str(), answer.body.len()),
        (200, "application/octet-stream", FRAME_BYTES)
    );
    assert_eq!(user.answer(&answer.body), countermark_vault_core::session::message::Answer::Authenticated);
    // The same frame again ends it, and every later one meets nothing.
    for _ in 0..2 {
        let answer = fleet.post(&path, frame.clone()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "unknown-session"));
    }
}

#[tokio::test]
async fn another_statement_is_a_conflict_that_names_the_adopted_one() {
    let fleet = Fleet::serving();
    let (opening, _) = User::open("user-1", &fleet.world.members[0], Digest::of(b"other"), fleet.clock.unix());
    let answer = fleet.post("/v1/sessions", opening).await;
    assert_eq!((answer.status, answer.problem().as_str()), (409, "other-statement"));
    assert_eq!(answer.json()["adopted"], fleet.adopted().to_hex());
}

#[tokio::test]
async fn what_is_no_opening_and_no_session_is_refused_by_name() {
    let fleet = Fleet::serving();
    let uppercase = "A".repeat(32);
    for (path, bytes, status, expect) in [
        ("/v1/sessions", 0, 400, "opening-malformed"),
        ("/v1/sessions", OPENING_BYTES + 1, 400, "opening-malformed"),
        ("/v1/sessions", FRAME_BYTES + 1, 413, "body-too-large"),
        ("/v1/sessions/0", FRAME_BYTES, 404, "unknown-session"),
        (&format!("/v1/sessions/{uppercase}"), FRAME_BYTES, 404, "unknown-session"),
        (&format!("/v1/sessions/{}", "0".repeat(32)), FRAME_BYTES, 404, "unknown-session"),
        (&format!("/v1/sessions/{}", "0".repeat(32)), FRAME_BYTES + 1, 413, "body-too-large"),
    ] {
        let answer = fleet.post(path, vec![0; bytes]).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, expect), "{path}: {bytes}");
    }
    assert_eq!(fleet.get("/v1/sessions").await.status, 405);
}

#[tokio::test]
async fn the_status_says_where_a_member_is_and_nothing_about_users() {
    let fleet = Fleet::seeking();
    fleet.seat.note(Phase::Seeking { reason: Some("the log has no bundle".to_owned()) });
    let status = fleet.status().await;
    assert_eq!((status.phase, status.waits_for.as_deref()), (PhaseStatus::Seeking, Some("the log has no bundle")));
    assert!(status.replica.is_none() && status.stapled.is_none() && !status.attested);
    fleet.join();
    assert_eq!(fleet.status().await.phase, PhaseStatus::Joined);
    fleet.machine.found(&fleet.world.trust());
    assert_eq!(fleet.status().await.phase, PhaseStatus::Joined);
    fleet.adopt(&[]);
    let status = fleet.status().await;
    assert_eq!((status.phase, status.waits_for), (PhaseStatus::Serving, None));
    let stapled = status.stapled.unwrap();
    assert_eq!((stapled.statement, stapled.epoch, stapled.size), (fleet.adopted().to_hex(), 1, 3));
    assert_eq!(status.replica.unwrap().members.len(), 3);
    fleet.seat.note(Phase::Stopped);
    assert_eq!(fleet.status().await.phase, PhaseStatus::Stopped);
}

#[tokio::test]
async fn a_fleet_under_another_trust_file_is_shown_as_such() {
    let fleet = Fleet::seeking();
    fleet.join();
    let mut other = TestWorld::of(3);
    other.world.trust.require_link = false;
    fleet.machine.found(&other.trust());
    assert_eq!(fleet.status().await.phase, PhaseStatus::Mistrusting);
}

#[tokio::test]
async fn a_member_without_a_fleet_has_a_status_and_none_of_the_rest() {
    let home = Home::new(Attesting::Open);
    let status = home.ask(Method::GET, "/v1/status", Body::empty()).await;
    let status: MemberStatus = serde_json::from_slice(&status.body).unwrap();
    assert_eq!((status.phase, status.member_id.as_str()), (PhaseStatus::Attesting, "member-1"));
    for path in ["/v1/backup/bundles/newest", "/v1/backup/links?from=1"] {
        assert_eq!(home.ask(Method::GET, path, Body::empty()).await.problem(), "not-found");
    }
    assert_eq!(home.ask(Method::POST, "/v1/sessions", Body::empty()).await.problem(), "not-found");
}
