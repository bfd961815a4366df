//! Bytes from a log, over HTTP or from a folder of exported tiles. Nothing that comes back is believed.
//!
//! Every answer is bounded while it streams, every request has a deadline, and no redirect is followed. What an answer
//! *says* is verified by whoever asked: [`crate::tree`], [`crate::proofs`], [`crate::audit`], [`crate::verify`](mod@crate::verify).
//!
//! Sources: <https://c2sp.org/tlog-tiles> for the tile paths, RFC 9457 for refusals, FORMATS.md for the rest.

mod answers;
mod endpoint;
mod error;
mod folder;
mod http;
mod patience;
mod prefix;
mod tiles;

pub use answers::{CertificateAnswer, ConsistencyAnswer, InclusionAnswer};
pub(crate) use endpoint::Endpoint;
pub use endpoint::Timeouts;
pub use error::{FetchError, MalformedAnswer, Place, Problem};
pub use folder::FolderSource;
pub use http::LogReader;
pub use patience::Patience;
pub use prefix::PrefixSource;
pub(crate) use tiles::{Buffer, entry_bundle_bytes_max, fetch_bundle, fetch_tile, fetch_tiles, resumed};
pub use tiles::{EntryBundle, PARALLEL_FETCHES_MAX};

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use countermark_bundle::identity::Namespace;
use countermark_tlog::tile::TileCoord;

/// The most bytes of a JSON answer that is no document of ours: proofs, plexi's audits, problems.
pub const SMALL_ANSWER_BYTES_MAX: usize = 16 * 1024;

/// What an asynchronous call of a source returns: a future that may move between threads.
pub type SourceFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchError>> + Send + 'a>>;

/// Where a log's checkpoint and tiles come from. "Not there" is [`FetchError::NotFound`], never an empty answer.
pub trait TileSource: Send + Sync {
    /// The newest checkpoint, a signed note of at most 1 MiB.
    fn checkpoint(&self) -> SourceFuture<'_>;

    /// A tile of hashes, at most 8 KiB.
    fn tile(&self, tile: TileCoord) -> SourceFuture<'_>;

    /// An entry bundle, at most 65,537 bytes for each of its entries.
    fn entry_bundle(&self, bundle: TileCoord) -> SourceFuture<'_>;
}

/// Where a log is: behind a URL, or a folder of exported tiles.
#[derive(Clone, Debug)]
pub enum Location {
    /// A log's HTTP service.
    Log(LogReader),
    /// A folder with `checkpoint` and `tile/` in it.
    Folder(FolderSource),
}

/// Why there is no source.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    /// Not an absolute `http`, `https` or `file` URL, or one with a query, a fragment or a password.
    #[error("a log's address is an http or https URL without query, fragment and password, or a folder")]
    Address,
    /// The folder cannot be read.
    #[error("cannot read the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No TLS provider could be installed.
    #[error("no TLS provider could be installed in this process")]
    TlsProvider,
    /// The HTTP client cannot be built.
    #[error("cannot make an HTTP client")]
    Client {
        /// What failed.
        source: reqwest::Error,
    },
}

impl Location {
    /// Reads an address: `http://…`, `https://…`, `file://…`, or the path of a folder.
    pub fn parse(address: &str, namespace: &Namespace, timeouts: Timeouts) -> Result<Self, LocationError> {
        if address.starts_with("http://") || address.starts_with("https://") {
            return LogReader::new(address, namespace, timeouts).map(Self::Log);
        }
        let folder = if address.starts_with("file://") {
            let url = reqwest::Url::parse(address).map_err(|_| LocationError::Address)?;
            url.to_file_path().map_err(|()| LocationError::Address)?
        } else {
            PathBuf::from(address)
        };
        FolderSource::open(&folder).map(Self::Folder)
    }

    /// Its tiles.
    #[must_use]
    pub fn tiles(&self) -> Arc<dyn TileSource> {
        match self {
            Self::Log(log) => Arc::new(log.clone()),
            Self::Folder(folder) => Arc::new(folder.clone()),
        }
    }

    /// The log's HTTP service, where there is one.
    #[must_use]
    pub const fn log(&self) -> Option<&LogReader> {
        match self {
            Self::Log(log) => Some(log),
            Self::Folder(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
