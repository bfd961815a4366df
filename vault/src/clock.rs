//! The machine's clock.

use std::time::SystemTime;

use countermark_bundle::identity::Timestamp;
use countermark_vault_core::machine::ReplicatedTime;
use countermark_vault_raft::Clock;

use crate::ports::WallClock;

/// What the system says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

/// A clock before 1970 shows the beginning: everything has expired then, and the fleet takes other members' word.
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl WallClock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(unix_seconds()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> ReplicatedTime {
        ReplicatedTime::from_unix(unix_seconds())
    }
}
