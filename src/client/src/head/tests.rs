use countermark_bundle::identity::Timestamp;

use super::*;
use crate::testing::{Lie, NOW, TestLog, World, at, size};

fn policy(world: &World) -> Policy {
    world.trust.authority().unwrap().policy().clone()
}

#[tokio::test]
async fn a_head_under_the_quorum_is_believed_and_says_when_and_by_whom() {
    let log = TestLog::serve(World::active()).await;
    let world = log.world();
    let head = VerifiedHead::fetch(&log.reader, &world.trust.origin, &policy(world)).await.unwrap();
    assert_eq!((head.size(), head.checkpoint()), (size(3), &world.head(3)));
    assert_eq!(head.time().map(Timestamp::unix), Some(NOW));
    assert_eq!(
        head.witnesses().iter().map(KeyName::as_str).collect::<Vec<_>>(),
        ["w0.example", "w1.example", "w2.example"]
    );
}

#[tokio::test]
async fn every_head_that_is_not_believed_has_its_name_and_class() {
    let log = TestLog::serve(World::active()).await;
    let world = log.world();
    let check = async |note: &str, class: ExitClass, expect: &dyn Fn(&HeadError) -> bool| {
        log.lie("backup/checkpoint", Lie::Bytes(note.as_bytes().to_vec()));
        let error = VerifiedHead::fetch(&log.reader, &world.trust.origin, &policy(world)).await.unwrap_err();
        assert!(expect(&error) && error.exit_class() == class, "{error:?}\n{note}");
    };
    let good = world.checkpoint(3);
    let quorum = |error: &HeadError| matches!(error, HeadError::Quorum { cosigned } if cosigned.len() == 2);
    let with = |change: &dyn Fn(&mut World)| {
        let mut other = World::active();
        change(&mut other);
        other.checkpoint(3)
    };
    check(&with(&|world| world.cosigners = vec![0, 1]), ExitClass::Quorum, &quorum).await;
    check(&with(&|world| world.cosigners = vec![]), ExitClass::Quorum, &|error| {
        matches!(error, HeadError::Quorum { .. })
    })
    .await;
    let other_log = with(&|world| world.log = crate::testing::ed25519_signer(99));
    check(&other_log, ExitClass::UnknownAuthority, &|error| matches!(error, HeadError::UnknownLogKey)).await;
    let strangers = with(&|world| world.witnesses = (21..25).map(crate::testing::ed25519_signer).collect());
    check(&strangers, ExitClass::Quorum, &|error| matches!(error, HeadError::Quorum { .. })).await;
    // One letter of the origin changed: another log, whatever else is signed.
    let other_origin = good.replace("log.example/backup", "log.example/backuq");
    check(&other_origin, ExitClass::UnknownAuthority, &|error| matches!(error, HeadError::OtherOrigin { .. })).await;
    // Another size under the same signatures.
    let other_size = good.replacen("\n3\n", "\n4\n", 1);
    check(&other_size, ExitClass::Proof, &|error| matches!(error, HeadError::LogSignature(_))).await;
    // A cosignature that is not of this text spoils the note.
    let mut lines: Vec<String> = good.lines().map(str::to_string).collect();
    let newer = with(&|world| world.cosigned_at = NOW + 1);
    let (stamp, other) = (lines.len() - 1, newer.lines().last().unwrap().len());
    lines[stamp].truncate(other - 4);
    lines[stamp].push_str("AAA=");
    let spoilt = format!("{}\n", lines.join("\n"));
    check(&spoilt, ExitClass::Proof, &|error| matches!(error, HeadError::Cosignature(_))).await;
    for malformed in ["", "no note", &good[..good.len() - 1]] {
        check(malformed, ExitClass::Malformed, &|error| matches!(error, HeadError::Malformed(_))).await;
    }
    log.lie("backup/checkpoint", Lie::Status(503, "nothing-published"));
    let error = VerifiedHead::fetch(&log.reader, &world.trust.origin, &policy(world)).await.unwrap_err();
    assert!(matches!(&error, HeadError::Fetch(_)) && error.exit_class() == ExitClass::Unreachable);
}

#[test]
fn the_time_of_a_head_is_the_quorum_s_and_not_the_newest_stamp() {
    let mut world = World::active();
    let signed = |world: &World| SignedCheckpoint::parse(world.checkpoint(3).as_bytes()).unwrap();
    let early = signed(&world);
    (world.cosigned_at, world.cosigners) = (NOW + 100, vec![3]);
    let late = signed(&world);
    let stamped = early.with_signature(late.note().signatures().last().unwrap().clone());
    let head = VerifiedHead::verify(&stamped, &world.trust.origin, &policy(&world)).unwrap();
    assert_eq!((head.time(), head.witnesses().len()), (Some(at(NOW)), 4));
}
