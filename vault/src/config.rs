//! The configuration file: where to listen, which member this is, where its keys are, whose attestations count.
//!
//! ```toml
//! listen = "127.0.0.1:7391"                # port 0 takes any free port
//! origin = "authority.example.org/backup"  # the log that the fleet's keys will be stated in
//! fleet_id = "fleet-1"
//! member_id = "member-1"
//! failure_domain = "site-a"
//! identity_key_file = "identity.key"
//! session_key_file = "session.key"
//! passphrase_file = "passphrase"
//! attestation_file = "attestation.json"
//! vendor_keys = [{ algorithm = "ed25519", public_key = "…64 hex digits…" }]
//! ```
//!
//! Paths are relative to the folder of the file. A field that is not known is refused.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use countermark_bundle::identity::Name;
use countermark_bundle::key::{KeyAlgorithm, PublicKey};
use countermark_tlog::checkpoint::{CheckpointError, Origin};
use serde::Deserialize;
use thiserror::Error;

/// The most bytes of a configuration file: 1 MiB.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// A configuration that was checked as far as a text can be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes any free port.
    pub listen: SocketAddr,
    /// The log that the fleet's keys will be stated in.
    pub origin: Origin,
    /// The fleet.
    pub fleet_id: Name,
    /// The member's name within the fleet.
    pub member_id: Name,
    /// What the member shares its fate with.
    pub failure_domain: Name,
    /// The encrypted identity key.
    pub identity_key_file: PathBuf,
    /// The encrypted session key.
    pub session_key_file: PathBuf,
    /// What opens both.
    pub passphrase_file: PathBuf,
    /// Where the attestation is kept.
    pub attestation_file: PathBuf,
    /// Whose attestations count: Ed25519 keys.
    pub vendor_keys: Vec<PublicKey>,
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
    /// The text is not TOML, or lacks a field, or has one that is not known, or one that is not what it should be.
    #[error("the configuration is malformed")]
    Toml(#[from] toml::de::Error),
    /// The origin is no log's.
    #[error("{origin:?} is not the origin of a log")]
    Origin {
        /// What was given.
        origin: String,
        /// Why not.
        source: CheckpointError,
    },
    /// A vendor key that cannot sign an attestation.
    #[error("a vendor key is ed25519, not {found}", found = found.as_str())]
    VendorKey {
        /// What was given.
        found: KeyAlgorithm,
    },
}

impl Config {
    /// Reads and checks the file at `path`, at most 1 MiB.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read_error = |source| ConfigError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(read_error)?;
        let mut text = String::new();
        file.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text).map_err(read_error)?;
        if text.len() > usize::try_from(CONFIG_BYTES_MAX).unwrap_or(usize::MAX) {
            return Err(ConfigError::TooLarge { path: path.to_owned() });
        }
        Self::parse(&text, path.parent().unwrap_or(Path::new("")))
    }

    /// Checks a configuration whose paths are relative to `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let text: ConfigText = toml::from_str(text)?;
        let origin = Origin::new(&text.origin).map_err(|source| ConfigError::Origin { origin: text.origin, source })?;
        for key in &text.vendor_keys {
            match key.algorithm() {
                KeyAlgorithm::Ed25519 => {}
                found @ (KeyAlgorithm::EcdsaP384 | KeyAlgorithm::X25519) => {
                    return Err(ConfigError::VendorKey { found });
                }
            }
        }
        Ok(Self {
            listen: text.listen,
            origin,
            fleet_id: text.fleet_id,
            member_id: text.member_id,
            failure_domain: text.failure_domain,
            identity_key_file: folder.join(text.identity_key_file),
            session_key_file: folder.join(text.session_key_file),
            passphrase_file: folder.join(text.passphrase_file),
            attestation_file: folder.join(text.attestation_file),
            vendor_keys: text.vendor_keys,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigText {
    listen: SocketAddr,
    origin: String,
    fleet_id: Name,
    member_id: Name,
    failure_domain: Name,
    identity_key_file: PathBuf,
    session_key_file: PathBuf,
    passphrase_file: PathBuf,
    attestation_file: PathBuf,
    vendor_keys: Vec<PublicKey>,
}

#[cfg(test)]
mod tests;
