//! The machine's clock behind the [`Clock`] port.

use std::time::{SystemTime, UNIX_EPOCH};

use countermark_bundle::identity::Timestamp;

use crate::ports::Clock;

/// The operating system's time of day.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    /// A clock before 1970 reads 1970, so that every cool-off still waits.
    fn now(&self) -> Timestamp {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix(0).expect("1970 is a time").plus(elapsed.as_secs())
    }
}
