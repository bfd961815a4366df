use countermark_bundle::statement::FleetStatus;
use countermark_bundle::testing::{NOW, World, at, name};

use super::*;
use crate::backup::testing::{verified, world};

fn bundle() -> VerifiedBundle {
    verified(&world(FleetStatus::Active))
}

#[test]
fn a_members_keys_are_those_of_the_statement() {
    let bundle = bundle();
    let access = FleetAccess::new(&bundle, &name("fleet-1"), at(NOW)).unwrap().member(&name("member-2")).unwrap();
    let statement = bundle.statement().statement();
    let stated = |role| {
        let keys = &statement.fleets[0].members[1].keys;
        keys.iter().find(|key| key.role == role).unwrap().key().unwrap()
    };
    assert_eq!(access.session_public().as_slice(), stated(KeyRole::Session).bytes());
    assert_eq!(*access.identity(), stated(KeyRole::Identity));
    let context = access.context();
    assert_eq!((&context.origin, context.statement), (&statement.origin, bundle.statement().digest()));
    assert_eq!((context.fleet_id.as_str(), context.member_id.as_str()), ("fleet-1", "member-2"));
}

#[test]
fn what_the_bundle_does_not_state_is_refused_by_name() {
    let bundle = bundle();
    let error = FleetAccess::new(&bundle, &name("fleet-2"), at(NOW)).unwrap_err();
    assert!(matches!(error, AccessError::UnknownFleet { .. }), "{error}");
    let error = FleetAccess::new(&bundle, &name("fleet-1"), at(NOW)).unwrap().member(&name("member-4")).unwrap_err();
    assert!(matches!(error, AccessError::UnknownMember { .. }), "{error}");
    assert_eq!(error.exit_class(), ExitClass::NotChecked);
    let error = FleetAccess::new(&bundle, &name("fleet-1"), bundle.stale_at()).unwrap_err();
    assert_eq!(error.exit_class(), ExitClass::Stale);
    FleetAccess::new(&bundle, &name("fleet-1"), at(bundle.stale_at().unix() - 1)).unwrap();
}

/// A world where the first member's keys were changed.
fn with_keys(change: impl Fn(&mut Vec<MemberKey>)) -> World {
    use countermark_bundle::entry::Entry;
    let mut world = World::new();
    let mut statement = world.statement(1);
    change(&mut statement.fleets[0].members[0].keys);
    statement.fleets[0].members[0].keys.sort_by_key(|key| key.key_id);
    let certified = world.certified(&statement.write(), 1);
    world.push(&Entry::CertifiedStatement(certified));
    world.activate(1);
    world
}

#[test]
fn of_several_keys_the_newest_that_may_be_used_now_is_used() {
    use countermark_bundle::testing::x25519_public;
    let (from, to) = (at(NOW - 10), at(NOW + 1000));
    let world = with_keys(|keys| {
        keys.push(MemberKey::new(KeyRole::Session, &x25519_public(50), at(NOW - 5), to));
        keys.push(MemberKey::new(KeyRole::Session, &x25519_public(51), at(NOW + 5), to));
        keys.push(MemberKey::new(KeyRole::Session, &x25519_public(52), from, at(NOW - 1)));
    });
    let bundle = verified(&world);
    let key_at = |now| {
        let access = FleetAccess::new(&bundle, &name("fleet-1"), at(now)).unwrap();
        access.member(&name("member-1")).unwrap().session_public()[0]
    };
    assert_eq!(key_at(NOW), 50);
    assert_eq!(key_at(NOW + 5), 51, "the next key begins");
    assert_eq!(key_at(NOW + 1000), 101, "both ended; the first one goes on");
}

#[test]
fn a_member_without_a_key_that_may_be_used_now_is_refused() {
    let world = with_keys(|keys| {
        for key in keys.iter_mut().filter(|key| key.role == KeyRole::Session) {
            key.not_after = at(NOW + 10);
        }
    });
    let bundle = verified(&world);
    let member = |now| FleetAccess::new(&bundle, &name("fleet-1"), at(now)).unwrap().member(&name("member-1"));
    member(NOW + 9).unwrap();
    let error = member(NOW + 10).unwrap_err();
    assert!(matches!(error, AccessError::NoKey { role: KeyRole::Session, .. }), "{error}");
    assert_eq!(error.to_string(), "member-1 has no session key that may be used now");
}
