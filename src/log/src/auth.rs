//! Who may submit: bearer tokens under the keys of a file that may change while the server runs.
//!
//! It knows nothing of HTTP but the text of one header, and it never prints a token.
//!
//! Invariant: a token is judged under the file as it was at most [`LOOK_EVERY`] ago, and once in each second of the clock:
//! a submitter that sends thousands of entries in a second is verified once. A file that cannot be read refuses everybody:
//! an issuer that was struck off must not come back because the file was half written.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countermark_bundle::identity::{Digest, Namespace, Timestamp};
use countermark_signer_policy::access_token::{
    AccessClaims, Audience, KEY_SET_BYTES_MAX, KeySet, KeySetError, Scope, TokenError,
};
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

/// The scheme that stands before a token. SPEC: RFC 9110 §11.1: read without regard to case.
const SCHEME: &str = "Bearer";

/// Why the keys of token issuers were not read.
#[derive(Debug, Error)]
pub enum TokenKeysError {
    /// The file could not be read.
    #[error("token_keys: cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The file is no key set.
    #[error("token_keys: {} is refused: {source}", path.display())]
    KeySet {
        /// The file.
        path: PathBuf,
        /// Which rule.
        source: KeySetError,
    },
}

/// Why a submission is not authorized.
#[derive(Debug, Error)]
pub(crate) enum AuthRefusal {
    /// No authorization was given.
    #[error("the request has no authorization header")]
    Missing,
    /// More than one header, another scheme, or no text.
    #[error("the authorization header must be one `Bearer` and one token")]
    Header,
    /// The token does not count.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token is for other namespaces.
    #[error("the token does not cover the namespace {namespace}")]
    Namespace {
        /// The namespace asked for.
        namespace: Namespace,
    },
    /// The token is for other acts.
    #[error("the token lacks the scope {:?}", scope.as_str())]
    Scope {
        /// The scope needed.
        scope: Scope,
    },
    /// Fault: nobody can be judged.
    #[error(transparent)]
    Keys(#[from] TokenKeysError),
}

/// Tells one state of the file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self { inode: found.ino(), length: found.len(), modified: (found.mtime(), found.mtime_nsec()) }
    }
}

/// How long the file is believed to be the one that was read.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The most tokens whose verdict is kept within a second.
const JUDGED_MAX: usize = 1_024;

/// Judges tokens.
#[derive(Debug)]
pub(crate) struct TokenGate {
    path: PathBuf,
    audience: Audience,
    loaded: Mutex<Loaded>,
}

/// The file as it was last read, and the tokens that it accepted.
#[derive(Debug)]
struct Loaded {
    stamp: Stamp,
    keys: Arc<KeySet>,
    looked: Instant,
    /// Tokens accepted in one second, by digest: none of them is kept itself.
    accepted: (Timestamp, HashMap<Digest, Arc<AccessClaims>>),
}

impl Loaded {
    fn new(stamp: Stamp, keys: Arc<KeySet>, looked: Instant) -> Self {
        let nothing = Timestamp::from_unix(0).expect("1970 is a time");
        Self { stamp, keys, looked, accepted: (nothing, HashMap::new()) }
    }
}

impl TokenGate {
    /// Reads the file for the first time.
    pub(crate) async fn open(path: &Path, audience: Audience) -> Result<Self, TokenKeysError> {
        let looked = Instant::now();
        let (stamp, keys) = read(path).await?;
        Ok(Self { path: path.to_owned(), audience, loaded: Mutex::new(Loaded::new(stamp, Arc::new(keys), looked)) })
    }

    /// Judges the `authorization` headers of a request for an act in a namespace.
    pub(crate) async fn authorize(
        &self,
        headers: &[&[u8]],
        namespace: &Namespace,
        scope: Scope,
        now: Timestamp,
    ) -> Result<Arc<AccessClaims>, AuthRefusal> {
        let token = bearer(headers)?;
        let keys = self.keys().await?;
        let claims = self.judge(token, &keys, now)?;
        if !claims.namespaces.contains(namespace) {
            let namespace = namespace.clone();
            return Err(AuthRefusal::Namespace { namespace });
        }
        if !claims.scopes.contains(&scope) {
            return Err(AuthRefusal::Scope { scope });
        }
        Ok(claims)
    }

    /// Verifies a token, or remembers that it was accepted under the same keys in the same second.
    fn judge(&self, token: &str, keys: &Arc<KeySet>, now: Timestamp) -> Result<Arc<AccessClaims>, TokenError> {
        let digest = Digest::of(token.as_bytes());
        let known = {
            let loaded = self.loaded();
            let (second, accepted) = &loaded.accepted;
            let current = *second == now && Arc::ptr_eq(&loaded.keys, keys);
            current.then(|| accepted.get(&digest).cloned()).flatten()
        };
        if let Some(claims) = known {
            return Ok(claims);
        }
        let claims = Arc::new(keys.verify(token, &self.audience, now)?);
        let mut loaded = self.loaded();
        if Arc::ptr_eq(&loaded.keys, keys) {
            let (second, accepted) = &mut loaded.accepted;
            if *second != now || accepted.len() >= JUDGED_MAX {
                *second = now;
                accepted.clear();
            }
            accepted.insert(digest, Arc::clone(&claims));
        }
        Ok(claims)
    }

    /// The keys as the file has them, or had them a moment ago.
    async fn keys(&self) -> Result<Arc<KeySet>, TokenKeysError> {
        let now = Instant::now();
        let stamp = {
            let loaded = self.loaded();
            if now.saturating_duration_since(loaded.looked) < LOOK_EVERY {
                return Ok(Arc::clone(&loaded.keys));
            }
            loaded.stamp
        };
        let found = tokio::fs::metadata(&self.path).await.map_err(read_error(&self.path))?;
        if stamp == Stamp::of(&found) {
            let mut loaded = self.loaded();
            loaded.looked = now.max(loaded.looked);
            return Ok(Arc::clone(&loaded.keys));
        }
        let (stamp, keys) = read(&self.path).await?;
        let keys = Arc::new(keys);
        tracing::info!(path = %self.path.display(), "the keys of token issuers were read again");
        *self.loaded() = Loaded::new(stamp, Arc::clone(&keys), now);
        Ok(keys)
    }

    /// Nothing is half changed where the lock is released, so a panic in between breaks nothing.
    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token of exactly one `Bearer` header.
fn bearer<'h>(headers: &[&'h [u8]]) -> Result<&'h str, AuthRefusal> {
    let header = match headers {
        [] => return Err(AuthRefusal::Missing),
        [header] => std::str::from_utf8(header).map_err(|_| AuthRefusal::Header)?,
        [_, _, ..] => return Err(AuthRefusal::Header),
    };
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty() => Ok(token),
        Some(_) | None => Err(AuthRefusal::Header),
    }
}

/// Reads the file, and the stamp from the same open file: the name may lead to another one a moment later.
async fn read(path: &Path) -> Result<(Stamp, KeySet), TokenKeysError> {
    let file = tokio::fs::File::open(path).await.map_err(read_error(path))?;
    let stamp = Stamp::of(&file.metadata().await.map_err(read_error(path))?);
    let mut bytes = Vec::new();
    // One byte more than allowed, so that a file that is too long is refused as such.
    let limit = u64::try_from(KEY_SET_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).await.map_err(read_error(path))?;
    let keys = KeySet::parse(&bytes).map_err(|source| TokenKeysError::KeySet { path: path.to_owned(), source })?;
    Ok((stamp, keys))
}

fn read_error(path: &Path) -> impl Fn(io::Error) -> TokenKeysError {
    |source| TokenKeysError::Read { path: path.to_owned(), source }
}

#[cfg(test)]
pub(crate) mod tests;
