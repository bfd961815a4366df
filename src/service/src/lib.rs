//! How a service process begins and ends, the same for log, witness, countersigner and vault.
//!
//! * [`configuration`]: the bounded text of a configuration file and the folder that its paths are relative to.
//! * [`settings`]: what a flag or an environment variable may say in place of the file.
//! * [`listener`]: a socket with a clear refusal, and a server that ends gracefully.
//! * [`lifecycle`]: the ready line, the records on standard error, and the signals that end a service.
//!
//! It knows nothing of logs, keys or formats. Invariant: a service prints exactly one line on standard output, after its
//! socket is bound.
#![forbid(unsafe_code)]

pub mod configuration;
pub mod lifecycle;
pub mod listener;
pub mod settings;
