use countermark_bundle::identity::Side;
use countermark_bundle::statement::{FleetStatus, Statement};

use super::*;
use crate::testing::*;

fn rules(cool_off_seconds: u64) -> OperatorRules {
    OperatorRules { policy: PolicySet::shipped(Side::Operator), cool_off_seconds }
}

/// Epoch 1 as given and active, epoch 2 as given and certified at `NOW + 2`; the verdict about epoch 2 at `NOW + 3`.
async fn verdict(first: Statement, second: Statement, cool_off_seconds: u64) -> Verdict {
    let world = World::new();
    world.log.certify_at(first, NOW);
    world.log.publish(NOW);
    world.start().await.turn().await.unwrap();
    world.log.certify_at(second, NOW + 2);
    world.log.publish(NOW + 2);
    let view = view_of(&world.log).await;
    let receipt = receipt_of(&world.log, &view, 2).await;
    decide(&receipt, view.replay().state(), &rules(cool_off_seconds), at(NOW + 2), at(NOW + 3))
}

type Change = fn(&mut Statement);

fn is_permitted(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Permitted(decision) => decision.rule == name("still-valid"),
        Verdict::Waiting { .. } | Verdict::Refused(_) => false,
    }
}

#[tokio::test]
async fn what_adds_trust_waits_and_what_only_takes_away_does_not() {
    let waits = Verdict::Waiting { until: at(NOW + 62) };
    let takes_away: [(&str, Change); 4] = [
        ("nothing", |_| {}),
        ("drained", |two| two.fleets[0].status = FleetStatus::Draining),
        ("a member less", |two| drop(two.fleets[0].members.pop())),
        ("fewer guesses", |two| two.fleets[0].guess_limit = 5),
    ];
    let adds: [(&str, Change); 2] = [
        ("a member more", |two| {
            two.fleets[0].members.push(member(4));
            two.fleets[0].majority = 3;
        }),
        ("other software", |two| two.fleets[0].software.sha256 = Digest::of(b"other")),
    ];
    let cases = takes_away.map(|case| (case, false)).into_iter().chain(adds.map(|case| (case, true)));
    for ((what, change), adds) in cases {
        let mut second = statement(2);
        change(&mut second);
        let verdict = verdict(statement(1), second, 60).await;
        if adds {
            assert_eq!(verdict, waits, "{what}");
        } else {
            assert!(is_permitted(&verdict), "{what}: {verdict:?}");
        }
    }
}

#[tokio::test]
async fn without_a_cool_off_additions_are_permitted_at_once() {
    let mut second = statement(2);
    second.fleets[0].software.sha256 = Digest::of(b"other");
    assert!(is_permitted(&verdict(statement(1), second, 0).await));
}

#[tokio::test]
async fn the_policy_compares_with_the_newest_active_statement() {
    let mut generous = statement(2);
    generous.fleets[0].guess_limit = 11;
    let Verdict::Refused(RefusalReason::Policy { rules, .. }) = verdict(statement(1), generous, 60).await else {
        panic!("not refused");
    };
    assert_eq!(rules, ["guess-limit-raised"]);
}

#[tokio::test]
async fn a_revoked_epoch_fleet_or_key_is_refused_before_the_policy_is_asked() {
    for (entry, expect) in [(revocation(&[1], &[]), "epoch 1"), (revocation(&[], &["fleet-1"]), "fleet fleet-1")] {
        let world = World::new();
        world.log.certify(1);
        world.log.publish_entry(&entry);
        let view = view_of(&world.log).await;
        let receipt = receipt_of(&world.log, &view, 1).await;
        let verdict = decide(&receipt, view.replay().state(), &rules(0), at(NOW), at(NOW));
        assert_eq!(verdict, Verdict::Refused(RefusalReason::Revoked { what: expect.to_owned() }));
    }
}

#[tokio::test]
async fn a_statement_that_ends_during_its_cool_off_is_refused_at_its_end() {
    let world = World::new();
    let mut short = statement(1);
    short.not_after = at(NOW + 30);
    world.log.certify_at(short, NOW);
    world.log.publish(NOW);
    let view = view_of(&world.log).await;
    let receipt = receipt_of(&world.log, &view, 1).await;
    let decide_at = |now| decide(&receipt, view.replay().state(), &rules(60), at(NOW), at(now));
    assert_eq!(decide_at(NOW), Verdict::Waiting { until: at(NOW + 60) });
    assert!(matches!(decide_at(NOW + 60), Verdict::Refused(RefusalReason::Policy { .. })));
}
