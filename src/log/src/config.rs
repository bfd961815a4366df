//! The configuration file: where to listen, whose tokens count, which namespaces are served with which keys.
//!
//! ```toml
//! listen = "127.0.0.1:7380"                # port 0 takes any free port
//! authority = "authority.example.org"      # the origin of a log is <authority>/<namespace>
//! token_keys = "token-keys.json"           # without it the server only reads
//! # audience = "authority.example.org"     # of access tokens; the authority's name if not said
//! database_folder = "databases"            # one SQLite file for each namespace; not with [postgres]
//! register_folder = "/mnt/other/register"  # other storage than the databases; or
//! # register_url = "s3://bucket/register"   # a bucket of an S3-compatible store that honours conditional writes
//! # export = "/srv/export"                  # or s3://bucket/export: everything published is exported there, continuously
//! # object_store_credentials = "s3.toml"    # for the buckets; the environment (AWS_…) if not said
//! # behind_tls_proxy = true                # this or [tls] is needed to take tokens on an address that is not loopback
//! # submission_deadline_ms = 10000
//! # scrub_entries_per_second = 2000       # the pace at which stored entries are recomputed in the background; 0: never
//! # tile_cache_bytes = 67108864            # hash tiles of each namespace that are kept in memory
//! # metrics_listen = "127.0.0.1:9380"     # GET /metrics for Prometheus; without it nothing is measured
//!
//! # [limits.raw]                           # of each submitter (issuer and subject) to all logs of a kind; 0: no limit
//! # submissions_per_minute = 3000000       # and of [limits.fleet-keys] 6000
//! # submissions_burst = 100000             # so many at once: two seconds' worth if not said, or a minute's up to 1000
//! # bytes_per_second = 67108864            # of bodies; of [limits.fleet-keys] 8388608
//! # bytes_burst = 134217728                # two seconds' worth if not said, at least 262144
//! # under_way = 4096                       # without an answer yet; of [limits.fleet-keys] 128
//!
//! # [postgres]                             # one database for all namespaces, in place of database_folder
//! # url_file = "postgres.url"              # postgres://user:password@host/database?sslrootcert=…
//! # url = "postgres://log@db/countermark"  # or here
//!
//! # [tls]                                  # the listener speaks TLS; read again when the files change
//! # certificate_file = "fullchain.pem"
//! # private_key_file = "privkey.pem"
//!
//! [[namespace]]
//! name = "backup"
//! kind = "fleet-keys"
//! trust = "backup/trust.json"              # keys of both organisations, witnesses with their URLs, limits
//! log_key_file = "backup/log.key"
//! # ml_dsa_44_log_key_file = "backup/log-ml-dsa-44.key"     # signs beside it, if the policy names such a key
//! certificate_key_file = "backup/certificate.key"
//! administration_key_file = "backup/administration.key"   # only `create` signs with it
//! passphrase_file = "backup/passphrase"
//! # policy = "backup/policy"               # a folder of Cedar policies; the shipped ones if not said
//! vendor_keys = [{ algorithm = "ed25519", public_key = "…64 hex digits…" }]
//! officers = [{ subject = "officer-1", public_key = "…64 hex digits…" }]   # of the first policy, for `create`
//! approvals_needed = 1
//! # recosign_every_seconds = 900           # at most a quarter of the trust file's head age, which is the default
//! # witness_timeout_ms = 5000
//! # allow_no_fault_tolerance = true        # to serve with witnesses of which none may be faulty
//!
//! [[namespace]]
//! name = "digests"
//! kind = "raw"                             # opaque entries of any authorised submitter
//! witness_policy = "digests/policy"        # C2SP tlog-policy: this log's key, witnesses, quorum (may be `none`)
//! log_key_file = "digests/log.key"
//! passphrase_file = "digests/passphrase"
//! # max_head_age_seconds = 86400           # how old its newest head may grow before /readyz says so
//! ```
//!
//! Paths are relative to the folder of the file. A field that is not known is refused. What stands before the first
//! `[[namespace]]` can be said by flag or environment variable instead: [`LogSettings`].
//!
//! Invariant: in a [`Config`] every key file that is named holds a key that the trust file of its namespace believes in.

mod database;
#[cfg(test)]
pub(crate) mod house;
mod limits;
mod namespace;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use countermark_bundle::key::{KeyId, PublicKeyError};
use countermark_service::configuration::{self, ReadError};
use countermark_service::settings::{Configured, InForce, Outside, Settings, SettingsError};
use countermark_service::tls::TlsFiles;
use countermark_signer_policy::access_token::{Audience, PartyError};
use serde::Deserialize;
use thiserror::Error;

pub use database::{DatabaseConfig, DatabaseConfigError};
pub use limits::LimitsError;
pub use namespace::{CertifyingConfig, FirstPolicy, NamespaceConfig, NamespaceConfigError, OpenNamespaceError};
pub use settings::LogSettings;

pub(crate) use database::read_url;

use crate::limits::Limits;
use crate::objects::location::{Location, LocationError};
use crate::proofs::TILE_CACHE_BYTES;
use database::PostgresText;
use limits::LimitsText;
use namespace::NamespaceText;

/// How long a submission waits for its level unless the file says otherwise.
const SUBMISSION_DEADLINE_MS: u64 = 10_000;
/// The pace of the scrubber unless the file says otherwise: a million entries in eight minutes.
const SCRUB_ENTRIES_PER_SECOND: u32 = 2_000;
/// The least of a tile cache: 1 MiB, or every proof would read the upper levels again.
const TILE_CACHE_BYTES_MIN: u64 = 1 << 20;
/// The most of a tile cache: 1 TiB.
const TILE_CACHE_BYTES_MAX: u64 = 1 << 40;
/// The longest that a submission may wait: one minute.
const SUBMISSION_DEADLINE_MS_MAX: u64 = 60_000;

/// A configuration whose files were read and fit together.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes any free port.
    pub listen: SocketAddr,
    /// The certificate and key of the listener; without them it speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The authority's name.
    pub authority: String,
    /// Whose tokens count: a key set file. Without it nothing is taken.
    pub token_keys: Option<PathBuf>,
    /// The audience that an access token must name.
    pub audience: Audience,
    /// Where the logs are kept.
    pub database: DatabaseConfig,
    /// Where the head register is.
    pub register: Location,
    /// The pace of the scrubber; 0 is none.
    pub scrub_entries_per_second: u32,
    /// The bytes of each namespace's full hash tiles that are kept in memory.
    pub tile_cache_bytes: usize,
    /// Where `/metrics` is served; nowhere unless said.
    pub metrics_listen: Option<SocketAddr>,
    /// Where everything that is published is exported to.
    pub export: Option<Location>,
    /// The credentials file of buckets; without it the environment's are taken.
    pub object_store_credentials: Option<PathBuf>,
    /// How long a submission waits for its level.
    pub submission_deadline: Duration,
    /// What each submitter may send.
    pub limits: Limits,
    /// The namespaces, in the order of the file.
    pub namespaces: Vec<NamespaceConfig>,
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
    /// Bearer tokens in the clear, on a network.
    #[error(
        "token_keys: tokens would cross the network in the clear at {listen}; name a certificate in [tls], listen on a \
         loopback address, or say behind_tls_proxy = true if a proxy with TLS stands before it"
    )]
    TokensInTheClear {
        /// The address.
        listen: SocketAddr,
    },
    /// It does not say where the logs are kept.
    #[error(transparent)]
    Database(#[from] DatabaseConfigError),
    /// One folder for what must not be lost together.
    #[error("register_folder: the head register must be on other storage than database_folder {}", path.display())]
    OneFolder {
        /// The folder.
        path: PathBuf,
    },
    /// No head register, or two.
    #[error("one of register_folder and register_url is needed")]
    Register,
    /// A head register at no bucket.
    #[error("register_url must be s3://bucket/prefix, found {found:?}; a folder is named by register_folder")]
    RegisterUrl {
        /// What was found.
        found: String,
    },
    /// A place that is none.
    #[error("{field}: {source}")]
    Location {
        /// Which field.
        field: &'static str,
        /// What is wrong.
        source: LocationError,
    },
    /// An export, which everybody may read, in one place with what nobody may.
    #[error("export: {export} and {field} {other} lie in one another")]
    ExportInPlace {
        /// The export.
        export: Location,
        /// The other field.
        field: &'static str,
        /// The other place.
        other: Location,
    },
    /// An audience that no token can name.
    #[error("audience: {found:?} is refused: {source}")]
    Audience {
        /// What was given, or follows from the authority's name.
        found: String,
        /// Which rule.
        source: PartyError,
    },
    /// A deadline of 0 or above a minute.
    #[error("submission_deadline_ms must be 1 to {SUBMISSION_DEADLINE_MS_MAX}, found {found}")]
    SubmissionDeadline {
        /// What was found.
        found: u64,
    },
    /// A cache that holds no tile, or that no machine has room for.
    #[error("tile_cache_bytes must be {TILE_CACHE_BYTES_MIN} to {TILE_CACHE_BYTES_MAX}, found {found}")]
    TileCache {
        /// What was found.
        found: u64,
    },
    /// Limits of submitters that cannot be kept.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// Nothing to serve.
    #[error("there is no [[namespace]]")]
    NoNamespace,
    /// A namespace was refused.
    #[error("namespace {name:?}: {source}")]
    Namespace {
        /// What was given as its name.
        name: String,
        /// Why not.
        source: Box<NamespaceConfigError>,
    },
    /// Two namespaces of one name.
    #[error("namespace {name:?} stands twice")]
    NamespaceTwice {
        /// The name.
        name: String,
    },
    /// A log key of the witness policy that is no key.
    #[error("namespace {name:?}: the witness policy: {source}")]
    Key {
        /// The namespace.
        name: String,
        /// What is wrong.
        source: PublicKeyError,
    },
    /// One key in two namespaces.
    #[error("namespaces {first:?} and {second:?} share the key {key_id}; no two namespaces share a key")]
    SharedKey {
        /// A namespace.
        first: String,
        /// Another one.
        second: String,
        /// The key.
        key_id: KeyId,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigText {
    listen: SocketAddr,
    tls: Option<TlsFiles>,
    authority: String,
    token_keys: Option<PathBuf>,
    audience: Option<String>,
    database_folder: Option<PathBuf>,
    postgres: Option<PostgresText>,
    register_folder: Option<PathBuf>,
    register_url: Option<String>,
    export: Option<String>,
    object_store_credentials: Option<PathBuf>,
    #[serde(default)]
    behind_tls_proxy: bool,
    submission_deadline_ms: Option<u64>,
    metrics_listen: Option<SocketAddr>,
    scrub_entries_per_second: Option<u32>,
    tile_cache_bytes: Option<u64>,
    #[serde(default)]
    limits: LimitsText,
    #[serde(rename = "namespace", default)]
    namespaces: Vec<NamespaceText>,
}

impl Config {
    /// Reads and checks the file at `path`, at most 1 MiB, and the trust and key files that it names.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let (text, folder) = configuration::read(path)?;
        Config::parse(&text, &folder)
    }

    /// Reads and checks the file, with what flags and variables say in its place. Also says which value is from where.
    pub fn given(configured: &Configured<LogSettings>) -> Result<(Config, Vec<InForce>), ConfigError> {
        let Settings { fields, folder, outside, in_force } = configured.read()?;
        match Config::check(fields, &folder) {
            Ok(config) => Ok((config, in_force)),
            Err(refused) if outside.is_empty() => Err(refused),
            Err(refused) => Err(ConfigError::Outside { source: Box::new(refused), outside }),
        }
    }

    /// Checks a configuration whose paths are relative to `folder`, and the trust and key files that it names.
    pub fn parse(text: &str, folder: &Path) -> Result<Config, ConfigError> {
        Config::check(toml::from_str(text)?, folder)
    }

    fn check(text: ConfigText, folder: &Path) -> Result<Config, ConfigError> {
        let is_private = text.listen.ip().to_canonical().is_loopback() || text.tls.is_some() || text.behind_tls_proxy;
        if text.token_keys.is_some() && !is_private {
            return Err(ConfigError::TokensInTheClear { listen: text.listen });
        }
        let database = DatabaseConfig::read(text.database_folder, text.postgres, folder)?;
        let register = register(text.register_folder, text.register_url, folder)?;
        let databases = database.location();
        if let (Some(Location::Folder(path)), Location::Folder(other)) = (&databases, &register)
            && is_one_folder(path, other)
        {
            return Err(ConfigError::OneFolder { path: path.clone() });
        }
        let export = text.export.map(|text| location("export", &text, folder)).transpose()?;
        check_export(export.as_ref(), databases.as_ref(), &register)?;
        let deadline = text.submission_deadline_ms.unwrap_or(SUBMISSION_DEADLINE_MS);
        if !(1..=SUBMISSION_DEADLINE_MS_MAX).contains(&deadline) {
            return Err(ConfigError::SubmissionDeadline { found: deadline });
        }
        let audience = text.audience.unwrap_or_else(|| text.authority.clone());
        let audience = Audience::new(&audience).map_err(|source| ConfigError::Audience { found: audience, source })?;
        let mut namespaces = Vec::with_capacity(text.namespaces.len());
        for namespace in text.namespaces {
            let name = namespace.name().to_owned();
            let read = NamespaceConfig::read(namespace, &text.authority, folder);
            namespaces.push(read.map_err(|source| ConfigError::Namespace { name, source: Box::new(source) })?);
        }
        check_apart(&namespaces)?;
        Ok(Config {
            listen: text.listen,
            tls: text.tls.map(|files| files.below(folder)),
            audience,
            authority: text.authority,
            token_keys: text.token_keys.map(|path| folder.join(path)),
            database,
            metrics_listen: text.metrics_listen,
            tile_cache_bytes: tile_cache_bytes(text.tile_cache_bytes)?,
            scrub_entries_per_second: text.scrub_entries_per_second.unwrap_or(SCRUB_ENTRIES_PER_SECOND),
            register,
            export,
            object_store_credentials: text.object_store_credentials.map(|path| folder.join(path)),
            submission_deadline: Duration::from_millis(deadline),
            limits: text.limits.read()?,
            namespaces,
        })
    }
}

fn tile_cache_bytes(said: Option<u64>) -> Result<usize, ConfigError> {
    let Some(found) = said else { return Ok(TILE_CACHE_BYTES) };
    let refused = ConfigError::TileCache { found };
    let in_range = (TILE_CACHE_BYTES_MIN..=TILE_CACHE_BYTES_MAX).contains(&found);
    usize::try_from(found).ok().filter(|_| in_range).ok_or(refused)
}

fn location(field: &'static str, text: &str, folder: &Path) -> Result<Location, ConfigError> {
    Location::parse(text, folder).map_err(|source| ConfigError::Location { field, source })
}

fn register(path: Option<PathBuf>, url: Option<String>, folder: &Path) -> Result<Location, ConfigError> {
    match (path, url) {
        (Some(path), None) => Ok(Location::Folder(folder.join(path))),
        (None, Some(found)) => match location("register_url", &found, folder)? {
            bucket @ Location::Bucket(_) => Ok(bucket),
            Location::Folder(_) => Err(ConfigError::RegisterUrl { found }),
        },
        (Some(_), Some(_)) | (None, None) => Err(ConfigError::Register),
    }
}

/// Whether both paths lead to one folder, whatever their spelling, as far as they exist.
fn is_one_folder(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}

/// An export is for everybody to read, so it lies beside everything else.
fn check_export(
    export: Option<&Location>,
    databases: Option<&Location>,
    register: &Location,
) -> Result<(), ConfigError> {
    for (field, other) in [("database_folder", databases), ("the head register", Some(register))] {
        let overlap = export.zip(other).filter(|(export, other)| export.overlaps(other));
        if let Some((export, other)) = overlap {
            return Err(ConfigError::ExportInPlace { export: export.clone(), field, other: other.clone() });
        }
    }
    Ok(())
}

/// Refuses an empty list, a name that stands twice, and a key of two namespaces.
fn check_apart(namespaces: &[NamespaceConfig]) -> Result<(), ConfigError> {
    if namespaces.is_empty() {
        return Err(ConfigError::NoNamespace);
    }
    let mut names = BTreeSet::new();
    let mut keys: BTreeMap<KeyId, &str> = BTreeMap::new();
    for namespace in namespaces {
        let name = namespace.namespace.as_str();
        if !names.insert(name) {
            return Err(ConfigError::NamespaceTwice { name: name.to_owned() });
        }
        let key_ids = namespace.key_ids().map_err(|source| ConfigError::Key { name: name.to_owned(), source })?;
        for key_id in key_ids {
            if let Some(first) = keys.insert(key_id, name) {
                return Err(ConfigError::SharedKey { first: first.to_owned(), second: name.to_owned(), key_id });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
