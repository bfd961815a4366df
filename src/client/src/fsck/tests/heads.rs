//! Whose checkpoint it is, what it says, and what was known before.

use countermark_bundle::ExitClass;
use countermark_tlog::checkpoint::{Checkpoint, Origin};
use countermark_tlog::note::SignatureType;

use super::*;
use crate::testing::{TILE_LOG_ORIGIN, World, ed25519_signer, vkey};

async fn class_of(request: FsckRequest) -> ExitClass {
    run(request).await.unwrap_err().exit_class()
}

#[tokio::test]
async fn another_root_than_the_checkpoint_s_is_found() {
    let log = TileLog::of(300);
    log.publish(&Checkpoint { root: another_root(), ..log.head(300) });
    let report = run(request(&log)).await.unwrap();
    let rules: Vec<Rule> = report.findings.iter().map(|finding| finding.rule).collect();
    assert_eq!((rules, report.exit_class()), (vec![Rule::RootDiffers], Some(ExitClass::Proof)));
    assert_eq!((report.recomputed_root, outcome(&report, CheckName::Root)), (Some(log.root), Outcome::Failed));
}

#[tokio::test]
async fn a_checkpoint_that_nobody_trusted_signed_is_not_looked_behind() {
    let log = TileLog::of(300);
    let keys = |keys: Vec<_>| FsckRequest { trust: HeadTrust::LogKeys(keys), ..request(&log) };
    let other_key = vkey(TILE_LOG_ORIGIN, SignatureType::Ed25519, &ed25519_signer(78));
    assert_eq!(class_of(keys(vec![other_key.clone()])).await, ExitClass::UnknownAuthority);
    let other_log = vkey("other.example/log", SignatureType::Ed25519, &ed25519_signer(77));
    assert_eq!(class_of(keys(vec![other_log])).await, ExitClass::UnknownAuthority);
    assert_eq!(class_of(keys(vec![])).await, ExitClass::UnknownAuthority);
    let origin = Origin::new("other.example/log").unwrap();
    let other_origin = FsckRequest { origin: Some(origin), trust: HeadTrust::Nobody, ..request(&log) };
    assert_eq!(class_of(other_origin).await, ExitClass::UnknownAuthority);
    assert_eq!(run(keys(vec![other_key, log.vkey()])).await.unwrap().exit_class(), None, "one key is enough");

    log.change("checkpoint", |bytes| {
        Some(String::from_utf8(bytes).unwrap().replace("\n300\n", "\n299\n").into_bytes())
    });
    assert_eq!(class_of(request(&log)).await, ExitClass::Proof);
    log.change("checkpoint", |bytes| Some(bytes[1..].to_vec()));
    assert_eq!(class_of(request(&log)).await, ExitClass::UnknownAuthority);
    log.change("checkpoint", |_| Some(b"no note".to_vec()));
    assert_eq!(class_of(request(&log)).await, ExitClass::Malformed);
    log.change("checkpoint", |_| None);
    assert_eq!(class_of(request(&log)).await, ExitClass::NotChecked);
}

#[tokio::test]
async fn without_a_signature_everything_else_is_verified_and_it_is_no_success() {
    let log = TileLog::of(300);
    let unsigned = || FsckRequest { trust: HeadTrust::Nobody, ..request(&log) };
    let report = run(unsigned()).await.unwrap();
    assert_eq!(report.exit_class(), Some(ExitClass::NotChecked));
    assert_eq!(outcome(&report, CheckName::Signature), Outcome::NotChecked);
    assert!(report.checks[0].detail.starts_with("not verified: signature"));
    assert_eq!((outcome(&report, CheckName::Root), report.findings.len()), (Outcome::Verified, 0));
}

#[tokio::test]
async fn extension_lines_are_signed_and_mean_nothing() {
    let log = TileLog::of(300);
    log.publish_with_extensions(&log.head(300), &["an extension", "another"]);
    assert_eq!(run(request(&log)).await.unwrap().exit_class(), None);
    log.change("checkpoint", |bytes| {
        Some(String::from_utf8(bytes).unwrap().replace("another", "an other").into_bytes())
    });
    assert_eq!(class_of(request(&log)).await, ExitClass::Proof);
}

#[tokio::test]
async fn a_policy_asks_for_its_quorum() {
    let mut world = World::grown_to(300);
    let policy = || HeadTrust::Policy(world.trust.authority().unwrap().policy().clone());
    let request = |folder: &tempfile::TempDir, trust| FsckRequest {
        source: FsckSource::Folder(FolderSource::open(folder.path()).unwrap()),
        trust,
        ..request(&TileLog::of(0))
    };
    let report = run(request(&world.export(), policy())).await.unwrap();
    assert_eq!((report.exit_class(), report.witnesses.len()), (None, 3));
    assert_eq!(outcome(&report, CheckName::Quorum), Outcome::Verified);
    assert!(report.head_time.is_some());
    let trust = policy();
    world.cosigners = vec![0, 1];
    let error = run(request(&world.export(), trust.clone())).await.unwrap_err();
    assert_eq!(error.exit_class(), ExitClass::Quorum);
    let other = TileLog::of(1);
    assert_eq!(class_of(request(&other.folder, trust)).await, ExitClass::UnknownAuthority);
}

#[tokio::test]
async fn heads_known_before_must_be_beginnings_of_the_log() {
    let log = TileLog::of(66_000);
    let known = |len: u64, root: RootHash| KnownHead { size: size(len), root };
    let with = |known_heads: Vec<KnownHead>| FsckRequest { known_heads, ..request(&log) };
    let good: Vec<KnownHead> =
        [0, 1, 256, 300, 65_536, 65_700, 66_000].iter().map(|len| known(*len, log.head(*len).root)).collect();
    let report = run(with(good.clone())).await.unwrap();
    assert_eq!((report.exit_class(), outcome(&report, CheckName::KnownHeads)), (None, Outcome::Verified));
    for KnownHead { size, .. } in &good {
        let report = run(with(vec![known(size.get(), another_root())])).await.unwrap();
        assert_eq!(report.findings[0].rule, Rule::KnownHeadDiffers, "{size}");
        assert_eq!(report.exit_class(), Some(ExitClass::Fork), "{size}");
    }
    let error = run(with(vec![known(66_001, another_root())])).await.unwrap_err();
    assert!(matches!(error, FsckError::Rollback { .. }), "{error}");
    assert_eq!(error.exit_class(), ExitClass::Rollback);

    // A head before the first entry that is not there can be compared, a later one cannot.
    log.change("tile/entries/001", |_| None);
    let report = run(with(good[..3].to_vec())).await.unwrap();
    assert_eq!(outcome(&report, CheckName::KnownHeads), Outcome::Verified);
    let report = run(with(good)).await.unwrap();
    assert_eq!(outcome(&report, CheckName::KnownHeads), Outcome::NotChecked);
}
