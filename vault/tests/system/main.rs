//! A vault member over its real files, sockets and processes.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod cluster;
mod endorse;
mod fleet;
mod init;
mod service;
mod support;
mod user;
