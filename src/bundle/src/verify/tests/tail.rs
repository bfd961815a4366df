//! Step 9: the tail is complete and changes nothing.

use super::*;
use std::string::ToString;

#[test]
fn step_9_wants_every_entry_after_the_activation() {
    let mut world = World::active();
    for claims in ["a", "b", "c", "d"] {
        let evidence = world.evidence(Side::Authority, claims);
        world.push(&evidence);
    }
    let second = world.policy_change(2);
    world.push(&second);
    assert!(verify_now(&world.bundle(&[1, 2, 3, 4, 5, 6, 7]), &world.trust).is_ok());
    let gap = |records: &[u64]| verify_now(&world.bundle(records), &world.trust);
    refused!(gap(&[1, 2, 3, 5, 6, 7]), Distrust::TailGap { expected: 4, found: 5 }, Tail, Proof);
    refused!(gap(&[1, 2, 3, 4, 5, 6]), Distrust::TailGap { expected: 7, found: 8 }, Tail, Proof);
    world.activate(1);
    refused!(
        verify_now(&world.bundle(&[1, 2, 3, 4, 5, 6, 7, 8]), &world.trust),
        Distrust::Superseded { .. },
        Tail,
        Stale
    );
    assert!(verify_now(&world.bundle(&[1, 8]), &world.trust).is_ok(), "the renewal shortens the tail");
    world.certify(2);
    assert!(verify_now(&world.bundle(&[1, 8, 9]), &world.trust).is_ok(), "certified is not active");
    world.activate(2);
    let superseded = world.bundle(&[1, 8, 9, 10]);
    refused!(verify_now(&superseded, &world.trust), Distrust::Superseded { .. }, Tail, Stale);
    assert!(verify_now(&world.bundle(&[9, 10]), &world.trust).is_ok());
}

#[test]
fn step_9_stops_at_an_entry_that_fails_its_own_check() {
    let broken = |change: &dyn Fn(&World) -> Entry| {
        let mut world = World::active();
        let entry = change(&world).write();
        world.push_unchecked(entry);
        verify_now(&world.bundle(&[1, 2, 3]), &world.trust)
    };
    let unsigned = |entry: Entry| match entry {
        Entry::Revocation(mut revocation) => {
            revocation.signature[0] ^= 1;
            Entry::Revocation(revocation)
        }
        Entry::Evidence(mut evidence) => {
            evidence.signature[0] ^= 1;
            Entry::Evidence(evidence)
        }
        Entry::PolicyChange(mut change) => {
            change.signature[0] ^= 1;
            Entry::PolicyChange(change)
        }
        Entry::CertifiedStatement(mut certified) => {
            certified.certificate.signature[0] ^= 1;
            Entry::CertifiedStatement(certified)
        }
        Entry::Activation(_) | Entry::AuthorityChange(_) => unreachable!("not in this test"),
    };
    let cases: [&dyn Fn(&World) -> Entry; 5] = [
        &|world| unsigned(world.revoke(Side::Operator, &[9], &[])),
        &|world| unsigned(world.evidence(Side::Operator, "x")),
        &|world| unsigned(world.policy_change(2)),
        &|world| unsigned(Entry::CertifiedStatement(world.certified(&world.statement(2).write(), 2))),
        &|world| Entry::CertifiedStatement(world.certified(&world.statement(2).write().repeat(1), 2)),
    ];
    for case in &cases[..4] {
        refused!(broken(*case), Distrust::TailEntry { .. }, Tail, Proof);
    }
    assert!(broken(cases[4]).is_ok());
    let again = |world: &World| {
        let mut statement = world.statement(2);
        (statement.epoch, statement.previous) = (Epoch::new(1).unwrap(), None);
        Entry::CertifiedStatement(world.certified(&statement.write(), 1))
    };
    let error = broken(&again).expect_err("epoch 1 a second time");
    assert_eq!(error.to_string(), "entry 3 of the tail: the statement has epoch 1, the next one is 2");
    refused!(Err::<(), _>(error), Distrust::TailEntry { .. }, Tail, Proof);
}

#[test]
fn step_9_wants_a_renewal_before_the_tail_grows_long() {
    let mut world = World::active();
    for i in 0..17 {
        let evidence = world.evidence(Side::Operator, &std::format!("{i}"));
        world.push(&evidence);
    }
    let records: Vec<u64> = (1..20).collect();
    refused!(verify_now(&world.bundle(&records), &world.trust), Distrust::TailTooLong { found: 17 }, Tail, Stale);
}

#[test]
fn step_9_refuses_a_bundle_whose_certificate_key_was_retired() {
    let (world, change, mut bundle) = rotated();
    let receipt = bundle.records[0].witnessed.clone();
    let mut short = World { entries: world.entries[..4].to_vec(), ..World::new() };
    short.trust = world.trust.clone();
    bundle = short.bundle(&[1, 2, 3]);
    bundle.records[2].witnessed = receipt;
    assert_eq!(change.serial, 1);
    refused!(verify_now(&bundle, &world.trust), Distrust::KeyRetired { .. }, Tail, Stale);
}
