//! What is asked of peers and of logs, over HTTP. It believes nothing: answers are bounded and parsed, never judged.

use std::time::Duration;

use countermark_service::tls::install_provider;
use countermark_tlog::checkpoint::{CheckpointError, Origin, SignedCheckpoint};
use countermark_tlog::fork::{FORK_EVIDENCE_BYTES_MAX, ForkId};
use countermark_tlog::gossip::{
    FORK_IDS_BYTES_MAX, FORKS_PATH, GossipError, HEADS_BYTES_MAX, HEADS_PATH, HeadPage, VERDICTS_BYTES_MAX, Verdict,
    origin_hash, parse_fork_ids, parse_verdicts,
};
use countermark_tlog::note::NOTE_BYTES_MAX;
use countermark_tlog::size::TreeSize;
use countermark_tlog::tile::TileCoord;
use reqwest::{Response, StatusCode, Url, redirect};
use thiserror::Error;

use crate::conviction::ConvictError;
use crate::ports::StoreError;

/// The longest that one request may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// Why no client was made.
#[derive(Debug, Error)]
#[error("cannot make an HTTP client")]
pub struct ClientError(#[from] reqwest::Error);

/// Why there is no answer to use.
#[derive(Debug, Error)]
pub enum FetchError {
    /// An address that cannot be made.
    #[error("no address below the prefix")]
    Address,
    /// Not reached, or broken off.
    #[error("no answer")]
    Unreachable(#[from] reqwest::Error),
    /// Another status than the protocol's.
    #[error("answered with status {status}")]
    Status {
        /// Which.
        status: StatusCode,
    },
    /// More bytes than allowed.
    #[error("answered with more than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// Not the protocol's bytes.
    #[error("the answer is malformed")]
    Malformed(#[from] GossipError),
    /// Our own state was not read; nothing was exchanged.
    #[error("our own state was not read")]
    Own(#[from] ConvictError),
    /// Not a checkpoint where one is due.
    #[error("the answer is no checkpoint")]
    Checkpoint(#[from] CheckpointError),
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> Self {
        Self::Own(error.into())
    }
}

/// The client of gossip. It follows no redirects: peers and logs are where the configuration says.
#[derive(Clone)]
pub struct Client(reqwest::Client);

impl Client {
    /// Makes the client.
    pub fn new() -> Result<Self, ClientError> {
        install_provider();
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(REQUEST_DEADLINE)
            .user_agent(concat!("countermark-witness/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self(http))
    }

    /// A page of a peer's heads; empty at the end.
    pub async fn heads(&self, peer: &Url, after: Option<&Origin>) -> Result<HeadPage, FetchError> {
        let mut url = below(peer, HEADS_PATH)?;
        if let Some(after) = after {
            url.set_query(Some(&format!("after={}", origin_hash(after))));
        }
        Ok(HeadPage::parse(&self.get(url, HEADS_BYTES_MAX).await?)?)
    }

    /// The head of exactly this size that a peer cosigned.
    pub async fn head_at(
        &self,
        peer: &Url,
        origin: &Origin,
        size: TreeSize,
    ) -> Result<Option<SignedCheckpoint>, FetchError> {
        let url = below(peer, &format!("{HEADS_PATH}/{}/{size}", origin_hash(origin)))?;
        match self.get(url, NOTE_BYTES_MAX).await {
            Ok(note) => Ok(Some(SignedCheckpoint::parse_allowing_extensions(&note)?)),
            Err(FetchError::Status { status: StatusCode::NOT_FOUND }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells a peer our heads.
    pub async fn push_heads(&self, peer: &Url, page: &HeadPage) -> Result<Vec<Verdict>, FetchError> {
        let request = self.0.post(below(peer, HEADS_PATH)?).body(page.to_bytes());
        let verdicts = read(successful(request.send().await?)?, VERDICTS_BYTES_MAX).await?;
        Ok(parse_verdicts(&verdicts)?)
    }

    /// The names of a peer's evidence.
    pub async fn fork_ids(&self, peer: &Url) -> Result<Vec<ForkId>, FetchError> {
        Ok(parse_fork_ids(&self.get(below(peer, FORKS_PATH)?, FORK_IDS_BYTES_MAX).await?)?)
    }

    /// Evidence of a peer.
    pub async fn fork(&self, peer: &Url, id: ForkId) -> Result<Vec<u8>, FetchError> {
        self.get(below(peer, &format!("{FORKS_PATH}/{id}"))?, FORK_EVIDENCE_BYTES_MAX).await
    }

    /// Takes evidence to a peer, which may have no use for it.
    pub async fn push_fork(&self, peer: &Url, evidence: Vec<u8>) -> Result<(), FetchError> {
        let response = self.0.post(below(peer, FORKS_PATH)?).body(evidence).send().await?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => Ok(()),
            _ => successful(response).map(drop),
        }
    }

    /// A tile as wide as asked for; cut from the full one where the log no longer keeps the partial.
    pub async fn tile(&self, log: &Url, tile: TileCoord) -> Result<Vec<u8>, FetchError> {
        match self.get(below(log, &tile.path())?, tile.byte_count()).await {
            // SPEC: C2SP tlog-tiles, Partial Tiles: may be deleted once the full tile is there.
            Err(FetchError::Status { .. }) if !tile.is_full() => {
                let mut full = self.get(below(log, &tile.full().path())?, tile.full().byte_count()).await?;
                full.truncate(tile.byte_count());
                Ok(full)
            }
            outcome => outcome,
        }
    }

    /// Tells a webhook.
    pub async fn tell(&self, webhook: &Url, document: String) -> Result<(), FetchError> {
        let request = self.0.post(webhook.clone()).header("content-type", "application/json").body(document);
        successful(request.send().await?).map(drop)
    }

    async fn get(&self, url: Url, max: usize) -> Result<Vec<u8>, FetchError> {
        read(successful(self.0.get(url).send().await?)?, max).await
    }
}

fn below(prefix: &Url, path: &str) -> Result<Url, FetchError> {
    prefix.join(path).map_err(|_| FetchError::Address)
}

fn successful(response: Response) -> Result<Response, FetchError> {
    match response.status() {
        StatusCode::OK => Ok(response),
        status => Err(FetchError::Status { status }),
    }
}

async fn read(mut response: Response, max: usize) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len().saturating_add(chunk.len()) > max {
            return Err(FetchError::TooLarge { max });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
