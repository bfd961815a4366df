//! The logs that the witness follows, and what makes a checkpoint theirs.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use countermark_tlog::checkpoint::{CheckpointError, Origin};
use countermark_tlog::log_list::ListedLog;
use countermark_tlog::note::{NoteError, SignatureType, VerifierKey};
use countermark_tlog::witness_wire::monitoring_path;
use thiserror::Error;

use crate::budget::{Budget, REQUESTS_PER_DAY_MAX};

/// The most logs of one witness.
pub const LOGS_MAX: usize = 10_000;

/// The most keys of one log.
pub const LOG_KEYS_MAX: usize = 16;

/// The logs of a witness by origin, and by the path under which monitors ask for them.
#[derive(Clone, Debug, Default)]
pub struct FollowedLogs {
    logs: BTreeMap<Origin, FollowedLog>,
    by_path: BTreeMap<String, Origin>,
}

/// One log.
#[derive(Clone, Debug)]
struct FollowedLog {
    keys: Vec<VerifierKey>,
    budget: Budget,
}

/// Why a log cannot be followed.
#[derive(Debug, Error)]
pub enum LogError {
    /// The origin breaks the rules.
    #[error("the origin is malformed")]
    Origin(#[source] CheckpointError),
    /// The same origin twice.
    #[error("the origin stands twice")]
    DuplicateOrigin,
    /// No key at all, or too many.
    #[error("a log has 1 to {LOG_KEYS_MAX} keys, found {found}")]
    KeyCount {
        /// How many.
        found: usize,
    },
    /// A key that is none.
    #[error("{vkey:?} is not a verifier key")]
    Vkey {
        /// What was given.
        vkey: String,
        /// Why not.
        source: NoteError,
    },
    /// No room for a request a day, or for more than one in a nanosecond.
    #[error("a log may make 1 to {REQUESTS_PER_DAY_MAX} requests a day, found {found}")]
    RequestsPerDay {
        /// What was given.
        found: u64,
    },
    /// A key of another type than logs sign with.
    #[error("the key {vkey} is not of signature type 0x01 or 0x06, with which logs sign")]
    KeyType {
        /// The key.
        vkey: VerifierKey,
    },
    /// The same key twice.
    #[error("the key {vkey} stands twice")]
    DuplicateKey {
        /// The key.
        vkey: VerifierKey,
    },
    /// More logs than a witness follows.
    #[error("a witness follows at most {LOGS_MAX} logs")]
    TooMany,
}

impl FollowedLogs {
    /// Adds a log under the keys that sign for it, with what it may ask for in a day.
    pub fn follow(&mut self, origin: &str, vkeys: &[String], requests_per_day: u64) -> Result<(), LogError> {
        let origin = Origin::new(origin).map_err(LogError::Origin)?;
        if vkeys.is_empty() || vkeys.len() > LOG_KEYS_MAX {
            return Err(LogError::KeyCount { found: vkeys.len() });
        }
        let mut keys = Vec::with_capacity(vkeys.len());
        for vkey in vkeys {
            let key = log_key(vkey)?;
            // Two keys of one name and identifier could not be told apart in a note.
            if keys.iter().any(|other: &VerifierKey| other.id() == key.id()) {
                return Err(LogError::DuplicateKey { vkey: key });
            }
            keys.push(key);
        }
        self.add(origin, keys, requests_per_day)
    }

    /// Adds a log of a list.
    pub fn follow_listed(&mut self, log: ListedLog) -> Result<(), LogError> {
        self.add(log.origin, vec![log.vkey], log.requests_per_day)
    }

    fn add(&mut self, origin: Origin, keys: Vec<VerifierKey>, requests_per_day: u64) -> Result<(), LogError> {
        if self.logs.contains_key(&origin) {
            return Err(LogError::DuplicateOrigin);
        }
        if self.logs.len() >= LOGS_MAX {
            return Err(LogError::TooMany);
        }
        let budget = Budget::new(requests_per_day).ok_or(LogError::RequestsPerDay { found: requests_per_day })?;
        self.by_path.insert(monitoring_path(&origin), origin.clone());
        self.logs.insert(origin, FollowedLog { keys, budget });
        Ok(())
    }

    /// The keys of a log; `None` for a log that is not followed.
    pub fn keys_of(&self, origin: &Origin) -> Option<&[VerifierKey]> {
        self.logs.get(origin).map(|log| log.keys.as_slice())
    }

    /// Charges a followed log for one request, or says when there is room for the next.
    pub fn charge(&self, origin: &Origin) -> Result<(), Duration> {
        self.logs.get(origin).map_or(Ok(()), |log| log.budget.charge())
    }

    /// The log that monitors ask for under `path`.
    pub fn at_path(&self, path: &str) -> Option<&Origin> {
        self.by_path.get(path)
    }

    /// The logs in the order of their hashes, from the first after this hash.
    pub fn after(&self, origin_hash: Option<&str>) -> impl Iterator<Item = &Origin> {
        let after = origin_hash.map(|hash| format!("{hash}/checkpoint"));
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_path.range::<String, _>((from, Bound::Unbounded)).map(|(_, origin)| origin)
    }

    /// The logs, in the order of their origins.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.logs.keys()
    }

    /// Every key of every log.
    pub fn all_keys(&self) -> impl Iterator<Item = &VerifierKey> {
        self.logs.values().flat_map(|log| &log.keys)
    }

    /// How many logs there are.
    pub fn count(&self) -> usize {
        self.logs.len()
    }
}

fn log_key(vkey: &str) -> Result<VerifierKey, LogError> {
    let key = VerifierKey::parse(vkey).map_err(|source| LogError::Vkey { vkey: vkey.to_owned(), source })?;
    match key.kind() {
        SignatureType::Ed25519 | SignatureType::CosignatureMlDsa44 => Ok(key),
        SignatureType::CosignatureEd25519 => Err(LogError::KeyType { vkey: key }),
    }
}
