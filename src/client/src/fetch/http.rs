//! A log's HTTP service.

use std::time::Duration;

use countermark_bundle::entry::ENTRY_BYTES_MAX;
use countermark_bundle::identity::{Epoch, Namespace};
use countermark_bundle::link::{ConsistencyLink, LINK_BYTES_MAX};
use countermark_bundle::statement::STATEMENT_BYTES_MAX;
use countermark_bundle::trust::TRUST_BYTES_MAX;
use countermark_bundle::validation_bundle::BUNDLE_BYTES_MAX;
use countermark_tlog::hash::LeafHash;
use countermark_tlog::note::NOTE_BYTES_MAX;
use countermark_tlog::policy::POLICY_BYTES_MAX;
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::TileCoord;
use countermark_tlog::tlog_proof::TLOG_PROOF_BYTES_MAX;
use reqwest::{Client, Response, StatusCode, Url, header, redirect};
use serde::de::DeserializeOwned;

use super::answers::{CertificateAnswer, ConsistencyAnswer, ConsistencyJson, InclusionAnswer, InclusionJson};
use super::tiles::entry_bundle_bytes_max;
use super::{
    FetchError, LocationError, MalformedAnswer, Place, Problem, SMALL_ANSWER_BYTES_MAX, SourceFuture, TileSource,
};

/// How long to wait for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the next bytes of an answer.
    pub silence: Duration,
    /// For a whole answer.
    pub total: Duration,
}

impl Default for Timeouts {
    /// 10 seconds for a connection, 20 of silence, 60 in all.
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), silence: Duration::from_secs(20), total: Duration::from_mins(1) }
    }
}

/// Reads one namespace of a log over HTTP.
#[derive(Clone, Debug)]
pub struct LogReader {
    http: Client,
    base: Url,
    namespace: Namespace,
}

impl LogReader {
    /// Names a log's service by its address, as `https://log.example`; a path in it is kept.
    pub fn new(address: &str, namespace: &Namespace, timeouts: Timeouts) -> Result<Self, LocationError> {
        let mut base = Url::parse(address).map_err(|_| LocationError::Address)?;
        let plain = base.query().is_none() && base.fragment().is_none();
        // A password in an address would stand in every error message.
        let anonymous = base.username().is_empty() && base.password().is_none();
        if !matches!(base.scheme(), "http" | "https") || !plain || !anonymous {
            return Err(LocationError::Address);
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        install_tls_provider()?;
        let mut client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(timeouts.connect)
            .read_timeout(timeouts.silence)
            .timeout(timeouts.total)
            .user_agent(concat!("countermark-client/", env!("CARGO_PKG_VERSION")));
        if base.scheme() == "http" {
            // Without TLS no root certificates are needed, and a system without any is no reason to fail.
            client = client.tls_certs_only([]);
        }
        let http = client.build().map_err(|source| LocationError::Client { source })?;
        Ok(Self { http, base, namespace: namespace.clone() })
    }

    /// The namespace.
    #[must_use]
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The exact bytes of an entry.
    pub async fn entry(&self, index: LeafIndex) -> Result<Vec<u8>, FetchError> {
        self.get(&self.v1(&format!("entries/{index}")), ENTRY_BYTES_MAX).await
    }

    /// The receipt of an entry: a `.tlog-proof`.
    pub async fn receipt(&self, index: LeafIndex) -> Result<Vec<u8>, FetchError> {
        self.get(&self.v1(&format!("receipts/{index}")), TLOG_PROOF_BYTES_MAX).await
    }

    /// The validation bundle of the newest active statement.
    pub async fn newest_bundle(&self) -> Result<Vec<u8>, FetchError> {
        self.get(&self.v1("bundles/newest"), BUNDLE_BYTES_MAX).await
    }

    /// The validation bundle of an epoch.
    pub async fn bundle(&self, epoch: Epoch) -> Result<Vec<u8>, FetchError> {
        self.get(&self.v1(&format!("bundles/{epoch}")), BUNDLE_BYTES_MAX).await
    }

    /// The consistency link from a size to the published one.
    pub async fn link(&self, from: TreeSize) -> Result<ConsistencyLink, FetchError> {
        let path = self.v1(&format!("links?from={from}"));
        let bytes = self.get(&path, LINK_BYTES_MAX).await?;
        ConsistencyLink::parse(&bytes).map_err(|source| self.malformed(&path, source.into()))
    }

    /// The inclusion proof of an entry by its index.
    pub async fn inclusion_by_index(&self, index: LeafIndex, size: TreeSize) -> Result<InclusionAnswer, FetchError> {
        let path = self.v1(&format!("proofs/inclusion?index={index}&size={size}"));
        let answer: InclusionJson = self.json(&path).await?;
        answer.answer(Some(index), None, size).map_err(|source| self.malformed(&path, source))
    }

    /// The inclusion proof of an entry by its leaf hash; the answer names the index.
    pub async fn inclusion_by_leaf(&self, leaf: LeafHash, size: TreeSize) -> Result<InclusionAnswer, FetchError> {
        let path = self.v1(&format!("proofs/inclusion?leaf_hash={leaf}&size={size}"));
        let answer: InclusionJson = self.json(&path).await?;
        answer.answer(None, Some(leaf), size).map_err(|source| self.malformed(&path, source))
    }

    /// The consistency proof between two sizes.
    pub async fn consistency(&self, from: TreeSize, to: TreeSize) -> Result<ConsistencyAnswer, FetchError> {
        let path = self.v1(&format!("proofs/consistency?from={from}&to={to}"));
        let answer: ConsistencyJson = self.json(&path).await?;
        answer.answer(from, to).map_err(|source| self.malformed(&path, source))
    }

    /// The exact bytes of a certified statement.
    pub async fn statement(&self, epoch: Epoch) -> Result<Vec<u8>, FetchError> {
        self.get(&self.v1(&format!("statements/{epoch}")), STATEMENT_BYTES_MAX).await
    }

    /// The certificate of an epoch, in the form of Cloudflare's plexi.
    pub async fn certificate(&self, epoch: Epoch) -> Result<CertificateAnswer, FetchError> {
        self.json(&format!("namespaces/{}/audits/{epoch}", self.namespace)).await
    }

    /// The trust file that the log was created with. A trust file from the log that it is about is for looking at, not
    /// for trusting.
    pub async fn untrusted_trust_file(&self) -> Result<Vec<u8>, FetchError> {
        self.get(&self.v1("trust"), TRUST_BYTES_MAX).await
    }

    /// The witness policy that the log works under, in the form of C2SP tlog-policy. Untrusted, as above.
    pub async fn untrusted_policy(&self) -> Result<Vec<u8>, FetchError> {
        self.get(&self.v1("policy"), POLICY_BYTES_MAX).await
    }

    /// What the log says about itself, as JSON text for a person.
    pub async fn untrusted_status(&self) -> Result<Vec<u8>, FetchError> {
        self.get(&self.v1("status"), SMALL_ANSWER_BYTES_MAX).await
    }

    fn v1(&self, path: &str) -> String {
        format!("v1/{}/{path}", self.namespace)
    }

    fn place(&self, path: &str) -> Place {
        Place::new(format_args!("{}{path}", self.base))
    }

    fn malformed(&self, path: &str, source: MalformedAnswer) -> FetchError {
        FetchError::Malformed { place: self.place(path), source }
    }

    async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, FetchError> {
        let bytes = self.get(path, SMALL_ANSWER_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|source| self.malformed(path, MalformedAnswer::Json(source)))
    }

    async fn get(&self, path: &str, limit: usize) -> Result<Vec<u8>, FetchError> {
        let place = || self.place(path);
        let url = self.base.join(path).expect("our relative paths join every http address");
        let response = self.http.get(url).send().await.map_err(|source| failed(place(), source))?;
        let code = response.status();
        let (place, status) = (place(), code.as_u16());
        if code == StatusCode::OK {
            return body(response, limit, &place).await;
        }
        if code.is_redirection() {
            return Err(FetchError::Redirected { place, status });
        }
        let problem = problem(response, &place).await.map(Box::new);
        Err(match code {
            StatusCode::NOT_FOUND => FetchError::NotFound { place, problem },
            StatusCode::NOT_IMPLEMENTED => FetchError::Refused { place, status, problem },
            _ if code.is_server_error() || code == StatusCode::TOO_MANY_REQUESTS => {
                FetchError::Unavailable { place, status, problem }
            }
            _ => FetchError::Refused { place, status, problem },
        })
    }
}

impl TileSource for LogReader {
    fn checkpoint(&self) -> SourceFuture<'_> {
        Box::pin(async { self.get(&format!("{}/checkpoint", self.namespace), NOTE_BYTES_MAX).await })
    }

    fn tile(&self, tile: TileCoord) -> SourceFuture<'_> {
        Box::pin(async move { self.get(&format!("{}/{}", self.namespace, tile.path()), tile.byte_count()).await })
    }

    fn entry_bundle(&self, bundle: TileCoord) -> SourceFuture<'_> {
        let limit = entry_bundle_bytes_max(bundle);
        Box::pin(async move { self.get(&format!("{}/{}", self.namespace, bundle.entries_path()), limit).await })
    }
}

/// Reads at most `limit` bytes, and not even the first of an answer that announces more.
async fn body(mut response: Response, limit: usize, place: &Place) -> Result<Vec<u8>, FetchError> {
    let too_large = || FetchError::TooLarge { place: place.clone(), limit };
    let within = |announced: u64| usize::try_from(announced).is_ok_and(|announced| announced <= limit);
    if !response.content_length().is_none_or(within) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|source| failed(place.clone(), source))? {
        if bytes.len().saturating_add(chunk.len()) > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The problem document of a refusal. One that is missing, too large or no problem is not worth another error.
async fn problem(response: Response, place: &Place) -> Option<Problem> {
    let kind = response.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    if !kind.starts_with("application/problem+json") {
        return None;
    }
    let bytes = body(response, SMALL_ANSWER_BYTES_MAX, place).await.ok()?;
    Problem::parse(&bytes)
}

fn failed(place: Place, source: reqwest::Error) -> FetchError {
    if source.is_timeout() {
        FetchError::TimedOut { place }
    } else {
        // The address stands in `place` already.
        FetchError::Unreachable { place, source: source.without_url() }
    }
}

/// Installs the process's TLS provider, unless the app that links us has installed its own.
fn install_tls_provider() -> Result<(), LocationError> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    rustls::crypto::CryptoProvider::get_default().map(|_| ()).ok_or(LocationError::TlsProvider)
}
