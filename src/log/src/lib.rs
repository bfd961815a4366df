//! The authority's log service: admit, sequence, commit, cosign, publish, prove.
//!
//! One owner task per namespace ([`sequencer`]) admits submissions against the namespace's state, signs the next head and
//! commits it in one transaction; one publisher task collects the witnesses' cosignatures and swaps the published view.
//! HTTP only reads views and hands submissions to the owner task.
//!
//! It is not the operator's service and not a client: it never verifies a validation bundle, and it never decides on
//! behalf of the operator.
//!
//! Invariant: **of all checkpoints whose log signature ever left the process, one is a prefix of the other.** A head is
//! signed once per size, is durable in the database and in the head register before its signature leaves, and no start-up
//! signs anything before database, register and witnesses agree on the past.
//!
//! Inside: `http -> domain -> ports <- {store, head_register, witness_client}`. The domain imports neither axum nor sqlx.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should stop at that line"))]

/// What this is: its name in every document that says so.
pub(crate) const SOFTWARE: &str = concat!("countermark-log ", env!("CARGO_PKG_VERSION"));

// The domain and what it stands on.
pub mod admit;
pub mod clock;
mod cose;
pub mod export;
pub mod foundation;
pub mod head_register;
mod metrics;
pub mod objects;
pub mod ports;
pub mod proofs;
pub mod published;
pub mod recover;
pub mod sequencer;
pub mod stage;
pub mod store;
pub mod witness_client;
mod witness_round;

// The service around it.
mod auth;
mod bundles;
pub mod command;
pub mod config;
pub mod create;
pub mod freeze;
mod http;
pub mod limits;
mod plexi;
mod scrub;
pub mod serve;
pub mod serve_static;
pub mod stores;

#[cfg(test)]
mod testing;
