//! The fleet's own time.

use core::fmt;

use countermark_bundle::identity::Timestamp;
use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z, as a majority's clocks agreed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplicatedTime(u64);

impl ReplicatedTime {
    /// Before any clock was heard.
    pub const START: Self = Self(0);

    /// Seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_unix(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// This much later, or the end of time.
    #[must_use]
    pub const fn after(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// As the bundle's formats write it; `None` after the year 9999.
    #[must_use]
    pub const fn timestamp(self) -> Option<Timestamp> {
        Timestamp::from_unix(self.0)
    }

    /// The median of a majority's clocks: of an even number, the earlier of the two in the middle, because what waits
    /// for a time rather waits too long. `None` of no clocks.
    #[must_use]
    pub fn median(clocks: &mut [Self]) -> Option<Self> {
        clocks.sort_unstable();
        let middle = clocks.len().checked_sub(1)?.checked_div(2)?;
        clocks.get(middle).copied()
    }
}

impl fmt::Display for ReplicatedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timestamp() {
            Some(timestamp) => timestamp.fmt(f),
            None => write!(f, "{} s", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_earlier_middle_and_one_liar_does_not_move_it_past_an_honest_clock() {
        let check = |clocks: &[u64], expect: Option<u64>| {
            let mut clocks: alloc::vec::Vec<_> = clocks.iter().copied().map(ReplicatedTime::from_unix).collect();
            assert_eq!(ReplicatedTime::median(&mut clocks), expect.map(ReplicatedTime::from_unix));
        };
        check(&[], None);
        check(&[7], Some(7));
        check(&[9, 7], Some(7));
        check(&[u64::MAX, 9, 7], Some(9));
        check(&[0, 9, 7], Some(7));
        check(&[4, 1, 3, 2], Some(2));
    }
}
