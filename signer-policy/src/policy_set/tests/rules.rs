//! Every shipped rule has a statement that it refuses, and nothing else does.

use super::world::{DAY, NOW, World, at, member, name};
use super::*;
use countermark_bundle::identity::Side;
use countermark_bundle::statement::FleetStatus;
use std::collections::BTreeSet;

use crate::facts::Change;
use crate::request::Action;

/// A change to the good case, and the rules that then refuse.
type Case = (fn(&mut World), &'static [&'static str]);

const CERTIFY: &[Case] = &[
    (|_| {}, &[]),
    // Approvals.
    (|world| world.approvers.truncate(1), &["enough-officers-approved"]),
    (|world| world.approvers[1] = name("officer-1"), &["enough-officers-approved"]),
    (|world| world.approvals_needed = 3, &["enough-officers-approved"]),
    (|world| world.approvals_needed = u64::MAX, &["enough-officers-approved"]),
    (|world| (world.approvals_needed, world.approvers) = (0, Vec::new()), &["enough-officers-approved"]),
    (|world| world.approvers.push(name("officer-3")), &[]),
    // Limits.
    (|world| world.statement.not_after = world.statement.not_before.plus(400 * DAY), &[]),
    (|world| world.statement.not_after = world.statement.not_before.plus(400 * DAY + 1), &["lifetime-above-400-days"]),
    (|world| world.statement.max_head_age_seconds = 7 * DAY, &[]),
    (|world| world.statement.max_head_age_seconds = 7 * DAY + 1, &["head-age-above-7-days"]),
    (|world| world.fleet().guess_limit = 20, &[]),
    (|world| world.fleet().guess_limit = 21, &["guess-limit-above-20"]),
    // Times.
    (|world| world.statement.issued_at = at(NOW + 300), &[]),
    (|world| world.statement.issued_at = at(NOW + 301), &["issued-in-the-future"]),
    (|world| world.statement.issued_at = at(NOW - 7 * DAY), &[]),
    (|world| world.statement.issued_at = at(NOW - 7 * DAY - 1), &["issued-too-long-ago"]),
    (|world| world.statement.not_before = at(NOW + 30 * DAY), &[]),
    (|world| world.statement.not_before = at(NOW + 30 * DAY + 1), &["starts-too-late"]),
    (|world| world.statement.not_after = at(NOW + 1), &[]),
    (|world| world.statement.not_after = at(NOW), &["already-ended"]),
    // Members.
    (|world| drop(world.attestations.pop()), &["member-without-attestation"]),
    (|world| world.attestations.clear(), &["member-without-attestation"]),
    (|world| world.fleet().software.sha256 = Digest::of(b"other"), &["member-without-attestation"]),
    (|world| world.fleet().fleet_id = name("fleet-2"), &["member-without-attestation"]),
    (|world| world.fleet().members[0].member_id = name("member-0"), &["member-without-attestation"]),
    (
        |world| world.fleet().members[0].keys = member(9, Digest::of(b"executable")).0.keys,
        &["member-without-attestation"],
    ),
    // An attestation that is not referred to, even of the same keys, covers nobody.
    (
        |world| world.fleet().members[0].attestation = member(9, Digest::of(b"x")).0.attestation,
        &["member-without-attestation"],
    ),
    (|world| world.fleet().members[1].failure_domain = name("site-1"), &["members-share-a-failure-domain"]),
    (|world| world.fleet().majority = 1, &["majority-not-more-than-half"]),
    (|world| world.fleet().status = FleetStatus::Draining, &[]),
    // A retired fleet is only on record.
    (
        |world| {
            world.attestations.clear();
            world.fleet().status = FleetStatus::Retired;
            world.fleet().guess_limit = 99;
            world.fleet().majority = 1;
            world.fleet().members[1].failure_domain = name("site-1");
        },
        &[],
    ),
    // Everything that stands in the way is named at once, sorted.
    (
        |world| {
            world.approvers.clear();
            world.fleet().guess_limit = 21;
            world.statement.max_head_age_seconds = 8 * DAY;
        },
        &["enough-officers-approved", "guess-limit-above-20", "head-age-above-7-days"],
    ),
];

const CERTIFY_SECOND: &[Case] = &[
    (|_| {}, &[]),
    (|world| world.fleet_before().status = FleetStatus::Retired, &["retired-fleet-returns"]),
    (|world| world.fleet_before().fleet_id = name("fleet-0"), &[]),
    (|world| world.fleet_before().guess_limit = 5, &[]),
];

const COUNTERSIGN: &[Case] = &[
    (|_| {}, &[]),
    // Neither approvals nor attestations are the operator's to judge.
    (|world| (world.approvers, world.attestations) = (Vec::new(), Vec::new()), &[]),
    (|world| world.statement.not_after = at(NOW + 1), &[]),
    (|world| world.statement.not_after = at(NOW), &["still-valid"]),
    (|world| world.fleet().guess_limit = 20, &[]),
    (|world| world.fleet().guess_limit = 21, &["guess-limit-above-20"]),
];

const COUNTERSIGN_SECOND: &[Case] = &[
    (|_| {}, &[]),
    (|world| world.fleet_before().guess_limit = 9, &["guess-limit-raised"]),
    (|world| world.fleet_before().guess_limit = 11, &[]),
    (|world| (world.fleet_before().guess_limit, world.fleet_before().fleet_id) = (9, name("fleet-0")), &[]),
    (|world| world.fleet_before().majority = 3, &["majority-lowered"]),
    (
        |world| {
            world.fleet_before().majority = 3;
            let (leaving, _) = member(4, Digest::of(b"executable"));
            world.fleet_before().members.push(leaving);
        },
        &[],
    ),
    (|world| world.fleet_before().majority = 1, &[]),
    (|world| world.fleet_before().status = FleetStatus::Retired, &["retired-fleet-returns"]),
    (|world| world.fleet().status = FleetStatus::Retired, &[]),
];

const SUITES: [(Side, Action, bool, &[Case]); 4] = [
    (Side::Authority, Action::Certify, false, CERTIFY),
    (Side::Authority, Action::Certify, true, CERTIFY_SECOND),
    (Side::Operator, Action::Countersign, false, COUNTERSIGN),
    (Side::Operator, Action::Countersign, true, COUNTERSIGN_SECOND),
];

fn world(action: Action, second: bool) -> World {
    if second { World::second(action) } else { World::new(action) }
}

fn check(side: Side, world: &World, expect: &[&str], case: &str) {
    let policies = PolicySet::shipped(side);
    match policies.decide(&world.request()) {
        Ok(decision) => {
            let rule = match side {
                Side::Authority => "enough-officers-approved",
                Side::Operator => "still-valid",
            };
            assert_eq!((expect, decision.rule.as_str()), (&[][..], rule), "{case}");
            assert_eq!(decision.policy, policies.digest());
        }
        Err(refusal) => {
            assert_eq!(refusal.rules, expect, "{case}");
            assert_eq!((refusal.policy, refusal.reasons.len()), (policies.digest(), expect.len()));
        }
    }
}

#[test]
fn each_rule_refuses_what_it_is_there_for_and_nothing_else() {
    for (side, action, second, cases) in SUITES {
        for (index, (change, expect)) in cases.iter().enumerate() {
            let mut world = world(action, second);
            change(&mut world);
            check(side, &world, expect, &format!("{side:?}, second: {second}, case {index}"));
        }
    }
}

#[test]
fn every_shipped_rule_has_a_case_that_it_refuses() {
    for side in [Side::Authority, Side::Operator] {
        let refused: BTreeSet<&str> = SUITES
            .iter()
            .filter(|(of, ..)| *of == side)
            .flat_map(|(.., cases)| cases.iter().flat_map(|(_, rules)| rules.iter().copied()))
            .collect();
        let policies = PolicySet::shipped(side);
        let shipped: BTreeSet<&str> = policies.rules().iter().map(|(rule, _)| rule.as_str()).collect();
        assert_eq!(refused, shipped);
    }
}

#[test]
fn one_signers_policies_permit_nothing_of_the_others() {
    for (side, action) in [(Side::Authority, Action::Countersign), (Side::Operator, Action::Certify)] {
        let world = World::new(action);
        let refusal = PolicySet::shipped(side).decide(&world.request()).unwrap_err();
        assert_eq!(refusal.rules.len(), 1, "{refusal}");
    }
}

#[test]
fn a_refusal_says_which_policy_which_rule_and_why() {
    let mut world = World::new(Action::Certify);
    world.fleet().guess_limit = 21;
    world.approvers.clear();
    let policies = PolicySet::shipped(Side::Authority);
    let refusal = policies.decide(&world.request()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!(
            "refused by policy {}: enough-officers-approved: as many distinct officers must approve as the namespace \
             asks for, and at least one; guess-limit-above-20: a fleet may allow at most 20 password guesses",
            policies.digest()
        )
    );
}

#[test]
fn any_text_may_stand_as_the_submitter() {
    for submitter in ["", "a\"b", "log.example/backup", "ä", "Submitter::\"x\""] {
        let mut world = World::new(Action::Certify);
        submitter.clone_into(&mut world.submitter);
        check(Side::Authority, &world, &[], submitter);
    }
}

#[test]
fn what_clients_would_newly_trust_is_an_addition_and_what_is_taken_away_is_not() {
    let change = |change: fn(&mut World)| {
        let mut world = World::second(Action::Countersign);
        change(&mut world);
        Change::between(world.previous.as_ref(), &world.statement)
    };
    let first = World::new(Action::Countersign);
    assert!(Change::between(None, &first.statement).adds_trust());
    let same = change(|_| {});
    assert_eq!((same, same.adds_trust()), (Change::default(), false));
    let additions: [fn(&mut World); 7] = [
        |world| drop(world.fleet_before().members.pop()),
        |world| drop(world.fleet_before().members[0].keys.pop()),
        |world| world.fleet_before().software.sha256 = Digest::of(b"old"),
        |world| world.fleet_before().guess_limit = 9,
        |world| world.fleet_before().majority = 3,
        |world| world.fleet_before().fleet_id = name("fleet-0"),
        |world| world.fleet_before().status = FleetStatus::Retired,
    ];
    for (index, addition) in additions.into_iter().enumerate() {
        assert!(change(addition).adds_trust(), "addition {index}");
    }
    let removals: [fn(&mut World); 5] = [
        |world| drop(world.fleet().members.pop()),
        |world| drop(world.fleet().members[0].keys.pop()),
        |world| world.fleet().guess_limit = 9,
        |world| world.fleet().status = FleetStatus::Retired,
        |world| world.statement.fleets.clear(),
    ];
    for (index, removal) in removals.into_iter().enumerate() {
        let change = change(removal);
        assert!(!change.adds_trust() && change != Change::default(), "removal {index}");
    }
}
