//! The recomputation of a whole log from the bytes of its entries: every entry bundle against its hash tile, every tile of
//! every level, the root, and roots that were known before.
//!
//! It reads any log in C2SP form, over HTTP or from a folder, and does not know what the entries mean:
//! [`crate::audit`](mod@crate::audit) checks their rules. What is wrong is a [`Finding`] and the run goes on; a report is
//! a success only if everything was there, everything was right, and the checkpoint's signature was verified.
//!
//! Memory is bounded whatever the log's length: one entry bundle for each job that reads a folder, at most
//! [`REMOTE_BYTES_MAX`] of answers under way, and [`FINDINGS_MAX`] findings. Time is bounded by what is there: a run ends
//! early where nothing is ([`EMPTY_RANGES_MAX`]) or nothing answers ([`FAILURES_IN_A_ROW_MAX`]).
//!
//! Sources: <https://c2sp.org/tlog-tiles>, <https://c2sp.org/tlog-checkpoint>, RFC 6962 §2.1.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use countermark_bundle::ExitClass;
use countermark_tlog::checkpoint::{Origin, SignedCheckpoint};
use countermark_tlog::recompute::RecomputeError;
use countermark_tlog::size::TreeSize;

use crate::audit::KnownHead;
use crate::fetch::{FetchError, FolderSource, LocationError, Patience, PrefixSource, TileSource, Timeouts, resumed};
use crate::head::HeadError;

mod findings;
mod head;
mod job;
mod report;
mod run;
mod shelf;

pub use findings::{FINDINGS_MAX, Finding, Rule};
pub use head::HeadTrust;
pub use report::{CheckName, FsckCheck, FsckReport, REPORT_TYPE};
pub use run::EMPTY_RANGES_MAX;
pub use shelf::REMOTE_BYTES_MAX;

/// The most jobs.
pub const JOBS_MAX: usize = 64;
/// Reads that fail in a row, each after all its tries, before a run ends.
pub const FAILURES_IN_A_ROW_MAX: u64 = 16;

/// Where a log is that may be anybody's.
#[derive(Clone)]
pub enum FsckSource {
    /// A folder with `checkpoint` and `tile/` in it.
    Folder(FolderSource),
    /// Whatever answers requests.
    Remote(Arc<dyn TileSource>),
}

impl FsckSource {
    /// Reads an address: `http://…` or `https://…` as the prefix of checkpoint and tiles, else the path of a folder.
    /// A namespace is one more part of either.
    pub fn parse(address: &str, namespace: Option<&str>, timeouts: Timeouts) -> Result<Self, LocationError> {
        if address.starts_with("http://") || address.starts_with("https://") {
            let prefix = match namespace {
                Some(namespace) => format!("{}/{namespace}", address.trim_end_matches('/')),
                None => address.to_string(),
            };
            return Ok(Self::Remote(Arc::new(PrefixSource::new(&prefix, timeouts)?)));
        }
        let folder = match address.strip_prefix("file://") {
            Some(_) => {
                let url = reqwest::Url::parse(address).map_err(|_| LocationError::Address)?;
                url.to_file_path().map_err(|()| LocationError::Address)?
            }
            None => PathBuf::from(address),
        };
        let folder = namespace.map_or_else(|| folder.clone(), |namespace| folder.join(Path::new(namespace)));
        FolderSource::open(&folder).map(Self::Folder)
    }

    async fn checkpoint(&self, patience: Patience) -> Result<Vec<u8>, FetchError> {
        match self {
            Self::Folder(folder) => folder.checkpoint().await,
            Self::Remote(source) => patience.ask(|| source.checkpoint()).await,
        }
    }
}

/// What to recompute.
pub struct FsckRequest {
    /// Where the log is.
    pub source: FsckSource,
    /// The log that it must be; any that is trusted if not said.
    pub origin: Option<Origin>,
    /// Who must have signed its checkpoint.
    pub trust: HeadTrust,
    /// Heads known before, which the log must continue.
    pub known_heads: Vec<KnownHead>,
    /// Ranges that are read and hashed at a time, at most [`JOBS_MAX`]; as many as there are processors if not said.
    pub jobs: Option<NonZeroUsize>,
    /// How long a remote log is waited for.
    pub patience: Patience,
}

/// How far a run is; read while it runs.
#[derive(Debug, Default)]
pub struct FsckProgress {
    total: AtomicU64,
    entries: AtomicU64,
}

impl FsckProgress {
    /// Entries of the tree; 0 until the checkpoint was read.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Entries whose bundles were looked at.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    fn add(&self, entries: u64) {
        self.entries.fetch_add(entries, Ordering::Relaxed);
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// The head is not believed.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The log is smaller than it was.
    #[error("the log has {found} entries, it had {known}")]
    Rollback {
        /// The size known before.
        known: TreeSize,
        /// The head's size.
        found: TreeSize,
    },
    /// Nothing can be read any more.
    #[error("{FAILURES_IN_A_ROW_MAX} reads failed in a row: {0}")]
    Failing(FetchError),
    /// The runtime is shutting down.
    #[error(transparent)]
    Stopped(FetchError),
    /// The arithmetic does not fit; a defect.
    #[error(transparent)]
    Recompute(#[from] RecomputeError),
}

impl FsckError {
    /// The class that a process exits with.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Head(error) => error.exit_class(),
            Self::Rollback { .. } => ExitClass::Rollback,
            Self::Failing(error) | Self::Stopped(error) => error.exit_class(),
            Self::Recompute(_) => ExitClass::OurFault,
        }
    }
}

/// Recomputes a log. Reads and hashes on threads of its own, which end soon after the returned future is dropped.
pub async fn fsck(request: FsckRequest, progress: Arc<FsckProgress>) -> Result<FsckReport, FsckError> {
    let FsckRequest { source, origin, trust, known_heads, jobs, patience } = request;
    let begun = Instant::now();
    let note = source.checkpoint(patience).await.map_err(HeadError::Fetch)?;
    // Logs of others may have extension lines; they are signed and mean nothing to us.
    let signed = SignedCheckpoint::parse_allowing_extensions(&note).map_err(HeadError::Malformed)?;
    let found = &signed.checkpoint().origin;
    if let Some(expected) = origin.filter(|expected| expected != found) {
        return Err(HeadError::OtherOrigin { expected, found: found.clone() }.into());
    }
    let believed = trust.verify(&signed)?;
    let size = signed.checkpoint().size;
    if let Some(larger) = known_heads.iter().find(|known| known.size > size) {
        return Err(FsckError::Rollback { known: larger.size, found: size });
    }
    progress.total.store(size.get(), Ordering::Relaxed);

    let stop = StopOnDrop(Arc::default());
    let plan = run::Plan {
        source,
        head: signed.checkpoint().clone(),
        roots_at: known_heads.iter().map(|known| known.size).collect(),
        jobs: jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get).min(JOBS_MAX),
        patience,
        progress,
        stop: Arc::clone(&stop.0),
        runtime: tokio::runtime::Handle::current(),
    };
    let ran = resumed(tokio::task::spawn_blocking(move || run::run(&plan)).await).map_err(FsckError::Stopped)??;
    Ok(report::report(signed.checkpoint(), &believed, &known_heads, ran, begun.elapsed()))
}

/// Tells the threads that nobody waits any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
