//! Who may submit: bearer tokens under the keys of a file that may change while the server runs.
//!
//! It knows nothing of HTTP but the text of one header, and it never prints a token.
//!
//! Invariant: a token is judged under the file as it was at most [`LOOK_EVERY`] ago, and its times at each use. Its
//! signature is verified once: a submitter that sends thousands of entries in a second costs one. A file that cannot be
//! read refuses everybody: an issuer that was struck off must not come back because the file was half written.
//!
//! Anybody can send tokens that name a key and whose signature is wrong. Each costs one verification, of which there are at
//! most [`VERIFICATIONS_PER_SECOND_MAX`]; a token that was accepted before needs none, so that a flood of forged ones stops
//! nobody who is at work.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::num::NonZeroU32;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countermark_bundle::identity::{Digest, Namespace, Timestamp};
use countermark_signer_policy::access_token::{
    AccessClaims, Audience, KEY_SET_BYTES_MAX, KeySet, KeySetError, Scope, TOKEN_BYTES_MAX, TokenError, VerifiedToken,
};
use governor::clock::Clock as _;
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::limits::{Limiter, Rate, RuntimeClock};

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
    /// So many new tokens at once that this one was not looked at.
    #[error("more than {VERIFICATIONS_PER_SECOND_MAX} new tokens came in a second")]
    TooMany {
        /// When there is room for one.
        retry_after: Duration,
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
/// The most accepted tokens that are remembered: 8 MiB at a usual token's size, 256 MiB if an issuer makes each as large as
/// it may be.
const ACCEPTED_MAX: usize = 8_192;
/// The most signatures of tokens that are verified in a second: of P-384 a third of a core's time.
pub(crate) const VERIFICATIONS_PER_SECOND_MAX: u32 = 2_000;

/// Judges tokens.
#[derive(Debug)]
pub(crate) struct TokenGate {
    path: PathBuf,
    audience: Audience,
    loaded: Mutex<Loaded>,
    clock: RuntimeClock,
    verifications: Limiter,
}

/// The file as it was last read, and the tokens that it accepted.
#[derive(Debug)]
struct Loaded {
    stamp: Stamp,
    keys: Arc<KeySet>,
    looked: Instant,
    /// Tokens accepted under these keys, by digest: none of them is kept itself.
    accepted: HashMap<Digest, Arc<VerifiedToken>>,
}

impl Loaded {
    fn new(stamp: Stamp, keys: Arc<KeySet>, looked: Instant) -> Self {
        Self { stamp, keys, looked, accepted: HashMap::new() }
    }

    /// Remembers a token. Where there is no room, those that have expired go, or all if none has.
    fn remember(&mut self, digest: Digest, token: &Arc<VerifiedToken>, now: Timestamp) {
        if self.accepted.len() >= ACCEPTED_MAX {
            self.accepted.retain(|_, token| !token.has_expired(now));
        }
        if self.accepted.len() >= ACCEPTED_MAX {
            self.accepted.clear();
        }
        self.accepted.insert(digest, Arc::clone(token));
    }
}

impl TokenGate {
    /// Reads the file for the first time.
    pub(crate) async fn open(path: &Path, audience: Audience) -> Result<Self, TokenKeysError> {
        let looked = Instant::now();
        let (stamp, keys) = read(path).await?;
        let loaded = Mutex::new(Loaded::new(stamp, Arc::new(keys), looked));
        let clock = RuntimeClock::new();
        let verifications = verifications().limiter(clock.clone());
        Ok(Self { path: path.to_owned(), audience, loaded, clock, verifications })
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
        let token = self.judge(token, &keys, now)?;
        let claims = token.at(now)?;
        if !claims.namespaces.contains(namespace) {
            let namespace = namespace.clone();
            return Err(AuthRefusal::Namespace { namespace });
        }
        if !claims.scopes.contains(&scope) {
            return Err(AuthRefusal::Scope { scope });
        }
        Ok(Arc::clone(claims))
    }

    /// Verifies a token, or remembers that it was accepted under the same keys.
    fn judge(&self, token: &str, keys: &Arc<KeySet>, now: Timestamp) -> Result<Arc<VerifiedToken>, AuthRefusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed { part: "token" }.into());
        }
        let digest = Digest::of(token.as_bytes());
        let known = {
            let loaded = self.loaded();
            Arc::ptr_eq(&loaded.keys, keys).then(|| loaded.accepted.get(&digest).cloned()).flatten()
        };
        if let Some(known) = known {
            return Ok(known);
        }
        // 1. What costs nothing: most of what is no token ends here, and uses nothing up.
        let token = keys.find_key(token)?;
        // 2. A place among the verifications of this second, whether the signature is right or not.
        if let Err(until) = self.verifications.check() {
            let retry_after = until.wait_time_from(self.clock.now());
            return Err(AuthRefusal::TooMany { retry_after });
        }
        // 3. The signature.
        let token = Arc::new(token.verify(&self.audience)?);
        let mut loaded = self.loaded();
        if Arc::ptr_eq(&loaded.keys, keys) {
            loaded.remember(digest, &token, now);
        }
        Ok(token)
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

/// New tokens' signatures, of everybody together.
fn verifications() -> Rate {
    let each_second = NonZeroU32::new(VERIFICATIONS_PER_SECOND_MAX).expect("not zero");
    Rate::new(each_second, Duration::from_secs(1), each_second).expect("one each half millisecond")
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
