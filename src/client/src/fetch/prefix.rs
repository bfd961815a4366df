//! Any log in C2SP form behind a URL: `<prefix>/checkpoint`, `<prefix>/tile/…` and nothing else.
//!
//! Source: <https://c2sp.org/tlog-tiles>.

use countermark_tlog::note::NOTE_BYTES_MAX;
use countermark_tlog::tile::TileCoord;

use super::endpoint::{Endpoint, Timeouts};
use super::tiles::entry_bundle_bytes_max;
use super::{LocationError, SourceFuture, TileSource};

/// Reads a log's tree over HTTP, from whatever serves it: a log, a mirror, a bucket.
#[derive(Clone, Debug)]
pub struct PrefixSource {
    endpoint: Endpoint,
}

impl PrefixSource {
    /// Names a log by the URL that its checkpoint and tiles stand below, as `https://log.example/backup`.
    pub fn new(prefix: &str, timeouts: Timeouts) -> Result<Self, LocationError> {
        // SPEC: C2SP tlog-tiles, Log entries: logs may send bundles with `Content-Encoding: gzip`, asked or not.
        Ok(Self { endpoint: Endpoint::decompressing(prefix, timeouts)? })
    }
}

impl TileSource for PrefixSource {
    fn checkpoint(&self) -> SourceFuture<'_> {
        Box::pin(self.endpoint.get("checkpoint", NOTE_BYTES_MAX))
    }

    fn tile(&self, tile: TileCoord) -> SourceFuture<'_> {
        Box::pin(async move { self.endpoint.get(&tile.path(), tile.byte_count()).await })
    }

    fn entry_bundle(&self, bundle: TileCoord) -> SourceFuture<'_> {
        let limit = entry_bundle_bytes_max(bundle);
        Box::pin(async move { self.endpoint.get(&bundle.entries_path(), limit).await })
    }
}
