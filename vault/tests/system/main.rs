//! A vault member over its real files, sockets and processes.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod endorse;
mod init;
mod service;
mod support;
