use countermark_tlog::entry_bundle;
use countermark_tlog::tile::TileCoord;

use super::*;
use crate::testing::{Lie, ed25519_signer, size};

async fn class(log: &TestLog) -> ExitClass {
    audit_log(log).await.unwrap_err().exit_class()
}

#[tokio::test]
async fn a_head_that_is_not_believed_stops_the_audit_before_the_first_entry() {
    let log = TestLog::serve(World::grown_to(300)).await;
    let with = |change: &dyn Fn(&mut World)| {
        let mut world = World::grown_to(300);
        change(&mut world);
        world.checkpoint(world.len()).into_bytes()
    };
    let other_origin = String::from_utf8(with(&|_| {})).unwrap().replace("log.example/backup", "log.example/backuq");
    for (checkpoint, expect) in [
        (with(&|world| world.cosigners = vec![0, 1]), ExitClass::Quorum),
        (with(&|world| world.log = ed25519_signer(99)), ExitClass::UnknownAuthority),
        (other_origin.into_bytes(), ExitClass::UnknownAuthority),
        (b"no checkpoint".to_vec(), ExitClass::Malformed),
    ] {
        log.lie("backup/checkpoint", Lie::Bytes(checkpoint));
        assert_eq!(class(&log).await, expect);
    }
    log.lie("backup/checkpoint", Lie::Status(503, "nothing-published"));
    assert_eq!(class(&log).await, ExitClass::Unreachable);
    assert_eq!(log.asked("backup/tile"), 0);
}

#[tokio::test]
async fn without_a_service_the_head_is_judged_at_the_end_all_the_same() {
    let mut world = World::grown_to(300);
    world.cosigners = vec![0, 1];
    let log = TestLog::serve(world).await;
    let error = audit_with(&log, &[], false).await.unwrap_err();
    assert_eq!(error.exit_class(), ExitClass::Quorum);
}

#[tokio::test]
async fn a_stale_head_is_a_finding() {
    let mut world = World::active();
    world.cosigned_at = NOW - 86_401;
    let log = TestLog::serve(world).await;
    let report = audit_log(&log).await.unwrap();
    assert_eq!(report.exit_class(), Some(ExitClass::Stale));
    assert_eq!(rules_of(&report), ["head-is-fresh", "newest-bundle-verifies"]);
    assert_eq!(outcome(&report, CheckName::HeadAge), Outcome::Failed);
    let report = audit_with(&log, &[], false).await.unwrap();
    assert_eq!((report.exit_class(), rules_of(&report)), (Some(ExitClass::Stale), vec!["head-is-fresh"]));
}

#[tokio::test]
async fn a_smaller_log_than_was_known_is_a_rollback_and_another_one_a_fork() {
    let log = TestLog::serve(World::grown_to(300)).await;
    let (world, len) = (log.world(), log.world().len());
    let known = |at: u64, of: u64| KnownHead { size: size(at), root: world.grown.root(of) };
    let error = audit_with(&log, &[known(len + 1, len)], true).await.unwrap_err();
    assert!(matches!(error, AuditError::Rollback { .. }) && error.exit_class() == ExitClass::Rollback);
    for (at, of) in [(0, 1), (1, 2), (299, 300), (len, 5)] {
        let error = audit_with(&log, &[known(at, of)], true).await.unwrap_err();
        assert!(matches!(error, AuditError::Fork { size: found, .. } if found == size(at)), "{error}");
        assert_eq!(error.exit_class(), ExitClass::Fork);
    }
    let good = [known(0, 0), known(299, 299), known(len, len), known(len, len)];
    assert_eq!(audit_with(&log, &good, true).await.unwrap().exit_class(), None);
}

#[tokio::test]
async fn the_trust_file_s_floor_must_be_in_the_log() {
    let mut world = World::grown_to(20);
    let record = world.state.newest_active().unwrap().clone();
    let digest = record.statement.digest();
    world.trust.floor.epoch = Some(record.statement.statement().epoch);
    world.trust.floor.digest = Some(digest);
    (world.trust.floor.size, world.trust.floor.root) = (size(5), world.grown.root(5));
    let log = TestLog::serve(world).await;
    let report = audit_log(&log).await.unwrap();
    assert_eq!((report.exit_class(), outcome(&report, CheckName::TrustFloor)), (None, Outcome::Verified));

    let mut world = World::grown_to(20);
    world.trust.floor.epoch = Some(record.statement.statement().epoch);
    world.trust.floor.digest = Some(countermark_bundle::Digest::of(b"other"));
    let log = TestLog::serve(world).await;
    let report = audit_log(&log).await.unwrap();
    assert_eq!(report.exit_class(), Some(ExitClass::Fork));
    assert_eq!(outcome(&report, CheckName::TrustFloor), Outcome::Failed);

    let mut world = World::grown_to(20);
    (world.trust.floor.size, world.trust.floor.root) = (size(5), world.grown.root(6));
    let log = TestLog::serve(world).await;
    assert!(matches!(audit_log(&log).await.unwrap_err(), AuditError::Fork { .. }));
}

#[tokio::test]
async fn entry_bundles_that_are_not_the_log_s_stop_the_audit() {
    let log = TestLog::serve(World::grown_to(600)).await;
    let coord = TileCoord::new(0, 1, 256).unwrap();
    let path = format!("backup/{}", coord.entries_path());
    let entries: Vec<&[u8]> = log.world().grown.entries[256..512].iter().map(Vec::as_slice).collect();
    let encode = |entries: &[&[u8]]| entry_bundle::encode(entries.iter().copied()).unwrap();
    let good = encode(&entries);
    let mut swapped = entries.clone();
    swapped.swap(3, 4);
    for (lie, expect) in [
        (Lie::Bytes(good[..good.len() - 1].to_vec()), ExitClass::Malformed),
        (Lie::Bytes(encode(&entries[..255])), ExitClass::Malformed),
        (Lie::Bytes([good.as_slice(), b"x"].concat()), ExitClass::Malformed),
        (Lie::Bytes(encode(&swapped)), ExitClass::Proof),
        (Lie::Status(404, ""), ExitClass::NotChecked),
        (Lie::Status(500, ""), ExitClass::Unreachable),
        (Lie::Redirect, ExitClass::Unreachable),
    ] {
        log.lie(&path, lie);
        assert_eq!(class(&log).await, expect);
    }
    log.lie(&path, Lie::Bytes(good));
    assert_eq!(audit_log(&log).await.unwrap().exit_class(), None);
}

#[tokio::test]
async fn a_swapped_last_entry_is_another_root() {
    let mut world = World::active();
    let last = world.evidence("a");
    world.push(&last);
    let log = TestLog::serve(world).await;
    let mut entries: Vec<Vec<u8>> = log.world().grown.entries.clone();
    entries[3] = log.world().evidence("b").write();
    let bytes = entry_bundle::encode(entries.iter().map(Vec::as_slice)).unwrap();
    log.lie("backup/tile/entries/000.p/4", Lie::Bytes(bytes));
    let error = audit_log(&log).await.unwrap_err();
    assert!(matches!(error, AuditError::Root { .. } | AuditError::Fork { .. }), "{error}");
}

#[tokio::test]
async fn hash_tiles_that_are_not_the_log_s_are_findings() {
    let log = TestLog::serve(World::grown_to(600)).await;
    for tile in ["tile/0/000", "tile/0/001", "tile/1/000.p/2"] {
        let TilePathBytes(bytes) = tile_bytes(&log, tile);
        let mut wrong = bytes.clone();
        wrong[40] ^= 1;
        log.lie(&format!("backup/{tile}"), Lie::Bytes(wrong));
        let report = audit_log(&log).await.unwrap();
        assert_eq!(rules_of(&report), ["served-tile-is-the-log's"]);
        assert!(report.findings[0].detail.contains(tile));
        assert_eq!(report.exit_class(), Some(ExitClass::Proof));
        assert_eq!(open(&report), [(CheckName::HashTiles, Outcome::Failed)]);
        log.lie(&format!("backup/{tile}"), Lie::Bytes(bytes));
    }
    log.lie("backup/tile/0/001", Lie::Status(500, ""));
    let report = audit_log(&log).await.unwrap();
    assert_eq!(report.exit_class(), Some(ExitClass::NotChecked));
    assert_eq!(open(&report), [(CheckName::HashTiles, Outcome::NotChecked)]);
}

struct TilePathBytes(Vec<u8>);

fn tile_bytes(log: &TestLog, path: &str) -> TilePathBytes {
    let countermark_tlog::tile::TilePath::Hashes(tile) = TileCoord::parse_path(path).unwrap() else { panic!() };
    TilePathBytes(log.world().grown.tile(tile).unwrap())
}

#[tokio::test]
async fn an_audit_begins_with_the_trust_file_of_the_log_s_creation() {
    let mut world = World::active();
    world.trust.serial = 1;
    let log = TestLog::serve(world).await;
    let error = audit_log(&log).await.unwrap_err();
    assert!(matches!(error, AuditError::TrustSerial { found: 1 }) && error.exit_class() == ExitClass::Usage);
    let mut world = World::active();
    world.trust.keys.certificate.clear();
    let log = TestLog::serve(world).await;
    assert!(matches!(audit_log(&log).await.unwrap_err(), AuditError::Trust(_)));
}
