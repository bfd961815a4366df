//! How often a log may ask: so many requests a day, of which some may come at once.
//!
//! It is charged only for what a followed log signed, so that nobody else can spend it. It is kept in memory, some hundred
//! bytes a log: a restart gives every log its burst again.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// What a log may ask for in a day where nothing else is said: once a second.
pub const REQUESTS_PER_DAY: u64 = 86_400;
/// The most that a log may be allowed in a day.
pub const REQUESTS_PER_DAY_MAX: u64 = 1_000_000_000;
/// How many requests may come at once, at least, of a budget that has as many: a log retries after conflicts, and asks
/// again after an outage. Of a large budget a hundredth may.
pub const BURST_MIN: u32 = 64;

const DAY: Duration = Duration::from_hours(24);

/// The runtime's time, which tests can stop.
#[derive(Clone, Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

/// What is left to one log. Its clones are one budget.
#[derive(Clone)]
pub struct Budget {
    clock: RuntimeClock,
    limiter: Arc<RateLimiter<NotKeyed, InMemoryState, RuntimeClock, NoOpMiddleware<Nanos>>>,
}

impl Budget {
    /// So many requests a day, 1 to [`REQUESTS_PER_DAY_MAX`]; of them a hundredth at once, or [`BURST_MIN`].
    pub fn new(requests_per_day: u64) -> Option<Self> {
        let count = u32::try_from(requests_per_day).ok().filter(|_| requests_per_day <= REQUESTS_PER_DAY_MAX)?;
        let count = NonZeroU32::new(count)?;
        let burst = NonZeroU32::new((count.get() / 100).max(BURST_MIN).min(count.get()))?;
        let quota = Quota::with_period(DAY / count.get())?.allow_burst(burst);
        let clock = RuntimeClock(Instant::now());
        Some(Self { limiter: Arc::new(RateLimiter::direct_with_clock(quota, clock.clone())), clock })
    }

    /// Takes one request from it, or says when there is room for one.
    pub fn charge(&self) -> Result<(), Duration> {
        self.limiter.check().map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_taken_at_once_and_comes_back_at_the_rate_of_the_day() {
        let budget = Budget::new(86_400).unwrap();
        for _ in 0..864 {
            assert_eq!(budget.charge(), Ok(()));
        }
        assert_eq!(budget.charge(), Err(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(budget.charge(), Ok(()));
        assert_eq!(budget.charge(), Ok(()));
        assert!(budget.charge().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_budget_has_a_small_burst() {
        let budget = Budget::new(2).unwrap();
        assert_eq!([budget.charge(), budget.charge()], [Ok(()), Ok(())]);
        assert_eq!(budget.charge(), Err(Duration::from_hours(12)));
    }

    #[test]
    fn nothing_and_too_much_are_no_budget() {
        for requests in [0, REQUESTS_PER_DAY_MAX + 1, u64::MAX] {
            assert!(Budget::new(requests).is_none(), "{requests}");
        }
        assert!(Budget::new(REQUESTS_PER_DAY_MAX).is_some());
    }
}
