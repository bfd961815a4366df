//! The configuration file: where to listen, who the witness is, which logs it follows.
//!
//! ```toml
//! listen = "127.0.0.1:7381"            # port 0 takes any free port
//! name = "witness-1.example.org/w"     # the name of the witness's key
//! key_file = "witness.key"
//! passphrase_file = "witness.passphrase"
//! state = "witness.sqlite"
//!
//! [[log]]
//! origin = "authority.example.org/fleet"
//! vkeys = ["authority.example.org/fleet+0b92e1ef+AbC…"]
//! ```
//!
//! Paths are relative to the folder of the file. A field that is not known is refused.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use countermark_tlog::note::{KeyName, NoteError};
use serde::Deserialize;
use thiserror::Error;

use crate::logs::{FollowedLogs, LogError};

/// The most bytes of a configuration file: 1 MiB.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// A configuration that was checked as far as a text can be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes any free port.
    pub listen: SocketAddr,
    /// The name of the witness's key.
    pub name: KeyName,
    /// The encrypted key.
    pub key_file: PathBuf,
    /// What opens it.
    pub passphrase_file: PathBuf,
    /// The SQLite file of the state.
    pub state: PathBuf,
    /// The logs that are followed.
    pub(crate) logs: FollowedLogs,
}

/// Why a configuration was refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The file is larger than 1 MiB.
    #[error("the configuration {} is larger than {CONFIG_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
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
    /// A `[[log]]` was refused.
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
        let read_error = |source| ConfigError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(read_error)?;
        let mut text = String::new();
        file.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text).map_err(read_error)?;
        if text.len() > usize::try_from(CONFIG_BYTES_MAX).unwrap_or(usize::MAX) {
            return Err(ConfigError::TooLarge { path: path.to_owned() });
        }
        Config::parse(&text, path.parent().unwrap_or(Path::new("")))
    }

    /// Checks a configuration whose paths are relative to `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Config, ConfigError> {
        let text: ConfigText = toml::from_str(text)?;
        let name = KeyName::new(&text.name).map_err(|source| ConfigError::Name { name: text.name, source })?;
        let mut logs = FollowedLogs::default();
        for log in text.logs {
            logs.follow(&log.origin, &log.vkeys).map_err(|source| ConfigError::Log { origin: log.origin, source })?;
        }
        Ok(Config {
            listen: text.listen,
            name,
            key_file: folder.join(text.key_file),
            passphrase_file: folder.join(text.passphrase_file),
            state: folder.join(text.state),
            logs,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigText {
    listen: SocketAddr,
    name: String,
    key_file: PathBuf,
    passphrase_file: PathBuf,
    state: PathBuf,
    /// May be missing: a witness is made before the logs that name it in their policies.
    #[serde(rename = "log", default)]
    logs: Vec<LogText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogText {
    origin: String,
    vkeys: Vec<String>,
}

#[cfg(test)]
mod tests;
