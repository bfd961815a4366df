//! C2SP tlog-witness over HTTP, the log's side. Source: <https://c2sp.org/tlog-witness>.
//!
//! It believes nothing: what comes back is bytes and a status, bounded in length.

use countermark_tlog::checkpoint::Origin;
use countermark_tlog::witness_wire::monitoring_path;
use reqwest::{Client, Response, StatusCode, Url, redirect};
use thiserror::Error;

use crate::ports::{
    PortFuture, UntrustedWitnessAnswer, WITNESS_ANSWER_MAX, WitnessClient, WitnessEndpoint, WitnessError,
};

/// Why no HTTP client was made.
#[derive(Debug, Error)]
#[error("cannot make an HTTP client")]
pub struct ClientError {
    /// What failed.
    #[from]
    source: reqwest::Error,
}

/// Speaks to witnesses over HTTP.
#[derive(Debug, Clone)]
pub struct HttpWitnessClient {
    http: Client,
}

impl HttpWitnessClient {
    /// Makes the client. It follows no redirects: a witness is where the settings say.
    pub fn new() -> Result<Self, ClientError> {
        // The one TLS provider of the process. An error means that it is installed already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Client::builder()
            .redirect(redirect::Policy::none())
            .user_agent(concat!("countermark-log/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http })
    }

    async fn add(&self, witness: &WitnessEndpoint, body: Vec<u8>) -> Result<UntrustedWitnessAnswer, WitnessError> {
        let url = format!("{}/add-checkpoint", witness.url);
        let response = self.http.post(parse_url(&url)?).body(body).send().await.map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => Ok(UntrustedWitnessAnswer::Cosignatures(read(response).await?)),
            StatusCode::CONFLICT => Ok(UntrustedWitnessAnswer::OtherSize(read(response).await?)),
            other => Ok(UntrustedWitnessAnswer::Refused { status: other.as_u16() }),
        }
    }

    async fn newest(&self, witness: &WitnessEndpoint, origin: &Origin) -> Result<Option<Vec<u8>>, WitnessError> {
        let path = monitoring_path(origin);
        let url = format!("{}/{}", witness.url, path.trim_start_matches('/'));
        let response = self.http.get(parse_url(&url)?).send().await.map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => Ok(Some(read(response).await?)),
            StatusCode::NOT_FOUND => Ok(None),
            other => Err(WitnessError::Status { status: other.as_u16() }),
        }
    }
}

impl WitnessClient for HttpWitnessClient {
    fn add_checkpoint<'a>(
        &'a self,
        witness: &'a WitnessEndpoint,
        body: Vec<u8>,
    ) -> PortFuture<'a, Result<UntrustedWitnessAnswer, WitnessError>> {
        Box::pin(self.add(witness, body))
    }

    fn newest_checkpoint<'a>(
        &'a self,
        witness: &'a WitnessEndpoint,
        origin: &'a Origin,
    ) -> PortFuture<'a, Result<Option<Vec<u8>>, WitnessError>> {
        Box::pin(self.newest(witness, origin))
    }
}

fn parse_url(url: &str) -> Result<Url, WitnessError> {
    Url::parse(url).map_err(|source| WitnessError::Unreachable { source: source.into() })
}

fn unreachable(source: reqwest::Error) -> WitnessError {
    WitnessError::Unreachable { source: source.into() }
}

/// Reads at most [`WITNESS_ANSWER_MAX`] bytes.
async fn read(mut response: Response) -> Result<Vec<u8>, WitnessError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > WITNESS_ANSWER_MAX {
            return Err(WitnessError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
