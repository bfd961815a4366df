//! The fleet's part of the configuration: the other members, the log, where the replicated state and what protects it
//! are, who issues account tokens.
//!
//! ```toml
//! peer_listen = "127.0.0.1:7319"
//! peers = [                            # every member, this one too; the same list on each
//!   { member_id = "member-1", address = "127.0.0.1:7319" },
//!   { member_id = "member-2", address = "127.0.0.1:7329" },
//!   { member_id = "member-3", address = "127.0.0.1:7339" },
//! ]
//! log_url = "http://127.0.0.1:7311"
//! trust = "trust.json"
//! data_folder = "data"
//! counter_file = "elsewhere/counter"   # never inside the data folder
//! sealing_key_file = "vault-sealing.key"
//! account_issuers = [{ issuer = "accounts.example", public_key = "8a88…5c" }]
//! cool_off_seconds = 604800            # this and what follows may be left out
//! write_deadline_ms = 5000
//! heartbeat_ms = 150
//! bundle_poll_interval_ms = 60000
//! ```
//!
//! It is there as a whole or not at all: a member without it only reports itself and takes attestations. The trust file is
//! read when the fleet is formed, and kept from then on: a later change of authority reaches the fleet in its bundles.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use countermark_bundle::identity::{Name, NameError, Namespace};
use countermark_bundle::key::{KeyAlgorithm, PublicKey, PublicKeyError};
use countermark_bundle::statement::MEMBERS_MAX;
use countermark_tlog::checkpoint::Origin;
use reqwest::Url;
use serde::Deserialize;
use thiserror::Error;

use crate::fetch;

/// The most keys of token issuers.
pub const ACCOUNT_ISSUERS_MAX: usize = 8;
/// The most bytes of an issuer's name.
pub const ISSUER_BYTES_MAX: usize = 128;
/// How long a cool-off may be: one second to a year.
pub const COOL_OFF_SECONDS: std::ops::RangeInclusive<u64> = 1..=366 * 86_400;
/// How long a write may take: 100 ms to 20 seconds, which is less than a request may.
pub const WRITE_DEADLINE_MS: std::ops::RangeInclusive<u64> = 100..=20_000;
/// How often a leader shows that it lives: 50 ms to 2 s. The same on every member.
pub const HEARTBEAT_MS: std::ops::RangeInclusive<u64> = 50..=2_000;
/// How often the log is asked for a bundle: 100 ms to an hour.
pub const BUNDLE_POLL_INTERVAL_MS: std::ops::RangeInclusive<u64> = 100..=3_600_000;

const COOL_OFF_SECONDS_DEFAULT: u64 = 7 * 86_400;
const WRITE_DEADLINE_MS_DEFAULT: u64 = 5_000;
const HEARTBEAT_MS_DEFAULT: u64 = 150;
const BUNDLE_POLL_INTERVAL_MS_DEFAULT: u64 = 60_000;

/// What a member needs to be part of a fleet.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// Where other members connect to; port 0 takes any free port.
    pub peer_listen: SocketAddr,
    /// Every member of the fleet, this one too, in the order of the file.
    pub peers: Vec<PeerAddress>,
    /// The log's address, without a query, a fragment or a user.
    pub log_url: Url,
    /// The namespace that the log's origin names.
    pub namespace: Namespace,
    /// The file that says which log and which operator are believed.
    pub trust: PathBuf,
    /// Where the replicated state is kept, sealed.
    pub data_folder: PathBuf,
    /// The counter that tells an older copy of the data folder from the newest one.
    pub counter_file: PathBuf,
    /// The encrypted key that seals the data folder.
    pub sealing_key_file: PathBuf,
    /// Whose account tokens count: 1 to [`ACCOUNT_ISSUERS_MAX`] keys.
    pub account_issuers: Vec<AccountIssuer>,
    /// What the fleet's founding says about waiting, if this member founds it.
    pub cool_off_seconds: u64,
    /// How long a write may take before it is given up.
    pub write_deadline: Duration,
    /// How often a leader shows that it lives, and what elections follow from.
    pub heartbeat: Duration,
    /// How often the log is asked for a newer bundle.
    pub bundle_poll_interval: Duration,
}

/// Where a member listens for the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Which member.
    pub member_id: Name,
    /// A host and a port, as `127.0.0.1:7319`; a host name is looked up at each connection.
    pub address: String,
}

/// Who issues account tokens, and one key of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountIssuer {
    /// The name, as it stands in `iss`.
    pub issuer: String,
    /// The Ed25519 key.
    pub key: PublicKey,
}

/// Why the fleet's part of a configuration was refused.
#[derive(Debug, Error)]
pub enum FleetConfigError {
    /// A part of the fleet's part.
    #[error("{field} is missing: the fleet's part of a configuration is there as a whole or not at all")]
    Incomplete {
        /// The first field that is missing.
        field: &'static str,
    },
    /// The origin has no namespace that a log could serve.
    #[error("the origin names no namespace")]
    Namespace(#[source] NameError),
    /// No peers, or more than a fleet has.
    #[error("{found} peers; a fleet has 1 to {MEMBERS_MAX} members")]
    PeerCount {
        /// How many were given.
        found: usize,
    },
    /// The name of a peer is none.
    #[error("peers: {member_id:?} is not a name")]
    PeerName {
        /// What was given.
        member_id: String,
        /// Why not.
        source: NameError,
    },
    /// The address of a peer is none.
    #[error("peers: {address:?} is not a host and a port")]
    PeerAddress {
        /// What was given.
        address: String,
    },
    /// This member is not among the peers.
    #[error("peers lacks this member, {member_id}: every member has the same list")]
    OwnPeerMissing {
        /// This member.
        member_id: Name,
    },
    /// A member, or an address, twice.
    #[error("peers has {what} twice")]
    DuplicatePeer {
        /// The name or the address.
        what: String,
    },
    /// The log's address is none.
    #[error("log_url must be http:// or https://, a host, and at most a path")]
    LogUrl,
    /// The counter lies where whoever restores the data folder restores it too.
    #[error("counter_file lies inside data_folder: an older copy of the folder would bring its counter along")]
    CounterInsideData,
    /// The current folder is gone, or a path is empty.
    #[error("data_folder and counter_file cannot be compared")]
    Paths(#[source] std::io::Error),
    /// No issuers, or more than [`ACCOUNT_ISSUERS_MAX`].
    #[error("{found} account issuers; a member takes tokens under 1 to {ACCOUNT_ISSUERS_MAX} keys")]
    IssuerCount {
        /// How many were given.
        found: usize,
    },
    /// The name of an issuer is none.
    #[error("account_issuers: an issuer is 1 to {ISSUER_BYTES_MAX} printable ASCII characters")]
    IssuerName,
    /// The key of an issuer is none.
    #[error("account_issuers: the key of {issuer} is not an ed25519 key in lower-case hex")]
    IssuerKey {
        /// Whose.
        issuer: String,
        /// Why not, where it is hex.
        source: Option<PublicKeyError>,
    },
    /// One key twice.
    #[error("account_issuers: one key of {issuer} stands twice")]
    DuplicateIssuer {
        /// Whose second one.
        issuer: String,
    },
    /// A number outside of its range.
    #[error("{field} is {found}; it is {min} to {max}")]
    Range {
        /// Which field.
        field: &'static str,
        /// What was given.
        found: u64,
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
}

/// The fields as they stand in the file.
#[derive(Debug, Default)]
pub(super) struct FleetText {
    pub(super) peer_listen: Option<SocketAddr>,
    pub(super) peers: Option<Vec<PeerText>>,
    pub(super) log_url: Option<String>,
    pub(super) trust: Option<PathBuf>,
    pub(super) data_folder: Option<PathBuf>,
    pub(super) counter_file: Option<PathBuf>,
    pub(super) sealing_key_file: Option<PathBuf>,
    pub(super) account_issuers: Option<Vec<IssuerText>>,
    pub(super) cool_off_seconds: Option<u64>,
    pub(super) write_deadline_ms: Option<u64>,
    pub(super) heartbeat_ms: Option<u64>,
    pub(super) bundle_poll_interval_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeerText {
    member_id: String,
    address: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuerText {
    issuer: String,
    public_key: String,
}

impl FleetText {
    fn is_absent(&self) -> bool {
        let Self {
            peer_listen,
            peers,
            log_url,
            trust,
            data_folder,
            counter_file,
            sealing_key_file,
            account_issuers,
            cool_off_seconds,
            write_deadline_ms,
            heartbeat_ms,
            bundle_poll_interval_ms,
        } = self;
        peer_listen.is_none()
            && peers.is_none()
            && log_url.is_none()
            && account_issuers.is_none()
            && [trust, data_folder, counter_file, sealing_key_file].iter().all(|path| path.is_none())
            && [cool_off_seconds, write_deadline_ms, heartbeat_ms, bundle_poll_interval_ms]
                .iter()
                .all(|number| number.is_none())
    }

    /// Checks every rule that needs no file but the configuration.
    pub(super) fn check(
        self,
        folder: &Path,
        origin: &Origin,
        own: &Name,
    ) -> Result<Option<FleetConfig>, FleetConfigError> {
        if self.is_absent() {
            return Ok(None);
        }
        let path = |field, path: Option<PathBuf>| Ok::<_, FleetConfigError>(folder.join(given(field, path)?));
        let config = FleetConfig {
            peer_listen: given("peer_listen", self.peer_listen)?,
            peers: check_peers(given("peers", self.peers)?, own)?,
            log_url: check_log_url(&given("log_url", self.log_url)?)?,
            namespace: Namespace::of_origin(origin).map_err(FleetConfigError::Namespace)?,
            trust: path("trust", self.trust)?,
            data_folder: path("data_folder", self.data_folder)?,
            counter_file: path("counter_file", self.counter_file)?,
            sealing_key_file: path("sealing_key_file", self.sealing_key_file)?,
            account_issuers: check_issuers(given("account_issuers", self.account_issuers)?)?,
            cool_off_seconds: within(
                "cool_off_seconds",
                self.cool_off_seconds.unwrap_or(COOL_OFF_SECONDS_DEFAULT),
                COOL_OFF_SECONDS,
            )?,
            write_deadline: Duration::from_millis(within(
                "write_deadline_ms",
                self.write_deadline_ms.unwrap_or(WRITE_DEADLINE_MS_DEFAULT),
                WRITE_DEADLINE_MS,
            )?),
            heartbeat: Duration::from_millis(within(
                "heartbeat_ms",
                self.heartbeat_ms.unwrap_or(HEARTBEAT_MS_DEFAULT),
                HEARTBEAT_MS,
            )?),
            bundle_poll_interval: Duration::from_millis(within(
                "bundle_poll_interval_ms",
                self.bundle_poll_interval_ms.unwrap_or(BUNDLE_POLL_INTERVAL_MS_DEFAULT),
                BUNDLE_POLL_INTERVAL_MS,
            )?),
        };
        let (data, counter) = (plain(&config.data_folder)?, plain(&config.counter_file)?);
        if counter.starts_with(&data) { Err(FleetConfigError::CounterInsideData) } else { Ok(Some(config)) }
    }
}

fn given<T>(field: &'static str, value: Option<T>) -> Result<T, FleetConfigError> {
    value.ok_or(FleetConfigError::Incomplete { field })
}

fn within(field: &'static str, found: u64, range: std::ops::RangeInclusive<u64>) -> Result<u64, FleetConfigError> {
    if range.contains(&found) {
        return Ok(found);
    }
    Err(FleetConfigError::Range { field, found, min: *range.start(), max: *range.end() })
}

fn check_peers(texts: Vec<PeerText>, own: &Name) -> Result<Vec<PeerAddress>, FleetConfigError> {
    if !(1..=MEMBERS_MAX).contains(&texts.len()) {
        return Err(FleetConfigError::PeerCount { found: texts.len() });
    }
    let mut peers: Vec<PeerAddress> = Vec::with_capacity(texts.len());
    for PeerText { member_id, address } in texts {
        let member_id = Name::parse(&member_id).map_err(|source| FleetConfigError::PeerName { member_id, source })?;
        if !is_address(&address) {
            return Err(FleetConfigError::PeerAddress { address });
        }
        if peers.iter().any(|peer| peer.member_id == member_id) {
            return Err(FleetConfigError::DuplicatePeer { what: member_id.to_string() });
        }
        if peers.iter().any(|peer| peer.address == address) {
            return Err(FleetConfigError::DuplicatePeer { what: address });
        }
        peers.push(PeerAddress { member_id, address });
    }
    if peers.iter().all(|peer| peer.member_id != *own) {
        return Err(FleetConfigError::OwnPeerMissing { member_id: own.clone() });
    }
    Ok(peers)
}

/// Whether it is a host and a port that something can listen on.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host_fits = !host.is_empty() && host.len() <= 255 && host.bytes().all(|byte| byte.is_ascii_graphic());
    host_fits && port.parse::<u16>().is_ok_and(|port| port != 0)
}

fn check_log_url(text: &str) -> Result<Url, FleetConfigError> {
    fetch::base(text).ok_or(FleetConfigError::LogUrl)
}

fn check_issuers(texts: Vec<IssuerText>) -> Result<Vec<AccountIssuer>, FleetConfigError> {
    if !(1..=ACCOUNT_ISSUERS_MAX).contains(&texts.len()) {
        return Err(FleetConfigError::IssuerCount { found: texts.len() });
    }
    let mut issuers: Vec<AccountIssuer> = Vec::with_capacity(texts.len());
    for IssuerText { issuer, public_key } in texts {
        let printable = issuer.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !(1..=ISSUER_BYTES_MAX).contains(&issuer.len()) || !printable {
            return Err(FleetConfigError::IssuerName);
        }
        let bytes = hex::decode(&public_key).ok().filter(|bytes| hex::encode(bytes) == public_key);
        let Some(bytes) = bytes else { return Err(FleetConfigError::IssuerKey { issuer, source: None }) };
        let key = PublicKey::new(KeyAlgorithm::Ed25519, &bytes)
            .map_err(|source| FleetConfigError::IssuerKey { issuer: issuer.clone(), source: Some(source) })?;
        // One key under two names would let one issuer speak for the other's subjects.
        if issuers.iter().any(|earlier| earlier.key == key) {
            return Err(FleetConfigError::DuplicateIssuer { issuer });
        }
        issuers.push(AccountIssuer { issuer, key });
    }
    Ok(issuers)
}

/// An absolute path without `.` and `..`. Links are not followed: the paths need not exist yet.
fn plain(path: &Path) -> Result<PathBuf, FleetConfigError> {
    let absolute = std::path::absolute(path).map_err(FleetConfigError::Paths)?;
    let mut plain = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(component),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests;
