//! A member of a vault: it makes its keys inside its own process, reports them, and keeps what a vendor attests about
//! them.
//!
//! It is not an authority on itself. Its report proves that it holds its identity key; that the keys were made inside a
//! device which runs this executable is the vendor's word ([`endorse`]), and whether a fleet of such members may be
//! trusted is for two organisations to sign.
//!
//! Invariants: a private key never leaves the process that made it. A stored attestation speaks for exactly this origin,
//! fleet, member and these keys, and what is served is never ahead of what is on disk. A member that lost its keys is
//! retired, never restarted with new ones under its name.
//!
//! ```text
//! command -> service -> http -> member -> ports <- attestation_file
//!                |-- member_keys: opens the two keys
//!                `-- measure: what executable runs
//! command -> endorse: the vendor's side, over HTTP
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod attestation_file;
pub mod command;
mod config;
pub mod endorse;
mod http;
mod measure;
mod member;
mod member_keys;
mod ports;
mod service;

#[cfg(test)]
mod testkit;

pub use config::{Config, ConfigError, VENDOR_KEYS_MAX};
pub use measure::MeasureError;
pub use member::{MakeReportError, MemberError};
pub use member_keys::KeyError;
pub use ports::StoreError;
pub use service::{Existing, InitError, PublicKeys, ServeError, init, serve};
