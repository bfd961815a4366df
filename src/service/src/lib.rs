//! How a service process begins and ends, and how it is spoken to, the same for log, witness, countersigner and vault.
//!
//! * [`configuration`]: the bounded text of a configuration file and the folder that its paths are relative to.
//! * [`settings`]: what a flag or an environment variable may say in place of the file.
//! * [`listener`]: a socket with a clear refusal.
//! * [`server`]: HTTP on it, with a bound on everything that a caller can make it hold, and a graceful end.
//! * [`tls`]: the certificate and key of `[tls]`, read again when they change.
//! * [`bearer`]: where a bearer token may be sent.
//! * [`lifecycle`]: the ready line, the records on standard error, and the signals that end a service.
//!
//! It knows nothing of logs, keys or formats. Invariant: a service prints exactly one line on standard output, after its
//! socket is bound.
#![forbid(unsafe_code)]
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod bearer;
pub mod configuration;
pub mod lifecycle;
pub mod listener;
pub mod server;
pub mod settings;
pub mod tls;
