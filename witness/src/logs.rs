//! The logs that the witness follows, and what makes a checkpoint theirs.

use std::collections::BTreeMap;
use std::ops::Bound;

use countermark_tlog::checkpoint::{CheckpointError, Origin};
use countermark_tlog::note::{NoteError, SignatureType, VerifierKey};
use countermark_tlog::witness_wire::monitoring_path;
use thiserror::Error;

/// The most logs of one witness.
pub const LOGS_MAX: usize = 10_000;

/// The most keys of one log.
pub const LOG_KEYS_MAX: usize = 16;

/// The logs of a witness by origin, and by the path under which monitors ask for them.
#[derive(Clone, Debug, Default)]
pub struct FollowedLogs {
    keys: BTreeMap<Origin, Vec<VerifierKey>>,
    by_path: BTreeMap<String, Origin>,
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
    /// A key whose name is not the origin.
    #[error("the key {vkey} carries another name than the log")]
    KeyName {
        /// The key.
        vkey: VerifierKey,
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
    /// Adds a log under the keys that sign for it.
    pub fn follow(&mut self, origin: &str, vkeys: &[String]) -> Result<(), LogError> {
        let origin = Origin::new(origin).map_err(LogError::Origin)?;
        if self.keys.contains_key(&origin) {
            return Err(LogError::DuplicateOrigin);
        }
        if self.keys.len() >= LOGS_MAX {
            return Err(LogError::TooMany);
        }
        if vkeys.is_empty() || vkeys.len() > LOG_KEYS_MAX {
            return Err(LogError::KeyCount { found: vkeys.len() });
        }
        let mut keys = Vec::with_capacity(vkeys.len());
        for vkey in vkeys {
            let key = log_key(vkey, &origin)?;
            // Two keys of one name and identifier could not be told apart in a note.
            if keys.iter().any(|other: &VerifierKey| other.id() == key.id()) {
                return Err(LogError::DuplicateKey { vkey: key });
            }
            keys.push(key);
        }
        self.by_path.insert(monitoring_path(&origin), origin.clone());
        self.keys.insert(origin, keys);
        Ok(())
    }

    /// The keys of a log; `None` for a log that is not followed.
    pub fn keys_of(&self, origin: &Origin) -> Option<&[VerifierKey]> {
        self.keys.get(origin).map(Vec::as_slice)
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
        self.keys.keys()
    }

    /// Every key of every log.
    pub fn all_keys(&self) -> impl Iterator<Item = &VerifierKey> {
        self.keys.values().flatten()
    }

    /// How many logs there are.
    pub fn count(&self) -> usize {
        self.keys.len()
    }
}

fn log_key(vkey: &str, origin: &Origin) -> Result<VerifierKey, LogError> {
    let key = VerifierKey::parse(vkey).map_err(|source| LogError::Vkey { vkey: vkey.to_owned(), source })?;
    if key.name() != origin.key_name() {
        return Err(LogError::KeyName { vkey: key });
    }
    match key.kind() {
        SignatureType::Ed25519 | SignatureType::CosignatureMlDsa44 => Ok(key),
        SignatureType::CosignatureEd25519 => Err(LogError::KeyType { vkey: key }),
    }
}
