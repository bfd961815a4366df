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

mod account_token;
mod attestation_file;
mod clock;
pub mod command;
mod config;
mod device;
pub mod endorse;
mod fetch;
mod fleet;
mod http;
mod log_client;
mod measure;
mod member;
mod member_keys;
mod peer;
mod ports;
mod service;
mod session_service;
mod session_table;
mod staple;
pub mod status;

#[cfg(test)]
mod testkit;

pub use config::{
    ACCOUNT_ISSUERS_MAX, AccountIssuer, BUNDLE_POLL_INTERVAL_MS, COOL_OFF_SECONDS, Config, ConfigError, FleetConfig,
    FleetConfigError, ISSUER_BYTES_MAX, PeerAddress, VENDOR_KEYS_MAX, WRITE_DEADLINE_MS,
};
pub use fleet::{FleetError, FleetStartError, FormationFileError};
pub use measure::MeasureError;
pub use member::{MakeReportError, MemberError};
pub use member_keys::KeyError;
pub use ports::StoreError;
pub use service::{Existing, InitError, PublicKeys, ServeError, init, serve};
