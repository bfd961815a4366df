//! A user's backup key and the vault that keeps it: register, recover, change the password, delete; and the file that the
//! key encrypts.
//!
//! * [`staple`]: the bundle, from whichever member or log gives one that verifies.
//! * [`access`]: which keys a session is opened to; only a verified bundle gives them.
//! * [`Vault`]: the four operations, each in a session of its own with one member.
//! * [`password`], [`file`](mod@file): the one form of a password, and the backup's file.
//!
//! What it is not: the protocols themselves are `countermark-vault-core`'s; this module carries their bytes, in their
//! order, and says what a failure may have cost.
//!
//! Invariants:
//! * a session is opened only to keys that a verified bundle states, and nothing but an opening is sent before the member
//!   proved that it has them;
//! * another member is asked only after an error that surely spent and changed nothing; what may have been done is
//!   reported and never repeated;
//! * every session has the same number of exchanges, whatever went on in it, unless it broke;
//! * the backup key leaves [`Vault::recover`] only after its commitment matched.

pub mod access;
mod account;
mod change_password;
mod delete;
mod error;
pub mod file;
mod guess;
pub mod password;
mod randomness;
mod recover;
mod register;
mod session;
pub mod staple;
mod transport;
mod vault;

pub use account::{Account, AccountError, AccountProof, ProofFault};
pub use change_password::Changed;
pub use countermark_vault_core::opaque::NormalisedPassword;
pub use countermark_vault_core::wrap::BackupKey;
pub use delete::Deleted;
pub use error::{BackupError, Deed, ExchangeError, MemberFailure};
pub use recover::Recovered;
pub use register::Registered;
pub use transport::{HttpMember, Transport};
pub use vault::{Done, Vault};

use countermark_vault_core::device::DeviceFault;

use randomness::OsRandom;

/// Makes a new backup key: 256 bits of the operating system's randomness.
pub fn new_key() -> Result<BackupKey, DeviceFault> {
    BackupKey::generate(&mut OsRandom)
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
