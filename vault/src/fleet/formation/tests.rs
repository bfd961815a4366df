use countermark_bundle::statement::FleetStatus;
use countermark_bundle::testing::{NOW, at};

use super::*;
use crate::testkit::{TestLog, TestMember, TestWorld, name};

fn seeker(member: &TestMember) -> Seeker {
    Seeker {
        fleet_id: name("fleet-1"),
        member_id: member.member_id.clone(),
        identity_key: member.peer_keys().identity,
        session_key: member.session_key(),
    }
}

async fn seek_as(world: TestWorld, seeker: &Seeker) -> Result<Formation, FormError> {
    let trust = world.trust();
    Formation::seek(&TestLog::new(world), &trust, seeker, |_| true, at(NOW)).await
}

async fn refused(change: impl FnOnce(&mut TestWorld)) -> FormError {
    let mut world = TestWorld::of(3);
    let seeker = seeker(&world.members[0]);
    change(&mut world);
    seek_as(world, &seeker).await.unwrap_err()
}

#[tokio::test]
async fn a_verified_bundle_that_names_this_member_forms_the_fleet() {
    let world = TestWorld::of(3);
    let (trust, seeker) = (world.trust(), seeker(&world.members[1]));
    let expect: Vec<RosterMember> = world.members.iter().map(TestMember::roster_member).collect();
    let formation = seek_as(world, &seeker).await.unwrap();
    assert_eq!(formation.roster().unwrap(), expect);
    assert_eq!(formation.trust, trust);
}

#[tokio::test]
async fn every_reason_why_there_is_no_fleet_has_its_name() {
    let check = |error: FormError, expect: &str| assert_eq!(error.state(), expect, "{error:?}");
    check(refused(|world| world.state(|it| it.fleets[0].fleet_id = name("fleet-2"))).await, "not stated");
    let retire = |world: &mut TestWorld| {
        // Beside a fleet that serves: a statement without one is not believed.
        let serving = Fleet { fleet_id: name("fleet-2"), ..world.world.statement(1).fleets.remove(0) };
        world.state(|it| {
            it.fleets[0].status = FleetStatus::Retired;
            it.fleets.push(serving);
        });
    };
    check(refused(retire).await, "retired");
    let drop_first = |world: &mut TestWorld| {
        world.members.remove(0);
        world.state(|_| {});
    };
    check(refused(drop_first).await, "not a member");
    let other_keys = |world: &mut TestWorld| {
        world.members[0] = TestMember::new(9).named(1);
        world.state(|_| {});
    };
    check(refused(other_keys).await, "other keys");
    check(refused(|world| world.state(|it| it.fleets[0].majority = 3)).await, "majority");
    let second_key = |world: &mut TestWorld| {
        world.state(|it| {
            let keys = &mut it.fleets[0].members[1].keys;
            keys.push(countermark_bundle::statement::MemberKey::new(
                KeyRole::Session,
                &TestMember::new(9).session_key(),
                at(NOW),
                at(NOW + 10),
            ));
            keys.sort_by_key(|key| key.key_id);
        });
    };
    check(refused(second_key).await, "keys");
}

#[tokio::test]
async fn a_bundle_that_is_not_believed_forms_nothing() {
    let world = TestWorld::of(3);
    let (trust, seeker) = (world.trust(), seeker(&world.members[0]));
    let log = TestLog::new(world);
    let seek = |now| Formation::seek(&log, &trust, &seeker, |_| true, at(now));
    assert_eq!(seek(NOW + 43_201).await.unwrap_err().state(), "stale");
    log.set_away(true);
    assert_eq!(seek(NOW).await.unwrap_err().state(), "fetch");
    let stranger = TestWorld::of(3);
    let mut other = stranger.world.trust.clone();
    other.keys.operator.keys = vec![stranger.world.certificate.public().clone()];
    let error = Formation::seek(&TestLog::new(stranger), &other.write(), &seeker, |_| true, at(NOW)).await.unwrap_err();
    assert!(matches!(error, FormError::Distrust(_) | FormError::Trust(_)), "{error:?}");
    let error = Formation::seek(&log, b"{}", &seeker, |_| true, at(NOW)).await.unwrap_err();
    assert_eq!(error.state(), "trust");
}

#[tokio::test]
async fn every_member_of_the_statement_needs_an_address() {
    let world = TestWorld::of(3);
    let (trust, seeker) = (world.trust(), seeker(&world.members[0]));
    let has_address = |member: &Name| *member != name("member-3");
    let error = Formation::seek(&TestLog::new(world), &trust, &seeker, has_address, at(NOW)).await.unwrap_err();
    assert!(matches!(&error, FormError::NoAddress { member } if *member == name("member-3")), "{error:?}");
}

#[tokio::test]
async fn a_trust_file_with_a_floor_gets_its_link() {
    let mut world = TestWorld::of(3);
    let floor = world.world.head(1);
    world.world.trust.floor.size = floor.size;
    world.world.trust.floor.root = floor.root;
    world.grow();
    let seeker = seeker(&world.members[0]);
    assert!(seek_as(world, &seeker).await.is_ok());
}

#[test]
fn a_later_statement_is_compared_key_by_key() {
    let world = TestWorld::of(3);
    let mut fleet = world.world.state.newest_certified().unwrap().statement.statement().fleets[0].clone();
    let member = world.members[0].roster_member();
    assert!(is_stated(&fleet, &member));
    assert!(!is_stated(&fleet, &RosterMember { keys: world.members[1].peer_keys(), ..member.clone() }));
    fleet.members.remove(0);
    assert!(!is_stated(&fleet, &member));
}
