//! The nouns that every document uses: names, namespaces, epochs, digests, times, sides.

use alloc::string::{String, ToString};
use core::fmt;
use countermark_tlog::checkpoint::Origin;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::json::INTEGER_MAX;

/// Names that a namespace may not have, because the HTTP surface uses them.
pub const RESERVED_NAMESPACES: [&str; 12] = [
    "v1",
    "info",
    "namespaces",
    "healthz",
    "readyz",
    "metrics",
    "openapi.json",
    "docs",
    "assets",
    "add",
    "checkpoint",
    "tile",
];

/// Why a string is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not `[a-z0-9][a-z0-9._-]{0,62}`.
    #[error("a name is 1 to 63 of a-z, 0-9, '.', '_', '-', and begins with a letter or digit")]
    Form,
    /// A namespace that the HTTP surface needs for itself.
    #[error("this name is reserved")]
    Reserved,
    /// An origin without a namespace behind its last slash.
    #[error("the origin is not <authority name>/<namespace>")]
    NotAnOrigin,
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 63
        && bytes.next().is_some_and(plain)
        && bytes.all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'))
}

/// The name of a fleet, a member, a failure domain or an officer: `[a-z0-9][a-z0-9._-]{0,62}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Checks and takes a name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if is_name(text) { Ok(Self(text.to_string())) } else { Err(NameError::Form) }
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One product's fleet keys; one log each. Same form as a [`Name`], and not one of [`RESERVED_NAMESPACES`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(String);

impl Namespace {
    /// Checks and takes a namespace.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if !is_name(text) {
            return Err(NameError::Form);
        }
        if RESERVED_NAMESPACES.contains(&text) {
            return Err(NameError::Reserved);
        }
        Ok(Self(text.to_string()))
    }

    /// The namespace of a log: what stands behind the last slash of `<authority name>/<namespace>`.
    pub fn of_origin(origin: &Origin) -> Result<Self, NameError> {
        let (authority, namespace) = origin.as_str().rsplit_once('/').ok_or(NameError::NotAnOrigin)?;
        if authority.is_empty() {
            return Err(NameError::NotAnOrigin);
        }
        Self::parse(namespace)
    }

    /// The namespace itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The number of a statement within its namespace: 1, 2, 3 … up to 2^53−1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// The first epoch of every namespace.
    pub const FIRST: Self = Self(1);

    /// Takes a number from 1 to 2^53−1.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 || number > INTEGER_MAX { None } else { Some(Self(number)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The epoch after this one; `None` at the end of the range.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }
}

/// A SHA-256 digest of a document. 32 bytes, lower-case hex in every format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The SHA-256 of the bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads 64 lower-case hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        crate::wire::hex_exact(text).map(Self)
    }

    /// 64 lower-case hex digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// Why a string is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as 2026-11-21T09:30:00Z: RFC 3339, UTC, whole seconds")]
pub struct TimestampError;

/// A time in whole seconds, UTC, from 1970 to 9999. RFC 3339 in every format, in the one form `2026-11-21T09:30:00Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// 9999-12-31T23:59:59Z.
const TIMESTAMP_MAX: u64 = 253_402_300_799;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);

    /// Takes seconds since 1970-01-01T00:00:00Z; `None` after the year 9999.
    #[must_use]
    pub const fn from_unix(seconds: u64) -> Option<Self> {
        if seconds > TIMESTAMP_MAX { None } else { Some(Self(seconds)) }
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// This time and so many seconds more, at most the end of the year 9999.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        let sum = self.0.saturating_add(seconds);
        Self(if sum > TIMESTAMP_MAX { TIMESTAMP_MAX } else { sum })
    }

    /// Seconds from `earlier` to this time; 0 if `earlier` is later.
    #[must_use]
    pub const fn seconds_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads the one form that the formats allow.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let digits = |from: usize, to: usize| -> Option<u16> {
            let part = text.get(from..to)?;
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten()
        };
        let byte = |at: usize| text.as_bytes().get(at).copied();
        let small = |from, to| u8::try_from(digits(from, to)?).ok();
        let read = || {
            if text.len() != 20
                || [byte(4), byte(7)] != [Some(b'-'); 2]
                || byte(10) != Some(b'T')
                || [byte(13), byte(16)] != [Some(b':'); 2]
                || byte(19) != Some(b'Z')
            {
                return None;
            }
            let month = time::Month::try_from(small(5, 7)?).ok()?;
            let date = time::Date::from_calendar_date(i32::from(digits(0, 4)?), month, small(8, 10)?).ok()?;
            let clock = time::Time::from_hms(small(11, 13)?, small(14, 16)?, small(17, 19)?).ok()?;
            let seconds = time::PrimitiveDateTime::new(date, clock).assume_utc().unix_timestamp();
            Self::from_unix(u64::try_from(seconds).ok()?)
        };
        read().ok_or(TimestampError)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0).expect("a Timestamp ends with the year 9999");
        let at = time::OffsetDateTime::from_unix_timestamp(seconds).expect("a Timestamp ends with the year 9999");
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

/// Which of the two organisations. Adding trust needs both, removing it needs one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The independent third party that runs the log.
    Authority,
    /// The company that runs the fleet.
    Operator,
}

impl Side {
    /// `authority` or `operator`, as the formats write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Operator => "operator",
        }
    }
}

/// Serialises a type as its one string form and reads it back with its own checks.
macro_rules! string_form {
    ($type:ty, $parse:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_string())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $parse(text.as_str()).map_err(de::Error::custom)
            }
        }
    };
}

string_form!(Name, Name::parse);
string_form!(Namespace, Namespace::parse);
string_form!(Timestamp, Timestamp::parse);
string_form!(Digest, |text: &str| Digest::from_hex(text).ok_or("expected 64 lower-case hex digits"));

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(deserializer)?).ok_or_else(|| de::Error::custom("an epoch is 1 to 2^53-1"))
    }
}

macro_rules! display_inner {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )*};
}
display_inner!(Name, Namespace, Epoch);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        for good in ["a", "0", "fleet-1", "a.b_c-d", &"x".repeat(63)] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "A", "a b", "a/b", "ä", "a\n", &"x".repeat(64)] {
            assert_eq!(Name::parse(bad), Err(NameError::Form), "{bad}");
        }
    }

    #[test]
    fn reserved_words_are_not_namespaces() {
        for word in RESERVED_NAMESPACES {
            assert_eq!(Namespace::parse(word), Err(NameError::Reserved));
        }
        let of = |text: &str| Namespace::of_origin(&Origin::new(text).unwrap());
        assert_eq!(of("log.example/backup").unwrap().as_str(), "backup");
        assert_eq!(of("log.example"), Err(NameError::NotAnOrigin));
        assert_eq!(of("/backup"), Err(NameError::NotAnOrigin));
        assert_eq!(of("log.example/tile"), Err(NameError::Reserved));
    }

    #[test]
    fn times_have_one_form() {
        for (text, unix) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-21T09:30:00Z", 1_795_253_400),
            ("2024-02-29T23:59:59Z", 1_709_251_199),
            ("9999-12-31T23:59:59Z", TIMESTAMP_MAX),
        ] {
            let time = Timestamp::parse(text).unwrap();
            assert_eq!((time.unix(), time.to_string().as_str()), (unix, text));
        }
        for bad in [
            "",
            "2026-11-21",
            "2026-11-21T09:30:00",
            "2026-11-21t09:30:00Z",
            "2026-11-21T09:30:00z",
            "2026-11-21T09:30:00.0Z",
            "2026-11-21T09:30:00+00:00",
            "2026-13-21T09:30:00Z",
            "2023-02-29T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T09:60:00Z",
            "2026-11-21T09:30:60Z",
            "1969-12-31T23:59:59Z",
            "+026-11-21T09:30:00Z",
            "2026-11-21T09:30: 0Z",
            "２０２６-11-21T09:3",
        ] {
            assert_eq!(Timestamp::parse(bad), Err(TimestampError), "{bad}");
        }
        assert_eq!(Timestamp::from_unix(TIMESTAMP_MAX + 1), None);
    }

    #[test]
    fn epochs_and_digests_are_bounded() {
        assert_eq!(Epoch::new(0), None);
        assert_eq!(Epoch::new(INTEGER_MAX).and_then(Epoch::next), None);
        assert_eq!(Epoch::FIRST.next(), Epoch::new(2));
        assert!(Digest::from_hex(&"ab".repeat(32)).is_some());
        for bad in ["", &"AB".repeat(32), &"ab".repeat(31), &"zz".repeat(32)] {
            assert_eq!(Digest::from_hex(bad), None);
        }
    }
}
