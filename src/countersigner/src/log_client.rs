//! The log over HTTP: the static files of C2SP tlog-tiles to read, `POST /v1/{namespace}/entries` to write.
//!
//! It believes nothing: what comes back is bytes, bounded in length.

use std::time::Duration;

use countermark_bundle::identity::Namespace;
use countermark_service::bearer::{self, BearerRefused};
use countermark_tlog::entry_bundle::ENTRY_BYTES_MAX;
use countermark_tlog::note::NOTE_BYTES_MAX;
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::{TILE_BYTES_MAX, TileCoord};
use reqwest::{Client, Response, StatusCode, Url, header, redirect};
use serde::Deserialize;
use thiserror::Error;

use crate::ports::{
    LogReader, LogSubmitter, PortFuture, ProblemName, ReadError, Resource, SubmitError, UntrustedAnswer,
};

/// The most bytes of an entry bundle: 256 entries of 65,535 bytes, each behind two bytes of length.
const ENTRY_BUNDLE_BYTES_MAX: usize = 256 * (2 + ENTRY_BYTES_MAX);
/// The most bytes of an answer to a submission.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How long the log may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// For one file.
    pub read: Duration,
    /// For one submission, with its wait for publication.
    pub submit: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { read: Duration::from_secs(10), submit: Duration::from_mins(1) }
    }
}

/// Why no client was made.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Refused: not the address of a log.
    #[error("log_url must be an http or https URL without query and fragment")]
    Url,
    /// Refused: access tokens could be read on their way there.
    #[error("log_url")]
    Bearer(#[from] BearerRefused),
    /// Fault: the HTTP library.
    #[error("cannot make an HTTP client")]
    Http(#[from] reqwest::Error),
}

/// Reads and writes one namespace of a log.
#[derive(Debug, Clone)]
pub struct LogClient {
    http: Client,
    base: String,
    namespace: Namespace,
    deadlines: Deadlines,
}

#[derive(Deserialize)]
struct Published {
    index: u64,
    size: u64,
    level: Level,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Level {
    Committed,
    Witnessed,
    Published,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
}

/// Why an answer was not read.
enum BodyError {
    Http(reqwest::Error),
    TooLong,
}

impl LogClient {
    /// Makes a client. It follows no redirects: the log is where the operator says.
    pub fn new(log_url: &str, namespace: Namespace, deadlines: Deadlines) -> Result<Self, ClientError> {
        let url = Url::parse(log_url).map_err(|_| ClientError::Url)?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            return Err(ClientError::Url);
        }
        bearer::check(log_url)?;
        // The one TLS provider of the process. An error means that it is installed already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Client::builder()
            .redirect(redirect::Policy::none())
            .user_agent(concat!("countermark-countersigner/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, base: log_url.trim_end_matches('/').to_owned(), namespace, deadlines })
    }

    async fn read(&self, what: Resource, path: String, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
        let url = format!("{}/{}/{path}", self.base, self.namespace);
        let request = self.http.get(url).timeout(self.deadlines.read);
        // A cache on the way must ask the log: an older checkpoint than the last looks like a rollback.
        let request = request.header(header::CACHE_CONTROL, "no-cache");
        let response = request.send().await.map_err(unread)?;
        if response.status() != StatusCode::OK {
            return Err(ReadError::Status { what, status: response.status().as_u16() });
        }
        body(response, bytes_max).await.map_err(|error| match error {
            BodyError::Http(error) => unread(error),
            BodyError::TooLong => ReadError::TooLong { what, bytes_max },
        })
    }

    async fn write(&self, entry: &[u8], access_token: &str) -> Result<UntrustedAnswer, SubmitError> {
        let url = format!("{}/v1/{}/entries?wait=published", self.base, self.namespace);
        let request = self
            .http
            .post(url)
            .timeout(self.deadlines.submit)
            .bearer_auth(access_token)
            .header(header::CONTENT_TYPE, "application/json")
            .body(entry.to_vec());
        let response = request.send().await.map_err(unsubmitted)?;
        let status = response.status();
        let malformed = || SubmitError::Malformed { status: status.as_u16() };
        let body = body(response, ANSWER_BYTES_MAX).await.map_err(|error| match error {
            BodyError::Http(error) => unsubmitted(error),
            BodyError::TooLong => malformed(),
        })?;
        match status {
            StatusCode::OK => published(&body).ok_or_else(malformed),
            StatusCode::ACCEPTED => Ok(UntrustedAnswer::Accepted),
            StatusCode::CONFLICT => Err(SubmitError::Conflict { problem: problem(&body) }),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Err(SubmitError::Overloaded { status: status.as_u16() })
            }
            _ if status.is_client_error() => {
                Err(SubmitError::Refused { status: status.as_u16(), problem: problem(&body) })
            }
            _ if status.is_server_error() => Err(SubmitError::Failed { status: status.as_u16() }),
            _ => Err(malformed()),
        }
    }
}

impl LogReader for LogClient {
    fn checkpoint(&self) -> PortFuture<'_, Result<Vec<u8>, ReadError>> {
        Box::pin(self.read(Resource::Checkpoint, "checkpoint".to_owned(), NOTE_BYTES_MAX))
    }

    fn tile(&self, tile: TileCoord) -> PortFuture<'_, Result<Vec<u8>, ReadError>> {
        Box::pin(self.read(Resource::Tile, tile.path(), TILE_BYTES_MAX))
    }

    fn entry_bundle(&self, bundle: TileCoord) -> PortFuture<'_, Result<Vec<u8>, ReadError>> {
        Box::pin(self.read(Resource::EntryBundle, bundle.entries_path(), ENTRY_BUNDLE_BYTES_MAX))
    }
}

impl LogSubmitter for LogClient {
    fn submit<'a>(
        &'a self,
        entry: &'a [u8],
        access_token: &'a str,
    ) -> PortFuture<'a, Result<UntrustedAnswer, SubmitError>> {
        Box::pin(self.write(entry, access_token))
    }
}

/// Reads at most `bytes_max` bytes.
async fn body(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Http)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(BodyError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn published(body: &[u8]) -> Option<UntrustedAnswer> {
    let answer: Published = serde_json::from_slice(body).ok()?;
    if answer.level != Level::Published {
        return Some(UntrustedAnswer::Accepted);
    }
    Some(UntrustedAnswer::Published { index: LeafIndex::new(answer.index)?, size: TreeSize::new(answer.size)? })
}

fn problem(body: &[u8]) -> Option<ProblemName> {
    let problem: Problem = serde_json::from_slice(body).ok()?;
    ProblemName::new(&problem.kind)
}

fn unread(error: reqwest::Error) -> ReadError {
    if error.is_timeout() { ReadError::TimedOut } else { ReadError::Unreachable { source: error.into() } }
}

fn unsubmitted(error: reqwest::Error) -> SubmitError {
    if error.is_timeout() { SubmitError::TimedOut } else { SubmitError::Unreachable { source: error.into() } }
}

#[cfg(test)]
mod tests;
