//! `[gossip]`: the peers, how often, and whom to wake.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use thiserror::Error;

/// The most peers of a witness.
pub const PEERS_MAX: usize = 32;

/// The longest time between two rounds: a day.
const INTERVAL_SECONDS_MAX: u64 = 86_400;

/// With whom heads are exchanged, and where the tiles are that relate them.
#[derive(Clone, Debug)]
pub struct GossipConfig {
    /// The peers; each URL ends with a slash.
    pub(crate) peers: Vec<Url>,
    /// From the end of a round to the beginning of the next.
    pub(crate) interval: Duration,
    /// Who is told of a fork.
    pub(crate) webhook: Option<Url>,
    /// The monitoring prefixes of logs by origin; each ends with a slash.
    pub(crate) log_urls: BTreeMap<String, Url>,
}

/// Why gossip cannot be configured so.
#[derive(Debug, Error)]
pub enum GossipConfigError {
    /// Not an address.
    #[error("{url:?} is not an http or https address without query, fragment, user and password")]
    Url {
        /// What was given.
        url: String,
    },
    /// Too many peers.
    #[error("a witness has at most {PEERS_MAX} peers, found {found}")]
    Peers {
        /// How many.
        found: usize,
    },
    /// No time between rounds, or too much.
    #[error("interval_seconds is 1 to {INTERVAL_SECONDS_MAX}, found {found}")]
    Interval {
        /// What was given.
        found: u64,
    },
}

/// The section as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GossipText {
    #[serde(default)]
    peers: Vec<String>,
    #[serde(default = "a_minute")]
    interval_seconds: u64,
    webhook: Option<String>,
}

impl Default for GossipText {
    fn default() -> Self {
        Self { peers: Vec::new(), interval_seconds: a_minute(), webhook: None }
    }
}

fn a_minute() -> u64 {
    60
}

impl GossipConfig {
    pub(super) fn check(text: &GossipText, log_urls: Vec<(String, String)>) -> Result<Self, GossipConfigError> {
        if text.peers.len() > PEERS_MAX {
            return Err(GossipConfigError::Peers { found: text.peers.len() });
        }
        if !(1..=INTERVAL_SECONDS_MAX).contains(&text.interval_seconds) {
            return Err(GossipConfigError::Interval { found: text.interval_seconds });
        }
        Ok(Self {
            peers: text.peers.iter().map(|url| prefix(url)).collect::<Result<_, _>>()?,
            interval: Duration::from_secs(text.interval_seconds),
            webhook: text.webhook.as_deref().map(address).transpose()?,
            log_urls: log_urls
                .into_iter()
                .map(|(origin, url)| Ok((origin, prefix(&url)?)))
                .collect::<Result<_, GossipConfigError>>()?,
        })
    }
}

/// An address under which others stand.
fn prefix(text: &str) -> Result<Url, GossipConfigError> {
    let mut url = address(text)?;
    if url.query().is_some() {
        return Err(GossipConfigError::Url { url: text.to_owned() });
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// A password in an address would stand in every log line.
fn address(text: &str) -> Result<Url, GossipConfigError> {
    let refused = || GossipConfigError::Url { url: text.to_owned() };
    let url = Url::parse(text).map_err(|_| refused())?;
    let anonymous = url.username().is_empty() && url.password().is_none();
    if matches!(url.scheme(), "http" | "https") && anonymous && url.fragment().is_none() {
        Ok(url)
    } else {
        Err(refused())
    }
}
