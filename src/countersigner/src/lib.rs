//! The operator's service: follows the log, verifies every certified statement, decides, records, countersigns, submits
//! the activation.
//!
//! It pulls: nothing needs to reach it but a loopback status page. It shares no code with the log and believes none of
//! its answers; the two organisations meet only through bytes. It never holds more than the operator's own keys, and it
//! never verifies a validation bundle.
//!
//! ```text
//! checkpoint -> VerifiedHead -> Replay          own trust file, quorum, only growth, every hard rule
//! UntrustedEntry -> VerifiedReceipt             inclusion, certificate, approvals
//! VerifiedReceipt -> Decision                   policy, cool-off, revocations
//! VerifiedReceipt + Decision -> LedgerRow       durable
//! VerifiedReceipt + LedgerRow -> Countersignature -> activation entry
//! ```
//!
//! Invariants:
//! * Nothing is countersigned that is not included under a head which the operator's own trust file accepts, and every
//!   such head has every head verified before as its beginning.
//! * One digest for one epoch, and epochs only rise ([`ledger`]), whatever crashes.
//! * What contradicts the verified past stops the service by name ([`stop`]); what may heal is tried again.
//!
//! Inside: `http -> domain -> ports <- {ledger, log_client, clock}`. The domain imports neither axum nor sqlx.
#![forbid(unsafe_code)]
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

// The domain and what it stands on.
pub mod access;
pub mod countersign;
pub mod countersigner;
pub mod decide;
pub mod follow;
pub mod head;
pub mod ledger;
pub mod ports;
pub mod proofs;
pub mod receipt;
pub mod replay;
pub mod run;
pub mod status;
pub mod stop;

// The world around it.
pub mod clock;
pub mod command;
pub mod config;
pub mod http;
pub mod log_client;
pub mod serve;

#[cfg(test)]
mod testing;
