//! A member of a vault: it makes its keys inside its own process, reports them, keeps what a vendor attests about them,
//! and, once a verified bundle states its fleet, replicates users' records with the other members and serves sessions.
//!
//! It is not an authority on itself. Its report proves that it holds its identity key; that the keys were made inside a
//! device which runs this executable is the vendor's word ([`endorse`]), and whether a fleet of such members may be
//! trusted is for two organisations to sign. What a user may do is decided by the machine in `countermark_vault_core`,
//! and what is committed by `countermark_vault_raft`; here are sockets, files, the clock and the log's bundle.
//!
//! Invariants:
//! * a private key never leaves the process that made it. A stored attestation speaks for exactly this origin, fleet,
//!   member and these keys, and what is served is never ahead of what is on disk;
//! * a member that lost its keys, its data or its counter, or runs on an older copy of them, is retired, never restarted
//!   under its name;
//! * only members that the fleet was formed of, and that the adopted statement still names with the same keys, are let in;
//! * nothing that is logged or answered tells users or the outcomes of their sessions apart.
//!
//! ```text
//! command -> service -> http -> member -> ports <- attestation_file
//!                |        |---> session_service -> ports <- fleet (replica)        account_token, session_table
//!                |        `---> status
//!                |-- fleet: formation, start, steward -> staple -> ports <- log_client -> fetch
//!                |     `-- peer: lanes to other members, and their calls
//!                |-- member_keys, device: the keys of this process as a device's
//!                `-- measure: what executable runs
//! command -> endorse: the vendor's side, over HTTP        command -> status: a member's state, over HTTP
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
    FleetConfigError, ISSUER_BYTES_MAX, PeerAddress, VENDOR_KEYS_MAX, VaultSettings, WRITE_DEADLINE_MS,
};
pub use fetch::FetchError;
pub use fleet::{FleetError, FleetStartError, FormationFileError};
pub use measure::MeasureError;
pub use member::{MakeReportError, MemberError};
pub use member_keys::KeyError;
pub use ports::StoreError;
pub use service::{Existing, InitError, PublicKeys, ServeError, init, serve};
