//! Every kind of file, broken once.

use countermark_bundle::ExitClass;

use super::*;

/// Damages one file for a while and expects one finding, with its class, and what becomes of the root.
async fn check(log: &TileLog, path: &str, change: fn(Vec<u8>) -> Option<Vec<u8>>, expect: (Rule, ExitClass, Outcome)) {
    let before = std::fs::read(log.path(path)).unwrap();
    log.change(path, change);
    let report = run(request(log)).await.unwrap();
    std::fs::write(log.path(path), before).unwrap();
    let found: Vec<_> = report.findings.iter().filter(|finding| finding.rule != Rule::RootDiffers).collect();
    let [finding] = found.as_slice() else { panic!("{path}: {found:?}") };
    let root = outcome(&report, CheckName::Root);
    assert_eq!((finding.rule, report.exit_class().unwrap(), root), expect, "{path}: {finding:?}");
    assert!(path.ends_with(&finding.path), "{finding:?}");
}

fn flip_first(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    bytes[0] ^= 1;
    Some(bytes)
}

fn flip_last(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    *bytes.last_mut().unwrap() ^= 0x80;
    Some(bytes)
}

fn truncate(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    bytes.pop();
    Some(bytes)
}

fn append(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    bytes.push(0);
    Some(bytes)
}

fn remove(_: Vec<u8>) -> Option<Vec<u8>> {
    None
}

#[tokio::test]
async fn an_entry_that_was_changed_is_in_a_bundle_that_differs() {
    let differs = (Rule::BundleDiffers, ExitClass::Proof, Outcome::Failed);
    let log = TileLog::of(66_000);
    for path in ["tile/entries/000", "tile/entries/255", "tile/entries/256", "tile/entries/257.p/208"] {
        check(&log, path, flip_last, differs).await;
    }
}

#[tokio::test]
async fn a_tile_that_was_changed_is_named_and_the_root_stands() {
    let differs = (Rule::TileDiffers, ExitClass::Proof, Outcome::Verified);
    let log = TileLog::of(66_000);
    for path in ["tile/0/000", "tile/0/255", "tile/0/257.p/208", "tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1"] {
        check(&log, path, flip_last, differs).await;
    }
    check(&TileLog::of(256), "tile/1/000.p/1", flip_first, differs).await;
    check(&TileLog::of(100), "tile/0/000.p/100", flip_first, differs).await;
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let bundle = (Rule::BundleMissing, ExitClass::NotChecked, Outcome::NotChecked);
    let log = TileLog::of(66_000);
    check(&log, "tile/entries/001", remove, bundle).await;
    check(&log, "tile/entries/257.p/208", remove, bundle).await;
    let tile = (Rule::TileMissing, ExitClass::NotChecked, Outcome::Verified);
    for path in ["tile/0/000", "tile/0/257.p/208", "tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1"] {
        check(&log, path, remove, tile).await;
    }
}

#[tokio::test]
async fn bytes_that_are_no_bundle_or_tile_are_malformed() {
    let bundle = (Rule::BundleMalformed, ExitClass::Malformed, Outcome::NotChecked);
    let tile = (Rule::TileMalformed, ExitClass::Malformed, Outcome::Verified);
    let log = TileLog::of(600);
    for change in [truncate, append, |_| Some(vec![])] {
        for path in ["tile/entries/000", "tile/entries/002.p/88"] {
            check(&log, path, change, bundle).await;
        }
        for path in ["tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2"] {
            check(&log, path, change, tile).await;
        }
    }
    // The length of an entry, which moves all that follow.
    check(&log, "tile/entries/001", flip_first, bundle).await;
    // A bundle longer than 256 of the longest entries is not even read to its end.
    check(&log, "tile/entries/000", |_| Some(vec![0; 256 * 65_537 + 1]), bundle).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_no_success() {
    let log = TileLog::of(600);
    log.change("tile/entries/001", |_| None);
    std::fs::create_dir(log.path("tile/entries/001")).unwrap();
    let report = run(request(&log)).await.unwrap();
    assert_eq!(report.findings[0].rule, Rule::BundleUnreadable);
    assert_eq!(report.exit_class(), Some(ExitClass::Unreachable));
}

#[tokio::test]
async fn reads_that_fail_in_a_row_end_the_run() {
    let log = TileLog::of(256 * 40);
    for bundle in 0..40 {
        for kind in ["entries", "0"] {
            let path = log.path(&format!("tile/{kind}/{bundle:03}"));
            std::fs::remove_file(&path).unwrap();
            std::fs::create_dir(&path).unwrap();
        }
    }
    let error = run(request(&log)).await.unwrap_err();
    assert!(matches!(error, FsckError::Failing(_)), "{error}");
    assert_eq!(error.exit_class(), ExitClass::Unreachable);
}

#[tokio::test]
async fn partial_tiles_that_gave_way_to_full_ones_are_cut_from_them() {
    let (log, longer) = (TileLog::of(600), TileLog::of(1000));
    for kind in ["entries", "0"] {
        std::fs::remove_dir_all(log.path(&format!("tile/{kind}/002.p"))).unwrap();
        let from = longer.path(&format!("tile/{kind}/002"));
        std::fs::copy(from, log.path(&format!("tile/{kind}/002"))).unwrap();
    }
    let report = run(request(&log)).await.unwrap();
    assert_eq!((report.exit_class(), report.recomputed_root), (None, Some(log.root)));
    // The full one is read whole, also where the tree has only its beginning.
    log.change("tile/entries/002", append);
    let report = run(request(&log)).await.unwrap();
    assert_eq!(
        (report.findings[0].rule, report.findings[0].path.as_str()),
        (Rule::BundleMalformed, "tile/entries/002")
    );
}

#[tokio::test]
async fn a_finding_says_which_entries_it_is_about() {
    let log = TileLog::of(66_000);
    log.change("tile/entries/256", flip_last);
    log.change("tile/1/000", flip_last);
    let report = run(request(&log)).await.unwrap();
    let entries: Vec<_> =
        report.findings.iter().map(|found| (found.rule, found.first_entry, found.last_entry)).collect();
    let expected =
        [(Rule::TileDiffers, 0, 65_535), (Rule::BundleDiffers, 65_536, 65_791), (Rule::RootDiffers, 0, 65_999)];
    assert_eq!(entries, expected);
    assert!(report.findings[1].detail.contains("the first is entry 65791"), "{}", report.findings[1].detail);
}

#[tokio::test]
async fn a_hundred_findings_are_named_and_the_rest_is_counted() {
    let log = TileLog::of(256 * 150);
    for tile in 0..150 {
        log.change(&format!("tile/0/{tile:03}"), truncate);
    }
    log.change("tile/entries/149", flip_last);
    let report = run(request(&log)).await.unwrap();
    // The bundle that differs is found by the root alone, as its tile is malformed.
    assert_eq!((report.findings.len(), report.findings_omitted), (FINDINGS_MAX, 52));
    assert_eq!(report.exit_class(), Some(ExitClass::Proof), "the gravest, named or not");
}

#[tokio::test]
async fn a_checkpoint_of_more_than_is_there_ends_early() {
    let log = TileLog::of(66_000);
    let mut head = log.head(66_000);
    head.size = size(1 << 62);
    log.publish(&head);
    let report = run(request(&log)).await.unwrap();
    assert_eq!((report.findings.len(), report.exit_class()), (FINDINGS_MAX, Some(ExitClass::NotChecked)));
    assert_eq!(outcome(&report, CheckName::Root), Outcome::NotChecked);
    let looked_at = (EMPTY_RANGES_MAX + 1) * 512 + 2;
    assert!(report.findings_omitted < looked_at, "{}", report.findings_omitted);

    // With less than that missing, everything is looked at.
    head.size = size(66_001);
    log.publish(&head);
    let report = run(request(&log)).await.unwrap();
    let rules: Vec<Rule> = report.findings.iter().map(|finding| finding.rule).collect();
    assert_eq!(rules, [Rule::BundleMissing, Rule::TileMissing]);
}
