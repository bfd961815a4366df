//! A log's HTTP service.

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
use serde::de::DeserializeOwned;

use super::answers::{CertificateAnswer, ConsistencyAnswer, ConsistencyJson, InclusionAnswer, InclusionJson};
use super::endpoint::{Endpoint, Timeouts};
use super::tiles::entry_bundle_bytes_max;
use super::{FetchError, LocationError, MalformedAnswer, SMALL_ANSWER_BYTES_MAX, SourceFuture, TileSource};

/// Reads one namespace of a log over HTTP.
#[derive(Clone, Debug)]
pub struct LogReader {
    endpoint: Endpoint,
    namespace: Namespace,
}

impl LogReader {
    /// Names a log's service by its address, as `https://log.example`; a path in it is kept.
    pub fn new(address: &str, namespace: &Namespace, timeouts: Timeouts) -> Result<Self, LocationError> {
        Ok(Self { endpoint: Endpoint::new(address, timeouts)?, namespace: namespace.clone() })
    }

    /// The namespace.
    #[must_use]
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> String {
        self.endpoint.place("").to_string()
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

    fn malformed(&self, path: &str, source: MalformedAnswer) -> FetchError {
        FetchError::Malformed { place: self.endpoint.place(path), source }
    }

    async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, FetchError> {
        let bytes = self.get(path, SMALL_ANSWER_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|source| self.malformed(path, MalformedAnswer::Json(source)))
    }

    async fn get(&self, path: &str, limit: usize) -> Result<Vec<u8>, FetchError> {
        self.endpoint.get(path, limit).await
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
