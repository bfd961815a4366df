#[expect(clippy::unnecessary_wraps, reason = "changes of a file have one signature, and some take it away")]
mod damage;
mod heads;
mod remote;

use countermark_tlog::hash::{Hash, RootHash};

use super::*;
use crate::audit::Outcome;
use crate::testing::{TileLog, size};

/// A request about a log's folder, under its own key.
fn request(log: &TileLog) -> FsckRequest {
    FsckRequest {
        source: FsckSource::Folder(FolderSource::open(log.folder.path()).unwrap()),
        origin: None,
        trust: HeadTrust::LogKeys(vec![log.vkey()]),
        known_heads: vec![],
        jobs: NonZeroUsize::new(2),
        patience: Patience::default(),
    }
}

async fn run(request: FsckRequest) -> Result<FsckReport, FsckError> {
    fsck(request, Arc::default()).await
}

fn outcomes(report: &FsckReport) -> Vec<(CheckName, Outcome)> {
    report.checks.iter().map(|check| (check.name, check.outcome)).collect()
}

fn outcome(report: &FsckReport, name: CheckName) -> Outcome {
    report.checks.iter().find(|check| check.name == name).unwrap().outcome
}

#[tokio::test]
async fn an_undamaged_log_of_any_size_is_verified() {
    for entries in [1, 255, 256, 257, 65_536, 70_000] {
        let log = TileLog::of(entries);
        let progress = Arc::new(FsckProgress::default());
        let report = fsck(request(&log), Arc::clone(&progress)).await.unwrap();
        assert_eq!((report.exit_class(), &report.findings), (None, &vec![]), "{entries}");
        let (root, found) = (report.root, report.recomputed_root);
        assert_eq!((report.size, root, found), (size(entries), log.root, Some(log.root)));
        assert_eq!((progress.total(), progress.entries(), report.entries_hashed), (entries, entries, entries));
        let expected = [
            (CheckName::Signature, Outcome::Verified),
            (CheckName::Quorum, Outcome::NotAsked),
            (CheckName::EntryBundles, Outcome::Verified),
            (CheckName::HashTiles, Outcome::Verified),
            (CheckName::Root, Outcome::Verified),
            (CheckName::KnownHeads, Outcome::NotAsked),
        ];
        assert_eq!(outcomes(&report), expected);
    }
}

#[tokio::test]
async fn every_bundle_and_every_tile_is_counted_once() {
    let log = TileLog::of(70_000);
    let report = run(request(&log)).await.unwrap();
    let detail = |name| report.checks.iter().find(|check| check.name == name).unwrap().detail.clone();
    // 273 full and one partial at level 0, one of each at level 1, one partial at level 2.
    assert_eq!((detail(CheckName::EntryBundles), detail(CheckName::HashTiles)), ("274".to_string(), "277".to_string()));
    let bytes: usize =
        (0..70_000_u64).map(|index| format!("{index:x}").len() * usize::try_from(index % 9).unwrap()).sum();
    assert_eq!(report.entry_bytes, u64::try_from(bytes).unwrap());
}

#[tokio::test]
async fn an_empty_log_has_nothing_to_check_but_its_signature() {
    let log = TileLog::of(0);
    let report = run(request(&log)).await.unwrap();
    assert_eq!(report.exit_class(), None);
    assert_eq!(outcome(&report, CheckName::EntryBundles), Outcome::NothingToCheck);
    assert_eq!(outcome(&report, CheckName::Root), Outcome::Verified);
}

#[tokio::test]
async fn the_number_of_jobs_changes_nothing_that_is_said() {
    let log = TileLog::of(140_000);
    for path in ["tile/entries/007", "tile/0/300", "tile/1/001"] {
        log.change(path, |mut bytes| {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            Some(bytes)
        });
    }
    log.change("tile/entries/511", |_| None);
    let mut reports = Vec::new();
    for jobs in [1, 2, 7, JOBS_MAX + 100] {
        let report = run(FsckRequest { jobs: NonZeroUsize::new(jobs), ..request(&log) }).await.unwrap();
        let mut report = serde_json::to_value(&report).unwrap();
        report["elapsed_ms"] = 0.into();
        reports.push(report);
    }
    assert_eq!(reports[0]["findings"].as_array().unwrap().len(), 4, "{:#}", reports[0]["findings"]);
    assert!(reports.iter().all(|report| *report == reports[0]), "{reports:?}");
}

#[test]
fn an_address_is_a_prefix_or_a_folder_and_a_namespace_is_one_more_part() {
    let log = TileLog::of(1);
    let inside = log.path("tile");
    let (path, parent) = (log.folder.path().to_str().unwrap(), inside.parent().unwrap().to_str().unwrap());
    let parse = |address: &str, namespace| FsckSource::parse(address, namespace, Timeouts::default());
    assert!(matches!(parse(path, None), Ok(FsckSource::Folder(_))));
    assert!(matches!(parse(&format!("file://{path}"), None), Ok(FsckSource::Folder(_))));
    assert!(matches!(parse(parent, Some("tile")), Ok(FsckSource::Folder(_))));
    assert!(matches!(parse(parent, Some("other")), Err(LocationError::Folder { .. })));
    assert!(matches!(parse("https://log.example/a", Some("b")), Ok(FsckSource::Remote(_))));
    assert!(matches!(parse("https://log.example?x", None), Err(LocationError::Address)));
    assert!(matches!(parse("file://host.example/x", None), Err(LocationError::Address)));
}

#[tokio::test]
async fn the_report_has_its_documented_form() {
    let log = TileLog::of(300);
    log.change("tile/entries/000", |bytes| Some(bytes[..bytes.len() - 1].to_vec()));
    let report = serde_json::to_value(run(request(&log)).await.unwrap()).unwrap();
    assert_eq!(report["type"], REPORT_TYPE);
    assert_eq!((&report["size"], &report["recomputed_root"]), (&300.into(), &serde_json::Value::Null));
    assert_eq!(report["root"], log.root.0.to_base64());
    let finding = &report["findings"][0];
    assert_eq!((&finding["rule"], &finding["class"]), (&"bundle-malformed".into(), &"malformed".into()));
    assert_eq!((&finding["first_entry"], &finding["last_entry"]), (&0.into(), &255.into()));
    assert_eq!(report["checks"][2]["name"], "entry-bundles");
    assert_eq!(report["checks"][2]["outcome"], "failed");
}

fn another_root() -> RootHash {
    RootHash(Hash([7; 32]))
}
