//! One test for each way to fail, one for each promise. Steps 1 to 8 here, the rest in files of their own.

use super::*;
use crate::ExitClass;
use crate::entry::{AuthorityChange, Entry};
use crate::identity::{Digest, Epoch, Side};
use crate::testing::*;
use crate::validation_bundle::{Record, ValidationBundle};
use countermark_tlog::checkpoint::Checkpoint;
use std::string::String;
use std::vec;

fn verify_now(bundle: &ValidationBundle, trust: &TrustFile) -> Result<UnstoredBundle, Distrust> {
    verify(&bundle.write(), None, trust, &trust.initial_floor(), at(NOW))
}

fn open(unstored: UnstoredBundle) -> (Floor, VerifiedBundle) {
    let mut stored = None;
    let bundle = unstored.store(|floor| {
        stored = Some(floor.clone());
        Ok::<(), ()>(())
    });
    (stored.unwrap(), bundle.unwrap())
}

macro_rules! refused {
    ($result:expr, $pattern:pat, $step:ident, $class:ident) => {{
        let error = $result.expect_err("must be refused");
        assert!(matches!(error, $pattern), "another refusal: {error:?}");
        assert_eq!((error.step(), error.exit_class()), (Step::$step, ExitClass::$class), "{error}");
    }};
}

mod statement;
mod tail;

#[test]
fn a_good_bundle_passes_sixteen_steps_and_gives_a_floor() {
    let world = World::active();
    let mut steps = vec![];
    let bundle = world.bundle(&[1, 2]).write();
    let floor = world.trust.initial_floor();
    let unstored =
        verify_observed(&bundle, None, &world.trust, &floor, at(NOW), &mut |passed| steps.push(passed.step)).unwrap();
    assert_eq!(steps, &Step::ALL[..15]);
    let (floor, verified) = open(unstored);
    assert_eq!(floor.epoch, Epoch::new(1));
    assert_eq!(floor.size, size(3));
    assert_eq!(floor.head_time, Some(at(NOW)));
    assert_eq!(Floor::parse(&floor.write()).unwrap(), floor);
    assert_eq!(verified.state(), BundleState::Ok);
    assert_eq!(verified.head_time(), at(NOW));
    assert_eq!(verified.stale_at(), at(NOW + 43_200));
    assert_eq!(verified.serving_fleets().count(), 1);
    assert_eq!(verified.witnesses(), ["w0.example", "w1.example", "w2.example"]);
    assert_eq!(verified.checkpoint().size, size(3));
    for (number, step) in Step::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(step.number()), number + 1);
        assert!(!step.title().is_empty());
    }
}

#[test]
fn a_bundle_is_not_handed_out_when_its_floor_cannot_be_stored() {
    let world = World::active();
    let unstored = verify_now(&world.bundle(&[1, 2]), &world.trust).unwrap();
    assert_eq!(unstored.store(|_| Err("disk full")).err(), Some("disk full"));
}

#[test]
fn every_changed_byte_of_a_minimal_bundle_is_refused() {
    let mut world = World::new();
    let mut statement = world.statement(1);
    statement.fleets[0].members.truncate(1);
    statement.fleets[0].majority = 1;
    let certified = world.certified(&statement.write(), 1);
    world.push(&Entry::CertifiedStatement(certified));
    world.activate(1);
    let good = world.bundle(&[1, 2]).write();
    let _ = verify(&good, None, &world.trust, &world.trust.initial_floor(), at(NOW)).unwrap();
    let (trust, good) = (&world.trust, &good);
    let floor = &trust.initial_floor();
    std::thread::scope(|scope| {
        for part in 0..2 {
            scope.spawn(move || {
                for i in (part..good.len()).step_by(2) {
                    let mut bad = good.clone();
                    bad[i] ^= 1;
                    assert!(verify(&bad, None, trust, floor, at(NOW)).is_err(), "byte {i} may change");
                }
            });
        }
    });
}

#[test]
fn with_a_spare_witness_only_its_own_line_may_change() {
    let world = World::active();
    let mut bundle = world.bundle(&[1, 2]);
    bundle.checkpoint = world.checkpoint(3, NOW, &[0, 1, 2, 3]);
    let _ = verify_now(&bundle, &world.trust).unwrap();
    let line_starts: Vec<usize> = bundle.checkpoint.match_indices('\u{2014}').map(|(at, _)| at).collect();
    let mut may_change = 0;
    for (i, c) in bundle.checkpoint.char_indices() {
        let mut changed = bundle.clone();
        let other = if c == 'A' { 'B' } else { 'A' };
        changed.checkpoint.replace_range(i..i + c.len_utf8(), &String::from(other));
        if verify_now(&changed, &world.trust).is_ok() {
            assert!(i >= line_starts[1], "the log's part may not change: {i}");
            may_change += 1;
        }
    }
    // A changed name or key ID makes a line an unknown one, which is ignored while three others remain.
    assert!(may_change > 0);
}

#[test]
fn step_1_refuses_what_is_no_bundle() {
    let world = World::active();
    let bundle = world.bundle(&[1, 2]);
    let with = |bytes: &[u8]| verify(bytes, None, &world.trust, &world.trust.initial_floor(), at(NOW));
    refused!(with(b"{}"), Distrust::Bundle(_), Parse, Malformed);
    let mut broken = bundle.clone();
    broken.checkpoint = String::from("no note");
    refused!(with(&broken.write()), Distrust::Checkpoint(_), Parse, Malformed);
    let mut strange = bundle.clone();
    strange.records[0].entry = br#"{"type":"countermark/other/v1"}"#.to_vec();
    refused!(with(&strange.write()), Distrust::Entry { .. }, Parse, Malformed);
}

#[test]
fn step_2_refuses_another_log() {
    let world = World::active();
    let bundle = world.bundle(&[1, 2]);
    let mut trust = world.trust.clone();
    trust.origin = countermark_tlog::checkpoint::Origin::new("other.example/backup").unwrap();
    refused!(verify_now(&bundle, &trust), Distrust::OtherOrigin { .. }, Origin, UnknownAuthority);
}

/// Epoch 1 active, then the certificate key is rotated as committed to, then epoch 2 under the new key.
fn rotated() -> (World, AuthorityChange, ValidationBundle) {
    let mut world = World::new();
    let (new_key, old_key) = (ed25519_signer(42), ed25519_signer(2));
    let mut keys = world.trust.keys.clone();
    keys.certificate = vec![new_key.public().clone()];
    let triple = crate::authority::KeyTriple {
        role: crate::authority::AuthorityRole::Certificate,
        key: new_key.public().clone(),
    };
    world.trust.successors = vec![crate::authority::successor_commitment(&[triple])];
    world.state = crate::namespace_state::NamespaceState::new(&world.trust).unwrap();
    let policy = world.entries.remove(0);
    world.state.apply(&policy).unwrap();
    world.push_unchecked(policy);
    world.certify(1);
    world.activate(1);
    let change = world.authority_change(1, keys, vec![]);
    let at_index = world.push(&Entry::AuthorityChange(change.clone()));
    assert_eq!((at_index, old_key.public()), (3, world.certificate.public()));
    let before = world.record(3, 4);
    let receipt = countermark_tlog::tlog_proof::TlogProof {
        extra: None,
        index: index(3),
        proof: before.path(),
        checkpoint: world.checkpoint(4, NOW, &[0, 1, 2]).into_bytes(),
    };
    world.certificate = new_key;
    world.certify(2);
    world.activate(2);
    let mut bundle = world.bundle(&[3, 4, 5]);
    bundle.records[0].witnessed = Some(String::from_utf8(receipt.to_bytes()).unwrap());
    (world, change, bundle)
}

#[test]
fn step_3_follows_a_committed_change_of_authority() {
    let (world, _, bundle) = rotated();
    let (floor, verified) = open(verify_now(&bundle, &world.trust).unwrap());
    assert_eq!(floor.epoch, Epoch::new(2));
    assert_eq!(verified.statement().statement().epoch.get(), 2);
}

#[test]
fn step_3_refuses_a_change_that_nobody_committed_to_or_witnessed() {
    let (world, _, bundle) = rotated();
    let mut uncommitted = world.trust.clone();
    uncommitted.successors = vec![Digest::of(b"another")];
    refused!(verify_now(&bundle, &uncommitted), Distrust::AuthorityChange { .. }, Authority, UnknownAuthority);

    let mut unwitnessed = bundle.clone();
    unwitnessed.records[0].witnessed = None;
    refused!(verify_now(&unwitnessed, &world.trust), Distrust::Unwitnessed { .. }, Authority, UnknownAuthority);

    let mut other = bundle.clone();
    let receipt = other.records[0].witnessed.as_mut().unwrap();
    *receipt = receipt.replacen("index 3", "index 2", 1);
    refused!(verify_now(&other, &world.trust), Distrust::Unwitnessed { .. }, Authority, UnknownAuthority);

    let mut none = bundle.clone();
    none.records[0].witnessed = Some(String::from("none"));
    refused!(verify_now(&none, &world.trust), Distrust::WitnessedForm { .. }, Authority, Malformed);

    let two = world.checkpoint(4, NOW, &[0, 1]);
    let mut few = bundle.clone();
    let receipt = few.records[0].witnessed.as_mut().unwrap();
    let head = receipt.split("\n\n").next().unwrap();
    *receipt = std::format!("{head}\n\n{two}");
    refused!(verify_now(&few, &world.trust), Distrust::Witnessed { .. }, Authority, Proof);

    let mut broken = world.trust.clone();
    broken.keys.operator.threshold = 9;
    refused!(verify_now(&bundle, &broken), Distrust::TrustKeys(_), Authority, Malformed);
}

#[test]
fn step_4_refuses_a_head_that_the_log_did_not_sign() {
    let world = World::active();
    let mut bundle = world.bundle(&[1, 2]);
    let mut trust = world.trust.clone();
    trust.keys.policy = policy_text(&ed25519_signer(77), &world.witnesses);
    refused!(verify_now(&bundle, &trust), Distrust::UnknownLogKey, LogSignature, UnknownAuthority);
    let head = world.head(3);
    let other = Checkpoint { root: countermark_tlog::hash::empty_root(), ..head.clone() };
    bundle.checkpoint = world.sign(&head, NOW, &[0, 1, 2]).replace(&head.text(), &other.text());
    refused!(verify_now(&bundle, &world.trust), Distrust::LogSignature(_), LogSignature, Proof);
}

#[test]
fn step_5_counts_witnesses() {
    let world = World::active();
    let mut bundle = world.bundle(&[1, 2]);
    bundle.checkpoint = world.checkpoint(3, NOW, &[0, 1]);
    refused!(verify_now(&bundle, &world.trust), Distrust::Quorum { .. }, Quorum, Quorum);
    // A cosignature moved to another time.
    let (early, late) = (world.checkpoint(3, NOW, &[0, 1, 2]), world.checkpoint(3, NOW, &[0, 1, 2, 3]));
    let stolen = late.lines().last().unwrap();
    let bad = stolen.replacen("AAAAABrAN8A", "AAAAABrAN8B", 1);
    assert_ne!(stolen, bad);
    bundle.checkpoint = std::format!("{early}{bad}\n");
    refused!(verify_now(&bundle, &world.trust), Distrust::Cosignature(_), Quorum, Proof);
}

#[test]
fn step_6_takes_the_time_of_the_quorum_not_of_the_fastest_witness() {
    let world = World::active();
    let bytes = world.bundle(&[1, 2]).write();
    let floor = world.trust.initial_floor();
    let with = |floor: &Floor, now| verify(&bytes, None, &world.trust, floor, at(now));
    assert!(with(&floor, NOW + 43_200).is_ok());
    refused!(with(&floor, NOW + 43_201), Distrust::Stale { limit_seconds: 43_200, .. }, HeadAge, Stale);
    // A clock that was set back does not make an old head fresh.
    let mut seen = floor.clone();
    seen.head_time = Some(at(NOW + 50_000));
    refused!(with(&seen, NOW), Distrust::Stale { .. }, HeadAge, Stale);
    let mut issued = world.trust.clone();
    issued.issued_at = at(NOW + 50_000);
    let result = verify(&bytes, None, &issued, &floor, at(NOW));
    refused!(result, Distrust::Stale { .. }, HeadAge, Stale);

    let mut none = world.trust.clone();
    let quorum = none.keys.policy.rfind("quorum ").unwrap();
    none.keys.policy.replace_range(quorum.., "quorum none\n");
    refused!(verify(&bytes, None, &none, &floor, at(NOW)), Distrust::NoHeadTime, HeadAge, Quorum);
}

#[test]
fn step_7_never_goes_below_the_floor_and_never_beside_it() {
    let mut world = World::active();
    let (floor, _) = open(verify_now(&world.bundle(&[1, 2]), &world.trust).unwrap());
    let old = world.bundle(&[1, 2]).write();
    for claims in ["a", "b", "c"] {
        let evidence = world.evidence(Side::Operator, claims);
        world.push(&evidence);
    }
    let new = world.bundle(&[1, 2, 3, 4, 5]).write();
    let with = |bytes: &[u8], link: Option<&ConsistencyLink>, trust: &TrustFile, floor: &Floor| {
        verify(bytes, link, trust, floor, at(NOW))
    };
    let link = world.link(3, 6);
    assert!(with(&old, None, &world.trust, &floor).is_ok(), "the same head needs no link");
    let (higher, _) = open(with(&new, Some(&link), &world.trust, &floor).unwrap());
    refused!(with(&old, None, &world.trust, &higher), Distrust::Rollback { .. }, Floor, Rollback);
    refused!(with(&new, None, &world.trust, &floor), Distrust::LinkMissing { .. }, Floor, NotChecked);
    refused!(with(&new, Some(&world.link(2, 6)), &world.trust, &floor), Distrust::LinkSizes { .. }, Floor, Proof);
    let mut lenient = world.trust.clone();
    lenient.require_link = false;
    assert!(with(&new, None, &lenient, &floor).is_ok(), "the quorum's word is enough where the trust file says so");

    let mut beside = floor.clone();
    beside.root = countermark_tlog::hash::empty_root();
    refused!(with(&old, None, &world.trust, &beside), Distrust::Fork { .. }, Floor, Fork);
    refused!(with(&new, Some(&link), &world.trust, &beside), Distrust::Link(_), Floor, Proof);
}

#[test]
fn step_8_wants_statement_and_activation_under_the_checkpoint() {
    let mut world = World::active();
    let good = world.bundle(&[1, 2]);
    let mut stuffed = good.clone();
    stuffed.records[1].witnessed = Some(String::from("anything"));
    refused!(verify_now(&stuffed, &world.trust), Distrust::Unexpected { .. }, Paths, Malformed);
    let mut moved = good.clone();
    moved.records[0] = Record::new(index(0), moved.records[0].entry.clone(), &moved.records[0].path(), None);
    refused!(verify_now(&moved, &world.trust), Distrust::Path { .. }, Paths, Proof);
    refused!(verify_now(&world.bundle(&[2]), &world.trust), Distrust::NoStatement, Paths, Malformed);
    refused!(verify_now(&world.bundle(&[1]), &world.trust), Distrust::NotActivated, Paths, NotActive);
    refused!(verify_now(&world.bundle(&[0, 1, 2]), &world.trust), Distrust::Unexpected { .. }, Paths, Malformed);
    world.certify(2);
    let certified_only = world.bundle(&[3]);
    refused!(verify_now(&certified_only, &world.trust), Distrust::NotActivated, Paths, NotActive);
}
