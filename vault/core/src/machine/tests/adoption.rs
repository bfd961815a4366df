use super::*;
use countermark_bundle::ExitClass;
use countermark_bundle::identity::Side;
use countermark_bundle::statement::FleetStatus;
use countermark_tlog::size::TreeSize;

/// An authority whose clients take the quorum's word for a larger tree.
fn linkless() -> World {
    let mut world = World::active();
    world.trust.require_link = false;
    world
}

fn distrust(class: ExitClass) -> Response {
    Response::Refused(Refusal::Distrust { class: class.code() })
}

/// The bundle of the newest activation and what follows it, under the newest head.
fn newest(world: &World, first: u64) -> Vec<u8> {
    let records: Vec<u64> = (first..u64::try_from(world.entries.len()).unwrap()).collect();
    world.bundle(&records).write()
}

fn adopt(bench: &mut Bench, bundle: Vec<u8>, links: Vec<Vec<u8>>) -> Response {
    bench.command(Command::Adopt(Adoption { bundle, links }))
}

fn founded(world: &World) -> Bench {
    let mut bench = Bench::new();
    assert_eq!(bench.command(Command::Found(founding(world))), Response::Done);
    bench
}

fn first_record(world: &World) -> u64 {
    u64::try_from(world.entries.len()).unwrap() - 2
}

#[test]
fn a_fleet_is_founded_once_and_well_formed() {
    let world = World::active();
    let mut bench = Bench::new();
    for malformed in [
        Founding { trust: b"{}".to_vec(), ..founding(&world) },
        Founding { decoy_setup: Secret::new(vec![1; 3]), ..founding(&world) },
    ] {
        assert_eq!(bench.command(Command::Found(malformed)), Response::Refused(Refusal::MalformedFounding));
    }
    assert_eq!(adopt(&mut bench, newest(&world, 1), vec![]), Response::Refused(Refusal::NotFounded));
    assert_eq!(bench.command(Command::Found(founding(&world))), Response::Done);
    assert_eq!(bench.command(Command::Found(founding(&world))), Response::Refused(Refusal::FoundedAlready));
}

#[test]
fn what_does_not_verify_is_not_adopted_and_what_was_adopted_stays() {
    let world = World::active();
    let mut bench = founded(&world);
    let bundle = newest(&world, first_record(&world));
    let mut damaged = bundle.clone();
    let at = damaged.len() / 2;
    damaged[at] ^= 1;
    assert!(matches!(adopt(&mut bench, damaged.clone(), vec![]), Response::Refused(Refusal::Distrust { .. })));
    assert!(bench.machine.stapled().is_none());
    assert_eq!(adopt(&mut bench, bundle.clone(), vec![]), Response::Done);
    assert!(matches!(adopt(&mut bench, damaged, vec![]), Response::Refused(Refusal::Distrust { .. })));
    assert_eq!(bench.machine.stapled().unwrap().bundle, bundle);
}

#[test]
fn a_stale_bundle_is_not_adopted_by_the_fleets_own_clock() {
    let world = World::active();
    let mut bench = founded(&world);
    bench.wait(43_201);
    assert_eq!(adopt(&mut bench, newest(&world, first_record(&world)), vec![]), distrust(ExitClass::Stale));
}

#[test]
fn a_revoked_epoch_is_not_adopted_and_an_older_head_neither() {
    let mut world = linkless();
    let first = first_record(&world);
    let old = newest(&world, first);
    world.push(&world.revoke(Side::Operator, &[1], &[]));
    let revoked = newest(&world, first);
    let mut bench = founded(&world);
    assert_eq!(adopt(&mut bench, revoked, vec![]), distrust(ExitClass::Revoked));

    let mut world = linkless();
    world.push(&world.evidence(Side::Operator, "newer"));
    let newer = newest(&world, first);
    assert_eq!(adopt(&mut bench, newer, vec![]), Response::Done);
    assert_eq!(adopt(&mut bench, old, vec![]), distrust(ExitClass::Rollback));
}

#[test]
fn a_bundle_of_another_fleet_is_not_adopted() {
    let world = World::active();
    let mut bench = Bench::new();
    bench.command(Command::Found(Founding { fleet_id: name("fleet-2"), ..founding(&world) }));
    let answer = adopt(&mut bench, newest(&world, first_record(&world)), vec![]);
    assert_eq!(answer, Response::Refused(Refusal::OtherFleet));
}

#[test]
fn heads_stapled_before_lead_to_the_new_one_by_verified_links() {
    let mut world = linkless();
    let first = first_record(&world);
    let mut bench = founded(&world);
    adopt(&mut bench, newest(&world, first), vec![]);
    let before = world.entries.len();
    world.push(&world.evidence(Side::Operator, "newer"));
    let after = world.entries.len();
    let size = TreeSize::new(u64::try_from(before).unwrap()).unwrap();

    let mut wrong = world.link(before, after).write();
    let at = wrong.iter().rposition(u8::is_ascii_alphanumeric).unwrap();
    wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
    let answer = adopt(&mut bench, newest(&world, first), vec![wrong]);
    assert!(matches!(answer, Response::Refused(Refusal::Link { .. } | Refusal::Distrust { .. })), "{answer:?}");

    // Without a link the bundle is adopted all the same: a client may not need one.
    assert_eq!(adopt(&mut bench, newest(&world, first), vec![]), Response::Done);
    assert_eq!(bench.machine.stapled().unwrap().link(size), None);

    let link = world.link(before, after).write();
    assert_eq!(adopt(&mut bench, newest(&world, first), vec![link.clone()]), Response::Done);
    assert_eq!(bench.machine.stapled().unwrap().link(size), Some(link.as_slice()));
    assert_eq!(
        adopt(&mut bench, newest(&world, first), vec![link; LINKS_MAX + 1]),
        Response::Refused(Refusal::Link { from: 0 })
    );
}

#[test]
fn the_heads_that_are_remembered_are_bounded() {
    let mut world = linkless();
    let certified = first_record(&world);
    let mut activation = certified + 1;
    let mut bench = founded(&world);
    for round in 0..LINKS_MAX + 3 {
        let len = u64::try_from(world.entries.len()).unwrap();
        let records: Vec<u64> = core::iter::once(certified).chain(activation..len).collect();
        assert_eq!(adopt(&mut bench, world.bundle(&records).write(), vec![]), Response::Done);
        // The activation is renewed, or the tail would grow longer than a bundle may have.
        if round % 5 == 4 {
            activation = world.activate(1);
        } else {
            world.push(&world.evidence(Side::Operator, "newer"));
        }
    }
    assert_eq!(bench.machine.stapled().unwrap().sizes_before().count(), LINKS_MAX);
}

#[test]
fn a_draining_fleet_gives_back_and_takes_nothing() {
    let mut world = linkless();
    let first = first_record(&world);
    let mut bench = founded(&world);
    adopt(&mut bench, newest(&world, first), vec![]);
    bench.enrol(user(1), 1, None).unwrap();

    let mut statement = world.statement(2);
    statement.fleets[0].status = FleetStatus::Draining;
    let certified = world.certified(&statement.write(), 2);
    let second = world.push(&countermark_bundle::entry::Entry::CertifiedStatement(certified));
    world.activate(2);
    assert_eq!(adopt(&mut bench, newest(&world, second), vec![]), Response::Done);
    assert_eq!(bench.enrol(user(2), 1, None), Err(Refusal::Draining));
    assert_eq!(bench.active(user(1)), Some(1));
}
