//! The log over HTTP: its newest bundle, and links between its heads. What comes back is verified elsewhere.

use countermark_bundle::identity::Namespace;
use countermark_bundle::link::LINK_BYTES_MAX;
use countermark_bundle::validation_bundle::BUNDLE_BYTES_MAX;
use countermark_tlog::size::TreeSize;
use reqwest::{Client, StatusCode, Url, header};

use crate::fetch::{self, FetchError};
use crate::ports::BundleSource;

/// Reads one namespace of a log.
#[derive(Clone, Debug)]
pub(crate) struct LogClient {
    http: Client,
    /// `…/v1/<namespace>/`.
    base: Url,
}

impl LogClient {
    /// Names a log's service by its address, which ends with a slash.
    pub(crate) fn new(log_url: &Url, namespace: &Namespace) -> Result<Self, reqwest::Error> {
        let base = log_url.join(&format!("v1/{namespace}/")).expect("a namespace joins every http address");
        Ok(Self { http: fetch::client(log_url)?, base })
    }

    async fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, FetchError> {
        let url = self.base.join(path).expect("our relative paths join every http address");
        // A cache on the way must ask the log: an older bundle than the last is of no use.
        let request = self.http.get(url.clone()).header(header::CACHE_CONTROL, "no-cache");
        match fetch::ask(request, &url, limit).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(FetchError::Answer { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl BundleSource for LogClient {
    async fn newest_bundle(&self) -> Result<Option<Vec<u8>>, FetchError> {
        self.read("bundles/newest", BUNDLE_BYTES_MAX).await
    }

    async fn link(&self, from: TreeSize) -> Result<Option<Vec<u8>>, FetchError> {
        self.read(&format!("links?from={from}"), LINK_BYTES_MAX).await
    }
}
