//! The machine's clock behind the [`Clock`] port.

use std::time::{SystemTime, UNIX_EPOCH};

use countermark_bundle::identity::Timestamp;

use crate::ports::Clock;

/// The operating system's time of day.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    /// A clock before 1970 reads 0: every time-dependent rule then refuses, as it should.
    fn now_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|elapsed| u64::try_from(elapsed.as_millis()).ok())
            .unwrap_or(0)
    }
}

/// Whole seconds of a time in milliseconds, at most the end of the year 9999.
#[must_use]
pub(crate) fn timestamp(now_ms: u64) -> Timestamp {
    Timestamp::from_unix(0).expect("1970 is a time").plus(now_ms / 1_000)
}
