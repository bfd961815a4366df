//! Steps 10 to 15: both organisations' signatures, the epoch, revocations, windows and pinned keys.

use super::*;
use crate::countersignature::Countersigned;
use crate::key::KeyId;

#[test]
fn steps_10_and_11_verify_both_organisations() {
    let other_certificate = |world: &mut World, known: bool| {
        let statement = world.statement(1).write();
        let mut certified = world.certified(&statement, 1);
        if known {
            certified.certificate.timestamp_ms += 1;
        } else {
            certified.certificate.key_id = ed25519_signer(99).public().key_id();
        }
        world.push_unchecked(Entry::CertifiedStatement(certified).write());
        let (active, mut activation) = (World::active(), World::active().activation(1, 0));
        activation.statement = Digest::of(&statement);
        assert_eq!(active.entries[0], world.entries[0]);
        world.push_unchecked(Entry::Activation(activation).write());
    };
    let mut world = World::new();
    other_certificate(&mut world, true);
    refused!(verify_now(&world.bundle(&[1, 2]), &world.trust), Distrust::Certificate(_), Certificate, Proof);
    let mut world = World::new();
    other_certificate(&mut world, false);
    let unknown = verify_now(&world.bundle(&[1, 2]), &world.trust);
    refused!(unknown, Distrust::Certificate(_), Certificate, UnknownAuthority);

    let with_activation = |change: &dyn Fn(&mut crate::entry::Activation)| {
        let mut world = World::new();
        world.certify(1);
        let mut activation = world.activation(1, 0);
        change(&mut activation);
        world.push_unchecked(Entry::Activation(activation).write());
        verify_now(&world.bundle(&[1, 2]), &world.trust)
    };
    assert!(with_activation(&|_| {}).is_ok());
    refused!(
        with_activation(&|activation| activation.countersignatures[0].signature[0] ^= 1),
        Distrust::Countersignature(_),
        Countersignature,
        Proof
    );
    refused!(
        with_activation(&|activation| activation.countersignatures[0].key_id = p384_signer(9).public().key_id()),
        Distrust::Countersignature(_),
        Countersignature,
        UnknownAuthority
    );
    refused!(
        with_activation(&|activation| activation.leaf_index = index(0)),
        Distrust::ActivationMismatch,
        Countersignature,
        Proof
    );
    refused!(
        with_activation(&|activation| activation.statement = Digest::of(b"other")),
        Distrust::ActivationMismatch,
        Countersignature,
        Proof
    );
    let world = World::active();
    let mut two = world.trust.clone();
    two.keys.operator.keys.push(p384_signer(9).public().clone());
    two.keys.operator.keys.sort();
    two.keys.operator.threshold = 2;
    let result = verify_now(&world.bundle(&[1, 2]), &two);
    refused!(result, Distrust::Countersignature(_), Countersignature, Proof);
}

#[test]
fn step_12_never_goes_back_to_an_older_or_another_statement() {
    let world = World::active();
    let bytes = world.bundle(&[1, 2]).write();
    let mut floor = world.trust.initial_floor();
    (floor.epoch, floor.digest) = (Epoch::new(2), Some(Digest::of(b"x")));
    let with = |floor: &Floor| verify(&bytes, None, &world.trust, floor, at(NOW));
    refused!(with(&floor), Distrust::EpochRollback { .. }, Epoch, Rollback);
    floor.epoch = Epoch::new(1);
    refused!(with(&floor), Distrust::OtherStatement { .. }, Epoch, Fork);
    floor.digest = Some(Digest::of(&world.statement(1).write()));
    let mut fresh = World::new();
    floor.digest = Some(Digest::of(&fresh.statement(1).write()));
    fresh.certify(1);
    assert!(with(&floor).is_ok());
}

#[test]
fn step_13_stops_at_a_revocation_wherever_it_is_met() {
    for (epochs, fleets) in [(&[1][..], &[][..]), (&[], &["fleet-1"])] {
        for side in [Side::Authority, Side::Operator] {
            let mut world = World::active();
            let before = world.bundle(&[1, 2]).write();
            let revocation = world.revoke(side, epochs, fleets);
            world.push(&revocation);
            let in_tail = verify_now(&world.bundle(&[1, 2, 3]), &world.trust);
            let error = in_tail.expect_err("revoked in the tail");
            assert_eq!((error.step(), error.exit_class()), (Step::Revocation, ExitClass::Revoked));
            // The same revocation, never logged, remembered by the client.
            let mut floor = world.trust.initial_floor();
            floor.revocations = vec![String::from_utf8(revocation.write()).unwrap()];
            let error = verify(&before, None, &world.trust, &floor, at(NOW)).expect_err("remembered");
            assert!(matches!(error, Distrust::EpochRevoked { .. } | Distrust::Revoked { .. }), "{error}");
            floor.revocations = vec![String::from("{}")];
            let damaged = verify(&before, None, &world.trust, &floor, at(NOW));
            refused!(damaged, Distrust::RememberedRevocation, Revocation, Malformed);
        }
    }
}

#[test]
fn step_13_remembers_revocations_of_others_for_good() {
    let mut world = World::active();
    let revocation = world.revoke(Side::Operator, &[7], &["fleet-9"]);
    world.push(&revocation);
    let (floor, _) = open(verify_now(&world.bundle(&[1, 2, 3]), &world.trust).unwrap());
    assert_eq!(floor.revocations, [String::from_utf8(revocation.write()).unwrap()]);
    let mut full = floor.clone();
    full.revocations = (0..REMEMBERED_REVOCATIONS_MAX)
        .map(|i| {
            let other = world.revoke(Side::Operator, &[u64::try_from(i).unwrap() + 100], &[]);
            String::from_utf8(other.write()).unwrap()
        })
        .collect();
    full.revocations.sort();
    let result = verify(&world.bundle(&[1, 2, 3]).write(), None, &world.trust, &full, at(NOW));
    refused!(result, Distrust::TooManyRevocations, Revocation, NotChecked);
}

#[test]
fn step_13_wants_remembered_revocations_of_this_log() {
    let world = World::active();
    let Entry::Revocation(revocation) = world.revoke(Side::Operator, &[7], &[]) else { unreachable!("a revocation") };
    let other = countermark_tlog::checkpoint::Origin::new("log.example/other").unwrap();
    let bytes = world.bundle(&[1, 2]).write();
    let with = |entry: &Entry| {
        let mut floor = world.trust.initial_floor();
        floor.revocations = vec![String::from_utf8(entry.write()).unwrap()];
        verify(&bytes, None, &world.trust, &floor, at(NOW))
    };
    assert!(with(&world.revocation(revocation.clone())).is_ok());
    let foreign = world.revocation(crate::entry::Revocation { origin: other, ..revocation });
    refused!(with(&foreign), Distrust::RememberedRevocation, Revocation, Malformed);
    refused!(with(&world.evidence(Side::Operator, "x")), Distrust::RememberedRevocation, Revocation, Malformed);
}

#[test]
fn step_13_never_makes_a_floor_that_cannot_be_read_again() {
    // White space is not signed, so a log can make any revocation as long as an entry may be.
    let padded = |count: u64| {
        let mut world = World::active();
        for epoch in 0..count {
            let mut bytes = world.revoke(Side::Operator, &[epoch + 100], &[]).write();
            bytes.resize(crate::entry::ENTRY_BYTES_MAX, b' ');
            world.state.apply(&bytes).unwrap();
            world.push_unchecked(bytes);
        }
        let records: Vec<u64> = (1..3 + count).collect();
        verify_now(&world.bundle(&records), &world.trust)
    };
    let (floor, _) = open(padded(3).unwrap());
    assert_eq!(Floor::parse(&floor.write()).unwrap(), floor);
    refused!(padded(4), Distrust::TooManyRevocations, Revocation, NotChecked);
}

/// A log whose first statement was changed before it was certified and activated, whatever the log's rules say.
fn world_with(change: impl FnOnce(&mut crate::statement::Statement)) -> World {
    let mut world = World::new();
    let mut statement = world.statement(1);
    change(&mut statement);
    let certified = world.certified(&statement.write(), 1);
    world.push_unchecked(Entry::CertifiedStatement(certified.clone()).write());
    let digest = Digest::of(&certified.statement);
    let tuple = Countersigned {
        origin: &origin(),
        epoch: Epoch::FIRST,
        statement: digest,
        leaf_index: index(1),
        certificate_signature: &certified.certificate.signature,
    };
    let signature = world.operator.sign(&crate::to_sign::countersignature(&tuple));
    let countersignature =
        crate::countersignature::Countersignature { key_id: world.operator.public().key_id(), signature };
    let activation = crate::entry::Activation::new(origin(), Epoch::FIRST, digest, index(1), 0, vec![countersignature]);
    world.push_unchecked(Entry::Activation(activation).write());
    world
}

/// That log's bundle under a head of one time, verified at another.
fn verify_at(world: &World, head_time: u64, clock: u64) -> Result<UnstoredBundle, Distrust> {
    let mut bundle = world.bundle(&[1, 2]);
    bundle.checkpoint = world.checkpoint(3, head_time, &[0, 1, 2]);
    verify(&bundle.write(), None, &world.trust, &world.trust.initial_floor(), at(clock))
}

#[test]
fn step_14_looks_at_windows_status_and_keys() {
    let with = |change: &dyn Fn(&mut crate::statement::Statement), now: u64| verify_at(&world_with(change), now, now);
    assert!(with(&|_| {}, NOW).is_ok());
    refused!(with(&|s| s.not_before = at(NOW + 1), NOW), Distrust::NotYetValid { .. }, Validity, NotActive);
    refused!(with(&|_| {}, NOW + 90 * 86_400), Distrust::Expired { .. }, Validity, Stale);
    refused!(
        with(&|s| s.not_after = at(NOW + 401 * 86_400), NOW),
        Distrust::StatementLifetime { .. },
        Validity,
        RefusedByPolicy
    );
    refused!(with(&|s| s.fleets[0].status = FleetStatus::Next, NOW), Distrust::NoServingFleet, Validity, NotActive);
    refused!(
        with(&|s| s.fleets[0].members[1].keys[0].not_before = at(NOW + 1), NOW),
        Distrust::NoUsableKey { .. },
        Validity,
        NotActive
    );
    let draining = with(&|s| s.fleets[0].status = FleetStatus::Draining, NOW).unwrap();
    assert_eq!(open(draining).1.state(), BundleState::RollingOver);
}

#[test]
fn step_14_judges_windows_at_the_time_of_the_head_when_the_clock_is_behind_it() {
    let expired = world_with(|statement| statement.not_after = at(NOW));
    assert!(verify_at(&expired, NOW - 1, NOW - 1).is_ok());
    refused!(verify_at(&expired, NOW, NOW - 1), Distrust::Expired { .. }, Validity, Stale);
    let future = world_with(|statement| statement.not_before = at(NOW));
    assert!(verify_at(&future, NOW, NOW - 1).is_ok());
    refused!(verify_at(&future, NOW - 1, NOW - 1), Distrust::NotYetValid { .. }, Validity, NotActive);
}

#[test]
fn a_fresher_bundle_is_needed_when_the_head_or_the_statement_ends() {
    let stale_at = |not_after| {
        let world = world_with(|statement| statement.not_after = at(not_after));
        open(verify_at(&world, NOW, NOW).unwrap()).1.stale_at()
    };
    assert_eq!(stale_at(NOW + 90 * 86_400), at(NOW + 43_200));
    assert_eq!(stale_at(NOW + 100), at(NOW + 100));
}

#[test]
fn step_15_uses_no_key_that_is_not_pinned() {
    let world = World::active();
    let bundle = world.bundle(&[1, 2]);
    let mut trust = world.trust.clone();
    let mut all: Vec<KeyId> = world.statement(1).keys().map(|(_, _, key)| key.key_id).collect();
    all.sort();
    trust.pinned_keys = Some(all.clone());
    assert!(verify_now(&bundle, &trust).is_ok());
    trust.pinned_keys = Some(all[1..].to_vec());
    refused!(verify_now(&bundle, &trust), Distrust::NotPinned { .. }, PinnedKeys, UnknownAuthority);
}
