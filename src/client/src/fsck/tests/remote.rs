//! The same over HTTP, from whatever serves files.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Response, Uri, header};
use countermark_bundle::ExitClass;
use countermark_tlog::tile::TileCoord;
use tokio::net::TcpListener;

use super::*;
use crate::fetch::{Place, SourceFuture};

/// What stands before the truth at a path.
#[derive(Clone, Copy)]
enum Trick {
    /// So many answers of this status, then the truth.
    Busy { status: u16, times: usize },
    /// The truth, compressed without being asked.
    Gzip,
    /// Many zeroes, compressed.
    Bomb,
}

/// A folder behind a URL.
struct Site {
    address: String,
    tricks: Arc<Mutex<BTreeMap<String, Trick>>>,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Site {
    /// Serves a log below `/log/`.
    async fn serve(log: &TileLog) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (tricks, asked) = (Arc::<Mutex<BTreeMap<String, Trick>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (folder, for_tricks, for_asked) =
            (log.folder.path().to_path_buf(), Arc::clone(&tricks), Arc::clone(&asked));
        let router = Router::new().fallback(move |uri: Uri| {
            let path = uri.path().trim_start_matches("/log/").to_string();
            for_asked.lock().unwrap().push(path.clone());
            let answer = answer(&folder, &path, &mut for_tricks.lock().unwrap());
            async move { answer }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, tricks, asked, task }
    }

    fn trick(&self, path: &str, trick: Trick) {
        self.tricks.lock().unwrap().insert(path.to_string(), trick);
    }

    fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }

    fn request(&self, log: &TileLog) -> FsckRequest {
        let patience = Patience { tries_max: 3, pause: Duration::from_millis(1), pause_max: Duration::from_millis(2) };
        let source = FsckSource::parse(&self.address, Some("log"), Timeouts::default()).unwrap();
        FsckRequest { source, patience, ..request(log) }
    }
}

fn answer(folder: &Path, path: &str, tricks: &mut BTreeMap<String, Trick>) -> Response<Body> {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        let response = Response::builder().header(header::CONTENT_ENCODING, "gzip");
        response.body(Body::from(encoder.finish().unwrap())).unwrap()
    };
    let truth = std::fs::read(folder.join(path));
    match tricks.get_mut(path) {
        Some(Trick::Busy { status, times }) if *times > 0 => {
            *times -= 1;
            Response::builder().status(*status).header(header::RETRY_AFTER, "0").body(Body::empty()).unwrap()
        }
        Some(Trick::Gzip) => gzip(&truth.unwrap()),
        Some(Trick::Bomb) => gzip(&vec![0; 64 << 20]),
        Some(Trick::Busy { .. }) | None => match truth {
            Ok(bytes) => Response::new(Body::from(bytes)),
            Err(_) => Response::builder().status(404).body(Body::empty()).unwrap(),
        },
    }
}

#[tokio::test]
async fn a_log_behind_a_url_is_verified_like_a_folder() {
    let log = TileLog::of(66_000);
    let site = Site::serve(&log).await;
    let report = run(site.request(&log)).await.unwrap();
    assert_eq!((report.exit_class(), report.recomputed_root), (None, Some(log.root)));
    let mut asked = site.asked.lock().unwrap().clone();
    let count = asked.len();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), count, "nothing is asked for twice");

    log.change("tile/entries/255", |_| None);
    log.change("tile/0/003", |mut bytes| {
        bytes[0] ^= 1;
        Some(bytes)
    });
    let report = run(site.request(&log)).await.unwrap();
    let found: Vec<_> = report.findings.iter().map(|finding| (finding.rule, finding.path.as_str())).collect();
    assert_eq!(found, [(Rule::TileDiffers, "tile/0/003"), (Rule::BundleMissing, "tile/entries/255")]);
}

#[tokio::test]
async fn a_busy_log_is_asked_again_a_few_times() {
    let log = TileLog::of(600);
    let site = Site::serve(&log).await;
    for (path, status) in [("checkpoint", 503), ("tile/entries/001", 503), ("tile/0/001", 429), ("tile/1/000.p/2", 500)]
    {
        site.trick(path, Trick::Busy { status, times: 2 });
    }
    let report = run(site.request(&log)).await.unwrap();
    assert_eq!((report.exit_class(), site.asked("tile/entries/001")), (None, 3));

    site.trick("tile/entries/001", Trick::Busy { status: 503, times: 3 });
    let report = run(site.request(&log)).await.unwrap();
    assert_eq!(report.findings[0].rule, Rule::BundleUnreadable);
    assert_eq!(report.exit_class(), Some(ExitClass::Unreachable));
    site.trick("tile/entries/001", Trick::Busy { status: 400, times: 1 });
    let report = run(site.request(&log)).await.unwrap();
    assert_eq!(report.findings[0].rule, Rule::BundleUnreadable, "a refusal is not asked again");
}

#[tokio::test]
async fn compressed_answers_are_read_and_bounded_by_what_comes_out() {
    let log = TileLog::of(600);
    let site = Site::serve(&log).await;
    for path in ["checkpoint", "tile/entries/000", "tile/entries/002.p/88", "tile/0/001"] {
        site.trick(path, Trick::Gzip);
    }
    assert_eq!(run(site.request(&log)).await.unwrap().exit_class(), None);
    site.trick("tile/entries/000", Trick::Bomb);
    let report = run(site.request(&log)).await.unwrap();
    assert_eq!((report.findings[0].rule, report.exit_class()), (Rule::BundleMalformed, Some(ExitClass::Malformed)));
}

#[tokio::test]
async fn a_partial_tile_is_looked_for_in_the_full_one() {
    let (log, longer) = (TileLog::of(600), TileLog::of(1000));
    let site = Site::serve(&longer).await;
    std::fs::copy(log.path("checkpoint"), longer.path("checkpoint")).unwrap();
    // What the longer log does not have at this width, and does not need to.
    std::fs::copy(log.path("tile/1/000.p/2"), longer.path("tile/1/000.p/2")).unwrap();
    let report = run(site.request(&log)).await.unwrap();
    assert_eq!((report.exit_class(), report.recomputed_root), (None, Some(log.root)));
    assert_eq!((site.asked("tile/entries/002.p/88"), site.asked("tile/entries/002")), (1, 1));
}

#[tokio::test]
async fn a_log_that_goes_away_ends_the_run() {
    let log = TileLog::of(256 * 20);
    let site = Site::serve(&log).await;
    for bundle in 0..20 {
        for kind in ["entries", "0"] {
            site.trick(&format!("tile/{kind}/{bundle:03}"), Trick::Busy { status: 503, times: usize::MAX });
        }
    }
    let error = run(site.request(&log)).await.unwrap_err();
    assert!(matches!(error, FsckError::Failing(_)), "{error}");
    assert_eq!(error.exit_class(), ExitClass::Unreachable);
}

/// A source that counts what is under way at a time.
struct Crowd {
    folder: FolderSource,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Crowd {
    fn counted<'a>(&'a self, read: SourceFuture<'a>) -> SourceFuture<'a> {
        Box::pin(async move {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let answer = read.await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            answer
        })
    }
}

impl TileSource for Crowd {
    fn checkpoint(&self) -> SourceFuture<'_> {
        self.folder.checkpoint()
    }

    fn tile(&self, tile: TileCoord) -> SourceFuture<'_> {
        // Tiles are small: what is bounded here is bundles.
        self.folder.tile(tile)
    }

    fn entry_bundle(&self, bundle: TileCoord) -> SourceFuture<'_> {
        self.counted(self.folder.entry_bundle(bundle))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_under_way_are_bounded_by_bytes_however_many_jobs_there_are() {
    let log = TileLog::of(65_536 * 2 + 256 * 9);
    let folder = FolderSource::open(log.folder.path()).unwrap();
    let crowd = Arc::new(Crowd { folder, now: AtomicUsize::new(0), most: AtomicUsize::new(0) });
    let source = FsckSource::Remote(Arc::clone(&crowd) as Arc<dyn TileSource>);
    let report = run(FsckRequest { source, jobs: NonZeroUsize::new(JOBS_MAX), ..request(&log) }).await.unwrap();
    assert_eq!(report.exit_class(), None);
    let longest = 256 * 65_537;
    let most = crowd.most.load(Ordering::SeqCst);
    assert!(most <= REMOTE_BYTES_MAX / longest, "{most}");
    assert!(most > 1, "several are asked for at a time");
}

/// A source that panics.
struct Broken(FolderSource);

impl TileSource for Broken {
    fn checkpoint(&self) -> SourceFuture<'_> {
        self.0.checkpoint()
    }

    fn tile(&self, tile: TileCoord) -> SourceFuture<'_> {
        self.0.tile(tile)
    }

    fn entry_bundle(&self, bundle: TileCoord) -> SourceFuture<'_> {
        assert_ne!(bundle.index(), 3, "a defect");
        Box::pin(async { Err(FetchError::NotFound { place: Place::new("nowhere"), problem: None }) })
    }
}

#[tokio::test]
async fn a_defect_in_a_job_ends_the_run_and_is_not_swallowed() {
    let log = TileLog::of(256 * 20);
    let source = FsckSource::Remote(Arc::new(Broken(FolderSource::open(log.folder.path()).unwrap())));
    let request = FsckRequest { source, ..request(&log) };
    let ran = tokio::spawn(async move { run(request).await.map(drop) }).await;
    assert!(ran.unwrap_err().is_panic());
}
