//! Asking another service over HTTP: no redirects, bounded answers, deadlines. Nothing that comes back is believed.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, redirect};
use serde::Deserialize;
use thiserror::Error;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for a whole answer.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// The most bytes of an answer that is not what was asked for: 16 KiB.
pub(crate) const SMALL_ANSWER_BYTES_MAX: usize = 16 * 1024;
/// The most characters of a problem's texts that are kept.
const PROBLEM_TEXT_MAX: usize = 300;

/// Why there is no answer that can be used.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Nobody answered, or not in time.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// What was asked.
        url: Url,
        /// What failed.
        source: reqwest::Error,
    },
    /// The service answered something else.
    #[error("{url} answers {status}: {problem}")]
    Answer {
        /// What was asked.
        url: Url,
        /// The HTTP status.
        status: StatusCode,
        /// What the service says about it.
        problem: String,
    },
    /// The answer is larger than any of its kind.
    #[error("{url} answers more than {limit} bytes")]
    TooLarge {
        /// What was asked.
        url: Url,
        /// The most bytes.
        limit: usize,
    },
}

/// The address that others are below: `http://` or `https://`, a host, at most a path, which then ends with a slash.
pub(crate) fn base(address: &str) -> Option<Url> {
    let mut base = Url::parse(address).ok()?;
    let plain = base.query().is_none() && base.fragment().is_none();
    // A password in an address would stand in every error message.
    let anonymous = base.username().is_empty() && base.password().is_none();
    if !matches!(base.scheme(), "http" | "https") || !plain || !anonymous {
        return None;
    }
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    Some(base)
}

/// A client for addresses of this scheme.
pub(crate) fn client(url: &Url) -> Result<Client, reqwest::Error> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    let mut client = Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        .user_agent(concat!("countermark-vault/", env!("CARGO_PKG_VERSION")));
    if url.scheme() == "http" {
        // Without TLS no root certificates are needed, and a system without any is no reason to fail.
        client = client.tls_certs_only([]);
    }
    client.build()
}

/// Sends a request and reads an answer of at most `limit` bytes; anything but 200 is an error.
pub(crate) async fn ask(request: RequestBuilder, url: &Url, limit: usize) -> Result<Vec<u8>, FetchError> {
    let response = request.send().await.map_err(|source| unreachable(url, source))?;
    let status = response.status();
    if status == StatusCode::OK {
        return body(response, url, limit).await;
    }
    let problem = body(response, url, SMALL_ANSWER_BYTES_MAX).await.map(|bytes| problem(&bytes)).unwrap_or_default();
    Err(FetchError::Answer { url: url.clone(), status, problem })
}

async fn body(mut response: Response, url: &Url, limit: usize) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|source| unreachable(url, source))? {
        if bytes.len().saturating_add(chunk.len()) > limit {
            return Err(FetchError::TooLarge { url: url.clone(), limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn unreachable(url: &Url, source: reqwest::Error) -> FetchError {
    // The address stands beside it already.
    FetchError::Unreachable { url: url.clone(), source: source.without_url() }
}

/// What a problem document says, fit for a terminal; empty if it is none.
fn problem(bytes: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        #[serde(rename = "type", default)]
        kind: String,
        #[serde(default)]
        detail: String,
    }
    let Ok(Problem { kind, detail }) = serde_json::from_slice(bytes) else { return String::new() };
    let text = format!("{kind}: {detail}");
    text.chars().filter(|c| !c.is_control()).take(PROBLEM_TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_says_about_a_refusal_cannot_play_with_the_terminal() {
        let document = serde_json::json!({"type": "urn:x", "detail": format!("a\u{1b}[2Jb{}", "c".repeat(999))});
        let shown = problem(&serde_json::to_vec(&document).unwrap());
        assert!(shown.starts_with("urn:x: a[2Jbcc") && shown.len() == PROBLEM_TEXT_MAX, "{shown}");
        assert_eq!(problem(b"<html>"), "");
    }

    #[test]
    fn a_base_ends_with_a_slash_and_hides_nothing() {
        assert_eq!(base("http://127.0.0.1:1/a").unwrap().as_str(), "http://127.0.0.1:1/a/");
        for bad in ["", "127.0.0.1:7316", "ftp://a", "http://a?b", "http://a#b", "http://user@a", "http://:secret@a"] {
            assert!(base(bad).is_none(), "{bad}");
        }
    }
}
