//! What one submitter may send: how often, how much, and how many at a time.
//!
//! It knows nothing of HTTP, and keeps nothing: a restart forgets. A submitter is an issuer and a subject that a verified
//! token named, so that nobody without a token ever has an account here. Each kind of log has accounts of its own.
//!
//! Invariant: there are at most [`ACCOUNTS_MAX`] accounts, and only one that has all its allowance again is forgotten, so
//! that being forgotten gives nobody more.

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countermark_bundle::identity::Name;
use countermark_signer_policy::access_token::{AccessClaims, Issuer};
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::ports::LogKind;

/// The most submitters of one kind of log that are counted at a time.
pub const ACCOUNTS_MAX: usize = 16_384;
/// Bytes are counted in units of so many, rounded up.
pub(crate) const BYTES_UNIT: u32 = 64;
/// The least that any submitter may send at once, 256 KiB: the largest body must fit in, or it could never be sent.
pub(crate) const BYTES_BURST_MIN: u32 = 256 << 10;
/// How long accounts are not looked through again for idle ones.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// When one should come back that was refused for what others have under way, which nobody can foresee.
const COME_BACK: Duration = Duration::from_secs(1);

/// The runtime's time, which tests can stop.
#[derive(Clone, Debug)]
pub(crate) struct RuntimeClock(Instant);

impl RuntimeClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for RuntimeClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

/// Counts one thing of one submitter, or of all.
pub(crate) type Limiter = RateLimiter<NotKeyed, InMemoryState, RuntimeClock, NoOpMiddleware<Nanos>>;

/// So many in a time, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time after which there is room for one more.
    each: Duration,
    /// How many there is room for at most.
    burst: NonZeroU32,
}

impl Rate {
    /// Room for `count` more in each `per`, and for `burst` at most; `None` if it is less than one in 500 years or more
    /// than one in a nanosecond.
    #[must_use]
    pub fn new(count: NonZeroU32, per: Duration, burst: NonZeroU32) -> Option<Self> {
        let each = per / count.get();
        (!each.is_zero()).then_some(Self { each, burst })
    }

    pub(crate) fn limiter(self, clock: RuntimeClock) -> Limiter {
        let quota = Quota::with_period(self.each).expect("a rate's time is not zero").allow_burst(self.burst);
        RateLimiter::direct_with_clock(quota, clock)
    }

    /// The time after which nothing is left of what was used.
    const fn replenished_in(self) -> Duration {
        self.each.saturating_mul(self.burst.get())
    }
}

/// What each submitter to logs of one kind is allowed; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Submissions, whatever becomes of them.
    pub submissions: Option<Rate>,
    /// Units of 64 bytes of their bodies.
    pub bytes: Option<Rate>,
    /// Submissions that have no answer yet.
    pub under_way: Option<NonZeroUsize>,
}

impl Allowance {
    /// No limit at all.
    pub const NONE: Self = Self { submissions: None, bytes: None, under_way: None };

    fn replenished_in(&self) -> Duration {
        let rates = [self.submissions, self.bytes].into_iter().flatten();
        rates.map(Rate::replenished_in).max().unwrap_or_default()
    }
}

/// The allowances of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To logs that certify.
    pub fleet_keys: Allowance,
    /// To logs of opaque entries.
    pub raw: Allowance,
}

/// Who submits: a subject that an issuer vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Submitter {
    issuer: Issuer,
    subject: Name,
}

/// Why a submitter has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Exceeded {
    /// More submissions than allowed.
    #[error("this submitter may send {burst} submissions at once and one more every {} µs", each.as_micros())]
    Submissions {
        /// How many at once.
        burst: NonZeroU32,
        /// The time for one more.
        each: Duration,
        /// When there is room for one.
        retry_after: Duration,
    },
    /// More bytes than allowed.
    #[error("this submitter has sent so many bytes that there is no room for {found} more")]
    Bytes {
        /// The bytes of this submission.
        found: usize,
        /// When there is room for them.
        retry_after: Duration,
    },
    /// More at a time than allowed.
    #[error("this submitter has {max} submissions under way, as many as allowed")]
    UnderWay {
        /// How many are allowed.
        max: NonZeroUsize,
    },
    /// More submitters than are counted. It is not this one's fault.
    #[error("more than {ACCOUNTS_MAX} submitters are busy")]
    Accounts,
}

impl Exceeded {
    /// When there will be room, or when to look again.
    pub(crate) const fn retry_after(self) -> Duration {
        match self {
            Self::Submissions { retry_after, .. } | Self::Bytes { retry_after, .. } => retry_after,
            Self::UnderWay { .. } | Self::Accounts => COME_BACK,
        }
    }
}

/// One submitter's use of its allowance.
struct Account {
    submissions: Option<(Rate, Limiter)>,
    bytes: Option<Limiter>,
    under_way: Option<(NonZeroUsize, Arc<Semaphore>)>,
    last_used: Mutex<Instant>,
}

impl Account {
    fn new(allowance: &Allowance, clock: &RuntimeClock, now: Instant) -> Self {
        Self {
            submissions: allowance.submissions.map(|rate| (rate, rate.limiter(clock.clone()))),
            bytes: allowance.bytes.map(|rate| rate.limiter(clock.clone())),
            under_way: allowance.under_way.map(|max| (max, Arc::new(Semaphore::new(max.get())))),
            last_used: Mutex::new(now),
        }
    }

    /// Nothing is half changed where the lock is released.
    fn last_used(&self) -> MutexGuard<'_, Instant> {
        self.last_used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A submission that is under way, until this is dropped.
pub(crate) struct Place {
    account: Arc<Account>,
    clock: RuntimeClock,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// Charges the bytes of a body. What is refused here is not charged.
    pub(crate) fn charge(&self, found: usize) -> Result<(), Exceeded> {
        let Some(limiter) = &self.account.bytes else { return Ok(()) };
        // Used again: an account that is charged is not idle.
        *self.account.last_used() = Instant::now();
        let Some(units) = NonZeroU32::new(u32::try_from(found).unwrap_or(u32::MAX).div_ceil(BYTES_UNIT)) else {
            return Ok(());
        };
        match limiter.check_n(units) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => Err(Exceeded::Bytes { found, retry_after: until.wait_time_from(self.clock.now()) }),
            // The configuration sees to it that every body that is read fits in.
            Err(_more_than_ever) => Err(Exceeded::Bytes { found, retry_after: COME_BACK }),
        }
    }
}

/// The accounts of the submitters to logs of one kind.
struct Accounts {
    allowance: Allowance,
    clock: RuntimeClock,
    held: Mutex<Held>,
}

struct Held {
    accounts: HashMap<Submitter, Arc<Account>>,
    swept: Option<Instant>,
}

impl Accounts {
    fn new(allowance: Allowance) -> Self {
        let held = Mutex::new(Held { accounts: HashMap::new(), swept: None });
        Self { allowance, clock: RuntimeClock::new(), held }
    }

    fn admit(&self, claims: &AccessClaims) -> Result<Place, Exceeded> {
        let account = self.account(claims)?;
        // 1. A place first: who is refused one has lost nothing.
        let place = match &account.under_way {
            None => None,
            Some((max, free)) => {
                let place = Arc::clone(free).try_acquire_owned();
                Some(place.map_err(|_| Exceeded::UnderWay { max: *max })?)
            }
        };
        // 2. Then the submission, which counts whatever becomes of it: judging it is work.
        if let Some((Rate { each, burst }, limiter)) = &account.submissions
            && let Err(until) = limiter.check()
        {
            let retry_after = until.wait_time_from(self.clock.now());
            return Err(Exceeded::Submissions { burst: *burst, each: *each, retry_after });
        }
        Ok(Place { account, clock: self.clock.clone(), _permit: place })
    }

    fn account(&self, claims: &AccessClaims) -> Result<Arc<Account>, Exceeded> {
        let now = Instant::now();
        let submitter = Submitter { issuer: claims.issuer.clone(), subject: claims.subject.clone() };
        let mut held = self.held();
        if let Some(account) = held.accounts.get(&submitter) {
            *account.last_used() = now;
            return Ok(Arc::clone(account));
        }
        if held.accounts.len() >= ACCOUNTS_MAX {
            let replenished_in = self.allowance.replenished_in();
            held.sweep(now, replenished_in);
        }
        if held.accounts.len() >= ACCOUNTS_MAX {
            return Err(Exceeded::Accounts);
        }
        let account = Arc::new(Account::new(&self.allowance, &self.clock, now));
        held.accounts.insert(submitter, Arc::clone(&account));
        Ok(account)
    }

    /// A panic while the lock was held leaves at worst one account too few.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Forgets who has nothing under way and has all allowance again. Not at every call: who comes when there is no room
    /// shall not make the server look through everybody each time.
    fn sweep(&mut self, now: Instant, replenished_in: Duration) {
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP_EVERY) {
            return;
        }
        self.swept = Some(now);
        self.accounts.retain(|_, account| {
            let idle = now.saturating_duration_since(*account.last_used());
            Arc::strong_count(account) > 1 || idle < replenished_in
        });
    }
}

/// Everybody's accounts.
pub(crate) struct SubmitterLimits {
    fleet_keys: Accounts,
    raw: Accounts,
}

impl SubmitterLimits {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { fleet_keys: Accounts::new(limits.fleet_keys), raw: Accounts::new(limits.raw) }
    }

    /// Counts a submission of whom a verified token names, to a log of this kind.
    pub(crate) fn admit(&self, kind: LogKind, claims: &AccessClaims) -> Result<Place, Exceeded> {
        match kind {
            LogKind::FleetKeys => self.fleet_keys.admit(claims),
            LogKind::Raw => self.raw.admit(claims),
        }
    }
}

#[cfg(test)]
mod tests;
