//! A witness over its real files, sockets and processes.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod bounds;
mod crashes;
mod gossip;
#[path = "../../src/testkit/log.rs"]
mod log;
mod service;
mod support;
mod token;
