//! The part of the configuration that says what each submitter may send.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::limits::{Allowance, BYTES_BURST_MIN, BYTES_UNIT, Limits, Rate};

/// The most submissions of a minute that can be told apart: one each microsecond.
const SUBMISSIONS_PER_MINUTE_MAX: u32 = 60_000_000;
/// The most bytes of a second that can be told apart.
const BYTES_PER_SECOND_MAX: u32 = 1 << 31;

/// Why limits are refused.
#[derive(Debug, Error)]
pub enum LimitsError {
    /// A number that is out of range.
    #[error("limits.{kind}.{field} must be {min} to {max}, or 0 for no limit; found {found}")]
    Range {
        /// Of which kind of logs.
        kind: &'static str,
        /// Which field.
        field: &'static str,
        /// The least.
        min: u32,
        /// The most.
        max: u32,
        /// What was found.
        found: u32,
    },
    /// A burst without a rate.
    #[error("limits.{kind}.{field} says nothing where the rate is 0")]
    BurstWithoutRate {
        /// Of which kind of logs.
        kind: &'static str,
        /// Which field.
        field: &'static str,
    },
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsText {
    #[serde(rename = "fleet-keys", default)]
    fleet_keys: AllowanceText,
    #[serde(default)]
    raw: AllowanceText,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowanceText {
    submissions_per_minute: Option<u32>,
    submissions_burst: Option<u32>,
    bytes_per_second: Option<u32>,
    bytes_burst: Option<u32>,
    under_way: Option<u32>,
}

/// What is allowed where the file says nothing.
struct Defaults {
    kind: &'static str,
    submissions_per_minute: u32,
    bytes_per_second: u32,
    under_way: u32,
}

/// A hundred a second: many times what any fleet's operator sends.
const FLEET_KEYS: Defaults =
    Defaults { kind: "fleet-keys", submissions_per_minute: 6_000, bytes_per_second: 8 << 20, under_way: 128 };
/// Fifty thousand a second: more than a log commits on one disk, and less than one submitter could make it refuse.
const RAW: Defaults =
    Defaults { kind: "raw", submissions_per_minute: 3_000_000, bytes_per_second: 64 << 20, under_way: 4_096 };

/// The most submissions of a minute that may come at once where the file says nothing.
const MINUTE_AT_ONCE_MAX: u32 = 1_000;

impl Default for Limits {
    fn default() -> Self {
        LimitsText::default().read().expect("the defaults are in range")
    }
}

impl LimitsText {
    pub(super) fn read(self) -> Result<Limits, LimitsError> {
        Ok(Limits { fleet_keys: self.fleet_keys.read(&FLEET_KEYS)?, raw: self.raw.read(&RAW)? })
    }
}

impl AllowanceText {
    fn read(self, defaults: &Defaults) -> Result<Allowance, LimitsError> {
        let kind = defaults.kind;
        let minute = Duration::from_mins(1);
        let per_minute = self.submissions_per_minute.unwrap_or(defaults.submissions_per_minute);
        in_range(kind, "submissions_per_minute", per_minute, 1, SUBMISSIONS_PER_MINUTE_MAX)?;
        // A slow submitter may send a minute's worth at once, a fast one two seconds'.
        let burst = or_two_seconds(self.submissions_burst, per_minute / 60, per_minute.min(MINUTE_AT_ONCE_MAX));
        let submissions = rate(kind, "submissions_burst", per_minute, minute, burst, self.submissions_burst)?;

        let per_second = self.bytes_per_second.unwrap_or(defaults.bytes_per_second);
        in_range(kind, "bytes_per_second", per_second, BYTES_UNIT, BYTES_PER_SECOND_MAX)?;
        let burst = or_two_seconds(self.bytes_burst, per_second, BYTES_BURST_MIN);
        in_range(kind, "bytes_burst", burst, BYTES_BURST_MIN, u32::MAX)?;
        let (units, burst) = (per_second / BYTES_UNIT, burst / BYTES_UNIT);
        let bytes = rate(kind, "bytes_burst", units, Duration::from_secs(1), burst, self.bytes_burst)?;

        let under_way = self.under_way.unwrap_or(defaults.under_way);
        let under_way = usize::try_from(under_way).ok().and_then(NonZeroUsize::new);
        Ok(Allowance { submissions, bytes, under_way })
    }
}

fn or_two_seconds(said: Option<u32>, per_second: u32, min: u32) -> u32 {
    said.unwrap_or_else(|| per_second.saturating_mul(2).max(min))
}

fn in_range(kind: &'static str, field: &'static str, found: u32, min: u32, max: u32) -> Result<(), LimitsError> {
    if found == 0 || (min..=max).contains(&found) {
        Ok(())
    } else {
        Err(LimitsError::Range { kind, field, min, max, found })
    }
}

/// A rate of `count` in `per`; none if that is 0, which then has no burst either.
fn rate(
    kind: &'static str,
    field: &'static str,
    count: u32,
    per: Duration,
    burst: u32,
    said: Option<u32>,
) -> Result<Option<Rate>, LimitsError> {
    match (NonZeroU32::new(count), NonZeroU32::new(burst)) {
        (None, _) if said.is_some() => Err(LimitsError::BurstWithoutRate { kind, field }),
        (None, _) => Ok(None),
        (Some(_), None) => Err(LimitsError::Range { kind, field, min: 1, max: u32::MAX, found: burst }),
        (Some(count), Some(burst)) => Ok(Rate::new(count, per, burst)),
    }
}

#[cfg(test)]
mod tests;
