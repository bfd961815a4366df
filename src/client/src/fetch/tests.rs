use std::time::Duration;

use countermark_bundle::ExitClass;
use countermark_tlog::tile::TileCoord;

use super::*;
use crate::testing::{Lie, TestLog, World, index, namespace, serve_raw, size};

fn tile(level: u8, index: u64, width: u16) -> TileCoord {
    TileCoord::new(level, index, width).unwrap()
}

fn impatient() -> Timeouts {
    let short = Duration::from_millis(150);
    Timeouts { connect: short, silence: short, total: short }
}

fn name(error: &FetchError) -> &'static str {
    match error {
        FetchError::Unreachable { .. } => "unreachable",
        FetchError::TimedOut { .. } => "timed out",
        FetchError::Unavailable { .. } => "unavailable",
        FetchError::NotFound { .. } => "not found",
        FetchError::Redirected { .. } => "redirected",
        FetchError::Refused { .. } => "refused",
        FetchError::TooLarge { .. } => "too large",
        FetchError::Malformed { .. } => "malformed",
        FetchError::Unreadable { .. } => "unreadable",
        FetchError::Stopped => "stopped",
    }
}

#[tokio::test]
async fn everything_that_a_log_serves_is_fetched_as_it_stands() {
    let log = TestLog::serve(World::grown_to(300)).await;
    let (world, reader, len) = (log.world(), &log.reader, log.world().len());
    assert_eq!(reader.checkpoint().await.unwrap(), world.checkpoint(len).into_bytes());
    assert_eq!(reader.tile(tile(0, 0, 256)).await.unwrap(), world.grown.tile(tile(0, 0, 256)).unwrap());
    assert_eq!(reader.entry_bundle(tile(0, 1, 3)).await.unwrap(), world.grown.entry_bundle(tile(0, 1, 3)).unwrap());
    assert_eq!(&reader.entry(index(7)).await.unwrap(), world.grown.entry(7).unwrap());
    assert_eq!(reader.receipt(index(7)).await.unwrap(), world.receipt(7, len));
    assert_eq!(reader.newest_bundle().await.unwrap(), world.bundle(len).unwrap());
    assert_eq!(reader.link(size(7)).await.unwrap(), world.link(7, len));
    assert_eq!(reader.inclusion_by_index(index(7), size(9)).await.unwrap().proof, world.grown.inclusion(7, 9));
    assert_eq!(reader.consistency(size(7), size(9)).await.unwrap().proof, world.grown.consistency(7, 9));
}

#[tokio::test]
async fn every_refusal_has_its_name_and_class() {
    let log = TestLog::serve(World::active()).await;
    let cases = [
        (Lie::Status(404, "nothing-active"), "not found", ExitClass::NotActive),
        (Lie::Status(404, ""), "not found", ExitClass::NotChecked),
        (Lie::Status(409, "renewal-needed"), "refused", ExitClass::Stale),
        (Lie::Status(400, ""), "refused", ExitClass::NotChecked),
        (Lie::Status(501, "authority-changed"), "refused", ExitClass::NotChecked),
        (Lie::Status(204, ""), "refused", ExitClass::NotChecked),
        (Lie::Status(503, "nothing-published"), "unavailable", ExitClass::Unreachable),
        (Lie::Status(429, ""), "unavailable", ExitClass::Unreachable),
        (Lie::Redirect, "redirected", ExitClass::Unreachable),
        (Lie::Bytes(vec![b'x'; (1 << 20) + 1]), "too large", ExitClass::Malformed),
    ];
    for (lie, expect, class) in cases {
        log.lie("v1/backup/bundles/newest", lie);
        let error = log.reader.newest_bundle().await.unwrap_err();
        assert_eq!((name(&error), error.exit_class()), (expect, class), "{error}");
    }
    log.lie("v1/backup/bundles/newest", Lie::Bytes(vec![b'x'; 1 << 20]));
    assert_eq!(log.reader.newest_bundle().await.unwrap().len(), 1 << 20, "the limit itself is allowed");
}

#[tokio::test]
async fn a_problem_is_shown_without_what_could_move_a_cursor() {
    let log = TestLog::serve(World::active()).await;
    log.lie("v1/backup/entries/0", Lie::Status(400, "unknown-parameter"));
    let error = log.reader.entry(index(0)).await.unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!((problem.name(), problem.detail()), ("unknown-parameter", "a detail[2J"));
    assert!(!error.to_string().contains('\u{1b}'));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let log = TestLog::serve(World::active()).await;
    log.lie("backup/checkpoint", Lie::Redirect);
    let error = log.reader.checkpoint().await.unwrap_err();
    assert!(matches!(error, FetchError::Redirected { status: 302, .. }), "{error}");
    assert_eq!((log.asked("backup/checkpoint"), log.asked("")), (1, 1));
}

#[tokio::test]
async fn an_endless_body_is_cut_at_the_limit() {
    let address = serve_raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"4\r\nabcd\r\n").await;
    let reader = LogReader::new(&address, &namespace(), Timeouts::default()).unwrap();
    let error = reader.newest_bundle().await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { limit: 1_048_576, .. }), "{error}");
}

#[tokio::test]
async fn a_slow_answer_ends_at_the_deadline() {
    for begin in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"] {
        let reader = LogReader::new(&serve_raw(begin, b"").await, &namespace(), impatient()).unwrap();
        let error = reader.checkpoint().await.unwrap_err();
        assert_eq!((name(&error), error.exit_class()), ("timed out", ExitClass::Unreachable));
    }
    // Bytes that never end keep silence away, but not the deadline for the whole.
    let begin = b"HTTP/1.1 200 OK\r\nx: y\r\n";
    let timeouts = Timeouts { silence: Duration::from_mins(1), ..impatient() };
    let reader = LogReader::new(&serve_raw(begin, b"").await, &namespace(), timeouts).unwrap();
    assert_eq!(name(&reader.checkpoint().await.unwrap_err()), "timed out");
}

#[tokio::test]
async fn a_broken_connection_is_no_answer() {
    let log = TestLog::serve(World::active()).await;
    let (address, reader) = (log.address.clone(), log.reader.clone());
    drop(log);
    tokio::task::yield_now().await;
    let fresh = LogReader::new(&address, &namespace(), impatient()).unwrap();
    for reader in [reader, fresh] {
        let error = reader.checkpoint().await.unwrap_err();
        assert_eq!(error.exit_class(), ExitClass::Unreachable, "{error}");
    }
    let address = serve_raw(b"no HTTP at all\r\n\r\n", b"").await;
    let reader = LogReader::new(&address, &namespace(), Timeouts::default()).unwrap();
    assert_eq!(name(&reader.checkpoint().await.unwrap_err()), "unreachable");
}

#[tokio::test]
async fn an_answer_to_another_question_is_malformed() {
    let log = TestLog::serve(World::grown_to(20)).await;
    let inclusion = |index: u64, size: u64, leaf: &str| {
        let text = format!(r#"{{"index":{index},"size":{size},"leaf_hash":"{leaf}","path":[]}}"#);
        Lie::Bytes(text.into_bytes())
    };
    let leaf = "ab".repeat(32);
    let path = "v1/backup/proofs/inclusion?index=7&size=9";
    let not_json = Lie::Bytes(b"{}".to_vec());
    let too_long = format!(
        r#"{{"index":7,"size":9,"leaf_hash":"{leaf}","path":[{}]}}"#,
        vec![r#""AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=""#; 64].join(",")
    );
    for lie in [
        inclusion(8, 9, &leaf),
        inclusion(7, 8, &leaf),
        inclusion(7, 9, "ab"),
        not_json,
        Lie::Bytes(too_long.into_bytes()),
    ] {
        log.lie(path, lie);
        assert_eq!(name(&log.reader.inclusion_by_index(index(7), size(9)).await.unwrap_err()), "malformed");
    }
    let wanted = countermark_tlog::hash::leaf_hash(b"another");
    log.lie(&format!("v1/backup/proofs/inclusion?leaf_hash={wanted}&size=9"), inclusion(7, 9, &leaf));
    assert_eq!(name(&log.reader.inclusion_by_leaf(wanted, size(9)).await.unwrap_err()), "malformed");
    log.lie("v1/backup/proofs/consistency?from=3&to=9", Lie::Bytes(br#"{"from":3,"to":8,"proof":[]}"#.to_vec()));
    assert_eq!(name(&log.reader.consistency(size(3), size(9)).await.unwrap_err()), "malformed");
    log.lie("v1/backup/links?from=3", Lie::Bytes(b"{}".to_vec()));
    assert_eq!(name(&log.reader.link(size(3)).await.unwrap_err()), "malformed");
}

#[tokio::test]
async fn a_partial_tile_that_is_gone_is_cut_from_the_full_one() {
    let log = TestLog::serve(World::grown_to(300)).await;
    let partial = tile(0, 0, 5);
    log.lie(&format!("backup/{}", partial.path()), Lie::Status(404, ""));
    log.lie(&format!("backup/{}", partial.entries_path()), Lie::Status(404, ""));
    let bytes = fetch_tile(&log.reader, partial).await.unwrap();
    assert_eq!(bytes, log.world().grown.tile(partial).unwrap());
    let bundle = fetch_bundle(&log.reader, partial).await.unwrap();
    assert_eq!(bundle.entries().collect::<Vec<_>>(), log.world().grown.entries[..5]);
    let gone = fetch_tile(&log.reader, tile(0, 9, 5)).await.unwrap_err();
    assert!(gone.is_not_found());
}

#[tokio::test]
async fn a_tile_or_bundle_of_another_width_is_malformed() {
    let log = TestLog::serve(World::grown_to(20)).await;
    let coord = tile(0, 0, 5);
    let (path, entries) = (format!("backup/{}", coord.path()), format!("backup/{}", coord.entries_path()));
    log.lie(&path, Lie::Bytes(vec![0; 159]));
    assert_eq!(name(&fetch_tile(&log.reader, coord).await.unwrap_err()), "malformed");
    log.lie(&path, Lie::Bytes(vec![0; 161]));
    assert_eq!(name(&fetch_tile(&log.reader, coord).await.unwrap_err()), "too large");
    let bundle = log.world().grown.entry_bundle(coord).unwrap();
    for bytes in [&bundle[..bundle.len() - 1], &[bundle.as_slice(), b"x"].concat(), b""] {
        log.lie(&entries, Lie::Bytes(bytes.to_vec()));
        assert_eq!(name(&fetch_bundle(&log.reader, coord).await.unwrap_err()), "malformed");
    }
}

#[tokio::test]
async fn tiles_are_fetched_a_few_at_a_time_and_the_first_failure_ends_it() {
    let log = TestLog::serve(World::grown_to(300)).await;
    let source: Arc<dyn TileSource> = Arc::new(log.reader.clone());
    let tiles: Vec<TileCoord> = (1..=40).map(|width| tile(0, 0, width)).collect();
    let mut fetched = fetch_tiles(&source, tiles.clone()).await.unwrap();
    fetched.sort();
    assert_eq!(fetched.iter().map(|(tile, _)| *tile).collect::<Vec<_>>(), tiles);
    log.lie("backup/tile/0/000.p/3", Lie::Status(500, ""));
    assert_eq!(name(&fetch_tiles(&source, tiles).await.unwrap_err()), "unavailable");
}

#[tokio::test]
async fn a_panic_goes_on_and_a_shutdown_has_its_name() {
    let endless = tokio::spawn(std::future::pending::<()>());
    endless.abort();
    let error = resumed(endless.await).unwrap_err();
    assert_eq!((name(&error), error.exit_class()), ("stopped", ExitClass::OurFault));
    let panicked = tokio::spawn(async { panic!("a defect") }).await;
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| resumed::<()>(panicked)));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"a defect"));
}

#[test]
fn an_address_is_http_or_a_folder() {
    let parse = |address: &str| Location::parse(address, &namespace(), Timeouts::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert!(matches!(parse(path), Ok(Location::Folder(_))));
    assert!(matches!(parse(&format!("file://{path}")), Ok(Location::Folder(_))));
    assert!(parse("https://log.example").unwrap().log().is_some());
    assert!(parse("http://log.example/a/b").unwrap().log().is_some());
    assert!(parse(path).unwrap().log().is_none());
    for address in ["http://", "https://log.example?x", "https://log.example#x", "https://u:p@log.example"] {
        assert!(matches!(parse(address), Err(LocationError::Address)), "{address}");
    }
    assert!(matches!(parse("file://host.example/x"), Err(LocationError::Address)));
    assert!(matches!(parse(&format!("{path}/missing")), Err(LocationError::Folder { .. })));
    assert!(matches!(parse("ftp://log.example"), Err(LocationError::Folder { .. })), "a path like any other");
}

#[tokio::test]
async fn a_path_in_the_address_is_kept() {
    let log = TestLog::serve(World::active()).await;
    log.lie("mirror/v1/backup/entries/0", Lie::Bytes(b"here".to_vec()));
    for address in [format!("{}/mirror", log.address), format!("{}/mirror/", log.address)] {
        let reader = LogReader::new(&address, &namespace(), Timeouts::default()).unwrap();
        assert_eq!(reader.entry(index(0)).await.unwrap(), b"here");
    }
}

#[tokio::test]
async fn a_folder_answers_like_a_log() {
    let world = World::grown_to(300);
    let folder = world.export();
    let source = FolderSource::open(folder.path()).unwrap();
    assert_eq!(source.checkpoint().await.unwrap(), world.checkpoint(world.len()).into_bytes());
    let coord = tile(0, 0, 256);
    assert_eq!(source.tile(coord).await.unwrap(), world.grown.tile(coord).unwrap());
    assert_eq!(source.entry_bundle(coord).await.unwrap(), world.grown.entry_bundle(coord).unwrap());
    assert_eq!(name(&source.tile(tile(5, 0, 1)).await.unwrap_err()), "not found");
    std::fs::write(folder.path().join(coord.path()), vec![0; 8193]).unwrap();
    assert_eq!(name(&source.tile(coord).await.unwrap_err()), "too large");
    std::fs::remove_file(folder.path().join("checkpoint")).unwrap();
    std::fs::create_dir(folder.path().join("checkpoint")).unwrap();
    let error = source.checkpoint().await.unwrap_err();
    assert_eq!((name(&error), error.exit_class()), ("unreadable", ExitClass::Unreachable));
}
