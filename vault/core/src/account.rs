//! Who a user is to the vault.

use core::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A user of the vault: SHA-256 over the issuer of account tokens and the subject that it names, 32 bytes.
///
/// The vault never stores the names themselves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountId([u8; 32]);

impl AccountId {
    /// The account that `issuer` calls `subject`. Neither may contain a line break; a token that does is refused before.
    #[must_use]
    pub fn of(issuer: &str, subject: &str) -> Self {
        let mut hash = Sha256::new();
        for part in ["countermark/account/v1", issuer, subject] {
            hash.update(part.as_bytes());
            hash.update(b"\n");
        }
        Self(hash.finalize().into())
    }

    /// The identifier's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for AccountId {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A log line that tells users apart would tell the relay's operator who came.
        f.write_str("AccountId(…)")
    }
}
