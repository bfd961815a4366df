//! The long life of a namespace that obeys every rule.

use super::*;

fn newest_active(world: &World) -> Option<u64> {
    world.state.newest_active().map(|record| record.statement.statement().epoch.get())
}

fn push_evidence(world: &mut World, count: usize) {
    for _ in 0..count {
        let entry = evidence(world);
        world.push(&entry);
    }
}

#[test]
fn epochs_rise_are_burnt_renewed_revoked_and_superseded() {
    let mut world = World::new();
    assert_eq!((next(&world), newest_active(&world), world.state.next_certificate_ms()), (1, None, 0));

    assert_eq!(world.certify(1), 1);
    assert_eq!((next(&world), newest_active(&world)), (2, None), "certified is not active");
    assert_eq!(world.state.next_renewal(Epoch::FIRST), Some((0, true)));
    assert_eq!(world.activate(1), 2);
    assert_eq!(newest_active(&world), Some(1));
    assert_eq!(world.state.next_renewal(Epoch::FIRST), Some((1, false)));

    // Epoch 2 is never countersigned: its number is burnt, and epoch 3 still names it as its previous statement.
    world.certify(2);
    let burnt = world.state.newest_certified().unwrap().statement.digest();
    assert_eq!(world.statement(3).previous, Some(burnt));
    world.certify(3);
    world.activate(3);
    assert_eq!(newest_active(&world), Some(3));
    let late = Entry::Activation(world.activation(2, 0));
    check(&mut world, &late, "activation order", "epoch 2 is not above the newest active epoch 3");

    // Renewals of the newest epoch, each once four entries follow the last activation.
    for renewal in 1..=3 {
        push_evidence(&mut world, 3);
        assert_eq!(world.state.next_renewal(Epoch::new(3).unwrap()), Some((renewal, false)));
        push_evidence(&mut world, 1);
        assert_eq!(world.state.next_renewal(Epoch::new(3).unwrap()), Some((renewal, true)));
        world.activate(3);
    }
    let record = world.state.statement(Epoch::new(3).unwrap()).unwrap();
    assert_eq!(record.activations, [5, 10, 15, 20].map(index));

    // Revoked at once by one side alone; nothing older is uncovered.
    let revocation = world.revoke(Side::Operator, &[3], &[]);
    world.push(&revocation);
    assert_eq!(newest_active(&world), Some(3), "revoking never uncovers an older epoch");
    push_evidence(&mut world, 4);
    let again = Entry::Activation(world.activation(3, 4));
    check(&mut world, &again, "revoked epoch", "epoch 3 was revoked");
    let older = Entry::Activation(world.activation(1, 1));
    check(&mut world, &older, "activation order", "newest active epoch 3");

    world.certify(4);
    world.activate(4);
    assert_eq!((newest_active(&world), next(&world)), (Some(4), 5));
    assert_eq!(world.state.size(), size(world.entries.len()));
    let epochs: Vec<u64> = world.state.statements().map(|(epoch, _)| epoch.get()).collect();
    assert_eq!(epochs, [1, 2, 3, 4]);
    assert!(world.state.statement(Epoch::new(5).unwrap()).is_none());
    assert!(world.state.next_renewal(Epoch::new(5).unwrap()).is_none());
}

#[test]
fn a_replay_of_the_log_gives_the_same_state() {
    let mut world = World::active();
    push_evidence(&mut world, 4);
    world.activate(1);
    let revocation = world.revoke(Side::Authority, &[1], &["fleet-9"]);
    world.push(&revocation);
    world.certify(2);
    let mut replayed = empty();
    for entry in &world.entries {
        replayed.apply(entry).unwrap();
    }
    assert_eq!(format!("{replayed:?}"), format!("{:?}", world.state));
}

#[test]
fn an_entry_that_passes_the_check_is_applied() {
    let world = World::active();
    for step in [certify, evidence, revoke_epoch, revoke_fleet, revoke_key] {
        let entry = step(&world);
        let before = format!("{:?}", world.state);
        world.state.check(&entry).unwrap();
        assert_eq!(format!("{:?}", world.state), before, "a check changes nothing");
        let mut state = world.state.clone();
        assert_eq!(state.apply(&entry.write()).unwrap(), entry);
        assert_eq!(state.size(), size(4));
        assert_ne!(format!("{state:?}"), before);
    }
}

#[test]
fn an_entry_that_was_skipped_counts_and_has_no_effect() {
    let mut world = World::active();
    let before = world.state.clone();
    world.push_unchecked(b"no entry".to_vec());
    world.state.skip();
    assert_eq!(world.state.size(), size(4));
    assert_eq!((world.state.next_epoch(), newest_active(&world)), (before.next_epoch(), Some(1)));
    assert_eq!(world.certify(2), 4);
    assert_eq!(world.state.newest_certified().unwrap().index, index(4), "indexes go on behind what was skipped");
    // What was skipped follows the activation like any other entry.
    push_evidence(&mut world, 2);
    assert_eq!(world.state.next_renewal(Epoch::FIRST), Some((1, true)));
}

#[test]
fn either_side_revokes_alone_and_for_good() {
    for side in [Side::Authority, Side::Operator] {
        let mut world = World::active();
        let (key, other_key) = (ed25519_signer(101).public().key_id(), stranger());
        let entries = [
            world.revoke(side, &[1, 9], &["fleet-1", "fleet-2"]),
            world.revoke_key(side, key),
            world.revoke_key(side, other_key),
        ];
        for entry in entries {
            world.push(&entry);
        }
        let revoked = world.state.revoked();
        assert_eq!(revoked.epochs, BTreeSet::from([1, 9].map(|epoch| Epoch::new(epoch).unwrap())));
        assert_eq!(revoked.fleets, BTreeSet::from(["fleet-1", "fleet-2"].map(name)));
        assert_eq!(revoked.keys, BTreeSet::from([key, other_key]));
        assert_eq!(newest_active(&world), Some(1));

        // Another fleet with the revoked key, then without it.
        let renamed = |statement: &mut Statement| statement.fleets[0].fleet_id = name("fleet-3");
        let mut statement = world.statement(2);
        renamed(&mut statement);
        assert_eq!(revoked.touches(&statement), Some(Returning::Key(key)));
        statement.fleets[0].members.remove(0);
        assert_eq!(revoked.touches(&statement), None);
        let certified = Entry::CertifiedStatement(world.certified(&statement.write(), 2));
        world.push(&certified);
    }
}

#[test]
fn a_certificate_may_follow_the_last_one_by_a_millisecond() {
    let mut world = World::active();
    let least = world.state.next_certificate_ms();
    assert_eq!(least, (NOW + 1) * 1000 + 1);
    let entry = certified_at(&world, least);
    world.push(&entry);
    assert_eq!(world.state.next_certificate_ms(), least + 1);
}

#[test]
fn a_statement_may_live_as_long_as_the_trust_file_allows() {
    let mut world = World::active();
    let longest = stated(&world, 2, |statement| statement.not_after = statement.not_before.plus(400 * 86_400));
    world.push(&longest);
}

#[test]
fn another_policy_changes_who_must_approve() {
    let mut world = World::active();
    let Entry::PolicyChange(mut change) = world.policy_change(2) else { unreachable!("a policy change") };
    (change.policy, change.approvals_needed) = (Digest::of(b"another policy"), 1);
    change.officers.remove(0);
    change.signature = world.administration[0].sign(&to_sign::policy_change(&change));
    world.push(&Entry::PolicyChange(change));
    let old = certified(&world, 2, |_| {});
    check(&mut world, &old, "policy", "in force is");
    world.policy = Digest::of(b"another policy");
    let former = certified(&world, 2, |_| {});
    check(&mut world, &former, "approval", "officer-0 with key");
    let one = certified(&world, 2, |certified| drop(certified.approvals.remove(0)));
    world.push(&one);
}

#[test]
fn a_change_of_authority_changes_which_certificates_count() {
    let mut world = World::new();
    let new_key = ed25519_signer(42);
    let triple = crate::authority::KeyTriple {
        role: crate::authority::AuthorityRole::Certificate,
        key: new_key.public().clone(),
    };
    world.trust.successors = vec![crate::authority::successor_commitment(&[triple])];
    world.state = NamespaceState::new(&world.trust).unwrap();
    world.state.apply(&world.entries[0]).unwrap();
    world.certify(1);
    let mut keys = world.trust.keys.clone();
    keys.certificate = vec![new_key.public().clone()];
    let change = Entry::AuthorityChange(world.authority_change(1, keys.clone(), vec![]));
    world.push(&change);
    assert_eq!((world.state.authority().serial(), world.state.authority().keys()), (1, &keys));
    check(&mut world, &change, "authority change", "has serial 1, expected 2");
    let under_the_old_key = certified(&world, 2, |_| {});
    check(&mut world, &under_the_old_key, "certificate", "not a certificate key");
    world.certificate = new_key;
    world.certify(2);
    // Epoch 1 was certified under the old key and can still be activated: what was certified stays certified.
    world.activate(1);
}
