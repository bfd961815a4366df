//! A C2SP witness: it cosigns a checkpoint of a log once it has seen that the log only grew.
//!
//! It is not a monitor: it knows heads, never entries, and does not judge what a log holds. It keeps no
//! belief in memory between requests; what it knows of a log is one row of its database.
//!
//! Invariant: of any two heads of one log that carry this witness's cosignature, the smaller is a prefix
//! of the larger. A signature leaves the process only after the head under it is durable, and a head is
//! replaced only by compare-and-swap. A witness that lost its state is retired, never restarted empty.
//!
//! Source: <https://c2sp.org/tlog-witness>, <https://c2sp.org/tlog-cosignature>.
//!
//! ```text
//! http, gossip -> witness -> ports <- sqlite, clock
//!           |-- logs: whose checkpoints, under which keys
//!           |-- authenticate, decide: pure
//!           |-- register: how far the state has come, beside the key
//!           |-- conviction: heads and evidence that others show, and the end of cosigning
//!           `-- cosigner: makes and checks the cosignature
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod authenticate;
mod budget;
pub mod command;
mod config;
mod conviction;
mod cosigner;
mod decide;
mod gossip;
mod http;
mod logs;
mod metrics;
mod ports;
mod register;
mod service;
mod sqlite;
mod subtree;
mod witness;

#[cfg(test)]
mod testkit;

pub use budget::{BURST_MIN, REQUESTS_PER_DAY, REQUESTS_PER_DAY_MAX};
pub use config::{Config, ConfigError, GossipConfig, GossipConfigError, PEERS_MAX, WitnessSettings};
pub use cosigner::KeyError;
pub use logs::{LOG_KEYS_MAX, LOGS_MAX, LogError};
pub use ports::StoreError;
pub use register::{FileRegister, Generation, HeadRegister, RegisterError};
pub use service::{InitError, ServeError, VkeyError, init, init_if_absent, serve, vkeys};
pub use sqlite::OpenHeadsError;
pub use witness::StateError;
