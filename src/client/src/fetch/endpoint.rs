//! One HTTP service: requests with deadlines, answers with bounds, no redirects.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header, redirect};

use super::{FetchError, LocationError, Place, Problem, SMALL_ANSWER_BYTES_MAX};

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

/// A service behind an address. What it answers is never believed here.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    http: Client,
    base: Url,
}

impl Endpoint {
    /// Names a service by its address, as `https://log.example`; a path in it is kept. Answers are taken as they come.
    pub fn new(address: &str, timeouts: Timeouts) -> Result<Self, LocationError> {
        Self::build(address, timeouts, reqwest::ClientBuilder::no_gzip)
    }

    /// As [`Self::new`], and asks for compressed answers. Bounds are those of what comes out of them.
    pub fn decompressing(address: &str, timeouts: Timeouts) -> Result<Self, LocationError> {
        Self::build(address, timeouts, |client| client.gzip(true))
    }

    fn build(
        address: &str,
        timeouts: Timeouts,
        encoding: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, LocationError> {
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
        let http = encoding(client).build().map_err(|source| LocationError::Client { source })?;
        Ok(Self { http, base })
    }

    /// The address as an error shows it.
    pub fn place(&self, path: &str) -> Place {
        Place::new(format_args!("{}{path}", self.base))
    }

    /// The answer to a GET, at most `limit` bytes.
    pub async fn get(&self, path: &str, limit: usize) -> Result<Vec<u8>, FetchError> {
        self.answer(self.http.get(self.url(path)), path, limit).await
    }

    /// The answer to a POST of octets, at most `limit` bytes. After an error nobody knows whether they arrived.
    pub async fn post(&self, path: &str, octets: Vec<u8>, limit: usize) -> Result<Vec<u8>, FetchError> {
        let request = self.http.post(self.url(path)).header(header::CONTENT_TYPE, "application/octet-stream");
        self.answer(request.body(octets), path, limit).await
    }

    fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("our relative paths join every http address")
    }

    async fn answer(&self, request: RequestBuilder, path: &str, limit: usize) -> Result<Vec<u8>, FetchError> {
        let place = self.place(path);
        let response = match request.send().await {
            Ok(response) => response,
            Err(source) => return Err(failed(place, source)),
        };
        let code = response.status();
        let status = code.as_u16();
        if code == StatusCode::OK {
            return body(response, limit, &place).await;
        }
        if code.is_redirection() {
            return Err(FetchError::Redirected { place, status });
        }
        let retry_after = retry_after(&response);
        let problem = problem(response, &place).await.map(Box::new);
        Err(match code {
            StatusCode::NOT_FOUND => FetchError::NotFound { place, problem },
            StatusCode::NOT_IMPLEMENTED => FetchError::Refused { place, status, problem },
            _ if code.is_server_error() || code == StatusCode::TOO_MANY_REQUESTS => {
                FetchError::Unavailable { place, status, retry_after, problem }
            }
            _ => FetchError::Refused { place, status, problem },
        })
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

/// SPEC: RFC 9110 §10.2.3; a date instead of seconds is passed over.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    seconds.parse().ok().map(Duration::from_secs)
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
