//! The configuration file: where to listen, who the member is, where its keys are, whose attestation counts.
//!
//! ```toml
//! listen = "127.0.0.1:7316"            # port 0 takes any free port
//! origin = "authority.example.org/backup"
//! fleet_id = "fleet-1"
//! member_id = "member-1"
//! failure_domain = "site-1"
//! identity_key_file = "vault-identity.key"
//! session_key_file = "vault-session.key"
//! passphrase_file = "passphrase"
//! attestation_file = "attestation.json"
//! vendor_keys = [{ algorithm = "ed25519", public_key = "8a88…5c" }]
//! ```
//!
//! With a table `[tls]` of `certificate_file` and `private_key_file` the member speaks TLS.
//!
//! Paths are relative to the folder of the file. A field that is not known is refused. What makes the member part of a
//! fleet stands in the same file: see [`fleet`].

mod fleet;
mod settings;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use countermark_bundle::identity::{Name, NameError};
use countermark_bundle::key::{KeyAlgorithm, KeyId, PublicKey};
use countermark_service::configuration::{self, ReadError};
use countermark_service::settings::{Configured, InForce, Outside, Settings, SettingsError};
use countermark_service::tls::TlsFiles;
use countermark_tlog::checkpoint::{CheckpointError, Origin};
use serde::Deserialize;
use thiserror::Error;

pub use fleet::{
    ACCOUNT_ISSUERS_MAX, AccountIssuer, BUNDLE_POLL_INTERVAL_MS, COOL_OFF_SECONDS, FleetConfig, FleetConfigError,
    ISSUER_BYTES_MAX, PeerAddress, WRITE_DEADLINE_MS,
};
use fleet::{FleetText, IssuerText, PeerText};
pub use settings::VaultSettings;

/// The most vendor keys of a member.
pub const VENDOR_KEYS_MAX: usize = 8;

/// A configuration that was checked as far as a text can be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes any free port.
    pub listen: SocketAddr,
    /// The certificate and key of the listener; without them it speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The log that the fleet's keys will be stated in.
    pub origin: Origin,
    /// The fleet.
    pub fleet_id: Name,
    /// The member's name within the fleet.
    pub member_id: Name,
    /// What the member shares its fate with.
    pub failure_domain: Name,
    /// The encrypted Ed25519 key that the member signs with.
    pub identity_key_file: PathBuf,
    /// The encrypted X25519 key that sessions are opened to.
    pub session_key_file: PathBuf,
    /// What opens both.
    pub passphrase_file: PathBuf,
    /// Where the vendor's attestation is kept.
    pub attestation_file: PathBuf,
    /// The Ed25519 keys under which an attestation counts: 1 to [`VENDOR_KEYS_MAX`].
    pub(crate) vendor_keys: Vec<PublicKey>,
    /// What makes the member part of a fleet; a member without it only reports itself.
    pub fleet: Option<FleetConfig>,
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
    /// The text is not TOML, or lacks a field, or has one that is not known, or names a key that is none.
    #[error("the configuration is malformed")]
    Toml(#[from] toml::de::Error),
    /// The origin is none.
    #[error("{origin:?} cannot be the origin of a log")]
    Origin {
        /// What was given.
        origin: String,
        /// Why not.
        source: CheckpointError,
    },
    /// A name is none.
    #[error("{field}: {name:?} is not a name")]
    Name {
        /// Which field.
        field: &'static str,
        /// What was given.
        name: String,
        /// Why not.
        source: NameError,
    },
    /// No vendor keys, or more than [`VENDOR_KEYS_MAX`].
    #[error("{found} vendor keys; a member takes attestations under 1 to {VENDOR_KEYS_MAX}")]
    VendorKeyCount {
        /// How many were given.
        found: usize,
    },
    /// A vendor key that cannot sign attestations.
    #[error("the vendor key {key_id} is not an ed25519 key")]
    VendorKeyAlgorithm {
        /// The key.
        key_id: KeyId,
    },
    /// A vendor key twice.
    #[error("the vendor key {key_id} stands twice")]
    DuplicateVendorKey {
        /// The key.
        key_id: KeyId,
    },
    /// The fleet's part was refused.
    #[error(transparent)]
    Fleet(#[from] FleetConfigError),
}

impl Config {
    /// Reads and checks the file at `path`, at most 1 MiB.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let (text, folder) = configuration::read(path)?;
        Config::parse(&text, &folder)
    }

    /// Reads and checks the file, with what flags and variables say in its place. Also says which value is from where.
    pub fn given(configured: &Configured<VaultSettings>) -> Result<(Config, Vec<InForce>), ConfigError> {
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
        let origin = Origin::new(&text.origin).map_err(|source| ConfigError::Origin { origin: text.origin, source })?;
        check_vendor_keys(&text.vendor_keys)?;
        let member_id = name("member_id", text.member_id)?;
        let fleet = FleetText {
            peer_listen: text.peer_listen,
            peers: text.peers,
            log_url: text.log_url,
            trust: text.trust,
            data_folder: text.data_folder,
            counter_file: text.counter_file,
            sealing_key_file: text.sealing_key_file,
            account_issuers: text.account_issuers,
            cool_off_seconds: text.cool_off_seconds,
            write_deadline_ms: text.write_deadline_ms,
            heartbeat_ms: text.heartbeat_ms,
            bundle_poll_interval_ms: text.bundle_poll_interval_ms,
        };
        let fleet = fleet.check(folder, &origin, &member_id)?;
        Ok(Config {
            listen: text.listen,
            tls: text.tls.map(|files| files.below(folder)),
            origin,
            fleet_id: name("fleet_id", text.fleet_id)?,
            member_id,
            failure_domain: name("failure_domain", text.failure_domain)?,
            identity_key_file: folder.join(text.identity_key_file),
            session_key_file: folder.join(text.session_key_file),
            passphrase_file: folder.join(text.passphrase_file),
            attestation_file: folder.join(text.attestation_file),
            vendor_keys: text.vendor_keys,
            fleet,
        })
    }
}

fn name(field: &'static str, name: String) -> Result<Name, ConfigError> {
    Name::parse(&name).map_err(|source| ConfigError::Name { field, name, source })
}

fn check_vendor_keys(keys: &[PublicKey]) -> Result<(), ConfigError> {
    // A member without vendor keys would refuse every attestation, and nobody would know why.
    if !(1..=VENDOR_KEYS_MAX).contains(&keys.len()) {
        return Err(ConfigError::VendorKeyCount { found: keys.len() });
    }
    for (index, key) in keys.iter().enumerate() {
        if key.algorithm() != KeyAlgorithm::Ed25519 {
            return Err(ConfigError::VendorKeyAlgorithm { key_id: key.key_id() });
        }
        if keys.iter().take(index).any(|earlier| earlier == key) {
            return Err(ConfigError::DuplicateVendorKey { key_id: key.key_id() });
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigText {
    listen: SocketAddr,
    tls: Option<TlsFiles>,
    origin: String,
    fleet_id: String,
    member_id: String,
    failure_domain: String,
    identity_key_file: PathBuf,
    session_key_file: PathBuf,
    passphrase_file: PathBuf,
    attestation_file: PathBuf,
    vendor_keys: Vec<PublicKey>,
    peer_listen: Option<SocketAddr>,
    peers: Option<Vec<PeerText>>,
    log_url: Option<String>,
    trust: Option<PathBuf>,
    data_folder: Option<PathBuf>,
    counter_file: Option<PathBuf>,
    sealing_key_file: Option<PathBuf>,
    account_issuers: Option<Vec<IssuerText>>,
    cool_off_seconds: Option<u64>,
    write_deadline_ms: Option<u64>,
    heartbeat_ms: Option<u64>,
    bundle_poll_interval_ms: Option<u64>,
}

#[cfg(test)]
mod tests;
