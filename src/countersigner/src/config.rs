//! The configuration file: TOML, every field known, every relative path relative to the file.
//!
//! ```toml
#![doc = include_str!("../countersigner.example.toml")]
//! ```

mod settings;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use countermark_bundle::identity::Name;
use countermark_service::bearer::{self, BearerRefused};
use countermark_service::configuration::{self, ReadError};
use countermark_service::settings::{Configured, InForce, Outside, Settings, SettingsError};
use countermark_service::tls::TlsFiles;
use countermark_signer_policy::access_token::{Audience, Issuer};
use serde::Deserialize;
use thiserror::Error;

pub use settings::CountersignerSettings;

/// The bounds of `poll_interval_ms`.
const POLL_INTERVAL_MS: std::ops::RangeInclusive<u64> = 10..=3_600_000;
/// The longest cool-off: 31 days.
const COOL_OFF_SECONDS_MAX: u64 = 31 * 86_400;

/// How one countersigner is run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the status page listens: a loopback address, unless it speaks TLS. Port 0 takes a free one.
    #[serde(default = "any_loopback_port")]
    pub listen: SocketAddr,
    /// The certificate and key of the status page; without them it speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The log's address, before `/<namespace>/checkpoint` and `/v1/<namespace>/entries`.
    pub log_url: String,
    /// The operator's own trust file: that of the namespace's creation.
    pub trust: PathBuf,
    /// The key file of the countersigning key, of the role operator.
    pub operator_key_file: PathBuf,
    /// The key file that access tokens are signed with, of the role token-issuer.
    pub token_key_file: PathBuf,
    /// The passphrase of both key files.
    pub passphrase_file: PathBuf,
    /// The ledger's database, made by `init`.
    pub ledger: PathBuf,
    /// A folder of operator policies. Without it the shipped ones decide.
    pub policy: Option<PathBuf>,
    /// The audience of access tokens: the log's name for itself.
    pub token_audience: Audience,
    /// The issuer of access tokens, as the log's key set names the token key.
    pub issuer: Issuer,
    /// The countersigner's name in access tokens.
    pub subject: Name,
    /// How long an addition waits before it is countersigned. 0 is for demonstrations.
    pub cool_off_seconds: u64,
    /// How often the log is asked for its checkpoint.
    #[serde(default = "half_a_second")]
    pub poll_interval_ms: u64,
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
    /// Not TOML, a field that is missing, unknown or malformed.
    #[error("{}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// The status page would be reachable from elsewhere.
    #[error("{}: listen is {found}; without [tls] the status page listens on the loopback interface only", path.display())]
    NotLoopback {
        /// The file.
        path: PathBuf,
        /// The address found.
        found: SocketAddr,
    },
    /// Access tokens would be sent to nobody, or could be read on their way.
    #[error("{}: log_url", path.display())]
    LogUrl {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BearerRefused,
    },
    /// A number outside its bounds.
    #[error("{}: {field} is {found}, allowed are {min} to {max}", path.display())]
    Bounds {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What was found.
        found: u64,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
}

impl Config {
    /// Reads a configuration of at most 1 MiB.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let (text, folder) = configuration::read(path)?;
        let config: Self = toml::from_str(&text)
            .map_err(|source| ConfigError::Malformed { path: path.to_owned(), source: Box::new(source) })?;
        config.resolved(path, &folder)
    }

    /// Reads and checks the file, with what flags and variables say in its place. Also says which value is from where.
    pub fn given(configured: &Configured<CountersignerSettings>) -> Result<(Self, Vec<InForce>), ConfigError> {
        let Settings { fields, folder, outside, in_force } = configured.read::<Self>()?;
        match fields.resolved(configured.path(), &folder) {
            Ok(config) => Ok((config, in_force)),
            Err(refused) if outside.is_empty() => Err(refused),
            Err(refused) => Err(ConfigError::Outside { source: Box::new(refused), outside }),
        }
    }

    /// Checks the fields, and gives paths the folder of the file.
    fn resolved(mut self, path: &Path, folder: &Path) -> Result<Self, ConfigError> {
        let config = &mut self;
        config.check(path)?;
        let paths = [
            &mut config.trust,
            &mut config.operator_key_file,
            &mut config.token_key_file,
            &mut config.passphrase_file,
            &mut config.ledger,
        ];
        for relative in paths.into_iter().chain(config.policy.as_mut()) {
            *relative = folder.join(&*relative);
        }
        self.tls = self.tls.map(|files| files.below(folder));
        Ok(self)
    }

    /// The wait between two polls.
    #[must_use]
    pub const fn poll_interval(&self) -> Duration {
        Duration::from_millis(self.poll_interval_ms)
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        if self.tls.is_none() && !self.listen.ip().to_canonical().is_loopback() {
            return Err(ConfigError::NotLoopback { path: path.to_owned(), found: self.listen });
        }
        bearer::check(&self.log_url).map_err(|source| ConfigError::LogUrl { path: path.to_owned(), source })?;
        let bounds = [
            ("poll_interval_ms", self.poll_interval_ms, *POLL_INTERVAL_MS.start(), *POLL_INTERVAL_MS.end()),
            ("cool_off_seconds", self.cool_off_seconds, 0, COOL_OFF_SECONDS_MAX),
        ];
        for (field, found, min, max) in bounds {
            if !(min..=max).contains(&found) {
                return Err(ConfigError::Bounds { path: path.to_owned(), field, found, min, max });
            }
        }
        Ok(())
    }
}

const fn any_loopback_port() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
}

const fn half_a_second() -> u64 {
    500
}

#[cfg(test)]
mod tests;
