//! What a vault member says about itself and who vouches for it, and what a fleet of such members does for its users: the
//! records that passwords open, the guesses that are counted, the sessions in which that happens.
//!
//! The crate is pure: no socket, no file, no clock and no randomness of its own. Time is an argument, and whoever holds
//! a key signs outside. It builds without the standard library (`alloc` only).
//!
//! * [`member`]: a member's report, signed by its identity key.
//! * [`attest`]: what a vendor signs about a member, and what a member accepts.
//! * [`fleet`]: from reports to a statement, which nobody has approved yet.
//! * [`machine`]: the deterministic machine that the fleet replicates: records, budgets, the adopted bundle.
//! * [`session`]: what is said in a session, on both sides, inside of [`noise`] and around [`opaque`].
//! * [`account`], [`account_token`]: who a user is, and how a user shows it. [`wrap`]: the backup key, wrapped.
//! * [`device`]: what a member needs of the device it runs in. [`secret`]: bytes that must not be seen.
//! * [`to_sign`]: every string that is signed or authenticated.
//!
//! Invariants: a key stands in a statement only if the member that reports it can sign with its identity key, and a vendor
//! attested exactly these keys together with the executable that runs. A password is evaluated only with what a committed
//! charge answered.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::as_conversions))]
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]
extern crate alloc;

pub mod account;
pub mod account_token;
pub mod attest;
pub mod device;
pub mod fleet;
pub mod machine;
pub mod member;
pub mod noise;
pub mod opaque;
pub mod secret;
pub mod session;
pub mod to_sign;
pub mod wrap;

#[cfg(test)]
mod testing;
