//! Tree sizes, leaf indexes and their decimal form.
//!
//! Both stay at or below 2^63 - 1, so that they fit a signed 64-bit column and no shift in the tree arithmetic
//! overflows.

use core::fmt;

/// The largest tree size and leaf index: 2^63 - 1.
pub const SIZE_MAX: u64 = u64::MAX >> 1;

/// The number of leaves of a tree, 0 to 2^63 - 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeSize(u64);

impl TreeSize {
    /// The size of the empty tree.
    pub const ZERO: Self = Self(0);
    /// The largest size, 2^63 - 1.
    pub const MAX: Self = Self(SIZE_MAX);

    /// Takes a size; `None` above 2^63 - 1.
    #[must_use]
    pub const fn new(leaves: u64) -> Option<Self> {
        if leaves <= SIZE_MAX { Some(Self(leaves)) } else { None }
    }

    /// The number of leaves.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The size after `leaves` more; `None` above 2^63 - 1.
    #[must_use]
    pub fn checked_add(self, leaves: u64) -> Option<Self> {
        self.0.checked_add(leaves).and_then(Self::new)
    }

    /// Reads a decimal as checkpoints have it: digits only, no sign, no leading zero, at most 2^63 - 1.
    pub fn parse_decimal(text: &str) -> Result<Self, DecimalError> {
        Self::new(parse_decimal_u64(text)?).ok_or(DecimalError::TooLarge)
    }
}

impl fmt::Display for TreeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The position of a leaf, from 0 to 2^63 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafIndex(u64);

impl LeafIndex {
    /// Takes an index; `None` above 2^63 - 1.
    #[must_use]
    pub const fn new(index: u64) -> Option<Self> {
        if index <= SIZE_MAX { Some(Self(index)) } else { None }
    }

    /// The index.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether a tree of this size has the leaf.
    #[must_use]
    pub const fn is_in(self, size: TreeSize) -> bool {
        self.0 < size.0
    }

    /// Reads a decimal: digits only, no sign, no leading zero, at most 2^63 - 1.
    pub fn parse_decimal(text: &str) -> Result<Self, DecimalError> {
        Self::new(parse_decimal_u64(text)?).ok_or(DecimalError::TooLarge)
    }
}

impl fmt::Display for LeafIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is not a decimal of the one accepted form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// No digits.
    #[error("the decimal is empty")]
    Empty,
    /// A character other than an ASCII digit; a sign is one.
    #[error("the decimal has a character that is no ASCII digit")]
    NotADigit,
    /// `05`, `00`.
    #[error("the decimal has a leading zero")]
    LeadingZero,
    /// Above 2^63 - 1 for sizes and indexes, above 2^64 - 1 otherwise.
    #[error("the decimal is too large")]
    TooLarge,
}

/// Reads a decimal up to 2^64 - 1: digits only, no sign, no leading zero.
pub fn parse_decimal_u64(text: &str) -> Result<u64, DecimalError> {
    if text.is_empty() {
        return Err(DecimalError::Empty);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DecimalError::NotADigit);
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(DecimalError::LeadingZero);
    }
    text.parse().map_err(|_| DecimalError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_shortest_unsigned_decimal_is_read() {
        let check = |text: &str, expect: Result<u64, DecimalError>| {
            assert_eq!(TreeSize::parse_decimal(text).map(TreeSize::get), expect, "{text:?}");
            assert_eq!(LeafIndex::parse_decimal(text).map(LeafIndex::get), expect, "{text:?}");
        };
        check("0", Ok(0));
        check("5", Ok(5));
        check("9223372036854775807", Ok(SIZE_MAX));
        check("", Err(DecimalError::Empty));
        check("05", Err(DecimalError::LeadingZero));
        check("00", Err(DecimalError::LeadingZero));
        for text in ["+5", "-1", "-0", " 5", "5 ", "5\n", "0x5", "1e3", "1_0", "\u{0665}", "\u{ff15}"] {
            check(text, Err(DecimalError::NotADigit));
        }
        for text in ["9223372036854775808", "18446744073709551615", "18446744073709551616", "99999999999999999999999"] {
            check(text, Err(DecimalError::TooLarge));
        }
        assert_eq!(parse_decimal_u64("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(parse_decimal_u64("18446744073709551616"), Err(DecimalError::TooLarge));
    }

    #[test]
    fn sizes_and_indexes_end_at_two_to_the_63_minus_one() {
        assert_eq!(TreeSize::new(SIZE_MAX), Some(TreeSize::MAX));
        assert_eq!(TreeSize::new(SIZE_MAX + 1), None);
        assert_eq!(LeafIndex::new(SIZE_MAX + 1), None);
        assert_eq!(TreeSize::MAX.checked_add(1), None);
        assert_eq!(TreeSize::MAX.checked_add(u64::MAX), None);
        assert_eq!(TreeSize::ZERO.checked_add(7), TreeSize::new(7));
    }

    #[test]
    fn an_index_is_in_a_tree_that_is_larger() {
        let (index, size) = (LeafIndex::new(7).unwrap(), TreeSize::new(7).unwrap());
        assert!(!index.is_in(size));
        assert!(index.is_in(size.checked_add(1).unwrap()));
        assert!(!LeafIndex::new(0).unwrap().is_in(TreeSize::ZERO));
    }
}
