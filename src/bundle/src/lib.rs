//! Everything two organisations sign about a fleet's keys, and the one door that verifies it.
//!
//! The crate is pure: no socket, no file, no clock and no randomness of its own. Time is an argument. It builds without
//! the standard library (`alloc` only).
//!
//! * [`statement`], [`approval`], [`attestation`], [`certificate`], [`countersignature`], [`evidence`]: what is signed.
//! * [`entry`]: the six types of log entries. What is logged is the exact bytes that were submitted.
//! * [`to_sign`]: every string to sign whose format is ours, in one file.
//! * [`namespace_state`]: the hard rules of every entry. The log admits with it and the auditor replays with it, so the
//!   two can never differ.
//! * [`trust`], [`validation_bundle`], [`verify`](mod@verify): what a client pins, what it is handed, and the sixteen
//!   steps between the two.
//!
//! Invariant: a type that is called `Verified…` or `Parsed…` can only be made by the function that checked it.
#![no_std]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::as_conversions))]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop at that line"))]
extern crate alloc;
#[cfg(any(test, feature = "testing"))]
extern crate std;

pub mod approval;
pub mod attestation;
pub mod authority;
pub mod certificate;
pub mod countersignature;
pub mod entry;
pub mod evidence;
pub mod exit_class;
pub mod identity;
pub mod json;
pub mod key;
pub mod link;
pub mod namespace_state;
pub mod statement;
pub mod to_sign;
pub mod trust;
pub mod validation_bundle;
pub mod verify;
mod wire;

pub use exit_class::ExitClass;
pub use identity::{Digest, Epoch, Namespace, Side, Timestamp};
pub use key::{KeyAlgorithm, KeyId, PublicKey};

#[cfg(test)]
mod hostile_bytes;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod worked_examples;
