//! Every refusal, by its name on the wire.

use countermark_bundle::entry::{AUTHORITY_CHANGE_TYPE, AuthorityChange, Entry};
use countermark_bundle::identity::Side;
use countermark_tlog::checkpoint::Origin;

use super::*;
use crate::admit::{Refusal, rule_name};

/// The name a submission is refused by, or `taken`.
async fn outcome(handle: &NamespaceHandle, submission: Submission) -> &'static str {
    match handle.submit(submission, WaitLevel::Committed, LONG).await {
        Ok(_) => "taken",
        Err(SubmitError::Refused(refusal)) => refusal.name(),
        Err(SubmitError::Conflict { rule, .. }) => rule_name(&rule),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_refusal_of_a_statement_has_its_name() {
    let world = World::new();
    let (store, handle) = world.served().await;
    let good = world.statement(1, None);
    let with = |change: &dyn Fn(&mut countermark_bundle::statement::Statement)| {
        let mut statement = world.statement(1, None);
        change(&mut statement);
        world.submission(&statement)
    };
    let parts = |approvals, attestations| Submission::Statement {
        statement: good.write(),
        approvals,
        attestations,
        submitter: "operator".into(),
    };
    let approvals = || world.approvals(&good);
    let attestations = || (1..=3).map(|member| world.attestation(member)).collect::<Vec<_>>();
    let mut flipped = attestations();
    flipped[0][0] ^= 1;
    let mut later = world.statement(2, Some(Digest::of(b"x")));
    later.epoch = Epoch::new(2).unwrap();
    let cases = [
        (
            "malformed-statement",
            Submission::Statement {
                statement: b"{}".to_vec(),
                approvals: vec![],
                attestations: vec![],
                submitter: "x".into(),
            },
        ),
        ("malformed-statement", with(&|statement| statement.not_after = statement.not_before)),
        ("other-log", with(&|statement| statement.origin = Origin::new("log.example/other").unwrap())),
        ("epoch", world.submission(&later)),
        (
            "statement-lifetime",
            with(&|statement| {
                statement.not_after = statement.not_before.plus(500 * 86_400);
            }),
        ),
        ("approval", parts(vec![], attestations())),
        ("approval", parts(approvals()[..1].to_vec(), attestations())),
        ("approval", parts([approvals(), approvals()].concat(), attestations())),
        ("approval", parts(world.approvals(&later), attestations())),
        ("attestation", parts(approvals(), flipped)),
        ("attestation", parts(approvals(), vec![b"{}".to_vec()])),
        ("policy", parts(approvals(), vec![])),
        ("policy", with(&|statement| statement.fleets[0].guess_limit = 21)),
        ("taken", world.submission(&good)),
    ];
    for (expect, submission) in cases {
        assert_eq!(outcome(&handle, submission).await, expect);
    }
    assert_eq!(audit(&world, store.as_ref()).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_lost_the_race_is_told_what_to_follow() {
    let world = World::new();
    let (_, handle) = world.served().await;
    submit(&handle, world.submission(&world.statement(1, None))).await;
    let newest = Digest::of(&world.statement(1, None).write());
    let mut same_epoch = world.statement(1, None);
    same_epoch.max_head_age_seconds = 600;
    let broken_chain = world.statement(2, Some(Digest::of(b"another")));
    for (statement, expect) in [(same_epoch, "epoch"), (broken_chain, "chain")] {
        match handle.submit(world.submission(&statement), WaitLevel::Committed, LONG).await {
            Err(SubmitError::Conflict { next_epoch, previous, rule }) => {
                assert_eq!((next_epoch.get(), previous, rule_name(&rule)), (2, Some(newest), expect));
            }
            other => panic!("{other:?}"),
        }
    }
    submit(&handle, world.submission(&world.statement(2, Some(newest)))).await;
}

#[tokio::test(start_paused = true)]
async fn every_refusal_of_an_entry_has_its_name() {
    let world = World::new();
    let (store, handle) = world.served().await;
    let state = || handle.published().unwrap().state.clone();
    submit(&handle, world.submission(&world.statement(1, None))).await;
    let change = AuthorityChange {
        kind: AUTHORITY_CHANGE_TYPE.to_string(),
        origin: world.origin(),
        serial: 1,
        keys: world.trust.keys.clone(),
        successors: vec![],
        signatures: vec![],
    };
    let certified = handle.entry(index(1)).await.unwrap().unwrap().to_vec();
    let bytes = |bytes: &[u8]| Submission::Entry { bytes: bytes.to_vec(), submitter: "x".into() };
    let activation = |edit: &dyn Fn(&mut countermark_bundle::entry::Activation)| {
        let Entry::Activation(mut activation) = world.activation(&state(), 1) else { unreachable!() };
        edit(&mut activation);
        entry(&Entry::Activation(activation))
    };
    let evidence = |edit: &dyn Fn(&mut countermark_bundle::entry::Evidence)| {
        let Entry::Evidence(mut evidence) = world.evidence(7) else { unreachable!() };
        edit(&mut evidence);
        entry(&Entry::Evidence(evidence))
    };
    let digest = world.settings().certifying.unwrap().policy.digest();
    let cases = [
        ("malformed-entry", bytes(b"{}")),
        ("malformed-entry", bytes(b"{\"type\":\"countermark/other/v1\"}")),
        ("malformed-entry", bytes(&vec![b' '; 65_536])),
        ("entry-type", bytes(&certified)),
        ("entry-type", entry(&Entry::AuthorityChange(change))),
        ("not-certified", activation(&|activation| activation.epoch = Epoch::new(9).unwrap())),
        ("not-certified", activation(&|activation| activation.leaf_index = index(0))),
        ("renewal", activation(&|activation| activation.renewal = 3)),
        ("countersignature", activation(&|activation| activation.countersignatures[0].signature[9] ^= 1)),
        ("unknown-key", evidence(&|evidence| evidence.key_id = world.vendor.public().key_id())),
        ("signature", evidence(&|evidence| evidence.signature[9] ^= 1)),
        ("policy-serial", entry(&world.policy_change(3, digest))),
        ("taken", activation(&|_| {})),
    ];
    for (expect, submission) in cases {
        assert_eq!(outcome(&handle, submission).await, expect);
    }
    submit(&handle, entry(&world.evidence(1))).await;
    assert_eq!(outcome(&handle, entry(&world.activation(&state(), 1))).await, "renewal-too-early");

    let previous = Some(Digest::of(&world.statement(1, None).write()));
    submit(&handle, world.submission(&world.statement(2, previous))).await;
    submit(&handle, entry(&world.activation(&state(), 2))).await;
    submit(&handle, entry(&world.evidence(2))).await;
    submit(&handle, entry(&world.evidence(3))).await;
    assert_eq!(outcome(&handle, entry(&world.activation(&state(), 1))).await, "activation-order");
    submit(&handle, entry(&world.revocation(Side::Operator, &[2]))).await;
    submit(&handle, entry(&world.evidence(4))).await;
    assert_eq!(outcome(&handle, entry(&world.activation(&state(), 2))).await, "revoked-epoch");
    audit(&world, store.as_ref()).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_revoked_does_not_return() {
    let world = World::new();
    let (_, handle) = world.served().await;
    let Entry::Revocation(mut revocation) = world.revocation(Side::Authority, &[1]) else { unreachable!() };
    revocation.fleets = vec![crate::testing::world::name("fleet-1")];
    let message = countermark_bundle::to_sign::revocation(&revocation);
    revocation.signature = world.revocation[0].make_signature(&message);
    submit(&handle, entry(&Entry::Revocation(revocation))).await;
    assert_eq!(outcome(&handle, world.submission(&world.statement(1, None))).await, "revoked-returns");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_the_log_did_not_announce_decides_nothing() {
    let world = World::new();
    let (_, handle) = world.served().await;
    submit(&handle, entry(&world.policy_change(2, Digest::of(b"another policy")))).await;
    let refused = handle.submit(world.submission(&world.statement(1, None)), WaitLevel::Committed, LONG).await;
    match refused {
        Err(SubmitError::Refused(refusal @ Refusal::PolicyNotInForce { .. })) => {
            assert_eq!(refusal.name(), "policy-not-in-force");
        }
        other => panic!("{other:?}"),
    }
}
