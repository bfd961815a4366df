//! A member's number in the log.

use core::fmt;

use countermark_bundle::key::KeyId;
use serde::{Deserialize, Serialize};

/// A member's number: the first 8 bytes, big-endian, of its identity key's identifier.
///
/// It is derived from the key because a member that lost its keys is another member: it may not vote in the lost one's
/// name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberNumber(u64);

impl MemberNumber {
    /// The number of the member whose identity key this is.
    ///
    /// # Panics
    /// Never: an identifier has 32 bytes.
    #[must_use]
    pub fn of(identity: KeyId) -> Self {
        let head = identity.0.0.first_chunk().expect("an identifier has 32 bytes");
        Self(u64::from_be_bytes(*head))
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for MemberNumber {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for MemberNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use countermark_bundle::identity::Digest;

    use super::*;

    #[test]
    fn the_number_is_the_head_of_the_key_id() {
        let mut id = [0; 32];
        id[..9].copy_from_slice(&[0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let number = MemberNumber::of(KeyId(Digest(id)));
        assert_eq!(number.get(), 0x0001_0203_0405_0607);
        assert_eq!(number.to_string(), "0001020304050607");
    }
}
