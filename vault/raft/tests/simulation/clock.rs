//! The members' clocks: most are nearly right, and a minority shows anything.

use std::sync::Mutex;

use countermark_bundle::testing::NOW;
use countermark_vault_core::machine::ReplicatedTime;
use countermark_vault_raft::Clock;
use tokio::time::Instant;

use super::random::Random;

/// The most that an honest clock is fast or slow, in seconds.
const SKEW_MAX: u64 = 2;

/// A member's clock.
pub struct SimulatedClock {
    started: Instant,
    skew: u64,
    wild: Option<Mutex<Random>>,
}

impl SimulatedClock {
    /// A clock that is nearly right.
    pub fn honest(started: Instant, random: &mut Random) -> Self {
        Self { started, skew: random.below(SKEW_MAX + 1), wild: None }
    }

    /// A clock that is not.
    pub fn wild(started: Instant, random: &mut Random) -> Self {
        Self { started, skew: 0, wild: Some(Mutex::new(random.fork())) }
    }

    /// Whether it is nearly right.
    pub fn is_honest(&self) -> bool {
        self.wild.is_none()
    }

    fn right(&self) -> u64 {
        NOW + self.skew + self.started.elapsed().as_secs()
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> ReplicatedTime {
        let right = self.right();
        let Some(wild) = &self.wild else { return ReplicatedTime::from_unix(right) };
        let mut random = wild.lock().unwrap();
        let shown = match random.below(4) {
            0 => 0,
            1 => u64::MAX,
            2 => right + random.below(100_000),
            _ => right - random.below(100_000),
        };
        ReplicatedTime::from_unix(shown)
    }
}
