//! The configuration file: where to listen, who the witness is, which logs it follows.
//!
//! ```toml
//! listen = "127.0.0.1:7381"            # port 0 takes any free port
//! name = "witness-1.example.org/w"     # the name of the witness's key
//! key_file = "witness.key"             # Ed25519
//! ml_dsa_44_key_file = "witness-ml-dsa-44.key" # without it: Ed25519 alone
//! passphrase_file = "witness.passphrase"
//! state = "witness.sqlite"
//! # head_register = "/mnt/other/witness.register" # without it: beside the key, `witness.key.has-state`
//! # metrics_listen = "127.0.0.1:9381"  # without it: no metrics
//!
//! # log_lists = ["log-list-10qps-4klogs.1"] # logs of the public witness network, in its own format
//! # [gossip]                           # without it: peers may ask and tell, none is asked or told
//! # peers = ["https://witness-2.example.org"]
//! # interval_seconds = 60
//! # webhook = "https://pager.example.org/hook" # is POSTed a JSON document when a log has forked
//!
//! # [tls]                              # without it: plain HTTP
//! # certificate_file = "fullchain.pem"
//! # private_key_file = "privkey.pem"
//!
//! [[log]]
//! origin = "authority.example.org/fleet"
//! vkeys = ["authority.example.org/fleet+0b92e1ef+AbC…"]
//! requests_per_day = 86400             # without it: one a second, of which 864 at once
//! # url = "https://authority.example.org/fleet" # the log's monitoring prefix: its tiles relate heads in gossip
//! ```
//!
//! Paths are relative to the folder of the file. A field that is not known is refused.

mod gossip;
mod settings;

use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use countermark_service::configuration::{self, ReadError};
use countermark_service::settings::{Configured, InForce, Outside, Settings, SettingsError};
use countermark_service::tls::TlsFiles;
use countermark_tlog::log_list::{self, LOG_LIST_BYTES_MAX, LogListError};
use countermark_tlog::note::{KeyName, NoteError};
use serde::Deserialize;
use thiserror::Error;

pub use gossip::{GossipConfig, GossipConfigError, PEERS_MAX};
pub use settings::WitnessSettings;

use crate::budget::REQUESTS_PER_DAY;
use crate::logs::{FollowedLogs, LogError};

/// A configuration that was checked as far as a text can be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes any free port.
    pub listen: SocketAddr,
    /// The certificate and key of the listener; without them it speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The name of the witness's key.
    pub name: KeyName,
    /// The encrypted Ed25519 key.
    pub key_file: PathBuf,
    /// The encrypted ML-DSA-44 key, if there is one.
    pub ml_dsa_44_key_file: Option<PathBuf>,
    /// What opens them.
    pub passphrase_file: PathBuf,
    /// The SQLite file of the state.
    pub state: PathBuf,
    /// The file that knows how far the state has come; best on other storage than the state.
    pub head_register: PathBuf,
    /// Where `GET /metrics` is served; without it, nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// With whom heads are exchanged.
    pub gossip: GossipConfig,
    /// The logs that are followed.
    pub(crate) logs: FollowedLogs,
}

/// Why a configuration was refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file was not read.
    #[error(transparent)]
    File(#[from] ReadError),
    /// A flag or a variable was refused, or what they and the file say together.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// What the file, the environment and the flags say together breaks a rule.
    #[error("{source}{outside}")]
    Outside {
        /// Which rule.
        source: Box<ConfigError>,
        /// What did not come from the file.
        outside: Outside,
    },
    /// The text is not TOML, or lacks a field, or has one that is not known.
    #[error("the configuration is malformed")]
    Toml(#[from] toml::de::Error),
    /// The name is no key name.
    #[error("{name:?} cannot be the name of a key")]
    Name {
        /// What was given.
        name: String,
        /// Why not.
        source: NoteError,
    },
    /// A list could not be read.
    #[error("cannot read the log list {}", path.display())]
    ListFile {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// A list is none.
    #[error("{} is no log list", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// Why.
        source: LogListError,
    },
    /// `[gossip]`, or the `url` of a log, was refused.
    #[error("gossip cannot be configured so")]
    Gossip(#[from] GossipConfigError),
    /// A log of the configuration or of a list was refused.
    #[error("the log {origin:?} cannot be followed")]
    Log {
        /// What was given as its origin.
        origin: String,
        /// Why not.
        source: LogError,
    },
}

impl Config {
    /// Reads and checks the file at `path`, at most 1 MiB.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let (text, folder) = configuration::read(path)?;
        Config::parse(&text, &folder)
    }

    /// Reads and checks the file, with what flags and variables say in its place. Also says which value is from where.
    pub fn given(configured: &Configured<WitnessSettings>) -> Result<(Config, Vec<InForce>), ConfigError> {
        let Settings { fields, folder, outside, in_force } = configured.read()?;
        match Config::check(fields, &folder) {
            Ok(config) => Ok((config, in_force)),
            Err(refused) if outside.is_empty() => Err(refused),
            Err(refused) => Err(ConfigError::Outside { source: Box::new(refused), outside }),
        }
    }

    /// Checks a configuration whose paths are relative to `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Config, ConfigError> {
        Config::check(toml::from_str(text)?, folder)
    }

    fn check(text: ConfigText, folder: &Path) -> Result<Config, ConfigError> {
        let name = KeyName::new(&text.name).map_err(|source| ConfigError::Name { name: text.name, source })?;
        let mut logs = FollowedLogs::default();
        let mut log_urls = Vec::new();
        for log in text.logs {
            log_urls.extend(log.url.map(|url| (log.origin.clone(), url)));
            let requests_per_day = log.requests_per_day.unwrap_or(REQUESTS_PER_DAY);
            logs.follow(&log.origin, &log.vkeys, requests_per_day)
                .map_err(|source| ConfigError::Log { origin: log.origin, source })?;
        }
        for list in text.log_lists {
            follow_list(&mut logs, &folder.join(list))?;
        }
        let key_file = folder.join(text.key_file);
        Ok(Config {
            head_register: text.head_register.map_or_else(|| marker(&key_file), |file| folder.join(file)),
            metrics_listen: text.metrics_listen,
            listen: text.listen,
            tls: text.tls.map(|files| files.below(folder)),
            name,
            key_file,
            ml_dsa_44_key_file: text.ml_dsa_44_key_file.map(|file| folder.join(file)),
            passphrase_file: folder.join(text.passphrase_file),
            state: folder.join(text.state),
            gossip: GossipConfig::check(&text.gossip.unwrap_or_default(), log_urls)?,
            logs,
        })
    }
}

/// Follows every log of a list of the witness network.
fn follow_list(logs: &mut FollowedLogs, path: &Path) -> Result<(), ConfigError> {
    let unread = |source| ConfigError::ListFile { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    // One byte more than allowed, so that a list that is too long is refused and not cut.
    let most = u64::try_from(LOG_LIST_BYTES_MAX).map_or(u64::MAX, |most| most.saturating_add(1));
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(unread)?;
    let listed = log_list::parse(&bytes).map_err(|source| ConfigError::List { path: path.to_owned(), source })?;
    for log in listed {
        let origin = log.origin.to_string();
        logs.follow_listed(log).map_err(|source| ConfigError::Log { origin, source })?;
    }
    Ok(())
}

/// The file beside a key that says that the key has a state, and the head register where no other is named.
pub(crate) fn marker(key_file: &Path) -> PathBuf {
    let mut name = key_file.as_os_str().to_owned();
    name.push(".has-state");
    PathBuf::from(name)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigText {
    listen: SocketAddr,
    tls: Option<TlsFiles>,
    name: String,
    key_file: PathBuf,
    ml_dsa_44_key_file: Option<PathBuf>,
    passphrase_file: PathBuf,
    state: PathBuf,
    head_register: Option<PathBuf>,
    metrics_listen: Option<SocketAddr>,
    gossip: Option<gossip::GossipText>,
    /// May be missing: a witness is made before the logs that name it in their policies.
    #[serde(rename = "log", default)]
    logs: Vec<LogText>,
    /// Files in the witness network's format.
    #[serde(default)]
    log_lists: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogText {
    origin: String,
    vkeys: Vec<String>,
    requests_per_day: Option<u64>,
    url: Option<String>,
}

#[cfg(test)]
mod tests;
