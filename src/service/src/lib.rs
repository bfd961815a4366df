//! How a service process begins and ends, the same for log, witness, countersigner and vault.
//!
//! * [`configuration`]: the bounded text of a configuration file and the folder that its paths are relative to.
//! * [`listener`]: a socket with a clear refusal, and a server that ends gracefully.
//! * [`lifecycle`]: the ready line, and the signals that end a service.
//!
//! It knows nothing of logs, keys or formats. Invariant: a service prints exactly one line on standard output, after its
//! socket is bound.
#![forbid(unsafe_code)]

pub mod configuration;
pub mod lifecycle;
pub mod listener;
