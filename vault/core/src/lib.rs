//! What a vault member says about itself, who vouches for it, and the statement of a fleet that follows.
//!
//! The crate is pure: no socket, no file, no clock and no randomness of its own. Time is an argument, and whoever holds
//! a key signs outside. It builds without the standard library (`alloc` only).
//!
//! * [`member`]: a member's report, signed by its identity key.
//! * [`attest`]: what a vendor signs about a member, and what a member accepts.
//! * [`fleet`]: from reports to a statement, which nobody has approved yet.
//! * [`to_sign`]: the string that a member signs.
//!
//! Invariant: a key stands in a statement only if the member that reports it can sign with its identity key, and a vendor
//! attested exactly these keys together with the executable that runs.
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
